//! The go-live checklist as a machine: each step of the runbook is proved by rows, or says what exactly is missing. Nothing is
//! ticked by hand.

mod cutover;
pub mod isolation;
mod onboarding;
mod operation;
mod uat;

use axum::Json;
use axum::extract::State as Service;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::{Value, json};
use sync_wire::Environment;
use utoipa::ToSchema;

use super::devices::{self, Device};
use super::profile::{self, Profile};
use crate::access::{Caller, Role};
use crate::db::{self, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::problem::{Code, Problem};

/// Whether a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Rows show it.
    Proved,
    /// They do not.
    Missing,
    /// There is nothing to do: no rollback without a cut-over.
    NotApplicable,
}

/// A step of the runbook.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Step {
    /// Its name for ever: `onboarding.3`.
    #[schema(value_type = String)]
    pub step: &'static str,
    /// The runbook's chapter.
    #[schema(value_type = String)]
    pub chapter: &'static str,
    /// The runbook's words.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// Whether it is done.
    pub state: State,
    /// What exactly is missing, sentences.
    pub missing: Vec<String>,
    /// The rows that prove it now.
    #[schema(value_type = Object)]
    pub evidence: Value,
    /// When it was first proved.
    #[schema(value_type = Option<String>)]
    pub proved_at: Option<Timestamp>,
    /// The rows that proved it then.
    #[schema(value_type = Option<Object>)]
    pub first_evidence: Option<Value>,
}

/// A tenant's checklist.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Checklist {
    /// When this was true.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The steps, in the runbook's order.
    pub steps: Vec<Step>,
    /// Whether the test environment may be enabled.
    pub may_enable_test: bool,
    /// Whether the tenant may be cut over to production.
    pub may_cut_over: bool,
    /// Whether production may be enabled.
    pub may_enable_prod: bool,
}

/// What a guarded action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `enabled=true` in the test environment.
    EnableTest,
    /// `environment=prod`.
    CutOver,
    /// `enabled=true` in production.
    EnableProd,
}

impl Goal {
    fn needs(self, step: &str) -> bool {
        let chapter = step.split('.').next().unwrap_or_default();
        let before = match self {
            Self::EnableTest => return step == "prerequisites.1" || chapter == "onboarding",
            Self::CutOver => ["cutover.1", "cutover.2"].as_slice(),
            Self::EnableProd => &["cutover.1", "cutover.2", "cutover.3"],
        };
        ["prerequisites", "onboarding", "uat"].contains(&chapter) || before.contains(&step)
    }
}

/// What a step rests on.
struct Verdict {
    missing: Vec<String>,
    evidence: Value,
    applicable: bool,
}

impl Verdict {
    fn of(missing: Vec<String>, evidence: Value) -> Self {
        Self {
            missing,
            evidence,
            applicable: true,
        }
    }

    fn not_applicable() -> Self {
        Self {
            missing: Vec::new(),
            evidence: Value::Null,
            applicable: false,
        }
    }
}

/// What all steps are judged by.
struct Facts<'a> {
    tx: &'a Transaction<'a>,
    tenant: TenantId,
    now: Timestamp,
    ceiling: Environment,
    master_key_id: &'a str,
    has_worker_secret: bool,
    profile: Profile,
    /// Those that are not retired.
    tills: Vec<Device>,
}

impl Facts<'_> {
    fn tills(&self, environment: Environment) -> Vec<&Device> {
        let of = self.tills.iter();
        of.filter(|till| till.environment == environment.as_str())
            .collect()
    }

    /// The newest audit row of an action after a number: its number, moment and content.
    async fn audited(
        &self,
        action: &str,
        after: i64,
    ) -> Result<Option<(i64, Timestamp, Value)>, Problem> {
        let select = self
            .tx
            .prepare_cached(
                "SELECT audit_no, at, after FROM fdms_audit_logs
                 WHERE tenant_id = $1 AND action = $2 AND audit_no > $3 ORDER BY audit_no DESC LIMIT 1",
            )
            .await?;
        let row = self
            .tx
            .query_opt(&select, &[&self.tenant.0, &action, &after])
            .await?;
        Ok(row.map(|row| {
            let content: Option<Value> = row.get(2);
            (row.get(0), row.get(1), content.unwrap_or_default())
        }))
    }

    /// One number that a statement over this tenant gives.
    async fn count(&self, sql: &'static str) -> Result<i64, Problem> {
        let select = self.tx.prepare_cached(sql).await?;
        let row = self.tx.query_one(&select, &[&self.tenant.0]).await?;
        Ok(row.get(0))
    }
}

/// The go-live checklist.
///
/// What a step rests on when it is first proved is kept.
#[utoipa::path(
    get,
    path = "/fiscal_profile/checklist",
    tag = "fiscal_profile",
    operation_id = "checklist",
    responses(
        (status = 200, description = "Every step of the runbook.", body = Checklist),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    Service(hq): Service<SharedHq>,
    caller: Caller,
) -> Result<Json<Checklist>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let checklist = read(&tx, &hq, caller.tenant).await?;
    tx.commit().await?;
    Ok(Json(checklist))
}

/// Judges every step, and keeps what proves one for the first time.
///
/// # Errors
/// Postgres is away.
pub async fn read(tx: &Transaction<'_>, hq: &Hq, tenant: TenantId) -> Result<Checklist, Problem> {
    let now = hq.now();
    let mut steps = judge(tx, hq, tenant).await?;
    keep(tx, tenant, &mut steps, now).await?;
    let may = |goal: Goal| missing_of(&steps, goal).is_empty();
    let prod = hq.ceiling == Environment::Prod;
    Ok(Checklist {
        at: now,
        may_enable_test: may(Goal::EnableTest),
        may_cut_over: prod && may(Goal::CutOver),
        may_enable_prod: prod && may(Goal::EnableProd),
        steps,
    })
}

/// Whether the tenant is in production and its last step is proved: nothing is left to be found by itself.
///
/// # Errors
/// Postgres is away.
pub async fn is_live(tx: &Transaction<'_>, tenant: TenantId) -> Result<bool, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tenant_fiscal_profiles p JOIN go_live_steps g ON g.tenant_id = p.tenant_id
               AND g.step = 'cutover.5' WHERE p.tenant_id = $1 AND p.environment = 'prod')",
        )
        .await?;
    Ok(tx.query_one(&select, &[&tenant.0]).await?.get(0))
}

/// Refuses an action whose evidence is not there, naming the steps.
///
/// # Errors
/// `not_proved`, or Postgres is away.
pub async fn require(
    tx: &Transaction<'_>,
    hq: &Hq,
    tenant: TenantId,
    goal: Goal,
) -> Result<Vec<Step>, Problem> {
    let mut steps = judge(tx, hq, tenant).await?;
    keep(tx, tenant, &mut steps, hq.now()).await?;
    let missing = missing_of(&steps, goal);
    if missing.is_empty() {
        return Ok(steps);
    }
    Err(Problem::new(
        Code::NotProved,
        format!(
            "these steps of the checklist are not proved yet: {}",
            missing.join("; ")
        ),
    ))
}

fn missing_of(steps: &[Step], goal: Goal) -> Vec<String> {
    let missing = steps
        .iter()
        .filter(|step| goal.needs(step.step) && step.state != State::Proved);
    missing
        .map(|step| format!("{} ({})", step.step, step.missing.join(", ")))
        .collect()
}

async fn judge(tx: &Transaction<'_>, hq: &Hq, tenant: TenantId) -> Result<Vec<Step>, Problem> {
    let facts = Facts {
        tx,
        tenant,
        now: hq.now(),
        ceiling: hq.ceiling,
        master_key_id: hq.keys.current_id(),
        has_worker_secret: hq.worker_secret.is_some(),
        profile: profile::read(tx, tenant, false).await?,
        tills: devices::standing(tx, tenant).await?,
    };
    let mut steps = Vec::with_capacity(TITLES.len());
    for (step, chapter, title) in TITLES {
        let verdict = verdict(&facts, step).await?;
        let state = match (verdict.applicable, verdict.missing.is_empty()) {
            (false, _) => State::NotApplicable,
            (true, true) => State::Proved,
            (true, false) => State::Missing,
        };
        steps.push(Step {
            step,
            chapter,
            title,
            state,
            missing: verdict.missing,
            evidence: verdict.evidence,
            proved_at: None,
            first_evidence: None,
        });
    }
    Ok(steps)
}

async fn verdict(facts: &Facts<'_>, step: &str) -> Result<Verdict, Problem> {
    match step {
        "prerequisites.1" => Ok(onboarding::profile_reviewed(facts)),
        "prerequisites.2" => onboarding::tables(facts).await,
        "prerequisites.3" => Ok(onboarding::environment(facts)),
        "prerequisites.4" => onboarding::functions(facts).await,
        "onboarding.1" => Ok(onboarding::client_pack(facts)),
        "onboarding.2" => onboarding::profile_saved(facts).await,
        "onboarding.3" => onboarding::credentials(facts).await,
        "onboarding.4" => onboarding::devices(facts).await,
        "onboarding.5" => onboarding::smoke_tests(facts).await,
        "uat.1" => uat::day_lifecycle(facts).await,
        "uat.2" => uat::reconciliation(facts).await,
        "uat.3" => uat::isolation(facts).await,
        "cutover.1" => cutover::freeze(facts).await,
        "cutover.2" => cutover::credentials(facts).await,
        "cutover.3" => cutover::environment(facts).await,
        "cutover.4" => Ok(cutover::enabled(facts)),
        "cutover.5" => cutover::monitored(facts).await,
        "rollback.1" | "rollback.2" | "rollback.3" | "rollback.4" => {
            cutover::rollback(facts, step).await
        }
        "operation.1" => operation::dead_letters(facts).await,
        "operation.2" => operation::audit(facts).await,
        "operation.3" => operation::rotation(facts).await,
        _ => operation::labels(facts).await,
    }
}

/// Keeps what proves a step for the first time, and tells of each when that was.
async fn keep(
    tx: &Transaction<'_>,
    tenant: TenantId,
    steps: &mut [Step],
    now: Timestamp,
) -> Result<(), Problem> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO go_live_steps (tenant_id, step, proved_at, evidence) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .await?;
    for step in steps.iter().filter(|step| step.state == State::Proved) {
        tx.execute(&insert, &[&tenant.0, &step.step, &now, &step.evidence])
            .await?;
    }
    let select = tx
        .prepare_cached("SELECT step, proved_at, evidence FROM go_live_steps WHERE tenant_id = $1")
        .await?;
    for row in tx.query(&select, &[&tenant.0]).await? {
        let name: String = row.get(0);
        if let Some(step) = steps.iter_mut().find(|step| step.step == name) {
            step.proved_at = Some(row.get(1));
            step.first_evidence = Some(row.get(2));
        }
    }
    Ok(())
}

/// An audit row as evidence.
fn audit_row(row: &(i64, Timestamp, Value)) -> Value {
    json!({ "fdms_audit_logs": row.0, "at": row.1 })
}

const PREREQUISITES: &str = "Prerequisites";
const ONBOARDING: &str = "Tenant Onboarding Checklist (Test)";
const UAT: &str = "UAT Signoff";
const CUTOVER: &str = "Production Cutover";
const ROLLBACK: &str = "Rollback";
const OPERATION: &str = "Operational Controls";

/// Name, chapter and words of each step.
const TITLES: [(&str, &str, &str); 25] = [
    (
        "prerequisites.1",
        PREREQUISITES,
        "tenant_fiscal_profiles completed for tenant and reviewed",
    ),
    ("prerequisites.2", PREREQUISITES, "Phase C tables migrated"),
    (
        "prerequisites.3",
        PREREQUISITES,
        "Environment configured: FDMS_ENV, FDMS_CRED_MASTER_KEY_B64, FDMS_WORKER_SECRET",
    ),
    (
        "prerequisites.4",
        PREREQUISITES,
        "Functions deployed, and fdms_worker at work",
    ),
    ("onboarding.1", ONBOARDING, "Collect client pack"),
    (
        "onboarding.2",
        ONBOARDING,
        "Configure tenant profile; keep enabled=false until test verification passes",
    ),
    ("onboarding.3", ONBOARDING, "Register credentials"),
    ("onboarding.4", ONBOARDING, "Register device records"),
    ("onboarding.5", ONBOARDING, "Connectivity smoke tests"),
    (
        "uat.1",
        UAT,
        "Day lifecycle in test: open day, submit test receipts/files, close day",
    ),
    (
        "uat.2",
        UAT,
        "Reconciliation visibility in fdms_submission_logs and fdms_retry_jobs",
    ),
    (
        "uat.3",
        UAT,
        "Tenant isolation, by querying another tenant as control",
    ),
    ("cutover.1", CUTOVER, "Freeze tenant POS release window"),
    (
        "cutover.2",
        CUTOVER,
        "Rotate/upload production credentials with environment=prod and set active",
    ),
    (
        "cutover.3",
        CUTOVER,
        "Switch fiscal profile environment to prod",
    ),
    (
        "cutover.4",
        CUTOVER,
        "Enable tenant_fiscal_profiles.enabled=true",
    ),
    (
        "cutover.5",
        CUTOVER,
        "First production health check and first monitored submission",
    ),
    (
        "rollback.1",
        ROLLBACK,
        "Set tenant_fiscal_profiles.enabled=false",
    ),
    (
        "rollback.2",
        ROLLBACK,
        "Reason in fdms_devices.last_error and fdms_submission_logs.error_message",
    ),
    (
        "rollback.3",
        ROLLBACK,
        "Retries paused: fdms_retry_jobs.status='dead_letter' with reason",
    ),
    (
        "rollback.4",
        ROLLBACK,
        "Tenant profile environment back to test",
    ),
    (
        "operation.1",
        OPERATION,
        "Review fdms_retry_jobs dead-letter queue daily",
    ),
    (
        "operation.2",
        OPERATION,
        "All credential/device changes in fdms_audit_logs",
    ),
    (
        "operation.3",
        OPERATION,
        "Credential rotation policy enforced",
    ),
    (
        "operation.4",
        OPERATION,
        "Test and prod credential versions separate and labeled",
    ),
];
