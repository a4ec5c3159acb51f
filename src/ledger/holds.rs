//! What keeps a till from selling, beside what it still lacks: a ledger that may be an old copy, an FDMS that
//! knows more than the ledger, a till that is retired. And where new sales of a till go instead.
//!
//! A number that is used twice costs the day and can be put right by the authority alone, so in doubt a till
//! rather waits for an answer (docs/FDMS.md section 4).

use clock::Timestamp;
use fiscal::DeviceId;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::{LedgerError, Reader, Refusal, StorageError, TillId, sql};

/// What keeps a till from selling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// The ledger may be an older copy: FDMS is asked before the first sale. Ends by itself.
    Unchecked,
    /// FDMS has days or receipts of this till that the ledger has not.
    Ahead,
    /// The till has been retired, for good.
    Retired,
    /// Head office has blocked it until it unblocks it: no state of the till's own.
    Blocked,
    /// Head office has switched its environment off: a closed gate, and no state of the till's own.
    Disabled,
}

impl HoldKind {
    /// The word in the ledger and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Ahead => "ahead",
            Self::Retired => "retired",
            Self::Blocked => "blocked",
            Self::Disabled => "disabled",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Unchecked, Self::Ahead, Self::Retired]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Why a till takes no sales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What kind of thing.
    pub kind: HoldKind,
    /// Why, and what to do.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Hold {
    pub(super) fn refusal(&self, device: DeviceId) -> Refusal {
        Refusal::Held {
            device,
            kind: self.kind,
            reason: self.reason.clone(),
        }
    }
}

/// Why a till takes no sales.
pub(super) fn load_hold(conn: &Connection, till: TillId) -> Result<Option<Hold>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT hold, reason, since FROM till_state WHERE till_id = ?1 AND hold IS NOT NULL",
    )?;
    let mut rows = statement.query([till.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let kind: String = row.get(0)?;
    Ok(Some(Hold {
        kind: HoldKind::parse(&kind).ok_or_else(|| sql::damaged("till_state.hold"))?,
        reason: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        since: Timestamp::from_millisecond(row.get(2)?)
            .map_err(|_| sql::damaged("till_state.since"))?,
    }))
}

/// Why a till takes no sales: head office has blocked it, or switched its environment off.
pub(super) fn load_gate(conn: &Connection, till: TillId) -> Result<Option<Hold>, StorageError> {
    match load_block(conn, till)? {
        None => load_closed(conn, till),
        blocked => Ok(blocked),
    }
}

/// Head office has blocked the till.
pub(super) fn load_block(conn: &Connection, till: TillId) -> Result<Option<Hold>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT b.reason, b.since FROM till t JOIN blocked b USING (environment, device_id) WHERE t.till_id = ?1",
    )?;
    let mut rows = statement.query([till.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (reason, since): (String, i64) = (row.get(0)?, row.get(1)?);
    Ok(Some(Hold {
        kind: HoldKind::Blocked,
        reason: format!(
            "head office has blocked this till ({reason}). What waits is kept, and nothing is sent; it is unblocked at head \
             office"
        ),
        since: Timestamp::from_millisecond(since).map_err(|_| sql::damaged("blocked.since"))?,
    }))
}

fn load_closed(conn: &Connection, till: TillId) -> Result<Option<Hold>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT g.reason, g.since, g.environment FROM till t JOIN gate g USING (environment)
         WHERE t.till_id = ?1 AND g.enabled = 0",
    )?;
    let mut rows = statement.query([till.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (reason, since): (String, i64) = (row.get(0)?, row.get(1)?);
    let environment: String = row.get(2)?;
    Ok(Some(Hold {
        kind: HoldKind::Disabled,
        reason: format!(
            "head office has switched the {environment} environment off ({reason}). What waits is kept, and nothing is \
             sent; it is switched on again at head office"
        ),
        since: Timestamp::from_millisecond(since).map_err(|_| sql::damaged("gate.since"))?,
    }))
}

/// The till that new sales of this one go to.
pub(super) fn successor(conn: &Connection, till: TillId) -> Result<Option<TillId>, StorageError> {
    let found: Option<Option<i64>> = conn
        .prepare_cached("SELECT successor FROM till_state WHERE till_id = ?1")?
        .query_row([till.0], |row| row.get(0))
        .optional()?;
    Ok(found.flatten().map(TillId))
}

impl Reader {
    /// Why a till takes no sales.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hold(&self, till: TillId) -> Result<Option<Hold>, LedgerError> {
        self.with(|conn| match load_hold(conn, till)? {
            None => Ok(load_gate(conn, till)?),
            hold => Ok(hold),
        })
    }

    /// Every till whose new sales go to another one, with that other one.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn switches(&self) -> Result<Vec<(TillId, TillId)>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT till_id, successor FROM till_state WHERE successor IS NOT NULL",
            )?;
            let rows =
                statement.query_map([], |row| Ok((TillId(row.get(0)?), TillId(row.get(1)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
