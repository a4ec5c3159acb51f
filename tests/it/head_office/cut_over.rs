//! Cut-over to the production till of the same cashier machine, and back.

use std::time::Duration;

use fiscal_hq::testing::{Admin, WORKER_SECRET};
use fiscald::ledger::Environment;
use serde_json::json;
use sync_wire::Environment as Wire;

use super::credential::{delivered, issued};
use super::shop::{Shop, agree, at_fdms, at_hq};
use super::story::{TILL, enable, job_is, joined, opened};
use super::world::World;

/// The production till.
const PROD: (Environment, u32) = (Environment::Production, 601);

/// All that a cut-over waits for.
async fn made_ready(world: &World, admin: &Admin<'_>, shop: &Shop<'_>, store: &str) {
    shop.sell_many(TILL.1, "uat-", 3).await;
    shop.drain().await;
    let close = format!("/fiscal_devices/test/{}/close_day", TILL.1);
    let asked = admin.post(&close, json!({})).await;
    let ended = world.ended(admin, &asked).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    shop.drain().await;
    admin
        .post("/fiscal_profile/checklist/isolation", json!({}))
        .await;
    let turn = world.hq.http.post(world.hq.url("/fdms_worker"));
    let turned = turn.bearer_auth(WORKER_SECRET).send().await.unwrap();
    assert_eq!(turned.status(), 200);
    admin
        .save_profile(json!({ "freeze_from": "2026-05-28T05:00:00Z", "freeze_until": "2026-05-29T05:00:00Z" }))
        .await;
    admin.new_device("prod", PROD.1, store).await;
    let credential = issued(world, shop, PROD).await;
    delivered(world, admin, ("prod", PROD.1), &credential).await;
}

/// Cuts over, and waits until new sales go to production.
async fn cut_over(world: &World, admin: &Admin<'_>, shop: &Shop<'_>) {
    let cut = json!({ "version": admin.version().await, "enable": true });
    let cut = admin.post("/fiscal_profile/cut_over", cut).await;
    assert_eq!(
        (&cut["environment"], &cut["enabled"]),
        (&json!("prod"), &json!(true))
    );
    opened(world, shop, Wire::Prod).await;
}

/// The receipts of the production till at FDMS.
fn in_production(world: &World) -> Vec<u32> {
    at_fdms(world, PROD.0, PROD.1)
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

/// A POS that knows nothing of it sells at the test till, then in production, then at the test till again; what waited for
/// production when that was rolled back arrives there later, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_production_and_back() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    let early = json!({ "version": admin.version().await });
    let (code, why) = admin.refused("/fiscal_profile/cut_over", early).await;
    assert_eq!(code, "409 not_proved", "{why}");
    made_ready(&world, &admin, &shop, &store).await;
    let here = shop.sell(TILL.1, "still a test").await;
    assert_eq!(
        (here.device_id, here.environment.as_str()),
        (TILL.1, "test")
    );
    cut_over(&world, &admin, &shop).await;
    let real = shop.sell(TILL.1, "real").await;
    assert_eq!(
        (
            real.device_id,
            real.environment.as_str(),
            real.receipt_global_no
        ),
        (PROD.1, "production", 1)
    );
    shop.drain().await;
    assert_eq!(in_production(&world), [1]);
    // FDMS is away when production is rolled back.
    world.fdms(PROD.0).set_offline(true);
    shop.sell_many(TILL.1, "waiting-", 3).await;
    job_is(&world, &admin, ("prod", PROD.1), 2, "pending").await;
    let back = json!({ "version": admin.version().await, "reason": "FDMS refuses the VAT number" });
    let rolled = admin.post("/fiscal_profile/rollback", back).await;
    assert_eq!(rolled["tills"], 1, "{rolled}");
    assert_eq!(rolled["profile"]["environment"], "test");
    for command in rolled["commands"].as_array().unwrap() {
        let ended = world.ended(&admin, &json!({ "command_id": command })).await;
        assert_eq!(ended["command"]["status"], "done", "{ended}");
    }
    world
        .until("that new sales go back", async || {
            let wanted = shop.reader().hq().unwrap().unwrap().wanted;
            let mut gates = wanted.gates.iter();
            gates.any(|gate| gate.environment == Wire::Prod && !gate.enabled)
        })
        .await;
    world.fdms(PROD.0).set_offline(false);
    let test = shop.sell(TILL.1, "a test again").await;
    assert_eq!(
        (test.device_id, test.environment.as_str()),
        (TILL.1, "test")
    );
    job_is(&world, &admin, ("prod", PROD.1), 2, "dead_letter").await;
    world.pass(Duration::from_secs(20 * 60)).await;
    assert_eq!(in_production(&world), [1], "nothing is sent");
    assert_eq!(shop.receipts(), at_hq(&admin).await, "nothing is lost");
    // And to production again.
    cut_over(&world, &admin, &shop).await;
    let path = format!("/fiscal_submissions/jobs/prod/{}/retry", PROD.1);
    let retried = admin.post(&path, json!({})).await;
    let ended = world.ended(&admin, &retried).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    assert_eq!(shop.sell(TILL.1, "real again").await.receipt_global_no, 5);
    shop.drain().await;
    assert_eq!(in_production(&world), [1, 2, 3, 4, 5]);
    agree(&world, &admin, &shop, PROD).await;
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}
