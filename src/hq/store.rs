//! The ledger as the store that the agent sends from. Everything is read through readers; nothing here holds a sale up.

use std::sync::Arc;

use sync_agent::{Line, Position, Store, StoreError};
use sync_wire::chain::ChainHash;
use sync_wire::command::Command;
use sync_wire::state::{StoreState, Wanted};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::crash::{self, Point};
use crate::ledger::hq::till_ref;
use crate::ledger::{Ledger, LedgerError};
use crate::submit::{Connection, Submitter};
use crate::time::TimeFlag;

/// The ledger, and how the tills' ways to FDMS are.
pub(super) struct LedgerStore {
    pub(super) ledger: Ledger,
    pub(super) submitter: Submitter,
    /// Rung when a command was kept.
    pub(super) bell: Arc<Notify>,
}

fn said(error: LedgerError) -> StoreError {
    StoreError(error.to_string())
}

impl Store for LedgerStore {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        let hq = self
            .ledger
            .ask(crate::ledger::Reader::hq)
            .await
            .map_err(said)?;
        Ok(hq.map(|hq| Position {
            epoch: hq.epoch,
            fork: hq.fork,
            acked: hq.acked,
            hash: hq.hash,
            commands_seen: hq.commands_seen,
            bytes_per_second: hq.wanted.bytes_per_second,
        }))
    }

    async fn lines(
        &self,
        after: i64,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let asking = self
            .ledger
            .ask(move |reader| reader.hq_lines(after, max_entries, max_bytes));
        let lines = asking.await.map_err(said)?.into_iter();
        Ok(lines
            .map(|line| Line {
                seq: line.seq,
                bytes: line.bytes,
            })
            .collect())
    }

    async fn hash_at(
        &self,
        from: i64,
        from_hash: ChainHash,
        at: i64,
    ) -> Result<Option<ChainHash>, StoreError> {
        let asking = self
            .ledger
            .ask(move |reader| reader.hq_hash_at(from, from_hash, at));
        asking.await.map_err(said)
    }

    async fn acknowledge(
        &self,
        epoch: Uuid,
        acked: i64,
        hash: ChainHash,
    ) -> Result<(), StoreError> {
        crash::at(Point::HqAnswered);
        let kept = self
            .ledger
            .write(move |core| core.hq_acknowledge(epoch, acked, hash));
        let kept = kept.await.map_err(said)?;
        crash::at(Point::HqAcknowledged);
        match kept {
            true => Ok(()),
            false => Err(StoreError(format!(
                "head office's acknowledgement up to {acked} does not fit this ledger any more; it is asked again"
            ))),
        }
    }

    async fn fork(&self, reason: &str) -> Result<(), StoreError> {
        let epoch = new_uuid()?;
        let reason = reason.to_owned();
        let forked = self.ledger.write(move |core| core.hq_fork(epoch, &reason));
        forked.await.map(|_| ()).map_err(said)
    }

    async fn keep(&self, commands: Vec<Command>) -> Result<(), StoreError> {
        let kept = self
            .ledger
            .write(move |core| core.hq_keep_commands(&commands));
        kept.await.map_err(said)?;
        crash::at(Point::HqCommanded);
        self.bell.notify_one();
        Ok(())
    }

    async fn apply(&self, wanted: Wanted) -> Result<(), StoreError> {
        let asked = wanted.clone();
        let is_news = self.ledger.ask(move |reader| reader.hq_is_news(&asked));
        if !is_news.await.map_err(said)? {
            return Ok(());
        }
        let applied = self.ledger.write(move |core| core.hq_apply(&wanted));
        applied.await.map(|_| ()).map_err(said)
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        let asking = self.ledger.ask(|reader| {
            // The tills first: what joins in between is in the next state.
            let tills = reader.tills()?;
            Ok((tills, reader.hq_store_state()?))
        });
        let (tills, mut state) = asking.await.map_err(said)?;
        let time = self.ledger.time();
        let (wall, trusted) = (time.clock().wall(), time.now());
        state.at = wall.as_millisecond();
        env!("CARGO_PKG_VERSION").clone_into(&mut state.version);
        state.fault = self.ledger.fault();
        state.settings = Some(self.ledger.settings().told());
        // FDMS's time is known as long as nobody doubts the trusted one.
        let is_known = matches!(
            time.status().flag,
            None | Some(TimeFlag::WallLeapt | TimeFlag::FdmsDiffers)
        );
        state.clock_skew_ms = is_known
            .then(|| wall.duration_since(trusted).as_millis())
            .and_then(|skew| i64::try_from(skew).ok());
        for till in &mut state.tills {
            let own = tills.iter().find(|info| till_ref(info) == till.till);
            let link = own.and_then(|info| self.submitter.state(info.id));
            till.line = match link.map(|link| link.connection) {
                Some(Connection::Online { .. }) => "up",
                Some(Connection::Offline { .. }) => "down",
                Some(Connection::Unknown) | None => "unknown",
            }
            .to_owned();
        }
        Ok(state)
    }

    async fn beyond(&self, seq: i64) -> bool {
        let mut committed = self.ledger.committed();
        committed.wait_for(|last| last.0 > seq).await.is_ok()
    }
}

/// A name that nobody else has: a series begun under a name that is there already would never be taken.
pub(super) fn new_uuid() -> Result<Uuid, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| StoreError("this machine has no randomness; restart it".to_owned()))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
