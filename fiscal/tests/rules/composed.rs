//! How a receipt is put together of what was sent: taxes by any name, sums left out, the till's prefix.

use std::collections::BTreeMap;

use fiscal::compose::{Known, compose};
use fiscal::draft::Draft;
use fiscal::rules::Original;
use fiscal::taxpayer::{Tax, Taxpayer};
use fiscal::testing::sample_taxpayer;
use fiscal::{Cents, Code, Currency, Finding, Percent, Receipt, TaxId};

use crate::{INVOICE, date, edit};

fn put_together(json: &str, known: &Known<'_>) -> (Receipt, Vec<Finding>) {
    let (draft, findings) = Draft::read(json.as_bytes());
    assert_eq!(findings, [], "{json}");
    compose(&draft, known)
}

fn id(number: u32) -> TaxId {
    TaxId::new(number).expect("a tax")
}

/// The tax of a line that names it so, or what is wrong with that.
fn tax_of(name: &str, known: &Known<'_>) -> Result<(u32, Option<u32>), (Code, String, String)> {
    let json = edit(INVOICE, &[("\"taxPercent\": 15.5, \"taxID\": 517}", name)]);
    let (receipt, findings) = put_together(&json, known);
    if let Some(finding) = findings.into_iter().next() {
        return Err((finding.code, finding.pointer, finding.message));
    }
    let tax = &receipt.lines.first().expect("a line").tax;
    Ok((tax.id.get(), tax.percent.map(Percent::hundredths)))
}

fn fault(
    code: Code,
    field: &str,
    message: &str,
) -> Result<(u32, Option<u32>), (Code, String, String)> {
    Err((code, format!("/receiptLines/0/{field}"), message.to_owned()))
}

/// A tax is told by its number, its alias or its percent, and only if these agree.
#[test]
fn names_of_taxes() {
    let taxpayer = sample_taxpayer();
    let aliases = BTreeMap::from([("vat".to_owned(), id(517)), ("none".to_owned(), id(1))]);
    let known = Known {
        taxpayer: Some(&taxpayer),
        aliases: Some(&aliases),
        ..Known::default()
    };
    let vat = Ok((517, Some(1550)));
    assert_eq!(tax_of("\"taxID\": 517}", &known), vat);
    assert_eq!(tax_of("\"tax\": \"vat\"}", &known), vat);
    assert_eq!(tax_of("\"tax\": \"none\"}", &known), Ok((1, None)));
    assert_eq!(tax_of("\"tax\": \"vat\", \"taxID\": 517}", &known), vat);
    assert_eq!(tax_of("\"taxPercent\": 15.5}", &known), vat);
    assert_eq!(tax_of("\"taxPercent\": 0}", &known), Ok((2, Some(0))));
    assert_eq!(
        tax_of("\"tax\": \"vat\", \"taxID\": 2}", &known),
        fault(
            Code::TaxAmbiguous,
            "tax",
            "\"vat\" is tax 517, but taxID says otherwise"
        )
    );
    assert_eq!(
        tax_of("\"tax\": \"levy\"}", &known),
        fault(
            Code::TaxUnknown,
            "tax",
            "no tax is called \"levy\" in the configuration"
        )
    );
    assert_eq!(
        tax_of("\"taxPercent\": 15}", &known),
        fault(
            Code::Rcpt025,
            "taxPercent",
            "no tax of 15 % is configured for 2026-09-06T12:18:39"
        )
    );
    // A tax that nobody knows has what was sent of it.
    assert_eq!(
        tax_of("\"taxID\": 9, \"taxPercent\": 3}", &Known::default()),
        Ok((9, Some(300)))
    );
}

/// One percent of two taxes names none of them, unless a note's original has but one.
#[test]
fn percents_of_several_taxes() {
    let mut taxpayer = sample_taxpayer();
    let vat = taxpayer.taxes.last().expect("a tax").clone();
    taxpayer.taxes.push(Tax { id: id(600), ..vat });
    let known = Known {
        taxpayer: Some(&taxpayer),
        ..Known::default()
    };
    let by_percent = "\"taxPercent\": 15.5}";
    assert_eq!(
        tax_of(by_percent, &known),
        fault(
            Code::TaxAmbiguous,
            "taxPercent",
            "the taxes 517 and 600 all have 15.5 %"
        )
    );
    let original = Original {
        date: date("2026-09-06T09:00:00"),
        currency: Currency::USD,
        taxes: vec![
            (id(600), Percent::from_hundredths(1550)),
            (id(2), Percent::from_hundredths(700)),
        ],
        remaining: Cents::ZERO,
    };
    let known = Known {
        original: Some(&original),
        ..known
    };
    assert_eq!(tax_of(by_percent, &known), Ok((600, Some(1550))));
    // By its number it has the original's percent, not today's; of another one today's.
    assert_eq!(tax_of("\"taxID\": 2}", &known), Ok((2, Some(700))));
    assert_eq!(tax_of("\"taxID\": 517}", &known), Ok((517, Some(1550))));
}

/// Amounts that a tax row leaves out are those of its own tax.
#[test]
fn tax_rows_are_filled_in() {
    let taxpayer = sample_taxpayer();
    let known = Known {
        taxpayer: Some(&taxpayer),
        ..Known::default()
    };
    let bare = edit(
        INVOICE,
        &[
            (", \"taxAmount\": 0, \"salesAmountWithTax\": 5.00", ""),
            (", \"taxAmount\": 3.10, \"salesAmountWithTax\": 23.10", ""),
            (",\n  \"receiptTotal\": 28.10", ""),
        ],
    );
    let whole = put_together(INVOICE, &known);
    assert_eq!(put_together(&bare, &known), whole);
    assert_eq!(whole.1, []);
}

/// The till's prefix counts into the fifty characters of an invoiceNo.
#[test]
fn invoice_prefix() {
    let taxpayer: Taxpayer = sample_taxpayer();
    let known = Known {
        taxpayer: Some(&taxpayer),
        invoice_prefix: "É1-",
        ..Known::default()
    };
    let numbered = |letters: usize| edit(INVOICE, &[("T1-7", &*"7".repeat(letters))]);
    let (receipt, findings) = put_together(&numbered(47), &known);
    assert_eq!(findings, []);
    assert_eq!(receipt.invoice_no, format!("É1-{}", "7".repeat(47)));
    for letters in [48, 50] {
        let (_, findings) = put_together(&numbered(letters), &known);
        let found: Vec<_> = findings
            .iter()
            .map(|f| (f.code, f.pointer.as_str()))
            .collect();
        assert_eq!(found, [(Code::TextTooLong, "/invoiceNo")]);
    }
}
