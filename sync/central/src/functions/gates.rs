//! The guarded actions: enable, disable, cut-over, rollback. Each is one transaction, audited, and tells the stores.

use axum::Json;
use axum::extract::State;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::Environment;
use utoipa::ToSchema;
use uuid::Uuid;

use super::checklist::{self, Goal};
use super::input::reason;
use super::profile::{self, Profile, Seen};
use super::{devices, jobs};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db;
use crate::hq::{Hq, SharedHq};
use crate::problem::{Body, Code, Problem};
use crate::sync::wanted::{self, Stuck};

/// A decision with its reason.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The version of the profile that the person has seen.
    pub version: i64,
    /// Why: the POS and the audit show it.
    pub reason: String,
}

/// A cut-over.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutOver {
    /// The version of the profile that the person has seen.
    pub version: i64,
    /// Whether production is enabled in the same moment. Else new sales go to tills that do not sell until it is.
    #[serde(default)]
    pub enable: bool,
}

/// What a rollback has done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RolledBack {
    /// The profile, back in the test environment.
    pub profile: Profile,
    /// Production tills that were paused.
    pub tills: usize,
    /// Jobs that are `dead_letter` now.
    pub dead_letter: u64,
    /// The commands to the stores.
    #[schema(value_type = Vec<String>)]
    pub commands: Vec<Uuid>,
    /// The cashier machines that have no test till to sell at: they stand still.
    pub stopped: Vec<Stopped>,
}

/// A cashier machine that sells nothing after a rollback, until that is put right or production is enabled again.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stopped {
    /// Its store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// Its name; empty where none is written down.
    pub machine_name: String,
    /// Its production tills, by number.
    pub device_ids: Vec<u32>,
    /// Why, a sentence.
    pub reason: String,
}

impl Stopped {
    fn of(stuck: Stuck) -> Self {
        Self {
            store_id: stuck.store,
            machine_name: stuck.machine,
            device_ids: stuck.tills.iter().map(|till| till.device_id).collect(),
            reason: stuck.why,
        }
    }
}

/// A change of the gate.
struct Change<'a> {
    environment: Environment,
    enabled_test: bool,
    enabled_prod: bool,
    /// Whose gates a person has decided on.
    decided: &'a [Environment],
    reason: &'a str,
    action: &'a str,
    more: serde_json::Value,
}

async fn apply(
    tx: &Transaction<'_>,
    caller: &Caller,
    before: &Profile,
    change: Change<'_>,
    now: Timestamp,
) -> Result<Profile, Problem> {
    let update = tx
        .prepare_cached(
            "UPDATE tenant_fiscal_profiles SET environment = $2, enabled_test = $3, enabled_prod = $4,
               decided_test_at = CASE WHEN $5 THEN $6 ELSE decided_test_at END,
               decided_prod_at = CASE WHEN $8 THEN $6 ELSE decided_prod_at END,
               reason = $7, version = version + 1, updated_at = $6
             WHERE tenant_id = $1",
        )
        .await?;
    let decided = |environment| change.decided.contains(&environment);
    tx.execute(
        &update,
        &[
            &caller.tenant.0,
            &change.environment.as_str(),
            &change.enabled_test,
            &change.enabled_prod,
            &decided(Environment::Test),
            &now,
            &change.reason,
            &decided(Environment::Prod),
        ],
    )
    .await?;
    wanted::bump(tx, caller.tenant).await?;
    let after = profile::read(tx, caller.tenant, false).await?;
    let mut shown = after.for_audit();
    if let (Some(shown), Some(more)) = (shown.as_object_mut(), change.more.as_object()) {
        shown.extend(more.clone());
    }
    let deed = Deed {
        actor: &caller.actor,
        action: change.action,
        subject: "profile",
        before: Some(before.for_audit()),
        after: Some(shown),
    };
    audit::record(tx, caller.tenant, now, &deed).await?;
    Ok(after)
}

/// An installation for tests never enables or switches to production.
fn allowed(hq: &Hq, environment: Environment) -> Result<(), Problem> {
    if environment == Environment::Prod && hq.ceiling == Environment::Test {
        return Err(Problem::new(
            Code::Conflict,
            "this installation runs with FDMS_ENV=test, which forbids production; whoever runs it sets FDMS_ENV=prod when it may",
        ));
    }
    Ok(())
}

/// `enabled=true` for the environment that the profile is in.
#[utoipa::path(
    post,
    path = "/fiscal_profile/enable",
    tag = "fiscal_profile",
    operation_id = "enableProfile",
    request_body = Seen,
    responses(
        (status = 200, description = "Tills of that environment sell and send.", body = Profile),
        (status = 409, description = "Steps of the checklist are missing (`not_proved`), or it was changed in between.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn enable(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(seen): Body<Seen>,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = profile::read(&tx, caller.tenant, true).await?;
    before.seen(seen.version)?;
    allowed(&hq, before.environment)?;
    let goal = match before.environment {
        Environment::Test => Goal::EnableTest,
        Environment::Prod => Goal::EnableProd,
    };
    checklist::require(&tx, &hq, caller.tenant, goal).await?;
    let after = enabled(&tx, &caller, &before, hq.now()).await?;
    tx.commit().await?;
    Ok(Json(after))
}

async fn enabled(
    tx: &Transaction<'_>,
    caller: &Caller,
    before: &Profile,
    now: Timestamp,
) -> Result<Profile, Problem> {
    let of = before.environment;
    let change = Change {
        environment: of,
        enabled_test: before.enabled_test || of == Environment::Test,
        enabled_prod: before.enabled_prod || of == Environment::Prod,
        decided: &[of],
        reason: "",
        action: "profile.enable",
        more: json!({}),
    };
    apply(tx, caller, before, change, now).await
}

/// `enabled=false` for the environment that the profile is in: its tills sell and send nothing, what waits is kept.
#[utoipa::path(
    post,
    path = "/fiscal_profile/disable",
    tag = "fiscal_profile",
    operation_id = "disableProfile",
    request_body = Decision,
    responses(
        (status = 200, description = "Tills of that environment do not sell.", body = Profile),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn disable(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(decision): Body<Decision>,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Admin)?;
    let why = reason(&decision.reason)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = profile::read(&tx, caller.tenant, true).await?;
    before.seen(decision.version)?;
    saved(&before)?;
    let of = before.environment;
    let change = Change {
        environment: of,
        enabled_test: before.enabled_test && of != Environment::Test,
        enabled_prod: before.enabled_prod && of != Environment::Prod,
        decided: &[of],
        reason: &why,
        action: "profile.disable",
        more: json!({}),
    };
    let after = apply(&tx, &caller, &before, change, hq.now()).await?;
    tx.commit().await?;
    Ok(Json(after))
}

fn saved(profile: &Profile) -> Result<(), Problem> {
    if profile.version == 0 {
        return Err(Problem::new(
            Code::Conflict,
            "save the fiscal profile first",
        ));
    }
    Ok(())
}

/// Cut over: `environment=prod`, new sales go to the production tills of the same cashier machines.
#[utoipa::path(
    post,
    path = "/fiscal_profile/cut_over",
    tag = "fiscal_profile",
    operation_id = "cutOver",
    request_body = CutOver,
    responses(
        (status = 200, description = "The profile, in production.", body = Profile),
        (status = 409, description = "Steps of the checklist are missing (`not_proved`), FDMS_ENV=test, or it was changed in between.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cut_over(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(cut): Body<CutOver>,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = profile::read(&tx, caller.tenant, true).await?;
    before.seen(cut.version)?;
    allowed(&hq, Environment::Prod)?;
    if before.environment == Environment::Prod {
        return Err(Problem::new(
            Code::Conflict,
            "the tenant is in production already",
        ));
    }
    let steps = checklist::require(&tx, &hq, caller.tenant, Goal::CutOver).await?;
    let evidence = steps
        .iter()
        .filter(|step| step.step.starts_with("cutover."));
    let evidence: serde_json::Map<_, _> = evidence
        .map(|step| (step.step.to_owned(), step.evidence.clone()))
        .collect();
    let change = Change {
        environment: Environment::Prod,
        enabled_test: before.enabled_test,
        enabled_prod: false,
        decided: &[Environment::Prod],
        reason: "production is not enabled yet",
        action: "profile.cut_over",
        more: json!({ "freeze": { "from": before.freeze_from, "until": before.freeze_until }, "evidence": evidence }),
    };
    let mut after = apply(&tx, &caller, &before, change, hq.now()).await?;
    if cut.enable {
        checklist::require(&tx, &hq, caller.tenant, Goal::EnableProd).await?;
        after = enabled(&tx, &caller, &after, hq.now()).await?;
    }
    tx.commit().await?;
    Ok(Json(after))
}

/// Roll back: production is closed, its queues are paused with the reason, new sales go back to the test tills. Nothing is lost.
///
/// The gate of test is opened if it is closed: a shop whose sales go back there shall not stand still.
#[utoipa::path(
    post,
    path = "/fiscal_profile/rollback",
    tag = "fiscal_profile",
    operation_id = "rollback",
    request_body = Decision,
    responses(
        (status = 200, description = "What was done.", body = RolledBack),
        (status = 409, description = "The tenant is not in production, or it was changed in between.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn rollback(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(decision): Body<Decision>,
) -> Result<Json<RolledBack>, Problem> {
    caller.at_least(Role::Admin)?;
    let why = reason(&decision.reason)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = profile::read(&tx, caller.tenant, true).await?;
    before.seen(decision.version)?;
    if before.environment != Environment::Prod && !before.enabled_prod {
        return Err(Problem::new(
            Code::Conflict,
            "the tenant is not in production: there is nothing to roll back",
        ));
    }
    let now = hq.now();
    let tills = devices::prod_stores(&tx, caller.tenant).await?;
    let (mut dead_letter, mut commands) = (0, Vec::new());
    for till in &tills {
        let (marked, command) = jobs::pause(&tx, &caller, *till, &why, now).await?;
        dead_letter += marked;
        commands.extend(command);
    }
    let stopped = wanted::stuck_at(&tx, caller.tenant, Environment::Test).await?;
    let stopped: Vec<Stopped> = stopped.into_iter().map(Stopped::of).collect();
    let change = Change {
        environment: Environment::Test,
        // New sales go back there: a gate that stayed closed would stop the shop.
        enabled_test: true,
        enabled_prod: false,
        decided: &[Environment::Test, Environment::Prod],
        reason: &why,
        action: "profile.rollback",
        more: json!({ "tills": tills.len(), "dead_letter": dead_letter, "commands": commands, "stopped": stopped }),
    };
    let profile = apply(&tx, &caller, &before, change, now).await?;
    tx.commit().await?;
    Ok(Json(RolledBack {
        profile,
        tills: tills.len(),
        dead_letter,
        commands,
        stopped,
    }))
}
