//! Cuts a stream of bytes into commands, by their lengths, as the printer's reader does.

use crate::setup::{Dialect, PrinterSetup};

pub(crate) const DLE: u8 = 0x10;
pub(crate) const ESC: u8 = 0x1B;
pub(crate) const FS: u8 = 0x1C;
pub(crate) const GS: u8 = 0x1D;
pub(crate) const EOT: u8 = 0x04;
pub(crate) const ENQ: u8 = 0x05;
pub(crate) const DC4: u8 = 0x14;

/// What the reader must know of its printer: which commands it does not know.
#[derive(Debug, Clone, Copy)]
struct Knows {
    clone: bool,
    native_qr: bool,
    raster: bool,
}

/// Collects bytes until they are a whole command.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pending: Vec<u8>,
    knows: Knows,
}

/// How long a command is, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    NotYet,
    Is(usize),
    /// It ends with the first zero at or behind this place.
    ToZero(usize),
}

impl Reader {
    pub(crate) fn new(setup: &PrinterSetup) -> Self {
        Self {
            pending: Vec::new(),
            knows: Knows {
                clone: setup.dialect == Dialect::Clone,
                native_qr: setup.native_qr,
                raster: setup.raster,
            },
        }
    }

    /// Whether it is amid a real-time command that stands where a command may begin.
    pub(crate) fn is_in_real_time(&self) -> bool {
        self.pending.first() == Some(&DLE)
    }

    /// Whether the next byte may begin a command.
    pub(crate) fn is_between_commands(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// One more byte: gives the command that it completes. A single byte that begins no command is one.
    pub(crate) fn feed(&mut self, byte: u8) -> Option<Vec<u8>> {
        if self.pending == [DLE] && !matches!(byte, EOT | ENQ | DC4) {
            self.pending.clear();
        }
        self.pending.push(byte);
        let length = self.pending.len();
        let whole = match self.knows.length(&self.pending) {
            Length::NotYet => false,
            Length::Is(wanted) => length >= wanted,
            Length::ToZero(from) => length > from && byte == 0,
        };
        whole.then(|| std::mem::take(&mut self.pending))
    }
}

impl Knows {
    fn length(self, bytes: &[u8]) -> Length {
        match bytes {
            [ESC | GS | FS | DLE] => Length::NotYet,
            [ESC, rest @ ..] => self.escape(rest),
            [GS, rest @ ..] => self.group(rest),
            [FS, rest @ ..] => self.file(rest),
            [DLE, rest @ ..] => real_time(rest),
            _ => Length::Is(1),
        }
    }

    /// What follows a command that this printer does not know: its one parameter is skipped or printed.
    fn unknown(self) -> Length {
        Length::Is(if self.clone { 2 } else { 3 })
    }

    fn escape(self, rest: &[u8]) -> Length {
        match *rest {
            [b'@' | b'2' | b'i' | b'm' | b'<' | b'L' | b'S' | 0x0C, ..] => Length::Is(2),
            [
                b'!' | b'-' | b'3' | b'=' | b'E' | b'G' | b'J' | b'K' | b'M' | b'R' | b'T' | b'U'
                | b'V' | b'a' | b'd' | b'e' | b'r' | b't' | b'{' | b' ' | b'%' | b'?',
                ..,
            ] => Length::Is(3),
            [b'$' | b'\\' | b'B' | b'c', ..] => Length::Is(4),
            [b'p', ..] => Length::Is(5),
            [b'W', ..] => Length::Is(10),
            [b'D', ..] => Length::ToZero(2),
            [b'*', mode, low, high, ..] => {
                let columns = usize::from(u16::from_le_bytes([low, high]));
                Length::Is(5 + columns * if mode >= 32 { 3 } else { 1 })
            }
            [b'*', ..] => Length::NotYet,
            [b'(', ..] if self.clone => Length::Is(2),
            [b'(', ref rest @ ..] => counted(rest),
            _ => self.unknown(),
        }
    }

    fn group(self, rest: &[u8]) -> Length {
        match *rest {
            [b'(', b'k', ref rest @ ..] if self.native_qr => counted_from(5, rest),
            [b'('] => Length::NotYet,
            [b'(', ..] if self.clone => Length::Is(3),
            [b'8', ..] if self.clone => Length::Is(2),
            [b'(', ref rest @ ..] => counted(rest),
            [b'8', _, a, b, c, d, ..] => {
                let length = u32::from_le_bytes([a, b, c, d]);
                Length::Is(usize::try_from(length).map_or(usize::MAX, |n| n.saturating_add(7)))
            }
            [b'8', ..] => Length::NotYet,
            [b'v', ..] if !self.raster => Length::Is(2),
            [b'v', _, _, a, b, c, d, ..] => {
                let bytes = usize::from(u16::from_le_bytes([a, b]));
                Length::Is(8 + bytes * usize::from(u16::from_le_bytes([c, d])))
            }
            [b'v', ..] => Length::NotYet,
            [b'k', 0..=6, ..] => Length::ToZero(3),
            [b'k', _, n, ..] => Length::Is(4 + usize::from(n)),
            [b'k', ..] => Length::NotYet,
            [b'V'] => Length::NotYet,
            [b'V', b'A' | b'B' | b'a' | b'b' | b'g' | b'h', ..] => Length::Is(4),
            [b'L' | b'W' | b'$' | b'\\' | b'P', ..] => Length::Is(4),
            [b'*', x, y, ..] => Length::Is(4 + usize::from(x) * usize::from(y) * 8),
            [b'*', ..] => Length::NotYet,
            [b':', ..] => Length::Is(2),
            [b'^', ..] => Length::Is(5),
            [
                b'!' | b'B' | b'H' | b'I' | b'T' | b'V' | b'a' | b'b' | b'f' | b'h' | b'r' | b'w'
                | b'/',
                ..,
            ] => Length::Is(3),
            _ => self.unknown(),
        }
    }

    fn file(self, rest: &[u8]) -> Length {
        match *rest {
            [b'.' | b'&', ..] => Length::Is(2),
            [b'!' | b'-' | b'C' | b'W', ..] => Length::Is(3),
            [b'p' | b'S', ..] => Length::Is(4),
            [b'(', ..] if self.clone => Length::Is(2),
            [b'(', ref rest @ ..] => counted(rest),
            _ => self.unknown(),
        }
    }
}

/// `( x pL pH` and so many bytes.
fn counted(rest: &[u8]) -> Length {
    match rest {
        [_, rest @ ..] => counted_from(5, rest),
        [] => Length::NotYet,
    }
}

fn counted_from(head: usize, rest: &[u8]) -> Length {
    match *rest {
        [low, high, ..] => Length::Is(head + usize::from(u16::from_le_bytes([low, high]))),
        _ => Length::NotYet,
    }
}

fn real_time(rest: &[u8]) -> Length {
    match *rest {
        [EOT, 7 | 8, ..] => Length::Is(4),
        [EOT | ENQ, ..] => Length::Is(3),
        [DC4, 1 | 2, ..] => Length::Is(5),
        [DC4, 8, ..] => Length::Is(10),
        [DC4] => Length::NotYet,
        [DC4, ..] => Length::Is(3),
        _ => Length::Is(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(setup: &PrinterSetup, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = Reader::new(setup);
        bytes.iter().filter_map(|byte| reader.feed(*byte)).collect()
    }

    #[test]
    fn a_command_ends_where_its_parameters_end() {
        let setup = PrinterSetup::epson_80();
        let whole: &[&[u8]] = &[
            b"\x1b@",
            b"\x1bE\x01",
            b"\x1b*\x00\x02\x00ab",
            b"\x1b*\x21\x01\x00abc",
            b"\x1d(H\x06\x0000abcd",
            b"\x1dv0\x00\x01\x00\x02\x00\x10\x04",
            b"\x1d8L\x02\x00\x00\x0002",
            b"\x1dk\x04123\x00",
            b"\x1dkI\x03abc",
            b"\x1bD\x08\x10\x00",
            b"\x1bp\x00\x32\x32",
            b"\x1dV\x00",
            b"\x1dVB\x00",
            b"\x10\x04\x01",
            b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08",
            b"\x1c.",
            b"\x1cp\x01\x00",
            b"A",
        ];
        assert_eq!(tokens(&setup, &whole.concat()), whole);
    }

    #[test]
    fn a_clone_takes_what_it_does_not_know_as_text() {
        let read = tokens(&PrinterSetup::clone_80(), b"\x1d(H\x06\x0000ab");
        assert_eq!(read.first().map(Vec::as_slice), Some(&b"\x1d(H"[..]));
        assert_eq!(read[1..].concat(), b"\x06\x0000ab");
    }
}
