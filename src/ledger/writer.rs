//! The writer thread: one queue with two lanes, many sales to a commit.
//!
//! Whoever asks gets his answer after COMMIT; whoever stops waiting undoes nothing. Outcomes, days and
//! commands have a lane before sales, so that a rush at the tills never holds up what FDMS said. While one
//! batch is committed the next one gathers: the busier the shop, the more sales share one fsync.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::hooks::Wal;
use tokio::sync::{Notify, Semaphore, oneshot, watch};

use super::core::{Core, Task};
use super::read::READERS;
use super::{
    LedgerError, Reader, Refusal, Sale, SaleDone, Seq, Settings, StorageError, TillId, sql,
};
use crate::metrics::{Metrics, SaleEnd, Step};
use crate::time::TimeKeeper;

mod checkpoints;
#[cfg(feature = "simulation")]
mod inline;

#[cfg(test)]
#[cfg(feature = "demo")]
mod idle_tests;

use checkpoints::{Later, checkpoint, checkpoint_beside};

/// Sales that may wait; more are answered with "busy" (503). At a thousand a second this is one second.
const MAX_SALES: usize = 1024;
/// Other work that may wait.
const MAX_TASKS: usize = 4096;
/// Sales in one commit: large enough that the fsync is shared, small enough that nobody waits long.
const BATCH: usize = 128;
/// How often an idle writer keeps the trusted time.
const IDLE: Duration = Duration::from_secs(60);
/// After so long without a sale the memory that a start or a rush has taken is given back.
const REST: Duration = Duration::from_secs(10);

/// The handle to the ledger: give it work, ask its [`Reader`], hear of changes.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    reader: Reader,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    time: Arc<TimeKeeper>,
    settings: Mutex<Arc<Settings>>,
    fault: Mutex<Option<String>>,
    committed: watch::Sender<Seq>,
    tills_changed: watch::Sender<u64>,
    ended: watch::Sender<bool>,
    tills: Mutex<BTreeMap<TillId, Arc<Notify>>>,
    heartbeat: AtomicU64,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    asking: Semaphore,
    metrics: Metrics,
    #[cfg(feature = "simulation")]
    inline: Option<inline::Inline>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ledger").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Box<dyn Task>>,
    sales: VecDeque<SaleJob>,
    stopping: bool,
    /// Nobody works: whoever brings work must wake the writer.
    sleeps: bool,
}

impl Queue {
    /// What goes into one transaction.
    fn batch(&mut self) -> (Vec<Box<dyn Task>>, Vec<SaleJob>) {
        let count = self.sales.len().min(BATCH);
        (
            self.tasks.drain(..).collect(),
            self.sales.drain(..count).collect(),
        )
    }
}

struct SaleJob {
    sale: Arc<Sale>,
    /// When it was handed in, on the boot clock.
    at: Duration,
    reply: oneshot::Sender<Result<SaleDone, LedgerError>>,
}

/// A closure as a task, with the channel that its answer goes to.
struct Closure<T, F> {
    work: Option<F>,
    result: Option<Result<T, Refusal>>,
    reply: Option<oneshot::Sender<Result<T, LedgerError>>>,
}

impl<T, F> Task for Closure<T, F>
where
    T: Send,
    F: FnOnce(&mut Core) -> Result<T, LedgerError> + Send,
{
    fn run(&mut self, core: &mut Core) -> Result<bool, StorageError> {
        let Some(work) = self.work.take() else {
            return Ok(false);
        };
        let result = match work(core) {
            Ok(value) => Ok(value),
            Err(LedgerError::Refused(refusal)) => Err(refusal),
            Err(LedgerError::Storage(error)) => return Err(error),
        };
        let keep = result.is_ok();
        self.result = Some(result);
        Ok(keep)
    }

    fn finish(self: Box<Self>, commit: Result<(), StorageError>) {
        let answer = match (commit, self.result) {
            (Ok(()), Some(result)) => result.map_err(LedgerError::from),
            (Ok(()), None) => Err(StorageError::Stopping.into()),
            (Err(error), _) => Err(error.into()),
        };
        if let Some(reply) = self.reply {
            // Nobody waits any more: the work is done all the same.
            let _ = reply.send(answer);
        }
    }
}

impl Ledger {
    /// Puts the writer thread, and the one that copies the log beside it, before a core.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn start(mut core: Core, path: &Path) -> Result<Self, StorageError> {
        // A process that was killed after a sync had failed leaves a log that reads whole and has a hole on the disk:
        // what is written behind that would go with the next power cut.
        core.fold_log();
        let shared = Arc::new(Shared::new(&core));
        let (nudge, nudged) = std::sync::mpsc::sync_channel(1);
        let wal_path = path.to_owned();
        let failed = |error: std::io::Error| sql::damaged(format!("no thread: {error}"));
        let checkpointer = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || checkpoint_beside(&wal_path, &nudged))
            .map_err(failed)?;
        let writer_shared = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_loop(&writer_shared, &mut core, &nudge))
            .map_err(failed)?;
        shared
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend([writer, checkpointer]);
        Ok(Self {
            shared,
            reader: Reader::new(path),
        })
    }

    /// The reading side.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The trusted time.
    #[must_use]
    pub fn time(&self) -> &Arc<TimeKeeper> {
        &self.shared.time
    }

    /// What is counted and measured.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How the store does it at this moment: head office may change it.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        let settings = self.shared.settings.lock();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    /// Issues a sale. The answer comes after COMMIT; dropping the future undoes nothing.
    ///
    /// # Errors
    /// The sale is refused, the queue is full, or the storage failed.
    pub async fn issue(&self, sale: Sale) -> Result<SaleDone, LedgerError> {
        // Kept, so that memory is given back by who took it: else the threads would wait for each other's allocator.
        let sale = Arc::new(sale);
        let answer = self.hand_in_sale(Arc::clone(&sale))?;
        answer.await.unwrap_or(Err(StorageError::Stopping.into()))
    }

    /// The same for a thread of its own, which may block.
    ///
    /// # Errors
    /// As [`Ledger::issue`].
    pub fn issue_blocking(&self, sale: Sale) -> Result<SaleDone, LedgerError> {
        let answer = self.hand_in_sale(Arc::new(sale))?.blocking_recv();
        answer.unwrap_or(Err(StorageError::Stopping.into()))
    }

    fn hand_in_sale(
        &self,
        sale: Arc<Sale>,
    ) -> Result<oneshot::Receiver<Result<SaleDone, LedgerError>>, StorageError> {
        let (reply, answer) = oneshot::channel();
        let at = self.shared.time.clock().boot();
        {
            let mut queue = self.shared.lock();
            if queue.stopping {
                return Err(StorageError::Stopping);
            }
            if queue.sales.len() >= MAX_SALES {
                self.shared.metrics.sales(SaleEnd::Failed, 1);
                return Err(StorageError::Busy);
            }
            queue.sales.push_back(SaleJob { sale, at, reply });
            self.shared.ring(queue);
        }
        Ok(answer)
    }

    /// Does other work in the lane before sales.
    ///
    /// # Errors
    /// The work's own refusal, a full queue, or a fault of the storage.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let answer = self.hand_in(work)?;
        answer.await.unwrap_or(Err(StorageError::Stopping.into()))
    }

    /// The same for a thread of its own, which may block: a printer's, an old POS's.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let answer = self.hand_in(work)?;
        let answer = answer.blocking_recv();
        answer.unwrap_or(Err(StorageError::Stopping.into()))
    }

    fn hand_in<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, LedgerError>>, StorageError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.stopping {
                return Err(StorageError::Stopping);
            }
            if queue.tasks.len() >= MAX_TASKS {
                return Err(StorageError::Busy);
            }
            queue.tasks.push_back(Box::new(Closure {
                work: Some(work),
                result: None,
                reply: Some(reply),
            }));
            self.shared.ring(queue);
        }
        Ok(answer)
    }

    /// Asks a blocking question of the reader on a thread that may block.
    ///
    /// # Errors
    /// The question's own, or the runtime is stopping.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        #[cfg(feature = "simulation")]
        if self.shared.inline.is_some() {
            return question(&self.reader);
        }
        let reader = self.reader.clone();
        // The semaphore is never closed.
        let _turn = self.shared.asking.acquire().await;
        tokio::task::spawn_blocking(move || question(&reader))
            .await
            .unwrap_or(Err(StorageError::Stopping.into()))
    }

    /// Rung after every commit that touched the till. Several may listen: create the future and `enable`
    /// it before looking at the ledger, and no change is missed.
    #[must_use]
    pub fn changes(&self, till: TillId) -> Arc<Notify> {
        let mut tills = self
            .shared
            .tills
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tills.entry(till).or_default())
    }

    /// The number of the last event that is in the ledger.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Seq> {
        self.shared.committed.subscribe()
    }

    /// Moves when a till may have joined, or got another certificate or configuration.
    #[must_use]
    pub fn tills_changed(&self) -> watch::Receiver<u64> {
        self.shared.tills_changed.subscribe()
    }

    /// The storage fault that made the ledger read-only.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Resolves once the writer thread has ended, in order or not: nothing more can be sold.
    pub async fn ended(&self) {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as this handle.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Rises as long as the writer thread lives: what the watchdog is fed by.
    #[must_use]
    pub fn heartbeat(&self) -> u64 {
        self.shared.heartbeat.load(Ordering::Relaxed)
    }

    /// How many sales wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().sales.len()
    }

    /// Takes no more work, finishes what waits, and ends the threads. It blocks.
    pub fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        let threads = std::mem::take(
            &mut *self
                .shared
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for thread in threads {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(core: &Core) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            time: Arc::clone(core.time()),
            settings: Mutex::new(Arc::clone(&core.settings)),
            fault: Mutex::new(core.fault().map(str::to_owned)),
            committed: watch::Sender::new(Seq(core.next_seq - 1)),
            tills_changed: watch::Sender::new(core.reloads),
            ended: watch::Sender::new(false),
            tills: Mutex::default(),
            heartbeat: AtomicU64::new(0),
            threads: Mutex::default(),
            asking: Semaphore::new(READERS),
            metrics: Metrics::default(),
            #[cfg(feature = "simulation")]
            inline: None,
        }
    }

    /// There is work in the queue. A bell that nobody waits for costs a system call all the same.
    fn ring(&self, queue: MutexGuard<'_, Queue>) {
        let sleeps = queue.sleeps;
        drop(queue);
        if sleeps {
            self.wake.notify_one();
        }
        #[cfg(feature = "simulation")]
        if let Some(inline) = &self.inline {
            inline.work(self);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work, so long at most.
    fn next_batch(&self, patience: Duration) -> Next {
        let mut queue = self.lock();
        while queue.tasks.is_empty() && queue.sales.is_empty() {
            if queue.stopping {
                return Next::Stop;
            }
            queue.sleeps = true;
            let (guard, timeout) = self
                .wake
                .wait_timeout(queue, patience)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            queue.sleeps = false;
            if timeout.timed_out() {
                return Next::Idle;
            }
        }
        let (tasks, sales) = queue.batch();
        Next::Work(tasks, sales)
    }

    /// Whether the ledger takes writes, as it is now.
    fn tell_fault(&self, core: &Core) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) =
            core.fault().map(str::to_owned);
    }

    /// Tells who waits for changes. Every listener is woken; one who comes late finds the last ring.
    fn announce(&self, core: &Core) {
        // First: whoever is woken by what follows finds what holds now.
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&core.settings);
        self.committed.send_replace(core.committed);
        self.tills_changed.send_if_modified(|seen| {
            let changed = *seen != core.reloads;
            *seen = core.reloads;
            changed
        });
        let bells = self.tills.lock().unwrap_or_else(PoisonError::into_inner);
        for till in &core.touched {
            if let Some(bell) = bells.get(till) {
                bell.notify_waiters();
                bell.notify_one();
            }
        }
    }
}

enum Next {
    Work(Vec<Box<dyn Task>>, Vec<SaleJob>),
    Idle,
    Stop,
}

/// However the writer thread ends: whoever waits is let go, and the daemon hears of it.
struct LastWords<'a>(&'a Shared);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.stopping = true;
        queue.tasks.clear();
        queue.sales.clear();
        drop(queue);
        self.0.ended.send_replace(true);
    }
}

fn write_loop(shared: &Shared, core: &mut Core, nudge: &std::sync::mpsc::SyncSender<()>) {
    let _last_words = LastWords(shared);
    let wal_pages = Arc::new(AtomicI32::new(0));
    let counter = Arc::clone(&wal_pages);
    let hooked = core.conn.wal_hook(Some(move |_: &mut Wal, pages: i32| {
        counter.store(pages, Ordering::Relaxed);
        Ok(())
    }));
    if let Err(error) = hooked {
        tracing::error!(%error, "the ledger's log cannot be watched");
    }
    // A start is a rush too.
    let mut last_sale = Some(shared.time.clock().boot());
    let mut later = Later::default();
    loop {
        shared.heartbeat.fetch_add(1, Ordering::Relaxed);
        let next = shared.next_batch(last_sale.map_or(IDLE, |_| REST));
        let now = shared.time.clock().boot();
        match &next {
            Next::Work(_, sales) if !sales.is_empty() => last_sale = Some(now),
            _ if last_sale.is_some_and(|last| now.saturating_sub(last) >= REST) => {
                last_sale = None;
                core.rest();
            }
            _ => {}
        }
        match next {
            Next::Stop => break,
            Next::Idle => idle(shared, core),
            Next::Work(tasks, sales) => work(shared, core, tasks, sales),
        }
        checkpoint(core, &wal_pages, &mut later, nudge);
        shared.tell_fault(core);
    }
    keep_time(core);
    sql::wal_checkpoint(&core.conn, "TRUNCATE");
}

fn keep_time(core: &mut Core) {
    if let Err(error) = core.write(|core| Ok(core.store_anchor()?)) {
        tracing::warn!(%error, "the trusted time could not be kept");
    }
}

/// There is nothing to do: the trusted time is kept, and what another process has written is found and told.
fn idle(shared: &Shared, core: &mut Core) {
    keep_time(core);
    shared.announce(core);
}

type Reply = oneshot::Sender<Result<SaleDone, LedgerError>>;

fn work(shared: &Shared, core: &mut Core, tasks: Vec<Box<dyn Task>>, jobs: Vec<SaleJob>) {
    let now = shared.time.clock().boot();
    for job in &jobs {
        let waited = now.saturating_sub(job.at);
        shared.metrics.step(Step::Queue, waited, 1);
    }
    let (sales, replies): (Vec<_>, Vec<_>) =
        jobs.into_iter().map(|job| (job.sale, job.reply)).unzip();
    let result = core.run_batch(tasks, sales);
    count(&shared.metrics, core, &result, replies.len());
    answer(replies, result);
    shared.announce(core);
}

/// Counts a batch's sales, and how long its steps took.
fn count(
    metrics: &Metrics,
    core: &Core,
    result: &Result<Vec<Result<SaleDone, Refusal>>, StorageError>,
    sales: usize,
) {
    if sales == 0 {
        return;
    }
    let ends: &mut dyn Iterator<Item = SaleEnd> = match result {
        Ok(outcomes) => {
            metrics.step(Step::Sign, core.last_batch.signed, sales);
            metrics.step(Step::Commit, core.last_batch.committed, sales);
            &mut outcomes.iter().map(|outcome| match outcome {
                Ok(SaleDone::Issued(_)) => SaleEnd::Issued,
                Ok(SaleDone::Repeated(_)) => SaleEnd::Repeated,
                Err(_) => SaleEnd::Refused,
            })
        }
        Err(_) => &mut std::iter::repeat_n(SaleEnd::Failed, sales),
    };
    for end in ends {
        metrics.sales(end, 1);
    }
}

fn answer(replies: Vec<Reply>, result: Result<Vec<Result<SaleDone, Refusal>>, StorageError>) {
    match result {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // The POS has hung up: the receipt is there, found by its key.
                let _ = reply.send(outcome.map_err(LedgerError::from));
            }
        }
        Err(error) => {
            tracing::error!(%error, "a batch of sales could not be committed");
            for reply in replies {
                let _ = reply.send(Err(error.clone().into()));
            }
        }
    }
}
