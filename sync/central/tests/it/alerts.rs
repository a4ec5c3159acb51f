//! Alerts that only some companies ever see: each begins when what it is about begins, says what it is, and ends with it.

use std::time::Duration;

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sync_wire::Environment;
use sync_wire::command::CommandOutcome;
use sync_wire::entry::CertificateUsed;

use crate::functions::pair;
use crate::played::{Admin, Store, certificate, till};
use crate::runbook::fdms_worker;
use crate::support::Test;
use crate::worker::{open, shop};

const DAY: Duration = Duration::from_secs(86_400);

/// A turn of the worker; how many alerts began and ended in it.
async fn turn(test: &Test) -> (i64, i64) {
    let turn = fdms_worker(test).await;
    assert_eq!(turn["failed"], 0, "{turn}");
    let number = |name: &str| turn[name].as_i64().unwrap();
    (number("began"), number("ended"))
}

/// The open alert of a kind.
async fn alert(admin: &Admin<'_>, kind: &str) -> Value {
    let alerts = admin.get("/alerts?state=open").await;
    let mut rows = alerts["rows"].as_array().unwrap().iter();
    let found = rows.find(|row| row["kind"] == kind);
    found
        .unwrap_or_else(|| panic!("no {kind}: {alerts}"))
        .clone()
}

fn detail(alert: &Value) -> &str {
    alert["detail"].as_str().unwrap()
}

/// A store whose ledger takes no writes: a fault at once, with the store's own words, until it writes again.
#[tokio::test]
async fn a_store_that_cannot_write_is_told() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    assert_eq!(turn(&test).await, (0, 0));
    shop.fault = Some("the disk is full".to_owned());
    test.clock.advance(Duration::from_secs(1));
    shop.sync().await;
    assert_eq!(turn(&test).await, (1, 0));
    let told = alert(&admin, "store_fault").await;
    assert_eq!(
        (&told["severity"], &told["store_id"]),
        (&json!("fault"), &json!(shop.id)),
        "{told}"
    );
    assert!(detail(&told).contains("Harare"), "{told}");
    assert!(detail(&told).contains("the disk is full"), "{told}");
    assert_eq!(admin.get("/fdms_health").await["overall"], "fault");
    // The same fault is not another alert; other words are told in it.
    shop.fault = Some("the disk is read-only".to_owned());
    test.clock.advance(Duration::from_secs(1));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 0));
    let told = alert(&admin, "store_fault").await;
    assert!(detail(&told).contains("read-only"), "{told}");
    shop.fault = None;
    test.clock.advance(Duration::from_secs(1));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 1));
    assert_eq!(open(&admin).await, [""; 0]);
}

/// A certificate as a store tells of it when it begins to use it.
fn used(pem: &str) -> CertificateUsed {
    let (_, parsed) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let digest = Sha1::digest(&parsed.contents);
    CertificateUsed {
        certificate: pem.to_owned(),
        thumbprint: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        public_key: "a2V5".to_owned(),
    }
}

/// A key that is in use for longer than the company's policy allows is told, till by till, until another one is used.
#[tokio::test]
async fn an_old_key_is_told() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let which = till(Environment::Test, 42);
    shop.close_day(which);
    shop.tell(Some(which), "certificate.used", &used(&pair(42).0));
    shop.sync().await;
    let policy = json!({ "rotation_days": 30 });
    let (status, _) = admin
        .ask(
            reqwest::Method::PUT,
            "/fiscal_credentials/policy",
            Some(policy),
        )
        .await;
    assert_eq!(status, 200);
    test.clock.advance(30 * DAY - Duration::from_secs(60));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 0));
    test.clock.advance(Duration::from_secs(120));
    shop.sync().await;
    assert_eq!(turn(&test).await, (1, 0));
    let told = alert(&admin, "rotation").await;
    assert_eq!(
        (&told["severity"], &told["device_id"]),
        (&json!("warning"), &json!(42)),
        "{told}"
    );
    assert!(detail(&told).contains("30 days of your policy"), "{told}");
    assert_eq!(turn(&test).await, (0, 0));
    shop.tell(Some(which), "certificate.used", &used(&pair(42).0));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 1));
    assert_eq!(open(&admin).await, [""; 0]);
}

/// What a store was not there in time for is told for a day: given up here, because the store came back too late, or by
/// the store, which has it and did not begin it. Before that it is one that nobody answers.
#[tokio::test]
async fn a_command_that_came_too_late_is_told() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let which = till(Environment::Test, 42);
    shop.close_day(which);
    shop.sync().await;
    let path = "/fiscal_devices/test/42/refresh_config";
    admin.post(path, json!({})).await;
    shop.sync().await;
    let taken = shop.command("refresh_config");
    admin.post(path, json!({})).await;
    test.clock.advance(8 * DAY);
    turn(&test).await;
    let stuck = ["command_stuck", "command_stuck", "silent_store"];
    assert_eq!(open(&admin).await, stuck);
    // The store is back: what it had not taken is given up, what it has it answers itself.
    shop.done(&taken, CommandOutcome::Expired, None);
    shop.sync().await;
    assert!(shop.commands.is_empty(), "it comes too late");
    assert_eq!(turn(&test).await, (2, 3));
    assert_eq!(open(&admin).await, ["command_expired", "command_expired"]);
    let told = alert(&admin, "command_expired").await;
    assert!(
        detail(&told).contains("Harare") && detail(&told).contains("order it again"),
        "{told}"
    );
    assert_eq!(
        (&told["severity"], &told["device_id"]),
        (&json!("warning"), &json!(42))
    );
    test.clock.advance(DAY + Duration::from_secs(1));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 2));
    assert_eq!(open(&admin).await, [""; 0]);
}

/// A blocked till is told as long as it is blocked, with the reason; one that no store has told of yet too.
#[tokio::test]
async fn a_blocked_till_is_told_until_it_is_free() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    for device in [42, 43] {
        admin.new_device("test", device, &store).await;
    }
    let mut shop = Store::join(&test, &code).await;
    shop.add(till(Environment::Test, 42), certificate("ab"));
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 0));
    let act = async |device: u32, action: &str| {
        let path = format!("/fiscal_devices/test/{device}/{action}");
        admin
            .post(&path, json!({ "reason": "stolen on Friday" }))
            .await
    };
    act(42, "block").await;
    act(43, "block").await;
    shop.sync().await;
    assert_eq!(turn(&test).await, (2, 0));
    assert_eq!(open(&admin).await, ["till_blocked", "till_blocked"]);
    let told = alert(&admin, "till_blocked").await;
    assert!(detail(&told).contains("stolen on Friday"), "{told}");
    let health = admin.get("/fdms_health").await;
    assert_eq!(health["findings"].as_array().unwrap().len(), 2, "{health}");
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 0), "it lasts, and is told once");
    act(42, "unblock").await;
    shop.sync().await;
    assert_eq!(turn(&test).await, (0, 1));
    let lasts = alert(&admin, "till_blocked").await;
    assert_eq!(lasts["device_id"], 43);
    act(43, "unblock").await;
    assert_eq!(turn(&test).await, (0, 1));
    assert_eq!(open(&admin).await, [""; 0]);
    let ended = admin.get("/alerts?state=ended").await;
    let rows = ended["rows"].as_array().unwrap().iter();
    let ended: Vec<_> = rows.filter(|row| row["ended_at"].is_string()).collect();
    assert_eq!(ended.len(), 2);
}
