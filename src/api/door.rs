//! Doors: accept loops, the limit of connections, HTTP on a connection, and going out of the way on stop.
//!
//! A connection over its door's limit is told so at once instead of being left waiting; a client that does
//! not read what it asked for is cut. When the daemon stops,
//! nothing new is accepted, requests in flight are finished, and what then still hangs is cut.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{Arrival, Door};
use super::problem::{PROBLEM_JSON, Problem, ProblemCode};
use super::stalled::Impatient;
use super::{Admission, Api, line};

/// Headers of a request; browsers send twenty.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head.
const MAX_HEAD: usize = 32 * 1024;
/// Connections that are being told at once that there are too many; further ones are just closed.
const MAX_TURNED_AWAY: usize = 32;
/// How long one of them has to hear it.
const TURN_AWAY: Duration = Duration::from_secs(2);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a failed accept (no file handles left) this long is waited for one to become free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What is spoken behind a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    Http,
    Lines,
}

/// A listener and what belongs to it.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
    Lan(TcpListener),
}

/// A connection that has just come in.
enum Fresh {
    Tcp(TcpStream),
    Unix(UnixStream),
    Lan(TcpStream, TlsAcceptor, SocketAddr),
}

impl Api {
    /// Serves HTTP on a loopback address until the stop signal.
    pub async fn serve_tcp(&self, listener: TcpListener) {
        self.serve(Listener::Tcp(listener), Tongue::Http).await;
    }

    /// Serves HTTP on a Unix socket until the stop signal.
    pub async fn serve_unix(&self, listener: UnixListener) {
        self.serve(Listener::Unix(listener), Tongue::Http).await;
    }

    /// Serves JSON lines on a loopback address until the stop signal.
    pub async fn serve_lines_tcp(&self, listener: TcpListener) {
        self.serve(Listener::Tcp(listener), Tongue::Lines).await;
    }

    /// Serves JSON lines on a Unix socket until the stop signal.
    pub async fn serve_lines_unix(&self, listener: UnixListener) {
        self.serve(Listener::Unix(listener), Tongue::Lines).await;
    }

    /// Serves HTTP over TLS to other machines of the shop, those that are admitted, until the stop signal.
    pub async fn serve_lan(&self, listener: TcpListener) {
        self.serve(Listener::Lan(listener), Tongue::Http).await;
    }

    async fn serve(&self, listener: Listener, tongue: Tongue) {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        // A budget of its own: whoever fills this door leaves the others open.
        let limits = self.shared.settings.limits;
        let places = match (&listener, tongue) {
            (Listener::Tcp(_) | Listener::Lan(_), Tongue::Http) => limits.connections,
            _ => limits.connections_aside,
        };
        let places = Arc::new(Semaphore::new(places));
        let turned_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
        while let Some(fresh) = self.next(&listener).await {
            let Ok(permit) = Arc::clone(&places).try_acquire_owned() else {
                if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                    tracing::warn!("too many connections are open; another one is turned away");
                    connections.spawn(turn_away(fresh, tongue, permit));
                }
                continue;
            };
            let api = self.clone();
            let cut = cut.clone();
            connections.spawn(async move {
                cut.run_until_cancelled(api.connection(fresh, tongue)).await;
                drop(permit);
            });
        }
        drop(listener);
        connections.close();
        if timeout(limits.drain, connections.wait()).await.is_err() {
            tracing::warn!("connections that did not end in time are cut");
            cut.cancel();
            connections.wait().await;
        }
    }

    /// The next connection, or `None` when it is time to stop.
    async fn next(&self, listener: &Listener) -> Option<Fresh> {
        let stop = &self.shared.stop;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                accepted = listener.accept(&self.shared.settings.admission) => accepted,
            };
            match accepted {
                Ok(Some(fresh)) => return Some(fresh),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Not a wait for something to happen here: it gives others time to let go.
                    let _ = timeout(ACCEPT_AGAIN, stop.cancelled()).await;
                }
            }
        }
    }

    async fn connection(&self, fresh: Fresh, tongue: Tongue) {
        match fresh {
            Fresh::Tcp(stream) => self.talk(stream, Door::Loopback, tongue).await,
            Fresh::Unix(stream) => match stream.peer_cred() {
                Ok(user) => {
                    let door = Door::Unix {
                        uid: user.uid(),
                        gid: user.gid(),
                    };
                    self.talk(stream, door, tongue).await;
                }
                Err(error) => tracing::warn!(%error, "the kernel does not say who connected"),
            },
            Fresh::Lan(stream, acceptor, local) => {
                match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.talk(stream, Door::Lan(local.ip()), tongue).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
    }

    async fn talk<S>(&self, stream: S, door: Door, tongue: Tongue)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match tongue {
            Tongue::Http => self.http(stream, door).await,
            Tongue::Lines => self.lines(stream, door).await,
        }
    }

    async fn http<S>(&self, stream: S, door: Door)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let arrival = Arrival {
            door,
            is_line: false,
        };
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(self.answer(arrival, request.map(Body::new)).await)
        });
        let limits = self.shared.settings.limits;
        let stream = Impatient::new(stream, limits.body_time);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            // Who has sent a whole request and is gone has sold all the same: his receipt is found by its key.
            .half_close(true)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shared.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

impl Listener {
    /// Accepts a connection; `None` is one that was not welcome.
    async fn accept(&self, admission: &Admission) -> io::Result<Option<Fresh>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small: they must not wait for more.
                stream.set_nodelay(true)?;
                Ok(Some(Fresh::Tcp(stream)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some(Fresh::Unix(stream)))
            }
            Self::Lan(listener) => {
                let (stream, peer) = listener.accept().await?;
                let admitted = admission.now();
                let door = admitted.lan.as_ref();
                let Some(door) = door.filter(|door| door.allowed.contains(peer.ip())) else {
                    tracing::warn!(peer = %peer.ip(), "an address that is not allowed was turned away");
                    return Ok(None);
                };
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?;
                let acceptor = TlsAcceptor::from(Arc::clone(&door.tls));
                Ok(Some(Fresh::Lan(stream, acceptor, local)))
            }
        }
    }
}

/// Tells a client that there are too many, and waits for it to have heard.
async fn turn_away(fresh: Fresh, tongue: Tongue, _permit: OwnedSemaphorePermit) {
    let problem = Problem::new(
        ProblemCode::TooManyConnections,
        "the limit of connections is reached",
    );
    let text = match tongue {
        Tongue::Lines => line::line(None, 503, None, &problem.to_json()),
        Tongue::Http => {
            let body = problem.to_json();
            format!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\n\
                 content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        }
    };
    // Without its handshake a TLS client could not read it.
    let said = match fresh {
        Fresh::Tcp(stream) => timeout(TURN_AWAY, say(stream, &text)).await,
        Fresh::Unix(stream) => timeout(TURN_AWAY, say(stream, &text)).await,
        Fresh::Lan(..) => return,
    };
    if let Ok(Err(error)) = said {
        tracing::debug!(%error, "a client did not wait to hear that there are too many");
    }
}

/// Writes, and reads to the end: a connection closed with unread bytes is reset, and the text lost.
async fn say<S>(mut stream: S, text: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
