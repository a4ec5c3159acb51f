//! A store's lines as they came: the head of each, and the hash over all of them.
//!
//! Lines are taken only in the one form that stores write ([`sync_wire::entry::Entry::line`]), so that the very
//! same bytes can be given back from the columns that they are kept in.

use std::fmt::Write as _;

use clock::Timestamp;
use sync_wire::chain::ChainHash;
use sync_wire::entry::{Entry, MAX_LINE};
use sync_wire::{Environment, TillRef};

/// The longest word for a kind of event.
const MAX_KIND: usize = 64;

/// Why lines cannot be taken: nothing of the batch is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the batch{event} {why}", event = self.event())]
pub struct Unreadable {
    /// Its place among the entries of the batch, from 1 on.
    pub line: usize,
    /// The number of its event, where it could be read.
    pub seq: Option<i64>,
    /// What is wrong with it.
    pub why: String,
}

impl Unreadable {
    fn event(&self) -> String {
        self.seq
            .map(|seq| format!(" (event {seq})"))
            .unwrap_or_default()
    }
}

/// The head of a line, and its body as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The number of the event.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Of which till.
    pub till: Option<TillRef>,
    /// What happened.
    pub kind: &'a str,
    /// JSON.
    pub body: &'a str,
    /// The whole line, without its end.
    pub text: &'a str,
}

impl Line<'_> {
    /// When, as Postgres keeps it. Within the calendar: [`read`] lets nothing else through.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The till's columns: environment and device.
    #[must_use]
    pub fn till_columns(&self) -> (Option<&'static str>, Option<i32>) {
        match self.till {
            Some(till) => (Some(till.environment.as_str()), Some(device(till))),
            None => (None, None),
        }
    }
}

/// A till's number as Postgres keeps it. Within range: [`read`] lets nothing else through.
#[must_use]
pub(super) fn device(till: TillRef) -> i32 {
    i32::try_from(till.device_id).unwrap_or(i32::MAX)
}

/// Milliseconds since 1970 as Postgres keeps them; none: outside the calendar.
#[must_use]
pub(super) fn moment(at: i64) -> Option<Timestamp> {
    let calendar = Timestamp::UNIX_EPOCH.as_millisecond()..=253_402_207_200_000;
    let at = Some(at).filter(|at| calendar.contains(at))?;
    Timestamp::from_millisecond(at).ok()
}

/// Writes a line from what is kept of it.
pub fn write(
    line: &mut String,
    seq: i64,
    at: i64,
    till: Option<(&str, i32)>,
    kind: &str,
    body: &str,
) {
    // Writing to a `String` does not fail.
    let _ = write!(line, r#"{{"seq":{seq},"at":{at},"#);
    if let Some((environment, device)) = till {
        let _ = write!(
            line,
            r#""environment":"{environment}","deviceID":{device},"#
        );
    }
    let _ = write!(line, r#""kind":"{kind}","body":{body}}}"#);
}

/// The lines of a batch after its first one, in rising order.
///
/// # Errors
/// A line is not as stores write them, too long, or out of order.
pub fn read<'a>(
    lines: impl Iterator<Item = &'a str>,
    after: i64,
) -> Result<Vec<Line<'a>>, Unreadable> {
    let mut last = after;
    let mut read = Vec::new();
    for (index, text) in lines.enumerate() {
        let line = head(text).map_err(|why| Unreadable {
            line: index + 1,
            seq: Entry::read(text.as_bytes()).ok().map(|entry| entry.seq),
            why,
        })?;
        if line.seq <= last {
            return Err(Unreadable {
                line: index + 1,
                seq: Some(line.seq),
                why: format!("does not come after event {last}: events rise"),
            });
        }
        last = line.seq;
        read.push(line);
    }
    Ok(read)
}

/// The hash over all lines, the ones before included.
#[must_use]
pub fn chain(before: ChainHash, lines: &[Line<'_>]) -> ChainHash {
    lines
        .iter()
        .fold(before, |hash, line| hash.then(line.text.as_bytes()))
}

fn head(text: &str) -> Result<Line<'_>, String> {
    if text.len() > MAX_LINE {
        return Err(format!("is longer than {MAX_LINE} bytes"));
    }
    let Some(line) = split(text) else {
        let why = Entry::read(text.as_bytes()).err().map_or_else(
            || "is not written as fiscald writes entries".to_owned(),
            |error| format!("is no entry: {error}"),
        );
        return Err(why);
    };
    if moment(line.at).is_none() {
        return Err(format!("is of a time outside 1970 to 9999: {}", line.at));
    }
    let is_device = line
        .till
        .is_none_or(|till| till.device_id > 0 && i32::try_from(till.device_id).is_ok());
    if !is_device {
        return Err("names a deviceID that is none".to_owned());
    }
    Ok(line)
}

/// Takes a line apart; none if it is not in the one form.
fn split(text: &str) -> Option<Line<'_>> {
    let (seq, rest) = number(text.strip_prefix(r#"{"seq":"#)?)?;
    let (at, rest) = number(rest.strip_prefix(r#","at":"#)?)?;
    let (till, rest) = match rest.strip_prefix(r#","environment":""#) {
        Some(rest) => {
            let (environment, rest) = rest.split_once('"')?;
            let (device, rest) = number(rest.strip_prefix(r#","deviceID":"#)?)?;
            let till = TillRef {
                environment: Environment::parse(environment)?,
                device_id: u32::try_from(device).ok()?,
            };
            (Some(till), rest)
        }
        None => (None, rest),
    };
    let (kind, rest) = rest.strip_prefix(r#","kind":""#)?.split_once('"')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if kind.is_empty() || kind.len() > MAX_KIND || !kind.bytes().all(is_word) {
        return None;
    }
    let body = rest.strip_prefix(r#","body":"#)?.strip_suffix('}')?;
    Some(Line {
        seq,
        at,
        till,
        kind,
        body,
        text,
    })
}

/// A whole number in its one spelling, and what follows it.
fn number(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64, till: bool) -> String {
        let till = till.then_some(TillRef {
            environment: Environment::Prod,
            device_id: 37367,
        });
        let entry = Entry::new(seq, 1_000, till, "till.held", &"who} says").unwrap();
        String::from_utf8(entry.line().unwrap()).unwrap()
    }

    /// What stores write is taken apart and put together again, to the byte.
    #[test]
    fn lines_come_back_to_the_byte() {
        for text in [entry(7, true), entry(8, false)] {
            let read = read([text.as_str()].into_iter(), 6).unwrap();
            let [line] = read.as_slice() else { panic!() };
            let mut again = String::new();
            let (environment, device) = line.till_columns();
            let till = environment.zip(device);
            write(&mut again, line.seq, line.at, till, line.kind, line.body);
            assert_eq!(again, text);
            assert_eq!(line.body, r#""who} says""#);
        }
    }

    /// Other spellings of the same are not, nor what is out of order or out of range.
    #[test]
    fn other_lines_are_refused() {
        let good = entry(7, true);
        let why = |text: &str, after| {
            let failed = read([text].into_iter(), after).unwrap_err();
            failed.to_string()
        };
        assert!(
            why(&good, 7).contains("line 1 of the batch (event 7) does not come after event 7")
        );
        let spaced = good.replacen(':', ": ", 1);
        assert!(why(&spaced, 0).contains("(event 7) is not written as fiscald writes entries"));
        assert!(why("{\"seq\":1", 0).contains("is no entry"));
        assert!(why(&good.replace("37367", "0"), 0).contains("deviceID"));
        assert!(why(&good.replace("37367", "4000000000"), 0).contains("deviceID"));
        assert!(why(&good.replace("1000", "999999999999999"), 0).contains("9999"));
        let long = good.replace("who", &"o".repeat(MAX_LINE));
        assert!(why(&long, 0).contains("longer"));
    }
}
