//! From what was sent to a whole receipt: line numbers, line totals, taxes and the total filled in.
//!
//! Where the sender gave one of these himself his value is kept, so that [`crate::rules::judge`] sees it
//! and says what is wrong with it. What is missing and cannot be computed is a finding, and the receipt
//! goes on with nothing in its place: `fiscald inspect` computes what it can.

use std::collections::BTreeMap;

use crate::draft::{Draft, DraftLine, DraftTaxName};
use crate::receipt::{Line, LineType, Payment, Receipt, TaxKey, TaxRow};
use crate::rules::Original;
use crate::sums::{tax_rows, total};
use crate::taxpayer::Taxpayer;
use crate::{
    Cents, Code, Currency, DateTime, Finding, MoneyType, Quantity, ReceiptCounter, ReceiptGlobalNo,
    ReceiptType, TaxId,
};

/// What the gateway gives a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Number within the day.
    pub counter: ReceiptCounter,
    /// Number for the device's life.
    pub global_no: ReceiptGlobalNo,
    /// Date of issuing.
    pub date: DateTime,
}

/// What is known when a receipt is put together; nothing of it is needed to compute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// The gateway's numbers; without them the sender's are taken.
    pub numbers: Option<Numbers>,
    /// The taxpayer, for taxes named by percent or without percent.
    pub taxpayer: Option<&'a Taxpayer>,
    /// The configuration's names for taxes.
    pub aliases: Option<&'a BTreeMap<String, TaxId>>,
    /// Put in front of `invoiceNo`.
    pub invoice_prefix: &'a str,
    /// The original of a note, whose taxes may be older than today's.
    pub original: Option<&'a Original>,
}

/// Puts a receipt together. Rows keep the order in which they were sent; see [`in_signing_order`].
#[must_use]
pub fn compose(draft: &Draft, known: &Known<'_>) -> (Receipt, Vec<Finding>) {
    let mut findings = Vec::new();
    let numbers = numbers(draft, known, &mut findings);
    let mut missing = |name: &str| {
        findings.push(Finding::new(
            Code::FieldMissing,
            format!("/{name}"),
            format!("{name} is missing"),
        ));
    };
    if draft.receipt_type.is_none() {
        missing("receiptType");
    }
    if draft.receipt_currency.is_none() {
        missing("receiptCurrency");
    }
    if draft.invoice_no.is_none() {
        missing("invoiceNo");
    }
    if draft.receipt_lines_tax_inclusive.is_none() {
        missing("receiptLinesTaxInclusive");
    }
    let inclusive = draft.receipt_lines_tax_inclusive.unwrap_or(true);
    let lines = lines(draft, known, numbers.date, &mut findings);
    let computed = tax_rows(&lines, inclusive);
    let taxes = match &draft.receipt_taxes {
        None => computed,
        Some(rows) => {
            let mut taxes = Vec::with_capacity(rows.len());
            for (place, row) in rows.iter().enumerate() {
                let at = format!("/receiptTaxes/{place}");
                let tax = tax_key(&row.tax, known, numbers.date, &at, &mut findings)
                    .unwrap_or_else(|| as_sent(&row.tax));
                let ours = computed.iter().find(|ours| ours.tax == tax);
                taxes.push(TaxRow {
                    tax,
                    tax_amount: row
                        .tax_amount
                        .or(ours.map(|o| o.tax_amount))
                        .unwrap_or_default(),
                    sales_amount_with_tax: row
                        .sales_amount_with_tax
                        .or(ours.map(|o| o.sales_amount_with_tax))
                        .unwrap_or_default(),
                });
            }
            taxes
        }
    };
    let receipt = Receipt {
        receipt_type: draft.receipt_type.unwrap_or(ReceiptType::FiscalInvoice),
        currency: draft.receipt_currency.unwrap_or(Currency::USD),
        counter: numbers.counter,
        global_no: numbers.global_no,
        invoice_no: invoice_no(draft, known, &mut findings),
        buyer: draft.buyer_data.clone(),
        notes: draft.receipt_notes.clone(),
        date: numbers.date,
        credit_debit_note: draft
            .credit_debit_note
            .as_ref()
            .map(|original| original.by_number.clone()),
        lines_tax_inclusive: inclusive,
        total: draft
            .receipt_total
            .unwrap_or_else(|| total(&tax_rows(&lines, inclusive))),
        payments: payments(draft, &mut findings),
        lines,
        taxes,
        print_form: draft.receipt_print_form,
    };
    (receipt, findings)
}

/// The same receipt with its tax rows in the order in which they are signed and sent.
#[must_use]
pub fn in_signing_order(mut receipt: Receipt) -> Receipt {
    receipt.taxes.sort_by(|a, b| a.tax.cmp(&b.tax));
    receipt
}

fn numbers(draft: &Draft, known: &Known<'_>, findings: &mut Vec<Finding>) -> Numbers {
    if let Some(numbers) = known.numbers {
        return numbers;
    }
    let mut missing = |name: &str| {
        findings.push(Finding::new(
            Code::FieldMissing,
            format!("/{name}"),
            format!("{name} is missing"),
        ));
    };
    if draft.receipt_counter.is_none() {
        missing("receiptCounter");
    }
    if draft.receipt_global_no.is_none() {
        missing("receiptGlobalNo");
    }
    if draft.receipt_date.is_none() {
        missing("receiptDate");
    }
    Numbers {
        counter: draft.receipt_counter.unwrap_or(ReceiptCounter::ZERO),
        global_no: draft.receipt_global_no.unwrap_or(ReceiptGlobalNo::ZERO),
        date: draft.receipt_date.unwrap_or_default(),
    }
}

fn invoice_no(draft: &Draft, known: &Known<'_>, findings: &mut Vec<Finding>) -> String {
    let sent = draft.invoice_no.as_deref().unwrap_or_default();
    let whole = format!("{}{sent}", known.invoice_prefix);
    if whole.chars().count() > 50 {
        let message = format!(
            "with the till's prefix \"{}\" it has more than 50 characters",
            known.invoice_prefix
        );
        findings.push(Finding::new(Code::TextTooLong, "/invoiceNo", message));
    }
    whole
}

fn payments(draft: &Draft, findings: &mut Vec<Finding>) -> Vec<Payment> {
    let rows = draft.receipt_payments.as_deref().unwrap_or_default();
    let mut payments = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let mut missing = |name: &str| {
            let at = format!("/receiptPayments/{place}/{name}");
            findings.push(Finding::new(Code::FieldMissing, at, "is missing"));
        };
        if row.money_type_code.is_none() {
            missing("moneyTypeCode");
        }
        if row.payment_amount.is_none() {
            missing("paymentAmount");
        }
        payments.push(Payment {
            money_type: row.money_type_code.unwrap_or(MoneyType::Other),
            amount: row.payment_amount.unwrap_or_default(),
        });
    }
    payments
}

fn lines(
    draft: &Draft,
    known: &Known<'_>,
    date: DateTime,
    findings: &mut Vec<Finding>,
) -> Vec<Line> {
    let rows = draft.receipt_lines.as_deref().unwrap_or_default();
    let mut lines = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let at = format!("/receiptLines/{place}");
        let no = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
        if let Some(sent) = row.receipt_line_no
            && sent != no
        {
            let message = format!("receiptLineNo is {sent}; this line is number {no}");
            findings.push(Finding::new(
                Code::OwnedByGateway,
                format!("{at}/receiptLineNo"),
                message,
            ));
        }
        let tax = tax_key(&row.tax, known, date, &at, findings);
        lines.push(line(row, no, tax, &at, findings));
    }
    lines
}

fn line(
    row: &DraftLine,
    no: u32,
    tax: Option<TaxKey>,
    at: &str,
    findings: &mut Vec<Finding>,
) -> Line {
    let mut missing = |name: &str, why: &str| {
        findings.push(Finding::new(
            Code::FieldMissing,
            format!("{at}/{name}"),
            format!("{name} is missing{why}"),
        ));
    };
    if row.receipt_line_type.is_none() {
        missing("receiptLineType", "");
    }
    if row.receipt_line_name.is_none() {
        missing("receiptLineName", "");
    }
    if row.receipt_line_quantity.is_none() {
        missing("receiptLineQuantity", "");
    }
    let quantity = row.receipt_line_quantity.unwrap_or(Quantity::ONE);
    let total = match (row.receipt_line_total, row.receipt_line_price) {
        (Some(total), _) => total,
        (None, Some(price)) => price.times(quantity).unwrap_or_else(|error| {
            findings.push(Finding::new(
                Code::NumberTooLarge,
                format!("{at}/receiptLinePrice"),
                format!("{price} × {quantity} {error}"),
            ));
            Cents::ZERO
        }),
        (None, None) => {
            missing(
                "receiptLineTotal",
                ", and there is no price to compute it from",
            );
            Cents::ZERO
        }
    };
    Line {
        kind: row.receipt_line_type.unwrap_or(LineType::Sale),
        no,
        hs_code: row.receipt_line_hs_code.clone(),
        name: row.receipt_line_name.clone().unwrap_or_default(),
        price: row.receipt_line_price,
        quantity,
        total,
        tax: tax.unwrap_or_else(|| as_sent(&row.tax)),
    }
}

/// A tax that could not be told has its finding; the sums then go on with what was sent of it.
fn as_sent(name: &DraftTaxName) -> TaxKey {
    TaxKey {
        id: name.tax_id.unwrap_or(TaxId::ZERO),
        code: name.tax_code.clone(),
        percent: name.tax_percent,
    }
}

/// The tax that a line or row names: by taxID, by alias, or by percent.
fn tax_key(
    name: &DraftTaxName,
    known: &Known<'_>,
    date: DateTime,
    at: &str,
    findings: &mut Vec<Finding>,
) -> Option<TaxKey> {
    let code = name.tax_code.clone();
    let mut fault = |code: Code, field: &str, message: String| {
        findings.push(Finding::new(code, format!("{at}/{field}"), message));
    };
    let id = match (name.tax_id, &name.tax) {
        (Some(id), None) => Some(id),
        (sent, Some(alias)) => match known.aliases.and_then(|all| all.get(alias)) {
            Some(id) if sent.is_none_or(|sent| sent == *id) => Some(*id),
            Some(id) => {
                let message = format!("\"{alias}\" is tax {id}, but taxID says otherwise");
                fault(Code::TaxAmbiguous, "tax", message);
                return None;
            }
            None => {
                let message = format!("no tax is called \"{alias}\" in the configuration");
                fault(Code::TaxUnknown, "tax", message);
                return None;
            }
        },
        (None, None) => None,
    };
    if let Some(id) = id {
        let from_original = known
            .original
            .and_then(|original| original.taxes.iter().find(|tax| tax.0 == id))
            .map(|tax| tax.1);
        let from_config = || {
            known
                .taxpayer
                .and_then(|t| t.tax(id, date))
                .map(|t| t.percent)
        };
        let percent = name
            .tax_percent
            .or_else(|| from_original.or_else(from_config).flatten());
        return Some(TaxKey { id, code, percent });
    }
    let Some(percent) = name.tax_percent else {
        fault(
            Code::TaxUnknown,
            "taxID",
            "no tax is named: send taxID, taxPercent or tax".to_owned(),
        );
        return None;
    };
    let of_original = known.original.map(|original| original.taxes.as_slice());
    let mut ids: Vec<TaxId> = of_original
        .unwrap_or_default()
        .iter()
        .filter(|tax| tax.1 == Some(percent))
        .map(|tax| tax.0)
        .collect();
    if ids.is_empty() {
        ids = known
            .taxpayer
            .map(|t| t.taxes_by_percent(Some(percent), date))
            .unwrap_or_default()
            .iter()
            .map(|tax| tax.id)
            .collect();
    }
    ids.dedup();
    match ids.as_slice() {
        [id] => Some(TaxKey {
            id: *id,
            code,
            percent: Some(percent),
        }),
        [] => {
            let message = format!("no tax of {percent} % is configured for {date}");
            fault(Code::Rcpt025, "taxPercent", message);
            None
        }
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let message = format!("the taxes {} all have {percent} %", ids.join(" and "));
            fault(Code::TaxAmbiguous, "taxPercent", message);
            None
        }
    }
}
