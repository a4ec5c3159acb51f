//! The live copy on another disk: it follows, survives being pulled out, and is a whole ledger at every moment.

use std::path::{Path, PathBuf};

use clock::{Clock as _, SystemClock};
use fiscald::backup::{BackupView, Backups, LiveStanding};
use fiscald::keys::KeyKind;
use fiscald::ledger::copies::ends;
use fiscald::ledger::verify::verify;
use tokio_util::sync::CancellationToken;

use crate::support::process::PATIENCE;
use crate::support::store::{GLANCE, House, Plan};

/// A folder on another disk than the ledger: memory, in this test.
fn stick() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// The part that keeps the copy.
struct Running {
    view: BackupView,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(house: &House, to: &Path) -> Self {
        let mut backups = Backups::default();
        backups.config.live = Some(to.to_owned());
        let (view, stop) = (backups.view.clone(), CancellationToken::new());
        let (ledger, path, stopped) = (house.ledger().clone(), house.path(), stop.clone());
        let task = tokio::spawn(async move { backups.run(&ledger, &path, &stopped).await });
        Self { view, stop, task }
    }

    fn live(&self) -> LiveStanding {
        self.view.standing().live.unwrap_or_default()
    }

    /// Time passes until something is so.
    async fn until(&self, house: &House, what: &str, is_so: impl Fn(&LiveStanding) -> bool) {
        let mut watch = self.view.watch();
        let started = SystemClock.boot();
        let there = |s: &fiscald::backup::Standing| s.live.as_ref().is_some_and(&is_so);
        while tokio::time::timeout(GLANCE, watch.wait_for(there))
            .await
            .is_err()
        {
            house.clock.advance(std::time::Duration::from_secs(1));
            assert!(
                SystemClock.boot() - started < PATIENCE,
                "{what}: {:?}",
                self.live()
            );
        }
    }

    /// Everything that is in the ledger is in the copy.
    async fn up_to_date(&self, house: &House) {
        let last = house.ledger().committed().borrow().0;
        self.until(house, "it follows", |live| live.copied >= Some(last))
            .await;
    }

    async fn stop(self) {
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
    running.up_to_date(&house).await;
    for round in 0..3 {
        house.sell_many(0, 4).await;
        house.burst(1, 20).await;
        if round == 1 {
            house.close_day(0).await;
        }
        house.drain().await;
        running.up_to_date(&house).await;
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
    running.up_to_date(&house).await;
    std::fs::rename(&folder, &away).unwrap();
    house.sell_many(0, 5).await;
    running
        .until(&house, "it is missed", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("is the disk or stick in its place"), "{why}");
    assert_eq!(verified(&away.join("live.db")), 3);
    std::fs::rename(&away, &folder).unwrap();
    running.up_to_date(&house).await;
    assert_eq!(running.live().trouble, None);
    assert_eq!(verified(&copy), 8);
    std::fs::remove_file(&copy).unwrap();
    house.sell(0).await;
    running.up_to_date(&house).await;
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
    running.up_to_date(&house).await;
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
    running.up_to_date(&house).await;
    running.stop().await;
    house.stop().await;
    // The ledger is put back from an older copy.
    std::fs::copy(&older, house.path()).unwrap();
    house.start();
    let running = Running::start(&house, &copy);
    running
        .until(&house, "it is told", |live| live.trouble.is_some())
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
        .until(&other, "it is told", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("another ledger"), "{why}");
    running.stop().await;
    assert_eq!(verified(&copy), 5);

    let beside = other.path().with_file_name("live.db");
    let running = Running::start(&other, &beside);
    running
        .until(&other, "it is told", |live| live.trouble.is_some())
        .await;
    let (why, _) = running.live().trouble.unwrap();
    assert!(why.contains("same disk"), "{why}");
    running.stop().await;
    assert!(!beside.exists());
}
