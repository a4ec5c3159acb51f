//! What is asked of a ledger without a writer: when it last knew the time, whose keys it holds, which file it is.

use fiscal::DateTime;
use rusqlite::OptionalExtension as _;

use super::chain::{self, IN_USE};
use super::core::load_anchor;
use super::{LedgerError, Reader, TillId};
use crate::keys::{DeviceKey, SealingKey};
use crate::time::Anchor;

impl Reader {
    /// The moment at which wall and boot clock were last tied together.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn time_anchor(&self) -> Result<Option<Anchor>, LedgerError> {
        self.with(|conn| Ok(load_anchor(conn)?))
    }

    /// The date of the last receipt of all tills.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_date(&self) -> Result<Option<DateTime>, LedgerError> {
        self.with(|conn| {
            let mut last = None;
            for till in chain::till_infos(conn)? {
                last = last.max(chain::load_head(conn, till.id)?.last_date);
            }
            Ok(last)
        })
    }

    /// The key and certificate (PEM) that a till uses, opened with the sealing key.
    ///
    /// # Errors
    /// The key was sealed with another one or was changed, or a fault of the storage.
    pub fn identity(
        &self,
        till: TillId,
        sealing: &SealingKey,
    ) -> Result<Option<(DeviceKey, String)>, LedgerError> {
        self.with(|conn| {
            let row: Option<(Vec<u8>, String)> = conn
                .prepare_cached(&format!("SELECT k.sealed, c.pem {IN_USE}"))?
                .query_row([till.0], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((sealed, pem)) = row else {
                return Ok(None);
            };
            Ok(Some((chain::unseal(sealing, till, &sealed)?, pem)))
        })
    }
}
