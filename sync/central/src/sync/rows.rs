//! A batch's rows: one insert per table, whatever the number of lines.

use std::collections::BTreeMap;

use clock::Timestamp;
use deadpool_postgres::Transaction;

use super::StoreCaller;
use super::batch::{Attempts, Batch, Events, Receipts};
use super::trouble::{self, Trouble};
use crate::db::{DbError, till_of};

/// A receipt's columns, as arrays that are walked side by side.
const RECEIPTS: &str = "INSERT INTO receipts (tenant_id, store_id, epoch_no, environment, device_id, receipt_global_no, hash,
   seq, at, fiscal_day_no, receipt_counter, receipt_type, receipt_currency, receipt_total, receipt_date, invoice_no, body,
   rest)
 SELECT $1, $2, $3, unnest($4::text[]), unnest($5::int4[]), unnest($6::int4[]), unnest($7::bytea[]), unnest($8::int8[]),
   unnest($9::timestamptz[]), unnest($10::int4[]), unnest($11::int4[]), unnest($12::text[]), unnest($13::text[]),
   unnest($14::int8[]), unnest($15::timestamp[]), unnest($16::text[]), unnest($17::text[]), unnest($18::text[])";

/// Writes the rows of a batch.
pub(super) async fn write(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    batch: &mut Batch<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    receipts(tx, caller, epoch_no, batch, now).await?;
    attempts(tx, caller, epoch_no, &batch.attempts).await?;
    events(tx, caller, epoch_no, &batch.events).await
}

/// Receipts whose numbers all are higher than any before are new. Others are looked at: those that are there already
/// are kept as entries of this series alone; a number that is there with another hash is an alert.
async fn receipts(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    batch: &mut Batch<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let rows = &batch.receipts;
    if rows.seq.is_empty() {
        return Ok(());
    }
    if are_new(tx, caller, rows).await? {
        let insert = tx.prepare_cached(RECEIPTS).await?;
        insert_receipts(tx, caller, epoch_no, rows, &insert).await?;
        return Ok(());
    }
    let insert = [RECEIPTS, " ON CONFLICT DO NOTHING RETURNING seq"].concat();
    let insert = tx.prepare_cached(&insert).await?;
    let new = insert_receipts(tx, caller, epoch_no, rows, &insert).await?;
    for (index, seq) in rows.seq.iter().enumerate() {
        if !new.contains(seq) {
            batch.events.push_receipt(rows, index);
        }
    }
    conflicts(tx, caller, rows, now).await
}

async fn insert_receipts(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    rows: &Receipts<'_>,
    insert: &tokio_postgres::Statement,
) -> Result<std::collections::BTreeSet<i64>, DbError> {
    let new = tx
        .query(
            insert,
            &[
                &caller.tenant.0,
                &caller.store,
                &epoch_no,
                &rows.environment,
                &rows.device,
                &rows.number,
                &rows.hash,
                &rows.seq,
                &rows.at,
                &rows.day,
                &rows.counter,
                &rows.kind,
                &rows.currency,
                &rows.total,
                &rows.date,
                &rows.invoice,
                &rows.body,
                &rows.rest,
            ],
        )
        .await?;
    Ok(new.iter().map(|row| row.get(0)).collect())
}

/// Whether the numbers of each till rise, from a higher one than the till's last on.
async fn are_new(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    rows: &Receipts<'_>,
) -> Result<bool, DbError> {
    let mut tills: BTreeMap<(&str, i32), (i32, i32)> = BTreeMap::new();
    for ((environment, device), number) in
        rows.environment.iter().zip(&rows.device).zip(&rows.number)
    {
        let (_, last) = tills
            .entry((environment, *device))
            .or_insert((*number, number.saturating_sub(1)));
        if *number <= *last {
            return Ok(false);
        }
        *last = *number;
    }
    let select = tx
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT FROM unnest($2::text[], $3::int4[], $4::int4[]) AS k (environment, device, first)
               WHERE k.first <= (SELECT r.receipt_global_no FROM receipts r WHERE r.tenant_id = $1
                 AND r.environment = k.environment AND r.device_id = k.device
                 ORDER BY r.receipt_global_no DESC LIMIT 1))",
        )
        .await?;
    let environments: Vec<&str> = tills.keys().map(|key| key.0).collect();
    let devices: Vec<i32> = tills.keys().map(|key| key.1).collect();
    let firsts: Vec<i32> = tills.values().map(|value| value.0).collect();
    let row = tx
        .query_one(
            &select,
            &[&caller.tenant.0, &environments, &devices, &firsts],
        )
        .await?;
    Ok(row.get(0))
}

/// Numbers that were given twice: an alert for each till.
async fn conflicts(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    rows: &Receipts<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let select = tx
        .prepare_cached(
            "SELECT r.environment, r.device_id, min(r.receipt_global_no), max(r.receipt_global_no),
               count(DISTINCT r.receipt_global_no)
             FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::int4[], $4::int4[])) AS k (environment, device, number)
             JOIN receipts r ON r.tenant_id = $1 AND r.environment = k.environment AND r.device_id = k.device
               AND r.receipt_global_no = k.number
             WHERE EXISTS (SELECT FROM receipts o WHERE o.tenant_id = $1 AND o.environment = r.environment
               AND o.device_id = r.device_id AND o.receipt_global_no = r.receipt_global_no AND o.hash <> r.hash)
             GROUP BY r.environment, r.device_id",
        )
        .await?;
    let found = tx
        .query(
            &select,
            &[
                &caller.tenant.0,
                &rows.environment,
                &rows.device,
                &rows.number,
            ],
        )
        .await?;
    for row in found {
        let Some(till) = till_of(row.get(0), row.get(1)) else {
            continue;
        };
        let (first, last, count): (i32, i32, i64) = (row.get(2), row.get(3), row.get(4));
        let detail = format!(
            "{count} receipt numbers of till {till} were given twice ({first} to {last}): its ledger was put back from a \
             backup and sold on. Both receipts of each number are kept here. Ask FDMS which it has, and keep the till \
             from selling until its last number is right"
        );
        let trouble = Trouble {
            kind: trouble::NUMBER_CONFLICT,
            subject: &till.to_string(),
            is_fault: true,
            store: caller.store,
            till: Some(till),
            detail: &detail,
        };
        trouble::raise(tx, caller.tenant, now, &trouble).await?;
    }
    Ok(())
}

async fn attempts(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    rows: &Attempts,
) -> Result<(), DbError> {
    if rows.seq.is_empty() {
        return Ok(());
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO fdms_submission_logs (tenant_id, store_id, epoch_no, at, seq, environment, device_id, kind, number,
               item_seq, attempt, outcome, http_status, fdms_code, operation_id, color, error_message, duration_ms, answer,
               server_signature, raw)
             SELECT $1, $2, $3, unnest($4::timestamptz[]), unnest($5::int8[]), unnest($6::text[]), unnest($7::int4[]),
               unnest($8::text[]), unnest($9::int4[]), unnest($10::int8[]), unnest($11::int4[]), unnest($12::text[]),
               unnest($13::int4[]), unnest($14::text[]), unnest($15::text[]), unnest($16::text[]), unnest($17::text[]),
               unnest($18::int4[]), unnest($19::text[]), unnest($20::text[]), unnest($21::text[])",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &caller.tenant.0,
            &caller.store,
            &epoch_no,
            &rows.at,
            &rows.seq,
            &rows.environment,
            &rows.device,
            &rows.kind,
            &rows.number,
            &rows.item_seq,
            &rows.attempt,
            &rows.outcome,
            &rows.http_status,
            &rows.code,
            &rows.operation_id,
            &rows.color,
            &rows.error,
            &rows.duration,
            &rows.answer,
            &rows.signature,
            &rows.raw,
        ],
    )
    .await?;
    Ok(())
}

async fn events(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    rows: &Events<'_>,
) -> Result<(), DbError> {
    if rows.seq.is_empty() {
        return Ok(());
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO store_events (tenant_id, store_id, epoch_no, seq, at, environment, device_id, kind, body)
             SELECT $1, $2, $3, unnest($4::int8[]), unnest($5::timestamptz[]), unnest($6::text[]), unnest($7::int4[]),
               unnest($8::text[]), unnest($9::text[])",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &caller.tenant.0,
            &caller.store,
            &epoch_no,
            &rows.seq,
            &rows.at,
            &rows.environment,
            &rows.device,
            &rows.kind,
            &rows.body,
        ],
    )
    .await?;
    Ok(())
}
