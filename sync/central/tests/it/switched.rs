//! Where new sales go: a cut-over waits for every machine, what does not follow is told, a rollback leaves the shop open.

use std::time::Duration;

use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::command::Order;
use sync_wire::entry::AttemptOutcome;
use sync_wire::state::Gate;

use crate::played::{Admin, Store, certificate, till};
use crate::runbook::{fdms_worker, ready_to_cut_over, told};
use crate::support::Test;

const TEST: u32 = 37_367;
const PROD: u32 = 37_368;
/// Another till of the same cashier machine.
const OTHER: u32 = 37_369;

async fn cut_over(admin: &Admin<'_>) {
    let cut = json!({ "version": admin.version().await, "enable": true });
    let cut = admin.post("/fiscal_profile/cut_over", cut).await;
    assert_eq!(cut["enabled"], true);
}

async fn rolled_back(admin: &Admin<'_>) -> Value {
    let back = json!({ "version": admin.version().await, "reason": "FDMS refuses the VAT number" });
    admin.post("/fiscal_profile/rollback", back).await
}

/// Another till on the cashier machine, in the store's ledger.
async fn another(admin: &Admin<'_>, shop: &mut Store<'_>, environment: Environment) {
    admin
        .new_device(environment.as_str(), OTHER, &shop.id.to_string())
        .await;
    shop.add(till(environment, OTHER), certificate("cd"));
    shop.sync().await;
}

async fn block(admin: &Admin<'_>, environment: &str, device: u32) {
    let path = format!("/fiscal_devices/{environment}/{device}/block");
    admin.post(&path, json!({ "reason": "stolen" })).await;
}

async fn not_switched(test: &Test, admin: &Admin<'_>) -> Vec<String> {
    told(test, admin, "not_switched").await
}

/// A machine for which no switch is made keeps the company from cutting over: two test tills, two production tills, a
/// production till that is blocked.
#[tokio::test]
async fn a_cut_over_waits_for_every_machine() {
    for environment in [Environment::Test, Environment::Prod] {
        let test = Test::start().await;
        let admin = Admin::of_new(&test, "Baobab").await;
        let mut shop = ready_to_cut_over(&test, &admin).await;
        assert_eq!(admin.step("cutover.2").await.0, "proved");
        another(&admin, &mut shop, environment).await;
        let (state, missing) = admin.step("cutover.2").await;
        let why = format!("2 tills of the environment {environment}");
        assert!(state == "missing" && missing.contains(&why), "{missing}");
        let cut = json!({ "version": admin.version().await });
        let (code, told) = admin.refused("/fiscal_profile/cut_over", cut).await;
        assert!(code == "409 not_proved" && told.contains(&why), "{told}");
    }
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let _shop = ready_to_cut_over(&test, &admin).await;
    block(&admin, "prod", PROD).await;
    let (state, missing) = admin.step("cutover.2").await;
    let why = format!("its till prod {PROD} is blocked: stolen");
    assert!(state == "missing" && missing.contains(&why), "{missing}");
    let unblock = format!("/fiscal_devices/prod/{PROD}/unblock");
    admin.post(&unblock, json!({})).await;
    assert_eq!(admin.step("cutover.2").await.0, "proved");
}

/// What a store has left out is told with its own reason, until it agrees.
#[tokio::test]
async fn what_a_store_left_out_is_told() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = ready_to_cut_over(&test, &admin).await;
    assert!(not_switched(&test, &admin).await.is_empty());
    cut_over(&admin).await;
    // The store has not heard of it yet.
    assert!(not_switched(&test, &admin).await.is_empty());
    shop.switches = false;
    shop.sync().await;
    let (from, to) = (till(Environment::Test, TEST), till(Environment::Prod, PROD));
    let left_out =
        json!({ "from": from, "to": to, "reason": "new sales would be passed on twice" });
    let applied = json!({ "revision": shop.wanted.revision, "leftOut": [left_out] });
    shop.tell(None, "hq.wanted", &applied);
    shop.sync().await;
    let told = not_switched(&test, &admin).await;
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["till test 37367", "to till prod 37368", "passed on twice"] {
        assert!(told[0].contains(words), "{told:?}");
    }
    // Another decision that is on its way does not end it.
    let machine = json!({ "machine_name": "Till 1", "mode": "online" });
    let path = format!("/fiscal_devices/prod/{PROD}");
    let (status, _) = admin.ask(reqwest::Method::PUT, &path, Some(machine)).await;
    assert_eq!(status, 200);
    assert_eq!(not_switched(&test, &admin).await.len(), 1);
    shop.switches = true;
    for _ in 0..2 {
        test.clock.advance(Duration::from_secs(30));
        shop.sync().await;
    }
    assert!(not_switched(&test, &admin).await.is_empty());
}

/// After the cut-over a second test till on a machine goes on selling in test: that is told, until there is one again.
#[tokio::test]
async fn a_machine_that_stays_in_test_is_told() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = ready_to_cut_over(&test, &admin).await;
    cut_over(&admin).await;
    shop.sync().await;
    shop.sync().await;
    assert!(not_switched(&test, &admin).await.is_empty());
    another(&admin, &mut shop, Environment::Test).await;
    shop.sync().await;
    let told = not_switched(&test, &admin).await;
    assert!(!told.is_empty());
    let why = "2 tills of the environment test";
    assert!(told.iter().all(|told| told.contains(why)), "{told:?}");
    block(&admin, "test", OTHER).await;
    shop.sync().await;
    shop.sync().await;
    assert!(not_switched(&test, &admin).await.is_empty());
}

/// A rollback opens the gate of test, whatever it was, and names the machines that have nowhere to sell.
#[tokio::test]
async fn a_rollback_does_not_stop_the_shop() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = ready_to_cut_over(&test, &admin).await;
    let disable = json!({ "version": admin.version().await, "reason": "the release is frozen" });
    let disabled = admin.post("/fiscal_profile/disable", disable).await;
    assert_eq!(disabled["enabled_test"], false);
    cut_over(&admin).await;
    shop.sync().await;
    let done = rolled_back(&admin).await;
    assert_eq!(
        (&done["profile"]["enabled_test"], &done["stopped"]),
        (&json!(true), &json!([]))
    );
    shop.sync().await;
    let open = Gate {
        environment: Environment::Test,
        enabled: true,
        reason: String::new(),
    };
    assert!(shop.wanted.gates.contains(&open), "{:?}", shop.wanted);
    let audited =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'profile.rollback'
        AND before->>'enabled_test' = 'false' AND after->>'enabled_test' = 'true'";
    assert_eq!(admin.count(audited).await, 1);
    cut_over(&admin).await;
    block(&admin, "test", TEST).await;
    let done = rolled_back(&admin).await;
    let stopped = &done["stopped"][0];
    assert_eq!(
        (&stopped["machine_name"], &stopped["device_ids"]),
        (&json!("Till 1"), &json!([PROD]))
    );
    let reason = stopped["reason"].as_str().unwrap();
    assert!(reason.contains("is blocked: stolen"), "{reason}");
}

/// A store that was away for two days when production was rolled back is told to pause all the same; what nobody expects any
/// more is not done.
#[tokio::test]
async fn a_pause_waits_for_a_store_that_is_away() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = ready_to_cut_over(&test, &admin).await;
    cut_over(&admin).await;
    shop.sync().await;
    let which = till(Environment::Prod, PROD);
    shop.open_day(which);
    shop.sell(which, 500);
    shop.sync().await;
    let open_day = format!("/fiscal_devices/test/{TEST}/open_day");
    admin.post(&open_day, json!({})).await;
    rolled_back(&admin).await;
    test.clock.advance(Duration::from_secs(2 * 86_400));
    fdms_worker(&test).await;
    let open = admin.get("/alerts?state=open").await;
    let rows = open["rows"].as_array().unwrap().iter();
    let stuck = rows.filter(|row| row["kind"] == "command_stuck").count();
    assert_eq!(stuck, 2, "{open}");
    shop.sync().await;
    let pause = shop.command("dead_letter");
    assert!(shop.commands.is_empty(), "{:?}", shop.commands);
    assert!(matches!(&pause.order, Order::DeadLetter { till, .. } if *till == which));
    assert!(pause.expires > test.hq.now().as_millisecond());
    // It sells on meanwhile; and what is let go on later is sent.
    shop.park(which, "FDMS refuses the VAT number");
    shop.done(&pause, sync_wire::command::CommandOutcome::Done, None);
    shop.sync().await;
    let jobs = admin
        .get("/fiscal_submissions/jobs?environment=prod&status=dead_letter")
        .await;
    assert_eq!(jobs["rows"].as_array().unwrap().len(), 1, "{jobs}");
    shop.tills.get_mut(&which).unwrap().parked = None;
    shop.send(which, AttemptOutcome::Accepted);
    shop.sync().await;
    let followed = admin
        .get(&format!("/fiscal_submissions/{}", pause.id))
        .await;
    assert_eq!(followed["command"]["status"], "done");
}
