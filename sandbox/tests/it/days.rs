//! Opening and closing fiscal days: every way a close can end, and when.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fdms_sandbox::{CloseWithBadReceipts, Settings};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::till::{Answer, Bench, DEVICE, Till, signature};

/// BadCertificateSignature comes first, whatever else is wrong.
#[tokio::test]
async fn close_with_a_bad_signature() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut message = till.close_message();
    message["fiscalDayDeviceSignature"] = signature(&till.key, "something else");
    message["receiptCounter"] = 7.into();
    let failed = "FiscalDayCloseFailed BadCertificateSignature";
    assert_eq!(till.close_with(&message).await, failed);

    // Signed over another date than the day's opening.
    let opened = till.opened;
    till.opened = opened.tomorrow().unwrap();
    assert_eq!(till.close_day().await, failed);
    till.opened = opened;

    // The counters in another order than the authority's.
    let mut counters = till.counters();
    counters.reverse();
    assert_eq!(
        till.close_with(&till.close_message_with(counters)).await,
        failed
    );
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// MissingReceipts: a gap, or a last receiptCounter that never arrived.
#[tokio::test]
async fn close_with_missing_receipts() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut lost = till.invoice();
    till.sign(&mut lost);
    till.goes_on_from(lost.clone());
    let failed = "FiscalDayCloseFailed MissingReceipts";
    assert_eq!(till.close_day().await, failed);
    // Receipts are taken in this state too.
    let behind = till.invoice();
    till.sell(behind).await;
    assert_eq!(till.close_day().await, failed);
    assert_eq!(till.submit(&lost).await.status, 200);
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// ReceiptsWithValidationErrors: one Red receipt; only by hand does the day end then, and the next one
/// is as good as any.
#[tokio::test]
async fn close_with_a_red_receipt() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut red = till.invoice();
    red["receiptLines"][0]["receiptLineHSCode"] = json!(null);
    till.expect(red, &["RCPT047 Red"]).await;
    let failed = "FiscalDayCloseFailed ReceiptsWithValidationErrors";
    assert_eq!(till.close_day().await, failed);
    assert_eq!(till.close_day().await, failed);

    assert!(bench.sandbox.close_by_hand(DEVICE));
    assert!(!bench.sandbox.close_by_hand(DEVICE));
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayClosed");
    assert_eq!(status["fiscalDayReconciliationMode"], "Manual");
    assert!(status["fiscalDayClosingErrorCode"].is_null());
    let quantity = &status["fiscalDayDocumentQuantities"][0];
    assert_eq!(quantity["receiptType"], "FiscalInvoice");
    assert_eq!(quantity["receiptQuantity"], 1);
    assert_eq!(quantity["receiptTotalAmount"], 10);
    let counters = status["fiscalDayCounter"].as_array().unwrap();
    let values: Vec<String> = counters
        .iter()
        .map(|c| format!("{} {}", c["fiscalCounterType"], c["fiscalCounterValue"]))
        .collect();
    let expected = [
        "\"SaleByTax\" 10",
        "\"SaleTaxByTax\" 1.34",
        "\"BalanceByMoneyType\" 10",
    ];
    assert_eq!(values, expected);

    till.open_day().await;
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// CountersMismatch: a wrong value, a missing counter, one too many, a zero, one twice, a receiptCounter
/// below the last.
#[tokio::test]
async fn close_with_other_counters() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    till.sell_invoice().await;
    let failed = "FiscalDayCloseFailed CountersMismatch";
    let right = till.counters();

    let mut wrong = right.clone();
    wrong[0]["fiscalCounterValue"] = 20.01.into();
    let mut missing = right.clone();
    missing.pop();
    let mut zero = right.clone();
    zero.push(counter_of_coupons(0));
    let mut surplus = right.clone();
    surplus.push(counter_of_coupons(1));
    let mut no_tax_id = right.clone();
    no_tax_id[0]["fiscalCounterTaxID"] = json!(null);
    for counters in [wrong, missing, surplus, no_tax_id] {
        assert_eq!(
            till.close_with(&till.close_message_with(counters)).await,
            failed
        );
    }
    // A zero is signed as nothing.
    let mut message = till.close_message();
    message["fiscalDayCounters"] = json!(zero);
    assert_eq!(till.close_with(&message).await, failed);
    let mut twice = right.clone();
    twice.push(right[2].clone());
    message["fiscalDayCounters"] = json!(twice);
    assert_eq!(till.close_with(&message).await, failed);

    let mut message = till.close_message();
    message["receiptCounter"] = 1.into();
    assert_eq!(till.close_with(&message).await, failed);
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

fn counter_of_coupons(value: i64) -> Value {
    json!({"fiscalCounterType": "BalanceByMoneyType", "fiscalCounterCurrency": "USD",
        "fiscalCounterMoneyType": "Coupon", "fiscalCounterValue": value})
}

/// Zero counters and a wrong receiptCounter pass when the settings say so; so do Red receipts that do
/// not count, by hand.
#[tokio::test]
async fn open_questions_of_the_close_are_settings() {
    let settings = Settings {
        zero_counter_is_mismatch: false,
        check_close_receipt_counter: false,
        red_receipts_count: false,
        ..Settings::default()
    };
    let bench = Bench::start_with(settings).await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut message = till.close_message();
    let mut counters = till.counters();
    counters.push(counter_of_coupons(0));
    message["fiscalDayCounters"] = json!(counters);
    message["receiptCounter"] = 5.into();
    assert_eq!(till.close_with(&message).await, "FiscalDayClosed");

    till.open_day().await;
    till.sell_invoice().await;
    let mut red = till.invoice();
    red["receiptPayments"][0]["paymentAmount"] = 20.into();
    till.expect(red, &["RCPT039 Red"]).await;
    assert!(bench.sandbox.close_by_hand(DEVICE));
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayCounter"][0]["fiscalCounterValue"], 10);
}

/// A day of several taxes, currencies, money types and notes closes: types, then currencies, then taxes.
#[tokio::test]
async fn a_mixed_day_closes() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut zig = till.invoice();
    zig["receiptCurrency"] = "ZWG".into();
    zig["receiptPayments"] = json!([
        {"moneyTypeCode": "MobileWallet", "paymentAmount": 4},
        {"moneyTypeCode": "Card", "paymentAmount": 6},
    ]);
    till.expect(zig, &[]).await;
    let sold = till.sell_invoice().await;
    let mut mixed = till.invoice();
    mixed["receiptLines"] = json!([
        crate::till::line(1, 10, 517, Some(1550)),
        crate::till::line(2, 5, 1, None),
        crate::till::line(3, 5, 2, Some(0)),
    ]);
    mixed["receiptTaxes"] = json!([
        crate::till::row(1, None, 0, 5),
        crate::till::row(2, Some(0), 0, 5),
        crate::till::row(517, Some(1550), 1.34, 10),
    ]);
    mixed["receiptTotal"] = 20.into();
    mixed["receiptPayments"][0]["paymentAmount"] = 20.into();
    till.expect(mixed, &[]).await;
    let note = till.credit_note(sold);
    till.expect(note, &[]).await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// A close takes its time on the sandbox's clock: CloseInitiated meanwhile, when nothing else goes.
#[tokio::test]
async fn a_close_takes_time() {
    let settings = Settings {
        close_delay_ms: 5000,
        ..Settings::default()
    };
    let bench = Bench::start_with(settings).await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let message = till.close_message();
    assert_eq!(till.close_with(&message).await, "FiscalDayCloseInitiated");
    let closed_at = bench.now().saturating_add(jiff::Span::new().seconds(5));

    assert_eq!(
        till.post("CloseDay", &message).await.refusal(),
        "422 FISC03"
    );
    assert_eq!(open(&till).await.refusal(), "422 FISC01");
    let mut receipt = till.invoice();
    bench.clock.set_wall(
        bench
            .clock_time()
            .checked_sub(Duration::from_secs(10))
            .unwrap(),
    );
    till.sign(&mut receipt);
    assert_eq!(till.submit(&receipt).await.refusal(), "422 RCPT01");

    bench.clock.advance(Duration::from_millis(4999));
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayCloseInitiated");
    assert!(status["fiscalDayClosed"].is_null());
    bench.clock.advance(Duration::from_secs(60));
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayClosed");
    assert_eq!(status["fiscalDayClosed"], closed_at.to_string());
}

async fn open(till: &Till) -> Answer {
    let message = json!({"fiscalDayOpened": till.now().to_string()});
    till.post("OpenDay", &message).await
}

/// A close may also take a number of questions.
#[tokio::test]
async fn a_close_takes_polls() {
    let settings = Settings {
        close_polls: 2,
        ..Settings::default()
    };
    let bench = Bench::start_with(settings).await;
    let till = bench.open_till().await;
    let answer = till.post("CloseDay", &till.close_message()).await;
    assert_eq!(answer.status, 200);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let status = till.get("GetStatus").await.body;
        seen.push(status["fiscalDayStatus"].as_str().unwrap().to_owned());
    }
    let waiting = "FiscalDayCloseInitiated";
    assert_eq!(seen, [waiting, waiting, "FiscalDayClosed"]);
}

/// The setting to refuse a close with Grey or Red receipts at once leaves the day as it was.
#[tokio::test]
async fn a_bad_day_may_be_refused_at_once() {
    let settings = Settings {
        close_with_bad_receipts: CloseWithBadReceipts::RefusedAtOnce,
        ..Settings::default()
    };
    let bench = Bench::start_with(settings).await;
    let mut till = bench.open_till().await;
    let mut red = till.invoice();
    red["receiptPayments"][0]["paymentAmount"] = 20.into();
    till.expect(red, &["RCPT039 Red"]).await;
    let answer = till.post("CloseDay", &till.close_message()).await;
    assert_eq!(answer.refusal(), "422");
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayOpened");
}

/// The refusals of OpenDay, SubmitReceipt and CloseDay in the wrong state.
#[tokio::test]
async fn refusals_by_state() {
    let bench = Bench::start().await;
    let mut till = bench.till().await;
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    assert_eq!(till.submit(&receipt).await.refusal(), "422 RCPT01");
    let message = till.close_message();
    assert_eq!(
        till.post("CloseDay", &message).await.refusal(),
        "422 FISC04"
    );
    let second = json!({"fiscalDayNo": 2, "fiscalDayOpened": till.now().to_string()});
    assert_eq!(till.post("OpenDay", &second).await.refusal(), "422 FISC01");

    till.open_day().await;
    assert_eq!(open(&till).await.refusal(), "422 FISC01");
    let mut other_day = till.close_message();
    other_day["fiscalDayNo"] = 2.into();
    assert_eq!(
        till.post("CloseDay", &other_day).await.refusal(),
        "422 FISC04"
    );
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    let message = till.close_message();
    assert_eq!(
        till.post("CloseDay", &message).await.refusal(),
        "422 FISC04"
    );
    assert_eq!(till.submit(&receipt).await.refusal(), "422 RCPT01");
    // The number may be left out or be the next one.
    let second = json!({"fiscalDayNo": 2, "fiscalDayOpened": till.now().to_string()});
    assert_eq!(till.post("OpenDay", &second).await.body["fiscalDayNo"], 2);
}

/// FDMS's signatures of a receipt and of a closed day verify with the certificate that
/// GetServerCertificate gives for their thumbprint.
#[tokio::test]
async fn server_signatures_verify() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    let answer = till.submit(&receipt).await.body;
    let device_signature = &receipt["receiptDeviceSignature"]["signature"];
    let text = format!(
        "{}{}{}",
        device_signature.as_str().unwrap(),
        answer["receiptID"],
        answer["serverDate"].as_str().unwrap()
    );
    verify(&bench, &answer["receiptServerSignature"], &text).await;

    till.goes_on_from(receipt);
    let message = till.close_message();
    assert_eq!(till.close_with(&message).await, "FiscalDayClosed");
    let status = till.get("GetStatus").await.body;
    let text = format!(
        "42{}{}{}AUTO{}{}",
        1,
        till.opened.date(),
        status["fiscalDayClosed"].as_str().unwrap(),
        "SALEBYTAXUSD15.501000SALETAXBYTAXUSD15.50134BALANCEBYMONEYTYPEUSDCASH1000",
        message["fiscalDayDeviceSignature"]["signature"]
            .as_str()
            .unwrap(),
    );
    verify(&bench, &status["fiscalDayServerSignature"], &text).await;

    till.open_day().await;
    assert!(bench.sandbox.close_by_hand(DEVICE));
    let status = till.get("GetStatus").await.body;
    let closed = status["fiscalDayClosed"].as_str().unwrap();
    let text = format!("422{}{closed}MANUAL", till.opened.date());
    verify(&bench, &status["fiscalDayServerSignature"], &text).await;
}

async fn verify(bench: &Bench, made: &Value, text: &str) {
    assert_eq!(
        made["hash"],
        signature(&rcgen::KeyPair::generate().unwrap(), text)["hash"]
    );
    let thumbprint = made["certificateThumbprint"].as_str().unwrap();
    let url = bench.sandbox.url();
    let path = format!("{url}/Public/v1/GetServerCertificate?thumbprint={thumbprint}");
    let answer = Answer::of(bench.stranger().get(path).send().await.unwrap()).await;
    let chain = answer.body["certificate"].as_array().unwrap();
    let leaf = chain.last().unwrap().as_str().unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(leaf.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        &certificate.public_key().subject_public_key.data,
    );
    let bytes = STANDARD
        .decode(made["signature"].as_str().unwrap())
        .unwrap();
    key.verify(text.as_bytes(), &bytes).unwrap();
}
