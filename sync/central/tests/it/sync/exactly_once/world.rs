//! What all stores share: head office as a process that is killed, a Postgres that is restarted and crashes, and the
//! machines of the stores with their agents.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fiscal_hq::db::{self, APP_ROLE, TenantId};
use secrecy::SecretString;
use sync_agent::{Agent, Exchanged, HttpLink, Line, Link, LinkError, Pace, Standing, Store as _};
use sync_wire::TillRef;
use sync_wire::chain::ChainHash;
use sync_wire::command::Order;
use sync_wire::exchange::Up;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::shop::Dice;
use super::Planted;
use super::disk::{Disk, Outbox};
use super::proxy::{Mishaps, Proxy, Wire};
use crate::cli::{Service, program};
use crate::support::{Server, Test};

/// As fast as it goes: a run meets the mishaps of weeks.
const PACE: Pace = Pace {
    gather: Duration::ZERO,
    idle: Duration::from_millis(200),
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(100),
    between_forks: Duration::ZERO,
};

/// All that stores share.
pub(super) struct World {
    pub(super) test: Test,
    pub(super) server: Server,
    pub(super) tenant: TenantId,
    pub(super) wires: Vec<Arc<Wire>>,
    pub(super) proxy: Proxy,
    pub(super) mishaps: Mishaps,
    pub(super) http: reqwest::Client,
    pub(super) planted: Planted,
    /// The service is killed after so many exchanges, and Postgres restarted after so many.
    pub(super) strikes: (u64, u64),
    /// Held by whoever needs Postgres for a moment.
    pub(super) quiet: RwLock<()>,
    /// The run is over, or something is wrong.
    pub(super) stop: CancellationToken,
    service: Mutex<Option<Service>>,
    base: Mutex<String>,
    turns: AtomicU64,
    calm: AtomicBool,
    /// The store whose machine is lost.
    lost: Mutex<Option<usize>>,
    wrong: Mutex<Option<String>>,
    /// Where Postgres is; it goes last.
    _folder: tempfile::TempDir,
}

/// What a world begins with.
pub(super) struct Beginning {
    pub(super) test: Test,
    pub(super) server: Server,
    pub(super) tenant: TenantId,
    pub(super) wires: Vec<Arc<Wire>>,
    pub(super) proxy: Proxy,
    pub(super) planted: Planted,
    pub(super) strikes: (u64, u64),
    pub(super) folder: tempfile::TempDir,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) async fn begin(from: Beginning) -> Arc<Self> {
        let http = reqwest::Client::builder().build().unwrap();
        let world = Arc::new(Self {
            test: from.test,
            server: from.server,
            tenant: from.tenant,
            wires: from.wires,
            proxy: from.proxy,
            mishaps: Mishaps::default(),
            http,
            planted: from.planted,
            strikes: from.strikes,
            quiet: RwLock::new(()),
            stop: CancellationToken::new(),
            service: Mutex::new(None),
            base: Mutex::new(String::new()),
            turns: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            lost: Mutex::new(None),
            wrong: Mutex::new(None),
            _folder: from.folder,
        });
        world.start_service().await;
        world
    }

    /// Where head office is just now.
    pub(super) fn head_office(&self) -> String {
        lock(&self.base).clone()
    }

    /// Nothing fails any more.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// A store's machine is lost: its secret is good no more.
    pub(super) fn lose(&self, store: usize) {
        *lock(&self.lost) = Some(store);
    }

    pub(super) fn is_lost(&self, store: usize) -> bool {
        *lock(&self.lost) == Some(store)
    }

    /// Something is as it must not be: the run ends, and fails.
    pub(super) fn is_wrong(&self, what: String) {
        lock(&self.wrong).get_or_insert(what);
        self.stop.cancel();
    }

    pub(super) fn wrong(&self) -> Option<String> {
        lock(&self.wrong).clone()
    }

    /// Head office is at work on a request: now and then it is struck in the middle of it.
    pub(super) fn strike(self: &Arc<Self>) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
        let (kill, restart) = self.strikes;
        if turn.is_multiple_of(kill) {
            // With what it is doing.
            drop(lock(&self.service).take());
            self.mishaps.count("head office killed");
            let world = Arc::clone(self);
            tokio::spawn(async move { world.start_service().await });
        }
        if turn.is_multiple_of(restart) {
            let world = Arc::clone(self);
            let is_crash = (turn / restart) % 3 != 1;
            tokio::spawn(async move { world.restart_postgres(is_crash).await });
        }
    }

    async fn start_service(self: &Arc<Self>) {
        let world = Arc::clone(self);
        let started = tokio::task::spawn_blocking(move || {
            let mut command = program(&world.test.database, APP_ROLE, &["serve"]);
            command
                .env("HQ_WORKER_SECONDS", "1")
                .env("HQ_PLANTED", world.planted.at_head_office());
            let service = Service::start(&mut command);
            *lock(&world.base) = format!("http://{}", service.address);
            *lock(&world.service) = Some(service);
        });
        started.await.unwrap();
    }

    async fn restart_postgres(self: &Arc<Self>, is_crash: bool) {
        let world = Arc::clone(self);
        let _quiet = self.quiet.write().await;
        self.mishaps.count(match is_crash {
            true => "Postgres crashed",
            false => "Postgres restarted",
        });
        let restarted = tokio::task::spawn_blocking(move || match is_crash {
            true => world.server.crash(),
            false => {
                world.server.stop();
                world.server.start_again();
            }
        });
        restarted.await.unwrap();
    }

    /// A person orders something. What fails is not ordered, or is: the table says so.
    pub(super) async fn order(&self, store: Uuid, order: Order) {
        let _quiet = self.quiet.read().await;
        let given = async {
            let mut client = self.test.hq.db.client().await.ok()?;
            let tx = db::tenant(&mut client, self.tenant).await.ok()?;
            let now = SystemClock.wall();
            fiscal_hq::commands::order(&tx, self.tenant, store, &order, "user:rudo", now)
                .await
                .ok()?;
            tx.commit().await.ok()
        };
        if given.await.is_none() {
            self.mishaps.count("orders that failed");
        }
    }
}

/// The way to head office; where that is planted, the agent believes in an answer before it has one.
struct Way {
    http: HttpLink,
    disk: Arc<Disk>,
    planted: Planted,
}

impl Link for Way {
    async fn exchange(&self, up: &Up, lines: &[Line]) -> Result<Exchanged, LinkError> {
        if self.planted == Planted::AcknowledgedEarly
            && let Some(last) = lines.last()
        {
            let chained = |hash: ChainHash, line: &Line| hash.then(&line.bytes);
            let hash = lines.iter().fold(up.after_hash, chained);
            let outbox = Outbox(Arc::clone(&self.disk));
            // What does not fit is nobody's defect.
            let _ = outbox.acknowledge(up.epoch, last.seq, hash).await;
        }
        self.http.exchange(up, lines).await
    }
}

/// A store's machine: whenever its process is killed, it starts again from what is on the disk.
pub(super) struct Machine {
    task: JoinHandle<()>,
    off: CancellationToken,
}

impl Machine {
    pub(super) fn on(world: &Arc<World>, store: usize, disk: &Arc<Disk>, secret: &str) -> Self {
        let off = CancellationToken::new();
        let (world, disk) = (Arc::clone(world), Arc::clone(disk));
        let (secret, is_off) = (secret.to_owned(), off.clone());
        let task = tokio::spawn(async move {
            for life in 0_u64.. {
                let seed = u64::try_from(store).unwrap() << 40 | life;
                let live = live(
                    Arc::clone(&world),
                    store,
                    Arc::clone(&disk),
                    secret.clone(),
                    seed,
                );
                let mut process = tokio::spawn(live);
                tokio::select! {
                    () = is_off.cancelled() => {}
                    () = disk.died.notified() => world.mishaps.count("agents that were begun again"),
                    ended = &mut process => {
                        world.is_wrong(format!("the agent of store {store} has ended: {ended:?}"));
                        return;
                    }
                }
                process.abort();
                // It is gone, with whatever it was doing.
                let _ = process.await;
                if is_off.is_cancelled() {
                    return;
                }
            }
        });
        Self { task, off }
    }

    /// Pulls the plug.
    pub(super) async fn off(self) {
        self.off.cancel();
        self.task.await.unwrap();
    }
}

/// The store's process: the agent, and whoever carries commands out. As in the gateway, nothing is carried out before
/// head office was heard: only then is it certain that this ledger was not put back.
async fn live(world: Arc<World>, store: usize, disk: Arc<Disk>, secret: String, seed: u64) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let url = format!("{}/{store}", world.proxy.base);
    let way = Way {
        http: HttpLink::new(&url, &SecretString::from(secret), tls).unwrap(),
        disk: Arc::clone(&disk),
        planted: world.planted,
    };
    let dice = Mutex::new(Dice::new(seed));
    let random = Arc::new(move || lock(&dice).below(1 << 50));
    let standing = watch::Sender::new(Standing::default());
    let mut heard = standing.subscribe();
    let outbox = Outbox(Arc::clone(&disk));
    let mut agent = Agent::new(outbox, way, Arc::new(SystemClock), random, standing).paced(PACE);
    let never = CancellationToken::new();
    let work = async {
        if heard
            .wait_for(|standing| standing.heard.is_some())
            .await
            .is_ok()
        {
            disk.carry_out().await;
        }
    };
    tokio::join!(agent.run(&never), work);
}

/// What is asked of a store, one thing after the other.
pub(super) fn an_order(till: TillRef, dice: &mut Dice) -> Order {
    match dice.below(3) {
        0 => Order::Retry { till },
        _ => Order::SubmitTest { till },
    }
}
