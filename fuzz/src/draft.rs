//! A sale as a POS sends it: what is wrong is told with its place; what is right is the same when it is read again, and
//! adds up.

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::draft::Draft;
use fiscal::json::Value;
use fiscal::receipt::Receipt;
use fiscal::rules::{Facts, OriginalFact, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{GenOptions, Issued, Random, random_sale, sample_taxpayer};
use fiscal::{Cents, Code, Currency, DateTime, DeviceId, FiscalDayNo, ReceiptCounter};
use fiscal::{Finding, ReceiptGlobalNo, sign, wire};

use crate::damage::damaged;
use crate::input::Input;

/// A byte with which no JSON begins: choices follow, for a sale that is made up.
const MADE: u8 = 1;

/// JSON, or [`MADE`], a seed of two bytes, and what is done to the sale that comes of it.
pub(crate) fn run(data: &[u8]) {
    let shop = Shop::new();
    let Some((&MADE, choices)) = data.split_first() else {
        shop.read(data);
        return;
    };
    let mut input = Input::new(choices);
    let mut random = Random::new(u64::from(input.word()));
    let sale = random_sale(
        &mut random,
        &shop.taxpayer,
        &GenOptions {
            device: Some(shop.device),
            invoice_no: "T1-7",
            date: shop.date,
            currencies: &CURRENCIES,
            originals: std::slice::from_ref(&shop.original),
        },
    );
    // Nothing that is right is refused.
    let receipt = shop.read(sale.json.as_bytes());
    let receipt = receipt.unwrap_or_else(|| panic!("a valid sale is refused: {}", sale.json));
    assert_eq!(receipt.total.get(), sale.total, "{}", sale.json);
    if !input.is_empty() {
        shop.read(&damaged(sale.json.into_bytes(), &mut input));
    }
}

const CURRENCIES: [Currency; 1] = [Currency::USD];

/// The till that the sale is for, and what it knows.
struct Shop {
    taxpayer: Taxpayer,
    device: DeviceId,
    date: DateTime,
    original: Issued,
}

impl Shop {
    fn new() -> Self {
        let taxpayer = sample_taxpayer();
        let device = DeviceId::new(42).expect("it is a number of a device");
        let date: DateTime = "2026-09-06T12:18:39".parse().expect("it is a date");
        let valid = taxpayer.taxes.iter().filter(|tax| tax.is_valid_at(date));
        let original = Issued {
            device_id: device,
            receipt_global_no: ReceiptGlobalNo::new(1).expect("it is a number"),
            fiscal_day_no: FiscalDayNo::new(1).expect("it is a number"),
            date: "2026-09-05T10:00:00".parse().expect("it is a date"),
            currency: Currency::USD,
            taxes: valid.map(|tax| (tax.id, tax.percent)).collect(),
            remaining: Cents::parse("5000").expect("it is an amount"),
        };
        Self {
            taxpayer,
            device,
            date,
            original,
        }
    }

    /// What comes of a sale; none if something is wrong with it.
    fn read(&self, json: &[u8]) -> Option<Receipt> {
        let (draft, findings) = Draft::read(json);
        assert_eq!(Draft::read(json), (draft.clone(), findings.clone()));
        if !findings.is_empty() {
            told(json, &findings);
            return None;
        }
        self.reads_again(json, &draft);
        self.composed(json, &draft)
    }

    /// What is understood says the same when it is written and read.
    fn reads_again(&self, json: &[u8], draft: &Draft) {
        let written = serde_json::to_vec(draft).expect("a draft can be written");
        let (again, findings) = Draft::read(&written);
        let shown = || String::from_utf8_lossy(json);
        assert_eq!(findings, [], "{}", shown());
        assert_eq!(&again, draft, "{}", shown());
        assert_eq!(
            again.fingerprint(self.device),
            draft.fingerprint(self.device)
        );
    }

    fn composed(&self, json: &[u8], draft: &Draft) -> Option<Receipt> {
        let original = self.original.as_original();
        let known = Known {
            numbers: Some(Numbers {
                counter: ReceiptCounter::new(2).expect("it is a number"),
                global_no: ReceiptGlobalNo::new(2).expect("it is a number"),
                date: self.date,
            }),
            taxpayer: Some(&self.taxpayer),
            original: draft.credit_debit_note.as_ref().map(|_| &original),
            ..Known::default()
        };
        let (receipt, findings) = compose(draft, &known);
        let mut body = String::new();
        wire::write_receipt(&mut body, &receipt, None);
        let told = |findings: &[Finding]| {
            let documents = [json, body.as_bytes()];
            for finding in findings {
                assert!(
                    documents.iter().any(|json| is_beside(json, finding)),
                    "{finding} names no field of {body}"
                );
            }
        };
        told(&findings);
        if !findings.is_empty() {
            return None;
        }
        let facts = Facts {
            taxpayer: Some(&self.taxpayer),
            currencies: Some(&CURRENCIES),
            original: OriginalFact::Found(&original),
            ..Facts::default()
        };
        let findings = judge(&receipt, &facts);
        told(&findings);
        if !findings.is_empty() {
            return None;
        }
        adds_up(&receipt);
        signed(self.device, &receipt);
        // FDMS reads what we send as we do.
        let (sent, findings) = Draft::read(body.as_bytes());
        assert_eq!(findings, [], "{body}");
        let (again, findings) = compose(&sent, &known);
        assert_eq!(findings, [], "{body}");
        let same = in_signing_order(again) == in_signing_order(receipt.clone());
        assert!(same, "{body}");
        Some(receipt)
    }
}

/// Each finding says what is wrong, at a field that is there.
fn told(json: &[u8], findings: &[Finding]) {
    assert!(findings.len() <= 100);
    for finding in findings {
        assert!(!finding.message.is_empty());
        assert!(finding.message.len() < 2000, "{finding}");
        let is_there = match finding.code {
            Code::JsonMalformed => Value::parse(json).is_err(),
            Code::FieldMissing => is_beside(json, finding),
            _ => stands(json, &finding.pointer),
        };
        assert!(is_there, "{finding}: {}", String::from_utf8_lossy(json));
    }
}

/// Whether the object or the array is there in which a field is missed.
fn is_beside(json: &[u8], finding: &Finding) -> bool {
    let (parent, _) = finding.pointer.rsplit_once('/').unwrap_or_default();
    stands(json, parent)
}

fn stands(json: &[u8], pointer: &str) -> bool {
    Value::parse(json).is_ok_and(|value| leads(&value, pointer))
}

/// Whether a pointer leads to something, by any of the members of one name.
fn leads(value: &Value<'_>, pointer: &str) -> bool {
    let Some(rest) = pointer.strip_prefix('/') else {
        return pointer.is_empty();
    };
    let (step, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| shown(name) == step && leads(value, rest)),
        Value::Array(rows) => {
            let row = step.parse().ok().and_then(|at: usize| rows.get(at));
            row.is_some_and(|row| leads(row, rest))
        }
        _ => false,
    }
}

/// A name as findings show it: long ones are cut.
fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    let mut shown: String = name.chars().take(40).map(plain).collect();
    if name.chars().count() > 40 {
        shown.push('…');
    }
    fiscal::json::escape(&shown)
}

/// Lines, taxes and payments come to the total, counted with integers.
fn adds_up(receipt: &Receipt) {
    let sum = |amounts: &mut dyn Iterator<Item = Cents>| -> i128 {
        amounts.map(|amount| i128::from(amount.get())).sum()
    };
    let total = i128::from(receipt.total.get());
    let lines = sum(&mut receipt.lines.iter().map(|line| line.total));
    let tax = sum(&mut receipt.taxes.iter().map(|row| row.tax_amount));
    let more = if receipt.lines_tax_inclusive { 0 } else { tax };
    assert_eq!(lines + more, total);
    assert_eq!(
        sum(&mut receipt.taxes.iter().map(|row| row.sales_amount_with_tax)),
        total
    );
    assert_eq!(
        sum(&mut receipt.payments.iter().map(|payment| payment.amount)),
        total
    );
    let signs = receipt.payments.iter().map(|payment| payment.amount.get());
    let sign = receipt.receipt_type.sign();
    assert!(total * i128::from(sign) >= 0);
    assert!({ signs }.all(|amount| amount * sign >= 0));
}

/// What is signed does not depend on the order of the rows, begins as the authority wants it, and hangs on the receipt
/// before.
fn signed(device: DeviceId, receipt: &Receipt) {
    let string = sign::receipt_string(device, receipt, None);
    let sorted = in_signing_order(receipt.clone());
    assert_eq!(sign::receipt_string(device, &sorted, None), string);
    let begins = format!(
        "{device}{}{}{}",
        receipt.receipt_type.as_str().to_uppercase(),
        receipt.currency,
        receipt.global_no
    );
    assert!(string.starts_with(&begins), "{string}");
    let hash = sign::hash(&string);
    let chained = sign::receipt_string(device, receipt, Some(&hash));
    assert_ne!(sign::hash(&chained), hash);
}
