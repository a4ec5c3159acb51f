//! The audit: who did what, append-only, chained by hash per tenant (the chain is made in the database, by a
//! trigger, whoever writes).

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde_json::Value;

use crate::db::{DbError, TenantId};

pub mod verify;

/// One row.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// `user:EMAIL`, `token:NAME`, `store:NAME`, `operator:EMAIL`, `worker`.
    pub actor: &'a str,
    /// `profile.write`, `credential.activate`, `command.retry`, `access.denied` …
    pub action: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// How it was; never a secret.
    pub before: Option<Value>,
    /// How it is; never a secret.
    pub after: Option<Value>,
}

/// Writes a row, in the transaction of what was done.
///
/// # Errors
/// Postgres is away.
pub async fn record(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    deed: &Deed<'_>,
) -> Result<(), DbError> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO fdms_audit_logs (tenant_id, at, actor, action, subject, before, after)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &tenant.0,
            &now,
            &deed.actor,
            &deed.action,
            &deed.subject,
            &deed.before,
            &deed.after,
        ],
    )
    .await?;
    Ok(())
}
