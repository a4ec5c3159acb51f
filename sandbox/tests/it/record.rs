//! Recorded traffic: what is in it, what is not, and what comes of playing it again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fdms_sandbox::{Call, DeviceChange, DeviceSpec, Fault, FaultKind, OperatingMode, replay};
use serde_json::{Value, json};

use crate::till::{Bench, DEVICE, Till};
use crate::users::described;

/// The lines of a record about requests.
fn exchanges(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|line| line.get("exchange").cloned())
        .collect()
}

/// A device's life with all that can happen on the way: faults, refusals, coloured receipts, a wrong
/// path, a close.
async fn a_life(bench: &Bench) -> Till {
    let key = "wrongkey";
    let wrong = json!({"activationKey": key, "deviceSerialNo": "till-42"});
    let path = format!(
        "{}/Public/v1/42/VerifyTaxpayerInformation",
        bench.sandbox.url()
    );
    let refused = crate::till::post(&bench.stranger(), &path, &wrong)
        .await
        .unwrap();
    assert_eq!(refused.refusal(), "422 DEV02");
    let mut till = bench.till().await;
    till.get("GetConfig").await;
    till.get("GetNothing").await;
    till.get("OpenDay").await;
    till.open_day().await;
    let sold = till.sell_invoice().await;
    for fault in [FaultKind::LoseRequest, FaultKind::LoseAnswer] {
        bench
            .sandbox
            .add_fault(Fault::next(Call::SubmitReceipt, fault));
    }
    let mut receipt = till.credit_note(sold);
    till.sign(&mut receipt);
    let message = json!({"receipt": receipt});
    assert!(till.try_post("SubmitReceipt", &message).await.is_err());
    assert!(till.try_post("SubmitReceipt", &message).await.is_err());
    assert_eq!(till.submit(&receipt).await.findings(), [""; 0]);
    till.goes_on_from(receipt);
    till.post(
        "OpenDay",
        &json!({"fiscalDayOpened": "2026-05-28T09:00:00"}),
    )
    .await;
    bench.clock.advance(Duration::from_secs(60));
    till.renew(bench).await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    bench.sandbox.add_device(DeviceSpec::new(43)).unwrap();
    bench.sandbox.delete_device(43).unwrap();
    till
}

async fn recorded(path: &Path) -> Bench {
    let bench = Bench::build(Bench::new_clock(), |builder| builder.record(path)).await;
    a_life(&bench).await;
    bench
}

/// Every request is in it, with FDMS's answer, the fault that hit it, and no secret.
#[tokio::test]
async fn all_but_secrets_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let bench = recorded(&path).await;
    let all = exchanges(&path);
    let sent: u64 = bench
        .sandbox
        .requests()
        .iter()
        .map(|count| count.count)
        .sum();
    // The wrong path and the wrong method are nobody's call.
    assert_eq!(u64::try_from(all.len()).unwrap(), sent + 2);
    let submitted: Vec<&Value> = all
        .iter()
        .filter(|e| e["call"] == "SubmitReceipt")
        .collect();
    let faults: Vec<&Value> = submitted.iter().map(|e| &e["fault"]).collect();
    assert_eq!(
        json!(faults),
        json!([null, "lose_request", "lose_answer", null])
    );
    assert!(submitted[1]["answer"].is_null(), "it was not processed");
    assert_eq!(submitted[2]["status"], 200);
    let answer: Value = serde_json::from_str(submitted[2]["answer"].as_str().unwrap()).unwrap();
    assert_eq!(answer["operationID"], submitted[2]["operation"]);
    assert_eq!(submitted[0]["device"], DEVICE);
    assert_eq!(submitted[0]["path"], "/Device/v1/42/SubmitReceipt");
    assert_eq!(submitted[0]["headers"]["DeviceModelName"], "Server");
    let statuses: Vec<&Value> = all.iter().map(|e| &e["status"]).collect();
    assert!(statuses.contains(&&json!(404)) && statuses.contains(&&json!(422)));

    let text = std::fs::read_to_string(&path).unwrap();
    for secret in ["00000042", "00000043", "wrongkey"] {
        let quoted = [format!("\"{secret}\""), format!("\\\"{secret}\\\"")];
        assert!(
            !quoted.iter().any(|quoted| text.contains(quoted)),
            "{secret}"
        );
    }
    assert!(text.contains("activationKey"));
}

/// A record and a journal are played on a new world with the same answers.
#[tokio::test]
async fn a_record_is_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let bench = Bench::build(Bench::new_clock(), |builder| {
        builder.record(&path).data_dir(folder.path())
    })
    .await;
    let mut till = a_life(&bench).await;
    // The record goes on over a restart, with the journal's world.
    bench.shutdown.cancel();
    bench.sandbox.stopped().await;
    let clock = std::sync::Arc::clone(&bench.clock);
    drop(bench);
    let again = Bench::build(clock, |builder| {
        builder.record(&path).data_dir(folder.path())
    })
    .await;
    till.move_to(&again.sandbox);
    till.open_day().await;
    till.sell_invoice().await;
    let count = exchanges(&path).len();
    for (file, skipped) in [(path, 1), (folder.path().join("journal.jsonl"), 0)] {
        let played = tokio::task::spawn_blocking(move || replay(&file)).await;
        let played = played.unwrap().unwrap();
        assert_eq!(played.different, None);
        assert_eq!(played.skipped, skipped);
        assert!(played.same >= count - 4, "{played:?} of {count}");
    }
}

/// Users, files and stock are played again too, though passwords and tokens are blanked.
#[tokio::test]
async fn users_files_and_stock_are_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let bench = Bench::build(Bench::new_clock(), |builder| {
        builder.record(&path).data_dir(folder.path())
    })
    .await;
    let mut till = bench.till().await;
    let login = async |till: &Till, password: &str| {
        let body = json!({"userName": "tendai", "password": password});
        till.user_call("Login", None, &body).await.refusal()
    };
    till.user_call("CreateUser", None, &described("tendai"))
        .await;
    assert_eq!(login(&till, "tendai").await, "422 DEV13");
    let token = till.confirmed_user(&bench, "tendai").await;
    assert_eq!(login(&till, "Bread2027").await, "422 DEV11");
    assert_eq!(login(&till, "Bread2026").await, "200");
    let change = json!({"oldPassword": "Bread2026", "newPassword": "Scones2026"});
    let changed = till
        .user_call("ChangePassword", Some(&token), &change)
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(login(&till, "Scones2026").await, "200");

    let goods = r#"[{"hsCode": "19059090", "goodName": "Bread", "quantity": 12.5}]"#;
    let goods: Vec<fdms_sandbox::Good> = serde_json::from_str(goods).unwrap();
    bench.sandbox.set_stock(DEVICE, &goods).unwrap();
    let offline = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, offline).unwrap();
    till.begin_day(1);
    let receipts = vec![till.sold(), till.sold()];
    let mut file = till.file(1, receipts);
    file["footer"] = till.footer();
    assert_eq!(till.send_file(&file).await.status, 200);
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 2);

    let text = std::fs::read_to_string(&path).unwrap();
    for secret in ["Bread2026", "Scones2026", token.as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }
    for file in [path, folder.path().join("journal.jsonl")] {
        let played = tokio::task::spawn_blocking(move || replay(&file)).await;
        let played = played.unwrap().unwrap();
        assert_eq!((played.different, played.skipped), (None, 0));
    }
    // And the journal brings all of it back.
    bench.shutdown.cancel();
    bench.sandbox.stopped().await;
    let before = (bench.sandbox.files(DEVICE), bench.sandbox.devices());
    let (clock, folder_path) = (std::sync::Arc::clone(&bench.clock), folder.path());
    drop(bench);
    let after = Bench::build(clock, |builder| builder.data_dir(folder_path)).await;
    assert_eq!(
        (after.sandbox.files(DEVICE), after.sandbox.devices()),
        before
    );
    till.move_to(&after.sandbox);
    assert_eq!(login(&till, "Scones2026").await, "200");
}

/// The program says where an answer is another one first, and ends with 1; other trouble ends with
/// another message.
#[tokio::test]
async fn the_program_finds_the_first_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    recorded(&path).await;
    let play = || {
        let program = env!("CARGO_BIN_EXE_fdms-sandbox");
        let output = Command::new(program)
            .arg("replay")
            .arg(&path)
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, told) = play();
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("answers as recorded, 1 not compared"),
        "{told}"
    );

    let text = std::fs::read_to_string(&path).unwrap();
    let bent = text.replacen("\\\"fiscalDayNo\\\":1", "\\\"fiscalDayNo\\\":7", 1);
    assert_ne!(bent, text);
    std::fs::write(&path, &bent).unwrap();
    let (code, told) = play();
    assert_eq!(code, Some(1), "{told}");
    let what = "POST /Device/v1/42/OpenDay at 2026-05-28T05:00:00Z: fiscalDayNo: recorded 7, now 1";
    assert!(
        told.contains("record.jsonl: line ") && told.contains(what),
        "{told}"
    );

    let rest: Vec<&str> = text.lines().skip(1).collect();
    std::fs::write(&path, rest.join("\n") + "\n").unwrap();
    let (code, told) = play();
    assert_ne!(code, Some(0));
    assert!(told.contains("line 1 is no start of a sandbox"), "{told}");
}
