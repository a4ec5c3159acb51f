//! A tenant, a store and a till, from the code to the last of the commands that head office has.

use fdms_sandbox::{Call, Fault, FaultKind};
use fiscal_hq::testing::Admin;
use fiscald::ledger::Environment;
use serde_json::{Value, json};
use sync_wire::Environment as Wire;

use super::shop::{Shop, activation_key, agree};
use super::world::World;

/// The till.
pub(crate) const TILL: (Environment, u32) = (Environment::Test, 501);

/// A store that has joined, its daemon at work and its till registered; head office has not enabled it. And its name at
/// head office.
pub(crate) async fn joined<'a>(world: &'a World, admin: &Admin<'_>) -> (Shop<'a>, String) {
    let (store, code) = admin.new_store("Harare").await;
    let device = admin.new_device("test", TILL.1, &store).await;
    assert_eq!(device["state"], "pending");
    world.add_device(TILL.0, TILL.1);
    let mut shop = Shop::new(world, "harare");
    let joined = shop.join(&code).await.unwrap();
    assert_eq!(
        (
            joined.tenant.as_str(),
            joined.store.as_str(),
            joined.rebuilt
        ),
        ("Baobab", "Harare", None)
    );
    assert_eq!(joined.tills.len(), 1);
    assert!(joined.tills[0].next.contains("fiscald register"));
    let again = shop.join(&code).await.unwrap_err();
    assert!(again.to_string().contains("good once"), "{again}");
    shop.start().await;
    shop.register(TILL, &activation_key(TILL.1), false).await;
    world
        .until("the gate", async || {
            shop.reader().hq().unwrap().unwrap().wanted.revision > 0
        })
        .await;
    shop.drain().await;
    (shop, store)
}

/// Enabled as a person does it: health looked at, one controlled submission, then the gate.
pub(crate) async fn enable(world: &World, admin: &Admin<'_>, shop: &Shop<'_>) {
    let ordered = submit_test(world, admin).await;
    assert_eq!(ordered["command"]["status"], "done", "{ordered}");
    shop.drain().await;
    let health = admin.get("/fdms_health").await;
    assert_eq!(health["environments"][0]["line"], "up", "{health}");
    let version = json!({ "version": admin.version().await });
    let enabled = admin.post("/fiscal_profile/enable", version).await;
    assert_eq!(enabled["enabled"], true);
    opened(world, shop, Wire::Test).await;
}

/// Waits until a gate is open in the store.
pub(crate) async fn opened(world: &World, shop: &Shop<'_>, environment: Wire) {
    world
        .until("the open gate", async || {
            let wanted = shop.reader().hq().unwrap().unwrap().wanted;
            let mut gates = wanted.gates.iter();
            gates.any(|gate| gate.environment == environment && gate.enabled)
        })
        .await;
}

async fn submit_test(world: &World, admin: &Admin<'_>) -> Value {
    let body = json!({ "environment": "test", "device_id": TILL.1 });
    let ordered = admin.post("/fiscal_submissions", body).await;
    world.ended(admin, &ordered).await;
    let path = format!(
        "/fiscal_submissions/{}",
        ordered["command_id"].as_str().unwrap()
    );
    world
        .until("FDMS's word on the test receipt", async || {
            admin.get(&path).await["job"]["status"] == "done"
        })
        .await;
    admin.get(&path).await
}

/// The job of a receipt at head office.
pub(crate) async fn job(admin: &Admin<'_>, environment: &str, device: u32, number: u32) -> Value {
    let client = admin.test.database.connect("postgres").await;
    let row = client
        .query_opt(
            "SELECT status, reason, code FROM fdms_retry_jobs WHERE tenant_id = $1 AND environment = $2
               AND device_id = $3 AND number = $4 AND kind = 'submit_receipt'",
            &[
                &admin.tenant.0,
                &environment,
                &i32::try_from(device).unwrap(),
                &i32::try_from(number).unwrap(),
            ],
        )
        .await
        .unwrap();
    row.map_or(Value::Null, |row| {
        json!({ "status": row.get::<_, String>(0), "reason": row.get::<_, Option<String>>(1),
            "code": row.get::<_, Option<String>>(2) })
    })
}

/// Waits until a receipt's job is so.
pub(crate) async fn job_is(
    world: &World,
    admin: &Admin<'_>,
    (environment, device): (&str, u32),
    number: u32,
    status: &str,
) {
    world
        .until(status, async || {
            job(admin, environment, device, number).await["status"] == status
        })
        .await;
}

/// A queue's action, done by the store.
async fn queue(world: &World, admin: &Admin<'_>, action: &str, body: Value) {
    let path = format!("/fiscal_submissions/jobs/test/{}/{action}", TILL.1);
    let ordered = admin.post(&path, body).await;
    let ended = world.ended(admin, &ordered).await;
    assert_eq!(ended["command"]["status"], "done", "{action}: {ended}");
}

/// From the code to the first sale: nothing is sold before head office has enabled it, but what it orders itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_code_to_the_first_sale() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    let device = format!("/fiscal_devices/test/{}", TILL.1);
    let state = async |expected: &str| admin.get(&device).await["state"] == expected;
    world
        .until("that the till is registered", async || {
            state("registered").await
        })
        .await;
    agree(&world, &admin, &shop, TILL).await;
    // The gate is closed.
    let (status, refused) = shop.offer(TILL.1, "1").await;
    assert_eq!(refused["code"], "disabled", "{status} {refused}");
    assert_eq!(world.fdms(TILL.0).request_count(TILL.1, Call::OpenDay), 0);
    // The one receipt that passes.
    let followed = submit_test(&world, &admin).await;
    shop.drain().await;
    let states = followed["states"].as_array().unwrap();
    assert_eq!(states.last().unwrap()["state"], "done", "{followed}");
    assert_eq!(followed["command"]["status"], "done");
    assert_eq!(followed["job"]["status"], "done", "{followed}");
    assert_eq!(followed["receipt"]["receipt_global_no"], 1);
    assert_eq!(followed["logs"][0]["outcome"], "accepted");
    agree(&world, &admin, &shop, TILL).await;
    assert_eq!(world.fdms(TILL.0).receipt_count(TILL.1), 1);
    assert!(state("active").await, "it has sold");
    let (_, refused) = shop.offer(TILL.1, "1").await;
    assert_eq!(refused["code"], "disabled", "still closed: {refused}");
    enable(&world, &admin, &shop).await;
    let sold = shop.sell(TILL.1, "1").await;
    assert_eq!(sold.receipt_global_no, 3);
    shop.sell_many(TILL.1, "more-", 5).await;
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}

/// What is refused or paused is a dead letter at head office, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_go_on_from_head_office() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    let refuse = FaultKind::Refuse("RCPT020".to_owned());
    world.fdms(TILL.0).add_fault(Fault {
        device: Some(TILL.1),
        ..Fault::next(Call::SubmitReceipt, refuse)
    });
    let sold = shop.sell(TILL.1, "refused").await;
    let till = ("test", TILL.1);
    job_is(&world, &admin, till, sold.receipt_global_no, "dead_letter").await;
    let letter = job(&admin, "test", TILL.1, sold.receipt_global_no).await;
    assert_eq!(letter["code"], "RCPT020", "{letter}");
    shop.sell(TILL.1, "sold on").await;
    queue(&world, &admin, "retry", json!({})).await;
    job_is(&world, &admin, till, sold.receipt_global_no, "done").await;
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    // Paused by a person.
    queue(
        &world,
        &admin,
        "dead_letter",
        json!({ "reason": "the auditor is here" }),
    )
    .await;
    let paused = shop.sell(TILL.1, "paused").await.receipt_global_no;
    job_is(&world, &admin, till, paused, "dead_letter").await;
    let letter = job(&admin, "test", TILL.1, paused).await;
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .contains("the auditor is here"),
        "{letter}"
    );
    assert_eq!(
        world.fdms(TILL.0).receipt_count(TILL.1),
        usize::try_from(paused).unwrap() - 1
    );
    queue(&world, &admin, "retry", json!({})).await;
    job_is(&world, &admin, till, paused, "done").await;
    shop.drain().await;
    assert_eq!(on_both_sides(&admin, &shop, "dead_letter").await, 1);
    on_both_sides(&admin, &shop, "retry").await;
    let why = "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'command.dead_letter'
        AND after ->> 'reason' = 'the auditor is here'";
    assert_eq!(admin.count(why).await, 1);
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}

/// Asks something of the till, and waits for its end.
async fn ask(world: &World, admin: &Admin<'_>, action: &str) -> Value {
    let path = format!("/fiscal_devices/test/{}/{action}", TILL.1);
    let asked = admin.post(&path, json!({})).await;
    let ended = world.ended(admin, &asked).await;
    assert_eq!(ended["command"]["status"], "done", "{action}: {ended}");
    ended["command"].clone()
}

/// How often a command is in the audit: that it was ordered and done at head office, and as often in the store.
pub(crate) async fn on_both_sides(admin: &Admin<'_>, shop: &Shop<'_>, kind: &str) -> usize {
    let audit = shop.audit();
    let done = format!("{kind} done");
    let told = audit
        .iter()
        .filter(|row| row.starts_with("hq.command ") && row.contains(&done))
        .count();
    assert!(told > 0, "{kind} in the store: {audit:#?}");
    for action in [format!("command.{kind}"), format!("command.{kind}.done")] {
        let sql = format!(
            "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = '{action}'"
        );
        assert_eq!(
            usize::try_from(admin.count(&sql).await),
            Ok(told),
            "{action}"
        );
    }
    told
}

/// Each of the other commands is carried out once, answered, and audited on both sides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_carried_out_once() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    shop.sell(TILL.1, "1").await;
    shop.drain().await;
    let calls = |call| world.fdms(TILL.0).request_count(TILL.1, call);
    let before = [Call::OpenDay, Call::CloseDay, Call::IssueCertificate].map(calls);
    let configs = calls(Call::GetConfig);
    let thumbprint = async || {
        let device = admin.get(&format!("/fiscal_devices/test/{}", TILL.1)).await;
        device["certificate_thumbprint"].clone()
    };
    let old = thumbprint().await;
    ask(&world, &admin, "refresh_config").await;
    assert!(calls(Call::GetConfig) > configs);
    let closed = ask(&world, &admin, "close_day").await;
    assert_eq!(closed["number"], 1);
    shop.drain().await;
    let opened = ask(&world, &admin, "open_day").await;
    assert_eq!(opened["number"], 2);
    shop.drain().await;
    ask(&world, &admin, "renew_certificate").await;
    assert_eq!(
        [Call::OpenDay, Call::CloseDay, Call::IssueCertificate].map(calls),
        before.map(|count| count + 1),
    );
    world
        .until("the new certificate at head office", async || {
            thumbprint().await != old
        })
        .await;
    upload_log(&world, &admin, &store).await;
    shop.sell(TILL.1, "2").await;
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    for kind in [
        "refresh_config",
        "close_day",
        "open_day",
        "renew_certificate",
        "upload_log",
    ] {
        assert_eq!(on_both_sides(&admin, &shop, kind).await, 1, "{kind}");
    }
    on_both_sides(&admin, &shop, "submit_test").await;
    assert_eq!(
        shop.audited("hq.command"),
        6,
        "these and the controlled submission"
    );
    shop.stop().await;
    shop.verified();
}

async fn upload_log(world: &World, admin: &Admin<'_>, store: &str) {
    tracing::info!("a line to be found in the log");
    let path = format!("/fiscal_devices/stores/{store}/log");
    let asked = admin.post(&path, json!({})).await;
    let ended = world.ended(admin, &asked).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    let lines = ended["log"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.as_str().unwrap().contains("fiscald")),
        "the lines are there: {lines:?}"
    );
}
