//! A ledger without threads, for the simulation: whoever hands work in does it himself, then and there.
//!
//! The same queue, the same batches, the same answers; only that nothing happens beside anything else, so that a run
//! is the work of its seed alone. What the writer's thread does by itself (keeping the trusted time, checkpoints) is
//! asked for.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Ledger, Shared, idle, work};
use crate::ledger::core::Core;
use crate::ledger::{LedgerError, Reader, Sale, SaleDone, StorageError, sql};

/// The core, and whether work gathers.
pub(super) struct Inline {
    core: Mutex<Core>,
    gathers: AtomicBool,
}

impl Inline {
    /// Does what waits.
    pub(super) fn work(&self, shared: &Shared) {
        if self.gathers.load(Ordering::Relaxed) {
            return;
        }
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (tasks, sales) = shared.lock().batch();
            if tasks.is_empty() && sales.is_empty() {
                return;
            }
            work(shared, &mut core, tasks, sales);
            shared.tell_fault(&core);
        }
    }
}

impl Ledger {
    /// A ledger whose work is done by whoever hands it in.
    #[must_use]
    pub fn start_inline(core: Core, path: &Path) -> Self {
        core.fold_log();
        let mut shared = Shared::new(&core);
        shared.inline = Some(Inline {
            core: Mutex::new(core),
            gathers: AtomicBool::new(false),
        });
        Self {
            shared: Arc::new(shared),
            reader: Reader::new(path),
        }
    }

    /// True: work is taken and waits, as behind a commit that lasts; false: what waits is done, in as few
    /// transactions as the limits allow.
    pub fn gather(&self, gathers: bool) {
        if let Some(inline) = &self.shared.inline {
            inline.gathers.store(gathers, Ordering::Relaxed);
            inline.work(&self.shared);
        }
    }

    /// Issues sales that come at the same moment.
    ///
    /// # Errors
    /// Each has its own; see [`Ledger::issue`].
    pub fn issue_together(&self, sales: Vec<Sale>) -> Vec<Result<SaleDone, LedgerError>> {
        self.gather(true);
        let answers: Vec<_> = sales
            .into_iter()
            .map(|sale| self.hand_in_sale(Arc::new(sale)))
            .collect();
        self.gather(false);
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(mut answer) => answer
                .try_recv()
                .unwrap_or(Err(StorageError::Stopping.into())),
            Err(error) => Err(error.into()),
        });
        answers.collect()
    }

    /// Copies the log into the database, as the thread beside the writer does; `TRUNCATE` as at a stop.
    pub fn fold_log(&self, mode: &str) {
        if let Some(inline) = &self.shared.inline {
            let core = inline.core.lock().unwrap_or_else(PoisonError::into_inner);
            sql::wal_checkpoint(&core.conn, mode);
        }
    }

    /// What the writer does when it has nothing to do: keeps the trusted time.
    pub fn idle(&self) {
        if let Some(inline) = &self.shared.inline {
            let mut core = inline.core.lock().unwrap_or_else(PoisonError::into_inner);
            idle(&self.shared, &mut core);
            self.shared.tell_fault(&core);
        }
    }
}
