//! What is wrong just now, in one list: health shows it, the worker makes alerts of it.

mod switched;

use std::borrow::Cow;
use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::days_open;
use super::profile::{self, Profile};
use crate::db::{TenantId, till_of};
use crate::problem::Problem;

/// All kinds that are found here. Others (`fork`, `number_conflict`) begin where they are seen.
pub const KINDS: [&str; 14] = [
    "silent_store",
    "store_fault",
    "clock",
    "day_not_closed",
    "unsent",
    "dead_letter",
    "certificate",
    "rotation",
    "command_stuck",
    "command_expired",
    "profile_review",
    "till_blocked",
    "not_switched",
    "decisions_lost",
];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong.
    Ok,
    /// It will be a fault if nobody looks.
    Warning,
    /// Somebody must act.
    Fault,
}

impl Severity {
    /// The word in messages and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Found {
    /// What kind of thing: one of [`KINDS`], or what the sync has raised.
    #[schema(value_type = String)]
    pub kind: Cow<'static, str>,
    /// What it is about, unique within the kind.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// The store.
    #[schema(value_type = Option<String>)]
    pub store_id: Option<Uuid>,
    /// The environment of the till.
    pub environment: Option<String>,
    /// The till.
    pub device_id: Option<i32>,
    /// What is wrong and what to do, a sentence.
    pub detail: String,
}

impl Found {
    fn store(kind: &'static str, severity: Severity, store: Uuid, detail: String) -> Self {
        Self {
            kind: Cow::Borrowed(kind),
            subject: format!("store {store}"),
            severity,
            store_id: Some(store),
            environment: None,
            device_id: None,
            detail,
        }
    }
}

/// A till in a list of what is wrong.
struct Till {
    environment: String,
    device_id: i32,
    store: Uuid,
    machine: String,
}

impl Till {
    fn of(row: &Row) -> Self {
        Self {
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            store: row.get("store_id"),
            machine: row.get("machine_name"),
        }
    }

    /// For people: the machine's name where it has one.
    fn shown(&self) -> String {
        let Self {
            environment,
            device_id,
            machine,
            ..
        } = self;
        if machine.is_empty() {
            return format!("till {environment} {device_id}");
        }
        format!("till {environment} {device_id} ({machine})")
    }

    fn found(&self, kind: &'static str, severity: Severity, detail: String) -> Found {
        Found {
            kind: Cow::Borrowed(kind),
            subject: format!("till {} {}", self.environment, self.device_id),
            severity,
            store_id: Some(self.store),
            environment: Some(self.environment.clone()),
            device_id: Some(self.device_id),
            detail,
        }
    }
}

/// Everything that is wrong with a tenant's stores, worst first: what is found now, and what was raised and lasts.
///
/// # Errors
/// Postgres is away.
pub async fn find(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Vec<Found>, Problem> {
    let profile = profile::read(tx, tenant, false).await?;
    let mut found = Vec::new();
    stores(tx, tenant, now, &profile, &mut found).await?;
    raised(tx, tenant, &mut found).await?;
    tills(tx, tenant, now, &profile, &mut found).await?;
    dead_letters(tx, tenant, &mut found).await?;
    rotation(tx, tenant, now, &profile, &mut found).await?;
    commands(tx, tenant, now, &mut found).await?;
    switched::find(tx, tenant, &mut found).await?;
    if profile.version > 0 && profile.reviewed_at.is_none() && profile.missing().is_empty() {
        found.push(Found {
            kind: Cow::Borrowed("profile_review"),
            subject: "profile".to_owned(),
            severity: Severity::Warning,
            store_id: None,
            environment: None,
            device_id: None,
            detail: "the fiscal profile was changed and nobody has reviewed it since: compare it with the client's \
                     papers and review it"
                .to_owned(),
        });
    }
    found.sort_by(|one, other| {
        (other.severity, &one.kind, &one.subject).cmp(&(one.severity, &other.kind, &other.subject))
    });
    Ok(found)
}

/// So long ago.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now.saturating_sub(ago).unwrap_or(Timestamp::MIN)
}

/// Whole hours from one moment to a later one.
fn hours(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).div_euclid(3600)
}

const fn seconds(count: i32, of: u64) -> Duration {
    Duration::from_secs((count.unsigned_abs() as u64).saturating_mul(of))
}

async fn stores(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    profile: &Profile,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT s.store_id, s.name, c.last_seen_at, c.clock_skew_ms, c.state->>'fault' AS fault,
               c.ahead_since IS NOT DISTINCT FROM t.revision AS is_ahead
             FROM stores s JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             JOIN tenants t ON t.tenant_id = s.tenant_id
             WHERE s.tenant_id = $1 AND s.retired_at IS NULL ORDER BY s.name",
        )
        .await?;
    let silent = before(now, seconds(profile.silent_minutes, 60));
    for row in tx.query(&select, &[&tenant.0]).await? {
        let store: Uuid = row.get("store_id");
        let name: String = row.get("name");
        let seen: Timestamp = row.get("last_seen_at");
        if seen < silent {
            let severity = if hours(seen, now) >= 24 {
                Severity::Fault
            } else {
                Severity::Warning
            };
            let detail = format!(
                "nothing was heard of store {name} since {}: it sells on by itself; look after its line to the internet \
                 and whether fiscald runs there",
                shown(seen)
            );
            found.push(Found::store("silent_store", severity, store, detail));
        }
        let skew: Option<i64> = row.get("clock_skew_ms");
        if let Some(skew) = skew.filter(|skew| skew.unsigned_abs() > 60_000) {
            let severity = if skew.unsigned_abs() > 600_000 {
                Severity::Fault
            } else {
                Severity::Warning
            };
            let detail = format!(
                "the clock of store {name} is {} s {} that of FDMS: set it, and let it be kept by NTP",
                skew.unsigned_abs() / 1000,
                if skew > 0 { "ahead of" } else { "behind" }
            );
            found.push(Found::store("clock", severity, store, detail));
        }
        let fault: Option<String> = row.get("fault");
        if let Some(fault) = fault {
            let detail = format!("store {name} cannot write: {fault}");
            found.push(Found::store("store_fault", Severity::Fault, store, detail));
        }
        if row.get("is_ahead") {
            let detail = format!(
                "store {name} follows decisions that head office does not know, since its database was put back from a \
                 backup: gates, blocked tills, switches and settings stay there as they are. The next decision puts all that \
                 is set here into effect, so look through profile, tills and settings before it, and set them as they were"
            );
            found.push(Found::store(
                "decisions_lost",
                Severity::Fault,
                store,
                detail,
            ));
        }
    }
    Ok(())
}

/// A moment for people, in the time of the shops.
fn shown(at: Timestamp) -> String {
    clock::local(at).strftime("%Y-%m-%d %H:%M").to_string()
}

/// What is raised where it is seen, while a store's lines are taken.
async fn raised(
    tx: &Transaction<'_>,
    tenant: TenantId,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT * FROM alerts WHERE tenant_id = $1 AND ended_at IS NULL AND kind <> ALL ($2) ORDER BY since LIMIT 500",
        )
        .await?;
    for row in tx.query(&select, &[&tenant.0, &KINDS.as_slice()]).await? {
        let severity: String = row.get("severity");
        found.push(Found {
            kind: Cow::Owned(row.get("kind")),
            subject: row.get("subject"),
            severity: if severity == "fault" {
                Severity::Fault
            } else {
                Severity::Warning
            },
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            detail: row.get("detail"),
        });
    }
    Ok(())
}

async fn tills(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    profile: &Profile,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT environment, device_id, store_id, machine_name, state, fiscal_day_no, fiscal_day_opened, waiting,
               oldest_waiting_at, certificate_till, block_reason
             FROM fdms_devices WHERE tenant_id = $1 AND state NOT IN ('pending', 'retired')
             ORDER BY environment, device_id",
        )
        .await?;
    let unsent = before(now, seconds(profile.unsent_hours, 3600));
    for row in tx.query(&select, &[&tenant.0]).await? {
        let till = Till::of(&row);
        day(tx, tenant, now, &till, &row, found).await?;
        let oldest: Option<Timestamp> = row.get("oldest_waiting_at");
        let waiting: i32 = row.get("waiting");
        if let Some(oldest) = oldest.filter(|oldest| waiting > 0 && *oldest < unsent) {
            let hours = hours(oldest, now);
            let late = hours >= i64::from(profile.unsent_hours).saturating_mul(3);
            let severity = if late {
                Severity::Fault
            } else {
                Severity::Warning
            };
            let detail = format!(
                "{waiting} receipts and days of {} wait for FDMS, the oldest for {hours} hours: look after the line of \
                 the store, and after its queue",
                till.shown()
            );
            found.push(till.found("unsent", severity, detail));
        }
        if let Some(end) = row.get::<_, Option<Timestamp>>("certificate_till") {
            found.extend(certificate(&till, end, now));
        }
        if row.get::<_, String>("state") == "blocked" {
            let why: Option<String> = row.get("block_reason");
            let detail = format!("{} is blocked: {}", till.shown(), why.unwrap_or_default());
            found.push(till.found("till_blocked", Severity::Warning, detail));
        }
    }
    Ok(())
}

async fn day(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    till: &Till,
    row: &Row,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let no: Option<i32> = row.get("fiscal_day_no");
    let opened: Option<jiff::civil::DateTime> = row.get("fiscal_day_opened");
    let (Some(no), Some(opened)) = (no, opened) else {
        return Ok(());
    };
    let open_for = hours(clock::instant(opened), now);
    // Nobody's longest day is shorter than that: the configuration is looked up only then.
    if open_for < 1 {
        return Ok(());
    }
    let Some(which) = till_of(&till.environment, till.device_id) else {
        return Ok(());
    };
    let longest = days_open::longest(tx, tenant, which).await?;
    if open_for >= longest {
        let detail = format!(
            "fiscal day {no} of {} is open for {open_for} hours; the authority allows {longest}: close it",
            till.shown()
        );
        found.push(till.found("day_not_closed", Severity::Fault, detail));
    }
    Ok(())
}

/// A certificate that ends: said once for each of these days.
fn certificate(till: &Till, end: Timestamp, now: Timestamp) -> Option<Found> {
    let left = (end.as_second() - now.as_second()).div_euclid(86_400);
    let step = [0_i64, 1, 7, 14, 30]
        .into_iter()
        .find(|step| if *step == 0 { end <= now } else { left < *step })?;
    let severity = if step <= 7 {
        Severity::Fault
    } else {
        Severity::Warning
    };
    let detail = if step == 0 {
        format!(
            "the certificate of {} has ended on {}: nothing is sent any more; get a new activation key from the authority and \
             run `fiscald register --again` in the store",
            till.shown(),
            shown(end)
        )
    } else {
        format!(
            "the certificate of {} ends on {}, in {left} days: order its renewal, or upload a new one",
            till.shown(),
            shown(end)
        )
    };
    let mut found = till.found("certificate", severity, detail);
    found.subject = format!("{} {step} days", found.subject);
    Some(found)
}

async fn dead_letters(
    tx: &Transaction<'_>,
    tenant: TenantId,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT d.environment, d.device_id, d.store_id, d.machine_name, count(j.number) AS jobs,
               coalesce((array_agg(j.reason ORDER BY j.item_seq, j.number) FILTER (WHERE j.reason <> ''))[1], d.parked, '')
                 AS reason
             FROM fdms_devices d LEFT JOIN fdms_retry_jobs j ON j.tenant_id = d.tenant_id
               AND j.environment = d.environment AND j.device_id = d.device_id AND j.status = 'dead_letter'
             WHERE d.tenant_id = $1 AND d.state <> 'retired'
             GROUP BY d.environment, d.device_id, d.store_id, d.machine_name, d.parked
             HAVING count(j.number) > 0 OR d.parked IS NOT NULL
             ORDER BY d.environment, d.device_id",
        )
        .await?;
    for row in tx.query(&select, &[&tenant.0]).await? {
        let till = Till::of(&row);
        let (jobs, reason): (i64, String) = (row.get("jobs"), row.get("reason"));
        let detail = format!(
            "the queue of {} stands still ({jobs} dead letters): {reason}; put right what is wrong, then let it go on with \
             retry",
            till.shown()
        );
        found.push(till.found("dead_letter", Severity::Fault, detail));
    }
    Ok(())
}

async fn rotation(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    profile: &Profile,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT d.environment, d.device_id, d.store_id, d.machine_name, c.version, c.label, c.activated_at
             FROM fdms_tenant_credentials c JOIN fdms_devices d ON d.tenant_id = c.tenant_id
               AND d.environment = c.environment AND d.device_id = c.device_id
             WHERE c.tenant_id = $1 AND c.active AND d.state <> 'retired' AND c.activated_at < $2
             ORDER BY d.environment, d.device_id",
        )
        .await?;
    let due = before(now, seconds(profile.rotation_days, 86_400));
    for row in tx.query(&select, &[&tenant.0, &due]).await? {
        let till = Till::of(&row);
        let (version, label): (i32, String) = (row.get("version"), row.get("label"));
        let since: Timestamp = row.get("activated_at");
        let detail = format!(
            "credential {version} ({label}) of {} is in use since {}, longer than the {} days of your policy: replace it",
            till.shown(),
            shown(since),
            profile.rotation_days
        );
        found.push(till.found("rotation", Severity::Warning, detail));
    }
    Ok(())
}

async fn commands(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT c.command_id, c.kind, c.status, c.store_id, c.environment, c.device_id, s.name,
               least(c.expires_at, c.issued_at + interval '1 day') AS expires_at
             FROM commands c JOIN stores s ON s.tenant_id = c.tenant_id AND s.store_id = c.store_id
             WHERE c.tenant_id = $1 AND s.retired_at IS NULL
               AND ((c.status IN ('queued', 'delivered') AND least(c.expires_at, c.issued_at + interval '1 day') < $2)
                 OR (c.status = 'expired' AND c.finished_at > $3))
             ORDER BY c.store_id, c.command_no LIMIT 200",
        )
        .await?;
    let day = before(now, Duration::from_secs(86_400));
    for row in tx.query(&select, &[&tenant.0, &now, &day]).await? {
        let (kind, status): (String, String) = (row.get("kind"), row.get("status"));
        let (id, name): (Uuid, String) = (row.get("command_id"), row.get("name"));
        let expires: Timestamp = row.get("expires_at");
        let (what, detail) = if status == "expired" {
            let detail = format!(
                "store {name} was not reached in time to carry out `{kind}` (until {}): order it again",
                shown(expires)
            );
            ("command_expired", detail)
        } else {
            let detail = format!(
                "store {name} has not answered `{kind}`, which it should have done by {}: look whether the store is heard of",
                shown(expires)
            );
            ("command_stuck", detail)
        };
        found.push(Found {
            kind: Cow::Borrowed(what),
            subject: format!("command {id}"),
            severity: Severity::Warning,
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            detail,
        });
    }
    Ok(())
}
