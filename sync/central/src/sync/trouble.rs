//! Alerts about what stores send: open until it is over, once for each thing that it is about.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::TillRef;
use uuid::Uuid;

use super::line::device;
use crate::db::{DbError, TenantId};

/// A store's entry cannot be read: it takes nothing more of that store until somebody has acted.
pub const SYNC_STOPPED: &str = "sync_stopped";
/// A store's ledger was put back from a backup, or runs twice.
pub const FORK: &str = "fork";
/// A store begins a series at a point that head office does not have.
pub const FORK_REFUSED: &str = "fork_refused";
/// A receipt's number was given twice.
pub const NUMBER_CONFLICT: &str = "number_conflict";
/// A till reports from a store that it does not belong to.
pub const TILL_ELSEWHERE: &str = "till_elsewhere";
/// Two tills write the same invoice numbers.
pub const PREFIX_CONFLICT: &str = "prefix_conflict";

/// Something that a person must look at.
#[derive(Debug)]
pub(super) struct Trouble<'a> {
    pub(super) kind: &'a str,
    /// What it is about; one alert at a time is open for it.
    pub(super) subject: &'a str,
    pub(super) is_fault: bool,
    pub(super) store: Uuid,
    pub(super) till: Option<TillRef>,
    /// What is wrong and what to do, in sentences.
    pub(super) detail: &'a str,
}

/// Opens an alert; one that is open already is told the newest.
pub(super) async fn raise(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    trouble: &Trouble<'_>,
) -> Result<(), DbError> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO alerts (tenant_id, alert_id, kind, subject, severity, store_id, environment, device_id, detail,
               since)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (tenant_id, kind, subject) WHERE ended_at IS NULL DO UPDATE SET detail = excluded.detail",
        )
        .await?;
    let severity = match trouble.is_fault {
        true => "fault",
        false => "warning",
    };
    tx.execute(
        &insert,
        &[
            &tenant.0,
            &Uuid::new_v4(),
            &trouble.kind,
            &trouble.subject,
            &severity,
            &trouble.store,
            &trouble.till.map(|till| till.environment.as_str()),
            &trouble.till.map(device),
            &trouble.detail,
            &now,
        ],
    )
    .await?;
    Ok(())
}

/// Ends an alert, if it is open.
pub(super) async fn settle(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    kind: &str,
    subject: &str,
) -> Result<(), DbError> {
    let update = tx
        .prepare_cached(
            "UPDATE alerts SET ended_at = $4
             WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND ended_at IS NULL",
        )
        .await?;
    tx.execute(&update, &[&tenant.0, &kind, &subject, &now])
        .await?;
    Ok(())
}
