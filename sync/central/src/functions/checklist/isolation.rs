//! Tenant isolation, tried for real: as this tenant, another tenant's rows are asked for and written to.

use axum::Json;
use axum::extract::State;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::problem::{Code, Problem};

/// A table that has rows of tenants.
struct Table {
    name: String,
    /// Whether the service may read it itself. If not, it asks functions for one row of one hash.
    is_read: bool,
    /// Whether the service may change its rows.
    is_written: bool,
}

/// Other tenants that are tried as control, at most.
const CONTROLS: i64 = 50;

/// What the check has found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Isolation {
    /// Nothing of the other tenant was seen or written.
    pub held: bool,
    /// A name for the control that tells nobody who it is.
    pub control: String,
    /// Tables that were asked: all that have rows of tenants and that the service may read.
    pub tables: usize,
    /// Tables that the service cannot read at all, whosever the rows are.
    pub closed: usize,
    /// Rows that the control itself sees in them.
    pub control_rows: i64,
    /// Rows of the control that this tenant sees: must be 0.
    pub rows_seen: i64,
    /// Whether writing as the control was refused, and changing its rows changed none in any table.
    pub write_refused: bool,
}

/// Try the wall between tenants, with another tenant as control.
#[utoipa::path(
    post,
    path = "/fiscal_profile/checklist/isolation",
    tag = "fiscal_profile",
    operation_id = "checkIsolation",
    responses(
        (status = 200, description = "What was found.", body = Isolation),
        (status = 409, description = "There is no other tenant that has rows.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::functions) async fn post(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Isolation>, Problem> {
    caller.at_least(Role::Admin)?;
    Ok(Json(check(&hq, caller.tenant, &caller.actor).await?))
}

/// Tries it, and writes into the tenant's audit what was found.
///
/// # Errors
/// There is no other tenant that has rows, or Postgres is away.
pub async fn check(hq: &Hq, tenant: TenantId, actor: &str) -> Result<Isolation, Problem> {
    let (control, control_rows) = control(hq, tenant).await?;
    let mut client = hq.db.client().await?;
    let mut tx = db::tenant(&mut client, tenant).await?;
    let tables = tables(&tx).await?;
    let rows_seen = rows(&tx, &tables, control).await?;
    let is_refused = {
        let inner = tx.transaction().await?;
        let write = inner
            .execute(
                "INSERT INTO stores (tenant_id, store_id, name, created_at) VALUES ($1, $2, $3, $4)",
                &[&control.0, &Uuid::new_v4(), &"isolation check", &hq.now()],
            )
            .await;
        inner.rollback().await?;
        write.is_err()
    };
    let write_refused = is_refused && changed(&tx, &tables, control).await? == 0;
    let digest = Sha256::digest(control.0.as_bytes());
    let shown: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let found = Isolation {
        held: rows_seen == 0 && write_refused,
        control: shown,
        tables: tables.iter().filter(|table| table.is_read).count(),
        closed: tables.iter().filter(|table| !table.is_read).count(),
        control_rows,
        rows_seen,
        write_refused,
    };
    let deed = Deed {
        actor,
        action: "isolation.check",
        subject: "checklist",
        before: None,
        after: Some(json!(found)),
    };
    audit::record(&tx, tenant, hq.now(), &deed).await?;
    tx.commit().await?;
    Ok(found)
}

/// Another tenant that has rows, and how many it sees of its own: a check against nothing would prove nothing.
async fn control(hq: &Hq, tenant: TenantId) -> Result<(TenantId, i64), Problem> {
    let mut client = hq.db.client().await?;
    let others: Vec<Uuid> = {
        let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
        let rows = tx
            .query(
                "SELECT tenant_id FROM tenants WHERE tenant_id NOT IN ($1, $2) ORDER BY created_at, tenant_id LIMIT $3",
                &[&tenant.0, &TenantId::OPERATOR.0, &CONTROLS],
            )
            .await?;
        rows.iter().map(|row| row.get(0)).collect()
    };
    let mut best: Option<(TenantId, i64)> = None;
    for other in others.into_iter().map(TenantId) {
        let tx = db::tenant(&mut client, other).await?;
        let tables = tables(&tx).await?;
        let rows = rows(&tx, &tables, other).await?;
        // The row of `tenants` alone is not enough.
        if rows > best.map_or(1, |(_, most)| most) {
            best = Some((other, rows));
        }
    }
    best.ok_or_else(|| {
        Problem::new(
            Code::Conflict,
            "there is no other tenant with rows of its own to serve as control; whoever runs this service makes a second tenant \
             with a store first",
        )
    })
}

/// All tables that have rows of tenants, as the database has them: one that is new is tried too.
async fn tables(tx: &Transaction<'_>) -> Result<Vec<Table>, Problem> {
    let find = tx
        .prepare_cached(
            "SELECT quote_ident(c.relname), has_table_privilege(c.oid, 'SELECT'), has_column_privilege(c.oid, 'tenant_id', 'UPDATE')
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
        )
        .await?;
    let rows = tx.query(&find, &[]).await?;
    let table = |row: &Row| Table {
        name: row.get(0),
        is_read: row.get(1),
        is_written: row.get(2),
    };
    Ok(rows.iter().map(table).collect())
}

/// Rows of a tenant that the transaction sees, at most a thousand of each table.
async fn rows(tx: &Transaction<'_>, tables: &[Table], of: TenantId) -> Result<i64, Problem> {
    let mut sum = 0;
    for Table { name, .. } in tables.iter().filter(|table| table.is_read) {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {name} WHERE tenant_id = $1 LIMIT 1000) seen"
        );
        let row = tx.query_one(&sql, &[&of.0]).await?;
        sum += row.get::<_, i64>(0);
    }
    Ok(sum)
}

/// Rows of another tenant that the transaction can write to: none, unless a wall is missing. What was written is what was there.
async fn changed(tx: &Transaction<'_>, tables: &[Table], of: TenantId) -> Result<u64, Problem> {
    let mut sum = 0;
    for Table { name, .. } in tables.iter().filter(|table| table.is_written) {
        let sql = format!("UPDATE {name} SET tenant_id = tenant_id WHERE tenant_id = $1");
        sum += tx.execute(&sql, &[&of.0]).await?;
    }
    Ok(sum)
}
