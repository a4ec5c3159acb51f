//! The client against a TLS server that does what it is told, one exchange after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use clock::TestClock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::fdms::{Action, DelayCause, DoubtCause, Outcome, Scope};
use crate::keys::{KeyKind, certificate_request};

/// What the server does with one exchange.
#[derive(Debug, Clone)]
enum Act {
    /// Closes the TCP connection before TLS.
    HangUpFirst,
    /// Reads the request, then closes.
    HangUp,
    /// Reads the request and sends this; the connection stays open.
    Say(String),
    /// Reads the request, sends this and closes.
    SayAndHangUp(String),
    /// Reads the request and never answers.
    Silence,
}

/// A request as it arrived: head in lower case, body, and the connection it came on.
#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
    connection: usize,
}

struct Server {
    address: SocketAddr,
    ca_pem: String,
    ca: Issuer<'static, KeyPair>,
    requests: mpsc::UnboundedReceiver<Request>,
}

/// Settings of the server's certificate.
struct Tls {
    authority: &'static str,
    years: (i32, i32),
    client_certificates: bool,
}

const USUAL: Tls = Tls {
    authority: "A",
    years: (2000, 2100),
    client_certificates: false,
};

impl Server {
    async fn start(tls: Tls, acts: Vec<Act>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = format!("Authority {}", tls.authority);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = params.self_signed(&key).unwrap();
        let ca = Issuer::new(params, key);
        let acceptor = acceptor(&tls, &ca, ca_certificate.der());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(play(listener, acceptor, acts, sender));
        Self {
            address,
            ca_pem: ca_certificate.pem(),
            ca,
            requests,
        }
    }

    fn settings(&self) -> ClientSettings {
        ClientSettings {
            environment: format!("https://localhost:{}", self.address.port()),
            device_id: 42,
            model_name: "Server".to_owned(),
            model_version: "v1".to_owned(),
            identity: None,
            roots: TrustRoots::load(Some(&self.ca_pem)).unwrap(),
            clock: TestClock::new("2026-05-28T05:42:19Z".parse().unwrap()),
            limits: Limits::default(),
            files: super::super::FileTransport::default(),
        }
    }

    fn client(&self) -> HttpFdms {
        HttpFdms::new(&self.settings()).unwrap()
    }

    fn identity(&self, kind: KeyKind) -> Identity {
        let key = Arc::new(DeviceKey::generate(kind).unwrap());
        let csr = certificate_request(&key, "SN0001", 42, false).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_pem(&csr).unwrap();
        let pem = request.signed_by(&self.ca).unwrap().pem();
        Identity {
            certificate: Certificate::from_pem(&pem).unwrap(),
            key,
        }
    }
}

fn acceptor(
    tls: &Tls,
    ca: &Issuer<'static, KeyPair>,
    ca_der: &CertificateDer<'static>,
) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(tls.years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(tls.years.1, 1, 1);
    let certificate = params.signed_by(&key, ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if tls.client_certificates {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_der.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn play(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    acts: Vec<Act>,
    sender: mpsc::UnboundedSender<Request>,
) {
    let mut acts = acts.into_iter().peekable();
    let mut connection = 0;
    while acts.peek().is_some() {
        let (tcp, _) = listener.accept().await.unwrap();
        connection += 1;
        if matches!(acts.peek(), Some(Act::HangUpFirst)) {
            acts.next();
            continue;
        }
        let mut stream = match acceptor.accept(tcp).into_fallible().await {
            Ok(stream) => stream,
            // Reads what still comes: closing over it would drop the alert that was sent.
            Err((_, mut tcp)) => {
                let _ = tcp.read_to_end(&mut Vec::new()).await;
                continue;
            }
        };
        while acts.peek().is_some() {
            let Some(mut request) = read_request(&mut stream).await else {
                break;
            };
            request.connection = connection;
            let _ = sender.send(request);
            match acts.next() {
                Some(Act::Say(text)) => stream.write_all(text.as_bytes()).await.unwrap(),
                Some(Act::SayAndHangUp(text)) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    let _ = stream.shutdown().await;
                    break;
                }
                // The client gives up and closes: that is what is waited for.
                Some(Act::Silence) => {
                    let _ = stream.read(&mut [0]).await;
                    break;
                }
                _ => break,
            }
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        head,
        body,
        connection: 0,
    })
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

const PONG: &str = r#"{"operationID":"op-body","reportingFrequency":5}"#;

fn later<T: fmt::Debug>(answer: Answer<T>) -> DelayCause {
    match answer.outcome {
        Outcome::Later(delay) => delay.cause,
        other => panic!("expected later, got {other:?}"),
    }
}

fn unknown<T: fmt::Debug>(answer: Answer<T>) -> DoubtCause {
    match answer.outcome {
        Outcome::Unknown(doubt) => doubt.cause,
        other => panic!("expected unknown, got {other:?}"),
    }
}

/// Bytes, headers and path are exactly those that were given, calls share one connection, and the
/// evidence has FDMS's clock and the operation's name.
#[tokio::test]
async fn messages_travel_as_they_are() {
    let dated = "Date: Thu, 28 May 2026 05:42:21 GMT\r\noperationId: op-header\r\n";
    let day = r#"{"fiscalDayNo":1}"#;
    let acts = vec![
        Act::Say(http("200 OK", dated, PONG)),
        Act::Say(http("200 OK", dated, day)),
        Act::Say(http("200 OK", dated, r#"{"certificate":["a"]}"#)),
    ];
    let mut server = Server::start(USUAL, acts).await;
    let client = server.client();
    let pong = client.ping().await;
    assert_eq!(pong.evidence.operation_id.as_deref(), Some("op-body"));
    assert_eq!(
        pong.evidence.server_date.unwrap().to_string(),
        "2026-05-28T05:42:21Z"
    );
    assert_eq!(pong.evidence.status, Some(200));
    assert_eq!(pong.evidence.body.as_deref(), Some(PONG));
    assert_eq!(
        pong.outcome.accepted().unwrap().reporting_frequency_minutes,
        Some(5)
    );
    let body = b"{ \"fiscalDayNo\" : 1,\n \"x\": 1.50 }";
    let opened = client.open_day(body).await;
    assert_eq!(opened.evidence.operation_id.as_deref(), Some("op-header"));
    client.get_server_certificate(Some("b785&x=1")).await;

    let ping = server.requests.recv().await.unwrap();
    assert!(
        ping.head
            .starts_with("post /device/v1/42/ping http/1.1\r\n"),
        "{}",
        ping.head
    );
    for line in [
        "devicemodelname: server",
        "devicemodelversion: v1",
        "content-length: 0",
    ] {
        assert!(
            ping.head.lines().any(|has| has == line),
            "{line}: {}",
            ping.head
        );
    }
    assert!(!ping.head.contains("accept-encoding"), "{}", ping.head);
    let open = server.requests.recv().await.unwrap();
    assert!(
        open.head.contains("content-type: application/json\r\n"),
        "{}",
        open.head
    );
    assert_eq!(open.body, body);
    let chain = server.requests.recv().await.unwrap();
    let first = chain.head.lines().next().unwrap();
    assert_eq!(
        first,
        "get /public/v1/getservercertificate?thumbprint=b7851 http/1.1"
    );
    assert_eq!(
        [ping.connection, open.connection, chain.connection],
        [1, 1, 1]
    );
}

/// No connection: nobody listens, the name is unknown, the server hangs up before TLS. Nothing was sent.
#[tokio::test]
async fn never_sent_is_later() {
    let server = Server::start(USUAL, vec![Act::HangUpFirst]).await;
    let answer = server.client().submit_receipt(b"{}").await;
    assert!(!answer.outcome.may_have_happened());
    assert_eq!(later(answer), DelayCause::NoConnection);

    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for environment in [
        format!("https://localhost:{}", free.port()),
        "https://fdms.invalid".to_owned(),
    ] {
        let settings = ClientSettings {
            environment,
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings)
            .unwrap()
            .submit_receipt(b"{}")
            .await;
        assert_eq!(answer.evidence.status, None);
        assert_eq!(later(answer), DelayCause::NoConnection);
    }
}

/// Whoever cannot prove to be FDMS gets nothing, and the reason says what to look at.
#[tokio::test]
async fn strangers_get_nothing() {
    for authority in ["A", "B"] {
        let mut server = Server::start(USUAL, vec![Act::Say(http("200 OK", "", PONG))]).await;
        let other = Server::start(Tls { authority, ..USUAL }, vec![Act::HangUp]).await;
        let settings = ClientSettings {
            roots: TrustRoots::load(Some(&other.ca_pem)).unwrap(),
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings).unwrap().ping().await;
        let text = answer.outcome.to_string();
        assert!(text.contains("name its certificate authority"), "{text}");
        assert_eq!(later(answer), DelayCause::ServerNotTrusted);
        assert!(server.requests.try_recv().is_err(), "nothing was sent");
    }
}

/// Certificates are judged by the injected clock, not by the machine's: a simulated year works.
#[tokio::test]
async fn certificates_follow_the_injected_clock() {
    let tls = || Tls {
        years: (2050, 2051),
        ..USUAL
    };
    for (now, good) in [
        ("2050-06-01T00:00:00Z", true),
        ("2049-06-01T00:00:00Z", false),
        ("2051-06-01T00:00:00Z", false),
    ] {
        let server = Server::start(tls(), vec![Act::Say(http("200 OK", "", PONG))]).await;
        let settings = ClientSettings {
            clock: TestClock::new(now.parse().unwrap()),
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings).unwrap().ping().await;
        if good {
            assert!(answer.outcome.accepted().is_some());
        } else {
            let text = answer.outcome.to_string();
            assert!(text.contains("clock is wrong"), "{text}");
            assert_eq!(later(answer), DelayCause::ServerNotTrusted);
        }
    }
}

/// What was sent and got no whole answer is unknown: closed, cut in the middle, silent, endless.
#[tokio::test]
async fn lost_answers_are_unknown() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"receiptID\":1".to_owned();
    let refusal_cut = "HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{\"errorCode\":".to_owned();
    let endless = http("200 OK", "", &"x".repeat(5000));
    for (act, cause) in [
        (Act::HangUp, DoubtCause::ConnectionLost),
        (
            Act::SayAndHangUp("HTTP/1.1 200".to_owned()),
            DoubtCause::ConnectionLost,
        ),
        (Act::SayAndHangUp(cut), DoubtCause::ConnectionLost),
        (Act::SayAndHangUp(refusal_cut), DoubtCause::ConnectionLost),
        (Act::Silence, DoubtCause::TimedOut),
        (Act::Say(endless), DoubtCause::AnswerNotUnderstood),
        (
            Act::Say(http("200 OK", "", "<html>")),
            DoubtCause::AnswerNotUnderstood,
        ),
    ] {
        let mut server = Server::start(USUAL, vec![act.clone()]).await;
        let settings = ClientSettings {
            limits: Limits {
                total: Duration::from_millis(500),
                answer_bytes: 4096,
                ..Limits::default()
            },
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings)
            .unwrap()
            .submit_receipt(b"{}")
            .await;
        assert!(answer.outcome.may_have_happened(), "{act:?}");
        assert_eq!(unknown(answer), cause, "{act:?}");
        assert!(
            server.requests.recv().await.is_some(),
            "{act:?}: it was sent"
        );
    }
}

/// A message is sent once: neither a lost connection nor a 503 nor a redirection makes the client repeat it.
#[tokio::test]
async fn nothing_is_repeated() {
    let acts = [
        Act::HangUp,
        Act::Say(http("503 Busy", "Retry-After: 7\r\n", "")),
        Act::Say(http(
            "307 Elsewhere",
            "Location: /Device/v1/42/Ping\r\n",
            "",
        )),
    ];
    for act in acts {
        let spare = Act::Say(http("200 OK", "", PONG));
        let mut server = Server::start(USUAL, vec![act.clone(), spare]).await;
        let answer = server.client().ping().await;
        assert!(answer.outcome.may_have_happened());
        if let Outcome::Later(delay) = &answer.outcome
            && delay.cause == DelayCause::ServerTrouble(503)
        {
            assert_eq!(delay.retry_after, Some(Duration::from_secs(7)));
        }
        assert!(!matches!(answer.outcome, Outcome::Accepted(_)), "{act:?}");
        assert!(server.requests.recv().await.is_some());
        assert!(server.requests.try_recv().is_err(), "{act:?} was repeated");
    }
}

/// The till appears with its certificate, EC and RSA; one that the server does not take stops the till.
#[tokio::test]
async fn the_till_shows_its_certificate() {
    let tls = || Tls {
        client_certificates: true,
        ..USUAL
    };
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let server = Server::start(tls(), vec![Act::Say(http("200 OK", "", PONG))]).await;
        let settings = ClientSettings {
            identity: Some(server.identity(kind)),
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings).unwrap().ping().await;
        assert!(answer.outcome.accepted().is_some());
    }
    let mut identities = vec![None];
    for authority in ["A", "B"] {
        let other = Server::start(Tls { authority, ..USUAL }, vec![]).await;
        identities.push(Some(other.identity(KeyKind::EcP256)));
    }
    for identity in identities {
        let server = Server::start(tls(), vec![Act::Say(http("200 OK", "", PONG))]).await;
        let settings = ClientSettings {
            identity,
            ..server.settings()
        };
        let answer = HttpFdms::new(&settings).unwrap().ping().await;
        let Outcome::Refused(refusal) = answer.outcome else {
            panic!("expected a refusal, got {:?}", answer.outcome);
        };
        assert_eq!((refusal.status, refusal.scope), (None, Scope::Till));
        assert!(refusal.actions.contains(&Action::FixConfiguration));
    }
}

/// What HTTP cannot carry is refused when the client is made, with the name of the setting.
#[tokio::test]
async fn impossible_settings_are_refused() {
    let server = Server::start(USUAL, vec![]).await;
    for (name, version) in [("", "v1"), ("Server\n", "v1"), ("Server", "")] {
        let settings = ClientSettings {
            model_name: name.to_owned(),
            model_version: version.to_owned(),
            ..server.settings()
        };
        let error = HttpFdms::new(&settings).unwrap_err();
        assert!(matches!(error, ClientError::Model(..)), "{error}");
    }
}

/// Addresses: TLS only, a host, nothing that would leak or be lost.
#[test]
fn environment_addresses() {
    assert_eq!(
        base("https://fdms.example.zw/").unwrap(),
        "https://fdms.example.zw"
    );
    assert_eq!(
        base(" https://10.0.0.1:8443/fdms/ ").unwrap(),
        "https://10.0.0.1:8443/fdms"
    );
    for wrong in [
        "",
        "fdms.example.zw",
        "http://fdms.example.zw",
        "https://",
        "https://a:b@fdms.example.zw",
        "https://fdms.example.zw/?x=1",
    ] {
        let error = base(wrong).unwrap_err().to_string();
        assert!(
            error.contains("https://fdmsapi.zimra.co.zw"),
            "{wrong}: {error}"
        );
    }
}

/// FDMS's clock is read from the Date header.
#[test]
fn date_header_is_read() {
    let at = http_date("Thu, 28 May 2026 05:42:19 GMT").unwrap();
    assert_eq!(at.to_string(), "2026-05-28T05:42:19Z");
    assert_eq!(http_date("yesterday"), None);
}

/// Retry-After in both forms; a date in the past asks for nothing.
#[test]
fn retry_after_is_read() {
    let now = http_date("Thu, 28 May 2026 05:42:19 GMT");
    assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
    let later = "Thu, 28 May 2026 05:43:19 GMT";
    assert_eq!(retry_after(later, now), Some(Duration::from_secs(60)));
    assert_eq!(retry_after(later, None), None);
    assert_eq!(retry_after("Thu, 28 May 2026 05:41:19 GMT", now), None);
    assert_eq!(retry_after("-5", now), None);
}

/// Paths are FDMS's.
#[test]
fn paths() {
    assert_eq!(Call::SubmitReceipt.path(42), "/Device/v1/42/SubmitReceipt");
    assert_eq!(
        Call::RegisterDevice.path(42),
        "/Public/v1/42/RegisterDevice"
    );
    assert_eq!(
        Call::GetServerCertificate.path(42),
        "/Public/v1/GetServerCertificate"
    );
}
