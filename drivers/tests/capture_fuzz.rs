//! Jobs of the largest size, made to be slow or greedy, are read in the time and room of any other.

use drivers::capture::grid::{Grid, MAX_ROWS};
use drivers::capture::job::{CapturedJob, EndedBy};
use drivers::capture::read::{Reading, by_template, read};
use drivers::capture::session::{MAX_JOB, Output, Session, Settings};
use drivers::capture::splice::{MODES_OFF, splice};
use drivers::capture::template::{SHIPPED, Template};
use drivers::capture::token::tokens;
use drivers::job::Condition;
use proptest::prelude::*;

fn templates() -> Vec<Template> {
    let parse = |(_, text): &(&str, &str)| Template::parse(text).expect("shipped");
    SHIPPED.iter().map(parse).collect()
}

/// A megabyte of one piece over and over: feeds, moves to the far right, voids, rows that nearly match.
#[test]
fn a_megabyte_of_anything() {
    let templates = templates();
    let heading = b"TAX INVOICE\nReceipt No: 1\nDate: 1/1/2026\nDESCRIPTION QTY\n";
    let pieces: [&[u8]; 8] = [
        b"\x1bd\xff",
        b"\x1b$\xff\xff.\n",
        b"\x1b$\0\0a\x1b$\0\0b",
        b"VOID Bread   1.00 A\n",
        b"Bread  1 x  1.00  1.00 A\n",
        b"1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 x\n",
        b"\x1bD\x01\x02\x03\0\t\t\t\t",
        b"\x1b&\x03\x20\x7f",
    ];
    for piece in pieces {
        let mut bytes = heading.to_vec();
        while bytes.len() < MAX_JOB {
            bytes.extend_from_slice(piece);
        }
        let job = CapturedJob {
            number: 1,
            bytes,
            taken: Vec::new(),
            lost: 0,
            ended_by: EndedBy::Cut,
        };
        let read = read(&job, &templates);
        assert!(read.grid.rows().len() <= MAX_ROWS);
        assert!(matches!(read.reading, Reading::Quarantine(_)), "{piece:?}");
    }
}

proptest! {
    /// A block that is spliced in is there once and whole, and without it the job is what it was: but for a LF,
    /// and half a command at the end.
    #[test]
    fn splicing_changes_nothing_else(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"\x1b\x1dVd@\n\n ABC".to_vec())], 0..300)) {
        let block = b"[the fiscal block]\n";
        let out = splice(&bytes, block);
        let inserted = [&MODES_OFF[..], block].concat();
        let at = out.windows(inserted.len()).position(|w| w == inserted).expect("the block");
        let rest = [&out[..at], &out[at + inserted.len()..]].concat();
        let whole: usize = tokens(&bytes).filter(|t| t.whole).map(|t| t.bytes.len()).sum();
        let mut with_end = out[..at].to_vec();
        if with_end.last() == Some(&b'\n') && rest != bytes[..whole] {
            with_end.pop();
        }
        prop_assert_eq!([&with_end, &out[at + inserted.len()..]].concat(), &bytes[..whole]);
        // The block begins where a command may begin.
        let before: Vec<u8> = tokens(&out[..at]).filter(|t| t.whole).flat_map(|t| t.bytes.to_vec()).collect();
        prop_assert_eq!(before, &out[..at]);
    }

    /// From bytes to a reading by every template, whatever comes.
    #[test]
    fn anything_is_read(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"\x1b\x1d\n 0123456789.,AxTOTAL".to_vec())], 0..800)) {
        let mut session = Session::new(Settings::default(), Condition::default());
        let mut out = session.bytes(std::time::Duration::ZERO, &bytes);
        out.extend(session.closed());
        let templates = templates_once();
        for output in out {
            if let Output::Job(job) = output {
                for template in templates {
                    let grid = Grid::new(&job.for_printer(), template.paper());
                    if let Reading::Sale(sale) = by_template(template, &grid) {
                        prop_assert!(grid.at(sale.total.at).contains(|c: char| c.is_ascii_digit()));
                    }
                }
            }
        }
    }
}

fn templates_once() -> &'static [Template] {
    static TEMPLATES: std::sync::LazyLock<Vec<Template>> = std::sync::LazyLock::new(templates);
    &TEMPLATES
}
