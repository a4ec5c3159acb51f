//! What head office was told and has asked for, against the events that say so.

use rusqlite::Connection;
use sync_wire::chain::ChainHash;

use super::{Checked, VerifyError, same, wrong};
use crate::ledger::{LedgerError, StorageError, hq};

/// Head office's commands, its cursor, and where the lines for it come from.
pub(super) fn verify_hq(conn: &Connection) -> Checked {
    verify_commands(conn)?;
    verify_sources(conn)?;
    verify_acknowledged(conn)
}

/// A command that has ended has the event that told of it, word for word.
fn verify_commands(conn: &Connection) -> Checked {
    let text = "SELECT no FROM hq_command c WHERE (state = 'ended') <> EXISTS (
           SELECT 1 FROM event e WHERE e.kind = 'hq.command' AND e.at = c.ended_at AND e.detail = c.outcome)
         LIMIT 1";
    none(conn, text, |no| {
        let place = format!("command {no} of head office");
        wrong(place, "its event does not tell how it ended")
    })
}

/// Each till, each configuration and each certificate in use has the event that tells head office of it, and each
/// receipt's key stands beside its event too.
fn verify_sources(conn: &Connection) -> Checked {
    let tills = "SELECT till_id FROM till t WHERE 1 <>
         (SELECT count(*) FROM event e WHERE e.kind = 'till.added' AND e.till_id = t.till_id) LIMIT 1";
    none(conn, tills, |till| {
        wrong(
            format!("till row {till}"),
            "its event is missing, or there are several",
        )
    })?;
    let configs = "SELECT c.config_id FROM config c WHERE NOT EXISTS
         (SELECT 1 FROM event e WHERE e.seq = c.seq AND e.kind = 'config.changed' AND e.till_id = c.till_id
          AND e.at = c.fetched_at) LIMIT 1";
    none(conn, configs, |config| {
        wrong(
            format!("config {config}"),
            "its event is missing, or another",
        )
    })?;
    let keys = "SELECT k.seq FROM sale_key k JOIN event e ON e.seq = k.seq WHERE e.detail IS NOT k.key LIMIT 1";
    none(conn, keys, |seq| {
        wrong(
            format!("event {seq}"),
            "its key is not the one that its receipt was sold under",
        )
    })
}

/// The lines are still those whose hash head office has acknowledged.
fn verify_acknowledged(conn: &Connection) -> Checked {
    let mut statement = conn.prepare("SELECT acked, hash FROM hq")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let kept = ChainHash::from_bytes(&row.get::<_, Vec<u8>>(1)?);
    let computed = hq::hash_at(conn, row.get(0)?).map_err(|error| match error {
        LedgerError::Storage(error) => VerifyError::Storage(error),
        LedgerError::Refused(refusal) => {
            VerifyError::Storage(StorageError::Damaged(refusal.to_string()))
        }
    })?;
    same(
        "head office",
        "the hash of the last line that it has",
        &kept,
        &computed,
    )
}

/// The first row that should not be there.
fn none(conn: &Connection, text: &str, complain: impl FnOnce(i64) -> VerifyError) -> Checked {
    let mut statement = conn.prepare(text)?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        None => Ok(()),
        Some(row) => Err(complain(row.get(0)?)),
    }
}
