//! Head office's database was put back from a backup: what was decided since is undone in no shop, somebody is told, and the
//! next decision holds.

use serde_json::json;
use sync_wire::Environment;
use sync_wire::settings::PrintPolicy;

use crate::played::{Admin, Store, certificate, till};
use crate::runbook::told;
use crate::settings::{path_of, put};
use crate::support::Test;

async fn lost(test: &Test, admin: &Admin<'_>) -> Vec<String> {
    told(test, admin, "decisions_lost").await
}

async fn set(admin: &Admin<'_>, shop: &Store<'_>, print: &str) {
    let body = json!({ "print": print });
    assert_eq!(put(admin, &path_of(shop), body).await.0, 200);
}

#[tokio::test]
async fn what_was_decided_stays_until_something_is_decided() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = Store::of_new(&test, &admin, "Harare").await;
    let mut other = Store::of_new(&test, &admin, "Bulawayo").await;
    shop.add(till(Environment::Test, 42), certificate("ab"));
    set(&admin, &shop, "on_request").await;
    shop.sync().await;
    other.sync().await;
    let client = test.database.connect("postgres").await;
    let backup = "SELECT revision FROM tenants WHERE tenant_id = $1";
    let kept: i64 = client
        .query_one(backup, &[&admin.tenant.0])
        .await
        .unwrap()
        .get(0);
    for print in ["always", "never"] {
        set(&admin, &shop, print).await;
    }
    shop.sync().await;
    assert!(lost(&test, &admin).await.is_empty());
    let followed = shop.wanted.clone();
    assert_eq!(followed.settings.print, Some(PrintPolicy::Never));
    let before = followed.revision;
    assert!(before > kept);

    // The database as it was.
    client
        .execute(
            "UPDATE tenants SET revision = $2 WHERE tenant_id = $1",
            &[&admin.tenant.0, &kept],
        )
        .await
        .unwrap();
    let settings =
        "UPDATE stores SET settings = '{\"print\":\"on_request\"}' WHERE name = 'Harare'";
    client.execute(settings, &[]).await.unwrap();
    for _ in 0..2 {
        shop.sync().await;
        assert_eq!(shop.wanted.revision, before, "nothing that is news");
        other.sync().await;
        assert_eq!(
            other.wanted.revision, kept,
            "who knew of nothing is not ahead"
        );
        let told = lost(&test, &admin).await;
        assert!(
            told.len() == 1 && told[0].contains("store Harare"),
            "{told:?}"
        );
    }
    let audited =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'store.ahead'";
    let row = client.query_one(audited, &[&admin.tenant.0]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);

    // The next decision holds, and is known to hold.
    set(&admin, &shop, "always").await;
    shop.sync().await;
    assert_eq!(shop.wanted.revision, before + 1);
    assert_eq!(shop.wanted.settings.print, Some(PrintPolicy::Always));
    test.clock.advance(std::time::Duration::from_secs(30));
    shop.sync().await;
    other.sync().await;
    assert_eq!(other.wanted.revision, kept + 1);
    assert!(lost(&test, &admin).await.is_empty());
    let stores = admin.get("/fdms_health").await;
    let stores = stores["stores"].as_array().unwrap();
    let harare = stores.iter().find(|row| row["name"] == "Harare").unwrap();
    assert_eq!(harare["in_effect"], true, "{harare}");
}

/// A store that claims the highest revision there is (its secret was stolen) harms nobody: alerts are looked for as ever,
/// and the other stores hear what is decided.
#[tokio::test]
async fn a_store_may_claim_what_it_likes() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = Store::of_new(&test, &admin, "Harare").await;
    let mut other = Store::of_new(&test, &admin, "Bulawayo").await;
    for (shop, device) in [(&mut shop, 42), (&mut other, 43)] {
        shop.add(till(Environment::Test, device), certificate("ab"));
    }
    for claimed in [i64::MIN, i64::MAX] {
        shop.wanted.revision = claimed;
        shop.sync().await;
        set(&admin, &other, "never").await;
        set(&admin, &other, "always").await;
        shop.sync().await;
        other.sync().await;
        assert_eq!(other.wanted.settings.print, Some(PrintPolicy::Always));
        // Each turn answers 200, or it ends here.
        lost(&test, &admin).await;
    }
}
