//! Putting a version of a credential into use, and taking one out of it.

use axum::Json;
use axum::extract::{Path, State};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::TillRef;
use sync_wire::command::Order;
use sync_wire::seal::{credential_context, seal};
use utoipa::ToSchema;
use uuid::Uuid;

use super::credentials::{Credential, locked, named, place};
use super::devices::{self, Device};
use super::input::{device, reason};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::commands;
use crate::db;
use crate::hq::{Hq, SharedHq};
use crate::keys::SealedBytes;
use crate::problem::{Body, Code, Problem};

/// A version that was put into use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Activated {
    /// The version.
    pub credential: Credential,
    /// The command that brings it to its store.
    #[schema(value_type = Option<String>)]
    pub command_id: Option<Uuid>,
}

/// Why a version is taken out of use.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// A sentence.
    pub reason: String,
}

/// Put a version into use.
///
/// The one that was in use is so no more. The pair goes to its store, sealed for it alone.
#[utoipa::path(
    post,
    path = "/fiscal_credentials/{environment}/{device_id}/{version}/activate",
    tag = "fiscal_credentials",
    operation_id = "activateCredential",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "The till."),
        ("version" = i32, Path, description = "The version."),
    ),
    responses(
        (status = 200, description = "It is in use.", body = Activated),
        (status = 409, description = "It is revoked, has ended, or the store has not joined.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn activate(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<Activated>, Problem> {
    caller.at_least(Role::Admin)?;
    let (till, version) = named(&hq, &path)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let now = hq.now();
    let device = devices::read(&tx, caller.tenant, till, true).await?;
    let before = locked(&tx, caller.tenant, till, version).await?;
    if let Some(reason) = &before.revoked_reason {
        let detail = format!("this version was revoked ({reason}); upload a new one");
        return Err(Problem::new(Code::Conflict, detail));
    }
    if before.valid_till <= now {
        let detail = format!("this certificate has ended on {}", before.valid_till);
        return Err(Problem::new(Code::Conflict, detail));
    }
    let others = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET active = false
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND active AND version <> $4 RETURNING version",
        )
        .await?;
    let key = (till.environment.as_str(), self::device(till)?);
    let old = tx
        .query_opt(&others, &[&caller.tenant.0, &key.0, &key.1, &version])
        .await?;
    let old: Option<i32> = old.map(|row| row.get(0));
    let update = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET active = true, activated_at = CASE WHEN active THEN activated_at ELSE $5 END
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4
             RETURNING *, sealed_key IS NOT NULL AS key_here",
        )
        .await?;
    let row = tx
        .query_one(&update, &[&caller.tenant.0, &key.0, &key.1, &version, &now])
        .await?;
    let after = Credential::of(&row);
    let deed = Deed {
        actor: &caller.actor,
        action: "credential.activate",
        subject: &after.shown(),
        before: Some(json!({ "active_version": if before.active { Some(version) } else { old } })),
        after: Some(
            json!({ "active_version": version, "label": after.label, "thumbprint": after.thumbprint }),
        ),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    let command_id = deliver(&tx, &hq, &caller, till, &device, &after).await?;
    tx.commit().await?;
    Ok(Json(Activated {
        credential: after,
        command_id,
    }))
}

/// Sends the pair to its store, sealed for it; none where the key never left it.
async fn deliver(
    tx: &Transaction<'_>,
    hq: &Hq,
    caller: &Caller,
    till: TillRef,
    device_row: &Device,
    credential: &Credential,
) -> Result<Option<Uuid>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT c.sealed_key, c.master_key_id, s.seal_key FROM fdms_tenant_credentials c
             JOIN stores s ON s.tenant_id = c.tenant_id AND s.store_id = $5
             WHERE c.tenant_id = $1 AND c.environment = $2 AND c.device_id = $3 AND c.version = $4",
        )
        .await?;
    let store = device_row.store_id;
    let row = tx
        .query_one(
            &select,
            &[
                &caller.tenant.0,
                &till.environment.as_str(),
                &device(till)?,
                &credential.version,
                &store,
            ],
        )
        .await?;
    let sealed: (Option<Vec<u8>>, Option<String>) = (row.get(0), row.get(1));
    let (Some(bytes), Some(key_id)) = sealed else {
        return Ok(None);
    };
    let public: Option<String> = row.get(2);
    let public = public.ok_or_else(|| {
        Problem::new(
            Code::Conflict,
            "the till's store has not joined yet, so nothing can be sealed for it: make it a code, and run there the \
             command that the code is shown with",
        )
    })?;
    let place = place(caller.tenant, till, credential.version);
    let key = hq
        .keys
        .open(&place, &SealedBytes { key_id, bytes })
        .map_err(|error| Problem::new(Code::Conflict, format!("the key does not open: {error}")))?;
    let context = credential_context(store, till, credential.version);
    let key = seal(&public, &context, &key)
        .map_err(|error| Problem::new(Code::Conflict, error.to_string()))?;
    let order = Order::DeliverCredential {
        till,
        version: credential.version,
        certificate: credential.certificate.clone(),
        key,
        model: (!device_row.model_name.is_empty()).then(|| {
            (
                device_row.model_name.clone(),
                device_row.model_version.clone(),
            )
        }),
        serial_no: Some(device_row.serial_no.clone()),
        invoice_prefix: Some(device_row.invoice_prefix.clone()),
    };
    let id = commands::order(tx, caller.tenant, store, &order, &caller.actor, hq.now()).await?;
    Ok(Some(id))
}

/// Take a version out of use for good.
///
/// The store goes on with what it has until another version is activated; at the authority the certificate is revoked by the taxpayer.
#[utoipa::path(
    post,
    path = "/fiscal_credentials/{environment}/{device_id}/{version}/revoke",
    tag = "fiscal_credentials",
    operation_id = "revokeCredential",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "The till."),
        ("version" = i32, Path, description = "The version."),
    ),
    request_body = Revoke,
    responses(
        (status = 200, description = "It is revoked; its key is gone from here.", body = Credential),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn revoke(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
    Body(body): Body<Revoke>,
) -> Result<Json<Credential>, Problem> {
    caller.at_least(Role::Admin)?;
    let why = reason(&body.reason)?;
    let (till, version) = named(&hq, &path)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let before = locked(&tx, caller.tenant, till, version).await?;
    if before.revoked_at.is_some() {
        return Ok(Json(before));
    }
    let update = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET active = false, sealed_key = NULL, master_key_id = NULL, revoked_at = $5,
               revoked_reason = $6
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4
             RETURNING *, false AS key_here",
        )
        .await?;
    let now = hq.now();
    let key = (till.environment.as_str(), device(till)?);
    let row = tx
        .query_one(
            &update,
            &[&caller.tenant.0, &key.0, &key.1, &version, &now, &why],
        )
        .await?;
    let after = Credential::of(&row);
    let deed = Deed {
        actor: &caller.actor,
        action: "credential.revoke",
        subject: &after.shown(),
        before: Some(json!({ "active": before.active })),
        after: Some(json!({ "active": false, "reason": why })),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(Json(after))
}
