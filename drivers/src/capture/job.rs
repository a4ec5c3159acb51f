//! What a POS sent to be printed on one piece of paper.

use std::ops::Range;

use crate::capture::token::{DLE, tokens};

/// Why a job is taken to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The paper was to be cut (GS V, ESC i, ESC m).
    Cut,
    /// Form feed.
    FormFeed,
    /// The POS closed the connection.
    Closed,
    /// Nothing came for a while.
    Idle,
    /// The file ended in which it was dropped.
    File,
}

/// One job of a POS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedJob {
    /// Its number in this connection, from 1 on: what [`super::session::Session::settled`] wants to know.
    pub number: u64,
    /// All bytes as they came; this is what is kept as evidence.
    pub bytes: Vec<u8>,
    /// The pieces of `bytes`, in order, that are done with and must not go to the printer: questions that were
    /// answered, drawer pulses that were sent or refused.
    pub taken: Vec<Range<usize>>,
    /// Bytes beyond the room that were dropped. Other than 0: not to be read, not to be printed.
    pub lost: u64,
    /// Why it ended.
    pub ended_by: EndedBy,
}

impl CapturedJob {
    /// The bytes for the printer: all but what is done with. A stray DLE, which prints nothing, is left out
    /// where what comes together would make it the beginning of a real-time command.
    #[must_use]
    pub fn for_printer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut taken = self.taken.iter().peekable();
        // Stray DLEs at the end of `out`; the same byte inside a picture or a code belongs to that.
        let mut stray = 0;
        let mut is_seam = false;
        for token in tokens(&self.bytes) {
            while taken.next_if(|range| range.end <= token.at).is_some() {}
            if taken.peek().is_some_and(|range| range.contains(&token.at)) {
                is_seam = true;
                continue;
            }
            if is_seam && matches!(token.bytes, [0x04 | 0x05 | 0x14, ..]) {
                out.truncate(out.len() - stray);
            }
            is_seam = false;
            stray = if token.bytes == [DLE] { stray + 1 } else { 0 };
            out.extend_from_slice(token.bytes);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands before and behind an answered question does not become a command that nobody sent.
    #[test]
    fn pieces_do_not_run_together() {
        let mut job = CapturedJob {
            number: 1,
            bytes: b"A\x10\x10\x1da\xff\x10\x1dr\x01\x14\x01\x00B\x10".to_vec(),
            taken: vec![3..6, 7..10],
            lost: 0,
            ended_by: EndedBy::Closed,
        };
        assert_eq!(job.for_printer(), b"A\x14\x01\x00B\x10");
        job.bytes = b"A\x10\x1da\xffB".to_vec();
        job.taken = std::iter::once(2..5).collect();
        assert_eq!(job.for_printer(), b"A\x10B");
    }

    /// A DLE at the end of a picture is the picture's, whatever comes together behind it.
    #[test]
    fn pictures_keep_their_bytes() {
        let picture = b"\x1dv0\0\x01\0\x03\0\x10\x10\x10";
        let job = CapturedJob {
            number: 1,
            bytes: [&picture[..], b"\x10\x1da\xff\x04\x01"].concat(),
            taken: std::iter::once(12..15).collect(),
            lost: 0,
            ended_by: EndedBy::Closed,
        };
        assert_eq!(job.for_printer(), [&picture[..], b"\x04\x01"].concat());
    }
}
