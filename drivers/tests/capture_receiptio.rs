//! receiptio, a client that talks to its printer and believes nothing else, prints through a port of ours.
//!
//! Needs what `scripts/capture-layouts` installs, and port 9100 of this machine, which receiptio cannot change.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use drivers::capture::grid::{Grid, Paper};
use drivers::capture::session::Settings;
use drivers::capture::{CapturedJob, Door, DoorError, Ended, News, serve};
use drivers::job::{Condition, HeldReason};
use drivers::transport::{Link, LinkError, Monotonic};

struct Tcp(TcpStream);

impl Link for Tcp {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        let lost = |why: String| LinkError::Lost {
            link: "tcp".into(),
            why,
        };
        self.0
            .set_read_timeout(Some(at_most))
            .map_err(|e| lost(e.to_string()))?;
        match self.0.read(buffer) {
            Ok(0) => Err(lost("closed".into())),
            Ok(read) => Ok(read),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
            Err(e) => Err(lost(e.to_string())),
        }
    }

    fn write(&mut self, bytes: &[u8], _: Duration) -> Result<usize, LinkError> {
        self.0.write(bytes).map_err(|e| LinkError::Lost {
            link: "tcp".into(),
            why: e.to_string(),
        })
    }
}

/// A round of the loop is a step of time.
#[derive(Default)]
struct Rounds(AtomicU64);

impl Monotonic for Rounds {
    fn now(&self) -> Duration {
        Duration::from_millis(20 * self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Owner {
    condition: Condition,
    jobs: Vec<CapturedJob>,
    done: VecDeque<u64>,
}

impl Door for Owner {
    fn condition(&mut self) -> Condition {
        self.condition.clone()
    }

    fn job(&mut self, job: CapturedJob) -> Result<(), DoorError> {
        self.done.push_back(job.number);
        self.jobs.push(job);
        Ok(())
    }

    fn pulse(&mut self, _: &[u8]) {}

    fn relay(&mut self, _: &[u8]) {}

    fn news(&mut self) -> Vec<News> {
        self.done
            .drain(..)
            .map(|job| News::Settled { job, printed: true })
            .collect()
    }
}

/// Prints a receipt at a printer in some condition: what receiptio says, and what came.
fn print(
    listener: &TcpListener,
    language: &[&str],
    fault: Option<HeldReason>,
) -> (String, Vec<CapturedJob>) {
    let node = std::env::var_os("CAPTURE_NODE").expect("CAPTURE_NODE");
    let receipt = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(receipt.path(), "Bread | 2.00\n-\n^TOTAL USD | ^2.00\n").expect("written");
    let client = Command::new("node")
        .arg(Path::new(&node).join("node_modules/receiptio/bin/cli.js"))
        .args(["-d", "127.0.0.1", "-c", "42", "-t", "20"])
        .args(language)
        .arg(receipt.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("node");
    let (stream, _) = listener.accept().expect("a client");
    let mut owner = Owner {
        condition: Condition {
            connected: true,
            fault,
            ..Condition::default()
        },
        jobs: Vec::new(),
        done: VecDeque::new(),
    };
    let ended = serve(
        Box::new(Tcp(stream)),
        Settings::default(),
        &mut owner,
        &Rounds::default(),
        &AtomicBool::new(false),
    );
    assert_eq!(ended.expect("served"), Ended::Closed);
    let said = client.wait_with_output().expect("an end");
    (
        String::from_utf8_lossy(&said.stderr).trim().to_owned(),
        owner.jobs,
    )
}

#[test]
#[ignore = "needs what scripts/capture-layouts installs, and port 9100"]
fn receiptio_believes_in_our_printer() {
    let listener = TcpListener::bind("127.0.0.1:9100").expect("port 9100");
    // Told that it is ESC/POS, and left to find out who we are.
    for language in [&["-p", "escpos"][..], &[]] {
        let (said, jobs) = print(&listener, language, None);
        assert_eq!(said, "success", "{language:?}");
        let grid = Grid::new(&jobs[0].for_printer(), &Paper::default());
        let total = grid
            .rows()
            .iter()
            .find(|row| row.contains("TOTAL"))
            .expect("a total");
        assert!(
            total.starts_with("TOTAL USD") && total.ends_with("2.00"),
            "{total}"
        );
    }
    for (fault, expected) in [
        (HeldReason::CoverOpen, "coveropen"),
        (HeldReason::PaperOut, "paperempty"),
    ] {
        let (said, jobs) = print(&listener, &["-p", "escpos"], Some(fault));
        assert_eq!((said.as_str(), jobs.len()), (expected, 0));
    }
}
