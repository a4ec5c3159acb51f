//! What set a store up, against the audit: tills, keys, certificates, configurations, tokens, and the days.
//!
//! Each such row was audited in the transaction that wrote it, with its time and its name. The audit's chain
//! covers those; a row that it does not know, or an audit row without its subject, is named.

use std::collections::{BTreeMap, HashMap};

use fiscal::taxpayer::Taxpayer;
use rusqlite::Connection;

use super::{Checked, VerifyError, wrong};
use crate::keys::Certificate;
use crate::ledger::adoption::adoptions;
use crate::ledger::{StorageError, TillId, chain, sql};

/// An audited act: action, till, time (milliseconds since 1970), detail.
pub(super) type Act = (String, Option<TillId>, i64, String);

/// How often each act stands there.
pub(super) type Acts = BTreeMap<Act, i64>;

/// The actions that leave a row behind, receipts aside.
const ACTIONS: [&str; 10] = [
    "ledger.archive",
    "till.add",
    "till.adopt",
    "key.add",
    "certificate.add",
    "config.change",
    "token.add",
    "token.revoke",
    "day.open",
    "day.close",
];

pub(super) fn leaves_a_row(action: &str) -> bool {
    ACTIONS.contains(&action)
}

/// Every row's act is in the audit, and every such act of the audit has its row.
pub(super) fn verify_acts(conn: &Connection, audited: &Acts) -> Checked {
    let mut acts = Acts::new();
    // Columns: action, till, time, detail, as they were audited.
    let sources = [
        "SELECT 'till.add', till_id, created_at, environment || ' ' || device_id FROM till",
        "SELECT 'key.add', till_id, created_at, CAST(key_id AS TEXT) FROM device_key",
        "SELECT 'config.change', till_id, fetched_at, '' FROM config",
        "SELECT 'token.add', till_id, created_at, name FROM token",
        "SELECT 'token.revoke', NULL, revoked_at, name FROM token WHERE revoked_at IS NOT NULL",
        "SELECT 'ledger.archive', NULL, made_at, file || ' ' || sha256 FROM archive",
        "SELECT 'day.open', d.till_id, e.at, d.fiscal_day_no || ' ' || d.opened
         FROM day d JOIN event e ON e.seq = d.day_id",
    ];
    for source in sources {
        let mut statement = conn.prepare(source)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let till = row.get::<_, Option<i64>>(1)?.map(TillId);
            let act = (row.get(0)?, till, row.get(2)?, row.get(3)?);
            *acts.entry(act).or_default() += 1;
        }
    }
    certificates(conn, &mut acts)?;
    adopted(conn, &mut acts)?;
    closes(conn, &mut acts)?;
    for (act, count) in &acts {
        if audited.get(act) != Some(count) {
            return Err(unlike(act, "the audit does not know it like this"));
        }
    }
    for (act, count) in audited {
        if acts.get(act) != Some(count) {
            return Err(unlike(act, "it is in the audit, but its row is not there"));
        }
    }
    Ok(())
}

fn certificates(conn: &Connection, acts: &mut Acts) -> Checked {
    let mut statement = conn.prepare(
        "SELECT k.till_id, c.created_at, c.key_id, c.pem
         FROM certificate c JOIN device_key k USING (key_id)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key_id, pem): (i64, String) = (row.get(2)?, row.get(3)?);
        let certificate = Certificate::from_pem(&pem).map_err(StorageError::from)?;
        let detail = format!("key {key_id} {}", certificate.thumbprint());
        let till = Some(TillId(row.get(0)?));
        let act = ("certificate.add".to_owned(), till, row.get(1)?, detail);
        *acts.entry(act).or_default() += 1;
    }
    Ok(())
}

fn adopted(conn: &Connection, acts: &mut Acts) -> Checked {
    for till in chain::till_infos(conn)? {
        for adopted in adoptions(conn, till.id)? {
            let at: i64 = conn
                .prepare_cached("SELECT at FROM event WHERE seq = ?1 AND kind = 'till.adopted'")?
                .query_row([adopted.seq.0], |row| row.get(0))?;
            let act = ("till.adopt".to_owned(), Some(till.id), at, adopted.detail());
            *acts.entry(act).or_default() += 1;
        }
    }
    Ok(())
}

fn closes(conn: &Connection, acts: &mut Acts) -> Checked {
    let mut statement = conn.prepare(
        "SELECT d.till_id, e.at, d.fiscal_day_no, c.hash
         FROM day_close c JOIN day d USING (day_id) JOIN event e ON e.seq = c.seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash = sql::hash(&row.get::<_, Vec<u8>>(3)?, "day_close.hash")?;
        let detail = format!("{} {hash}", row.get::<_, i64>(2)?);
        let till = Some(TillId(row.get(0)?));
        let act = ("day.close".to_owned(), till, row.get(1)?, detail);
        *acts.entry(act).or_default() += 1;
    }
    Ok(())
}

fn unlike((action, till, _, detail): &Act, what: &str) -> VerifyError {
    let till = till.map_or_else(String::new, |till| format!(", till row {}", till.0));
    wrong(format!("{action} \"{detail}\"{till}"), what)
}

/// Every configuration's till; each of them must be readable.
pub(super) fn verify_configs(conn: &Connection) -> Result<HashMap<i64, TillId>, VerifyError> {
    let mut statement = conn.prepare("SELECT config_id, till_id, body FROM config")?;
    let mut rows = statement.query([])?;
    let mut tills = HashMap::new();
    while let Some(row) = rows.next()? {
        let (id, body): (i64, String) = (row.get(0)?, row.get(2)?);
        Taxpayer::from_config(body.as_bytes())
            .map_err(|error| wrong(format!("config {id}"), error.to_string()))?;
        tills.insert(id, TillId(row.get(1)?));
    }
    Ok(tills)
}

/// Each `Idempotency-Key` stands for one receipt of its till, and each receipt sold under one has it.
pub(super) fn verify_sale_keys(conn: &Connection) -> Checked {
    let mut statement = conn.prepare(
        "SELECT k.key FROM sale_key k LEFT JOIN receipt r ON r.seq = k.seq
         WHERE r.seq IS NULL OR r.till_id <> k.till_id OR r.has_key <> 1 LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    if let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let text = "it stands for no receipt that its till sold under a key";
        return Err(wrong(format!("sale_key \"{key}\""), text));
    }
    let (keys, receipts, with_key): (i64, i64, i64) = conn.query_row(
        "SELECT count(*), count(DISTINCT seq), (SELECT count(*) FROM receipt WHERE has_key = 1)
         FROM sale_key",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if keys != receipts || receipts != with_key {
        return Err(wrong(
            "sale_key",
            format!(
                "{keys} keys stand for {receipts} receipts, but {with_key} were sold under a key"
            ),
        ));
    }
    Ok(())
}
