//! What a till is asked to do: blocked, retired, or a command to its store.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::TillRef;
use sync_wire::command::Order;
use utoipa::ToSchema;
use uuid::Uuid;

use super::devices::{self, Device};
use super::input::{reason, text, till};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::commands;
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};
use crate::sync::wanted;

/// What may be asked of a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sells and sends nothing more until it is unblocked, what waits is kept; a reason is needed. Its store is told with each
    /// exchange, by no command.
    Block,
    /// Goes on. What else holds its queue (a rollback, a person, a refusal) holds it still.
    Unblock,
    /// Never sells again; a reason is needed.
    Retire,
    /// Fetches its configuration from FDMS.
    RefreshConfig,
    /// Opens a fiscal day.
    OpenDay,
    /// Closes the open fiscal day.
    CloseDay,
    /// Renews its certificate.
    RenewCertificate,
}

impl Action {
    const fn needs(self) -> Role {
        match self {
            Self::Block | Self::Unblock | Self::Retire | Self::RenewCertificate => Role::Admin,
            Self::RefreshConfig | Self::OpenDay | Self::CloseDay => Role::Operator,
        }
    }
}

/// Why something is asked of a till.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// A sentence; needed for block, retire and `dead_letter`.
    #[serde(default)]
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Asked {
    /// The command to the store; none where it has nothing to do, or is told of it with each exchange.
    #[schema(value_type = Option<String>)]
    pub command_id: Option<Uuid>,
    /// The till.
    pub device: Device,
}

/// Ask something of a till.
///
/// The store carries it out once, in the order of its commands, and answers; follow the command at
/// `/fiscal_submissions/{command_id}`.
#[utoipa::path(
    post,
    path = "/fiscal_devices/{environment}/{device_id}/{action}",
    tag = "fiscal_devices",
    operation_id = "askDevice",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "Its number at FDMS."),
        ("action" = inline(Action), Path, description = "What is asked."),
    ),
    request_body = Why,
    responses(
        (status = 202, description = "The store is asked.", body = Asked),
        (status = 409, description = "It cannot be done as things are.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn ask(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path((environment, device_id, action)): Path<(String, String, String)>,
    Body(why): Body<Why>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let action: Action = serde_json::from_value(json!(action))
        .map_err(|_| Problem::not_found("action of a till"))?;
    caller.at_least(action.needs())?;
    let till = till(&environment, &device_id)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let now = hq.now();
    let asked = act(&tx, &caller, till, action, &why.reason, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Does it, in the transaction.
///
/// # Errors
/// There is no such till, it is in no state for it, the reason is missing, or Postgres is away.
pub async fn act(
    tx: &Transaction<'_>,
    caller: &Caller,
    till: TillRef,
    action: Action,
    why: &str,
    now: Timestamp,
) -> Result<Asked, Problem> {
    let before = devices::read(tx, caller.tenant, till, true).await?;
    if before.state == "retired" {
        let detail = format!("{} is retired, and stays so", before.shown());
        return Err(Problem::new(Code::Conflict, detail));
    }
    let order = match action {
        // The block itself keeps everything back, for as long as `Wanted` names the till: it needs no pause, and leaves those
        // that are there to whoever made them.
        Action::Block | Action::Unblock => None,
        Action::Retire => Some(Order::Retire {
            till,
            reason: reason(why)?,
        }),
        Action::RefreshConfig => Some(Order::RefreshConfig { till }),
        Action::OpenDay => Some(Order::OpenDay { till }),
        Action::CloseDay => Some(Order::CloseDay { till }),
        Action::RenewCertificate => Some(Order::RenewCertificate { till }),
    };
    let at_store = before.last_seen_at.is_some();
    match action {
        Action::Block => {
            let why = reason(why)?;
            mark(tx, caller, &before, "blocked", Some(&why), now).await?;
        }
        Action::Unblock if before.state == "blocked" => {
            let state = if before.certificate_thumbprint.is_some() {
                "active"
            } else {
                "pending"
            };
            mark(tx, caller, &before, state, None, now).await?;
        }
        Action::Unblock => {
            let detail = format!("{} is not blocked", before.shown());
            return Err(Problem::new(Code::Conflict, detail));
        }
        Action::Retire => {
            let why = reason(why)?;
            // One that its store has never seen is retired here alone; else once its store has done it.
            if !at_store {
                mark(tx, caller, &before, "retired", Some(&why), now).await?;
            }
        }
        _ if before.state == "blocked" => {
            let detail = format!("{} is blocked; unblock it first", before.shown());
            return Err(Problem::new(Code::Conflict, detail));
        }
        _ => {}
    }
    // What its store has never seen was retired here.
    let order = order.filter(|_| at_store || action != Action::Retire);
    let command_id = match order {
        None => None,
        Some(order) => {
            let (store, actor) = (before.store_id, &caller.actor);
            Some(commands::order(tx, caller.tenant, store, &order, actor, now).await?)
        }
    };
    Ok(Asked {
        command_id,
        device: devices::read(tx, caller.tenant, till, false).await?,
    })
}

/// Writes a till's state and last error, with the audit row.
///
/// # Errors
/// Postgres is away.
pub(super) async fn mark(
    tx: &Transaction<'_>,
    caller: &Caller,
    before: &Device,
    state: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), Problem> {
    let tenant: TenantId = caller.tenant;
    let update = tx
        .prepare_cached(
            "UPDATE fdms_devices SET state = $4, last_error = $5,
               block_reason = CASE $4 WHEN 'blocked' THEN $5 END
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
        )
        .await?;
    let key = (&before.environment, before.device_id);
    tx.execute(&update, &[&tenant.0, key.0, &key.1, &state, &error])
        .await?;
    let action = format!("device.{state}");
    let deed = Deed {
        actor: &caller.actor,
        action: &action,
        subject: &before.shown(),
        before: Some(json!({ "state": before.state, "last_error": before.last_error })),
        after: Some(json!({ "state": state, "last_error": error })),
    };
    wanted::bump(tx, tenant).await?;
    audit::record(tx, tenant, now, &deed).await?;
    Ok(())
}

/// What people write of a till.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// The cashier machine; its test and its production till share it.
    pub machine_name: String,
    /// How the client expects it to work: `online`, `offline`, `hybrid`.
    pub mode: String,
}

/// Say which cashier machine a till belongs to, and how it is to work.
///
/// The rest of a till is the authority's and the store's to say. A till that a store has brought along has no machine yet.
#[utoipa::path(
    put,
    path = "/fiscal_devices/{environment}/{device_id}",
    tag = "fiscal_devices",
    operation_id = "changeDevice",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "Its number at FDMS."),
    ),
    request_body = DeviceChange,
    responses(
        (status = 200, description = "The till.", body = Device),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn change(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path((environment, device_id)): Path<(String, String)>,
    Body(change): Body<DeviceChange>,
) -> Result<Json<Device>, Problem> {
    caller.at_least(Role::Admin)?;
    let till = till(&environment, &device_id)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = devices::read(&tx, caller.tenant, till, true).await?;
    let machine = text("/machine_name", &change.machine_name, 1..=100)?;
    devices::known_mode(&change.mode)?;
    let update = tx
        .prepare_cached(
            "UPDATE fdms_devices SET machine_name = $4, mode = $5
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
        )
        .await?;
    let key = (&before.environment, before.device_id);
    tx.execute(
        &update,
        &[&caller.tenant.0, key.0, &key.1, &machine, &change.mode],
    )
    .await?;
    let now = hq.now();
    let deed = Deed {
        actor: &caller.actor,
        action: "device.change",
        subject: &before.shown(),
        before: Some(json!({ "machine_name": before.machine_name, "mode": before.mode })),
        after: Some(json!({ "machine_name": machine, "mode": change.mode })),
    };
    wanted::bump(&tx, caller.tenant).await?;
    audit::record(&tx, caller.tenant, now, &deed).await?;
    let after = devices::read(&tx, caller.tenant, till, false).await?;
    tx.commit().await?;
    Ok(Json(after))
}

/// Whether a store has joined, so that it can be asked something.
///
/// # Errors
/// Postgres is away.
pub async fn joined(tx: &Transaction<'_>, tenant: TenantId, store: Uuid) -> Result<bool, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM store_cursors WHERE tenant_id = $1 AND store_id = $2)",
        )
        .await?;
    let row = tx.query_one(&select, &[&tenant.0, &store]).await?;
    Ok(row.get(0))
}
