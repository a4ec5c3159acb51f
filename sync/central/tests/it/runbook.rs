//! The go-live runbook, acted out step by step, with its own words and names.

use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::command::{CommandOutcome, Order};
use sync_wire::entry::AttemptOutcome;
use sync_wire::state::Gate;

use crate::functions::pair;
use crate::played::{Admin, Store, certificate, till};
use crate::support::{Test, WORKER_SECRET};

/// What the open alerts of this kind say, after a turn of the worker.
pub(crate) async fn told(test: &Test, admin: &Admin<'_>, kind: &str) -> Vec<String> {
    fdms_worker(test).await;
    let open = admin.get("/alerts?state=open").await;
    let rows = open["rows"].as_array().unwrap().iter();
    let mut told: Vec<String> = rows
        .filter(|row| row["kind"] == kind)
        .map(|row| row["detail"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    told
}

/// One turn of the worker, as a scheduler calls it.
pub(crate) async fn fdms_worker(test: &Test) -> Value {
    let request = test
        .http
        .post(test.url("/fdms_worker"))
        .bearer_auth(WORKER_SECRET);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// Another tenant that has a store: the control of the isolation check.
pub(crate) async fn control(test: &Test) {
    let other = Admin::of_new(test, "Control").await;
    other.new_store("Elsewhere").await;
}

async fn proved(admin: &Admin<'_>, step: &str) {
    let (state, missing) = admin.step(step).await;
    assert_eq!(state, "proved", "{step}: {missing}");
}

async fn missing(admin: &Admin<'_>, step: &str, why: &str) {
    let (state, missing) = admin.step(step).await;
    assert_eq!(state, "missing", "{step}");
    assert!(missing.contains(why), "{step}: {missing}");
}

async fn credential(
    admin: &Admin<'_>,
    shop: &mut Store<'_>,
    environment: Environment,
    device: u32,
) {
    let (certificate, key) = pair(device);
    let label = format!("{environment}, issued by ZIMRA in May");
    let upload = json!({ "environment": environment, "device_id": device, "label": label,
        "certificate": certificate, "key": key });
    let made = admin.post("/fiscal_credentials", upload).await;
    let version = made["version"].as_i64().unwrap();
    admin
        .post(
            &format!("/fiscal_credentials/{environment}/{device}/{version}/activate"),
            json!({}),
        )
        .await;
    shop.sync().await;
    let command = shop.command("deliver_credential");
    shop.add(
        till(environment, device),
        self::certificate(made["thumbprint"].as_str().unwrap()),
    );
    shop.done(&command, CommandOutcome::Done, None);
    shop.sync().await;
}

const TEST: u32 = 37_367;
const PROD: u32 = 37_368;

/// Tenant Onboarding Checklist (Test).
async fn onboard<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    // 1. Collect client pack. 2. Configure tenant profile; keep `enabled=false`.
    missing(admin, "onboarding.1", "the taxpayer's TIN").await;
    let saved = admin.save_profile(json!({})).await;
    let review = json!({ "version": saved["version"] });
    let profile = admin.post("/fiscal_profile/review", review).await;
    assert_eq!(profile["enabled"], false);
    missing(admin, "onboarding.1", "the device inventory").await;
    // 4. Register device records, with initial `pending` states.
    let (store, code) = admin.new_store("Harare").await;
    assert_eq!(
        admin.new_device("test", TEST, &store).await["state"],
        "pending"
    );
    for step in [
        "prerequisites.1",
        "prerequisites.2",
        "prerequisites.3",
        "onboarding.1",
        "onboarding.2",
        "onboarding.4",
    ] {
        proved(admin, step).await;
    }
    // 3. Register credentials: uploaded, encrypted, audited.
    missing(admin, "onboarding.3", "the credential of till test 37367").await;
    let mut shop = Store::join(test, &code).await;
    shop.sync().await;
    assert!(shop.wanted.gates.iter().all(|gate| !gate.enabled));
    credential(admin, &mut shop, Environment::Test, TEST).await;
    proved(admin, "onboarding.3").await;
    // 5. Connectivity smoke tests: `fdms_health`, and one controlled `fiscal_submissions` test payload.
    missing(admin, "onboarding.5", "a call of fdms_health").await;
    let health = admin.get("/fdms_health").await;
    assert_eq!(
        (
            &health["environments"][0]["environment"],
            &health["environments"][0]["line"]
        ),
        (&json!("test"), &json!("up"))
    );
    let refused = admin
        .refused(
            "/fiscal_profile/enable",
            json!({ "version": admin.version().await }),
        )
        .await;
    assert!(
        refused.0 == "409 not_proved" && refused.1.contains("onboarding.5"),
        "{}",
        refused.1
    );
    let ordered = admin
        .post(
            "/fiscal_submissions",
            json!({ "environment": "test", "device_id": TEST }),
        )
        .await;
    let path = format!(
        "/fiscal_submissions/{}",
        ordered["command_id"].as_str().unwrap()
    );
    assert_eq!(admin.get(&path).await["states"][0]["state"], "pending");
    shop.sync().await;
    assert_eq!(admin.get(&path).await["states"][1]["state"], "in_flight");
    let command = shop.command("submit_test");
    let number = shop.submit_test(&command);
    shop.sync().await;
    let followed = admin.get(&path).await;
    let states = followed["states"].as_array().unwrap();
    assert_eq!(states.last().unwrap()["state"], "done", "{followed}");
    assert_eq!(
        (
            &followed["job"]["status"],
            &followed["receipt"]["receipt_global_no"]
        ),
        (&json!("done"), &json!(number))
    );
    assert_eq!(followed["logs"][0]["outcome"], "accepted");
    proved(admin, "onboarding.5").await;
    shop
}

/// UAT Signoff.
async fn uat(admin: &Admin<'_>, shop: &mut Store<'_>) {
    let version = admin.version().await;
    let enabled = admin
        .post("/fiscal_profile/enable", json!({ "version": version }))
        .await;
    assert_eq!(
        (&enabled["enabled"], &enabled["environment"]),
        (&json!(true), &json!("test"))
    );
    shop.sync().await;
    let open = shop
        .wanted
        .gates
        .iter()
        .find(|gate| gate.environment == Environment::Test);
    assert!(open.is_some_and(|gate| gate.enabled));
    // open day (it is since the controlled submission) → submit test receipts → close day
    missing(admin, "uat.1", "whose close it has confirmed").await;
    let which = till(Environment::Test, TEST);
    shop.sell(which, 11_500);
    shop.send(which, AttemptOutcome::Accepted);
    admin
        .post(&format!("/fiscal_devices/test/{TEST}/close_day"), json!({}))
        .await;
    shop.sync().await;
    let command = shop.command("close_day");
    shop.close_day(which);
    shop.done(&command, CommandOutcome::Done, Some(1));
    shop.sync().await;
    proved(admin, "uat.1").await;
    proved(admin, "uat.2").await;
    // Confirm tenant isolation by querying another tenant as control.
    missing(admin, "uat.3", "another tenant as control").await;
    let found = admin
        .post("/fiscal_profile/checklist/isolation", json!({}))
        .await;
    assert_eq!(
        (&found["held"], &found["rows_seen"], &found["write_refused"]),
        (&json!(true), &json!(0), &json!(true))
    );
    assert!(found["control_rows"].as_i64().unwrap() > 1);
    proved(admin, "uat.3").await;
}

/// Production Cutover.
async fn cut_over(test: &Test, admin: &Admin<'_>, shop: &mut Store<'_>) {
    let refused = |body| admin.refused("/fiscal_profile/cut_over", body);
    let version = admin.version().await;
    let (code, why) = refused(json!({ "version": version })).await;
    assert!(
        code == "409 not_proved" && why.contains("prerequisites.4") && why.contains("cutover.1"),
        "{why}"
    );
    fdms_worker(test).await;
    proved(admin, "prerequisites.4").await;
    // 1. Freeze tenant POS release window.
    let frozen =
        json!({ "freeze_from": "2026-05-28T05:00:00Z", "freeze_until": "2026-05-29T05:00:00Z" });
    admin.save_profile(frozen).await;
    proved(admin, "cutover.1").await;
    // 2. Rotate/upload production credentials with `environment=prod` and set active.
    missing(
        admin,
        "cutover.2",
        "a production till on the cashier machine Till 1",
    )
    .await;
    admin.new_device("prod", PROD, &shop.id.to_string()).await;
    missing(
        admin,
        "cutover.2",
        "an active credential of till prod 37368",
    )
    .await;
    credential(admin, shop, Environment::Prod, PROD).await;
    proved(admin, "cutover.2").await;
    // 3. Switch fiscal profile environment to `prod`.
    let version = admin.version().await;
    assert_eq!(
        refused(json!({ "version": version - 1 })).await.0,
        "409 stale"
    );
    let cut = admin
        .post("/fiscal_profile/cut_over", json!({ "version": version }))
        .await;
    assert_eq!(
        (&cut["environment"], &cut["enabled"]),
        (&json!("prod"), &json!(false))
    );
    shop.sync().await;
    let to = shop
        .wanted
        .switches
        .iter()
        .find(|switch| switch.from == till(Environment::Test, TEST));
    assert_eq!(to.unwrap().to, Some(till(Environment::Prod, PROD)));
    // 4. Enable `tenant_fiscal_profiles.enabled=true`.
    missing(admin, "cutover.4", "not enabled").await;
    let enable = json!({ "version": cut["version"] });
    assert_eq!(
        admin.post("/fiscal_profile/enable", enable).await["enabled"],
        true
    );
    shop.sync().await;
    // 5. Run first production health check and first monitored submission.
    missing(admin, "cutover.5", "fdms_health").await;
    assert_eq!(
        admin.get("/fdms_health").await["environments"][1]["line"],
        "up"
    );
    let which = till(Environment::Prod, PROD);
    shop.open_day(which);
    shop.sell(which, 2_300);
    shop.send(which, AttemptOutcome::Accepted);
    shop.sync().await;
    for step in [
        "cutover.1",
        "cutover.2",
        "cutover.3",
        "cutover.4",
        "cutover.5",
    ] {
        proved(admin, step).await;
    }
    assert_eq!(admin.step("rollback.1").await.0, "not_applicable");
}

/// A tenant of which everything is proved that a cut-over waits for.
pub(crate) async fn ready_to_cut_over<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    control(test).await;
    let mut shop = onboard(test, admin).await;
    uat(admin, &mut shop).await;
    fdms_worker(test).await;
    let frozen =
        json!({ "freeze_from": "2026-05-28T05:00:00Z", "freeze_until": "2026-05-29T05:00:00Z" });
    admin.save_profile(frozen).await;
    admin.new_device("prod", PROD, &shop.id.to_string()).await;
    credential(admin, &mut shop, Environment::Prod, PROD).await;
    shop
}

/// Rollback.
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn roll_back(admin: &Admin<'_>, shop: &mut Store<'_>) {
    let which = till(Environment::Prod, PROD);
    for cents in [500, 600] {
        shop.sell(which, cents);
    }
    shop.attempt(
        which,
        (sync_wire::entry::AttemptKind::SubmitReceipt, 1, 2),
        AttemptOutcome::Later,
    );
    shop.sync().await;
    let reason = "FDMS refuses the VAT number";
    let version = admin.version().await;
    let done = admin
        .post(
            "/fiscal_profile/rollback",
            json!({ "version": version, "reason": reason }),
        )
        .await;
    assert_eq!(
        (&done["tills"], &done["dead_letter"]),
        (&json!(1), &json!(1))
    );
    // `enabled=false`, environment back to `test`.
    assert_eq!(
        (
            &done["profile"]["enabled_prod"],
            &done["profile"]["environment"]
        ),
        (&json!(false), &json!("test"))
    );
    // The reason in `fdms_devices.last_error` and `fdms_submission_logs.error_message`.
    let device = admin.get(&format!("/fiscal_devices/prod/{PROD}")).await;
    assert_eq!(device["last_error"], reason);
    let logs = admin
        .get("/fiscal_submissions?environment=prod&outcome=paused")
        .await;
    assert_eq!(
        (
            &logs["rows"][0]["error_message"],
            &logs["rows"][0]["number"]
        ),
        (&json!(reason), &json!(2))
    );
    // `fdms_retry_jobs.status='dead_letter'` with reason.
    let jobs = admin
        .get("/fiscal_submissions/jobs?environment=prod&status=dead_letter")
        .await;
    assert_eq!(
        (&jobs["rows"][0]["reason"], &jobs["rows"][0]["code"]),
        (&json!(reason), &json!("paused"))
    );
    for step in ["rollback.1", "rollback.2", "rollback.3", "rollback.4"] {
        proved(admin, step).await;
    }
    // The store is told all of it: the queue is paused, the gate is closed, new sales go back.
    shop.sync().await;
    let Order::DeadLetter {
        reason: told,
        till: paused,
    } = shop.command("dead_letter").order
    else {
        panic!()
    };
    assert_eq!((told.as_str(), paused), (reason, which));
    let closed = Gate {
        environment: Environment::Prod,
        enabled: false,
        reason: reason.to_owned(),
    };
    assert!(shop.wanted.gates.contains(&closed), "{:?}", shop.wanted);
    let back = shop
        .wanted
        .switches
        .iter()
        .find(|switch| switch.from == which)
        .unwrap();
    assert_eq!(back.to, Some(till(Environment::Test, TEST)));
    // Nothing is lost: the receipts wait in their place.
    assert_eq!(
        admin
            .get("/fiscal_submissions/receipts?environment=prod")
            .await["rows"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    shop.park(which, reason);
    shop.sync().await;
    proved(admin, "rollback.2").await;
    proved(admin, "rollback.3").await;
    let again = admin.refused(
        "/fiscal_profile/rollback",
        json!({ "version": admin.version().await, "reason": reason }),
    );
    assert_eq!(again.await.0, "409 conflict");
}

#[tokio::test]
async fn the_runbook_from_end_to_end() {
    let test = Test::start().await;
    control(&test).await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = onboard(&test, &admin).await;
    uat(&admin, &mut shop).await;
    cut_over(&test, &admin, &mut shop).await;
    roll_back(&admin, &mut shop).await;
    // Operational Controls.
    for step in ["operation.1", "operation.2", "operation.3", "operation.4"] {
        proved(&admin, step).await;
    }
    // All of it is in `fdms_audit_logs`, and the evidence of each step is kept from when it was first proved.
    for action in [
        "profile.write",
        "profile.review",
        "store.create",
        "store.code",
        "device.create",
        "credential.upload",
        "credential.activate",
        "health.check",
        "command.submit_test",
        "profile.enable",
        "command.close_day",
        "isolation.check",
        "profile.cut_over",
        "profile.rollback",
        "device.pause",
        "command.dead_letter",
    ] {
        let sql = format!(
            "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = '{action}'"
        );
        assert!(admin.count(&sql).await > 0, "{action}");
    }
    let kept = admin
        .count("SELECT count(*) FROM go_live_steps WHERE tenant_id = $1")
        .await;
    assert_eq!(kept, 25);
    let list = admin.get("/fiscal_profile/checklist").await;
    let first = list["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["step"] == "cutover.5")
        .unwrap();
    assert_eq!(
        (
            &first["state"],
            first["first_evidence"]["fdms_submission_logs"]["device_id"].as_i64()
        ),
        (&json!("missing"), Some(i64::from(PROD)))
    );
    // Cut over again once the reason is gone: it takes the evidence again, and works.
    admin
        .post(
            &format!("/fiscal_submissions/jobs/prod/{PROD}/retry"),
            json!({}),
        )
        .await;
    let both = json!({ "version": admin.version().await, "enable": true });
    let cut = admin.post("/fiscal_profile/cut_over", both).await;
    assert_eq!(
        (&cut["environment"], &cut["enabled"]),
        (&json!("prod"), &json!(true))
    );
    assert_eq!(admin.step("rollback.1").await.0, "not_applicable");
    let (status, document) = admin.ask(Method::GET, "/fiscal_profile", None).await;
    assert_eq!((status, &document["enabled_prod"]), (200, &json!(true)));
}
