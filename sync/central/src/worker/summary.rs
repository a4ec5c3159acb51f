//! One row for each tenant, for the operator's overview.

use clock::Timestamp;
use deadpool_postgres::Transaction;

use crate::db::TenantId;
use crate::problem::Problem;

/// Days before the end of a certificate from which it counts as expiring.
const EXPIRING_DAYS: i32 = 30;

/// Writes how a tenant's stores are.
pub(super) async fn write(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(), Problem> {
    let upsert = tx
        .prepare_cached(
            "INSERT INTO tenant_summaries (tenant_id, stores, tills, silent_stores, open_days, unsent, oldest_unsent,
               dead_letters, expiring, alerts, updated_at)
             SELECT $1, (SELECT count(*) FROM stores WHERE tenant_id = $1 AND retired_at IS NULL),
               count(*), (SELECT count(*) FROM alerts WHERE tenant_id = $1 AND ended_at IS NULL AND kind = 'silent_store'),
               count(*) FILTER (WHERE fiscal_day_no IS NOT NULL), coalesce(sum(waiting), 0), min(oldest_waiting_at),
               (SELECT count(*) FROM fdms_retry_jobs j WHERE j.tenant_id = $1 AND j.status = 'dead_letter' AND NOT EXISTS (
                 SELECT 1 FROM stores s WHERE s.tenant_id = $1 AND s.store_id = j.store_id AND s.retired_at IS NOT NULL)),
               count(*) FILTER (WHERE certificate_till < $2::timestamptz + make_interval(days => $3)),
               (SELECT count(*) FROM alerts WHERE tenant_id = $1 AND ended_at IS NULL), $2
             FROM fdms_devices WHERE tenant_id = $1 AND state <> 'retired'
             ON CONFLICT (tenant_id) DO UPDATE SET stores = excluded.stores, tills = excluded.tills,
               silent_stores = excluded.silent_stores, open_days = excluded.open_days, unsent = excluded.unsent,
               oldest_unsent = excluded.oldest_unsent, dead_letters = excluded.dead_letters, expiring = excluded.expiring,
               alerts = excluded.alerts, updated_at = excluded.updated_at",
        )
        .await?;
    tx.execute(&upsert, &[&tenant.0, &now, &EXPIRING_DAYS])
        .await?;
    Ok(())
}
