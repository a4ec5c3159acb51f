//! The benchmarks as commands: what they leave behind, and that a ledger of years is used again. Their figures count on a
//! quiet machine only, and are nothing to test here.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use clock::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::PATIENCE;

/// A folder on a disk: the benchmarks refuse one in memory.
fn disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn bench(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiscald"));
    command.arg("bench").arg("--dir").arg(dir).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

/// Waits until the benchmark has a ledger in its folder, and whatever else is named.
fn at_work(child: &mut Child, dir: &Path, file: &str) {
    let started = SystemClock.boot();
    let there = || {
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        let mut folders = entries.filter(|entry| entry.path().join(file).exists());
        folders.next().is_some()
    };
    while !there() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        assert!(SystemClock.boot() - started < PATIENCE, "no {file}");
        std::thread::yield_now();
    }
}

/// Ctrl-C ends a measurement at any moment, and nothing of it stays: no ledger, no key, no daemon.
#[test]
fn interrupted_it_leaves_nothing() {
    for (args, file) in [
        (["--rounds", "1000"].as_slice(), "ledger.db-wal"),
        (&["backup", "--fill", "10000000"], "ledger.db-wal"),
        // Its daemon listens.
        (&["footprint", "--rest", "1000"], "fiscald.sock"),
    ] {
        let dir = disk();
        let mut child = bench(dir.path(), args).spawn().unwrap();
        at_work(&mut child, dir.path(), file);
        let daemons = children(child.id());
        assert_eq!(
            daemons.len(),
            usize::from(file == "fiscald.sock"),
            "{args:?}"
        );
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("interrupted"), "{args:?}: {said}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{args:?}: {left:?}");
        for daemon in daemons {
            let proc = format!("/proc/{daemon}");
            assert!(!Path::new(&proc).exists(), "{args:?}: its daemon runs on");
        }
    }
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |number: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // After the name in parentheses: the state, and whose child it is.
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1));
        parent == Some(of.to_string().as_str())
    };
    numbers.filter(is_child).collect()
}

fn years(at: &Path) -> (serde_json::Value, String) {
    let Output { stdout, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_fiscald"))
        .args(["bench", "--json", "years", "--receipts", "64", "--archive"])
        .arg("--at")
        .arg(at)
        .output()
        .unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let report = serde_json::from_slice(&stdout);
    (
        report.unwrap_or_else(|error| panic!("{error}: {said}")),
        said,
    )
}

/// It says what it takes before it begins; the second time the ledger is there, and archived, and what cannot be measured
/// any more is not told.
#[test]
fn a_ledger_of_years_is_used_again() {
    let dir = disk();
    let (first, said) = years(dir.path());
    assert!(said.contains("64 receipts are made in"), "{said}");
    assert_eq!(first["receipts"], 64);
    assert_eq!(first["archived"], 64);
    for figure in [
        "ready_ms",
        "look_up_max_ms",
        "archived_ready_ms",
        "archived_max_ms",
    ] {
        assert!(first[figure].is_number(), "{figure}: {first}");
    }
    let (second, said) = years(dir.path());
    assert!(said.contains("nothing is made anew"), "{said}");
    assert_eq!(second["archived"], 0);
    assert!(second["ready_ms"].is_null(), "{second}");
    assert!(second["archived_ready_ms"].is_number(), "{second}");
    let demands = second["demands"].as_array().unwrap();
    assert_eq!(demands.len(), 6);
}
