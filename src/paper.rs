//! Papers of what is in the ledger: the same receipt or report for an answer, a printer, a PDF.

use std::sync::Arc;

use fiscal::paper::{
    Align, Block, Marks, OriginalOnPaper, Proof, ReceiptOnPaper, Size, fiscal_block, receipt48,
};
use fiscal::report::{DayReport, report};
use fiscal::taxpayer::Taxpayer;

use crate::ledger::{DayFacts, Environment, Issued, TillInfo};

/// Verification code and QR content.
#[must_use]
pub fn proof(issued: &Issued) -> Proof {
    Proof::new(
        &issued.taxpayer.qr_url,
        issued.till.device_id,
        &issued.receipt,
        &issued.signature,
    )
}

/// What the paper of a receipt is headed with.
#[must_use]
pub fn marks(issued: &Issued, is_copy: bool) -> Marks {
    Marks {
        copy: is_copy,
        test: issued.till.environment == Environment::Test,
        preview: false,
    }
}

/// A receipt's paper, whole.
#[must_use]
pub fn receipt_blocks(issued: &Issued, proof: Option<&Proof>, marks: Marks) -> Vec<Block> {
    with_paper(issued, proof, marks, receipt48)
}

/// What an old POS's own paper lacks to be a fiscal receipt.
#[must_use]
pub fn fiscal_blocks(issued: &Issued, marks: Marks) -> Vec<Block> {
    with_paper(issued, Some(&proof(issued)), marks, fiscal_block)
}

/// A receipt as PDF: the authority's InvoiceA4.
///
/// # Errors
/// The document cannot be made.
pub fn receipt_pdf(
    issued: &Issued,
    is_copy: bool,
    logo: Option<&[u8]>,
) -> Result<Vec<u8>, a4::A4Error> {
    let (proof, marks) = (proof(issued), marks(issued, is_copy));
    with_paper(issued, Some(&proof), marks, |paper| {
        a4::invoice(paper, logo)
    })
}

fn with_paper<T>(
    issued: &Issued,
    proof: Option<&Proof>,
    marks: Marks,
    make: impl FnOnce(&ReceiptOnPaper<'_>) -> T,
) -> T {
    let original = issued.original.as_ref().map(|original| OriginalOnPaper {
        global_no: Some(original.global_no),
        date: Some(original.date),
        invoice_no: Some(original.invoice_no.clone()),
        device_serial_no: Some(original.serial_no.clone()),
    });
    make(&ReceiptOnPaper {
        receipt: &issued.receipt,
        taxpayer: &issued.taxpayer,
        device: issued.till.device_id,
        fiscal_day: Some(issued.fiscal_day_no),
        proof,
        print: &issued.print,
        original: original.as_ref(),
        marks,
    })
}

/// A day's report: X while the day is open, Z once it is closed.
#[must_use]
pub fn report_blocks(till: &TillInfo, taxpayer: &Arc<Taxpayer>, facts: &DayFacts) -> Vec<Block> {
    report(&day_report(till, taxpayer, facts))
}

/// The same as PDF.
///
/// # Errors
/// The document cannot be made.
pub fn report_pdf(
    till: &TillInfo,
    taxpayer: &Arc<Taxpayer>,
    facts: &DayFacts,
) -> Result<Vec<u8>, a4::A4Error> {
    a4::report(&day_report(till, taxpayer, facts))
}

fn day_report<'a>(
    till: &TillInfo,
    taxpayer: &'a Arc<Taxpayer>,
    facts: &'a DayFacts,
) -> DayReport<'a> {
    DayReport {
        taxpayer,
        device: till.device_id,
        fiscal_day: facts.fiscal_day_no,
        opened: facts.opened,
        closed: facts.close.as_ref().map(|close| close.closed),
        totals: &facts.totals,
        test: till.environment == Environment::Test,
    }
}

/// The cashier reads on paper what the status says: the last thing before the cut.
pub fn warn(blocks: &mut Vec<Block>, warning: String) {
    let end = match blocks.last() {
        Some(Block::Cut) => blocks.len() - 1,
        _ => blocks.len(),
    };
    let text = Block::Text {
        text: warning,
        align: Align::Center,
        bold: true,
        size: Size::default(),
    };
    blocks.splice(end..end, [Block::Rule, text]);
}
