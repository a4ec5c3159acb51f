//! The client: HTTPS with the till's certificate, one kept-alive connection, no cleverness.
//!
//! What reqwest could do by itself is off: retries, redirects, proxies, compression. A message is sent
//! once, as the bytes that were given, and whatever comes of it is handed to
//! [`classify`]. It tells apart whether a connection came about at all: what
//! was never sent need not be doubted.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clock::{SharedClock, Timestamp};
use fiscal::DateTime;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};

use super::classify::{Seen, classify};
use super::json::Object;
use super::tls::{Blame, TlsError, TrustRoots, blame, client_config};
use super::wire::{
    CloseStarted, Config, DayOpened, DeviceCertificate, FileList, FileTaken, Pong, ReceiptAccepted,
    Reply, ServerCertificates, Status, Taxpayer,
};
use super::{
    Answer, Asking, Call, Evidence, FILES_A_PAGE, Fdms, FileTransport, PassedOn, Passing, PassingOn,
};
use crate::keys::{Certificate, DeviceKey};

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// The whole call.
    pub total: Duration,
    /// Longest answer, bytes.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Mobile links need seconds for TLS; who has not answered after ten is not there.
            connect: Duration::from_secs(10),
            // FDMS may take 30 s for a synchronous call (docs/FDMS.md section 1); the rest is the way.
            total: Duration::from_secs(35),
            // A config with all taxes has a few kilobytes, a chain of certificates less than twenty.
            answer_bytes: 1 << 20,
        }
    }
}

/// How long an unused connection is kept: less than the two minutes after which servers of FDMS's kind
/// close it, since a connection that dies under a message leaves a doubt.
const IDLE_CONNECTION: Duration = Duration::from_secs(90);

/// The till's certificate and key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// As FDMS issued it.
    pub certificate: Certificate,
    /// Its private key.
    pub key: Arc<DeviceKey>,
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Address of the environment, such as `https://fdmsapitest.zimra.co.zw`.
    pub environment: String,
    /// Device ID.
    pub device_id: u32,
    /// `DeviceModelName`, as registered.
    pub model_name: String,
    /// `DeviceModelVersion`, as registered.
    pub model_version: String,
    /// None before the device is registered: only the `Public/` calls work then.
    pub identity: Option<Identity>,
    /// Whom to trust.
    pub roots: TrustRoots,
    /// Judges certificates and measures the round trip.
    pub clock: SharedClock,
    /// Limits.
    pub limits: Limits,
    /// How files of offline devices travel.
    pub files: FileTransport,
}

/// Why a client cannot be made; all of it is configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address, or one without TLS.
    #[error(
        "the FDMS address `{0}` is not usable: it must begin with https:// and name a host, such as https://fdmsapi.zimra.co.zw"
    )]
    Environment(String),
    /// A header that HTTP cannot carry.
    #[error(
        "the device {0} `{1}` cannot be sent: it must be plain text as registered with the authority"
    )]
    Model(&'static str, String),
    /// Roots, key or certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// reqwest refused.
    #[error("the HTTPS client cannot be made: {0}")]
    Client(String),
}

/// [`Fdms`] over mutual TLS.
pub struct HttpFdms {
    http: Client,
    base: String,
    device_id: u32,
    clock: SharedClock,
    limits: Limits,
    files: FileTransport,
}

impl HttpFdms {
    /// Prepares a client; no connection is made yet.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        let identity = settings.identity.as_ref();
        let identity = identity.map(|own| (&own.certificate, own.key.as_ref()));
        let tls = client_config(&settings.roots, &settings.clock, identity)?;
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .default_headers(headers(settings)?)
            .user_agent(concat!("fiscald/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.limits.connect)
            .timeout(settings.limits.total)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Client(reasons(&error)))?;
        Ok(Self {
            http,
            base: base(&settings.environment)?,
            device_id: settings.device_id,
            clock: Arc::clone(&settings.clock),
            limits: settings.limits,
            files: settings.files,
        })
    }

    fn ask<'a, T: Reply + Send + 'a>(
        &'a self,
        call: Call,
        query: Option<String>,
        body: Option<Vec<u8>>,
    ) -> Asking<'a, T> {
        Box::pin(async move {
            let started = self.clock.boot();
            let mut evidence = Evidence::default();
            let seen = match self.send(call, query, body).await {
                Ok(response) => self.receive(response, &mut evidence).await,
                Err(error) => self.fault(&error),
            };
            evidence.round_trip = self.clock.boot().saturating_sub(started);
            let outcome = classify(call, &seen);
            if let Seen::Answered { body, .. } = seen {
                evidence.body = Some(body);
            }
            Answer { outcome, evidence }
        })
    }

    async fn send(
        &self,
        call: Call,
        query: Option<String>,
        body: Option<Vec<u8>>,
    ) -> Result<Response, reqwest::Error> {
        let mut url = format!("{}{}", self.base, call.path(self.device_id));
        if let Some(query) = query {
            url.push('?');
            url.push_str(&query);
        }
        let request = if call.is_get() {
            self.http.get(url)
        } else {
            // Without a length, servers of FDMS's kind answer an empty POST with 411.
            let body = body.unwrap_or_default();
            let (kind, body) = match call {
                Call::SubmitFile => self.files.pack(&String::from_utf8_lossy(&body)),
                _ => ("application/json".to_owned(), body),
            };
            self.http
                .post(url)
                .header(CONTENT_TYPE, kind)
                .header(CONTENT_LENGTH, body.len())
                .body(body)
        };
        request.send().await
    }

    async fn receive(&self, mut response: Response, evidence: &mut Evidence) -> Seen {
        let status = response.status().as_u16();
        evidence.status = Some(status);
        let headers = response.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        evidence.operation_id = text("operationid").map(str::to_owned);
        evidence.server_date = text(DATE.as_str()).and_then(http_date);
        let retry_after =
            text(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, evidence.server_date));
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.limits.answer_bytes => {
                    return Seen::TooLong(self.limits.answer_bytes);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return self.fault(&error),
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        if let Ok(mut object) = Object::parse(&body) {
            let named = object.text(&["operationID", "operationId"]).ok().flatten();
            evidence.operation_id = named.or(evidence.operation_id.take());
        }
        Seen::Answered {
            status,
            retry_after,
            body,
        }
    }

    /// What a failed exchange was: never begun, refused in TLS, out of time, or lost.
    fn fault(&self, error: &reqwest::Error) -> Seen {
        match tls_error(error).and_then(blame) {
            Some(Blame::Server(why)) => return Seen::ServerNotTrusted(why),
            Some(Blame::OurCertificate(why)) => return Seen::CertificateRefused(why),
            None => {}
        }
        // A request that could not be built was not sent either.
        if error.is_connect() || error.is_builder() {
            return Seen::NoConnection(reasons(error));
        }
        if error.is_timeout() {
            return Seen::TimedOut(self.limits.total);
        }
        Seen::ConnectionLost(reasons(error))
    }

    fn post_json<'a, T: Reply + Send + 'a>(
        &'a self,
        call: Call,
        fields: &[(&str, &str)],
    ) -> Asking<'a, T> {
        let object: serde_json::Map<String, serde_json::Value> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let body = serde_json::Value::Object(object).to_string();
        self.ask(call, None, Some(body.into_bytes()))
    }
}

impl fmt::Debug for HttpFdms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFdms")
            .field("base", &self.base)
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

impl Fdms for HttpFdms {
    fn verify_taxpayer<'a>(
        &'a self,
        activation_key: &'a str,
        serial_no: &'a str,
    ) -> Asking<'a, Taxpayer> {
        let fields = [
            ("activationKey", activation_key),
            ("deviceSerialNo", serial_no),
        ];
        self.post_json(Call::VerifyTaxpayerInformation, &fields)
    }

    fn register_device<'a>(
        &'a self,
        activation_key: &'a str,
        request_pem: &'a str,
    ) -> Asking<'a, DeviceCertificate> {
        let fields = [
            ("certificateRequest", request_pem),
            ("activationKey", activation_key),
        ];
        self.post_json(Call::RegisterDevice, &fields)
    }

    fn get_server_certificate<'a>(
        &'a self,
        thumbprint: Option<&'a str>,
    ) -> Asking<'a, ServerCertificates> {
        // Only hex digits may enter the address; anything else FDMS answers as unknown anyway.
        let query = thumbprint.map(|thumbprint| {
            let digits = thumbprint.chars().filter(char::is_ascii_hexdigit);
            format!("thumbprint={}", digits.collect::<String>())
        });
        self.ask(Call::GetServerCertificate, query, None)
    }

    fn get_config(&self) -> Asking<'_, Config> {
        self.ask(Call::GetConfig, None, None)
    }

    fn get_status(&self) -> Asking<'_, Status> {
        self.ask(Call::GetStatus, None, None)
    }

    fn open_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, DayOpened> {
        self.ask(Call::OpenDay, None, Some(body.to_vec()))
    }

    fn submit_receipt<'a>(&'a self, body: &'a [u8]) -> Asking<'a, ReceiptAccepted> {
        self.ask(Call::SubmitReceipt, None, Some(body.to_vec()))
    }

    fn close_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, CloseStarted> {
        self.ask(Call::CloseDay, None, Some(body.to_vec()))
    }

    fn issue_certificate<'a>(&'a self, request_pem: &'a str) -> Asking<'a, DeviceCertificate> {
        self.post_json(
            Call::IssueCertificate,
            &[("certificateRequest", request_pem)],
        )
    }

    fn ping(&self) -> Asking<'_, Pong> {
        self.ask(Call::Ping, None, None)
    }

    fn submit_file<'a>(&'a self, body: &'a str) -> Asking<'a, FileTaken> {
        self.ask(Call::SubmitFile, None, Some(body.as_bytes().to_vec()))
    }

    fn list_files(&self, from: DateTime, till: DateTime, offset: u32) -> Asking<'_, FileList> {
        let query = format!(
            "Offset={offset}&Limit={FILES_A_PAGE}&FileUploadedFrom={from}&FileUploadedTill={till}&Sort=FileUploadDate&Order=desc&Operator=And"
        );
        self.ask(Call::SubmittedFileList, Some(query), None)
    }

    fn pass_on<'a>(&'a self, call: &'a Passing) -> PassingOn<'a> {
        Box::pin(async move {
            let (base, device) = (&self.base, self.device_id);
            let mut url = format!("{base}/{}/v1/{device}/{}", call.part, call.name);
            if let Some(query) = &call.query {
                url.push('?');
                url.push_str(query);
            }
            let mut request = match call.method {
                "GET" => self.http.get(url),
                "PUT" => self.http.put(url),
                _ => self.http.post(url),
            };
            if let Some(token) = &call.token {
                request = request.header("Token", token);
            }
            if call.method != "GET" {
                let body = call.body.clone().unwrap_or_default();
                request = request
                    .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                    .header(CONTENT_LENGTH, body.len())
                    .body(body);
            }
            let mut evidence = Evidence::default();
            let (seen, content_type) = match request.send().await {
                Ok(response) => {
                    let kind = response.headers().get(CONTENT_TYPE);
                    let kind = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
                    (self.receive(response, &mut evidence).await, kind)
                }
                Err(error) => (self.fault(&error), None),
            };
            match seen {
                Seen::Answered { status, body, .. } => Ok(PassedOn {
                    status,
                    content_type,
                    operation_id: evidence.operation_id,
                    body,
                }),
                other => Err(unseen(&other)),
            }
        })
    }
}

/// Why there is no answer, as a sentence.
fn unseen(seen: &Seen) -> String {
    match classify::<Pong>(Call::Ping, seen) {
        super::Outcome::Refused(refusal) => refusal.to_string(),
        super::Outcome::Later(delay) => delay.to_string(),
        super::Outcome::Unknown(doubt) => doubt.to_string(),
        super::Outcome::Accepted(_) => String::new(),
    }
}

fn headers(settings: &ClientSettings) -> Result<HeaderMap, ClientError> {
    let value = |what, text: &str| {
        HeaderValue::from_str(text)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| ClientError::Model(what, text.to_owned()))
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        "DeviceModelName",
        value("model name", &settings.model_name)?,
    );
    headers.insert(
        "DeviceModelVersion",
        value("model version", &settings.model_version)?,
    );
    headers.insert("Accept", HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// The address without a slash at its end; a path before `/Device` is allowed, for a proxy.
fn base(environment: &str) -> Result<String, ClientError> {
    let wrong = || ClientError::Environment(environment.to_owned());
    let url = Url::parse(environment.trim()).map_err(|_| wrong())?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.password().is_none();
    if url.scheme() != "https" || !url.has_host() || !plain || !url.username().is_empty() {
        return Err(wrong());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The TLS error in a chain of causes, also one wrapped in an I/O error.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let io = error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        cause = match io {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The causes of an error, outermost first, without the address (it has the device ID in it).
fn reasons(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() {
        texts.push("no reason given".to_owned());
    }
    texts.join(": ")
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

/// `Retry-After` is a number of seconds or a date; a date is measured from the answer's own.
fn retry_after(text: &str, server_date: Option<Timestamp>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let pause = http_date(text)?.duration_since(server_date?);
    Duration::try_from(pause).ok()
}

#[cfg(test)]
#[cfg(feature = "test-clock")]
#[path = "client_tests.rs"]
mod tests;
