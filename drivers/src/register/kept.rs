//! What must survive a power cut: the open receipt, the close under way, the last frame and its reply.

use serde::{Deserialize, Serialize};

use super::{Closed, OpenReceipt};

/// A frame and the reply it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The frame, as it came over the wire.
    pub frame: Vec<u8>,
    /// The reply, as it went over the wire.
    pub reply: Vec<u8>,
}

/// The state of a register between two commands. It is small: a receipt of 512 lines is some 100 KiB of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Born when this state was born, so that no key is ever used twice, not even after the state was lost.
    pub epoch: String,
    /// Commands that changed something, so far.
    pub serial: u64,
    /// The receipt that is open.
    pub receipt: Option<OpenReceipt>,
    /// The frame that asked for the close of `receipt`, from before it is signed until the outcome is known.
    pub closing: Option<Vec<u8>>,
    /// The last frame, if it changed something.
    pub last: Option<Exchange>,
    /// The receipt closed last.
    pub closed: Option<Closed>,
    /// That close came to its end after a start, or before another command: whoever asked for it may not have
    /// heard so, and is told when it asks once more.
    pub unheard: bool,
}
