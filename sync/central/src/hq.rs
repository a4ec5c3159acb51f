//! What every part of the service is given.

use std::sync::Arc;

use clock::{SharedClock, Timestamp};
use secrecy::SecretString;
use sync_wire::Environment;

use crate::db::Db;
use crate::keys::MasterKeys;
use crate::outbound::Outbound;

/// The service. Cheap to clone inside an `Arc`; it has no state that another instance would miss.
#[derive(Debug)]
pub struct Hq {
    /// Postgres.
    pub db: Db,
    /// The time.
    pub clock: SharedClock,
    /// What this installation may do at most (`FDMS_ENV`): `Test` forbids every production cut-over.
    pub ceiling: Environment,
    /// What credentials are sealed with (`FDMS_CRED_MASTER_KEY_B64`).
    pub keys: MasterKeys,
    /// Who calls `/fdms_worker` shows this (`FDMS_WORKER_SECRET`).
    pub worker_secret: Option<SecretString>,
    /// Whether cookies are for HTTPS alone: off only for a demonstration on localhost.
    pub secure_cookies: bool,
    /// Under which address people reach it, for links in mail: `https://hq.example`.
    pub public_url: String,
    /// How people outside are reached.
    pub outbound: Outbound,
}

/// The service as handlers get it.
pub type SharedHq = Arc<Hq>;

impl Hq {
    /// Now, on the service's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// What is typed in a store to join this head office with a code.
    #[must_use]
    pub fn join_command(&self, code: &str) -> String {
        format!(
            "fiscald hq join {code} --url {}",
            self.public_url.trim_end_matches('/')
        )
    }
}
