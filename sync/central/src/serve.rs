//! The service on its socket: connections, TLS, what is done around each request, health, and the built-in timer.
//!
//! It starts without the database if that is only away: stores and people then get a problem document that
//! says so, and all goes on when it is back. It does not start where a person must act first ([`NotReady`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, middleware};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::Edge;
use crate::db::NotReady;
use crate::hq::SharedHq;

mod around;
mod callers;
mod certificate;
mod door;
pub mod health;
mod lag;
mod stalled;
mod timer;

pub use around::RequestId;
pub use certificate::{CertificateError, Certificates};

/// How the service is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to believe and how much is let through.
    pub edge: Edge,
    /// Certificate and key; none: plain HTTP, for a proxy in front that speaks TLS.
    pub tls: Option<Arc<Certificates>>,
    /// Whoever shows this may read `/metrics` from elsewhere than this machine.
    pub metrics_token: Option<SecretString>,
    /// How often the periodic work is done; none: somebody calls `/fdms_worker`.
    pub worker_every: Option<Duration>,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address (in IPv6: one network), so that nobody takes all places. Proxies that are
    /// trusted have no such limit.
    pub connections_per_address: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub head: Duration,
    /// How long a client may not take a byte of its answer.
    pub stall: Duration,
    /// How long requests in flight have when the service is stopped.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            edge: Edge::default(),
            tls: None,
            metrics_token: None,
            worker_every: None,
            connections: 4096,
            // Shops of a mobile network may share an address; each keeps one connection.
            connections_per_address: 512,
            head: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}

impl From<Edge> for Settings {
    fn from(edge: Edge) -> Self {
        Self {
            edge,
            ..Self::default()
        }
    }
}

/// A service that runs; it stops when this is dropped or [`Running::stop`] is called.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Looks whether the service may serve from its database.
///
/// # Errors
/// Somebody must act first; the sentence says what to do. A database that is only away is no error here.
pub async fn may_serve(hq: &SharedHq) -> Result<(), NotReady> {
    match hq.db.check().await {
        Err(why) if why.may_pass() => {
            tracing::warn!(%why, "the service starts without its database");
            Ok(())
        }
        other => other,
    }
}

/// Serves on a listener, as [`Settings::default`] has it.
///
/// # Errors
/// The listener has no address.
pub fn start(hq: SharedHq, listener: TcpListener) -> std::io::Result<Running> {
    start_with(hq, listener, Settings::default())
}

/// Serves on a listener.
///
/// # Errors
/// The listener has no address.
pub fn start_with(
    hq: SharedHq,
    listener: TcpListener,
    settings: impl Into<Settings>,
) -> std::io::Result<Running> {
    let settings = settings.into();
    let tls = settings.tls.as_ref().map(Certificates::config).transpose();
    let tls = tls.map_err(std::io::Error::other)?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let token = health::MetricsToken(settings.metrics_token.clone());
    let router = crate::api::router_with(Arc::clone(&hq), settings.edge.clone())
        .layer(Extension(token))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&hq),
            around::watch,
        ));
    let mut tasks = Vec::new();
    if let Some(every) = settings.worker_every {
        tasks.push(tokio::spawn(timer::run(hq, every, stop.clone())));
    }
    let door = door::serve(listener, (router, tls), settings, stop.clone());
    tasks.push(tokio::spawn(door));
    Ok(Running {
        address,
        stop,
        tasks,
    })
}

impl Running {
    /// Stops: nothing new is accepted, what is in flight is finished.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the service has not ended well");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
