//! Rules of the lines: each broken alone.

use fdms_sandbox::DeviceChange;
use serde_json::{Value, json};

use crate::till::{Bench, Till, cents, line, number, row};

/// An invoice over 10.00 taxed and one more line, whose total changes nothing but that line's row.
fn with_second_line(till: &mut Till, second: Value) -> Value {
    let mut receipt = till.invoice();
    let second_total = second["receiptLineTotal"].clone();
    let total = number(1000 + cents(&second_total));
    receipt["receiptTaxes"] = json!([
        row(2, Some(0), 0, second_total),
        row(517, Some(1550), 1.34, 10)
    ]);
    receipt["receiptLines"] = json!([line(1, 10, 517, Some(1550)), second]);
    receipt["receiptTotal"] = total.clone();
    receipt["receiptPayments"][0]["paymentAmount"] = total;
    receipt
}

fn zero_rated(amount: impl Into<Value>) -> Value {
    line(2, amount, 2, Some(0))
}

/// RCPT016: no lines.
#[tokio::test]
async fn rcpt016_no_lines() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptLines"] = json!([]);
    till.expect(receipt, &["RCPT016 Red"]).await;
}

/// RCPT022: on an invoice a sale at or below zero, a discount at or above.
#[tokio::test]
async fn rcpt022_price_sign_on_invoices() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for (kind, amount, findings) in [
        ("Sale", -1.0, ["RCPT022 Red"].as_slice()),
        ("Sale", 0.0, &["RCPT022 Red"]),
        ("Discount", 1.0, &["RCPT022 Red"]),
        ("Discount", 0.0, &["RCPT022 Red"]),
        ("Discount", -1.0, &[]),
    ] {
        let mut second = zero_rated(amount);
        second["receiptLineType"] = kind.into();
        let receipt = with_second_line(&mut till, second);
        till.expect(receipt, findings).await;
    }
}

/// RCPT022 on notes: a sale above zero on a credit note, below on a debit note; discounts are free.
#[tokio::test]
async fn rcpt022_price_sign_on_notes() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    for (kind, sign, line_type, findings) in [
        ("CreditNote", -1, "Sale", ["RCPT022 Red"].as_slice()),
        ("CreditNote", -1, "Discount", &[]),
        ("DebitNote", 1, "Sale", &["RCPT022 Red"]),
        ("DebitNote", 1, "Discount", &[]),
    ] {
        let mut note = till.credit_note(sold);
        note["receiptType"] = kind.into();
        // 4.00 less 1.00, with the signs of the note.
        let mut second = line(2, -sign, 517, Some(1550));
        second["receiptLineType"] = line_type.into();
        note["receiptLines"] = json!([line(1, 4 * sign, 517, Some(1550)), second]);
        let tax = number(40 * i128::from(sign));
        note["receiptTaxes"] = json!([row(517, Some(1550), tax, 3 * sign)]);
        note["receiptPayments"][0]["paymentAmount"] = (3 * sign).into();
        note["receiptTotal"] = (3 * sign).into();
        till.expect(note, findings).await;
    }
}

/// RCPT022 and RCPT024 look at a price only if it is sent.
#[tokio::test]
async fn a_line_may_omit_its_price() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    let line = receipt["receiptLines"][0].as_object_mut().unwrap();
    line.remove("receiptLinePrice");
    line.insert("receiptLineQuantity".to_owned(), json!(3));
    till.expect(receipt, &[]).await;
}

/// RCPT023: a quantity of zero or below, on sales and discounts.
#[tokio::test]
async fn rcpt023_quantity() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut nothing = zero_rated(5.0);
    nothing["receiptLineQuantity"] = 0.into();
    nothing["receiptLineTotal"] = 0.into();
    let receipt = with_second_line(&mut till, nothing);
    till.expect(receipt, &["RCPT023 Red"]).await;

    let mut less = zero_rated(-5.0);
    less["receiptLineType"] = "Discount".into();
    less["receiptLineQuantity"] = (-1).into();
    less["receiptLineTotal"] = 5.into();
    let receipt = with_second_line(&mut till, less);
    till.expect(receipt, &["RCPT023 Red"]).await;
}

/// RCPT024: a line total a cent off; halves are rounded away from zero.
#[tokio::test]
async fn rcpt024_line_total() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for (price, quantity, total, findings) in [
        (5.0, 1.0, 5.01, ["RCPT024 Red"].as_slice()),
        (0.555, 1.0, 0.56, &[]),
        (0.555, 1.0, 0.55, &["RCPT024 Red"]),
        (1081.08, 0.555, 600.0, &[]),
        (2.5974, 100.0, 259.74, &[]),
    ] {
        let mut second = zero_rated(price);
        second["receiptLineQuantity"] = quantity.into();
        second["receiptLineTotal"] = total.into();
        let receipt = with_second_line(&mut till, second);
        till.expect(receipt, findings).await;
    }
}

/// RCPT047: a VAT payer's line without an HS code; others may leave it out.
#[tokio::test]
async fn rcpt047_hs_code_missing() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for code in [json!(null), json!("")] {
        let mut receipt = till.invoice();
        receipt["receiptLines"][0]["receiptLineHSCode"] = code;
        till.expect(receipt, &["RCPT047 Red"]).await;
    }
    bench.clock.advance(std::time::Duration::from_secs(1));
    no_longer_vat_payer(&bench);
    let mut receipt = till.invoice();
    receipt["receiptLines"] = json!([line(1, 10.0, 1, None)]);
    receipt["receiptLines"][0]["receiptLineHSCode"] = json!(null);
    receipt["receiptTaxes"] = json!([row(1, None, 0.0, 10.0)]);
    till.expect(receipt, &[]).await;
}

fn no_longer_vat_payer(bench: &Bench) {
    let change = DeviceChange {
        vat_number: Some(String::new()),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(42, change).unwrap();
}

/// RCPT048: neither four nor eight digits; four on an untaxed line of a VAT payer; letters.
#[tokio::test]
async fn rcpt048_hs_code_length() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for (code, findings) in [
        ("190590", ["RCPT048 Red"].as_slice()),
        ("1905909a", &["RCPT048 Red"]),
        ("1905", &[]),
    ] {
        let mut receipt = till.invoice();
        receipt["receiptLines"][0]["receiptLineHSCode"] = code.into();
        till.expect(receipt, findings).await;
    }
    let mut second = zero_rated(5.0);
    second["receiptLineHSCode"] = "1905".into();
    let receipt = with_second_line(&mut till, second);
    till.expect(receipt, &["RCPT048 Red"]).await;

    bench.clock.advance(std::time::Duration::from_secs(1));
    no_longer_vat_payer(&bench);
    for (code, findings) in [("190590", ["RCPT048 Red"].as_slice()), ("1905", &[])] {
        let mut receipt = till.invoice();
        receipt["receiptLines"] = json!([line(1, 10.0, 1, None)]);
        receipt["receiptLines"][0]["receiptLineHSCode"] = code.into();
        receipt["receiptTaxes"] = json!([row(1, None, 0.0, 10.0)]);
        till.expect(receipt, findings).await;
    }
}
