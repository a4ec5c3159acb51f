//! The master keys: what credentials, second factors and webhook secrets are sealed with.
//!
//! AES-256-GCM; what is sealed is bound to its place by associated data. Each key has an id, kept beside what it
//! sealed, so that the key can be changed (`fiscal-hq rotate-master-key`).

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of the nonce in front of what is sealed.
const NONCE: usize = 12;

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key, or not 32 bytes.
    #[error(
        "FDMS_CRED_MASTER_KEY_B64 must be 32 random bytes in Base64; make one with: openssl rand -base64 32"
    )]
    Malformed,
    /// It was sealed with a key that this installation does not have.
    #[error(
        "this was sealed under the master key {0}, which this installation does not have; set it in FDMS_CRED_MASTER_KEY_OLD_B64"
    )]
    UnknownKey(String),
    /// It belongs elsewhere, or was changed.
    #[error("what is sealed does not belong here, or was changed")]
    Opened,
    /// The machine has no randomness.
    #[error("the machine has no random numbers")]
    Random,
}

/// One master key.
struct MasterKey {
    id: String,
    cipher: Aes256Gcm,
}

/// The key in use, and the one before it while it is being replaced.
pub struct MasterKeys {
    current: MasterKey,
    old: Option<MasterKey>,
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("MasterKeys");
        shown.field("current", &self.current.id);
        shown.field("old", &self.old.as_ref().map(|key| &key.id));
        shown.finish()
    }
}

/// Something sealed, and under which key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBytes {
    /// The key's id.
    pub key_id: String,
    /// Nonce and what is sealed.
    pub bytes: Vec<u8>,
}

impl SealedBytes {
    /// In one piece, for a single column: the length of the key's id, the id, the rest.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let id = self.key_id.as_bytes();
        let mut packed = vec![u8::try_from(id.len()).unwrap_or(u8::MAX)];
        packed.extend_from_slice(id);
        packed.extend_from_slice(&self.bytes);
        packed
    }

    /// From one piece.
    ///
    /// # Errors
    /// It was not made by [`SealedBytes::pack`].
    pub fn unpack(packed: &[u8]) -> Result<Self, KeyError> {
        let (length, rest) = packed.split_first().ok_or(KeyError::Opened)?;
        let (id, bytes) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(KeyError::Opened)?;
        Ok(Self {
            key_id: std::str::from_utf8(id)
                .map_err(|_| KeyError::Opened)?
                .to_owned(),
            bytes: bytes.to_vec(),
        })
    }
}

impl MasterKey {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(
            STANDARD
                .decode(text.trim())
                .map_err(|_| KeyError::Malformed)?,
        );
        let key: &Key<Aes256Gcm> = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyError::Malformed)?;
        let mut digest = Sha256::new();
        digest.update(b"fiscal-hq key id");
        digest.update(bytes.as_slice());
        let id: String = digest.finalize()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            id,
            cipher: Aes256Gcm::new(key),
        })
    }
}

impl MasterKeys {
    /// From Base64: the key in use, and the one before it.
    ///
    /// # Errors
    /// One of them is not 32 bytes in Base64.
    pub fn parse(current: &str, old: Option<&str>) -> Result<Self, KeyError> {
        Ok(Self {
            current: MasterKey::parse(current)?,
            old: old.map(MasterKey::parse).transpose()?,
        })
    }

    /// The id of the key in use.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// Seals something for its place.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<SealedBytes, KeyError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| KeyError::Random)?;
        let payload = Payload {
            msg: secret,
            aad: place.as_bytes(),
        };
        let text = self.current.cipher.encrypt(&Nonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend(text.map_err(|_| KeyError::Random)?);
        Ok(SealedBytes {
            key_id: self.current.id.clone(),
            bytes,
        })
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// It belongs elsewhere, was changed, or its key is not here.
    pub fn open(&self, place: &str, sealed: &SealedBytes) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let key = [Some(&self.current), self.old.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id == sealed.key_id)
            .ok_or_else(|| KeyError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, text) = sealed
            .bytes
            .split_at_checked(NONCE)
            .ok_or(KeyError::Opened)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| KeyError::Opened)?;
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        let opened = key.cipher.decrypt(&Nonce::from(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| KeyError::Opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    /// Bound to its place; opened by the old key while it is being replaced, not after.
    #[test]
    fn sealed_for_its_place() {
        let first = MasterKeys::parse(&key(1), None).unwrap();
        let sealed = first.seal("a", b"secret").unwrap();
        assert_eq!(first.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(first.open("b", &sealed), Err(KeyError::Opened)));
        let both = MasterKeys::parse(&key(2), Some(&key(1))).unwrap();
        assert_eq!(both.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert_ne!(both.current_id(), first.current_id());
        let second = MasterKeys::parse(&key(2), None).unwrap();
        assert!(matches!(
            second.open("a", &sealed),
            Err(KeyError::UnknownKey(_))
        ));
        let packed = SealedBytes::unpack(&sealed.pack()).unwrap();
        assert_eq!(first.open("a", &packed).unwrap().as_slice(), b"secret");
        assert!(SealedBytes::unpack(&[9, 1]).is_err() && SealedBytes::unpack(&[]).is_err());
        let cut = SealedBytes {
            bytes: vec![1, 2],
            ..sealed
        };
        assert!(matches!(first.open("a", &cut), Err(KeyError::Opened)));
    }

    /// A key is 32 bytes in Base64, and never shown.
    #[test]
    fn keys_are_read_and_not_shown() {
        assert!(MasterKeys::parse("abc", None).is_err());
        assert!(MasterKeys::parse(&STANDARD.encode([1; 16]), None).is_err());
        let keys = MasterKeys::parse(&key(1), Some(&key(2))).unwrap();
        assert!(!format!("{keys:?}").contains(&key(1)));
    }
}
