//! A credit note by reference: the original is named, the gateway writes the note.
//!
//! What is left is credited whole, or the lines that are named. The note is a sale like any other: it goes
//! through the same door, and the ledger judges it. Repeating the request must make the very same note
//! again, so a repeated one is built from what was there when the first was issued.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use fiscal::compose::{Known, compose};
use fiscal::draft::{Draft, DraftLine, DraftOriginal, DraftPayment, DraftTaxName};
use fiscal::json::{Value, escape};
use fiscal::receipt::{Line, LineType, OriginalRef, Receipt, TaxKey};
use fiscal::{Cents, Code, Finding, MoneyType, Price, Quantity, ReceiptType};

use super::access::{Caller, TillChoice};
use super::body::idempotency_key;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::{HowToAnswer, receipt_number, unknown};
use super::{Shared, schema};
use crate::ledger::{Issued, Seq};

/// Members of the request that a sale has too.
const LIKE_A_SALE: [&str; 9] = [
    "invoiceNo",
    "receiptNotes",
    "receiptPayments",
    "receiptPrintForm",
    "cashier",
    "tendered",
    "change",
    "footerLines",
    "print",
];

/// A line to credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick {
    line_no: u32,
    quantity: Option<Quantity>,
}

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    /// Number, reason, payments and what is printed.
    base: Draft,
    /// The lines; `None` is all that is left.
    lines: Option<Vec<Pick>>,
}

/// Credit a receipt: all that is left of it, or some of its lines.
///
/// The gateway writes the credit note, with the original's prices, taxes and buyer. Without
/// `receiptPayments` the money goes back the way most of it came.
#[utoipa::path(
    post,
    path = "/v1/receipts/{receiptGlobalNo}/credit",
    tag = "receipts",
    operation_id = "credit",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names the note for ever; without it invoiceNo does."),
        schema::NumberPath,
        schema::SaleParams,
    ),
    request_body = schema::Credit,
    responses(
        (status = 201, description = "The credit note, issued now.", body = schema::Receipt),
        (status = 200, description = "It had been issued before, under the same key.", body = schema::Receipt),
        (status = 409, description = "Nothing is left, or the key stands for another sale.", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "The note breaks rules; nothing was numbered.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn credit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let started = shared.ledger.time().clock().boot();
    let params = Params::of(&parts.uri, &HowToAnswer::PARAMS)?;
    let how = HowToAnswer::of(&params)?;
    let key = idempotency_key(&parts.headers)?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let number = receipt_number(&number)?;
    let bytes = shared.body(&parts.headers, body).await?;
    let wanted = read(&bytes).map_err(Problem::findings)?;
    let known_key = key.clone().or_else(|| wanted.base.invoice_no.clone());
    let id = till.id;
    let found = shared
        .ask(move |reader| {
            let Some(original) = reader.by_number(id, number)? else {
                return Ok(None);
            };
            let earlier = match &known_key {
                Some(key) => reader.by_key(id, key)?.map(|issued| issued.seq),
                None => None,
            };
            let notes = reader.notes(original.seq)?;
            Ok(Some((original, earlier, notes)))
        })
        .await?;
    let (original, earlier, notes) = found.ok_or_else(|| unknown(number))?;
    let before: Vec<Receipt> = notes
        .into_iter()
        .filter(|(seq, _)| earlier.is_none_or(|earlier: Seq| *seq < earlier))
        .map(|(_, note)| note)
        .collect();
    let draft = note(wanted, &original, &before)?;
    shared.issue(&caller, &till, draft, key, how, started).await
}

/// Reads the request: the members of a sale are read as in a sale.
fn read(bytes: &[u8]) -> Result<Wanted, Vec<Finding>> {
    let value = match Value::parse(bytes) {
        Ok(value) => value,
        // The reader of sales says the same in the words of a finding.
        Err(_) => return Err(Draft::read(bytes).1),
    };
    let Value::Object(members) = value else {
        return Err(Draft::from_value(&value).1);
    };
    let mut findings = Vec::new();
    let mut lines = None;
    let mut like_a_sale = Vec::new();
    let mut seen_lines = false;
    for (name, value) in members {
        if LIKE_A_SALE.contains(&name.as_ref()) {
            like_a_sale.push((name, value));
        } else if name == "lines" {
            if seen_lines {
                let message = "`lines` is there twice";
                findings.push(Finding::new(Code::FieldRepeated, "/lines", message));
            }
            seen_lines = true;
            lines = read_lines(&value, &mut findings);
        } else {
            let message = format!("`{name}` is not a field of this object");
            let at = format!("/{}", escape(&name));
            findings.push(Finding::new(Code::FieldUnknown, at, message));
        }
    }
    let (base, more) = Draft::from_value(&Value::Object(like_a_sale));
    findings.extend(more);
    if findings.is_empty() {
        Ok(Wanted { base, lines })
    } else {
        Err(findings)
    }
}

fn read_lines(value: &Value<'_>, findings: &mut Vec<Finding>) -> Option<Vec<Pick>> {
    let rows = match value {
        Value::Null => return None,
        Value::Array(rows) => rows,
        other => {
            let message = format!("is {}; an array is needed", other.kind());
            findings.push(Finding::new(Code::FieldType, "/lines", message));
            return None;
        }
    };
    if rows.is_empty() {
        let message = "names no line; leave `lines` out to credit all that is left";
        findings.push(Finding::new(Code::Rcpt016, "/lines", message));
    }
    let mut picks: Vec<Pick> = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let at = format!("/lines/{place}");
        let Some(pick) = read_pick(row, &at, findings) else {
            continue;
        };
        if picks.iter().any(|other| other.line_no == pick.line_no) {
            let message = format!("line {} is named twice", pick.line_no);
            let at = format!("{at}/receiptLineNo");
            findings.push(Finding::new(Code::FieldRepeated, at, message));
        }
        picks.push(pick);
    }
    Some(picks)
}

fn read_pick(row: &Value<'_>, at: &str, findings: &mut Vec<Finding>) -> Option<Pick> {
    let mut fault = |code, field: &str, message: String| {
        findings.push(Finding::new(code, format!("{at}{field}"), message));
    };
    let Value::Object(members) = row else {
        let message = format!("is {}; an object is needed", row.kind());
        fault(Code::FieldType, "", message);
        return None;
    };
    for (name, _) in members {
        if name != "receiptLineNo" && name != "quantity" {
            let message = format!("`{name}` is not a field of this object");
            fault(Code::FieldUnknown, &format!("/{}", escape(name)), message);
        }
    }
    let text = |name: &str| match row.get(name) {
        Some(Value::Number(text)) => Some((*text).to_owned()),
        Some(Value::String(text)) => Some(text.to_string()),
        Some(_) => Some(String::new()),
        None => None,
    };
    let Some(line_no) = text("receiptLineNo") else {
        let message = "receiptLineNo is missing".to_owned();
        fault(Code::FieldMissing, "/receiptLineNo", message);
        return None;
    };
    let Ok(line_no) = line_no.parse() else {
        let message = "must be the number of a line, from 1".to_owned();
        fault(Code::NumberInvalid, "/receiptLineNo", message);
        return None;
    };
    let quantity = match text("quantity").map(|text| Quantity::parse(&text)) {
        None => None,
        Some(Ok(quantity)) if quantity > Quantity::ZERO => Some(quantity),
        Some(Ok(quantity)) => {
            let message = format!("is {quantity}; a quantity is above zero");
            fault(Code::Rcpt023, "/quantity", message);
            None
        }
        Some(Err(error)) => {
            fault(Code::NumberInvalid, "/quantity", error.to_string());
            None
        }
    };
    Some(Pick { line_no, quantity })
}

/// The note as a sale.
fn note(wanted: Wanted, original: &Issued, before: &[Receipt]) -> Result<Draft, Problem> {
    let receipt = &original.receipt;
    let remaining = receipt.total + before.iter().map(|note| note.total).sum();
    if remaining <= Cents::ZERO {
        let detail = format!(
            "of {} {} nothing is left to credit",
            receipt.total, receipt.currency
        );
        return Err(Problem::new(P::NothingLeft, detail));
    }
    let (lines, inclusive) = match &wanted.lines {
        Some(picks) => (picked(picks, receipt)?, receipt.lines_tax_inclusive),
        None if before.is_empty() => {
            let lines = receipt.lines.iter().map(whole).collect();
            (lines, receipt.lines_tax_inclusive)
        }
        // By tax, with tax included: that leaves not a cent, however the notes before were cut.
        None => (rest(receipt, before), true),
    };
    let mut draft = Draft {
        receipt_type: Some(ReceiptType::CreditNote),
        receipt_currency: Some(receipt.currency),
        buyer_data: receipt.buyer.clone(),
        credit_debit_note: Some(DraftOriginal {
            by_number: OriginalRef {
                receipt_id: None,
                device_id: Some(original.till.device_id),
                receipt_global_no: Some(receipt.global_no),
                fiscal_day_no: Some(original.fiscal_day_no),
            },
            invoice_no: None,
        }),
        receipt_lines_tax_inclusive: Some(inclusive),
        receipt_lines: Some(lines),
        ..wanted.base
    };
    if draft.receipt_payments.is_none() {
        // What the lines come to; that numbers and date are missing here does not matter.
        let (composed, _) = compose(&draft, &Known::default());
        draft.receipt_payments = Some(vec![DraftPayment {
            money_type_code: Some(usual_money(receipt)),
            payment_amount: Some(composed.total),
        }]);
    }
    Ok(draft)
}

/// The money type that most of the original was paid with; among equals the first.
fn usual_money(receipt: &Receipt) -> MoneyType {
    let mut paid: BTreeMap<MoneyType, Cents> = BTreeMap::new();
    for payment in &receipt.payments {
        *paid.entry(payment.money_type).or_default() += payment.amount;
    }
    let most = paid
        .iter()
        .max_by_key(|(money, amount)| (**amount, std::cmp::Reverse(**money)));
    most.map_or(MoneyType::Cash, |(money, _)| *money)
}

fn tax_name(tax: &TaxKey) -> DraftTaxName {
    DraftTaxName {
        tax_id: Some(tax.id),
        tax_code: tax.code.clone(),
        tax_percent: tax.percent,
        tax: None,
    }
}

/// A line of the original, taken back whole.
fn whole(line: &Line) -> DraftLine {
    DraftLine {
        receipt_line_type: Some(line.kind),
        receipt_line_no: None,
        receipt_line_hs_code: line.hs_code.clone(),
        receipt_line_name: Some(line.name.clone()),
        receipt_line_price: line.price.map(Price::negated),
        receipt_line_quantity: Some(line.quantity),
        receipt_line_total: Some(line.total.negated()),
        tax: tax_name(&line.tax),
    }
}

/// The lines that were named.
fn picked(picks: &[Pick], original: &Receipt) -> Result<Vec<DraftLine>, Problem> {
    let mut findings = Vec::new();
    let mut lines = Vec::with_capacity(picks.len());
    for (place, pick) in picks.iter().enumerate() {
        let at = |field: &str| format!("/lines/{place}/{field}");
        let Some(line) = original.lines.iter().find(|line| line.no == pick.line_no) else {
            let message = format!("the receipt has {} lines", original.lines.len());
            findings.push(Finding::new(
                Code::WordUnknown,
                at("receiptLineNo"),
                message,
            ));
            continue;
        };
        let quantity = pick.quantity.unwrap_or(line.quantity);
        if quantity > line.quantity {
            let message = format!("is {quantity}, but {} were sold", line.quantity);
            findings.push(Finding::new(Code::Rcpt035, at("quantity"), message));
        } else if quantity == line.quantity {
            lines.push(whole(line));
        } else {
            match part(line, quantity) {
                Some(line) => lines.push(line),
                None => {
                    let message = "the line has no price, and its total cannot be parted";
                    findings.push(Finding::new(Code::FieldMissing, at("quantity"), message));
                }
            }
        }
    }
    if findings.is_empty() {
        Ok(lines)
    } else {
        Err(Problem::findings(findings))
    }
}

/// Part of a line. A line without a price has a total for all of it only, which is not parted.
fn part(line: &Line, quantity: Quantity) -> Option<DraftLine> {
    line.price?;
    Some(DraftLine {
        receipt_line_quantity: Some(quantity),
        receipt_line_total: None,
        ..whole(line)
    })
}

/// What is left of each tax after earlier notes, a line for each.
fn rest(original: &Receipt, before: &[Receipt]) -> Vec<DraftLine> {
    let mut left: BTreeMap<&TaxKey, Cents> = BTreeMap::new();
    for receipt in std::iter::once(original).chain(before) {
        for row in &receipt.taxes {
            // A note may carry another letter for the same tax.
            let tax = original
                .taxes
                .iter()
                .map(|row| &row.tax)
                .find(|tax| **tax == row.tax)
                .or_else(|| {
                    let same =
                        |tax: &&TaxKey| (tax.id, tax.percent) == (row.tax.id, row.tax.percent);
                    original.taxes.iter().map(|row| &row.tax).find(same)
                });
            if let Some(tax) = tax {
                *left.entry(tax).or_default() += row.sales_amount_with_tax;
            }
        }
    }
    let rows = left.into_iter().filter(|(_, amount)| *amount > Cents::ZERO);
    rows.map(|(tax, amount)| {
        let of_tax = original.lines.iter().find(|line| line.tax == *tax);
        DraftLine {
            receipt_line_type: Some(LineType::Sale),
            receipt_line_no: None,
            receipt_line_hs_code: of_tax.and_then(|line| line.hs_code.clone()),
            receipt_line_name: Some(format!("Rest of {}", original.invoice_no)),
            receipt_line_price: Price::parse(&amount.negated().to_string()).ok(),
            receipt_line_quantity: Some(Quantity::ONE),
            receipt_line_total: Some(amount.negated()),
            tax: tax_name(tax),
        }
    })
    .collect()
}
