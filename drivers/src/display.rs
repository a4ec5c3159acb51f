//! Two-line customer displays: what is shown, as bytes.
//!
//! Two dialects are common. CD5220 writes a whole line with one command; the displays that speak ESC/POS are
//! told where to write. Both have two lines of twenty characters. Only ASCII is written, for their code pages
//! differ, and each line is filled up with spaces, so that nothing of an older text stays.

use serde::Deserialize;

use crate::escpos::ascii;

/// Characters in a line.
pub const COLUMNS: usize = 20;

/// Which commands a display takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// ESC Q A and ESC Q B write the lines.
    Cd5220,
    /// US $ moves to a place, and text is written there.
    EscPos,
}

impl Dialect {
    /// Sets a display up after it was switched on or plugged in, and clears it.
    #[must_use]
    pub fn start(self) -> Vec<u8> {
        [b"\x1B@".as_slice(), &self.clear()].concat()
    }

    /// Shows two lines, each cut at twenty characters.
    #[must_use]
    pub fn show(self, first: &str, second: &str) -> Vec<u8> {
        let (before, between, after): (&[u8], &[u8], &[u8]) = match self {
            Self::Cd5220 => (b"\x1BQA", b"\r\x1BQB", b"\r"),
            // Column and line, both from 1.
            Self::EscPos => (b"\x1F$\x01\x01", b"\x1F$\x01\x02", b""),
        };
        [before, &line(first), between, &line(second), after].concat()
    }

    /// Shows nothing.
    #[must_use]
    pub fn clear(self) -> Vec<u8> {
        vec![0x0C]
    }
}

fn line(text: &str) -> Vec<u8> {
    let mut out = ascii(text);
    out.resize(COLUMNS, b' ');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_writes_both_lines_in_full() {
        let (first, second) = ("TOTAL       USD 2.00", "RECEIPT SIGNED      ");
        assert_eq!(
            Dialect::Cd5220.show("TOTAL       USD 2.00", "RECEIPT SIGNED"),
            format!("\x1BQA{first}\r\x1BQB{second}\r").as_bytes()
        );
        assert_eq!(
            Dialect::EscPos.show("TOTAL       USD 2.00", "RECEIPT SIGNED"),
            format!("\x1F$\x01\x01{first}\x1F$\x01\x02{second}").as_bytes()
        );
    }

    #[test]
    fn it_is_cleared_and_set_up() {
        for dialect in [Dialect::Cd5220, Dialect::EscPos] {
            assert_eq!(dialect.clear(), b"\x0C");
            assert_eq!(dialect.start(), b"\x1B@\x0C");
        }
    }

    #[test]
    fn text_is_ascii_of_twenty_characters_and_no_command() {
        let shown = Dialect::Cd5220.show("Crème brûlée \x1B@ – large portion", "東\r\x0C");
        assert_eq!(
            shown,
            b"\x1BQACreme brulee ?@ - la\r\x1BQB? ?                 \r"
        );
    }
}
