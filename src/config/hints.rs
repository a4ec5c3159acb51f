//! What helps a person to mend a configuration: the line that a sentence is about, and the name that was meant.

use toml::de::{DeTable, DeValue};

/// Names that differ in more letters than this are other names.
const TYPOS: usize = 3;

/// The line, from 1 on, of the setting that a complaint names at its beginning: `store.currencies: …`.
pub(super) fn line_of(text: &str, complaint: &str) -> Option<usize> {
    let path = complaint.split(':').next()?;
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut found = None;
    for name in path.split('.') {
        let Some((key, value)) = table.get_key_value(name) else {
            break;
        };
        found = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found.map(|at| {
        text.as_bytes()
            .iter()
            .take(at)
            .filter(|b| **b == b'\n')
            .count()
            + 1
    })
}

/// The known name that is nearest to the one that is not, from serde's own sentence.
pub(super) fn meant(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return None;
    }
    let wrong = names.next()?;
    let near = names
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(typos, name)| *typos <= TYPOS.min(name.len() / 2) || name.starts_with(wrong))
        .min()?;
    Some(near.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line is the one on which the setting stands, or the nearest thing around it.
    #[test]
    fn lines() {
        let text = "# first\n[store]\n\ncurrencies = [\"US$\"]\n[[tills]]\ndevice_id = 1\n";
        assert_eq!(line_of(text, "store.currencies: \"US$\" is none"), Some(4));
        assert_eq!(line_of(text, "store.online_wait_ms: at most"), Some(2));
        assert_eq!(line_of(text, "tills: 1 (test) is there twice"), Some(5));
        assert_eq!(line_of(text, "pos: till-1: no printer"), None);
    }

    /// A name with a letter wrong is recognised; one that is like none is not guessed at.
    #[test]
    fn names() {
        let sentence = |wrong: &str| {
            format!("unknown field `{wrong}`, expected one of `currencies`, `day_opening`, `logo`")
        };
        assert_eq!(meant(&sentence("currencys")), Some("currencies".to_owned()));
        assert_eq!(meant(&sentence("day")), Some("day_opening".to_owned()));
        assert_eq!(meant(&sentence("zzz")), None);
        assert_eq!(meant("missing field `name`"), None);
    }
}
