//! Rules of totals and payments: each broken alone, where that is possible.

use serde_json::json;

use crate::till::{Bench, line, row};

/// RCPT018: no payments. A receipt over nothing has a payment of nothing.
#[tokio::test]
async fn rcpt018_no_payments() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptPayments"] = json!([]);
    till.expect(receipt, &["RCPT018 Red"]).await;

    let mut nothing = till.invoice();
    let mut discount = line(2, -10.0, 517, Some(1550));
    discount["receiptLineType"] = "Discount".into();
    nothing["receiptLines"] = json!([line(1, 10.0, 517, Some(1550)), discount]);
    nothing["receiptTaxes"] = json!([row(517, Some(1550), 0.0, 0.0)]);
    nothing["receiptTotal"] = 0.into();
    nothing["receiptPayments"][0]["paymentAmount"] = 0.into();
    till.expect(nothing, &[]).await;
}

/// RCPT019: an inclusive total that is not the sum of the lines, though rows and payments agree with
/// it (a row too many).
#[tokio::test]
async fn rcpt019_inclusive_total() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptTaxes"] = json!([row(2, Some(0), 0.0, 5.0), row(517, Some(1550), 1.34, 10.0)]);
    receipt["receiptTotal"] = 15.into();
    receipt["receiptPayments"][0]["paymentAmount"] = 15.into();
    till.expect(receipt, &["RCPT019 Red"]).await;
}

/// RCPT028: a negative payment on an invoice, a positive one on a credit note; the sums are right.
#[tokio::test]
async fn rcpt028_payment_sign() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptPayments"] = json!([
        {"moneyTypeCode": "Card", "paymentAmount": 15},
        {"moneyTypeCode": "Cash", "paymentAmount": -5},
    ]);
    till.expect(receipt, &["RCPT028 Red"]).await;

    let sold = till.sell_invoice().await;
    let mut note = till.credit_note(sold);
    note["receiptPayments"] = json!([
        {"moneyTypeCode": "Card", "paymentAmount": 1},
        {"moneyTypeCode": "Cash", "paymentAmount": -5},
    ]);
    till.expect(note, &["RCPT028 Red"]).await;
}

/// RCPT037: an exclusive total that is not lines plus taxes, though rows and payments agree with it (a
/// row too many).
#[tokio::test]
async fn rcpt037_exclusive_total() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptLinesTaxInclusive"] = false.into();
    receipt["receiptTaxes"] = json!([row(2, Some(0), 0.0, 5.0), row(517, Some(1550), 1.55, 11.55)]);
    receipt["receiptTotal"] = 16.55.into();
    receipt["receiptPayments"][0]["paymentAmount"] = 16.55.into();
    till.expect(receipt, &["RCPT037 Red"]).await;
}

/// RCPT038: a total that is not the sum of the rows, though lines and payments agree with it (a row is
/// missing).
#[tokio::test]
async fn rcpt038_rows_total() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptLines"] = json!([line(1, 10.0, 517, Some(1550)), line(2, 5.0, 2, Some(0))]);
    receipt["receiptTotal"] = 15.into();
    receipt["receiptPayments"][0]["paymentAmount"] = 15.into();
    till.expect(receipt, &["RCPT038 Red"]).await;
}

/// RCPT039: payments that are not the total: the change was not taken off.
#[tokio::test]
async fn rcpt039_payments_total() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptPayments"][0]["paymentAmount"] = 20.into();
    till.expect(receipt, &["RCPT039 Red"]).await;
}

/// RCPT040: an invoice below zero, a credit note above. It cannot be alone: payments of the right sign
/// do not sum to such a total (RCPT039), those that do have the wrong sign (RCPT028).
#[tokio::test]
async fn rcpt040_total_sign() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut below = till.invoice();
    let mut discount = line(2, -12.0, 517, Some(1550));
    discount["receiptLineType"] = "Discount".into();
    below["receiptLines"] = json!([line(1, 10.0, 517, Some(1550)), discount]);
    below["receiptTaxes"] = json!([row(517, Some(1550), -0.27, -2.0)]);
    below["receiptTotal"] = (-2).into();
    below["receiptPayments"][0]["paymentAmount"] = (-2).into();
    till.expect(below, &["RCPT028 Red", "RCPT040 Red"]).await;

    let mut above = till.credit_note(sold);
    let mut discount = line(2, 12.0, 517, Some(1550));
    discount["receiptLineType"] = "Discount".into();
    above["receiptLines"] = json!([line(1, -10.0, 517, Some(1550)), discount]);
    above["receiptTaxes"] = json!([row(517, Some(1550), 0.27, 2.0)]);
    above["receiptTotal"] = 2.into();
    above["receiptPayments"][0]["paymentAmount"] = 0.into();
    till.expect(above, &["RCPT039 Red", "RCPT040 Red"]).await;
}
