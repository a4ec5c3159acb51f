//! Whatever fails, each line of each store is at head office once: stores made of lines, with seeded mishaps.
//!
//! Requests and answers are lost, batches come twice, late and in another order, agents are killed, the service is
//! killed with what it is doing, Postgres is restarted; one store is put back from yesterday's copy, one is lost and
//! set up again from head office. At the end head office has the union of the ledgers, each line once.
//! `HQ_EXACTLY_ONCE_EVENTS` and `HQ_EXACTLY_ONCE_SEED` steer it; `scripts/hq-exactly-once` is the long run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fiscal_hq::Hq;
use fiscal_hq::keys::MasterKeys;
use reqwest::StatusCode;
use sync_wire::exchange::Down;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock};

use super::shop::{Dice, Line as Text, Shop};
use super::{Joined, Line, Shared, again, count, heard, joined, receipts};
use crate::support::{MASTER_KEY, Test};

const STORES: u32 = 5;
/// The service is killed after so many answers, Postgres restarted after so many.
const KILL_EVERY: u64 = 17;
const RESTART_EVERY: u64 = 41;

fn setting(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().unwrap())
}

/// An instance of the service that can be killed with all that it is doing.
struct Instance {
    runtime: Option<Runtime>,
    base: String,
}

impl Instance {
    async fn start(test: &Test) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let hq = Arc::new(Hq {
            db: test.database.pool(),
            clock: Arc::clone(&test.hq.clock),
            ceiling: test.hq.ceiling,
            keys: MasterKeys::parse(MASTER_KEY, None).unwrap(),
            worker_secret: None,
            secure_cookies: false,
            public_url: String::new(),
            outbound: fiscal_hq::outbound::Outbound::default(),
        });
        let served = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = fiscal_hq::api::router(hq);
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        let base = format!("http://{}", served.await.unwrap());
        Self {
            runtime: Some(runtime),
            base,
        }
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What all stores share.
struct World {
    test: Shared,
    instance: Mutex<Instance>,
    exchanges: AtomicU64,
    mishaps: AtomicU64,
    /// Held by whoever needs Postgres for a moment.
    calm: RwLock<()>,
}

impl World {
    /// One more exchange that was answered; now and then something is killed by it.
    async fn turn(&self) {
        let turn = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        if turn.is_multiple_of(KILL_EVERY) {
            let mut instance = self.instance.lock().await;
            instance.kill();
            *instance = Instance::start(&self.test).await;
            self.mishaps.fetch_add(1, Ordering::Relaxed);
        }
        if turn.is_multiple_of(RESTART_EVERY) {
            let _calm = self.calm.write().await;
            restart(&self.test).await;
            self.mishaps.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn line(&self, joined: &Joined) -> Line {
        Line {
            base: self.instance.lock().await.base.clone(),
            ..joined.line.clone()
        }
    }
}

/// Postgres crashes and comes back; where it is shared with other tests, it only drops this database's connections.
async fn restart(test: &Test) {
    let admin = test.database.connect("postgres").await;
    if std::env::var_os("HQ_EXACTLY_ONCE_RESTART").is_none() {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin.execute(sql, &[]).await.unwrap();
        return;
    }
    let row = admin.query_one("SHOW data_directory", &[]).await.unwrap();
    let directory: String = row.get(0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/hq-exactly-once");
    let mut command = std::process::Command::new(script);
    command.arg("--crash").arg(directory);
    let status = tokio::task::spawn_blocking(move || command.status());
    let status = status.await.unwrap().unwrap();
    assert!(status.success());
}

/// A store in the world.
struct Store {
    world: Arc<World>,
    joined: Joined,
    shop: Shop,
    dice: Dice,
    /// Batches that come late.
    late: Vec<String>,
    /// Lines that are at head office though the ledger has them no more.
    gone: Vec<Text>,
    /// Receipts of these.
    gone_receipts: Vec<super::ReceiptKey>,
}

impl Store {
    /// One exchange on a line that may fail; none: no answer was heard. A defect of head office's ends the test.
    async fn say(&self, text: String) -> Option<Down> {
        let line = self.world.line(&self.joined).await;
        let packed = zstd::bulk::compress(text.as_bytes(), 1).unwrap();
        match line.send(packed, Some("zstd")).await? {
            Ok(down) => Some(down),
            Err((StatusCode::SERVICE_UNAVAILABLE, _)) => None,
            Err((status, problem)) => panic!("{status}: {problem}"),
        }
    }

    /// A turn of the agent, with a mishap or without.
    async fn turn(&mut self) {
        let most = 1 + usize::try_from(self.dice.below(40)).unwrap();
        let batch = self.shop.batch(most);
        let down = match self.dice.below(12) {
            // The request is lost.
            0 => return,
            // The answer is lost.
            1 => {
                self.say(batch).await;
                return;
            }
            // It comes twice at once.
            2 => {
                let (one, two) = tokio::join!(self.say(batch.clone()), self.say(batch));
                two.or(one)
            }
            // It comes late, after others.
            3 => {
                self.late.push(batch);
                return;
            }
            4 if !self.late.is_empty() => {
                let late = self.late.remove(0);
                let (one, _) = tokio::join!(self.say(batch), self.say(late));
                one
            }
            // The agent is killed on the way.
            5 => {
                let line = self.world.line(&self.joined).await;
                let sent = tokio::spawn(async move { line.send(batch.into_bytes(), None).await });
                for _ in 0..self.dice.below(30) {
                    tokio::task::yield_now().await;
                }
                sent.abort();
                return;
            }
            _ => self.say(batch).await,
        };
        if let Some(down) = down {
            self.hear(&down);
            self.world.turn().await;
        } else {
            // Whatever is down comes back.
            let _calm = self.world.calm.read().await;
        }
    }

    fn hear(&mut self, down: &Down) {
        if !heard(&mut self.shop, down) {
            let epoch = self.dice.uuid();
            self.shop.begin_anew(epoch);
        }
    }

    /// Until head office has all of the ledger.
    async fn settle(&mut self) {
        while self.shop.acked < self.shop.last_seq() {
            self.turn().await;
        }
    }

    async fn live(&mut self, events: i64) {
        let until = self.shop.last_seq() + events;
        while self.shop.last_seq() < until {
            for _ in 0..=self.dice.below(4) {
                self.shop.live(&mut self.dice);
            }
            self.turn().await;
        }
    }

    /// The ledger is put back from a copy, and sells on. Its agent tries to go on where head office is, as if that
    /// were its own past.
    async fn put_back(&mut self, copy: Shop) {
        self.settle().await;
        let common = self.shop.lines.iter().zip(&copy.lines);
        let common = common.take_while(|(one, two)| one == two).count();
        self.gone.extend_from_slice(&self.shop.lines[common..]);
        self.gone_receipts.extend_from_slice(&self.shop.receipts);
        let at = self.shop.acked;
        self.shop = copy;
        self.dice = Dice::new(self.dice.below(1 << 40));
        while self.shop.last_seq() <= at {
            self.shop.live(&mut self.dice);
        }
        let mut blind = self.shop.clone();
        let end = blind.lines.partition_point(|line| line.seq < at);
        blind.lines[end].seq = at;
        (blind.acked, blind.fork) = (at, None);
        blind.hash = blind.hash_at(at).unwrap();
        if let Some(down) = self.say(blind.batch(40)).await {
            assert_eq!(
                down.taken, 0,
                "head office goes on from a past that it does not have"
            );
        }
    }

    /// The machine is lost with all that it has not sent, and the ledger is built again from head office.
    async fn lose(&mut self) {
        (0..5).for_each(|_| self.shop.live(&mut self.dice));
        let world = Arc::clone(&self.world);
        let _calm = world.calm.read().await;
        let test = &self.world.test;
        let anew = again(test, self.joined.tenant, self.joined.store, vec![]).await;
        let past = anew.answer.past.clone().unwrap();
        let lines = anew.line.past().await;
        self.joined = anew;
        self.late.clear();
        let kept = self.shop.lines.iter().filter(|line| line.seq <= past.acked);
        assert!(lines.iter().eq(kept.map(|line| &line.text)));
        self.shop = self.shop.built_again(&lines);
        assert_eq!(self.shop.hash_at(past.acked), Some(past.hash));
        (self.shop.epoch, self.shop.acked, self.shop.hash) = (past.epoch, past.acked, past.hash);
        let epoch = self.dice.uuid();
        self.shop.begin_anew(epoch);
        self.shop.tell_of(None, "hq.joined", &"built again");
    }

    /// The whole story of a store.
    async fn run(mut self, index: u32, events: i64) -> Self {
        self.live(events / 2).await;
        let copy = self.shop.clone();
        self.live(events / 4).await;
        match index {
            0 => self.put_back(copy).await,
            1 => self.lose().await,
            _ => {}
        }
        self.live(events / 4).await;
        self.settle().await;
        for late in std::mem::take(&mut self.late) {
            self.say(late).await;
        }
        self
    }
}

/// Whatever fails, each line is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_there_once() {
    let events = i64::try_from(setting("HQ_EXACTLY_ONCE_EVENTS", 400)).unwrap();
    let seed = setting("HQ_EXACTLY_ONCE_SEED", 20_260_528);
    let test: Shared = Arc::new(Test::start().await);
    let tenant = test.tenant("Baobab Stores").await;
    let world = Arc::new(World {
        instance: Mutex::new(Instance::start(&test).await),
        test: Arc::clone(&test),
        exchanges: AtomicU64::new(0),
        mishaps: AtomicU64::new(0),
        calm: RwLock::new(()),
    });
    let mut running = Vec::new();
    for index in 0..STORES {
        let mut dice = Dice::new(seed + u64::from(index));
        let store = Store {
            joined: joined(&test, tenant, &format!("Harare {index}")).await,
            world: Arc::clone(&world),
            shop: Shop::new(1_000 + index, &mut dice),
            dice,
            late: Vec::new(),
            gone: Vec::new(),
            gone_receipts: Vec::new(),
        };
        running.push(tokio::spawn(store.run(index, events)));
    }
    let (mut expected, mut lines) = (BTreeSet::new(), 0);
    for store in running {
        let store = store.await.unwrap();
        expected.extend(store.shop.receipts.iter().cloned());
        expected.extend(store.gone_receipts.iter().cloned());
        lines += store.shop.lines.len() + store.gone.len();
        let past = store.joined.line.past().await;
        assert!(
            past.iter()
                .eq(store.shop.lines.iter().map(|line| &line.text))
        );
    }
    assert!(
        world.mishaps.load(Ordering::Relaxed) > 3,
        "hardly anything failed"
    );
    let kept: BTreeSet<_> = receipts(&test, tenant).await.into_iter().collect();
    assert!(
        kept == expected,
        "head office does not have the union of the ledgers"
    );
    let entries = "SELECT (SELECT count(*) FROM receipts WHERE tenant_id = $1)
        + (SELECT count(*) FROM fdms_submission_logs WHERE tenant_id = $1)
        + (SELECT count(*) FROM store_events WHERE tenant_id = $1)";
    assert_eq!(
        count(&test, tenant, entries).await,
        i64::try_from(lines).unwrap()
    );
    let numbers =
        "SELECT count(*) FROM (SELECT FROM receipts WHERE tenant_id = $1 AND device_id <> 1000
        GROUP BY device_id, receipt_global_no HAVING count(*) > 1) AS doubled";
    assert_eq!(count(&test, tenant, numbers).await, 0);
}
