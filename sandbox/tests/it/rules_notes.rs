//! Rules of credit and debit notes: each broken alone.

use std::time::Duration;

use fdms_sandbox::{DeviceChange, DeviceSpec, ExpiredTaxOnNote, TaxSpec};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::till::{Bench, Till, line, row};

/// A valid debit note over 2.00 of the receipt with this receiptID.
fn debit_note(till: &mut Till, receipt_id: i64) -> Value {
    let mut note = till.credit_note(receipt_id);
    note["receiptType"] = "DebitNote".into();
    note["receiptLines"] = json!([line(1, 2.0, 517, Some(1550))]);
    note["receiptTaxes"] = json!([row(517, Some(1550), 0.27, 2.0)]);
    note["receiptPayments"][0]["paymentAmount"] = 2.into();
    note["receiptTotal"] = 2.into();
    note
}

/// A note is good by receiptID alone, and by the other three together, from another till too.
#[tokio::test]
async fn good_notes_have_no_colour() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut by_id = till.credit_note(sold);
    by_id["creditDebitNote"]["receiptGlobalNo"] = 999.into();
    till.expect(by_id, &[]).await;
    let debit = debit_note(&mut till, sold);
    till.expect(debit, &[]).await;

    bench.sandbox.add_device(DeviceSpec::new(43)).unwrap();
    let mut other = Till::register(&bench, 43, KeyPair::generate().unwrap()).await;
    other.open_day().await;
    let mut by_numbers = other.credit_note(0);
    by_numbers["creditDebitNote"] = json!({"deviceID": 42, "receiptGlobalNo": 1, "fiscalDayNo": 1});
    other.expect(by_numbers, &[]).await;
}

/// RCPT015: a note without a reference.
#[tokio::test]
async fn rcpt015_note_without_reference() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut note = till.credit_note(sold);
    note["creditDebitNote"] = json!(null);
    till.expect(note, &["RCPT015 Red"]).await;
}

/// RCPT032: a reference to nothing, to half a number, to a note, to another taxpayer's receipt.
#[tokio::test]
async fn rcpt032_unknown_original() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let note = till.credit_note(sold);
    let answer = till.expect(note, &[]).await;
    let note_id = answer.body["receiptID"].as_i64().unwrap();
    for reference in [
        json!({"receiptID": 1}),
        json!({"receiptID": sold + 100}),
        json!({"receiptID": note_id}),
        json!({"deviceID": 42, "receiptGlobalNo": 1}),
        json!({"deviceID": 42, "receiptGlobalNo": 1, "fiscalDayNo": 2}),
        json!({"deviceID": 77, "receiptGlobalNo": 1, "fiscalDayNo": 1}),
        json!({}),
    ] {
        let mut note = till.credit_note(sold);
        note["creditDebitNote"] = reference;
        till.expect(note, &["RCPT032 Red"]).await;
    }
    let stranger = DeviceSpec {
        tax_payer_tin: "2999999999".to_owned(),
        ..DeviceSpec::new(44)
    };
    bench.sandbox.add_device(stranger).unwrap();
    let mut other = Till::register(&bench, 44, KeyPair::generate().unwrap()).await;
    other.open_day().await;
    let note = other.credit_note(sold);
    other.expect(note, &["RCPT032 Red"]).await;
}

/// RCPT033: an original more than twelve months old; at twelve months to the second it is good.
#[tokio::test]
async fn rcpt033_original_too_old() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let sold_at = bench.clock_time();
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    bench.clock.advance(Duration::from_secs(300 * 24 * 3600));
    till.renew(&bench).await;
    // 28 May 2026 to 28 May 2027.
    let year = Duration::from_secs(365 * 24 * 3600);
    let in_a_year = sold_at.checked_add(year).unwrap();
    bench
        .clock
        .set_wall(in_a_year.checked_sub(Duration::from_secs(60)).unwrap());
    till.open_day().await;
    bench
        .clock
        .set_wall(in_a_year.checked_sub(Duration::from_secs(10)).unwrap());
    let just = till.credit_note(sold);
    till.expect(just, &[]).await;
    let late = till.credit_note(sold);
    till.expect(late, &["RCPT033 Red"]).await;
}

/// RCPT034: a note without a reason.
#[tokio::test]
async fn rcpt034_note_without_reason() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    for reason in [json!(null), json!(""), json!(" ")] {
        let mut note = debit_note(&mut till, sold);
        note["receiptNotes"] = reason;
        till.expect(note, &["RCPT034 Red"]).await;
    }
}

/// RCPT035: credits beyond what is left: 10.00 less 4.00 and 4.00, plus a debit of 2.00, is 4.00.
#[tokio::test]
async fn rcpt035_too_much_credited() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    for _ in 0..2 {
        let note = till.credit_note(sold);
        till.expect(note, &[]).await;
    }
    let debit = debit_note(&mut till, sold);
    till.expect(debit, &[]).await;
    let note = till.credit_note(sold);
    till.expect(note, &[]).await;
    let note = till.credit_note(sold);
    till.expect(note, &["RCPT035 Red"]).await;
}

/// RCPT036: a tax that the original has not.
#[tokio::test]
async fn rcpt036_tax_not_of_original() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut note = till.credit_note(sold);
    note["receiptLines"] = json!([line(1, -4.0, 2, Some(0))]);
    note["receiptTaxes"] = json!([row(2, Some(0), 0.0, -4.0)]);
    till.expect(note, &["RCPT036 Red"]).await;
}

/// RCPT042: another currency than the original's.
#[tokio::test]
async fn rcpt042_other_currency() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    let mut note = till.credit_note(sold);
    note["receiptCurrency"] = "ZWG".into();
    till.expect(note, &["RCPT042 Red"]).await;
}

/// A tax that has ended since may be on a note, and is RCPT025 when the setting says so; and who is no
/// VAT payer any more may still take back VAT.
#[tokio::test]
async fn a_note_may_use_what_its_original_used() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let sold = till.sell_invoice().await;
    bench.clock.advance(Duration::from_secs(1));
    let ended = TaxSpec {
        valid_till: Some(bench.now()),
        ..TaxSpec::new(517, Some(1550), "Standard rated 15.5%")
    };
    let change = DeviceChange {
        taxes: Some(vec![ended]),
        vat_number: Some(String::new()),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(42, change).unwrap();
    let note = till.credit_note(sold);
    till.expect(note, &[]).await;

    let mut settings = bench.sandbox.settings();
    settings.expired_tax_on_note = ExpiredTaxOnNote::Rcpt025;
    bench.sandbox.set_settings(settings);
    let note = till.credit_note(sold);
    till.expect(note, &["RCPT025 Red"]).await;
}
