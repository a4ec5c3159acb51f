//! Reading a device's certificate request.
//!
//! A PKCS#10 request in PEM with real newlines, a P-256 or RSA 2048 key, signed with SHA-256; the common
//! name names the device, and country, state and organisation, if given, are the authority's
//! (docs/FDMS.md section 3).

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::signing::DeviceKey;

/// ecdsa-with-SHA256.
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
/// sha256WithRSAEncryption.
const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
/// secp256r1, as the parameter of an EC key.
const P256: &str = "1.2.840.10045.3.1.7";

/// A request that may be granted.
#[derive(Debug)]
pub(crate) struct DeviceRequest {
    pub(crate) common_name: String,
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public_key_info: Vec<u8>,
    pub(crate) key: DeviceKey,
}

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsrError {
    /// Not a request of the right kind, or not signed by its own key.
    #[error("{0}")]
    Invalid(String),
    /// The subject is not the device's.
    #[error("{0}")]
    Subject(String),
}

fn invalid(what: impl Into<String>) -> CsrError {
    CsrError::Invalid(what.into())
}

/// Reads a request and checks it for the device with this common name.
pub(crate) fn read(pem: &str, common_name: &str) -> Result<DeviceRequest, CsrError> {
    if !pem.trim_end().contains('\n') {
        return Err(invalid("The request is not PEM: it has no line breaks."));
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| invalid(format!("The request is not PEM: {error}")))?;
    let (_, request) = X509CertificationRequest::from_der(&der)
        .map_err(|error| invalid(format!("The request is not PKCS#10: {error}")))?;
    let info = &request.certification_request_info;
    let key = device_key(
        &info.subject_pki,
        &request.signature_algorithm.algorithm.to_id_string(),
    )?;
    request
        .verify_signature()
        .map_err(|_| invalid("The request is not signed by its own key."))?;
    check_subject(&info.subject, common_name)?;
    Ok(DeviceRequest {
        common_name: common_name.to_owned(),
        public_key_info: info.subject_pki.raw.to_vec(),
        key,
    })
}

fn device_key(info: &SubjectPublicKeyInfo<'_>, signed_with: &str) -> Result<DeviceKey, CsrError> {
    let raw = info.subject_public_key.data.to_vec();
    let parsed = info
        .parsed()
        .map_err(|_| invalid("The request's key cannot be read."))?;
    match parsed {
        PublicKey::EC(_) => {
            let parameters = info.algorithm.parameters.as_ref();
            let curve = parameters.and_then(|p| p.as_oid().ok());
            if curve.is_none_or(|curve| curve.to_id_string() != P256) || signed_with != ECDSA_SHA256
            {
                return Err(invalid("An EC key must be P-256 and sign with SHA-256."));
            }
            Ok(DeviceKey::P256(raw))
        }
        PublicKey::RSA(key) => {
            if key.key_size() != 2048 || signed_with != RSA_SHA256 {
                return Err(invalid(
                    "An RSA key must have 2048 bits and sign with SHA-256.",
                ));
            }
            Ok(DeviceKey::Rsa(raw))
        }
        _ => Err(invalid("The request's key is neither P-256 nor RSA.")),
    }
}

fn check_subject(subject: &X509Name<'_>, common_name: &str) -> Result<(), CsrError> {
    let names: Vec<_> = subject.iter_common_name().collect();
    let [name] = names.as_slice() else {
        return Err(CsrError::Subject(
            "The subject must have one CN.".to_owned(),
        ));
    };
    if name.as_str().ok() != Some(common_name) {
        return Err(CsrError::Subject(format!(
            "The subject's CN must be {common_name}."
        )));
    }
    let optional = [
        ("C", "ZW", subject.iter_country().next()),
        ("ST", "Zimbabwe", subject.iter_state_or_province().next()),
        (
            "O",
            "Zimbabwe Revenue Authority",
            subject.iter_organization().next(),
        ),
    ];
    for (field, expected, found) in optional {
        if found.is_some_and(|found| found.as_str().ok() != Some(expected)) {
            return Err(CsrError::Subject(format!(
                "The subject's {field} must be {expected}."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    const NAME: &str = "ZIMRA-SN 0001:2-0000000042";

    fn request(key: &KeyPair, names: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    /// P-256 and RSA 2048 are taken, with and without the optional fields.
    #[test]
    fn good_requests_are_taken() {
        let ec = KeyPair::generate().unwrap();
        let read_ec = read(&request(&ec, &[(DnType::CommonName, NAME)]), NAME).unwrap();
        assert_eq!(read_ec.key, DeviceKey::P256(ec.public_key_raw().to_vec()));
        let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let all = [
            (DnType::CountryName, "ZW"),
            (DnType::StateOrProvinceName, "Zimbabwe"),
            (DnType::OrganizationName, "Zimbabwe Revenue Authority"),
            (DnType::CommonName, NAME),
        ];
        let read_rsa = read(&request(&rsa, &all), NAME).unwrap();
        assert!(matches!(read_rsa.key, DeviceKey::Rsa(_)));
    }

    /// Everything else is refused, a wrong subject apart from the rest.
    #[test]
    fn bad_requests_are_refused() {
        let ec = KeyPair::generate().unwrap();
        let good = request(&ec, &[(DnType::CommonName, NAME)]);
        let is_invalid = |pem: &str| matches!(read(pem, NAME), Err(CsrError::Invalid(_)));
        assert!(is_invalid("hello"));
        assert!(is_invalid(&good.replace('\n', "\\n")));
        assert!(is_invalid(&good.replace('\n', "")));
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(is_invalid(&request(&p384, &[(DnType::CommonName, NAME)])));
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072);
        let rsa = rsa.unwrap();
        assert!(is_invalid(&request(&rsa, &[(DnType::CommonName, NAME)])));

        let has_wrong_subject =
            |names: &[_]| matches!(read(&request(&ec, names), NAME), Err(CsrError::Subject(_)));
        assert!(has_wrong_subject(&[(
            DnType::CommonName,
            "ZIMRA-SN0001-42"
        )]));
        assert!(has_wrong_subject(&[]));
        let wrong_country = [(DnType::CommonName, NAME), (DnType::CountryName, "KE")];
        assert!(has_wrong_subject(&wrong_country));
    }
}
