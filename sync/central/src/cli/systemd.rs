//! What systemd is told of a running service: ready, whether its database answers, and that it is alive.
//!
//! The watchdog is fed by the loop that serves requests, whatever the database does: a service that waits for its
//! database is well, and starting it anew would not bring the database back.

use std::net::SocketAddr;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use sd_notify::NotifyState;

use crate::db::Db;

/// How often the state is told unless the watchdog wants it more often.
const EVERY: Duration = Duration::from_secs(10);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd does not hear how the service is");
    }
}

/// Serves requests from now on.
pub(super) fn ready(address: SocketAddr) {
    let status = format!("serves on {address}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Finishes what is in flight, and ends.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: finishing what is in flight"),
    ]);
}

/// Feeds the watchdog and says how the database is, for ever; without systemd it just waits.
pub(super) async fn keep(db: &Db) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let every = sd_notify::watchdog_enabled().map_or(EVERY, |limit| EVERY.min(limit / 3));
    let mut said = String::new();
    loop {
        // A database that hangs must not starve the watchdog.
        let found = tokio::time::timeout(every, db.check()).await;
        let now = match found {
            Ok(Ok(())) => "serves; the database answers".to_owned(),
            Ok(Err(why)) => format!("serves WITHOUT its database: {why}").replace('\n', " "),
            Err(_) => "serves WITHOUT its database: it does not answer".to_owned(),
        };
        tell(&[NotifyState::Watchdog]);
        if now != said {
            tell(&[NotifyState::Status(&now)]);
            said = now;
        }
        SystemClock.sleep(every).await;
    }
}
