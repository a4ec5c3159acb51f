//! How a job is begun and ended so that the printer tells whether it is on paper, and which answer says so.
//!
//! | profile's answer | sent after the job | confirmed by |
//! |---|---|---|
//! | process ID | GS ( H with the job's own mark | the same mark: printed |
//! | status | GS r 1 | its answer, in its turn: worked through |
//! | real time | DLE EOT 1 to 4, once all bytes are written | no fault in the four answers: sent, healthy |
//! | one way | nothing | nothing: sent |
//!
//! GS r carries no mark. Its answers are told apart by their order, and so a question of an older job that is
//! still open takes the first answer: a newer job is then not confirmed, rather than wrongly so.

use super::request::{ProcessId, RealTime, Request};
use super::status::{Facts, Reply};
use crate::job::{JobId, Level};
use crate::profile::Ack;

/// The one thing that is sent first on a new link: it harms nothing, whatever the printer was doing.
pub const FIRST: Request = Request::RealTime(RealTime::Printer);

/// What is asked before the first byte of a job: whether it is on line, why not, and whether it has paper.
pub const PREFLIGHT: [Request; 3] = [
    Request::RealTime(RealTime::Printer),
    Request::RealTime(RealTime::Offline),
    Request::RealTime(RealTime::Paper),
];

/// What is asked after the last byte of a job on a printer that answers DLE EOT alone.
pub const HEALTH: [Request; 4] = [
    Request::RealTime(RealTime::Printer),
    Request::RealTime(RealTime::Offline),
    Request::RealTime(RealTime::Error),
    Request::RealTime(RealTime::Paper),
];

/// What is asked right behind a job's bytes, as a part of the job: its answer comes when the printer is so far.
/// `None` where nothing in turn is answered; then [`HEALTH`] is asked once the bytes are written, if at all.
#[must_use]
pub fn ending(ack: Ack, job: JobId) -> Option<Request> {
    match ack {
        Ack::ProcessId => Some(Request::Printed(ProcessId::of(job))),
        Ack::Status => Some(Request::Worked(job)),
        Ack::RealTime | Ack::OneWay => None,
    }
}

/// What an answer proves of a job. An answer to another job proves nothing.
#[must_use]
pub fn proves(reply: &Reply, job: JobId) -> Option<Level> {
    match reply {
        Reply::Printed(id) if *id == ProcessId::of(job) => Some(Level::Printed),
        Reply::Worked(of, _) if *of == job => Some(Level::Processed),
        _ => None,
    }
}

/// What the answers to [`HEALTH`] prove, all of them taken: nothing, if there is a fault.
#[must_use]
pub fn healthy(facts: &Facts) -> Option<Level> {
    facts.fault().is_none().then_some(Level::SentHealthy)
}

/// Whether the printer has lost what was in its buffer.
#[must_use]
pub fn lost(reply: &Reply) -> bool {
    matches!(reply, Reply::Cleared)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::escpos::status::Parser;

    #[test]
    fn a_mark_is_printable_and_its_own_for_each_job() {
        let mut seen = HashSet::new();
        for number in (0..5000).chain([357_911, 25_411_680, i64::MAX, -1]) {
            let id = ProcessId::of(JobId(number));
            assert!(
                id.0.iter().all(|byte| (0x20..=0x7E).contains(byte)),
                "{id:?}"
            );
            assert!(
                id.0.iter().all(|byte| byte & 0b1001_0001 != 0b0001_0000),
                "{id:?} looks like status"
            );
            if (0..5000).contains(&number) {
                assert!(seen.insert(id), "{number} has the mark of another");
            }
        }
        assert_eq!(ProcessId::of(JobId(0)).0, *b"    ");
        assert_eq!(ProcessId::of(JobId(1)).0, *b"   !");
        assert_eq!(ProcessId::of(JobId(71)).0, *b"  ! ");
        assert_eq!(ProcessId::of(JobId(71_i64.pow(4) - 1)).0, *b"}}}}");
        assert_eq!(ProcessId::of(JobId(71_i64.pow(4))).0, *b"    ");
    }

    #[test]
    fn what_is_asked_is_what_the_makers_wrote() {
        let bytes = |request: Request| request.bytes();
        assert_eq!(bytes(FIRST), [0x10, 4, 1]);
        let preflight: Vec<_> = PREFLIGHT.into_iter().flat_map(bytes).collect();
        assert_eq!(preflight, [0x10, 4, 1, 0x10, 4, 2, 0x10, 4, 4]);
        let health: Vec<_> = HEALTH.into_iter().flat_map(bytes).collect();
        assert_eq!(health, [0x10, 4, 1, 0x10, 4, 2, 0x10, 4, 3, 0x10, 4, 4]);
        let ending = |ack| ending(ack, JobId(7)).map(bytes);
        assert_eq!(
            ending(Ack::ProcessId).as_deref(),
            Some(&b"\x1D(H\x06\x0000   '"[..])
        );
        assert_eq!(ending(Ack::Status).as_deref(), Some(&b"\x1Dr\x01"[..]));
        assert_eq!(ending(Ack::RealTime), None);
        assert_eq!(ending(Ack::OneWay), None);
    }

    #[test]
    fn a_late_answer_of_an_older_job_confirms_no_newer_one() {
        let (old, new) = (JobId(41), JobId(42));
        let mut parser = Parser::new();
        parser.asked(Request::Printed(ProcessId::of(old)));
        parser.asked(Request::Printed(ProcessId::of(new)));
        let answer = |job| [&b"\x37\x22"[..], &ProcessId::of(job).0, b"\0"].concat();
        let late = parser.read(&answer(old));
        assert_eq!(late.len(), 1);
        assert_eq!(proves(&late[0], new), None);
        assert_eq!(proves(&late[0], old), Some(Level::Printed));
        assert_eq!(
            proves(&parser.read(&answer(new))[0], new),
            Some(Level::Printed)
        );

        parser.asked(Request::Worked(old));
        parser.asked(Request::Worked(new));
        let late = parser.read(&[0x00]);
        assert_eq!(proves(&late[0], new), None);
        assert_eq!(proves(&late[0], old), Some(Level::Processed));
        assert_eq!(
            proves(&parser.read(&[0x00])[0], new),
            Some(Level::Processed)
        );
    }

    #[test]
    fn health_is_what_all_four_answers_say() {
        let healthy_after = |answers: [u8; 4]| {
            let mut parser = Parser::new();
            let mut facts = Facts::default();
            HEALTH.into_iter().for_each(|request| parser.asked(request));
            for reply in parser.read(&answers) {
                facts.take(&reply);
            }
            healthy(&facts)
        };
        assert_eq!(
            healthy_after([0x12, 0x12, 0x12, 0x12]),
            Some(Level::SentHealthy)
        );
        assert_eq!(
            healthy_after([0x16, 0x12, 0x12, 0x1E]),
            Some(Level::SentHealthy)
        );
        assert_eq!(healthy_after([0x1A, 0x16, 0x12, 0x12]), None);
        assert_eq!(healthy_after([0x12, 0x12, 0x1A, 0x12]), None);
        assert_eq!(healthy_after([0x12, 0x12, 0x12, 0x72]), None);
    }

    #[test]
    fn a_cleared_buffer_is_a_loss() {
        assert!(Parser::new().read(b"\x37\x25\0").iter().all(lost));
        assert!(!lost(&Reply::XOn));
    }
}
