//! What waits at the stores (`fdms_retry_jobs`): looked at, let go on, or paused with a reason.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::TillRef;
use sync_wire::command::Order;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::device_actions::{Why, joined};
use super::input::{Params, device, reason, till};
use super::{devices, search};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::commands;
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};

/// A row of `fdms_retry_jobs`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Job {
    /// The store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// `test` or `prod`.
    pub environment: String,
    /// The till.
    pub device_id: i32,
    /// `open_day`, `submit_receipt`, `close_day`, `submit_file`.
    pub kind: String,
    /// `receiptGlobalNo`, `fiscalDayNo` or the file's sequence.
    pub number: i32,
    /// `pending`: tried again; `in_flight`: sent, and it is not known what became of it: FDMS is asked; `done`; `dead_letter`: nothing is
    /// sent until a person acts.
    pub status: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    #[schema(value_type = Option<String>)]
    pub next_attempt_at: Option<Timestamp>,
    /// Why it waits.
    pub reason: Option<String>,
    /// FDMS's code, or `paused`.
    pub code: Option<String>,
    /// The controlled test submission that it is of.
    #[schema(value_type = Option<String>)]
    pub command_id: Option<Uuid>,
    /// When it began to wait.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When that last changed.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

/// A page of jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Jobs {
    /// The rows.
    pub rows: Vec<Job>,
    /// Where the next page begins: `after=`. None: this is the last.
    pub next: Option<String>,
}

impl Job {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            kind: row.get("kind"),
            number: row.get("number"),
            status: row.get("status"),
            attempts: row.get("attempts"),
            next_attempt_at: row.get("next_attempt_at"),
            reason: row.get("reason"),
            code: row.get("code"),
            command_id: row.get("command_id"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        }
    }
}

/// What waits at the stores, as far as it was tried.
///
/// What nobody has tried yet, because something before it waits, has no row: it is counted in `waiting` of its till.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/jobs",
    tag = "fiscal_submissions",
    operation_id = "listJobs",
    params(
        ("status" = Option<String>, Query, description = "`pending`, `in_flight`, `done`, `dead_letter`, or `open`: all but done. Left out: `open`."),
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("device_id" = Option<i32>, Query, description = "Of this till alone."),
        ("store_id" = Option<String>, Query, description = "Of this store alone."),
        ("limit" = Option<i32>, Query, description = "Rows, at most 500; 50 if left out."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "By till, in the order in which they are sent.", body = Jobs),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Jobs>, Problem> {
    caller.at_least(Role::Viewer)?;
    let known = [
        "status",
        "environment",
        "device_id",
        "store_id",
        "limit",
        "after",
    ];
    let params = Params::of(&uri, &known)?;
    let words = ["open", "pending", "in_flight", "done", "dead_letter"];
    let status = params.word("status", &words)?.unwrap_or("open");
    let environment = params
        .environment()?
        .map(|environment| environment.as_str());
    let device_id = params.number("device_id")?;
    let store = params
        .get("store_id")
        .map(|text| super::input::id(text, "store"))
        .transpose()?;
    let limit = params.limit()?;
    let key = search::Key::of(&params, 5)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let select = tx
        .prepare_cached(
            "SELECT * FROM fdms_retry_jobs
             WHERE tenant_id = $1 AND (CASE $2 WHEN 'open' THEN status <> 'done' ELSE status = $2 END)
               AND ($3::text IS NULL OR environment = $3) AND ($4::integer IS NULL OR device_id = $4)
               AND ($5::uuid IS NULL OR store_id = $5)
               AND ($6::text IS NULL OR (environment, device_id, item_seq, kind, number) > ($6, $7, $8, $9, $10))
             ORDER BY environment, device_id, item_seq, kind, number LIMIT $11",
        )
        .await?;
    let rows = tx
        .query(
            &select,
            &[
                &caller.tenant.0,
                &status,
                &environment,
                &device_id,
                &store,
                &key.text(0),
                &key.number::<i32>(1)?,
                &key.number::<i64>(2)?,
                &key.text(3),
                &key.number::<i32>(4)?,
                &search::one_more(limit),
            ],
        )
        .await?;
    let next = search::next(&rows, limit, |row| {
        let (environment, kind): (String, String) = (row.get("environment"), row.get("kind"));
        let (device, number): (i32, i32) = (row.get("device_id"), row.get("number"));
        let seq: i64 = row.get("item_seq");
        format!("{environment},{device},{seq},{kind},{number}")
    });
    Ok(Json(Jobs {
        rows: rows.iter().take(limit).map(Job::of).collect(),
        next,
    }))
}

/// What may be done with a till's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobAction {
    /// Goes on.
    Retry,
    /// Sends nothing more until a person lets it go on; a reason is needed.
    DeadLetter,
}

/// A command that was given.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ordered {
    /// The command; follow it at `/fiscal_submissions/{command_id}`.
    #[schema(value_type = String)]
    pub command_id: Uuid,
}

/// Let a till's queue go on, or pause it with a reason.
///
/// A queue is sent in order, so it stands still or goes on as a whole. Nothing is removed.
#[utoipa::path(
    post,
    path = "/fiscal_submissions/jobs/{environment}/{device_id}/{action}",
    tag = "fiscal_submissions",
    operation_id = "jobAction",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "The till."),
        ("action" = inline(JobAction), Path, description = "What is to be done."),
    ),
    request_body = Why,
    responses(
        (status = 202, description = "The store is asked.", body = Ordered),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn act(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path((environment, device_id, action)): Path<(String, String, String)>,
    Body(why): Body<Why>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    caller.at_least(Role::Operator)?;
    let action: JobAction = serde_json::from_value(json!(action))
        .map_err(|_| Problem::not_found("action of a queue"))?;
    let till = till(&environment, &device_id)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let device = devices::read(&tx, caller.tenant, till, true).await?;
    let now = hq.now();
    if device.state == "blocked" && matches!(action, JobAction::Retry) {
        let detail = format!(
            "{} is blocked, and sends nothing until it is unblocked",
            device.shown()
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    let store = device.store_id;
    let command_id = match action {
        JobAction::Retry => {
            let order = Order::Retry { till };
            commands::order(&tx, caller.tenant, store, &order, &caller.actor, now).await?
        }
        JobAction::DeadLetter => {
            let reason = reason(&why.reason)?;
            let (_, command) = pause(&tx, &caller, (till, store), &reason, now).await?;
            command.ok_or_else(commands::not_joined)?
        }
    };
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { command_id })))
}

/// Marks what waits in a till's queue as `dead_letter`, with a row for each in the log that says why; how many there were.
///
/// # Errors
/// Postgres is away.
pub(super) async fn mark(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Problem> {
    // Rows of HQ's own are of series 0, which no store has.
    let update = tx
        .prepare_cached(
            "WITH paused AS (
               UPDATE fdms_retry_jobs SET status = 'dead_letter', reason = $4, code = 'paused', next_attempt_at = NULL,
                 updated_at = $5
               WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND status IN ('pending', 'in_flight')
               RETURNING *),
             last AS (
               SELECT store_id, max(seq) AS seq FROM fdms_submission_logs
               WHERE tenant_id = $1 AND epoch_no = 0 AND store_id IN (SELECT store_id FROM paused) GROUP BY store_id)
             INSERT INTO fdms_submission_logs (tenant_id, at, store_id, epoch_no, seq, environment, device_id, kind, number,
               item_seq, attempt, outcome, error_message, duration_ms)
             SELECT p.tenant_id, $5, p.store_id, 0,
               coalesce(l.seq, 0) + row_number() OVER (PARTITION BY p.store_id ORDER BY p.item_seq, p.kind, p.number),
               p.environment, p.device_id, p.kind, p.number, p.item_seq, p.attempts, 'paused', $4, 0
             FROM paused p LEFT JOIN last l ON l.store_id = p.store_id",
        )
        .await?;
    let environment = till.environment.as_str();
    let marked = tx
        .execute(
            &update,
            &[&tenant.0, &environment, &device(till)?, &reason, &now],
        )
        .await?;
    Ok(marked)
}

/// Pauses a till, for a rollback or because a person says so: what waits is marked, the till says why, and its store is told. How many jobs, and the command.
///
/// # Errors
/// Postgres is away.
pub(super) async fn pause(
    tx: &Transaction<'_>,
    caller: &Caller,
    (till, store): (TillRef, Uuid),
    reason: &str,
    now: Timestamp,
) -> Result<(u64, Option<Uuid>), Problem> {
    let tenant = caller.tenant;
    let error = tx
        .prepare_cached(
            "UPDATE fdms_devices SET last_error = $4
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
        )
        .await?;
    let key = (till.environment.as_str(), device(till)?);
    tx.execute(&error, &[&tenant.0, &key.0, &key.1, &reason])
        .await?;
    let marked = mark(tx, tenant, till, reason, now).await?;
    let command = if joined(tx, tenant, store).await? {
        let order = Order::DeadLetter {
            till,
            reason: reason.to_owned(),
        };
        Some(commands::order(tx, tenant, store, &order, &caller.actor, now).await?)
    } else {
        None
    };
    let subject = format!("till {till}");
    let deed = Deed {
        actor: &caller.actor,
        action: "device.pause",
        subject: &subject,
        before: None,
        after: Some(json!({ "last_error": reason, "dead_letter": marked })),
    };
    audit::record(tx, tenant, now, &deed).await?;
    Ok((marked, command))
}
