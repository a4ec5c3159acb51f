//! Tenants: made and overlooked by the operator.

use clock::Timestamp;
use deadpool_postgres::Client;
use serde::Serialize;
use uuid::Uuid;

use super::Caller;
use crate::db::{self, Db, TenantId};
use crate::problem::Problem;

/// A tenant, and how its stores are as the worker last saw them.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Tenant {
    /// Its name for ever.
    #[schema(value_type = String, format = "uuid")]
    pub tenant_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// How it is; none until the worker has looked.
    pub summary: Option<Summary>,
}

/// How a tenant's stores are.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// Stores.
    pub stores: i32,
    /// Tills.
    pub tills: i32,
    /// Stores that have not been heard of for too long.
    pub silent_stores: i32,
    /// Fiscal days that are open.
    pub open_days: i32,
    /// Receipts that FDMS has not been sent.
    pub unsent: i64,
    /// When the oldest of them was issued.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub oldest_unsent: Option<Timestamp>,
    /// What is not tried any more until a person decides.
    pub dead_letters: i32,
    /// Certificates that expire soon.
    pub expiring: i32,
    /// Alerts that last.
    pub alerts: i32,
    /// When it was looked at.
    #[schema(value_type = String, format = "date-time")]
    pub updated_at: Timestamp,
}

/// Makes a tenant, with an empty profile.
///
/// # Errors
/// The name is none, or Postgres is away.
pub async fn create(
    db: &Db,
    caller: &Caller,
    name: &str,
    now: Timestamp,
) -> Result<TenantId, Problem> {
    let name = name.trim();
    let is_one = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !is_one {
        return Err(Problem::field(
            "/name",
            "a tenant's name has 1 to 200 characters",
        ));
    }
    Ok(crate::tenants::create(db, name, &caller.actor, now).await?)
}

/// All tenants but the operator, by name.
///
/// # Errors
/// Postgres is away.
pub async fn list(client: &mut Client) -> Result<Vec<Tenant>, Problem> {
    let tx = db::tenant(client, TenantId::OPERATOR).await?;
    let read = tx
        .prepare_cached(
            "SELECT t.tenant_id, t.name, t.created_at, s.updated_at, s.stores, s.tills, s.silent_stores, s.open_days,
               s.unsent, s.oldest_unsent, s.dead_letters, s.expiring, s.alerts
             FROM tenants t LEFT JOIN tenant_summaries s ON s.tenant_id = t.tenant_id
             WHERE t.tenant_id <> $1 ORDER BY lower(t.name), t.tenant_id",
        )
        .await?;
    let rows = tx.query(&read, &[&TenantId::OPERATOR.0]).await?;
    tx.commit().await?;
    Ok(rows
        .iter()
        .map(|row| Tenant {
            tenant_id: row.get(0),
            name: row.get(1),
            created_at: row.get(2),
            summary: row
                .get::<_, Option<Timestamp>>(3)
                .map(|updated_at| Summary {
                    stores: row.get(4),
                    tills: row.get(5),
                    silent_stores: row.get(6),
                    open_days: row.get(7),
                    unsent: row.get(8),
                    oldest_unsent: row.get(9),
                    dead_letters: row.get(10),
                    expiring: row.get(11),
                    alerts: row.get(12),
                    updated_at,
                }),
        })
        .collect())
}
