//! The fuzzer's seeds through the fuzzer's targets, so that both keep up with the code; inputs made of the seeds; and
//! inputs that once found something.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its seeds must stop"
)]

#[path = "../fuzz/src/service/answer.rs"]
mod answer;
#[path = "../fuzz/src/capture.rs"]
mod capture;
#[path = "../fuzz/src/service/certificate.rs"]
mod certificate;
#[path = "../fuzz/src/service/config.rs"]
mod config;
#[path = "../fuzz/src/damage.rs"]
mod damage;
#[path = "../fuzz/src/draft.rs"]
mod draft;
#[path = "../fuzz/src/encoder.rs"]
mod encoder;
#[path = "../fuzz/src/service/file.rs"]
mod file;
#[path = "../fuzz/src/input.rs"]
mod input;
#[path = "../fuzz/src/isl.rs"]
mod isl;
#[path = "../fuzz/src/service/lines.rs"]
mod lines;
#[path = "../fuzz/src/paper.rs"]
mod paper;
#[path = "../fuzz/src/service/query.rs"]
mod query;
#[path = "../fuzz/src/receipt.rs"]
mod receipt;
#[path = "../fuzz/src/register.rs"]
mod register;
#[path = "../fuzz/src/service/service.rs"]
mod service;
#[path = "../fuzz/src/status.rs"]
mod status;
#[path = "../fuzz/src/service/sync.rs"]
mod sync;
#[path = "../fuzz/src/targets.rs"]
mod targets;
#[path = "../fuzz/src/template.rs"]
mod template;
#[path = "../fuzz/src/till.rs"]
mod till;
#[path = "../fuzz/src/zfp.rs"]
mod zfp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use input::{Seed, Target};

/// Inputs that are made for each target: a second's work. `scripts/fuzz` makes millions, and better ones.
const MADE: u64 = 1500;
/// Ends at which a seed is cut, at most.
const ENDS: usize = 600;
/// Longest input that is made.
const LONGEST: usize = 4096;

/// Every target.
fn all() -> impl Iterator<Item = (&'static str, Target)> {
    targets::ALL.into_iter().chain(service::ALL)
}

/// The seeds of a target, always in the same order.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = std::fs::read_dir(folder.join(name)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no seeds");
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Plays one input; what does not hold is told with the input.
fn play(name: &str, run: Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        panic!("{name}: b\"{}\"", input.escape_ascii());
    }
}

/// Runs for all targets at once.
fn each(test: impl Fn(&'static str, Target) + Sync) {
    std::thread::scope(|scope| {
        for (name, run) in all() {
            let test = &test;
            scope.spawn(move || test(name, run));
        }
    });
}

#[test]
fn every_target_has_its_folder() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut folders: Vec<_> = std::fs::read_dir(&corpus)
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut names: Vec<_> = all().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(folders, names);
}

#[test]
fn every_seed_holds() {
    each(|name, run| {
        for seed in seeds(name) {
            // Every end of it, too: a link is cut anywhere.
            for end in (0..=seed.len()).rev().step_by(seed.len() / ENDS + 1) {
                play(name, run, &seed[..end]);
            }
        }
    });
}

#[test]
fn inputs_made_of_seeds_hold() {
    each(|name, run| {
        let seeds = seeds(name);
        for number in 0..MADE {
            play(name, run, &made(&seeds, &mut Seed(number)));
        }
    });
}

/// A seed with a few changes: bytes and pieces of it, and pieces of the others.
fn made(seeds: &[Vec<u8>], random: &mut Seed) -> Vec<u8> {
    let mut below = |end: usize| {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(random.below(end)).unwrap_or(0)
    };
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(5) {
        let at = below(input.len() + 1);
        let to = (at + below(24)).min(input.len());
        match below(6) {
            0 if at < input.len() => input[at] ^= 1 << below(8),
            1 => input.insert(at, u8::try_from(below(256)).unwrap_or(0)),
            2 => drop(input.drain(at..to)),
            3 => {
                let copy = input[at..to].to_vec();
                input.splice(at..at, copy);
            }
            4 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                let piece = &other[from..(from + below(64)).min(other.len())];
                input.splice(at..to, piece.iter().copied());
            }
            _ => {
                let words: [&[u8]; 6] = [
                    b"null",
                    b"-1",
                    b"99999999999999999999",
                    b"\"",
                    b"\xFF",
                    b"\n",
                ];
                input.splice(at..to, words[below(words.len())].iter().copied());
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// A stray DLE, a question that is answered, and 04: without the question they were "send status".
#[test]
fn pieces_around_an_answered_question_are_no_command() {
    capture::run(b"\0\0\0\0A\x10\x1da\xff\x04\x01\n");
    capture::run(b"\0\0\0\0A\x10\x10\x1dr\x01\x14\x08\x01\x03\x14\x01\x06\x02\x08\n");
}

/// A drawer's pulse whose outcome was not told, then a report: they must not have one key.
#[test]
fn deeds_of_two_kinds_have_two_keys() {
    zfp::run(b"\x02\x20\x2a\x01\x80\x7cX");
    isl::run(b"\x02\x20\x6a\x01\x80\x452\x01\x80\x450");
}

/// The last row begins the items, and no row ends them: the reason names that row, not the one below the paper.
#[test]
fn a_reason_names_a_row_that_is_there() {
    receipt::run(b"\0TAX INVOICE\nDESCRIPTION   QTY");
}
