//! A ledger that was lost with its machine, built again from the lines that head office has of it.
//!
//! Each line gives back the rows of its event under the same number, and the same line can be rendered from them.
//! What is in no line is gone: private keys, tokens, printers' queues, papers of old POS software. So each till needs a
//! new key, and is held until FDMS has been asked. The audit begins anew with what the lines tell.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;
use sync_wire::TillRef;
use sync_wire::command::CommandDone;
use sync_wire::entry::{CertificateUsed, ConfigChanged, Entry, TillAdded};

use super::adoption::AdoptedDay;
use super::audit;
use super::chain::{Head, store_head};
use super::core::Core;
use super::holds::HoldKind;
use super::hq::own_environment;
use super::stream::{StreamState, store_stream};
use super::{LedgerError, Reader, Refusal, Seq, StorageError, TillId};
use crate::keys::{Certificate, PublicKey};

mod chains;
mod sent;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;

/// Why a rebuilt till does not sell.
const UNCHECKED: &str = "this ledger was built again from head office's events. What the lost machine had issued and not \
     told head office of is not in it, so FDMS is asked first. The till needs a new key: `fiscald register --again`";

/// Who acts, as the audit names him, for what the lines tell.
const ACTOR: &str = "rebuild";

/// A till in the making.
struct Till {
    id: TillId,
    named: TillRef,
    /// Its own line has come; in a ledger of an earlier version it is not the first.
    is_added: bool,
    config: Option<i64>,
    head: Head,
    stream: StreamState,
    /// FDMS has refused something since it last took something.
    is_refused: bool,
    adopted_day: Option<AdoptedDay>,
}

/// What is known while the lines are walked.
#[derive(Default)]
struct Rebuild {
    tills: BTreeMap<TillRef, Till>,
    /// Keys by their till and public half.
    keys: BTreeMap<(TillId, Vec<u8>), i64>,
    last: i64,
}

/// A line that cannot be used.
fn broken(seq: i64, what: impl std::fmt::Display) -> LedgerError {
    Refusal::NotNow(format!(
        "the event {seq} from head office cannot be used: {what}. The ledger is as empty as before"
    ))
    .into()
}

fn bytes(seq: i64, text: &str) -> Result<Vec<u8>, LedgerError> {
    STANDARD
        .decode(text)
        .map_err(|_| broken(seq, "it is not in Base64"))
}

/// Reads a line's body.
fn body<'a, T: Deserialize<'a>>(entry: &'a Entry) -> Result<T, LedgerError> {
    serde_json::from_str(entry.body.get()).map_err(|error| broken(entry.seq, error))
}

impl Reader {
    /// Whether nothing has happened in this ledger yet.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn is_blank(&self) -> Result<bool, LedgerError> {
        self.with(|conn| {
            Ok(conn.query_row(
                "SELECT NOT EXISTS (SELECT 1 FROM event) AND NOT EXISTS (SELECT 1 FROM till)",
                [],
                |row| row.get(0),
            )?)
        })
    }
}

impl Core {
    /// Builds an empty ledger again from all its lines, in their order; how many there were.
    ///
    /// # Errors
    /// The ledger is not empty, or a line cannot be used.
    pub fn rebuild(
        &mut self,
        lines: impl Iterator<Item = std::io::Result<Vec<u8>>>,
        actor: &str,
    ) -> Result<i64, LedgerError> {
        if self.next_seq != 1 || !self.tills.is_empty() {
            let why = "this ledger is not empty: only an empty one is built again from head office's events";
            return Err(Refusal::NotNow(why.to_owned()).into());
        }
        let mut rebuild = Rebuild::default();
        for line in lines {
            let line = line.map_err(|error| broken(rebuild.last, error))?;
            if !line.is_empty() {
                rebuild.line(self, &line)?;
            }
        }
        let count = rebuild.last;
        rebuild.end(self, actor)?;
        Ok(count)
    }

    /// An event as it was. The number is the caller's, the time the event's own.
    fn put_event(
        &self,
        entry: &Entry,
        till: Option<TillId>,
        detail: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                entry.seq,
                entry.at,
                till.map(|till| till.0),
                entry.kind,
                detail
            ])?;
        Ok(())
    }

    /// What was audited then.
    fn put_audit(
        &mut self,
        at: i64,
        action: &str,
        till: TillId,
        detail: &str,
    ) -> Result<(), LedgerError> {
        let entry = audit::Entry {
            at,
            actor: ACTOR,
            action,
            till: Some(till),
            detail,
        };
        Ok(self.audit.append(&self.conn, &entry)?)
    }
}

impl Rebuild {
    fn line(&mut self, core: &mut Core, line: &[u8]) -> Result<(), LedgerError> {
        let entry = Entry::read(line).map_err(|error| broken(self.last + 1, error))?;
        if entry.seq != self.last + 1 {
            return Err(broken(
                entry.seq,
                format!("the one before it was {}", self.last),
            ));
        }
        self.last = entry.seq;
        let Some(named) = entry.till else {
            return store_event(core, &entry);
        };
        let id = self.known(core, named, entry.at)?;
        match entry.kind.as_str() {
            "till.added" => self.added(core, named, &entry),
            "config.changed" => self.config(core, named, &entry),
            "certificate.used" => self.certificate(core, id, &entry),
            "day.opened" => self.opened(core, named, &entry),
            "receipt.issued" => self.issued(core, named, &entry),
            "day.closed" => self.closed(core, named, &entry),
            "till.adopted" => self.adopted(core, named, &entry),
            "fdms.attempt" => self.attempt(core, named, &entry),
            "fdms.opened" | "fdms.receipt" | "fdms.closed" => self.taken(core, named, &entry),
            _ => self.other(core, named, &entry),
        }
    }

    fn till(&mut self, named: TillRef) -> Result<&mut Till, LedgerError> {
        Ok(self.tills.get_mut(&named).ok_or(Refusal::NoSuchTill)?)
    }

    /// The row of a till, made when it is first named.
    fn known(&mut self, core: &Core, named: TillRef, at: i64) -> Result<TillId, LedgerError> {
        if let Some(till) = self.tills.get(&named) {
            return Ok(till.id);
        }
        let environment = own_environment(named.environment);
        core.conn.execute(
            "INSERT INTO till (environment, device_id, serial_no, model_name, model_version, invoice_prefix, created_at)
             VALUES (?1, ?2, '', '', '', '', ?3)",
            params![environment.as_str(), named.device_id, at],
        )?;
        let id = TillId(core.conn.last_insert_rowid());
        self.tills.insert(
            named,
            Till {
                id,
                named,
                is_added: false,
                config: None,
                head: Head::default(),
                stream: StreamState::new(id),
                is_refused: false,
                adopted_day: None,
            },
        );
        Ok(id)
    }

    fn added(&mut self, core: &mut Core, named: TillRef, entry: &Entry) -> Result<(), LedgerError> {
        let added: TillAdded = body(entry)?;
        let till = self.till(named)?;
        till.is_added = true;
        let id = till.id;
        core.conn.execute(
            "UPDATE till SET serial_no = ?2, model_name = ?3, model_version = ?4, invoice_prefix = ?5, created_at = ?6
             WHERE till_id = ?1",
            params![
                id.0,
                added.serial_no,
                added.model_name,
                added.model_version,
                added.invoice_prefix,
                entry.at
            ],
        )?;
        core.put_event(entry, Some(id), None)?;
        let environment = own_environment(named.environment);
        let detail = format!("{environment} {}", named.device_id);
        core.put_audit(entry.at, "till.add", id, &detail)
    }

    fn config(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let changed: ConfigChanged = body(entry)?;
        let till = self.till(named)?;
        core.put_event(entry, Some(till.id), changed.changes.as_deref())?;
        core.conn.execute(
            "INSERT INTO config (till_id, body, fetched_at, seq) VALUES (?1, ?2, ?3, ?4)",
            params![till.id.0, changed.config, entry.at, entry.seq],
        )?;
        till.config = Some(core.conn.last_insert_rowid());
        core.put_audit(entry.at, "config.change", till.id, "")
    }

    fn certificate(
        &mut self,
        core: &mut Core,
        id: TillId,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let used: CertificateUsed = body(entry)?;
        let key = self.key(core, id, entry, &used.public_key)?;
        let certificate =
            Certificate::from_pem(&used.certificate).map_err(|error| broken(entry.seq, error))?;
        core.conn.execute(
            "INSERT INTO certificate (key_id, pem, created_at, used_since) VALUES (?1, ?2, ?3, ?3)",
            params![key, used.certificate, entry.at],
        )?;
        let row = core.conn.last_insert_rowid().to_string();
        core.put_event(entry, Some(id), Some(&row))?;
        let detail = format!("key {key} {}", certificate.thumbprint());
        core.put_audit(entry.at, "certificate.add", id, &detail)
    }

    /// The row of a public half. Its private one is lost.
    fn key(
        &mut self,
        core: &mut Core,
        id: TillId,
        entry: &Entry,
        public: &str,
    ) -> Result<i64, LedgerError> {
        let spki = bytes(entry.seq, public)?;
        PublicKey::from_spki_der(&spki).map_err(|error| broken(entry.seq, error))?;
        let place = (id, spki);
        if let Some(key) = self.keys.get(&place) {
            return Ok(*key);
        }
        core.conn.execute(
            "INSERT INTO device_key (till_id, sealed, public_key, created_at) VALUES (?1, x'', ?2, ?3)",
            params![id.0, place.1, entry.at],
        )?;
        let key = core.conn.last_insert_rowid();
        self.keys.insert(place, key);
        core.put_audit(entry.at, "key.add", id, &key.to_string())?;
        Ok(key)
    }

    /// The ends of chains and streams, and what must be done before a till sells again.
    fn end(self, core: &mut Core, actor: &str) -> Result<(), LedgerError> {
        for till in self.tills.values() {
            if !till.is_added {
                let why = format!("none of the events tells what the till {} is", till.named);
                return Err(broken(self.last, why));
            }
            store_head(&core.conn, till.id, &till.head)?;
            store_stream(&core.conn, &till.stream)?;
        }
        core.reload()?;
        core.audit(actor, "ledger.rebuild", None, &self.last.to_string())?;
        // What was printed is on paper: only what comes from now on is printed by itself.
        core.set_print_cursor(Some(Seq(self.last)))?;
        core.set_printed_elsewhere(Seq(self.last))?;
        for till in self.tills.values() {
            if core.till(till.id)?.hold.is_none() {
                core.hold_till(till.id, HoldKind::Unchecked, UNCHECKED, actor)?;
            }
        }
        Ok(())
    }
}

/// An event of the store as a whole.
fn store_event(core: &Core, entry: &Entry) -> Result<(), LedgerError> {
    let detail = detail(entry);
    core.put_event(entry, None, detail.as_deref())?;
    match entry.kind.as_str() {
        "hq.command" => command(core, entry, detail.as_deref()),
        // Commands are numbered anew at another head office.
        "hq.left" => {
            core.conn.execute("DELETE FROM hq_command", [])?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A command that has ended is not carried out again.
fn command(core: &Core, entry: &Entry, detail: Option<&str>) -> Result<(), LedgerError> {
    let done: CommandDone = body(entry)?;
    core.conn.execute(
        "INSERT OR REPLACE INTO hq_command VALUES (?1, ?2, 'null', 'ended', ?3, ?3, ?4)",
        params![done.no, done.id.to_string(), entry.at, detail],
    )?;
    Ok(())
}

/// The detail that such a body was rendered from: a text, or JSON as it is.
fn detail(entry: &Entry) -> Option<String> {
    let raw = entry.body.get();
    if raw == "null" {
        return None;
    }
    let text: Option<String> = serde_json::from_str(raw).ok();
    // A text that reads as JSON was a JSON text, else it would not be rendered as one.
    let plain = text.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_err());
    Some(plain.unwrap_or_else(|| raw.to_owned()))
}

/// The receipt with this number of a till.
fn day_of(core: &Core, till: TillId, number: i64) -> Result<Option<Seq>, StorageError> {
    Ok(core
        .conn
        .prepare_cached("SELECT day_id FROM receipt WHERE till_id = ?1 AND global_no = ?2")?
        .query_row(params![till.0, number], |row| row.get(0))
        .optional()?
        .map(Seq))
}
