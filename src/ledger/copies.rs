//! A copy of the ledger made on purpose, while it is sold on; and what a copy is worth.
//!
//! The copy is one snapshot of a reader: the writer never waits for it. Its pages come in small steps, between
//! which the caller may pause, so that the disk stays free for the sales. What a ledger ends with ([`Ends`]) says
//! which of two copies has more.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::file_id::LEDGER_ID;
use super::holds::HoldKind;
use super::{Environment, LedgerError, Reader, Seq, StorageError, TillId, chain, sql};
use crate::keys::{RecoveryWrap, SealingKey};

/// Pages of one step: 1 MiB.
const STEP: i32 = 256;
/// Under this name the ledger keeps when its passphrase was tried last.
pub(super) const RECOVERY_TESTED: &str = "recovery_tested";

/// Why no till of a restored ledger sells.
const RESTORED: &str = "this ledger was put back from a backup. What was sold after the backup was made is not in it, so \
     FDMS is asked first whether it has more. The till sells as soon as FDMS has answered. Without a line, and if you are \
     sure that this till has sold nothing since: `fiscald till confirm`";

/// How far a ledger has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ends {
    /// The ledger's own name: a copy has the same.
    pub ledger: String,
    /// The number of its last event.
    pub last_event: i64,
    /// The number of its last audit row.
    pub last_audit: i64,
    /// The hash of that row: it covers all rows before it.
    pub audit_hash: Option<String>,
    /// Its tills.
    pub tills: Vec<TillEnd>,
}

/// How far a till has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TillEnd {
    /// Test or production.
    pub environment: Environment,
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// Its last fiscal day, open or not.
    pub last_fiscal_day_no: u32,
    /// Its last receipt.
    pub last_receipt_global_no: u32,
}

impl Ends {
    /// What this ledger has that `other` has not, a sentence for each thing; empty if `other` has everything.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        if self.ledger != other.ledger {
            let mut all = vec!["it is another ledger altogether".to_owned()];
            all.extend(self.tills.iter().map(|till| {
                format!(
                    "till {} ({}): {} receipts",
                    till.device_id, till.environment, till.last_receipt_global_no
                )
            }));
            return all;
        }
        let mut all = Vec::new();
        for till in &self.tills {
            let theirs = other
                .tills
                .iter()
                .find(|t| t.environment == till.environment && t.device_id == till.device_id);
            let (day, receipt) =
                theirs.map_or((0, 0), |t| (t.last_fiscal_day_no, t.last_receipt_global_no));
            let name = format!("till {} ({})", till.device_id, till.environment);
            if till.last_receipt_global_no > receipt {
                let (first, last) = (receipt + 1, till.last_receipt_global_no);
                all.push(format!("{name}: receipts {first} to {last}"));
            } else if till.last_fiscal_day_no > day {
                let no = till.last_fiscal_day_no;
                all.push(format!("{name}: the opening of day {no}"));
            } else if theirs.is_none() {
                all.push(format!("{name}: it is not in the backup"));
            }
        }
        if all.is_empty() && self.last_audit > other.last_audit {
            let more = self.last_audit - other.last_audit;
            all.push(format!(
                "{more} acts without receipts, such as openings, closes or what FDMS has answered"
            ));
        }
        all
    }
}

/// How far the ledger in a file has come. The file may be of an earlier version.
///
/// # Errors
/// It cannot be read, or is no ledger.
pub fn ends(path: &Path) -> Result<Ends, StorageError> {
    let conn = sql::open_reader(path)?;
    conn.execute_batch("BEGIN")?;
    ends_of(&conn)
}

pub(super) fn ends_of(conn: &Connection) -> Result<Ends, StorageError> {
    let name = sql::meta(conn, LEDGER_ID)?.unwrap_or_default();
    let audit: Option<(i64, Vec<u8>)> = conn
        .prepare_cached("SELECT audit_id, hash FROM audit ORDER BY audit_id DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let last_event = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?
        .query_row([], |row| row.get(0))?;
    let tills = chain::till_infos(conn)?.into_iter().map(|till| {
        let head = chain::load_head(conn, till.id)?;
        Ok(TillEnd {
            environment: till.environment,
            device_id: till.device_id.get(),
            last_fiscal_day_no: head.last_day_no.get(),
            last_receipt_global_no: head.last_global_no.get(),
        })
    });
    Ok(Ends {
        ledger: String::from_utf8_lossy(&name).into_owned(),
        last_event,
        last_audit: audit.as_ref().map_or(0, |(id, _)| *id),
        audit_hash: audit
            .map(|(_, hash)| sql::hash(&hash, "audit.hash"))
            .transpose()?
            .map(|hash| hash.to_string()),
        tills: tills.collect::<Result<_, StorageError>>()?,
    })
}

/// Copies a ledger, as it is at this moment, into a new file, which is on disk when this returns. `pace` hears after
/// each step how many pages are done and how many there are; it may wait, and says whether to go on.
///
/// None if `pace` wanted no more: then the file is worth nothing.
///
/// # Errors
/// The ledger cannot be read, the file is there already or cannot be written.
pub fn copy(
    ledger: &Path,
    to: &Path,
    pace: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Ends>, StorageError> {
    let source = sql::open_reader(ledger)?;
    source.execute_batch("BEGIN")?;
    // The first question takes the snapshot; every page below is of it.
    let ends = ends_of(&source)?;
    let file = sql::new_file(to)?;
    let mut target = sql::open_copy(to)?;
    {
        let backup = Backup::new(&source, &mut target)?;
        loop {
            match backup.step(STEP)? {
                StepResult::Done => break,
                StepResult::More => {}
                other => return Err(sql::damaged(format!("the copy was stopped: {other:?}"))),
            }
            // What is written goes to the disk at once: a mountain of it would hold up the sales' own fsync.
            file.sync_data()
                .map_err(|error| sql::unwritable(to, &error))?;
            let progress = backup.progress();
            let count = |pages: i32| u64::try_from(pages).unwrap_or(0);
            let total = count(progress.pagecount);
            if !pace(total - count(progress.remaining), total) {
                return Ok(None);
            }
        }
    }
    drop(source);
    target.close().map_err(|(_, error)| error)?;
    sql::seal_copy(to)?;
    file.sync_all()
        .map_err(|error| sql::unwritable(to, &error))?;
    Ok(Some(ends))
}

/// Undoes the last commit of a copy that was cut short in the middle of it, as SQLite does for whoever may write there:
/// a live copy has its journal beside it until its commit is whole. Nothing happens where there is none.
///
/// # Errors
/// The copy cannot be written.
pub fn undo_unfinished(copy: &Path) -> Result<(), StorageError> {
    let mut journal = copy.as_os_str().to_owned();
    journal.push("-journal");
    if !Path::new(&journal).exists() {
        return Ok(());
    }
    let conn = sql::open_present(copy)?;
    // The first who reads undoes it.
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| StorageError::from(error))
}

/// Writes a ledger's log into it, so that it is one file until it is opened again.
///
/// # Errors
/// It cannot be read or written, or somebody uses it.
pub fn fold(ledger: &Path) -> Result<(), StorageError> {
    sql::seal_copy(ledger)
}

/// The wrapped sealing key in a ledger's file.
///
/// # Errors
/// The file cannot be read.
pub fn recovery(path: &Path) -> Result<Option<RecoveryWrap>, StorageError> {
    let conn = sql::open_reader(path)?;
    let bytes = sql::meta(&conn, "recovery")?;
    Ok(bytes.map(|bytes| RecoveryWrap::from_bytes(&bytes)))
}

/// Tries a sealing key on every key of a ledger's file.
///
/// # Errors
/// It opens one of them not, or the file cannot be read.
pub fn try_key(path: &Path, sealing: &SealingKey) -> Result<(), StorageError> {
    let conn = sql::open_reader(path)?;
    let mut statement =
        conn.prepare("SELECT till_id, sealed FROM device_key WHERE sealed <> x''")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sealed: Vec<u8> = row.get(1)?;
        chain::unseal(sealing, TillId(row.get(0)?), &sealed)?;
    }
    Ok(())
}

impl Core {
    /// This ledger was just put back from a backup: no till sells before FDMS was asked, also none that had sold nothing
    /// when the backup was made; and what waited for a printer comes out as a copy, since the original may be out.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn restored(&mut self, detail: &str, actor: &str) -> Result<(), LedgerError> {
        let seq = self.take_seq();
        self.append_event(seq, None, "ledger.restored", Some(detail))?;
        self.audit(actor, "ledger.restore", None, detail)?;
        let free = self.tills.values().filter(|till| till.hold.is_none());
        let tills: Vec<TillId> = free.map(|till| till.info.id).collect();
        for till in tills {
            self.hold_till(till, HoldKind::Unchecked, RESTORED, actor)?;
        }
        self.conn.execute(
            "UPDATE print_job SET heading = 'copy'
             WHERE heading IS NULL AND subject IS NOT NULL AND state IN ('queued', 'held')",
            [],
        )?;
        // What was printed since the backup is on paper: only what comes from now on is printed by itself.
        self.set_print_cursor(Some(Seq(self.next_seq - 1)))
    }

    /// The recovery passphrase was typed, and opens this ledger.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn recovery_tested(&mut self, actor: &str) -> Result<(), LedgerError> {
        let now = self.now_ms().to_string();
        self.set_meta(RECOVERY_TESTED, now.as_bytes())?;
        Ok(self.audit(actor, "recovery.test", None, "")?)
    }
}

impl Reader {
    /// When somebody last proved that he has the recovery passphrase; none: never since it was made.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn recovery_tested(&self) -> Result<Option<clock::Timestamp>, LedgerError> {
        self.with(|conn| {
            let kept = sql::meta(conn, RECOVERY_TESTED)?;
            let ms = kept.and_then(|kept| std::str::from_utf8(&kept).ok()?.parse().ok());
            Ok(ms.and_then(|ms| clock::Timestamp::from_millisecond(ms).ok()))
        })
    }

    /// How far the ledger has come.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn ends(&self) -> Result<Ends, LedgerError> {
        self.with(|conn| Ok(ends_of(conn)?))
    }
}

/// Forgets when the passphrase was tried: it is another one now.
pub(super) fn forget_test(conn: &Connection) -> Result<(), StorageError> {
    conn.execute("DELETE FROM meta WHERE name = ?1", params![RECOVERY_TESTED])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ledger: &str, receipt: u32, audit: i64) -> Ends {
        Ends {
            ledger: ledger.to_owned(),
            last_event: audit,
            last_audit: audit,
            audit_hash: None,
            tills: vec![TillEnd {
                environment: Environment::Test,
                device_id: 7,
                last_fiscal_day_no: 1,
                last_receipt_global_no: receipt,
            }],
        }
    }

    /// Which of two copies has more, and what.
    #[test]
    fn what_is_beyond() {
        let backup = ends("a", 10, 20);
        assert_eq!(backup.beyond(&backup), [""; 0]);
        assert_eq!(backup.beyond(&ends("a", 12, 24)), [""; 0]);
        let more = ends("a", 12, 24).beyond(&backup);
        assert_eq!(more, ["till 7 (test): receipts 11 to 12"]);
        assert!(ends("a", 10, 21).beyond(&backup)[0].contains("1 acts"));
        let other = ends("b", 2, 3).beyond(&backup);
        assert_eq!(other.len(), 2);
        assert!(other[0].contains("another ledger"));
    }
}
