//! Settings of stores: set over HTTP and on the page, told with each exchange, shown as they hold.

use std::time::Duration;

use fiscal_hq::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::settings::{DayClosing, DayOpening, PrintPolicy, StoreSettings};

use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

pub(crate) async fn put(admin: &Admin<'_>, path: &str, body: Value) -> (u16, Value) {
    admin.ask(Method::PUT, path, Some(body)).await
}

/// Where a store's settings are.
pub(crate) fn path_of(shop: &Store<'_>) -> String {
    format!("/fiscal_devices/stores/{}/settings", shop.id)
}

/// What is set reaches its store and no other with the next exchange; what holds there is what it says itself.
#[tokio::test]
async fn settings_reach_their_store() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = Store::of_new(&test, &admin, "Harare").await;
    let mut other = Store::of_new(&test, &admin, "Bulawayo").await;
    shop.add(till(Environment::Test, 42), certificate("ab"));
    shop.sync().await;
    other.sync().await;
    let path = path_of(&shop);
    let nothing = admin.get(&path).await;
    assert_eq!(nothing["in_force"], json!(null), "{nothing}");
    assert_eq!(nothing["set"]["print"], json!(null));
    let before = shop.wanted.revision;
    let body = json!({ "day_opening": "by_hand", "day_closing": "22:30", "currencies": ["USD"] });
    let (status, set) = put(&admin, &path, body.clone()).await;
    assert_eq!((status, &set["set"]["day_closing"]), (200, &json!("22:30")));
    shop.sync().await;
    other.sync().await;
    let expected = StoreSettings {
        day_opening: Some(DayOpening::ByHand),
        day_closing: Some(DayClosing::try_from("22:30".to_owned()).unwrap()),
        currencies: Some(vec!["USD".to_owned()]),
        ..StoreSettings::default()
    };
    assert_eq!(shop.wanted.settings, expected);
    assert!(shop.wanted.revision > before);
    assert!(other.wanted.settings.is_empty());
    shop.settings = Some(StoreSettings {
        print: Some(PrintPolicy::Never),
        ..expected
    });
    test.clock.advance(Duration::from_secs(30));
    shop.sync().await;
    let steered = admin.get(&path).await;
    assert_eq!(steered["in_force"]["print"], "never", "{steered}");
    // The same again is no change: nothing is told, nothing audited.
    let revision = shop.wanted.revision;
    assert_eq!(put(&admin, &path, body).await.0, 200);
    shop.sync().await;
    assert_eq!(shop.wanted.revision, revision);
    assert_eq!(audited(&test, &admin).await, 1);
    assert_eq!(put(&admin, &path, json!({})).await.0, 200);
    shop.sync().await;
    assert!(shop.wanted.settings.is_empty());
    assert_eq!(audited(&test, &admin).await, 2);
}

async fn audited(test: &Test, admin: &Admin<'_>) -> i64 {
    let client = test.database.connect("postgres").await;
    let count =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'store.settings'";
    let row = client.query_one(count, &[&admin.tenant.0]).await.unwrap();
    row.get(0)
}

/// What makes no sense is refused with its field and changes nothing; so is whoever may not, and a store that is not there.
#[tokio::test]
async fn what_is_refused() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = Store::of_new(&test, &admin, "Harare").await;
    shop.sync().await;
    let path = path_of(&shop);
    for (body, told) in [
        (json!({ "currencies": [] }), "currencies"),
        (json!({ "currencies": ["dollar"] }), "dollar"),
        (json!({ "online_wait_ms": 60_001 }), "60000"),
        (json!({ "day_closing": "half past ten" }), "22:30"),
        (json!({ "print": "sometimes" }), "print"),
        (json!({ "footer": "thanks" }), "footer"),
    ] {
        let (status, problem) = put(&admin, &path, body.clone()).await;
        assert!((400..=422).contains(&status), "{body}: {problem}");
        assert!(problem.to_string().contains(told), "{body}: {problem}");
    }
    let unknown = "/fiscal_devices/stores/9b2ae1f5-0a68-4b28-9d4e-111111111111/settings";
    assert_eq!(put(&admin, unknown, json!({})).await.0, 404);
    assert_eq!(admin.ask(Method::GET, unknown, None).await.0, 404);
    let body = json!({ "print": "never" });
    for role in [Role::Viewer, Role::Operator] {
        let other = Admin::of(&test, admin.tenant, role).await;
        for path in [path.as_str(), "/fiscal_devices/settings"] {
            assert_eq!(put(&other, path, body.clone()).await.0, 403);
        }
        assert_eq!(other.ask(Method::GET, &path, None).await.0, 200);
    }
    shop.sync().await;
    assert!(shop.wanted.settings.is_empty());
    assert_eq!(audited(&test, &admin).await, 0);
}

/// Who has not seen what is set now does not overwrite it; what is set and not in effect yet is told.
#[tokio::test]
async fn a_change_in_between_is_not_lost() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = Store::of_new(&test, &admin, "Harare").await;
    shop.add(till(Environment::Test, 42), certificate("ab"));
    shop.sync().await;
    let path = path_of(&shop);
    let seen = admin.get(&path).await["version"].as_i64().unwrap();
    let with = |seen: i64| format!("{path}?seen={seen}");
    let (status, first) = put(&admin, &with(seen), json!({ "print": "never" })).await;
    assert_eq!((status, first["version"].as_i64()), (200, Some(seen + 1)));
    assert_eq!(first["in_effect"], false, "{first}");
    let (status, refused) = put(&admin, &with(seen), json!({ "print": "always" })).await;
    assert_eq!(status, 409, "{refused}");
    let said = refused["detail"].as_str().unwrap();
    assert!(said.contains(r#"set is now: print "never""#), "{said}");
    let (status, refused) = put(&admin, &format!("{path}?seen=abc"), json!({})).await;
    assert!(status == 422 || status == 400, "{refused}");
    assert!(
        refused["detail"].as_str().unwrap().contains("version"),
        "{refused}"
    );
    // Of every store the same, by the sum.
    let all = |seen: i64| format!("/fiscal_devices/settings?seen={seen}");
    let never = json!({ "print": "never" });
    assert_eq!(put(&admin, &all(seen), never.clone()).await.0, 409);
    let (status, done) = put(&admin, &all(seen + 1), never).await;
    assert_eq!((status, done["version"].as_i64()), (200, Some(seen + 1)));
    // The same again is no change.
    let (_, same) = put(&admin, &with(seen + 1), json!({ "print": "never" })).await;
    assert_eq!(same["version"].as_i64(), Some(seen + 1));
    shop.sync().await;
    test.clock.advance(Duration::from_secs(30));
    shop.sync().await;
    // Another change in the company is none of this.
    let other = admin.new_store("Mutare").await.0;
    let path_of_other = format!("/fiscal_devices/stores/{other}/settings");
    let (_, unheard) = put(&admin, &path_of_other, json!({ "print": "always" })).await;
    assert_eq!(unheard["in_effect"], false);
    let now = admin.get(&path).await;
    assert_eq!(
        (&now["in_effect"], &now["set"]["print"]),
        (&json!(true), &json!("never"))
    );
}

/// The same for every store of the company that is not retired, and for nobody else's.
#[tokio::test]
async fn every_store_at_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let stranger = Admin::of_new(&test, "Msasa").await;
    let mut shops = Vec::new();
    for (admin, name) in [(&admin, "Harare"), (&admin, "Mutare"), (&stranger, "Gweru")] {
        shops.push(Store::of_new(&test, admin, name).await);
    }
    let (gone, _) = admin.new_store("Chegutu").await;
    let why = json!({ "reason": "the shop is closed" });
    admin
        .post(&format!("/fiscal_devices/stores/{gone}/retire"), why)
        .await;
    let (status, done) = put(
        &admin,
        "/fiscal_devices/settings",
        json!({ "print": "never" }),
    )
    .await;
    assert_eq!((status, &done["stores"]), (200, &json!(2)), "{done}");
    for shop in &mut shops {
        shop.sync().await;
    }
    let print: Vec<_> = shops
        .iter()
        .map(|shop| shop.wanted.settings.print)
        .collect();
    let never = Some(PrintPolicy::Never);
    assert_eq!(print, [never, never, None]);
    let path = format!("/fiscal_devices/stores/{gone}/settings");
    let (status, problem) = put(&admin, &path, json!({})).await;
    assert_eq!(status, 409, "{problem}");
    let set = admin.get(&path).await;
    assert_eq!(set["set"]["print"], json!(null));
}
