//! Each rule broken alone: one change to a good receipt, and the judge names just that rule.
//!
//! Four rules of sums cannot be broken alone, because the others bind the same figures: a total that
//! misses the lines (RCPT019, RCPT037) also misses the tax rows (RCPT038), one that misses the tax rows
//! alone has a wrong row (RCPT027), and a total of the wrong sign (RCPT040) is paid with one (RCPT028).

mod composed;
mod edges;

use std::collections::BTreeSet;

use fiscal::compose::{Known, compose};
use fiscal::draft::Draft;
use fiscal::rules::{Day, Facts, Original, OriginalFact, Previous, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{sample_taxpayer, sample_taxpayer_without_vat};
use fiscal::{
    Cents, Code, Currency, DateTime, Finding, Percent, ReceiptCounter, ReceiptGlobalNo, TaxId,
};

const INVOICE: &str = r#"{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "receiptCounter": 3, "receiptGlobalNo": 7,
  "invoiceNo": "T1-7", "receiptDate": "2026-09-06T12:18:39", "receiptLinesTaxInclusive": true,
  "buyerData": {"buyerRegisterName": "Moyo", "buyerTIN": "1234567890"},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineNo": 1, "receiptLineHSCode": "1905", "receiptLineName": "Bread", "receiptLinePrice": 11.55, "receiptLineQuantity": 2, "receiptLineTotal": 23.10, "taxPercent": 15.5, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineNo": 2, "receiptLineHSCode": "12092500", "receiptLineName": "Seeds", "receiptLinePrice": 5, "receiptLineQuantity": 1, "receiptLineTotal": 5, "taxPercent": 0, "taxID": 2}],
  "receiptTaxes": [
    {"taxPercent": 0, "taxID": 2, "taxAmount": 0, "salesAmountWithTax": 5.00},
    {"taxPercent": 15.5, "taxID": 517, "taxAmount": 3.10, "salesAmountWithTax": 23.10}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 20}, {"moneyTypeCode": "Card", "paymentAmount": 8.10}],
  "receiptTotal": 28.10}"#;

const NOTE: &str = r#"{"receiptType": "CreditNote", "receiptCurrency": "USD", "receiptCounter": 3, "receiptGlobalNo": 7,
  "invoiceNo": "T1-7", "receiptDate": "2026-09-06T12:18:39", "receiptLinesTaxInclusive": true,
  "receiptNotes": "Brought back", "creditDebitNote": {"deviceID": 1, "receiptGlobalNo": 2, "fiscalDayNo": 1},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineNo": 1, "receiptLineHSCode": "12092500", "receiptLineName": "Seeds", "receiptLinePrice": -5, "receiptLineQuantity": 2, "receiptLineTotal": -10, "taxPercent": 0, "taxID": 2}],
  "receiptTaxes": [{"taxPercent": 0, "taxID": 2, "taxAmount": 0, "salesAmountWithTax": -10}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": -10}],
  "receiptTotal": -10}"#;

const EXCLUSIVE: &str = r#"{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "receiptCounter": 3, "receiptGlobalNo": 7,
  "invoiceNo": "T1-7", "receiptDate": "2026-09-06T12:18:39", "receiptLinesTaxInclusive": false,
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineNo": 1, "receiptLineHSCode": "1905", "receiptLineName": "Bread", "receiptLinePrice": 100, "receiptLineQuantity": 1, "receiptLineTotal": 100, "taxPercent": 15.5, "taxID": 517}],
  "receiptTaxes": [{"taxPercent": 15.5, "taxID": 517, "taxAmount": 15.50, "salesAmountWithTax": 115.50}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 115.50}],
  "receiptTotal": 115.50}"#;

fn date(text: &str) -> DateTime {
    text.parse().expect("a date")
}

/// What a receipt is judged against; each case changes what it needs.
struct World {
    taxpayer: Taxpayer,
    original: Option<Original>,
    invoice_no_is_new: bool,
    previous: Previous,
    opened: DateTime,
    now: DateTime,
}

impl World {
    fn new() -> Self {
        let percent = |hundredths| Percent::from_hundredths(hundredths);
        let tax = |id| TaxId::new(id).expect("a tax");
        Self {
            taxpayer: sample_taxpayer(),
            original: Some(Original {
                date: date("2026-09-06T09:00:00"),
                currency: Currency::USD,
                taxes: vec![(tax(2), percent(0)), (tax(517), percent(1550))],
                remaining: Cents::new(2810),
            }),
            invoice_no_is_new: true,
            previous: Previous {
                counter: ReceiptCounter::new(2).expect("a counter"),
                global_no: ReceiptGlobalNo::new(6).expect("a number"),
                date: Some(date("2026-09-06T12:18:38")),
            },
            opened: date("2026-09-06T08:00:00"),
            now: date("2026-09-06T12:18:39"),
        }
    }

    fn findings(&self, json: &str) -> Vec<Finding> {
        let (draft, mut findings) = Draft::read(json.as_bytes());
        let known = Known {
            taxpayer: Some(&self.taxpayer),
            ..Known::default()
        };
        let (receipt, more) = compose(&draft, &known);
        findings.extend(more);
        let facts = Facts {
            taxpayer: Some(&self.taxpayer),
            currencies: Some(&[Currency::USD, Currency::ZWG]),
            previous: Some(self.previous),
            day: Some(Day {
                opened: self.opened,
                max_hours: self.taxpayer.day_max_hours,
            }),
            now: Some(self.now),
            original: match &self.original {
                Some(original) => OriginalFact::Found(original),
                None => OriginalFact::Missing,
            },
            invoice_no_is_new: Some(self.invoice_no_is_new),
        };
        findings.extend(judge(&receipt, &facts));
        findings
    }
}

/// A broken rule: its code and the pointer of its finding, the rules that break with it, the receipt.
struct Case {
    code: Code,
    at: &'static str,
    with: &'static [Code],
    json: String,
    world: World,
}

/// The text with each replacement made; one that finds nothing is a slip in the test.
fn edit(base: &str, replacements: &[(&str, &str)]) -> String {
    replacements
        .iter()
        .fold(base.to_owned(), |json, (old, new)| {
            assert!(json.contains(old), "{old} is not in {json}");
            json.replace(old, new)
        })
}

fn broken(code: Code, at: &'static str, base: &str, replacements: &[(&str, &str)]) -> Case {
    Case {
        code,
        at,
        with: &[],
        json: edit(base, replacements),
        world: World::new(),
    }
}

fn broken_with(code: Code, with: &'static [Code], base: &str, edits: &[(&str, &str)]) -> Case {
    Case {
        with,
        ..broken(code, "/receiptTotal", base, edits)
    }
}

fn in_world(code: Code, at: &'static str, base: &str, change: impl FnOnce(&mut World)) -> Case {
    let mut case = broken(code, at, base, &[]);
    change(&mut case.world);
    case
}

fn head_and_rows() -> Vec<Case> {
    let sums = r#""receiptTaxes": [
    {"taxPercent": 0, "taxID": 2, "taxAmount": 0, "salesAmountWithTax": 5.00},
    {"taxPercent": 15.5, "taxID": 517, "taxAmount": 3.10, "salesAmountWithTax": 23.10}]"#;
    let payments = r#"[{"moneyTypeCode": "Cash", "paymentAmount": 20}, {"moneyTypeCode": "Card", "paymentAmount": 8.10}]"#;
    let start = INVOICE.find("[\n    {\"receiptLineType").expect("lines");
    let end = INVOICE.find(",\n  \"receiptTaxes").expect("their end");
    let lines = INVOICE.get(start..end).expect("lines");
    vec![
        broken(
            Code::Rcpt010,
            "/receiptCurrency",
            INVOICE,
            &[("USD", "BWP")],
        ),
        in_world(Code::Rcpt013, "/invoiceNo", INVOICE, |world| {
            world.invoice_no_is_new = false;
        }),
        broken(Code::Rcpt016, "/receiptLines", INVOICE, &[(lines, "[]")]),
        Case {
            with: &[Code::Rcpt017],
            ..broken(
                Code::Rcpt016,
                "/receiptLines",
                INVOICE,
                &[(lines, "[]"), (sums, "\"receiptTaxes\": []")],
            )
        },
        broken(
            Code::Rcpt017,
            "/receiptTaxes",
            INVOICE,
            &[(sums, "\"receiptTaxes\": []")],
        ),
        broken(
            Code::Rcpt018,
            "/receiptPayments",
            INVOICE,
            &[(payments, "[]")],
        ),
        broken(
            Code::Rcpt043,
            "/buyerData/buyerTIN",
            INVOICE,
            &[(", \"buyerTIN\": \"1234567890\"", "")],
        ),
        broken(
            Code::Rcpt043,
            "/buyerData/buyerRegisterName",
            INVOICE,
            &[("\"buyerRegisterName\": \"Moyo\", ", "")],
        ),
    ]
}

fn lines() -> Vec<Case> {
    let seeds = r#""receiptLinePrice": 5, "receiptLineQuantity": 1, "receiptLineTotal": 5,"#;
    let nothing = &[
        ("\"salesAmountWithTax\": 5.00", "\"salesAmountWithTax\": 0"),
        ("\"paymentAmount\": 8.10", "\"paymentAmount\": 3.10"),
        ("\"receiptTotal\": 28.10", "\"receiptTotal\": 23.10"),
    ];
    let zero = |line: &'static str| [&[(seeds, line)], &nothing[..]].concat();
    let price = "/receiptLines/1/receiptLinePrice";
    vec![
        in_world(Code::Rcpt021, "/receiptLines/0/taxID", INVOICE, |world| {
            world.taxpayer = sample_taxpayer_without_vat();
        }),
        broken(
            Code::Rcpt022,
            price,
            INVOICE,
            &zero(r#""receiptLinePrice": 0, "receiptLineQuantity": 1, "receiptLineTotal": 0,"#),
        ),
        broken(
            Code::Rcpt023,
            "/receiptLines/1/receiptLineQuantity",
            INVOICE,
            &zero(r#""receiptLinePrice": 5, "receiptLineQuantity": 0, "receiptLineTotal": 0,"#),
        ),
        broken(
            Code::Rcpt024,
            "/receiptLines/1/receiptLineTotal",
            INVOICE,
            &[("\"receiptLinePrice\": 5,", "\"receiptLinePrice\": 4.99,")],
        ),
        broken(
            Code::Rcpt025,
            "/receiptLines/1/taxID",
            INVOICE,
            &[(
                "\"taxPercent\": 0, \"taxID\": 2",
                "\"taxPercent\": 0, \"taxID\": 1",
            )],
        ),
        broken(
            Code::Rcpt047,
            "/receiptLines/0/receiptLineHSCode",
            INVOICE,
            &[("\"receiptLineHSCode\": \"1905\", ", "")],
        ),
        broken(
            Code::Rcpt047,
            "/receiptLines/0/receiptLineHSCode",
            INVOICE,
            &[("\"1905\"", "\"\"")],
        ),
        broken(
            Code::Rcpt048,
            "/receiptLines/0/receiptLineHSCode",
            INVOICE,
            &[("\"1905\"", "\"190590\"")],
        ),
        broken(
            Code::Rcpt048,
            "/receiptLines/1/receiptLineHSCode",
            INVOICE,
            &[("\"12092500\"", "\"1209\"")],
        ),
    ]
}

fn sums() -> Vec<Case> {
    let more = &[
        ("\"receiptTotal\": 28.10", "\"receiptTotal\": 28.11"),
        ("\"paymentAmount\": 8.10", "\"paymentAmount\": 8.11"),
    ];
    let row = "\"salesAmountWithTax\": 23.10";
    vec![
        broken_with(Code::Rcpt019, &[Code::Rcpt038], INVOICE, more),
        broken(
            Code::Rcpt026,
            "/receiptTaxes/1/taxAmount",
            INVOICE,
            &[("\"taxAmount\": 3.10", "\"taxAmount\": 3.11")],
        ),
        broken(
            Code::Rcpt027,
            "/receiptTaxes/1/salesAmountWithTax",
            INVOICE,
            &[
                (row, "\"salesAmountWithTax\": 23.11"),
                (
                    "\"salesAmountWithTax\": 5.00",
                    "\"salesAmountWithTax\": 4.99",
                ),
            ],
        ),
        broken(
            Code::Rcpt028,
            "/receiptPayments/1/paymentAmount",
            INVOICE,
            &[
                ("\"paymentAmount\": 20", "\"paymentAmount\": 30"),
                ("\"paymentAmount\": 8.10", "\"paymentAmount\": -1.90"),
            ],
        ),
        broken_with(
            Code::Rcpt037,
            &[Code::Rcpt038],
            EXCLUSIVE,
            &[
                ("\"receiptTotal\": 115.50", "\"receiptTotal\": 115.51"),
                ("\"paymentAmount\": 115.50", "\"paymentAmount\": 115.51"),
            ],
        ),
        broken_with(
            Code::Rcpt038,
            &[Code::Rcpt027],
            INVOICE,
            &[(row, "\"salesAmountWithTax\": 23.11")],
        ),
        broken(
            Code::Rcpt039,
            "/receiptPayments",
            INVOICE,
            &[("\"paymentAmount\": 8.10", "\"paymentAmount\": 8.11")],
        ),
        broken_with(
            Code::Rcpt040,
            &[Code::Rcpt028],
            INVOICE,
            &[
                (
                    r#""Sale", "receiptLineNo": 2"#,
                    r#""Discount", "receiptLineNo": 2"#,
                ),
                ("\"receiptLinePrice\": 5", "\"receiptLinePrice\": -30"),
                ("\"receiptLineTotal\": 5", "\"receiptLineTotal\": -30"),
                (
                    "\"salesAmountWithTax\": 5.00",
                    "\"salesAmountWithTax\": -30",
                ),
                ("\"receiptTotal\": 28.10", "\"receiptTotal\": -6.90"),
                ("\"paymentAmount\": 8.10", "\"paymentAmount\": -26.90"),
            ],
        ),
    ]
}

/// Rules of sums that do not drag another one with them.
fn sums_alone() -> Vec<Case> {
    vec![
        // With the tax on top, everything else may agree with a wrong tax.
        broken(
            Code::Rcpt026,
            "/receiptTaxes/0/taxAmount",
            EXCLUSIVE,
            &[
                ("\"taxAmount\": 15.50", "\"taxAmount\": 15.51"),
                ("115.50", "115.51"),
            ],
        ),
        // A row too many shows in the total, and only there.
        broken(
            Code::Rcpt019,
            "/receiptTotal",
            INVOICE,
            &[
                (
                    "\"salesAmountWithTax\": 23.10}",
                    "\"salesAmountWithTax\": 23.10}, {\"taxID\": 1, \"taxAmount\": 0, \"salesAmountWithTax\": 1}",
                ),
                ("\"receiptTotal\": 28.10", "\"receiptTotal\": 29.10"),
                ("\"paymentAmount\": 8.10", "\"paymentAmount\": 9.10"),
            ],
        ),
    ]
}

fn notes() -> Vec<Case> {
    let reference =
        r#", "creditDebitNote": {"deviceID": 1, "receiptGlobalNo": 2, "fiscalDayNo": 1}"#;
    let original = |code, at, change: fn(&mut Original)| {
        in_world(code, at, NOTE, |world| {
            world.original.as_mut().map(change).expect("an original");
        })
    };
    let at = "/creditDebitNote";
    vec![
        broken(Code::Rcpt015, at, NOTE, &[(reference, "")]),
        broken(
            Code::Rcpt029,
            at,
            INVOICE,
            &[(
                "\"receiptLinesTaxInclusive\": true",
                "\"receiptLinesTaxInclusive\": true, \"creditDebitNote\": {\"receiptID\": 5}",
            )],
        ),
        in_world(Code::Rcpt032, at, NOTE, |world| world.original = None),
        broken(Code::Rcpt032, at, NOTE, &[(", \"fiscalDayNo\": 1", "")]),
        original(Code::Rcpt033, at, |original| {
            original.date = date("2025-09-06T12:18:38");
        }),
        broken(
            Code::Rcpt034,
            "/receiptNotes",
            NOTE,
            &[("\"receiptNotes\": \"Brought back\", ", "")],
        ),
        original(Code::Rcpt035, "/receiptTotal", |original| {
            original.remaining = Cents::new(999);
        }),
        original(Code::Rcpt036, "/receiptLines", |original| {
            let _ = original.taxes.remove(0);
        }),
        // What is left in one currency says nothing of an amount in another.
        original(Code::Rcpt042, "/receiptCurrency", |original| {
            original.currency = Currency::ZWG;
            original.remaining = Cents::new(1);
        }),
    ]
}

/// The gateway's own fields: no sender can set them, but the judge would see it.
fn sequence() -> Vec<Case> {
    let (number, day) = ("/receiptGlobalNo", "/receiptDate");
    vec![
        in_world(Code::Rcpt011, "/receiptCounter", INVOICE, |world| {
            world.previous.counter = ReceiptCounter::new(1).expect("a counter");
        }),
        in_world(Code::Rcpt012, number, INVOICE, |world| {
            world.previous.global_no = ReceiptGlobalNo::new(7).expect("a number");
        }),
        in_world(Code::Rcpt014, day, INVOICE, |world| {
            world.opened = date("2026-09-06T12:18:39");
        }),
        in_world(Code::Rcpt030, day, INVOICE, |world| {
            world.previous.date = Some(date("2026-09-06T12:18:39"));
        }),
        in_world(Code::Rcpt031, day, INVOICE, |world| {
            world.now = date("2026-09-06T12:18:38");
        }),
        in_world(Code::Rcpt041, day, INVOICE, |world| {
            world.opened = date("2026-09-05T12:18:38");
        }),
    ]
}

/// The receipts that the cases start from are good.
#[test]
fn good_receipts_have_no_finding() {
    for json in [INVOICE, NOTE, EXCLUSIVE] {
        assert_eq!(World::new().findings(json), []);
    }
    // On the very edge of what is allowed.
    let mut world = World::new();
    if let Some(original) = &mut world.original {
        original.date = date("2025-09-06T12:18:39");
        original.remaining = Cents::new(1000);
    }
    world.opened = date("2026-09-05T12:18:39");
    assert_eq!(world.findings(NOTE), []);
}

/// What was sold in a currency that is sold in no more can still be taken back in it.
#[test]
fn a_note_may_be_in_its_originals_currency() {
    let mut world = World::new();
    let note = NOTE.replace("USD", "BWP");
    let codes = |world: &World| {
        let findings = world.findings(&note);
        findings
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert!(codes(&world).contains(&Code::Rcpt010));
    if let Some(original) = &mut world.original {
        original.currency = Currency::parse("BWP").expect("a currency");
    }
    assert_eq!(codes(&world), []);
    world.original = None;
    assert!(codes(&world).contains(&Code::Rcpt010));
}

/// Every rule, broken alone, is found, at its field and with no other; no rule is left out.
#[test]
fn each_broken_rule_is_found_alone() {
    let cases: Vec<Case> = [
        head_and_rows(),
        lines(),
        sums(),
        sums_alone(),
        notes(),
        sequence(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for case in &cases {
        let findings = case.world.findings(&case.json);
        let codes: BTreeSet<Code> = findings.iter().map(|finding| finding.code).collect();
        let mut wanted: BTreeSet<Code> = case.with.iter().copied().collect();
        wanted.insert(case.code);
        assert_eq!(codes, wanted, "{}: {findings:#?}\n{}", case.code, case.json);
        let at = |finding: &Finding| finding.code == case.code && finding.pointer == case.at;
        assert!(
            findings.iter().any(at),
            "{} is not at {}: {findings:#?}",
            case.code,
            case.at
        );
        assert!(findings.iter().all(|finding| !finding.message.is_empty()));
    }
    let broken: BTreeSet<Code> = cases.iter().map(|case| case.code).collect();
    let rules: BTreeSet<Code> = Code::ALL
        .iter()
        .copied()
        // A signature is judged by who has the key or the certificate.
        .filter(|code| code.as_str().starts_with("RCPT") && *code != Code::Rcpt020)
        .collect();
    assert_eq!(broken, rules);
}
