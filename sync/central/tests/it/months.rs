//! The months of the submission log: made ahead, and of what waits because it came before its month was made.

use std::process::Command;
use std::time::Duration;

use fiscal_hq::db::{APP_ROLE, TenantId};
use serde_json::json;
use tokio_postgres::Client;

use crate::runbook::fdms_worker;
use crate::support::Test;

/// Attempts of a tenant, one a minute from a moment on.
async fn log(sql: &Client, tenant: TenantId, from: &str, count: i32) {
    let insert = "INSERT INTO fdms_submission_logs (tenant_id, at, store_id, epoch_no, seq, environment, device_id, kind, number,
          item_seq, attempt, outcome, duration_ms)
        SELECT $1, $2::text::timestamptz + make_interval(mins => n - 1), $1, 1, n, 'test', 42, 'submit_receipt', n, n, 1, 'accepted', 40
        FROM generate_series(1, $3) n";
    let done = sql.execute(insert, &[&tenant.0, &from, &count]).await;
    assert_eq!(done.unwrap(), u64::try_from(count).unwrap());
}

async fn count(sql: &Client, table: &str) -> i64 {
    let text = format!("SELECT count(*) FROM {table}");
    sql.query_one(&text, &[]).await.unwrap().get(0)
}

/// All rows, whichever partition they are in.
async fn all(sql: &Client) -> (i64, String) {
    let text = "SELECT count(*), md5(string_agg(l::text, ' ' ORDER BY l::text)) FROM fdms_submission_logs l";
    let row = sql.query_one(text, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

const WAITS: &str = "fdms_submission_logs_default";

/// Old rows of two companies move to the months that are made of them, each once; what is of no month stays. The walls
/// stand around the new months too, and their searches are as fast.
#[tokio::test]
async fn months_are_made_of_what_waits() {
    let test = Test::start().await;
    let (one, other) = (test.tenant("Aloe").await, test.tenant("Baobab").await);
    let sql = test.database.connect("postgres").await;
    log(&sql, one, "2025-12-31 23:00:00Z", 120).await;
    log(&sql, other, "2025-12-31 23:59:59.999999Z", 1).await;
    log(&sql, other, "2026-02-01 00:00:00Z", 7).await;
    log(&sql, one, "1999-01-01 00:00:00Z", 2).await;
    log(&sql, one, "2091-01-01 00:00:00Z", 3).await;
    log(&sql, one, "2026-05-29 00:00:00Z", 5).await;
    let before = all(&sql).await;
    assert_eq!(count(&sql, WAITS).await, 133);
    assert_eq!(fdms_worker(&test).await["partitions"], 3);
    assert_eq!(all(&sql).await, before);
    for (table, rows) in [
        (WAITS, 5),
        ("fdms_submission_logs_202512", 61),
        ("fdms_submission_logs_202601", 60),
        ("fdms_submission_logs_202602", 7),
        ("fdms_submission_logs_202605", 5),
    ] {
        assert_eq!(count(&sql, table).await, rows, "{table}");
    }
    assert_eq!(fdms_worker(&test).await["partitions"], 0);
    let walls = "SELECT c.relrowsecurity AND c.relforcerowsecurity, (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
          (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid),
          (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
        FROM pg_class c WHERE c.relname = 'fdms_submission_logs_' || $1";
    let walls = async |month: &str| {
        let row = sql.query_one(walls, &[&month]).await.unwrap();
        let numbers: [i64; 3] = [row.get(1), row.get(2), row.get(3)];
        (row.get::<_, bool>(0), numbers)
    };
    let usual = walls("202606").await;
    assert_eq!(usual, (true, [0, 4, 0]));
    assert_eq!(walls("202512").await, usual);
    // The service sees what it saw, and only so.
    let mut app = test.database.connect(APP_ROLE).await;
    let tx = app.transaction().await.unwrap();
    let name = "SELECT set_config('app.tenant', $1, true)";
    tx.execute(name, &[&other.to_string()]).await.unwrap();
    let seen = tx.query_one("SELECT count(*) FROM fdms_submission_logs", &[]);
    assert_eq!(seen.await.unwrap().get::<_, i64>(0), 8);
    let straight = tx.query("SELECT FROM fdms_submission_logs_202512", &[]);
    assert!(straight.await.is_err());
}

/// A month is moved in small transactions. Between them each row is there once, and what comes meanwhile is not lost,
/// wherever it comes.
#[tokio::test]
async fn a_month_moves_in_small_steps() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let sql = test.database.connect("postgres").await;
    let app = test.database.connect(APP_ROLE).await;
    let step = async || {
        let text = "SELECT hq_move_month('2026-03-17', 4)";
        app.query_one(text, &[])
            .await
            .unwrap()
            .get::<_, Option<bool>>(0)
    };
    let waiting = async || {
        let text = "SELECT month::text FROM hq_waiting_months('2026-05-28') AS month";
        let rows = app.query(text, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    log(&sql, tenant, "2026-03-10 08:00:00Z", 10).await;
    assert_eq!(waiting().await, ["2026-03-01"]);
    for _ in 0..2 {
        assert_eq!(step().await, Some(false));
        assert_eq!(count(&sql, "fdms_submission_logs").await, 10);
        assert_eq!(count(&sql, WAITS).await, 10);
    }
    // Before and behind what was copied.
    log(&sql, tenant, "2026-03-02 08:00:00Z", 3).await;
    log(&sql, tenant, "2026-03-20 08:00:00Z", 1).await;
    let before = all(&sql).await;
    assert_eq!(waiting().await, ["2026-03-01"]);
    assert_eq!(step().await, Some(true));
    assert_eq!(all(&sql).await, before);
    assert_eq!(count(&sql, WAITS).await, 0);
    assert_eq!(count(&sql, "fdms_submission_logs_202603").await, 14);
    assert_eq!(step().await, Some(true), "it is in its place");
    assert!(waiting().await.is_empty());
    // One at a time.
    log(&sql, tenant, "2026-02-02 08:00:00Z", 1).await;
    sql.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7210001)")
        .await
        .unwrap();
    let busy = "SELECT hq_move_month('2026-02-01', 4)";
    let busy = app.query_one(busy, &[]).await.unwrap();
    assert_eq!(busy.get::<_, Option<bool>>(0), None);
    sql.batch_execute("ROLLBACK").await.unwrap();
}

/// After months in which the service was down, the months of what came first and those to come are made in one turn. A month
/// that was detached and is kept is left alone, and stops nothing.
#[tokio::test]
async fn months_of_silence_are_made_up() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let sql = test.database.connect("postgres").await;
    sql.batch_execute(
        "ALTER TABLE fdms_submission_logs DETACH PARTITION fdms_submission_logs_202605",
    )
    .await
    .unwrap();
    test.clock.advance(Duration::from_secs(200 * 86_400));
    assert!(test.hq.now().to_string().starts_with("2026-12-14"));
    log(&sql, tenant, "2026-12-14 01:00:00Z", 4).await;
    log(&sql, tenant, "2026-05-30 01:00:00Z", 2).await;
    let before = all(&sql).await;
    let turn = fdms_worker(&test).await;
    // December, of what waits; January to March, ahead.
    assert_eq!(
        (&turn["partitions"], &turn["failed"]),
        (&json!(4), &json!(0)),
        "{turn}"
    );
    assert_eq!(all(&sql).await, before);
    assert_eq!(count(&sql, "fdms_submission_logs_202612").await, 4);
    assert_eq!(count(&sql, "fdms_submission_logs_202703").await, 0);
    assert_eq!(count(&sql, WAITS).await, 2);
}

/// The commands of docs/SCALING.md: an old month is kept as a file, is gone, and is back as it was.
#[tokio::test]
async fn an_old_month_is_kept_as_a_file() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let sql = test.database.connect("postgres").await;
    log(&sql, tenant, "2024-05-10 08:00:00Z", 9).await;
    log(&sql, tenant, "2026-05-10 08:00:00Z", 2).await;
    assert_eq!(fdms_worker(&test).await["partitions"], 1);
    let before = all(&sql).await;
    let document = include_str!("../../../../docs/SCALING.md");
    let (_, part) = document.split_once("Old months are detached").unwrap();
    let commands = part
        .lines()
        .take_while(|line| !line.starts_with("While a month"));
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    let (kept, back) = commands.split_at(3);
    assert!(
        kept[2].contains("DROP TABLE") && back.len() == 2,
        "{commands:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    let url = format!("'{}'", test.database.url("postgres"));
    let run = |commands: &[&str]| {
        for command in commands {
            let here = command.replace(" fiscal_hq ", &format!(" {url} "));
            let here = match here.strip_suffix(" fiscal_hq") {
                Some(start) => format!("{start} {url}"),
                None => here,
            };
            let shell = Command::new("sh")
                .args(["-c", &here])
                .current_dir(&dir)
                .output();
            let shell = shell.unwrap();
            let said = String::from_utf8_lossy(&shell.stderr);
            assert!(shell.status.success(), "{here}: {said}");
        }
    };
    run(kept);
    assert_eq!(all(&sql).await.0, 2);
    let there = "SELECT to_regclass('fdms_submission_logs_202405') IS NULL";
    let is_gone: bool = sql.query_one(there, &[]).await.unwrap().get(0);
    assert!(is_gone);
    run(back);
    assert_eq!(all(&sql).await, before);
    assert_eq!(count(&sql, "fdms_submission_logs_202405").await, 9);
}
