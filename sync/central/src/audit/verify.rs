//! The check of the audit: every row's hash is computed again, outside the database, and the end of the chain is
//! where it was when the last row was written.
//!
//! Whoever can change rows behind the triggers' back can also write a whole chain anew. So the end is told, by
//! number and hash: kept elsewhere, it shows that too.

use std::fmt::Write as _;

use clock::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio_postgres::{Row, Transaction};

use crate::db::{self, Db, DbError, TenantId};

/// Rows that are read at once.
const PAGE: i64 = 500;
/// Between the parts of what a row's hash covers.
const SEPARATOR: char = '\u{1f}';

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The last row's number; 0: there is none.
    pub audit_no: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// What is wrong with a chain; the first row where it shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The row is not as it was written.
    #[error(
        "row {audit_no} of {at} ({actor}, {action}) is not as it was written: what it says gives another hash"
    )]
    Changed {
        /// The row.
        audit_no: i64,
        /// When it says that it was written.
        at: Timestamp,
        /// By whom.
        actor: String,
        /// What was done.
        action: String,
    },
    /// The row does not follow on the one before it.
    #[error("row {audit_no} does not follow on row {}: one of them was written anew", audit_no - 1)]
    Unchained {
        /// The row.
        audit_no: i64,
    },
    /// The row is not there.
    #[error("row {audit_no} is missing: it was deleted")]
    Missing {
        /// The row.
        audit_no: i64,
    },
    /// Rows at the end are not there.
    #[error("the end was cut off: rows {from} to {to} were written and are not there any more")]
    CutOff {
        /// The first that is missing.
        from: i64,
        /// The last that was written.
        to: i64,
    },
    /// There are rows behind the end.
    #[error("row {audit_no} is behind the end of the chain: it was put in past the chain")]
    Beyond {
        /// The row.
        audit_no: i64,
    },
}

/// What the check of one tenant has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rows that are as they were written.
    pub rows: i64,
    /// The end of the chain.
    pub end: End,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// Checks a tenant's audit; `progress` is told of every page: rows checked, rows in all.
///
/// # Errors
/// Postgres is away.
pub async fn verify(
    db: &Db,
    tenant: TenantId,
    mut progress: impl FnMut(i64, i64),
) -> Result<Report, DbError> {
    let mut client = db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let end = end(&tx, tenant).await?;
    let mut last = End {
        audit_no: 0,
        hash: Sha256::digest(tenant.to_string()).to_vec(),
    };
    let select = tx
        .prepare_cached(
            "SELECT audit_no, at, actor, action, subject, before::text, after::text, previous, hash
             FROM fdms_audit_logs WHERE tenant_id = $1 AND audit_no > $2 AND audit_no <= $3 ORDER BY audit_no LIMIT $4",
        )
        .await?;
    let mut broken = None;
    'all: while last.audit_no < end.audit_no {
        let page = tx
            .query(&select, &[&tenant.0, &last.audit_no, &end.audit_no, &PAGE])
            .await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            match follows(row, tenant, &last)? {
                Ok(next) => last = next,
                Err(why) => {
                    broken = Some(why);
                    break 'all;
                }
            }
        }
        progress(last.audit_no, end.audit_no);
    }
    if broken.is_none() {
        broken = at_the_end(&tx, tenant, &last, &end).await?;
    }
    tx.commit().await?;
    Ok(Report {
        rows: last.audit_no,
        end,
        broken,
    })
}

/// Where the database says that the chain ends.
async fn end(tx: &Transaction<'_>, tenant: TenantId) -> Result<End, DbError> {
    let row = tx
        .query_opt("SELECT audit_no, hash FROM hq_audit_head()", &[])
        .await?;
    match row {
        None => Ok(End {
            audit_no: 0,
            hash: Sha256::digest(tenant.to_string()).to_vec(),
        }),
        Some(row) => Ok(End {
            audit_no: row.try_get(0)?,
            hash: row.try_get(1)?,
        }),
    }
}

/// Whether a row is as it was written and follows on the last one.
fn follows(row: &Row, tenant: TenantId, last: &End) -> Result<Result<End, Broken>, DbError> {
    let audit_no: i64 = row.try_get(0)?;
    let hash: Vec<u8> = row.try_get(8)?;
    let previous: Vec<u8> = row.try_get(7)?;
    let at: Timestamp = row.try_get(1)?;
    let (actor, action): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    if audit_no != last.audit_no + 1 {
        return Ok(Err(Broken::Missing {
            audit_no: last.audit_no + 1,
        }));
    }
    let mut text: String = String::new();
    for byte in &previous {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    let parts = [
        tenant.to_string(),
        audit_no.to_string(),
        at.as_microsecond().to_string(),
        actor.clone(),
        action.clone(),
        row.try_get(4)?,
        row.try_get::<_, Option<String>>(5)?
            .unwrap_or_else(|| "-".to_owned()),
        row.try_get::<_, Option<String>>(6)?
            .unwrap_or_else(|| "-".to_owned()),
    ];
    for part in &parts {
        text.push(SEPARATOR);
        text.push_str(part);
    }
    if Sha256::digest(&text).as_slice() != hash {
        return Ok(Err(Broken::Changed {
            audit_no,
            at,
            actor,
            action,
        }));
    }
    if previous != last.hash {
        return Ok(Err(Broken::Unchained { audit_no }));
    }
    Ok(Ok(End { audit_no, hash }))
}

/// Nothing is missing at the end, and nothing is behind it.
async fn at_the_end(
    tx: &Transaction<'_>,
    tenant: TenantId,
    last: &End,
    end: &End,
) -> Result<Option<Broken>, DbError> {
    if last.audit_no < end.audit_no {
        return Ok(Some(Broken::CutOff {
            from: last.audit_no + 1,
            to: end.audit_no,
        }));
    }
    if last.hash != end.hash {
        return Ok(Some(Broken::Unchained {
            audit_no: last.audit_no,
        }));
    }
    // Rows may have been written since: the end has then moved with them, seen in the same moment.
    let beyond = tx
        .query_one(
            "SELECT min(a.audit_no) FROM fdms_audit_logs a WHERE a.tenant_id = $1
               AND a.audit_no > coalesce((SELECT h.audit_no FROM hq_audit_head() h), 0)",
            &[&tenant.0],
        )
        .await?;
    let beyond: Option<i64> = beyond.try_get(0)?;
    Ok(beyond.map(|audit_no| Broken::Beyond { audit_no }))
}
