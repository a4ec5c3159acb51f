//! Tills, their keys, certificates and configurations; tokens; what a ledger keeps once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fiscal::DeviceId;
use fiscal::taxpayer::Taxpayer;
use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::chain::{self, key_cell};
use super::core::Core;
use super::{Environment, LedgerError, Refusal, StorageError, TillId, sql};
use crate::keys::{DeviceKey, RecoveryWrap, Signer as _};

/// A till that joins this store.
#[derive(Debug, Clone)]
pub struct NewTill {
    /// Test or production, for life.
    pub environment: Environment,
    /// Its number at FDMS.
    pub device_id: DeviceId,
    /// Serial number of the device.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    pub model_version: String,
    /// Put in front of every `invoiceNo`.
    pub invoice_prefix: String,
}

/// A token as it is listed: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its row.
    pub token_id: i64,
    /// Its name, as the audit shows it.
    pub name: String,
    /// The till it sells for; `None` may read and steer every till.
    pub till: Option<TillId>,
    /// Whether it has been revoked.
    pub revoked: bool,
}

/// A new token: 256 random bits as text.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_token() -> Result<String, StorageError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| crate::keys::KeyError::Crypto("making a token"))?;
    Ok(format!("fsc_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// A name that no other ledger has.
pub(super) fn random_name() -> Result<String, StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| crate::keys::KeyError::Crypto("naming the ledger"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash under which a token is stored. Tokens are 256 random bits, so a plain hash is enough.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Where the PIN of the operator's page is kept.
pub(super) const PAGE_PIN: &str = "page_pin";
/// How many wrong PINs in a row were typed, in `meta`: decimal digits.
pub(super) const WRONG_PINS: &str = "page_wrong_pins";

impl Core {
    /// Adds a till with a key of its own, sealed. The key is kept before FDMS hears of it, so that an
    /// interrupted registration loses nothing.
    ///
    /// # Errors
    /// The till is there already.
    pub fn add_till(&mut self, till: &NewTill, actor: &str) -> Result<TillId, LedgerError> {
        let taken = self.tills.values().any(|other| {
            other.info.environment == till.environment && other.info.device_id == till.device_id
        });
        if taken {
            return Err(Refusal::Exists(format!(
                "the till {} ({}) is in this store already",
                till.device_id, till.environment
            ))
            .into());
        }
        self.conn
            .prepare_cached(
                "INSERT INTO till (environment, device_id, serial_no, model_name, model_version,
                                   invoice_prefix, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                till.environment.as_str(),
                till.device_id.get(),
                till.serial_no,
                till.model_name,
                till.model_version,
                till.invoice_prefix,
                self.now_ms()
            ])?;
        let id = TillId(self.conn.last_insert_rowid());
        let seq = self.take_seq();
        self.append_event(seq, Some(id), "till.added", None)?;
        let detail = format!("{} {}", till.environment, till.device_id);
        self.audit(actor, "till.add", Some(id), &detail)?;
        self.reload()?;
        Ok(id)
    }

    /// Keeps a till's private key, sealed, and returns its row.
    ///
    /// # Errors
    /// Sealing failed.
    pub fn add_key(
        &mut self,
        till: TillId,
        key: &DeviceKey,
        actor: &str,
    ) -> Result<i64, LedgerError> {
        self.till(till)?;
        let row = till.0.to_string();
        let sealed = self
            .sealing
            .seal(key.pkcs8(), key_cell(&row))
            .map_err(StorageError::from)?;
        self.conn
            .prepare_cached(
                "INSERT INTO device_key (till_id, sealed, public_key, created_at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                till.0,
                sealed,
                key.public_key().spki_der(),
                self.now_ms()
            ])?;
        let key_id = self.conn.last_insert_rowid();
        self.audit(actor, "key.add", Some(till), &key_id.to_string())?;
        Ok(key_id)
    }

    /// The newest key of a till that has no certificate yet: an interrupted registration goes on with it.
    ///
    /// # Errors
    /// The key cannot be opened.
    pub fn pending_key(&self, till: TillId) -> Result<Option<(i64, DeviceKey)>, LedgerError> {
        let row = self
            .conn
            .prepare_cached(
                "SELECT key_id, sealed FROM device_key k
                 WHERE till_id = ?1 AND sealed <> x'' AND NOT EXISTS
                 (SELECT 1 FROM certificate c WHERE c.key_id = k.key_id) ORDER BY key_id DESC LIMIT 1",
            )?
            .query_row([till.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })
            .optional()?;
        match row {
            None => Ok(None),
            Some((key_id, sealed)) => {
                Ok(Some((key_id, chain::unseal(&self.sealing, till, &sealed)?)))
            }
        }
    }

    /// Keeps what GetConfig answered if it is new; true if it was.
    ///
    /// # Errors
    /// The configuration cannot be used; the till goes on with the one it has.
    pub fn store_config(&mut self, till: TillId, body: &str) -> Result<bool, LedgerError> {
        self.till(till)?;
        Taxpayer::from_config(body.as_bytes())
            .map_err(|error| Refusal::Exists(error.to_string()))?;
        // FDMS gives every answer another operationID; that is no change.
        let newest: Option<String> = self
            .conn
            .prepare_cached(
                "SELECT body FROM config WHERE till_id = ?1 ORDER BY config_id DESC LIMIT 1",
            )?
            .query_row([till.0], |row| row.get(0))
            .optional()?;
        if newest
            .as_ref()
            .is_some_and(|newest| without_operation(newest) == without_operation(body))
        {
            return Ok(false);
        }
        let changes = newest.map_or_else(Vec::new, |newest| super::configs::changes(&newest, body));
        let told: Vec<serde_json::Value> = changes
            .into_iter()
            .map(|c| serde_json::json!({ "what": c.what, "before": c.before, "after": c.after }))
            .collect();
        let detail = serde_json::json!({ "changes": told }).to_string();
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "config.changed", Some(&detail))?;
        self.conn
            .prepare_cached(
                "INSERT INTO config (till_id, body, fetched_at, seq) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![till.0, body, self.now_ms(), seq.0])?;
        self.audit("fdms", "config.change", Some(till), "")?;
        self.reload()?;
        Ok(true)
    }

    /// Keeps a token's hash.
    ///
    /// # Errors
    /// The name is taken, or there is no such till.
    pub fn add_token(
        &mut self,
        name: &str,
        till: Option<TillId>,
        token: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        if let Some(till) = till {
            self.till(till)?;
        }
        let taken: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM token WHERE name = ?1 AND revoked_at IS NULL)",
            )?
            .query_row([name], |row| row.get(0))?;
        if taken {
            return Err(Refusal::Exists(format!(
                "a token called \"{name}\" is in use; revoke it first or take another name"
            ))
            .into());
        }
        self.conn
            .prepare_cached(
                "INSERT INTO token (name, till_id, hash, created_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                name,
                till.map(|t| t.0),
                token_hash(token),
                self.now_ms()
            ])?;
        self.audit(actor, "token.add", till, name)
            .map_err(LedgerError::from)
    }

    /// Revokes a token; false if there is none of that name.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn revoke_token(&mut self, name: &str, actor: &str) -> Result<bool, LedgerError> {
        let revoked = self
            .conn
            .prepare_cached(
                "UPDATE token SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL",
            )?
            .execute(params![name, self.now_ms()])?;
        if revoked > 0 {
            self.audit(actor, "token.revoke", None, name)?;
        }
        Ok(revoked > 0)
    }

    /// Keeps the hash of the PIN of the operator's page; without one nothing can be changed there any more.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn set_page_pin(&mut self, hash: Option<&str>, actor: &str) -> Result<(), LedgerError> {
        self.set_meta(PAGE_PIN, hash.unwrap_or_default().as_bytes())?;
        self.set_meta(WRONG_PINS, b"0")?;
        let action = match hash {
            Some(_) => "pin.set",
            None => "pin.remove",
        };
        Ok(self.audit(actor, action, None, "")?)
    }

    /// Keeps who has asked for something that others then do: the certificate's renewal, a question to FDMS.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn note_asked(
        &mut self,
        action: &str,
        till: Option<TillId>,
        detail: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        Ok(self.audit(actor, action, till, detail)?)
    }

    /// Keeps that somebody has typed a wrong PIN at the operator's page, the `wrong`th in a row: whoever restarts the
    /// gateway or the machine gains no tries.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn note_wrong_pin(&mut self, wrong: u32, actor: &str) -> Result<(), LedgerError> {
        self.set_meta(WRONG_PINS, wrong.to_string().as_bytes())?;
        Ok(self.audit(actor, "pin.wrong", None, "")?)
    }

    /// Keeps that the right PIN came after wrong ones.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn forget_wrong_pins(&mut self) -> Result<(), LedgerError> {
        Ok(self.set_meta(WRONG_PINS, b"0")?)
    }

    /// Keeps the sealing key wrapped under the recovery passphrase: the way to open a backup elsewhere.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn set_recovery(&mut self, wrap: &RecoveryWrap) -> Result<(), LedgerError> {
        self.set_meta("recovery", wrap.as_bytes())?;
        super::copies::forget_test(&self.conn)?;
        self.audit("setup", "recovery.set", None, "")?;
        Ok(())
    }

    /// The wrapped sealing key, if set-up has made one.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn recovery(&self) -> Result<Option<RecoveryWrap>, LedgerError> {
        let bytes = sql::meta(&self.conn, "recovery")?;
        Ok(bytes.map(|bytes| RecoveryWrap::from_bytes(&bytes)))
    }
}

fn without_operation(body: &str) -> Option<serde_json::Value> {
    // Only compared, never kept: that numbers pass through floats does no harm here.
    let mut value: serde_json::Value = serde_json::from_str(body).ok()?;
    value.as_object_mut()?.remove("operationID");
    Some(value)
}
