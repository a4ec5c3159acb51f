//! Whatever fails, head office has each line of each store once, and each of its commands is carried out once.
//!
//! The store's agent as it is (`sync-agent`) sends the outbox of a ledger that is made of lines, over real HTTP, to the
//! program `fiscal-hq` as a process of its own, over a Postgres of its own. In between is a [`proxy`] that loses
//! requests and answers, doubles batches, lets them come late and in another order. Agents are killed between any two
//! steps and begin again from their [`disk`]; head office is killed in the middle of requests; Postgres is restarted and
//! crashes ([`world`]). One store is put back from yesterday's copy, the machine of another is lost and set up again from
//! head office. At the end the [`judge`] compares the tables with the ledgers, in words of its own.
//!
//! One number gives the ledgers and each store's mishaps in their order; what they meet just then is the machine's.
//! `scripts/hq-exactly-once` is the long run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use sync_wire::chain::ChainHash;
use sync_wire::exchange::Fork;
use uuid::Uuid;

use super::shop::{self, Dice, Shop};
use super::{Joined, again, joined};
use crate::support::{Server, Test};
use disk::{Disk, Ledger};
use judge::Figures;
use proxy::{Proxy, Wire};
use world::{Beginning, Machine, World, an_order};

mod disk;
mod judge;
mod proxy;
mod world;

const STORES: usize = 5;
/// The store that is put back, and the one that is lost.
const PUT_BACK: usize = 0;
const LOST: usize = 1;
/// A shop waits for its agent when so many lines are not at head office: not to be at the end before the first mishap.
const AHEAD: i64 = 120;
/// Nothing has gone on for so long: something is wrong.
const STALLED: Duration = Duration::from_secs(60);

/// So many short runs a planted defect may take to be found.
const RUNS: u64 = 8;

/// A defect that is planted, to show that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// None.
    None,
    /// Head office takes a batch of the store's series wherever it begins.
    CursorNotCompared,
    /// Head office does not lock the store's cursor.
    CursorNotLocked,
    /// Head office drops the last line of a batch, and acknowledges it.
    EndDropped,
    /// The agent acknowledges a batch before it has an answer.
    AcknowledgedEarly,
    /// A command that was interrupted is carried out as if it were new.
    CommandTwice,
}

impl Planted {
    const ALL: [(&str, Self); 5] = [
        ("cursor-not-compared", Self::CursorNotCompared),
        ("cursor-not-locked", Self::CursorNotLocked),
        ("end-dropped", Self::EndDropped),
        ("acknowledged-early", Self::AcknowledgedEarly),
        ("command-twice", Self::CommandTwice),
    ];

    /// The word for it at head office; empty where it is the store's.
    pub(super) fn at_head_office(self) -> &'static str {
        match self {
            Self::None | Self::AcknowledgedEarly | Self::CommandTwice => "",
            other => Self::ALL
                .iter()
                .find(|(_, planted)| *planted == other)
                .map_or("", |(name, _)| name),
        }
    }
}

/// A run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    /// Lines of each ledger.
    events: usize,
    /// So many exchanges until head office is killed, and until Postgres is restarted.
    strikes: (u64, u64),
    planted: Planted,
}

/// What there was of a store, for the judge.
struct Told {
    joined: Joined,
    ledger: Ledger,
    /// Lines that a ledger had which is no more; true: head office had acknowledged them.
    gone: Vec<(shop::Line, bool)>,
    /// Commands that were carried out, and whose end went down with the ledger.
    torn: BTreeSet<Uuid>,
}

/// A store in the world.
struct Store {
    world: Arc<World>,
    index: usize,
    joined: Joined,
    disk: Arc<Disk>,
    machine: Option<Machine>,
    dice: Dice,
    progress: ProgressBar,
    gone: Vec<(shop::Line, bool)>,
    /// So many lines were before these.
    kept: usize,
    torn: BTreeSet<Uuid>,
}

impl Store {
    /// Waits until all but so many lines are at head office.
    async fn wait(&self, ahead: i64) {
        let mut marks = self.disk.marks.subscribe();
        loop {
            if let Some(wrong) = self.disk.wrong() {
                self.world.is_wrong(wrong);
            }
            let (last, acked) = *marks.borrow_and_update();
            if last - acked <= ahead || self.world.stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.world.stop.cancelled() => {}
                moved = tokio::time::timeout(STALLED, marks.changed()) => {
                    if moved.is_err() {
                        let (index, behind) = (self.index, last - acked);
                        self.world.is_wrong(format!(
                            "store {index} does not go on: {behind} lines after {acked} are not at head office"
                        ));
                    }
                }
            }
        }
    }

    /// Sells until the ledger has so many lines.
    async fn live(&mut self, lines: usize) {
        let till = self.disk.with(|ledger, _| ledger.shop.till);
        loop {
            let (before, now) = self.disk.with(|ledger, dice| {
                let before = ledger.shop.lines.len();
                (0..=dice.below(4)).for_each(|_| ledger.shop.live(dice));
                (before, ledger.shop.lines.len())
            });
            self.progress.inc(u64::try_from(now - before).unwrap());
            match self.dice.below(16) {
                0 | 1 => self.disk.kill_within(14),
                2 => {
                    let order = an_order(till, &mut self.dice);
                    self.world.order(self.joined.store, order).await;
                }
                _ => {}
            }
            self.wait(AHEAD).await;
            if now >= lines || self.world.stop.is_cancelled() {
                return;
            }
        }
    }

    /// The disk is another one from now on, with this ledger on it. What the old one had is gone.
    fn replace(&mut self, ledger: Ledger) {
        let kept = ledger.shop.lines.len();
        let old = self.disk.with(|inner, _| std::mem::replace(inner, ledger));
        self.kept = kept;
        let acked = old.shop.acked;
        let lines = old.shop.lines.into_iter().skip(kept);
        self.gone.extend(lines.map(|line| {
            let is_acknowledged = line.seq <= acked;
            (line, is_acknowledged)
        }));
    }

    /// The ledger is put back from yesterday's copy, and sells on.
    async fn put_back(mut self, copy: Ledger) -> Self {
        self.off().await;
        let done = judge::commands_done(&self.world, self.joined.store).await;
        let carried_out: BTreeSet<Uuid> =
            self.disk.with(|ledger, _| ledger.carried_out().collect());
        self.torn.extend(carried_out.difference(&done));
        self.replace(copy);
        self.on();
        self
    }

    fn on(&mut self) {
        let secret = &self.joined.answer.secret;
        self.machine = Some(Machine::on(&self.world, self.index, &self.disk, secret));
    }

    async fn off(&mut self) {
        if let Some(machine) = self.machine.take() {
            machine.off().await;
        }
    }

    /// The machine is lost with all that it has not sent, and the ledger is built again from head office.
    async fn lose(mut self) -> Self {
        self.off().await;
        self.world.lose(self.index);
        let world = Arc::clone(&self.world);
        let quiet = world.quiet.read().await;
        let (tenant, store) = (self.joined.tenant, self.joined.store);
        self.joined = again(&world.test, tenant, store, vec![]).await;
        let past = self.joined.answer.past.clone().unwrap();
        let mut lines = self.joined.line.past().await;
        drop(quiet);
        // What head office was at work on when the machine was lost is of the old series.
        lines.retain(|line| super::seq_of(line) <= past.acked);
        let chained = lines
            .iter()
            .fold(ChainHash::START, |hash, line| hash.then(line.as_bytes()));
        let (ledger, acked) = self.disk.with(|ledger, dice| {
            let mut built = ledger.built_again(&lines);
            let shop = &mut built.shop;
            shop.fork = Some(Fork {
                parent: past.epoch,
                at: past.acked,
                hash: past.hash,
                reason: "the ledger was built again".to_owned(),
            });
            (shop.epoch, shop.acked, shop.hash) = (dice.uuid(), past.acked, past.hash);
            (built, ledger.shop.acked)
        });
        if chained != past.hash || past.acked < acked {
            let text = format!("the past up to {} is not the one up to {acked}", past.acked);
            world.is_wrong(text);
        }
        self.replace(ledger);
        self.disk.with(|ledger, _| {
            ledger.shop.tell_of(None, "hq.joined", &"built again");
        });
        self.on();
        self
    }

    /// The whole story of a store.
    async fn run(mut self, events: usize) -> Self {
        self.live(events / 2).await;
        let copy = self.disk.with(|ledger, _| ledger.clone());
        self.live(events * 3 / 4).await;
        // Head office is past what was copied.
        self.wait(AHEAD / 8).await;
        if self.world.stop.is_cancelled() {
            return self;
        }
        self = match self.index {
            PUT_BACK => self.put_back(copy).await,
            LOST => self.lose().await,
            _ => self,
        };
        self.live(events).await;
        self.wait(0).await;
        self
    }
}

/// A world with its stores, which begin to live.
async fn begin(plan: &Plan) -> (Arc<World>, Vec<Store>) {
    // In memory, where there is room: what a crash of Postgres leaves is the same, and it comes back sooner.
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let server = Server::start_durable(&folder.path().join("postgres"));
    let test = Test::start_on(&server).await;
    test.clock.set_wall(SystemClock.wall());
    let tenant = test.tenant("Baobab Stores").await;
    let (mut disks, mut stores, mut wires) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..STORES {
        let name = u64::try_from(index).unwrap();
        let mut dice = Dice::new(plan.seed.wrapping_mul(100).wrapping_add(name));
        let till = 1_000 + u32::try_from(index).unwrap();
        let ledger = Ledger::new(Shop::new(till, &mut dice));
        let own = Dice::new(dice.below(1 << 50));
        let disk = Arc::new(Disk::new(ledger, own, plan.planted));
        let line = Dice::new(dice.below(1 << 50));
        wires.push(Arc::new(Wire::new(index, Arc::clone(&disk), line)));
        disks.push((disk, dice));
        stores.push(joined(&test, tenant, &format!("Harare {index}")).await);
    }
    let (proxy, listener) = Proxy::start().await;
    let world = World::begin(Beginning {
        test,
        server,
        tenant,
        wires,
        proxy,
        planted: plan.planted,
        strikes: plan.strikes,
        folder,
    })
    .await;
    tokio::spawn(proxy::serve(listener, Arc::clone(&world)));
    let progress = ProgressBar::new(u64::try_from(plan.events * STORES).unwrap());
    let style = "{elapsed_precise} {bar:40} {pos} of {len} events, {eta} left";
    progress.set_style(ProgressStyle::with_template(style).unwrap());
    let stores = stores.into_iter().zip(disks).enumerate();
    let stores = stores.map(|(index, (joined, (disk, dice)))| Store {
        world: Arc::clone(&world),
        index,
        joined,
        disk,
        machine: None,
        dice,
        progress: progress.clone(),
        gone: Vec::new(),
        kept: 0,
        torn: BTreeSet::new(),
    });
    let stores = stores.collect();
    (world, stores)
}

/// A run; what it came to, or what is wrong.
async fn run(plan: Plan) -> Result<Figures, String> {
    let (world, stores) = begin(&plan).await;
    let mut running = Vec::new();
    for mut store in stores {
        store.on();
        running.push(tokio::spawn(store.run(plan.events)));
    }
    let mut stores = Vec::new();
    for store in running {
        let ended = store.await;
        // What went wrong first says more than what came of it.
        let why = |error: tokio::task::JoinError| world.wrong().unwrap_or(error.to_string());
        stores.push(ended.map_err(why)?);
    }
    world.calm_down();
    // Nobody restarts anything any more.
    let quiet = world.quiet.write().await;
    proxy::all_late(&world).await;
    drop(quiet);
    let mut told = Vec::new();
    for mut store in stores {
        // Whoever was put off by what came late finds his place again, and says how he is.
        store.disk.with(|ledger, dice| ledger.shop.live(dice));
        store.wait(0).await;
        store.off().await;
        if let Some(wrong) = store.disk.wrong() {
            world.is_wrong(wrong);
        }
        let ledger = store.disk.with(|ledger, _| ledger.clone());
        // What both ledgers have said in the same words is of both, and not gone.
        let after = ledger.shop.lines.iter().skip(store.kept);
        let same = store.gone.iter().zip(after);
        let same = same.take_while(|((old, _), new)| old == *new).count();
        told.push(Told {
            ledger,
            joined: store.joined,
            gone: store.gone.split_off(same),
            torn: store.torn,
        });
    }
    match world.wrong() {
        Some(wrong) => Err(wrong),
        None => judge::judge(&world, &told).await,
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn number(name: &str, otherwise: u64) -> u64 {
    setting(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A short run, in seconds.
fn short(planted: Planted) -> Plan {
    Plan {
        seed: number("HQ_EXACTLY_ONCE_SEED", 20_260_528),
        events: 320,
        strikes: (29, 61),
        planted,
    }
}

/// A run with everything that fails, in seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_there_once() {
    match run(short(Planted::None)).await {
        Ok(figures) => println!("{figures}"),
        Err(wrong) => panic!("{wrong}"),
    }
}

/// The long run: `scripts/hq-exactly-once`, which has the figures in a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/hq-exactly-once"]
async fn the_long_run() {
    let plan = Plan {
        events: usize::try_from(number("HQ_EXACTLY_ONCE_EVENTS", 20_000)).unwrap(),
        strikes: (59, 149),
        ..short(Planted::None)
    };
    match run(plan).await {
        Ok(figures) => {
            println!("{figures}");
            if let Some(path) = setting("HQ_EXACTLY_ONCE_FIGURES") {
                std::fs::write(path, serde_json::to_string(&figures).unwrap()).unwrap();
            }
        }
        Err(wrong) => panic!("{wrong}"),
    }
}

/// A run with a planted defect fails: `scripts/hq-exactly-once --defect NAME`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_defects_are_found() {
    let wanted = setting("HQ_EXACTLY_ONCE_DEFECT");
    let chosen = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let mut planted = Planted::ALL
        .iter()
        .filter(|(name, _)| chosen(name))
        .peekable();
    assert!(planted.peek().is_some(), "the defects: {:?}", Planted::ALL);
    for (name, planted) in planted {
        let wrong = first_found(short(*planted)).await;
        println!(
            "{name} is found: {}",
            wrong.unwrap_or_else(|| panic!("{name} is not found"))
        );
    }
}

/// What is wrong in the first run in which anything is. What meets what in time is not the seed's: a command may never
/// be interrupted in so short a run, so there are some more.
async fn first_found(plan: Plan) -> Option<String> {
    for more in 0..RUNS {
        let seed = plan.seed.wrapping_add(more);
        if let Err(wrong) = run(Plan { seed, ..plan }).await {
            return Some(wrong);
        }
    }
    None
}
