//! What the machine itself can do: empty HTTP answers, signatures, durable appends.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clock::{Clock as _, SystemClock};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::load::{Connection, Sold, run_connections};
use crate::keys::{DeviceKey, KeyKind, Signer as _};

/// `f_type` of a tmpfs.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// A ledger in memory would measure nothing.
pub(super) fn refuse_tmpfs(dir: &Path) -> anyhow::Result<()> {
    let kind = rustix::fs::statfs(dir)
        .with_context(|| format!("{} cannot be looked at", dir.display()))?
        .f_type;
    if kind == TMPFS_MAGIC {
        bail!(
            "{} is in memory (tmpfs), where an fsync costs nothing; name a folder on a disk with --dir",
            dir.display()
        );
    }
    Ok(())
}

/// A server that answers every request with nothing.
pub(super) struct EmptyServer {
    address: SocketAddr,
}

impl EmptyServer {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // As the API does: answers are small and wanted at once.
                let _ = stream.set_nodelay(true);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
        Ok(Self { address })
    }

    async fn run(&self, connections: usize, duration: Duration) -> anyhow::Result<Sold> {
        let address = self.address;
        run_connections(connections, duration, async move |_| {
            Connection::open(address, None).await
        })
        .await
    }

    /// Answers per second over so many connections.
    pub(super) async fn per_second(
        &self,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        Ok(self.run(connections, duration).await?.per_second())
    }

    /// Median time of one answer on one connection, in microseconds.
    pub(super) async fn median_us(&self, duration: Duration) -> anyhow::Result<f64> {
        let mut run = self.run(1, duration).await?;
        Ok(super::quantile(&mut run.latencies_us, 0.5))
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

/// Signatures per second of one core, over a text as long as a receipt's.
pub(super) fn signs_per_second(duration: Duration) -> anyhow::Result<f64> {
    let key = DeviceKey::generate(KeyKind::EcP256)?;
    let text = [b'x'; 160];
    per_second(duration, || {
        std::hint::black_box(key.sign(&text)?);
        Ok(())
    })
}

/// Appends per second, each with fdatasync.
pub(super) fn appends_per_second(
    dir: &Path,
    bytes: u64,
    duration: Duration,
) -> anyhow::Result<f64> {
    let path = dir.join("append");
    let mut file = std::fs::File::create(&path)?;
    let record = vec![0x5a; usize::try_from(bytes)?];
    let rate = per_second(duration, || {
        file.write_all(&record)?;
        file.sync_data()?;
        Ok(())
    })?;
    std::fs::remove_file(&path)?;
    Ok(rate)
}

#[expect(clippy::float_arithmetic, reason = "a rate of a report, no money")]
fn per_second(
    duration: Duration,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let start = SystemClock.boot();
    let mut count = 0_u32;
    loop {
        work()?;
        count += 1;
        let passed = SystemClock.boot().saturating_sub(start);
        if passed >= duration {
            return Ok(f64::from(count) / passed.as_secs_f64());
        }
    }
}
