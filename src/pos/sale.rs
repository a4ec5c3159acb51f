//! From what stands on an old POS's paper, or in its fiscal printer's receipt, to the sale that the API would take.
//!
//! It is written as the JSON of `POST /v1/receipts` and read by the same reader, so that old software meets no other
//! rules than new.

use drivers::capture::sale::{CapturedSale, Rate, SaleKind};
use drivers::register::{FlatKind, Kind, OpenReceipt, Reason, Rules};
use fiscal::draft::Draft;
use fiscal::taxpayer::Taxpayer;
use fiscal::{DateTime, Finding};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::config::PosSetup;

/// What a note without words of its own says.
const REFUNDED: &str = "Goods were taken back";

/// The sale of a paper.
///
/// # Errors
/// What the sale's reader finds wrong, or what the paper lacks.
pub fn captured(
    sale: &CapturedSale,
    setup: &PosSetup,
    taxpayer: &Taxpayer,
    now: DateTime,
) -> Result<Draft, Vec<String>> {
    let is_refund = sale.kind == SaleKind::Refund;
    let sign = if is_refund {
        -Decimal::ONE
    } else {
        Decimal::ONE
    };
    let mut lines = Vec::new();
    for line in &sale.lines {
        let total = line.total.value * sign;
        let is_discount = line.is_discount();
        let mut row = Map::new();
        row.insert("receiptLineType".into(), kind(is_discount).into());
        row.insert("receiptLineName".into(), line.name.text.clone().into());
        let quantity = line
            .quantity
            .map_or(Decimal::ONE, |quantity| quantity.value);
        row.insert("receiptLineQuantity".into(), text(quantity.abs()));
        match line.price {
            Some(price) => row.insert(
                "receiptLinePrice".into(),
                text(price.value.abs() * sign_of(total)),
            ),
            None if quantity == Decimal::ONE => row.insert("receiptLinePrice".into(), text(total)),
            None => None,
        };
        row.insert("receiptLineTotal".into(), text(total));
        let tax = tax(line.tax.rate, taxpayer, now)?;
        row.insert(tax.0.into(), tax.1);
        hs_code(&mut row, setup);
        lines.push(Value::Object(row));
    }
    let mut draft = head(is_refund, &sale.currency.code, &invoice_no(sale, setup));
    draft.insert("receiptLinesTaxInclusive".into(), sale.tax_inclusive.into());
    draft.insert("receiptLines".into(), lines.into());
    draft.insert("receiptTotal".into(), text(sale.total.value * sign));
    draft.insert("receiptPayments".into(), payments(sale, setup, sign));
    if is_refund {
        let Some(original) = &sale.original else {
            return Err(vec![
                "the refund names no receipt that is taken back: FDMS credits receipts, not goods"
                    .to_owned(),
            ]);
        };
        if setup.invoice_no.contains("{date}") || setup.invoice_no.contains("{time}") {
            return Err(vec![
                "numbers of this shop are made with date or time, and the refund does not say those of the receipt that \
                 is taken back: credit it over the API"
                    .to_owned(),
            ]);
        }
        let number = template(&setup.invoice_no, sale, Some(&original.text));
        draft.insert("creditDebitNote".into(), json!({ "invoiceNo": number }));
        draft.insert("receiptNotes".into(), REFUNDED.into());
    }
    let buyer = &sale.buyer;
    let of = |text: &Option<drivers::capture::sale::Text>| text.as_ref().map(|t| t.text.clone());
    insert_buyer(&mut draft, of(&buyer.name), of(&buyer.tin), of(&buyer.vat));
    if let Some(cashier) = &sale.cashier {
        draft.insert("cashier".into(), cashier.text.clone().into());
    }
    read(draft)
}

/// The sale of a fiscal printer's receipt; `original` is the shop's number of what a storno takes back.
///
/// # Errors
/// What the sale's reader finds wrong, or what the receipt lacks.
pub fn registered(
    receipt: &OpenReceipt,
    setup: &PosSetup,
    rules: &Rules,
    original: Option<&str>,
) -> Result<Draft, Vec<String>> {
    let storno = match &receipt.kind {
        Kind::Storno(storno) => Some(storno),
        Kind::Sale | Kind::Service => None,
    };
    let sign = if storno.is_some() {
        -Decimal::ONE
    } else {
        Decimal::ONE
    };
    let mut lines = Vec::new();
    for line in receipt.flat(rules.settings.subtotal_discounts) {
        let mut row = Map::new();
        row.insert(
            "receiptLineType".into(),
            kind(line.kind == FlatKind::Discount).into(),
        );
        row.insert("receiptLineName".into(), line.name.clone().into());
        row.insert("receiptLineQuantity".into(), text(line.quantity));
        if let Some(price) = line.price {
            row.insert("receiptLinePrice".into(), text(price * sign));
        }
        row.insert("receiptLineTotal".into(), text(line.total * sign));
        let name = rules.tax_name(line.tax);
        let name =
            name.ok_or_else(|| vec![format!("the tax letter {} means nothing", line.tax)])?;
        let (member, value) = named_tax(name);
        row.insert(member.into(), value);
        hs_code(&mut row, setup);
        lines.push(Value::Object(row));
    }
    // In a storno the software's number is the original's.
    let own = receipt.sale_no.clone().filter(|_| storno.is_none());
    let number = own.unwrap_or_else(|| numbered(&setup.name, &receipt.key));
    let mut draft = head(storno.is_some(), &receipt.currency, &number);
    draft.insert("receiptLinesTaxInclusive".into(), true.into());
    draft.insert("receiptLines".into(), lines.into());
    draft.insert("receiptTotal".into(), text(receipt.total() * sign));
    let paid: Vec<Value> = receipt
        .settled()
        .iter()
        .map(|p| json!({ "moneyTypeCode": format!("{:?}", p.money), "paymentAmount": text(p.amount * sign) }))
        .collect();
    draft.insert("receiptPayments".into(), paid.into());
    if !receipt.change().is_zero() {
        draft.insert("tendered".into(), text(receipt.paid()));
        draft.insert("change".into(), text(receipt.change()));
    }
    if let Some(storno) = storno {
        let original = original.unwrap_or(storno.document.trim());
        draft.insert("creditDebitNote".into(), json!({ "invoiceNo": original }));
        let words = storno
            .words
            .clone()
            .unwrap_or_else(|| reason(storno.reason).to_owned());
        draft.insert("receiptNotes".into(), words.into());
    }
    if let Some(customer) = receipt.customer.clone() {
        insert_buyer(&mut draft, customer.name, customer.taxpayer, customer.vat);
    }
    draft.insert(
        "cashier".into(),
        format!("Operator {}", receipt.operator).into(),
    );
    read(draft)
}

/// The shop's number of a receipt whose software has none: the port's name keeps those of two ports apart.
fn numbered(port: &str, key: &str) -> String {
    let port: String = port.chars().take(20).collect();
    format!("{port}-{key}")
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::OperatorError => "Mistake of the operator",
        Reason::Refund => REFUNDED,
        Reason::TaxBase => "The price was lowered afterwards",
    }
}

fn head(is_refund: bool, currency: &str, invoice_no: &str) -> Map<String, Value> {
    let kind = if is_refund {
        "CreditNote"
    } else {
        "FiscalInvoice"
    };
    let mut draft = Map::new();
    draft.insert("receiptType".into(), kind.into());
    draft.insert("receiptCurrency".into(), currency.into());
    draft.insert("invoiceNo".into(), invoice_no.into());
    // The port sees to the paper itself.
    draft.insert("print".into(), false.into());
    draft
}

const fn kind(is_discount: bool) -> &'static str {
    if is_discount { "Discount" } else { "Sale" }
}

fn sign_of(value: Decimal) -> Decimal {
    if value.is_sign_negative() {
        -Decimal::ONE
    } else {
        Decimal::ONE
    }
}

fn text(value: Decimal) -> Value {
    value.normalize().to_string().into()
}

fn hs_code(row: &mut Map<String, Value>, setup: &PosSetup) {
    if let Some(code) = &setup.hs_code {
        row.insert("receiptLineHSCode".into(), code.clone().into());
    }
}

/// A tax as a template means it. Exempt has no percent: it is found among the taxpayer's taxes.
fn tax(
    rate: Rate,
    taxpayer: &Taxpayer,
    now: DateTime,
) -> Result<(&'static str, Value), Vec<String>> {
    match rate {
        Rate::Percent(percent) => Ok(("taxPercent", text(percent))),
        Rate::Exempt => {
            let mut exempt = taxpayer
                .taxes
                .iter()
                .filter(|tax| tax.percent.is_none() && tax.is_valid_at(now));
            match exempt.next() {
                Some(tax) => Ok(("taxID", tax.id.get().into())),
                None => Err(vec!["the taxpayer has no exempt tax at FDMS".to_owned()]),
            }
        }
    }
}

/// A tax by the configuration's word for it: `15.5%`, a taxID, or a name of `[taxes]`.
fn named_tax(name: &str) -> (&'static str, Value) {
    if let Some(percent) = name.strip_suffix('%') {
        return ("taxPercent", percent.trim().into());
    }
    match name.parse::<u32>() {
        Ok(id) => ("taxID", id.into()),
        Err(_) => ("tax", name.into()),
    }
}

/// Payments come to the total: change is taken off cash first, then off the last ones.
fn payments(sale: &CapturedSale, setup: &PosSetup, sign: Decimal) -> Value {
    if sale.payments.is_empty() {
        let all = text(sale.total.value * sign);
        return json!([{ "moneyTypeCode": setup.payment.as_str(), "paymentAmount": all }]);
    }
    let mut paid: Vec<(String, Decimal)> = sale
        .payments
        .iter()
        .map(|payment| (money(&payment.method), payment.amount.value.abs()))
        .collect();
    let mut back = paid.iter().map(|p| p.1).sum::<Decimal>() - sale.total.value.abs();
    for cash in [true, false] {
        for payment in paid.iter_mut().rev().filter(|p| (p.0 == "Cash") == cash) {
            let taken = back.max(Decimal::ZERO).min(payment.1);
            payment.1 -= taken;
            back -= taken;
        }
    }
    let rows = paid.into_iter().filter(|payment| !payment.1.is_zero()).map(
        |(method, amount)| json!({ "moneyTypeCode": method, "paymentAmount": text(amount * sign) }),
    );
    rows.collect()
}

/// A template's word for a payment as the authority's; one that is none is told by the sale's reader.
fn money(method: &str) -> String {
    let word = match method.to_ascii_lowercase().as_str() {
        "cash" => "Cash",
        "card" => "Card",
        "mobile" | "mobile_wallet" | "mobilewallet" => "MobileWallet",
        "coupon" | "voucher" => "Coupon",
        "credit" => "Credit",
        "bank" | "bank_transfer" | "banktransfer" => "BankTransfer",
        "other" => "Other",
        _ => method,
    };
    word.to_owned()
}

fn insert_buyer(
    draft: &mut Map<String, Value>,
    name: Option<String>,
    tin: Option<String>,
    vat: Option<String>,
) {
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else {
        return;
    };
    let mut buyer = Map::new();
    buyer.insert("buyerRegisterName".into(), name.into());
    for (member, value) in [("buyerTIN", tin), ("vatNumber", vat)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            buyer.insert(member.into(), value.into());
        }
    }
    draft.insert("buyerData".into(), buyer.into());
}

fn invoice_no(sale: &CapturedSale, setup: &PosSetup) -> String {
    template(&setup.invoice_no, sale, None)
}

/// The shop's number of a receipt. An original's stands on another day's paper: only its number is known here, and
/// date and till are taken to be the same.
fn template(pattern: &str, sale: &CapturedSale, number: Option<&str>) -> String {
    let of = |text: &Option<drivers::capture::sale::Text>| {
        text.as_ref().map(|t| t.text.clone()).unwrap_or_default()
    };
    pattern
        .replace("{receipt_no}", number.unwrap_or(&sale.receipt_no.text))
        .replace("{date}", &sale.date.text)
        .replace("{time}", &of(&sale.time))
        .replace("{till}", &of(&sale.till))
}

fn read(draft: Map<String, Value>) -> Result<Draft, Vec<String>> {
    let json = Value::Object(draft).to_string();
    let (draft, findings) = Draft::read(json.as_bytes());
    if findings.is_empty() {
        Ok(draft)
    } else {
        Err(findings.iter().map(finding).collect())
    }
}

/// A finding as people read it.
#[must_use]
pub fn finding(finding: &Finding) -> String {
    finding.to_string()
}
