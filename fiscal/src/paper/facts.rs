//! What papers of every form say in the same words: titles, parties, dates, sums (docs/FDMS.md section 9).
//!
//! Receipt paper and A4 are made from these, so that they cannot say different things of one receipt.

use std::collections::BTreeMap;

use super::ReceiptOnPaper;
use crate::receipt::{Buyer, Line, LineType, Receipt};
use crate::taxpayer::{Address, Taxpayer};
use crate::{Cents, DateTime, MoneyType, Percent, Price, Quantity, ReceiptType};

/// What the receipt is called.
#[must_use]
pub fn title(receipt: &Receipt, taxpayer: &Taxpayer) -> &'static str {
    match receipt.receipt_type {
        ReceiptType::FiscalInvoice if taxpayer.is_vat_payer() => "FISCAL TAX INVOICE",
        ReceiptType::FiscalInvoice => "FISCAL INVOICE",
        ReceiptType::CreditNote => "CREDIT NOTE",
        ReceiptType::DebitNote => "DEBIT NOTE",
    }
}

/// The seller's lines: the name, the numbers, the branch if it has another name, address and contacts.
#[must_use]
pub fn seller_lines(taxpayer: &Taxpayer) -> Vec<String> {
    let mut lines = vec![taxpayer.name.clone(), format!("TIN: {}", taxpayer.tin)];
    lines.extend(
        taxpayer
            .vat_number
            .iter()
            .map(|number| format!("VAT No: {number}")),
    );
    if taxpayer.branch_name != taxpayer.name && !taxpayer.branch_name.is_empty() {
        lines.push(taxpayer.branch_name.clone());
    }
    lines.extend(address_lines(&taxpayer.branch_address));
    let contacts = &taxpayer.branch_contacts;
    lines.extend(contacts.email.clone());
    lines.extend(contacts.phone_no.clone());
    lines
}

/// The buyer's lines: names, numbers, address and contacts.
#[must_use]
pub fn buyer_lines(buyer: &Buyer) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(buyer.buyer_register_name.clone());
    lines.extend(buyer.buyer_trade_name.clone());
    lines.extend(buyer.buyer_tin.iter().map(|tin| format!("TIN: {tin}")));
    lines.extend(buyer.vat_number.iter().map(|no| format!("VAT No: {no}")));
    lines.extend(buyer.buyer_address.iter().flat_map(address_lines));
    if let Some(contacts) = &buyer.buyer_contacts {
        lines.extend(contacts.email.clone());
        lines.extend(contacts.phone_no.clone());
    }
    lines
}

/// House and street on one line, the rest on another.
fn address_lines(address: &Address) -> Vec<String> {
    let join = |parts: &[&str], between: &str| {
        let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
        parts.join(between)
    };
    let district = address.district.as_deref().unwrap_or_default();
    [
        join(&[&address.house_no, &address.street], " "),
        join(&[district, &address.city, &address.province], ", "),
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .collect()
}

/// `counter/globalNo`; a hyphen on a preview, which has neither.
#[must_use]
pub fn invoice_number(paper: &ReceiptOnPaper<'_>) -> String {
    if paper.marks.preview {
        return "-".to_owned();
    }
    format!("{}/{}", paper.receipt.counter, paper.receipt.global_no)
}

/// When the receipt was issued; a hyphen on a preview.
#[must_use]
pub fn issue_date(paper: &ReceiptOnPaper<'_>) -> String {
    if paper.marks.preview {
        return "-".to_owned();
    }
    short_date(paper.receipt.date)
}

/// The number of the fiscal day; a hyphen where no day is open.
#[must_use]
pub fn day_number(paper: &ReceiptOnPaper<'_>) -> String {
    paper
        .fiscal_day
        .map_or("-".to_owned(), |day| day.to_string())
}

/// A note's heading, and what is known of its original as names and values; `None` on an invoice.
#[must_use]
pub fn original(paper: &ReceiptOnPaper<'_>) -> Option<(&'static str, Vec<(&'static str, String)>)> {
    let heading = match paper.receipt.receipt_type {
        ReceiptType::FiscalInvoice => return None,
        ReceiptType::CreditNote => "CREDITED INVOICE",
        ReceiptType::DebitNote => "DEBITED INVOICE",
    };
    let unknown = super::OriginalOnPaper::default();
    let original = paper.original.unwrap_or(&unknown);
    let reference = paper.receipt.credit_debit_note.as_ref();
    let global_no = original
        .global_no
        .or(reference.and_then(|r| r.receipt_global_no));
    let mut facts = Vec::new();
    let mut fact = |name: &'static str, value: Option<String>| {
        facts.extend(value.map(|value| (name, value)));
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
    Some((heading, facts))
}

/// The name of a line; a discount says that it is one.
#[must_use]
pub fn line_name(line: &Line) -> String {
    let is_named = line.name.to_ascii_lowercase().starts_with("discount");
    if line.kind == LineType::Discount && !is_named {
        format!("Discount: {}", line.name)
    } else {
        line.name.clone()
    }
}

/// A price with at least two digits after the point: `5000.00`, `2.5974`.
#[must_use]
pub fn price_text(price: Price) -> String {
    let mut value = price.value().normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    value.to_string()
}

/// The sum of the lines of a tax-exclusive receipt, and its taxes of each rate.
#[must_use]
pub fn exclusive_sums(receipt: &Receipt, taxpayer: &Taxpayer) -> Vec<(String, Cents)> {
    let lines: Cents = receipt.lines.iter().map(|line| line.total).sum();
    let mut sums = vec![("Total (excl. tax)".to_owned(), lines)];
    sums.extend(tax_by_rate(receipt, taxpayer));
    sums
}

/// The taxes of each rate above zero, the highest first; what is not VAT under its own name.
#[must_use]
pub fn tax_by_rate(receipt: &Receipt, taxpayer: &Taxpayer) -> Vec<(String, Cents)> {
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

/// The label of the total where it stands under other sums.
#[must_use]
pub fn total_label(receipt: &Receipt) -> String {
    if receipt.receipt_type == ReceiptType::FiscalInvoice {
        format!("Invoice total, {}", receipt.currency)
    } else {
        format!("Total, {}", receipt.currency)
    }
}

/// What was paid by each way of paying; then what the customer gave and got back, if that is known.
#[must_use]
pub fn paid(paper: &ReceiptOnPaper<'_>) -> Vec<(&'static str, Cents)> {
    let mut paid: BTreeMap<MoneyType, Cents> = BTreeMap::new();
    for payment in &paper.receipt.payments {
        *paid.entry(payment.money_type).or_default() += payment.amount;
    }
    let mut rows: Vec<_> = paid
        .into_iter()
        .map(|(money_type, amount)| (money_name(money_type), amount))
        .collect();
    for (label, amount) in [
        ("Tendered", paper.print.tendered),
        ("Change", paper.print.change),
    ] {
        rows.extend(amount.map(|amount| (label, amount)));
    }
    rows
}

fn money_name(money_type: MoneyType) -> &'static str {
    match money_type {
        MoneyType::MobileWallet => "Mobile wallet",
        MoneyType::BankTransfer => "Bank transfer",
        other => other.as_str(),
    }
}

/// The number of items: the sum of the quantities sold, weights included.
#[must_use]
pub fn item_count(receipt: &Receipt) -> Quantity {
    receipt
        .lines
        .iter()
        .filter(|line| line.kind == LineType::Sale)
        .fold(Quantity::ZERO, |sum, line| {
            sum.saturating_add(line.quantity)
        })
}

/// Head and rows of the tax table: a row for each percent and code, whatever their taxIDs.
#[must_use]
pub fn tax_table(receipt: &Receipt, taxpayer: &Taxpayer) -> (Vec<String>, Vec<Vec<String>>) {
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
    (head.into_iter().map(str::to_owned).collect(), rows)
}

/// `dd/MM/yy HH:mm`
#[must_use]
pub fn short_date(date: DateTime) -> String {
    format!(
        "{:02}/{:02}/{:02} {:02}:{:02}",
        date.day(),
        date.month(),
        date.year() % 100,
        date.hour(),
        date.minute()
    )
}

/// `dd/MM/yyyy HH:mm`
#[must_use]
pub fn long_date(date: DateTime) -> String {
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}",
        date.day(),
        date.month(),
        date.year(),
        date.hour(),
        date.minute()
    )
}
