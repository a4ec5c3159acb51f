//! The head of a stream on its way to FDMS, as what it is: an opening, a receipt, a close.

use std::time::Duration;

use super::line::Line;
use super::plan::{self, Yes};
use crate::fdms::wire::{DayOpened, ReceiptAccepted, ValidationError};
use crate::fdms::{Evidence, Outcome};
use crate::ledger::stream::{Item, ItemKind, Proof};

/// So long an opening waits for a fresh configuration.
const CONFIG_PATIENCE: Duration = Duration::from_secs(10);
/// A configuration that is younger is fresh.
const CONFIG_FRESH: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) struct Sent {
    pub(super) outcome: Outcome<Yes>,
    pub(super) evidence: Evidence,
    /// The validation errors of a receipt, each with its colour.
    pub(super) marks: Vec<String>,
    /// Whether FDMS's own signature fits.
    pub(super) proof: Option<Proof>,
}

/// Sends an item and waits for the answer.
pub(super) async fn send(line: &Line, item: &Item) -> Sent {
    let (fdms, body) = (&line.fdms, item.body.as_bytes());
    let (mut marks, mut proof) = (Vec::new(), None);
    let (outcome, evidence) = match item.kind {
        ItemKind::Open(_) => {
            freshen_config(line).await;
            let answer = line.ask(fdms.open_day(body)).await;
            let yes = |opened: DayOpened| Yes::Opened(opened.fiscal_day_no);
            (answer.outcome.map(yes), answer.evidence)
        }
        ItemKind::Receipt(_) => {
            let answer = line.ask(fdms.submit_receipt(body)).await;
            if let Outcome::Accepted(taken) = &answer.outcome {
                let errors = taken.validation_errors.iter();
                marks = errors.map(ValidationError::mark).collect();
                proof = line.judge_receipt(item, taken).await;
            }
            let yes =
                |taken: ReceiptAccepted| Yes::Taken(plan::worst_color(&taken.validation_errors));
            (answer.outcome.map(yes), answer.evidence)
        }
        ItemKind::Close(_) => {
            let answer = line.ask(fdms.close_day(body)).await;
            (answer.outcome.map(|_| Yes::Closing), answer.evidence)
        }
    };
    Sent {
        outcome,
        evidence,
        marks,
        proof,
    }
}

/// With a connection, the configuration is fetched before a day is opened (docs/FDMS.md section 4);
/// an opening does not wait long for it.
async fn freshen_config(line: &Line) {
    if line.config_age().is_some_and(|age| age < CONFIG_FRESH) {
        return;
    }
    tokio::select! {
        biased;
        () = line.fetch_config() => {}
        () = line.clock().sleep(CONFIG_PATIENCE) => {}
    }
}
