//! The authority's vectors: what it has accepted or printed must come out of the core byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fiscal::compose::{Known, compose, in_signing_order};
use fiscal::counters::{By, CounterKey, CounterType, Counters};
use fiscal::draft::Draft;
use fiscal::json::Value;
use fiscal::receipt::{Hash, Receipt, Signature, TaxKey, TaxRow};
use fiscal::rules::{Facts, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::{
    Cents, Currency, DateTime, DeviceId, FiscalDayNo, Percent, ReceiptCounter, ReceiptGlobalNo,
    ReceiptType, TaxId, qr, sign, wire,
};

const SIGNATURES: &[u8] = include_bytes!("vectors/signatures.json");
const GETCONFIG: &[u8] = include_bytes!("vectors/getconfig.json");

/// How many vectors there are, so that none is lost unnoticed.
const COUNT: usize = 7;

fn vectors() -> Vec<Value<'static>> {
    let root = Value::parse(SIGNATURES).expect("the file is JSON");
    match root.get("vectors") {
        Some(Value::Array(rows)) => rows.clone(),
        other => panic!("no vectors: {other:?}"),
    }
}

fn vector(id: &str) -> Value<'static> {
    let all = vectors();
    let found = all.iter().find(|v| text(v, "id") == id);
    found.expect("the vector is there").clone()
}

fn text(value: &Value<'_>, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.to_string(),
        Some(Value::Number(text)) => (*text).to_owned(),
        other => panic!("{name} is {other:?}"),
    }
}

fn number<T>(value: &Value<'_>, name: &str, make: impl Fn(u32) -> Option<T>) -> T {
    let plain = text(value, name).parse().expect("a number");
    make(plain).expect("within its limits")
}

fn date(text: &str) -> DateTime {
    text.parse().expect("a date")
}

/// The receipt of a vector as it was sent, read, put together and judged without a finding.
fn receipt(vector: &Value<'_>) -> (Receipt, Draft) {
    let taxpayer = Taxpayer::from_config(GETCONFIG).expect("the configuration can be read");
    let value = vector.get("receipt").expect("the vector has its receipt");
    let (draft, findings) = Draft::from_value(value);
    assert_eq!(findings, []);
    let known = Known {
        taxpayer: Some(&taxpayer),
        ..Known::default()
    };
    let (receipt, findings) = compose(&draft, &known);
    assert_eq!(findings, []);
    let facts = Facts {
        taxpayer: Some(&taxpayer),
        currencies: Some(&[Currency::USD]),
        ..Facts::default()
    };
    assert_eq!(judge(&receipt, &facts), []);
    (receipt, draft)
}

/// Every signing string has its hash.
#[test]
fn hashes() {
    let all = vectors();
    assert_eq!(all.len(), COUNT);
    let mut hashed = 0;
    for vector in all.iter().filter(|v| v.get("signing_string").is_some()) {
        let hash = sign::hash(&text(vector, "signing_string"));
        assert_eq!(hash.to_string(), text(vector, "sha256_base64"));
        hashed += 1;
    }
    assert_eq!(hashed, COUNT - 1);
}

/// The receipts that the authority accepted: the same string, hash, taxes and total, also when the sums are
/// left to the gateway, and the same JSON when written again.
#[test]
fn accepted_receipts() {
    let mut before: Option<Hash> = None;
    for id in ["tax-exclusive-invoice-15.5", "credit-note-of-it"] {
        let vector = vector(id);
        let (receipt, draft) = receipt(&vector);
        let device = number(&vector, "device_id", DeviceId::new);
        let previous = Hash::parse(&text(&vector, "previous_receipt_hash"));
        assert!(before.is_none() || before == previous, "{id} is chained");
        let string = sign::receipt_string(device, &receipt, previous.as_ref());
        assert_eq!(string, text(&vector, "signing_string"));
        let hash = sign::hash(&string);
        assert_eq!(hash.to_string(), text(&vector, "sha256_base64"));
        let given = draft.receipt_device_signature.clone().expect("signed");
        assert_eq!(given.hash.as_deref(), Some(&*hash.to_string()));
        before = Some(hash);

        let left_out = Draft {
            receipt_taxes: None,
            receipt_total: None,
            ..draft.clone()
        };
        let (ours, findings) = compose(&left_out, &Known::default());
        assert_eq!((&ours, &*findings), (&receipt, &[][..]));

        let signature = Signature {
            hash,
            bytes: STANDARD
                .decode(text(&vector, "device_signature_base64"))
                .expect("base64"),
        };
        let mut json = String::new();
        wire::write_receipt(&mut json, &receipt, Some(&signature));
        let (again, findings) = Draft::read(json.as_bytes());
        assert_eq!((again, findings), (draft, vec![]));
    }
}

fn row(id: u32, percent: Option<u32>, amount: i64, with_tax: i64) -> TaxRow {
    TaxRow {
        tax: TaxKey {
            id: TaxId::new(id).expect("a tax"),
            code: None,
            percent: percent.and_then(Percent::from_hundredths),
        },
        tax_amount: Cents::new(amount),
        sales_amount_with_tax: Cents::new(with_tax),
    }
}

fn bare(receipt_type: ReceiptType, global_no: u32, date_text: &str, total: i64) -> Receipt {
    Receipt {
        receipt_type,
        currency: Currency::USD,
        counter: ReceiptCounter::ZERO.next(),
        global_no: ReceiptGlobalNo::new(global_no).expect("a number"),
        invoice_no: "1".to_owned(),
        buyer: None,
        notes: None,
        date: date(date_text),
        credit_debit_note: None,
        lines_tax_inclusive: true,
        lines: Vec::new(),
        taxes: Vec::new(),
        payments: Vec::new(),
        total: Cents::new(total),
        print_form: None,
    }
}

/// Exempt rows have neither percent nor code; zero-rated ones have 0.00; rows stand in order of taxID
/// however they came; the first receipt of a day has no hash before it.
#[test]
fn strings_of_tax_rows() {
    let device = |id| DeviceId::new(id).expect("a device");
    let vector_1 = vector("exempt-invoice-first-of-day");
    let mut receipt = bare(ReceiptType::FiscalInvoice, 7, "2025-05-06T12:40:34", 581);
    receipt.taxes = vec![row(1, None, 0, 581)];
    assert_eq!(
        sign::receipt_string(device(24455), &receipt, None),
        text(&vector_1, "signing_string")
    );
    let vector_2 = vector("credit-note-usd-three-taxes");
    let mut receipt = bare(ReceiptType::CreditNote, 85, "2020-09-19T09:23:07", -4035);
    receipt.taxes = vec![
        row(3, Some(1450), -300, -2300),
        row(1, None, 0, -700),
        row(2, Some(0), 0, -1000),
    ];
    let previous = Hash::parse("hNVJXP/ACOiE8McD3pKsDlqBXpuaUqQOfPnMyfZWI9k=");
    let expected = text(&vector_2, "signing_string");
    let string = sign::receipt_string(device(322), &receipt, previous.as_ref());
    assert_eq!(string, expected);
    let sorted = in_signing_order(receipt);
    let ids: Vec<u32> = sorted.taxes.iter().map(|row| row.tax.id.get()).collect();
    assert_eq!(ids, [1, 2, 3]);
    let string = sign::receipt_string(device(322), &sorted, previous.as_ref());
    assert_eq!(string, expected);
}

/// The string of a fiscal day carries the date of its opening and only counters that are not zero.
#[test]
fn fiscal_day() {
    let key = |counter_type, percent| CounterKey {
        counter_type,
        currency: Currency::USD,
        by: By::Tax(TaxId::new(2).expect("a tax"), percent),
    };
    let mut counters = Counters::default();
    let zero = Some(Percent::ZERO);
    counters.add(key(CounterType::SaleByTax, zero), Cents::new(5000));
    counters.add(key(CounterType::SaleTaxByTax, zero), Cents::ZERO);
    let string = sign::day_string(
        DeviceId::new(32558).expect("a device"),
        FiscalDayNo::new(12).expect("a day"),
        date("2026-02-26T07:00:00"),
        &counters,
    );
    assert_eq!(
        string,
        text(&vector("fiscal-day-one-counter"), "signing_string")
    );
}

/// What the authority signs of a receipt.
#[test]
fn fdms_receipt() {
    let expected = text(&vector("fdms-receipt-signature"), "signing_string");
    let (signature, rest) = expected.split_once('=').expect("base64 ends with =");
    let string =
        sign::fdms_receipt_string(&format!("{signature}="), 48377, date("2019-09-19T15:43:12"));
    assert_eq!(string, expected);
    assert_eq!(rest, "483772019-09-19T15:43:12");
}

/// The QR code's address and the verification code in it, with and without a slash at the end of qrUrl.
#[test]
fn qr_code() {
    let vector = vector("qr-of-an-ecdsa-receipt");
    let signature = STANDARD
        .decode(text(&vector, "device_signature_base64"))
        .expect("base64");
    let expected = text(&vector, "expected");
    let code = qr::verification_code(&signature);
    for slash in ["", "/"] {
        let content = qr::content(
            &format!("{}{slash}", text(&vector, "qr_url")),
            number(&vector, "device_id", DeviceId::new),
            date(&text(&vector, "receipt_date")),
            number(&vector, "receipt_global_no", ReceiptGlobalNo::new),
            &code,
        );
        assert!(content.eq_ignore_ascii_case(&expected), "{content}");
    }
    assert_eq!(code, "1FFFFBC7516CDF86");
    assert_eq!(qr::grouped(&code), "1FFF-FBC7-516C-DF86");
}
