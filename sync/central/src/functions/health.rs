//! `/fdms_health`: what is reachable, as the stores see it, and what is wrong.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::watch::{self, Found, Severity};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::Problem;

/// A check that found the same as the last one is audited again after so many seconds.
const AUDIT_AGAIN: i64 = 3600;
/// How far back the last acceptance is looked for.
const LATELY: Duration = Duration::from_secs(2 * 86_400);

/// How a tenant's stores are.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// The worst of all.
    pub overall: Severity,
    /// When this was true.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// FDMS, test and production, as the tills' stores reach it.
    pub environments: Vec<Fdms>,
    /// The stores.
    pub stores: Vec<StoreHealth>,
    /// What is wrong, worst first.
    pub findings: Vec<Found>,
}

/// One FDMS.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Fdms {
    /// `test` or `prod`.
    pub environment: String,
    /// `up`: some till reaches it; `down`: none does; `unknown`: none has tried lately.
    pub line: String,
    /// Tills that stand in stores.
    pub tills: i64,
    /// Those that reach it.
    pub up: i64,
    /// Those that do not.
    pub down: i64,
    /// When a till last had something accepted, within the last two days.
    #[schema(value_type = Option<String>)]
    pub last_accepted_at: Option<Timestamp>,
}

/// One store.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoreHealth {
    /// Its name for ever.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// Its name.
    pub name: String,
    /// Whether it has joined.
    pub joined: bool,
    /// The version of its gateway.
    pub version: Option<String>,
    /// When it was last heard of.
    #[schema(value_type = Option<String>)]
    pub last_seen_at: Option<Timestamp>,
    /// The newest event of its ledger that is here.
    #[schema(value_type = Option<String>)]
    pub last_entry_at: Option<Timestamp>,
    /// Numbers of events between the newest of its ledger and the newest that is here.
    pub lag: Option<i64>,
    /// What waits for FDMS in all its tills.
    pub waiting: i64,
    /// The oldest of it.
    #[schema(value_type = Option<String>)]
    pub oldest_waiting_at: Option<Timestamp>,
    /// Days until the first of its certificates ends.
    pub certificate_days: Option<i64>,
    /// How far its clock is ahead of FDMS's.
    pub clock_skew_ms: Option<i64>,
    /// The revision of what is wanted of it, in effect there.
    pub revision: Option<i64>,
    /// The revision that is wanted.
    pub wanted_revision: i64,
    /// Whether they are the same.
    pub in_effect: bool,
}

impl StoreHealth {
    fn of(row: &Row, now: Timestamp) -> Self {
        let acked: Option<i64> = row.get("acked");
        let last: Option<i64> = row.get("last_seq");
        let revision: Option<i64> = row.get("revision");
        let wanted_revision = row.get("wanted");
        let end: Option<Timestamp> = row.get("certificate_till");
        Self {
            store_id: row.get("store_id"),
            name: row.get("name"),
            joined: row.get("joined"),
            version: row.get("version"),
            last_seen_at: row.get("last_seen_at"),
            last_entry_at: row.get("last_entry_at"),
            lag: acked
                .zip(last)
                .map(|(acked, last)| last.saturating_sub(acked).max(0)),
            waiting: row.get("waiting"),
            oldest_waiting_at: row.get("oldest_waiting_at"),
            certificate_days: end.map(|end| (end.as_second() - now.as_second()).div_euclid(86_400)),
            clock_skew_ms: row.get("clock_skew_ms"),
            revision,
            wanted_revision,
            in_effect: revision == Some(wanted_revision),
        }
    }
}

/// How everything is.
///
/// A call is audited (`health.check`) where it finds something else than the last one, and once an hour: the go-live checklist
/// rests on it.
#[utoipa::path(
    get,
    path = "/fdms_health",
    tag = "fdms_health",
    operation_id = "health",
    responses(
        (status = 200, description = "How everything is.", body = Health),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Health>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let health = read(&tx, caller.tenant, hq.now()).await?;
    audited(&tx, &caller, &health).await?;
    tx.commit().await?;
    Ok(Json(health))
}

/// Reads how everything is; nothing is audited.
///
/// # Errors
/// Postgres is away.
pub async fn read(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Health, Problem> {
    let environments = fdms(tx, tenant, now).await?;
    let select = tx
        .prepare_cached(
            "SELECT s.store_id, s.name, s.joined_at IS NOT NULL AS joined, c.version, c.last_seen_at, c.last_entry_at,
               c.acked, (c.state->>'lastSeq')::bigint AS last_seq, c.clock_skew_ms, c.revision, t.revision AS wanted,
               coalesce(d.waiting, 0) AS waiting, d.oldest_waiting_at, d.certificate_till
             FROM stores s JOIN tenants t ON t.tenant_id = s.tenant_id
             LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             LEFT JOIN LATERAL (SELECT sum(waiting)::bigint AS waiting, min(oldest_waiting_at) AS oldest_waiting_at,
                 min(certificate_till) AS certificate_till
               FROM fdms_devices d WHERE d.tenant_id = s.tenant_id AND d.store_id = s.store_id
                 AND d.state NOT IN ('pending', 'retired')) d ON true
             WHERE s.tenant_id = $1 AND s.retired_at IS NULL ORDER BY s.name",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0]).await?;
    let stores: Vec<_> = rows.iter().map(|row| StoreHealth::of(row, now)).collect();
    let findings = watch::find(tx, tenant, now).await?;
    let lines = environments.iter().filter(|fdms| fdms.line == "down");
    let worst = findings.iter().map(|found| found.severity);
    let overall = worst
        .chain(lines.map(|_| Severity::Warning))
        .chain(
            stores
                .iter()
                // One that has not joined yet has nothing in effect, and nothing is wrong with that.
                .filter(|store| store.joined && !store.in_effect)
                .map(|_| Severity::Warning),
        )
        .max();
    Ok(Health {
        overall: overall.unwrap_or(Severity::Ok),
        at: now,
        environments,
        stores,
        findings,
    })
}

async fn fdms(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Vec<Fdms>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT e.environment, count(d.device_id) AS tills, count(*) FILTER (WHERE d.line = 'up') AS up,
               count(*) FILTER (WHERE d.line = 'down') AS down,
               (SELECT max(l.at) FROM fdms_submission_logs l
                WHERE l.tenant_id = $1 AND l.environment = e.environment AND l.outcome = 'accepted' AND l.at > $2)
                 AS accepted
             FROM (VALUES ('test'), ('prod')) e (environment)
             LEFT JOIN fdms_devices d ON d.tenant_id = $1 AND d.environment = e.environment
               AND d.state NOT IN ('pending', 'retired')
             GROUP BY e.environment ORDER BY e.environment DESC",
        )
        .await?;
    let since = now.saturating_sub(LATELY).unwrap_or(Timestamp::MIN);
    let rows = tx.query(&select, &[&tenant.0, &since]).await?;
    let fdms = rows.iter().map(|row| {
        let (up, down): (i64, i64) = (row.get("up"), row.get("down"));
        let line = match (up, down) {
            (1.., _) => "up",
            (_, 1..) => "down",
            _ => "unknown",
        };
        Fdms {
            environment: row.get("environment"),
            line: line.to_owned(),
            tills: row.get("tills"),
            up,
            down,
            last_accepted_at: row.get("accepted"),
        }
    });
    Ok(fdms.collect())
}

/// Writes that a person has looked, if that says something new.
///
/// # Errors
/// Postgres is away.
pub async fn audited(
    tx: &Transaction<'_>,
    caller: &Caller,
    health: &Health,
) -> Result<(), Problem> {
    let seen = json!({
        "overall": health.overall,
        "environments": health.environments.iter()
            .map(|fdms| (fdms.environment.clone(), json!(fdms.line))).collect::<serde_json::Map<_, _>>(),
        "findings": health.findings.len(),
    });
    let last = tx
        .prepare_cached(
            "SELECT at, after FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'health.check'
             ORDER BY audit_no DESC LIMIT 1",
        )
        .await?;
    if let Some(row) = tx.query_opt(&last, &[&caller.tenant.0]).await? {
        let (at, after): (Timestamp, Option<Value>) = (row.get(0), row.get(1));
        if after.as_ref() == Some(&seen) && health.at.as_second() - at.as_second() < AUDIT_AGAIN {
            return Ok(());
        }
    }
    let deed = Deed {
        actor: &caller.actor,
        action: "health.check",
        subject: "fdms",
        before: None,
        after: Some(seen),
    };
    audit::record(tx, caller.tenant, health.at, &deed).await?;
    Ok(())
}
