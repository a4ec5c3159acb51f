//! Tells when a till's way to FDMS is lost and comes back, and how far it has caught up since.

use std::sync::Arc;

use fiscal::DeviceId;

use super::line::{CatchingUp, Connection, Doing, Line};
use super::plan::Verdict;
use crate::ledger::LedgerError;
use crate::ledger::stream::{Item, StreamState};

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

/// Says in the log what a person may have to know.
pub(super) fn log(till: DeviceId, before: &StreamState, item: &Item, verdict: &Verdict) {
    match verdict {
        Verdict::Finish(submission) => match submission.color.as_deref() {
            Some(color @ ("Red" | "Grey")) => {
                tracing::error!(%till, item = %item.kind, color, answer = submission.answer, "FDMS marked a receipt");
            }
            color => tracing::debug!(%till, item = %item.kind, color, "FDMS has taken it"),
        },
        Verdict::Keep(state) => match (&state.parked, &state.last_error) {
            (Some(parked), _) if before.parked.is_none() => {
                tracing::error!(%till, item = %item.kind, code = parked.code, reason = parked.reason, "sending is parked; selling goes on");
            }
            (None, Some(error)) if state.attempts == 1 => {
                tracing::warn!(%till, item = %item.kind, error, "FDMS did not take it; it is tried again");
            }
            (_, error) => {
                tracing::debug!(%till, item = %item.kind, step = ?state.step, error, "the head waits")
            }
        },
        Verdict::AskStatus(_) => {}
    }
}
