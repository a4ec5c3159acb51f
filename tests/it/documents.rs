//! The commands in the documents do what the documents say.
//!
//! A fenced block marked `console` holds commands (`$ `, continued by `> `) and may show what they print
//! (`...` stands for anything). Each document is run as one shell session beside a fresh
//! `fiscald demo --serve`, whose `export` lines it is given, as a reader is told to do. A block that
//! cannot be run here says why: `console norun: reason`. `cargo run --release --` is the program itself.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Fences that would hide commands from this test.
const OTHER_SHELLS: &[&str] = &["sh", "bash", "shell", "zsh", "shell-session"];
/// Comes before each command's output.
const MARK: char = '\u{1e}';

/// A command, and what the document says that it prints.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// The commands of a document, in order, or what is wrong with its fences.
fn commands(text: &str) -> Result<Vec<Shown>, String> {
    let mut shown = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((opened, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|(_, line)| line.trim_end() != "```")
            .collect();
        let (kind, rest) = info.split_once(' ').unwrap_or((info, ""));
        let is_console = kind == "console";
        let has_commands = block.iter().any(|(_, line)| line.starts_with("$ "));
        if OTHER_SHELLS.contains(&kind) || has_commands != is_console {
            return Err(format!(
                "line {opened}: write commands as `$ ` lines of a ```console block, so that they are run"
            ));
        }
        match rest.strip_prefix("norun:").map(str::trim) {
            _ if !is_console => {}
            None if rest.is_empty() => read_block(&block, &mut shown),
            Some(reason) if !reason.is_empty() => {}
            _ => return Err(format!("line {opened}: say why: ```console norun: reason")),
        }
    }
    Ok(shown)
}

fn read_block(block: &[(usize, &str)], shown: &mut Vec<Shown>) {
    for &(line, text) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            shown.push(Shown {
                line,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(last) = shown.last_mut() {
            match text.strip_prefix("> ") {
                Some(more) if last.output.is_empty() => last.command.push_str(&format!("\n{more}")),
                _ => last.output.push(text.to_owned()),
            }
        }
    }
}

/// Whether a line is what the document shows, where `...` stands for anything.
fn is_like(shown: &str, printed: &str) -> bool {
    let mut parts = shown.trim_end().split("...");
    let mut rest = printed.trim_end();
    match parts.next().and_then(|first| rest.strip_prefix(first)) {
        Some(after) => rest = after,
        None => return false,
    }
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let found = if last {
            rest.rfind(part)
        } else {
            rest.find(part)
        };
        match found {
            Some(at) if !last || at + part.len() == rest.len() || part.is_empty() => {
                rest = &rest[at + part.len()..];
            }
            _ => return false,
        }
    }
    true
}

/// Complaints about one run of a document.
fn compare(shown: &[Shown], success: bool, printed: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let runs: Vec<&str> = printed.split(MARK).skip(1).collect();
    for (at, command) in shown.iter().enumerate() {
        let Some(run) = runs.get(at) else {
            complaints.push(format!("line {}: was not reached", command.line));
            break;
        };
        if !success && at + 1 == runs.len() {
            let what = &command.command;
            complaints.push(format!("line {}: failed: {what}\n{run}", command.line));
        }
        let mut lines = run.lines().skip(1);
        for line in command.output.iter().filter(|line| line.trim() != "...") {
            if !lines.any(|printed| is_like(line, printed)) {
                let what = &command.command;
                complaints.push(format!(
                    "line {}: {what}\ndid not print: {line}\nbut:{run}",
                    command.line
                ));
                break;
            }
        }
    }
    complaints
}

/// A demonstration that stays up, in a folder of its own.
struct Live {
    demo: Child,
    folder: tempfile::TempDir,
    exports: Vec<(String, String)>,
}

impl Live {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_fiscald"))
            .args(["demo", "--serve", "--port", "0"])
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut exports = Vec::new();
        let mut printed = BufReader::new(demo.stdout.take().unwrap()).lines();
        loop {
            let line = printed
                .next()
                .expect("`fiscald demo --serve` ended")
                .unwrap();
            if let Some(export) = line.trim().strip_prefix("export ") {
                let (name, value) = export.split_once('=').unwrap();
                exports.push((name.to_owned(), value.to_owned()));
            }
            if line.contains("Ctrl-C") {
                break;
            }
        }
        Self {
            demo,
            folder,
            exports,
        }
    }

    /// Runs commands as one shell session, and gives what they printed.
    fn run(&self, shown: &[Shown]) -> (bool, String) {
        let mut script =
            "set -euo pipefail\nexec 2>&1\ncargo() { shift 3; fiscald \"$@\"; }\n".to_owned();
        for command in shown {
            script.push_str(&format!("echo '{MARK}'\n{}\n", command.command));
        }
        let program = Path::new(env!("CARGO_BIN_EXE_fiscald"));
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(self.folder.path())
            .env(
                "PATH",
                format!("{}:{path}", program.parent().unwrap().display()),
            )
            .envs(self.exports.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), printed)
    }

    /// Ends it as Ctrl-C does: in order, leaving nothing behind.
    fn stop(mut self) {
        let id = self.demo.id().to_string();
        let told = Command::new("bash")
            .args(["-c", &format!("kill -INT {id}")])
            .status();
        assert!(told.unwrap().success());
        assert!(self.demo.wait().unwrap().success());
        let left = std::fs::read_dir(self.folder.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().path());
        let left: Vec<_> = left
            .filter(|path| path.to_string_lossy().contains("fiscald-demo"))
            .collect();
        assert!(left.is_empty(), "the demonstration left {left:?}");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // After `stop` there is nobody left to kill.
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut all: Vec<PathBuf> = in_docs.map(|entry| entry.unwrap().path()).collect();
    all.push(root.join("README.md"));
    all.push(root.join("sandbox/README.md"));
    all.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    all.sort();
    all
}

/// Every command in every document runs, and prints what the document shows.
#[test]
fn commands_do_what_the_documents_say() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for path in documents().into_iter().filter(|path| path.exists()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let shown = match commands(&std::fs::read_to_string(&path).unwrap()) {
            Ok(shown) => shown,
            Err(complaint) => {
                complaints.push(format!("{name}, {complaint}"));
                continue;
            }
        };
        if shown.is_empty() {
            continue;
        }
        count += shown.len();
        let live = Live::start();
        let (success, printed) = live.run(&shown);
        let found = compare(&shown, success, &printed);
        complaints.extend(
            found
                .into_iter()
                .map(|complaint| format!("{name}, {complaint}")),
        );
        live.stop();
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n\n"));
    assert!(
        count > 2,
        "the documents hold no commands: is this test looking in the right place?"
    );
}

/// Commands are found with what they print, across lines; what would escape this test is refused.
#[test]
fn fences_are_read() {
    let text = "x\n```console\n$ a \\\n> b\n{\n> \"c\"\n$ d\n```\n```console norun: needs root\n$ e\n```\n```json\n{}\n```\n";
    let shown = commands(text).unwrap();
    let of = |line, command: &str, output: &[&str]| Shown {
        line,
        command: command.to_owned(),
        output: output.iter().map(|&line| line.to_owned()).collect(),
    };
    assert_eq!(
        shown,
        [of(3, "a \\\nb", &["{", "> \"c\""]), of(7, "d", &[])]
    );
    for bad in [
        "```sh\nls\n```",
        "```\n$ ls\n```",
        "```console norun:\n$ ls\n```",
        "```console quick\n$ ls\n```",
        "```console\nls\n```",
    ] {
        assert!(commands(bad).is_err(), "{bad}");
    }
}

/// A command that fails, is not reached, or prints something else is complained of.
#[test]
fn differences_are_found() {
    let shown = commands("```console\n$ a\none ... three\n$ b\n```").unwrap();
    let good = format!("{MARK}\nzero\none two three\n{MARK}\n");
    assert!(compare(&shown, true, &good).is_empty());
    for (success, printed) in [
        (true, format!("{MARK}\none two\n{MARK}\n")),
        (true, format!("{MARK}\none two three\n")),
        (false, good),
    ] {
        assert!(!compare(&shown, success, &printed).is_empty(), "{printed}");
    }
    assert!(is_like("...\"hash\":\"...\"", "{\"hash\":\"x\""));
    assert!(!is_like("a...b", "a b c") && !is_like("a", "ab") && is_like("a...", "ab"));
}
