//! A sandbox that keeps its state goes on where it was, however it ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, SystemClock, TestClock};
use fdms_sandbox::{DeviceChange, DeviceSpec, Settings};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::program::Killed;
use crate::till::{Answer, Bench, DEVICE, Till, client_at};

/// What the disk has at this moment: what is left when the machine loses its power now.
fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

async fn bench(folder: &Path, clock: &Arc<TestClock>) -> Bench {
    let clock = Arc::clone(clock);
    Bench::build(clock, |builder| builder.data_dir(folder)).await
}

/// An answer without what is another one each time.
fn lasting(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("operationID").unwrap();
    (answer.status, body)
}

/// Sells two receipts, the second of which is Red, and stays in the open day.
async fn sell_some(till: &mut Till) -> (Value, Answer) {
    till.open_day().await;
    till.sell_invoice().await;
    let mut second = till.invoice();
    second["receiptTotal"] = 11.0.into();
    till.sign(&mut second);
    let answer = till.submit(&second).await;
    till.goes_on_from(second.clone());
    (json!({"receipt": second}), answer)
}

/// After a crash, with a torn line at the journal's end, all is as it was: the status, the certificates,
/// the answer to a repeated receipt down to FDMS's signature, and the next receipt fits.
#[tokio::test]
async fn a_crash_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Bench::new_clock();
    let before = bench(folder.path(), &clock).await;
    let mut till = before.till().await;
    till.renew(&before).await;
    let (second, first_answer) = sell_some(&mut till).await;
    assert_eq!(
        first_answer.findings().len(),
        3,
        "{:?}",
        first_answer.findings()
    );
    let status = till.get("GetStatus").await;
    let receipts = before.sandbox.receipts(DEVICE);

    let left = copied(folder.path());
    let journal = left.path().join("journal.jsonl");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text.push_str("{\"exchange\":{\"at\":\"2026-05-28T");
    std::fs::write(&journal, text).unwrap();
    clock.advance(Duration::from_secs(3600));
    let after = bench(left.path(), &clock).await;
    assert_eq!(after.sandbox.ca_pem(), before.sandbox.ca_pem());
    assert_eq!(after.sandbox.receipts(DEVICE), receipts);
    till.move_to(&after.sandbox);
    let status_now = till.get("GetStatus").await;
    assert_eq!(lasting(&status_now), lasting(&status));
    assert_ne!(status_now.body["operationID"], status.body["operationID"]);
    let again = till.post("SubmitReceipt", &second).await;
    assert_eq!(lasting(&again), lasting(&first_answer));
    assert!(again.body["receiptServerSignature"]["signature"].is_string());
    till.sell_invoice().await;
    assert_eq!(after.sandbox.receipt_count(DEVICE), 3);

    // And once more, on what was written behind the torn line.
    let left = copied(left.path());
    let last = bench(left.path(), &clock).await;
    till.move_to(&last.sandbox);
    assert_eq!(
        last.sandbox.receipts(DEVICE),
        after.sandbox.receipts(DEVICE)
    );
    till.sell_invoice().await;
}

/// Closes go on by the clock, a closed day keeps its signature, and the next day has the next number.
#[tokio::test]
async fn days_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Bench::new_clock();
    let before = bench(folder.path(), &clock).await;
    before.sandbox.set_settings(Settings {
        close_delay_ms: 5000,
        ..Settings::default()
    });
    let mut till = before.open_till().await;
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayCloseInitiated");
    let after = bench(copied(folder.path()).path(), &clock).await;
    till.move_to(&after.sandbox);
    assert_eq!(after.sandbox.settings().close_delay_ms, 5000);
    clock.advance(Duration::from_secs(5));
    let closed = till.get("GetStatus").await;
    assert_eq!(closed.body["fiscalDayStatus"], "FiscalDayClosed");
    assert!(closed.body["fiscalDayServerSignature"].is_object());
    till.open_day().await;
    assert_eq!(till.day_no, 2);
}

/// What the authority's desk did is kept: devices added, changed and deleted, used keys, days closed by
/// hand. Devices of the builder are added where they are new, and are otherwise as they were left.
#[tokio::test]
async fn the_desk_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Bench::new_clock();
    let before = bench(folder.path(), &clock).await;
    for id in [50, 51] {
        before.sandbox.add_device(DeviceSpec::new(id)).unwrap();
    }
    before.sandbox.delete_device(51).unwrap();
    let change = DeviceChange {
        vat_number: Some(String::new()),
        reporting_frequency: Some(9),
        ..DeviceChange::default()
    };
    before.sandbox.change_device(DEVICE, change).unwrap();
    let till = before.open_till().await;
    assert!(before.sandbox.close_by_hand(DEVICE));

    let left = copied(folder.path());
    let after = Bench::build(Arc::clone(&clock), |builder| {
        builder.data_dir(left.path()).device(DeviceSpec::new(60))
    })
    .await;
    let ids: Vec<u32> = after
        .sandbox
        .devices()
        .iter()
        .map(|d| d.device_id)
        .collect();
    assert_eq!(ids, [DEVICE, 50, 60]);
    assert_eq!(after.sandbox.devices()[0], before.sandbox.devices()[0]);
    assert_eq!(after.sandbox.days(DEVICE), before.sandbox.days(DEVICE));
    let used = json!({"activationKey": "00000042", "deviceSerialNo": "till-42"});
    let path = format!(
        "{}/Public/v1/42/VerifyTaxpayerInformation",
        after.sandbox.url()
    );
    let answer = crate::till::post(&after.stranger(), &path, &used).await;
    assert_eq!(answer.unwrap().refusal(), "422 DEV02");
    let mut till = till;
    till.move_to(&after.sandbox);
    assert_eq!(
        till.post("Ping", &json!({})).await.body["reportingFrequency"],
        9
    );
    Till::register(&after, 60, KeyPair::generate().unwrap()).await;
}

/// What FDMS did not process is not kept; what it processed is, though the answer was lost.
#[tokio::test]
async fn lost_answers_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Bench::new_clock();
    let before = bench(folder.path(), &clock).await;
    let mut till = before.open_till().await;
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    let message = json!({"receipt": receipt});
    for (kind, kept) in [("\"lose_request\"", 0), ("\"lose_answer\"", 1)] {
        let rule = format!("{{\"call\": \"SubmitReceipt\", \"fault\": {kind}}}");
        before
            .sandbox
            .add_faults(fdms_sandbox::read_faults(&rule).unwrap());
        assert!(till.try_post("SubmitReceipt", &message).await.is_err());
        let after = bench(copied(folder.path()).path(), &clock).await;
        assert_eq!(after.sandbox.receipt_count(DEVICE), kept, "{kind}");
        assert_eq!(after.sandbox.faults(), []);
    }
}

/// Requests that come all at once are all kept, in the order in which they were taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Bench::new_clock();
    let before = bench(folder.path(), &clock).await;
    let mut devices = Vec::new();
    for id in 100..108 {
        before.sandbox.add_device(DeviceSpec::new(id)).unwrap();
        devices.push(Till::register(&before, id, KeyPair::generate().unwrap()).await);
    }
    let selling = devices.into_iter().map(|mut till| {
        tokio::spawn(async move {
            till.open_day().await;
            for _ in 0..5 {
                // Others move the clock too, so that a date may be any: the colour does not matter.
                let receipt = till.invoice();
                till.sell(receipt).await;
            }
        })
    });
    for task in selling.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let after = bench(copied(folder.path()).path(), &clock).await;
    for id in 100..108 {
        assert_eq!(after.sandbox.receipts(id), before.sandbox.receipts(id));
        assert_eq!(after.sandbox.receipt_count(id), 5);
    }
}

/// The program, started on a folder; its address.
fn started(folder: &Path) -> (Killed, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_fdms-sandbox"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(folder)
        .args(["--device", "42:till-42:00000042"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let url = first
        .strip_prefix("FDMS sandbox:")
        .unwrap()
        .trim()
        .to_owned();
    (child, url)
}

/// The program is killed in the middle of a day and started again: a till does not notice.
#[tokio::test]
async fn the_killed_program_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = started(folder.path());
    let ca_pem = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    // The program goes by the machine's clock; the till's is an hour behind and will stay so.
    let clock = TestClock::new(SystemClock.wall() - Duration::from_secs(3600));
    let key = KeyPair::generate().unwrap();
    let spec = DeviceSpec::new(DEVICE);
    let mut till = Till::register_at(&url, &ca_pem, &spec, key, clock).await;
    let (second, first_answer) = sell_some(&mut till).await;
    let status = till.get("GetStatus").await;
    child.0.kill().unwrap();
    child.0.wait().unwrap();

    let (_child, url) = started(folder.path());
    till.client = client_at(&ca_pem, Some((&till.certificate, &till.key)));
    till.url = url;
    assert_eq!(lasting(&till.get("GetStatus").await), lasting(&status));
    let again = till.post("SubmitReceipt", &second).await;
    assert_eq!(lasting(&again), lasting(&first_answer));
    till.sell_invoice().await;
}
