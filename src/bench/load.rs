//! Clients that ask as fast as they are answered, each on one kept-alive connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a number of connections did.
#[derive(Debug, Clone, Default)]
pub(super) struct Sold {
    /// Requests answered as wished.
    pub(super) done: u64,
    /// Requests answered otherwise.
    pub(super) errors: u64,
    /// Time of each answer in microseconds.
    pub(super) latencies_us: Vec<f64>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Sold {
    /// Answers per second.
    #[expect(clippy::float_arithmetic, reason = "a rate of a report, no money")]
    pub(super) fn per_second(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Adds another run's counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.errors += other.errors;
    }
}

/// What a connection sends: a path, headers, and bodies of its own making.
#[derive(Clone)]
pub(super) struct Selling {
    pub(super) token: Arc<str>,
    /// Makes the body of the next sale.
    pub(super) next_body: Arc<dyn Fn() -> String + Send + Sync>,
}

/// One kept-alive connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    selling: Option<Selling>,
    host: String,
}

impl Connection {
    pub(super) async fn open(
        address: SocketAddr,
        selling: Option<Selling>,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            selling,
            host: address.to_string(),
        })
    }

    /// One request; true if it was answered as wished.
    pub(super) async fn ask(&mut self) -> anyhow::Result<bool> {
        let request = Request::builder().header("host", &self.host);
        let request = match &self.selling {
            None => request.method(Method::GET).uri("/").body(Full::default())?,
            Some(selling) => request
                .method(Method::POST)
                .uri("/v1/receipts")
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {}", selling.token))
                .body(Full::new(Bytes::from((selling.next_body)())))?,
        };
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let wished = if self.selling.is_some() { 201 } else { 200 };
        let is_wished = response.status().as_u16() == wished;
        response.into_body().collect().await?;
        Ok(is_wished)
    }
}

impl Connection {
    /// Asks for a path, with the till's token if there is one; true if the answer is 200.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<bool> {
        let mut request = Request::builder().uri(path).header("host", &self.host);
        if let Some(selling) = &self.selling {
            request = request.header("authorization", format!("Bearer {}", selling.token));
        }
        let request = request.body(Full::default())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let is_good = response.status().as_u16() == 200;
        response.into_body().collect().await?;
        Ok(is_good)
    }
}

/// Lets so many connections ask for a time.
#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
pub(super) async fn run_connections(
    connections: usize,
    duration: Duration,
    open: impl AsyncFn(usize) -> anyhow::Result<Connection>,
) -> anyhow::Result<Sold> {
    let mut opened = Vec::with_capacity(connections);
    for place in 0..connections {
        opened.push(open(place).await?);
    }
    let start = SystemClock.boot();
    let mut tasks = JoinSet::new();
    for mut connection in opened {
        tasks.spawn(async move {
            let mut sold = Sold::default();
            loop {
                let before = SystemClock.boot();
                if before.saturating_sub(start) >= duration {
                    return anyhow::Ok(sold);
                }
                if connection.ask().await? {
                    sold.done += 1;
                } else {
                    sold.errors += 1;
                }
                let took = SystemClock.boot().saturating_sub(before);
                sold.latencies_us.push(took.as_secs_f64() * 1e6);
            }
        });
    }
    let mut all = Sold::default();
    while let Some(done) = tasks.join_next().await {
        let done = done??;
        all.add(&done);
        all.latencies_us.extend(done.latencies_us);
    }
    all.took = SystemClock.boot().saturating_sub(start);
    Ok(all)
}
