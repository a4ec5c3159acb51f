//! API tokens: for machines of one tenant. Shown once; only the hash is kept.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::caller::role_of;
use super::secret::Secret;
use super::sessions::{drop_lookup, put_lookup};
use super::{By, Role};
use crate::db::TenantId;
use crate::problem::{Code, Problem};

/// How tokens begin.
pub const PREFIX: &str = "fhq_";

/// A token, as admins see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Token {
    /// Its name for ever.
    #[schema(value_type = String, format = "uuid")]
    pub token_id: Uuid,
    /// What it is called in the audit.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// Until when it is good; none: until it is revoked.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub expires_at: Option<Timestamp>,
    /// Since when it is not good any more.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub revoked_at: Option<Timestamp>,
}

/// Makes a token; which, and the token itself, which is never shown again.
///
/// # Errors
/// The name is none or that of another one, or the token would never be good.
pub async fn create(
    tx: &Transaction<'_>,
    by: &By<'_>,
    name: &str,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<(Uuid, Secret), Problem> {
    let name = name.trim();
    let is_one = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !is_one {
        return Err(Problem::field(
            "/name",
            "a token's name has 1 to 100 characters",
        ));
    }
    if expires_at.is_some_and(|at| at <= by.now) {
        return Err(Problem::field("/expires_at", "this is over already"));
    }
    // The audit tells tokens apart by their names.
    let same = tx
        .prepare_cached(
            "SELECT 1 FROM api_tokens WHERE tenant_id = $1 AND name = $2 AND revoked_at IS NULL",
        )
        .await?;
    if tx.query_opt(&same, &[&by.tenant.0, &name]).await?.is_some() {
        return Err(Problem::new(
            Code::Conflict,
            "there is a token of this name: revoke it, or take another name",
        ));
    }
    let token = Secret::new(PREFIX)?;
    let id = Uuid::new_v4();
    let insert = tx
        .prepare_cached(
            "INSERT INTO api_tokens (tenant_id, token_id, name, role, key_hash, created_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &by.tenant.0,
            &id,
            &name,
            &role.as_str(),
            &token.hash(),
            &by.actor,
            &by.now,
            &expires_at,
        ],
    )
    .await?;
    put_lookup(tx, "token", &token.hash(), id).await?;
    let after = json!({ "token_id": id, "role": role, "expires_at": expires_at });
    by.record(
        tx,
        "token.create",
        &format!("token {name}"),
        None,
        Some(after),
    )
    .await?;
    Ok((id, token))
}

/// All tokens of a tenant, the newest first.
///
/// # Errors
/// Postgres is away.
pub async fn list(tx: &Transaction<'_>, tenant: TenantId) -> Result<Vec<Token>, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT token_id, name, role, created_by, created_at, expires_at, revoked_at
             FROM api_tokens WHERE tenant_id = $1 ORDER BY created_at DESC, token_id",
        )
        .await?;
    let rows = tx.query(&read, &[&tenant.0]).await?;
    rows.iter()
        .map(|row| {
            Ok(Token {
                token_id: row.get(0),
                name: row.get(1),
                role: role_of(row, 2)?,
                created_by: row.get(3),
                created_at: row.get(4),
                expires_at: row.get(5),
                revoked_at: row.get(6),
            })
        })
        .collect()
}

/// Revokes a token: from now on it is not good any more.
///
/// # Errors
/// There is no such token, or it is revoked already.
pub async fn revoke(tx: &Transaction<'_>, by: &By<'_>, token: Uuid) -> Result<(), Problem> {
    let write = tx
        .prepare_cached(
            "UPDATE api_tokens SET revoked_at = $3
             WHERE tenant_id = $1 AND token_id = $2 AND revoked_at IS NULL RETURNING name, key_hash",
        )
        .await?;
    let row = tx
        .query_opt(&write, &[&by.tenant.0, &token, &by.now])
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("token that is still good"))?;
    let (name, key): (String, Vec<u8>) = (row.get(0), row.get(1));
    drop_lookup(tx, "token", &key).await?;
    by.record(tx, "token.revoke", &format!("token {name}"), None, None)
        .await?;
    Ok(())
}

/// Revokes what somebody has made and may not make any more: tokens of these roles.
pub(super) async fn revoke_made_by(
    tx: &Transaction<'_>,
    by: &By<'_>,
    maker: &str,
    roles: &[Role],
) -> Result<(), Problem> {
    let find = tx
        .prepare_cached(
            "SELECT token_id FROM api_tokens WHERE tenant_id = $1 AND created_by = $2 AND role = ANY ($3)
               AND revoked_at IS NULL ORDER BY token_id FOR UPDATE",
        )
        .await?;
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    for row in tx.query(&find, &[&by.tenant.0, &maker, &roles]).await? {
        revoke(tx, by, row.get(0)).await?;
    }
    Ok(())
}
