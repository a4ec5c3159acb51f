//! The fuzzer's seeds through the fuzzer's targets, so that both keep up with the code; and inputs that once
//! found something.

#[path = "../../fuzz/src/capture.rs"]
mod capture;
#[path = "../../fuzz/src/encoder.rs"]
mod encoder;
#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/isl.rs"]
mod isl;
#[path = "../../fuzz/src/paper.rs"]
mod paper;
#[path = "../../fuzz/src/receipt.rs"]
mod receipt;
#[path = "../../fuzz/src/register.rs"]
mod register;
#[path = "../../fuzz/src/status.rs"]
mod status;
#[path = "../../fuzz/src/targets.rs"]
mod targets;
#[path = "../../fuzz/src/template.rs"]
mod template;
#[path = "../../fuzz/src/till.rs"]
mod till;
#[path = "../../fuzz/src/zfp.rs"]
mod zfp;

use std::path::Path;

#[test]
fn every_seed_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folders = std::fs::read_dir(&corpus).unwrap();
    assert_eq!(folders.count(), targets::ALL.len());
    for (name, _) in targets::ALL {
        let run = targets::named(name).unwrap();
        let seeds = std::fs::read_dir(corpus.join(name)).unwrap();
        let mut played = 0;
        for seed in seeds {
            let path = seed.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            // Every end of it, too: a link is cut anywhere.
            for end in 0..=bytes.len() {
                run(&bytes[..end]);
            }
            played += 1;
        }
        assert!(played > 0, "{name} has no seeds");
    }
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
