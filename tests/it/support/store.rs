//! A store and a sandbox in one process: real ledger, real mutual TLS, two test clocks.
//!
//! `clock` is the store's, `fdms_clock` the authority's: they run together, and a test can set the store's
//! wrong. Time passes only when a test lets it, and stops at every moment at which a worker wakes, so that
//! each retry happens at its time. Nothing here sleeps: it waits for what workers and ledger announce.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, TestClock, Timestamp};
use fdms_sandbox::{DeviceChange, DeviceSpec, RunningSandbox, Sandbox, StoredReceipt};
use fiscal::draft::Draft;
use fiscal::testing::{GenOptions, Issued as Original, Random, random_sale};
use fiscal::{Currency, DeviceId};
use fiscald::config::FdmsConfig;
use fiscald::fdms::{FileTransport, Limits, TrustRoots};
use fiscald::join::{self, Registration};
use fiscald::keys::{KeyKind, SealingKey};
use fiscald::ledger::core::Core;
use fiscald::ledger::stream::{Item, StreamState};
use fiscald::ledger::tills::NewTill;
use fiscald::ledger::{
    DayFacts, Environment, Issued, Ledger, LedgerError, Sale, SaleDone, Settings, TillId,
};
use fiscald::submit::{Access, Doing, LedgerConnector, LinkState, SubmitError, Submitter};
use futures_util::future::{join_all, select_all};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long anything may take in real time before a test gives up; only a defect takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something that announces nothing is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(5);

/// Does something to a part before it starts.
pub(crate) type Hook<T> = Box<dyn Fn(T) -> T>;

/// What a house is to be.
pub(crate) struct Plan {
    /// A till for each kind of key; device IDs from 101 on.
    pub(crate) tills: Vec<KeyKind>,
    /// What the ledger is told.
    pub(crate) settings: Settings,
    /// The sandbox's switches.
    pub(crate) fdms: fdms_sandbox::Settings,
    /// What sales, and the chances of faults, are drawn from.
    pub(crate) seed: u64,
    /// Tampers with the ledger.
    pub(crate) core: Hook<Core>,
    /// Tampers with the submitter.
    pub(crate) submitter: Hook<Submitter>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            tills: vec![KeyKind::EcP256],
            settings: Settings::default(),
            fdms: fdms_sandbox::Settings::default(),
            seed: 1,
            core: Box::new(|core| core),
            submitter: Box::new(|submitter| submitter),
        }
    }
}

/// A till of the house.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Till {
    pub(crate) id: TillId,
    pub(crate) device: DeviceId,
}

/// How many of a till's latest invoices its notes refer to.
const MOST_ORIGINALS: usize = 200;

/// What a till has sold.
#[derive(Debug, Default)]
struct Sold {
    originals: VecDeque<Original>,
    sales: u32,
}

impl Till {
    /// Its number at the sandbox.
    pub(crate) fn number(&self) -> u32 {
        self.device.get()
    }
}

/// What stops with the daemon.
struct Running {
    ledger: Ledger,
    submitter: Submitter,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SubmitError>>,
}

/// A store, its sandbox, and time.
pub(crate) struct House {
    pub(crate) sandbox: RunningSandbox,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) fdms_clock: Arc<TestClock>,
    plan: Plan,
    dir: tempfile::TempDir,
    sealing: SealingKey,
    /// How files of offline devices travel.
    files: FileTransport,
    running: Option<Running>,
    tills: RefCell<Vec<Till>>,
    sold: RefCell<Vec<Sold>>,
    random: RefCell<Random>,
    _stop: DropGuard,
}

impl House {
    /// One till, nothing special.
    pub(crate) async fn new() -> Self {
        Self::build(Plan::default()).await
    }

    /// Builds sandbox and store, registers the tills, and lets the submitter run.
    pub(crate) async fn build(plan: Plan) -> Self {
        let start: Timestamp = "2026-05-28T05:00:00Z".parse().unwrap();
        let (clock, fdms_clock) = (TestClock::new(start), TestClock::new(start));
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::builder()
            .clock(fdms_clock.clone())
            .settings(plan.fdms.clone())
            .seed(plan.seed)
            .start(listener, None, stop.clone())
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let sealing = SealingKey::generate(&dir.path().join("sealing.key")).unwrap();
        let mut house = Self {
            sandbox,
            clock,
            fdms_clock,
            random: RefCell::new(Random::new(plan.seed)),
            plan,
            dir,
            sealing,
            files: FileTransport::default(),
            running: None,
            tills: RefCell::default(),
            sold: RefCell::default(),
            _stop: stop.drop_guard(),
        };
        house.start();
        for kind in house.plan.tills.clone() {
            house.register(kind).await;
        }
        house.settle().await;
        house
    }

    /// Adds a device to the sandbox and registers it, as a person does.
    pub(crate) async fn register(&self, kind: KeyKind) -> usize {
        let place = self.tills.borrow().len();
        let number = 101 + u32::try_from(place).unwrap();
        let spec = DeviceSpec::new(number);
        self.sandbox.add_device(spec.clone()).unwrap();
        let registration = Registration {
            till: self.new_till(number),
            activation_key: &spec.activation_key,
            kind,
            again: false,
            actor: "test",
        };
        let joined = join::register(self.ledger(), &self.access(), &registration)
            .await
            .unwrap();
        self.tills.borrow_mut().push(Till {
            id: joined.till,
            device: registration.till.device_id,
        });
        self.sold.borrow_mut().push(Sold::default());
        place
    }

    /// How a device is described when it joins.
    pub(crate) fn new_till(&self, number: u32) -> NewTill {
        NewTill {
            environment: Environment::Test,
            device_id: DeviceId::new(number).unwrap(),
            serial_no: format!("till-{number}"),
            model_name: "Server".to_owned(),
            model_version: "v1".to_owned(),
            invoice_prefix: format!("{number}-"),
        }
    }

    /// The authority gives a till a new activation key, and it registers with that once more.
    pub(crate) async fn register_again(&self, place: usize) {
        let number = self.till(place).number();
        let activation_key = "NEWKEY02";
        let change = DeviceChange {
            activation_key: Some(activation_key.to_owned()),
            ..DeviceChange::default()
        };
        self.sandbox.change_device(number, change).unwrap();
        let registration = Registration {
            till: self.new_till(number),
            activation_key,
            kind: KeyKind::EcP256,
            again: true,
            actor: "test",
        };
        join::register(self.ledger(), &self.access(), &registration)
            .await
            .unwrap();
    }

    /// The way to the sandbox.
    pub(crate) fn access(&self) -> Access {
        Access {
            addresses: FdmsConfig {
                test_url: self.sandbox.url(),
                file_transport: self.files,
                ..FdmsConfig::default()
            },
            roots: TrustRoots::load(Some(&self.sandbox.ca_pem())).unwrap(),
            clock: self.clock.clone(),
            limits: Limits::default(),
        }
    }

    /// Another ledger for the same sandbox, as on a new machine.
    pub(crate) fn another_ledger(&self) -> Ledger {
        let path = self.dir.path().join("another.db");
        let settings = self.plan.settings.clone();
        let core = Core::open(&path, self.sealing.clone(), self.clock.clone(), settings);
        Ledger::start(core.unwrap(), &path).unwrap()
    }

    /// The ledger's writing side for a moment, as a technician's command opens it.
    pub(crate) fn core(&self) -> Core {
        let settings = self.plan.settings.clone();
        Core::open(
            &self.path(),
            self.sealing.clone(),
            self.clock.clone(),
            settings,
        )
        .unwrap()
    }

    /// The machine is lost: what is there instead is new, with another sealing key and an empty ledger.
    pub(crate) async fn lose_machine(&mut self) {
        self.stop().await;
        self.dir = tempfile::tempdir().unwrap();
        self.sealing = SealingKey::random().unwrap();
    }

    /// Writes the sealing key where a configuration looks for it, unless it is there.
    pub(crate) fn sealing_to(&self, path: &std::path::Path) {
        if !path.exists() {
            self.sealing.write_new(path).unwrap();
        }
    }

    /// The sealing key that was recovered on another machine.
    pub(crate) fn set_sealing(&mut self, sealing: SealingKey) {
        self.sealing = sealing;
    }

    /// The key that the ledger's secrets are sealed with.
    pub(crate) fn sealing(&self) -> SealingKey {
        self.sealing.clone()
    }

    /// From the next start on files travel like this.
    pub(crate) fn travel_as(&mut self, files: FileTransport) {
        self.files = files;
    }

    /// The ledger's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// Starts the daemon's half: ledger and submitter.
    pub(crate) fn start(&mut self) {
        let settings = self.plan.settings.clone();
        let core = Core::open(
            &self.path(),
            self.sealing.clone(),
            self.clock.clone(),
            settings,
        );
        let ledger = Ledger::start((self.plan.core)(core.unwrap()), &self.path()).unwrap();
        let submitter = (self.plan.submitter)(Submitter::new(Arc::new(|| 7)));
        let stop = CancellationToken::new();
        let connector = Arc::new(LedgerConnector::new(ledger.clone(), self.access()));
        let (runs, told) = (submitter.clone(), stop.clone());
        let its_ledger = ledger.clone();
        let task = tokio::spawn(async move { runs.run(its_ledger, connector, told).await });
        self.running = Some(Running {
            ledger,
            submitter,
            stop,
            task,
        });
    }

    /// Stops the daemon's half.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, running.task).await;
        ended.expect("the submitter stops").unwrap().unwrap();
        let ledger = running.ledger;
        tokio::task::spawn_blocking(move || ledger.stop())
            .await
            .unwrap();
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.running.as_ref().unwrap().ledger
    }

    pub(crate) fn submitter(&self) -> &Submitter {
        &self.running.as_ref().unwrap().submitter
    }

    pub(crate) fn till(&self, place: usize) -> Till {
        self.tills.borrow()[place]
    }

    pub(crate) fn count(&self) -> usize {
        self.tills.borrow().len()
    }

    /// The row of a till's stream and the item at its head.
    pub(crate) fn stream(&self, place: usize) -> (StreamState, Option<Item>) {
        self.ledger().reader().stream(self.till(place).id).unwrap()
    }

    pub(crate) fn link(&self, place: usize) -> LinkState {
        self.submitter()
            .state(self.till(place).id)
            .unwrap_or_default()
    }

    /// The latest day of a till.
    pub(crate) fn day(&self, place: usize) -> Option<DayFacts> {
        self.ledger()
            .reader()
            .day(self.till(place).id, None)
            .unwrap()
    }

    pub(crate) fn at_fdms(&self, place: usize) -> Vec<StoredReceipt> {
        self.sandbox.receipts(self.till(place).number())
    }

    /// A random valid sale: any type, taxes, currency.
    pub(crate) fn draw(&self, place: usize) -> String {
        let reader = self.ledger().reader();
        let sold = &mut self.sold.borrow_mut()[place];
        sold.sales += 1;
        let invoice_no = format!("S{}", sold.sales);
        let taxpayer = reader.taxpayer(self.till(place).id).unwrap().unwrap();
        let currencies = ["USD", "ZWG"].map(|text| Currency::parse(text).unwrap());
        let options = GenOptions {
            device: None,
            invoice_no: &invoice_no,
            date: self.ledger().time().local(),
            currencies: &currencies,
            originals: sold.originals.make_contiguous(),
        };
        random_sale(&mut self.random.borrow_mut(), &taxpayer, &options).json
    }

    /// Sells at once what was drawn.
    pub(crate) async fn sell_json(&self, place: usize, json: &str) -> Result<Issued, LedgerError> {
        let (draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, [], "{json}");
        let till = self.till(place);
        let sale = Sale::new((till.id, till.device), draft, None, "test".into());
        match self.ledger().issue(sale).await? {
            SaleDone::Issued(issued) => Ok(*issued),
            SaleDone::Repeated(seq) => panic!("{seq} was sold before: {json}"),
        }
    }

    /// Sells something random; selling never stops, so a refusal is a failed test.
    pub(crate) async fn sell(&self, place: usize) -> Issued {
        let json = self.draw(place);
        let sold = self.sell_json(place, &json).await;
        let issued = sold.unwrap_or_else(|error| panic!("selling stopped: {error} {json}"));
        self.remember(place, &issued);
        issued
    }

    pub(crate) async fn sell_many(&self, place: usize, count: usize) {
        for _ in 0..count {
            self.sell(place).await;
        }
    }

    /// Sells `count` invoices at the same moment, so that they share commits.
    pub(crate) async fn burst(&self, place: usize, count: usize) -> Vec<Issued> {
        let kept = std::mem::take(&mut self.sold.borrow_mut()[place].originals);
        let drawn: Vec<String> = (0..count).map(|_| self.draw(place)).collect();
        self.sold.borrow_mut()[place].originals = kept;
        let sold = join_all(drawn.iter().map(|json| self.sell_json(place, json))).await;
        sold.into_iter()
            .map(|issued| issued.expect("selling stopped"))
            .collect()
    }

    fn remember(&self, place: usize, issued: &Issued) {
        let device = self.till(place).device;
        let originals = &mut self.sold.borrow_mut()[place].originals;
        let receipt = &issued.receipt;
        match &receipt.credit_debit_note {
            None => {
                let original = Original::of(receipt, device, issued.fiscal_day_no);
                originals.push_back(original);
                if originals.len() > MOST_ORIGINALS {
                    originals.pop_front();
                }
            }
            Some(note) => {
                let number = note.receipt_global_no;
                let mut originals = originals.iter_mut();
                if let Some(original) = originals.find(|o| Some(o.receipt_global_no) == number) {
                    original.noted(receipt.total);
                }
            }
        }
    }

    pub(crate) async fn open_day(&self, place: usize) {
        let till = self.till(place).id;
        self.ledger()
            .write(move |core| core.open_day(till, "test"))
            .await
            .unwrap();
    }

    pub(crate) async fn close_day(&self, place: usize) {
        let till = self.till(place).id;
        self.ledger()
            .write(move |core| core.close_day(till, "test"))
            .await
            .unwrap();
    }

    /// A person lets a parked stream go on.
    pub(crate) async fn retry(&self, place: usize) {
        let till = self.till(place).id;
        self.ledger()
            .write(move |core| core.retry_stream(till, "test"))
            .await
            .unwrap();
    }

    /// Time passes, for the store and for FDMS alike.
    pub(crate) fn advance(&self, by: Duration) {
        self.fdms_clock.advance(by);
        self.clock.advance(by);
    }

    /// Sets the store's wall clock, and nothing else.
    pub(crate) fn set_wall(&self, by: jiff::SignedDuration) {
        self.clock.set_wall(self.clock.wall() + by);
    }

    /// The moment at which the next worker wakes, once none is at work; none: every stream is done or
    /// stands still. The second value: a stream has something to send.
    async fn next_wake(&self, while_parked: bool) -> (Option<Timestamp>, bool) {
        let waiting = async {
            loop {
                let tills = self.tills.borrow().clone();
                let mut changes: Vec<_> = tills
                    .iter()
                    .map(|till| self.submitter().watch(till.id))
                    .collect();
                if let Some(found) = self.wakes(&tills, while_parked) {
                    return found;
                }
                let changed = changes.iter_mut().map(|link| Box::pin(link.changed()));
                let (changed, ..) = select_all(changed).await;
                changed.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("the workers hang: {:?}", self.links()))
    }

    /// Waits, without letting time pass, until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let mut committed = self.ledger().committed();
                committed.mark_unchanged();
                let tills = self.tills.borrow().clone();
                let mut links: Vec<_> = tills
                    .iter()
                    .map(|till| self.submitter().watch(till.id))
                    .collect();
                if is_so(self) {
                    return;
                }
                let changed = links.iter_mut().map(|link| Box::pin(link.changed()));
                // The sandbox announces nothing: it is looked at again every few milliseconds.
                let _ = tokio::time::timeout(GLANCE, async {
                    tokio::select! {
                        _ = select_all(changed) => {}
                        _ = committed.changed() => {}
                    }
                })
                .await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("{what} does not come: {:?}", self.links()));
    }

    fn links(&self) -> Vec<LinkState> {
        (0..self.count()).map(|place| self.link(place)).collect()
    }

    /// As [`House::next_wake`], at this very moment; none while somebody is at work.
    fn wakes(&self, tills: &[Till], while_parked: bool) -> Option<(Option<Timestamp>, bool)> {
        let now = self.ledger().time().now();
        let mut earliest: Option<Timestamp> = None;
        let mut pending = false;
        for till in tills {
            let (state, head) = self.ledger().reader().stream(till.id).unwrap();
            let link = self.submitter().state(till.id).unwrap_or_default();
            let until = match link.doing {
                Doing::Idle if head.is_none() => continue,
                Doing::Waiting { until } => until,
                // A stream that has just been let go on is still shown as parked until its worker looks.
                Doing::Parked { .. } if !while_parked && state.parked.is_some() => continue,
                Doing::Parked { until } => until,
                Doing::Idle | Doing::Starting | Doing::Busy => return None,
            };
            if until <= now {
                return None;
            }
            pending = true;
            earliest = Some(earliest.map_or(until, |other| other.min(until)));
        }
        Some((earliest, pending))
    }

    /// Waits until every worker has nothing to do at this moment.
    pub(crate) async fn settle(&self) {
        self.next_wake(true).await;
    }

    /// Lets time pass as it does: every worker wakes at its moment.
    pub(crate) async fn pass(&self, time: Duration) {
        let mut left = time;
        loop {
            let (wake, _) = self.next_wake(true).await;
            let now = self.ledger().time().now();
            let pause = wake.and_then(|wake| Duration::try_from(wake.duration_since(now)).ok());
            let step = pause.unwrap_or(left).min(left);
            self.advance(step);
            left -= step;
            if left.is_zero() {
                break;
            }
        }
        self.settle().await;
    }

    /// Lets time pass until everything has been sent, or is parked. At most ten days.
    pub(crate) async fn drain(&self) {
        let mut left = Duration::from_secs(10 * 24 * 3600);
        loop {
            let (wake, pending) = self.next_wake(false).await;
            let (Some(wake), true) = (wake, pending) else {
                return;
            };
            let now = self.ledger().time().now();
            let step = Duration::try_from(wake.duration_since(now)).unwrap();
            left = left.checked_sub(step).expect("it drains within ten days");
            self.advance(step);
        }
    }
}
