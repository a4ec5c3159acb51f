//! The synchronous heart of the ledger: one writing connection, every till's chain in memory, and the
//! transaction around a batch of work. It knows no threads and reads no clock but the trusted one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{SharedClock, Timestamp};
use rusqlite::{Connection, params};

use super::audit::{AuditHead, Entry};
use super::chain::{self, Till};
use super::signers::Signers;
use super::{
    LedgerError, Migrated, Refusal, Sale, SaleDone, Seq, Settings, StorageError, TillId, migrating,
    replacing, schema, sql,
};
use crate::crash::{self, Point};
use crate::keys::SealingKey;
use crate::time::{Anchor, TimeKeeper};

/// The ledger's writing side.
#[derive(Debug)]
pub struct Core {
    pub(super) conn: Connection,
    pub(super) sealing: SealingKey,
    /// What holds: the store's own, and what head office has set.
    pub(super) settings: Arc<Settings>,
    /// The configuration file's.
    own: Settings,
    pub(super) tills: BTreeMap<TillId, Till>,
    /// The trusted time at which the present transaction began.
    pub(super) now: Timestamp,
    pub(super) next_seq: i64,
    pub(super) audit: AuditHead,
    /// Tills that this transaction has touched: whoever waits for them is woken.
    pub(super) touched: BTreeSet<TillId>,
    /// How often the tills have been read anew: a till may have joined or got another certificate.
    pub(super) reloads: u64,
    pub(super) signers: Signers,
    /// How long the steps of the last batch took.
    pub(super) last_batch: BatchTimes,
    /// The last event that is known to be in the ledger.
    pub(super) committed: Seq,
    appended: Seq,
    time: Arc<TimeKeeper>,
    data_version: i64,
    fault: Option<String>,
    migrated: Option<Migrated>,
    #[cfg(any(test, feature = "simulation"))]
    pub(super) planted: Planted,
}

/// How long the steps of a batch took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchTimes {
    /// From its beginning until its sales were judged, numbered and signed.
    pub(super) signed: Duration,
    /// From there until it was durable.
    pub(super) committed: Duration,
}

/// Defects that tests plant, to show that their checks can fail.
#[cfg(any(test, feature = "simulation"))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// COMMIT answers with an I/O error though it has written.
    CommitFails,
    /// A key is not looked up before a sale is issued.
    KeyForgotten,
    /// The next number skips one.
    NumberSkipped,
    /// The previous hash is left out.
    ChainBroken,
    /// A receipt does not feed the counters.
    CountersForgotten,
    /// The date is the wall clock's, whatever came before.
    DateNotRising,
    /// A commit is answered before it is on the disk.
    AnsweredEarly,
    /// A number is given out again.
    NumberTwice,
}

/// Work other than sales: one named step that reads and writes through the core.
pub(super) trait Task: Send {
    /// Does the work. False asks for its writes to be undone.
    fn run(&mut self, core: &mut Core) -> Result<bool, StorageError>;
    /// Hears, after COMMIT, whether it is in the ledger.
    fn finish(self: Box<Self>, commit: Result<(), StorageError>);
}

impl Core {
    /// Opens or makes the ledger at `path`. One of an earlier version is copied, and then brought to this one.
    ///
    /// # Errors
    /// The file cannot be opened, is of a newer version, contradicts itself, or was sealed with another key; or there is
    /// none because a restore was cut short.
    pub fn open(
        path: &Path,
        sealing: SealingKey,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self, StorageError> {
        replacing::may_begin(path)?;
        let mut conn = sql::open_writer(path)?;
        let migrated = migrating::migrate(&mut conn, path)?;
        let mut core = Self::opened(conn, path, sealing, clock, settings)?;
        core.migrated = migrated;
        Ok(core)
    }

    /// As [`Core::open`], of a copy whose original is kept: it is not copied once more before its tables are changed.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub fn open_copy(
        path: &Path,
        sealing: SealingKey,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self, StorageError> {
        let mut conn = sql::open_writer(path)?;
        schema::migrate(&mut conn)?;
        Self::opened(conn, path, sealing, clock, settings)
    }

    fn opened(
        conn: Connection,
        path: &Path,
        sealing: SealingKey,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self, StorageError> {
        // One snapshot, and first of all its version: what another process writes later is then noticed.
        conn.execute_batch("BEGIN")?;
        let data_version = data_version(&conn)?;
        let anchor = load_anchor(&conn)?;
        let tills = chain::load_tills(&conn, &sealing, &BTreeMap::new())?;
        let last_date = tills.values().filter_map(|till| till.head.last_date).max();
        let time = TimeKeeper::start(clock, anchor, last_date.map(clock::instant));
        let mut core = Self {
            next_seq: next_seq(&conn)?,
            settings: Arc::new(super::hq::steered(&conn, &settings)?),
            own: settings,
            audit: AuditHead::load(&conn)?,
            data_version,
            now: time.now(),
            time: Arc::new(time),
            conn,
            sealing,
            tills,
            touched: BTreeSet::new(),
            reloads: 0,
            fault: None,
            migrated: None,
            signers: Signers::new(),
            last_batch: BatchTimes::default(),
            committed: Seq(0),
            appended: Seq(0),
            #[cfg(any(test, feature = "simulation"))]
            planted: Planted::None,
        };
        core.conn.execute_batch("COMMIT")?;
        core.appended = Seq(core.next_seq - 1);
        core.transaction(|core| {
            core.store_anchor()?;
            core.check_file(path)
        })?;
        Ok(core)
    }

    /// The trusted time, shared with everybody who needs it.
    #[must_use]
    pub fn time(&self) -> &Arc<TimeKeeper> {
        &self.time
    }

    /// What was done to a ledger of an earlier version when it was opened.
    #[must_use]
    pub fn migrated(&self) -> Option<&Migrated> {
        self.migrated.as_ref()
    }

    /// The storage fault that made the ledger read-only.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Copies the log into the database as far as nobody reads it: for whoever writes much without the writer's thread,
    /// whose checkpoints it does not have.
    pub fn fold_log(&self) {
        let _ = sql::wal_checkpoint(&self.conn, "PASSIVE");
    }

    /// One transaction of its own around one piece of work: for commands and simulations.
    ///
    /// # Errors
    /// The work's own refusal, or a fault of the storage; nothing is written then.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut refused = None;
        let done = self.transaction(|core| match work(core) {
            Ok(value) => Ok(Some(value)),
            Err(LedgerError::Storage(error)) => Err(error),
            Err(LedgerError::Refused(refusal)) => {
                refused = Some(refusal);
                core.conn.execute_batch("ROLLBACK; BEGIN IMMEDIATE")?;
                core.reload()?;
                Ok(None)
            }
        });
        match (done?, refused) {
            (Some(value), _) => Ok(value),
            (None, Some(refusal)) => Err(refusal.into()),
            (None, None) => Err(sql::damaged("work ended with nothing").into()),
        }
    }

    /// Issues sales in one transaction.
    ///
    /// # Errors
    /// A fault of the storage; then none of them is issued (or, from COMMIT, it is not known).
    pub fn issue(
        &mut self,
        sales: Vec<Sale>,
    ) -> Result<Vec<Result<SaleDone, Refusal>>, StorageError> {
        let sales = sales.into_iter().map(Arc::new).collect();
        self.transaction(|core| core.issue_all(sales))
    }

    /// Runs tasks and then sales in one transaction, and tells the tasks how it ended.
    pub(super) fn run_batch(
        &mut self,
        mut tasks: Vec<Box<dyn Task>>,
        sales: Vec<Arc<Sale>>,
    ) -> Result<Vec<Result<SaleDone, Refusal>>, StorageError> {
        let clock = Arc::clone(self.time.clock());
        let begun = clock.boot();
        let mut walked = begun;
        let (has_tasks, has_sales) = (!tasks.is_empty(), !sales.is_empty());
        let result = self.transaction(|core| {
            for task in &mut tasks {
                core.conn.execute_batch("SAVEPOINT task")?;
                if !task.run(core)? {
                    core.conn.execute_batch("ROLLBACK TO task")?;
                    core.reload()?;
                }
                core.store_heads()?;
                core.conn.execute_batch("RELEASE task")?;
            }
            let issued = core.issue_all(sales);
            walked = clock.boot();
            passed(has_sales && issued.is_ok(), Point::SaleWritten);
            issued
        });
        passed(has_sales && result.is_ok(), Point::SaleCommitted);
        passed(has_tasks && result.is_ok(), Point::TaskCommitted);
        self.last_batch = BatchTimes {
            signed: walked.saturating_sub(begun),
            committed: clock.boot().saturating_sub(walked),
        };
        for task in tasks {
            task.finish(result.as_ref().map(|_| ()).map_err(Clone::clone));
        }
        result
    }

    fn check_fault(&self) -> Result<(), StorageError> {
        match &self.fault {
            Some(fault) => Err(StorageError::ReadOnly(fault.clone())),
            None => Ok(()),
        }
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.check_fault()?;
        let result = self.begin().and_then(|()| work(self)).and_then(|value| {
            self.store_heads()?;
            Ok(value)
        });
        let result = match result {
            Ok(value) => self.commit().map(|()| value),
            Err(error) => Err(error),
        };
        match &result {
            Ok(_) => self.committed = self.committed.max(self.appended),
            Err(error) => self.recover(error),
        }
        result
    }

    fn begin(&mut self) -> Result<(), StorageError> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        self.now = self.time.now();
        self.touched.clear();
        // A technician's command may have written meanwhile.
        let version = data_version(&self.conn)?;
        if version != self.data_version {
            self.data_version = version;
            self.reload()?;
        }
        Ok(())
    }

    /// An error from COMMIT leaves open whether the rows will be there after a crash: SQLite may have
    /// written the frame that commits before its fsync, or the growth of the shared index after it, failed.
    /// Only `SQLITE_FULL` is told apart: it comes from writing frames, and the one that commits is the last;
    /// without it the transaction does not exist, and the sale is refused for certain.
    fn commit(&mut self) -> Result<(), StorageError> {
        #[cfg(any(test, feature = "simulation"))]
        if self.planted == Planted::CommitFails {
            self.conn.execute_batch("COMMIT")?;
            return Err(StorageError::CommitUnknown("planted".to_owned()));
        }
        self.conn.execute_batch("COMMIT").map_err(|error| {
            let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
            match StorageError::from(error) {
                StorageError::Full if full => StorageError::Full,
                other => StorageError::CommitUnknown(other.to_string()),
            }
        })
    }

    /// After a failed transaction: undo it and read again what the ledger holds. What cannot be undone or
    /// read makes the ledger read-only.
    fn recover(&mut self, error: &StorageError) {
        let undone = if self.conn.is_autocommit() {
            Ok(())
        } else {
            self.conn
                .execute_batch("ROLLBACK")
                .map_err(StorageError::from)
        };
        let result = undone.and_then(|()| self.reload());
        if error.is_fault() {
            self.fault = Some(error.to_string());
        } else if let Err(second) = result {
            self.fault = Some(second.to_string());
        }
    }

    /// Reads every cached end of a chain again.
    pub(super) fn reload(&mut self) -> Result<(), StorageError> {
        let keys = self
            .tills
            .values()
            .filter_map(|till| till.key.as_ref())
            .map(|key| (key.key_id, key.clone()))
            .collect();
        self.tills = chain::load_tills(&self.conn, &self.sealing, &keys)?;
        self.next_seq = next_seq(&self.conn)?;
        self.audit = AuditHead::load(&self.conn)?;
        let settings = super::hq::steered(&self.conn, &self.own)?;
        if settings != *self.settings {
            self.settings = Arc::new(settings);
        }
        self.reloads += 1;
        Ok(())
    }

    pub(super) fn store_heads(&mut self) -> Result<(), StorageError> {
        for (id, till) in &mut self.tills {
            if till.head.dirty {
                chain::store_head(&self.conn, *id, &till.head)?;
                till.head.dirty = false;
            }
        }
        Ok(())
    }

    /// Gives back what was taken for a rush of sales, SQLite's pages first.
    pub(super) fn rest(&self) {
        if let Err(error) = self.conn.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%error, "memory could not be given back");
        }
        crate::memory::give_back();
    }

    /// Keeps the trusted time, so that a restart goes on from it.
    pub(super) fn store_anchor(&mut self) -> Result<(), StorageError> {
        // An anchor always serialises.
        let anchor = serde_json::to_vec(&self.time.anchor()).unwrap_or_default();
        self.set_meta("time_anchor", &anchor)
    }

    pub(super) fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.conn
            .prepare_cached(
                "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute(params![name, value])?;
        Ok(())
    }

    /// The trusted time of this transaction in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// The trusted time of this transaction as FDMS writes it.
    pub(super) fn now_local(&self) -> fiscal::DateTime {
        clock::local(self.now)
    }

    pub(super) fn take_seq(&mut self) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        seq
    }

    /// Appends an event under a number taken before.
    pub(super) fn append_event(
        &mut self,
        seq: Seq,
        till: Option<TillId>,
        kind: &str,
        detail: Option<&str>,
    ) -> Result<(), StorageError> {
        self.touched.extend(till);
        self.append_quietly(seq, till, kind, detail)
    }

    /// The same, and whoever waits for changes of the till is not woken.
    pub(super) fn append_quietly(
        &mut self,
        seq: Seq,
        till: Option<TillId>,
        kind: &str,
        detail: Option<&str>,
    ) -> Result<(), StorageError> {
        self.appended = self.appended.max(seq);
        self.conn
            .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                seq.0,
                self.now_ms(),
                till.map(|till| till.0),
                kind,
                detail
            ])?;
        Ok(())
    }

    /// Appends to the audit.
    pub(super) fn audit(
        &mut self,
        actor: &str,
        action: &str,
        till: Option<TillId>,
        detail: &str,
    ) -> Result<(), StorageError> {
        let entry = Entry {
            at: self.now.as_millisecond(),
            actor,
            action,
            till,
            detail,
        };
        self.audit.append(&self.conn, &entry)
    }

    pub(super) fn till(&self, id: TillId) -> Result<&Till, LedgerError> {
        Ok(self.tills.get(&id).ok_or(Refusal::NoSuchTill)?)
    }

    /// Plants a defect, or takes it out again.
    #[cfg(any(test, feature = "simulation"))]
    pub fn plant(&mut self, defect: Planted) {
        self.planted = defect;
        if defect == Planted::AnsweredEarly {
            // What could not be planted is not found, and the test of it fails.
            let _ = self.conn.pragma_update(None, "synchronous", "OFF");
        }
    }
}

/// A point of a batch that has what the point is about.
fn passed(is_so: bool, point: Point) {
    if is_so {
        crash::at(point);
    }
}

fn next_seq(conn: &Connection) -> Result<i64, StorageError> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM event")?
        .query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0) + 1)
}

fn data_version(conn: &Connection) -> Result<i64, StorageError> {
    Ok(conn
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))?)
}

pub(super) fn load_anchor(conn: &Connection) -> Result<Option<Anchor>, StorageError> {
    sql::meta(conn, "time_anchor")?
        .map(|bytes| serde_json::from_slice(&bytes))
        .transpose()
        .map_err(|_| sql::damaged("meta.time_anchor"))
}
