//! The API for the tills: HTTP on loopback and on a Unix socket, the same requests as JSON lines.
//!
//! One router answers all of them; what differs is only the door (who may come in, and how a caller is
//! known). A sale goes straight to the ledger's queue and is answered from what the ledger gives back:
//! no thread is borrowed and nothing is read on its way. Everything that is not what was asked for is a
//! problem document with a stable code (docs/ERRORS.md).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, header};
use axum::response::{IntoResponse as _, Response};
use fiscal::DeviceId;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

mod access;
mod admission;
mod alarms;
mod allow;
mod answer;
mod body;
mod captures;
mod closing;
mod copies;
mod credit;
mod days;
mod door;
mod events;
mod files;
mod head_office;
pub mod line;
mod lines;
mod link;
mod metrics;
mod openapi;
mod optional;
mod page;
mod panic;
pub mod params;
mod pictures;
mod ports;
mod printing;
pub mod problem;
mod queue;
mod receipts;
pub mod schema;
mod stalled;
mod status;
mod switch;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;
mod tills;

pub use admission::{Admission, Admitted, LanDoor};
pub use allow::{AllowList, AllowListError};

use crate::ledger::core::Core;
use crate::ledger::{Ledger, LedgerError, Reader};
use crate::pos::PosPorts;
use crate::print::Printers;
use crate::submit::Submitter;
use access::Arrival;
use problem::{Problem, ProblemCode};

/// What the API is told once.
#[derive(Debug, Clone, Default)]
pub struct ApiSettings {
    /// Who may come in; may be replaced while the API serves.
    pub admission: Admission,
    /// A picture on PDF invoices: PNG.
    pub logo: Option<Arc<Vec<u8>>>,
    /// Where tills on other machines come in.
    pub lan: Option<std::net::SocketAddr>,
    /// Where the ledger is, whose room is measured; none for one that is thrown away.
    pub data_dir: Option<std::path::PathBuf>,
    /// How the store gets on with head office.
    pub hq: crate::hq::HqView,
    /// How the copies of the ledger stand.
    pub backup: crate::backup::BackupView,
    /// Limits.
    pub limits: Limits,
}

/// A user of this machine and what he may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixUser {
    /// Who.
    pub who: UnixId,
    /// Which tills.
    pub reach: Reach,
}

/// A user or a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnixId {
    /// A user.
    Uid(u32),
    /// Everybody whose first group it is.
    Gid(u32),
}

/// Which tills somebody may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every till.
    All,
    /// The till with this device ID.
    Device(DeviceId),
}

/// Limits on everything that somebody else can make long or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once on a listener for HTTP over TCP. Each listener counts its own: who fills one door
    /// shuts no other. A till needs one; a browser opens six. All listeners together stay below the 1024
    /// file handles that a process usually may have, or a full door would shut the others all the same.
    pub connections: usize,
    /// Connections at once on each of the other listeners: the Unix sockets and JSON lines, which tills use
    /// with one connection each.
    pub connections_aside: usize,
    /// Streams of events at once.
    pub streams: usize,
    /// Streams of events at once for one caller: a single token must not take them all.
    pub streams_each: usize,
    /// Bytes of a body. A sale of a thousand long lines has a third of this.
    pub body: usize,
    /// Bytes of a JSON line.
    pub line: usize,
    /// For a request's head to arrive; an idle HTTP connection is closed after it too, and one of JSON lines
    /// over which nobody known has asked for anything by then.
    pub head: Duration,
    /// How long a connection of JSON lines may be silent once its caller is known. Longer than a night: the
    /// first sale of the morning finds its connection still there, for POS software that speaks lines is
    /// the kind that does not connect again by itself. Not for ever: one that forgets its connections gets
    /// their places back.
    pub idle: Duration,
    /// For a body, or the rest of a line, to arrive; and for a client to take what is written to it.
    pub body_time: Duration,
    /// For the ledger to answer: long enough for a disk that has to spin up.
    pub ledger: Duration,
    /// For connections to end when the daemon stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_aside: 64,
            streams: 32,
            streams_each: 8,
            body: 1024 * 1024,
            line: 1024 * 1024 + 16 * 1024,
            head: Duration::from_secs(75),
            idle: Duration::from_hours(24),
            body_time: Duration::from_secs(20),
            ledger: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

/// Where the operator's page is.
pub const PAGE: &str = "/operator";
/// What everything of the page begins with.
const PAGE_WITHIN: &str = "/operator/";
/// Longest `?wait=` for FDMS, in milliseconds.
pub use sync_wire::settings::MAX_WAIT_MS;
/// A request that took longer has met a defect: more than waiting for FDMS, the ledger and a body together.
const REQUEST: Duration = Duration::from_secs(150);
/// Questions that are put to the ledger at once; the rest waits for its turn.
const READS: usize = 8;

/// The API. Clones share everything.
#[derive(Debug, Clone)]
pub struct Api {
    shared: Arc<Shared>,
    router: Router,
    /// The operator's page, at the door on loopback.
    page: Option<Router>,
}

/// The store's devices.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// Printers.
    pub printers: Printers,
    /// Ports for old POS software.
    pub pos: PosPorts,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    submitter: Submitter,
    printers: Printers,
    pos: PosPorts,
    settings: ApiSettings,
    stop: CancellationToken,
    memory: access::Memory,
    reads: Semaphore,
    streams: events::Streams,
    switches: switch::Switches,
}

impl Api {
    /// An API over a ledger. It ends its connections and streams when `stop` is cancelled.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        submitter: Submitter,
        devices: Devices,
        settings: ApiSettings,
        stop: CancellationToken,
    ) -> Self {
        let limits = settings.limits;
        let shared = Arc::new(Shared {
            ledger,
            submitter,
            printers: devices.printers,
            pos: devices.pos,
            settings,
            stop,
            memory: access::Memory::default(),
            reads: Semaphore::new(READS),
            streams: events::Streams::new(limits.streams, limits.streams_each),
            switches: switch::Switches::default(),
        });
        let (router, _) = openapi::routes();
        Self {
            router: router.with_state(Arc::clone(&shared)),
            shared,
            page: None,
        }
    }

    /// The same with the operator's page at [`PAGE`] and at `/`, for whoever comes over loopback. The page is a client
    /// of the API like any other ([`Api::ask_as`]), made from an API that has none.
    #[must_use]
    pub fn with_page(mut self, page: Router) -> Self {
        self.page = Some(page);
        self
    }

    /// Answers what another part of the gateway asks for somebody who may steer every till. `actor` is who that is, as
    /// the audit names him.
    pub async fn ask_as(&self, actor: &Arc<str>, mut request: Request<Body>) -> Response {
        request
            .extensions_mut()
            .insert(access::InHouse(Arc::clone(actor)));
        routed(self.router.clone(), request).await
    }

    /// Who answers: the page, or the API.
    fn router_for(&self, arrival: Arrival, path: &str) -> Router {
        let is_page = path == "/" || path == PAGE || path.starts_with(PAGE_WITHIN);
        match &self.page {
            Some(page) if is_page && arrival.is_loopback_http() => page.clone(),
            _ => self.router.clone(),
        }
    }

    /// The OpenAPI document, as `/openapi.json` gives it.
    #[must_use]
    pub fn openapi_json() -> String {
        openapi::document().to_owned()
    }

    /// Answers one request, whatever happens.
    async fn answer(&self, arrival: Arrival, mut request: Request<Body>) -> Response {
        let admitted = self.shared.settings.admission.now();
        let gate = access::gate(
            arrival,
            &admitted.lan_names,
            request.uri(),
            request.headers(),
        );
        let mut response = match gate {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                request.extensions_mut().insert(arrival);
                let router = self.router_for(arrival, request.uri().path());
                routed(router, request).await
            }
        };
        let headers = response.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        // No page elsewhere gets it into its process, not even as a picture.
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        );
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

/// Has a router answer, in time and whatever happens in there.
async fn routed(mut router: Router, request: Request<Body>) -> Response {
    let handled = panic::caught(async move { router.call(request).await });
    match timeout(REQUEST, handled).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => {
            let detail = format!("no answer within {} s", REQUEST.as_secs());
            Problem::new(ProblemCode::Timeout, detail).into_response()
        }
    }
}

impl Shared {
    /// Asks the ledger; at most a few questions at once, so that readers never crowd out sales.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Problem> {
        let asked = async {
            // The semaphore is never closed.
            let _turn = self.reads.acquire().await;
            self.ledger.ask(question).await
        };
        Ok(self.in_time(asked).await??)
    }

    /// Has the ledger do something other than sell.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.in_time(self.ledger.write(work)).await??)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        let limit = self.settings.limits.ledger;
        timeout(limit, work).await.map_err(|_| {
            let detail = format!("the ledger did not answer within {} s", limit.as_secs());
            Problem::new(ProblemCode::Timeout, detail)
        })
    }
}
