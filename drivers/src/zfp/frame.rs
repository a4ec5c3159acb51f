//! Frames of ZFP: checked, cut open, and put together.

pub(super) const STX: u8 = 0x02;
pub(super) const ACK: u8 = 0x06;
pub(super) const END: u8 = 0x0A;
/// A frame was broken.
pub(super) const NACK: u8 = 0x15;
/// We are busy; the same frame may come again.
pub(super) const RETRY: u8 = 0x0E;
/// "Are you on?", answered by itself.
pub(super) const HELLO: u8 = 0x04;
/// "Are you ready?"
pub(super) const PING: u8 = 0x09;
/// The answer to it, without a trouble's bit.
pub(super) const READY: u8 = 0x40;
/// Most bytes of data in an answer: the length is one byte.
const MAX_DATA: usize = 0xFF - 0x23;

/// A command as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number, copied into the reply.
    pub number: u8,
    /// The command.
    pub command: u8,
    /// Its data.
    pub data: Vec<u8>,
}

impl Frame {
    /// Opens a frame from 02 to 0A; `None` if it is broken.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&last, inner) = bytes.strip_prefix(&[STX])?.split_last()?;
        let (body, sent) = inner.split_at_checked(inner.len().checked_sub(2)?)?;
        if last != END || sent != check(body) {
            return None;
        }
        let (&length, rest) = body.split_first()?;
        let (head, data) = rest.split_at_checked(2)?;
        let [number, command] = <[u8; 2]>::try_from(head).ok()?;
        let right = usize::from(length.checked_sub(0x20)?) == body.len();
        (right && (0x20..=0x9F).contains(&number)).then(|| Self {
            number,
            command,
            data: data.to_vec(),
        })
    }

    /// An answer with data. Data that does not fit is cut; an end of frame in it becomes a space.
    #[must_use]
    pub fn answer(&self, data: &[u8]) -> Vec<u8> {
        let data = data.get(..MAX_DATA).unwrap_or(data);
        let plain = |byte: &u8| if *byte == END { b' ' } else { *byte };
        let data: Vec<u8> = data.iter().map(plain).collect();
        let length = u8::try_from(data.len() + 0x23).unwrap_or(u8::MAX);
        let body = [&[length, self.number, self.command], &data[..]].concat();
        [&[STX][..], &body, &check(&body), &[END]].concat()
    }

    /// Done, or why not: the printer's trouble and the command's.
    #[must_use]
    pub fn acknowledge(&self, printer: u8, command: u8) -> Vec<u8> {
        let body = [self.number, printer, command];
        [&[ACK][..], &body, &check(&body), &[END]].concat()
    }
}

/// XOR of the bytes, as two nibbles.
fn check(body: &[u8]) -> [u8; 2] {
    let xor = body.iter().fold(0, |xor, byte| xor ^ byte);
    [xor >> 4, xor & 15].map(|nibble| nibble + 0x30)
}

/// How many bytes a frame that begins so has, once its length has come.
pub(super) fn whole_length(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(*bytes.get(1)?);
    Some(length.saturating_sub(0x20) + 4)
}
