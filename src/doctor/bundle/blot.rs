//! Blots out of a text what may be a secret or a person's: whatever the log quotes, it does not leave the store.
//!
//! A word is judged by its shape alone, so it also hits what is harmless (a hash, a thumbprint). What support lives on
//! stays: times, numbers of devices, receipts and days, codes, paths, sentences.

use std::sync::LazyLock;

use regex::Regex;

/// What is put in place of it.
const BLOT: &str = "[blotted]";

/// Shapes of what is blotted out whole.
const SHAPES: [&str; 5] = [
    // PEM, on one line or several.
    r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)",
    // An address of mail.
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    // The word after one that announces a secret.
    r#"(?i)\b(?:bearer|basic)\s+[^\s"',;]+"#,
    // Telephone numbers: with a plus, or long and in groups.
    r"\+\d[\d ()\-]{6,}\d",
    // TIN (ten digits), VAT number (nine), domestic telephone numbers: standing alone.
    r"\b0?\d{9,10}\b",
];
/// Names whose value is a secret or a person's, as `name=value`, `name: value` or `"name":"value"`.
const NAMED: &str = r#"(?i)("?\b(?:\w*(?:password|passphrase|secret|token|_key|apikey|activationkey)|buyer\w*|taxpayer\w*|tin|vat_?number|phone\w*|email|street|house_?no|city|province|customer\w*|receiptLine\w*|receiptPayment\w*|body)"?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|\[[^\]\n]*\]?|\{[^}\n]*\}?|[^,;}\n]+)"#;
/// A long word without spaces: base64, hex, a token, or a path.
const LONG_WORD: &str = r"[A-Za-z0-9_\-+/]{24,}={0,2}";
/// How paths begin, of files and of FDMS.
const PATHS: [&str; 18] = [
    "/bin/", "/dev/", "/etc/", "/home/", "/lib/", "/media/", "/mnt/", "/opt/", "/proc/", "/root/",
    "/run/", "/srv/", "/sys/", "/tmp/", "/usr/", "/var/", "/Device/", "/Public/",
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    // The patterns are parts of the program; a test proves that each compiles.
    SHAPES
        .iter()
        .filter_map(|shape| Regex::new(shape).ok())
        .collect()
});
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(NAMED).ok());
static LONG_WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LONG_WORD).ok());

/// Whether a long word has the shape of a key: letters and digits together, and no path.
fn is_key(word: &str) -> bool {
    let is_path = PATHS.iter().any(|begin| word.starts_with(begin));
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    !is_path && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// The text without what may be a secret or a person's.
pub(super) fn blot(text: &str) -> String {
    let (Some(names), Some(words)) = (NAMES.as_ref(), LONG_WORDS.as_ref()) else {
        return BLOT.to_owned();
    };
    if PATTERNS.len() != SHAPES.len() {
        return BLOT.to_owned();
    }
    let mut text = text.to_owned();
    for pattern in PATTERNS.iter() {
        text = pattern.replace_all(&text, BLOT).into_owned();
    }
    let text = names.replace_all(&text, format!("${{1}}{BLOT}"));
    let judged = |found: &regex::Captures<'_>| match found.get(0).map(|word| word.as_str()) {
        Some(word) if !is_key(word) => word.to_owned(),
        _ => BLOT.to_owned(),
    };
    words.replace_all(&text, judged).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secrets and people go, in every dress that a log may give them.
    #[test]
    fn secrets_and_people_are_blotted_out() {
        for secret in [
            "sent with Authorization: Bearer fk_0123456789abcdef",
            "token=hunter2hunter2",
            "\"password\":\"correct horse battery\"",
            "activation_key = AAAABBBB",
            "mail to tendai.moyo@example.co.zw failed",
            "call +263 77 212 3456 now",
            "call 0772123456 now",
            "TIN 2000123456, VAT 123456789",
            "buyerRegisterName=\"Moyo Traders\"",
            "{\"buyerData\":{\"buyerTradeName\":\"Moyo\",\"buyerTIN\":\"2000123456\"}}",
            "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----",
            "key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "sealed q83vEjRWeJq83v/EjRWeJq83vEjRWeJq83vEjRWeJo= read",
            "code 7F3K2-Q9XM4-8BHRT-55PZN-WW2CD",
            "body: {\"receiptLines\":[{\"receiptLineName\":\"Bread\"}]}",
        ] {
            let text = blot(secret);
            assert!(text.contains(BLOT), "{secret}: {text}");
            for part in [
                "fk_0123",
                "hunter2",
                "correct",
                "AAAABBBB",
                "tendai",
                "772123456",
                "212 3456",
                "2000123456",
                "123456789",
                "Moyo",
                "MIGH",
                "9f86d081",
                "Bread",
                "q83v",
                "7F3K2",
            ] {
                assert!(!text.contains(part), "{part} in {text}");
            }
        }
    }

    /// What support lives on stays as it is.
    #[test]
    fn what_support_needs_stays() {
        for line in [
            "2026-05-28T07:42:19.123456Z  WARN fiscald::submit: FDMS refused SubmitReceipt (422 RCPT01) device_id=37367 number=120",
            "fault    dns          FDMS (production): fdmsapi.zimra.co.zw is not found",
            "skipped  tcp          not looked at, because dns has failed",
            "serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0?baud=9600 is not there",
            "/var/lib/fiscald/ledger.db cannot be opened: Permission denied (os error 13)",
            "till 37367 (test): its fiscal day 7 is open for 30 h; at most 24 are allowed",
            "attempts=12 next_attempt=2026-05-28T07:50:00 operationID 0HN1ABCDEF:00000001",
        ] {
            assert_eq!(blot(line), line);
        }
    }
}
