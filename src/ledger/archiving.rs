//! Old fiscal days move into an archive: a file of its own, written once, checked, and read only from then on.
//!
//! Only what is closed and what FDMS, and head office where the store has joined it, have for good is moved, whole calendar years at a time.
//! The rows stay in the ledger with everything that a new sale is judged by, so no number, key or `invoiceNo` can ever be
//! used twice; what is heavy goes: bodies, signatures, what only a slip prints, FDMS's answers. It goes in small steps,
//! after the archive is on disk, checked, and written down in the ledger with its hash; whatever is interrupted is gone on
//! with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fiscal::receipt::Hash;
use fiscal::{DateTime, DeviceId, sign};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::mirror::uri;
use super::stream::load_stream;
use super::{LedgerError, Reader, Refusal, StorageError, archived, chain, read, sql};
use crate::keys::PublicKey;

/// Rows that are emptied in one transaction.
const STEP: i64 = 200;

/// The tables of an archive: whole rows, so that it can be read and verified by itself.
const TABLES: &str = "
CREATE TABLE info (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE till AS SELECT * FROM src.till;
CREATE TABLE public_key AS SELECT key_id, till_id, public_key, created_at FROM src.device_key;
CREATE TABLE certificate AS SELECT * FROM src.certificate;
CREATE TABLE config AS SELECT * FROM src.config;
CREATE TABLE day (day_id INTEGER PRIMARY KEY, till_id INTEGER, fiscal_day_no INTEGER, opened TEXT, is_vat_payer INTEGER);
CREATE TABLE day_close (seq INTEGER PRIMARY KEY, day_id INTEGER, closed TEXT, receipt_counter INTEGER, totals TEXT,
  hash BLOB, signature BLOB, key_id INTEGER, body TEXT);
CREATE TABLE receipt (seq INTEGER PRIMARY KEY, till_id INTEGER, day_id INTEGER, global_no INTEGER, counter INTEGER,
  invoice_no TEXT, date TEXT, hash BLOB, key_id INTEGER, body TEXT, signature BLOB, print TEXT);
CREATE TABLE submission (seq INTEGER PRIMARY KEY, till_id INTEGER, finished_at INTEGER, operation_id TEXT, color TEXT,
  answer TEXT, server_signature TEXT);
";

/// An archive as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Its file's name, beside the ledger.
    pub file: String,
    /// The year whose days are in it.
    pub year: i16,
    /// The first event that it has something of.
    pub first_seq: i64,
    /// The last one.
    pub last_seq: i64,
    /// How many receipts are in it.
    pub receipts: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Whether everything that is in it has been taken out of the ledger.
    pub is_emptied: bool,
}

/// What would be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The year.
    pub year: i16,
    /// How many receipts.
    pub receipts: u64,
    first_seq: i64,
    last_seq: i64,
}

/// Hears how many receipts are done, of so many, may wait, and says whether to go on.
pub type Pace<'a> = dyn FnMut(u64, u64) -> bool + 'a;

impl Reader {
    /// The archives of this ledger, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn archives(&self) -> Result<Vec<Archive>, LedgerError> {
        self.with(|conn| Ok(archives(conn)?))
    }

    /// The years in which fiscal days were opened that are still whole in the ledger.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn years(&self) -> Result<Vec<i16>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT DISTINCT CAST(substr(opened, 1, 4) AS INTEGER) AS year FROM day
                 WHERE year NOT IN (SELECT year FROM archive) ORDER BY year",
            )?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// What of a year would be moved.
    ///
    /// # Errors
    /// Something of it is not closed, not at FDMS or not at head office yet; a sentence that says what.
    pub fn plan_archive(&self, year: i16) -> Result<Plan, LedgerError> {
        self.with(|conn| plan(conn, year))
    }
}

/// None of a ledger of an earlier version, which knows no archives.
pub(super) fn archives(conn: &Connection) -> Result<Vec<Archive>, StorageError> {
    if !conn.table_exists(None, "archive")? {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare_cached(
        "SELECT file, year, first_seq, last_seq, receipts, sha256, emptied FROM archive ORDER BY year",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Archive {
            file: row.get(0)?,
            year: row.get(1)?,
            first_seq: row.get(2)?,
            last_seq: row.get(3)?,
            receipts: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            sha256: row.get(5)?,
            is_emptied: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The days of a year: those that were opened in it.
const DAYS: &str = "SELECT day_id FROM day WHERE substr(opened, 1, 4) = ?1";

fn plan(conn: &Connection, year: i16) -> Result<Plan, LedgerError> {
    let refused = |why: String| -> LedgerError { Refusal::NotNow(why).into() };
    let name = format!("{year:04}");
    for till in chain::till_infos(conn)? {
        let cursor = load_stream(conn, till.id)?.cursor.0;
        let (open, last): (i64, Option<i64>) = conn.query_row(
            "SELECT count(*) - count(c.seq), max(c.seq) FROM day d LEFT JOIN day_close c USING (day_id)
             WHERE d.till_id = ?1 AND substr(d.opened, 1, 4) = ?2",
            params![till.id.0, name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let device = till.device_id;
        if open > 0 {
            return Err(refused(format!(
                "a fiscal day of {year} is still open on the till {device}: close it first"
            )));
        }
        if last.is_some_and(|last| last > cursor) {
            return Err(refused(format!(
                "the till {device} has not sent everything of {year} to FDMS yet: let its queue run empty first"
            )));
        }
    }
    let (receipts, first, last, answered): (i64, Option<i64>, Option<i64>, Option<i64>) = conn
        .query_row(
            &format!(
                "SELECT (SELECT count(*) FROM receipt WHERE day_id IN ({DAYS})), min(d.day_id), max(c.seq),
                        (SELECT max(finished_at) FROM submission s WHERE s.seq IN
                          (SELECT c2.seq FROM day_close c2 WHERE c2.day_id IN ({DAYS})))
                 FROM day d JOIN day_close c USING (day_id) WHERE substr(d.opened, 1, 4) = ?1"
            ),
            [&name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
    let (Some(first_seq), Some(last_seq)) = (first, last) else {
        return Err(refused(format!("no fiscal day of {year} is in the ledger")));
    };
    at_head_office(conn, year, last_seq, answered)?;
    Ok(Plan {
        year,
        receipts: u64::try_from(receipts).unwrap_or(0),
        first_seq,
        last_seq,
    })
}

/// Head office has every line of these days, and of what FDMS answered to them: they are rendered for it no more.
fn at_head_office(
    conn: &Connection,
    year: i16,
    last_seq: i64,
    answered: Option<i64>,
) -> Result<(), LedgerError> {
    let acked: Option<i64> = conn
        .query_row("SELECT acked FROM hq", [], |row| row.get(0))
        .optional()?;
    let Some(acked) = acked else {
        return Ok(());
    };
    let last_answer: i64 = conn.query_row(
        "SELECT coalesce(max(seq), 0) FROM event WHERE at <= ?1",
        [answered.unwrap_or(0)],
        |row| row.get(0),
    )?;
    let needed = last_seq.max(last_answer);
    if acked < needed {
        let why = format!(
            "head office has the store's events up to {acked}, and {year} goes up to {needed}: connect the store to head office first"
        );
        return Err(Refusal::NotNow(why).into());
    }
    Ok(())
}

/// Writes the days of a plan into a new file and reads them back: every hash and signature is computed again. False if
/// `pace` wanted no more.
///
/// # Errors
/// The file cannot be written, or what is in it is wrong.
pub fn write_archive(
    ledger: &Path,
    plan: &Plan,
    to: &Path,
    made: &str,
    pace: &mut Pace<'_>,
) -> Result<bool, StorageError> {
    let file = sql::new_file(to)?;
    let conn = sql::open_copy(to)?;
    conn.execute("ATTACH ?1 AS src", [uri(ledger)])?;
    conn.execute_batch("BEGIN")?;
    conn.execute_batch(TABLES)?;
    let name = sql::meta_of(&conn, "src", super::file_id::LEDGER_ID)?.unwrap_or_default();
    for (key, value) in [
        ("ledger", String::from_utf8_lossy(&name).into_owned()),
        ("year", plan.year.to_string()),
        ("made", made.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ] {
        conn.execute("INSERT INTO info VALUES (?1, ?2)", params![key, value])?;
    }
    let days = days_of(&conn, plan.year)?;
    let mut done = 0;
    for (day, till) in days {
        done += copy_day(&conn, day, till)?;
        if !pace(done, plan.receipts * 2) {
            return Ok(false);
        }
    }
    conn.execute_batch("COMMIT; DETACH src")?;
    conn.close().map_err(|(_, error)| error)?;
    sql::seal_copy(to)?;
    file.sync_all()
        .map_err(|error| sql::unwritable(to, &error))?;
    let found = verify_archive(to, &mut |checked| {
        pace(plan.receipts + checked, plan.receipts * 2)
    })?;
    if found != plan.receipts {
        return Err(sql::damaged(format!(
            "{} receipts were to be in {}, but there are {found}",
            plan.receipts,
            to.display()
        )));
    }
    Ok(true)
}

/// The days of a year with their tills.
fn days_of(conn: &Connection, year: i16) -> Result<Vec<(i64, i64)>, StorageError> {
    let mut statement = conn.prepare(
        "SELECT day_id, till_id FROM src.day WHERE substr(opened, 1, 4) = ?1 ORDER BY day_id",
    )?;
    let rows = statement.query_map([format!("{year:04}")], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rows of a day; how many receipts it has.
fn copy_day(conn: &Connection, day: i64, till: i64) -> Result<u64, StorageError> {
    let close: i64 = conn
        .prepare_cached("SELECT seq FROM src.day_close WHERE day_id = ?1")?
        .query_row([day], |row| row.get(0))?;
    conn.prepare_cached(
        "INSERT INTO day SELECT day_id, till_id, fiscal_day_no, opened, is_vat_payer FROM src.day WHERE day_id = ?1",
    )?
    .execute([day])?;
    conn.prepare_cached("INSERT INTO day_close SELECT * FROM src.day_close WHERE day_id = ?1")?
        .execute([day])?;
    // A day's receipts lie between its own event and that of its close.
    let count = conn
        .prepare_cached(
            "INSERT INTO receipt SELECT seq, till_id, day_id, global_no, counter, invoice_no, date, hash, key_id, body,
                    signature, print
             FROM src.receipt WHERE seq BETWEEN ?1 AND ?2 AND day_id = ?1",
        )?
        .execute([day, close])?;
    conn.prepare_cached(
        "INSERT INTO submission SELECT seq, till_id, finished_at, operation_id, color, answer, server_signature
         FROM src.submission WHERE seq BETWEEN ?1 AND ?2 AND till_id = ?3",
    )?
    .execute([day, close, till])?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Reads an archive and computes every hash and signature in it again; how many receipts there are.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_archive(
    path: &Path,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<u64, StorageError> {
    let conn = archived::open_archive(path)?;
    let check: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(sql::damaged(format!("{}: {check}", path.display())));
    }
    let keys = keys_of(&conn)?;
    let mut days = conn.prepare(
        "SELECT d.day_id, t.device_id, d.opened, d.fiscal_day_no FROM day d JOIN till t USING (till_id) ORDER BY d.day_id",
    )?;
    let mut days = days.query([])?;
    let mut count = 0;
    while let Some(row) = days.next()? {
        let device = sql::number(row.get(1)?, DeviceId::new, "till.device_id")?;
        let opened = sql::date(&row.get::<_, String>(2)?, "day.opened")?;
        count += verify_day(&conn, &keys, row.get(0)?, device, opened)?;
        if !go_on(count) {
            return Err(sql::damaged("the check of the archive was stopped"));
        }
    }
    Ok(count)
}

fn keys_of(conn: &Connection) -> Result<BTreeMap<i64, PublicKey>, StorageError> {
    let mut statement = conn.prepare("SELECT key_id, public_key FROM public_key")?;
    let mut rows = statement.query([])?;
    let mut keys = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let spki: Vec<u8> = row.get(1)?;
        keys.insert(row.get(0)?, PublicKey::from_spki_der(&spki)?);
    }
    Ok(keys)
}

fn verify_day(
    conn: &Connection,
    keys: &BTreeMap<i64, PublicKey>,
    day: i64,
    device: DeviceId,
    opened: DateTime,
) -> Result<u64, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT global_no, counter, body, hash, signature, key_id FROM receipt WHERE day_id = ?1 AND seq >= ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([day])?;
    let mut previous: Option<Hash> = None;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let place = format!(
            "receipt {number} of the till {device}, day of {}",
            opened.date()
        );
        let wrong = |what: &str| sql::damaged(format!("{place}: {what}"));
        let receipt = read::receipt_of(&row.get::<_, String>(2)?, &place)?;
        let hash = sql::hash(&row.get::<_, Vec<u8>>(3)?, &place)?;
        let text = sign::receipt_string(device, &receipt, previous.as_ref());
        // The first of a day that was taken over continues other software's hash, which the ledger alone knows.
        let is_known = previous.is_some() || row.get::<_, i64>(1)? == 1;
        if i64::from(receipt.global_no.get()) != number || (is_known && sign::hash(&text) != hash) {
            return Err(wrong("its hash is not that of what it says"));
        }
        let key: Option<&PublicKey> = keys.get(&row.get(5)?);
        let signature: Vec<u8> = row.get(4)?;
        if is_known && !key.is_some_and(|key| key.verify(text.as_bytes(), &signature)) {
            return Err(wrong("its signature does not verify"));
        }
        previous = Some(hash);
        count += 1;
    }
    Ok(count)
}

impl Core {
    /// Writes down that an archive is on disk and checked.
    ///
    /// # Errors
    /// There is one of this year already, or a fault of the storage.
    pub fn archived(
        &mut self,
        plan: &Plan,
        file: &str,
        sha256: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        // Closed and sent days never change: it is enough that nobody else was faster.
        if archives(&self.conn)?
            .iter()
            .any(|one| one.year == plan.year)
        {
            return Err(Refusal::NotNow(format!("{} was archived meanwhile", plan.year)).into());
        }
        self.conn.execute(
            "INSERT INTO archive VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
            params![
                file,
                plan.year,
                plan.first_seq,
                plan.last_seq,
                i64::try_from(plan.receipts).unwrap_or(i64::MAX),
                sha256,
                self.now_ms()
            ],
        )?;
        let detail = serde_json::json!({
            "file": file, "year": plan.year, "receipts": plan.receipts, "sha256": sha256,
        });
        let seq = self.take_seq();
        self.append_event(seq, None, "ledger.archived", Some(&detail.to_string()))?;
        Ok(self.audit(actor, "ledger.archive", None, &format!("{file} {sha256}"))?)
    }

    /// Takes some of what is in an archive out of the ledger: the rows of events after `from`. From which event the next
    /// step goes on; none: it is done.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn empty_archived(&mut self, year: i16, from: i64) -> Result<Option<i64>, LedgerError> {
        let name = format!("{year:04}");
        let seqs: Vec<i64> = self
            .conn
            .prepare_cached(
                "SELECT r.seq FROM receipt r JOIN day d USING (day_id)
                 WHERE r.seq > ?1 AND r.seq <= (SELECT last_seq FROM archive WHERE year = ?2)
                   AND substr(d.opened, 1, 4) = ?3 AND r.body <> ''
                 ORDER BY r.seq LIMIT ?4",
            )?
            .query_map(params![from, year, name, STEP], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for seq in &seqs {
            self.conn
                .prepare_cached(
                    "UPDATE receipt SET body = '', signature = x'', print = NULL WHERE seq = ?1",
                )?
                .execute([seq])?;
            self.conn
                .prepare_cached("UPDATE submission SET answer = '' WHERE seq = ?1")?
                .execute([seq])?;
        }
        if let Some(last) = seqs.last() {
            return Ok(Some(*last));
        }
        self.conn
            .execute("UPDATE archive SET emptied = 1 WHERE year = ?1", [year])?;
        Ok(None)
    }
}

/// The name of the archive of a year.
#[must_use]
pub fn archive_name(year: i16) -> String {
    format!("archive-{year:04}.db")
}

/// Where an archive of this ledger lies.
#[must_use]
pub fn archive_path(ledger: &Path, file: &str) -> PathBuf {
    ledger.with_file_name(file)
}
