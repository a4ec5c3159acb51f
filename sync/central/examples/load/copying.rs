//! What Postgres alone can do: the same rows by COPY, as superuser, into empty copies of the same tables.

use std::time::Duration;

use anyhow::Context as _;
use clock::{Clock as _, SystemClock};
use fiscal_hq::db::Address;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_postgres::Client;

/// Who owns the databases.
const OWNER: &str = "hq_load_owner";
/// The tables that entries go to.
const TABLES: [&str; 3] = ["receipts", "fdms_submission_logs", "store_events"];

/// What COPY took.
pub(crate) struct Copied {
    pub(crate) receipts: u64,
    pub(crate) attempts: u64,
    pub(crate) events: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

/// The superuser's URL, with another database and role in it.
pub(crate) fn url(superuser: &str, database: &str, role: &str) -> anyhow::Result<String> {
    let query = superuser
        .strip_prefix("postgresql:///postgres?")
        .context("--postgres is the URL that `scripts/postgres url` says")?;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("user="))
        .collect();
    Ok(format!(
        "postgresql:///{database}?{}&user={role}",
        kept.join("&")
    ))
}

/// An empty, migrated database.
pub(crate) async fn database(superuser: &str, name: &str) -> anyhow::Result<()> {
    let admin = connect(superuser, "postgres").await?;
    let role = admin
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&OWNER])
        .await?;
    if role.is_none() {
        let sql = format!("CREATE ROLE {OWNER} LOGIN CREATEROLE");
        admin.batch_execute(&sql).await?;
    }
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    admin.batch_execute(&sql).await?;
    let sql = format!("CREATE DATABASE {name} OWNER {OWNER}");
    admin.batch_execute(&sql).await?;
    super::migrated(&url(superuser, name, OWNER)?).await
}

async fn connect(superuser: &str, database: &str) -> anyhow::Result<Client> {
    let address = Address::parse(&url(superuser, database, "postgres")?)?;
    Ok(address.connect().await?)
}

/// Copies all entries of one database into another, which is made for it.
pub(crate) async fn measure(superuser: &str, from: &str, to: &str) -> anyhow::Result<Copied> {
    database(superuser, to).await?;
    let (from, to) = (
        connect(superuser, from).await?,
        connect(superuser, to).await?,
    );
    to.batch_execute("CHECKPOINT").await?;
    let (mut took, mut bytes, mut rows) = (Duration::ZERO, 0, Vec::new());
    for table in TABLES {
        // In the order in which they were written.
        let out = from
            .copy_out(&format!(
                "COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)"
            ))
            .await?;
        let pieces: Vec<_> = out.collect::<Vec<_>>().await;
        let began = SystemClock.boot();
        let into = to
            .copy_in(&format!("COPY {table} FROM STDIN (FORMAT binary)"))
            .await?;
        let mut into = std::pin::pin!(into);
        for piece in pieces {
            let piece = piece?;
            bytes += u64::try_from(piece.len())?;
            into.feed(piece).await?;
        }
        rows.push(into.finish().await?);
        took += SystemClock.boot().saturating_sub(began);
    }
    let [receipts, attempts, events] = rows
        .try_into()
        .map_err(|_| anyhow::anyhow!("a table was left out"))?;
    Ok(Copied {
        receipts,
        attempts,
        events,
        rows: receipts + attempts + events,
        bytes,
        took,
    })
}

/// Grows the submissions alone to so many rows, of the same stores. How many there are then.
pub(crate) async fn grow_logs(superuser: &str, database: &str, rows: i64) -> anyhow::Result<i64> {
    let admin = connect(superuser, database).await?;
    let count = "SELECT count(*) FROM fdms_submission_logs";
    let mut there: i64 = admin.query_one(count, &[]).await?.get(0);
    let mut shift: i64 = 0;
    while there < rows {
        shift += 1;
        let made = admin
            .execute(
                "INSERT INTO fdms_submission_logs SELECT tenant_id, at, store_id, epoch_no, seq + $1::int8 * 1000000000,
                   environment, device_id, kind, number, item_seq, attempt, outcome, http_status, fdms_code, operation_id,
                   color, error_message, duration_ms, answer, server_signature, raw
                 FROM fdms_submission_logs WHERE seq < 1000000000",
                &[&shift],
            )
            .await?;
        anyhow::ensure!(made > 0, "there is no submission to begin with");
        there += i64::try_from(made)?;
        if shift % 16 == 0 {
            eprintln!("  {there} rows");
        }
    }
    admin.batch_execute("ANALYZE; CHECKPOINT").await?;
    Ok(there)
}

/// Grows the tables to so many rows, with copies of what is there, of other stores and tills. How many there are then.
pub(crate) async fn grow(superuser: &str, database: &str, rows: i64) -> anyhow::Result<i64> {
    let admin = connect(superuser, database).await?;
    let count =
        "SELECT (SELECT count(*) FROM receipts) + (SELECT count(*) FROM fdms_submission_logs)
        + (SELECT count(*) FROM store_events)";
    // Devices of an earlier growth stay what they are.
    let grown = "SELECT coalesce(max(device_id) / 100000, 0) FROM fdms_submission_logs";
    let mut shift: i32 = admin.query_one(grown, &[]).await?.get(0);
    let mut there: i64 = admin.query_one(count, &[]).await?.get(0);
    // To a hundredth: the last rows one by one would take longest.
    while there < rows - rows / 100 {
        // Never more than are missing, roughly: a part of what is there, by device.
        shift += 1;
        let share = i32::try_from(((rows - there) * 1_000 / there.max(1)).clamp(1, 1_000))?;
        admin.execute(
            "INSERT INTO receipts SELECT tenant_id, environment, device_id + $1::int4 * 100000, receipt_global_no, hash,
               md5(store_id::text || $1::int4::text)::uuid, epoch_no, seq, at, fiscal_day_no, receipt_counter, receipt_type,
               receipt_currency, receipt_total, receipt_date, invoice_no, body, rest
             FROM receipts WHERE device_id % 100000 <= $2::int4 AND device_id < 100000", &[&shift, &share]).await?;
        admin.execute(
            "INSERT INTO fdms_submission_logs SELECT tenant_id, at, md5(store_id::text || $1::int4::text)::uuid, epoch_no, seq, environment,
               device_id + $1::int4 * 100000, kind, number, item_seq, attempt, outcome, http_status, fdms_code, operation_id, color,
               error_message, duration_ms, answer, server_signature, raw
             FROM fdms_submission_logs WHERE device_id % 100000 <= $2::int4 AND device_id < 100000", &[&shift, &share]).await?;
        admin.execute(
            "INSERT INTO store_events SELECT tenant_id, md5(store_id::text || $1::int4::text)::uuid, epoch_no, seq, at, environment,
               device_id + $1::int4 * 100000, kind, body
             FROM store_events WHERE device_id % 100000 <= $2::int4 AND device_id < 100000", &[&shift, &share]).await?;
        there = admin.query_one(count, &[]).await?.get(0);
        eprintln!("  {there} rows");
    }
    admin.batch_execute("ANALYZE; CHECKPOINT").await?;
    Ok(there)
}
