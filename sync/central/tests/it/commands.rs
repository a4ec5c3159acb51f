//! What stores are asked over HTTP, and told with each exchange: tills that are blocked, logs that are wanted.

use reqwest::Method;
use serde_json::json;
use sync_wire::Environment;
use sync_wire::command::{CommandDone, CommandOutcome, Order};
use sync_wire::state::Blocked;

use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

/// A till that is blocked is named to its store, with the reason, until it is unblocked: also one that the store has not
/// registered yet, and whatever the store says of itself meanwhile.
#[tokio::test]
async fn a_block_reaches_the_store_until_it_is_lifted() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    for device in [42, 43] {
        admin.new_device("test", device, &store).await;
    }
    let mut shop = Store::join(&test, &code).await;
    let (sells, pending) = (till(Environment::Test, 42), till(Environment::Test, 43));
    shop.add(sells, certificate("ab"));
    shop.sync().await;
    assert!(shop.wanted.blocked.is_empty());
    let before = shop.wanted.revision;
    let block = async |device: u32, why: &str| {
        let path = format!("/fiscal_devices/test/{device}/block");
        admin.post(&path, json!({ "reason": why })).await
    };
    let told = block(42, "stolen").await;
    assert_eq!(told["device"]["block_reason"], "stolen");
    block(43, "not before Monday").await;
    shop.sync().await;
    let named = |till, reason: &str| Blocked {
        till,
        reason: reason.to_owned(),
    };
    let both = [named(sells, "stolen"), named(pending, "not before Monday")];
    assert_eq!(shop.wanted.blocked, both);
    assert!(shop.wanted.revision > before, "stores put it into effect");
    shop.add(pending, certificate("cd"));
    shop.park(sells, "paused: stolen");
    shop.sync().await;
    shop.sync().await;
    assert_eq!(shop.wanted.blocked, both);
    let device = admin.get("/fiscal_devices/test/42").await;
    assert_eq!(device["state"], "blocked", "{device}");
    let revision = shop.wanted.revision;
    admin
        .post("/fiscal_devices/test/42/unblock", json!({}))
        .await;
    shop.sync().await;
    assert_eq!(shop.wanted.blocked, both[1..]);
    assert!(shop.wanted.revision > revision);
    let device = admin.get("/fiscal_devices/test/42").await;
    assert_eq!(
        (&device["state"], &device["block_reason"]),
        (&json!("active"), &json!(null))
    );
    // Whatever else holds the queue is not let go on by that.
    assert!(shop.commands.is_empty(), "{:?}", shop.commands);
}

/// A log is asked for over the API, and its lines are found at the command; so many as were asked for, not endless.
#[tokio::test]
async fn a_log_comes_when_it_is_asked_for() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    let path = format!("/fiscal_devices/stores/{store}/log");
    let (refused, why) = admin.refused(&path, json!({})).await;
    assert!(refused == "409 conflict" && why.contains("joined"), "{why}");
    let mut shop = Store::join(&test, &code).await;
    shop.sync().await;
    for lines in [0, 5001] {
        let (refused, _) = admin.refused(&path, json!({ "lines": lines })).await;
        assert_eq!(refused, "422 invalid");
    }
    let unknown = "/fiscal_devices/stores/9b2ae1f5-0a68-4b28-9d4e-111111111111/log";
    assert_eq!(admin.refused(unknown, json!({})).await.0, "404 not_found");
    let asked = admin.post(&path, json!({ "lines": 7 })).await;
    shop.sync().await;
    let command = shop.command("upload_log");
    assert!(matches!(command.order, Order::UploadLog { lines: 7 }));
    let follow = format!(
        "/fiscal_submissions/{}",
        asked["command_id"].as_str().unwrap()
    );
    assert_eq!(admin.get(&follow).await["log"], json!(null));
    let done = CommandDone {
        id: command.id,
        no: command.no,
        kind: "upload_log".to_owned(),
        outcome: CommandOutcome::Done,
        detail: "2 lines".to_owned(),
        number: None,
        lines: Some(vec!["one".to_owned(), "two".to_owned()]),
    };
    shop.tell(None, "hq.command", &done);
    shop.sync().await;
    let followed = admin.get(&follow).await;
    assert_eq!(followed["command"]["status"], "done");
    assert_eq!(followed["log"], json!(["one", "two"]));
    let viewer = Admin::of(&test, admin.tenant, fiscal_hq::access::Role::Viewer).await;
    let (status, _) = viewer.ask(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, 403);
}
