//! The one door to Postgres. A transaction names its tenant before anything else; row-level security does the
//! rest, whatever a statement forgets.

use std::error::Error as _;

use deadpool_postgres::{Client, HookError, Pool, PoolError, Transaction};
use serde::{Deserialize, Serialize};
use sync_wire::{Environment, TillRef};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

mod connect;
mod role;
mod tls;

pub use connect::{Address, AddressError, Limits};
pub use role::RoleError;

use crate::migrate::{self, SchemaError};

/// The role as which the service connects. `fiscal-hq migrate` makes it.
pub const APP_ROLE: &str = "fiscal_hq_app";

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
        use SqlState as S;
        /// Postgres is going, coming or out of something, or another transaction was in the way.
        const AWAY: [&SqlState; 18] = [
            &S::ADMIN_SHUTDOWN,
            &S::CRASH_SHUTDOWN,
            &S::CANNOT_CONNECT_NOW,
            &S::CONNECTION_FAILURE,
            &S::CONNECTION_EXCEPTION,
            &S::CONNECTION_DOES_NOT_EXIST,
            &S::TOO_MANY_CONNECTIONS,
            &S::INSUFFICIENT_RESOURCES,
            &S::DISK_FULL,
            &S::OUT_OF_MEMORY,
            &S::IO_ERROR,
            &S::READ_ONLY_SQL_TRANSACTION,
            &S::QUERY_CANCELED,
            &S::LOCK_NOT_AVAILABLE,
            &S::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            &S::T_R_SERIALIZATION_FAILURE,
            &S::T_R_DEADLOCK_DETECTED,
            &S::INVALID_SQL_STATEMENT_NAME,
        ];
        let is_away = match error.code() {
            Some(code) => AWAY.contains(&code),
            // Without a code it is the connection, or a value of a type that the column has not: a defect.
            None => {
                error.is_closed() || error.source().is_some_and(|why| why.is::<std::io::Error>())
            }
        };
        if is_away {
            Self::Away(say(&error))
        } else {
            Self::Statement(error)
        }
    }
}

/// The role, its password or the database's name is wrong: waiting does not help.
fn is_refused(error: &tokio_postgres::Error) -> bool {
    let refused = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
    ];
    error.code().is_some_and(|code| refused.contains(code))
}

/// An error of Postgres in words: its own sentence, without the values of rows.
#[must_use]
pub fn say(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(why)) => format!("{error}: {why}"),
        (None, None) => error.to_string(),
    }
}

impl From<deadpool_postgres::PoolError> for DbError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Away(say(&error))
            }
            other => Self::Away(other.to_string()),
        }
    }
}

impl DbError {
    /// Whether a row was there already under the same key.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Statement(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION))
    }
}

/// A till from its columns; none where they hold no till.
#[must_use]
pub fn till_of(environment: &str, device_id: i32) -> Option<TillRef> {
    Some(TillRef {
        environment: Environment::parse(environment)?,
        device_id: u32::try_from(device_id).ok()?,
    })
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

/// Why the service cannot serve from this database.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It does not answer.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The role may too much, or is not let in.
    #[error("{0}")]
    Refused(String),
    /// Its schema is another one.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<RoleError> for NotReady {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Database(error) => Self::Database(error.into()),
            too_much @ RoleError::TooMuch { .. } => Self::Refused(too_much.to_string()),
        }
    }
}

impl NotReady {
    /// Whether waiting may help: Postgres is only away. Else somebody must do what the sentence says.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Database(_) | Self::Schema(SchemaError::Database(_))
        )
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

    /// Whether the service may serve from this database: Postgres answers, the role may no more than it should,
    /// the schema is this program's.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn check(&self) -> Result<(), NotReady> {
        let client = match self.pool.get().await {
            // A new connection was looked at already.
            Err(PoolError::PostCreateHook(HookError::Message(why))) => {
                return Err(NotReady::Refused(why.into_owned()));
            }
            Err(PoolError::Backend(error)) if is_refused(&error) => {
                return Err(NotReady::Refused(format!(
                    "the database does not let us in: {}; look at DATABASE_URL",
                    say(&error)
                )));
            }
            other => other.map_err(DbError::from)?,
        };
        role::check(&client).await?;
        migrate::check(&**client).await?;
        Ok(())
    }

    /// Takes a lock of the whole installation, held until the answer is dropped; none where another has it.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn alone(&self, lock: i64) -> Result<Option<Alone>, DbError> {
        // A connection of its own, closed at the end: whatever happens, the lock goes with it.
        let client = Client::take(self.client().await?);
        let row = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&lock])
            .await?;
        let is_mine: bool = row.try_get(0)?;
        Ok(is_mine.then_some(Alone { _client: client }))
    }

    /// Connections that are open, and those that are free just now.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

/// A lock of the whole installation; see [`Db::alone`].
pub struct Alone {
    _client: deadpool_postgres::ClientWrapper,
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
