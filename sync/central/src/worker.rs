//! What happens by itself: alerts begin and end and people are told, summaries, the checklist's evidence, partitions.
//!
//! A turn is called by the service's own timer and by `POST /fdms_worker`. Any number of turns may run at once, in any number of
//! instances: a tenant is worked on by one of them at a time (a lock in Postgres), and each message is claimed before it is sent.

mod alerts;
pub mod channels;
mod deliver;
mod mail;
mod months;
mod summary;
pub(crate) mod webhook;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use clock::Timestamp;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use alerts::{Alert, Alerts, End};
pub use months::partitions;

use crate::access::{bearer, pauses};
use crate::db::{self, TenantId};
use crate::functions::checklist;
use crate::hq::{Hq, SharedHq};
use crate::problem::{Code, Problem, caught};
use crate::tenants;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(post))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::end))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::change, channels::remove))
        .routes(routes!(channels::test))
}

/// What a turn has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Turn {
    /// Tenants that were looked at.
    pub tenants: u32,
    /// Tenants that another turn is looking at.
    pub busy: u32,
    /// Tenants that could not be looked at, or whose messages could not be noted; the log says why.
    pub failed: u32,
    /// Alerts that began.
    pub began: u32,
    /// Alerts that ended.
    pub ended: u32,
    /// Messages that have arrived.
    pub delivered: u32,
    /// Messages that will be tried again.
    pub undelivered: u32,
    /// Partitions that were made.
    pub partitions: i32,
    /// Failed sign-ins of accounts and addresses that were forgotten.
    pub forgotten: u64,
}

/// One turn of the periodic work.
///
/// `Authorization: Bearer` with FDMS_WORKER_SECRET. Safe to call twice at once.
#[utoipa::path(
    post,
    path = "/fdms_worker",
    tag = "fdms_worker",
    operation_id = "workerTurn",
    security(("worker" = [])),
    responses(
        (status = 200, description = "What the turn has done.", body = Turn),
        (status = 401, description = "The secret is not the worker's.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn post(State(hq): State<SharedHq>, headers: HeaderMap) -> Result<Json<Turn>, Problem> {
    if !bearer(&headers).is_some_and(|shown| is_the_worker(&hq, shown)) {
        return Err(Problem::new(
            Code::Unauthenticated,
            "this takes `Authorization: Bearer` with FDMS_WORKER_SECRET as this installation has it",
        ));
    }
    Ok(Json(turn(&hq).await?))
}

/// Whether this is the worker's secret; how long that takes says nothing of how much of it is right.
fn is_the_worker(hq: &Hq, shown: &str) -> bool {
    let Some(secret) = &hq.worker_secret else {
        return false;
    };
    let ours = Sha256::digest(secret.expose_secret().as_bytes());
    let theirs = Sha256::digest(shown.as_bytes());
    let apart = ours
        .iter()
        .zip(theirs.iter())
        .fold(0, |apart, (one, other)| apart | (one ^ other));
    apart == 0
}

/// Does everything that is due.
///
/// # Errors
/// Postgres is away. What fails of one tenant stops no other.
pub async fn turn(hq: &Hq) -> Result<Turn, Problem> {
    let mut turn = Turn {
        partitions: partitions(hq).await?,
        forgotten: pauses::clear(hq).await?,
        ..Turn::default()
    };
    for (tenant, _) in tenants::all(&hq.db).await? {
        match caught(tend(hq, tenant)).await.flatten() {
            Ok(Some((began, ended))) => {
                turn.tenants += 1;
                turn.began += began;
                turn.ended += ended;
            }
            Ok(None) => turn.busy += 1,
            Err(problem) => {
                tracing::error!(%tenant, detail = %problem.detail, "the worker could not look at a tenant");
                turn.failed += 1;
            }
        }
        match caught(deliver::all(hq, tenant)).await.flatten() {
            Ok((delivered, undelivered)) => {
                turn.delivered += delivered;
                turn.undelivered += undelivered;
            }
            Err(problem) => {
                tracing::error!(%tenant, detail = %problem.detail, "messages could not be sent");
                turn.failed += 1;
            }
        }
    }
    Ok(turn)
}

/// Looks at one tenant, unless another turn does; how many alerts began and ended.
async fn tend(hq: &Hq, tenant: TenantId) -> Result<Option<(u32, u32)>, Problem> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let lock = tx
        .prepare_cached(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('fdms_worker ' || $1, 0))",
        )
        .await?;
    let mine: bool = tx.query_one(&lock, &[&tenant.to_string()]).await?.get(0);
    if !mine {
        return Ok(None);
    }
    let now: Timestamp = hq.now();
    let changed = alerts::update(&tx, tenant, now).await?;
    deliver::plan(&tx, tenant, now).await?;
    summary::write(&tx, tenant, now).await?;
    if !checklist::is_live(&tx, tenant).await? {
        checklist::read(&tx, hq, tenant).await?;
    }
    tx.commit().await?;
    Ok(Some(changed))
}
