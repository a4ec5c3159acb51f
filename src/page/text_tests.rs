//! The files of texts are complete, alike, and fit.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::alarms::AlarmCode;
use crate::page::acts::Act;

fn all() -> [Words; 3] {
    let Texts { en, sn, nd } = Texts::load().unwrap();
    [en, sn, nd]
}

/// Every text by its name.
fn flat(words: &Words) -> BTreeMap<String, String> {
    let groups = words.texts.iter();
    let named = groups.flat_map(|(group, texts)| {
        let texts = texts.iter();
        texts.map(move |(name, text)| (format!("{group}.{name}"), text.clone()))
    });
    named.collect()
}

/// The `{names}` in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

/// So many characters a text may have where it stands: on a button, in a tag, before a value, in a sentence.
fn most(key: &str) -> usize {
    let (group, name) = key.split_once('.').unwrap();
    let name = name.strip_suffix("_one").unwrap_or(name);
    match (group, name) {
        ("nav", "label" | "skip") | ("page", "language") => 40,
        ("nav", _) => 14,
        ("page", "lock" | "no" | "back") => 26,
        ("do", name) if name.ends_with("_about") => 220,
        ("done", _) => 110,
        ("do", _) | ("report", _) => 30,
        ("alarm", name) if name.ends_with("_what") => 130,
        ("alarm", name) if name.ends_with("_do") => 240,
        ("alarm", "none") => 60,
        ("alarm", _) | ("fdms", _) => 32,
        ("queue", name) if name.starts_with("word_") => 20,
        ("light", _) => 40,
        ("job", "ask" | "none") | ("printer", "none") | ("receipts", "none") => 110,
        ("printer" | "job" | "receipts" | "receipt", _) => 36,
        ("page" | "pin" | "paper" | "till" | "queue" | "link" | "store", _) => 190,
        _ => panic!("{key} has no bound: say how long it may be"),
    }
}

/// The three files hold the same texts, with the same names in them, none empty, none longer than its place.
#[test]
fn the_files_are_alike_and_fit() {
    let [en, sn, nd] = all();
    let english = flat(&en);
    for words in [&en, &sn, &nd] {
        let code = words.language.code();
        let own = flat(words);
        let keys = |texts: &BTreeMap<String, String>| texts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&own), keys(&english), "{code}.toml against en.toml");
        for (key, text) in &own {
            assert_eq!(names(text), names(&english[key]), "{code}: {key}: {text}");
            let length = text.chars().count();
            assert!(
                !text.trim().is_empty() && text.trim() == text,
                "{code}: {key}"
            );
            assert!(
                length <= most(key),
                "{code}: {key} has {length} characters: {text}"
            );
            assert!(!text.contains(['<', '>', '—']), "{code}: {key}: {text}");
        }
    }
}

/// Another language is another language: few of its texts are the English ones.
#[test]
fn translations_are_translations() {
    let [en, sn, nd] = all();
    let english = flat(&en);
    for words in [&sn, &nd] {
        let same: Vec<_> = flat(words)
            .into_iter()
            .filter(|(key, text)| english[key] == *text)
            .collect();
        assert!(same.len() <= 8, "{}: {same:?}", words.language.code());
    }
}

/// What no native speaker has read says so, on every page.
#[test]
fn unread_languages_say_so() {
    let [en, sn, nd] = all();
    assert!(en.about.read_by_a_native_speaker && en.about.notice.is_empty());
    for words in [sn, nd] {
        assert!(!words.about.read_by_a_native_speaker);
        assert!(words.about.notice.chars().count() > 20);
    }
}

/// Alarms are worded in English in one way: as the API words them.
#[test]
fn alarms_are_worded_once() {
    let [en, ..] = all();
    for code in AlarmCode::ALL {
        let word = code.as_str();
        assert_eq!(en.get(&format!("alarm.{word}_what")), code.what());
        assert_eq!(en.get(&format!("alarm.{word}_do")), code.action());
        let one = format!("alarm.{word}_what_one");
        let found = Some(en.get(&one)).filter(|text| *text != one);
        assert_eq!(found, code.one().map(|(_, text)| text), "{word}");
        if let Some((name, one)) = code.one() {
            assert!(names(code.what()).contains(name) && names(one).contains(name));
        }
    }
}

/// Every text that the page names is there, and every text that is there is named.
#[test]
fn every_text_is_used_and_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    let mut used: BTreeSet<String> = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("text_tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            used.extend(source.split('"').map(str::to_owned));
            let counted = source.split(".counted(\"").skip(1);
            used.extend(
                counted.filter_map(|rest| Some(format!("{}_one", rest.split_once('"')?.0))),
            );
        }
    }
    let light = ["red", "yellow", "green", "off"].map(|word| format!("light.{word}"));
    used.extend(light);
    for act in Act::ALL {
        let word = act.as_str();
        used.extend([
            format!("do.{word}"),
            format!("do.{word}_about"),
            format!("done.{word}"),
        ]);
    }
    for code in AlarmCode::ALL {
        let word = code.as_str();
        used.extend([format!("alarm.{word}_what"), format!("alarm.{word}_do")]);
    }
    let counted = AlarmCode::ALL.iter().filter(|code| code.one().is_some());
    used.extend(counted.map(|code| format!("alarm.{}_what_one", code.as_str())));
    let [en, ..] = all();
    let there = flat(&en);
    for key in there.keys() {
        assert!(used.contains(key), "nothing shows {key}");
    }
    let groups: BTreeSet<&str> = en.texts.keys().map(String::as_str).collect();
    let is_text = |text: &&String| {
        let parts = text.split_once('.');
        parts.is_some_and(|(group, name)| {
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            groups.contains(group) && !name.is_empty() && name.chars().all(is_name)
        })
    };
    for key in used.iter().filter(is_text) {
        assert!(there.contains_key(key), "{key} is in no file");
    }
}

/// A browser is answered in the language that it prefers, English if it prefers none of ours.
#[test]
fn languages_of_browsers() {
    for (header, expected) in [
        ("", Language::En),
        ("de-DE,de;q=0.9", Language::En),
        ("sn", Language::Sn),
        ("en-ZW,en;q=0.9,sn;q=0.8", Language::En),
        ("fr,nd-ZW;q=0.9,en;q=0.5", Language::Nd),
        ("sn;q=0.25,nd;q=0.5", Language::Nd),
        ("sn;q=nonsense,nd;q=0.001", Language::Nd),
        ("*;q=0.5", Language::En),
    ] {
        assert_eq!(Language::wanted(header), expected, "{header}");
    }
}
