//! Rules of the taxes: each broken alone.

use fdms_sandbox::DeviceChange;
use serde_json::{Value, json};

use crate::till::{Bench, Till, line, row};

/// A tax-exclusive invoice: 259.74 at 15.5 %, 300.00 in all.
fn exclusive(till: &mut Till) -> Value {
    let mut receipt = till.invoice();
    receipt["receiptLinesTaxInclusive"] = false.into();
    receipt["receiptLines"] = json!([line(1, 259.74, 517, Some(1550))]);
    receipt["receiptTaxes"] = json!([row(517, Some(1550), 40.26, 300.0)]);
    receipt["receiptTotal"] = 300.into();
    receipt["receiptPayments"][0]["paymentAmount"] = 300.into();
    receipt
}

/// An inclusive invoice: 10.00 at 15.5 % and 5.00 zero-rated.
fn mixed(till: &mut Till) -> Value {
    let mut receipt = till.invoice();
    receipt["receiptLines"] = json!([line(1, 10.0, 517, Some(1550)), line(2, 5.0, 2, Some(0))]);
    receipt["receiptTaxes"] = json!([row(2, Some(0), 0.0, 5.0), row(517, Some(1550), 1.34, 10.0)]);
    receipt["receiptTotal"] = 15.into();
    receipt["receiptPayments"][0]["paymentAmount"] = 15.into();
    receipt
}

/// Exempt, zero-rated, exclusive and coded rows are all good when they are right.
#[tokio::test]
async fn good_taxes_have_no_colour() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let receipt = mixed(&mut till);
    till.expect(receipt, &[]).await;
    let receipt = exclusive(&mut till);
    till.expect(receipt, &[]).await;

    // Two codes under one tax are two rows, each rounded by itself; rows sent in any order.
    let mut coded = till.invoice();
    let mut lines = json!([
        line(1, 0.05, 517, Some(1550)),
        line(2, 0.05, 517, Some(1550)),
        line(3, 4.0, 1, None)
    ]);
    let mut rows = json!([
        row(517, Some(1550), 0.01, 0.05),
        row(517, Some(1550), 0.01, 0.05),
        row(1, None, 0.0, 4.0)
    ]);
    for (index, code) in ["B", "A", "E"].into_iter().enumerate() {
        lines[index]["taxCode"] = code.into();
        rows[index]["taxCode"] = code.into();
    }
    coded["receiptLines"] = lines;
    coded["receiptTaxes"] = rows;
    coded["receiptTotal"] = 4.1.into();
    coded["receiptPayments"][0]["paymentAmount"] = 4.1.into();
    till.expect(coded, &[]).await;
}

/// RCPT017: no tax rows.
#[tokio::test]
async fn rcpt017_no_taxes() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptTaxes"] = json!([]);
    till.expect(receipt, &["RCPT017 Red"]).await;
    let mut receipt = exclusive(&mut till);
    receipt["receiptTaxes"] = json!([]);
    till.expect(receipt, &["RCPT017 Red"]).await;
}

/// RCPT021: VAT from somebody who is no VAT payer; the withholding tax is no VAT.
#[tokio::test]
async fn rcpt021_vat_without_vat_number() {
    let bench = Bench::start().await;
    let change = DeviceChange {
        vat_number: Some(String::new()),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(42, change).unwrap();
    let mut till = bench.open_till().await;
    let receipt = till.invoice();
    till.expect(receipt, &["RCPT021 Red"]).await;
    let mut receipt = till.invoice();
    receipt["receiptLines"] = json!([line(1, 10.0, 514, Some(500))]);
    receipt["receiptTaxes"] = json!([row(514, Some(500), 0.48, 10.0)]);
    till.expect(receipt, &[]).await;
}

/// RCPT025: a percent that is not the tax's, a tax that has ended or is unknown, exempt with a percent,
/// an empty code, codes on some lines only.
#[tokio::test]
async fn rcpt025_tax_not_as_configured() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for (id, percent, tax) in [
        (517, Some(1500), 1.30),
        (515, Some(1500), 1.30),
        (999, Some(1550), 1.34),
        (1, Some(0), 0.0),
        (2, None, 0.0),
    ] {
        let mut receipt = till.invoice();
        receipt["receiptLines"] = json!([line(1, 10.0, id, percent)]);
        receipt["receiptTaxes"] = json!([row(id, percent, tax, 10.0)]);
        till.expect(receipt, &["RCPT025 Red"]).await;
    }
    let mut receipt = till.invoice();
    receipt["receiptLines"][0]["taxCode"] = "".into();
    receipt["receiptTaxes"][0]["taxCode"] = "".into();
    till.expect(receipt, &["RCPT025 Red"]).await;
    let mut receipt = mixed(&mut till);
    receipt["receiptLines"][0]["taxCode"] = "A".into();
    receipt["receiptTaxes"][1]["taxCode"] = "A".into();
    till.expect(receipt, &["RCPT025 Red"]).await;
}

/// RCPT026: a row's tax a cent off; it is rounded once per row, halves away from zero.
#[tokio::test]
async fn rcpt026_tax_amount() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptTaxes"][0]["taxAmount"] = 1.35.into();
    till.expect(receipt, &["RCPT026 Red"]).await;
    let mut receipt = mixed(&mut till);
    receipt["receiptTaxes"][0]["taxAmount"] = 0.01.into();
    till.expect(receipt, &["RCPT026 Red"]).await;

    // Three lines of 0.10: 0.04 for the row (0.0403), though each line alone has 0.01.
    for (tax, findings) in [(0.04, [].as_slice()), (0.03, &["RCPT026 Red"])] {
        let mut receipt = till.invoice();
        let lines = [1, 2, 3].map(|no| line(no, 0.1, 517, Some(1550)));
        receipt["receiptLines"] = json!(lines);
        receipt["receiptTaxes"] = json!([row(517, Some(1550), tax, 0.3)]);
        receipt["receiptTotal"] = 0.3.into();
        receipt["receiptPayments"][0]["paymentAmount"] = 0.3.into();
        till.expect(receipt, findings).await;
    }
}

/// RCPT026 lets a cent pass when the setting says so.
#[tokio::test]
async fn rcpt026_within_tolerance() {
    let bench = Bench::start().await;
    let mut settings = bench.sandbox.settings();
    settings.rounding_tolerance_cents = 1;
    bench.sandbox.set_settings(settings);
    let mut till = bench.open_till().await;
    for (tax, findings) in [(1.35, [].as_slice()), (1.36, &["RCPT026 Red"])] {
        let mut receipt = till.invoice();
        receipt["receiptTaxes"][0]["taxAmount"] = tax.into();
        till.expect(receipt, findings).await;
    }
}

/// RCPT027: sales with tax are shifted from one row to the other, or stand under the wrong tax, while
/// all totals are right.
#[tokio::test]
async fn rcpt027_sales_with_tax() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut shifted = mixed(&mut till);
    shifted["receiptTaxes"][0]["salesAmountWithTax"] = 4.99.into();
    shifted["receiptTaxes"][1]["salesAmountWithTax"] = 10.01.into();
    till.expect(shifted, &["RCPT027 Red"]).await;

    let mut wrong_tax = mixed(&mut till);
    wrong_tax["receiptTaxes"][0] = row(1, None, 0.0, 5.0);
    till.expect(wrong_tax, &["RCPT027 Red"]).await;

    let mut split = mixed(&mut till);
    split["receiptTaxes"] = json!([
        row(2, Some(0), 0.0, 5.0),
        row(2, Some(0), 0.0, 0.0),
        row(517, Some(1550), 1.34, 10.0)
    ]);
    till.expect(split, &["RCPT027 Red"]).await;

    // Lines that come to nothing have a row all the same.
    let mut missing = mixed(&mut till);
    let mut discount = line(3, -5.0, 2, Some(0));
    discount["receiptLineType"] = "Discount".into();
    missing["receiptLines"]
        .as_array_mut()
        .unwrap()
        .push(discount);
    missing["receiptTaxes"] = json!([row(517, Some(1550), 1.34, 10.0)]);
    missing["receiptTotal"] = 10.into();
    missing["receiptPayments"][0]["paymentAmount"] = 10.into();
    till.expect(missing, &["RCPT027 Red"]).await;
}
