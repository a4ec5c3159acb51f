//! A server on this machine that is not who it should be: FDMS, or head office. It answers what it is told to.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Somebody who issues certificates.
pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

/// What is answered to a request: the bytes behind the blank line of its head are its body.
pub(super) type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// An answer in which this stands is the last one.
const CLOSE: &[u8] = b"\r\nconnection: close\r\n";

/// The server, and what it was told in the clear of TLS.
pub(super) struct Stranger {
    pub(super) port: u16,
    heard: UnboundedReceiver<String>,
}

/// An authority as certificates are signed by it.
pub(super) fn issuer(authority: &Authority) -> &Issuer<'static, KeyPair> {
    authority
}

/// A new authority.
pub(super) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An answer over HTTP that goes well.
pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Stranger {
    /// One with this certificate of this key, leaf first.
    pub(super) async fn start(
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        answer: Answer,
    ) -> Self {
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let resolver = rustls::sign::CertifiedKey::new(
            chain,
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).unwrap(),
        );
        // Not by the way that looks whether the certificate is a good one.
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(resolver)));
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (said, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, said) = (acceptor.clone(), said.clone());
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    while let Some(request) = request(&mut stream).await {
                        let answered = answer(&request);
                        let _ = said.send(request);
                        let sent = stream.write_all(&answered).await;
                        let is_last = answered.windows(CLOSE.len()).any(|part| part == CLOSE);
                        if sent.is_err() || is_last {
                            let _ = stream.shutdown().await;
                            return;
                        }
                    }
                });
            }
        });
        Self { port, heard }
    }

    /// One whose certificate is good for `127.0.0.1` and `localhost`, from this authority.
    pub(super) async fn trusted(ca: &Authority, answer: Answer) -> Self {
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names.to_vec()).unwrap();
        let own = params.signed_by(&key, issuer(ca)).unwrap();
        Self::start(vec![own.der().clone()], &key, answer).await
    }

    /// Its address by the name `host`.
    pub(super) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    /// All that it was told until now.
    pub(super) fn told(&mut self) -> String {
        let mut told = String::new();
        while let Ok(request) = self.heard.try_recv() {
            told.push_str(&request);
        }
        told
    }
}

/// The next request, head and body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    bytes.extend(body);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
