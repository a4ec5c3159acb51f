//! Rules about documents: what code and documents cite is there, and links lead somewhere.

use std::path::Path;

use super::{File, fence, tree};

/// A text with comment marks and line ends taken out, so that a citation may be broken over lines.
fn prose(file: &File) -> String {
    let strip = |line: &str| {
        line.trim()
            .trim_start_matches(['/', '!', '#'])
            .trim()
            .to_owned()
    };
    file.text.lines().map(strip).collect::<Vec<_>>().join(" ")
}

fn citations(files: &[File]) -> Vec<String> {
    let tree = tree();
    let document = |path: &str| tree.iter().find(|f| f.path == path);
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|f| f.is_rust() || f.is_manifest() || f.is_document())
    {
        let prose = prose(file);
        for (at, _) in prose.match_indices("docs/") {
            let name: String = prose[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "/_-.".contains(*c))
                .collect();
            let Some(end) = name.find(".md") else {
                continue;
            };
            let (name, rest) = (&name[..end + 3], &prose[at + end + 3..]);
            let Some(cited) = document(name) else {
                found.push(format!("{}: cites {name}, which is not there", file.path));
                continue;
            };
            let headings: Vec<&str> = cited
                .text
                .lines()
                .filter(|l| l.starts_with('#'))
                .map(|l| l.trim_start_matches('#').trim())
                .collect();
            for part in cited_parts(rest) {
                let numbered = format!("{part}.");
                if !headings
                    .iter()
                    .any(|h| *h == part || h.split_whitespace().next() == Some(&numbered))
                {
                    found.push(format!(
                        "{}: cites {name}, {part}: there is no such heading",
                        file.path
                    ));
                }
            }
        }
    }
    found
}

/// What a citation names behind the document: section numbers, or a heading up to a closing bracket.
fn cited_parts(rest: &str) -> Vec<String> {
    let rest = rest.trim_start_matches(['`', ',', ' ']);
    if let Some(numbers) = rest.strip_prefix("section") {
        let numbers = numbers.trim_start_matches('s').replace(" and ", ",");
        let is_number = |n: &&str| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit());
        let ends = |c: char| !c.is_ascii_digit() && c != ' ' && c != ',';
        let numbers = numbers.split(ends).next().unwrap_or_default();
        let numbers = numbers
            .split(',')
            .map(|n| n.split_whitespace().next().unwrap_or_default());
        return numbers.take_while(is_number).map(str::to_owned).collect();
    }
    let heading = rest.split(')').next().unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || c == ' ';
    let named =
        rest.contains(')') && heading.starts_with(char::is_uppercase) && heading.chars().all(plain);
    if named {
        vec![heading.to_owned()]
    } else {
        Vec::new()
    }
}

fn links(files: &[File]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_document()) {
        let folder = root.join(&file.path).parent().unwrap().to_owned();
        for (at, _) in file.text.match_indices("](") {
            let target = file.text[at + 2..]
                .split([')', '#'])
                .next()
                .unwrap_or_default();
            let outside = target.contains("://") || target.is_empty();
            if !outside && !folder.join(target).exists() {
                found.push(format!(
                    "{}:{}: the link to {target} leads nowhere",
                    file.path,
                    file.line_of(at)
                ));
            }
        }
    }
    found
}

/// What the code cites can be looked up.
#[test]
fn citations_exist() {
    // With D for the folder, or this file would break its own rule.
    let sample = |text: &str| ("src/a.rs", text.replace("D/", "docs/"));
    let bad = [
        "//! D/FDMS.md section 13",
        "//! D/FDMS.md\n//! sections 4 and 99.",
        "//! D/NOBODY.md",
        "//! (D/ARCHITECTURE.md, No Such Thing)",
    ]
    .map(sample);
    let good = [
        "//! D/FDMS.md section 5",
        "//! D/FDMS.md\n//! sections 4, 5 and 12.",
        "//! `D/ARCHITECTURE.md`",
        "//! (D/ARCHITECTURE.md, Storage)",
    ]
    .map(sample);
    let bad = bad.each_ref().map(|(path, text)| (*path, text.as_str()));
    let good = good.each_ref().map(|(path, text)| (*path, text.as_str()));
    fence(citations, &bad, &good);
}

/// Links in the documents lead somewhere.
#[test]
fn links_lead_somewhere() {
    fence(
        links,
        &[("a.md", "[x](nowhere.md)")],
        &[("a.md", "[x](docs/FDMS.md#a) [y](https://example.invalid/)")],
    );
}

/// Recipes that would let in more, or less, than they are for.
fn recipes(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_document()) {
        let commands: Vec<&str> = file
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .collect();
        for command in &commands {
            if command.contains("token add") && !command.contains("--device-id") {
                let path = &file.path;
                found.push(format!("{path}: makes a token for every till: {command}"));
            }
        }
        let named = file.text.lines().filter_map(|line| {
            let (setting, value) = line.split_once(" = ")?;
            matches!(setting, "certificate" | "key").then(|| value.trim_matches('"'))
        });
        for path in named {
            let given =
                |command: &&str| command.contains("install -o fiscald ") && command.ends_with(path);
            if !commands.iter().any(given) {
                let page = &file.path;
                found.push(format!("{page}: {path} is not given to the gateway's user"));
            }
        }
    }
    found
}

/// Who follows a recipe gives a till's software a token of its till alone, and the gateway files that it can read.
#[test]
fn recipes_do_what_they_are_for() {
    let lan = "```toml\nkey = \"/etc/fiscald/a.key\"\n```\n";
    let made = "$ openssl req -keyout a.key\n";
    let given = "$ sudo install -o fiscald -m 0600 a.key /etc/fiscald/a.key\n";
    let (unreadable, readable) = (format!("{made}{lan}"), format!("{made}{given}{lan}"));
    fence(
        recipes,
        &[
            ("a.md", "$ sudo fiscald token add till-1\n"),
            ("a.md", unreadable.as_str()),
        ],
        &[
            ("a.md", "$ sudo fiscald token add till-1 --device-id 42\n"),
            ("a.md", readable.as_str()),
        ],
    );
}
