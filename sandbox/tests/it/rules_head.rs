//! Rules of currency, invoice number, dates, buyer and reference: each broken alone.

use std::time::Duration;

use fdms_sandbox::DeviceSpec;
use rcgen::KeyPair;
use serde_json::json;

use crate::till::{Bench, Till};

/// RCPT010: a currency nobody knows, and one that has ended; ZWG is taken.
#[tokio::test]
async fn rcpt010_currency() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for (currency, findings) in [
        ("XXX", ["RCPT010 Red"].as_slice()),
        ("usd", &["RCPT010 Red"]),
        ("ZWL", &["RCPT010 Red"]),
        ("ZWG", &[]),
    ] {
        let mut receipt = till.invoice();
        receipt["receiptCurrency"] = currency.into();
        till.expect(receipt, findings).await;
    }
}

/// RCPT013: an invoice number used before, on this till or on another of the taxpayer; another
/// taxpayer may use it.
#[tokio::test]
async fn rcpt013_invoice_number() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut again = till.invoice();
    again["invoiceNo"] = "42-1".into();
    till.expect(again, &["RCPT013 Red"]).await;

    let stranger = DeviceSpec {
        tax_payer_tin: "2999999999".to_owned(),
        ..DeviceSpec::new(44)
    };
    bench.sandbox.add_device(DeviceSpec::new(43)).unwrap();
    bench.sandbox.add_device(stranger).unwrap();
    for (id, findings) in [(43, ["RCPT013 Red"].as_slice()), (44, &[])] {
        let mut other = Till::register(&bench, id, KeyPair::generate().unwrap()).await;
        other.open_day().await;
        let mut receipt = other.invoice();
        receipt["invoiceNo"] = "42-1".into();
        other.expect(receipt, findings).await;
    }
}

/// RCPT014: a receipt dated at the very second of the day's opening.
#[tokio::test]
async fn rcpt014_not_after_opening() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    receipt["receiptDate"] = till.opened.to_string().into();
    till.expect(receipt, &["RCPT014 Yellow"]).await;
    // Yellow never blocks.
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// RCPT029: a reference to another receipt on a plain invoice.
#[tokio::test]
async fn rcpt029_reference_on_an_invoice() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut receipt = till.invoice();
    receipt["creditDebitNote"] = json!({"receiptID": sold});
    till.expect(receipt, &["RCPT029 Red"]).await;
}

/// RCPT031: a receipt from the future, one second beyond the tolerance.
#[tokio::test]
async fn rcpt031_future() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    let ahead = bench.now().saturating_add(jiff::Span::new().seconds(1));
    receipt["receiptDate"] = ahead.to_string().into();
    till.expect(receipt, &["RCPT031 Yellow"]).await;

    let mut settings = bench.sandbox.settings();
    settings.future_tolerance_secs = 60;
    bench.sandbox.set_settings(settings);
    let mut receipt = till.invoice();
    let ahead = bench.now().saturating_add(jiff::Span::new().seconds(60));
    receipt["receiptDate"] = ahead.to_string().into();
    till.expect(receipt, &[]).await;
}

/// RCPT041: a receipt issued later than opening plus the longest day; at its last second it is good.
#[tokio::test]
async fn rcpt041_day_too_long() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    bench.clock.advance(Duration::from_secs(24 * 3600 - 10));
    let last = till.invoice();
    till.expect(last, &[]).await;
    let late = till.invoice();
    till.expect(late, &["RCPT041 Yellow"]).await;
}

/// RCPT043: a buyer without a name, or without a TIN.
#[tokio::test]
async fn rcpt043_buyer() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let whole = json!({"buyerRegisterName": "Buyer Ltd", "buyerTIN": "2111111111",
        "VATNumber": "222222222", "buyerContacts": {"phoneNo": "0770000000"},
        "buyerAddress": {"province": "Harare", "city": "Harare", "street": "First", "houseNo": "1"}});
    let mut receipt = till.invoice();
    receipt["buyerData"] = whole.clone();
    till.expect(receipt, &[]).await;
    for (field, value) in [
        ("buyerRegisterName", json!(null)),
        ("buyerRegisterName", json!("  ")),
        ("buyerTIN", json!(null)),
        ("buyerTIN", json!("")),
    ] {
        let mut receipt = till.invoice();
        receipt["buyerData"] = whole.clone();
        receipt["buyerData"][field] = value;
        till.expect(receipt, &["RCPT043 Red"]).await;
    }
}
