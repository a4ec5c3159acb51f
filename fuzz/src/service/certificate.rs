//! Certificates, as FDMS, a shop's file or a technician's clipboard bring them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fiscald::inspect::signing_key;
use fiscald::keys::{Certificate, Imported, PublicKey};

/// The first byte of a certificate in DER; no PEM begins with it, because a `0` is no label's.
const DER: u8 = 0x30;

/// PEM as a text, or DER that the harness dresses as PEM.
pub(crate) fn run(data: &[u8]) {
    if data.first() == Some(&DER) {
        read(&dressed(data));
        key(data);
    } else {
        read(&String::from_utf8_lossy(data));
    }
}

fn dressed(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn read(pem: &str) {
    // No bytes are a key by chance: nothing is taken for one that is none.
    assert!(Imported::from_pem(pem, pem).is_err());
    assert!(signing_key(pem).is_err());
    let Ok(certificate) = Certificate::from_pem(pem) else {
        return;
    };
    if certificate.pem().contains('\\') {
        // Something else stands around it; what is escaped in there is nobody's affair.
        return;
    }
    same(&certificate, certificate.pem());
    // Escaped once more on its way, with either end of a line.
    same(&certificate, &certificate.pem().replace('\n', "\\n"));
    let (leaf, chain) = certificate
        .chain_der()
        .split_first()
        .expect("there is a certificate in it");
    let alone = Certificate::from_pem(&dressed(leaf)).expect("a certificate is read by itself");
    assert_eq!(alone.thumbprint(), certificate.thumbprint());
    assert_eq!(alone.common_name(), certificate.common_name());
    assert_eq!(alone.chain_der().len(), 1);
    let whole: String = std::iter::once(leaf)
        .chain(chain)
        .map(|der| dressed(der))
        .collect();
    same(&certificate, &whole);
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(certificate.thumbprint().len() == 40 && certificate.thumbprint().bytes().all(hex));
    let is_valid = |at| certificate.is_valid_at(at);
    let ends = (certificate.not_before(), certificate.not_after());
    assert_eq!(is_valid(ends.0), ends.0 <= ends.1);
    assert_eq!(is_valid(ends.1), ends.0 <= ends.1);
    let public = certificate.public_key();
    key(public.spki_der());
    // Whatever the key: a signature that nobody made fits nothing.
    assert!(!public.verify(b"receipt", leaf));
}

/// The same certificates by another text.
fn same(certificate: &Certificate, pem: &str) {
    let again = Certificate::from_pem(pem).expect("what was read is read again");
    assert_eq!(again.chain_der(), certificate.chain_der());
    assert_eq!(again.thumbprint(), certificate.thumbprint());
    assert_eq!(again.public_key(), certificate.public_key());
    let validity = |of: &Certificate| (of.not_before(), of.not_after());
    assert_eq!(validity(&again), validity(certificate));
}

/// A key that is read is the one that was written.
fn key(spki: &[u8]) {
    if let Ok(key) = PublicKey::from_spki_der(spki) {
        assert_eq!(key.spki_der(), spki);
        assert!(!key.verify(b"receipt", b""));
    }
}
