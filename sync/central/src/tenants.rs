//! Tenants: companies whose stores this service keeps. They are made by the operator and never removed.

use clock::Timestamp;
use uuid::Uuid;

use crate::audit::{self, Deed};
use crate::db::{self, Db, DbError, TenantId};

/// Makes a tenant with an empty profile: not enabled, in the test environment.
///
/// # Errors
/// Postgres is away, or the name is empty or longer than 200 characters.
pub async fn create(db: &Db, name: &str, actor: &str, now: Timestamp) -> Result<TenantId, DbError> {
    let tenant = TenantId(Uuid::new_v4());
    let mut client = db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let insert = tx
        .prepare_cached("INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3)")
        .await?;
    tx.execute(&insert, &[&tenant.0, &name, &now]).await?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO tenant_fiscal_profiles (tenant_id, updated_at) VALUES ($1, $2)",
        )
        .await?;
    tx.execute(&insert, &[&tenant.0, &now]).await?;
    let deed = Deed {
        actor,
        action: "tenant.create",
        subject: &format!("tenant {tenant}"),
        before: None,
        after: Some(serde_json::json!({ "name": name })),
    };
    audit::record(&tx, tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(tenant)
}

/// All tenants but the operator, by name.
///
/// # Errors
/// Postgres is away.
pub async fn all(db: &Db) -> Result<Vec<(TenantId, String)>, DbError> {
    let mut client = db.client().await?;
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    let select = tx
        .prepare_cached(
            "SELECT tenant_id, name FROM tenants WHERE tenant_id <> $1 ORDER BY name, tenant_id",
        )
        .await?;
    let rows = tx.query(&select, &[&TenantId::OPERATOR.0]).await?;
    tx.commit().await?;
    let tenant = |row: &tokio_postgres::Row| Ok((TenantId(row.try_get(0)?), row.try_get(1)?));
    rows.iter().map(tenant).collect()
}
