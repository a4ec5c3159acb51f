//! The live copy on another disk: it follows, survives being pulled out, and is a whole ledger at every moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock, TestClock};
use fiscald::api::schema;
use fiscald::backup::{BackupView, Backups, LiveStanding};
use fiscald::config::BackupConfig;
use fiscald::keys::KeyKind;
use fiscald::ledger::Ledger;
use fiscald::ledger::copies::ends;
use fiscald::ledger::verify::verify;
use tokio_util::sync::CancellationToken;

use crate::support::api::{Shop, get};
use crate::support::operator::Operator;
use crate::support::process::PATIENCE;
use crate::support::store::{GLANCE, House, Plan};

/// A folder on another disk than the ledger: memory, in this test.
pub(crate) fn stick() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// The configuration of a live copy.
fn live(to: &Path) -> BackupConfig {
    BackupConfig {
        live: Some(to.to_owned()),
        ..BackupConfig::default()
    }
}

/// The part that keeps the copy.
pub(crate) struct Running {
    view: BackupView,
    ledger: Ledger,
    clock: Arc<TestClock>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(house: &House, to: &Path) -> Self {
        let place = (house.ledger().clone(), house.path());
        Self::run(place, house.clock.clone(), live(to), BackupView::default())
    }

    /// A live copy of a shop's ledger.
    pub(crate) fn beside(shop: &Shop, to: &Path) -> Self {
        Self::with(shop, live(to))
    }

    /// Whatever copies are configured of a shop's ledger.
    pub(crate) fn with(shop: &Shop, config: BackupConfig) -> Self {
        let place = (shop.ledger.clone(), shop.ledger_path());
        Self::run(place, shop.clock.clone(), config, shop.copies.clone())
    }

    fn run(
        place: (Ledger, PathBuf),
        clock: Arc<TestClock>,
        config: BackupConfig,
        view: BackupView,
    ) -> Self {
        let backups = Backups {
            config,
            view: view.clone(),
        };
        let stop = CancellationToken::new();
        let ((ledger, path), stopped) = (place, stop.clone());
        let its = ledger.clone();
        let task = tokio::spawn(async move { backups.run(&its, &path, &stopped).await });
        Self {
            view,
            ledger,
            clock,
            stop,
            task,
        }
    }

    fn live(&self) -> LiveStanding {
        self.view.standing().live.unwrap_or_default()
    }

    /// Time passes until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&LiveStanding) -> bool) {
        let mut watch = self.view.watch();
        let started = SystemClock.boot();
        let there = |s: &fiscald::backup::Standing| s.live.as_ref().is_some_and(&is_so);
        while tokio::time::timeout(GLANCE, watch.wait_for(there))
            .await
            .is_err()
        {
            self.clock.advance(Duration::from_secs(1));
            assert!(
                SystemClock.boot() - started < PATIENCE,
                "{what}: {:?}",
                self.live()
            );
        }
    }

    /// Everything that is in the ledger is in the copy.
    pub(crate) async fn up_to_date(&self) {
        // A till is answered before everybody else is told: what is written next comes behind that.
        self.ledger.write(|_| Ok(())).await.unwrap();
        let last = self.ledger.committed().borrow().0;
        self.until("it follows", |live| live.copied >= Some(last))
            .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn verified(path: &Path) -> u64 {
    verify(path, &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{error}"))
        .receipts
}

async fn house() -> House {
    House::build(Plan {
        tills: vec![KeyKind::EcP256; 2],
        ..Plan::default()
    })
    .await
}

/// Sales, answers of FDMS, closes and new tills: the copy follows, verifies at any moment, and after a stop it ends
/// where the ledger does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows() {
    let mut house = house().await;
    let dir = stick();
    let copy: PathBuf = dir.path().join("live.db");
    house.sell_many(0, 3).await;
    let running = Running::start(&house, &copy);
    running.up_to_date().await;
    for round in 0..3 {
        house.sell_many(0, 4).await;
        house.burst(1, 20).await;
        if round == 1 {
            house.close_day(0).await;
        }
        house.drain().await;
        running.up_to_date().await;
        assert_eq!(verified(&copy), 3 + 24 * (round + 1));
    }
    house.register(KeyKind::EcP256).await;
    house.sell(2).await;
    house.drain().await;
    running.stop().await;
    house.stop().await;
    assert_eq!(verified(&copy), 76);
    assert_eq!(ends(&copy).unwrap(), ends(&house.path()).unwrap());
}

/// Pulled out, it is missed and nobody waits; put back, it goes on where it was. One that is not there is made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulled_out_and_put_back() {
    let house = house().await;
    let dir = stick();
    let folder = dir.path().join("stick");
    std::fs::create_dir(&folder).unwrap();
    let (copy, away) = (folder.join("live.db"), dir.path().join("away"));
    let running = Running::start(&house, &copy);
    house.sell_many(0, 3).await;
    running.up_to_date().await;
    std::fs::rename(&folder, &away).unwrap();
    house.sell_many(0, 5).await;
    running
        .until("it is missed", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("is the disk or stick in its place"), "{why}");
    assert_eq!(verified(&away.join("live.db")), 3);
    std::fs::rename(&away, &folder).unwrap();
    running.up_to_date().await;
    assert_eq!(running.live().trouble, None);
    assert_eq!(verified(&copy), 8);
    std::fs::remove_file(&copy).unwrap();
    house.sell(0).await;
    running.up_to_date().await;
    assert_eq!(verified(&copy), 9);
    running.stop().await;
}

/// The machine goes down in the middle of the copy's commit: its journal lies beside it, and whoever checks it or puts it
/// back gets the commit before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_in_the_middle_of_a_commit() {
    let mut house = house().await;
    let dir = stick();
    let copy = dir.path().join("live.db");
    house.sell_many(0, 30).await;
    let running = Running::start(&house, &copy);
    running.up_to_date().await;
    running.stop().await;
    house.stop().await;
    let whole = ends(&copy).unwrap();
    // As SQLite leaves it when pages had to go to the disk before the commit.
    let conn = rusqlite::Connection::open(&copy).unwrap();
    conn.execute_batch(
        "PRAGMA cache_size = 1; BEGIN; UPDATE receipt SET body = 'cut short'; UPDATE audit SET hash = x'00'",
    )
    .unwrap();
    let torn = dir.path().join("torn.db");
    let journal = |path: &Path| path.with_extension("db-journal");
    std::fs::copy(&copy, &torn).unwrap();
    std::fs::copy(journal(&copy), journal(&torn)).unwrap();
    drop(conn);
    assert!(
        verify(&torn, &mut |_, _| {}).is_err(),
        "the test tears nothing"
    );
    assert_eq!(fiscald::backup::check(&torn).unwrap(), whole);
    assert_eq!(verified(&torn), 30);
    assert!(!journal(&torn).exists());
}

/// What must never be written over: a copy that has more than the ledger, and another ledger's. And a mount point whose
/// stick is missing is the ledger's own disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_alone() {
    let mut house = house().await;
    let dir = stick();
    let copy = dir.path().join("live.db");
    house.sell_many(0, 3).await;
    house.drain().await;
    house.stop().await;
    let older = house.path().with_extension("older");
    std::fs::copy(house.path(), &older).unwrap();
    house.start();
    let running = Running::start(&house, &copy);
    house.sell_many(0, 2).await;
    running.up_to_date().await;
    running.stop().await;
    house.stop().await;
    // The ledger is put back from an older copy.
    std::fs::copy(&older, house.path()).unwrap();
    house.start();
    let running = Running::start(&house, &copy);
    running
        .until("it is told", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(
        why.contains("than the ledger") && why.contains("left alone"),
        "{why}"
    );
    running.stop().await;
    assert_eq!(verified(&copy), 5);

    let other = self::house().await;
    let running = Running::start(&other, &copy);
    running
        .until("it is told", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("another ledger"), "{why}");
    running.stop().await;
    assert_eq!(verified(&copy), 5);

    let beside = other.path().with_file_name("live.db");
    let running = Running::start(&other, &beside);
    running
        .until("it is told", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("same disk"), "{why}");
    running.stop().await;
    assert!(!beside.exists());
}

/// A value of `/metrics`; none where the gateway does not tell it.
async fn metric(shop: &Shop, name: &str) -> Option<i64> {
    let answer = shop.ask(&get("/metrics")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut lines = answer.text().lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

/// How far it is behind is shown: in the status, as metrics, and on the operator's page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_lag_is_shown() {
    let shop = Shop::open().await;
    let mut operator = Operator::at(&shop);
    shop.sell("T1-1").await;
    assert_eq!(metric(&shop, "fiscald_live_copy_follows").await, None);
    let page = operator.page("/operator/store").await;
    assert!(!page.contains("Live copy"), "none is configured: {page}");

    let dir = stick();
    let folder = dir.path().join("stick");
    let (copy, away) = (folder.join("live.db"), dir.path().join("away"));
    let running = Running::beside(&shop, &copy);
    running
        .until("the stick is missed", |live| live.trouble.is_some())
        .await;
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(metric(&shop, "fiscald_live_copy_follows").await, Some(0));
    // Nobody knows what is on it.
    assert_eq!(metric(&shop, "fiscald_live_copy_waiting").await, None);
    assert!(metric(&shop, "fiscald_live_copy_lag_seconds").await >= Some(60));

    std::fs::create_dir(&folder).unwrap();
    running.up_to_date().await;
    for (name, value) in [("follows", 1), ("waiting", 0), ("lag_seconds", 0)] {
        let found = metric(&shop, &format!("fiscald_live_copy_{name}")).await;
        assert_eq!(found, Some(value), "{name}");
    }
    let page = operator.page("/operator/store").await;
    assert!(
        page.contains("The live copy follows") && page.contains("<dd>0 s</dd>"),
        "{page}"
    );

    std::fs::rename(&folder, &away).unwrap();
    shop.sell("T1-2").await;
    running
        .until("it is missed", |live| live.trouble.is_some())
        .await;
    shop.clock.advance(Duration::from_secs(3 * 3600));
    assert_eq!(metric(&shop, "fiscald_live_copy_follows").await, Some(0));
    assert!(metric(&shop, "fiscald_live_copy_waiting").await > Some(0));
    let lag = metric(&shop, "fiscald_live_copy_lag_seconds")
        .await
        .unwrap();
    assert!((3 * 3600..4 * 3600).contains(&lag), "{lag}");
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    let told = status.backup.unwrap().live.unwrap();
    assert!(
        told.lag_seconds >= Some(lag) && told.error.is_some(),
        "{told:?}"
    );
    let page = operator.page("/operator/store").await;
    assert!(
        page.contains("The live copy stands still") && page.contains("<dd>3 h</dd>"),
        "{page}"
    );
    std::fs::rename(&away, &folder).unwrap();
    running.up_to_date().await;
    assert_eq!(
        metric(&shop, "fiscald_live_copy_lag_seconds").await,
        Some(0)
    );
    running.stop().await;
}
