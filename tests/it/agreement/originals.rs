//! Which receipts a note may refer to, and when it may be sent: tills of one store and their notes.
//!
//! The gateway must refer to what FDMS takes for an original, and send nothing before FDMS can judge it
//! (docs/FDMS.md sections 5 and 8, RCPT032 and RCPT035).

use std::time::Duration;

use clock::Clock as _;
use clock::local;
use fdms_sandbox::DeviceSpec;
use serde_json::{Value, json};

use super::{cash, credit_note, invoice, line, with};
use crate::support::agreement::{Codes, Forger, House, Till, Verdict};

/// A till of the usual taxpayer that has sold an invoice over 15.00, or of another one.
async fn till(house: &House, number: u32, tin: &str) -> Till {
    let spec = DeviceSpec {
        tax_payer_tin: tin.to_owned(),
        ..DeviceSpec::new(number)
    };
    let till = house.join(spec).await;
    house.clock.advance(Duration::from_secs(60));
    let first = with(invoice(), json!({ "invoiceNo": format!("{number}-1") }));
    house.sell(&till, &first.to_string(), None).await.unwrap();
    till
}

/// A note over `total` on a till's first invoice.
fn note(kind: &str, invoice_no: &str, original: &Till, total: impl Into<Value>) -> Value {
    let total = total.into();
    let mut note = with(
        credit_note(),
        json!({
            "receiptType": kind,
            "invoiceNo": invoice_no,
            "receiptLines": [line(total.clone(), 517, 15.5)],
            "receiptPayments": cash(total),
        }),
    );
    note["creditDebitNote"]["deviceID"] = original.device.get().into();
    note
}

/// A receiptID that the POS got wrong does no harm: the numbers are right, and they are sent alone.
#[tokio::test]
async fn a_wrong_receipt_id_is_not_passed_on() {
    let house = House::new("2026-05-28T05:00:00Z").await;
    let till = till(&house, 42, "2000000000").await;
    let mut sale = note("CreditNote", "42-2", &till, -1);
    sale["creditDebitNote"]["receiptID"] = 11_043_760.into();
    let issued = house.sell(&till, &sale.to_string(), None).await.unwrap();
    let reference = issued.receipt.credit_debit_note.unwrap();
    assert_eq!(reference.receipt_id, None);
    house.post_clean(&till).await;
}

/// Another till's invoice can be credited, in the same taxpayer only: RCPT032 on both sides.
#[tokio::test]
async fn an_original_is_of_the_same_taxpayer() {
    let house = House::new("2026-05-28T05:00:00Z").await;
    let first = till(&house, 42, "2000000000").await;
    let second = till(&house, 43, "2000000000").await;
    let foreign = till(&house, 44, "2000000001").await;
    for till in [&first, &second, &foreign] {
        house.post_clean(till).await;
    }
    let good = note("CreditNote", "43-2", &first, -1).to_string();
    house.sell(&second, &good, None).await.unwrap();
    house.post_clean(&second).await;

    let by_number = note("CreditNote", "44-2", &first, -1);
    let by_name = with(
        by_number.clone(),
        json!({"creditDebitNote": {"invoiceNo": "42-1"}}),
    );
    for bad in [&by_number, &by_name] {
        let refused = house.sell(&foreign, &bad.to_string(), None).await;
        let findings = refused.expect_err("another taxpayer's original");
        let codes: Vec<_> = findings.iter().map(|f| f.code.as_str()).collect();
        assert_eq!(codes, ["RCPT032"], "{findings:?}");
    }
    let number = house.ledger().reader().last_receipt(foreign.id).unwrap().0;
    let last = house.ledger().reader().by_number(foreign.id, number);
    let mut forger = Forger::after(&last.unwrap().unwrap());
    house.clock.advance(Duration::from_secs(60));
    let date = local(house.clock.wall());
    let forged = forger.compose(&foreign, &by_number.to_string(), date);
    let body = forger.sign(&foreign, &forged);
    let marked = Verdict::Taken(Codes::from(["RCPT032".to_owned()]));
    assert_eq!(foreign.submit(&body).await, marked);
}

/// A credit that only another till's debit makes room for is not sent before that debit.
#[tokio::test]
async fn a_credit_waits_for_the_debits_before_it() {
    let house = House::new("2026-05-28T05:00:00Z").await;
    let first = till(&house, 42, "2000000000").await;
    let second = till(&house, 43, "2000000000").await;
    house.post_clean(&first).await;
    house.clock.advance(Duration::from_secs(60));
    let debit = note("DebitNote", "43-2", &first, 5).to_string();
    let debit = house.sell(&second, &debit, None).await.unwrap();
    let credit = note("CreditNote", "42-2", &first, -20).to_string();
    house.sell(&first, &credit, None).await.unwrap();

    let reader = house.ledger().reader();
    let (_, head) = reader.stream(first.id).unwrap();
    assert_eq!(head.unwrap().waits_for, Some(debit.seq));
    house.post_clean(&second).await;
    let (_, head) = reader.stream(first.id).unwrap();
    assert_eq!(head.unwrap().waits_for, None);
    house.post_clean(&first).await;
    assert_eq!(house.sandbox.receipt_count(42), 2);
}
