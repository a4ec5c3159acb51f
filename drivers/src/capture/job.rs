//! What a POS sent to be printed on one piece of paper.

use std::ops::Range;

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
    /// The bytes for the printer: all but what is done with.
    #[must_use]
    pub fn for_printer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut from = 0;
        for range in &self.taken {
            out.extend_from_slice(self.bytes.get(from..range.start).unwrap_or_default());
            from = range.end;
        }
        out.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
        out
    }
}
