//! Head office (HQ) in the ledger: that the store has joined, how far HQ has its lines, what it wants.
//!
//! A store's events are its outbox; [`lines`] renders them. This is where the cursor over them is kept, with the hash
//! up to it, so that both sides know whether they speak of the same past (docs/HQ.md). What HQ asks for is kept in
//! [`commands`]; what it wants the store to be is put into effect in [`wanted`].

use clock::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sync_wire::chain::ChainHash;
use sync_wire::enrol::Past;
use sync_wire::exchange::Fork;
use sync_wire::seal::SealKey;
use sync_wire::state::Wanted;
use sync_wire::{TillRef, enrol};
use uuid::Uuid;

use super::core::Core;
use super::{
    Environment, LedgerError, Reader, Refusal, Settings, StorageError, TillInfo, chain, sql,
};
use crate::keys::{SealedCell, SealingKey};

mod commands;
mod lines;
#[cfg(test)]
#[cfg(feature = "demo")]
pub(super) mod lines_tests;
mod state;
#[cfg(test)]
#[cfg(feature = "demo")]
pub(super) mod tests;
mod wanted;
#[cfg(test)]
#[cfg(feature = "demo")]
mod wanted_tests;

pub use lines::{AdoptedBody, Line};
pub(super) use lines::{TakenBody, hash_at};

/// Whom the audit names for what HQ wants of the store as a whole.
const ACTOR: &str = "hq";

/// What a store keeps when it has joined HQ.
#[derive(Debug)]
pub struct JoinedHq {
    /// HQ's address.
    pub url: String,
    /// The certificate authority that HQ's certificate comes from, PEM; none: the machine's own roots.
    pub ca: Option<String>,
    /// The store's name for ever.
    pub store_id: Uuid,
    /// The tenant's.
    pub tenant_id: Uuid,
    /// The tenant, for people.
    pub tenant: String,
    /// The store, for people.
    pub store: String,
    /// What the store proves itself with.
    pub secret: SecretString,
    /// The half of the key that credentials are sealed to which stays here.
    pub seal_key: SealKey,
    /// The series that the store's lines belong to from now on.
    pub epoch: Uuid,
    /// What HQ has already of this very ledger: nothing of it is sent again. A series other than `epoch` is left
    /// where this ends.
    pub past: Option<Past>,
}

/// How the store stands with HQ.
#[derive(Debug, Clone, PartialEq)]
pub struct HqState {
    /// HQ's address.
    pub url: String,
    /// The certificate authority that HQ's certificate comes from, PEM.
    pub ca: Option<String>,
    /// The store.
    pub store_id: Uuid,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The tenant, for people.
    pub tenant: String,
    /// The store, for people.
    pub store: String,
    /// The series that its lines belong to.
    pub epoch: Uuid,
    /// Where that leaves the one before it, until HQ has acknowledged it.
    pub fork: Option<Fork>,
    /// The last line that HQ has for good.
    pub acked: i64,
    /// The hash over all lines up to it.
    pub hash: ChainHash,
    /// The last command that was kept.
    pub commands_seen: i64,
    /// What was put into effect last.
    pub wanted: Wanted,
    /// When HQ was last heard, on the trusted clock.
    pub last_contact: Option<Timestamp>,
    /// When the store joined.
    pub joined_at: Timestamp,
    /// So many lines wait for HQ.
    pub waiting: i64,
    /// When the oldest of them was written, on the trusted clock.
    pub oldest: Option<Timestamp>,
}

/// An environment in the words of store and HQ.
#[must_use]
pub const fn wire_environment(environment: Environment) -> sync_wire::Environment {
    match environment {
        Environment::Test => sync_wire::Environment::Test,
        Environment::Production => sync_wire::Environment::Prod,
    }
}

/// An environment in the ledger's words.
#[must_use]
pub const fn own_environment(environment: sync_wire::Environment) -> Environment {
    match environment {
        sync_wire::Environment::Test => Environment::Test,
        sync_wire::Environment::Prod => Environment::Production,
    }
}

/// A till as HQ names it.
#[must_use]
pub fn till_ref(till: &TillInfo) -> TillRef {
    TillRef {
        environment: wire_environment(till.environment),
        device_id: till.device_id.get(),
    }
}

fn not_joined() -> LedgerError {
    let text = "the store has not joined a head office; `fiscald hq join CODE --url URL` does it";
    Refusal::Missing(text.to_owned()).into()
}

fn cell(column: &'static str) -> SealedCell<'static> {
    SealedCell {
        table: "hq",
        row: "1",
        column,
    }
}

impl Core {
    /// Keeps that the store has joined HQ. Joining again replaces what was; another store's commands, gates and
    /// wishes go with it.
    ///
    /// # Errors
    /// The past is not this ledger's, or a fault of the storage.
    pub fn hq_join(&mut self, hq: &JoinedHq, actor: &str) -> Result<(), LedgerError> {
        let before = load(&self.conn)?;
        let acked = hq.past.as_ref().map_or(0, |past| past.acked);
        if acked >= self.next_seq {
            return Err(Refusal::NotNow(format!(
                "head office has the store's events up to {acked}, this ledger only up to {}; build it again from head \
                 office's first",
                self.next_seq - 1
            ))
            .into());
        }
        let is_same = before
            .as_ref()
            .is_none_or(|before| before.store_id == hq.store_id);
        if !is_same {
            self.forget_hq()?;
        }
        let kept = before.filter(|_| is_same);
        let wanted = kept.map(|kept| kept.wanted).unwrap_or_default();
        let left = hq.past.as_ref().filter(|past| past.epoch != hq.epoch);
        let fork = left.map(|past| Fork {
            parent: past.epoch,
            at: past.acked,
            hash: past.hash,
            reason: "the store has joined again".to_owned(),
        });
        let secret = self.sealed(hq.secret.expose_secret().as_bytes(), "secret")?;
        let seal_key = self.sealed(hq.seal_key.as_bytes(), "seal_key")?;
        self.conn.execute(
            "INSERT OR REPLACE INTO hq VALUES
             (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
              (SELECT coalesce(max(no), 0) FROM hq_command), ?13, NULL, ?14)",
            params![
                hq.url,
                hq.ca,
                hq.store_id.to_string(),
                hq.tenant_id.to_string(),
                hq.tenant,
                hq.store,
                secret,
                seal_key,
                hq.epoch.to_string(),
                fork.as_ref().map(text),
                acked,
                hq.past
                    .as_ref()
                    .map_or(ChainHash::START, |past| past.hash)
                    .0,
                text(&wanted),
                self.now_ms()
            ],
        )?;
        let detail = json!({
            "url": hq.url,
            "storeId": hq.store_id,
            "tenantId": hq.tenant_id,
            "tenant": hq.tenant,
            "store": hq.store,
            "epoch": hq.epoch,
        });
        self.hq_event("hq.joined", &detail.to_string())?;
        let names = format!("{} {} at {}", hq.tenant, hq.store, hq.url);
        self.audit(actor, "hq.join", None, &names)?;
        self.reload()?;
        Ok(())
    }

    /// The store leaves HQ: it goes on by itself, as if HQ had decided nothing.
    ///
    /// # Errors
    /// It has not joined.
    pub fn hq_leave(&mut self, actor: &str) -> Result<(), LedgerError> {
        let hq = load(&self.conn)?.ok_or_else(not_joined)?;
        self.forget_hq()?;
        self.conn.execute("DELETE FROM hq", [])?;
        self.hq_event("hq.left", &json!({ "storeId": hq.store_id }).to_string())?;
        self.audit(actor, "hq.leave", None, &hq.url)?;
        // Whatever a closed gate or a block kept back goes on.
        let tills: Vec<_> = self.tills.keys().copied().collect();
        self.touched.extend(tills);
        self.reload()?;
        Ok(())
    }

    fn forget_hq(&self) -> Result<(), StorageError> {
        self.conn
            .execute_batch("DELETE FROM hq_command; DELETE FROM gate; DELETE FROM blocked")?;
        wanted::forget_left_out(&self.conn)
    }

    /// HQ has the store's lines up to this one. False, and nothing is kept, if that is another series, or less than
    /// was known, or more than there is.
    ///
    /// # Errors
    /// The store has not joined.
    pub fn hq_acknowledge(
        &mut self,
        epoch: Uuid,
        acked: i64,
        hash: ChainHash,
    ) -> Result<bool, LedgerError> {
        let hq = load(&self.conn)?.ok_or_else(not_joined)?;
        let is_forward = acked > hq.acked || (acked == hq.acked && hash == hq.hash);
        if hq.epoch != epoch || !is_forward || acked >= self.next_seq {
            return Ok(false);
        }
        self.conn
            .prepare_cached("UPDATE hq SET acked = ?1, hash = ?2, fork = NULL, last_contact = ?3")?
            .execute(params![acked, hash.0, self.now_ms()])?;
        Ok(true)
    }

    /// HQ was heard.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_contact(&mut self) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached("UPDATE hq SET last_contact = ?1")?
            .execute([self.now_ms()])?;
        Ok(())
    }

    /// HQ has a past of this store that is not this ledger's: a new series begins at the last line that HQ has
    /// acknowledged to this very ledger. Commands that have not ended here may have been carried out by the ledger that
    /// wrote that past: they are forgotten, and HQ hands down again what is open.
    ///
    /// # Errors
    /// The store has not joined.
    pub fn hq_fork(&mut self, new_epoch: Uuid, reason: &str) -> Result<Fork, LedgerError> {
        let hq = load(&self.conn)?.ok_or_else(not_joined)?;
        let fork = Fork {
            // A series that HQ has never acknowledged may be unknown there.
            parent: hq.fork.map_or(hq.epoch, |pending| pending.parent),
            at: hq.acked,
            hash: hq.hash,
            reason: reason.to_owned(),
        };
        self.conn.execute(
            "UPDATE hq SET epoch = ?1, fork = ?2",
            params![new_epoch.to_string(), text(&fork)],
        )?;
        self.conn.execute_batch(
            "DELETE FROM hq_command WHERE state <> 'ended';
             UPDATE hq SET commands_seen = (SELECT coalesce(max(no), 0) FROM hq_command)",
        )?;
        let detail = json!({
            "epoch": new_epoch,
            "parent": fork.parent,
            "at": fork.at,
            "hash": fork.hash,
            "reason": fork.reason,
        });
        self.hq_event("hq.forked", &detail.to_string())?;
        self.audit(ACTOR, "hq.fork", None, &detail.to_string())?;
        Ok(fork)
    }

    fn hq_event(&mut self, kind: &str, detail: &str) -> Result<(), StorageError> {
        let seq = self.take_seq();
        self.append_event(seq, None, kind, Some(detail))
    }

    fn sealed(&self, secret: &[u8], column: &'static str) -> Result<Vec<u8>, StorageError> {
        Ok(self.sealing.seal(secret, cell(column))?)
    }
}

/// A value of our own types as JSON.
fn text(value: &impl serde::Serialize) -> String {
    // Texts, numbers and names always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

/// How the store does it: what its file says, and what HQ has set. Where that cannot be read the file's word holds: no
/// setting is worth a shop that does not sell.
pub(super) fn steered(conn: &Connection, own: &Settings) -> Result<Settings, StorageError> {
    let mut statement = conn.prepare_cached("SELECT wanted FROM hq")?;
    let wanted: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
    let Some(wanted) = wanted else {
        return Ok(own.clone());
    };
    match serde_json::from_str::<Wanted>(&wanted) {
        Ok(wanted) => Ok(own.steered(&wanted.settings)),
        Err(error) => {
            tracing::warn!(
                %error,
                "what head office has set cannot be read: the configuration file holds until head office is heard again"
            );
            Ok(own.clone())
        }
    }
}

/// How the store stands with HQ; none if it has not joined.
fn load(conn: &Connection) -> Result<Option<HqState>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT url, ca, store_id, tenant_id, tenant, store, epoch, fork, acked, hash, commands_seen, wanted,
                last_contact, joined_at,
                coalesce((SELECT max(seq) FROM event), 0) - acked,
                (SELECT at FROM event WHERE seq = acked + 1)
         FROM hq",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let uuid = |place: usize| -> Result<Uuid, StorageError> {
        Uuid::parse_str(&row.get::<_, String>(place)?).map_err(|_| damaged())
    };
    let moment = |at: i64| Timestamp::from_millisecond(at).map_err(|_| damaged());
    let fork: Option<String> = row.get(7)?;
    let fork = fork.map(|fork| serde_json::from_str(&fork)).transpose();
    let wanted: String = row.get(11)?;
    Ok(Some(HqState {
        url: row.get(0)?,
        ca: row.get(1)?,
        store_id: uuid(2)?,
        tenant_id: uuid(3)?,
        tenant: row.get(4)?,
        store: row.get(5)?,
        epoch: uuid(6)?,
        fork: fork.map_err(|_| damaged())?,
        acked: row.get(8)?,
        hash: ChainHash::from_bytes(&row.get::<_, Vec<u8>>(9)?).ok_or_else(damaged)?,
        commands_seen: row.get(10)?,
        // What cannot be read is nothing: head office's next answer is newer than that.
        wanted: serde_json::from_str(&wanted).unwrap_or_default(),
        last_contact: row.get::<_, Option<i64>>(12)?.map(moment).transpose()?,
        joined_at: moment(row.get(13)?)?,
        waiting: row.get::<_, i64>(14)?.max(0),
        oldest: row.get::<_, Option<i64>>(15)?.map(moment).transpose()?,
    }))
}

fn damaged() -> StorageError {
    sql::damaged("the row of hq")
}

impl Reader {
    /// How the store stands with HQ; none if it has not joined.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq(&self) -> Result<Option<HqState>, LedgerError> {
        self.with(|conn| Ok(load(conn)?))
    }

    /// What the store proves itself with, and the half of the key that credentials are sealed to.
    ///
    /// # Errors
    /// They were sealed with another key, or a fault of the storage.
    pub fn hq_secret(
        &self,
        sealing: &SealingKey,
    ) -> Result<Option<(SecretString, SealKey)>, LedgerError> {
        self.with(|conn| {
            let row: Option<(Vec<u8>, Vec<u8>)> = conn
                .prepare_cached("SELECT secret, seal_key FROM hq")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((secret, seal_key)) = row else {
                return Ok(None);
            };
            let open = |sealed: &[u8], column| {
                sealing
                    .open(sealed, cell(column))
                    .map_err(StorageError::from)
            };
            let secret = open(&secret, "secret")?;
            let secret = std::str::from_utf8(&secret).map_err(|_| damaged())?;
            let seal_key = open(&seal_key, "seal_key")?;
            Ok(Some((
                SecretString::from(secret),
                SealKey::from_bytes(&seal_key),
            )))
        })
    }

    /// The tills of this ledger as a store that joins names them.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn known_tills(&self) -> Result<Vec<enrol::KnownTill>, LedgerError> {
        self.with(|conn| {
            let tills = chain::till_infos(conn)?.into_iter().map(|till| {
                Ok(enrol::KnownTill {
                    till: till_ref(&till),
                    last_global_no: chain::load_head(conn, till.id)?.last_global_no.get(),
                    invoice_prefix: till.invoice_prefix,
                })
            });
            tills.collect()
        })
    }
}
