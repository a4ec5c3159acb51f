//! Conversations of POS software with its printer, as they were seen, and what ends a job.

use std::time::Duration;

use drivers::capture::job::{CapturedJob, EndedBy};
use drivers::capture::session::{Mode, Output, Session, Settings};
use drivers::job::{Condition, HeldReason};
use proptest::prelude::*;

const NOW: Duration = Duration::from_secs(100);

fn fine() -> Condition {
    Condition {
        connected: true,
        ..Condition::default()
    }
}

fn session() -> Session {
    Session::new(Settings::default(), fine())
}

fn replies(out: &[Output]) -> Vec<u8> {
    out.iter()
        .flat_map(|o| match o {
            Output::Reply(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect()
}

fn jobs(out: Vec<Output>) -> Vec<CapturedJob> {
    out.into_iter()
        .filter_map(|o| match o {
            Output::Job(job) => Some(job),
            _ => None,
        })
        .collect()
}

/// receiptio asks DLE EOT 2, wants four bytes for GS a, prints, and believes in success only when GS r is
/// answered: not before the job is done.
#[test]
fn the_last_question_is_answered_when_the_job_is_done() {
    let mut s = session();
    assert_eq!(replies(&s.bytes(NOW, &[0x10, 4, 2])), [0x12]);
    assert_eq!(replies(&s.bytes(NOW, b"\x1b@\x1da\xff")), [0x14, 0, 0, 0]);
    let out = s.bytes(NOW, b"TOTAL 2.00\n\x1dVB\0\x1dr1");
    assert_eq!(replies(&out), Vec::<u8>::new());
    let job = jobs(out).remove(0);
    assert_eq!(job.ended_by, EndedBy::Cut);
    assert_eq!(job.for_printer(), b"\x1b@TOTAL 2.00\n\x1dVB\0");
    assert!(s.has_open_jobs());
    assert_eq!(replies(&s.settled(job.number, true)), [0]);
    assert!(jobs(s.closed()).is_empty(), "a question is no job");
}

/// Without a cutter the question itself is the last word: silence ends the job, and the answer follows it.
#[test]
fn a_question_before_the_end_waits_for_the_job_too() {
    let mut s = session();
    assert!(
        s.bytes(NOW, b"TOTAL 2.00\n\x1d(H\x06\0\x30\x30abcd")
            .is_empty()
    );
    assert_eq!(s.deadline(), Some(NOW + Duration::from_millis(1500)));
    assert!(s.tick(NOW + Duration::from_millis(1499)).is_empty());
    let job = jobs(s.tick(NOW + Duration::from_millis(1500))).remove(0);
    assert_eq!(job.ended_by, EndedBy::Idle);
    assert_eq!(
        replies(&s.settled(job.number, true)),
        [0x37, 0x22, b'a', b'b', b'c', b'd', 0]
    );
}

/// A job whose paper did not come out is never acknowledged; the next one is.
#[test]
fn no_paper_no_answer() {
    let mut s = session();
    let out = s.bytes(NOW, b"A\n\x1dV\0\x1dr\x01B\n\x1dV\0\x1dr\x01");
    let numbers: Vec<u64> = jobs(out).iter().map(|j| j.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(replies(&s.settled(1, false)), Vec::<u8>::new());
    assert_eq!(replies(&s.settled(2, true)), [0]);
}

/// An answer keeps its place: a later job that is done first does not overtake.
#[test]
fn answers_stay_in_order() {
    let mut s = session();
    s.bytes(NOW, b"A\n\x1dV\0\x1dr\x01B\n\x1dV\0\x1dr\x02");
    assert_eq!(replies(&s.settled(2, true)), Vec::<u8>::new());
    assert_eq!(replies(&s.settled(1, true)), [0, 1]);
}

/// The POS sees the real printer's faults, and its changes once it asked for them.
#[test]
fn faults_are_passed_on() {
    let open = Condition {
        fault: Some(HeldReason::CoverOpen),
        ..fine()
    };
    let mut s = Session::new(Settings::default(), open);
    assert_eq!(
        replies(&s.bytes(NOW, &[0x10, 4, 1, 0x10, 4, 2])),
        [0x1E, 0x16]
    );
    assert!(s.condition(&fine()).is_empty());
    s.bytes(NOW, b"\x1da\x0f");
    let out = Condition {
        fault: Some(HeldReason::PaperOut),
        ..fine()
    };
    assert_eq!(replies(&s.condition(&out)), [0x1C, 0, 0x0F, 0]);
    assert!(s.condition(&out).is_empty());
    assert_eq!(replies(&s.bytes(NOW, b"\x1dIC")), b"\x5fTM-T20II\0");
}

/// A question inside a picture is answered, as a printer does, and stays part of the picture.
#[test]
fn a_question_inside_a_picture() {
    let mut s = session();
    let out = s.bytes(NOW, b"\x1dv0\0\x03\0\x02\0\x10\x04\x01\x0a\x0c\x1b\x1dV\0");
    assert_eq!(replies(&out), [0x16]);
    let job = jobs(out).remove(0);
    assert_eq!(job.for_printer(), job.bytes);
}

/// Pulses go at once, or not at all, and never a second time with the job.
#[test]
fn drawer_pulses() {
    let pulse = b"\x1bp\0\x32\xfa";
    let now = b"\x10\x14\x01\0\x05";
    let text = [b"A\n".as_slice(), pulse, now, b"\x1dV\0"].concat();
    let mut s = session();
    let out = s.bytes(NOW, &text);
    assert_eq!(out.first(), Some(&Output::Pulse(pulse.to_vec())));
    assert_eq!(out.get(1), Some(&Output::Pulse(now.to_vec())));
    assert_eq!(jobs(out).remove(0).for_printer(), b"A\n\x1dV\0");
    let mut s = Session::new(
        Settings {
            pulses: false,
            ..Settings::default()
        },
        fine(),
    );
    let out = s.bytes(NOW, &text);
    assert_eq!(out.len(), 1);
    assert_eq!(jobs(out).remove(0).for_printer(), b"A\n\x1dV\0");
}

/// In relay mode the printer answers itself, but the end of a job is still ours to tell.
#[test]
fn relay() {
    let settings = Settings {
        mode: Mode::Relay,
        ..Settings::default()
    };
    let mut s = Session::new(settings, fine());
    assert_eq!(
        s.bytes(NOW, &[0x10, 4, 1]),
        [Output::Relay(vec![0x10, 4, 1])]
    );
    assert_eq!(s.from_printer(&[0x16]), [Output::Reply(vec![0x16])]);
    let out = s.bytes(NOW, b"A\n\x0c\x1dr1");
    assert_eq!(replies(&out), Vec::<u8>::new());
    let job = jobs(out).remove(0);
    assert_eq!(job.ended_by, EndedBy::FormFeed);
    assert_eq!(replies(&s.settled(job.number, true)), [0]);
    assert!(session().from_printer(&[0x16]).is_empty());
}

/// FF prints a page in page mode; there it ends nothing.
#[test]
fn a_page_is_not_a_job() {
    let mut s = session();
    assert!(jobs(s.bytes(NOW, b"\x1bLabc\x0cdef\n")).is_empty());
    assert_eq!(jobs(s.closed()).remove(0).ended_by, EndedBy::Closed);
}

/// Half a line waits, half a picture waits longer.
#[test]
fn silence_needs_a_complete_line() {
    let mut s = session();
    s.bytes(NOW, b"half a line");
    assert_eq!(s.deadline(), None);
    s.bytes(NOW, b"\n\x1dv0\0\x10\0\x10\0");
    assert_eq!(s.deadline(), Some(NOW + Duration::from_secs(15)));
}

/// What a display behind the printer shows is no line of a receipt, and no end of one.
#[test]
fn a_display_behind_the_printer() {
    let mut s = session();
    assert!(
        s.bytes(NOW, b"\x1b=\x02Bread 2.20\n\x0c\x1b=\x01")
            .is_empty()
    );
    assert_eq!(s.deadline(), None);
    s.bytes(NOW, b"TOTAL\n");
    assert!(s.deadline().is_some());
}

/// More than the room is counted, not kept; the job is known to be cut short.
#[test]
fn a_job_that_is_too_long() {
    let settings = Settings {
        max_job: 10,
        ..Settings::default()
    };
    let mut s = Session::new(settings, fine());
    let out = s.bytes(NOW, b"0123456789abc\n\x1dV\0next\n\x1dV\0");
    let jobs = jobs(out);
    assert_eq!((jobs[0].bytes.len(), jobs[0].lost), (10, 7));
    assert_eq!(
        (jobs[1].bytes.as_slice(), jobs[1].lost),
        (&b"next\n\x1dV\0"[..], 0)
    );
}

/// "Clear the buffer" takes back what was not cut.
#[test]
fn a_cleared_buffer_is_not_printed() {
    let mut s = session();
    let out = s.bytes(NOW, b"A\n\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08");
    assert_eq!(replies(&out), [0x37, 0x25, 0]);
    assert_eq!(s.deadline(), None);
    assert!(s.closed().is_empty());
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ -~]{0,12}\n".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            b"\x1dV\0".to_vec(),
            b"\x0c".to_vec(),
            b"\x1dr\x01".to_vec(),
            b"\x10\x04\x01".to_vec(),
            b"\x1bp\0\x01\x01".to_vec(),
            b"\x1dv0\0\x02\0\x02\0abcd".to_vec(),
        ]),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|p| p.concat())
}

proptest! {
    /// However a stream is split, the same comes of it; and the jobs are the stream, but for a rest that
    /// marks nothing.
    #[test]
    fn splits_do_not_matter(bytes in stream(), sizes in prop::collection::vec(1_usize..9, 1..40)) {
        let mut whole = session();
        let mut expected = whole.bytes(NOW, &bytes);
        expected.extend(whole.closed());
        let mut split = session();
        let mut got = Vec::new();
        let mut rest = bytes.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*size).min(rest.len()));
            got.extend(split.bytes(NOW, now));
            rest = later;
        }
        got.extend(split.closed());
        prop_assert_eq!(&got, &expected);
        let all: Vec<u8> = jobs(got).iter().flat_map(|j| j.bytes.clone()).collect();
        let cleared = bytes.windows(10).any(|w| w.starts_with(&[0x10, 0x14, 8]));
        prop_assert!(cleared || bytes.starts_with(&all));
    }
}
