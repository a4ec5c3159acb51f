//! Settings that head office sets in a store.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::shop::agree;
use super::story::{TILL, enable, joined};
use super::world::World;

/// The store follows while it runs and after a restart, tells what holds, and goes back to its own file when head office
/// sets nothing more. Receipts and days that are there stay as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_follows_its_settings() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    let path = format!("/fiscal_devices/stores/{store}/settings");
    let set = async |body| {
        let (status, set) = admin.ask(Method::PUT, &path, Some(body)).await;
        assert_eq!(status, 200, "{set}");
    };
    let holds = async |name: &str, value: serde_json::Value| {
        world
            .until("the settings", async || {
                admin.get(&path).await["in_force"][name] == value
            })
            .await;
    };
    holds("day_opening", json!("first_sale")).await;
    let first = shop.sell(TILL.1, "first").await.receipt_global_no;
    shop.command(TILL.1, "/v1/days/close", &json!({})).await;
    set(json!({ "day_opening": "by_hand", "currencies": ["ZWG", "USD"] })).await;
    holds("day_opening", json!("by_hand")).await;
    holds("currencies", json!(["ZWG", "USD"])).await;
    for restarted in [false, true] {
        if restarted {
            shop.stop().await;
            shop.start().await;
        }
        let (status, refused) = shop.offer(TILL.1, "early").await;
        assert_eq!(
            (status, &refused["code"]),
            (409, &json!("day_not_open")),
            "{refused}"
        );
    }
    set(json!({})).await;
    holds("day_opening", json!("first_sale")).await;
    let next = shop.sell(TILL.1, "early").await.receipt_global_no;
    assert_eq!(next, first + 1);
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}

/// When days close and sales are answered follows at once: a closing time that is past today closes the day that is open,
/// and an answer waits for FDMS's word. A gateway that has stopped still names what is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_and_answers_follow() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    let path = format!("/fiscal_devices/stores/{store}/settings");
    let set = async |name: &str, body: serde_json::Value| {
        let value = body[name].clone();
        let (status, set) = admin.ask(Method::PUT, &path, Some(body)).await;
        assert_eq!(status, 200, "{set}");
        world
            .until("the settings", async || {
                admin.get(&path).await["in_force"][name] == value
            })
            .await;
    };
    shop.sell(TILL.1, "one").await;
    shop.drain().await;
    let till = shop.till(TILL.0, TILL.1);
    let is_open = || {
        let day = shop.reader().day(till.id, None).unwrap();
        day.is_some_and(|day| day.close.is_none())
    };
    assert!(is_open());
    // The day was opened before the time that is past.
    world.pass(Duration::from_secs(900)).await;
    let now = clock::local(clock::Clock::wall(&*world.hq.clock));
    let past = now.saturating_sub(jiff::Span::new().minutes(5));
    let past = past.strftime("%H:%M").to_string();
    set("day_closing", json!({ "day_closing": past })).await;
    world.until("the close", async || !is_open()).await;
    shop.drain().await;

    let online = json!({ "answers": "online", "online_wait_ms": 60_000 });
    set("answers", online).await;
    let passing = world.pass(Duration::from_secs(40));
    let (sold, ()) = tokio::join!(shop.sell(TILL.1, "two"), passing);
    assert_eq!(sold.fdms.state, "accepted");
    shop.stop().await;
    let kept = shop.reader().hq().unwrap().unwrap().wanted.settings;
    let kept = serde_json::to_value(kept).unwrap();
    assert_eq!(
        kept,
        json!({ "answers": "online", "online_wait_ms": 60_000 })
    );
}
