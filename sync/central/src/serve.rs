//! The service on its socket.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::Edge;
use crate::hq::SharedHq;

/// A service that runs; it stops when this is dropped or [`Running::stop`] is called.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Serves on a listener, with the limits of [`Edge::default`].
///
/// # Errors
/// The listener has no address.
pub fn start(hq: SharedHq, listener: TcpListener) -> std::io::Result<Running> {
    start_with(hq, listener, Edge::default())
}

/// Serves on a listener, with limits and trusted proxies.
///
/// # Errors
/// The listener has no address.
pub fn start_with(hq: SharedHq, listener: TcpListener, edge: Edge) -> std::io::Result<Running> {
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let router =
        crate::api::router_with(hq, edge).into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopped);
        if let Err(error) = served.await {
            tracing::error!(%error, "the service has ended");
        }
    });
    Ok(Running {
        address,
        stop,
        task: Some(task),
    })
}

impl Running {
    /// Stops: nothing new is accepted, what is in flight is finished.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
