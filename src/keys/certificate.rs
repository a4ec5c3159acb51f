//! Certificate requests as FDMS wants them, and the certificates it returns.
//!
//! The rules are docs/FDMS.md section 3. A request is checked here before it is sent, because a wrong
//! one (DEV03) may cost an activation key that works only once.

use std::fmt;

use aws_lc_rs::digest;
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{DeviceKey, KeyError, PublicKey, Signer};

/// The longest serial number that FDMS stores, in characters.
const SERIAL_MAX: usize = 20;

/// A PKCS#10 request in PEM for the device `device_id` with `serial_no`, signed with `key`.
///
/// The subject is the CN alone, or with `full_subject` also the three fixed fields; FDMS fills them in
/// anyway (docs/FDMS.md section 3).
///
/// # Errors
/// A serial number or device ID that FDMS cannot have given, or the cryptographic library failed.
pub fn certificate_request(
    key: &DeviceKey,
    serial_no: &str,
    device_id: u32,
    full_subject: bool,
) -> Result<String, KeyError> {
    let mut subject = DistinguishedName::new();
    if full_subject {
        let country = rcgen::string::PrintableString::try_from("ZW")
            .map_err(|_| KeyError::Crypto("naming the country"))?;
        subject.push(DnType::CountryName, DnValue::PrintableString(country));
        subject.push(DnType::StateOrProvinceName, "Zimbabwe");
        subject.push(DnType::OrganizationName, "Zimbabwe Revenue Authority");
    }
    subject.push(DnType::CommonName, common_name(serial_no, device_id)?);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params
        .serialize_request(key)
        .and_then(|request| request.pem())
        .map_err(|_| KeyError::Crypto("making the certificate request"))
}

/// `ZIMRA-<serial number>-<device ID in ten digits>`.
fn common_name(serial_no: &str, device_id: u32) -> Result<String, KeyError> {
    let length = serial_no.chars().count();
    if serial_no.trim() != serial_no || length == 0 || length > SERIAL_MAX {
        return Err(KeyError::Subject(format!(
            "the serial number `{serial_no}` must have 1 to {SERIAL_MAX} characters and no blank at its ends; \
             take the one that FDMS has for this device"
        )));
    }
    if serial_no.chars().any(char::is_control) {
        return Err(KeyError::Subject(
            "the serial number contains a control character; take the one that FDMS has for this device"
                .to_owned(),
        ));
    }
    if device_id == 0 || i32::try_from(device_id).is_err() {
        return Err(KeyError::Subject(format!(
            "{device_id} is no device ID; FDMS numbers devices from 1 to {}",
            i32::MAX
        )));
    }
    Ok(format!("ZIMRA-{serial_no}-{device_id:010}"))
}

/// A certificate in PEM, read once.
#[derive(Clone)]
pub struct Certificate {
    pem: String,
    chain_der: Vec<Vec<u8>>,
    not_before: Timestamp,
    not_after: Timestamp,
    common_name: String,
    thumbprint: String,
    public_key: PublicKey,
}

impl Certificate {
    /// Reads PEM. If it holds several certificates the first one counts, the rest is its chain.
    ///
    /// # Errors
    /// No certificate in it, a damaged one, or one whose key is neither P-256 nor RSA.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let unreadable = |why: String| KeyError::Certificate(why);
        // Seen where JSON was escaped twice on its way: a backslash and an n for each line end.
        let pem = pem.replace("\\r", "").replace("\\n", "\n");
        let mut chain_der = Vec::new();
        for part in Pem::iter_from_buffer(pem.as_bytes()) {
            let part = part.map_err(|error| unreadable(error.to_string()))?;
            if part.label == "CERTIFICATE" {
                chain_der.push(part.contents);
            }
        }
        let leaf_der = chain_der
            .first()
            .ok_or_else(|| unreadable("there is no CERTIFICATE block in it".to_owned()))?;
        let (_, leaf) =
            X509Certificate::from_der(leaf_der).map_err(|error| unreadable(error.to_string()))?;
        let instant = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| {
                unreadable("its period of validity is outside the calendar".to_owned())
            })
        };
        let common_name = leaf
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            not_before: instant(leaf.validity().not_before)?,
            not_after: instant(leaf.validity().not_after)?,
            common_name,
            thumbprint: thumbprint(leaf_der),
            public_key: PublicKey::from_spki_der(leaf.public_key().raw)?,
            pem,
            chain_der,
        })
    }

    /// The PEM it was read from, with real line ends.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// DER of the certificate and, if there was one, of its chain.
    #[must_use]
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.chain_der
    }

    /// The first instant at which it is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last instant at which it is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it is valid at `now`.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// The subject's CN, `ZIMRA-…` for a till; empty if it has none.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// SHA-1 of the DER in lower-case hex, FDMS's name for it. Compare without regard to case.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The certified public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether this is the certificate of `signer`'s key.
    #[must_use]
    pub fn belongs_to(&self, signer: &dyn Signer) -> bool {
        self.public_key == *signer.public_key()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("common_name", &self.common_name)
            .field("thumbprint", &self.thumbprint)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// SHA-1 serves as a name here, not as protection: FDMS calls certificates by it.
fn thumbprint(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
    use x509_parser::certification_request::X509CertificationRequest;

    use super::*;
    use crate::keys::KeyKind;

    fn issue(csr_pem: &str) -> String {
        let ca_key =
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.params.not_before = rcgen::date_time_ymd(2026, 5, 28);
        request.params.not_after = rcgen::date_time_ymd(2027, 5, 28);
        request.signed_by(&Issuer::new(ca, ca_key)).unwrap().pem()
    }

    /// The subject is the one that the authority registered, and the request proves the key, for both kinds.
    #[test]
    fn request_names_the_device_and_proves_its_key() {
        for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
            let key = DeviceKey::generate(kind).unwrap();
            let pem = certificate_request(&key, "SN: 0001", 42, false).unwrap();
            assert!(
                pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"),
                "{pem}"
            );
            assert!(pem.lines().count() > 3 && !pem.contains('\r'));
            let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
            let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
            request.verify_signature().unwrap();
            let subject = request.certification_request_info.subject.to_string();
            assert_eq!(subject, "CN=ZIMRA-SN: 0001-0000000042");
        }
    }

    /// The fixed fields have the only values that FDMS accepts.
    #[test]
    fn full_subject_has_the_fixed_fields() {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let pem = certificate_request(&key, "SN0001", 42, true).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
        assert_eq!(
            request.certification_request_info.subject.to_string(),
            "C=ZW, ST=Zimbabwe, O=Zimbabwe Revenue Authority, CN=ZIMRA-SN0001-0000000042"
        );
    }

    /// A request that FDMS would refuse is not made.
    #[test]
    fn impossible_subjects_are_refused() {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        for (serial, device) in [
            ("", 1),
            (" SN", 1),
            ("123456789012345678901", 1),
            ("S\nN", 1),
            ("SN", 0),
            ("SN", u32::MAX),
        ] {
            let error = certificate_request(&key, serial, device, false).unwrap_err();
            assert!(matches!(error, KeyError::Subject(_)), "{serial:?} {device}");
        }
    }

    /// What is read from an issued certificate is what was asked for, and it is told from a foreign one.
    #[test]
    fn certificates_are_read() {
        for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
            let key = DeviceKey::generate(kind).unwrap();
            let csr = certificate_request(&key, "SN0001", 42, false).unwrap();
            let certificate = Certificate::from_pem(&issue(&csr)).unwrap();
            assert_eq!(certificate.common_name(), "ZIMRA-SN0001-0000000042");
            assert_eq!(certificate.not_before().to_string(), "2026-05-28T00:00:00Z");
            assert_eq!(certificate.not_after().to_string(), "2027-05-28T00:00:00Z");
            assert!(certificate.is_valid_at("2027-05-28T00:00:00Z".parse().unwrap()));
            assert!(!certificate.is_valid_at("2027-05-28T00:00:01Z".parse().unwrap()));
            assert_eq!(certificate.thumbprint().len(), 40);
            assert!(certificate.belongs_to(&key));
            let signature = Signer::sign(&key, b"message").unwrap();
            assert!(certificate.public_key().verify(b"message", &signature));
            let other = DeviceKey::generate(kind).unwrap();
            assert!(!certificate.belongs_to(&other));
        }
    }

    /// PEM whose line ends were escaped on the way is still read; rubbish is an error with a reason.
    #[test]
    fn odd_pem_is_read_and_rubbish_is_not() {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let csr = certificate_request(&key, "SN0001", 42, false).unwrap();
        let pem = issue(&csr);
        let escaped = pem.replace('\n', "\\n");
        let plain = Certificate::from_pem(&pem).unwrap();
        assert_eq!(
            Certificate::from_pem(&escaped).unwrap().thumbprint(),
            plain.thumbprint()
        );
        assert!(Certificate::from_pem("").is_err());
        assert!(Certificate::from_pem(&csr).is_err());
        assert!(Certificate::from_pem(&pem.replace("MII", "AAA")).is_err());
    }
}
