//! A till's certificates: those that FDMS issued, the one in use, and one that has yet to prove itself.
//!
//! A renewed certificate is kept as soon as FDMS has given it and used only once FDMS has accepted it
//! (docs/FDMS.md section 3); until then the old one stays in use. It certifies the same key, so that what
//! was signed before and is sent after stays valid.

use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::chain::{self, IN_USE};
use super::core::Core;
use super::{LedgerError, Refusal, StorageError, TillId, sql};
use crate::keys::{Certificate, DeviceKey};

/// A renewed certificate that FDMS has not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its row.
    pub certificate_id: i64,
    /// The certificate.
    pub pem: String,
}

/// A certificate nears its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAlarm {
    /// FDMS's name for the certificate.
    pub thumbprint: String,
    /// So many days or fewer are left: 30, 14, 7, 3, 1; 0 once it has ended.
    pub step: i64,
    /// Its last moment, local.
    pub valid_till: String,
    /// What is done about it, and what a person may do.
    pub action: String,
}

impl Core {
    /// The key and certificate that a till uses now.
    ///
    /// # Errors
    /// The key cannot be opened.
    pub fn identity(&self, till: TillId) -> Result<Option<(DeviceKey, String)>, LedgerError> {
        let row = self
            .conn
            .prepare_cached(&format!("SELECT k.sealed, c.pem {IN_USE}"))?
            .query_row([till.0], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        match row {
            None => Ok(None),
            Some((sealed, pem)) => Ok(Some((chain::unseal(&self.sealing, till, &sealed)?, pem))),
        }
    }

    /// The row of the key that a till uses, and the key.
    ///
    /// # Errors
    /// The key cannot be opened.
    pub fn key_in_use(&self, till: TillId) -> Result<Option<(i64, DeviceKey)>, LedgerError> {
        let Some(key) = &self.till(till)?.key else {
            return Ok(None);
        };
        let identity = self.identity(till)?;
        Ok(identity.map(|(opened, _)| (key.key_id, opened)))
    }

    /// Keeps the certificate that FDMS issued for a key; from now on the till signs with that key.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn add_certificate(
        &mut self,
        till: TillId,
        key_id: i64,
        pem: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let now = self.now_ms();
        let certificate = self.insert_certificate(till, key_id, pem, Some(now), actor)?;
        self.tell_used(till, certificate)?;
        self.reload()?;
        Ok(())
    }

    /// Keeps a renewed certificate of the key in use, not to be used before it has proved itself.
    ///
    /// # Errors
    /// It is not the key's, or the till has none.
    pub fn keep_candidate(
        &mut self,
        till: TillId,
        pem: &str,
        actor: &str,
    ) -> Result<Candidate, LedgerError> {
        let (key, _) = self.till(till)?.ready()?;
        let certificate = Certificate::from_pem(pem).map_err(StorageError::from)?;
        if !certificate.belongs_to(&*key.signer) {
            let name = certificate.common_name();
            let why =
                format!("FDMS issued a certificate for another key ({name}); it was not kept");
            return Err(Refusal::Exists(why).into());
        }
        let certificate_id = self.insert_certificate(till, key.key_id, pem, None, actor)?;
        Ok(Candidate {
            certificate_id,
            pem: pem.to_owned(),
        })
    }

    fn insert_certificate(
        &mut self,
        till: TillId,
        key_id: i64,
        pem: &str,
        used_since: Option<i64>,
        actor: &str,
    ) -> Result<i64, LedgerError> {
        let certificate = Certificate::from_pem(pem).map_err(StorageError::from)?;
        self.conn
            .prepare_cached(
                "INSERT INTO certificate (key_id, pem, created_at, used_since)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![key_id, pem, self.now_ms(), used_since])?;
        let certificate_id = self.conn.last_insert_rowid();
        let detail = format!("key {key_id} {}", certificate.thumbprint());
        self.audit(actor, "certificate.add", Some(till), &detail)?;
        Ok(certificate_id)
    }

    /// A certificate has proved itself: from now on the till uses it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn use_certificate(
        &mut self,
        till: TillId,
        certificate_id: i64,
        actor: &str,
    ) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached("UPDATE certificate SET used_since = ?2 WHERE certificate_id = ?1")?
            .execute(params![certificate_id, self.now_ms()])?;
        let detail = certificate_id.to_string();
        self.audit(actor, "certificate.use", Some(till), &detail)?;
        self.tell_used(till, certificate_id)?;
        self.reload()?;
        Ok(())
    }

    fn tell_used(&mut self, till: TillId, certificate_id: i64) -> Result<(), StorageError> {
        let seq = self.take_seq();
        let detail = certificate_id.to_string();
        self.append_event(seq, Some(till), "certificate.used", Some(&detail))
    }

    /// The renewed certificate of a till that has yet to prove itself.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn candidate(&self, till: TillId) -> Result<Option<Candidate>, LedgerError> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT c.certificate_id, c.pem, c.used_since FROM certificate c
                 JOIN device_key k USING (key_id)
                 WHERE k.till_id = ?1 AND k.sealed <> x'' ORDER BY c.certificate_id DESC LIMIT 1",
            )?
            .query_row([till.0], |row| {
                let candidate = Candidate {
                    certificate_id: row.get(0)?,
                    pem: row.get(1)?,
                };
                let used_since: Option<i64> = row.get(2)?;
                Ok(used_since.is_none().then_some(candidate))
            })
            .optional()?
            .flatten())
    }

    /// Raises an alarm, once for each step of a certificate; true if it was not raised before.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn alarm_certificate(
        &mut self,
        till: TillId,
        alarm: &CertificateAlarm,
    ) -> Result<bool, LedgerError> {
        let name = format!("certificate_alarm.{}", till.0);
        let raised = format!("{} {}", alarm.thumbprint, alarm.step);
        if sql::meta(&self.conn, &name)?.as_deref() == Some(raised.as_bytes()) {
            return Ok(false);
        }
        self.set_meta(&name, raised.as_bytes())?;
        let kind = match alarm.step {
            0 => "certificate.expired",
            _ => "certificate.expiring",
        };
        // Texts and a number always serialise.
        let detail = serde_json::to_string(alarm).unwrap_or_default();
        let seq = self.take_seq();
        self.append_event(seq, Some(till), kind, Some(&detail))?;
        Ok(true)
    }
}
