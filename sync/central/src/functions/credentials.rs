//! `/fiscal_credentials`: certificates and keys that the authority or an earlier system issued.
//!
//! A key is sealed here under the master key, bound to tenant, environment, till and version; it goes sealed once more to
//! the one store that it is for, and is never shown again.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::{Environment, TillRef};
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::certificate::{self, Pair};
use super::input::{Params, device, environment, text, till};
use super::{devices, profile};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::problem::{Body, Code, Problem};

/// A version of a till's credential; never its key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Credential {
    /// `test` or `prod`.
    pub environment: String,
    /// The till.
    pub device_id: i32,
    /// 1 is the first.
    pub version: i32,
    /// What people call it.
    pub label: String,
    /// SHA-1 of the certificate.
    pub thumbprint: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Whether the key is here, sealed; else it never left the store.
    pub key_here: bool,
    /// Valid from
    #[schema(value_type = String)]
    pub valid_from: Timestamp,
    /// till.
    #[schema(value_type = String)]
    pub valid_till: Timestamp,
    /// Whether this is the one in use.
    pub active: bool,
    /// Who brought it.
    pub created_by: String,
    /// When.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When it was put into use.
    #[schema(value_type = Option<String>)]
    pub activated_at: Option<Timestamp>,
    /// When the store had it.
    #[schema(value_type = Option<String>)]
    pub delivered_at: Option<Timestamp>,
    /// When it was taken out of use for good.
    #[schema(value_type = Option<String>)]
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_reason: Option<String>,
}

/// What is uploaded: `certificate` and `key`, or both in `pkcs12`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// `test` or `prod`.
    pub environment: String,
    /// The till.
    pub device_id: i32,
    /// What people call it; test and production are labelled apart.
    pub label: String,
    /// The certificate in PEM, its chain after it.
    pub certificate: Option<String>,
    /// Its private key in PEM, not encrypted.
    pub key: Option<String>,
    /// A PKCS#12 file (.p12, .pfx) with both, in Base64.
    pub pkcs12: Option<String>,
    /// The passphrase that opens it; left out: none.
    pub passphrase: Option<String>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Upload");
        shown.field("environment", &self.environment);
        shown
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

/// How long a credential is used.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Days after which it is replaced.
    pub rotation_days: i32,
}

impl Credential {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            version: row.get("version"),
            label: row.get("label"),
            thumbprint: row.get("thumbprint"),
            certificate: row.get("certificate"),
            key_here: row.get("key_here"),
            valid_from: row.get("valid_from"),
            valid_till: row.get("valid_till"),
            active: row.get("active"),
            created_by: row.get("created_by"),
            created_at: row.get("created_at"),
            activated_at: row.get("activated_at"),
            delivered_at: row.get("delivered_at"),
            revoked_at: row.get("revoked_at"),
            revoked_reason: row.get("revoked_reason"),
        }
    }

    /// As the audit names it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!(
            "credential {} {} version {}",
            self.environment, self.device_id, self.version
        )
    }
}

/// To what a key is bound when it is sealed under the master key.
#[must_use]
pub fn place(tenant: TenantId, till: TillRef, version: i32) -> String {
    format!(
        "credential {tenant}, {}, {}, {version}",
        till.environment, till.device_id
    )
}

/// A tenant's versions, newest first in each till.
///
/// # Errors
/// Postgres is away.
pub async fn all(
    tx: &Transaction<'_>,
    tenant: TenantId,
    environment: Option<Environment>,
    device_id: Option<i32>,
) -> Result<Vec<Credential>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT *, sealed_key IS NOT NULL AS key_here FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND ($2::text IS NULL OR environment = $2) AND ($3::integer IS NULL OR device_id = $3)
             ORDER BY environment, device_id, version DESC",
        )
        .await?;
    let environment = environment.map(Environment::as_str);
    let rows = tx
        .query(&select, &[&tenant.0, &environment, &device_id])
        .await?;
    Ok(rows.iter().map(Credential::of).collect())
}

/// The versions of credentials; never a key.
#[utoipa::path(
    get,
    path = "/fiscal_credentials",
    tag = "fiscal_credentials",
    operation_id = "listCredentials",
    params(
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("device_id" = Option<i32>, Query, description = "Of this till alone."),
    ),
    responses(
        (status = 200, description = "By till, the newest first.", body = Vec<Credential>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Vec<Credential>>, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &["environment", "device_id"])?;
    let (environment, device_id) = (params.environment()?, params.number("device_id")?);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(all(&tx, caller.tenant, environment, device_id).await?))
}

/// Upload a certificate and its key, in PEM or as a PKCS#12 file.
///
/// They must belong together, to the till, and be valid now. The new version is not in use before it is activated. The key is sealed
/// and never shown again.
#[utoipa::path(
    post,
    path = "/fiscal_credentials",
    tag = "fiscal_credentials",
    operation_id = "uploadCredential",
    request_body = Upload,
    responses(
        (status = 201, description = "The new version.", body = Credential),
        (status = 409, description = "This installation is for tests, or the certificate is there already.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(upload): Body<Upload>,
) -> Result<(StatusCode, Json<Credential>), Problem> {
    caller.at_least(Role::Admin)?;
    let label = text("/label", &upload.label, 1..=100)?;
    let till = till(&upload.environment, &upload.device_id.to_string())?;
    let given = certificate::given(upload).await?;
    allowed(&hq, till.environment)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let device = devices::read(&tx, caller.tenant, till, true).await?;
    if device.state == "retired" {
        let detail = format!("{} is retired, and needs no credential", device.shown());
        return Err(Problem::new(Code::Conflict, detail));
    }
    if !device.is_confirmed() {
        let detail = format!(
            "only a store has told of {} so far ({}): before a key goes there, say on the till's page which cashier machine it \
             belongs to (PUT /fiscal_devices/{}/{}); that confirms that it stands in that store",
            device.shown(),
            device.created_by,
            device.environment,
            device.device_id
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    let now = hq.now();
    let pair = certificate::read(given, till, &device.serial_no, now)?;
    once(&tx, caller.tenant, &pair.thumbprint).await?;
    let made = insert(&tx, &hq, &caller, till, &label, &pair).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// An installation for tests keeps nothing of production.
fn allowed(hq: &Hq, environment: Environment) -> Result<(), Problem> {
    if environment == Environment::Prod && hq.ceiling == Environment::Test {
        return Err(Problem::new(
            Code::Conflict,
            "this installation runs with FDMS_ENV=test and keeps no credentials of production; whoever runs it sets \
             FDMS_ENV=prod when it may",
        ));
    }
    Ok(())
}

/// Test and production are kept apart, and a certificate is there once.
async fn once(tx: &Transaction<'_>, tenant: TenantId, thumbprint: &str) -> Result<(), Problem> {
    let select = tx
        .prepare_cached(
            "SELECT environment, device_id, version FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND lower(thumbprint) = $2 LIMIT 1",
        )
        .await?;
    let Some(row) = tx.query_opt(&select, &[&tenant.0, &thumbprint]).await? else {
        return Ok(());
    };
    let (environment, device, version): (String, i32, i32) = (row.get(0), row.get(1), row.get(2));
    let detail = format!(
        "this certificate is there already, as version {version} of till {environment} {device}; upload the one that was \
         issued for this environment and till"
    );
    Err(Problem {
        pointer: Some("/certificate".to_owned()),
        ..Problem::new(Code::Conflict, detail)
    })
}

async fn insert(
    tx: &Transaction<'_>,
    hq: &Hq,
    caller: &Caller,
    till: TillRef,
    label: &str,
    pair: &Pair,
) -> Result<Credential, Problem> {
    let next = tx
        .prepare_cached(
            "SELECT coalesce(max(version), 0) + 1 FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
        )
        .await?;
    // Nobody else gives this number: the till's row is locked.
    let (environment, device_id) = (till.environment.as_str(), device(till)?);
    let row = tx
        .query_one(&next, &[&caller.tenant.0, &environment, &device_id])
        .await?;
    let version: i32 = row.get(0);
    let place = place(caller.tenant, till, version);
    let sealed = hq.keys.seal(&place, pair.key.as_bytes()).map_err(|error| {
        Problem::new(Code::Internal, format!("the key cannot be sealed: {error}"))
    })?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO fdms_tenant_credentials (tenant_id, environment, device_id, version, label, thumbprint, certificate,
               sealed_key, master_key_id, valid_from, valid_till, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING *, true AS key_here",
        )
        .await?;
    let now = hq.now();
    let row = tx
        .query_one(
            &insert,
            &[
                &caller.tenant.0,
                &environment,
                &device_id,
                &version,
                &label,
                &pair.thumbprint,
                &pair.certificate,
                &sealed.bytes,
                &sealed.key_id,
                &pair.valid_from,
                &pair.valid_till,
                &caller.actor,
                &now,
            ],
        )
        .await?;
    let made = Credential::of(&row);
    let deed = Deed {
        actor: &caller.actor,
        action: "credential.upload",
        subject: &made.shown(),
        before: None,
        after: Some(
            json!({ "label": made.label, "thumbprint": made.thumbprint, "valid_till": made.valid_till,
            "master_key_id": sealed.key_id }),
        ),
    };
    audit::record(tx, caller.tenant, now, &deed).await?;
    Ok(made)
}

/// One version; nobody else changes it until the transaction ends.
///
/// # Errors
/// `not_found`, or Postgres is away.
pub(super) async fn locked(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
    version: i32,
) -> Result<Credential, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT *, sealed_key IS NOT NULL AS key_here FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4 FOR UPDATE",
        )
        .await?;
    let row = tx
        .query_opt(
            &select,
            &[
                &tenant.0,
                &till.environment.as_str(),
                &device(till)?,
                &version,
            ],
        )
        .await?;
    row.as_ref()
        .map(Credential::of)
        .ok_or_else(|| Problem::not_found("version of a credential"))
}

/// A version that a path names.
pub(super) fn named(
    hq: &Hq,
    (environment_text, device_id, version): &(String, String, String),
) -> Result<(TillRef, i32), Problem> {
    let till = till(environment_text, device_id)?;
    allowed(hq, environment(environment_text)?)?;
    let version = version
        .parse()
        .map_err(|_| Problem::not_found("version of a credential"))?;
    Ok((till, version))
}

/// The rotation policy.
#[utoipa::path(
    get,
    path = "/fiscal_credentials/policy",
    tag = "fiscal_credentials",
    operation_id = "readRotationPolicy",
    responses(
        (status = 200, description = "The policy.", body = Policy),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn policy(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Policy>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let profile = profile::read(&tx, caller.tenant, false).await?;
    Ok(Json(Policy {
        rotation_days: profile.rotation_days,
    }))
}

/// Set the rotation policy: after how many days a credential is replaced.
#[utoipa::path(
    put,
    path = "/fiscal_credentials/policy",
    tag = "fiscal_credentials",
    operation_id = "writeRotationPolicy",
    request_body = Policy,
    responses(
        (status = 200, description = "The policy.", body = Policy),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn set_policy(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(policy): Body<Policy>,
) -> Result<Json<Policy>, Problem> {
    caller.at_least(Role::Admin)?;
    if !(1..=3650).contains(&policy.rotation_days) {
        return Err(Problem::field(
            "/rotation_days",
            "this must be from 1 to 3650",
        ));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = profile::read(&tx, caller.tenant, true).await?;
    if before.version == 0 {
        return Err(Problem::new(
            Code::Conflict,
            "save the fiscal profile first",
        ));
    }
    let update = tx
        .prepare_cached(
            "UPDATE tenant_fiscal_profiles SET rotation_days = $2, version = version + 1, updated_at = $3
             WHERE tenant_id = $1",
        )
        .await?;
    let now = hq.now();
    tx.execute(&update, &[&caller.tenant.0, &policy.rotation_days, &now])
        .await?;
    let deed = Deed {
        actor: &caller.actor,
        action: "credential.policy",
        subject: "profile",
        before: Some(json!({ "rotation_days": before.rotation_days })),
        after: Some(json!({ "rotation_days": policy.rotation_days })),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(Json(policy))
}
