//! A till that head office blocks.

use std::time::Duration;

use serde_json::json;

use super::shop::agree;
use super::story::{TILL, enable, joined};
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
    let ended = world.ended(&admin, &blocked).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
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
    let unblocked = admin.post(&format!("{device}/unblock"), json!({})).await;
    world.ended(&admin, &unblocked).await;
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
