//! A store that is given up: its secret is good no more, its tills are retired here, nothing is asked of it and nothing of
//! it is an alert. What it has sent stays, for good.

use axum::Json;
use axum::extract::{Path, State};
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::TillRef;
use utoipa::ToSchema;
use uuid::Uuid;

use super::devices::{self, Device};
use super::input::{id, reason};
use super::{device_actions, jobs};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId, till_of};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};
use crate::sync::{enrol, wanted};

/// How a store is given up.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// Why, a sentence.
    pub reason: String,
    /// Its machine is lost or stolen: days that are open stay so, and what it has not sent is given up.
    #[serde(default)]
    pub lost: bool,
}

/// What has ended with a store.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RetiredStore {
    /// The store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// When.
    #[schema(value_type = String)]
    pub retired_at: Timestamp,
    /// Tills that were retired with it.
    pub tills: usize,
    /// Things that waited for FDMS and are `dead_letter` now, with the reason.
    pub dead_letter: u64,
    /// Commands that had not ended: `expired` now.
    pub commands: u64,
    /// Codes to join with that are good no more.
    pub codes: u64,
    /// Alerts that have ended.
    pub alerts: u64,
}

/// A store as it is before.
struct Before {
    name: String,
    key_hash: Option<Vec<u8>>,
    /// So many of its lines are not here.
    behind: i64,
    tills: Vec<Device>,
}

/// Retire a store: for good.
///
/// Its secret is good no more, so nothing is taken from it any more; the machine itself is not stopped by that. Refused while
/// one of its tills has an open day or something that waits for FDMS, or lines of it are not here yet, unless its machine is
/// lost (`"lost": true`): then that is given up, and stays as it is known here.
#[utoipa::path(
    post,
    path = "/fiscal_devices/stores/{store_id}/retire",
    tag = "fiscal_devices",
    operation_id = "retireStore",
    params(("store_id" = String, Path, description = "The store.")),
    request_body = Retirement,
    responses(
        (status = 200, description = "What has ended with it.", body = RetiredStore),
        (status = 409, description = "It is not done with its work, or is retired already.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retire(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(store_id): Path<String>,
    Body(asked): Body<Retirement>,
) -> Result<Json<RetiredStore>, Problem> {
    caller.at_least(Role::Admin)?;
    let store = id(&store_id, "store")?;
    let why = reason(&asked.reason)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = lock(&tx, caller.tenant, store).await?;
    let undone = undone(&before);
    if !asked.lost && !undone.is_empty() {
        return Err(Problem::new(
            Code::Conflict,
            format!(
                "store {} is not done with its work: {}. Close the days there, wait until nothing waits any more, and retire it \
                 then. If its machine is lost or stolen, say so (`lost`): what it has not sent is given up then, and stays as it \
                 is known here",
                before.name,
                undone.join("; ")
            ),
        ));
    }
    let now = hq.now();
    let dead_letter = retire_tills(&tx, &caller, &before, &why, now).await?;
    let (codes, commands, alerts) = end(&tx, caller.tenant, store, &before, now).await?;
    let subject = format!("store {store}");
    let deed = Deed {
        actor: &caller.actor,
        action: "store.retire",
        subject: &subject,
        before: Some(json!({ "name": before.name, "undone": undone })),
        after: Some(
            json!({ "reason": why, "lost": asked.lost, "tills": before.tills.len(), "dead_letter": dead_letter,
            "commands": commands, "codes": codes, "alerts": alerts }),
        ),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(Json(RetiredStore {
        store_id: store,
        retired_at: now,
        tills: before.tills.len(),
        dead_letter,
        commands,
        codes,
        alerts,
    }))
}

/// Locks all that is about to change, in the order of docs/HQ.md, Locks, so that no batch of the store comes in between.
async fn lock(tx: &Transaction<'_>, tenant: TenantId, store: Uuid) -> Result<Before, Problem> {
    let cursor = tx
        .prepare_cached(
            "SELECT greatest((state->>'lastSeq')::bigint - acked, 0) FROM store_cursors
             WHERE tenant_id = $1 AND store_id = $2 FOR UPDATE",
        )
        .await?;
    let cursor = tx.query_opt(&cursor, &[&tenant.0, &store]).await?;
    let behind: Option<i64> = cursor.and_then(|row| row.get(0));
    wanted::lock(tx, tenant).await?;
    let select = tx
        .prepare_cached(
            "SELECT name, key_hash, retired_at IS NOT NULL FROM stores
             WHERE tenant_id = $1 AND store_id = $2 FOR NO KEY UPDATE",
        )
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0, &store]).await?;
    let row = row.ok_or_else(|| Problem::not_found("store"))?;
    let name: String = row.get(0);
    if row.get(2) {
        let detail = format!("store {name} is retired already, and stays so");
        return Err(Problem::new(Code::Conflict, detail));
    }
    Ok(Before {
        name,
        key_hash: row.get(1),
        behind: behind.unwrap_or(0),
        tills: devices::of_store(tx, tenant, store).await?,
    })
}

/// What the store has still to do, as far as it is known here: sentences' parts.
fn undone(before: &Before) -> Vec<String> {
    let mut undone = Vec::new();
    for till in &before.tills {
        if let Some(day) = till.fiscal_day_no {
            undone.push(format!("fiscal day {day} of {} is open", till.shown()));
        }
        if till.waiting > 0 {
            let (waiting, till) = (till.waiting, till.shown());
            undone.push(format!("of {till}, waiting for FDMS: {waiting}"));
        }
    }
    if before.behind > 0 {
        undone.push(format!("events that are not here yet: {}", before.behind));
    }
    undone
}

/// Retires the tills here, each with its audit row; what waits there is a dead letter with the reason. How much that was.
async fn retire_tills(
    tx: &Transaction<'_>,
    caller: &Caller,
    before: &Before,
    why: &str,
    now: Timestamp,
) -> Result<u64, Problem> {
    let why = format!("its store is retired: {why}");
    let mut dead_letter = 0;
    for device in &before.tills {
        let till: Option<TillRef> = till_of(&device.environment, device.device_id);
        let till = till.ok_or_else(|| Problem::not_found("till"))?;
        dead_letter += jobs::mark(tx, caller.tenant, till, &why, now).await?;
        device_actions::mark(tx, caller, device, "retired", Some(&why), now).await?;
    }
    Ok(dead_letter)
}

/// Ends the store's secret, codes, commands and alerts. How many of the last three.
async fn end(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
    before: &Before,
    now: Timestamp,
) -> Result<(u64, u64, u64), Problem> {
    if let Some(key_hash) = &before.key_hash {
        enrol::drop_secret(tx, key_hash).await?;
    }
    let mut ended = [0; 4];
    for (ended, sql) in ended.iter_mut().zip([
        "UPDATE stores SET retired_at = $3, key_hash = NULL WHERE tenant_id = $1 AND store_id = $2",
        "UPDATE enrolment_codes SET expires_at = $3
         WHERE tenant_id = $1 AND store_id = $2 AND used_at IS NULL AND expires_at > $3",
        "UPDATE commands SET status = 'expired', finished_at = $3, detail = 'the store was retired'
         WHERE tenant_id = $1 AND store_id = $2 AND status IN ('queued', 'delivered')",
        "UPDATE alerts SET ended_at = $3 WHERE tenant_id = $1 AND store_id = $2 AND ended_at IS NULL",
    ]) {
        let update = tx.prepare_cached(sql).await?;
        *ended = tx.execute(&update, &[&tenant.0, &store, &now]).await?;
    }
    let [_, codes, commands, alerts] = ended;
    Ok((codes, commands, alerts))
}
