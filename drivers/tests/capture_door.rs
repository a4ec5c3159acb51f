//! A POS is served over a link that takes and gives bytes as a real one: late, in pieces, or not at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drivers::capture::session::Settings;
use drivers::capture::{CapturedJob, Door, DoorError, Ended, EndedBy, News, serve};
use drivers::job::Condition;
use drivers::transport::{Link, LinkError, Monotonic};

/// A POS that sends a piece, waits for an answer of some bytes, and so on; then closes.
struct Pos {
    script: VecDeque<Step>,
    heard: Arc<Mutex<Vec<u8>>>,
    clock: Arc<Clock>,
    takes: usize,
}

enum Step {
    Send(&'static [u8]),
    Hear(usize),
    /// Is silent so many reads.
    Silent(u32),
}

#[derive(Default)]
struct Clock(AtomicU64);

impl Monotonic for Clock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Link for Pos {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        self.clock.0.fetch_add(
            u64::try_from(at_most.as_millis()).expect("short"),
            Ordering::Relaxed,
        );
        let heard = self.heard.lock().expect("not poisoned").len();
        match self.script.front_mut() {
            None => Err(LinkError::Lost {
                link: "pos".into(),
                why: "closed".into(),
            }),
            Some(Step::Hear(wanted)) => {
                if heard >= *wanted {
                    self.script.pop_front();
                }
                Ok(0)
            }
            Some(Step::Silent(0)) | Some(Step::Send([])) => {
                self.script.pop_front();
                Ok(0)
            }
            Some(Step::Silent(left)) => {
                *left -= 1;
                Ok(0)
            }
            Some(Step::Send(bytes)) => {
                let size = bytes.len().min(3);
                buffer[..size].copy_from_slice(&bytes[..size]);
                *bytes = &bytes[size..];
                Ok(size)
            }
        }
    }

    fn write(&mut self, bytes: &[u8], _: Duration) -> Result<usize, LinkError> {
        let size = bytes.len().min(self.takes);
        self.heard
            .lock()
            .expect("not poisoned")
            .extend_from_slice(&bytes[..size]);
        Ok(size)
    }
}

/// Keeps jobs, and settles each after it was asked for news a few times.
#[derive(Default)]
struct Owner {
    jobs: Vec<CapturedJob>,
    pulses: Vec<u8>,
    settle: VecDeque<(u32, u64)>,
    full: bool,
}

impl Door for Owner {
    fn condition(&mut self) -> Condition {
        Condition {
            connected: true,
            ..Condition::default()
        }
    }

    fn job(&mut self, job: CapturedJob) -> Result<(), DoorError> {
        if self.full {
            return Err(DoorError("the disk is full".into()));
        }
        self.settle.push_back((10, job.number));
        self.jobs.push(job);
        Ok(())
    }

    fn pulse(&mut self, bytes: &[u8]) {
        self.pulses.extend_from_slice(bytes);
    }

    fn relay(&mut self, _: &[u8]) {}

    fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        for (left, job) in &mut self.settle {
            *left = left.saturating_sub(1);
            if *left == 0 {
                news.push(News::Settled {
                    job: *job,
                    printed: true,
                });
            }
        }
        self.settle.retain(|(left, _)| *left > 0);
        news
    }
}

fn run(owner: &mut Owner, script: Vec<Step>, takes: usize) -> (Result<Ended, String>, Vec<u8>) {
    let clock = Arc::new(Clock::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let pos = Pos {
        script: script.into(),
        heard: Arc::clone(&heard),
        clock: Arc::clone(&clock),
        takes,
    };
    let ended = serve(
        Box::new(pos),
        Settings::default(),
        owner,
        clock.as_ref(),
        &AtomicBool::new(false),
    );
    let heard = heard.lock().expect("not poisoned").clone();
    (ended.map_err(|e| e.to_string()), heard)
}

/// Two receipts of a POS that believes in nothing but answers, with a drawer pulse between.
#[test]
fn a_pos_that_waits_for_answers() {
    let mut owner = Owner::default();
    let (ended, heard) = run(
        &mut owner,
        vec![
            Step::Send(&[0x10, 4, 1]),
            Step::Hear(1),
            Step::Send(b"\x1b@TOTAL 1.00\n\x1bp\0\x32\xfa\x1dV\0\x1dr\x01"),
            Step::Hear(2),
            Step::Send(b"TOTAL 2.00\n\x1dr\x01"),
            Step::Hear(3),
        ],
        1,
    );
    assert_eq!(ended, Ok(Ended::Closed));
    assert_eq!(heard, [0x16, 0, 0]);
    assert_eq!(owner.pulses, b"\x1bp\0\x32\xfa");
    let ends: Vec<EndedBy> = owner.jobs.iter().map(|j| j.ended_by).collect();
    assert_eq!(ends, [EndedBy::Cut, EndedBy::Idle]);
    assert_eq!(owner.jobs[0].for_printer(), b"\x1b@TOTAL 1.00\n\x1dV\0");
}

/// A driver that never reads its answers prints all the same; what it sent last is a job when it goes.
#[test]
fn a_pos_that_never_listens() {
    let mut owner = Owner::default();
    let (ended, heard) = run(
        &mut owner,
        vec![
            Step::Send(&[0x10, 4, 1, 0x10, 4, 2]),
            Step::Silent(400),
            Step::Send(b"TOTAL 1.00\n"),
        ],
        0,
    );
    assert_eq!(ended, Ok(Ended::Closed));
    assert!(heard.is_empty());
    assert_eq!(owner.jobs.len(), 1);
    assert_eq!(owner.jobs[0].ended_by, EndedBy::Closed);
}

/// A job that cannot be kept is never answered.
#[test]
fn a_job_that_cannot_be_kept() {
    let mut owner = Owner {
        full: true,
        ..Owner::default()
    };
    let script = vec![Step::Send(b"A\n\x1dV\0\x1dr\x01"), Step::Hear(1)];
    let (ended, heard) = run(&mut owner, script, 9);
    assert_eq!(
        ended,
        Err("the job cannot be kept: the disk is full".into())
    );
    assert!(heard.is_empty());
}
