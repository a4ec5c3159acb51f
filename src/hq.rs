//! The gateway's half of head office (HQ): the ledger's outbox goes up, commands come down and are carried out.
//!
//! Nothing of a sale waits for any of it. What joining gave lies in the ledger, so there is nothing to configure: the
//! parts start when the store has joined, start anew when it joins again, and rest when it has left. A part that fails
//! is started again; it ends nothing else (docs/HQ.md).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sync_agent::{Agent, HttpLink, Random, Standing};
use sync_wire::seal::SealKey;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::FdmsConfig;
use crate::fdms::{TrustRoots, server_only};
use crate::keys::SealingKey;
use crate::ledger::hq::HqState;
use crate::ledger::{Ledger, LedgerError};
use crate::submit::Submitter;

mod commands;
pub mod join;
mod log;
mod store;
mod test_receipt;

use commands::Executor;
use store::LedgerStore;

/// How often it is looked whether the store has joined, left or joined again: another process does that.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause before a part that has failed is started again.
const AGAIN: Duration = Duration::from_secs(30);

/// How the store gets on with HQ, to be looked at. Clones show the same.
#[derive(Debug, Clone)]
pub struct HqView(watch::Sender<Standing>);

impl Default for HqView {
    fn default() -> Self {
        Self(watch::Sender::new(Standing::default()))
    }
}

impl HqView {
    /// How it is now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Resolves once HQ has answered since the start, and what followed from that is in the ledger.
    async fn heard(&self) {
        let mut standing = self.0.subscribe();
        // This end keeps it open.
        let _ = standing.wait_for(|standing| standing.heard.is_some()).await;
    }
}

/// What the parts are made of.
#[derive(Debug, Clone)]
pub struct HeadOffice {
    /// Opens the store's secret.
    pub sealing: SealingKey,
    /// How FDMS is reached: a delivered credential proves itself there.
    pub fdms: FdmsConfig,
    /// The folder of the daemon's log, where it has one.
    pub log: Option<PathBuf>,
    /// Where it is shown how the store gets on with HQ.
    pub view: HqView,
}

impl HeadOffice {
    /// Runs until `stop`. Whatever fails is said and started again.
    pub async fn run(self, ledger: Ledger, submitter: Submitter, stop: CancellationToken) {
        let clock = Arc::clone(ledger.time().clock());
        while !stop.is_cancelled() {
            let one = self
                .clone()
                .live(ledger.clone(), submitter.clone(), stop.clone());
            let mut part = tokio::task::JoinSet::new();
            part.spawn(one);
            let ended = tokio::select! {
                ended = part.join_next() => ended,
                () = stop.cancelled() => return,
            };
            match ended {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(error))) => {
                    tracing::error!(
                        error,
                        "nothing goes to head office; it is tried again, selling goes on"
                    );
                    self.view.fail(&clock, error);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the part for head office has failed; this is a defect, please report it");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = clock.sleep(AGAIN) => {}
            }
        }
    }

    /// Waits until the store has joined, and works until it has left or joined anew.
    async fn live(
        self,
        ledger: Ledger,
        submitter: Submitter,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let clock = Arc::clone(ledger.time().clock());
        loop {
            let Some((state, secret, key)) = self.joined(&ledger).await? else {
                clock.sleep(LOOK_EVERY).await;
                continue;
            };
            let bell = Arc::new(Notify::new());
            let mut agent = self.agent(&ledger, &submitter, &state, &secret, &bell)?;
            let executor = Executor {
                ledger: ledger.clone(),
                submitter: submitter.clone(),
                office: self.clone(),
                store_id: state.store_id,
                seal_key: key,
                bell,
            };
            tokio::select! {
                () = agent.run(&stop) => {}
                () = executor.run() => {}
                () = other(&ledger, &state) => {}
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            self.view.0.send_replace(Standing::default());
            clock.sleep(LOOK_EVERY).await;
        }
    }

    async fn joined(
        &self,
        ledger: &Ledger,
    ) -> Result<Option<(HqState, SecretString, SealKey)>, String> {
        let sealing = self.sealing.clone();
        let joined = ledger.ask(move |reader| {
            let Some(state) = reader.hq()? else {
                return Ok(None);
            };
            let secret = reader.hq_secret(&sealing)?;
            Ok(secret.map(|(secret, key)| (state, secret, key)))
        });
        joined.await.map_err(|error| error.to_string())
    }

    fn agent(
        &self,
        ledger: &Ledger,
        submitter: &Submitter,
        state: &HqState,
        secret: &SecretString,
        bell: &Arc<Notify>,
    ) -> Result<Agent<LedgerStore, HttpLink>, String> {
        let roots = TrustRoots::load(state.ca.as_deref()).map_err(|error| error.to_string())?;
        let clock = Arc::clone(ledger.time().clock());
        let tls = server_only(&roots, &clock).map_err(|error| error.to_string())?;
        let link = HttpLink::new(&state.url, secret, tls).map_err(|error| error.to_string())?;
        let store = LedgerStore {
            ledger: ledger.clone(),
            submitter: submitter.clone(),
            bell: Arc::clone(bell),
        };
        // Without randomness the stores of a tenant come back together: no harm that a sale would see.
        let random: Random = Arc::new(|| getrandom::u64().unwrap_or(0));
        Ok(Agent::new(store, link, clock, random, self.view.0.clone()))
    }
}

/// A store's agent over any way to head office, for the simulation. It rings `bell` when a command was kept.
#[cfg(feature = "simulation")]
pub fn agent_over<L: sync_agent::Link>(
    ledger: &Ledger,
    submitter: &Submitter,
    link: L,
    random: Random,
    bell: Arc<Notify>,
) -> Agent<impl sync_agent::Store + use<L>, L> {
    let store = LedgerStore {
        ledger: ledger.clone(),
        submitter: submitter.clone(),
        bell,
    };
    let clock = Arc::clone(ledger.time().clock());
    Agent::new(
        store,
        link,
        clock,
        random,
        watch::Sender::new(Standing::default()),
    )
}

impl HqView {
    fn fail(&self, clock: &clock::SharedClock, reason: String) {
        let now = clock.wall();
        self.0.send_modify(|standing| {
            let before = standing.trouble.take();
            standing.trouble = Some(sync_agent::Trouble {
                reason,
                since: before.as_ref().map_or(now, |before| before.since),
                tries: before.map_or(0, |before| before.tries).saturating_add(1),
            });
        });
    }
}

/// Resolves once the store has left, or has joined otherwise.
async fn other(ledger: &Ledger, joined: &HqState) {
    let clock = Arc::clone(ledger.time().clock());
    loop {
        clock.sleep(LOOK_EVERY).await;
        match ledger.ask(crate::ledger::Reader::hq).await {
            Ok(Some(now)) => {
                let is_same = now.store_id == joined.store_id
                    && now.joined_at == joined.joined_at
                    && now.url == joined.url;
                if !is_same {
                    return;
                }
            }
            Ok(None) => return,
            Err(LedgerError::Storage(crate::ledger::StorageError::Stopping)) => return,
            Err(error) => {
                tracing::debug!(%error, "it cannot be read whether the store has left head office")
            }
        }
    }
}
