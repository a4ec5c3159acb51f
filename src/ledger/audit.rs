//! The audit: who did what, each row chained to the one before by hash.
//!
//! A row's hash is SHA-256 over the hash before it and every field with its length in front, so that no
//! row can be changed, moved or taken out from the middle without `fiscald verify` naming it.

use fiscal::receipt::Hash;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::{StorageError, TillId, sql};

/// The end of the audit's chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuditHead {
    pub(super) next_id: i64,
    pub(super) hash: Hash,
}

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) at: i64,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) till: Option<TillId>,
    pub(super) detail: &'a str,
}

impl Entry<'_> {
    /// The hash that this entry has as number `id` after a row with the hash `previous`.
    pub(super) fn hash(&self, id: i64, previous: &Hash) -> Hash {
        let mut digest = Sha256::new();
        digest.update(previous.0);
        digest.update(id.to_be_bytes());
        digest.update(self.at.to_be_bytes());
        digest.update(self.till.map_or(-1, |till| till.0).to_be_bytes());
        for text in [self.actor, self.action, self.detail] {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        }
        Hash(digest.finalize().into())
    }
}

/// The hash before the first row.
pub(super) const GENESIS: Hash = Hash([0; 32]);

impl AuditHead {
    pub(super) fn load(conn: &Connection) -> Result<Self, StorageError> {
        let mut statement =
            conn.prepare_cached("SELECT audit_id, hash FROM audit ORDER BY audit_id DESC LIMIT 1")?;
        let mut rows = statement.query([])?;
        match rows.next()? {
            None => Ok(Self {
                next_id: 1,
                hash: GENESIS,
            }),
            Some(row) => {
                let hash: Vec<u8> = row.get(1)?;
                Ok(Self {
                    next_id: row.get::<_, i64>(0)? + 1,
                    hash: sql::hash(&hash, "audit.hash")?,
                })
            }
        }
    }

    pub(super) fn append(
        &mut self,
        conn: &Connection,
        entry: &Entry<'_>,
    ) -> Result<(), StorageError> {
        let hash = entry.hash(self.next_id, &self.hash);
        conn.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                self.next_id,
                entry.at,
                entry.actor,
                entry.action,
                entry.till.map(|till| till.0),
                entry.detail,
                hash.0
            ])?;
        self.next_id += 1;
        self.hash = hash;
        Ok(())
    }
}
