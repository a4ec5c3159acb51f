//! Rules about the threat model: each threat of docs/SECURITY.md has a test that is there, what it says of the code is
//! about files that are there, and the product runs no other program than it says.

use super::{File, code, fence, tree, words};

/// The page.
const PAGE: &str = "docs/SECURITY.md";
/// Sections without a table of threats.
const PLAIN: [&str; 3] = [
    "What is protected",
    "How to read the tables",
    "Reporting a hole",
];
/// Who must be in the page.
const ATTACKERS: [&str; 11] = [
    "web page",
    "another user",
    "neighbour",
    "stolen disk",
    "POS",
    "printer",
    "line to FDMS",
    "line to head office",
    "head office user",
    "head office against a store",
    "update",
];

/// The cells of a row of a table, without its head and the line under that.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let is_head = cells.first() == Some(&"he") || cells.iter().all(|cell| cell.starts_with("--"));
    (!is_head).then_some(cells)
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a file has a test of this name.
fn has_test(file: &File, name: &str) -> bool {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        let is_it = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .starts_with(&head);
        let before = lines[..at].iter().rev();
        let attributes =
            before.take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        let is_attribute =
            |line: &&&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        is_it && attributes.clone().any(|line| is_attribute(&line))
    })
}

/// What is wrong with a row: no test, one that is not there, or code that is not there.
fn row(cells: &[&str], tree: &[File]) -> Vec<String> {
    let &[threat, defence, tests, left] = cells else {
        return vec!["a row has four cells: he, defence, tests, left".to_owned()];
    };
    let mut wrong = Vec::new();
    if [threat, defence, left].contains(&"") {
        wrong.push("a cell is empty: say it, or `nothing`".to_owned());
    }
    let mut count = 0;
    for test in quoted(tests) {
        count += 1;
        let found = test.split_once("::").is_some_and(|(path, name)| {
            let file = tree.iter().find(|file| file.path == path);
            file.is_some_and(|file| has_test(file, name))
        });
        if !found {
            wrong.push(format!(
                "there is no test {test}; write it as `path.rs::name`"
            ));
        }
    }
    if count == 0 {
        wrong.push("no test shows the defence".to_owned());
    }
    for named in quoted(defence).filter(|named| named.contains('/') && named.ends_with(".rs")) {
        if !tree.iter().any(|file| file.path == named) {
            wrong.push(format!("{named} is not there"));
        }
    }
    wrong
}

fn threats(files: &[File]) -> Vec<String> {
    let tree = tree();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path == PAGE) {
        let mut section = None;
        for (at, line) in file.text.lines().enumerate() {
            if let Some(title) = line.strip_prefix("## ") {
                found.extend(empty(section.replace((title, 0))));
            } else if let Some(cells) = cells(line) {
                if let Some((_, rows)) = &mut section {
                    *rows += 1;
                }
                let wrong = row(&cells, &tree).into_iter();
                found.extend(wrong.map(|what| format!("{PAGE}:{}: {what}", at + 1)));
            }
        }
        found.extend(empty(section));
    }
    found
}

/// Complains of a section without a threat.
fn empty(section: Option<(&str, usize)>) -> Option<String> {
    let (title, rows) = section?;
    (rows == 0 && !PLAIN.contains(&title)).then(|| format!("{PAGE}: \"{title}\" tells no threat"))
}

/// The files that run another program, and which one. The page names each, and it is started by its path: what `PATH`
/// finds could be anybody's.
const PROGRAMS: [(&str, &str); 2] = [
    ("src/doctor/bundle.rs", "/usr/bin/journalctl"),
    ("src/cli/owner.rs", "/usr/bin/systemd-creds"),
];

/// What only measures or tests, and is in no package.
const MEASURING: [&str; 3] = [
    "src/bench/",
    "sync/central/src/testing.rs",
    "sync/central/src/testing/",
];

/// The product's own code, which a package is made of.
pub(super) fn is_product(path: &str) -> bool {
    let crates = [
        "src/",
        "drivers/src/",
        "sync/wire/src/",
        "sync/agent/src/",
        "sync/central/src/",
    ];
    let more = ["fiscal/src/", "a4/src/", "clock/src/", "meter/src/"];
    crates
        .iter()
        .chain(&more)
        .any(|begin| path.starts_with(begin))
}

/// The lines on which another program is run or code is loaded, however that is imported.
fn running(code: &str) -> Vec<(usize, &'static str)> {
    let listed = code.match_indices("process::{").filter_map(|(at, _)| {
        let list = code[at..].split(';').next().unwrap_or_default();
        let named = words(list, "Command").next().is_some() || list.contains('*');
        named.then(|| (code[..at].matches('\n').count() + 1, "process::{Command}"))
    });
    let plain = [
        "process::Command",
        "process::*",
        "Command::new(",
        "CommandExt",
        "execv",
        "execve",
        "execvp",
        "posix_spawn",
        "libloading",
        "dlopen",
        "load_extension",
    ];
    let plain = plain
        .iter()
        .flat_map(|&word| words(code, word).map(move |line| (line, word)));
    listed.chain(plain).collect()
}

/// Whether all that a file starts is this one program.
fn starts_only(file: &File, program: &str) -> bool {
    let wanted = format!("\"{program}\"");
    let mut started = file.text.split("Command::new(").skip(1).peekable();
    started.peek().is_some() && started.all(|rest| rest.trim_start().starts_with(&wanted))
}

fn runners(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        if file.path == PAGE {
            for (runner, program) in PROGRAMS {
                if !quoted(&file.text).any(|named| named == program) {
                    found.push(format!("{PAGE}: {runner} runs {program}: say it"));
                }
            }
        }
        let path = &file.path;
        if !file.is_rust()
            || !is_product(path)
            || MEASURING.iter().any(|begin| path.starts_with(begin))
        {
            continue;
        }
        match PROGRAMS.iter().find(|(runner, _)| runner == path) {
            Some((_, program)) if starts_only(file, program) => {}
            Some((_, program)) => {
                found.push(format!("{path}: it starts {program}, by this path, alone"));
            }
            None => found.extend(running(&code(&file.text)).iter().map(|(line, word)| {
                format!(
                    "{path}:{line}: {word}: the product runs no other program and loads no code"
                )
            })),
        }
    }
    found
}

/// Each threat has a test, and tests and code that the page names are there.
#[test]
fn threats_have_tests() {
    let sample = |row: &str| {
        format!("## A web page\n\n| he | defence | tests | left |\n|---|---|---|---|\n{row}\n")
    };
    let own = "`tests/tidy/security.rs::threats_have_tests`";
    let bad = [
        sample("| asks | `src/api/access.rs` | | nothing |"),
        sample("| asks | `src/api/access.rs` | `tests/tidy/security.rs::no_such_test` | nothing |"),
        sample("| asks | `src/api/access.rs` | `tests/tidy/security.rs::is_product` | nothing |"),
        sample(&format!("| asks | `src/no/such.rs` | {own} | nothing |")),
        sample(&format!("| asks | `src/api/access.rs` | {own} | |")),
        sample(&format!("| asks | {own} |")),
        "## A web page\n\nIt is evil.\n".to_owned(),
    ];
    let bad: Vec<(&str, &str)> = bad.iter().map(|text| (PAGE, text.as_str())).collect();
    let good = sample(&format!(
        "| asks | `src/api/access.rs`, hosts | {own} | nothing |"
    ));
    fence(
        threats,
        &bad,
        &[(PAGE, &good), (PAGE, "## How to read the tables\n\nSo.\n")],
    );
    let tree = tree();
    let page = tree.iter().find(|file| file.path == PAGE).unwrap();
    let titles: Vec<&str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let titles: Vec<String> = titles.iter().map(|title| title.to_lowercase()).collect();
    for attacker in ATTACKERS.map(str::to_lowercase) {
        assert!(
            titles.iter().any(|title| title.contains(&attacker)),
            "{PAGE} is silent about: {attacker}"
        );
    }
}

/// The product runs no other program than the page says, and loads no code, so nothing that it is sent can be run.
#[test]
fn nothing_is_run() {
    fence(
        runners,
        &[
            ("src/a.rs", "fn a() { std::process::Command::new(\"sh\"); }"),
            ("src/a.rs", "use std::process::{Command, Stdio};"),
            (
                "src/a.rs",
                "use std::process::{\n    Stdio,\n    Command as C,\n};",
            ),
            (
                "src/a.rs",
                "use std::process as p;\nfn a() { p::Command::new(\"sh\"); }",
            ),
            ("src/a.rs", "use std::process::*;"),
            (
                "drivers/src/a.rs",
                "use std::os::unix::process::CommandExt;",
            ),
            // The journal's program alone, and by its path.
            ("src/doctor/bundle.rs", "Command::new(\"journalctl\")"),
            (
                "src/doctor/bundle.rs",
                "Command::new(\"/usr/bin/journalctl\"); Command::new(\"sh\")",
            ),
            (PAGE, "It runs `/usr/bin/journalctl`."),
        ],
        &[
            (
                "src/a.rs",
                "// std::process::Command\nuse std::process::{ExitCode, id};\nstd::process::exit(1);",
            ),
            ("tests/a.rs", "std::process::Command::new(\"sh\");"),
            (
                "src/doctor/bundle.rs",
                "Command::new(\"/usr/bin/journalctl\")",
            ),
        ],
    );
}
