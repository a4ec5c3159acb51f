//! The agent against a head office that follows the rule of [`sync_wire::exchange`], with everything that goes wrong:
//! requests and answers lost, doubled and late, the agent killed between any two steps, the ledger put back from a
//! copy, head office put back from its own, and its clock jumping. Each run is the work of a seed alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::{SharedClock, TestClock};
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, Order};
use sync_wire::exchange::{Down, Fork, Up};
use sync_wire::state::{StoreState, Wanted};
use tokio::sync::watch;
use uuid::Uuid;

use crate::agent::Planted;
use crate::{Agent, Exchanged, Line, Link, LinkError, Next, Position, Standing, Store, StoreError};

/// A ledger, as far as its outbox goes.
#[derive(Clone)]
struct Ledger {
    lines: Vec<Line>,
    epoch: Uuid,
    fork: Option<Fork>,
    acked: i64,
    hash: ChainHash,
    commands: Vec<i64>,
    revision: i64,
}

impl Ledger {
    fn last(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.seq)
    }

    fn hash_at(&self, at: i64) -> Option<ChainHash> {
        if at == 0 {
            return Some(ChainHash::START);
        }
        let end = self.lines.iter().position(|line| line.seq == at)?;
        Some(chain(ChainHash::START, &self.lines[..=end]))
    }

    fn write(&mut self, gap: i64, text: String) {
        let line = Line {
            seq: self.last() + gap,
            bytes: text.into_bytes(),
        };
        self.lines.push(line);
    }
}

fn chain(from: ChainHash, lines: &[Line]) -> ChainHash {
    lines.iter().fold(from, |hash, line| hash.then(&line.bytes))
}

/// Head office: series of a store, each with all its lines from the very first on.
#[derive(Clone, Default)]
struct Hq {
    series: BTreeMap<Uuid, Vec<Line>>,
    newest: Option<Uuid>,
}

impl Hq {
    fn end(&self) -> (Option<Uuid>, i64, ChainHash) {
        let Some(epoch) = self.newest else {
            return (None, 0, ChainHash::START);
        };
        let lines = &self.series[&epoch];
        let last = lines.last().map_or(0, |line| line.seq);
        (Some(epoch), last, chain(ChainHash::START, lines))
    }

    /// The rule.
    fn take(&mut self, up: &Up, lines: &[Line]) -> usize {
        if lines.is_empty() {
            return 0;
        }
        let end = self.end();
        if end == (Some(up.epoch), up.after, up.after_hash) {
            self.series
                .get_mut(&up.epoch)
                .unwrap()
                .extend_from_slice(lines);
            return lines.len();
        }
        let is_new = !self.series.contains_key(&up.epoch);
        let before = match (&up.fork, end.0) {
            (None, None) if up.after == 0 && up.after_hash == ChainHash::START => Vec::new(),
            (Some(fork), Some(_)) if (fork.at, fork.hash) == (up.after, up.after_hash) => {
                let Some(parent) = self.series.get(&fork.parent) else {
                    return 0;
                };
                let common: Vec<Line> = parent
                    .iter()
                    .filter(|line| line.seq <= fork.at)
                    .cloned()
                    .collect();
                let is_there = common.last().map_or(0, |line| line.seq) == fork.at;
                if !is_there || chain(ChainHash::START, &common) != fork.hash {
                    return 0;
                }
                common
            }
            _ => return 0,
        };
        if !is_new {
            return 0;
        }
        self.series.insert(up.epoch, [&before, lines].concat());
        self.newest = Some(up.epoch);
        lines.len()
    }

    fn texts(&self) -> BTreeSet<Vec<u8>> {
        let lines = self.series.values().flatten();
        lines.map(|line| line.bytes.clone()).collect()
    }
}

/// What goes wrong in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Faults {
    /// Head office may be put back from a copy.
    hq_goes_back: bool,
    /// The ledger may be.
    store_goes_back: bool,
}

struct World {
    seed: u64,
    ledger: Ledger,
    copy: Option<Ledger>,
    written: BTreeSet<Vec<u8>>,
    hq: Hq,
    hq_copy: Option<Hq>,
    commands: i64,
    late: Vec<(Up, Vec<Line>)>,
    calm: bool,
    /// So many more steps until the agent is killed.
    fuse: Option<u64>,
    last: watch::Sender<i64>,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        // SplitMix64
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn write(&mut self) {
        let gap = i64::try_from(1 + self.random(3)).unwrap();
        let text = format!("line {} {}", self.written.len(), self.random(1 << 40));
        self.written.insert(text.clone().into_bytes());
        self.ledger.write(gap, text);
        let last = self.ledger.last();
        self.last.send_replace(last);
    }

    fn answer(&mut self, up: &Up, lines: &[Line]) -> Down {
        let taken = self.hq.take(up, lines);
        let (epoch, acked, hash) = self.hq.end();
        let till = sync_wire::TillRef {
            environment: sync_wire::Environment::Test,
            device_id: 1,
        };
        let commands = (up.commands_seen + 1..=self.commands).map(|no| Command {
            id: Uuid::from_u128(u128::try_from(no).unwrap()),
            no,
            actor: "hq:test".to_owned(),
            expires: i64::MAX,
            order: Order::Retry { till },
        });
        Down {
            epoch,
            acked,
            hash,
            taken: u32::try_from(taken).unwrap(),
            commands: commands.collect(),
            wanted: Wanted {
                revision: self.commands,
                ..Wanted::default()
            },
            now: i64::try_from(self.random(1 << 50)).unwrap(),
        }
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the agent: what it does happens or not, if the fuse has burnt down.
    fn step<T>(&self, step: impl FnOnce(&mut World) -> T) -> Result<T, StoreError> {
        let mut world = self.lock();
        let killed = || StoreError("killed".to_owned());
        match world.fuse {
            Some(0) => {
                if world.random(2) == 0 {
                    step(&mut world);
                }
                Err(killed())
            }
            Some(left) => {
                world.fuse = Some(left - 1);
                Ok(step(&mut world))
            }
            None => Ok(step(&mut world)),
        }
    }
}

impl Store for Shared {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        self.step(|world| {
            let ledger = &world.ledger;
            Some(Position {
                epoch: ledger.epoch,
                fork: ledger.fork.clone(),
                acked: ledger.acked,
                hash: ledger.hash,
                commands_seen: ledger.commands.last().copied().unwrap_or(0),
                bytes_per_second: None,
            })
        })
    }

    async fn lines(&self, after: i64, most: usize, bytes: usize) -> Result<Vec<Line>, StoreError> {
        self.step(|world| {
            let most = most
                .min(usize::try_from(1 + world.random(6)).unwrap())
                .min(bytes);
            let lines = world.ledger.lines.iter().filter(|line| line.seq > after);
            lines.take(most).cloned().collect()
        })
    }

    async fn hash_at(
        &self,
        from: i64,
        from_hash: ChainHash,
        at: i64,
    ) -> Result<Option<ChainHash>, StoreError> {
        self.step(|world| {
            assert_eq!(world.ledger.hash_at(from), Some(from_hash));
            world.ledger.hash_at(at)
        })
    }

    async fn acknowledge(
        &self,
        epoch: Uuid,
        acked: i64,
        hash: ChainHash,
    ) -> Result<(), StoreError> {
        self.step(|world| {
            let ledger = &mut world.ledger;
            assert_eq!(epoch, ledger.epoch, "another series is acknowledged");
            assert!(acked >= ledger.acked, "the acknowledgement goes back");
            (ledger.acked, ledger.hash, ledger.fork) = (acked, hash, None);
        })
    }

    async fn fork(&self, reason: &str) -> Result<(), StoreError> {
        self.step(|world| {
            let epoch = Uuid::from_u64_pair(world.random(u64::MAX), 7);
            let ledger = &mut world.ledger;
            // A series that HQ may never have heard of is nobody's parent.
            let parent = ledger.fork.as_ref().map(|fork| fork.parent);
            ledger.fork = Some(Fork {
                parent: parent.unwrap_or(ledger.epoch),
                at: ledger.acked,
                hash: ledger.hash,
                reason: reason.to_owned(),
            });
            ledger.epoch = epoch;
            world.write();
        })
    }

    async fn keep(&self, commands: Vec<Command>) -> Result<(), StoreError> {
        self.step(|world| {
            for command in commands {
                let seen = world.ledger.commands.last().copied().unwrap_or(0);
                assert!(command.no <= seen + 1, "a command is left out");
                if command.no > seen {
                    world.ledger.commands.push(command.no);
                }
            }
        })
    }

    async fn apply(&self, wanted: Wanted) -> Result<(), StoreError> {
        self.step(|world| world.ledger.revision = world.ledger.revision.max(wanted.revision))
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        self.step(|world| StoreState {
            at: 0,
            last_seq: world.ledger.last(),
            version: String::new(),
            clock_skew_ms: None,
            fault: None,
            settings: None,
            revision: world.ledger.revision,
            tills: Vec::new(),
        })
    }

    async fn beyond(&self, seq: i64) -> bool {
        let mut last = self.lock().last.subscribe();
        last.wait_for(|last| *last > seq).await.is_ok()
    }
}

impl Link for Shared {
    async fn exchange(&self, up: &Up, lines: &[Line]) -> Result<Exchanged, LinkError> {
        let away = || LinkError::Away("no line".to_owned());
        let done = self.step(|world| {
            let down = |world: &mut World| Exchanged {
                down: world.answer(up, lines),
                sent: 0,
            };
            if world.calm {
                return Ok(down(world));
            }
            match world.random(10) {
                0 => Err(away()),
                1 => {
                    down(world);
                    Err(away())
                }
                2 => {
                    down(world);
                    Ok(down(world))
                }
                3 => {
                    world.late.push((up.clone(), lines.to_vec()));
                    Err(away())
                }
                _ => Ok(down(world)),
            }
        });
        done.map_err(|_| away())?
    }
}

fn agent(world: &Shared, clock: &SharedClock, planted: Planted) -> Agent<Shared, Shared> {
    let random = world.clone();
    let random = Arc::new(move || random.lock().random(u64::MAX));
    let standing = watch::Sender::new(Standing::default());
    let mut agent = Agent::new(
        world.clone(),
        world.clone(),
        Arc::clone(clock),
        random,
        standing,
    );
    agent.planted = planted;
    agent
}

fn world(seed: u64) -> Shared {
    Shared(Arc::new(Mutex::new(World {
        seed,
        ledger: Ledger {
            lines: Vec::new(),
            epoch: Uuid::from_u64_pair(seed, 1),
            fork: None,
            acked: 0,
            hash: ChainHash::START,
            commands: Vec::new(),
            revision: 0,
        },
        copy: None,
        written: BTreeSet::new(),
        hq: Hq::default(),
        hq_copy: None,
        commands: 0,
        late: Vec::new(),
        calm: false,
        fuse: None,
        last: watch::Sender::new(0),
    })))
}

/// One thing that happens in a shop's life; false: the agent was killed.
async fn happen(
    world: &Shared,
    faults: Faults,
    clock: &TestClock,
    agent: &mut Agent<Shared, Shared>,
) -> bool {
    let what = world.lock().random(20);
    match what {
        0..6 => world.lock().write(),
        6 => world.lock().commands += 1,
        7 => {
            let mut world = world.lock();
            world.copy = Some(world.ledger.clone());
            world.hq_copy = world.hq_copy.take().or(Some(world.hq.clone()));
        }
        8 if faults.store_goes_back => {
            let mut world = world.lock();
            if let Some(copy) = world.copy.clone() {
                world.ledger = copy;
                return false;
            }
        }
        9 if faults.hq_goes_back => {
            let mut world = world.lock();
            if let Some(copy) = world.hq_copy.take() {
                world.hq = copy;
            }
        }
        10 => {
            let mut world = world.lock();
            if !world.late.is_empty() {
                let (up, lines) = world.late.remove(0);
                world.answer(&up, &lines);
            }
        }
        11 => {
            let fuse = world.lock().random(9);
            world.lock().fuse = Some(fuse);
        }
        _ => {
            let next = agent.turn().await;
            if world.lock().fuse == Some(0) {
                world.lock().fuse = None;
                return false;
            }
            if let Next::Pause(pause) = next {
                clock.advance(pause);
            }
        }
    }
    true
}

/// A run of a seed; what is wrong at its end, or on the way.
async fn run(seed: u64, faults: Faults, planted: Planted) -> Result<(), String> {
    let world = world(seed);
    let test_clock = TestClock::new("2026-11-27T08:00:00Z".parse().unwrap());
    let clock: SharedClock = test_clock.clone();
    let mut one = agent(&world, &clock, planted);
    let mut acknowledged = BTreeSet::new();
    for _ in 0..250 {
        if !happen(&world, faults, &test_clock, &mut one).await {
            one = agent(&world, &clock, planted);
        }
        let world = world.lock();
        let own = world.ledger.lines.iter();
        let own = own.take_while(|line| line.seq <= world.ledger.acked);
        acknowledged.extend(own.map(|line| line.bytes.clone()));
        if !faults.hq_goes_back && !acknowledged.is_subset(&world.hq.texts()) {
            return Err("a line was acknowledged that head office has not".to_owned());
        }
    }
    {
        let mut world = world.lock();
        world.fuse = None;
        world.calm = true;
        for (up, lines) in std::mem::take(&mut world.late) {
            world.answer(&up, &lines);
        }
    }
    for _ in 0..400 {
        match one.turn().await {
            Next::Again => {}
            Next::Pause(pause) => test_clock.advance(pause),
            Next::Idle(_) => return settled(&world.lock()),
            Next::Left => return Err("the store has left".to_owned()),
        }
    }
    let trouble = one.standing().trouble;
    Err(format!("it never comes to rest: {trouble:?}"))
}

/// With the faults gone everything is there, once.
fn settled(world: &World) -> Result<(), String> {
    let there = world.hq.newest.map(|newest| &world.hq.series[&newest]);
    let there = there.map_or(&[][..], Vec::as_slice);
    if *there != world.ledger.lines {
        return Err(format!(
            "head office has {} lines of this series, the ledger {}",
            there.len(),
            world.ledger.lines.len()
        ));
    }
    if !world.hq.texts().is_subset(&world.written) {
        return Err("head office has a line that no ledger wrote".to_owned());
    }
    let commands: Vec<i64> = (1..=world.commands).collect();
    if world.ledger.commands != commands || world.ledger.revision != world.commands {
        return Err("a command or a wish has not arrived".to_owned());
    }
    Ok(())
}

const ALL: Faults = Faults {
    hq_goes_back: false,
    store_goes_back: true,
};

/// Whatever goes wrong: head office has what the ledgers had, and nothing twice.
#[tokio::test]
async fn everything_arrives_once() {
    for seed in 0..200 {
        if let Err(wrong) = run(seed, ALL, Planted::None).await {
            panic!("seed {seed}: {wrong}");
        }
    }
}

/// Head office put back from its own backup gets again what it has lost.
#[tokio::test]
async fn head_office_goes_back() {
    let faults = Faults {
        hq_goes_back: true,
        store_goes_back: false,
    };
    for seed in 1000..1150 {
        if let Err(wrong) = run(seed, faults, Planted::None).await {
            panic!("seed {seed}: {wrong}");
        }
    }
}

/// Each of these defects is found by some seed.
#[tokio::test]
async fn planted_defects_are_found() {
    for planted in [
        Planted::SentIsAcknowledged,
        Planted::HashesForgotten,
        Planted::NeverForks,
    ] {
        let mut found = 0;
        for seed in 0..60 {
            let run = tokio::spawn(run(seed, ALL, planted));
            // A defect may be met by an assertion of the store before.
            found += i32::from(!matches!(run.await, Ok(Ok(()))));
        }
        assert!(found > 10, "{planted:?} is found {found} times");
    }
}

/// Two ledgers of one origin, both at work: they do not begin series one after the other.
#[tokio::test]
async fn two_copies_do_not_flood() {
    let world = world(77);
    world.lock().calm = true;
    let test_clock = TestClock::new("2026-11-27T08:00:00Z".parse().unwrap());
    let clock: SharedClock = test_clock.clone();
    world.lock().write();
    let mut agents = [
        agent(&world, &clock, Planted::None),
        agent(&world, &clock, Planted::None),
    ];
    agents[0].turn().await;
    let mut other = world.lock().ledger.clone();
    for round in 0..60 {
        world.lock().write();
        agents[round % 2].turn().await;
        // The other copy's turn.
        std::mem::swap(&mut world.lock().ledger, &mut other);
        test_clock.advance(Duration::from_secs(1));
    }
    let series = world.lock().hq.series.len();
    assert!((2..=4).contains(&series), "{series} series");
}
