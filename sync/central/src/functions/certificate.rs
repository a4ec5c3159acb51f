//! A certificate and its key as they are uploaded: read, and found to belong together and to the till.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Timestamp;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::{Digest as _, Sha1};
use sync_wire::TillRef;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::credentials::Upload;
use crate::problem::Problem;

/// The object identifier of the curve P-256.
const P256: &str = "1.2.840.10045.3.1.7";

/// A certificate and its key.
pub(super) struct Pair {
    /// The certificate with its chain, PEM with real line ends.
    pub(super) certificate: String,
    /// The key, PEM as it came.
    pub(super) key: Zeroizing<String>,
    /// SHA-1 of the certificate, hex.
    pub(super) thumbprint: String,
    /// Valid from
    pub(super) valid_from: Timestamp,
    /// till.
    pub(super) valid_till: Timestamp,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Pair");
        shown
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// Both as they were given, in PEM.
pub(super) struct Given {
    certificate: String,
    key: Zeroizing<String>,
    /// They came in one file.
    is_pkcs12: bool,
}

/// What an upload gives: two texts in PEM, or a PKCS#12 file that holds both.
///
/// # Errors
/// One is missing, both ways are used at once, or the file does not open.
pub(super) async fn given(upload: Upload) -> Result<Given, Problem> {
    let there = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let key = there(upload.key).map(Zeroizing::new);
    let passphrase = Zeroizing::new(upload.passphrase.unwrap_or_default());
    match (there(upload.certificate), key, there(upload.pkcs12)) {
        (Some(certificate), Some(key), None) => Ok(Given {
            certificate,
            key,
            is_pkcs12: false,
        }),
        (None, None, Some(file)) => {
            // Opening it costs as much time as whoever made it has wanted.
            let opened = tokio::task::spawn_blocking(move || opened(&file, &passphrase)).await;
            opened.map_err(|error| Problem::defect(&error))?
        }
        (_, _, Some(_)) => Err(Problem::field(
            "/pkcs12",
            "a PKCS#12 file holds the certificate and its key: leave `certificate` and `key` out, or the file",
        )),
        (None, _, None) => Err(wrong(
            "the certificate is missing: send `certificate` and `key` in PEM, or `pkcs12`",
        )),
        (_, None, None) => Err(Problem::field(
            "/key",
            "the private key of the certificate is missing",
        )),
    }
}

/// Opens a PKCS#12 file.
fn opened(file: &str, passphrase: &str) -> Result<Given, Problem> {
    let wrong = |why: String| Problem::field("/pkcs12", why);
    let text: String = file.chars().filter(|char| !char.is_whitespace()).collect();
    let bytes = STANDARD.decode(text).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| wrong(format!("the file is not in Base64: {error}")))?;
    let store = KeyStore::from_pkcs12(&bytes, passphrase, Pkcs12ImportPolicy::Relaxed);
    let store = store.map_err(|error| {
        wrong(format!(
            "the PKCS#12 file does not open ({error}): check the passphrase, and that this is the whole .p12 or .pfx file"
        ))
    })?;
    let (_, chain) = store.private_key_chain().ok_or_else(|| {
        wrong("the PKCS#12 file holds no certificate with a private key".to_owned())
    })?;
    let certificates = chain.certs().iter();
    Ok(Given {
        certificate: certificates
            .map(|certificate| pem("CERTIFICATE", certificate.as_der()).to_string())
            .collect(),
        key: pem("PRIVATE KEY", chain.key().as_der()),
        is_pkcs12: true,
    })
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(text.len() + text.len() / 32 + 100));
    let lines = text.as_bytes().chunks(64);
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    let (first, last) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    for line in [first.as_str()]
        .into_iter()
        .chain(lines)
        .chain([last.as_str()])
    {
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn wrong(why: impl Into<String>) -> Problem {
    Problem::field("/certificate", why)
}

/// Reads both, and checks them (docs/FDMS.md section 3).
///
/// # Errors
/// One cannot be read, they do not belong together, the name is not the till's, the period is not now, or the key is of a kind that
/// FDMS does not take.
pub(super) fn read(
    given: Given,
    till: TillRef,
    serial_no: &str,
    now: Timestamp,
) -> Result<Pair, Problem> {
    let is_pkcs12 = given.is_pkcs12;
    checked(given, till, serial_no, now).map_err(|problem| {
        // Where they came in one file, that is what is wrong.
        let pointer = problem.pointer.filter(|_| !is_pkcs12);
        Problem {
            pointer: pointer.or_else(|| Some("/pkcs12".to_owned())),
            ..problem
        }
    })
}

fn checked(given: Given, till: TillRef, serial_no: &str, now: Timestamp) -> Result<Pair, Problem> {
    let Given {
        certificate, key, ..
    } = given;
    // Seen where JSON was escaped twice on its way: a backslash and an n for each line end.
    let certificate = certificate.replace("\\r", "").replace("\\n", "\n");
    let key = Zeroizing::new(key.replace("\\r", "").replace("\\n", "\n"));
    let der = leaf(&certificate)?;
    let (_, leaf) = X509Certificate::from_der(&der)
        .map_err(|error| wrong(format!("the certificate cannot be read: {error}")))?;
    let expected = format!("ZIMRA-{serial_no}-{:010}", till.device_id);
    let name = leaf.subject().iter_common_name().next();
    let name = name.and_then(|name| name.as_str().ok()).unwrap_or_default();
    if name != expected {
        return Err(wrong(format!(
            "this is the certificate of `{name}`, but the till's name is `{expected}`: take the one that was issued for \
             this till, or put its serial number right"
        )));
    }
    let moment = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp())
            .map_err(|_| wrong("its period of validity is outside the calendar"))
    };
    let valid_from = moment(leaf.validity().not_before)?;
    let valid_till = moment(leaf.validity().not_after)?;
    if now < valid_from {
        return Err(wrong(format!(
            "the certificate is valid only from {valid_from} on"
        )));
    }
    if now > valid_till {
        return Err(wrong(format!("the certificate has ended on {valid_till}")));
    }
    kind(&leaf)?;
    belongs(&leaf, &key)?;
    let thumbprint: String = Sha1::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Pair {
        certificate,
        key,
        thumbprint,
        valid_from,
        valid_till,
    })
}

/// The first certificate of the text: the others are its chain.
fn leaf(certificate: &str) -> Result<Vec<u8>, Problem> {
    for part in Pem::iter_from_buffer(certificate.as_bytes()) {
        let part = part.map_err(|error| wrong(format!("this is no PEM: {error}")))?;
        if part.label == "CERTIFICATE" {
            return Ok(part.contents);
        }
        if part.label.contains("PRIVATE KEY") {
            return Err(wrong(
                "there is a private key among the certificates: put it under `key`, alone",
            ));
        }
    }
    Err(wrong("there is no CERTIFICATE block in it"))
}

/// EC P-256 or RSA 2048: FDMS takes no other.
fn kind(leaf: &X509Certificate<'_>) -> Result<(), Problem> {
    let info = leaf.public_key();
    let good = match info.parsed() {
        Ok(PublicKey::EC(_)) => info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.as_oid().ok())
            .is_some_and(|oid| oid.to_id_string() == P256),
        Ok(PublicKey::RSA(rsa)) => rsa.key_size() == 2048,
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(wrong(
        "FDMS takes keys of the kinds EC P-256 and RSA 2048 alone; this is another",
    ))
}

/// The key is the certificate's.
fn belongs(leaf: &X509Certificate<'_>, key: &str) -> Result<(), Problem> {
    let wrong = |why: &str| Problem::field("/key", why);
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        wrong(
            "this is no private key in PEM; if it is encrypted, take the encryption off first (openssl pkey -in FILE)",
        )
    })?;
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)
        .map_err(|_| wrong("this private key cannot be used: it is damaged, or of another kind than EC P-256 and RSA"))?;
    let public = signing
        .public_key()
        .ok_or_else(|| wrong("the public half of this private key cannot be told"))?;
    if public.as_ref() == leaf.public_key().raw {
        return Ok(());
    }
    Err(wrong("the certificate and the key do not belong together"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use sync_wire::Environment;

    use super::*;

    const TILL: TillRef = TillRef {
        environment: Environment::Test,
        device_id: 42,
    };

    fn made(name: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.self_signed(key).unwrap().pem()
    }

    fn check(certificate: &str, key: &KeyPair, now: &str) -> Result<Pair, Problem> {
        let key = Zeroizing::new(key.serialize_pem());
        let given = Given {
            certificate: certificate.to_owned(),
            key,
            is_pkcs12: false,
        };
        read(given, TILL, "SN1", now.parse().unwrap())
    }

    fn upload(pkcs12: Option<String>, passphrase: &str) -> Upload {
        Upload {
            environment: "test".to_owned(),
            device_id: 42,
            label: "first".to_owned(),
            certificate: None,
            key: None,
            pkcs12,
            passphrase: Some(passphrase.to_owned()),
        }
    }

    /// A file as other software writes it, with its passphrase; its faults have their own sentences.
    #[tokio::test]
    async fn a_file_with_both() {
        let key = KeyPair::generate().unwrap();
        let certificate = made("ZIMRA-SN1-0000000042", &key);
        let file = pkcs12(&certificate, &key, "secret");
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        let given_whole = given(upload(Some(file.clone()), "secret")).await.unwrap();
        let pair = read(given_whole, TILL, "SN1", now).unwrap();
        let plain = check(&certificate, &key, "2026-06-01T00:00:00Z").unwrap();
        assert_eq!(pair.thumbprint, plain.thumbprint);
        assert_eq!(pair.key.lines().count(), plain.key.lines().count());
        let other = given(upload(Some(file.clone()), "secret")).await.unwrap();
        let refused = read(other, TILL, "SN2", now).unwrap_err();
        assert_eq!(refused.pointer.as_deref(), Some("/pkcs12"));
        assert!(refused.detail.contains("`ZIMRA-SN2-0000000042`"));
        let mut both = upload(Some(file.clone()), "secret");
        both.key = Some("a key".to_owned());
        let cut = file[..file.len() / 8 * 4].to_owned();
        for (upload, pointer, why) in [
            (upload(Some(file), "wrong"), "/pkcs12", "passphrase"),
            (upload(Some(cut), "secret"), "/pkcs12", "whole"),
            (upload(Some("*".to_owned()), ""), "/pkcs12", "Base64"),
            (both, "/pkcs12", "leave"),
            (upload(None, ""), "/certificate", "missing"),
        ] {
            let problem = given(upload).await.err().unwrap();
            assert_eq!(problem.pointer.as_deref(), Some(pointer), "{problem:?}");
            assert!(problem.detail.contains(why), "{problem:?}");
            assert!(!problem.detail.contains("secret"), "{problem:?}");
        }
    }

    fn pkcs12(certificate: &str, key: &KeyPair, passphrase: &str) -> String {
        let der = leaf(certificate).unwrap();
        let chain = p12_keystore::PrivateKeyChain::new(
            "till",
            p12_keystore::PrivateKey::from_der(&key.serialize_der()).unwrap(),
            [p12_keystore::Certificate::from_der(&der).unwrap()],
        );
        let mut store = KeyStore::new();
        store.add_entry("till", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
        STANDARD.encode(store.writer(passphrase).write().unwrap())
    }

    /// Both kinds that FDMS takes; line ends that were escaped on the way do no harm.
    #[test]
    fn what_fdms_takes() {
        let ec = KeyPair::generate().unwrap();
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        for key in [ec, rsa.unwrap()] {
            let pem = made("ZIMRA-SN1-0000000042", &key);
            let pair = check(&pem, &key, "2026-06-01T00:00:00Z").unwrap();
            assert_eq!(pair.thumbprint.len(), 40);
            assert_eq!(pair.valid_till.to_string(), "2027-01-01T00:00:00Z");
            let escaped = pem.replace('\n', "\\n");
            let again = check(&escaped, &key, "2026-06-01T00:00:00Z").unwrap();
            assert_eq!(again.thumbprint, pair.thumbprint);
            assert!(!format!("{pair:?}").contains("PRIVATE"));
        }
    }

    /// Each fault has its own sentence, and is laid to the member that has it.
    #[test]
    fn what_is_refused() {
        let key = KeyPair::generate().unwrap();
        let good = made("ZIMRA-SN1-0000000042", &key);
        let now = "2026-06-01T00:00:00Z";
        let why = |certificate: &str, key: &KeyPair, now: &str| {
            let problem = check(certificate, key, now).unwrap_err();
            format!("{}: {}", problem.pointer.unwrap(), problem.detail)
        };
        let other = KeyPair::generate().unwrap();
        assert!(
            why(&good, &other, now).starts_with("/key: the certificate and the key do not belong")
        );
        assert!(why(&good, &key, "2027-06-01T00:00:00Z").contains("has ended"));
        assert!(why(&good, &key, "2025-06-01T00:00:00Z").contains("only from"));
        let foreign = made("ZIMRA-SN1-0000000043", &key);
        assert!(why(&foreign, &key, now).contains("`ZIMRA-SN1-0000000042`"));
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(why(&made("ZIMRA-SN1-0000000042", &p384), &p384, now).contains("EC P-256"));
        assert!(why("", &key, now).contains("no CERTIFICATE"));
        assert!(why(&key.serialize_pem(), &key, now).contains("under `key`"));
    }
}
