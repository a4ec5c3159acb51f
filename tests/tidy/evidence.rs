//! The page of evidence, docs/EVIDENCE.md: it says what the results say, and `scripts/evidence check` is red where it does
//! not, where a proof has failed, and where one is too old. Each test bends one thing in a copy of the tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::tree;

const PAGE: &str = "docs/EVIDENCE.md";
/// When the results of these tests were made, and the day on which they are looked at.
const MADE: &str = "2026-11-20T10:00:00Z";
const TODAY: &str = "2026-11-28";

/// A copy of the tree, without evidence.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for file in tree() {
            if !file.path.starts_with("evidence/") {
                copy.put(&file.path, &file.text);
            }
        }
        copy.must(&["write"]);
        copy
    }

    /// One in which the kills, the power cuts and the points were proven, and the page says so.
    fn proven() -> Self {
        let copy = Self::new();
        copy.commit();
        copy.result(&json!({}));
        copy.add();
        copy.must(&["write"]);
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces what is there once.
    fn bend(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{name}: {from}");
        self.put(name, &text.replace(from, to));
    }

    /// The row of a claim on the page.
    fn row(&self, words: &str) -> String {
        let page = self.read(PAGE);
        let row = page.lines().find(|line| line.contains(words));
        row.unwrap_or_else(|| panic!("no row says {words}:\n{page}"))
            .to_owned()
    }

    /// Git in the copy, and nowhere else.
    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.env("GIT_DIR", self.path(".git"));
        git.env("GIT_WORK_TREE", self.0.path());
        git.env_remove("GIT_INDEX_FILE").current_dir(self.0.path());
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.invalid"]);
        let output = git.args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A result of scripts/crash, with some of it changed.
    fn result(&self, changed: &Value) {
        let mut result = json!({
            "name": "crash", "command": "scripts/crash", "commit": self.git(&["rev-parse", "HEAD"]), "dirty": false,
            "date": MADE, "machine": "a machine, 2 processors", "version": env!("CARGO_PKG_VERSION"), "seconds": 7200,
            "passed": true,
            "figures": {"kills": 10_000, "cuts": 500, "points": 96, "sales": 412_345, "failedSessions": 0},
        });
        for (key, value) in changed.as_object().unwrap() {
            result[key] = value.clone();
        }
        self.put("target/crash/result.json", &result.to_string());
    }

    fn add(&self) {
        let result = self.path("target/crash/result.json");
        self.must(&["add", result.to_str().unwrap()]);
    }

    fn run(&self, args: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/evidence");
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).arg("--root");
        command.arg(self.0.path()).args(["--today", TODAY]);
        command.args(args).output().unwrap()
    }

    fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// It fails, and says why.
    fn refuses(&self, args: &[&str], why: &str) {
        let output = self.run(args);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains(why),
            "{args:?} does not say \"{why}\": {said}"
        );
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was proven is on the page, and what was not says so; both are as they must be. `write` changes nothing any more.
#[test]
fn the_page_says_what_was_run() {
    let copy = Copy::proven();
    copy.must(&["check"]);
    let row = copy.row("A gateway that is killed");
    for cell in [
        "`scripts/crash`",
        "10,000 kills",
        "| held |",
        "| of this code |",
        "2026-11-20",
        "a machine, 2 processors",
        &copy.git(&["rev-parse", "HEAD"])[..12],
    ] {
        assert!(row.contains(cell), "{cell}: {row}");
    }
    assert!(copy.row("`scripts/fuzz`").contains("| not run yet |"));
    let before = copy.read(PAGE);
    copy.must(&["write"]);
    assert_eq!(copy.read(PAGE), before);
}

/// Whatever the page says and the evidence does not is red: a figure, a claim left out, one that is said to be proven, a
/// picture, a figure among the benchmarks.
#[test]
fn a_page_that_says_something_else_is_red() {
    let copy = Copy::proven();
    let page = copy.read(PAGE);
    let missing = "| not run yet | | |";
    let row = copy.row("`scripts/fuzz`");
    let bent = [
        page.replace("10,000 kills", "10,001 kills"),
        page.replace(&format!("{row}\n"), ""),
        page.replace(&row, &row.replace(missing, "| held | of this code | x |")),
        page.replace("| of this code |", "| of the best code |"),
    ];
    for bent in bent {
        assert_ne!(bent, page);
        copy.put(PAGE, &bent);
        copy.refuses(
            &["check"],
            "docs/EVIDENCE.md is not what the evidence makes",
        );
    }
    copy.put(PAGE, &page);
    copy.must(&["check"]);
    copy.bend("evidence/crash.json", "\"kills\": 10000", "\"kills\": 10");
    copy.refuses(
        &["check"],
        "docs/EVIDENCE.md is not what the evidence makes",
    );
    copy.bend("evidence/crash.json", "\"kills\": 10", "\"kills\": 10000");
    for (path, from, to) in [
        ("docs/evidence/core.svg", "</svg>", "<g/></svg>"),
        (
            "docs/BENCHMARKS.md",
            "| `ready_ms` | start to first `/readyz`, the longest of five, ms | at most 1000 | not measured on this version yet | |\n| `look",
            "| `ready_ms` | start to first `/readyz`, the longest of five, ms | at most 1000 | 3 | a machine |\n| `look",
        ),
    ] {
        copy.bend(path, from, to);
        copy.refuses(
            &["check"],
            &format!("{path} is not what the evidence makes"),
        );
        copy.must(&["write"]);
        copy.must(&["check"]);
    }
}

/// A proof that failed is told as such and is red, whether it says so itself or its figures do. A small one is no failure,
/// and not what is demanded.
#[test]
fn a_proof_that_failed_is_red() {
    let copy = Copy::proven();
    let figures = |kills: u32, failed: u32| json!({"kills": kills, "cuts": 500, "points": 96, "sales": 9, "failedSessions": failed});
    for failed in [
        json!({"passed": false}),
        json!({"figures": figures(10_000, 1)}),
    ] {
        copy.result(&failed);
        copy.add();
        copy.must(&["write"]);
        assert!(copy.row("A gateway that is killed").contains("**FAILED**"));
        copy.refuses(&["check"], "a proof of 'kills' that failed");
    }
    copy.result(&json!({"figures": figures(50, 0)}));
    copy.add();
    copy.must(&["write"]);
    copy.must(&["check"]);
    assert!(
        copy.row("A gateway that is killed")
            .contains("held, in less than is demanded: 50 of 10,000 kills")
    );
    copy.refuses(&["check", "--release"], "'kills' is not proven");
}

/// Evidence is stale when it is old, of another version, or of no claim that there is. Code that has changed alone is not
/// red, but told, and refused for a release.
#[test]
fn stale_evidence_is_red() {
    let copy = Copy::proven();
    copy.must(&["--today", "2027-01-19", "check"]);
    copy.refuses(&["--today", "2027-01-20", "check"], "61 days old");
    copy.refuses(&["--today", "2026-11-01", "check"], "yet to come");

    copy.put("src/memory.rs", "//! Another one.\n");
    let told = copy.must(&["check"]);
    let kills = told.lines().find(|line| line.starts_with("kills "));
    let kills = kills.unwrap();
    assert!(
        kills.contains("held; of an earlier state (1 of "),
        "{kills}"
    );
    copy.refuses(
        &["check", "--release"],
        "'kills' is not proven of this code",
    );
    // Whoever has no history sees that it is another state, and not by how much.
    std::fs::remove_dir_all(copy.path(".git")).unwrap();
    let told = copy.must(&["check"]);
    assert!(told.contains("held; of an earlier state\n"), "{told}");
    copy.must(&["write"]);
    assert!(
        copy.row("A gateway that is killed")
            .contains("| of an earlier state |")
    );
    copy.must(&["check"]);

    let evidence = copy.read("evidence/crash.json");
    copy.put("evidence/nobody.json", &evidence);
    copy.refuses(&["check"], "is no evidence of any claim");
    std::fs::remove_file(copy.path("evidence/nobody.json")).unwrap();
    let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    copy.bend("Cargo.toml", &version, "\nversion = \"99.0.0\"\n");
    copy.refuses(&["check"], "this is 99.0.0");
}

/// What nobody could run again, or what shows nothing, is not taken in.
#[test]
fn only_proofs_are_taken_in() {
    let copy = Copy::proven();
    let kept = copy.read("evidence/crash.json");
    let path = copy.path("target/crash/result.json");
    for (changed, why) in [
        (json!({"dirty": true}), "not committed"),
        (json!({"commit": "0".repeat(40)}), "is not in this clone"),
        (json!({"name": "nobody"}), "there is no claim"),
        (json!({"machine": ""}), "it says no machine"),
        (json!({"figures": {"cuts": 500}}), "shows not what"),
    ] {
        copy.result(&changed);
        copy.refuses(&["add", path.to_str().unwrap()], why);
        assert_eq!(copy.read("evidence/crash.json"), kept, "{why}");
    }
}

/// Figures of a benchmark come into its table and into the pictures; those of a build that is not optimised do not.
#[test]
fn benchmarks_are_filled() {
    let copy = Copy::proven();
    let measured = |optimised: bool| {
        json!({
            "name": "bench-print", "command": "scripts/bench print", "commit": copy.git(&["rev-parse", "HEAD"]),
            "dirty": false, "date": MADE, "machine": "a machine", "version": env!("CARGO_PKG_VERSION"), "seconds": 30,
            "passed": true,
            "figures": {
                "command": "bench print", "optimised": optimised, "api_p50_ms": 12.3456, "api_p99_ms": 31.0,
                "demands": [{"figure": "api_p99_ms", "is": 31.0, "at_most": 250.0}],
            },
        })
        .to_string()
    };
    let path = copy.path("target/bench/print.json");
    copy.put("target/bench/print.json", &measured(false));
    copy.refuses(&["add", path.to_str().unwrap()], "not optimised");
    copy.put("target/bench/print.json", &measured(true));
    copy.must(&["add", path.to_str().unwrap()]);
    copy.refuses(&["check"], "docs/BENCHMARKS.md is not what");
    copy.must(&["write"]);
    copy.must(&["check"]);
    let page = copy.read("docs/BENCHMARKS.md");
    let row = |figure: &str| {
        let mut rows = page.lines();
        rows.find(|line| line.starts_with(&format!("| `{figure}`")))
            .unwrap()
            .to_owned()
    };
    assert!(row("api_p50_ms").contains("| 12.346 | a machine, 2026-11-20, "));
    assert!(row("captured_p50_ms").contains("| not measured | a machine"));
    assert!(row("of_bound").contains("| not measured on this version yet | |"));
    for picture in ["demands", "latency"] {
        let drawn = copy.read(&format!("docs/evidence/{picture}.svg"));
        assert!(drawn.contains("<title") && drawn.contains("<desc"));
        assert!(drawn.contains("31"), "{picture}");
    }
}
