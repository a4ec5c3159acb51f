//! The edges of the rules: what stands just on either side of one, and what the finding says.

use fiscal::compose::{Known, compose};
use fiscal::draft::Draft;
use fiscal::rules::{Facts, OriginalFact, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{sample_taxpayer, sample_taxpayer_without_vat};
use fiscal::{Cents, Code, Finding, Percent, ReceiptCounter, ReceiptGlobalNo, TaxId};

use crate::{INVOICE, NOTE, World, edit};

fn told(findings: &[Finding]) -> Vec<(Code, &str, &str)> {
    findings
        .iter()
        .map(|f| (f.code, f.pointer.as_str(), f.message.as_str()))
        .collect()
}

/// A receipt of one line, of which `line` says what matters here.
fn of_one_line(receipt_type: &str, line: &str) -> String {
    format!(
        r#"{{"receiptType": "{receipt_type}", "receiptCurrency": "USD", "receiptCounter": 3, "receiptGlobalNo": 7, "invoiceNo": "T1-7",
        "receiptDate": "2026-09-06T12:18:39", "receiptLinesTaxInclusive": true,
        "receiptLines": [{{"receiptLineName": "Seeds", "receiptLineQuantity": 1, {line}}}]}}"#
    )
}

/// What is found at the line of a receipt that has only one.
fn at_the_line(world: &World, json: &str) -> Vec<(Code, String, String)> {
    let mut findings = world.findings(json);
    findings.retain(|finding| finding.pointer.starts_with("/receiptLines/0/receiptLine"));
    let told = findings.into_iter();
    told.map(|f| (f.code, f.pointer, f.message)).collect()
}

/// Sales have the receipt's sign, discounts the other one; of what FDMS does not say the code is ours.
#[test]
fn signs_of_prices() {
    let (fdms, ours) = (Code::Rcpt022, Code::LineSign);
    for (receipt_type, kind, price, wrong) in [
        ("FiscalInvoice", "Sale", "5", None),
        ("FiscalInvoice", "Sale", "-5", Some((fdms, "above"))),
        ("FiscalInvoice", "Discount", "-5", None),
        ("FiscalInvoice", "Discount", "5", Some((fdms, "below"))),
        ("DebitNote", "Sale", "5", None),
        ("DebitNote", "Sale", "-5", Some((fdms, "above"))),
        ("DebitNote", "Discount", "-5", None),
        ("DebitNote", "Discount", "5", Some((ours, "below"))),
        ("CreditNote", "Sale", "-5", None),
        ("CreditNote", "Sale", "5", Some((fdms, "below"))),
        ("CreditNote", "Discount", "5", None),
        ("CreditNote", "Discount", "-5", Some((ours, "above"))),
    ] {
        let line = format!(
            r#""receiptLineType": "{kind}", "receiptLineHSCode": "12092500", "receiptLinePrice": {price}, "taxID": 2"#
        );
        let found = at_the_line(&World::new(), &of_one_line(receipt_type, &line));
        let wanted = wrong.map(|(code, what)| {
            let at = "/receiptLines/0/receiptLinePrice".to_owned();
            let message =
                format!("{price} must be {what} zero on a {kind} line of a {receipt_type}");
            (code, at, message)
        });
        assert_eq!(found, Vec::from_iter(wanted));
    }
}

/// Where there is no price, the total has the sign, or is nothing.
#[test]
fn signs_of_totals() {
    for (receipt_type, kind, total, wrong) in [
        ("FiscalInvoice", "Sale", "5.00", None),
        ("FiscalInvoice", "Sale", "0.00", None),
        ("FiscalInvoice", "Sale", "-5.00", Some("below")),
        ("FiscalInvoice", "Discount", "-5.00", None),
        ("FiscalInvoice", "Discount", "0.00", None),
        ("FiscalInvoice", "Discount", "5.00", Some("above")),
        ("CreditNote", "Sale", "-5.00", None),
        ("CreditNote", "Sale", "5.00", Some("above")),
    ] {
        let line = format!(
            r#""receiptLineType": "{kind}", "receiptLineHSCode": "12092500", "receiptLineTotal": {total}, "taxID": 2"#
        );
        let found = at_the_line(&World::new(), &of_one_line(receipt_type, &line));
        let wanted = wrong.map(|what| {
            let at = "/receiptLines/0/receiptLineTotal".to_owned();
            (
                Code::LineSign,
                at,
                format!("{total} must not be {what} zero"),
            )
        });
        assert_eq!(found, Vec::from_iter(wanted));
    }
}

/// A VAT payer's lines have a code, of eight digits where nothing is taxed; the others' may have one.
#[test]
fn hs_codes() {
    let untaxed = Some((
        Code::Rcpt048,
        "it needs 8 digits on a zero-rated or exempt line",
    ));
    let length = Some((Code::Rcpt048, "it needs 4 or 8 digits"));
    let none = Some((Code::Rcpt047, "\"Seeds\" has no HS code"));
    for (vat, tax, code, wrong) in [
        (true, 2, "12092500", None),
        (true, 2, "1209", untaxed),
        (true, 1, "1209", untaxed),
        (true, 1, "12092500", None),
        (true, 517, "1209", None),
        (true, 517, "12092500", None),
        (true, 517, "120925", length),
        (true, 517, "", none),
        (false, 2, "1209", None),
        (false, 1, "12092500", None),
        (false, 2, "120925", length),
    ] {
        let mut world = World::new();
        if !vat {
            world.taxpayer = sample_taxpayer_without_vat();
        }
        let line = format!(
            r#""receiptLineType": "Sale", "receiptLineHSCode": "{code}", "receiptLinePrice": 5, "taxID": {tax}"#
        );
        let found = at_the_line(&world, &of_one_line("FiscalInvoice", &line));
        let codes: Vec<Code> = found.iter().map(|found| found.0).collect();
        assert_eq!(codes, Vec::from_iter(wrong.map(|wrong| wrong.0)), "{code}");
        for (_, at, message) in &found {
            assert_eq!(at, "/receiptLines/0/receiptLineHSCode");
            let end = wrong.map(|wrong| wrong.1).expect("a finding");
            assert!(message.ends_with(end), "{message}");
        }
    }
    let mut world = World::new();
    world.taxpayer = sample_taxpayer_without_vat();
    let line = r#""receiptLineType": "Sale", "receiptLinePrice": 5, "taxID": 2"#;
    assert_eq!(at_the_line(&world, &of_one_line("FiscalInvoice", line)), []);
}

/// A device whose numbers begin anew may do so with a day's first receipt, and not in the middle of one.
#[test]
fn numbers_begin_anew_with_a_day() {
    let judged = |global_no: &str, previous: (u32, u32)| {
        let counter = previous.0 + 1;
        let json = edit(
            INVOICE,
            &[
                (
                    "\"receiptCounter\": 3",
                    &*format!("\"receiptCounter\": {counter}"),
                ),
                (
                    "\"receiptGlobalNo\": 7",
                    &*format!("\"receiptGlobalNo\": {global_no}"),
                ),
            ],
        );
        let mut world = World::new();
        world.previous.counter = ReceiptCounter::new(previous.0).expect("a counter");
        world.previous.global_no = ReceiptGlobalNo::new(previous.1).expect("a number");
        let codes = world.findings(&json);
        codes.iter().map(|found| found.code).collect::<Vec<_>>()
    };
    assert_eq!(judged("7", (0, 6)), []);
    assert_eq!(judged("1", (0, 6)), []);
    assert_eq!(judged("1", (0, 0)), []);
    assert_eq!(judged("1", (2, 6)), [Code::Rcpt012]);
    assert_eq!(judged("7", (0, 3)), [Code::Rcpt012]);
    assert_eq!(judged("7", (0, 7)), [Code::Rcpt012]);
}

/// Tax rows that change no sum are still rows too many or too few.
#[test]
fn rows_that_change_no_sum() {
    let more = |row: &str| {
        let last = "\"salesAmountWithTax\": 23.10}";
        edit(INVOICE, &[(last, &*format!("{last}, {row}"))])
    };
    let at = "/receiptTaxes/2/salesAmountWithTax";
    let world = World::new();
    let exempt = more(r#"{"taxID": 1, "taxAmount": 0, "salesAmountWithTax": 0}"#);
    assert_eq!(
        told(&world.findings(&exempt)),
        [(Code::Rcpt027, at, "no line has tax 1 (exempt)")]
    );
    let again =
        more(r#"{"taxID": 517, "taxPercent": 15.5, "taxAmount": 0, "salesAmountWithTax": 0}"#);
    assert_eq!(
        told(&world.findings(&again)),
        [(Code::Rcpt027, at, "a second row for tax 517 (15.5 %)")]
    );
    let gift = r#""taxID": 2}, {"receiptLineType": "Sale", "receiptLineHSCode": "12092500", "receiptLineName": "Gift", "receiptLineQuantity": 1, "receiptLineTotal": 0, "taxID": 1}]"#;
    assert_eq!(
        told(&world.findings(&edit(INVOICE, &[("\"taxID\": 2}]", gift)]))),
        [(
            Code::Rcpt027,
            "/receiptTaxes",
            "no row for tax 1 (exempt), which the lines have"
        )]
    );
    let coded = edit(
        INVOICE,
        &[
            ("\"taxID\": 517}", "\"taxID\": 517, \"taxCode\": \"A\"}"),
            ("\"taxID\": 2}", "\"taxID\": 2, \"taxCode\": \"B\"}"),
        ],
    );
    let findings = world.findings(&coded);
    let messages: Vec<&str> = told(&findings).into_iter().map(|told| told.2).collect();
    assert_eq!(
        messages,
        [
            "no line has tax 2 (0 %)",
            "no line has tax 517 (15.5 %)",
            "no row for tax 2 (0 %, code B), which the lines have",
            "no row for tax 517 (15.5 %, code A), which the lines have",
        ]
    );
}

/// The largest amount may be a total; a cent more is refused, whether the total or a row has it.
#[test]
fn the_largest_total() {
    let sale = |lines: &str, payments: &str| {
        format!(
            r#"{{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "receiptCounter": 3, "receiptGlobalNo": 7, "invoiceNo": "T1-7",
            "receiptDate": "2026-09-06T12:18:39", "receiptLinesTaxInclusive": true,
            "receiptLines": [{lines}], "receiptPayments": [{payments}]}}"#
        )
    };
    let line = |price: &str, quantity: u32| {
        format!(
            r#"{{"receiptLineType": "Sale", "receiptLineHSCode": "12092500", "receiptLineName": "Seeds", "receiptLinePrice": {price}, "receiptLineQuantity": {quantity}, "taxID": 2}}"#
        )
    };
    let cash = |amount: &str| format!(r#"{{"moneyTypeCode": "Cash", "paymentAmount": {amount}}}"#);
    let (largest, all) = (line("5000000000000", 2), cash("10000000000000"));
    let world = World::new();
    assert_eq!(world.findings(&sale(&largest, &all)), []);
    let lines = format!("{largest}, {}", line("0.01", 1));
    let more = sale(&lines, &format!("{all}, {}", cash("0.01")));
    assert_eq!(
        told(&world.findings(&more)),
        [(
            Code::NumberTooLarge,
            "/receiptTotal",
            "10000000000000.01 is larger than 10000000000000.00"
        )]
    );
}

/// What is wrong with a tax is said: not there, of another percent, no longer valid.
#[test]
fn taxes_that_are_not_as_configured() {
    let world = World::new();
    let at = "/receiptLines/0/taxID";
    let other = edit(
        INVOICE,
        &[
            ("\"taxPercent\": 15.5", "\"taxPercent\": 15"),
            ("\"taxAmount\": 3.10", "\"taxAmount\": 3.01"),
        ],
    );
    assert_eq!(
        told(&world.findings(&other)),
        [(Code::Rcpt025, at, "tax 517 is 15.5 %, but 15 % was sent")]
    );
    let (zero, seeds) = ("\"taxPercent\": 0, \"taxID\": 2", "/receiptLines/1/taxID");
    for (tax, message) in [
        (
            "\"taxPercent\": 0, \"taxID\": 1",
            "tax 1 is exempt, but 0 % was sent",
        ),
        (
            "\"taxPercent\": 0, \"taxID\": 3",
            "tax 3 is not configured for this taxpayer",
        ),
    ] {
        assert_eq!(
            told(&world.findings(&edit(INVOICE, &[(zero, tax)]))),
            [(Code::Rcpt025, seeds, message)]
        );
    }
}

/// The note of the old tax of 15 %.
fn old_note() -> String {
    edit(
        NOTE,
        &[
            (
                "\"taxPercent\": 0, \"taxID\": 2",
                "\"taxPercent\": 15, \"taxID\": 515",
            ),
            ("\"taxAmount\": 0", "\"taxAmount\": -1.30"),
        ],
    )
}

/// A note may use a tax that is over if its original has it, and none that neither has.
#[test]
fn taxes_of_the_original() {
    let old = (
        TaxId::new(515).expect("a tax"),
        Percent::from_hundredths(1500),
    );
    let over = (
        Code::Rcpt025,
        "/receiptLines/0/taxID",
        "tax 515 is valid from 2023-01-01T00:00:00 to 2025-12-31T23:59:59, not at 2026-09-06T12:18:39",
    );
    let mut world = World::new();
    assert_eq!(
        told(&world.findings(&old_note())),
        [
            over,
            (
                Code::Rcpt036,
                "/receiptLines",
                "the original has no tax 515 (15 %)"
            )
        ]
    );
    let original = world.original.as_mut().expect("an original");
    original.taxes.push(old);
    assert_eq!(world.findings(&old_note()), []);
    world.original = None;
    let missing = world.findings(&old_note());
    assert_eq!(told(&missing).first(), Some(&over));
    assert_eq!(missing.len(), 2, "{missing:#?}");
}

/// Of an original that nobody knows its taxes are believed, as far as they were ever configured.
#[test]
fn taxes_of_an_unknown_original() {
    let judged = |taxpayer: &Taxpayer, json: &str| {
        let (draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, []);
        let known = Known {
            taxpayer: Some(taxpayer),
            ..Known::default()
        };
        let (receipt, findings) = compose(&draft, &known);
        assert_eq!(findings, []);
        let facts = Facts {
            taxpayer: Some(taxpayer),
            original: OriginalFact::Unknown,
            ..Facts::default()
        };
        let codes = judge(&receipt, &facts);
        codes.iter().map(|found| found.code).collect::<Vec<_>>()
    };
    assert_eq!(judged(&sample_taxpayer(), &old_note()), []);
    assert_eq!(judged(&sample_taxpayer_without_vat(), &old_note()), []);
    let never = edit(&old_note(), &[("515", "999")]);
    assert_eq!(judged(&sample_taxpayer(), &never), [Code::Rcpt025]);
    let invoice = edit(
        INVOICE,
        &[
            (
                "\"taxPercent\": 15.5, \"taxID\": 517",
                "\"taxPercent\": 15, \"taxID\": 515",
            ),
            ("\"taxAmount\": 3.10", "\"taxAmount\": 3.01"),
        ],
    );
    assert_eq!(judged(&sample_taxpayer(), &invoice), [Code::Rcpt025]);
}

/// A debit note may be of any amount, a credit note only of what is left.
#[test]
fn what_is_left_of_the_original() {
    let mut world = World::new();
    let left = |cents, world: &mut World| {
        let original = world.original.as_mut().expect("an original");
        original.remaining = Cents::new(cents);
    };
    left(999, &mut world);
    assert_eq!(
        told(&world.findings(NOTE)),
        [(
            Code::Rcpt035,
            "/receiptTotal",
            "the note credits 10.00, but only 9.99 of the original is left"
        )]
    );
    let debit = edit(
        NOTE,
        &[("CreditNote", "DebitNote"), ("-5", "5"), ("-10", "10")],
    );
    assert_eq!(world.findings(&debit), []);
    left(0, &mut world);
    assert_eq!(world.findings(&debit), []);
}
