//! A certificate and key that were made elsewhere: PEM files, or a PKCS#12 file with both.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::{Certificate, DeviceKey, KeyError};

/// A certificate and its key, which belong together.
#[derive(Debug)]
pub struct Imported {
    /// The certificate with its chain.
    pub certificate: Certificate,
    /// Its private key.
    pub key: DeviceKey,
}

impl Imported {
    /// Reads two texts in PEM. The key may be PKCS#8, PKCS#1 or SEC1, and must not be encrypted.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| KeyError::Import(
            "the key is no private key in PEM; if it is encrypted, take the encryption off first (openssl pkey -in FILE)"
                .to_owned(),
        ))?;
        let key = match &der {
            PrivateKeyDer::Pkcs8(pkcs8) => DeviceKey::from_pkcs8(pkcs8.secret_pkcs8_der())?,
            PrivateKeyDer::Sec1(sec1) => {
                let pair = EcdsaKeyPair::from_private_key_der(
                    &ECDSA_P256_SHA256_ASN1_SIGNING,
                    sec1.secret_sec1_der(),
                );
                let pair = pair.map_err(|_| KeyError::PrivateKey)?;
                let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::PrivateKey)?;
                DeviceKey::from_pkcs8(pkcs8.as_ref())?
            }
            PrivateKeyDer::Pkcs1(pkcs1) => {
                let pair = RsaKeyPair::from_der(pkcs1.secret_pkcs1_der());
                let pair = pair.map_err(|_| KeyError::PrivateKey)?;
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::PrivateKey)?;
                DeviceKey::from_pkcs8(pkcs8.as_ref())?
            }
            _ => return Err(KeyError::PrivateKey),
        };
        Self::together(Certificate::from_pem(certificate)?, key)
    }

    /// Reads a PKCS#12 file.
    ///
    /// # Errors
    /// The passphrase is wrong, there is no certificate with a key in it, or they do not belong together.
    pub fn from_pkcs12(file: &[u8], passphrase: &str) -> Result<Self, KeyError> {
        let store = KeyStore::from_pkcs12(file, passphrase, Pkcs12ImportPolicy::Relaxed).map_err(
            |error| {
                KeyError::Import(format!(
                    "the PKCS#12 file does not open ({error}); is the passphrase right?"
                ))
            },
        )?;
        let (_, chain) = store.private_key_chain().ok_or_else(|| {
            KeyError::Import("the PKCS#12 file holds no certificate with a private key".to_owned())
        })?;
        let mut pem = String::new();
        for certificate in chain.certs() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            let text = STANDARD.encode(certificate.as_der());
            for line in text.as_bytes().chunks(64) {
                pem.push_str(&String::from_utf8_lossy(line));
                pem.push('\n');
            }
            pem.push_str("-----END CERTIFICATE-----\n");
        }
        let key = Zeroizing::new(chain.key().as_der().to_vec());
        Self::together(Certificate::from_pem(&pem)?, DeviceKey::from_pkcs8(&key)?)
    }

    fn together(certificate: Certificate, key: DeviceKey) -> Result<Self, KeyError> {
        if !certificate.belongs_to(&key) {
            let name = certificate.common_name();
            let why = format!("the certificate of {name} and the key do not belong together");
            return Err(KeyError::Import(why));
        }
        Ok(Self { certificate, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyKind;
    use rcgen::{CertificateParams, KeyPair};

    fn certificate(key: &DeviceKey) -> String {
        let pair = KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
        let params = CertificateParams::new(vec!["till.example".to_owned()]).unwrap();
        params.self_signed(&pair).unwrap().pem()
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(der)
        )
    }

    /// Both kinds of key, PKCS#8; a key of somebody else's is told apart.
    #[test]
    fn pem_of_both_kinds() {
        for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
            let key = DeviceKey::generate(kind).unwrap();
            let text = pem("PRIVATE KEY", key.pkcs8());
            let imported = Imported::from_pem(&certificate(&key), &text).unwrap();
            assert_eq!(imported.key.kind(), kind);
            let other = DeviceKey::generate(kind).unwrap();
            let error = Imported::from_pem(&certificate(&other), &text).unwrap_err();
            assert!(
                error.to_string().contains("do not belong together"),
                "{error}"
            );
        }
        assert!(Imported::from_pem("", "no key at all").is_err());
    }

    /// PKCS#12 as this library's like write it; a wrong passphrase says so.
    #[test]
    fn pkcs12() {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let (_, der) = x509_parser::pem::parse_x509_pem(certificate(&key).as_bytes()).unwrap();
        let chain = p12_keystore::PrivateKeyChain::new(
            "till",
            p12_keystore::PrivateKey::from_der(key.pkcs8()).unwrap(),
            [p12_keystore::Certificate::from_der(&der.contents).unwrap()],
        );
        let mut store = KeyStore::new();
        store.add_entry("till", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
        let file = store.writer("secret").write().unwrap();
        let imported = Imported::from_pkcs12(&file, "secret").unwrap();
        assert_eq!(imported.key.pkcs8().as_slice(), key.pkcs8().as_slice());
        let error = Imported::from_pkcs12(&file, "wrong")
            .unwrap_err()
            .to_string();
        assert!(error.contains("passphrase"), "{error}");
    }
}
