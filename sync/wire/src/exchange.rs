//! One exchange: lines up, acknowledgement and commands down.
//!
//! The request is lines of JSON, compressed (`Content-Encoding: zstd`): first [`Up`], then the entries. HQ
//! takes a batch only if it begins where the store's past at HQ ends, by number and by hash; otherwise it takes
//! nothing and answers where that is ([`Down`] with `taken` 0). The *store* then finds out whether that is its own past:
//! if its own line at `acked` gives the same hash, an answer was lost and it goes on from there; if not, its
//! ledger was put back from a backup, and it begins a new epoch.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::chain::ChainHash;
use crate::command::Command;
use crate::state::{StoreState, Wanted};

/// The path, under HQ's address.
pub const PATH: &str = "/sync";
/// Entries in a batch at most.
pub const MAX_ENTRIES: usize = 2_000;
/// Bytes of a batch at most, before compression.
pub const MAX_BYTES: usize = 8 << 20;

/// The first line of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Up {
    /// [`crate::VERSION`]
    pub protocol: u32,
    /// The series that these lines belong to.
    pub epoch: Uuid,
    /// Where a new series leaves the one before it; sent until HQ has acknowledged the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
    /// The line before the first one of this batch; 0 at the very beginning.
    pub after: i64,
    /// The hash over all lines up to `after`.
    pub after_hash: ChainHash,
    /// So many lines follow.
    pub entries: u32,
    /// The last command that the store has kept; HQ hands down those after it.
    pub commands_seen: i64,
    /// How the store is.
    pub state: StoreState,
}

/// A new series goes on from a point of the old one that both sides have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// The old series.
    pub parent: Uuid,
    /// The last line that both have in common.
    pub at: i64,
    /// The hash over all lines up to it.
    pub hash: ChainHash,
    /// Why: a sentence for the page.
    pub reason: String,
}

/// HQ's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Down {
    /// The series that `acked` is of: HQ's newest of this store. None before the first batch.
    pub epoch: Option<Uuid>,
    /// The last line that HQ has for good.
    pub acked: i64,
    /// The hash over all lines up to it.
    pub hash: ChainHash,
    /// So many lines of this batch were taken.
    pub taken: u32,
    /// Commands that the store has not kept yet, in order.
    pub commands: Vec<Command>,
    /// What the store shall be.
    pub wanted: Wanted,
    /// HQ's clock, milliseconds since 1970.
    pub now: i64,
}
