//! Rules of the chain: numbers, dates, signatures, gaps, repeated receipts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fdms_sandbox::GapSignature;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::till::{Bench, DEVICE, Till, receipt_string, signature};

/// RCPT011: a counter that skips one within the day, and a day that does not begin with 1.
#[tokio::test]
async fn rcpt011_counter() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut first = till.invoice();
    first["receiptCounter"] = 2.into();
    till.expect(first, &["RCPT011 Red"]).await;
    let mut next = till.invoice();
    next["receiptCounter"] = 4.into();
    till.expect(next, &["RCPT011 Red"]).await;
    till.sell_invoice().await;
    assert!(bench.sandbox.close_by_hand(DEVICE));
    till.open_day().await;
    let mut first = till.invoice();
    first["receiptCounter"] = 2.into();
    till.expect(first, &["RCPT011 Red"]).await;
}

/// RCPT012: a number that another receipt has, and numbers that are none.
#[tokio::test]
async fn rcpt012_number_used_already() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let hash_of_first = till.last_hash.clone();
    till.sell_invoice().await;
    // The second receipt once more, with another invoice number and a later date.
    let mut twin = till.invoice();
    twin["receiptGlobalNo"] = 2.into();
    twin["receiptCounter"] = 2.into();
    twin["invoiceNo"] = "twin".into();
    let text = receipt_string(DEVICE, &twin, hash_of_first.as_deref());
    twin["receiptDeviceSignature"] = signature(&till.key, &text);
    assert_eq!(till.submit(&twin).await.findings(), ["RCPT012 Red"]);
    // The chain goes on from the one that was there.
    till.sell_invoice().await;

    let mut zero = till.invoice();
    zero["receiptGlobalNo"] = 0.into();
    zero["receiptCounter"] = 1.into();
    zero["invoiceNo"] = "zero".into();
    let text = receipt_string(DEVICE, &zero, None);
    zero["receiptDeviceSignature"] = signature(&till.key, &text);
    assert_eq!(till.submit(&zero).await.findings(), ["RCPT012 Red"]);
}

/// The global number may begin at 1 again with a day's first receipt, and only there.
#[tokio::test]
async fn numbers_may_restart_with_a_day() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    till.open_day().await;
    till.global_no = 0;
    let mut first = till.invoice();
    first["invoiceNo"] = "again-1".into();
    till.expect(first, &[]).await;
    let mut second = till.invoice();
    second["invoiceNo"] = "again-2".into();
    till.expect(second, &[]).await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");

    // Not with a counter that is no day's first.
    till.open_day().await;
    till.global_no = 0;
    let mut third = till.invoice();
    third["invoiceNo"] = "again-3".into();
    third["receiptCounter"] = 2.into();
    till.expect(third, &["RCPT011 Red", "RCPT012 Red"]).await;
}

/// RCPT020: another key, another hash, bare r and s, a signed hash, a wrong previous hash, none where
/// one belongs.
#[tokio::test]
async fn rcpt020_signature() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;

    let expect = async |till: &mut Till, make: &dyn Fn(&Till, &str) -> Value| {
        let mut receipt = till.invoice();
        let text = receipt_string(DEVICE, &receipt, till.last_hash.as_deref());
        receipt["receiptDeviceSignature"] = make(till, &text);
        let answer = till.submit(&receipt).await;
        assert_eq!(answer.findings(), ["RCPT020 Red"]);
        till.goes_on_from(receipt);
    };
    let other = KeyPair::generate().unwrap();
    expect(&mut till, &|_, text| signature(&other, text)).await;
    expect(&mut till, &|till, text| {
        let mut made = signature(&till.key, text);
        made["hash"] = signature(&till.key, "something else")["hash"].clone();
        made
    })
    .await;
    expect(&mut till, &|till, text| {
        let mut made = signature(&till.key, text);
        made["signature"] = STANDARD.encode([7; 64]).into();
        made
    })
    .await;
    expect(&mut till, &|till, text| {
        let mut made = signature(&till.key, text);
        let hash = made["hash"].as_str().unwrap().to_owned();
        made["signature"] = signature(&till.key, &hash)["signature"].clone();
        made
    })
    .await;
    expect(&mut till, &|till, text| {
        signature(&till.key, &format!("{text}x"))
    })
    .await;
    expect(&mut till, &|till, text| {
        let previous = till.last_hash.as_deref().unwrap();
        signature(&till.key, text.strip_suffix(previous).unwrap())
    })
    .await;
    // The chain goes on from the hash that was sent.
    till.sell_invoice().await;
}

/// RSA keys sign too.
#[tokio::test]
async fn an_rsa_till_closes_its_day() {
    let bench = Bench::start().await;
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut till = Till::register(&bench, DEVICE, key).await;
    till.open_day().await;
    till.sell_invoice().await;
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// RCPT030: two receipts in one second, within a day and across days.
#[tokio::test]
async fn rcpt030_date_not_later() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let date = bench.now().to_string();
    let mut same_second = till.invoice();
    same_second["receiptDate"] = date.into();
    till.expect(same_second, &["RCPT030 Red"]).await;
    till.sell_invoice().await;
    let date = bench.now().to_string();
    assert!(bench.sandbox.close_by_hand(DEVICE));
    // Opened before the last receipt's date, so that only the chain is broken.
    till.open_day_at(bench.now().saturating_sub(jiff::Span::new().seconds(5)))
        .await;
    let mut next_day = till.invoice();
    next_day["receiptDate"] = date.into();
    till.expect(next_day, &["RCPT030 Red"]).await;
}

/// A receipt behind a gap is Grey, and heals when the missing one arrives; the day closes.
#[tokio::test]
async fn a_gap_is_grey_and_heals() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut missing = till.invoice();
    till.sign(&mut missing);
    till.goes_on_from(missing.clone());
    let behind = till.invoice();
    till.expect(behind, &["RCPT011 Grey", "RCPT020 Red"]).await;
    // The one after it has its previous one.
    till.sell_invoice().await;
    assert_eq!(
        till.close_day().await,
        "FiscalDayCloseFailed MissingReceipts"
    );

    assert_eq!(till.submit(&missing).await.findings(), [""; 0]);
    let kept = bench.sandbox.receipts(DEVICE);
    assert!(
        kept.iter()
            .all(|receipt| receipt.validation_errors.is_empty() && !receipt.is_grey)
    );
    let day = &bench.sandbox.days(DEVICE)[0];
    assert_eq!(
        (day.grey_count, day.red_count, day.receipt_count),
        (0, 0, 4)
    );
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// A gap of two heals from its end to its beginning, and what was wrong behind it stays wrong.
#[tokio::test]
async fn a_wide_gap_heals_to_what_is_left() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut missing = Vec::new();
    for _ in 0..2 {
        let mut receipt = till.invoice();
        till.sign(&mut receipt);
        till.goes_on_from(receipt.clone());
        missing.push(receipt);
    }
    let mut behind = till.invoice();
    behind["receiptCounter"] = 9.into();
    behind["receiptDate"] = missing[1]["receiptDate"].clone();
    till.expect(behind, &["RCPT011 Grey", "RCPT020 Red"]).await;
    let findings = till.submit(&missing[1]).await.findings();
    assert_eq!(findings, ["RCPT011 Grey", "RCPT020 Red"]);
    let of_last = |bench: &Bench| {
        let kept = bench.sandbox.receipts(DEVICE);
        let kept = kept
            .iter()
            .find(|receipt| receipt.receipt_counter == 9)
            .unwrap()
            .clone();
        let findings = kept.validation_errors.iter();
        findings
            .map(|f| format!("{} {:?}", f.code, f.color))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_last(&bench), ["RCPT011 Red", "RCPT030 Red"]);
    assert_eq!(till.submit(&missing[0]).await.findings(), [""; 0]);
    let kept = bench.sandbox.receipts(DEVICE);
    assert_eq!(kept.iter().filter(|receipt| receipt.is_grey).count(), 0);
    let day = &bench.sandbox.days(DEVICE)[0];
    assert_eq!((day.grey_count, day.red_count), (0, 1));
}

/// What is said about the signature behind a gap is a setting.
#[tokio::test]
async fn the_signature_behind_a_gap_is_a_setting() {
    for (setting, at_first, healed) in [
        (
            GapSignature::RedUntilHealed,
            ["RCPT011 Grey", "RCPT020 Red"].as_slice(),
            0,
        ),
        (
            GapSignature::RedForever,
            &["RCPT011 Grey", "RCPT020 Red"],
            1,
        ),
        (GapSignature::Grey, &["RCPT011 Grey", "RCPT020 Grey"], 0),
        (GapSignature::Nothing, &["RCPT011 Grey"], 0),
    ] {
        let bench = Bench::start().await;
        let mut settings = bench.sandbox.settings();
        settings.gap_signature = setting;
        bench.sandbox.set_settings(settings);
        let mut till = bench.open_till().await;
        let mut missing = till.invoice();
        till.sign(&mut missing);
        till.goes_on_from(missing.clone());
        let behind = till.invoice();
        till.expect(behind, at_first).await;
        assert_eq!(till.submit(&missing).await.findings(), [""; 0]);
        let day = &bench.sandbox.days(DEVICE)[0];
        assert_eq!((day.grey_count, day.red_count), (0, healed), "{setting:?}");
    }
}

/// The same receipt again is answered as the first time under a new operation ID, and kept once; even
/// after its day has been closed.
#[tokio::test]
async fn a_repeated_receipt_is_answered_as_the_first_time() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    let first = till.submit(&receipt).await;
    till.goes_on_from(receipt.clone());
    bench.clock.advance(std::time::Duration::from_secs(60));
    let second = till.submit(&receipt).await;
    for field in ["receiptID", "serverDate", "receiptServerSignature"] {
        assert_eq!(first.body[field], second.body[field], "{field}");
    }
    assert_ne!(first.body["operationID"], second.body["operationID"]);
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    let third = till.submit(&receipt).await;
    assert_eq!(third.body["receiptID"], first.body["receiptID"]);
    let kept = bench.sandbox.receipts(DEVICE);
    assert_eq!((kept.len(), kept[0].times_received), (1, 3));
}

/// After a receipt from the future every later one must be later still.
#[tokio::test]
async fn a_receipt_from_the_future_binds_the_next() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut ahead = till.invoice();
    let future = bench.now().saturating_add(jiff::Span::new().hours(1));
    ahead["receiptDate"] = future.to_string().into();
    till.expect(ahead, &["RCPT031 Yellow"]).await;
    let next = till.invoice();
    till.expect(next, &["RCPT030 Red"]).await;
    // lastReceiptGlobalNo is the one with the latest date.
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["lastReceiptGlobalNo"], json!(1));
}
