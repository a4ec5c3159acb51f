//! How entries are kept so that the very same bytes come back: a lost store builds its ledger from them, and checks
//! them by the hash over its lines.

use sync_wire::entry::Attempt;

/// What is put in the place of a receipt's body, which has a column of its own.
const CUT: &str = r#""body":"""#;

/// Column `rest`: an entry's body without the receipt's own body. Where the two would not give the entry's body
/// again, it is kept whole, after a space.
#[must_use]
pub fn receipt_rest(entry: &str, body: &str) -> String {
    let cut = || {
        let member = body_member(body)?;
        let (before, after) = entry.split_once(&member)?;
        let rest = [before, CUT, after].concat();
        let is_same = receipt_entry(&rest, body) == entry;
        (is_same && !body.contains('\0')).then_some(rest)
    };
    cut().unwrap_or_else(|| format!(" {entry}"))
}

/// An entry's body from the columns of `receipts`.
#[must_use]
pub fn receipt_entry(rest: &str, body: &str) -> String {
    if let Some(whole) = rest.strip_prefix(' ') {
        return whole.to_owned();
    }
    match (rest.split_once(CUT), body_member(body)) {
        (Some((before, after)), Some(member)) => [before, &member, after].concat(),
        _ => rest.to_owned(),
    }
}

fn body_member(body: &str) -> Option<String> {
    let text = serde_json::to_string(body).ok()?;
    Some([r#""body":"#, &text].concat())
}

/// Column `raw`: an attempt's entry, where its columns do not give the same bytes again.
pub(super) fn attempt_raw(entry: &str, attempt: &Attempt) -> Option<String> {
    let again = serde_json::to_string(attempt).ok();
    let is_same = again.as_deref() == Some(entry) && !entry.contains("\\u0000");
    (!is_same).then(|| entry.to_owned())
}

#[cfg(test)]
mod tests {
    use sync_wire::entry::{AttemptKind, AttemptOutcome};

    use super::*;

    /// A receipt's body is kept once; what cannot be put together again is kept whole.
    #[test]
    fn receipts_come_back_to_the_byte() {
        let body = r#"{"receipt":"a \"b\"\n"}"#;
        let text = serde_json::to_string(body).unwrap();
        let usual = format!(r#"{{"hash":"h","body":{text},"fingerprint":"f"}}"#);
        let rest = receipt_rest(&usual, body);
        assert_eq!(rest, r#"{"hash":"h","body":"","fingerprint":"f"}"#);
        assert_eq!(receipt_entry(&rest, body), usual);
        let spelled = usual.replace('a', "\\u0061");
        let nested = format!(r#"{{"new":{{"body":""}},"body":{text}}}"#);
        let spaced = format!(" {usual}");
        for entry in [spelled, nested, spaced] {
            let rest = receipt_rest(&entry, body);
            assert!(rest.starts_with(' '));
            assert_eq!(receipt_entry(&rest, body), entry);
        }
    }

    /// An attempt is kept whole as soon as it has something that has no column.
    #[test]
    fn attempts_come_back_to_the_byte() {
        let attempt = Attempt {
            item: AttemptKind::OpenDay,
            item_seq: 1,
            number: 1,
            attempt: 1,
            outcome: AttemptOutcome::Later,
            http_status: None,
            code: None,
            operation_id: None,
            color: None,
            error_message: Some("no".to_owned()),
            duration_ms: 3,
            answer: None,
            server_signature: None,
        };
        let text = serde_json::to_string(&attempt).unwrap();
        assert_eq!(attempt_raw(&text, &attempt), None);
        let newer = text.replace('{', r#"{"new":1,"#);
        assert_eq!(attempt_raw(&newer, &attempt), Some(newer.clone()));
        let with_nul = text.replace("no", "\\u0000");
        assert_eq!(attempt_raw(&with_nul, &attempt), Some(with_nul.clone()));
    }
}
