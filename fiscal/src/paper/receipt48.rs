//! The authority's Receipt48: what stands on a receipt, in which order and words (docs/FDMS.md section 9).
//!
//! Tax-exclusive receipts have the form InvoiceA4 in the book; on receipt paper they carry the same facts:
//! goods' codes, amounts without tax, the total without tax and the tax of each rate.

use std::collections::BTreeMap;

use super::{Block, address_lines, seller};
use crate::draft::PrintOnly;
use crate::receipt::{Buyer, Line, LineType, Receipt, Signature};
use crate::taxpayer::Taxpayer;
use crate::{
    Cents, DateTime, DeviceId, FiscalDayNo, MoneyType, Percent, Price, Quantity, ReceiptGlobalNo,
    ReceiptType, qr,
};

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
        let bytes = &signature.bytes;
        Self {
            verification_code: qr::verification_code(bytes),
            qr_content: qr::content(qr_url, device, receipt.date, receipt.global_no, bytes),
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
    let mut blocks = marks(paper.marks);
    blocks.extend(seller(paper.taxpayer));
    let mut part = |rows: Vec<Block>| {
        if !rows.is_empty() {
            blocks.push(Block::Rule);
            blocks.extend(rows);
        }
    };
    part(vec![Block::title(title(receipt, paper.taxpayer))]);
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

fn title(receipt: &Receipt, taxpayer: &Taxpayer) -> &'static str {
    match receipt.receipt_type {
        ReceiptType::FiscalInvoice if taxpayer.is_vat_payer() => "FISCAL TAX INVOICE",
        ReceiptType::FiscalInvoice => "FISCAL INVOICE",
        ReceiptType::CreditNote => "CREDIT NOTE",
        ReceiptType::DebitNote => "DEBIT NOTE",
    }
}

fn buyer(buyer: &Buyer) -> Vec<Block> {
    let mut texts = vec!["Buyer:".to_owned()];
    texts.extend(buyer.buyer_register_name.clone());
    texts.extend(buyer.buyer_trade_name.clone());
    texts.extend(buyer.buyer_tin.iter().map(|tin| format!("TIN: {tin}")));
    texts.extend(buyer.vat_number.iter().map(|no| format!("VAT No: {no}")));
    texts.extend(buyer.buyer_address.iter().flat_map(address_lines));
    if let Some(contacts) = &buyer.buyer_contacts {
        texts.extend(contacts.email.clone());
        texts.extend(contacts.phone_no.clone());
    }
    texts.into_iter().map(Block::text).collect()
}

fn numbers(paper: &ReceiptOnPaper<'_>) -> Vec<Block> {
    let receipt = paper.receipt;
    let (number, date) = if paper.marks.preview {
        ("-".to_owned(), "-".to_owned())
    } else {
        (
            format!("{}/{}", receipt.counter, receipt.global_no),
            short_date(receipt.date),
        )
    };
    let day = paper
        .fiscal_day
        .map_or("-".to_owned(), |day| day.to_string());
    let mut blocks = vec![
        Block::row(
            format!("Invoice No: {number}"),
            format!("Fiscal day No: {day}"),
        ),
        Block::text(format!("Customer reference No: {}", receipt.invoice_no)),
        Block::text(format!(
            "Device Serial No: {}",
            paper.taxpayer.device_serial_no
        )),
        Block::text(format!("Device ID: {}", paper.device)),
        Block::text(format!("Date: {date}")),
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
    let heading = match paper.receipt.receipt_type {
        ReceiptType::FiscalInvoice => return Vec::new(),
        ReceiptType::CreditNote => "CREDITED INVOICE",
        ReceiptType::DebitNote => "DEBITED INVOICE",
    };
    let unknown = OriginalOnPaper::default();
    let original = paper.original.unwrap_or(&unknown);
    let reference = paper.receipt.credit_debit_note.as_ref();
    let global_no = original
        .global_no
        .or(reference.and_then(|r| r.receipt_global_no));
    let mut blocks = vec![Block::title(heading)];
    let mut fact = |name: &str, value: Option<String>| {
        blocks.extend(value.map(|value| Block::text(format!("{name}: {value}"))));
    };
    fact("Invoice No", global_no.map(|no| no.to_string()));
    if global_no.is_none() {
        let id = reference.and_then(|r| r.receipt_id);
        fact("Receipt ID", id.map(|id| id.to_string()));
    }
    fact("Date", original.date.map(short_date));
    fact("Customer reference No", original.invoice_no.clone());
    fact("Device Serial No", original.device_serial_no.clone());
    if original.device_serial_no.is_none() {
        let id = reference.and_then(|r| r.device_id);
        fact("Device ID", id.map(|id| id.to_string()));
    }
    blocks
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
    let is_named = line.name.to_ascii_lowercase().starts_with("discount");
    let name = if line.kind == LineType::Discount && !is_named {
        format!("Discount: {}", line.name)
    } else {
        line.name.clone()
    };
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
            format!("{quantity} each @ {}", price_text(price))
        }
        Some(price) => format!("{quantity} @ {}", price_text(price)),
        None => format!("{quantity} for {}", line.total),
    };
    blocks.push(Block::row(how_many, amount));
}

/// A price with at least two digits after the point: `5000.00`, `2.5974`.
fn price_text(price: Price) -> String {
    let mut value = price.value().normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    value.to_string()
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
        let lines: Cents = receipt.lines.iter().map(|line| line.total).sum();
        blocks.push(Block::row("Total (excl. tax)", lines.to_string()));
        for (label, amount) in tax_by_rate(receipt, paper.taxpayer) {
            blocks.push(Block::row(label, amount.to_string()));
        }
        let label = if receipt.receipt_type == ReceiptType::FiscalInvoice {
            format!("Invoice total, {currency}")
        } else {
            format!("Total, {currency}")
        };
        blocks.push(Block::bold_row(label, receipt.total.to_string()));
    }
    let mut paid: BTreeMap<MoneyType, Cents> = BTreeMap::new();
    for payment in &receipt.payments {
        *paid.entry(payment.money_type).or_default() += payment.amount;
    }
    for (money_type, amount) in paid {
        blocks.push(Block::row(money_name(money_type), amount.to_string()));
    }
    for (label, amount) in [
        ("Tendered", paper.print.tendered),
        ("Change", paper.print.change),
    ] {
        blocks.extend(amount.map(|amount| Block::row(label, amount.to_string())));
    }
    let items = receipt
        .lines
        .iter()
        .filter(|line| line.kind == LineType::Sale)
        .fold(Quantity::ZERO, |sum, line| {
            sum.saturating_add(line.quantity)
        });
    blocks.push(Block::row("Number of items", items.to_string()));
    blocks
}

/// The taxes of each rate above zero, the highest first; what is not VAT under its own name.
fn tax_by_rate(receipt: &Receipt, taxpayer: &Taxpayer) -> Vec<(String, Cents)> {
    let mut rates: BTreeMap<(Percent, String), Cents> = BTreeMap::new();
    for row in &receipt.taxes {
        let Some(percent) = row.tax.percent.filter(|percent| *percent > Percent::ZERO) else {
            continue;
        };
        let other = taxpayer
            .tax(row.tax.id, receipt.date)
            .filter(|tax| !tax.is_vat_above_zero());
        let label = match other {
            Some(tax) => format!("Total {percent}% {}", tax.name),
            None => format!("Total {percent}% VAT"),
        };
        *rates.entry((percent, label)).or_default() += row.tax_amount;
    }
    let rates = rates.into_iter().rev();
    rates.map(|((_, label), amount)| (label, amount)).collect()
}

fn money_name(money_type: MoneyType) -> &'static str {
    match money_type {
        MoneyType::MobileWallet => "Mobile wallet",
        MoneyType::BankTransfer => "Bank transfer",
        other => other.as_str(),
    }
}

/// The tax table: a row for each percent and code, whatever their taxIDs.
fn taxes(receipt: &Receipt, taxpayer: &Taxpayer) -> Vec<Block> {
    let mut sums: BTreeMap<(String, String), (Cents, Cents)> = BTreeMap::new();
    let mut order = Vec::new();
    for row in &receipt.taxes {
        let code = row.tax.code.clone().unwrap_or_default();
        let rate = match row.tax.percent {
            Some(percent) => format!("{percent}%"),
            None => taxpayer
                .tax(row.tax.id, receipt.date)
                .map_or("Exempt".to_owned(), |tax| tax.name.clone()),
        };
        let key = (code, rate);
        if !sums.contains_key(&key) {
            order.push(key.clone());
        }
        let sum = sums.entry(key).or_default();
        sum.0 += row.tax_amount;
        sum.1 += row.sales_amount_with_tax;
    }
    let with_codes = receipt.taxes.iter().any(|row| row.tax.code.is_some());
    let mut head = vec!["VAT %", "Net.Amt", "VAT", "Amount"];
    if with_codes {
        head.insert(0, "Code");
    }
    let rows = order
        .into_iter()
        .map(|key| {
            let (tax, sales) = sums.get(&key).copied().unwrap_or_default();
            let (code, rate) = key;
            let mut cells = vec![
                rate,
                (sales - tax).to_string(),
                tax.to_string(),
                sales.to_string(),
            ];
            if with_codes {
                cells.insert(0, code);
            }
            cells
        })
        .collect();
    vec![Block::Table {
        head: head.into_iter().map(str::to_owned).collect(),
        rows,
    }]
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

/// `dd/MM/yy HH:mm`
fn short_date(date: DateTime) -> String {
    format!(
        "{:02}/{:02}/{:02} {:02}:{:02}",
        date.day(),
        date.month(),
        date.year() % 100,
        date.hour(),
        date.minute()
    )
}
