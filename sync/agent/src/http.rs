//! The way to HQ over HTTPS: what is sent is compressed, what is answered is limited, and time is limited by how much
//! is sent, so that a slow line gets through too.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sync_wire::exchange::{PATH, Up};

use crate::store::{Exchanged, Line, Link, LinkError};

/// Name look-up, TCP and TLS together; mobile links need seconds.
const CONNECT: Duration = Duration::from_secs(10);
/// HQ's own time for an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The slowest line that is waited for, bytes a second.
const SLOWEST: u64 = 2_000;
/// The longest answer.
const MAX_ANSWER: usize = 8 << 20;
/// Between speed and size; more makes little difference on lines of JSON.
const LEVEL: i32 = 3;

/// The address of HQ cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No address, or one without TLS.
    #[error(
        "\"{0}\" is no address of head office: it begins with https:// and names a host, such as https://hq.example.com"
    )]
    Url(String),
    /// The client cannot be made.
    #[error("the client for head office cannot be made: {0}")]
    Client(String),
}

/// Speaks HTTP with HQ; [`HttpLink`] and [`crate::entrance::Entrance`] are made of it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    http: Client,
    base: String,
}

impl Door {
    pub(crate) fn new(url: &str, tls: rustls::ClientConfig) -> Result<Self, AddressError> {
        let base = base(url)?;
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("fiscald/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(1)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| AddressError::Client(reasons(&error)))?;
        Ok(Self { http, base })
    }

    pub(crate) fn post(&self, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        self.http
            .post(format!("{}{path}", self.base))
            .header(ACCEPT, "application/json")
            .timeout(ANSWER + Duration::from_secs(length / SLOWEST))
            .body(body)
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let longest = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX) / SLOWEST;
        self.http
            .get(format!("{}{path}", self.base))
            .timeout(ANSWER + Duration::from_secs(longest))
    }
}

/// The body of an answer that is a success.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, LinkError> {
    let mut response = request.send().await.map_err(fault)?;
    let status = response.status().as_u16();
    let body = body(&mut response).await?;
    match status {
        200..=299 => Ok(body),
        408 | 413 => Err(LinkError::Slow(said(status, &body))),
        429 | 500..=599 => Err(LinkError::Away(said(status, &body))),
        401 | 403 => Err(LinkError::Refused(format!(
            "{}. If the store was removed from head office, or joined again on another machine, it needs a new code: \
             `fiscald hq join - --url URL`",
            said(status, &body)
        ))),
        _ => Err(LinkError::Refused(said(status, &body))),
    }
}

async fn body(response: &mut Response) -> Result<Vec<u8>, LinkError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(LinkError::Refused(format!(
                "head office answered more than {MAX_ANSWER} bytes; this is a defect of its"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What HQ says with a refusal: the words of its problem document, shortened.
#[must_use]
pub fn said(status: u16, body: &[u8]) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(body).ok();
    let text = |name: &str| {
        let text = problem.as_ref()?.get(name)?.as_str()?;
        // It goes into logs and onto terminals: one line, and nothing that steers them.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        (!text.is_empty()).then(|| text.chars().take(300).map(plain).collect::<String>())
    };
    match text("detail").or_else(|| text("title")) {
        Some(detail) => format!("head office answered {status}: {detail}"),
        None => format!("head office answered {status}"),
    }
}

fn fault(error: reqwest::Error) -> LinkError {
    let text = format!("head office is not reached: {}", reasons(&error));
    if error.is_timeout() && !error.is_connect() {
        LinkError::Slow(text)
    } else {
        LinkError::Away(text)
    }
}

/// An error with what it comes from, and without the address: that is shown beside it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        words.push(source.to_string());
        next = source.source();
    }
    if words.is_empty() {
        words.push(error.to_string());
    }
    words.dedup();
    words.join(": ")
}

/// The address without its end. Without TLS only on this machine, for tests and tunnels.
fn base(text: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::Url(text.to_owned());
    let url = Url::parse(text.trim()).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let is_here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let is_open = url.username().is_empty() && url.password().is_none();
    if host.is_empty() || !is_safe || !is_plain || !is_open {
        return Err(wrong());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Exchanges over HTTPS with the store's own secret.
pub struct HttpLink {
    door: Door,
    headers: HeaderMap,
}

impl std::fmt::Debug for HttpLink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpLink")
            .field("base", &self.door.base)
            .finish_non_exhaustive()
    }
}

impl HttpLink {
    /// A link to the HQ at `url`; whom to trust is in `tls`. No connection is made yet.
    ///
    /// # Errors
    /// The address or the secret cannot be used.
    pub fn new(
        url: &str,
        secret: &SecretString,
        tls: rustls::ClientConfig,
    ) -> Result<Self, AddressError> {
        let door = Door::new(url, tls)?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| AddressError::Client("the store's secret is no plain text".to_owned()))?;
        bearer.set_sensitive(true);
        let headers = [
            (AUTHORIZATION, bearer),
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-ndjson"),
            ),
            (CONTENT_ENCODING, HeaderValue::from_static("zstd")),
        ];
        Ok(Self {
            door,
            headers: headers.into_iter().collect(),
        })
    }
}

impl Link for HttpLink {
    async fn exchange(&self, up: &Up, lines: &[Line]) -> Result<Exchanged, LinkError> {
        let text = render(up, lines)?;
        // Megabytes take a while; other tasks share this thread.
        let packed = tokio::task::spawn_blocking(move || zstd::bulk::compress(&text, LEVEL)).await;
        let packed = match packed {
            Ok(Ok(packed)) => packed,
            Ok(Err(error)) => return Err(LinkError::Away(format!("compressing failed: {error}"))),
            Err(_) => return Err(LinkError::Away("the daemon is stopping".to_owned())),
        };
        let sent = packed.len();
        let request = self.door.post(PATH, packed).headers(self.headers.clone());
        let body = answer(request).await?;
        let down = serde_json::from_slice(&body).map_err(|error| {
            LinkError::Refused(format!(
                "head office's answer cannot be read ({error}); is {} its address, and is it of the same version?",
                self.door.base
            ))
        })?;
        Ok(Exchanged { down, sent })
    }
}

/// The request: first how it begins, then the lines.
fn render(up: &Up, lines: &[Line]) -> Result<Vec<u8>, LinkError> {
    let mut text = serde_json::to_vec(up)
        .map_err(|error| LinkError::Refused(format!("the request cannot be written: {error}")))?;
    text.reserve(lines.iter().map(|line| line.bytes.len() + 1).sum::<usize>() + 1);
    text.push(b'\n');
    for line in lines {
        text.extend_from_slice(&line.bytes);
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only addresses with TLS, but for this machine's own; and nothing of them is lost.
    #[test]
    fn addresses() {
        for (text, expected) in [
            ("https://hq.example.com", Some("https://hq.example.com")),
            ("https://hq.example.com/", Some("https://hq.example.com")),
            (
                "https://example.com:8443/hq/",
                Some("https://example.com:8443/hq"),
            ),
            ("http://127.0.0.1:9000", Some("http://127.0.0.1:9000")),
            ("http://hq.example.com", None),
            ("https://user:word@hq.example.com", None),
            ("https://hq.example.com/?a=b", None),
            ("hq.example.com", None),
            ("", None),
        ] {
            assert_eq!(base(text).ok().as_deref(), expected, "{text}");
        }
    }

    /// What HQ says is passed on; what is no problem document is not shown.
    #[test]
    fn refusals() {
        let problem = br#"{"title":"No","detail":"the code was used","status":409}"#;
        assert_eq!(
            said(409, problem),
            "head office answered 409: the code was used"
        );
        assert_eq!(said(502, b"<html>"), "head office answered 502");
        let steering = br#"{"detail":"a\n<0>b\u001b[2J"}"#;
        assert_eq!(said(400, steering), "head office answered 400: a <0>b [2J");
    }
}
