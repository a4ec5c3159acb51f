//! What old POS software printed: kept before it is read, and what became of it.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::core::Core;
use super::{LedgerError, Reader, Refusal, Seq, StorageError, TillId};

/// Papers that were only passed on are kept so long, milliseconds: 30 days.
const PASSED_KEPT: i64 = 30 * 24 * 3600 * 1000;

/// What became of a captured job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapturedState {
    /// It has not been read yet.
    New,
    /// No sale: passed on untouched.
    Passed,
    /// Sold: the receipt's event.
    Sold(Seq),
    /// The POS printed a receipt again that had been sold.
    Repeated(Seq),
    /// It could not be sold, and why.
    Quarantined(String),
}

impl CapturedState {
    const fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Passed => "passed",
            Self::Sold(_) => "sold",
            Self::Repeated(_) => "repeated",
            Self::Quarantined(_) => "quarantined",
        }
    }
}

/// A captured job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedRow {
    /// Its number.
    pub id: i64,
    /// The port that it came in at.
    pub port: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Its bytes; empty in a list.
    pub body: Vec<u8>,
    /// Bytes that there was no room for.
    pub lost: u64,
    /// The word of its state.
    pub state: String,
    /// The template that it was read by.
    pub template: Option<String>,
    /// The event of its receipt.
    pub receipt: Option<Seq>,
    /// Why it could not be sold.
    pub reasons: Option<String>,
}

impl Core {
    /// Keeps a job before anything is done with it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn keep_captured(
        &mut self,
        port: &str,
        body: &[u8],
        lost: u64,
    ) -> Result<i64, LedgerError> {
        let now = self.now_ms();
        self.conn
            .prepare_cached(
                "INSERT INTO captured (port, at, body, lost, state, changed_at)
                 VALUES (?1, ?2, ?3, ?4, 'new', ?2)",
            )?
            .execute(params![
                port,
                now,
                body,
                i64::try_from(lost).unwrap_or(i64::MAX)
            ])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Keeps what became of a job. What could not be sold is an event, so that somebody looks after it; what stands on
    /// the paper is not in it.
    ///
    /// # Errors
    /// It has been dealt with already.
    pub fn settle_captured(
        &mut self,
        till: TillId,
        id: i64,
        state: &CapturedState,
        template: Option<&str>,
    ) -> Result<(), LedgerError> {
        let receipt = match state {
            CapturedState::Sold(seq) | CapturedState::Repeated(seq) => Some(seq.0),
            _ => None,
        };
        let reasons = match state {
            CapturedState::Quarantined(reasons) => Some(reasons),
            _ => None,
        };
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE captured SET state = ?2, template = ?3, receipt = ?4, reasons = ?5, changed_at = ?6
                 WHERE captured_id = ?1 AND state IN ('new', 'quarantined')",
            )?
            .execute(params![id, state.word(), template, receipt, reasons, self.now_ms()])?;
        if changed == 0 {
            return Err(
                Refusal::NotNow(format!("the paper {id} has been dealt with already")).into(),
            );
        }
        if let Some(reasons) = reasons {
            let detail = serde_json::json!({ "captured": id, "reasons": reasons.lines().count() });
            let seq = self.take_seq();
            self.append_event(
                seq,
                Some(till),
                "capture.quarantined",
                Some(&detail.to_string()),
            )?;
        }
        Ok(())
    }

    /// A person says that a paper that was put aside will not be sold, and why: it was rung up again, or was no sale.
    ///
    /// # Errors
    /// It is not put aside.
    pub fn drop_captured(&mut self, id: i64, reason: &str, actor: &str) -> Result<(), LedgerError> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE captured SET state = 'dropped', reasons = ?2, changed_at = ?3
                 WHERE captured_id = ?1 AND state = 'quarantined'",
            )?
            .execute(params![id, reason, self.now_ms()])?;
        if changed == 0 {
            return Err(Refusal::NotNow(format!("the paper {id} is not put aside")).into());
        }
        Ok(self.audit(actor, "capture.drop", None, &format!("{id}: {reason}"))?)
    }

    /// Forgets papers that were only passed on, a month later: kitchen slips are no records.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn forget_passed(&mut self) -> Result<usize, LedgerError> {
        let before = self.now_ms() - PASSED_KEPT;
        Ok(self.conn.execute(
            "DELETE FROM captured WHERE state = 'passed' AND at < ?1",
            [before],
        )?)
    }

    /// Notes in the audit that a receipt of an old POS was given up before it was closed.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn note_cancelled(
        &mut self,
        till: TillId,
        detail: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        Ok(self.audit(actor, "receipt.cancel", Some(till), detail)?)
    }

    /// Keeps the state of a fiscal printer that we play, in place of the last one.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn keep_register(&mut self, port: &str, kept: &str) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached(
                "INSERT INTO register VALUES (?1, ?2) ON CONFLICT (port) DO UPDATE SET kept = ?2",
            )?
            .execute(params![port, kept])?;
        Ok(())
    }
}

impl Reader {
    /// A captured job.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn captured(&self, id: i64) -> Result<Option<CapturedRow>, LedgerError> {
        self.with(|conn| Ok(rows(conn, "body", "captured_id = ?1", "", &[&id])?.pop()))
    }

    /// The last captured jobs, newest first; only those of a state, if one is named.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_captured(
        &self,
        state: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CapturedRow>, LedgerError> {
        self.with(|conn| {
            let which = match state {
                Some(_) => "state = ?1",
                None => "?1 IS NULL",
            };
            Ok(rows(
                conn,
                "x''",
                which,
                "DESC LIMIT ?2",
                &[&state, &limit],
            )?)
        })
    }

    /// The last paper that came in at a port, whatever became of it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_paper(&self, port: &str) -> Result<Option<CapturedRow>, LedgerError> {
        self.with(|conn| Ok(rows(conn, "x''", "port = ?1", "DESC LIMIT 1", &[&port])?.pop()))
    }

    /// Papers of a port that were put aside, and neither sold nor dropped since.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn quarantined(&self, port: &str) -> Result<u32, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(
                    "SELECT count(*) FROM captured WHERE state = 'quarantined' AND port = ?1",
                )?
                .query_row([port], |row| row.get(0))?)
        })
    }

    /// Jobs of a port that were kept and not read before the power went, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn unread_captured(&self, port: &str) -> Result<Vec<CapturedRow>, LedgerError> {
        self.with(|conn| {
            Ok(rows(
                conn,
                "x''",
                "state = 'new' AND port = ?1",
                "",
                &[&port],
            )?)
        })
    }

    /// Ports with papers that have not been read.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn unread_ports(&self) -> Result<Vec<String>, LedgerError> {
        self.with(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT DISTINCT port FROM captured WHERE state = 'new'")?;
            let ports = statement.query_map([], |row| row.get(0))?;
            Ok(ports.collect::<Result<_, _>>()?)
        })
    }

    /// Whether a paper has been settled with this receipt.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn has_captured(&self, receipt: Seq) -> Result<bool, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM captured WHERE receipt = ?1)")?
                .query_row([receipt.0], |row| row.get(0))?)
        })
    }

    /// What was kept of a fiscal printer that we play.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn register(&self, port: &str) -> Result<Option<String>, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached("SELECT kept FROM register WHERE port = ?1")?
                .query_row([port], |row| row.get(0))
                .optional()?)
        })
    }
}

fn rows(
    conn: &Connection,
    body: &str,
    which: &str,
    order: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<CapturedRow>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT captured_id, port, at, {body}, state, template, receipt, reasons, lost FROM captured
         WHERE {which} ORDER BY captured_id {order}"
    ))?;
    let rows = statement.query_map(values, row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<CapturedRow> {
    Ok(CapturedRow {
        id: row.get(0)?,
        port: row.get(1)?,
        at: row.get(2)?,
        body: row.get(3)?,
        state: row.get(4)?,
        template: row.get(5)?,
        receipt: row.get::<_, Option<i64>>(6)?.map(Seq),
        reasons: row.get(7)?,
        lost: u64::try_from(row.get::<_, i64>(8)?).unwrap_or_default(),
    })
}
