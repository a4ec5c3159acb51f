//! Submitting: each till's openings, receipts and closes reach FDMS, in order, whatever happens.
//!
//! Per till there is one worker ([`worker`]) that walks the till's stream; what it does next is decided by
//! pure functions over the stream's row ([`plan`]). A slow or parked till never delays another. The
//! [`Submitter`] starts a worker for every till that has a certificate, also for one that joins later, and
//! shows how each till's way to FDMS is. Whatever waits for several things looks at them in the same order each time
//! (`biased`), so that a simulated run can be replayed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fdms::{Fdms, Identity};
use crate::ledger::{Environment, Ledger, LedgerError, StorageError, TillId, TillInfo};

mod announce;
mod attempt;
mod breaker;
mod connect;
pub mod desk;
mod file_outcome;
mod files;
mod heal;
mod lead;
mod line;
pub mod plan;
mod proof;
pub mod reconcile;
mod renew;
mod send;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;
mod upkeep;
mod worker;

use breaker::Breaker;
pub(crate) use connect::trusted_clock;
pub use connect::{Access, LedgerConnector};
pub use file_outcome::settle_files;
use files::FileSender;
use line::Line;
pub use line::{CatchingUp, Connection, Doing, LinkState};
pub(crate) use renew::alarm_of;
#[cfg(any(test, feature = "simulation"))]
pub use worker::Planted;
use worker::Worker;

/// How often tills that have joined are looked for without being told of.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where random numbers for pauses come from.
pub type Jitter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A connection in the making.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<dyn Fdms>, ConnectError>> + Send + 'a>>;

/// Why a till has no way to FDMS: configuration, or a key that does not open.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The till has no certificate yet.
    #[error("the till {0} has no certificate; run `fiscald register`")]
    NotRegistered(fiscal::DeviceId),
    /// The client cannot be made.
    #[error("the till {device} cannot talk to FDMS: {why}")]
    Client {
        /// The till.
        device: fiscal::DeviceId,
        /// What is wrong and what to do.
        why: String,
    },
    /// The ledger cannot be asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Makes a till's FDMS: [`LedgerConnector`] over mutual TLS, a simulation as it likes.
pub trait Connector: Send + Sync {
    /// The FDMS that `till` talks to. No connection need be made yet.
    fn connect<'a>(&'a self, till: &'a TillInfo) -> Connecting<'a>;

    /// The same with another identity than the one in use: a renewed certificate proves itself.
    fn connect_as<'a>(&'a self, till: &'a TillInfo, identity: Identity) -> Connecting<'a>;
}

/// Why submitting has ended although nobody asked it to; the daemon must end too and be started again.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A worker panicked.
    #[error("a worker that sends to FDMS has failed ({0}); this is a defect, please report it")]
    Worker(String),
}

/// Sends to FDMS for all tills, and shows how that goes. Clones show the same.
#[derive(Clone)]
pub struct Submitter {
    links: Arc<Mutex<BTreeMap<TillId, watch::Sender<LinkState>>>>,
    /// The lines of the tills whose workers run.
    lines: Arc<Mutex<BTreeMap<TillId, Weak<Line>>>>,
    /// One for each FDMS.
    breakers: Arc<[Arc<Breaker>; 2]>,
    jitter: Jitter,
    #[cfg(any(test, feature = "simulation"))]
    planted: worker::Planted,
    /// How often the workers have read the ledger.
    #[cfg(any(test, feature = "simulation"))]
    looks: Arc<std::sync::atomic::AtomicU64>,
}

impl std::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}

impl Default for Submitter {
    fn default() -> Self {
        Self::new(Arc::new(|| {
            // Without randomness the tills of a shop come back together: no harm that a sale would see.
            getrandom::u64().unwrap_or(0)
        }))
    }
}

/// A worker that runs.
struct Running {
    certificate: String,
    stop: CancellationToken,
}

impl Submitter {
    /// A submitter that takes its random numbers from `jitter`; [`Submitter::default`] takes the machine's.
    #[must_use]
    pub fn new(jitter: Jitter) -> Self {
        Self {
            links: Arc::default(),
            lines: Arc::default(),
            breakers: Arc::default(),
            jitter,
            #[cfg(any(test, feature = "simulation"))]
            planted: worker::Planted::None,
            #[cfg(any(test, feature = "simulation"))]
            looks: Arc::default(),
        }
    }

    /// Plants a defect in the workers that it starts.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub fn plant(mut self, planted: Planted) -> Self {
        self.planted = planted;
        self
    }

    #[cfg(test)]
    fn looks(&self) -> u64 {
        self.looks.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How a till's way to FDMS is; none before its worker has started.
    #[must_use]
    pub fn state(&self, till: TillId) -> Option<LinkState> {
        self.lock().get(&till).map(|link| link.borrow().clone())
    }

    /// What `read` makes of how a till's way to FDMS is, without a copy: for the way of a sale.
    #[must_use]
    pub fn look<T>(&self, till: TillId, read: impl FnOnce(&LinkState) -> T) -> Option<T> {
        self.lock().get(&till).map(|link| read(&link.borrow()))
    }

    /// The same, to be watched. A till whose worker has not started yet is unknown and starting.
    #[must_use]
    pub fn watch(&self, till: TillId) -> watch::Receiver<LinkState> {
        self.link(till).subscribe()
    }

    /// Runs until `stop`, with a worker for every till that has a certificate.
    ///
    /// # Errors
    /// A worker failed in a way that it cannot get over.
    pub async fn run(
        &self,
        ledger: Ledger,
        connector: Arc<dyn Connector>,
        stop: CancellationToken,
    ) -> Result<(), SubmitError> {
        let mut workers: JoinSet<TillId> = JoinSet::new();
        let mut running: BTreeMap<TillId, Running> = BTreeMap::new();
        let mut changed = ledger.tills_changed();
        let clock = Arc::clone(ledger.time().clock());
        let mut result = Ok(());
        while result.is_ok() && !stop.is_cancelled() {
            changed.mark_unchanged();
            let looked = self
                .start_workers(&ledger, &connector, &mut workers, &mut running)
                .await;
            match looked {
                Ok(()) => {}
                Err(LedgerError::Storage(StorageError::Stopping)) => break,
                Err(error) => tracing::warn!(%error, "the tills cannot be read"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = workers.join_next() => match ended {
                    Ok(till) => { running.remove(&till); }
                    Err(error) => result = Err(SubmitError::Worker(error.to_string())),
                },
                Ok(()) = changed.changed() => {}
                () = clock.sleep(LOOK_EVERY) => {}
            }
        }
        for worker in running.values() {
            worker.stop.cancel();
        }
        while let Some(ended) = workers.join_next().await {
            if let (Ok(()), Err(error)) = (&result, ended) {
                result = Err(SubmitError::Worker(error.to_string()));
            }
        }
        result
    }

    /// Starts what is not running yet. A till with another certificate gets another worker, once the old
    /// one has ended: there are never two at one stream.
    async fn start_workers(
        &self,
        ledger: &Ledger,
        connector: &Arc<dyn Connector>,
        workers: &mut JoinSet<TillId>,
        running: &mut BTreeMap<TillId, Running>,
    ) -> Result<(), LedgerError> {
        let tills = ledger.ask(|reader| {
            let mut registered = Vec::new();
            for till in reader.tills()? {
                if let Some(certificate) = reader.certificate_pem(till.id)? {
                    registered.push((till, certificate));
                }
            }
            Ok(registered)
        });
        for (till, certificate) in tills.await? {
            if let Some(worker) = running.get(&till.id) {
                if worker.certificate != certificate {
                    worker.stop.cancel();
                }
                continue;
            }
            let fdms = match connector.connect(&till).await {
                Ok(fdms) => fdms,
                Err(error) => {
                    self.cannot_connect(ledger, &till, &error);
                    continue;
                }
            };
            let stop = CancellationToken::new();
            let link = self.link(till.id);
            let line = Line::new(
                till.clone(),
                fdms,
                Arc::clone(connector),
                ledger.clone(),
                link,
                self.breaker(till.environment),
            );
            workers.spawn(self.clone().work(line, stop.clone()));
            running.insert(till.id, Running { certificate, stop });
        }
        Ok(())
    }

    async fn work(self, line: Line, stop: CancellationToken) -> TillId {
        let id = line.till.id;
        let line = Arc::new(line);
        self.keep_line(&line);
        tokio::select! {
            biased;
            () = self.send(&line) => {}
            () = upkeep::run(Arc::clone(&line)) => {}
            () = announce::run(Arc::clone(&line)) => {}
            () = stop.cancelled() => {}
        }
        id
    }

    /// Sends as the till's operating mode says: message by message, or files. The authority may change it.
    async fn send(&self, line: &Arc<Line>) {
        let mut changed = line.ledger.tills_changed();
        loop {
            changed.mark_unchanged();
            let id = line.till.id;
            let mode = line.ledger.ask(move |reader| reader.is_offline(id)).await;
            let is_offline = mode.unwrap_or(false);
            let is_other = async {
                loop {
                    if changed.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    let now = line.ledger.ask(move |reader| reader.is_offline(id)).await;
                    if now.is_ok_and(|now| now != is_offline) {
                        return;
                    }
                }
            };
            let jitter = Arc::clone(&self.jitter);
            if is_offline {
                tokio::select! {
                    biased;
                    () = FileSender::new(Arc::clone(line), jitter).run() => return,
                    () = is_other => {}
                }
            } else {
                let worker = Worker::new(Arc::clone(line), jitter);
                #[cfg(any(test, feature = "simulation"))]
                let worker = worker.plant(self.planted, Arc::clone(&self.looks));
                tokio::select! {
                    biased;
                    () = worker.run() => return,
                    () = is_other => {}
                }
            }
            tracing::info!(till = %line.till.device_id, offline = !is_offline, "the authority has changed the operating mode");
            // What was refused because of the mode is over with it.
            let lifted = line.ledger.write(move |core| core.mode_changed(id)).await;
            if let Err(error) = lifted {
                tracing::debug!(%error, "the queue could not be let go on");
            }
        }
    }

    fn keep_line(&self, line: &Arc<Line>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line.till.id, Arc::downgrade(line));
    }

    /// Shown and logged once; looked at again with the next look.
    fn cannot_connect(&self, ledger: &Ledger, till: &TillInfo, error: &ConnectError) {
        let text = error.to_string();
        let since = ledger.time().now();
        self.link(till.id).send_if_modified(|link| {
            if matches!(&link.connection, Connection::Offline { error, .. } if *error == text) {
                return false;
            }
            tracing::error!(till = %till.device_id, %error, "no way to FDMS");
            link.connection = Connection::Offline { since, error: text };
            true
        });
    }

    fn breaker(&self, environment: Environment) -> Arc<Breaker> {
        let [test, production] = &*self.breakers;
        match environment {
            Environment::Test => Arc::clone(test),
            Environment::Production => Arc::clone(production),
        }
    }

    fn link(&self, till: TillId) -> watch::Sender<LinkState> {
        let mut links = self.lock();
        links
            .entry(till)
            .or_insert_with(|| watch::Sender::new(LinkState::default()))
            .clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TillId, watch::Sender<LinkState>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
