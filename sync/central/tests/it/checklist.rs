//! The checklist: what proves nothing does not count, and a proof that is gone is missing again.

use serde_json::json;
use sync_wire::Environment;
use sync_wire::command::CommandOutcome;
use sync_wire::entry::AttemptOutcome;

use crate::played::{Admin, Store, certificate, till};
use crate::runbook::control;
use crate::support::Test;

const DEVICE: u32 = 42;

/// A tenant with a store and a test till.
async fn begun<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", DEVICE, &store).await;
    let mut shop = Store::join(test, &code).await;
    shop.add(till(Environment::Test, DEVICE), certificate("ab"));
    shop.sync().await;
    shop
}

/// A review counts for what was reviewed; a change that matters takes it away, and with it the right to enable.
#[tokio::test]
async fn a_change_takes_the_review_away() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (refused, _) = admin
        .refused(
            "/fiscal_profile/review",
            json!({ "version": admin.version().await }),
        )
        .await;
    assert_eq!(refused, "409 conflict");
    let saved = admin.save_profile(json!({})).await;
    assert_eq!(admin.step("prerequisites.1").await.0, "missing");
    admin
        .post(
            "/fiscal_profile/review",
            json!({ "version": saved["version"] }),
        )
        .await;
    assert_eq!(admin.step("prerequisites.1").await.0, "proved");
    admin.save_profile(json!({ "tin": "2000999999" })).await;
    let (state, missing) = admin.step("prerequisites.1").await;
    assert!(
        state == "missing" && missing.contains("reviewed"),
        "{missing}"
    );
    assert_eq!(
        admin.get("/fiscal_profile/checklist").await["may_enable_test"],
        false
    );
}

/// A test submission counts once FDMS has accepted its receipt: not when it is ordered, and not when it has failed.
#[tokio::test]
async fn a_submission_counts_when_fdms_has_it() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = begun(&test, &admin).await;
    admin.get("/fdms_health").await;
    let order = json!({ "environment": "test", "device_id": DEVICE });
    admin.post("/fiscal_submissions", order.clone()).await;
    shop.sync().await;
    let command = shop.command("submit_test");
    shop.done(&command, CommandOutcome::Failed, None);
    shop.sync().await;
    let (state, missing) = admin.step("onboarding.5").await;
    assert!(
        state == "missing" && missing.contains("controlled") && !missing.contains("fdms_health"),
        "{missing}"
    );
    // Done at the store, refused by FDMS.
    let which = till(Environment::Test, DEVICE);
    admin.post("/fiscal_submissions", order.clone()).await;
    shop.sync().await;
    let command = shop.command("submit_test");
    shop.open_day(which);
    let number = shop.sell(which, 100);
    shop.send(which, AttemptOutcome::Refused);
    shop.done(&command, CommandOutcome::Done, Some(number));
    shop.sync().await;
    assert_eq!(admin.step("onboarding.5").await.0, "missing");
    let path = format!("/fiscal_submissions/{}", command.id);
    let followed = admin.get(&path).await;
    assert_eq!(
        followed["states"].as_array().unwrap().last().unwrap()["state"],
        "dead_letter",
        "{followed}"
    );
    // Accepted in the end.
    shop.send(which, AttemptOutcome::Accepted);
    shop.tills.get_mut(&which).unwrap().parked = None;
    shop.sync().await;
    assert_eq!(admin.step("onboarding.5").await.0, "proved");
}

/// A wall that has fallen is seen: the check really asks for the other tenant's rows.
#[tokio::test]
async fn the_isolation_check_can_fail() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (refused, why) = admin
        .refused("/fiscal_profile/checklist/isolation", json!({}))
        .await;
    assert!(
        refused == "409 conflict" && why.contains("no other tenant"),
        "{why}"
    );
    control(&test).await;
    let held = admin
        .post("/fiscal_profile/checklist/isolation", json!({}))
        .await;
    assert_eq!(held["held"], true);
    let owner = test.database.connect("postgres").await;
    owner
        .batch_execute("ALTER TABLE stores DISABLE ROW LEVEL SECURITY")
        .await
        .unwrap();
    let fallen = admin
        .post("/fiscal_profile/checklist/isolation", json!({}))
        .await;
    assert_eq!(
        (&fallen["held"], &fallen["write_refused"]),
        (&json!(false), &json!(false))
    );
    assert!(fallen["rows_seen"].as_i64().unwrap() > 0);
    let (state, missing) = admin.step("uat.3").await;
    assert!(
        state == "missing" && missing.contains("another tenant"),
        "{missing}"
    );
    // What the check has tried to write is not there.
    let strangers = owner
        .query_one(
            "SELECT count(*) FROM stores WHERE name = 'isolation check'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(strangers.get::<_, i64>(0), 0);
}

/// Dead letters that nobody looks at for a day, credentials that are too old, an audit that was tampered with: each is told.
#[tokio::test]
async fn operational_controls_are_judged_anew() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    admin.save_profile(json!({})).await;
    let mut shop = begun(&test, &admin).await;
    let which = till(Environment::Test, DEVICE);
    shop.open_day(which);
    shop.sell(which, 100);
    shop.send(which, AttemptOutcome::Refused);
    shop.sync().await;
    assert_eq!(admin.step("operation.1").await.0, "proved");
    let owner = test.database.connect("postgres").await;
    owner
        .execute(
            "UPDATE fdms_retry_jobs SET updated_at = updated_at - interval '25 hours'",
            &[],
        )
        .await
        .unwrap();
    let (state, missing) = admin.step("operation.1").await;
    assert!(
        state == "missing" && missing.contains("1 dead letters"),
        "{missing}"
    );
    let dead_letter = format!("/fiscal_submissions/jobs/test/{DEVICE}/dead_letter");
    admin
        .post(&dead_letter, json!({ "reason": "ZIMRA looks at it" }))
        .await;
    assert_eq!(admin.step("operation.1").await.0, "proved");
    assert_eq!(admin.step("operation.2").await.0, "proved");
    owner
        .batch_execute("ALTER TABLE fdms_audit_logs DISABLE TRIGGER ALL; UPDATE fdms_audit_logs SET actor = 'nobody' WHERE audit_no = 2")
        .await
        .unwrap();
    let (state, missing) = admin.step("operation.2").await;
    assert!(
        state == "missing" && missing.contains("do not fit their hash"),
        "{missing}"
    );
}

/// A window that is over is no window: a cut-over is refused by name, whatever was proved before.
#[tokio::test]
async fn a_freeze_is_a_window_that_is_now() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    assert_eq!(admin.step("cutover.1").await.0, "missing");
    let window =
        json!({ "freeze_from": "2026-05-28T05:00:00Z", "freeze_until": "2026-05-28T07:00:00Z" });
    admin.save_profile(window).await;
    assert_eq!(admin.step("cutover.1").await.0, "proved");
    test.clock.advance(std::time::Duration::from_secs(3600));
    let (state, missing) = admin.step("cutover.1").await;
    assert!(
        state == "missing" && missing.contains("not in the declared window"),
        "{missing}"
    );
    let (refused, why) = admin
        .refused(
            "/fiscal_profile/cut_over",
            json!({ "version": admin.version().await }),
        )
        .await;
    assert!(
        refused == "409 not_proved" && why.contains("cutover.1") && why.contains("onboarding.3"),
        "{why}"
    );
}
