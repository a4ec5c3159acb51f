//! Tells when a till's way to FDMS is lost and comes back, and how far it has caught up since.

use std::sync::Arc;

use super::line::{CatchingUp, Connection, Doing, Line};
use crate::ledger::LedgerError;

/// Runs for ever; whoever started it stops it by dropping it.
pub(super) async fn run(line: Arc<Line>) {
    let mut link = line.link.subscribe();
    let mut was_online = None;
    loop {
        let now = link.borrow_and_update().clone();
        match now.connection {
            Connection::Offline { error, .. } if was_online != Some(false) => {
                was_online = Some(false);
                line.link.send_modify(|link| link.catching_up = None);
                let detail = serde_json::json!({ "error": error });
                tell(&line, "link.offline", &detail.to_string()).await;
            }
            Connection::Online { since } if was_online != Some(true) => {
                let is_back = was_online == Some(false);
                was_online = Some(true);
                let of = waiting(&line).await;
                // One that is just being sent is no backlog.
                if of > 1 {
                    line.link.send_modify(|link| {
                        link.catching_up = Some(CatchingUp { of, sent: 0, since })
                    });
                }
                if is_back {
                    let detail = serde_json::json!({ "unsent": of });
                    tell(&line, "link.online", &detail.to_string()).await;
                }
            }
            Connection::Online { .. } if now.doing == Doing::Idle => {
                if let Some(caught_up) = now.catching_up {
                    line.link.send_modify(|link| link.catching_up = None);
                    let detail = serde_json::json!({ "sent": caught_up.of });
                    tell(&line, "link.caught_up", &detail.to_string()).await;
                }
            }
            _ => {}
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

async fn waiting(line: &Line) -> u32 {
    let till = line.till.id;
    let backlog = line.ledger.ask(move |reader| reader.backlog(till)).await;
    backlog.map_or(0, |backlog| backlog.total())
}

async fn tell(line: &Line, kind: &'static str, detail: &str) {
    let (till, detail) = (line.till.id, detail.to_owned());
    let told: Result<(), LedgerError> = line
        .ledger
        .write(move |core| core.tell(till, kind, &detail))
        .await;
    if let Err(error) = told {
        tracing::debug!(%error, kind, "an event could not be written");
    }
}
