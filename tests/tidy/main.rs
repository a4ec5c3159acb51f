//! The fences of this repository that no compiler keeps: which crate may use which, the purity of the
//! core, no floats near money, files of a readable length, documents that the code may rely on.
//!
//! Each rule is a function from files to complaints. Its test first shows that it can fail, on samples
//! that break it, then holds it against the tree. A complaint says where, what, and what to do now.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the tree must stop"
)]

use std::path::Path;

mod crates;
mod documents;
mod evidence;
mod packages;
mod removal;
mod security;
mod sources;
mod units;

/// A file of the tree.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "rs")
    }

    fn is_manifest(&self) -> bool {
        self.path == "Cargo.toml" || self.path.ends_with("/Cargo.toml")
    }

    fn is_document(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "md")
    }

    fn line_of(&self, byte: usize) -> usize {
        self.text[..byte].matches('\n').count() + 1
    }
}

type Rule = fn(&[File]) -> Vec<String>;

/// Every text file of the tree but what cargo and git make.
fn tree() -> Vec<File> {
    fn walk(folder: &Path, root: &Path, files: &mut Vec<File>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // In a worktree `.git` is a file that says where the rest of it is.
            if name == ".git" || name == "target" {
                continue;
            }
            if path.is_dir() {
                walk(&path, root, files);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().to_string_lossy();
                files.push(File::new(&path, &text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 50, "this is not the whole tree");
    files
}

/// Shows that the rule complains of each bad sample and of no good one, and holds it against the tree.
fn fence(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        let sample = [File::new(path, text)];
        assert!(
            !rule(&sample).is_empty(),
            "the rule lets this pass: {path}: {text}"
        );
    }
    for (path, text) in good {
        let complaints = rule(&[File::new(path, text)]);
        assert!(
            complaints.is_empty(),
            "the rule refuses {path}: {complaints:?}"
        );
    }
    let complaints = rule(&tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The code of a Rust file: comments and the insides of literals become spaces, lines stay where they are.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { c } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let starts = |with: &str| {
        with.chars()
            .enumerate()
            .all(|(i, c)| rest.get(i) == Some(&c))
    };
    let find = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        (from..rest.len())
            .find(|&i| rest[i..].starts_with(&end))
            .map_or(rest.len(), |i| i + end.len())
    };
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let length = if starts("//") {
        find(2, "\n") - 1
    } else if starts("/*") {
        find(2, "*/")
    } else if starts("\"") {
        let mut i = 1;
        while i < rest.len() && rest[i] != '"' {
            i += if rest[i] == '\\' { 2 } else { 1 };
        }
        i + 1
    } else if starts("'") && (starts("'\\") || rest.get(2) == Some(&'\'')) {
        find(if starts("'\\") { 3 } else { 2 }, "'")
    } else if !in_word && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#")) {
        let quote = rest.iter().position(|&c| c == '"').unwrap_or(0);
        let hashes = rest[..quote].iter().filter(|&&c| c == '#').count();
        let opened = rest[..quote].iter().all(|c| "br#".contains(*c));
        if opened && quote > 0 {
            find(quote + 1, &format!("\"{}", "#".repeat(hashes)))
        } else {
            0
        }
    } else {
        0
    };
    (at + length).min(chars.len())
}

/// The lines on which `word` stands in `text` as a word of its own.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let starts = word.starts_with(part_of_word) && before.is_some_and(part_of_word);
        let ends = word.ends_with(part_of_word) && after.is_some_and(part_of_word);
        (!starts && !ends).then(|| text[..at].matches('\n').count() + 1)
    })
}

/// Comments and literals hide nothing from the rules, and trip none.
#[test]
fn code_is_told_from_text() {
    let text = "a(\"f64 \\\" x\") /* f64\n*/ 'f' '\\'' b<'a> r#\"f64 \" \"#; // f64\nf64";
    let code = code(text);
    assert_eq!(words(&code, "f64").collect::<Vec<_>>(), [3]);
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(code.contains("b<'a>") && !code.contains("x\""));
}
