//! Whether the gateway runs.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{Area, Finding};
use crate::config::Config;
use crate::local;

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// It answers.
    Yes,
    /// It runs, and does not answer.
    Silent,
    /// It does not run.
    No,
}

/// Asks the running gateway for a document.
pub(super) async fn ask(config: &Config, path: &str) -> Result<Value, String> {
    let asked = local::send(config, Method::GET, path, Vec::new());
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let answer = answer.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    let text = answer.and_then(local::Answer::success);
    let text = text.map_err(|error| format!("{error:#}"))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Whether it runs and takes sales.
pub(super) async fn look(config: &Config, found: &mut Vec<Finding>) -> Running {
    if ask(config, "/healthz").await.is_ok() {
        let ready = ask(config, "/readyz").await;
        found.push(match ready {
            Ok(_) => Finding::ok(Area::Gateway, "it runs and takes sales"),
            Err(why) => Finding::fault(
                Area::Gateway,
                "gateway_not_ready",
                format!("it runs and takes no sales: {why}"),
                "Look at its log; after a fault of the disk run `fiscald verify`, then restart it.",
            ),
        });
        return Running::Yes;
    }
    if holds_the_folder(config) {
        found.push(Finding::fault(
            Area::Gateway,
            "gateway_silent",
            format!(
                "a gateway runs on {}, and does not answer on {}",
                config.data_dir().display(),
                config.socket_path().display()
            ),
            "Give this command the gateway's own configuration (--config). If it is that, restart the gateway.",
        ));
        return Running::Silent;
    }
    found.push(Finding::warning(
        Area::Gateway,
        "gateway_stopped",
        "it does not run",
        "Start it when the rest is right: `systemctl start fiscald`, or `fiscald run`.",
    ));
    Running::No
}

/// A running gateway keeps its folder locked. The lock is tried for less than a moment, and shared.
fn holds_the_folder(config: &Config) -> bool {
    use rustix::fs::{FlockOperation, flock};
    let Ok(file) = std::fs::File::open(config.data_dir().join("run.lock")) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}
