//! What FDMS has taken of a stream, and every attempt to bring it there.

use clock::Timestamp;
use rusqlite::params;
use sync_wire::entry::{Attempt, AttemptOutcome};

use super::{Item, ItemKind, Step, StreamState, load_stream, next_item, store_stream};
use crate::ledger::core::Core;
use crate::ledger::{LedgerError, Refusal, TillId};

/// What FDMS finally said to an item.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// FDMS's number of the operation.
    pub operation_id: Option<String>,
    /// The worst colour among its validation errors: `Red`, `Grey`, `Yellow`.
    pub color: Option<String>,
    /// The answer, as received.
    pub answer: String,
    /// Its validation errors, each with its colour: `RCPT025 Red`.
    pub marks: Vec<String>,
    /// Whether FDMS's own signature fits; none if it gave none.
    pub proof: Option<Proof>,
    /// How it was brought there.
    pub tried: Tried,
}

/// An attempt, as far as it is not told by what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    /// How often it was tried before, in vain.
    pub before: u32,
    /// HTTP status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// How long it took.
    pub duration_ms: u32,
}

/// Whether a signature of FDMS fits what it has taken (docs/FDMS.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It fits.
    Valid,
    /// It does not: an alarm, and nothing more.
    Invalid,
    /// FDMS's certificate could not be had, or the day was closed by hand.
    Unchecked,
}

impl Proof {
    /// The word in the ledger and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Core {
    /// FDMS has taken the item at the head: its answer is kept, the cursor moves on.
    ///
    /// # Errors
    /// The item is not at the head.
    pub fn finish_item(
        &mut self,
        till: TillId,
        item: &Item,
        submission: &Submission,
    ) -> Result<(), LedgerError> {
        let mut state = load_stream(&self.conn, till)?;
        let head = next_item(&self.conn, &state)?;
        if head.as_ref().map(|head| head.seq) != Some(item.seq) {
            return Err(
                Refusal::Stream(format!("{} is not at the head of the queue", item.kind)).into(),
            );
        }
        self.conn
            .prepare_cached("INSERT INTO submission VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                item.seq.0,
                till.0,
                self.now_ms(),
                submission.operation_id,
                submission.color,
                submission.answer,
                submission.proof.map(Proof::as_str)
            ])?;
        match item.kind {
            ItemKind::Open(no) => state.last_day_no = no,
            ItemKind::Receipt(no) => state.last_global_no = no,
            ItemKind::Close(_) => {}
        }
        let detail = serde_json::json!({
            "seq": item.seq,
            "operationID": submission.operation_id,
            "color": submission.color,
            "attempt": submission.tried.before.saturating_add(1),
        });
        let kind = match item.kind {
            ItemKind::Open(_) => "fdms.opened",
            ItemKind::Receipt(_) => "fdms.receipt",
            ItemKind::Close(_) => "fdms.closed",
        };
        let seq = self.take_seq();
        self.append_event(seq, Some(till), kind, Some(&detail.to_string()))?;
        self.log_attempt(till, &accepted(item, submission))?;
        if let (ItemKind::Receipt(no), Some("Red")) = (item.kind, submission.color.as_deref()) {
            self.mark_red(till, item.seq, no, &submission.marks)?;
        }
        if let (ItemKind::Receipt(no), Some("Grey")) = (item.kind, submission.color.as_deref()) {
            let detail = serde_json::json!({ "receiptGlobalNo": no, "marks": submission.marks });
            let seq = self.take_seq();
            self.append_event(seq, Some(till), "receipt.grey", Some(&detail.to_string()))?;
        }
        if submission.proof == Some(Proof::Invalid) {
            let detail = item.kind.to_string();
            let seq = self.take_seq();
            self.append_event(seq, Some(till), "fdms.signature_invalid", Some(&detail))?;
        }
        store_stream(
            &self.conn,
            &StreamState {
                cursor: item.seq,
                step: Step::Send,
                attempts: 0,
                next_attempt: Timestamp::UNIX_EPOCH,
                last_error: None,
                parked: state.pause().cloned(),
                ..state
            },
        )?;
        Ok(())
    }

    /// Something of the stream was sent to FDMS, or asked about, and this came of it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn log_attempt(&mut self, till: TillId, attempt: &Attempt) -> Result<(), LedgerError> {
        // Texts and numbers always serialise.
        let detail = serde_json::to_string(attempt).unwrap_or_default();
        let seq = self.take_seq();
        // The worker has made it itself, and nobody else at the till waits for it.
        Ok(self.append_quietly(seq, Some(till), "fdms.attempt", Some(&detail))?)
    }
}

/// The attempt by which FDMS took an item. What FDMS answered is in the item's submission.
fn accepted(item: &Item, submission: &Submission) -> Attempt {
    let (kind, number) = item.kind.named();
    Attempt {
        item: kind,
        item_seq: item.seq.0,
        number,
        attempt: submission.tried.before.saturating_add(1),
        outcome: AttemptOutcome::Accepted,
        http_status: submission.tried.http_status,
        code: None,
        operation_id: submission.operation_id.clone(),
        color: submission.color.clone(),
        error_message: None,
        duration_ms: submission.tried.duration_ms,
        answer: None,
        server_signature: submission.proof.map(|proof| proof.as_str().to_owned()),
    }
}
