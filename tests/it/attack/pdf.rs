//! What a PDF says to programs that know nothing of how it was made.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// What a PDF can do something by.
const LIVE: [&str; 7] = [
    "/JavaScript",
    "/JS",
    "/Launch",
    "/OpenAction",
    "/AA",
    "/EmbeddedFile",
    "/URI",
];

/// What it says to poppler.
pub(crate) fn text(pdf: &[u8]) -> String {
    String::from_utf8(asked(pdf, "pdftotext", &["-raw"], &["-"])).unwrap()
}

/// Nothing in it acts, wherever texts of others were put; `what` is named where something does.
pub(crate) fn nothing_is_live(pdf: &[u8], what: &str) {
    let said = asked(pdf, "qpdf", &["--json=2"], &[]);
    let mut names = BTreeSet::new();
    collect(&serde_json::from_slice(&said).unwrap(), &mut names);
    assert!(names.contains("/Page"), "{what:?}: {names:?}");
    for live in LIVE {
        assert!(!names.contains(live), "{what:?}: {live}");
    }
}

/// Every name, of which what a PDF does is made; not what stands in its texts, which qpdf writes as `u:…` or `b:…`.
fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with('/') => {
            names.insert(text.clone());
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, names)),
        Value::Object(members) => members.iter().for_each(|(name, one)| {
            names.insert(name.clone());
            collect(one, names);
        }),
        _ => {}
    }
}

/// What a program prints of it.
fn asked(pdf: &[u8], program: &str, before: &[&str], behind: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("receipt.pdf");
    std::fs::write(&file, pdf).unwrap();
    let read = Command::new(program)
        .args(before)
        .arg(&file)
        .args(behind)
        .output()
        .unwrap();
    assert!(read.status.success(), "{read:?}");
    read.stdout
}
