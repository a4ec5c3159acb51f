//! The certificate of the service and its key, in files that somebody renews: read at the start, and again when it is told
//! to. Connections that are open stay open; a pair that cannot be used is not taken, and the one before it goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificates cannot be read.
    #[error("HQ_TLS_CERT: {0}: {1}")]
    Certificate(String, String),
    /// The key cannot be read.
    #[error("HQ_TLS_KEY: {0}: {1}")]
    Key(String, String),
    /// They do not belong together, or are of a kind that is not spoken.
    #[error("HQ_TLS_KEY does not fit HQ_TLS_CERT: {0}")]
    Apart(#[from] rustls::Error),
}

/// What is shown to whoever connects.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    used: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn read(certificate: PathBuf, key: PathBuf) -> Result<Arc<Self>, CertificateError> {
        let used = pair(&certificate, &key)?;
        Ok(Arc::new(Self {
            certificate,
            key,
            used: RwLock::new(Arc::new(used)),
        }))
    }

    /// Reads the files again; new connections are shown what is in them now.
    ///
    /// # Errors
    /// As [`Self::read`]; what was used goes on.
    pub fn read_again(&self) -> Result<(), CertificateError> {
        let next = Arc::new(pair(&self.certificate, &self.key)?);
        *self.used.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// TLS that shows them.
    ///
    /// # Errors
    /// This build speaks no TLS.
    pub fn config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&used))
    }
}

fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let unreadable =
        |why: String| CertificateError::Certificate(certificate.display().to_string(), why);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("there is no certificate in it".to_owned()));
    }
    let path = key.display().to_string();
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| CertificateError::Key(path, error.to_string()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(CertifiedKey::from_der(chain, key, &provider)?)
}
