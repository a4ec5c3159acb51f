//! A gap at FDMS (Grey) heals by itself: what is missing is found and sent (docs/FDMS.md section 4).
//!
//! Everything is sent in order, so a gap means that FDMS has lost something it had taken. FDMS answers a receipt that
//! it has with the first result, so the day's receipts are sent again from the first on: what it has stays, what it
//! lacks it takes, and then judges anew what came after.

use super::line::Line;
use crate::fdms::Outcome;
use crate::fdms::wire::{ReceiptAccepted, Reply as _};
use crate::ledger::{LedgerError, Seq};

/// Receipts that are read at once.
const PAGE: u32 = 200;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Healed {
    /// FDMS has them all.
    Whole,
    /// It could not be reached up to the end: the same again will do.
    Cut,
    /// It refused one: the same again will not do.
    Refused,
}

/// Sends a day's receipts once more.
pub(super) async fn heal(line: &Line, day: Seq) -> Healed {
    let till = line.till.device_id;
    let (mut from, mut missing) = (0, 0);
    loop {
        let page = line
            .ledger
            .ask(move |reader| reader.sent_receipts(day, from, PAGE));
        let Ok(page) = page.await else {
            return Healed::Cut;
        };
        let Some(last) = page.last() else {
            break;
        };
        from = last.global_no + 1;
        for receipt in page {
            let answer = line
                .ask(line.fdms.submit_receipt(receipt.body.as_bytes()))
                .await;
            let taken = match answer.outcome {
                Outcome::Accepted(taken) => taken,
                Outcome::Refused(_) => {
                    tracing::warn!(%till, receipt = receipt.global_no, "FDMS refuses what is to fill a gap");
                    return Healed::Refused;
                }
                Outcome::Later(_) | Outcome::Unknown(_) => {
                    tracing::warn!(%till, receipt = receipt.global_no, "a gap at FDMS could not be filled yet");
                    return Healed::Cut;
                }
            };
            let before = ReceiptAccepted::parse(&receipt.answer).ok();
            if before.is_some_and(|before| before.receipt_id != taken.receipt_id) {
                missing += 1;
                tracing::warn!(%till, receipt = receipt.global_no, "FDMS had lost a receipt; it has it again");
            }
        }
    }
    let told: Result<(), LedgerError> = {
        let id = line.till.id;
        let detail = serde_json::json!({ "day": day, "resent": missing }).to_string();
        line.ledger
            .write(move |core| core.tell(id, "day.healed", &detail))
            .await
    };
    if let Err(error) = told {
        tracing::debug!(%error, "an event could not be written");
    }
    Healed::Whole
}
