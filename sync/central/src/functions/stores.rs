//! Stores: made here, joined with a code that is shown once.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use clock::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::command::Order;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{id, text};
use super::jobs::Ordered;
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::commands;
use crate::db::{self, DbError};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};
use crate::sync::enrol;

/// A store.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Store {
    /// Its name for ever.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When it joined.
    #[schema(value_type = Option<String>)]
    pub joined_at: Option<Timestamp>,
    /// When it was given up.
    #[schema(value_type = Option<String>)]
    pub retired_at: Option<Timestamp>,
    /// When it was last heard of.
    #[schema(value_type = Option<String>)]
    pub last_seen_at: Option<Timestamp>,
    /// The version of its gateway.
    pub version: Option<String>,
}

/// A store to be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStore {
    /// Its name, unique in the tenant.
    pub name: String,
}

/// A code to join with: shown this once.
#[derive(Clone, Serialize, ToSchema)]
pub struct JoinCode {
    /// Typed in the store: `fiscald hq join CODE --url URL`, with this head office's address.
    pub code: String,
    /// Good until then, once.
    #[schema(value_type = String)]
    pub expires_at: Timestamp,
}

impl Store {
    fn of(row: &Row) -> Self {
        Self {
            store_id: row.get("store_id"),
            name: row.get("name"),
            created_at: row.get("created_at"),
            joined_at: row.get("joined_at"),
            retired_at: row.get("retired_at"),
            last_seen_at: row.get("last_seen_at"),
            version: row.get("version"),
        }
    }
}

/// How much of a store's log is asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogAsked {
    /// At most so many of its last lines, from 1 to 5000; left out: 500.
    #[serde(default = "some_lines")]
    pub lines: u32,
}

const fn some_lines() -> u32 {
    500
}

/// The stores of a tenant.
#[utoipa::path(
    get,
    path = "/fiscal_devices/stores",
    tag = "fiscal_devices",
    operation_id = "listStores",
    responses(
        (status = 200, description = "All of them, by name.", body = Vec<Store>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Vec<Store>>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let select = tx
        .prepare_cached(
            "SELECT s.*, c.last_seen_at, c.version FROM stores s
             LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             WHERE s.tenant_id = $1 ORDER BY s.name",
        )
        .await?;
    let rows = tx.query(&select, &[&caller.tenant.0]).await?;
    Ok(Json(rows.iter().map(Store::of).collect()))
}

/// Make a store.
#[utoipa::path(
    post,
    path = "/fiscal_devices/stores",
    tag = "fiscal_devices",
    operation_id = "createStore",
    request_body = NewStore,
    responses(
        (status = 201, description = "The store.", body = Store),
        (status = 409, description = "There is one of that name.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(new): Body<NewStore>,
) -> Result<(StatusCode, Json<Store>), Problem> {
    caller.at_least(Role::Admin)?;
    let name = text("/name", &new.name, 1..=200)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO stores (tenant_id, store_id, name, created_at) VALUES ($1, $2, $3, $4)
             RETURNING *, NULL::timestamptz AS last_seen_at, NULL::text AS version",
        )
        .await?;
    let (store, now) = (Uuid::new_v4(), hq.now());
    let made = tx
        .query_one(&insert, &[&caller.tenant.0, &store, &name, &now])
        .await;
    let row = made.map_err(DbError::from).map_err(|error| {
        if error.is_duplicate() {
            let detail = format!("there is a store `{name}` already");
            return Problem::new(Code::Conflict, detail);
        }
        error.into()
    })?;
    let subject = format!("store {store}");
    let deed = Deed {
        actor: &caller.actor,
        action: "store.create",
        subject: &subject,
        before: None,
        after: Some(json!({ "name": name })),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Store::of(&row))))
}

/// Make a code with which a store joins, or joins again after its machine was lost.
#[utoipa::path(
    post,
    path = "/fiscal_devices/stores/{store_id}/code",
    tag = "fiscal_devices",
    operation_id = "storeCode",
    params(("store_id" = String, Path, description = "The store.")),
    responses(
        (status = 201, description = "The code: it is shown this once.", body = JoinCode),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn code(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(store_id): Path<String>,
) -> Result<(StatusCode, Json<JoinCode>), Problem> {
    caller.at_least(Role::Admin)?;
    let store = id(&store_id, "store")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let now = hq.now();
    let code = enrol::new_code(&tx, caller.tenant, store, &caller.actor, now).await?;
    tx.commit().await?;
    let made = JoinCode {
        code: code.expose_secret().to_owned(),
        expires_at: now
            .saturating_add(enrol::CODE_GOOD_FOR)
            .unwrap_or(Timestamp::MAX),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Ask a store for the last lines of its gateway's log.
///
/// The store sends them with its answer: follow the command at `/fiscal_submissions/{command_id}`, the lines are its `log`.
#[utoipa::path(
    post,
    path = "/fiscal_devices/stores/{store_id}/log",
    tag = "fiscal_devices",
    operation_id = "storeLog",
    params(("store_id" = String, Path, description = "The store.")),
    request_body = LogAsked,
    responses(
        (status = 202, description = "The store is asked.", body = Ordered),
        (status = 409, description = "The store has not joined.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn log(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(store_id): Path<String>,
    Body(asked): Body<LogAsked>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    caller.at_least(Role::Operator)?;
    let store = id(&store_id, "store")?;
    if !(1..=5000).contains(&asked.lines) {
        return Err(Problem::field("/lines", "lines must be from 1 to 5000"));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let find = tx
        .prepare_cached("SELECT 1 FROM stores WHERE tenant_id = $1 AND store_id = $2")
        .await?;
    let found = tx.query_opt(&find, &[&caller.tenant.0, &store]).await?;
    found.ok_or_else(|| Problem::not_found("store"))?;
    let order = Order::UploadLog { lines: asked.lines };
    let now = hq.now();
    let command_id = commands::order(&tx, caller.tenant, store, &order, &caller.actor, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { command_id })))
}
