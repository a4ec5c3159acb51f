//! TLS towards FDMS: whom we trust, as whom we appear, and by which clock certificates are judged.
//!
//! rustls with aws-lc-rs. The roots are the machine's own (Debian's `ca-certificates`) and, for a
//! sandbox or a proxy, one more that the configuration names. The clock is the injected one: a
//! simulated year must not run into certificates that the system clock calls expired.

use std::fmt;
use std::sync::Arc;

use clock::SharedClock;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::keys::{Certificate, DeviceKey};

/// The certificate authorities that may vouch for FDMS. Load once, share between tills.
#[derive(Clone)]
pub struct TrustRoots(Arc<RootCertStore>);

/// Why no TLS connection can be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The machine trusts nobody.
    #[error(
        "this machine has no trusted root certificates ({0}), so FDMS could not prove who it is; install them with: apt install ca-certificates"
    )]
    NoRoots(String),
    /// The configured extra authority is no certificate.
    #[error(
        "the extra certificate authority is not usable ({0}); it must be a CA certificate in PEM"
    )]
    ExtraCa(String),
    /// Key or certificate of the till do not serve for TLS.
    #[error(
        "key and certificate of the till cannot be used for TLS ({0}); register the device or restore its key"
    )]
    Identity(String),
}

impl TrustRoots {
    /// The machine's roots and those in `extra_ca_pem`.
    ///
    /// # Errors
    /// `extra_ca_pem` holds no CA certificate; or there is none and the machine has no roots either.
    pub fn load(extra_ca_pem: Option<&str>) -> Result<Self, TlsError> {
        Self::combine(rustls_native_certs::load_native_certs(), extra_ca_pem)
    }

    fn combine(
        system: rustls_native_certs::CertificateResult,
        extra_ca_pem: Option<&str>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        // Single bad files in the system's folder are none of our business, an empty folder is.
        roots.add_parsable_certificates(system.certs);
        if let Some(pem) = extra_ca_pem {
            let mut any = false;
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate =
                    certificate.map_err(|error| TlsError::ExtraCa(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| TlsError::ExtraCa(error.to_string()))?;
                any = true;
            }
            if !any {
                return Err(TlsError::ExtraCa(
                    "there is no CERTIFICATE block in it".to_owned(),
                ));
            }
        }
        if roots.is_empty() {
            let why = match system.errors.first() {
                Some(error) => error.to_string(),
                None => "its certificate store is empty".to_owned(),
            };
            return Err(TlsError::NoRoots(why));
        }
        Ok(Self(Arc::new(roots)))
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustRoots({} authorities)", self.0.len())
    }
}

/// The injected clock in rustls's words.
#[derive(Debug)]
struct InjectedTime(SharedClock);

impl TimeProvider for InjectedTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = self.0.wall().as_duration();
        // Before 1970 there is no certificate to judge: rustls then ends the handshake.
        std::time::Duration::try_from(since_epoch)
            .ok()
            .map(UnixTime::since_unix_epoch)
    }
}

/// A TLS configuration for a server that asks for no certificate of ours: head office.
///
/// # Errors
/// The library cannot be used.
pub fn server_only(roots: &TrustRoots, clock: &SharedClock) -> Result<ClientConfig, TlsError> {
    client_config(roots, clock, None)
}

/// A TLS configuration that trusts `roots`, goes by `clock` and appears as `identity`, if given.
pub(super) fn client_config(
    roots: &TrustRoots,
    clock: &SharedClock,
    identity: Option<(&Certificate, &DeviceKey)>,
) -> Result<ClientConfig, TlsError> {
    let unusable = |error: rustls::Error| TlsError::Identity(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let time = Arc::new(InjectedTime(Arc::clone(clock)));
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(Arc::clone(&roots.0));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            // Parsed from a borrow: rustls gets no copy of the private key's bytes.
            let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8().as_slice()));
            let signing =
                rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).map_err(unusable)?;
            let chain = certificate.chain_der().iter();
            let chain = chain.map(|der| CertificateDer::from(der.clone())).collect();
            let certified = CertifiedKey::new(chain, signing);
            certified.keys_match().map_err(unusable)?;
            let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
            builder.with_client_cert_resolver(resolver)
        }
    };
    Ok(config)
}

/// What a TLS error says about who is to blame.
pub(super) enum Blame {
    /// The server could not prove who it is.
    Server(String),
    /// The server does not take our certificate.
    OurCertificate(String),
}

/// Reads a TLS error for the two cases that a person must hear of; others are mere lost connections.
pub(super) fn blame(error: &rustls::Error) -> Option<Blame> {
    use rustls::{AlertDescription as Alert, CertificateError as Cert, Error};
    match error {
        Error::InvalidCertificate(reason) => {
            let hint = match reason {
                Cert::Expired
                | Cert::ExpiredContext { .. }
                | Cert::NotValidYet
                | Cert::NotValidYetContext { .. } => "; or this machine's clock is wrong",
                Cert::UnknownIssuer | Cert::BadSignature => {
                    "; if this is a sandbox or a proxy, name its certificate authority in the configuration"
                }
                _ => "",
            };
            Some(Blame::Server(format!("{error}{hint}")))
        }
        Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            // Issued by a namesake of the server's authority, as after a sandbox was set up anew.
            | Alert::DecryptError),
        ) => Some(Blame::OurCertificate(format!(
            "the server ended the TLS handshake with {alert:?}"
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clock::SystemClock;

    use super::*;
    use crate::keys::KeyKind;

    fn no_system_roots() -> rustls_native_certs::CertificateResult {
        rustls_native_certs::CertificateResult::default()
    }

    fn some_ca() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    }

    /// A machine without ca-certificates is told what to install; an extra authority is enough.
    #[test]
    fn missing_roots_are_explained() {
        let error = TrustRoots::combine(no_system_roots(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("apt install ca-certificates"), "{error}");
        let roots = TrustRoots::combine(no_system_roots(), Some(&some_ca())).unwrap();
        assert_eq!(format!("{roots:?}"), "TrustRoots(1 authorities)");
    }

    /// An extra authority that is none is refused, even if the machine has others.
    #[test]
    fn useless_extra_authority_is_refused() {
        for pem in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = TrustRoots::load(Some(pem)).unwrap_err();
            assert!(matches!(error, TlsError::ExtraCa(_)), "{pem}: {error}");
        }
    }

    /// Somebody else's certificate is noticed before a connection is tried.
    #[test]
    fn key_and_certificate_must_match() {
        let roots = TrustRoots::combine(no_system_roots(), Some(&some_ca())).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
            let key = DeviceKey::generate(kind).unwrap();
            let params = rcgen::CertificateParams::default();
            let own = Certificate::from_pem(&params.self_signed(&key).unwrap().pem()).unwrap();
            assert!(client_config(&roots, &clock, Some((&own, &key))).is_ok());
            let foreign = DeviceKey::generate(kind).unwrap();
            let error = client_config(&roots, &clock, Some((&own, &foreign))).unwrap_err();
            assert!(matches!(error, TlsError::Identity(_)), "{error}");
        }
    }
}
