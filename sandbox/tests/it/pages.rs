//! The pages of the admin port.

use std::time::Duration;

use fdms_sandbox::{DeviceChange, Fault, FaultKind, OperatingMode};
use serde_json::Value;

use crate::till::{Bench, DEVICE, Till, receipt_string, signature};

/// A page, which must be there.
async fn page(bench: &Bench, path: &str) -> String {
    let url = format!("{}{path}", bench.sandbox.admin_url().unwrap());
    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.text().await.unwrap()
}

/// The page of the receipt that came last.
async fn last_receipt(bench: &Bench) -> String {
    let last = bench.sandbox.receipts(DEVICE).pop().unwrap();
    let path = format!("/devices/{DEVICE}/receipts/{}/page", last.receipt_id);
    page(bench, &path).await
}

/// Devices, their state and what is in force are on the first page; the device's page lists days and
/// receipts with their colours.
#[tokio::test]
async fn devices_and_receipts_are_shown() {
    let bench = Bench::start().await;
    let first = page(&bench, "/").await;
    assert!(
        first.contains("not registered") && first.contains("no day yet"),
        "{first}"
    );
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut red = till.invoice();
    red["receiptTotal"] = 11.0.into();
    till.sell(red).await;
    let fault = Fault::chance(20, FaultKind::Refuse("RCPT01".to_owned()));
    bench.sandbox.add_fault(fault);
    let first = page(&bench, "/").await;
    for shown in [
        "Example Traders",
        "2 receipts",
        "1 Red",
        ">open<",
        "refused with RCPT01",
        "20 ‰ of them",
        "SubmitReceipt",
        "close_delay_ms",
        "http-equiv=\"refresh\"",
    ] {
        assert!(first.contains(shown), "{shown}: {first}");
    }
    let device = page(&bench, "/devices/42/page").await;
    for shown in [
        "42-1",
        "42-2",
        "RCPT039",
        "is-red",
        "is-clean",
        "USD 11.00",
        "1/2",
    ] {
        assert!(device.contains(shown), "{shown}: {device}");
    }
    let receipt = last_receipt(&bench).await;
    assert!(
        receipt.contains("receiptTotal must be the sum of the payments."),
        "{receipt}"
    );
    let css = page(&bench, "/style.css").await;
    assert!(css.contains("prefers-color-scheme: dark"));
    for wrong in [
        "/devices/7/page",
        "/devices/42/receipts/1/page",
        "/devices/42/receipts/99999999/page",
    ] {
        let url = format!("{}{wrong}", bench.sandbox.admin_url().unwrap());
        assert_eq!(reqwest::get(url).await.unwrap().status(), 404, "{wrong}");
    }
}

/// An offline device's files are shown with how far they have come, and on the first page what was sent
/// against the schema.
#[tokio::test]
async fn files_and_violations_are_shown() {
    let bench = Bench::start().await;
    let mut till = bench.till().await;
    let offline = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, offline).unwrap();
    till.begin_day(1);
    let mut red = till.invoice();
    red["receiptTotal"] = 11.0.into();
    till.sign(&mut red);
    till.goes_on_from(red.clone());
    till.send_file(&till.file(1, vec![red])).await;
    till.send_file(&till.file(3, vec![])).await;
    let device = page(&bench, "/devices/42/page").await;
    for shown in [
        ">Offline<",
        ">1/1<",
        "failed",
        "ReceiptsWithValidationErrors",
        "RCPT039",
        "waiting for",
    ] {
        assert!(device.contains(shown), "{shown}: {device}");
    }
    till.post("OpenDay", &serde_json::json!({"fiscalDayOpened": "noon"}))
        .await;
    let first = page(&bench, "/").await;
    assert!(
        first.contains("Against the schema") && first.contains("fiscalDayOpened"),
        "{first}"
    );
}

/// What a till sends is text and nothing else.
#[tokio::test]
async fn everything_is_escaped() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let script = "<script>alert(1)</script>\"'&";
    let mut receipt = till.invoice();
    receipt["invoiceNo"] = script.into();
    receipt["receiptLines"][0]["receiptLineName"] = "</pre><img src=x>".into();
    receipt["receiptTaxes"][0]["taxCode"] = "<b>".into();
    receipt["receiptLines"][0]["taxCode"] = "<b>".into();
    till.sell(receipt).await;
    bench
        .sandbox
        .add_fault(Fault::chance(1, FaultKind::Refuse(script.to_owned())));
    let pages = [
        page(&bench, "/").await,
        page(&bench, "/devices/42/page").await,
        last_receipt(&bench).await,
    ];
    for page in &pages {
        for tag in ["<script", "<img", "<b>"] {
            assert!(!page.contains(tag), "{tag}: {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    }
}

/// Many receipts come in parts, newest first.
#[tokio::test]
async fn receipts_come_in_parts() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    for _ in 0..120 {
        till.sell_invoice().await;
    }
    for (part, newest, oldest, none) in [(1, 120, 71, 70), (2, 70, 21, 20), (3, 20, 1, 21)] {
        let page = page(&bench, &format!("/devices/42/page?page={part}")).await;
        let has = |no: i32| page.contains(&format!(">42-{no}<"));
        assert!(has(newest) && has(oldest) && !has(none), "{part}");
        assert!(
            page.contains(&format!("page {part} of 3, 120 receipts")),
            "{part}"
        );
        assert_eq!(page.contains("newer"), part > 1);
        assert_eq!(page.contains("older"), part < 3);
    }
    let beyond = page(&bench, "/devices/42/page?page=99").await;
    assert!(beyond.contains("page 3 of 3"));
}

/// Sends a receipt whose hash and signature are over `text`; what its page says.
async fn sent(bench: &Bench, till: &mut Till, mut receipt: Value, text: &str) -> String {
    receipt["receiptDeviceSignature"] = signature(&till.key, text);
    let answer = till.submit(&receipt).await;
    assert_eq!(answer.findings(), ["RCPT020 Red"], "{text}");
    till.goes_on_from(receipt);
    last_receipt(bench).await
}

/// A right signature is shown as right, with its key; a wrong one with the mistake that makes the hash
/// that was received, in the place where it was made.
#[tokio::test]
async fn usual_mistakes_are_found() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let shown = last_receipt(&bench).await;
    for text in [
        "hash received is that of the string",
        "fits the string to sign",
        "P-256 key",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    type Mistake = fn(&str, &str) -> String;
    let mistakes: [(Mistake, &str); 6] = [
        (
            |text, hash| text.replace(hash, ""),
            "the hash of the receipt before is left out",
        ),
        (
            |text, _| text.replace("15.50", "15.5"),
            "percents without two decimals",
        ),
        (
            |text, _| text.replace("1000", "10.00").replace("134", "1.34"),
            "the total is not in cents; tax amounts are not in cents",
        ),
        (
            |text, _| text.replace("FISCALINVOICE", "FiscalInvoice"),
            "the receipt type is not in upper case",
        ),
        (
            |text, _| text.replacen('T', " ", 1),
            "the date has a space and no T",
        ),
        (
            |text, _| text.replacen("42", "0000000042", 1),
            "the device ID with leading zeros",
        ),
    ];
    for (mistake, what) in mistakes {
        let receipt = till.invoice();
        let hash = till.last_hash.clone().unwrap();
        let text = receipt_string(DEVICE, &receipt, Some(&hash));
        let shown = sent(&bench, &mut till, receipt, &mistake(&text, &hash)).await;
        assert!(
            shown.contains(&format!("that of another string: {what}")),
            "{what}: {shown}"
        );
        assert!(shown.contains("only the string is wrong"), "{shown}");
        assert!(shown.contains(&text), "the string to sign: {text}");
    }
    let receipt = till.invoice();
    let shown = sent(&bench, &mut till, receipt, "something else").await;
    assert!(shown.contains("nor of one with a usual mistake"), "{shown}");
    assert!(
        shown.contains("fits no string that is known here"),
        "{shown}"
    );
}

/// A signature that is wrong by itself is told from a wrong string.
#[tokio::test]
async fn wrong_signatures_are_told_apart() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    let text = receipt_string(DEVICE, &receipt, None);
    let mut twice = signature(&till.key, &text);
    let hash = Sha256::digest(text.as_bytes());
    let over_hash = rcgen::SigningKey::sign(&till.key, &hash).unwrap();
    twice["signature"] = STANDARD.encode(over_hash).into();
    receipt["receiptDeviceSignature"] = twice;
    till.submit(&receipt).await;
    let shown = last_receipt(&bench).await;
    assert!(shown.contains("it was hashed twice"), "{shown}");

    till.goes_on_from(receipt);
    let mut receipt = till.invoice();
    let text = receipt_string(DEVICE, &receipt, till.last_hash.as_deref());
    receipt["receiptDeviceSignature"] = signature(&till.key, &text);
    let der = receipt["receiptDeviceSignature"]["signature"]
        .as_str()
        .unwrap();
    let raw = raw_pair(&STANDARD.decode(der).unwrap());
    receipt["receiptDeviceSignature"]["signature"] = STANDARD.encode(raw).into();
    till.submit(&receipt).await;
    let shown = last_receipt(&bench).await;
    assert!(shown.contains("the raw pair r and s"), "{shown}");
}

/// The two numbers of an ASN.1 signature, in 32 bytes each.
fn raw_pair(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut at = 2;
    for _ in 0..2 {
        let length = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + length];
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend(number);
        at += 2 + length;
    }
    raw
}

/// A receipt behind a gap cannot be explained yet; when the gap is filled it can.
#[tokio::test]
async fn gaps_are_shown() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut missing = till.invoice();
    till.sign(&mut missing);
    till.goes_on_from(missing.clone());
    let behind = till.invoice();
    till.sell(behind).await;
    let id = bench.sandbox.receipts(DEVICE)[1].receipt_id;
    let path = format!("/devices/42/receipts/{id}/page");
    let shown = page(&bench, &path).await;
    assert!(
        shown.contains("The receipt before it has not arrived."),
        "{shown}"
    );
    assert!(
        shown.contains("is-red") && shown.contains("cannot be checked yet"),
        "{shown}"
    );
    till.submit(&missing).await;
    bench.clock.advance(Duration::from_secs(1));
    let shown = page(&bench, &path).await;
    assert!(
        shown.contains("fits the string to sign") && shown.contains("is-clean"),
        "{shown}"
    );
}
