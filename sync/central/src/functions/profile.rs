//! `/fiscal_profile`: who the tenant is for the authority, and how its stores are watched.
//!
//! What decides over selling (`environment`, `enabled`) is not written here: it is changed by the guarded actions
//! ([`super::gates`]) alone.

use axum::Json;
use axum::extract::State;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::Environment;
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::input::text;
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};
use crate::sync::wanted;

/// A tenant's profile: a row of `tenant_fiscal_profiles`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Profile {
    /// The name in the register of companies.
    pub legal_name: String,
    /// The name over the door.
    pub trade_name: String,
    /// The taxpayer's number, 10 digits.
    pub tin: String,
    /// The VAT number, 9 digits; `none` of a taxpayer who pays no VAT.
    pub vat_number: String,
    /// The physical address.
    pub address: String,
    /// Where new sales go: `test` or `prod`.
    #[schema(value_type = String)]
    pub environment: Environment,
    /// Whether tills of that environment sell and send.
    pub enabled: bool,
    /// The same of the test environment.
    pub enabled_test: bool,
    /// The same of production.
    pub enabled_prod: bool,
    /// When a person last decided on the test environment; none: stores that were selling are left as they are.
    #[schema(value_type = Option<String>)]
    pub decided_test_at: Option<Timestamp>,
    /// The same of production.
    #[schema(value_type = Option<String>)]
    pub decided_prod_at: Option<Timestamp>,
    /// Why it is not enabled, for the POS.
    pub reason: String,
    /// Who found it right after it was last changed.
    pub reviewed_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>)]
    pub reviewed_at: Option<Timestamp>,
    /// A credential is replaced after so many days.
    pub rotation_days: i32,
    /// The release window of the POS is frozen from here
    #[schema(value_type = Option<String>)]
    pub freeze_from: Option<Timestamp>,
    /// to here.
    #[schema(value_type = Option<String>)]
    pub freeze_until: Option<Timestamp>,
    /// What stores may send at most, bytes a second.
    pub bytes_per_second: Option<i32>,
    /// Receipts that wait longer than so many hours are an alert.
    pub unsent_hours: i32,
    /// A store that was not heard of for so many minutes is an alert.
    pub silent_minutes: i32,
    /// Of this row: whoever changes it names the one that he has seen. 0: it was never saved.
    pub version: i64,
    /// When it was last changed.
    #[schema(value_type = Option<String>)]
    pub updated_at: Option<Timestamp>,
}

/// What a person writes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileWrite {
    /// As in [`Profile`].
    pub legal_name: String,
    /// As in [`Profile`].
    pub trade_name: String,
    /// As in [`Profile`].
    pub tin: String,
    /// As in [`Profile`].
    pub vat_number: String,
    /// As in [`Profile`].
    pub address: String,
    /// As in [`Profile`].
    #[schema(value_type = Option<String>)]
    pub freeze_from: Option<Timestamp>,
    /// As in [`Profile`].
    #[schema(value_type = Option<String>)]
    pub freeze_until: Option<Timestamp>,
    /// As in [`Profile`].
    pub bytes_per_second: Option<i32>,
    /// As in [`Profile`]; left out: 24.
    #[serde(default = "day")]
    pub unsent_hours: i32,
    /// As in [`Profile`]; left out: 30.
    #[serde(default = "half_hour")]
    pub silent_minutes: i32,
    /// The version of the row that the person has seen.
    pub version: i64,
}

const fn day() -> i32 {
    24
}

const fn half_hour() -> i32 {
    30
}

/// Which version of the profile somebody has looked at.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The version.
    pub version: i64,
}

impl Profile {
    fn of(row: &Row) -> Self {
        let environment: String = row.get("environment");
        Self {
            legal_name: row.get("legal_name"),
            trade_name: row.get("trade_name"),
            tin: row.get("tin"),
            vat_number: row.get("vat_number"),
            address: row.get("address"),
            environment: Environment::parse(&environment).unwrap_or(Environment::Test),
            enabled: row.get("enabled"),
            enabled_test: row.get("enabled_test"),
            enabled_prod: row.get("enabled_prod"),
            decided_test_at: row.get("decided_test_at"),
            decided_prod_at: row.get("decided_prod_at"),
            reason: row.get("reason"),
            reviewed_by: row.get("reviewed_by"),
            reviewed_at: row.get("reviewed_at"),
            rotation_days: row.get("rotation_days"),
            freeze_from: row.get("freeze_from"),
            freeze_until: row.get("freeze_until"),
            bytes_per_second: row.get("bytes_per_second"),
            unsent_hours: row.get("unsent_hours"),
            silent_minutes: row.get("silent_minutes"),
            version: row.get("version"),
            updated_at: row.get("updated_at"),
        }
    }

    /// As it is before anybody has saved it.
    fn unsaved() -> Self {
        Self {
            legal_name: String::new(),
            trade_name: String::new(),
            tin: String::new(),
            vat_number: String::new(),
            address: String::new(),
            environment: Environment::Test,
            enabled: false,
            enabled_test: false,
            enabled_prod: false,
            decided_test_at: None,
            decided_prod_at: None,
            reason: String::new(),
            reviewed_by: None,
            reviewed_at: None,
            rotation_days: 365,
            freeze_from: None,
            freeze_until: None,
            bytes_per_second: None,
            unsent_hours: day(),
            silent_minutes: half_hour(),
            version: 0,
            updated_at: None,
        }
    }

    /// Refuses who has not seen what is there now.
    ///
    /// # Errors
    /// `stale`
    pub fn seen(&self, version: i64) -> Result<(), Problem> {
        if self.version == version {
            return Ok(());
        }
        Err(Problem::new(
            Code::Stale,
            format!(
                "the profile was changed in between (you have seen version {version}, now it is {}); read it \
                 again and repeat what you want to change",
                self.version
            ),
        ))
    }

    /// What is still missing of the client's papers, in words.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let fields = [
            (&self.legal_name, "the legal name"),
            (&self.trade_name, "the trade name"),
            (&self.tin, "the taxpayer's TIN"),
            (
                &self.vat_number,
                "the VAT number (`none` of who pays no VAT)",
            ),
            (&self.address, "the physical address"),
        ];
        let empty = fields.into_iter().filter(|(value, _)| value.is_empty());
        empty.map(|(_, name)| name).collect()
    }

    /// Whether what the authority knows of the tenant is the same in both.
    fn same_taxpayer(&self, other: &Self) -> bool {
        self.legal_name == other.legal_name
            && self.trade_name == other.trade_name
            && self.tin == other.tin
            && self.vat_number == other.vat_number
            && self.address == other.address
    }

    /// As the audit keeps it.
    #[must_use]
    pub fn for_audit(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({ "version": self.version }))
    }
}

/// Reads the profile; with `lock`, nobody else changes it until the transaction ends.
///
/// # Errors
/// Postgres is away.
pub async fn read(tx: &Transaction<'_>, tenant: TenantId, lock: bool) -> Result<Profile, Problem> {
    let select = tx
        .prepare_cached(if lock {
            "SELECT * FROM tenant_fiscal_profiles WHERE tenant_id = $1 FOR UPDATE"
        } else {
            "SELECT * FROM tenant_fiscal_profiles WHERE tenant_id = $1"
        })
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0]).await?;
    Ok(row.as_ref().map_or_else(Profile::unsaved, Profile::of))
}

/// The tenant's profile.
#[utoipa::path(
    get,
    path = "/fiscal_profile",
    tag = "fiscal_profile",
    operation_id = "readProfile",
    responses(
        (status = 200, description = "The profile; version 0 if it was never saved.", body = Profile),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(read(&tx, caller.tenant, false).await?))
}

/// Save the profile.
///
/// `environment` and `enabled` are not written here: they are changed by cut-over, rollback, enable and disable. Where names,
/// numbers or address change, the profile must be reviewed again.
#[utoipa::path(
    put,
    path = "/fiscal_profile",
    tag = "fiscal_profile",
    operation_id = "writeProfile",
    request_body = ProfileWrite,
    responses(
        (status = 200, description = "As it is now.", body = Profile),
        (status = 409, description = "Somebody has changed it in between (`stale`).", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(body): Body<ProfileWrite>,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = read(&tx, caller.tenant, true).await?;
    before.seen(body.version)?;
    let mut after = checked(&before, &body)?;
    after.updated_at = Some(hq.now());
    if !after.same_taxpayer(&before) {
        after.reviewed_by = None;
        after.reviewed_at = None;
    }
    after.version = before.version + 1;
    save(&tx, caller.tenant, &after, before.version == 0).await?;
    if after.bytes_per_second != before.bytes_per_second {
        wanted::bump(&tx, caller.tenant).await?;
    }
    let deed = Deed {
        actor: &caller.actor,
        action: "profile.write",
        subject: "profile",
        before: Some(before.for_audit()),
        after: Some(after.for_audit()),
    };
    audit::record(&tx, caller.tenant, hq.now(), &deed).await?;
    tx.commit().await?;
    Ok(Json(after))
}

/// The profile with what was written, if that is as it must be.
fn checked(before: &Profile, body: &ProfileWrite) -> Result<Profile, Problem> {
    let digits = |text: &str, count: usize| {
        text.is_empty() || (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let tin = text("/tin", &body.tin, 0..=10)?;
    if !digits(&tin, 10) {
        return Err(Problem::field("/tin", "a TIN has 10 digits"));
    }
    let vat_number = text("/vat_number", &body.vat_number, 0..=9)?;
    if vat_number != "none" && !digits(&vat_number, 9) {
        return Err(Problem::field(
            "/vat_number",
            "a VAT number has 9 digits; write `none` for a taxpayer who pays no VAT",
        ));
    }
    if body.freeze_from.is_some() != body.freeze_until.is_some()
        || body
            .freeze_from
            .zip(body.freeze_until)
            .is_some_and(|(from, until)| from >= until)
    {
        return Err(Problem::field(
            "/freeze_until",
            "a frozen window has a beginning and, after it, an end",
        ));
    }
    let within = |pointer: &str, value: i32, range: std::ops::RangeInclusive<i32>| {
        if range.contains(&value) {
            return Ok(value);
        }
        let detail = format!("this must be from {} to {}", range.start(), range.end());
        Err(Problem::field(pointer, detail))
    };
    // Receipts carry it: while they are made, it is there.
    let shortest = usize::from(before.enabled);
    Ok(Profile {
        legal_name: text("/legal_name", &body.legal_name, shortest..=250)?,
        trade_name: text("/trade_name", &body.trade_name, 0..=250)?,
        tin,
        vat_number,
        address: text("/address", &body.address, 0..=500)?,
        freeze_from: body.freeze_from,
        freeze_until: body.freeze_until,
        bytes_per_second: body
            .bytes_per_second
            .map(|bytes| within("/bytes_per_second", bytes, 1_000..=1_000_000_000))
            .transpose()?,
        unsent_hours: within("/unsent_hours", body.unsent_hours, 1..=720)?,
        silent_minutes: within("/silent_minutes", body.silent_minutes, 1..=43_200)?,
        ..before.clone()
    })
}

async fn save(
    tx: &Transaction<'_>,
    tenant: TenantId,
    profile: &Profile,
    new: bool,
) -> Result<(), Problem> {
    let save = tx
        .prepare_cached(if new {
            "INSERT INTO tenant_fiscal_profiles (tenant_id, legal_name, trade_name, tin, vat_number, address, freeze_from,
               freeze_until, bytes_per_second, unsent_hours, silent_minutes, reviewed_by, reviewed_at, version, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        } else {
            "UPDATE tenant_fiscal_profiles SET legal_name = $2, trade_name = $3, tin = $4, vat_number = $5, address = $6,
               freeze_from = $7, freeze_until = $8, bytes_per_second = $9, unsent_hours = $10, silent_minutes = $11,
               reviewed_by = $12, reviewed_at = $13, version = $14, updated_at = $15
             WHERE tenant_id = $1"
        })
        .await?;
    let saved = tx
        .execute(
            &save,
            &[
                &tenant.0,
                &profile.legal_name,
                &profile.trade_name,
                &profile.tin,
                &profile.vat_number,
                &profile.address,
                &profile.freeze_from,
                &profile.freeze_until,
                &profile.bytes_per_second,
                &profile.unsent_hours,
                &profile.silent_minutes,
                &profile.reviewed_by,
                &profile.reviewed_at,
                &profile.version,
                &profile.updated_at,
            ],
        )
        .await;
    match saved.map_err(db::DbError::from) {
        Ok(_) => Ok(()),
        // Two people have saved the first version at once.
        Err(error) if error.is_duplicate() => Err(Problem::new(
            Code::Stale,
            "somebody else has saved the profile in between; read it again",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Review the profile: somebody has compared it with the client's papers.
#[utoipa::path(
    post,
    path = "/fiscal_profile/review",
    tag = "fiscal_profile",
    operation_id = "reviewProfile",
    request_body = Seen,
    responses(
        (status = 200, description = "As it is now.", body = Profile),
        (status = 409, description = "It is not complete, or was changed in between.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn review(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(seen): Body<Seen>,
) -> Result<Json<Profile>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = read(&tx, caller.tenant, true).await?;
    before.seen(seen.version)?;
    let missing = before.missing();
    if !missing.is_empty() {
        let detail = format!(
            "the profile is not complete: {} missing; save it first",
            missing.join(", ")
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    let now = hq.now();
    let mut after = before.clone();
    after.reviewed_by = Some(caller.actor.clone());
    after.reviewed_at = Some(now);
    after.version += 1;
    after.updated_at = Some(now);
    save(&tx, caller.tenant, &after, false).await?;
    let deed = Deed {
        actor: &caller.actor,
        action: "profile.review",
        subject: "profile",
        before: Some(
            json!({ "reviewed_by": before.reviewed_by, "reviewed_at": before.reviewed_at }),
        ),
        after: Some(
            json!({ "reviewed_by": after.reviewed_by, "reviewed_at": after.reviewed_at,
            "version": after.version }),
        ),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(Json(after))
}
