//! The till's private key, the signatures made with it and their verification.
//!
//! Two kinds, as docs/FDMS.md section 3 has it: ECC P-256 (ECDSA, SHA-256, ASN.1 DER) and RSA 2048
//! (PKCS#1 v1.5, SHA-256). Both are parsed once and shared between threads; ECDSA signatures differ
//! each time, RSA ones do not, so code that must be replayed takes a [`Signer`].

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rcgen::{PublicKeyData, SigningKey};
use zeroize::Zeroizing;

use super::KeyError;

/// The two kinds of key that FDMS accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECC P-256, the one FDMS prefers.
    #[default]
    EcP256,
    /// RSA with 2048 bits.
    Rsa2048,
}

impl KeyKind {
    /// The name used in configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcP256 => "ec-p256",
            Self::Rsa2048 => "rsa-2048",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for KeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::EcP256, Self::Rsa2048]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("`{text}` is no kind of key: write `ec-p256` or `rsa-2048`"))
    }
}

/// Signs for a till. The real one is [`DeviceKey`]; a simulation brings its own.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The signature over `message` itself (not over its hash), as FDMS wants it.
    ///
    /// # Errors
    /// The cryptographic library failed.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Whether `signature` is this signer's over `message`.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public_key().verify(message, signature)
    }
}

/// A public key, parsed once, that verifies signatures.
#[derive(Clone)]
pub struct PublicKey {
    kind: &'static str,
    spki: Vec<u8>,
    parsed: ParsedPublicKey,
}

/// DER of the object identifiers `id-ecPublicKey` with `prime256v1`, and `rsaEncryption`.
const EC_P256_OIDS: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
const RSA_OID: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER, of a P-256 or an RSA key.
    ///
    /// # Errors
    /// Another kind of key, or damaged bytes.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let contains = |oid: &[u8]| spki.windows(oid.len()).take(16).any(|part| part == oid);
        let (kind, parsed) = if contains(EC_P256_OIDS) {
            (
                "EC P-256",
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki),
            )
        } else if contains(RSA_OID) {
            (
                "RSA",
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki),
            )
        } else {
            return Err(KeyError::PublicKey("the certificate"));
        };
        Ok(Self {
            kind,
            spki: spki.to_vec(),
            parsed: parsed.map_err(|_| KeyError::PublicKey("the certificate"))?,
        })
    }

    /// SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Whether `signature` was made over `message` with the private half. SHA-256 in both kinds.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A till's private key. Share it in an `Arc`; signing needs no lock.
pub struct DeviceKey {
    kind: KeyKind,
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    /// The key as certificates embed it: EC point, or PKCS#1 for RSA.
    raw_public: Vec<u8>,
    public: PublicKey,
    random: SystemRandom,
}

impl DeviceKey {
    /// Makes a new key from the operating system's randomness. RSA takes up to a second.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Crypto("making a key");
        let pkcs8 = match kind {
            KeyKind::EcP256 => {
                let pair =
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
                let document = pair.to_pkcs8v1().map_err(failed)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
            KeyKind::Rsa2048 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let document: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
        };
        Self::from_pkcs8(&pkcs8)
    }

    /// Reads a key as [`DeviceKey::pkcs8`] gives it; the kind is recognised.
    ///
    /// # Errors
    /// Not PKCS#8, or not one of the two kinds.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let rejected = |_| KeyError::PrivateKey;
        let (kind, pair, raw_public, spki) =
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8) {
                let public = pair.public_key();
                let spki: PublicKeyX509Der<'_> = public.as_der().map_err(rejected)?;
                let (raw, spki) = (public.as_ref().to_vec(), spki.as_ref().to_vec());
                (KeyKind::EcP256, Pair::Ec(pair), raw, spki)
            } else {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::PrivateKey)?;
                if pair.public_modulus_len() != KeySize::Rsa2048.len() {
                    return Err(KeyError::PrivateKey);
                }
                let public = pair.public_key();
                let spki: PublicKeyX509Der<'_> = public.as_der().map_err(rejected)?;
                let (raw, spki) = (public.as_ref().to_vec(), spki.as_ref().to_vec());
                (KeyKind::Rsa2048, Pair::Rsa(pair), raw, spki)
            };
        Ok(Self {
            kind,
            pair,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
            raw_public,
            public: PublicKey::from_spki_der(&spki)?,
            random: SystemRandom::new(),
        })
    }

    /// Which of the two kinds it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The private key in PKCS#8 DER: to be sealed, never to be stored or shown as it is.
    #[must_use]
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }
}

impl Signer for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto("signing");
        match &self.pair {
            Pair::Ec(pair) => {
                let signature = pair.sign(&self.random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

// For certificate requests: rcgen signs with our key and so never sees a copy of it.
impl PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        &self.raw_public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.kind {
            KeyKind::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Signer::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKey")
            .field("kind", &self.kind)
            .field("private", &"redacted")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [KeyKind; 2] = [KeyKind::EcP256, KeyKind::Rsa2048];

    /// Both kinds sign what their public half verifies, and nothing else.
    #[test]
    fn signatures_verify_and_only_those() {
        for kind in KINDS {
            let key = DeviceKey::generate(kind).unwrap();
            let signature = Signer::sign(&key, b"message").unwrap();
            assert!(signature.len() <= 256, "FDMS takes at most 256 bytes");
            assert!(key.verify(b"message", &signature));
            assert!(!key.verify(b"massage", &signature));
            let other = DeviceKey::generate(kind).unwrap();
            assert!(!other.verify(b"message", &signature));
            let again = PublicKey::from_spki_der(key.public_key().spki_der()).unwrap();
            assert!(again.verify(b"message", &signature));
        }
    }

    /// ECDSA signatures are ASN.1 DER, never the raw pair that FDMS refuses; RSA repeats itself.
    #[test]
    fn signatures_have_the_form_fdms_wants() {
        let ec = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let signature = Signer::sign(&ec, b"message").unwrap();
        assert_eq!(signature[0], 0x30);
        assert_eq!(usize::from(signature[1]), signature.len() - 2);
        let rsa = DeviceKey::generate(KeyKind::Rsa2048).unwrap();
        let first = Signer::sign(&rsa, b"message").unwrap();
        assert_eq!(first.len(), 256);
        assert_eq!(first, Signer::sign(&rsa, b"message").unwrap());
    }

    /// A key survives being written and read, kind and public half included.
    #[test]
    fn keys_survive_pkcs8() {
        for kind in KINDS {
            let key = DeviceKey::generate(kind).unwrap();
            let again = DeviceKey::from_pkcs8(key.pkcs8()).unwrap();
            assert_eq!(again.kind(), kind);
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(kind.name().parse::<KeyKind>().unwrap(), kind);
        }
    }

    /// What FDMS would not take is refused when it is read, not when it is sent.
    #[test]
    fn other_keys_are_refused() {
        let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .unwrap();
        assert!(DeviceKey::from_pkcs8(p384.as_ref()).is_err());
        assert!(DeviceKey::from_pkcs8(b"no key at all").is_err());
        assert!(PublicKey::from_spki_der(b"no key at all").is_err());
    }

    /// Debug output has nothing of the key in it.
    #[test]
    fn debug_is_redacted() {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let text = format!("{key:?}");
        assert!(text.contains("redacted"), "{text}");
        assert!(text.len() < 80, "{text}");
    }
}
