//! Head office's database was put back from a backup: what was decided since is undone in no shop, somebody is told, and the
//! next decision holds.

use reqwest::Method;
use serde_json::json;
use sync_wire::Environment;
use sync_wire::settings::PrintPolicy;

use crate::played::{Admin, Store, certificate, till};
use crate::runbook::fdms_worker;
use crate::support::Test;

async fn lost(test: &Test, admin: &Admin<'_>) -> Vec<String> {
    fdms_worker(test).await;
    let open = admin.get("/alerts?state=open").await;
    let rows = open["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["kind"] == "decisions_lost")
        .map(|row| row["detail"].as_str().unwrap().to_owned())
        .collect()
}

async fn set(admin: &Admin<'_>, store: &str, print: &str) {
    let path = format!("/fiscal_devices/stores/{store}/settings");
    let body = Some(json!({ "print": print }));
    assert_eq!(admin.ask(Method::PUT, &path, body).await.0, 200);
}

#[tokio::test]
async fn what_was_decided_stays_until_something_is_decided() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    let (_, other) = admin.new_store("Bulawayo").await;
    let mut shop = Store::join(&test, &code).await;
    let mut other = Store::join(&test, &other).await;
    shop.add(till(Environment::Test, 42), certificate("ab"));
    set(&admin, &store, "on_request").await;
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
        set(&admin, &store, print).await;
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
    set(&admin, &store, "always").await;
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
