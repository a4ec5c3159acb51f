//! What helps a person to mend a configuration: the line that a sentence is about, and the name that was meant.

use toml::de::{DeArray, DeTable, DeValue};

/// Names that differ in more letters than this are other names.
const TYPOS: usize = 3;

/// The line, from 1 on, of the setting that a complaint names at its beginning: `store.currencies: …`, or, of a list of
/// sections, `printers: front: profile: …`. An entry goes by its `name`, by `42 (test)`, or by `entry 2`.
pub(super) fn line_of(text: &str, complaint: &str) -> Option<usize> {
    let (path, what) = complaint.split_once(':')?;
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
            DeValue::Array(entries) => {
                found = in_list(entries, what.trim_start()).or(found);
                break;
            }
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

/// Where the setting stands that is wrong in the entry that a complaint names; of two with one name it is the second. If
/// the complaint names no setting that is there, where the entry's first one stands.
fn in_list(entries: &DeArray<'_>, what: &str) -> Option<usize> {
    let mut entries = entries.iter().enumerate().rev();
    let (entry, what) = entries.find_map(|(place, entry)| {
        let entry = entry.get_ref().as_table()?;
        let name = name_of(entry, place);
        let what = what
            .strip_prefix(&name)
            .or_else(|| what.strip_prefix(&format!("\"{name}\"")))?;
        Some((entry, what.strip_prefix(": ")?))
    })?;
    let word = what.split([':', ' ']).next()?.trim_matches('`');
    let first = || entry.keys().map(|key| key.span().start).min();
    let named = entry.get_key_value(word);
    named.map(|(key, _)| key.span().start).or_else(first)
}

/// What complaints call an entry.
fn name_of(entry: &DeTable<'_>, place: usize) -> String {
    let text = |setting: &str| match entry.get(setting)?.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    match (text("name"), text("device_id"), text("environment")) {
        (Some(name), ..) => name,
        (None, Some(device), Some(environment)) => format!("{device} ({environment})"),
        _ => format!("entry {}", place + 1),
    }
}

/// The known name that is nearest to the one that is not, from serde's own sentence.
pub(super) fn meant(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return None;
    }
    let wrong = names.next()?;
    nearest(wrong, names).map(str::to_owned)
}

/// What is added to a complaint about a name of the shop's own choice, if it is like one that there is.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(typos, name)| *typos <= TYPOS.min(name.len() / 2) || name.starts_with(wrong))
        .min()?;
    Some(near.1)
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
        assert_eq!(line_of(text, "tills: none is like that"), Some(5));
        assert_eq!(line_of(text, "pos: till-1: no printer"), None);
    }

    /// In a list it is the line of the entry that is wrong, and of the setting in it.
    #[test]
    fn lines_in_lists() {
        let text = "[[printers]]\nname = \"a\"\nlink = \"usb:any\"\n[[printers]]\nlink = \"x\"\nname = \"b\"\n\
                    [[tills]]\nenvironment = \"test\"\ndevice_id = 1\n[[tills]]\nenvironment = \"test\"\ndevice_id = 1\n\
                    [[api.unix_users]]\nuid = 1\n[[api.unix_users]]\ndevice_id = 1\n";
        for (complaint, line) in [
            ("printers: a: link: \"usb:any\" is wrong", 3),
            ("printers: b: link: \"x\" is wrong", 5),
            ("printers: b: patience_min must be at least 1", 5),
            ("printers: \"b\": a name is short", 5),
            ("printers: c: nobody", 1),
            ("tills: 1 (test): is there twice", 11),
            ("tills: 1 (test): device_id is too large", 12),
            ("api.unix_users: entry 2: give either uid or gid", 16),
        ] {
            assert_eq!(line_of(text, complaint), Some(line), "{complaint}");
        }
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
        let profiles = || ["epson-tm-t20", "generic-80"].into_iter();
        let said = did_you_mean("epson-tm-t2", profiles());
        assert_eq!(said, " (did you mean `epson-tm-t20`?)");
        assert_eq!(did_you_mean("star", profiles()), "");
    }
}
