//! Defects planted in the worker, to show that the suites and the simulation find them.

use super::{Worker, plan, send};
use crate::fdms::{Evidence, Outcome};
use crate::ledger::stream::{Item, ItemKind, StreamState, Submission};
use crate::submit::plan::Verdict;

/// Defects that tests plant, to show that their suites can fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// Things are sent before their date.
    TooEarly,
    /// An OpenDay or CloseDay is repeated without asking GetStatus.
    AsksNothing,
    /// What FDMS refuses is passed over.
    Skips,
    /// A receipt is not sent again after a doubt: it is taken as arrived.
    Trusts,
    /// The receipt after the next one is sent first.
    OutOfOrder,
    /// A close is sent before the receipts of its day.
    ClosesEarly,
    /// Where a person must look, the worker stands still instead of saying so.
    ParksSilently,
}

impl Worker {
    /// Sends what does not come next, if that is planted.
    pub(super) async fn send_before(&self, state: &StreamState, item: &Item) {
        let skips = match self.planted {
            Planted::OutOfOrder => 1,
            Planted::ClosesEarly => u32::MAX,
            _ => return,
        };
        let mut state = state.clone();
        if !matches!(item.kind, ItemKind::Receipt(_)) {
            return;
        }
        let past = move |reader: &crate::ledger::Reader| reader.past_receipts(&mut state, skips);
        if let Ok(Some(other)) = self.line.ledger.ask(past).await {
            let _ = send::send(&self.line, &other).await;
        }
    }

    /// Stands still for ever, if that is planted.
    pub(super) async fn stand_still(&self, verdict: &Verdict) {
        if self.planted == Planted::ParksSilently
            && let Verdict::Keep(next) = verdict
            && next.parked.is_some()
        {
            std::future::pending::<()>().await;
        }
    }

    /// What is made of an answer, if a defect is planted.
    pub(super) fn planted_verdict(
        &self,
        verdict: Verdict,
        outcome: &Outcome<plan::Yes>,
        evidence: &Evidence,
    ) -> Verdict {
        let passed_over = match self.planted {
            Planted::Skips => matches!(outcome, Outcome::Refused(_)),
            Planted::Trusts => matches!(outcome, Outcome::Unknown(_)),
            _ => false,
        };
        if !passed_over {
            return verdict;
        }
        Verdict::Finish(Submission {
            answer: evidence.body.clone().unwrap_or_default(),
            ..Submission::default()
        })
    }
}
