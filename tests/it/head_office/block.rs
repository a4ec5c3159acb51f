//! A till that head office blocks.

use std::time::Duration;

use serde_json::json;

use super::shop::agree;
use super::story::{TILL, enable, job_is, joined};
use super::world::World;

/// A till that head office blocks sells nothing and sends nothing, and says why; what waits goes when it is unblocked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_till_stands_still() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    world.fdms(TILL.0).set_offline(true);
    let waits = shop.sell(TILL.1, "waits").await.receipt_global_no;
    let device = format!("/fiscal_devices/test/{}", TILL.1);
    let why = json!({ "reason": "the till was stolen" });
    let blocked = admin.post(&format!("{device}/block"), why).await;
    assert!(blocked["command_id"].is_null(), "{blocked}");
    world
        .until("the block at head office", async || {
            admin.get(&device).await["hold"] == "blocked"
        })
        .await;
    let (status, refused) = shop.offer(TILL.1, "none").await;
    assert_eq!((status, &refused["code"]), (409, &json!("blocked")));
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("the till was stolen"), "{refused}");
    world.fdms(TILL.0).set_offline(false);
    let sent = world.fdms(TILL.0).receipt_count(TILL.1);
    // Neither a person's retry nor time sends anything.
    let retry = format!("/fiscal_submissions/jobs/test/{}/retry", TILL.1);
    let (refused, why) = admin.refused(&retry, json!({})).await;
    assert_eq!(refused, "409 conflict", "{why}");
    world.pass(Duration::from_secs(20 * 60)).await;
    assert_eq!(world.fdms(TILL.0).receipt_count(TILL.1), sent);
    admin.post(&format!("{device}/unblock"), json!({})).await;
    world
        .until("that the till is free", async || {
            admin.get(&device).await["hold"].is_null()
        })
        .await;
    let next = shop.sell(TILL.1, "none").await.receipt_global_no;
    assert_eq!(next, waits + 1);
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}

/// What a person has paused before the block stands still after it, until a person lets it go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unblocking_lifts_no_other_pause() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    world.fdms(TILL.0).set_offline(true);
    let waits = shop.sell(TILL.1, "waits").await.receipt_global_no;
    let jobs = format!("/fiscal_submissions/jobs/test/{}", TILL.1);
    let why = json!({ "reason": "ZIMRA looks at it" });
    let paused = admin.post(&format!("{jobs}/dead_letter"), why).await;
    let ended = world.ended(&admin, &paused).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    let device = format!("/fiscal_devices/test/{}", TILL.1);
    let why = json!({ "reason": "the till was stolen" });
    admin.post(&format!("{device}/block"), why).await;
    world
        .until("the block at head office", async || {
            admin.get(&device).await["hold"] == "blocked"
        })
        .await;
    admin.post(&format!("{device}/unblock"), json!({})).await;
    world
        .until("that the till is free", async || {
            admin.get(&device).await["hold"].is_null()
        })
        .await;
    world.fdms(TILL.0).set_offline(false);
    let sent = world.fdms(TILL.0).receipt_count(TILL.1);
    world.pass(Duration::from_secs(20 * 60)).await;
    assert_eq!(world.fdms(TILL.0).receipt_count(TILL.1), sent);
    job_is(&world, &admin, ("test", TILL.1), waits, "dead_letter").await;
    let retried = admin.post(&format!("{jobs}/retry"), json!({})).await;
    world.ended(&admin, &retried).await;
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}
