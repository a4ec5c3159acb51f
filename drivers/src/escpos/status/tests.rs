//! Each bit, each order, each fragmentation; and noise.

use proptest::prelude::*;

use super::*;
use crate::job::{Condition, HeldReason};

const FOUR: [RealTime; 4] = RealTime::ALL;

fn asking(requests: impl IntoIterator<Item = Request>) -> Parser {
    let mut parser = Parser::new();
    for request in requests {
        parser.asked(request);
    }
    parser
}

fn facts(request: RealTime, byte: u8) -> Facts {
    let mut facts = Facts::default();
    let replies = asking([Request::RealTime(request)]).read(&[byte]);
    assert_eq!(replies, [Reply::RealTime(request, byte)]);
    facts.take(&replies[0]);
    facts
}

/// What an answer must do to facts that are all false.
type Sets = fn(&mut Facts);

const NOTHING: Sets = |_| {};
const OFFLINE: Sets = |f| f.offline = true;
const WAITS: Sets = |f| f.waits = true;
const COVER: Sets = |f| f.cover_open = true;
const STOPPED: Sets = |f| f.stopped_by_paper = true;
const ERROR: Sets = |f| f.error = true;
const MECHANICAL: Sets = |f| f.mechanical = true;
const CUTTER: Sets = |f| f.cutter = true;
const UNRECOVERABLE: Sets = |f| f.unrecoverable = true;
const HOT: Sets = |f| f.hot = true;
const LOW: Sets = |f| f.paper_low = true;
const OUT: Sets = |f| f.paper_out = true;
const DRAWER: Sets = |f| f.drawer_high = Some(true);

#[test]
fn each_bit_of_a_real_time_answer_has_its_meaning() {
    for (request, byte, sets, fault) in [
        (RealTime::Printer, 0x12, NOTHING, None),
        (RealTime::Printer, 0x16, DRAWER, None),
        (RealTime::Printer, 0x1A, OFFLINE, Some(HeldReason::Offline)),
        (RealTime::Printer, 0x32, WAITS, Some(HeldReason::Offline)),
        (RealTime::Printer, 0x52, NOTHING, None),
        (RealTime::Offline, 0x12, NOTHING, None),
        (RealTime::Offline, 0x16, COVER, Some(HeldReason::CoverOpen)),
        (RealTime::Offline, 0x1A, NOTHING, None),
        (RealTime::Offline, 0x32, STOPPED, Some(HeldReason::PaperOut)),
        (RealTime::Offline, 0x52, ERROR, Some(HeldReason::Offline)),
        (RealTime::Error, 0x12, NOTHING, None),
        (RealTime::Error, 0x16, MECHANICAL, Some(HeldReason::Fault)),
        (RealTime::Error, 0x1A, CUTTER, Some(HeldReason::Cutter)),
        (
            RealTime::Error,
            0x32,
            UNRECOVERABLE,
            Some(HeldReason::Fault),
        ),
        (RealTime::Error, 0x52, HOT, Some(HeldReason::Hot)),
        (RealTime::Paper, 0x12, NOTHING, None),
        (RealTime::Paper, 0x16, LOW, None),
        (RealTime::Paper, 0x1A, LOW, None),
        (RealTime::Paper, 0x32, OUT, Some(HeldReason::PaperOut)),
        (RealTime::Paper, 0x52, OUT, Some(HeldReason::PaperOut)),
    ] {
        let mut wanted = Facts::default();
        if request == RealTime::Printer {
            wanted.drawer_high = Some(false);
        }
        sets(&mut wanted);
        let found = facts(request, byte);
        assert_eq!(found, wanted, "{request:?} {byte:02X}");
        assert_eq!(found.fault(), fault, "{request:?} {byte:02X}");
    }
}

#[test]
fn each_bit_of_automatic_status_has_its_meaning() {
    for (bytes, sets) in [
        ([0x10, 0, 0, 0], NOTHING),
        ([0x14, 0, 0, 0], DRAWER),
        ([0x18, 0, 0, 0], OFFLINE),
        ([0x30, 0, 0, 0], COVER),
        ([0x50, 0, 0, 0], NOTHING),
        ([0x10, 0x01, 0, 0], WAITS),
        ([0x10, 0x04, 0, 0], MECHANICAL),
        ([0x10, 0x08, 0, 0], CUTTER),
        ([0x10, 0x20, 0, 0], UNRECOVERABLE),
        ([0x10, 0x40, 0, 0], HOT),
        ([0x10, 0, 0x01, 0], LOW),
        ([0x10, 0, 0x02, 0], LOW),
        ([0x10, 0, 0x04, 0], OUT),
        ([0x10, 0, 0x08, 0], OUT),
        ([0x10, 0, 0, 0x0F], NOTHING),
    ] {
        let replies = Parser::new().read(&bytes);
        assert_eq!(replies, [Reply::Automatic(bytes)]);
        let mut wanted = Facts {
            drawer_high: Some(false),
            ..Facts::default()
        };
        sets(&mut wanted);
        let mut facts = Facts::default();
        facts.take(&replies[0]);
        assert_eq!(facts, wanted, "{bytes:02X?}");
    }
}

#[test]
fn what_was_wrong_is_over_when_the_printer_says_so() {
    let mut facts = Facts::default();
    let mut take = |replies: &[Reply]| {
        replies.iter().for_each(|reply| facts.take(reply));
        facts.fault()
    };
    let real_time = |what, byte| Reply::RealTime(what, byte);
    let open = [
        real_time(RealTime::Printer, 0x1A),
        real_time(RealTime::Offline, 0x16),
    ];
    assert_eq!(take(&open), Some(HeldReason::CoverOpen));
    assert_eq!(take(&[real_time(RealTime::Printer, 0x12)]), None);
    assert_eq!(
        take(&[real_time(RealTime::Paper, 0x72)]),
        Some(HeldReason::PaperOut)
    );
    assert_eq!(
        take(&[real_time(RealTime::Printer, 0x12)]),
        Some(HeldReason::PaperOut),
        "on line without paper is no health"
    );
    assert_eq!(take(&[Reply::Worked(JobId(1), 0x03)]), None);

    let mut condition = Condition::default();
    facts.tell(&mut condition);
    assert_eq!(
        condition,
        Condition {
            paper_low: true,
            drawer_high: Some(false),
            ..Condition::default()
        }
    );
}

/// A stream with everything in it, and what it says.
fn mixture() -> (Parser, Vec<u8>, Vec<Reply>) {
    let job = JobId(123_456);
    let id = ProcessId::of(job);
    let parser = asking(FOUR.map(Request::RealTime).into_iter().chain([
        Request::Worked(job),
        Request::ModelNumber,
        Request::About(About::Model),
        Request::Printed(id),
    ]));
    let mut bytes = vec![
        0x16, 0xFF, 0x12, 0x18, 0x00, 0x13, 0x0F, 0x12, 0x00, 0x11, 0x7E,
    ];
    bytes.extend([0x0C, 0x20, 0x00, 0x00]);
    bytes.extend(b"_TM-T20\x10\0\x11\0\0III\0");
    bytes.extend(b"\x37\x25\0\x37\x22");
    bytes.extend(&id.0[..2]);
    bytes.extend([0x38, 0x00, 0x00, 0x0F]);
    bytes.extend(&id.0[2..]);
    bytes.extend([0x00, 0x12]);
    let replies = vec![
        Reply::RealTime(RealTime::Printer, 0x16),
        Reply::Noise(0xFF),
        Reply::RealTime(RealTime::Offline, 0x12),
        Reply::XOff,
        Reply::RealTime(RealTime::Error, 0x12),
        Reply::Automatic([0x18, 0x00, 0x0F, 0x00]),
        Reply::XOn,
        Reply::RealTime(RealTime::Paper, 0x7E),
        Reply::Worked(job, 0x0C),
        Reply::ModelNumber(0x20),
        Reply::Noise(0x00),
        Reply::Noise(0x00),
        Reply::XOn,
        Reply::Automatic([0x10, 0x00, 0x00, 0x00]),
        Reply::About(About::Model, "TM-T20III".to_owned()),
        Reply::Cleared,
        Reply::Automatic([0x38, 0x00, 0x00, 0x0F]),
        Reply::Printed(id),
        Reply::Noise(0x12),
    ];
    (parser, bytes, replies)
}

#[test]
fn any_fragmentation_says_the_same() {
    let (parser, bytes, wanted) = mixture();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut parser = parser.clone();
            let mut found = parser.read(&bytes[..first]);
            found.extend(parser.read(&bytes[first..second]));
            found.extend(parser.read(&bytes[second..]));
            assert_eq!(found, wanted, "cut at {first} and {second}");
        }
    }
    let mut parser = parser;
    let single: Vec<_> = bytes
        .iter()
        .flat_map(|byte| parser.read(&[*byte]))
        .collect();
    assert_eq!(single, wanted, "byte by byte");
}

#[test]
fn automatic_status_may_come_between_any_two_bytes() {
    let job = JobId(9_876_543);
    let id = ProcessId::of(job);
    let mut plain = vec![0x12, 0x12, 0x16, 0x12, 0x00];
    plain.extend([&b"\x37\x22"[..], &id.0, b"\0"].concat());
    let wanted = [
        Reply::RealTime(RealTime::Printer, 0x12),
        Reply::RealTime(RealTime::Offline, 0x12),
        Reply::RealTime(RealTime::Error, 0x16),
        Reply::RealTime(RealTime::Paper, 0x12),
        Reply::Worked(job, 0x00),
        Reply::Printed(id),
    ];
    for burst in [
        [0x10, 0, 0, 0],
        [0x1C, 0x08, 0x0F, 0x0F],
        [0x38, 0x20, 0x22, 0x25],
    ] {
        for at in 0..=plain.len() {
            // Before the first digit is known, status that looks like a digit is taken for one.
            if burst[0] >= 0x20 && (6..=7).contains(&at) {
                continue;
            }
            let mut bytes = plain.clone();
            bytes.splice(at..at, burst);
            let mut parser = asking(
                FOUR.map(Request::RealTime)
                    .into_iter()
                    .chain([Request::Worked(job), Request::Printed(id)]),
            );
            let (burst_found, rest): (Vec<_>, Vec<_>) = parser
                .read(&bytes)
                .into_iter()
                .partition(|reply| *reply == Reply::Automatic(burst));
            assert_eq!(burst_found.len(), 1, "{burst:02X?} at {at}");
            assert_eq!(rest, wanted, "{burst:02X?} at {at}");
        }
    }
}

#[test]
fn a_real_time_answer_may_come_within_automatic_status_and_a_mark() {
    let id = ProcessId::of(JobId(5));
    for answer in [0x12, 0x16, 0x32, 0x7E] {
        let asked = || asking([Request::RealTime(RealTime::Offline), Request::Printed(id)]);
        let [a, b, c, d] = id.0;
        for bytes in [
            vec![0x10, answer, 0, 0, 0, 0x37, 0x22, a, b, c, d, 0],
            vec![0x10, 0, 0, answer, 0, 0x37, 0x22, a, b, c, d, 0],
            vec![0x10, 0, 0, 0, 0x37, 0x22, a, answer, b, c, d, 0],
            vec![0x10, 0, 0, 0, 0x37, 0x22, a, b, c, d, answer, 0],
        ] {
            let found = asked().read(&bytes);
            for wanted in [
                Reply::RealTime(RealTime::Offline, answer),
                Reply::Automatic([0x10, 0, 0, 0]),
                Reply::Printed(id),
            ] {
                assert!(found.contains(&wanted), "{bytes:02X?}: {found:?}");
            }
            assert_eq!(found.len(), 3, "{bytes:02X?}: {found:?}");
        }
    }
}

#[test]
fn a_mark_that_is_not_ours_is_read_as_it_came() {
    let mut parser = asking([
        Request::Printed(ProcessId::of(JobId(5))),
        Request::RealTime(RealTime::Printer),
    ]);
    assert_eq!(
        parser.read(b"\x37\x220246\0\x37\x22zzz2\0"),
        [
            Reply::Printed(ProcessId(*b"0246")),
            Reply::Printed(ProcessId(*b"zzz2"))
        ]
    );
}

#[test]
fn a_torn_mark_does_not_swallow_the_next() {
    let id = ProcessId::of(JobId(5));
    let whole = [&b"\x37\x22"[..], &id.0, b"\0"].concat();
    for torn in 0..whole.len() {
        let mut parser = asking([Request::Printed(id)]);
        let found = parser.read(&[&whole[..torn], &whole[..]].concat());
        assert!(
            found.contains(&Reply::Printed(id)),
            "after {torn} bytes: {found:?}"
        );
    }
}

#[test]
fn noise_between_answers_moves_none() {
    let mut parser = asking(FOUR.map(Request::RealTime));
    let found = parser.read(&[
        0x00, 0x12, 0xFF, 0x00, 0x16, 0x80, 0x12, 0x00, 0x00, 0x1E, 0xFF,
    ]);
    let answers: Vec<_> = found
        .into_iter()
        .filter(|reply| !matches!(reply, Reply::Noise(_)))
        .collect();
    assert_eq!(
        answers,
        [
            Reply::RealTime(RealTime::Printer, 0x12),
            Reply::RealTime(RealTime::Offline, 0x16),
            Reply::RealTime(RealTime::Error, 0x12),
            Reply::RealTime(RealTime::Paper, 0x1E),
        ]
    );
}

#[test]
fn what_nobody_asked_is_noise_and_what_is_forgotten_is_not_asked() {
    let mut parser = Parser::new();
    assert_eq!(
        parser.read(&[0x12, 0x00]),
        [Reply::Noise(0x12), Reply::Noise(0x00)]
    );
    parser.asked(Request::RealTime(RealTime::Paper));
    parser.asked(Request::Worked(JobId(1)));
    assert!(parser.awaits_real_time());
    parser.forget_real_time();
    assert!(!parser.awaits_real_time());
    assert_eq!(
        parser.read(&[0x12, 0x00]),
        [Reply::Noise(0x12), Reply::Worked(JobId(1), 0)]
    );
    parser.asked(Request::Worked(JobId(2)));
    assert_eq!(parser.read(&[0x10, 0x00]), []);
    parser.forget();
    assert_eq!(parser.read(&[0x00]), [Reply::Noise(0x00)]);
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        prop::sample::select(FOUR.to_vec()).prop_map(Request::RealTime),
        any::<i64>().prop_map(|job| Request::Worked(JobId(job))),
        any::<i64>().prop_map(|job| Request::Printed(ProcessId::of(JobId(job)))),
        Just(Request::ModelNumber),
        Just(Request::About(About::Serial)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Any bytes in any pieces: no panic, no answer that was not asked for, the same for each fragmentation.
    #[test]
    fn any_bytes_are_read(
        requests in prop::collection::vec(request(), 0..40),
        bytes in prop::collection::vec(
            prop_oneof![
                any::<u8>(),
                prop::sample::select(vec![0x37, 0x22, 0x25, 0x5F, 0x00, 0x10, 0x12, 0x38, 0x20]),
            ],
            0..200,
        ),
        pieces in prop::collection::vec(1_usize..9, 200),
    ) {
        let parser = asking(requests.clone());
        let whole = parser.clone().read(&bytes);

        let mut piecewise = parser;
        let (mut found, mut rest) = (Vec::new(), bytes.as_slice());
        for piece in pieces {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            found.extend(piecewise.read(now));
            rest = later;
        }
        found.extend(piecewise.read(rest));
        prop_assert_eq!(&found, &whole);

        let mut facts = Facts::default();
        for reply in &whole {
            facts.take(reply);
            match reply {
                Reply::RealTime(what, _) => prop_assert!(requests.contains(&Request::RealTime(*what))),
                Reply::Worked(job, _) => prop_assert!(requests.contains(&Request::Worked(*job))),
                Reply::About(what, _) => prop_assert!(requests.contains(&Request::About(*what))),
                _ => {}
            }
        }
    }
}
