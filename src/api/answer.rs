//! The JSON of receipts: everything that a POS needs to print by itself, and where FDMS stands with it.
//!
//! It is written by hand, like what FDMS is sent, so that no amount passes through a float. What is said
//! of a receipt when it is issued comes from [`Issued`] alone, so that the same receipt read back from the
//! ledger is answered byte for byte the same.

use clock::Timestamp;
use fiscal::paper::{Block, Marks, render_text};
use fiscal::qr;
use fiscal::wire::{Object, receipt_fields, rows};

use super::link::Link;
use crate::fdms::wire::{ReceiptAccepted, Reply as _};
use crate::ledger::read::{ReceiptRow, SubmissionRow};
use crate::ledger::stream::{Parked, StreamState};
use crate::ledger::{Issued, LedgerError, Reader, Seq, TillId, TillInfo};
use crate::paper::{marks, proof, receipt_blocks};

/// Where a receipt, an opening or a close stands with FDMS.
#[derive(Debug, Clone)]
pub(super) enum Fdms {
    /// In the queue.
    Queued,
    /// In the queue; the head of which, perhaps this one, was tried in vain.
    Retrying(StreamState),
    /// Never sent, and never will be: the till went on from FDMS's numbers.
    PassedOver,
    /// In the queue, which sends nothing until a person has acted.
    Parked(Parked),
    /// Taken, perhaps with remarks.
    Accepted(SubmissionRow),
}

impl Fdms {
    /// Asks the ledger.
    pub(super) fn of(reader: &Reader, till: TillId, seq: Seq) -> Result<Self, LedgerError> {
        if let Some(row) = reader.submission(seq)? {
            return Ok(Self::Accepted(row));
        }
        if reader.is_passed_over(till, seq)? {
            return Ok(Self::PassedOver);
        }
        let (state, _) = reader.stream(till)?;
        Ok(match state.parked {
            Some(parked) => Self::Parked(parked),
            None if state.attempts > 0 => Self::Retrying(state),
            None => Self::Queued,
        })
    }

    /// Whether waiting longer makes sense.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Self::Queued | Self::Retrying(_))
    }

    pub(super) fn write(&self, o: &mut Object<'_>) {
        match self {
            Self::Queued => o.text("state", "queued"),
            Self::PassedOver => o.text("state", "passedOver"),
            Self::Retrying(state) => {
                o.text("state", "queued");
                o.number("attempts", state.attempts);
                o.text("nextAttempt", &local(state.next_attempt));
                o.optional_text("lastError", state.last_error.as_deref());
            }
            Self::Parked(parked) => {
                o.text("state", "parked");
                write_parked(o, parked);
            }
            Self::Accepted(row) => {
                o.text("state", "accepted");
                write_accepted(o, row);
            }
        }
    }
}

/// Why a till's queue sends nothing, and what a person may do.
pub(super) fn write_parked(o: &mut Object<'_>, parked: &Parked) {
    o.text("reason", &parked.reason);
    o.text("code", &parked.code);
    strings(o.name("actions"), &parked.actions);
    o.number("probing", parked.probing);
    o.text("since", &local(parked.since));
}

fn write_accepted(o: &mut Object<'_>, row: &SubmissionRow) {
    let at = Timestamp::from_millisecond(row.finished_at).unwrap_or_default();
    o.text("acceptedAt", &local(at));
    o.optional_text("operationID", row.operation_id.as_deref());
    o.optional_text("color", row.color.as_deref());
    o.optional_text("serverSignature", row.server_signature.as_deref());
    let Ok(answer) = ReceiptAccepted::parse(&row.answer) else {
        // The answer to an opening or a close has nothing more to say.
        return;
    };
    o.number("receiptID", answer.receipt_id);
    o.text("serverDate", &answer.server_date);
    rows(
        o.name("validationErrors"),
        &answer.validation_errors,
        |o, error| {
            o.text("validationErrorCode", &error.code);
            o.text("validationErrorColor", error.color.as_str());
            o.optional_text("validationErrorDescription", error.description.as_deref());
        },
    );
}

/// An array of strings.
pub(super) fn strings(out: &mut String, texts: &[String]) {
    // Strings always serialise.
    out.push_str(&serde_json::to_string(texts).unwrap_or_default());
}

/// A moment as FDMS writes it: local time of Zimbabwe.
pub(super) fn local(at: Timestamp) -> String {
    clock::local(at).to_string()
}

/// The till that an answer is about.
pub(super) fn write_till(o: &mut Object<'_>, till: &TillInfo) {
    o.number("deviceID", till.device_id);
    o.text("environment", till.environment.as_str());
    o.text("deviceSerialNo", &till.serial_no);
}

/// The whole of a receipt.
pub(super) fn receipt(issued: &Issued, columns: usize, fdms: &Fdms, link: &Link) -> String {
    let proof = proof(issued);
    let mut out = String::with_capacity(8 * 1024);
    let mut o = Object::open(&mut out);
    write_till(&mut o, &issued.till);
    o.number("fiscalDayNo", issued.fiscal_day_no);
    receipt_fields(&mut o, &issued.receipt);
    write_judged(&mut o, issued);
    o.text("hash", &issued.signature.hash.to_string());
    o.text("signature", &issued.signature.base64());
    o.text("verificationCode", &qr::grouped(&proof.verification_code));
    o.text("qrData", &proof.qr_content);
    let marks = marks(issued, false);
    write_print(
        &mut o,
        &receipt_blocks(issued, Some(&proof), marks),
        columns,
    );
    o.object("fdms", |o| {
        fdms.write(o);
        // What FDMS has no longer depends on the way there.
        if fdms.is_pending() {
            o.object("link", |o| link.write(o));
        }
    });
    o.close();
    out
}

/// The receipt as it would be issued: numbers and date may be others when it is.
pub(super) fn preview(issued: &Issued, columns: usize) -> String {
    let mut out = String::with_capacity(8 * 1024);
    let mut o = Object::open(&mut out);
    o.number("preview", true);
    write_till(&mut o, &issued.till);
    o.number("fiscalDayNo", issued.fiscal_day_no);
    receipt_fields(&mut o, &issued.receipt);
    write_judged(&mut o, issued);
    let marks = Marks {
        preview: true,
        ..marks(issued, false)
    };
    write_print(&mut o, &receipt_blocks(issued, None, marks), columns);
    o.close();
    out
}

/// Said of notes only: an original in another ledger could not be judged.
fn write_judged(o: &mut Object<'_>, issued: &Issued) {
    if issued.receipt.receipt_type.is_note() {
        o.number("originalJudged", issued.original.is_some());
    }
}

fn write_print(o: &mut Object<'_>, blocks: &[Block], columns: usize) {
    o.object("print", |o| {
        // Blocks hold only texts and words: they always serialise.
        let mut json = Vec::with_capacity(64 * blocks.len());
        let _ = serde_json::to_writer(&mut json, blocks);
        let json = std::str::from_utf8(&json).unwrap_or_default();
        o.name("blocks").push_str(json);
        o.number("columns", columns);
        o.text("text", &render_text(blocks, columns));
    });
}

/// The receipt as lines of text.
pub(super) fn text(issued: &Issued, columns: usize, is_copy: bool) -> String {
    let blocks = receipt_blocks(issued, Some(&proof(issued)), marks(issued, is_copy));
    render_text(&blocks, columns)
}

/// A receipt in a list; the names are those of the whole receipt.
pub(super) fn write_row(o: &mut Object<'_>, till: &TillInfo, row: &ReceiptRow) {
    write_till(o, till);
    o.number("fiscalDayNo", row.fiscal_day_no);
    o.text("receiptType", row.receipt_type.as_str());
    o.text("receiptCurrency", row.currency.as_str());
    o.number("receiptCounter", row.counter);
    o.number("receiptGlobalNo", row.global_no);
    o.text("invoiceNo", &row.invoice_no);
    o.text("receiptDate", &row.date.to_string());
    o.number("receiptTotal", row.total);
    o.object("fdms", |o| match &row.submitted {
        None => o.text("state", "queued"),
        Some(color) => {
            o.text("state", "accepted");
            o.optional_text("color", color.as_deref());
        }
    });
}
