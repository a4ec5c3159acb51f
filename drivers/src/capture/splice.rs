//! The fiscal block goes between a receipt's last line and its cut.
//!
//! The POS' bytes stay as they are. Before the block the modes that the POS may have left on are switched off
//! one by one; a full reset would drop the code page that the POS counts on for its next receipt.

use crate::capture::token::{ESC, FS, GS, Kind, Token, selects_printer, tokens};

/// Alignment, bold, size, reverse, underline, upside-down and left margin off.
pub const MODES_OFF: [u8; 22] = [
    ESC, b'a', 0, ESC, b'E', 0, GS, b'!', 0, GS, b'B', 0, ESC, b'-', 0, ESC, b'{', 0, GS, b'L', 0,
    0,
];

/// A job with a block in it: the job up to its trailing feeds, cut and drawer pulse, all modes off, the block,
/// and what trailed. A last line that was not ended is ended; a command that was cut off in the middle is left
/// out, for it would swallow the block.
#[must_use]
pub fn splice(job: &[u8], block: &[u8]) -> Vec<u8> {
    let (before, after) = parts(job);
    [&before, MODES_OFF.as_slice(), block, &after].concat()
}

/// The two parts of a job between which a block goes: up to the end of its last line, and what trails. Whoever
/// puts the block there switches the modes off first.
#[must_use]
pub fn parts(job: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let seam = Seam::of(job);
    let mut before = job.get(..seam.at).unwrap_or_default().to_vec();
    if seam.open {
        before.push(b'\n');
    }
    let after = job.get(seam.at..seam.end).unwrap_or_default().to_vec();
    (before, after)
}

/// Where a block goes.
#[derive(Debug, Clone, Copy, Default)]
struct Seam {
    /// After the last line.
    at: usize,
    /// The end of the last whole command.
    end: usize,
    /// The last line is not ended before the seam.
    open: bool,
}

impl Seam {
    fn of(job: &[u8]) -> Self {
        let mut seam = Self::default();
        let mut waits = false;
        let mut page_mode = false;
        let mut elsewhere = false;
        for token in tokens(job).filter(|token| token.whole) {
            seam.end = token.at + token.bytes.len();
            elsewhere = selects_printer(token.bytes).map_or(elsewhere, |selected| !selected);
            if elsewhere {
                continue;
            }
            match *token.bytes {
                [ESC, b'L'] => page_mode = true,
                [ESC, b'S' | b'@'] => page_mode = false,
                _ => {}
            }
            let page_ends = page_mode && token.kind == Kind::Control(0x0C);
            let line_ends = waits && token.kind == Kind::Control(b'\n');
            if page_ends || line_ends || marks_at_once(&token) {
                (seam.at, seam.open, waits) = (seam.end, false, false);
            } else if marks_the_line(&token) {
                (seam.at, seam.open, waits) = (seam.end, true, true);
            } else if moves(token.bytes) {
                // A feed ends the line too, but belongs below the block.
                waits = false;
            }
            page_mode &= !page_ends;
        }
        seam
    }
}

/// Prints by itself: pictures, codes, images.
fn marks_at_once(token: &Token<'_>) -> bool {
    matches!(
        *token.bytes,
        [GS, b'v' | b'k' | b'/' | b'Q', ..]
            | [GS, b'(', b'k', _, _, _, 81, ..]
            | [GS, b'(', b'L', _, _, 48, 2 | 50, ..]
            | [FS, b'p', ..]
    )
}

/// Waits in the line until it is ended.
fn marks_the_line(token: &Token<'_>) -> bool {
    let text = token.kind == Kind::Text && token.bytes.iter().any(|byte| *byte != b' ');
    text || matches!(*token.bytes, [ESC, b'*', ..])
}

/// Ends a line by feeding or cutting.
fn moves(command: &[u8]) -> bool {
    matches!(
        *command,
        [ESC, b'd' | b'J' | b'i' | b'm' | b'e' | b'K', ..] | [GS, b'V', ..] | [0x0C]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced(job: &[u8]) -> Vec<u8> {
        splice(job, b"[F]\n")
    }

    fn with(before: &[u8], after: &[u8]) -> Vec<u8> {
        [before, &MODES_OFF, b"[F]\n", after].concat()
    }

    /// The bytes are those of the manual's list, and no reset is among them.
    #[test]
    fn modes_off() {
        assert_eq!(
            MODES_OFF[..12],
            [0x1B, 0x61, 0, 0x1B, 0x45, 0, 0x1D, 0x21, 0, 0x1D, 0x42, 0]
        );
        assert_eq!(
            MODES_OFF[12..],
            [0x1B, 0x2D, 0, 0x1B, 0x7B, 0, 0x1D, 0x4C, 0, 0]
        );
    }

    /// The block stands above the feeds, the pulse and the cut, whatever the order.
    #[test]
    fn the_block_stands_before_the_cut() {
        for tail in [
            &b"\n\n\n\x1dV\0"[..],
            b"\x1bd\x05\x1bp\0\x32\xfa\x1dVB\0",
            b"\x1ba\0  \n\x1bi",
            b"\r\x0c",
            b"",
        ] {
            let job = [b"\x1ba\x01Bye\n", tail].concat();
            assert_eq!(spliced(&job), with(b"\x1ba\x01Bye\n", tail));
        }
    }

    /// A line that only the feed would end is ended; a feed in the middle is no tail.
    #[test]
    fn a_line_that_was_not_ended() {
        assert_eq!(
            spliced(b"A\x1bd\x02Bye\x1bd\x05\x1bm"),
            with(b"A\x1bd\x02Bye\n", b"\x1bd\x05\x1bm")
        );
        assert_eq!(spliced(b"Bye"), with(b"Bye\n", b""));
        assert_eq!(spliced(b"Bye\r\n"), with(b"Bye\r\n", b""));
    }

    /// What goes to a customer display behind the printer is no last line.
    #[test]
    fn a_display_behind_the_printer() {
        let display = b"\x1b=\x02THANK YOU\x1b=\x01";
        let tail = [&b"\n"[..], display, b"\x1dV\0"].concat();
        let job = [b"Bye\n", tail.as_slice()].concat();
        assert_eq!(spliced(&job), with(b"Bye\n", &tail));
    }

    /// A picture or a code at the end is above the block; half a command at the end is gone.
    #[test]
    fn pictures_and_halves() {
        let logo = b"\x1dv0\0\x01\0\x02\0\x0a\x0a";
        let code = b"\x1d(k\x03\0\x31\x51\x30";
        for last in [&logo[..], code] {
            let job = [b"Bye\n", last, b"\n\x1dV\0"].concat();
            assert_eq!(
                spliced(&job),
                with(&[b"Bye\n", last].concat(), b"\n\x1dV\0")
            );
        }
        assert_eq!(spliced(b"Bye\n\n\x1dv0\0\x30\0"), with(b"Bye\n", b"\n"));
        assert_eq!(
            spliced(b"\x1bLBye\x0c\x1dV\0"),
            with(b"\x1bLBye\x0c", b"\x1dV\0")
        );
    }
}
