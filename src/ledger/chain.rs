//! A till as the writer holds it: what it sells with, and the end of its chain.

use std::collections::BTreeMap;
use std::sync::Arc;

use fiscal::counters::DayTotals;
use fiscal::receipt::Hash;
use fiscal::taxpayer::Taxpayer;
use fiscal::{DateTime, DeviceId, FiscalDayNo, ReceiptCounter, ReceiptGlobalNo};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::holds::{Hold, HoldKind, load_gate, load_hold};
use super::signers::Key;
use super::{Environment, Refusal, Seq, StorageError, TillId, TillInfo, sql};
use crate::keys::{DeviceKey, SealedCell, SealingKey};

/// A fiscal day that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenDay {
    pub(super) day_id: Seq,
    pub(super) no: FiscalDayNo,
    pub(super) opened: DateTime,
    /// Whether the taxpayer paid VAT then; not known of days that an earlier version opened.
    pub(super) is_vat_payer: Option<bool>,
}

/// The end of a till's chain: what the next receipt continues.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) last_day_no: FiscalDayNo,
    pub(super) last_global_no: ReceiptGlobalNo,
    pub(super) last_date: Option<DateTime>,
    pub(super) day: Option<OpenDay>,
    pub(super) last_counter: ReceiptCounter,
    pub(super) last_hash: Option<Hash>,
    pub(super) totals: DayTotals,
    pub(super) dirty: bool,
}

/// The configuration in use.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) config_id: i64,
    pub(super) taxpayer: Arc<Taxpayer>,
}

/// A till as the writer holds it.
#[derive(Debug)]
pub(super) struct Till {
    pub(super) info: Arc<TillInfo>,
    pub(super) key: Option<Key>,
    pub(super) config: Option<Config>,
    pub(super) head: Head,
    /// Why it takes no sales.
    pub(super) hold: Option<Hold>,
    /// Head office has blocked it, or switched its environment off.
    pub(super) gate: Option<Hold>,
}

impl Till {
    /// What a sale needs, or why the till takes none.
    ///
    /// Controlled test receipts pass a closed gate of the test environment; nothing passes a block.
    pub(super) fn selling(&self, controlled: bool) -> Result<(Key, Config), Refusal> {
        let device = self.info.device_id;
        if controlled && self.info.environment != Environment::Test {
            return Err(Refusal::NotNow(format!(
                "the till {device} is in production: controlled test receipts are issued in the test environment alone"
            )));
        }
        let stops = |gate: &&Hold| !controlled || gate.kind == HoldKind::Blocked;
        let gate = self.gate.as_ref().filter(stops);
        match self.hold.as_ref().or(gate) {
            Some(hold) => Err(hold.refusal(device)),
            None => self.ready(),
        }
    }

    /// What signing needs, or why the till cannot.
    pub(super) fn ready(&self) -> Result<(Key, Config), Refusal> {
        let missing = |missing| Refusal::NotReady {
            device: self.info.device_id,
            missing,
        };
        let key = self
            .key
            .clone()
            .ok_or_else(|| missing("it has no certificate; run `fiscald register`"))?;
        let config = self
            .config
            .clone()
            .ok_or_else(|| missing("FDMS has not sent its configuration yet"))?;
        Ok((key, config))
    }
}

/// Every till with the end of its chain.
pub(super) fn load_tills(
    conn: &Connection,
    sealing: &SealingKey,
    known_keys: &BTreeMap<i64, Key>,
) -> Result<BTreeMap<TillId, Till>, StorageError> {
    let mut tills = BTreeMap::new();
    for info in till_infos(conn)? {
        let till = Till {
            key: load_key(conn, info.id, sealing, known_keys)?,
            config: load_config(conn, info.id)?,
            head: load_head(conn, info.id)?,
            hold: load_hold(conn, info.id)?,
            gate: load_gate(conn, info.id)?,
            info: Arc::new(info),
        };
        tills.insert(till.info.id, till);
    }
    Ok(tills)
}

pub(super) fn till_infos(conn: &Connection) -> Result<Vec<TillInfo>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT till_id, environment, device_id, serial_no, model_name, model_version, invoice_prefix
         FROM till ORDER BY till_id",
    )?;
    let mut rows = statement.query([])?;
    let mut infos = Vec::new();
    while let Some(row) = rows.next()? {
        let environment: String = row.get(1)?;
        infos.push(TillInfo {
            id: TillId(row.get(0)?),
            environment: Environment::parse(&environment)
                .ok_or_else(|| sql::damaged(format!("till.environment is {environment}")))?,
            device_id: sql::number(row.get(2)?, DeviceId::new, "till.device_id")?,
            serial_no: row.get(3)?,
            model_name: row.get(4)?,
            model_version: row.get(5)?,
            invoice_prefix: row.get(6)?,
        });
    }
    Ok(infos)
}

/// The certificate that a till uses: the newest that is not still on trial, and whose private key was not lost with
/// another machine ([`super::rebuild`]).
pub(super) const IN_USE: &str = "FROM certificate c JOIN device_key k USING (key_id)
     WHERE k.till_id = ?1 AND k.sealed <> x'' AND c.used_since IS NOT NULL ORDER BY c.certificate_id DESC LIMIT 1";

/// The key whose certificate is in use.
fn load_key(
    conn: &Connection,
    till: TillId,
    sealing: &SealingKey,
    known: &BTreeMap<i64, Key>,
) -> Result<Option<Key>, StorageError> {
    let row = conn
        .prepare_cached(&format!("SELECT k.key_id, k.sealed {IN_USE}"))?
        .query_row([till.0], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    let Some((key_id, sealed)) = row else {
        return Ok(None);
    };
    Ok(Some(match known.get(&key_id) {
        Some(key) => key.clone(),
        None => Key::new(key_id, unseal(sealing, till, &sealed)?),
    }))
}

/// Opens a till's sealed key.
pub(super) fn unseal(
    sealing: &SealingKey,
    till: TillId,
    sealed: &[u8],
) -> Result<DeviceKey, StorageError> {
    let row = till.0.to_string();
    let pkcs8 = sealing.open(sealed, key_cell(&row))?;
    Ok(DeviceKey::from_pkcs8(&pkcs8)?)
}

/// Where a till's sealed key lives; it opens nowhere else.
pub(super) fn key_cell(till: &str) -> SealedCell<'_> {
    SealedCell {
        table: "device_key",
        row: till,
        column: "sealed",
    }
}

/// The newest configuration, with the taxes of all earlier ones.
pub(super) fn load_config(conn: &Connection, till: TillId) -> Result<Option<Config>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT config_id, body FROM config WHERE till_id = ?1 ORDER BY config_id",
    )?;
    let mut rows = statement.query([till.0])?;
    let mut newest: Option<Config> = None;
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let mut taxpayer = Taxpayer::from_config(body.as_bytes())
            .map_err(|error| sql::damaged(format!("config.body: {error}")))?;
        if let Some(earlier) = &newest {
            taxpayer.keep_old_taxes(&earlier.taxpayer);
        }
        newest = Some(Config {
            config_id: row.get(0)?,
            taxpayer: Arc::new(taxpayer),
        });
    }
    Ok(newest)
}

pub(super) fn load_head(conn: &Connection, till: TillId) -> Result<Head, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT h.last_day_no, h.last_global_no, h.last_date, h.last_counter, h.last_hash, h.totals,
                d.day_id, d.fiscal_day_no, d.opened, d.is_vat_payer
         FROM head h LEFT JOIN day d USING (day_id) WHERE h.till_id = ?1",
    )?;
    let mut rows = statement.query([till.0])?;
    let Some(row) = rows.next()? else {
        return Ok(Head::default());
    };
    let last_date: Option<String> = row.get(2)?;
    let last_hash: Option<Vec<u8>> = row.get(4)?;
    let totals: String = row.get(5)?;
    let day_id: Option<i64> = row.get(6)?;
    let day = match day_id {
        None => None,
        Some(day_id) => Some(OpenDay {
            day_id: Seq(day_id),
            no: sql::number(row.get(7)?, FiscalDayNo::new, "day.fiscal_day_no")?,
            opened: sql::date(&row.get::<_, String>(8)?, "day.opened")?,
            is_vat_payer: row.get(9)?,
        }),
    };
    Ok(Head {
        last_day_no: sql::number(row.get(0)?, FiscalDayNo::new, "head.last_day_no")?,
        last_global_no: sql::number(row.get(1)?, ReceiptGlobalNo::new, "head.last_global_no")?,
        last_date: last_date
            .map(|date| sql::date(&date, "head.last_date"))
            .transpose()?,
        day,
        last_counter: sql::number(row.get(3)?, ReceiptCounter::new, "head.last_counter")?,
        last_hash: last_hash
            .map(|hash| sql::hash(&hash, "head.last_hash"))
            .transpose()?,
        totals: DayTotals::parse(&totals).ok_or_else(|| sql::damaged("head.totals"))?,
        dirty: false,
    })
}

/// Writes the end of a till's chain.
pub(super) fn store_head(conn: &Connection, till: TillId, head: &Head) -> Result<(), StorageError> {
    let stored = conn
        .prepare_cached(
            "INSERT INTO head VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (till_id) DO UPDATE SET
           last_day_no = excluded.last_day_no, last_global_no = excluded.last_global_no,
           last_date = excluded.last_date, day_id = excluded.day_id,
           last_counter = excluded.last_counter, last_hash = excluded.last_hash,
           totals = excluded.totals
         WHERE excluded.last_global_no >= head.last_global_no
           AND excluded.last_day_no >= head.last_day_no",
        )?
        .execute(params![
            till.0,
            head.last_day_no.get(),
            head.last_global_no.get(),
            head.last_date.map(|date| date.to_string()),
            head.day.map(|day| day.day_id.0),
            head.last_counter.get(),
            head.last_hash.map(|hash| hash.0),
            head.totals.to_text(),
        ])?;
    if stored != 1 {
        return Err(sql::damaged(
            "the end of a till's chain would have gone backwards",
        ));
    }
    Ok(())
}
