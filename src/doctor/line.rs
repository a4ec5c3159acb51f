//! The way to a server, step by step: its name, a connection, and whether who answers is the right one.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::pki_types::ServerName;
use rustls::{CertificateError as Bad, ClientConfig};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Area, Finding};

/// The longest that a name is looked up.
const NAME: Duration = Duration::from_secs(6);
/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(6);
/// The longest that a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A server, and how it proves itself.
pub(super) struct Server {
    /// What it is called in the report.
    pub(super) name: String,
    /// Its address.
    pub(super) url: String,
    /// Whom to trust; none: it is reached without TLS.
    pub(super) tls: Option<ClientConfig>,
}

/// What of the way was found, and the step that is in the way, if one is.
pub(super) struct Way {
    pub(super) findings: Vec<Finding>,
    pub(super) broken: Option<Area>,
}

impl Way {
    fn broken(mut self, area: Area, finding: Finding, server: &Server) -> Self {
        self.findings.push(finding.about(&server.name));
        let later = [Area::Tcp, Area::Tls];
        let later = later.into_iter().filter(|later| *later > area);
        let because = format!("{} has failed", area.as_str());
        for later in later {
            let skipped = Finding::skipped(later, &because);
            self.findings.push(skipped.about(&server.name));
        }
        self.broken = Some(area);
        self
    }
}

/// Goes the whole way.
pub(super) async fn go(server: &Server) -> Way {
    let way = Way {
        findings: Vec::new(),
        broken: None,
    };
    let host = Url::parse(&server.url).ok().and_then(|url| {
        let port = url.port_or_known_default()?;
        Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), port))
    });
    let Some((host, port)) = host else {
        let finding = Finding::fault(
            Area::Dns,
            "address_wrong",
            format!("\"{}\" names no server", server.url),
            "Write an address such as https://fdmsapi.zimra.co.zw.",
        );
        return way.broken(Area::Dns, finding, server);
    };
    let mut way = way;
    let addresses = match names(&host, port).await {
        Ok(addresses) => addresses,
        Err(finding) => return way.broken(Area::Dns, finding, server),
    };
    let text = match addresses.first() {
        Some(first) if first.ip().to_string() != host => format!("{host} is {}", first.ip()),
        _ => format!("{host} is an address: no name has to be found"),
    };
    way.findings
        .push(Finding::ok(Area::Dns, text).about(&server.name));
    let stream = match connect(&addresses).await {
        Ok(stream) => stream,
        Err(finding) => return way.broken(Area::Tcp, finding, server),
    };
    let text = format!("port {port} is open");
    way.findings
        .push(Finding::ok(Area::Tcp, text).about(&server.name));
    let Some(tls) = &server.tls else {
        return way;
    };
    match handshake(tls, &host, stream).await {
        Ok(text) => way
            .findings
            .push(Finding::ok(Area::Tls, text).about(&server.name)),
        Err(finding) => return way.broken(Area::Tls, finding, server),
    }
    way
}

async fn names(host: &str, port: u16) -> Result<Vec<SocketAddr>, Finding> {
    let fault = |code, text| {
        Finding::fault(
            Area::Dns,
            code,
            text,
            "See whether any name is found (`getent hosts debian.org`): if none is, the internet or the router is away, or \
             /etc/resolv.conf names no working server; if others are, correct the address in the configuration.",
        )
    };
    match timeout(NAME, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            match addresses.is_empty() {
                true => Err(fault("dns_fails", format!("{host} has no address"))),
                false => Ok(addresses),
            }
        }
        Ok(Err(error)) => Err(fault("dns_fails", format!("{host} is not found: {error}"))),
        Err(_) => Err(fault(
            "dns_silent",
            format!("nobody answers within {} s what {host} is", NAME.as_secs()),
        )),
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Finding> {
    let mut last: Option<Finding> = None;
    for address in addresses {
        let finding = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Finding::fault(
                Area::Tcp,
                "tcp_refused",
                format!("{address} refuses connections"),
                "The server is there and its service is not: wait, or correct address and port in the configuration.",
            ),
            Ok(Err(error)) => Finding::fault(
                Area::Tcp,
                "tcp_unreachable",
                format!("{address} cannot be reached: {error}"),
                "Check cable, router and mobile data; `ip route` shows whether there is a way out.",
            ),
            Err(_) => Finding::fault(
                Area::Tcp,
                "tcp_silent",
                format!("{address} does not answer within {} s", CONNECT.as_secs()),
                "A firewall may hold it back, or the line is very slow: check the router, and whether other servers answer.",
            ),
        };
        // Who refuses is there; another address of the same name may just not be this network's.
        if last.as_ref().is_none_or(|last| last.code != "tcp_refused") {
            last = Some(finding);
        }
    }
    Err(last.unwrap_or_else(|| {
        Finding::fault(
            Area::Tcp,
            "tcp_unreachable",
            "the name has no address",
            "Correct the address in the configuration.",
        )
    }))
}

async fn handshake(tls: &ClientConfig, host: &str, stream: TcpStream) -> Result<String, Finding> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Finding::fault(
            Area::Tls,
            "address_wrong",
            format!("{host} is no name of a server"),
            "Correct the address in the configuration.",
        )
    })?;
    let connector = TlsConnector::from(Arc::new(tls.clone()));
    match timeout(HANDSHAKE, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let version = stream.get_ref().1.protocol_version();
            let version = version.and_then(|version| version.as_str());
            Ok(format!(
                "its certificate is trusted ({})",
                version.unwrap_or("TLS")
            ))
        }
        Ok(Err(error)) => Err(untrusted(host, &error)),
        Err(_) => Err(Finding::fault(
            Area::Tls,
            "tls_silent",
            format!("{host} begins no TLS within {} s", HANDSHAKE.as_secs()),
            "Something between here and the server takes connections and does not pass them on: check router, firewall and proxy.",
        )),
    }
}

fn untrusted(host: &str, error: &std::io::Error) -> Finding {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let proxy = "If there is a proxy or a sandbox between, name its certificate authority as `extra_ca` in [fdms]; else install \
                 the roots: apt install ca-certificates.";
    let date = "Look at this machine's clock first (above). If it is right, the server's operator must renew its certificate.";
    let (code, next) = match tls {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => ("tls_unknown_authority", proxy),
            Bad::Expired | Bad::ExpiredContext { .. } => ("tls_expired", date),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => ("tls_not_yet_valid", date),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
                "tls_wrong_name",
                "It is another server: correct the address in the configuration, or look whether the router leads elsewhere \
                 (a sign-in page of the internet provider).",
            ),
            _ => ("tls_untrusted", proxy),
        },
        Some(rustls::Error::InvalidMessage(_)) => (
            "tls_none",
            "What answers does not speak TLS: correct address and port, or look whether the router leads elsewhere.",
        ),
        _ => (
            "tls_breaks_off",
            "Something between here and the server ends the connection: check router, firewall and proxy, and try again.",
        ),
    };
    Finding::fault(Area::Tls, code, format!("{host}: {error}"), next)
}
