//! The one door to Postgres. A transaction names its tenant before anything else; row-level security does the
//! rest, whatever a statement forgets.

use deadpool_postgres::{Client, Pool, Transaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A tenant's name for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Uuid);

impl TenantId {
    /// Whoever runs this service: the only one who sees that there are other tenants.
    pub const OPERATOR: Self = Self(Uuid::nil());
}

impl std::fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, formatter)
    }
}

/// Why Postgres has not done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Postgres is away, starting, or has no connection free: the same again later.
    #[error("the database cannot be reached just now ({0})")]
    Away(String),
    /// A statement failed.
    #[error("the database says: {0}")]
    Statement(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState as S;
        const AWAY: [&SqlState; 8] = [
            &S::ADMIN_SHUTDOWN,
            &S::CRASH_SHUTDOWN,
            &S::CANNOT_CONNECT_NOW,
            &S::CONNECTION_FAILURE,
            &S::CONNECTION_EXCEPTION,
            &S::TOO_MANY_CONNECTIONS,
            &S::DISK_FULL,
            &S::READ_ONLY_SQL_TRANSACTION,
        ];
        use tokio_postgres::error::SqlState;
        match error.code() {
            // Without a code it is the connection that failed.
            None => Self::Away(error.to_string()),
            Some(code) if AWAY.contains(&code) => Self::Away(error.to_string()),
            Some(_) => Self::Statement(error),
        }
    }
}

impl From<deadpool_postgres::PoolError> for DbError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Away(error.to_string())
    }
}

impl DbError {
    /// Whether a row was there already under the same key.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Statement(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION))
    }
}

/// Connections to Postgres as the service's role.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Db {
    /// Over a pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// A connection, for [`tenant`].
    ///
    /// # Errors
    /// Postgres is away, or all connections are busy for too long.
    pub async fn client(&self) -> Result<Client, DbError> {
        Ok(self.pool.get().await?)
    }
}

/// A transaction for a tenant. Dropped without `commit`, it is rolled back.
///
/// # Errors
/// Postgres is away.
pub async fn tenant(client: &mut Client, tenant: TenantId) -> Result<Transaction<'_>, DbError> {
    let tx = client.transaction().await?;
    let set = tx
        .prepare_cached("SELECT set_config('app.tenant', $1, true)")
        .await?;
    tx.execute(&set, &[&tenant.0.to_string()]).await?;
    Ok(tx)
}
