//! What the agent needs of a store, and of the way to HQ.

use std::future::Future;

use sync_wire::chain::ChainHash;
use sync_wire::command::Command;
use sync_wire::exchange::{Down, Fork, Up};
use sync_wire::state::{StoreState, Wanted};
use uuid::Uuid;

/// How far the store is with HQ, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The series that its lines belong to.
    pub epoch: Uuid,
    /// Where this series leaves the one before it, until HQ has acknowledged the series.
    pub fork: Option<Fork>,
    /// The last line that HQ has acknowledged.
    pub acked: i64,
    /// The hash over all lines up to it.
    pub hash: ChainHash,
    /// The last command that was kept.
    pub commands_seen: i64,
    /// At most so many bytes a second go up.
    pub bytes_per_second: Option<u32>,
}

/// A line of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of its event.
    pub seq: i64,
    /// The line, without its end.
    pub bytes: Vec<u8>,
}

/// The store did not do what was asked; nothing was changed. A sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A store that sends its outbox. Each call is one transaction, or reads one snapshot.
pub trait Store: Send + Sync {
    /// How far it is with HQ; none: it has not joined, or has left.
    fn position(&self) -> impl Future<Output = Result<Option<Position>, StoreError>> + Send;

    /// Lines after a number, in order, so many and so many bytes at most; but one, where there is any.
    fn lines(
        &self,
        after: i64,
        max_entries: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Line>, StoreError>> + Send;

    /// The hash over all own lines up to the line `at`, walked from a line before it whose hash is known. None: there
    /// is no such line.
    fn hash_at(
        &self,
        from: i64,
        from_hash: ChainHash,
        at: i64,
    ) -> impl Future<Output = Result<Option<ChainHash>, StoreError>> + Send;

    /// HQ has the series up to a line.
    fn acknowledge(
        &self,
        epoch: Uuid,
        acked: i64,
        hash: ChainHash,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Begins a new series that goes on from the last acknowledged line. It leaves the series in use, or, where HQ has
    /// not acknowledged that one yet, the one that it leaves.
    fn fork(&self, reason: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps commands for good; those that are kept already change nothing.
    fn keep(&self, commands: Vec<Command>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts what HQ wants into effect. It comes with every answer: the store knows what is news to it.
    fn apply(&self, wanted: Wanted) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How the store is.
    fn state(&self) -> impl Future<Output = Result<StoreState, StoreError>> + Send;

    /// Resolves once there is a line after this one; false: the store has ended.
    fn beyond(&self, seq: i64) -> impl Future<Output = bool> + Send;
}

/// HQ's answer to a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchanged {
    /// The answer.
    pub down: Down,
    /// So many bytes went up.
    pub sent: usize,
}

/// Why there was no answer. The text says what to do, where a person can do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// HQ was not reached, or is out of order. It may have taken the batch.
    #[error("{0}")]
    Away(String),
    /// HQ was too slow for so much. It may have taken the batch.
    #[error("{0}")]
    Slow(String),
    /// HQ answers, and will not have this.
    #[error("{0}")]
    Refused(String),
}

/// The way to HQ.
pub trait Link: Send + Sync {
    /// One exchange. An error leaves open what HQ has done.
    fn exchange(
        &self,
        up: &Up,
        lines: &[Line],
    ) -> impl Future<Output = Result<Exchanged, LinkError>> + Send;
}
