//! The authority's Receipt48: what stands on a receipt, in which order and words (docs/FDMS.md section 9).
//!
//! Tax-exclusive receipts have the form InvoiceA4 in the book; on receipt paper they carry the same facts:
//! goods' codes, amounts without tax, the total without tax and the tax of each rate.

use super::{Block, facts, seller};
use crate::draft::PrintOnly;
use crate::receipt::{Buyer, Line, Receipt, Signature};
use crate::taxpayer::Taxpayer;
use crate::{DateTime, DeviceId, FiscalDayNo, Quantity, ReceiptGlobalNo, qr};

/// Everything that a receipt's paper is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReceiptOnPaper<'a> {
    /// The receipt.
    pub receipt: &'a Receipt,
    /// The seller, as configured when the receipt was issued.
    pub taxpayer: &'a Taxpayer,
    /// The till.
    pub device: DeviceId,
    /// Its fiscal day; `None` only on a preview with no day open.
    pub fiscal_day: Option<FiscalDayNo>,
    /// What proves the receipt; `None` only on a preview.
    pub proof: Option<&'a Proof>,
    /// What is printed and never reaches FDMS.
    pub print: &'a PrintOnly,
    /// What is known of a note's original beyond the note's own reference.
    pub original: Option<&'a OriginalOnPaper>,
    /// What the paper is headed with.
    pub marks: Marks,
}

/// Words at the head of a paper that is not simply the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// A reprint: COPY.
    pub copy: bool,
    /// A till of the test environment: TEST.
    pub test: bool,
    /// A receipt that has not been issued: PREVIEW; without numbers, date and QR code.
    pub preview: bool,
}

/// Verification code and QR content of a signed receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// 16 hexadecimal digits, upper case.
    pub verification_code: String,
    /// What the QR code holds.
    pub qr_content: String,
}

impl Proof {
    /// The proof of a receipt, from its signature.
    #[must_use]
    pub fn new(qr_url: &str, device: DeviceId, receipt: &Receipt, signature: &Signature) -> Self {
        let verification_code = qr::verification_code(&signature.bytes);
        let (date, global_no) = (receipt.date, receipt.global_no);
        Self {
            qr_content: qr::content(qr_url, device, date, global_no, &verification_code),
            verification_code,
        }
    }
}

/// A note's original, as far as it is known; perhaps another till's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginalOnPaper {
    /// Its number; taken from the note's reference if `None`.
    pub global_no: Option<ReceiptGlobalNo>,
    /// When it was issued.
    pub date: Option<DateTime>,
    /// Its `invoiceNo`.
    pub invoice_no: Option<String>,
    /// Serial number of the device that issued it.
    pub device_serial_no: Option<String>,
}

/// The receipt as blocks.
#[must_use]
pub fn receipt48(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let receipt = paper.receipt;
    let mut blocks = Vec::with_capacity(48 + 2 * receipt.lines.len());
    blocks.extend(marks(paper.marks));
    blocks.extend(seller(paper.taxpayer));
    let mut part = |rows: Vec<Block>| {
        if !rows.is_empty() {
            blocks.push(Block::Rule);
            blocks.extend(rows);
        }
    };
    part(vec![Block::title(facts::title(receipt, paper.taxpayer))]);
    part(receipt.buyer.as_ref().map(buyer).unwrap_or_default());
    part(numbers(paper));
    part(original(paper));
    part(lines(receipt));
    part(totals(paper));
    if paper.taxpayer.is_vat_payer() {
        part(taxes(receipt, paper.taxpayer));
    }
    part(receipt.notes.iter().map(Block::text).collect());
    part(end(paper));
    part(paper.print.footer_lines.iter().map(Block::center).collect());
    blocks.push(Block::Cut);
    blocks
}

/// What makes another paper a fiscal receipt: the authority's facts that a POS's own print lacks. It stands
/// under what the POS prints (goods and totals), so it has no lines of its own.
#[must_use]
pub fn fiscal_block(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let receipt = paper.receipt;
    let mut blocks = vec![Block::Rule];
    blocks.extend(marks(paper.marks));
    blocks.push(Block::title(facts::title(receipt, paper.taxpayer)));
    blocks.push(Block::center(&paper.taxpayer.name));
    blocks.push(Block::center(format!("TIN: {}", paper.taxpayer.tin)));
    let vat = paper.taxpayer.vat_number.as_ref();
    blocks.extend(vat.map(|number| Block::center(format!("VAT No: {number}"))));
    blocks.push(Block::Rule);
    blocks.extend(receipt.buyer.as_ref().map(buyer).unwrap_or_default());
    blocks.extend(numbers(paper));
    blocks.extend(original(paper));
    blocks.push(Block::Rule);
    blocks.push(Block::bold_row(
        format!("Total {}", receipt.currency),
        receipt.total.to_string(),
    ));
    if paper.taxpayer.is_vat_payer() {
        blocks.extend(taxes(receipt, paper.taxpayer));
    }
    blocks.push(Block::Rule);
    blocks.extend(end(paper));
    blocks
}

fn marks(marks: Marks) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (is_set, word) in [
        (marks.test, "TEST"),
        (marks.preview, "PREVIEW"),
        (marks.copy, "COPY"),
    ] {
        if is_set {
            blocks.push(Block::banner(word));
        }
    }
    if marks.preview {
        blocks.push(Block::center("not issued: no fiscal receipt"));
    }
    blocks
}

fn buyer(buyer: &Buyer) -> Vec<Block> {
    let lines = facts::buyer_lines(buyer).into_iter().map(Block::text);
    std::iter::once(Block::text("Buyer:"))
        .chain(lines)
        .collect()
}

fn numbers(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let number = facts::invoice_number(paper);
    let day = facts::day_number(paper);
    let mut blocks = vec![
        Block::row(
            format!("Invoice No: {number}"),
            format!("Fiscal day No: {day}"),
        ),
        Block::text(format!(
            "Customer reference No: {}",
            paper.receipt.invoice_no
        )),
        Block::text(format!(
            "Device Serial No: {}",
            paper.taxpayer.device_serial_no
        )),
        Block::text(format!("Device ID: {}", paper.device)),
        Block::text(format!("Date: {}", facts::issue_date(paper))),
    ];
    blocks.extend(
        paper
            .print
            .cashier
            .iter()
            .map(|name| Block::text(format!("Cashier: {name}"))),
    );
    blocks
}

fn original(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let Some((heading, known)) = facts::original(paper) else {
        return Vec::new();
    };
    let known = known.into_iter();
    let rows = known.map(|(name, value)| Block::text(format!("{name}: {value}")));
    std::iter::once(Block::title(heading)).chain(rows).collect()
}

fn lines(receipt: &Receipt) -> Vec<Block> {
    let amount = if receipt.lines_tax_inclusive {
        "Amount"
    } else {
        "Amount (excl. tax)"
    };
    let mut blocks = vec![Block::bold_row("Description", amount)];
    for line in &receipt.lines {
        line_blocks(line, !receipt.lines_tax_inclusive, &mut blocks);
    }
    blocks
}

/// One of a thing stands on a single line, more or less of it on a second one.
fn line_blocks(line: &Line, with_code: bool, blocks: &mut Vec<Block>) {
    let name = facts::line_name(line);
    let amount = match &line.tax.code {
        Some(code) => format!("{} {code}", line.total),
        None => line.total.to_string(),
    };
    let code = line.hs_code.as_ref().filter(|_| with_code);
    if line.quantity == Quantity::ONE {
        blocks.push(Block::row(name, amount));
        blocks.extend(code.map(|code| Block::text(format!("Code: {code}"))));
        return;
    }
    blocks.push(Block::text(name));
    blocks.extend(code.map(|code| Block::text(format!("Code: {code}"))));
    let quantity = line.quantity;
    let how_many = match line.price {
        Some(price) if quantity.value().normalize().scale() == 0 => {
            format!("{quantity} each @ {}", facts::price_text(price))
        }
        Some(price) => format!("{quantity} @ {}", facts::price_text(price)),
        None => format!("{quantity} for {}", line.total),
    };
    blocks.push(Block::row(how_many, amount));
}

fn totals(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let receipt = paper.receipt;
    let currency = receipt.currency;
    let mut blocks = Vec::new();
    if receipt.lines_tax_inclusive {
        blocks.push(Block::bold_row(
            format!("Total {currency}"),
            receipt.total.to_string(),
        ));
    } else {
        for (label, amount) in facts::exclusive_sums(receipt, paper.taxpayer) {
            blocks.push(Block::row(label, amount.to_string()));
        }
        blocks.push(Block::bold_row(
            facts::total_label(receipt),
            receipt.total.to_string(),
        ));
    }
    for (label, amount) in facts::paid(paper) {
        blocks.push(Block::row(label, amount.to_string()));
    }
    let items = facts::item_count(receipt);
    blocks.push(Block::row("Number of items", items.to_string()));
    blocks
}

fn taxes(receipt: &Receipt, taxpayer: &Taxpayer) -> Vec<Block> {
    let (head, rows) = facts::tax_table(receipt, taxpayer);
    vec![Block::Table { head, rows }]
}

fn end(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let Some(proof) = paper.proof else {
        return Vec::new();
    };
    vec![
        Block::Qr {
            content: proof.qr_content.clone(),
        },
        Block::center("Verification code:"),
        Block::title(qr::grouped(&proof.verification_code)),
        Block::center("You can verify this receipt manually at"),
        Block::center(&paper.taxpayer.qr_url),
    ]
}
