//! `/fiscal_submissions`: one controlled test submission on a till, and following it from log to retry to done.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sync_wire::Environment;
use sync_wire::command::{CommandDone, Order};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::devices;
use super::input::{id, till};
use super::jobs::{Job, Ordered};
use super::search::{Log, Receipt};
use crate::access::{Caller, Role};
use crate::commands;
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};

/// On which till a test receipt is issued.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSubmission {
    /// `test`: nothing is ever tried on a production till.
    pub environment: String,
    /// The till.
    pub device_id: i32,
}

/// A command, and all that came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Followed {
    /// The command.
    pub command: CommandRow,
    /// Where it stands, with a moment for each state that it has passed.
    pub states: Vec<Passed>,
    /// The receipt that was issued.
    pub receipt: Option<Receipt>,
    /// The attempts to send it.
    pub logs: Vec<Log>,
    /// Its job.
    pub job: Option<Job>,
    /// The lines of the store's log, where these were asked for and have come.
    pub log: Option<Vec<String>>,
}

/// A row of `commands`; never what is sealed in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandRow {
    /// Its name for ever.
    #[schema(value_type = String)]
    pub command_id: Uuid,
    /// Its number in the store.
    pub command_no: i64,
    /// The store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// What was asked.
    pub kind: String,
    /// `test` or `prod`.
    pub environment: Option<String>,
    /// The till.
    pub device_id: Option<i32>,
    /// `queued`, `delivered`, `done`, `refused`, `failed`, `expired`.
    pub status: String,
    /// Who asked.
    pub issued_by: String,
    /// When.
    #[schema(value_type = String)]
    pub issued_at: Timestamp,
    /// Not begun after this moment.
    #[schema(value_type = String)]
    pub expires_at: Timestamp,
    /// When the store had it.
    #[schema(value_type = Option<String>)]
    pub delivered_at: Option<Timestamp>,
    /// When it had ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
    /// What the store says of it.
    pub detail: Option<String>,
    /// `receiptGlobalNo` of a test receipt, or `fiscalDayNo` of a day.
    pub number: Option<i32>,
}

/// A state that a submission has passed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Passed {
    /// `pending`: asked, or tried in vain and tried again; `in_flight`: handed to the store, or sent to FDMS and it is not known what became
    /// of it; `done`, `dead_letter`, `failed`.
    pub state: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// What that rests on: `commands`, `fdms_submission_logs`, `fdms_retry_jobs`.
    pub source: String,
}

impl CommandRow {
    fn of(row: &Row) -> Self {
        Self {
            command_id: row.get("command_id"),
            command_no: row.get("command_no"),
            store_id: row.get("store_id"),
            kind: row.get("kind"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            status: row.get("status"),
            issued_by: row.get("issued_by"),
            issued_at: row.get("issued_at"),
            expires_at: row.get("expires_at"),
            delivered_at: row.get("delivered_at"),
            finished_at: row.get("finished_at"),
            detail: row.get("detail"),
            number: row.get("number"),
        }
    }
}

/// Order one controlled test submission.
///
/// The store issues one test receipt on the till and sends it to FDMS's test server, also while the environment is not enabled.
#[utoipa::path(
    post,
    path = "/fiscal_submissions",
    tag = "fiscal_submissions",
    operation_id = "submitTest",
    request_body = TestSubmission,
    responses(
        (status = 202, description = "The store is asked; follow it by its id.", body = Ordered),
        (status = 409, description = "A production till, a retired or blocked one, or a store that has not joined.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn submit(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(body): Body<TestSubmission>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    caller.at_least(Role::Operator)?;
    let till = till(&body.environment, &body.device_id.to_string())?;
    if till.environment == Environment::Prod {
        return Err(Problem::new(
            Code::Conflict,
            "nothing is ever tried on a production till: a receipt there is a sale to the authority; choose the machine's test \
             till",
        ));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let device = devices::read(&tx, caller.tenant, till, true).await?;
    if ["blocked", "retired"].contains(&device.state.as_str()) {
        let detail = format!("{} is {}; choose another", device.shown(), device.state);
        return Err(Problem::new(Code::Conflict, detail));
    }
    let order = Order::SubmitTest { till };
    let store = device.store_id;
    let now = hq.now();
    let command_id = commands::order(&tx, caller.tenant, store, &order, &caller.actor, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { command_id })))
}

/// Follow a command: a controlled test submission, or any other.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/{command_id}",
    tag = "fiscal_submissions",
    operation_id = "followSubmission",
    params(("command_id" = String, Path, description = "The command.")),
    responses(
        (status = 200, description = "The command, its receipt, the log, the job.", body = Followed),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn follow(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(command_id): Path<String>,
) -> Result<Json<Followed>, Problem> {
    caller.at_least(Role::Viewer)?;
    let command_id = id(&command_id, "submission")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(read(&tx, caller.tenant, command_id).await?))
}

/// Reads a command and all that came of it.
///
/// # Errors
/// `not_found`, or Postgres is away.
pub async fn read(
    tx: &Transaction<'_>,
    tenant: TenantId,
    command_id: Uuid,
) -> Result<Followed, Problem> {
    let select = tx
        .prepare_cached("SELECT * FROM commands WHERE tenant_id = $1 AND command_id = $2")
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0, &command_id]).await?;
    let row = row.ok_or_else(|| Problem::not_found("submission"))?;
    let command = CommandRow::of(&row);
    let mut followed = Followed {
        states: Vec::new(),
        command,
        receipt: None,
        logs: Vec::new(),
        job: None,
        log: log_lines(row.get("result")),
    };
    if followed.command.kind == "submit_test" {
        came_of(tx, tenant, &mut followed).await?;
    }
    followed.states = states(&followed);
    Ok(followed)
}

/// The lines of a store's log in what came of a command, where it was `upload_log`.
#[must_use]
pub fn log_lines(result: Option<Value>) -> Option<Vec<String>> {
    let done: CommandDone = serde_json::from_value(result?).ok()?;
    done.lines
}

async fn came_of(
    tx: &Transaction<'_>,
    tenant: TenantId,
    followed: &mut Followed,
) -> Result<(), Problem> {
    let command = &followed.command;
    let (environment, device, number) = (&command.environment, command.device_id, command.number);
    let receipt = tx
        .prepare_cached(
            "SELECT r.*, encode(r.hash, 'hex') AS hash_hex, '' AS fdms FROM receipts r
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND receipt_global_no = $4
             ORDER BY epoch_no DESC LIMIT 1",
        )
        .await?;
    let row = tx
        .query_opt(&receipt, &[&tenant.0, environment, &device, &number])
        .await?;
    followed.receipt = row.as_ref().map(Receipt::of);
    let logs = tx
        .prepare_cached(
            "SELECT * FROM fdms_submission_logs WHERE tenant_id = $1 AND environment = $2 AND device_id = $3
               AND kind = 'submit_receipt' AND number = $4 ORDER BY at, epoch_no, seq LIMIT 500",
        )
        .await?;
    let rows = tx
        .query(&logs, &[&tenant.0, environment, &device, &number])
        .await?;
    followed.logs = rows.iter().map(Log::of).collect();
    let job = tx
        .prepare_cached(
            "SELECT * FROM fdms_retry_jobs WHERE tenant_id = $1 AND environment = $2 AND device_id = $3
               AND kind = 'submit_receipt' AND number = $4",
        )
        .await?;
    let row = tx
        .query_opt(&job, &[&tenant.0, environment, &device, &number])
        .await?;
    followed.job = row.as_ref().map(Job::of);
    let accepted = followed.logs.iter().any(|log| log.outcome == "accepted");
    if let Some(receipt) = &mut followed.receipt {
        let job = followed.job.as_ref().map(|job| job.status.clone());
        receipt.fdms = if accepted {
            "accepted".to_owned()
        } else {
            job.unwrap_or_else(|| "pending".to_owned())
        };
    }
    Ok(())
}

/// The states that a submission has passed, from the rows that show it.
fn states(followed: &Followed) -> Vec<Passed> {
    let command = &followed.command;
    let passed = |state: &str, at: Timestamp, source: &str| Passed {
        state: state.to_owned(),
        at,
        source: source.to_owned(),
    };
    let mut states = vec![passed("pending", command.issued_at, "commands")];
    if let Some(at) = command.delivered_at {
        states.push(passed("in_flight", at, "commands"));
    }
    let ended = command.finished_at.filter(|_| {
        command.kind != "submit_test"
            || ["refused", "failed", "expired"].contains(&command.status.as_str())
    });
    if let Some(at) = ended {
        let state = if command.status == "done" {
            "done"
        } else {
            "failed"
        };
        states.push(passed(state, at, "commands"));
    }
    for log in &followed.logs {
        let state = match log.outcome.as_str() {
            "accepted" => "done",
            "refused" | "paused" => "dead_letter",
            "unknown" => "in_flight",
            _ => "pending",
        };
        states.push(passed(state, log.at, "fdms_submission_logs"));
    }
    if let Some(job) = &followed.job {
        states.push(passed(&job.status, job.updated_at, "fdms_retry_jobs"));
    }
    states.dedup_by(|later, before| later.state == before.state);
    states
}
