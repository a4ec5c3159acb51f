//! FDMS's own signatures over what it has taken: checked, kept, and never in the way of anything.
//!
//! FDMS signs each receipt that it accepts and each day that it closes (docs/FDMS.md section 6). Its certificate is
//! fetched by the thumbprint that the signature names, once. A signature that does not fit raises an alarm; the
//! formula is the authority's to change, so nothing is refused over it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fiscal::sign;
use serde::Deserialize;

use super::line::{Line, ServerKeys};
use crate::fdms::Outcome;
use crate::fdms::wire::{ReceiptAccepted, ReconciliationMode, ServerSignature, Status};
use crate::keys::{Certificate, PublicKey};
use crate::ledger::stream::{Item, ItemKind, Proof};

/// After a certificate could not be fetched it is not asked for again before this has passed: a backlog must
/// not wait for it at every receipt.
const AGAIN: Duration = Duration::from_secs(3600);

/// Our signature in a body that was sent.
#[derive(Deserialize)]
struct SentSignature {
    signature: String,
}

#[derive(Deserialize)]
struct SentReceipt {
    #[serde(rename = "receiptDeviceSignature")]
    signature: SentSignature,
}

#[derive(Deserialize)]
struct Sent {
    receipt: Option<SentReceipt>,
    #[serde(rename = "fiscalDayDeviceSignature")]
    close: Option<SentSignature>,
}

fn our_signature(body: &str) -> Option<String> {
    let sent: Sent = serde_json::from_str(body).ok()?;
    let receipt = sent.receipt.map(|receipt| receipt.signature);
    receipt.or(sent.close).map(|ours| ours.signature)
}

impl Line {
    /// Whether FDMS's signature over a receipt fits; none if it gave none.
    pub(super) async fn judge_receipt(
        &self,
        item: &Item,
        taken: &ReceiptAccepted,
    ) -> Option<Proof> {
        let theirs = taken.server_signature.as_ref()?;
        let text = our_signature(&item.body).map(|ours| {
            let (id, date) = (taken.receipt_id, &taken.server_date);
            sign::fdms_receipt_string(&ours, id, date)
        });
        Some(self.judge(theirs, text).await)
    }

    /// Whether FDMS's signature over a closed day fits; none if it gave none. One that was closed by hand has
    /// the authority's counters, and cannot be judged.
    pub(super) async fn judge_close(&self, item: &Item, status: &Status) -> Option<Proof> {
        let theirs = status.server_signature.as_ref()?;
        let ItemKind::Close(no) = item.kind else {
            return None;
        };
        let id = self.till.id;
        let day = self.ledger.ask(move |reader| reader.day(id, Some(no)));
        let day = day.await.ok().flatten();
        let is_ours = status.reconciliation_mode == Some(ReconciliationMode::Auto);
        let ours = our_signature(&item.body).filter(|_| is_ours);
        let text = day.zip(status.closed.as_ref()).zip(ours);
        let text = text.map(|((day, closed), ours)| {
            let (device, counters) = (self.till.device_id, &day.totals.counters);
            sign::fdms_day_string(device, no, day.opened, &closed.text, counters, &ours)
        });
        Some(self.judge(theirs, text).await)
    }

    async fn judge(&self, theirs: &ServerSignature, text: Option<String>) -> Proof {
        let thumbprint = theirs.thumbprint.to_ascii_lowercase();
        let (Some(text), Some(key)) = (text, self.server_key(&thumbprint).await) else {
            return Proof::Unchecked;
        };
        let proof = check(&key, theirs, &text);
        if proof == Proof::Invalid {
            tracing::error!(till = %self.till.device_id, thumbprint, "a signature of FDMS does not fit what it has taken");
        }
        proof
    }

    fn known_keys(&self) -> MutexGuard<'_, ServerKeys> {
        self.server_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn server_key(&self, thumbprint: &str) -> Option<Arc<PublicKey>> {
        {
            let known = self.known_keys();
            if let Some(key) = known.keys.get(thumbprint) {
                return Some(Arc::clone(key));
            }
            if self.clock().boot() < known.not_before {
                return None;
            }
        }
        let answer = self
            .ask(self.fdms.get_server_certificate(Some(thumbprint)))
            .await;
        let found = match answer.outcome {
            Outcome::Accepted(chain) => chain
                .certificates
                .iter()
                .filter_map(|pem| Certificate::from_pem(pem).ok())
                .find(|one| one.thumbprint().eq_ignore_ascii_case(thumbprint)),
            _ => None,
        };
        let mut known = self.known_keys();
        let Some(certificate) = found else {
            known.not_before = self.clock().boot().saturating_add(AGAIN);
            return None;
        };
        let key = Arc::new(certificate.public_key().clone());
        known.keys.insert(thumbprint.to_owned(), Arc::clone(&key));
        Some(key)
    }
}

fn check(key: &PublicKey, theirs: &ServerSignature, text: &str) -> Proof {
    let is_hash = theirs.hash.is_empty() || theirs.hash == sign::hash(text).to_string();
    let signature = STANDARD.decode(&theirs.signature).unwrap_or_default();
    if is_hash && key.verify(text.as_bytes(), &signature) {
        Proof::Valid
    } else {
        Proof::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DeviceKey, KeyKind, Signer as _};

    /// A signature over the text fits; one over another text, another hash or another key's does not.
    #[test]
    fn what_fits() {
        let key = DeviceKey::generate(KeyKind::Rsa2048).unwrap();
        let other = DeviceKey::generate(KeyKind::Rsa2048).unwrap();
        let text = sign::fdms_receipt_string("MEUC", 77, "2026-05-28T07:00:02");
        let theirs = ServerSignature {
            hash: sign::hash(&text).to_string(),
            signature: STANDARD.encode(key.sign(text.as_bytes()).unwrap()),
            thumbprint: "aa".to_owned(),
            extra: Default::default(),
        };
        assert_eq!(check(key.public_key(), &theirs, &text), Proof::Valid);
        let elsewhere = sign::fdms_receipt_string("MEUC", 78, "2026-05-28T07:00:02");
        assert_eq!(check(key.public_key(), &theirs, &elsewhere), Proof::Invalid);
        assert_eq!(check(other.public_key(), &theirs, &text), Proof::Invalid);
        let hash = ServerSignature {
            hash: sign::hash("another").to_string(),
            ..theirs
        };
        assert_eq!(check(key.public_key(), &hash, &text), Proof::Invalid);
    }

    /// Our signature is found in both kinds of body.
    #[test]
    fn ours_is_found() {
        let receipt =
            r#"{"receipt":{"a":1,"receiptDeviceSignature":{"hash":"h","signature":"r"}}}"#;
        assert_eq!(our_signature(receipt).as_deref(), Some("r"));
        let close = r#"{"fiscalDayNo":1,"fiscalDayDeviceSignature":{"hash":"h","signature":"d"}}"#;
        assert_eq!(our_signature(close).as_deref(), Some("d"));
        assert_eq!(our_signature("{}"), None);
    }
}
