//! Frames of ISL, "P" and "X": checked, cut open, and put together.

const PREAMBLE: u8 = 0x01;
const SEPARATOR: u8 = 0x04;
const POSTAMBLE: u8 = 0x05;
const TERMINATOR: u8 = 0x03;
const ESCAPE: u8 = 0x10;
/// A frame was broken.
pub(super) const NAK: u8 = 0x15;
/// We are busy.
pub(super) const SYN: u8 = 0x16;
/// Most bytes of data in a reply of a "P" frame, whose length is one byte.
const MAX_DATA_P: usize = 0xFF - 0x2B;
/// Most bytes of data in a reply of an "X" frame.
const MAX_DATA_X: usize = 480;

/// Which kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// One byte of length and command, six of status.
    P,
    /// Four bytes of length and command, eight of status.
    X,
}

/// A command as it came, data without escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub variant: Variant,
    /// Its number, copied into the reply.
    pub seq: u8,
    /// The command.
    pub command: u8,
    /// Its data.
    pub data: Vec<u8>,
}

impl Frame {
    /// Opens a frame from 01 to 03; `None` if it is broken.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&last, inner) = bytes.strip_prefix(&[PREAMBLE])?.split_last()?;
        if last != TERMINATOR || inner.len() < 8 {
            return None;
        }
        let (body, sent) = inner.split_at_checked(inner.len().checked_sub(4)?)?;
        if body.last() != Some(&POSTAMBLE) || sent != check(body) {
            return None;
        }
        // X first: what reads as X could also read as P, but never the other way round with a command of
        // one byte.
        Self::decode_x(body).or_else(|| Self::decode_p(body))
    }

    fn decode_p(body: &[u8]) -> Option<Self> {
        let (&length, rest) = body.split_first()?;
        if usize::from(length.checked_sub(0x20)?) != body.len() {
            return None;
        }
        let (head, data) = rest.split_at_checked(2)?;
        let [seq, command] = <[u8; 2]>::try_from(head).ok()?;
        Self::new(Variant::P, seq, command, data)
    }

    fn decode_x(body: &[u8]) -> Option<Self> {
        let length = usize::from(number(body.get(..4)?)?);
        if length.checked_sub(0x20)? != body.len() {
            return None;
        }
        let seq = *body.get(4)?;
        let command = u8::try_from(number(body.get(5..9)?)?).ok()?;
        Self::new(Variant::X, seq, command, body.get(9..)?)
    }

    fn new(variant: Variant, seq: u8, command: u8, data: &[u8]) -> Option<Self> {
        if seq < 0x20 {
            return None;
        }
        let data = unescape(data.split_last()?.1)?;
        Some(Self {
            variant,
            seq,
            command,
            data,
        })
    }

    /// The reply to it. Data that does not fit is cut.
    #[must_use]
    pub fn reply(&self, data: &[u8], status: &[u8]) -> Vec<u8> {
        let most = match self.variant {
            Variant::P => MAX_DATA_P,
            Variant::X => MAX_DATA_X,
        };
        let data = escape(data, most);
        let head = match self.variant {
            Variant::P => vec![self.seq, self.command],
            Variant::X => [&[self.seq][..], &nibbles(u16::from(self.command))].concat(),
        };
        let rest = [&head[..], &data, &[SEPARATOR], status, &[POSTAMBLE]].concat();
        let body = match self.variant {
            Variant::P => [&length(rest.len() + 1).to_be_bytes()[1..], &rest].concat(),
            Variant::X => [&nibbles(length(rest.len() + 4))[..], &rest].concat(),
        };
        [&[PREAMBLE][..], &body, &check(&body), &[TERMINATOR]].concat()
    }
}

fn length(count: usize) -> u16 {
    u16::try_from(count + 0x20).unwrap_or(u16::MAX)
}

/// Sum of the bytes, as four nibbles.
fn check(body: &[u8]) -> [u8; 4] {
    let add = |sum: u16, byte: &u8| sum.wrapping_add(u16::from(*byte));
    nibbles(body.iter().fold(0, add))
}

fn nibbles(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [high >> 4, high & 15, low >> 4, low & 15].map(|nibble| nibble + 0x30)
}

fn number(nibbles: &[u8]) -> Option<u16> {
    nibbles.iter().try_fold(0_u16, |number, byte| match byte {
        0x30..=0x3F => Some(number << 4 | u16::from(byte - 0x30)),
        _ => None,
    })
}

/// `None` if a control byte stands there by itself: it can only have come from noise.
fn unescape(data: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(data.len());
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        match *byte {
            ESCAPE => plain.push(bytes.next()?.checked_sub(0x40)?),
            0x09 | 0x0A | 0x20.. => plain.push(*byte),
            _ => return None,
        }
    }
    Some(plain)
}

fn escape(data: &[u8], most: usize) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(data.len());
    for byte in data {
        let bytes: &[u8] = match *byte {
            0x09 | 0x0A | 0x20.. => &[*byte],
            control => &[ESCAPE, control + 0x40],
        };
        if escaped.len() + bytes.len() > most {
            break;
        }
        escaped.extend_from_slice(bytes);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_escaped_both_ways() {
        let plain = [0x00, 0x1F, b'A', 0x09, 0x0A, 0x10, 0xFF];
        let wire = [0x10, 0x40, 0x10, 0x5F, b'A', 0x09, 0x0A, 0x10, 0x50, 0xFF];
        assert_eq!(escape(&plain, 99), wire);
        assert_eq!(unescape(&wire), Some(plain.to_vec()));
        assert_eq!(unescape(&[0x10]), None);
        assert_eq!(unescape(&[0x01]), None);
        assert_eq!(escape(&[0x01, 0x01], 3), [0x10, 0x41]);
    }

    #[test]
    fn the_sum_of_the_makers_example() {
        assert_eq!(nibbles(0x1AE3), [0x31, 0x3A, 0x3E, 0x33]);
        assert_eq!(number(&[0x31, 0x3A, 0x3E, 0x33]), Some(0x1AE3));
    }
}
