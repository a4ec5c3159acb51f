//! Stores that are given up: one that is done with its work, and one whose machine was stolen.

use fiscal_hq::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::enrol::Enrol;
use sync_wire::entry::AttemptOutcome;
use sync_wire::seal::SealKey;
use uuid::Uuid;

use crate::people::{Asker, send};
use crate::played::{Admin, Store, certificate, till};
use crate::runbook::fdms_worker;
use crate::seed;
use crate::support::Test;

const DEVICE: u32 = 42;

/// A store with an open day and a receipt that waits, a command on its way, a code, and an alert that does not end by itself.
async fn at_work<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", DEVICE, &store).await;
    let mut shop = Store::join(test, &code).await;
    let which = till(Environment::Test, DEVICE);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    shop.sell(which, 100);
    shop.sync().await;
    let log = format!("/fiscal_devices/stores/{store}/log");
    admin.post(&log, json!({})).await;
    let sql = test.database.connect("postgres").await;
    sql.execute(
        "INSERT INTO alerts (tenant_id, alert_id, kind, subject, severity, store_id, detail, since)
         VALUES ($1, $2, 'fork', 'a fork', 'warning', $3, 'its ledger was put back', now())",
        &[&admin.tenant.0, &Uuid::new_v4(), &shop.id],
    )
    .await
    .unwrap();
    shop
}

fn path(shop: &Store<'_>) -> String {
    format!("/fiscal_devices/stores/{}/retire", shop.id)
}

/// What the store hears when it shows its secret.
async fn shown(test: &Test, shop: &Store<'_>) -> (u16, String) {
    let asked = test.http.post(test.url("/sync")).bearer_auth(&shop.secret);
    let answer = asked.body("{}").send().await.unwrap();
    let status = answer.status().as_u16();
    let problem: Value = answer.json().await.unwrap();
    (status, problem["detail"].as_str().unwrap().to_owned())
}

/// A store that has work to do is not retired by mistake; who may not, and another company, do not retire it at all.
#[tokio::test]
async fn a_store_at_work_is_not_retired() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let shop = at_work(&test, &admin).await;
    let why = json!({ "reason": "the shop is closed" });
    let (code, told) = admin.refused(&path(&shop), why.clone()).await;
    assert_eq!(code, "409 conflict");
    for words in [
        "fiscal day 1 of till test 42 is open",
        "of till test 42, waiting for FDMS: 1",
        "lost",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let (code, _) = admin.refused(&path(&shop), json!({})).await;
    assert!(
        code.starts_with("422 ") || code.starts_with("400 "),
        "{code}"
    );
    let (code, _) = admin.refused(&path(&shop), json!({ "reason": "" })).await;
    assert_eq!(code, "422 invalid");
    let operator = Admin::of(&test, admin.tenant, Role::Operator).await;
    let (code, _) = operator.refused(&path(&shop), why.clone()).await;
    assert_eq!(code, "403 forbidden");
    let stranger = Admin::of_new(&test, "Stranger").await;
    let lost = json!({ "reason": "mine now", "lost": true });
    let (code, _) = stranger.refused(&path(&shop), lost).await;
    assert_eq!(code, "404 not_found");
    let stands = "SELECT count(*) FROM stores WHERE tenant_id = $1 AND retired_at IS NULL AND key_hash IS NOT NULL";
    assert_eq!(admin.count(stands).await, 1);
}

/// A store that is done: its secret, codes, commands and alerts end with it, what it has sent stays.
#[tokio::test]
async fn a_store_that_is_done_is_retired() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = at_work(&test, &admin).await;
    let which = till(Environment::Test, DEVICE);
    shop.send(which, AttemptOutcome::Accepted);
    shop.close_day(which);
    shop.sync().await;
    let command = shop.command("upload_log");
    let codes = format!("/fiscal_devices/stores/{}/code", shop.id);
    let code = admin.post(&codes, json!({})).await;
    fdms_worker(&test).await;
    assert_eq!(shown(&test, &shop).await.0, 422, "it is known");
    let why = json!({ "reason": "the shop is closed" });
    let ended = admin.post(&path(&shop), why.clone()).await;
    assert_eq!(
        (&ended["tills"], &ended["dead_letter"], &ended["commands"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert_eq!(ended["codes"], 1);
    assert!(ended["alerts"].as_u64().unwrap() >= 1, "{ended}");
    let (status, told) = shown(&test, &shop).await;
    assert!(status == 401 && told.contains("was retired"), "{told}");
    // The code that was made before is good no more, and none is made.
    let (_, public) = SealKey::new().unwrap();
    let enrol = Enrol {
        protocol: sync_wire::VERSION,
        code: code["code"].as_str().unwrap().to_owned(),
        seal_key: public,
        version: "0.1.0".to_owned(),
        tills: Vec::new(),
    };
    let asked = test.http.post(test.url("/sync/enrol")).json(&enrol);
    assert_eq!(asked.send().await.unwrap().status(), 409);
    let good = "SELECT count(*) FROM enrolment_codes WHERE tenant_id = $1 AND used_at IS NULL AND expires_at > '2026-05-28T06:00:00Z'";
    assert_eq!(admin.count(good).await, 0);
    for (path, body) in [
        (codes, json!({})),
        (format!("/fiscal_devices/stores/{}/log", shop.id), json!({})),
        (path(&shop), why),
        ("/fiscal_devices/test/42/open_day".to_owned(), json!({})),
        (
            "/fiscal_submissions/jobs/test/42/retry".to_owned(),
            json!({}),
        ),
    ] {
        let (code, told) = admin.refused(&path, body).await;
        assert!(
            code == "409 conflict" && told.contains("retired"),
            "{path}: {told}"
        );
    }
    let followed = admin
        .get(&format!("/fiscal_submissions/{}", command.id))
        .await;
    assert_eq!(
        (
            &followed["command"]["status"],
            &followed["command"]["detail"]
        ),
        (&json!("expired"), &json!("the store was retired"))
    );
    let device = admin.get("/fiscal_devices/test/42").await;
    assert_eq!(device["state"], "retired");
    let stores = admin.get("/fiscal_devices/stores").await;
    assert!(!stores[0]["retired_at"].is_null(), "{stores}");
    test.clock
        .advance(std::time::Duration::from_secs(3 * 86_400));
    fdms_worker(&test).await;
    assert_eq!(admin.get("/alerts?state=open").await["rows"], json!([]));
    let receipts = admin.get("/fiscal_submissions/receipts").await;
    assert_eq!(receipts["rows"].as_array().unwrap().len(), 1);
    for action in ["store.retire", "device.retired"] {
        let sql = format!(
            "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = '{action}'"
        );
        assert_eq!(admin.count(&sql).await, 1, "{action}");
    }
}

/// A stolen machine: what it had not sent is given up, with the reason, and troubles nobody for ever.
#[tokio::test]
async fn a_stolen_store_is_shut_out() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let shop = at_work(&test, &admin).await;
    let lost = json!({ "reason": "stolen on Friday, reported to the police", "lost": true });
    let ended = admin.post(&path(&shop), lost).await;
    assert_eq!(
        (&ended["tills"], &ended["dead_letter"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(shown(&test, &shop).await.0, 401);
    let jobs = admin
        .get("/fiscal_submissions/jobs?status=dead_letter")
        .await;
    let reason = jobs["rows"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("stolen on Friday"), "{jobs}");
    test.clock
        .advance(std::time::Duration::from_secs(3 * 86_400));
    fdms_worker(&test).await;
    assert_eq!(admin.get("/alerts?state=open").await["rows"], json!([]));
    assert_eq!(admin.step("operation.1").await.0, "proved");
    let summary = "SELECT dead_letters::bigint FROM tenant_summaries WHERE tenant_id = $1";
    assert_eq!(admin.count(summary).await, 0);
    let audited = "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'store.retire'
        AND after->>'lost' = 'true' AND before->'undone'->>0 = 'fiscal day 1 of till test 42 is open'";
    assert_eq!(admin.count(audited).await, 1);
}

/// The store's page offers it, to those who may, as long as there is something to retire.
#[tokio::test]
async fn the_page_offers_it_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let shop = at_work(&test, &admin).await;
    let email = "manager@baobab.example";
    seed::person(&test, admin.tenant, email).await;
    let reader = Asker::with_password(&test, email, seed::PASSWORD).await;
    let page = format!("/stores/{}", shop.id);
    let form = format!("action=\"/stores/{}/retire\"", shop.id);
    let before = reader.get(&page).await;
    assert!(before.text.contains(&form), "{}", before.text);
    let posted = reader
        .request(Method::POST, &format!("{page}/retire"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("reason=stolen&lost=1");
    let posted = send(posted).await;
    assert!(posted.status == 303, "{} {}", posted.status, posted.text);
    let after = reader.get(&page).await;
    assert!(
        after.text.contains("This store was retired on") && !after.text.contains(&form),
        "{}",
        after.text
    );
}
