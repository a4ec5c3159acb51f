//! The schema: numbered steps of SQL, each done once, in order, in a transaction of its own.
//!
//! What was done is written down with the hash of its text. A database whose steps are other than this program's
//! is not touched: somebody must look first. Run as the owner of the database, who is not the service
//! (docs/HQ_OPERATE.md).

use clock::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::db::{APP_ROLE, TenantId};

/// Held by whoever migrates: two at once take turns.
const LOCK: i64 = 7_210_000;
/// Months for which partitions are made ahead.
pub const MONTHS_AHEAD: i32 = 3;

/// A step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its number, from 1 on, without gaps.
    pub no: i32,
    /// What it is about.
    pub name: &'static str,
    sql: &'static str,
}

/// All steps of this program, in order.
pub const STEPS: [Step; 8] = [
    Step {
        no: 1,
        name: "base",
        sql: include_str!("../migrations/0001_base.sql"),
    },
    Step {
        no: 2,
        name: "fdms",
        sql: include_str!("../migrations/0002_fdms.sql"),
    },
    Step {
        no: 3,
        name: "audit_rights",
        sql: include_str!("../migrations/0003_audit_rights.sql"),
    },
    Step {
        no: 4,
        name: "search",
        sql: include_str!("../migrations/0004_search.sql"),
    },
    Step {
        no: 5,
        name: "block",
        sql: include_str!("../migrations/0005_block.sql"),
    },
    Step {
        no: 6,
        name: "months",
        sql: include_str!("../migrations/0006_months.sql"),
    },
    Step {
        no: 7,
        name: "settings",
        sql: include_str!("../migrations/0007_settings.sql"),
    },
    Step {
        no: 8,
        name: "restored",
        sql: include_str!("../migrations/0008_restored.sql"),
    },
];

impl Step {
    /// The hash of its text, SHA-256.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.sql.as_bytes()).into()
    }
}

/// Why the schema is not as this program needs it, or cannot be made so.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A step was done with another text than this program's.
    #[error(
        "step {no} ({name}) of the database was done with another text than this program has: it was tampered with, or is of a build that was never released; nothing was changed. Find out which program made this database, or restore a backup"
    )]
    Tampered {
        /// Its number.
        no: i32,
        /// Its name in the database.
        name: String,
    },
    /// Steps are there that this program does not know.
    #[error(
        "the database is newer than this program: it has step {no} ({name}); install the fiscal-hq that made it, or a newer one"
    )]
    Newer {
        /// The first unknown step.
        no: i32,
        /// Its name in the database.
        name: String,
    },
    /// A step is missing.
    #[error(
        "the database lacks step {no} ({name}); run `fiscal-hq migrate` as the owner of the database, then start again"
    )]
    Older {
        /// The first step that is missing.
        no: i32,
        /// Its name.
        name: &'static str,
    },
    /// A step failed; it was taken back whole.
    #[error(
        "step {no} ({name}) failed and was taken back: {}",
        crate::db::say(why)
    )]
    Step {
        /// Its number.
        no: i32,
        /// Its name.
        name: &'static str,
        /// What the database says.
        why: tokio_postgres::Error,
    },
    /// The service's role cannot be made.
    #[error(
        "the role {APP_ROLE} is missing and you may not make it; as a superuser: CREATE ROLE {APP_ROLE} LOGIN; then run this again"
    )]
    Role,
    /// Postgres does not answer.
    #[error("the database says: {}", crate::db::say(.0))]
    Database(#[from] tokio_postgres::Error),
}

/// A step as it was done.
#[derive(Debug, Clone)]
struct Done {
    no: i32,
    name: String,
    sha256: Vec<u8>,
}

/// Whether the database has the steps of this program, no more and no less.
///
/// # Errors
/// What is missing, unknown or other than it should be.
pub async fn check(client: &impl GenericClient) -> Result<(), SchemaError> {
    let done = match done(client).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
        other => other?,
    };
    match missing(&done)?.first() {
        None => Ok(()),
        Some(step) => Err(SchemaError::Older {
            no: step.no,
            name: step.name,
        }),
    }
}

/// Brings the database to this program's schema; the steps that were done now.
///
/// # Errors
/// It is tampered with, newer, or a step fails, which is then taken back.
pub async fn migrate(client: &mut Client, now: Timestamp) -> Result<Vec<Step>, SchemaError> {
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await?;
    let result = migrate_alone(client, now).await;
    // Where the connection broke, the lock went with it.
    let unlocked = client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await;
    let steps = result?;
    unlocked?;
    Ok(steps)
}

async fn migrate_alone(client: &mut Client, now: Timestamp) -> Result<Vec<Step>, SchemaError> {
    make_role(client).await?;
    client
        .batch_execute(&format!(
            "SET client_min_messages = warning;
             CREATE TABLE IF NOT EXISTS schema_migrations (
               no integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL);
             GRANT SELECT ON schema_migrations TO {APP_ROLE}"
        ))
        .await?;
    let steps = missing(&done(client).await?)?;
    for step in &steps {
        let failed = |why| SchemaError::Step {
            no: step.no,
            name: step.name,
            why,
        };
        let tx = client.transaction().await?;
        tx.batch_execute(step.sql).await.map_err(failed)?;
        tx.execute(
            "INSERT INTO schema_migrations (no, name, sha256, applied_at) VALUES ($1, $2, $3, $4)",
            &[&step.no, &step.name, &step.sha256().as_slice(), &now],
        )
        .await?;
        tx.commit().await.map_err(failed)?;
    }
    let tx = client.transaction().await?;
    make_operator(&tx, now).await?;
    tx.execute(
        "SELECT hq_make_partitions($1, $2)",
        &[&now.to_zoned(jiff::tz::TimeZone::UTC).date(), &MONTHS_AHEAD],
    )
    .await?;
    tx.commit().await?;
    Ok(steps)
}

/// What was done here, in order.
async fn done(client: &impl GenericClient) -> Result<Vec<Done>, tokio_postgres::Error> {
    let rows = client
        .query(
            "SELECT no, name, sha256 FROM schema_migrations ORDER BY no",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Done {
                no: row.try_get(0)?,
                name: row.try_get(1)?,
                sha256: row.try_get(2)?,
            })
        })
        .collect()
}

/// The steps that are still to be done.
fn missing(done: &[Done]) -> Result<Vec<Step>, SchemaError> {
    for was in done {
        let Some(step) = STEPS.iter().find(|step| step.no == was.no) else {
            return Err(SchemaError::Newer {
                no: was.no,
                name: was.name.clone(),
            });
        };
        if step.sha256().as_slice() != was.sha256 {
            return Err(SchemaError::Tampered {
                no: was.no,
                name: was.name.clone(),
            });
        }
    }
    let is_done = |step: &Step| done.iter().any(|was| was.no == step.no);
    Ok(STEPS.into_iter().filter(|step| !is_done(step)).collect())
}

/// The service's role belongs to the whole server, so another database's migration may have made it.
async fn make_role(client: &Client) -> Result<(), SchemaError> {
    let there = client
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&APP_ROLE])
        .await?;
    if there.is_some() {
        return Ok(());
    }
    let made = client
        .batch_execute(&format!(
            "CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION"
        ))
        .await;
    match made {
        Ok(()) => Ok(()),
        Err(error) => match error.code() {
            Some(&SqlState::DUPLICATE_OBJECT | &SqlState::UNIQUE_VIOLATION) => Ok(()),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Err(SchemaError::Role),
            _ => Err(error.into()),
        },
    }
}

/// The operator is a tenant too: his people and machines belong to it.
async fn make_operator(tx: &Transaction<'_>, now: Timestamp) -> Result<(), tokio_postgres::Error> {
    tx.execute(
        "SELECT set_config('app.tenant', $1, true)",
        &[&TenantId::OPERATOR.to_string()],
    )
    .await?;
    tx.execute(
        "INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, 'Operator', $2) ON CONFLICT DO NOTHING",
        &[&TenantId::OPERATOR.0, &now],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_done() -> Vec<Done> {
        let done = |step: Step| Done {
            no: step.no,
            name: step.name.to_owned(),
            sha256: step.sha256().to_vec(),
        };
        STEPS.into_iter().map(done).collect()
    }

    /// Numbers rise by one; what is there is not done again; what is other or unknown stops everything.
    #[test]
    fn only_what_is_missing_is_done() {
        assert!(STEPS.iter().zip(1..).all(|(step, no)| step.no == no));
        let mut done = as_done();
        assert!(missing(&done).unwrap().is_empty());
        assert_eq!(missing(&[]).unwrap().len(), STEPS.len());
        done[1].sha256[0] ^= 1;
        assert!(matches!(
            missing(&done),
            Err(SchemaError::Tampered { no: 2, .. })
        ));
        let mut newer = as_done();
        newer.push(Done {
            no: 99,
            name: "later".to_owned(),
            sha256: vec![0; 32],
        });
        assert!(matches!(
            missing(&newer),
            Err(SchemaError::Newer { no: 99, .. })
        ));
    }
}
