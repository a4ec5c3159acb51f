//! Words for people: times with the relative word beside them, exact amounts, states.

use clock::{DateTime, Timestamp, local};
use fiscal::Cents;
use maud::{Markup, html};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// How good or bad something is: the colour and shape of its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Ok,
    /// Somebody should look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Neither.
    Quiet,
}

impl Tone {
    /// The word in the stylesheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "",
        }
    }

    /// Bad where there is any, else quiet.
    pub(super) const fn bad_if_any(count: i64) -> Self {
        if count > 0 { Self::Bad } else { Self::Quiet }
    }

    /// A warning where there is any, else quiet.
    pub(super) const fn warn_if_any(count: i64) -> Self {
        if count > 0 { Self::Warn } else { Self::Quiet }
    }
}

/// A state as a word with a colour and a shape.
pub(super) fn tag(tone: Tone, text: &str) -> Markup {
    html! { span class={ "tag " (tone.class()) } { (text) } }
}

/// `27 Nov 2026`
pub(super) fn date_words(date: jiff::civil::Date) -> String {
    let month = usize::from(date.month().unsigned_abs()).saturating_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or("?");
    format!("{} {month} {}", date.day(), date.year())
}

/// `27 Nov 2026 14:05`, local.
pub(super) fn local_words(date: DateTime) -> String {
    format!(
        "{} {:02}:{:02}",
        date_words(date.date()),
        date.hour(),
        date.minute()
    )
}

/// `27 Nov 14:05:33`, or with the year where it is not this one.
fn short(now: Timestamp, at: Timestamp) -> String {
    let (date, today) = (local(at), local(now));
    let time = format!("{:02}:{:02}", date.hour(), date.minute());
    if date.date() == today.date() {
        return time;
    }
    let words = date_words(date.date());
    let day = if date.year() == today.year() {
        words
            .rsplit_once(' ')
            .map_or(words.clone(), |(day, _)| day.to_owned())
    } else {
        words
    };
    format!("{day} {time}")
}

/// How long something took or is away, in the largest unit that fits: `3 min`, `2 days`.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.abs();
    let (count, unit, plural) = match seconds {
        0..60 => (seconds, "s", "s"),
        60..3_600 => (seconds / 60, "min", "min"),
        3_600..172_800 => (seconds / 3_600, "h", "h"),
        172_800..5_184_000 => (seconds / 86_400, "day", "days"),
        5_184_000..63_072_000 => (seconds / 2_592_000, "month", "months"),
        _ => (seconds / 31_536_000, "year", "years"),
    };
    format!("{count} {}", if count == 1 { unit } else { plural })
}

/// `3 min ago`, `in 2 days`, `just now`.
pub(super) fn relative(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        -4..=4 => "just now".to_owned(),
        5.. => format!("{} ago", span(seconds)),
        _ => format!("in {}", span(seconds)),
    }
}

/// A moment: local time, the relative word under it, all of it in the title.
pub(super) fn when(now: Timestamp, at: Timestamp) -> Markup {
    html! {
        time datetime=(at) title={ (local_words(local(at))) " (UTC+2)" } {
            (short(now, at)) " " span class="quiet small" { (relative(now, at)) }
        }
    }
}

/// A moment that may not have come yet: `never`, or what is given.
pub(super) fn when_or(now: Timestamp, at: Option<Timestamp>, never: &str) -> Markup {
    match at {
        Some(at) => when(now, at),
        None => html! { span class="quiet" { (never) } },
    }
}

/// A moment to the second, for logs.
pub(super) fn exact(at: Timestamp) -> Markup {
    let date = local(at);
    html! {
        time datetime=(at) title="local time, UTC+2" {
            (date_words(date.date())) " " (format!("{:02}:{:02}:{:02}", date.hour(), date.minute(), date.second()))
        }
    }
}

/// A local time as stores and FDMS write it.
pub(super) fn civil(date: DateTime) -> Markup {
    html! { time datetime=(date) title="local time, UTC+2" { (local_words(date)) } }
}

/// A local time as [`when`] shortens it.
pub(super) fn civil_short(now: Timestamp, date: DateTime) -> String {
    short(now, clock::instant(date))
}

/// An exact amount with its currency.
pub(super) fn money(cents: i64, currency: &str) -> Markup {
    html! { span class="nowrap" { (Cents::new(cents).grouped()) " " span class="quiet small" { (currency) } } }
}

/// `1 store`, `7 stores`.
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(number),
        if number == 1 { one } else { many }
    )
}

/// A whole number with thousands commas.
pub(super) fn thousands(number: i64) -> String {
    let text = Cents::new(number).grouped();
    // The amount's last two digits are its cents: `0.07` is 7.
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    match (out.is_empty(), number < 0) {
        (true, _) => "0".to_owned(),
        (false, true) => format!("-{out}"),
        (false, false) => out,
    }
}

/// The environment as people call it.
pub(super) fn environment(word: &str) -> Markup {
    match word {
        "prod" => html! { span class="tag plain" { "Production" } },
        _ => html! { span class="tag plain warn" { "Test" } },
    }
}

/// In rows of many: what is not production says so.
pub(super) fn mark(word: &str) -> Markup {
    html! { @if word != "prod" { (environment(word)) } }
}

/// A number that something is, or a hyphen.
pub(super) fn or_none<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// `submit_receipt` as `Receipt` and its kin.
pub(super) fn item(kind: &str) -> &str {
    match kind {
        "open_day" => "Opening of day",
        "submit_receipt" => "Receipt",
        "close_day" => "Close of day",
        "submit_file" => "File",
        other => other,
    }
}

/// A command's kind as people call it.
pub(super) fn command(kind: &str) -> &str {
    match kind {
        "submit_test" => "Controlled test submission",
        "retry" => "Retry",
        "dead_letter" => "Pause (dead letter)",
        "refresh_config" => "Config refresh",
        "open_day" => "Open day",
        "close_day" => "Close day",
        "renew_certificate" => "Certificate renewal",
        "deliver_credential" => "Credential delivery",
        "retire" => "Retire",
        "upload_log" => "Log upload",
        other => other,
    }
}

/// How a command or an attempt stands.
pub(super) fn outcome(word: &str) -> Markup {
    let tone = match word {
        "done" | "accepted" | "active" | "valid" => Tone::Ok,
        "refused" | "failed" | "dead_letter" | "paused" | "blocked" | "invalid" => Tone::Bad,
        "expired" | "later" | "unknown" => Tone::Warn,
        _ => Tone::Quiet,
    };
    tag(tone, &word.replace('_', " "))
}

/// Receipt types as people call them.
pub(super) fn receipt_type(word: &str) -> &str {
    match word {
        "FiscalInvoice" => "Invoice",
        "CreditNote" => "Credit note",
        "DebitNote" => "Debit note",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Times are said in local time with the word that a person would use.
    #[test]
    fn times_in_words() {
        let now = at("2026-11-27T12:00:00Z");
        let table = [
            ("2026-11-27T11:59:58Z", "13:59", "just now"),
            ("2026-11-27T11:57:00Z", "13:57", "3 min ago"),
            ("2026-11-26T23:30:00Z", "01:30", "12 h ago"),
            ("2026-11-24T12:00:00Z", "24 Nov 14:00", "3 days ago"),
            ("2025-11-24T12:00:00Z", "24 Nov 2025 14:00", "12 months ago"),
            ("2026-12-27T12:00:00Z", "27 Dec 14:00", "in 30 days"),
        ];
        for (moment, clock, word) in table {
            let moment = at(moment);
            assert_eq!(
                (short(now, moment).as_str(), relative(now, moment).as_str()),
                (clock, word)
            );
        }
    }

    /// Amounts and numbers keep every digit.
    #[test]
    fn numbers_in_words() {
        assert!(money(-123_456_705, "USD").0.contains("-1,234,567.05"));
        for (number, text) in [
            (0, "0"),
            (7, "7"),
            (70, "70"),
            (700, "700"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(count(1, "store", "stores"), "1 store");
    }
}
