//! The periodic work goes on, whatever a turn meets in one company or in all.

use std::sync::Arc;
use std::time::Duration;

use fiscal_hq::db::APP_ROLE;
use fiscal_hq::serve::{self, Settings};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_postgres::Client;

use crate::people::Asker;
use crate::played::Admin;
use crate::runbook::fdms_worker;
use crate::seed::{self, believable};
use crate::support::Test;

/// A blocked till is a finding, with its reason; the worker's turn and the health answer, and the overview says so.
#[tokio::test]
async fn a_blocked_till_stops_nothing() {
    let test = Test::start().await;
    let shop = believable(&test, "Baobab Stores").await;
    let sql = test.database.connect("postgres").await;
    sql.execute(
        "UPDATE fdms_devices SET state = 'blocked', block_reason = 'stolen on Friday' WHERE device_id = 24001",
        &[],
    )
    .await
    .unwrap();
    let turn = fdms_worker(&test).await;
    assert_eq!((&turn["tenants"], &turn["failed"]), (&json!(1), &json!(0)));
    let admin = Admin::of(&test, shop.tenant, fiscal_hq::access::Role::Admin).await;
    let health = admin.get("/fdms_health").await;
    let mut findings = health["findings"].as_array().unwrap().iter();
    let found = findings.find(|found| found["kind"] == "till_blocked");
    let detail = found.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains("stolen on Friday"), "{detail}");
    let reader = Asker::with_password(&test, &shop.email, seed::PASSWORD).await;
    let overview = reader.get("/").await;
    assert!(
        overview.text.contains("1 till blocked"),
        "{}",
        overview.text
    );
    assert!(!overview.text.contains(">well<"), "{}", overview.text);
}

/// A company whose rows cannot be read is counted as failed; the others are looked at all the same.
#[tokio::test]
async fn one_company_stops_no_other() {
    let test = Test::start().await;
    let broken = Admin::of_new(&test, "Aloe").await;
    broken.new_store("Harare").await;
    let well = Admin::of_new(&test, "Baobab").await;
    let sql = test.database.connect("postgres").await;
    sql.batch_execute("ALTER TABLE stores ALTER COLUMN name DROP NOT NULL")
        .await
        .unwrap();
    let spoil = "UPDATE stores SET name = NULL WHERE tenant_id = $1";
    sql.execute(spoil, &[&broken.tenant.0]).await.unwrap();
    let join = "INSERT INTO store_cursors (tenant_id, store_id, epoch_no, epoch, acked, hash, last_seen_at)
        SELECT tenant_id, store_id, 1, tenant_id, 0, '', '2026-05-01' FROM stores";
    sql.execute(join, &[]).await.unwrap();
    let turn = fdms_worker(&test).await;
    assert_eq!((&turn["tenants"], &turn["failed"]), (&json!(1), &json!(1)));
    let looked_at = "SELECT count(*) FROM tenant_summaries WHERE tenant_id = $1";
    assert_eq!(well.count(looked_at).await, 1);
    assert_eq!(broken.count(looked_at).await, 0);
}

async fn turns(sql: &Client) -> i64 {
    let row = sql.query_one("SELECT last_value FROM turns", &[]).await;
    row.unwrap().get(0)
}

/// A turn that panics is not the last one: the timer begins the next.
#[tokio::test]
async fn the_timer_outlives_a_panic() {
    let test = Test::start().await;
    let sql = test.database.connect("postgres").await;
    // Each turn counts itself, whatever becomes of it, and meets a number that is none.
    sql.batch_execute(&format!(
        "CREATE SEQUENCE turns; GRANT USAGE ON SEQUENCE turns TO {APP_ROLE};
         CREATE OR REPLACE FUNCTION hq_make_partitions(today date, months integer) RETURNS integer LANGUAGE sql AS
           $$ SELECT nullif(nextval('turns'), nextval('turns') - 1)::integer $$"
    ))
    .await
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        worker_every: Some(Duration::from_secs(60)),
        ..Settings::default()
    };
    let running = serve::start_with(Arc::clone(&test.hq), listener, settings).unwrap();
    // Two numbers are taken by each turn.
    let three = async {
        while turns(&sql).await < 6 {
            test.clock.advance(Duration::from_secs(60));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), three)
        .await
        .expect("another turn begins");
    running.stop().await;
}

/// The overview says that the periodic work stands still, and no more once it goes on.
#[tokio::test]
async fn a_worker_that_stands_still_is_seen() {
    let test = Test::start().await;
    let shop = believable(&test, "Baobab Stores").await;
    let reader = Asker::with_password(&test, &shop.email, seed::PASSWORD).await;
    let says = async || {
        let answer = reader.request(Method::GET, "/").send().await.unwrap();
        let text = answer.text().await.unwrap();
        text.contains("The periodic work has not looked at this company since")
    };
    assert!(!says().await);
    test.clock.advance(Duration::from_secs(31 * 60));
    assert!(says().await);
    fdms_worker(&test).await;
    assert!(!says().await);
}
