//! Sealing a key for one store alone: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, AES-256-GCM.
//!
//! The store makes a key pair when it joins and keeps the private half; HQ seals to the public half and cannot
//! open what it has sealed. What is sealed is bound to a context: store, till, version of the credential.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::TillRef;

/// What all sealed things of this product begin their context with.
const INFO: &[u8] = b"fiscald hq 1";

/// Something sealed for one store.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The encapsulated secret, Base64.
    enc: String,
    /// What is sealed, Base64.
    text: String,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealed(…)")
    }
}

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is none.
    #[error("the store's sealing key cannot be used; let the store join again")]
    Key,
    /// It was sealed for another store, till or version, or it was changed on the way.
    #[error("this was not sealed for this store, till and version, or it was changed on the way")]
    NotForUs,
}

/// A store's half that stays with it.
pub struct SealKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealKey(…)")
    }
}

impl SealKey {
    /// A new pair: the half that stays, and the half for HQ, Base64.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn new() -> Result<(Self, String), SealError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| SealError::Key)?;
        let private = Zeroizing::new(private.secret_bytes().to_vec());
        Ok((Self(private), STANDARD.encode(&public.0)))
    }

    /// As it was kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// To be kept, sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Opens what was sealed for this store.
    ///
    /// # Errors
    /// It was not, or was changed, or belongs elsewhere.
    pub fn open(&self, sealed: &Sealed, context: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealError::NotForUs);
        let enc = EncapsulatedSecret(decode(&sealed.enc)?);
        let key = HpkePrivateKey::from(self.0.to_vec());
        let opened = SUITE.open(&enc, INFO, context.as_bytes(), &decode(&sealed.text)?, &key);
        opened.map(Zeroizing::new).map_err(|_| SealError::NotForUs)
    }
}

/// Seals something for the store that has the other half.
///
/// # Errors
/// The public half is none.
pub fn seal(public: &str, context: &str, secret: &[u8]) -> Result<Sealed, SealError> {
    let public = HpkePublicKey(STANDARD.decode(public).map_err(|_| SealError::Key)?);
    let (enc, text) = SUITE
        .seal(INFO, context.as_bytes(), secret, &public)
        .map_err(|_| SealError::Key)?;
    Ok(Sealed {
        enc: STANDARD.encode(enc.0),
        text: STANDARD.encode(text),
    })
}

/// What a credential is bound to.
#[must_use]
pub fn credential_context(store: Uuid, till: TillRef, version: i32) -> String {
    format!("credential {store} {till} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the store that it is for opens it, and only in its place.
    #[test]
    fn for_one_store_alone() {
        let (ours, public) = SealKey::new().unwrap();
        let (other, _) = SealKey::new().unwrap();
        let sealed = seal(&public, "a", b"secret").unwrap();
        assert_eq!(ours.open(&sealed, "a").unwrap().as_slice(), b"secret");
        assert_eq!(ours.open(&sealed, "b"), Err(SealError::NotForUs));
        assert_eq!(other.open(&sealed, "a"), Err(SealError::NotForUs));
        let kept = SealKey::from_bytes(ours.as_bytes());
        assert_eq!(kept.open(&sealed, "a").unwrap().as_slice(), b"secret");
        let mut changed = sealed.clone();
        changed.text = STANDARD.encode(b"something else entirely");
        assert_eq!(ours.open(&changed, "a"), Err(SealError::NotForUs));
        assert_eq!(seal("AAAA", "a", b"secret"), Err(SealError::Key));
        assert!(!format!("{sealed:?}{ours:?}").contains("secret"));
    }
}
