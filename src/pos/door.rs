//! A POS at its printer port: its papers are kept at once, dealt with by the port's worker, and what ends a paper is
//! answered when the paper is out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drivers::capture::session::Settings;
use drivers::capture::{CapturedJob, Door, DoorError, News, ServeError};
use drivers::job::{Condition, JobId};
use drivers::transport::{Link, Stop, SystemMonotonic};

use super::{Counter, PortError};
use crate::ledger::{LedgerError, Seq};

/// After a fault of the ledger.
const AGAIN: Duration = Duration::from_secs(1);

/// Deals with a port's papers, one after the other, beside whoever is connected.
pub(super) struct Worker {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<i64>,
    /// What was queued for printing, by paper; none where nothing is printed.
    settled: BTreeMap<i64, Option<JobId>>,
    /// Papers whose POS has gone.
    unasked: BTreeSet<i64>,
    stopping: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Starts it, with what came in before the power went.
    pub(super) fn start(counter: &Arc<Counter>, stop: &Stop) -> Result<Self, PortError> {
        let shared = Arc::new(Shared::default());
        {
            let mut state = shared.lock();
            state.waiting.extend(counter.unread()?);
            let unasked: Vec<i64> = state.waiting.iter().copied().collect();
            state.unasked.extend(unasked);
        }
        let (state, counter, stop) = (Arc::clone(&shared), Arc::clone(counter), stop.clone());
        let thread = std::thread::Builder::new()
            .name(format!("read {}", counter.setup.name))
            .spawn(move || work(&state, &counter, &stop))
            .map_err(|error| PortError::Serving(format!("no thread: {error}")))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    fn hand_over(&self, id: i64) {
        self.shared.lock().waiting.push_back(id);
        self.shared.wake.notify_all();
    }

    /// Nobody asks for these papers any more.
    fn forget(&self, ids: impl Iterator<Item = i64>) {
        let mut state = self.shared.lock();
        for id in ids {
            if state.settled.remove(&id).is_none() {
                state.unasked.insert(id);
            }
        }
    }

    fn settled(&self, id: i64) -> Option<Option<JobId>> {
        self.shared.lock().settled.remove(&id)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared, counter: &Counter, stop: &Stop) {
    loop {
        let id = {
            let mut state = shared.lock();
            loop {
                if state.stopping {
                    return;
                }
                match state.waiting.front() {
                    Some(id) => break *id,
                    None => {
                        state = shared
                            .wake
                            .wait(state)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        };
        match counter.settle(id, false) {
            Ok(job) => {
                let mut state = shared.lock();
                state.waiting.pop_front();
                if !state.unasked.remove(&id) {
                    state.settled.insert(id, job);
                }
            }
            Err(error) if Counter::is_stopping(&error) => return,
            // A person was quicker: the paper has been dealt with.
            Err(LedgerError::Refused(_)) => {
                let mut state = shared.lock();
                state.waiting.pop_front();
                if !state.unasked.remove(&id) {
                    state.settled.insert(id, None);
                }
            }
            Err(error) => {
                // The paper stays where it is: the ledger may have room again in a moment.
                tracing::error!(port = counter.setup.name, captured = id, %error, "a paper waits for the ledger");
                stop.wait(AGAIN);
                if stop.is_set() {
                    return;
                }
            }
        }
    }
}

/// Serves one connection.
pub(super) fn serve(
    link: Box<dyn Link>,
    counter: &Arc<Counter>,
    worker: &Worker,
    stop: &Stop,
) -> Result<(), ServeError> {
    let settings = Settings {
        idle: Some(counter.setup.idle),
        pulses: counter.setup.drawer,
        ..Settings::default()
    };
    let mut door = PortDoor {
        counter,
        worker,
        pending: Vec::new(),
        told: None,
        committed: counter.ledger.committed(),
        seen: Seq(0),
    };
    drivers::capture::serve(
        link,
        settings,
        &mut door,
        &SystemMonotonic::new(),
        stop.flag(),
    )?;
    Ok(())
}

struct PortDoor<'a> {
    counter: &'a Counter,
    worker: &'a Worker,
    pending: Vec<Pending>,
    told: Option<Condition>,
    committed: tokio::sync::watch::Receiver<Seq>,
    seen: Seq,
}

/// A paper of this connection whose end the POS may wait for.
struct Pending {
    number: u64,
    captured: i64,
    job: Option<JobId>,
}

impl Drop for PortDoor<'_> {
    fn drop(&mut self) {
        let waits = self.pending.iter().filter(|pending| pending.job.is_none());
        self.worker.forget(waits.map(|pending| pending.captured));
    }
}

impl Door for PortDoor<'_> {
    fn condition(&mut self) -> Condition {
        let condition = self.printer();
        self.told = Some(condition.clone());
        condition
    }

    fn job(&mut self, job: CapturedJob) -> Result<(), DoorError> {
        let kept = self.counter.keep(&job);
        let captured = kept.map_err(|error| DoorError(error.to_string()))?;
        self.pending.push(Pending {
            number: job.number,
            captured,
            job: None,
        });
        self.worker.hand_over(captured);
        Ok(())
    }

    fn pulse(&mut self, _: &[u8]) {
        let (printer, actor) = (
            self.counter.setup.printer.clone(),
            Arc::clone(&self.counter.actor),
        );
        let till = self.counter.till.id;
        let queued = self
            .counter
            .ledger
            .write_blocking(move |core| core.queue_drawer(&printer, Some(till), None, &actor));
        match queued {
            Ok(_) => self.counter.printers.ring(&self.counter.setup.printer),
            Err(error) => tracing::warn!(%error, "the drawer was not opened"),
        }
    }

    fn relay(&mut self, _: &[u8]) {
        // Ports are served in virtual mode: we answer the POS ourselves.
    }

    fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let now = self.printer();
        if self.told.as_ref() != Some(&now) {
            self.told = Some(now.clone());
            news.push(News::Condition(now));
        }
        if !self.pending.is_empty() {
            self.look(&mut news);
        }
        news
    }
}

impl PortDoor<'_> {
    fn printer(&self) -> Condition {
        let known = self.counter.printers.condition(&self.counter.setup.printer);
        known.unwrap_or_default()
    }

    /// Looks after papers that are under way; at their jobs only when the ledger has changed.
    fn look(&mut self, news: &mut Vec<News>) {
        let mut has_new = false;
        let mut settled = Vec::new();
        for pending in self
            .pending
            .iter_mut()
            .filter(|pending| pending.job.is_none())
        {
            match self.worker.settled(pending.captured) {
                Some(Some(job)) => {
                    pending.job = Some(job);
                    has_new = true;
                }
                Some(None) => settled.push((pending.number, true)),
                None => {}
            }
        }
        let committed = *self.committed.borrow();
        if has_new || committed != self.seen {
            self.seen = committed;
            for pending in &self.pending {
                let Some(job) = pending.job else { continue };
                let found = self.counter.ledger.reader().print_job(job);
                let state = found.ok().flatten().map(|row| row.state);
                match state.as_deref() {
                    Some("done") => settled.push((pending.number, true)),
                    Some("unknown" | "failed" | "lost") => settled.push((pending.number, false)),
                    _ => {}
                }
            }
        }
        self.pending
            .retain(|pending| !settled.iter().any(|(number, _)| *number == pending.number));
        news.extend(
            settled
                .into_iter()
                .map(|(job, printed)| News::Settled { job, printed }),
        );
    }
}
