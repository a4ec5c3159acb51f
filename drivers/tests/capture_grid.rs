//! The same receipt looks the same, however it was placed on the paper.

use drivers::capture::grid::{Doubt, Grid, Paper};
use drivers::profile::CodePageName;
use proptest::prelude::*;

fn rows(bytes: &[u8]) -> Vec<String> {
    Grid::new(bytes, &Paper::default()).rows().to_vec()
}

/// Spaces, dots and tab stops lead to the same row.
#[test]
fn a_price_stands_where_it_is_seen() {
    let spaces = rows(b"Bread               3.00\n");
    assert_eq!(spaces, ["Bread               3.00"]);
    assert_eq!(rows(b"Bread\x1b$\xf0\x003.00\n"), spaces);
    assert_eq!(rows(b"\x1b$\x00\x00Bread\x1b\\\xb4\x003.00\n"), spaces);
    assert_eq!(rows(b"\x1bD\x14\0Bread\t3.00\n"), spaces);
    // GS P: lengths in 1/100 inch; 240 dots are 118.2 of them.
    assert_eq!(rows(b"\x1dPd\0Bread\x1b$\x76\x003.00\n"), spaces);
}

/// Wide letters take two cells, spaced letters stay one word, small letters have cells of their own.
#[test]
fn widths() {
    assert_eq!(
        rows(b"\x1d!\x10TOTAL\x1d!\x00\x1b$\xf0\x002.00\n"),
        ["TOTAL          2.00"]
    );
    assert_eq!(rows(b"\x1b \x04TOTAL DUE\n"), ["TOTAL DUE"]);
    assert_eq!(
        rows(b"\x1bM\x01Small\x1b$\xb4\x002.00\n"),
        ["Small               2.00"]
    );
    assert_eq!(rows(b"\x1d!\x10IN ALL  1.00\n"), ["IN ALL  1.00"]);
    assert_eq!(rows(b"\x1b!\x21AB\x1b!\0C\n"), ["ABC"]);
}

/// Alignment, margin, lines that are too long, and the ways to end one.
#[test]
fn lines() {
    let paper = Paper {
        columns: 16,
        ..Paper::default()
    };
    let rows = |bytes: &[u8]| Grid::new(bytes, &paper).rows().to_vec();
    assert_eq!(
        rows(b"\x1ba\x01mid\n\x1ba2end\n"),
        ["      mid", "             end"]
    );
    assert_eq!(rows(b"\x1dL\x18\0in\n"), ["  in"]);
    assert_eq!(rows(b"0123456789ABCDEFG\n"), ["0123456789ABCDEF", "G"]);
    assert_eq!(
        rows(b"a\r\nb\n\rc\x1bd\x02d\x1bJ\x10e"),
        ["a", "b", "c", "", "d", "e"]
    );
}

/// The code page decides, and an unknown one makes no letters up.
#[test]
fn code_pages() {
    assert_eq!(
        rows(b"\x1bt\x13\xd5 \x1bt\x10\x80 \x1bt\0\x9c\n"),
        ["€ € £"]
    );
    assert_eq!(rows(b"\x1bt\x63\x9c\n"), ["\u{FFFD}"]);
    let clone = Paper {
        code_pages: [("99".to_owned(), CodePageName::Cp850)].into(),
        ..Paper::default()
    };
    assert_eq!(Grid::new(b"\x1bt\x63\x9c\n", &clone).rows(), ["£"]);
}

/// The text of a customer display behind the printer is not on the paper.
#[test]
fn a_display_behind_the_printer() {
    assert_eq!(rows(b"A\n\x1b=\x02TOTAL 9.99\n\x1b=\x01B\n"), ["A", "B"]);
}

/// Bold by printing twice is no doubt; different text over each other is.
#[test]
fn over_each_other() {
    let twice = Grid::new(b"TOTAL\x1b$\0\0TOTAL\n", &Paper::default());
    assert_eq!(
        (twice.rows(), twice.doubts()),
        (&["TOTAL".to_owned()][..], &[][..])
    );
    let mixed = Grid::new(b"1.00\x1b$\0\x009.00\n", &Paper::default());
    assert_eq!(mixed.doubts(), [(0, Doubt::Overprinted)]);
}

/// A picture of a receipt is told from a receipt with a logo.
#[test]
fn pictures() {
    let mut picture = b"\x1dv0\0\x02\0\x64\0".to_vec();
    picture.extend([0x41; 200]);
    assert!(Grid::new(&picture, &Paper::default()).is_picture());
    picture.extend(b"TOTAL 12.00 USD\n");
    assert!(!Grid::new(&picture, &Paper::default()).is_picture());
}

proptest! {
    /// Whatever comes is laid out, in memory that the job's size bounds.
    #[test]
    fn any_bytes_are_laid_out(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"\x1b\x1d\x1c\n\t $\\!aDLWPdMt@".to_vec())], 0..600)) {
        let grid = Grid::new(&bytes, &Paper::default());
        let cells: usize = grid.rows().iter().map(|row| row.chars().count()).sum();
        prop_assert!(cells <= 600 * bytes.len() + 600);
        prop_assert!(grid.rows().iter().all(|row| row.chars().all(|c| !c.is_control())));
    }
}
