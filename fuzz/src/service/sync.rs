//! What stores and head office say to each other: batches with their limits, lines that come back to the byte, and each
//! message of either side.

use std::collections::BTreeSet;

use fiscal_hq::sync::batch::Batch;
use fiscal_hq::sync::body::{Packed, split};
use fiscal_hq::sync::kept::{receipt_entry, receipt_rest};
use fiscal_hq::sync::line::{self, Line};
use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_agent::http::said;
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, CommandDone};
use sync_wire::enrol::{Enrol, Enrolled};
use sync_wire::entry::{Entry, Fact, MAX_LINE};
use sync_wire::exchange::{Down, MAX_BYTES, MAX_ENTRIES, Up};
use sync_wire::settings::StoreSettings;
use sync_wire::state::{StoreState, Wanted};

/// A letter for the kind of message, then the message.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, message)) = data.split_first() else {
        return;
    };
    match kind {
        b'z' => packed(message),
        b'b' => batch(message),
        b'l' => lines(&String::from_utf8_lossy(message)),
        b'k' => kept(message),
        b'd' => same::<Down>(message),
        b'c' => same::<Command>(message),
        b'o' => same::<CommandDone>(message),
        b'w' => same::<Wanted>(message),
        b's' => same::<StoreState>(message),
        b't' => same::<StoreSettings>(message),
        b'e' => rewritten::<Enrol>(message),
        b'j' => rewritten::<Enrolled>(message),
        _ => refused(message),
    }
}

/// A message that is read, written and read again is the same.
fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(message) {
        let written = serde_json::to_vec(&read).expect("a message can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(again, read);
    }
}

/// The same for messages with a secret, which are not compared but as what is written.
fn rewritten<T: Serialize + DeserializeOwned>(message: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(message) {
        let written = serde_json::to_vec(&read).expect("a message can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(
            serde_json::to_vec(&again).expect("it can be written"),
            written
        );
    }
}

/// What head office says with a refusal is one short line.
fn refused(message: &[u8]) {
    let said = said(409, message);
    assert!(said.starts_with("head office answered 409"));
    assert!(!said.chars().any(char::is_control));
    assert!(said.chars().count() <= 330);
}

/// Anything as zstd: no more comes out of it than a batch may have.
fn packed(message: &[u8]) {
    if let Ok(text) = Packed::new(message.to_vec(), true).unpack() {
        assert!(text.len() <= MAX_BYTES + MAX_LINE);
        // Megabytes take long, and say no more than a few lines.
        if text.len() < 10_000 {
            batch(text.as_bytes());
        }
    }
}

/// A batch that is plain, and the same compressed.
fn batch(message: &[u8]) {
    let Ok(text) = Packed::new(message.to_vec(), false).unpack() else {
        assert!(std::str::from_utf8(message).is_err());
        return;
    };
    assert_eq!(text.as_bytes(), message);
    let small = zstd::bulk::compress(message, 1).expect("anything can be compressed");
    let again = Packed::new(small.clone(), true).unpack();
    assert_eq!(again.as_deref().ok(), Some(text.as_str()));
    // A batch that was cut off on its way is none.
    let half = Packed::new(small[..small.len() / 2].to_vec(), true).unpack();
    assert!(half.is_err() || text.is_empty());
    let Ok((up, entries)) = split(&text) else {
        return;
    };
    assert_eq!(up.protocol, sync_wire::VERSION);
    assert_eq!(usize::try_from(up.entries), Ok(entries.len()));
    assert!(entries.len() <= MAX_ENTRIES && up.after >= 0 && !up.epoch.is_nil());
    let first = serde_json::to_vec(&up).expect("a first line can be written");
    assert_eq!(serde_json::from_slice::<Up>(&first).ok(), Some(up.clone()));
    taken(&entries, up.after);
    if let Some((fewer, _)) = text.trim_end_matches('\n').rsplit_once('\n') {
        assert!(split(fewer).is_err(), "a line less is not noticed");
    }
}

fn lines(text: &str) {
    let entries: Vec<&str> = text.split('\n').collect();
    taken(&entries, 0);
    for text in entries {
        entry(text);
    }
}

/// Lines that are taken rise, come back to the byte, and are what the store's side reads as well.
fn taken(entries: &[&str], after: i64) {
    let read = match line::read(entries.iter().copied(), after) {
        Ok(read) => read,
        Err(unreadable) => {
            assert!((1..=entries.len()).contains(&unreadable.line));
            assert!(!unreadable.why.is_empty());
            return;
        }
    };
    assert_eq!(read.len(), entries.len());
    let mut last = after;
    let mut hash = ChainHash::START;
    for (line, text) in read.iter().zip(entries) {
        assert!(line.seq > last);
        last = line.seq;
        assert_eq!(line.text, *text);
        assert_eq!(written(line), *text);
        hash = hash.then(text.as_bytes());
    }
    assert_eq!(line::chain(ChainHash::START, &read), hash);
    let foreign = BTreeSet::new();
    let batch = Batch::read(&read, 0, &foreign);
    // A hundred lines are read without waiting.
    if let Some(Ok(_)) = batch.now_or_never() {
        // Head office keeps nothing that the store could not read back.
        for line in &read {
            let entry = Entry::read(line.text.as_bytes());
            let entry = entry.unwrap_or_else(|error| panic!("{error}: {}", line.text));
            assert_eq!(
                (entry.seq, entry.at, entry.till),
                (line.seq, line.at, line.till)
            );
            assert_eq!(
                (entry.kind.as_str(), entry.body.get()),
                (line.kind, line.body.trim())
            );
        }
    }
}

fn written(line: &Line<'_>) -> String {
    let mut text = String::new();
    let (environment, device) = line.till_columns();
    line::write(
        &mut text,
        line.seq,
        line.at,
        environment.zip(device),
        line.kind,
        line.body,
    );
    text
}

/// An entry that is read and written is an entry that head office takes.
fn entry(text: &str) {
    let Ok(entry) = Entry::read(text.as_bytes()) else {
        return;
    };
    let line = entry.line().expect("an entry can be written");
    let again = Entry::read(&line).expect("what was written is read");
    assert_eq!(again.line().ok(), Some(line.clone()));
    assert_eq!(
        (again.seq, again.at, again.till),
        (entry.seq, entry.at, entry.till)
    );
    let (Ok(one), Ok(other)) = (entry.fact(), again.fact()) else {
        assert!(entry.fact().is_err() && again.fact().is_err());
        return;
    };
    assert_eq!(one, other);
    if let Fact::ReceiptIssued(receipt) = one {
        let rest = receipt_rest(entry.body.get(), &receipt.body);
        assert_eq!(receipt_entry(&rest, &receipt.body), entry.body.get());
    }
}

/// What is kept of any two texts comes back to the byte.
fn kept(message: &[u8]) {
    let text = String::from_utf8_lossy(message);
    let (entry, body) = text.split_once('\n').unwrap_or((&text, ""));
    let rest = receipt_rest(entry, body);
    assert_eq!(receipt_entry(&rest, body), entry);
}
