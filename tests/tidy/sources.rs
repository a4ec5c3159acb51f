//! Rules about source files: length, module documentation, nothing left open, the pure core, no floats.

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, code, fence, words};

/// Lines that a source file may have, tests included: what a reader can hold in mind.
const MAX_LINES: usize = 600;

/// What would make the core depend on more than its arguments. (Floats have a rule of their own.)
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "tokio",
    "rand",
    "getrandom",
    "clock",
    "println!",
    "eprintln!",
    "static mut",
];

fn file_length(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|f| f.is_rust() && lines(f) > MAX_LINES);
    long.map(|f| format!("{}: {} lines; split it below {MAX_LINES}", f.path, lines(f)))
        .collect()
}

fn module_docs(files: &[File]) -> Vec<String> {
    let bare = files
        .iter()
        .filter(|f| f.is_rust() && !f.text.starts_with("//!"));
    bare.map(|f| {
        format!(
            "{}:1: begin the file with //! and say what it is and why",
            f.path
        )
    })
    .collect()
}

fn forbidden_words(files: &[File]) -> Vec<String> {
    let table = [
        ("todo!", "finish it"),
        ("unimplemented!", "finish it"),
        ("#[allow(", "use #[expect(..., reason = \"...\")]"),
        ("#![allow(", "use #![expect(..., reason = \"...\")]"),
        ("#[ignore]", "run it, or say why not: #[ignore = \"...\"]"),
        (
            "cfg(all(test",
            "as two attributes, or clippy does not see that it is a test",
        ),
    ];
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let code = code(&file.text);
        for (word, instead) in table {
            found
                .extend(words(&code, word).map(|l| format!("{}:{l}: {word} {instead}", file.path)));
        }
    }
    found
}

fn outside_paths(files: &[File]) -> Vec<String> {
    // Written in two parts, or this file would break its own rule.
    let table = [concat!("/wo", "rk"), concat!("sha", "red/")];
    let mut found = Vec::new();
    for file in files {
        for path in table {
            found.extend(words(&file.text, path).map(|l| {
                format!(
                    "{}:{l}: {path} is on nobody else's machine; say it without",
                    file.path
                )
            }));
        }
    }
    found
}

fn purity(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let core = |f: &&File| f.is_rust() && f.path.starts_with("fiscal/src/");
    for file in files.iter().filter(core) {
        let code = code(&file.text);
        for word in IMPURE {
            found.extend(words(&code, word).map(|l| {
                format!(
                    "{}:{l}: {word} in the pure core; take it as an argument",
                    file.path
                )
            }));
        }
    }
    found
}

fn floats(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    // The benchmark reports seconds and rates, which are no money.
    let counts = |f: &&File| {
        f.is_rust()
            && (f.path.starts_with("src/") || f.path.contains("/src/"))
            && !f.path.starts_with("src/bench")
    };
    for file in files.iter().filter(counts) {
        let code = code(&file.text);
        for word in ["f32", "f64", "as_f64", "from_f64"] {
            found.extend(words(&code, word).map(|l| {
                format!(
                    "{}:{l}: {word}: amounts are Cents, rates and quantities decimals",
                    file.path
                )
            }));
        }
    }
    found
}

fn orphans(files: &[File]) -> Vec<String> {
    let mut declared = BTreeSet::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let code = code(&file.text);
        let names = code
            .split("mod ")
            .skip(1)
            .filter_map(|rest| rest.split_once(';'));
        declared.extend(names.map(|(name, _)| name.trim().to_owned()));
        let paths = file.text.split("#[path = \"").skip(1);
        let stems = paths.filter_map(|rest| rest.split_once(".rs\"]"));
        declared.extend(stems.map(|(stem, _)| stem.to_owned()));
    }
    let root = |f: &File, stem: &str| {
        let top = f.path.matches('/').count();
        let folder = f.path.split('/').rev().nth(1).unwrap_or_default();
        matches!(stem, "main" | "lib" | "build")
            || (matches!(folder, "tests" | "benches") && top <= 2)
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let stem = Path::new(&file.path)
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if !root(file, &stem) && !declared.contains(&stem) {
            found.push(format!(
                "{}: no `mod {stem};` anywhere; add it or take the file away",
                file.path
            ));
        }
    }
    found
}

fn tables(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.path == "src/ledger/schema.rs") {
        for statement in file.text.split("CREATE TABLE ").skip(1) {
            let name = statement.split_whitespace().next().unwrap_or_default();
            let statement = statement.split(';').next().unwrap_or_default();
            if !statement.contains(") STRICT") {
                found.push(format!("{}: the table {name} is not STRICT", file.path));
            }
            if words(statement, "REAL").next().is_some() {
                found.push(format!("{}: the table {name} has a REAL column", file.path));
            }
        }
    }
    found
}

/// Long files are not read.
#[test]
fn files_are_short() {
    let long = "//! x\n".repeat(MAX_LINES + 1);
    let fits = "//! x\n".repeat(MAX_LINES);
    fence(
        file_length,
        &[("src/a.rs", &long)],
        &[("src/a.rs", &fits), ("a.json", &long)],
    );
}

/// Every module says what it is before it begins.
#[test]
fn modules_say_what_they_are() {
    fence(
        module_docs,
        &[("src/a.rs", "use std::fmt;\n"), ("src/b.rs", "")],
        &[("src/a.rs", "//! A.\n")],
    );
}

/// Nothing is left open, silenced or skipped.
#[test]
fn nothing_is_left_open() {
    let bad = [
        "fn a() { todo!() }",
        "fn a() { unimplemented!(\"x\") }",
        "#[allow(dead_code)]",
        "#![allow(clippy::all)]",
        "#[ignore]\nfn a() {}",
        "#[cfg(all(test, unix))]\nmod tests;",
    ];
    let bad = bad.map(|text| ("src/a.rs", text));
    let good = [
        "// todo!() is forbidden",
        "const A: &str = \"#[allow(x)]\";",
        "#[expect(dead_code, reason = \"\")]",
    ];
    fence(forbidden_words, &bad, &good.map(|text| ("src/a.rs", text)));
}

/// Nothing points at folders that only its authors had.
#[test]
fn no_path_leads_outside() {
    let bad = [
        concat!("see /wo", "rk/main"),
        concat!("cat ../sha", "red/x"),
        concat!("\"/wo", "rk\""),
    ];
    let good = ["a/worker", "/workers", "unshared/"];
    fence(
        outside_paths,
        &bad.map(|text| ("a.md", text)),
        &good.map(|text| ("a.md", text)),
    );
}

/// The core's results depend on its arguments alone.
#[test]
fn the_core_is_pure() {
    let bad = [
        "use std::fs;",
        "let a = std::env::var(A);",
        "use std::time::Instant;",
        "async fn a() { tokio::spawn(b) }",
        "use rand::Rng;",
        "fn a(c: &dyn clock::Clock)",
    ];
    let good = [
        "// not from std::fs",
        "let operand = 1; let instant = Random;",
        "let a = \"tokio\";",
    ];
    fence(
        purity,
        &bad.map(|text| ("fiscal/src/a.rs", text)),
        &good.map(|text| ("fiscal/src/a.rs", text)),
    );
    assert!(purity(&[File::new("src/a.rs", "use std::fs;")]).is_empty());
}

/// No float can come near an amount: there is none in what is shipped.
#[test]
fn no_floats() {
    let bad = ["fn a(b: f64)", "let a = b as f32;", "value.as_f64()"];
    let good = [
        "/// no f64\nfn a()",
        "let a: &'static str = \"f64\";",
        "let f64x = 1;",
    ];
    fence(
        floats,
        &bad.map(|text| ("src/ledger/a.rs", text)),
        &good.map(|text| ("fiscal/src/a.rs", text)),
    );
    assert!(floats(&[File::new("src/bench/a.rs", "fn a(b: f64)")]).is_empty());
}

/// Every source file is compiled.
#[test]
fn no_file_is_forgotten() {
    fence(
        orphans,
        &[("src/nobody.rs", "//! x"), ("tests/it/nobody.rs", "//! x")],
        &[
            ("src/main.rs", "//! x"),
            ("tests/a.rs", "//! x"),
            ("fiscal/benches/a.rs", "//! x"),
        ],
    );
}

/// SQLite keeps the types that the tables promise, and none is a float.
#[test]
fn tables_are_strict() {
    let bad = [
        "CREATE TABLE a (b INTEGER);",
        "CREATE TABLE a (b REAL) STRICT;",
    ];
    fence(
        tables,
        &bad.map(|text| ("src/ledger/schema.rs", text)),
        &[("src/ledger/schema.rs", "CREATE TABLE a (b INTEGER) STRICT;")],
    );
}
