//! The stores' channel: batches up, acknowledgement and commands down; how a store joins.
//!
//! An [`exchange`](sync_wire::exchange) is one transaction ([`take`]) under the lock of the store's [`cursor`]: a batch
//! that comes twice, late or through two instances changes nothing. Lines are kept in columns, and come back from
//! these to the byte ([`kept`], [`past`]).

use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use sync_wire::enrol::{Enrol, Enrolled};
use sync_wire::exchange::Down;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::{ClientAddress, Seen, bearer, secret};
use crate::db::{self, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::metrics::METRICS;
use crate::problem::{Code, Problem, collect};

mod answers;
pub mod batch;
pub mod body;
mod credentials;
mod cursor;
mod days;
mod deeds;
mod devices;
pub mod enrol;
mod epochs;
mod jobs;
pub mod kept;
pub mod line;
mod past;
mod planted;
mod rows;
mod take;
pub mod trouble;
pub mod wanted;

/// Bytes of a request to join at most.
const MAX_ENROL: usize = 1 << 20;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(exchange))
        .routes(routes!(join))
        .routes(routes!(fetch_past))
}

/// The store that is calling.
#[derive(Debug, Clone, Copy)]
pub struct StoreCaller {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub store: Uuid,
}

impl FromRequestParts<SharedHq> for StoreCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hq: &SharedHq) -> Result<Self, Problem> {
        let found = caller(hq, &parts.headers).await;
        let seen = parts.extensions.get::<Seen>().cloned().unwrap_or_default();
        match &found {
            Ok(_) => seen.prove(),
            Err(problem) if problem.code == Code::Unauthenticated => seen.guess(),
            Err(_) => {}
        }
        found
    }
}

/// Who is calling, by the store's secret.
async fn caller(hq: &Hq, headers: &HeaderMap) -> Result<StoreCaller, Problem> {
    let hash = secret::hash(bearer(headers).unwrap_or_default());
    let client = hq.db.client().await?;
    let lookup = client
        .prepare_cached("SELECT tenant_id, id FROM hq_lookup('store', $1)")
        .await?;
    let row = client.query_opt(&lookup, &[&hash.as_slice()]).await?;
    let row = row.ok_or_else(|| {
        let detail = format!(
            "head office does not know this store's secret: the store was joined again on another machine, was retired, or \
             was never joined here; unless it is retired, make a code for it at head office and run `{}`",
            hq.join_command("CODE")
        );
        Problem::new(Code::Unauthenticated, detail)
    })?;
    Ok(StoreCaller {
        tenant: TenantId(row.get(0)),
        store: row.get(1),
    })
}

/// One exchange: lines of JSON, first how the store is, then its entries.
#[utoipa::path(
    post,
    path = "/sync",
    tag = "stores",
    security(("store" = [])),
    request_body(
        content = String,
        content_type = "application/x-ndjson",
        description = "Lines of JSON, plain or compressed with zstd (`Content-Encoding: zstd`): first where the batch begins and how the store is, then its entries"
    ),
    responses(
        (status = 200, description = "Where the store's past ends here, its commands, and what it shall be", body = serde_json::Value),
        (status = 401, description = "The secret is not good any more", body = Problem),
        (status = 413, description = "Too many lines or bytes", body = Problem),
        (status = 422, description = "A line cannot be read: nothing of the batch was taken", body = Problem),
        (status = 503, description = "The database is away: the same again later", body = Problem),
    )
)]
async fn exchange(
    State(hq): State<SharedHq>,
    caller: StoreCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Down>, Problem> {
    let packed = body::receive(&headers, body).await?;
    let text = tokio::task::spawn_blocking(move || packed.unpack())
        .await
        .map_err(|error| Problem::new(Code::Internal, format!("unpacking broke off: {error}")))??;
    let (up, entries) = match body::split(&text) {
        Ok(split) => split,
        Err(problem) => return Err(take::told(&hq, caller, problem).await),
    };
    let down = Box::pin(take::exchange(&hq, caller, &up, &entries)).await?;
    METRICS.entries_taken(u64::from(down.taken));
    Ok(Json(down))
}

/// A store joins with a code that is good once.
#[utoipa::path(
    post,
    path = "/sync/enrol",
    tag = "stores",
    security(()),
    request_body(content = serde_json::Value, description = "The code, the store's half of its sealing key, and its tills"),
    responses(
        (status = 200, description = "The store's own secret, its tills, and its past if it was here before", body = serde_json::Value),
        (status = 401, description = "The code is none", body = Problem),
        (status = 409, description = "The code was used or is too old", body = Problem),
    )
)]
async fn join(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    seen: Option<Extension<Seen>>,
    body: Body,
) -> Result<Json<Enrolled>, Problem> {
    let bytes = collect(body, MAX_ENROL).await?;
    let enrol: Enrol = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            Code::Invalid,
            format!("the request cannot be read: {error}"),
        )
    })?;
    let seen = seen.map(|Extension(seen)| seen).unwrap_or_default();
    Ok(Json(enrol::join(&hq, &enrol, from, &seen).await?))
}

/// Which page of the past.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The line before the page; 0 for the first page.
    after: i64,
}

/// A page of the past of a store that lost its machine: its lines as they came, none at the end.
#[utoipa::path(
    get,
    path = "/sync/past",
    tag = "stores",
    security(("store" = [])),
    params(Page),
    responses(
        (status = 200, description = "Lines of JSON", body = String, content_type = "application/x-ndjson"),
        (status = 401, description = "The secret is not good any more", body = Problem),
    )
)]
async fn fetch_past(
    State(hq): State<SharedHq>,
    caller: StoreCaller,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(page) = page.map_err(|rejected| Problem::field("?after", rejected.body_text()))?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let cursor = cursor::lock(&tx, caller).await?;
    let pieces = past::pieces(&tx, caller, cursor.epoch_no, cursor.acked).await?;
    let lines = past::lines(&tx, caller, &pieces, page.after).await?;
    tx.commit().await?;
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() && text.len() + line.text.len() >= past::PAGE_BYTES {
            break;
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}
