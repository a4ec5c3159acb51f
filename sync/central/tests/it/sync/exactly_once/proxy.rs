//! The line between the stores and head office: requests and answers are lost on it, come twice, late and in another
//! order, and whoever speaks over it may be killed in the middle.
//!
//! It is told nothing of what it carries but what head office answered: so it can say what that was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sync_wire::exchange::{Down, PATH};
use tokio::net::TcpListener;

use super::super::shop::Dice;
use super::disk::Disk;
use super::world::World;

/// Microseconds after which whoever is at work on a request may be struck: about as long as head office needs for one.
const LONGEST_MOMENT: u64 = 12_000;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the line is cut")]
struct Cut;

type Answer = Result<Response<Full<Bytes>>, Cut>;

/// A batch on its way.
#[derive(Debug, Clone)]
struct Batch {
    headers: HeaderMap,
    body: Bytes,
}

/// One store's line.
pub(super) struct Wire {
    store: usize,
    disk: Arc<Disk>,
    dice: Mutex<Dice>,
    /// Batches that come late.
    late: Mutex<Vec<Batch>>,
}

impl Wire {
    pub(super) const fn new(store: usize, disk: Arc<Disk>, dice: Dice) -> Self {
        Self {
            store,
            disk,
            dice: Mutex::new(dice),
            late: Mutex::new(Vec::new()),
        }
    }

    fn dice(&self, below: u64) -> u64 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.below(below)
    }

    fn keep(&self, batch: Batch) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.push(batch);
    }

    /// Any of those that come late.
    fn any_late(&self) -> Option<Batch> {
        let which = self.dice(1 << 20);
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let count = u64::try_from(late.len()).unwrap();
        let which = usize::try_from(which.checked_rem(count)?).unwrap();
        Some(late.swap_remove(which))
    }
}

/// What went wrong how often.
#[derive(Debug, Default)]
pub(super) struct Mishaps(Mutex<BTreeMap<&'static str, u64>>);

impl Mishaps {
    pub(super) fn count(&self, what: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

/// The proxy.
pub(super) struct Proxy {
    pub(super) base: String,
    pub(super) exchanges: AtomicU64,
}

impl Proxy {
    /// Answers until the runtime ends; a store is the first part of the path.
    pub(super) async fn start() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let exchanges = AtomicU64::new(0);
        (Self { base, exchanges }, listener)
    }
}

/// Carries what comes in.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let world = Arc::clone(&world);
                async move { pass(&world, request).await }
            });
            // Whoever is killed hangs up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn pass(world: &Arc<World>, request: Request<Incoming>) -> Answer {
    let store: usize = request
        .uri()
        .path()
        .split('/')
        .nth(1)
        .and_then(|store| store.parse().ok())
        .ok_or(Cut)?;
    let wire = Arc::clone(&world.wires[store]);
    let headers = [AUTHORIZATION, CONTENT_TYPE, CONTENT_ENCODING];
    let headers = headers
        .into_iter()
        .filter_map(|name| Some((name.clone(), request.headers().get(&name)?.clone())))
        .collect();
    let body = request.into_body().collect().await.map_err(|_| Cut)?;
    let batch = Batch {
        headers,
        body: body.to_bytes(),
    };
    world.proxy.exchanges.fetch_add(1, Ordering::Relaxed);
    if world.is_calm() {
        return send(world, &wire, batch).await;
    }
    mishap(world, &wire, batch).await
}

/// What becomes of a batch.
async fn mishap(world: &Arc<World>, wire: &Arc<Wire>, batch: Batch) -> Answer {
    let told = |what| world.mishaps.count(what);
    match wire.dice(24) {
        0 => {
            told("requests lost");
            Err(Cut)
        }
        1 => {
            told("answers lost");
            send(world, wire, batch).await?;
            Err(Cut)
        }
        2 => {
            told("batches doubled at once");
            let (one, two) = tokio::join!(
                send(world, wire, batch.clone()),
                send(world, wire, batch.clone())
            );
            if wire.dice(2) == 0 { one } else { two }
        }
        3 => {
            told("batches doubled one after the other");
            send(world, wire, batch.clone()).await?;
            send(world, wire, batch).await
        }
        4 => {
            told("batches late");
            wire.keep(batch);
            Err(Cut)
        }
        5 => {
            // A copy of it comes late.
            wire.keep(batch.clone());
            send(world, wire, batch).await
        }
        6 | 7 => reordered(world, wire, batch).await,
        8 => {
            told("agents killed before a request");
            wire.disk.died.notify_one();
            Err(Cut)
        }
        9 => {
            told("agents killed during a request");
            let sent = spawn(world, wire, batch);
            a_moment(wire).await;
            wire.disk.died.notify_one();
            sent.await.map_err(|_| Cut)?
        }
        10 => {
            told("agents killed before an answer");
            let answer = send(world, wire, batch).await;
            wire.disk.died.notify_one();
            answer
        }
        11 => {
            told("requests cut off half way");
            let sent = spawn(world, wire, batch);
            a_moment(wire).await;
            sent.abort();
            Err(Cut)
        }
        _ => {
            let sent = spawn(world, wire, batch);
            a_moment(wire).await;
            world.strike();
            sent.await.map_err(|_| Cut)?
        }
    }
}

/// One that was late comes with this one, or after it.
async fn reordered(world: &Arc<World>, wire: &Arc<Wire>, batch: Batch) -> Answer {
    let Some(late) = wire.any_late() else {
        return send(world, wire, batch).await;
    };
    world.mishaps.count("batches in another order");
    if wire.dice(2) == 0 {
        let (answer, _) = tokio::join!(send(world, wire, batch), send(world, wire, late));
        return answer;
    }
    let answer = send(world, wire, batch).await;
    // Whoever is gone meanwhile is told nothing.
    let _ = send(world, wire, late).await;
    answer
}

/// Whatever is late comes now.
pub(super) async fn all_late(world: &Arc<World>) {
    for wire in &world.wires {
        while let Some(late) = wire.any_late() {
            // Nobody waits for the answer.
            let _ = send(world, wire, late).await;
        }
    }
}

fn spawn(world: &Arc<World>, wire: &Arc<Wire>, batch: Batch) -> tokio::task::JoinHandle<Answer> {
    let (world, wire) = (Arc::clone(world), Arc::clone(wire));
    tokio::spawn(async move { send(&world, &wire, batch).await })
}

/// For a moment that is another one each time.
async fn a_moment(wire: &Wire) {
    let moment = Duration::from_micros(wire.dice(LONGEST_MOMENT));
    SystemClock.sleep(moment).await;
}

/// To head office, wherever it is just now. An answer that it must not give is what the run is for.
async fn send(world: &World, wire: &Wire, batch: Batch) -> Answer {
    let url = format!("{}{PATH}", world.head_office());
    let request = world.http.post(url).headers(batch.headers);
    let answer = request.body(batch.body).send().await.map_err(|_| Cut)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|_| Cut)?;
    match status {
        StatusCode::OK => {
            let down: Down = serde_json::from_slice(&body).unwrap();
            if let Some(epoch) = down.epoch {
                wire.disk.hear(epoch, down.acked, down.hash);
            }
        }
        StatusCode::SERVICE_UNAVAILABLE => world.mishaps.count("answers that it is away"),
        // The secret of a machine that was lost.
        StatusCode::UNAUTHORIZED if world.is_lost(wire.store) => {}
        _ => world.is_wrong(format!(
            "head office answers {status}: {}",
            String::from_utf8_lossy(&body)
        )),
    }
    let mut passed = Response::new(Full::new(body));
    *passed.status_mut() = status;
    Ok(passed)
}
