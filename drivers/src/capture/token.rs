//! Where one ESC/POS command ends and the next begins.
//!
//! Pictures, barcodes and tab stops hold bytes that look like line ends and commands; so the length of every
//! command must be known before its content may be believed. The scanner takes one byte at a time, keeps only
//! the head of the command it is in, and tells at which byte a piece ends; how the stream was split on its way
//! cannot matter. Pieces laid end to end are the stream, byte for byte.

/// Escape.
pub const ESC: u8 = 0x1B;
/// Group separator.
pub const GS: u8 = 0x1D;
/// Field separator.
pub const FS: u8 = 0x1C;
/// Data link escape: real-time commands.
pub const DLE: u8 = 0x10;

/// Bytes of a command that are kept: more than any fixed command has.
const HEAD: usize = 48;
/// Longest text or list that ends with NUL (GS k, ESC D). What is longer was never meant so.
const LONGEST_LIST: u64 = 260;

/// Whether a command selects the printer (ESC =), or another device behind it: what follows then, such as the
/// text of a customer display, is not printed.
#[must_use]
pub fn selects_printer(command: &[u8]) -> Option<bool> {
    match *command {
        [ESC, b'=', n] => Some(n & 1 == 1),
        _ => None,
    }
}

/// What a piece of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Characters to print.
    Text,
    /// One control character, such as LF.
    Control(u8),
    /// A command with all that belongs to it.
    Command,
    /// A command that the printer obeys at once (DLE).
    RealTime,
}

/// What a byte did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It belongs to a piece that goes on.
    Inside,
    /// It is the last byte of a piece.
    End(Kind),
    /// A piece of this kind ended before it; the byte is to be given again.
    EndBefore(Kind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The length is not known yet.
    Head,
    /// So many bytes more.
    Bytes(u64),
    /// To the next NUL, at most so many bytes.
    Nul(u64),
    /// Character cells (ESC &): so many more, each a width and `height * width` bytes.
    Cells { left: u16, height: u8 },
    /// Pictures (FS q): so many more, each of two 16-bit sizes and its dots.
    Pictures { left: u8, size: [u8; 4], have: u8 },
}

/// Finds the ends of commands in a stream. A few dozen bytes, whatever comes.
#[derive(Debug, Clone)]
pub struct Scanner {
    head: [u8; HEAD],
    len: usize,
    rest: Rest,
    after: Rest,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            head: [0; HEAD],
            len: 0,
            rest: Rest::Head,
            after: Rest::Bytes(0),
        }
    }
}

impl Scanner {
    /// The first bytes, at most 48, of the command that just ended.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.len).unwrap_or(&self.head)
    }

    /// Takes the next byte.
    pub fn push(&mut self, byte: u8) -> Step {
        if self.rest == Rest::Bytes(0) {
            *self = Self::default();
        }
        if self.rest == Rest::Head && self.len == 0 && !matches!(byte, ESC | GS | FS | DLE) {
            self.keep(byte);
            self.rest = Rest::Bytes(0);
            return Step::End(if byte < 0x20 {
                Kind::Control(byte)
            } else {
                Kind::Text
            });
        }
        if self.head() == [DLE] && !matches!(byte, 0x04 | 0x05 | 0x14) {
            self.rest = Rest::Bytes(0);
            return Step::EndBefore(Kind::Control(DLE));
        }
        self.keep(byte);
        self.rest = match self.rest {
            Rest::Head => self.length(),
            Rest::Bytes(left) => Rest::Bytes(left.saturating_sub(1)),
            Rest::Nul(_) if byte == 0 => Rest::Bytes(0),
            Rest::Nul(left) if left <= 1 => Rest::Bytes(0),
            Rest::Nul(left) => Rest::Nul(left - 1),
            Rest::Cells { left, height } => {
                self.after = Rest::Cells {
                    left: left.saturating_sub(1),
                    height,
                };
                Rest::Bytes(u64::from(height) * u64::from(byte))
            }
            Rest::Pictures { left, size, have } => self.picture(byte, left, size, have),
        };
        if self.rest == Rest::Bytes(0) {
            self.rest = match self.after {
                Rest::Cells { left: 0, .. } | Rest::Pictures { left: 0, .. } => Rest::Bytes(0),
                more => more,
            };
            self.after = match self.rest {
                Rest::Bytes(_) => Rest::Bytes(0),
                more => more,
            };
        }
        if self.rest == Rest::Bytes(0) {
            Step::End(self.kind())
        } else {
            Step::Inside
        }
    }

    /// Whether a command has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.len > 0 && self.rest != Rest::Bytes(0)
    }

    fn kind(&self) -> Kind {
        if self.head().first() == Some(&DLE) {
            Kind::RealTime
        } else {
            Kind::Command
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.head.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn picture(&mut self, byte: u8, left: u8, mut size: [u8; 4], have: u8) -> Rest {
        if let Some(place) = size.get_mut(usize::from(have)) {
            *place = byte;
        }
        if have < 3 {
            let more = Rest::Pictures {
                left,
                size,
                have: have + 1,
            };
            self.after = more;
            return more;
        }
        let [xl, xh, yl, yh] = size;
        self.after = Rest::Pictures {
            left: left.saturating_sub(1),
            size: [0; 4],
            have: 0,
        };
        Rest::Bytes(word(xl, xh) * word(yl, yh) * 8)
    }

    /// How much is still to come, judged from the head alone.
    fn length(&mut self) -> Rest {
        let head = self.head();
        let have = u64::try_from(head.len()).unwrap_or(u64::MAX);
        let rest = match *head {
            [ESC, ref args @ ..] => escape(args),
            [GS, ref args @ ..] => group(args),
            [FS, ref args @ ..] => field(args),
            [DLE, ref args @ ..] => real_time(args),
            _ => Size::All(1),
        };
        match rest {
            Size::Unknown => Rest::Head,
            Size::All(size) => Rest::Bytes(size.saturating_sub(have)),
            Size::Nul => Rest::Nul(LONGEST_LIST),
            Size::Cells { left, height } => {
                self.after = Rest::Cells { left, height };
                Rest::Bytes(0)
            }
            Size::Pictures(left) => {
                self.after = Rest::Pictures {
                    left,
                    size: [0; 4],
                    have: 0,
                };
                Rest::Bytes(0)
            }
        }
    }
}

/// The length of a command, the lead byte counted.
enum Size {
    /// More of it must be seen.
    Unknown,
    /// So many bytes in all.
    All(u64),
    /// To the next NUL.
    Nul,
    /// Character cells follow (ESC &).
    Cells { left: u16, height: u8 },
    /// Pictures follow (FS q).
    Pictures(u8),
}

fn word(low: u8, high: u8) -> u64 {
    u64::from(u16::from_le_bytes([low, high]))
}

fn escape(args: &[u8]) -> Size {
    match *args {
        [] => Size::Unknown,
        [
            b'@' | b'2' | b'i' | b'm' | b'L' | b'S' | b'<' | b'v' | 0x0C,
            ..,
        ] => Size::All(2),
        [b'$' | b'\\' | b'c' | b'B', ..] => Size::All(4),
        [b'p', ..] => Size::All(5),
        [b'W', ..] => Size::All(10),
        [b'D', ..] => Size::Nul,
        [b'*', mode, low, high, ..] => {
            let columns = word(low, high);
            Size::All(5 + columns * if matches!(mode, 32 | 33) { 3 } else { 1 })
        }
        [b'(', _, low, high, ..] => Size::All(5 + word(low, high)),
        [b'&', height, first, last, ..] => Size::Cells {
            left: (u16::from(last) + 1).saturating_sub(u16::from(first)),
            height,
        },
        [b'*' | b'(' | b'&', ..] => Size::Unknown,
        _ => Size::All(3),
    }
}

fn group(args: &[u8]) -> Size {
    match *args {
        [] => Size::Unknown,
        [b':' | b'c', ..] => Size::All(2),
        [b'L' | b'W' | b'$' | b'\\' | b'P', ..] => Size::All(4),
        [b'^', ..] => Size::All(5),
        [b'V', 65 | 66 | 97 | 98 | 103 | 104, ..] => Size::All(4),
        [b'k', 0..=6, ..] => Size::Nul,
        [b'k', 65..=79, n, ..] => Size::All(4 + u64::from(n)),
        [b'k', 65..=79] => Size::Unknown,
        [b'v' | b'Q', _, _, xl, xh, yl, yh, ..] => Size::All(8 + word(xl, xh) * word(yl, yh)),
        [b'(', _, low, high, ..] => Size::All(5 + word(low, high)),
        [b'8', _, a, b, c, d, ..] => Size::All(7 + u64::from(u32::from_le_bytes([a, b, c, d]))),
        [b'*', x, y, ..] => Size::All(4 + u64::from(x) * u64::from(y) * 8),
        [b'C', b'1', ..] => Size::All(9),
        [b'C', b'0' | b'2', ..] => Size::All(5),
        [b'g', ..] => Size::All(6),
        [b'V' | b'k' | b'v' | b'Q' | b'(' | b'8' | b'*' | b'C'] => Size::Unknown,
        [b'v' | b'Q' | b'(' | b'8' | b'*', ..] => Size::Unknown,
        _ => Size::All(3),
    }
}

fn field(args: &[u8]) -> Size {
    match *args {
        [] => Size::Unknown,
        [b'.' | b'&', ..] => Size::All(2),
        [b'p' | b'S' | b'?', ..] => Size::All(4),
        [b'2', ..] => Size::All(76),
        [b'q', n, ..] => Size::Pictures(n),
        [b'(', _, low, high, ..] => Size::All(5 + word(low, high)),
        [b'g', b'1', _, _, _, _, _, low, high, ..] => Size::All(10 + word(low, high)),
        [b'g', b'2', ..] => Size::All(10),
        [b'(' | b'q' | b'g', ..] if args.len() < 9 => Size::Unknown,
        _ => Size::All(3),
    }
}

fn real_time(args: &[u8]) -> Size {
    match *args {
        [] | [0x04 | 0x14] => Size::Unknown,
        [0x04, 7 | 8 | 18, ..] => Size::All(4),
        [0x14, 1 | 2, ..] => Size::All(5),
        [0x14, 3, ..] => Size::All(8),
        [0x14, 7, ..] => Size::All(4),
        [0x14, 8, ..] => Size::All(10),
        _ => Size::All(3),
    }
}

/// A piece of a stream that is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is; characters that follow each other are one piece.
    pub kind: Kind,
    /// Where it begins in the stream.
    pub at: usize,
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Whether it came to its end; only the last may not.
    pub whole: bool,
}

/// The pieces of a stream that is at hand.
#[must_use]
pub fn tokens(bytes: &[u8]) -> Tokens<'_> {
    Tokens { bytes, at: 0 }
}

/// See [`tokens`].
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let text = rest.iter().take_while(|b| **b >= 0x20).count();
        let (kind, len, whole) = if text > 0 {
            (Kind::Text, text, true)
        } else {
            let mut scanner = Scanner::default();
            rest.iter()
                .enumerate()
                .find_map(|(n, byte)| match scanner.push(*byte) {
                    Step::Inside => None,
                    Step::End(kind) => Some((kind, n + 1, true)),
                    Step::EndBefore(kind) => Some((kind, n, true)),
                })
                .unwrap_or((scanner.kind(), rest.len(), false))
        };
        self.at += len;
        Some(Token {
            kind,
            at: start,
            bytes: rest.get(..len)?,
            whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<usize> {
        let pieces: Vec<Token<'_>> = tokens(bytes).collect();
        assert!(pieces.iter().all(|p| p.whole), "{pieces:?}");
        pieces.iter().map(|p| p.bytes.len()).collect()
    }

    /// Each command, followed by a letter, is as long as the manuals say: the letter stays text.
    #[test]
    fn commands_have_their_lengths() {
        let mut user = vec![ESC, b'&', 3, 65, 66, 2];
        user.extend([9; 6]);
        user.push(1);
        user.extend([9; 3]);
        let mut stored = vec![FS, b'q', 2, 1, 0, 1, 0];
        stored.extend([7; 8]);
        stored.extend([1, 0, 2, 0]);
        stored.extend([7; 16]);
        let cases: Vec<Vec<u8>> = vec![
            vec![ESC, b'@'],
            vec![ESC, b'a', 1],
            vec![ESC, b'*', 0, 3, 0, 10, 27, 4],
            vec![ESC, b'*', 33, 2, 0, 1, 2, 3, 4, 5, 6],
            vec![GS, b'v', b'0', 0, 2, 0, 2, 0, 10, 4, 1, 27],
            vec![GS, b'(', b'k', 3, 0, 49, 81, 48],
            vec![GS, b'8', b'L', 2, 0, 0, 0, 48, 50],
            vec![GS, b'k', 4, b'A', b'B', 0],
            vec![GS, b'k', 73, 3, 1, 0, 2],
            vec![ESC, b'D', 8, 16, 0],
            vec![ESC, b'p', 0, 50, 250],
            vec![ESC, b'$', 10, 1],
            vec![ESC, b'\\', 10, 1],
            vec![GS, b'L', 10, 1],
            vec![GS, b'V', 0],
            vec![GS, b'V', 66, 0],
            vec![FS, b'.'],
            vec![FS, b'p', 1, 0],
            vec![FS, b'(', b'A', 2, 0, 48, 0],
            vec![ESC, b'c', 5, 1],
            user,
            stored,
        ];
        for case in cases {
            let mut bytes = case.clone();
            bytes.push(b'x');
            assert_eq!(pieces(&bytes), vec![case.len(), 1], "{case:02X?}");
        }
    }

    /// Real-time commands are told from commands of the stream; a stray DLE eats nothing.
    #[test]
    fn real_time_commands() {
        let kinds = |bytes: &[u8]| {
            tokens(bytes)
                .map(|t| (t.kind, t.bytes.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(&[0x10, 4, 1, 0x10, 5, 2, 0x10, 0x14, 1, 0, 3, b'a']),
            vec![
                (Kind::RealTime, 3),
                (Kind::RealTime, 3),
                (Kind::RealTime, 5),
                (Kind::Text, 1)
            ]
        );
        assert_eq!(
            kinds(&[0x10, 10, 0x10, 27, b'@']),
            vec![
                (Kind::Control(0x10), 1),
                (Kind::Control(10), 1),
                (Kind::Control(0x10), 1),
                (Kind::Command, 2)
            ]
        );
    }

    /// A command that never ends takes no memory.
    #[test]
    fn a_picture_of_gigabytes_is_only_counted() {
        let mut scanner = Scanner::default();
        for byte in [GS, b'8', b'L', 255, 255, 255, 255] {
            assert_eq!(scanner.push(byte), Step::Inside);
        }
        for n in 0..100_000_u32 {
            assert_eq!(scanner.push(n.to_le_bytes()[0]), Step::Inside);
        }
        assert!(scanner.is_inside());
        assert_eq!(scanner.head().len(), HEAD);
    }
}
