//! How far each store is ahead of what head office has of it, for Prometheus: as its last snapshot tells, so it is known
//! of stores that send their state and not their lines; one that is silent is in no snapshot, but its last line ages.

use clock::Timestamp;
use uuid::Uuid;

use crate::db::{self, DbError, TenantId};
use crate::hq::Hq;
use crate::{metrics, tenants};

/// A store that has joined.
struct Lag {
    tenant: TenantId,
    store: Uuid,
    /// Numbers of its events between the last line that is here and its last event.
    behind: i64,
    /// When its last lines came.
    last: Option<Timestamp>,
}

/// Writes it for all stores of all tenants.
///
/// # Errors
/// Postgres is away.
pub(super) async fn write(hq: &Hq, text: &mut String) -> Result<(), DbError> {
    let stores = stores(hq).await?;
    let labels = |lag: &Lag| format!("tenant=\"{}\",store=\"{}\"", lag.tenant, lag.store);
    let name = "fiscal_hq_store_events_behind";
    let about = "Events of the store that are not here, as it last told.";
    metrics::head(text, name, "gauge", about);
    for lag in &stores {
        metrics::line(text, name, &labels(lag), lag.behind);
    }
    let name = "fiscal_hq_store_last_line_age_seconds";
    metrics::head(text, name, "gauge", "Since the store's last lines came.");
    for lag in &stores {
        if let Some(last) = lag.last {
            let age = hq.now().duration_since(last).as_secs().max(0);
            metrics::line(text, name, &labels(lag), age);
        }
    }
    Ok(())
}

async fn stores(hq: &Hq) -> Result<Vec<Lag>, DbError> {
    let mut stores = Vec::new();
    let tenants = tenants::all(&hq.db).await?;
    let mut client = hq.db.client().await?;
    for (tenant, _) in tenants {
        let tx = db::tenant(&mut client, tenant).await?;
        let select = tx
            .prepare_cached(
                "SELECT c.store_id, greatest(coalesce((c.state->>'lastSeq')::bigint, 0) - c.acked, 0), c.last_entry_at
                 FROM store_cursors c JOIN stores s ON s.tenant_id = c.tenant_id AND s.store_id = c.store_id
                 WHERE c.tenant_id = $1 AND s.retired_at IS NULL ORDER BY c.store_id",
            )
            .await?;
        for row in tx.query(&select, &[&tenant.0]).await? {
            stores.push(Lag {
                tenant,
                store: row.try_get(0)?,
                behind: row.try_get(1)?,
                last: row.try_get(2)?,
            });
        }
        tx.commit().await?;
    }
    Ok(stores)
}
