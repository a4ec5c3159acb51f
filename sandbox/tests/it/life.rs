//! A device's life over real mutual TLS: registration, configuration, a day, its close.

use crate::till::{Bench, DEVICE};
use serde_json::json;

/// A new device: no day has been, and the configuration lists what is valid now or later.
#[tokio::test]
async fn a_new_device() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayClosed");
    for absent in ["lastFiscalDayNo", "lastReceiptGlobalNo", "fiscalDayClosed"] {
        assert!(status[absent].is_null(), "{absent}");
    }
    let config = till.get("GetConfig").await.body;
    assert_eq!(config["deviceSerialNo"], "till-42");
    assert_eq!(config["taxPayerTIN"], "2000000000");
    // The 15 % tax has ended in 2025.
    let ids: Vec<i64> = config["applicableTaxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tax| tax["taxID"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2, 514, 517]);
    assert_eq!(config["certificateValidTill"], "2027-05-28T07:00:00");
    let answer = till.post("Ping", &json!({})).await;
    assert_eq!(answer.body["reportingFrequency"], 5);
}

/// Days from their opening to their close, and the next ones; everything is accepted without a colour.
#[tokio::test]
async fn days_from_opening_to_close() {
    let bench = Bench::start().await;
    let mut till = bench.till().await;
    till.open_day().await;
    assert_eq!(till.day_no, 1);
    let sold = till.sell_invoice().await;
    till.sell_invoice().await;
    let note = till.credit_note(sold);
    till.expect(note, &[]).await;
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayOpened");
    assert_eq!(status["lastReceiptGlobalNo"], 3);
    assert_eq!(status["lastFiscalDayNo"], 1);
    assert!(status["fiscalDayReconciliationMode"].is_null());

    assert_eq!(till.close_day().await, "FiscalDayClosed");
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayReconciliationMode"], "Auto");
    assert_eq!(status["fiscalDayClosed"], bench.now().to_string());
    assert!(status["fiscalDayCounter"].is_null());

    till.open_day().await;
    assert_eq!(till.day_no, 2);
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");

    // An empty day closes too.
    till.open_day().await;
    assert_eq!(
        till.close_with(&till.close_message_with(vec![])).await,
        "FiscalDayClosed"
    );
    let days = bench.sandbox.days(DEVICE);
    let counts: Vec<u32> = days.iter().map(|day| day.receipt_count).collect();
    assert_eq!(counts, [3, 1, 0]);
    let receipts = bench.sandbox.receipts(DEVICE);
    assert_eq!(receipts.len(), 4);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.validation_errors.is_empty())
    );
}
