//! Tills that only a store has told of. Nobody at head office has confirmed them and FDMS has accepted nothing of them,
//! so they keep nobody from making the record of the till as it really is, in the store where it really stands.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::TillRef;
use uuid::Uuid;

use super::input::device;
use crate::db::TenantId;
use crate::problem::Problem;
use crate::sync::wanted;

/// As a store has reported it.
#[derive(Debug)]
pub(super) struct Reported {
    /// The store that has.
    pub(super) store: Uuid,
    /// What its ledger puts in front of every `invoiceNo`.
    pub(super) prefix: String,
    /// As the audit names the store.
    pub(super) by: String,
}

/// What a record is that no person has made, changed, blocked, retired or given a certificate to, and whose store has neither sold with it
/// nor retired it: each of these is another state than `registered`, in which a store's word makes it.
const UNCONFIRMED: &str = "SELECT store_id, invoice_prefix, created_by FROM fdms_devices d
 WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND created_by LIKE 'store:%' AND machine_name = ''
   AND state = 'registered'
   AND NOT EXISTS (SELECT FROM fdms_submission_logs l WHERE l.tenant_id = d.tenant_id
     AND l.environment = d.environment AND l.device_id = d.device_id AND l.outcome = 'accepted')
   AND NOT EXISTS (SELECT FROM fdms_tenant_credentials c WHERE c.tenant_id = d.tenant_id
     AND c.environment = d.environment AND c.device_id = d.device_id AND c.created_by NOT LIKE 'store:%')";

/// What another store has said of it.
const FORGET: &str = "UPDATE fdms_devices SET store_id = $4, state = 'pending', operating_mode = NULL, hold = NULL,
   hold_reason = NULL, fiscal_day_no = NULL, fiscal_day_opened = NULL, last_day_no = 0, last_receipt_global_no = 0,
   sent_receipt_global_no = 0, waiting = 0, oldest_waiting_at = NULL, parked = NULL, line = NULL,
   certificate_thumbprint = NULL, certificate_from = NULL, certificate_till = NULL, last_error = NULL,
   last_seen_at = NULL
 WHERE tenant_id = $1 AND environment = $2 AND device_id = $3";

/// Finds a till that only a store has told of, and makes it one of this store, locked for whoever confirms it. None:
/// there is no such till, or it is more than that.
///
/// # Errors
/// Postgres is away.
pub(super) async fn give(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
    store: Uuid,
    now: Timestamp,
) -> Result<Option<Reported>, Problem> {
    let key = (till.environment.as_str(), device(till)?);
    let find = tx.prepare_cached(UNCONFIRMED).await?;
    let Some(row) = tx.query_opt(&find, &[&tenant.0, &key.0, &key.1]).await? else {
        return Ok(None);
    };
    // In the order of a store's batch: cursors, the tenant, the till. Then it is looked at once more.
    let cursors = tx
        .prepare_cached(
            "SELECT 1 FROM store_cursors WHERE tenant_id = $1 AND store_id IN ($2, $3) ORDER BY store_id FOR UPDATE",
        )
        .await?;
    tx.query(&cursors, &[&tenant.0, &row.get::<_, Uuid>(0), &store])
        .await?;
    wanted::lock(tx, tenant).await?;
    let lock = [UNCONFIRMED, " FOR UPDATE"].concat();
    let lock = tx.prepare_cached(&lock).await?;
    let Some(row) = tx.query_opt(&lock, &[&tenant.0, &key.0, &key.1]).await? else {
        return Ok(None);
    };
    let reported = Reported {
        store: row.get(0),
        prefix: row.get(1),
        by: row.get(2),
    };
    if reported.store != store {
        let forget = tx.prepare_cached(FORGET).await?;
        tx.execute(&forget, &[&tenant.0, &key.0, &key.1, &store])
            .await?;
        let revoke = tx
            .prepare_cached(
                "UPDATE fdms_tenant_credentials SET active = false, revoked_at = coalesce(revoked_at, $4),
                   revoked_reason = coalesce(revoked_reason, 'reported by a store that does not have the till')
                 WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
            )
            .await?;
        tx.execute(&revoke, &[&tenant.0, &key.0, &key.1, &now])
            .await?;
    }
    wanted::bump(tx, tenant).await?;
    Ok(Some(reported))
}
