//! The network side of FDMS: connections, paths, headers, and the faults on the line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Document, Refusal};
use crate::ca;
use crate::call::Call;
use crate::fault::{FaultKind, Faults};
use crate::journal::{Arrival, Change, Changed, Entry, Log};
use crate::query::Query;
use crate::schema::{self, SentRequest};
use crate::service::{Request, Service};
use crate::world::{DeviceError, ModelHeaders};

/// The longest body that is read: more than any message may have.
const LONGEST_BODY: usize = 4 << 20;
/// The longest file that is read, to be answered FILE01 and not 413.
const LONGEST_FILE: usize = 16 << 20;
/// How many requests against the schema are remembered.
const MOST_VIOLATIONS: usize = 1000;

/// The connection is dropped instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Dropped {
    /// As if the line were cut.
    #[error("dropped on demand")]
    Closed,
    /// The client is told, by a TCP reset.
    #[error("reset on demand")]
    Reset,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) service: Service,
    /// Where requests and changes are written down, if anywhere.
    log: Option<Log>,
    faults: Mutex<Faults>,
    pub(crate) offline: watch::Sender<bool>,
    /// How many requests have come, by device and call.
    pub(crate) requests: Mutex<BTreeMap<(u32, Call), u64>>,
    /// What was wrong with requests by the schema, the first so many.
    pub(crate) schema_violations: Mutex<Vec<String>>,
    /// How many TLS handshakes have been made.
    pub(crate) handshakes: AtomicU64,
}

impl Line {
    /// `seed` is where the chances of faults are drawn from.
    pub(crate) fn new(service: Service, log: Option<Log>, seed: u64) -> Self {
        Self {
            service,
            log,
            faults: Mutex::new(Faults::new(seed)),
            offline: watch::Sender::new(false),
            requests: Mutex::default(),
            schema_violations: Mutex::default(),
            handshakes: AtomicU64::new(0),
        }
    }
}

/// Takes connections until it is told to stop.
pub(crate) async fn serve(
    line: Arc<Line>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, sender)) = stream else {
            // Out of descriptors, or a connection that died in the queue: let others run, go on.
            tokio::task::yield_now().await;
            continue;
        };
        let line = Arc::clone(&line);
        let acceptor = acceptor.clone();
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            let mut offline = line.offline.subscribe();
            // Biased: while offline not even the first bytes of TLS may be answered, or a client would
            // believe in a connection that was never taken.
            tokio::select! {
                biased;
                _ = offline.wait_for(|offline| *offline) => {}
                () = shutdown.cancelled() => {}
                () = serve_connection(&line, stream, sender.ip(), acceptor) => {}
            }
        });
    }
}

async fn serve_connection(
    line: &Arc<Line>,
    stream: TcpStream,
    sender: IpAddr,
    acceptor: TlsAcceptor,
) {
    if line.faults().is_offline(line.service.now()) {
        return;
    }
    // Small answers must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
    };
    line.handshakes.fetch_add(1, Ordering::Relaxed);
    let (_, session) = stream.get_ref();
    let fingerprint = session.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer {
        fingerprint: fingerprint.map(ca::fingerprint),
        address: sender,
    };
    let service = service_fn(move |request| {
        let line = Arc::clone(line);
        async move { line.handle(request, peer).await }
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let Err(error) = (&mut connection).await else {
        return;
    };
    tracing::debug!(%error, "a connection ended early");
    let dropped = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<Dropped>());
    if dropped == Some(&Dropped::Reset) {
        let stream = connection.into_parts().io.into_inner();
        // Closing is a reset now; where that cannot be, the client sees a connection that ends.
        let _ = stream.get_ref().0.set_zero_linger();
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer {
    /// SHA-256 of its certificate, if it showed one.
    fingerprint: Option<[u8; 32]>,
    address: IpAddr,
}

/// An answer and what goes around it.
struct Outcome {
    document: Document,
    retry_after: Option<u32>,
}

impl Line {
    async fn handle(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Full<Bytes>>, Dropped> {
        let operation_id = self.service.operation_id();
        let arrival = Arc::new(self.arrival(request, peer).await);
        let outcome = match read(&arrival) {
            Ok(request) => self.outcome(request, &arrival, &operation_id).await?,
            Err(refusal) => {
                let document = Answer::Refused(refusal).document(&operation_id);
                self.note(&arrival, &operation_id, Some(&document), None);
                Outcome {
                    document,
                    retry_after: None,
                }
            }
        };
        Ok(self.response(outcome, &operation_id))
    }

    fn count(&self, device_id: u32, call: Call) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((device_id, call)).or_default() += 1;
    }

    /// Remembers what is wrong with a request by the schema.
    fn remember_violations(&self, what: impl IntoIterator<Item = String>) {
        let violations = self.schema_violations.lock();
        let mut violations = violations.unwrap_or_else(PoisonError::into_inner);
        let room = MOST_VIOLATIONS.saturating_sub(violations.len());
        violations.extend(what.into_iter().take(room));
    }

    /// The faults in force.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the request in whole, and counts it.
    async fn arrival(&self, request: hyper::Request<Incoming>, peer: Peer) -> Arrival {
        let (head, body) = request.into_parts();
        let found = Call::find(&head.method, head.uri.path());
        let longest = match &found {
            Ok((Call::SubmitFile, _)) => LONGEST_FILE,
            _ => LONGEST_BODY,
        };
        if let Ok((call, device_id)) = &found {
            self.count(*device_id, *call);
        }
        let body = Limited::new(body, longest).collect().await;
        let arrival = Arrival {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            fingerprint: peer.fingerprint,
            sender: peer.address,
            body: body.ok().map(http_body_util::Collected::to_bytes),
        };
        self.note_violations(found, &arrival);
        arrival
    }

    fn note_violations(&self, found: Result<(Call, u32), Refusal>, arrival: &Arrival) {
        match found {
            Ok((call, device_id)) => {
                self.remember_violations(violations(call, device_id, arrival));
            }
            Err(refusal) => {
                let asked = format!("{} {}", arrival.method, arrival.uri.path());
                self.remember_violations([format!("{asked}: {refusal:?}")]);
            }
        }
    }

    /// Processes a request that came without a network; its operation ID comes with the answer.
    pub(crate) fn ask(&self, arrival: &Arrival) -> (Document, String) {
        let operation_id = self.service.operation_id();
        let found = Call::find(&arrival.method, arrival.uri.path());
        if let Ok((call, device_id)) = &found {
            self.count(*device_id, *call);
        }
        self.note_violations(found, arrival);
        let document = match read(arrival) {
            Ok(request) => self.service.answer(&request, &operation_id),
            Err(refusal) => Answer::Refused(refusal).document(&operation_id),
        };
        (document, operation_id)
    }

    /// Processes the request, and does to it what the next fault says.
    async fn outcome(
        self: &Arc<Self>,
        request: Request,
        arrival: &Arc<Arrival>,
        operation_id: &str,
    ) -> Result<Outcome, Dropped> {
        let now = self.service.now();
        let fault = self.faults().take(request.device_id, request.call, now);
        if let Some(outcome) = fault.as_ref().and_then(|f| instead(f, operation_id)) {
            self.note(arrival, operation_id, None, fault);
            return outcome;
        }
        let before = match &fault {
            Some(FaultKind::Delay(time)) => *time,
            _ => Duration::ZERO,
        };
        // In a task of its own: whoever hangs up has sent his request all the same.
        let line = Arc::clone(self);
        let (arrival, id) = (Arc::clone(arrival), operation_id.to_owned());
        let known = fault.clone();
        let processed = tokio::spawn(async move {
            if !before.is_zero() {
                line.service.clock().sleep(before).await;
            }
            if line.log.is_none() {
                return Ok(line.service.answer(&request, &id));
            }
            // Waits for the disk.
            let written = move || line.processed(&request, &arrival, &id, known.as_ref());
            let written = tokio::task::spawn_blocking(written).await;
            written.map_err(|_| Dropped::Closed)?
        });
        let document = processed.await.map_err(|_| Dropped::Closed)??;
        match fault {
            Some(FaultKind::LoseAnswer) => return Err(Dropped::Closed),
            Some(FaultKind::Status {
                status,
                retry_after,
                ..
            }) => return Ok(failure(status, retry_after, operation_id)),
            Some(FaultKind::DelayAnswer(time)) => self.service.clock().sleep(time).await,
            _ => {}
        }
        Ok(Outcome {
            document,
            retry_after: None,
        })
    }

    /// Lets FDMS answer and writes it down. What cannot be written down is not answered.
    fn processed(
        &self,
        request: &Request,
        arrival: &Arrival,
        operation_id: &str,
        fault: Option<&FaultKind>,
    ) -> Result<Document, Dropped> {
        let Some(log) = &self.log else {
            return Ok(self.service.answer(request, operation_id));
        };
        let done = log.perform(|at| {
            let document = self.service.answer(request, operation_id);
            let exchange = arrival.exchange(at, operation_id, Some(&document), fault);
            (document, Some(Entry::Exchange(Box::new(exchange))))
        });
        done.map_err(|error| {
            tracing::error!(%error, "the journal cannot be written");
            Dropped::Closed
        })
    }

    /// Writes a request that FDMS did not process into the record.
    fn note(
        &self,
        arrival: &Arrival,
        operation_id: &str,
        answer: Option<&Document>,
        fault: Option<FaultKind>,
    ) {
        if let Some(log) = &self.log {
            log.note(|at| {
                let exchange = arrival.exchange(at, operation_id, answer, fault.as_ref());
                Entry::Exchange(Box::new(exchange))
            });
        }
    }

    /// Makes a change and writes it down; false if there was nothing to change.
    ///
    /// # Errors
    /// It cannot be made, or not be kept.
    pub(crate) fn change(&self, change: Change) -> Result<bool, DeviceError> {
        let Some(log) = &self.log else {
            let now = self.service.now();
            return change.apply(&mut self.service.world(), now);
        };
        let made = log.perform(|at| {
            let what = change.clone();
            let made = change.apply(&mut self.service.world(), at);
            let entry = matches!(made, Ok(true)).then(|| Entry::Change(Changed { at, what }));
            (made, entry)
        });
        made.map_err(|error| DeviceError::NotKept(error.to_string()))?
    }

    fn response(&self, outcome: Outcome, operation_id: &str) -> Response<Full<Bytes>> {
        let document = outcome.document;
        let mut response = Response::new(Full::new(Bytes::from(document.body)));
        *response.status_mut() =
            hyper::StatusCode::from_u16(document.status).unwrap_or(hyper::StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(document.content_type),
        );
        if let Ok(id) = HeaderValue::from_str(operation_id) {
            headers.insert("operationId", id);
        }
        let date = self.service.now().strftime("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
            headers.insert(DATE, date);
        }
        if let Some(seconds) = outcome.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What comes instead of processing, if the fault is such a one.
fn instead(fault: &FaultKind, operation_id: &str) -> Option<Result<Outcome, Dropped>> {
    Some(match fault {
        FaultKind::LoseRequest | FaultKind::Offline => Err(Dropped::Closed),
        FaultKind::Reset => Err(Dropped::Reset),
        FaultKind::Refuse(code) => Ok(refusal(code.clone(), operation_id)),
        FaultKind::Status {
            status,
            retry_after,
            processed: false,
        } => Ok(failure(*status, *retry_after, operation_id)),
        _ => return None,
    })
}

/// Reads a request: its call, whose it is, and what FDMS looks at.
///
/// # Errors
/// It is no request of this API.
pub(crate) fn read(arrival: &Arrival) -> Result<Request, Refusal> {
    let (call, device_id) = Call::find(&arrival.method, arrival.uri.path())?;
    let headers = &arrival.headers;
    let body = arrival.body.as_ref();
    let body =
        body.ok_or_else(|| Refusal::status(413, "The body cannot be read or is too long."))?;
    if call.takes_json() && !is_json(headers) {
        return Err(Refusal::status(
            415,
            "The content type must be application/json.",
        ));
    }
    let body = String::from_utf8(body.to_vec()).map_err(|_| {
        let mut errors = crate::json::Errors::default();
        errors.push("$", "The body is not UTF-8.");
        Refusal::Fields(errors)
    })?;
    Ok(Request {
        call,
        device_id,
        fingerprint: arrival.fingerprint,
        sender: arrival.sender,
        model: ModelHeaders {
            name: header(headers, "DeviceModelName"),
            version: header(headers, "DeviceModelVersion"),
        },
        content_type: header(headers, "content-type"),
        token: header(headers, "Token"),
        query: Query::of(arrival.uri.query().unwrap_or_default()),
        body,
        issued: None,
    })
}

/// An answer on demand. A 502 comes from the proxy in front of FDMS, which answers in HTML.
fn failure(status: u16, retry_after: Option<u32>, operation_id: &str) -> Outcome {
    let document = if status == 502 {
        Document {
            status,
            content_type: "text/html",
            body: "<html><head><title>502 Bad Gateway</title></head></html>".to_owned(),
        }
    } else {
        Answer::Refused(Refusal::status(status, "A fault on demand.")).document(operation_id)
    };
    Outcome {
        document,
        retry_after,
    }
}

/// A refusal on demand, as FDMS writes them.
fn refusal(code: String, operation_id: &str) -> Outcome {
    let refusal = Refusal::code(code, "A fault on demand.");
    Outcome {
        document: Answer::Refused(refusal).document(operation_id),
        retry_after: None,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// What is wrong with a request by the schema, with its call and device before it.
fn violations(call: Call, device_id: u32, arrival: &Arrival) -> Vec<String> {
    // A body that cannot be read is answered 413.
    let Some(body) = &arrival.body else {
        return Vec::new();
    };
    let headers = arrival.headers.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SentRequest {
        query: arrival.uri.query().unwrap_or_default(),
        headers: &headers.collect::<Vec<_>>(),
        body: &String::from_utf8_lossy(body),
    };
    let found = schema::check_request(call, &request).into_iter();
    found
        .map(|what| format!("{call} of device {device_id}: {what}"))
        .collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = header(headers, "content-type") else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Serves the admin port until it is told to stop.
pub(crate) async fn serve_admin(
    listener: TcpListener,
    router: axum::Router,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = served.await {
        tracing::warn!(%error, "the admin port has stopped");
    }
    Ok(())
}
