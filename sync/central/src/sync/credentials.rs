//! Certificates that tills use: a key that was made in the store is a version without a sealed key; one that head
//! office delivered is there already, and now it is in use.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::TillRef;
use sync_wire::entry::CertificateUsed;

use super::StoreCaller;
use super::batch::{Batch, plain};
use super::deeds::Deeds;
use super::devices::Devices;
use super::line::device;
use crate::db::DbError;

/// Keeps which certificates a batch says are used, in its order.
pub(super) async fn write(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    devices: &Devices,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    for (till, at, used) in &batch.certificates {
        if devices.has(*till) {
            one(tx, caller, deeds, *till, *at, used, now).await?;
        }
    }
    Ok(())
}

async fn one(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    till: TillRef,
    at: Timestamp,
    used: &CertificateUsed,
    now: Timestamp,
) -> Result<(), DbError> {
    let (environment, number) = (till.environment.as_str(), device(till));
    let select = tx
        .prepare_cached(
            "SELECT version, lower(thumbprint) = lower($4), revoked_at IS NOT NULL FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 ORDER BY version",
        )
        .await?;
    let thumbprint = plain(used.thumbprint.clone());
    let rows = tx
        .query(
            &select,
            &[&caller.tenant.0, &environment, &number, &thumbprint],
        )
        .await?;
    let known = rows.iter().find(|row| row.get(1));
    let (version, is_new) = match known {
        Some(row) => (row.get(0), false),
        None => (rows.last().map_or(1, |row| row.get::<_, i32>(0) + 1), true),
    };
    if is_new {
        let Some((from, until)) = validity(&used.certificate) else {
            tracing::warn!(%till, "a certificate that is used cannot be read");
            return Ok(());
        };
        let insert = tx
            .prepare_cached(
                "INSERT INTO fdms_tenant_credentials (tenant_id, environment, device_id, version, label, thumbprint,
                   certificate, valid_from, valid_till, created_by, created_at)
                 VALUES ($1, $2, $3, $4, 'made in the store', $5, $6, $7, $8, $9, $10)",
            )
            .await?;
        let certificate = plain(used.certificate.clone());
        tx.execute(
            &insert,
            &[
                &caller.tenant.0,
                &environment,
                &number,
                &version,
                &thumbprint,
                &certificate,
                &from,
                &until,
                &deeds.actor(),
                &now,
            ],
        )
        .await?;
    }
    let is_revoked = known.is_some_and(|row| row.get(2));
    in_use(tx, caller, till, version, is_revoked, at).await?;
    deeds.note(
        "credential.used",
        format!("till {till}"),
        serde_json::json!({ "version": version, "thumbprint": thumbprint }),
    );
    Ok(())
}

/// One that was revoked here is told to be used, and not made the active one for it.
async fn in_use(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
    version: i32,
    is_revoked: bool,
    at: Timestamp,
) -> Result<(), DbError> {
    let (environment, number) = (till.environment.as_str(), device(till));
    let others = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET active = false
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND active AND version <> $4",
        )
        .await?;
    let this = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET delivered_at = coalesce(delivered_at, $5), active = NOT $6,
               activated_at = CASE WHEN $6 THEN activated_at ELSE coalesce(activated_at, $5) END
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4",
        )
        .await?;
    if !is_revoked {
        tx.execute(
            &others,
            &[&caller.tenant.0, &environment, &number, &version],
        )
        .await?;
    }
    tx.execute(
        &this,
        &[
            &caller.tenant.0,
            &environment,
            &number,
            &version,
            &at,
            &is_revoked,
        ],
    )
    .await?;
    Ok(())
}

fn validity(pem: &str) -> Option<(Timestamp, Timestamp)> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let moment = |at: i64| Timestamp::from_second(at).ok();
    Some((
        moment(validity.not_before.timestamp())?,
        moment(validity.not_after.timestamp())?,
    ))
}
