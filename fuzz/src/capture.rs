//! A POS at the printer port: the stream cut into commands, the session, its jobs, and the fiscal block in them.

use std::ops::Range;
use std::time::Duration;

use drivers::capture::grid::{Grid, Paper};
use drivers::capture::job::{CapturedJob, EndedBy};
use drivers::capture::session::{self, Mode, Output, Session, Settings};
use drivers::capture::splice::{MODES_OFF, splice};
use drivers::capture::token::{Kind, Scanner, Step, tokens};
use drivers::job::{Condition, HeldReason};

use crate::input::{Input, Seed};

const BLOCK: &[u8] = b"[FISCAL]\n";

/// Two bytes of settings, two of how the stream is torn, then the stream.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let max = input.byte();
    let seed = u64::from(input.word());
    let stream = input.rest();
    let settings = Settings {
        mode: if flags & 1 == 0 {
            Mode::Virtual
        } else {
            Mode::Relay
        },
        idle: (flags & 2 == 0).then(|| Duration::from_millis(1500)),
        max_job: if flags & 4 == 0 {
            session::MAX_JOB
        } else {
            usize::from(max)
        },
        pulses: flags & 8 == 0,
        ..Settings::default()
    };
    pieces(stream);
    let whole = torn(&settings, stream, None);
    let pieces = torn(&settings, stream, Some(Seed(seed)));
    assert_eq!(whole, pieces, "how the stream is torn matters");
    for output in &whole {
        if let Output::Job(job) = output {
            sound(job, &settings);
        }
    }
    nothing_is_lost(&whole, stream, &settings);
    troubled(settings, stream, Seed(seed));
    let file = session::file(1, stream.to_vec());
    sound(&file, &Settings::default());
}

/// Pieces laid end to end are the stream, and the scanner ends them where the iterator does.
fn pieces(stream: &[u8]) {
    let mut at = 0;
    let mut ends = Vec::new();
    for token in tokens(stream) {
        assert_eq!(token.at, at);
        assert!(!token.bytes.is_empty());
        assert_eq!(stream.get(at..at + token.bytes.len()), Some(token.bytes));
        at += token.bytes.len();
        if token.whole && token.kind != Kind::Text {
            ends.push((at, token.kind));
        }
    }
    assert_eq!(at, stream.len());
    let mut scanner = Scanner::default();
    let mut found = Vec::new();
    for (n, byte) in stream.iter().enumerate() {
        let mut step = scanner.push(*byte);
        if let Step::EndBefore(kind) = step {
            found.push((n, kind));
            step = scanner.push(*byte);
        }
        match step {
            Step::End(Kind::Text) | Step::Inside => {}
            Step::End(kind) => found.push((n + 1, kind)),
            Step::EndBefore(_) => panic!("a byte ends two pieces"),
        }
        assert!(scanner.head().len() <= 48);
    }
    assert_eq!(found, ends);
}

/// What a session makes of a stream that comes at once, or in pieces of random sizes.
fn torn(settings: &Settings, stream: &[u8], seed: Option<Seed>) -> Vec<Output> {
    let mut session = Session::new(settings.clone(), Condition::default());
    let mut out = Vec::new();
    let Some(mut seed) = seed else {
        out.extend(session.bytes(Duration::ZERO, stream));
        out.extend(session.closed());
        return out;
    };
    let mut rest = stream;
    while !rest.is_empty() {
        let size = 1 + usize::try_from(seed.below(9)).unwrap_or(0);
        let (piece, more) = rest.split_at(size.min(rest.len()));
        rest = more;
        out.extend(session.bytes(Duration::ZERO, piece));
    }
    out.extend(session.closed());
    out
}

/// A job by itself: its room is kept, what is taken out of it lies in it, and a block can be put in.
fn sound(job: &CapturedJob, settings: &Settings) {
    assert!(job.bytes.len() <= settings.max_job);
    let mut from = 0;
    let mut taken = 0;
    for range in &job.taken {
        assert!(from <= range.start && range.start < range.end && range.end <= job.bytes.len());
        from = range.end;
        taken += range.len();
    }
    let bytes = job.for_printer();
    // But for a stray DLE, which would begin a command with what comes together.
    let plain = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 0x10).count();
    let out: usize = job.taken.iter().map(|r| plain(&job.bytes[r.clone()])).sum();
    assert_eq!(plain(&bytes), plain(&job.bytes) - out);
    assert!(bytes.len() <= job.bytes.len() - taken);
    if job.lost == 0 {
        let kept = commands(&job.bytes, &job.taken);
        assert_eq!(commands(&bytes, &[]), kept, "pieces ran together");
    }
    if settings.mode == Mode::Virtual && job.lost == 0 && job.ended_by != EndedBy::File {
        let pulses = |t: &drivers::capture::token::Token<'_>| matches!(t.bytes, [0x1B, b'p', ..]);
        assert!(!tokens(&bytes).filter(|t| t.whole).any(|t| pulses(&t)));
    }
    let spliced = splice(&bytes, BLOCK);
    let middle = [&MODES_OFF[..], BLOCK].concat();
    let at = |n: &usize| spliced[*n..].starts_with(&middle);
    let places = (0..spliced.len()).filter(at);
    let is_seam = |n: usize| is_seam(&bytes, &spliced[..n], &spliced[n + middle.len()..]);
    assert!({ places }.any(is_seam), "the block is put into the job");
    let grid = Grid::new(&spliced, &Paper::default());
    let own = grid.rows().iter().any(|row| row.contains("[FISCAL]"));
    assert!(own || grid.rows().len() >= drivers::capture::grid::MAX_ROWS || is_strange(&bytes));
}

/// Bytes of whole commands, but for those that are taken out.
fn commands(bytes: &[u8], taken: &[Range<usize>]) -> usize {
    tokens(bytes)
        .filter(|token| token.whole && matches!(token.kind, Kind::Command | Kind::RealTime))
        .filter(|token| !taken.iter().any(|range| range.contains(&token.at)))
        .map(|token| token.bytes.len())
        .sum()
}

/// What stands before and after a block is the job, but for half a command at its end and the end of its last line.
fn is_seam(job: &[u8], before: &[u8], after: &[u8]) -> bool {
    let ended = before.strip_suffix(b"\n").unwrap_or(before);
    [before, ended].into_iter().any(|body| {
        let tail = job.strip_prefix(body);
        let left = tail.and_then(|tail| tail.strip_prefix(after));
        left.is_some_and(|left| tokens(left).all(|token| !token.whole))
    })
}

/// Page mode, own code pages and widths may hide what a block says from the look of a grid.
fn is_strange(bytes: &[u8]) -> bool {
    tokens(bytes).any(|t| matches!(t.bytes, [0x1B..=0x1D, ..]))
}

/// The jobs laid end to end are the stream, but for a buffer that was cleared and what is no job at its end.
fn nothing_is_lost(outputs: &[Output], stream: &[u8], settings: &Settings) {
    let cleared = outputs
        .iter()
        .any(|o| matches!(o, Output::Reply(reply) if reply[..] == [0x37, 0x25, 0]));
    let jobs = outputs.iter().filter_map(|output| match output {
        Output::Job(job) => Some(job),
        _ => None,
    });
    let mut sum = 0;
    let mut together = Vec::new();
    for (number, job) in (1..).zip(jobs) {
        assert_eq!(job.number, number);
        let lost = usize::try_from(job.lost).unwrap_or(usize::MAX);
        assert!(lost == 0 || job.bytes.len() == settings.max_job);
        sum += job.bytes.len() + lost;
        together.extend_from_slice(&job.bytes);
    }
    assert!(sum <= stream.len());
    if !cleared && sum == together.len() {
        assert!(stream.starts_with(&together));
    }
}

/// The same with time, conditions and verdicts in between, in any order.
fn troubled(settings: Settings, stream: &[u8], mut seed: Seed) {
    let faults = [
        None,
        Some(HeldReason::PaperOut),
        Some(HeldReason::CoverOpen),
        Some(HeldReason::Fault),
    ];
    let mut session = Session::new(settings.clone(), Condition::default());
    let mut now = Duration::ZERO;
    let mut open: Vec<u64> = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let size = 1 + usize::try_from(seed.below(40)).unwrap_or(0);
        let (piece, more) = rest.split_at(size.min(rest.len()));
        rest = more;
        let mut out = session.bytes(now, piece);
        match seed.below(6) {
            0 => {
                now += Duration::from_millis(seed.below(20_000));
                out.extend(session.tick(now));
            }
            1 => {
                let fault = faults[usize::try_from(seed.below(4)).unwrap_or(0)];
                let condition = Condition {
                    connected: true,
                    fault,
                    ..Condition::default()
                };
                out.extend(session.condition(&condition));
            }
            2 => out.extend(session.from_printer(&[0x12])),
            3 => {
                if let Some(number) = open.pop() {
                    out.extend(session.settled(number, seed.below(2) == 0));
                }
            }
            _ => {}
        }
        for output in out {
            if let Output::Job(job) = output {
                sound(&job, &settings);
                open.push(job.number);
            }
        }
        assert_eq!(session.has_open_jobs(), !open.is_empty());
    }
}
