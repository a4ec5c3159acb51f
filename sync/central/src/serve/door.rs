//! The door: accepting connections, TLS, HTTP on a connection, and going out of the way on stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Settings;
use super::callers::Callers;
use super::stalled::Impatient;

/// Headers of a request; browsers send twenty.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head.
const MAX_HEAD: usize = 32 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a failed accept (no file handles left) this long is waited for one to become free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A connection's part of the service.
#[derive(Clone)]
struct Talk {
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    settings: Settings,
    stop: CancellationToken,
}

/// Serves until the stop signal; then finishes what is in flight, and cuts what hangs.
pub(super) async fn serve(
    listener: TcpListener,
    (router, tls): (Router, Option<Arc<rustls::ServerConfig>>),
    settings: Settings,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let places = Arc::new(Semaphore::new(settings.connections));
    let callers = Callers::new(
        settings.connections_per_address,
        settings.edge.trusted_proxies.clone(),
    );
    let drain = settings.drain;
    let talk = Talk {
        router,
        tls,
        settings,
        stop,
    };
    while let Some((stream, peer)) = next(&listener, &talk.stop).await {
        // Who comes when all places are taken is closed at once, and tries again.
        let Ok(permit) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("too many connections are open; another one is turned away");
            continue;
        };
        let Some(place) = callers.let_in(peer.ip()) else {
            tracing::debug!(%peer, "too many connections from one address; another one is turned away");
            continue;
        };
        let talk = talk.clone();
        let cut = cut.clone();
        connections.spawn(async move {
            cut.run_until_cancelled(talk.connection(stream, peer)).await;
            drop((permit, place));
        });
    }
    drop(listener);
    connections.close();
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
        cut.cancel();
        connections.wait().await;
    }
}

/// The next connection, or `None` when it is time to stop.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Not a wait for something to happen here: it gives others time to let go.
                let _ = timeout(ACCEPT_AGAIN, stop.cancelled()).await;
            }
        }
    }
}

impl Talk {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small: they must not wait for more.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.http(stream, peer).await;
        };
        match timeout(HANDSHAKE, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let router = self.router.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let Ok(response) = router.oneshot(request).await;
                Ok::<_, Infallible>(response)
            }
        });
        let stream = Impatient::new(stream, self.settings.stall);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}
