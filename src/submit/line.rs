//! A till's line to FDMS: asks, and learns from every answer that comes back.
//!
//! Whatever is asked, each answer tells whether FDMS can be reached and what time it is there. The first
//! is kept in memory for whoever wants to show it, the second feeds the trusted time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{SharedClock, Timestamp};
use jiff::SignedDuration;
use serde::Serialize;
use tokio::sync::watch;

use super::Connector;
use super::breaker::Breaker;
use super::lead::Lead;
use crate::fdms::{Answer, Asking, Evidence, Fdms, Outcome};
use crate::keys::PublicKey;
use crate::ledger::{Ledger, LedgerError, TillInfo};
use crate::metrics::CallEnd;

/// What is known of a till's way to FDMS. In memory only: after a restart it is found out anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkState {
    /// Whether FDMS can be reached.
    pub connection: Connection,
    /// What the worker is at.
    pub doing: Doing,
    /// When FDMS answered last.
    pub last_answer: Option<Timestamp>,
    /// What FDMS last refused, until it accepts something.
    pub last_refusal: Option<String>,
    /// What has gathered while FDMS could not be reached, until it is sent.
    pub catching_up: Option<CatchingUp>,
    /// Why the last configuration of FDMS could not be used; the till goes on with the one before.
    pub config_error: Option<String>,
}

impl Default for LinkState {
    fn default() -> Self {
        Self {
            connection: Connection::Unknown,
            doing: Doing::Starting,
            last_answer: None,
            last_refusal: None,
            catching_up: None,
            config_error: None,
        }
    }
}

/// A backlog that is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchingUp {
    /// How much waited when FDMS could be reached again.
    pub of: u32,
    /// How much of it has been sent.
    pub sent: u32,
    /// Since when.
    pub since: Timestamp,
}

/// Whether FDMS can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Connection {
    /// Nothing has been asked yet.
    Unknown,
    /// FDMS answers.
    Online {
        /// Since when.
        since: Timestamp,
    },
    /// No answer, or none but "out of order".
    Offline {
        /// Since when.
        since: Timestamp,
        /// Why, a sentence.
        error: String,
    },
}

/// What the worker of a till is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Doing {
    /// It has not looked at the ledger yet.
    Starting,
    /// Everything has been sent.
    Idle,
    /// It is asking FDMS, or writing down what FDMS said.
    Busy,
    /// It waits: for a date, for the end of a pause, for another till.
    Waiting {
        /// It looks again at this moment, or when something happens.
        until: Timestamp,
    },
    /// Sending is parked.
    Parked {
        /// It looks again at this moment, or when something happens.
        until: Timestamp,
    },
}

/// The keys that FDMS signs with, as far as they have been fetched.
#[derive(Debug, Default)]
pub(super) struct ServerKeys {
    /// By thumbprint, in lower case.
    pub(super) keys: BTreeMap<String, Arc<PublicKey>>,
    /// None is asked for before this moment of the boot clock.
    pub(super) not_before: Duration,
}

/// A till's FDMS with everything that its answers feed.
pub(super) struct Line {
    pub(super) till: TillInfo,
    pub(super) fdms: Arc<dyn Fdms>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) ledger: Ledger,
    pub(super) link: watch::Sender<LinkState>,
    /// Opens for all tills of the environment when FDMS cannot be reached.
    pub(super) breaker: Arc<Breaker>,
    /// One renewal of the certificate at a time.
    pub(super) renewing: tokio::sync::Mutex<()>,
    /// What FDMS signs with.
    pub(super) server_keys: Mutex<ServerKeys>,
    /// How far our trusted time may be ahead of FDMS's clock.
    lead: Lead,
    /// When the configuration was fetched last, on the boot clock.
    config_at: Mutex<Option<Duration>>,
}

/// Whether it is the way to FDMS, or FDMS as a whole, that kept a question from being answered: then the pause ends when
/// somebody gets through. A wish of FDMS's own (`Retry-After`) is kept all the same.
pub(super) fn is_cut<T>(outcome: &Outcome<T>, evidence: &Evidence) -> bool {
    let wish = matches!(outcome, Outcome::Later(delay) if delay.retry_after.is_some());
    is_lost(outcome, evidence) && !wish
}

/// No answer, or none but "out of order".
fn is_lost<T>(outcome: &Outcome<T>, evidence: &Evidence) -> bool {
    let reached = evidence.status.is_some_and(|status| status < 500);
    matches!(outcome, Outcome::Later(_) | Outcome::Unknown(_)) && !reached
}

impl Line {
    pub(super) fn new(
        till: TillInfo,
        fdms: Arc<dyn Fdms>,
        connector: Arc<dyn Connector>,
        ledger: Ledger,
        link: watch::Sender<LinkState>,
        breaker: Arc<Breaker>,
    ) -> Self {
        Self {
            till,
            fdms,
            connector,
            ledger,
            link,
            breaker,
            renewing: tokio::sync::Mutex::default(),
            server_keys: Mutex::default(),
            lead: Lead::default(),
            config_at: Mutex::default(),
        }
    }

    pub(super) fn clock(&self) -> &SharedClock {
        self.ledger.time().clock()
    }

    /// Waits for an answer and learns from it.
    pub(super) async fn ask<T>(&self, asking: Asking<'_, T>) -> Answer<T> {
        let answer = asking.await;
        self.learn_time(&answer.evidence);
        self.learn_link(&answer);
        self.count(&answer);
        answer
    }

    fn count<T>(&self, answer: &Answer<T>) {
        let end = match &answer.outcome {
            Outcome::Accepted(_) => CallEnd::Accepted,
            Outcome::Refused(_) => CallEnd::Refused,
            Outcome::Later(_) => CallEnd::Later,
            Outcome::Unknown(_) => CallEnd::Unknown,
        };
        let till = (self.till.environment, self.till.device_id);
        let took = answer.evidence.round_trip;
        self.ledger.metrics().call(till, end, took);
    }

    /// How far our trusted time is ahead of FDMS's clock at most.
    pub(super) fn lead(&self) -> SignedDuration {
        let (now, boot) = (self.ledger.time().now(), self.clock().boot());
        self.lead.at_most(now, boot)
    }

    pub(super) fn doing(&self, doing: Doing) {
        self.link.send_if_modified(|link| {
            let changed = link.doing != doing;
            link.doing = doing;
            changed
        });
    }

    fn learn_time(&self, evidence: &Evidence) {
        let Some(date) = evidence.server_date else {
            return;
        };
        let time = self.ledger.time();
        time.learn(date, evidence.round_trip);
        self.lead.learn(date, time.now(), self.clock().boot());
    }

    fn learn_link<T>(&self, answer: &Answer<T>) {
        let now = self.ledger.time().now();
        let reached = answer.evidence.status.is_some_and(|status| status < 500);
        let trouble = match &answer.outcome {
            Outcome::Later(delay) if !reached => Some(delay.to_string()),
            Outcome::Unknown(doubt) if !reached => Some(doubt.to_string()),
            Outcome::Refused(refusal) if refusal.status.is_none() => Some(refusal.to_string()),
            _ => None,
        };
        let is_lost = is_lost(&answer.outcome, &answer.evidence);
        self.breaker.report(!is_lost, self.clock().boot());
        self.link.send_modify(|link| {
            if answer.evidence.status.is_some() {
                link.last_answer = Some(now);
            }
            match &answer.outcome {
                Outcome::Accepted(_) => link.last_refusal = None,
                Outcome::Refused(refusal) => link.last_refusal = Some(refusal.to_string()),
                Outcome::Later(_) | Outcome::Unknown(_) => {}
            }
            link.connection = match (trouble, &link.connection) {
                (None, Connection::Online { since }) => Connection::Online { since: *since },
                (None, _) => Connection::Online { since: now },
                (Some(error), Connection::Offline { since, .. }) => Connection::Offline {
                    since: *since,
                    error,
                },
                (Some(error), _) => Connection::Offline { since: now, error },
            };
        });
    }

    /// How long ago the configuration was fetched.
    pub(super) fn config_age(&self) -> Option<Duration> {
        let at = *self
            .config_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        at.map(|at| self.clock().boot().saturating_sub(at))
    }

    /// Fetches the configuration and keeps it if it is new. Nothing depends on success: the till sells
    /// with the one it has.
    pub(super) async fn fetch_config(&self) {
        let answer = self.ask(self.fdms.get_config()).await;
        let (Outcome::Accepted(_), Some(body)) = (&answer.outcome, answer.evidence.body) else {
            return;
        };
        // What is wrong with it is shown; the till goes on with the one before.
        let _ = self.keep_config(body).await;
    }

    /// Keeps a configuration that FDMS has sent if it is new; true if it was.
    pub(super) async fn keep_config(&self, body: String) -> Result<bool, LedgerError> {
        *self
            .config_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(self.clock().boot());
        let till = self.till.id;
        let kept = self
            .ledger
            .write(move |core| core.store_config(till, &body))
            .await;
        let error = match &kept {
            Ok(true) => {
                tracing::info!(till = %self.till.device_id, "FDMS has sent a new configuration");
                None
            }
            Ok(false) => None,
            Err(error) => {
                tracing::error!(till = %self.till.device_id, %error, "FDMS's configuration cannot be used");
                Some(error.to_string())
            }
        };
        self.link.send_if_modified(|link| {
            let changed = link.config_error != error;
            link.config_error = error;
            changed
        });
        kept
    }
}
