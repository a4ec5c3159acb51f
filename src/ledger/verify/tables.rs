//! What is verified table by table: the audit's chain, events, keys and certificates.

use std::collections::{BTreeMap, HashMap};

use fiscal::receipt::Hash;
use rusqlite::Connection;

use super::setup::{Acts, leaves_a_row};
use super::{Checked, VerifyError, same, wrong};
use crate::keys::{Certificate, PublicKey};
use crate::ledger::audit::{Entry, GENESIS};
use crate::ledger::{StorageError, TillId, sql};

/// What the audit says.
pub(super) struct Audit {
    pub(super) rows: u64,
    /// The hash of each receipt's body, by till and number.
    pub(super) bodies: HashMap<(TillId, i64), Hash>,
    /// What else left a row behind.
    pub(super) acts: Acts,
}

pub(super) fn verify_audit(conn: &Connection) -> Result<Audit, VerifyError> {
    let mut bodies = HashMap::new();
    let mut acts = Acts::new();
    let mut statement = conn.prepare(
        "SELECT audit_id, at, actor, action, till_id, detail, hash FROM audit ORDER BY audit_id",
    )?;
    let mut rows = statement.query([])?;
    let mut previous = GENESIS;
    let mut count = 0_u64;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let place = format!("audit row {id}");
        count += 1;
        same(
            &place,
            "its number",
            &id,
            &i64::try_from(count).unwrap_or(0),
        )?;
        let (actor, action, detail): (String, String, String) =
            (row.get(2)?, row.get(3)?, row.get(5)?);
        let entry = Entry {
            at: row.get(1)?,
            actor: &actor,
            action: &action,
            till: row.get::<_, Option<i64>>(4)?.map(TillId),
            detail: &detail,
        };
        let found = sql::hash(&row.get::<_, Vec<u8>>(6)?, &place)?;
        let computed = entry.hash(id, &previous);
        same(&place, "its hash", &found, &computed)?;
        previous = computed;
        if let (Some(till), "receipt.issue") = (entry.till, entry.action) {
            let (number, body) = receipt_entry(entry.detail)
                .ok_or_else(|| wrong(&*place, "its detail names no receipt"))?;
            bodies.insert((till, number), body);
        } else if leaves_a_row(&action) {
            let act = (
                action,
                row.get::<_, Option<i64>>(4)?.map(TillId),
                row.get(1)?,
                detail,
            );
            *acts.entry(act).or_default() += 1;
        }
    }
    Ok(Audit {
        rows: count,
        bodies,
        acts,
    })
}

/// Number and hash of the body, as issuing wrote them.
fn receipt_entry(detail: &str) -> Option<(i64, Hash)> {
    let (number, hash) = detail.split_once(' ')?;
    Some((number.parse().ok()?, Hash::parse(hash)?))
}

/// Events have no gap, and each receipt, opening and close has the event that it is numbered by.
pub(super) fn verify_events(conn: &Connection) -> Checked {
    let (count, last): (i64, Option<i64>) =
        conn.query_row("SELECT count(*), max(seq) FROM event", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    same(
        "events",
        "the number of the last one",
        &last.unwrap_or(0),
        &count,
    )?;
    let pairs = [
        ("receipt", "seq", "t.till_id", "receipt.issued"),
        ("day", "day_id", "t.till_id", "day.opened"),
        (
            "day_close",
            "seq",
            "(SELECT d.till_id FROM day d WHERE d.day_id = t.day_id)",
            "day.closed",
        ),
    ];
    for (table, id, till, kind) in pairs {
        let text = format!(
            "SELECT (SELECT count(*) FROM {table} t JOIN event e ON e.seq = t.{id}
                     WHERE e.kind = ?1 AND e.till_id = {till}),
                    (SELECT count(*) FROM {table}),
                    (SELECT count(*) FROM event WHERE kind = ?1)"
        );
        let (joined, rows, events): (i64, i64, i64) = conn.query_row(&text, [kind], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        same(table, "the number of rows with their event", &joined, &rows)?;
        same(table, "the number of events", &events, &rows)?;
    }
    Ok(())
}

/// The highest number that each till has issued.
pub(super) fn last_numbers(conn: &Connection) -> Result<BTreeMap<TillId, i64>, VerifyError> {
    let mut statement =
        conn.prepare("SELECT till_id, max(global_no) FROM receipt GROUP BY till_id")?;
    let rows = statement.query_map([], |row| Ok((TillId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every key's public half; a certificate must belong to its key.
pub(super) fn public_keys(
    conn: &Connection,
) -> Result<BTreeMap<i64, (TillId, PublicKey)>, VerifyError> {
    let mut statement = conn.prepare("SELECT key_id, till_id, public_key FROM device_key")?;
    let mut rows = statement.query([])?;
    let mut keys = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let spki: Vec<u8> = row.get(2)?;
        let key = PublicKey::from_spki_der(&spki).map_err(StorageError::from)?;
        keys.insert(row.get(0)?, (TillId(row.get(1)?), key));
    }
    let mut statement = conn.prepare("SELECT certificate_id, key_id, pem FROM certificate")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place = format!("certificate {}", row.get::<_, i64>(0)?);
        let pem: String = row.get(2)?;
        let certificate = Certificate::from_pem(&pem).map_err(StorageError::from)?;
        let key: Option<&(TillId, PublicKey)> = keys.get(&row.get(1)?);
        let fits = key.is_some_and(|key| key.1.spki_der() == certificate.public_key().spki_der());
        if !fits {
            return Err(wrong(place, "it does not belong to its key"));
        }
    }
    Ok(keys)
}
