//! Fiscal days, from their openings, closes, and what FDMS said of these.

use deadpool_postgres::Transaction;

use super::StoreCaller;
use super::batch::Batch;
use crate::db::DbError;

/// Keeps what a batch tells of days of the store's own tills.
pub(super) async fn write(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    batch: &Batch<'_>,
) -> Result<(), DbError> {
    if batch.days.is_empty() {
        return Ok(());
    }
    opened(tx, caller, batch).await?;
    let update = tx
        .prepare_cached(
            "UPDATE fiscal_days d SET closed = coalesce(n.closed, d.closed),
               receipt_counter = coalesce(n.counter, d.receipt_counter),
               counters = coalesce(n.counters::jsonb, d.counters),
               confirmed_at = coalesce(n.confirmed, d.confirmed_at),
               fdms_error = CASE WHEN n.confirmed IS NOT NULL THEN NULL ELSE coalesce(n.error, d.fdms_error) END
             FROM unnest($2::text[], $3::int4[], $4::int4[], $5::timestamp[], $6::int4[], $7::text[], $8::timestamptz[],
               $9::text[]) AS n (environment, device, day, closed, counter, counters, confirmed, error)
             JOIN fdms_devices t ON t.tenant_id = $1 AND t.store_id = $10 AND t.environment = n.environment
               AND t.device_id = n.device
             WHERE d.tenant_id = $1 AND d.environment = n.environment AND d.device_id = n.device
               AND d.fiscal_day_no = n.day",
        )
        .await?;
    let days = || batch.days.iter();
    let environment: Vec<_> = days()
        .map(|((till, _), _)| till.environment.as_str())
        .collect();
    let device: Vec<_> = days()
        .map(|((till, _), _)| super::line::device(*till))
        .collect();
    let number: Vec<_> = days().map(|((_, day), _)| *day).collect();
    let closed: Vec<_> = days().map(|(_, news)| news.closed).collect();
    let counter: Vec<_> = days().map(|(_, news)| news.receipt_counter).collect();
    let counters: Vec<_> = days().map(|(_, news)| news.counters.as_deref()).collect();
    let confirmed: Vec<_> = days().map(|(_, news)| news.confirmed_at).collect();
    let error: Vec<_> = days().map(|(_, news)| news.error.as_deref()).collect();
    tx.execute(
        &update,
        &[
            &caller.tenant.0,
            &environment,
            &device,
            &number,
            &closed,
            &counter,
            &counters,
            &confirmed,
            &error,
            &caller.store,
        ],
    )
    .await?;
    Ok(())
}

/// A day that another series has opened too is as the newest series says.
async fn opened(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    batch: &Batch<'_>,
) -> Result<(), DbError> {
    let (mut environment, mut device, mut number, mut opened) = (vec![], vec![], vec![], vec![]);
    for ((till, day), news) in &batch.days {
        let Some(at) = news.opened else { continue };
        environment.push(till.environment.as_str());
        device.push(super::line::device(*till));
        number.push(*day);
        opened.push(at);
    }
    if opened.is_empty() {
        return Ok(());
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO fiscal_days (tenant_id, store_id, environment, device_id, fiscal_day_no, opened)
             SELECT $1, $2, n.* FROM unnest($3::text[], $4::int4[], $5::int4[], $6::timestamp[])
               AS n (environment, device, day, opened)
             JOIN fdms_devices t ON t.tenant_id = $1 AND t.store_id = $2 AND t.environment = n.environment
               AND t.device_id = n.device
             ON CONFLICT (tenant_id, environment, device_id, fiscal_day_no) DO UPDATE SET opened = excluded.opened,
               store_id = excluded.store_id, closed = NULL, receipt_counter = NULL, counters = NULL",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &caller.tenant.0,
            &caller.store,
            &environment,
            &device,
            &number,
            &opened,
        ],
    )
    .await?;
    Ok(())
}
