//! The machine against answers given by hand, in a time made of numbers.

use std::time::Duration;

use super::*;

const JOB: JobId = JobId(7);
const WELL: u8 = 0x12;

/// A machine, its time, and what it has done.
struct Bench {
    machine: Machine,
    now: Duration,
    /// States that were kept and bytes that were written, in their order.
    log: Vec<Step>,
    /// What the printer answers to DLE EOT 1 to 4; none: nothing.
    status: Option<[u8; 4]>,
    jobs: Vec<(JobId, Vec<u8>)>,
    keeps: bool,
    opens: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Kept(JobState),
    Wrote(Vec<u8>),
    Opened,
    Closed,
}

impl Bench {
    fn new(ack: Ack) -> Self {
        Self {
            machine: Machine::new(
                &profile(ack),
                Settings {
                    cut_short: ack == Ack::Status,
                    ..Settings::default()
                },
            ),
            now: Duration::from_secs(1),
            log: Vec::new(),
            status: Some([WELL; 4]),
            jobs: vec![(JOB, b"\x1B@receipt\n".to_vec())],
            keeps: true,
            opens: true,
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        self.machine.handle(self.now, event);
    }

    /// Lets so much time pass; the printer answers status requests at once.
    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        for _ in 0..10_000 {
            if !self.step(end) {
                return;
            }
        }
        panic!("it does not rest: {:?}", &self.log[..30]);
    }

    fn step(&mut self, end: Duration) -> bool {
        match self.machine.next(self.now) {
            Todo::Keep(id, state) => {
                if self.keeps {
                    if matches!(
                        state,
                        JobState::Done(_) | JobState::Unknown(_) | JobState::Failed(_)
                    ) {
                        self.jobs.retain(|(waiting, _)| *waiting != id);
                    }
                    self.log.push(Step::Kept(state.clone()));
                    self.handle(Event::Kept);
                } else {
                    self.handle(Event::KeepFailed);
                }
            }
            Todo::Open if self.opens => {
                self.log.push(Step::Opened);
                self.handle(Event::Opened);
            }
            Todo::Open => self.handle(Event::OpenFailed("unplugged")),
            Todo::Close => self.log.push(Step::Closed),
            Todo::Write(bytes) => {
                let bytes = bytes.to_vec();
                let answer = match (bytes.as_slice(), self.status) {
                    ([0x10, 4, n], Some(status)) => Some(status[usize::from(*n) - 1]),
                    _ => None,
                };
                self.handle(Event::Written(bytes.len()));
                self.log.push(Step::Wrote(bytes));
                if let Some(answer) = answer {
                    self.handle(Event::Received(&[answer]));
                }
            }
            Todo::Fetch if self.jobs.is_empty() => self.handle(Event::NoJob),
            Todo::Fetch => {
                let (id, bytes) = self.jobs[0].clone();
                self.handle(Event::Job(id, bytes));
            }
            Todo::Idle(until) | Todo::Wait(until) => {
                assert!(until > self.now, "it is in a hurry for nothing");
                self.now = until.min(end);
                if self.now == end {
                    return false;
                }
                self.handle(Event::Awake);
            }
        }
        true
    }

    fn states(&self) -> Vec<JobState> {
        let kept = self.log.iter().filter_map(|step| match step {
            Step::Kept(state) => Some(state.clone()),
            _ => None,
        });
        kept.collect()
    }

    /// What was written but for status requests.
    fn paper(&self) -> Vec<u8> {
        let written = self.log.iter().filter_map(|step| match step {
            Step::Wrote(bytes) if !bytes.starts_with(&[0x10, 4]) => Some(bytes.clone()),
            _ => None,
        });
        written.flatten().collect()
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.handle(Event::Received(bytes));
        self.pass(1);
    }
}

fn profile(ack: Ack) -> Profile {
    let tm = Profile::named("epson-tm-t20").expect("it is shipped");
    Profile { ack, ..tm }
}

fn printed(job: JobId) -> Vec<u8> {
    use crate::escpos::request::ProcessId;
    [&[0x37, 0x22][..], &ProcessId::of(job).0, &[0]].concat()
}

/// Each state is kept before the byte that it stands for, and the first byte of a link is a status request.
#[test]
fn states_come_before_bytes() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.pass(10);
    let question = |n| Step::Wrote(vec![0x10, 4, n]);
    let job = b"\x1B@receipt\n\x1D(H\x06\x0000   '".to_vec();
    let job = Step::Wrote(job);
    assert_eq!(
        bench.log[..9],
        [
            Step::Opened,
            question(1),
            question(2),
            question(4),
            question(1),
            question(2),
            question(4),
            Step::Kept(JobState::Sending),
            job,
        ]
    );
    assert_eq!(bench.log[9], Step::Kept(JobState::AwaitAck));
    bench.answer(&printed(JobId(6)));
    assert_eq!(bench.states().len(), 2, "an answer to another job is none");
    bench.answer(&printed(JOB));
    assert_eq!(bench.states()[2], JobState::Done(Level::Printed));
}

/// What cannot be kept is not sent; it is tried again after a while.
#[test]
fn nothing_is_sent_that_is_not_kept() {
    let mut bench = Bench::new(Ack::OneWay);
    bench.keeps = false;
    bench.pass(10_000);
    assert_eq!(bench.paper(), b"");
    bench.keeps = true;
    bench.pass(1000);
    assert_eq!(bench.paper(), b"\x1B@receipt\n");
    assert_eq!(
        bench.states()[..2],
        [JobState::Sending, JobState::Done(Level::Sent)]
    );
}

/// A drawer does not wait for paper: its pulse passes a receipt that is held and one that stands still in the middle, and
/// what becomes of them is the same. Kept before it is sent, like any job; a link that is lost leaves it in doubt or held.
#[test]
fn a_pulse_passes_what_stands_still() {
    const DRAWER: JobId = JobId(8);
    let pulse = crate::escpos::real_time_pulse(crate::page::Pulse::default()).to_vec();
    for begun in [false, true] {
        let mut bench = Bench::new(Ack::ProcessId);
        if begun {
            bench.pass(10);
        }
        assert!(!bench.machine.may_pulse(), "the printer is well");
        bench.status = Some([0x1A, 0x32, WELL, 0x7E]);
        bench.pass(20_000);
        assert!(bench.machine.may_pulse());
        let (states, paper) = (bench.states().len(), bench.paper().len());
        bench.keeps = false;
        bench.handle(Event::Pulse(DRAWER, pulse.clone()));
        assert!(!bench.machine.may_pulse(), "one at a time");
        bench.pass(500);
        assert_eq!(bench.paper().len(), paper, "not kept, not sent");
        bench.keeps = true;
        bench.pass(2000);
        let done = [JobState::Sending, JobState::Done(Level::Sent)];
        assert_eq!(bench.states()[states..], done);
        // A status request that was due may stand in the same piece.
        let wrote = |step: &&Step| matches!(step, Step::Wrote(bytes) if bytes.ends_with(&pulse));
        assert_eq!(bench.log.iter().filter(wrote).count(), 1);
        bench.status = Some([WELL; 4]);
        bench.pass(2000);
        bench.answer(&printed(JOB));
        assert_eq!(bench.states().last(), Some(&JobState::Done(Level::Printed)));
    }
    let mut bench = Bench::new(Ack::ProcessId);
    bench.status = Some([0x1A, 0x32, WELL, 0x7E]);
    bench.pass(20_000);
    bench.keeps = false;
    bench.handle(Event::Pulse(DRAWER, pulse));
    bench.pass(10);
    bench.opens = false;
    bench.handle(Event::Lost("unplugged"));
    bench.keeps = true;
    bench.pass(5000);
    assert_eq!(bench.paper(), b"");
    let kept = bench.states();
    assert!(!kept.contains(&JobState::Sending), "{kept:?}");
    assert!(
        kept.contains(&JobState::Held(HeldReason::Unreachable)),
        "{kept:?}"
    );
}

/// A printer without paper gets no byte; the job goes on when there is some.
#[test]
fn a_fault_holds_the_job() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.status = Some([0x1A, 0x32, WELL, 0x7E]);
    bench.pass(20_000);
    assert_eq!(bench.states(), [JobState::Held(HeldReason::PaperOut)]);
    assert_eq!(bench.machine.condition().fault, Some(HeldReason::PaperOut));
    bench.status = Some([0x1A, 0x16, WELL, WELL]);
    bench.pass(2000);
    assert_eq!(bench.states()[1], JobState::Held(HeldReason::CoverOpen));
    assert_eq!(bench.paper(), b"");
    bench.status = Some([WELL; 4]);
    bench.pass(2000);
    assert_eq!(bench.states()[2..], [JobState::Sending, JobState::AwaitAck]);
}

/// A printer that says nothing is unreachable: the link is opened again and again, and nothing is sent.
#[test]
fn a_silent_printer_gets_nothing() {
    let mut bench = Bench::new(Ack::Status);
    bench.status = None;
    bench.pass(30_000);
    assert_eq!(bench.states(), [JobState::Held(HeldReason::Unreachable)]);
    assert_eq!(bench.paper(), b"");
    let closed = bench.log.iter().filter(|step| **step == Step::Closed);
    assert!((3..12).contains(&closed.count()), "{:?}", bench.log);
    let first = |step: &[Step]| step[0] == Step::Opened && step[1] != Step::Wrote(vec![0x10, 4, 1]);
    assert!(!bench.log.windows(2).any(first), "{:?}", bench.log);
}

/// A cable that is out, and in again.
#[test]
fn a_closed_link_holds_the_job() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.opens = false;
    bench.pass(60_000);
    assert_eq!(bench.states(), [JobState::Held(HeldReason::Unreachable)]);
    assert_eq!(
        bench.machine.condition().link_error.as_deref(),
        Some("unplugged")
    );
    bench.opens = true;
    bench.pass(5000);
    assert_eq!(bench.states()[1..], [JobState::Sending, JobState::AwaitAck]);
    assert_eq!(bench.machine.condition().link_error, None);
}

/// A link that is lost after the first byte: nobody knows. Before the next job the printer gets as many 00 as
/// a picture may lack, and more until it answers what is asked behind them.
#[test]
fn a_lost_link_makes_a_job_unknown() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.jobs[0].1 = b"\x1Dv0\0\x02\0\x03\0abcdef".to_vec();
    bench.pass(10);
    bench.handle(Event::Lost("unplugged"));
    bench.jobs.push((JobId(8), b"\x1B@copy\n".to_vec()));
    bench.pass(1000);
    assert!(bench.paper().ends_with(b"\0\0\0\0\0\0\n\x1Dr\x01"));
    bench.pass(20_000);
    let fillers = bench.paper().iter().filter(|byte| **byte == 0).count();
    assert!(
        fillers > 6000,
        "it is given more while it swallows: {fillers}"
    );
    bench.handle(Event::Received(&[0]));
    bench.pass(1000);
    assert_eq!(
        bench.states()[2..],
        [
            JobState::Unknown(UnknownReason::LinkLost),
            JobState::Held(HeldReason::Unreachable),
            JobState::Sending,
            JobState::AwaitAck,
        ]
    );
    let wrote = bench.log.iter().rev().find_map(|step| match step {
        Step::Wrote(bytes) if bytes.len() > 3 => Some(bytes.clone()),
        _ => None,
    });
    let wrote = wrote.expect("the copy");
    assert!(wrote.starts_with(b"\x1B@copy\n"), "{wrote:?}");
}

/// Without paper in the middle of a job, the printer is waited for; a printer that is well and says nothing of
/// the job is not waited for as long.
#[test]
fn patience_has_an_end() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.pass(10);
    bench.status = Some([0x1A, 0x32, WELL, 0x7E]);
    bench.pass(500_000);
    assert_eq!(bench.states(), [JobState::Sending, JobState::AwaitAck]);
    assert_eq!(bench.machine.condition().fault, Some(HeldReason::PaperOut));
    bench.pass(110_000);
    assert_eq!(bench.states()[2], JobState::Unknown(UnknownReason::Timeout));

    let mut bench = Bench::new(Ack::ProcessId);
    bench.pass(119_000);
    assert_eq!(bench.states().len(), 2);
    bench.pass(3000);
    assert_eq!(bench.states()[2], JobState::Unknown(UnknownReason::Timeout));
}

/// A printer that falls silent with a job in it, for no known reason, is lost.
#[test]
fn silence_is_a_loss() {
    let mut bench = Bench::new(Ack::ProcessId);
    bench.pass(10);
    bench.status = None;
    bench.pass(40_000);
    assert_eq!(
        bench.states()[2],
        JobState::Unknown(UnknownReason::LinkLost)
    );
}

/// GS r: what an earlier job may have left is flushed out first, and one byte confirms nothing.
#[test]
fn a_status_must_come_twice() {
    let mut bench = Bench::new(Ack::Status);
    bench.pass(1000);
    let fillers = [0; 72 * 255];
    let paper = bench.paper();
    assert_eq!(paper.strip_prefix(&fillers), Some(&b"\n\x1Dr\x01"[..]));
    bench.handle(Event::Received(&[0]));
    bench.pass(200);
    bench.handle(Event::Received(&[0]));
    bench.pass(200);
    assert_eq!(bench.states(), [], "an older answer may still come");
    bench.pass(200);
    assert!(
        bench
            .paper()
            .ends_with(b"\n\x1Dr\x01\x1B@receipt\n\x1Dr\x01")
    );
    bench.handle(Event::Received(&[0, 0]));
    bench.pass(2100);
    assert_eq!(bench.states(), [JobState::Sending, JobState::AwaitAck]);
    assert!(
        bench.paper().ends_with(b"\x1Dr\x01\x1Dr\x01"),
        "asked again"
    );
    bench.handle(Event::Received(&[0]));
    bench.pass(1);
    assert_eq!(bench.states()[2], JobState::Done(Level::Processed));
}

/// A printer that answers DLE EOT alone is asked after the last byte.
#[test]
fn real_time_is_asked_afterwards() {
    let mut bench = Bench::new(Ack::RealTime);
    bench.pass(5);
    assert_eq!(
        bench.states(),
        [
            JobState::Sending,
            JobState::AwaitAck,
            JobState::Done(Level::SentHealthy),
        ]
    );
}

/// A job that cannot be made into bytes fails, and the next one is taken.
#[test]
fn a_job_that_cannot_be_printed_fails() {
    let mut bench = Bench::new(Ack::OneWay);
    bench.handle(Event::Opened);
    bench.handle(Event::Refused(JobId(6), "no such picture".to_owned()));
    bench.jobs.insert(0, (JobId(6), Vec::new()));
    bench.pass(5);
    assert_eq!(
        bench.states()[0],
        JobState::Failed("no such picture".to_owned())
    );
    assert_eq!(bench.states()[1], JobState::Sending);
}
