//! Backups under load, put back elsewhere: nothing is lost that the backup had, and no number is used twice.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clock::{Clock as _, SystemClock};
use fiscal::ReceiptGlobalNo;
use fiscald::backup::{self, BackupError, Keep, Manifest, RestoreError, Restored, Restoring};
use fiscald::config::Config;
use fiscald::join::renew_recovery;
use fiscald::keys::{KeyKind, RecoveryPassphrase};
use fiscald::ledger::holds::HoldKind;
use fiscald::ledger::verify::verify;
use fiscald::ledger::{LedgerError, Refusal};
use fiscald::submit::reconcile::adoption_from;

use crate::support::process::{Http, PATIENCE, Store};
use crate::support::store::{GLANCE, House, Plan};

fn verified(path: &Path) -> u64 {
    verify(path, &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{error}"))
        .receipts
}

/// Makes a backup of the house as it is.
async fn take(house: &House, folder: &Path) -> PathBuf {
    let (ledger, folder) = (house.path(), folder.to_owned());
    let now = house.clock.wall();
    let taken = tokio::task::spawn_blocking(move || {
        let manifest = backup::take(&ledger, &folder, now, Keep::default(), &mut |_, _, _| {
            ControlFlow::Continue(())
        });
        folder.join(manifest.unwrap().file)
    });
    taken.await.unwrap()
}

/// A passphrase as it was written down.
fn passphrase(house: &House) -> String {
    let made = renew_recovery(&mut house.core(), &house.sealing()).unwrap();
    made.reveal().to_string()
}

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.store.data_dir = Some(dir.to_owned());
    config
}

fn put_back(
    config: &Config,
    backup: &Path,
    over: Option<&str>,
    typed: Option<&str>,
    clock: clock::SharedClock,
) -> Result<Restored, RestoreError> {
    backup::restore(&mut Restoring {
        config,
        backup,
        over,
        passphrase: &mut || match typed {
            Some(typed) => Ok(RecoveryPassphrase::parse(typed)?),
            None => Err(RestoreError::Asking(
                "nobody is asked in this test".to_owned(),
            )),
        },
        progress: &mut |_, _| {},
        clock,
        actor: "test",
    })
}

/// The machine is lost; what was in the backup is put back on another one.
async fn move_house(house: &mut House, backup: &Path, typed: &str) -> Restored {
    house.lose_machine().await;
    let config = config(house.path().parent().unwrap());
    let restored = put_back(&config, backup, None, Some(typed), house.clock.clone()).unwrap();
    house.set_sealing(config.sealing_key().unwrap());
    restored
}

fn hold(house: &House, place: usize) -> Option<HoldKind> {
    let hold = house.ledger().reader().hold(house.till(place).id).unwrap();
    hold.map(|hold| hold.kind)
}

async fn refused(house: &House) -> HoldKind {
    match house.sell_json(0, &house.draw(0)).await {
        Err(LedgerError::Refused(Refusal::Held { kind, .. })) => kind,
        other => panic!("{other:?}"),
    }
}

fn numbers(house: &House, place: usize) -> Vec<i32> {
    let stored = house.at_fdms(place);
    let bad = stored
        .iter()
        .find(|receipt| !receipt.validation_errors.is_empty());
    assert!(bad.is_none(), "{bad:?}");
    stored
        .iter()
        .map(|receipt| receipt.receipt_global_no)
        .collect()
}

/// A backup is made, more is sold and sent, the machine is lost. Elsewhere the backup stands still until FDMS was asked,
/// goes on from FDMS's numbers, and no number is used twice.
#[tokio::test]
async fn restored_elsewhere_goes_on_from_fdms() {
    let mut house = House::new().await;
    let typed = passphrase(&house);
    let folder = tempfile::tempdir().unwrap();
    house.sell_many(0, 4).await;
    house.drain().await;
    let file = take(&house, folder.path()).await;
    house.sell_many(0, 3).await;
    house.drain().await;
    let restored = move_house(&mut house, &file, &typed).await;
    assert_eq!(restored.ends.tills[0].last_receipt_global_no, 4);
    assert_eq!(restored.manifest.unwrap().ends, restored.ends);
    assert!(restored.recovered_key.is_some() && restored.replaced.is_none());

    house.sandbox.set_offline(true);
    house.start();
    assert_eq!(refused(&house).await, HoldKind::Unchecked);
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(refused(&house).await, HoldKind::Ahead);
    let till = house.till(0);
    assert!(house.sandbox.close_by_hand(till.number()));
    let status = house.submitter().fdms_status(till.id).await.unwrap();
    let (id, own) = (
        till.id,
        house
            .ledger()
            .write(move |core| core.last_numbers(till.id))
            .await,
    );
    let to = adoption_from(&status, own.unwrap(), None).unwrap();
    let adopted = house
        .ledger()
        .write(move |core| core.adopt(id, &to, "test"));
    adopted.await.unwrap();
    let issued = house.sell(0).await;
    assert_eq!(issued.receipt.global_no, ReceiptGlobalNo::new(8).unwrap());
    house.sell_many(0, 2).await;
    house.close_day(0).await;
    house.drain().await;
    assert_eq!(numbers(&house, 0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(house.sandbox.summary(till.number()).repeated, 0);
    house.stop().await;
    verified(&house.path());
}

/// A till that had sold nothing when the backup was made is held as well: it may have sold since.
#[tokio::test]
async fn a_till_without_sales_is_held_too() {
    let mut house = House::new().await;
    let typed = passphrase(&house);
    let folder = tempfile::tempdir().unwrap();
    let file = take(&house, folder.path()).await;
    let before = house.draw(0);
    house.sell_many(0, 2).await;
    house.drain().await;
    move_house(&mut house, &file, &typed).await;
    house.sandbox.set_offline(true);
    house.start();
    let refusal = house.sell_json(0, &before).await;
    let held = matches!(
        refusal,
        Err(LedgerError::Refused(Refusal::Held {
            kind: HoldKind::Unchecked,
            ..
        }))
    );
    assert!(held, "{refusal:?}");
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(hold(&house, 0), Some(HoldKind::Ahead));
}

/// Where FDMS has nothing more, the restored ledger sells on by itself.
#[tokio::test]
async fn an_up_to_date_backup_sells_on() {
    let mut house = House::new().await;
    let typed = passphrase(&house);
    let folder = tempfile::tempdir().unwrap();
    house.sell_many(0, 3).await;
    house.drain().await;
    let file = take(&house, folder.path()).await;
    move_house(&mut house, &file, &typed).await;
    house.start();
    house.drain().await;
    assert_eq!(hold(&house, 0), None);
    house.sell_many(0, 2).await;
    house.drain().await;
    assert_eq!(house.disagreements(), [""; 0]);
    house.stop().await;
    assert_eq!(verified(&house.path()), 5);
}

/// Under full load a backup is one moment of the ledger: it verifies, and has everything up to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taken_under_load() {
    let plan = Plan {
        tills: vec![KeyKind::EcP256; 3],
        ..Plan::default()
    };
    let mut house = House::build(plan).await;
    let folder = tempfile::tempdir().unwrap();
    for place in 0..3 {
        house.burst(place, 150).await;
    }
    let (ledger, to) = (house.path(), folder.path().to_owned());
    let now = house.clock.wall();
    let (started, begun) = tokio::sync::oneshot::channel();
    let (go_on, may_end) = std::sync::mpsc::channel::<()>();
    let mut started = Some(started);
    let taking = tokio::task::spawn_blocking(move || {
        backup::take(&ledger, &to, now, Keep::default(), &mut |_, _, _| {
            // After its first step it waits: what is sold meanwhile is sold during the backup for certain.
            if let Some(started) = started.take() {
                started.send(()).unwrap();
                may_end.recv().unwrap();
            }
            ControlFlow::Continue(())
        })
    });
    begun.await.unwrap();
    for place in 0..3 {
        house.burst(place, 100).await;
    }
    go_on.send(()).unwrap();
    let manifest = taking.await.unwrap().unwrap();
    let file = folder.path().join(&manifest.file);
    assert_eq!(verified(&file), 450);
    assert_eq!(backup::check(&file).unwrap(), manifest.ends);
    house.stop().await;
    assert_eq!(verified(&house.path()), 750);
}

/// What is newer is not replaced unasked; told by name it is, and kept. A living gateway is not replaced at all.
#[tokio::test]
async fn nothing_newer_is_replaced_unasked() {
    let mut house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    house.sell_many(0, 2).await;
    let file = take(&house, folder.path()).await;
    house.sell_many(0, 3).await;
    house.drain().await;
    house.stop().await;
    let data = house.path().parent().unwrap().to_owned();
    let config = config(&data);
    house.sealing_to(&config.sealing_key_path());

    let lock = fiscald::ledger::lock::only_one(&data).unwrap();
    let error = put_back(&config, &file, None, None, house.clock.clone()).unwrap_err();
    assert!(matches!(error, RestoreError::Running(_)), "{error}");
    drop(lock);
    let error = put_back(&config, &file, None, None, house.clock.clone()).unwrap_err();
    let RestoreError::HasMore { name, beyond, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(beyond, ["till 101 (test): receipts 3 to 5"]);
    let error = put_back(&config, &file, Some("another"), None, house.clock.clone());
    assert!(matches!(error, Err(RestoreError::HasMore { .. })));
    assert_eq!(verified(&house.path()), 5, "nothing was touched");

    let restored = put_back(&config, &file, Some(&name), None, house.clock.clone()).unwrap();
    assert_eq!(verified(&house.path()), 2);
    assert_eq!(verified(&restored.replaced.unwrap()), 5);
    assert!(restored.recovered_key.is_none());
    house.start();
    house.drain().await;
    assert_eq!(hold(&house, 0), Some(HoldKind::Ahead));
}

/// A damaged backup, a wrong passphrase, another store's key: each is told, and nothing is put in place.
#[tokio::test]
async fn what_cannot_be_put_back() {
    let mut house = House::new().await;
    let typed = passphrase(&house);
    let folder = tempfile::tempdir().unwrap();
    house.burst(0, 60).await;
    let file = take(&house, folder.path()).await;
    house.stop().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let config = config(elsewhere.path());
    let clock = || house.clock.clone();
    let another = RecoveryPassphrase::generate().unwrap().reveal().to_string();
    let error = put_back(&config, &file, None, Some(&another), clock()).unwrap_err();
    assert!(matches!(error, RestoreError::Key(_)), "{error}");
    assert!(!config.sealing_key_path().exists() && !config.ledger_path().exists());

    let other_key = fiscald::keys::SealingKey::generate(&config.sealing_key_path()).unwrap();
    let error = put_back(&config, &file, None, Some(&typed), clock()).unwrap_err();
    assert!(matches!(error, RestoreError::OtherKey { .. }), "{error}");
    assert_eq!(config.sealing_key().unwrap().name(), other_key.name());
    std::fs::remove_file(config.sealing_key_path()).unwrap();

    let good = std::fs::read(&file).unwrap();
    for at in [good.len() / 3, good.len() / 2, good.len() - 2000] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&file, &bad).unwrap();
        let error = put_back(&config, &file, None, Some(&typed), clock()).unwrap_err();
        assert!(matches!(error, RestoreError::Backup(_)), "{at}: {error}");
        assert!(!config.ledger_path().exists());
    }
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert!(put_back(&config, &file, None, Some(&typed), clock()).is_err());
    std::fs::write(&file, &good).unwrap();
    put_back(&config, &file, None, Some(&typed), clock()).unwrap();
    assert_eq!(verified(&config.ledger_path()), 60);
}

/// A folder that is not there is not made; a backup that is stopped leaves nothing; the surplus goes, with its manifest.
#[tokio::test]
async fn kept_and_taken_away() {
    let mut house = House::new().await;
    house.sell(0).await;
    house.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = house.path();
    let take = |to: &Path, day: i64, flow: ControlFlow<()>| -> Result<Manifest, BackupError> {
        let now = house.clock.wall() + jiff::SignedDuration::from_hours(24 * day);
        let keep = Keep {
            daily: 2,
            weekly: 0,
        };
        backup::take(&ledger, to, now, keep, &mut |_, _, _| flow)
    };
    let missing = folder.path().join("not-mounted");
    let error = take(&missing, 0, ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, BackupError::NoFolder { .. }), "{error}");
    assert!(!missing.exists());
    std::fs::write(folder.path().join("ledger-mine.db"), "not a backup").unwrap();
    for day in 0..4 {
        take(folder.path(), day, ControlFlow::Continue(())).unwrap();
    }
    let error = take(folder.path(), 5, ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, BackupError::Stopped), "{error}");
    let kept = backup::list(folder.path());
    assert_eq!(kept.len(), 2);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names.contains(&"ledger-mine.db".to_owned()));
    let listed = folder.path().join(&kept[1].file);
    assert_eq!(backup::check(&listed).unwrap(), kept[1].ends);
}

/// The keeper makes one when it is due, beside the running ledger, and shows how that goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_at_its_time() {
    let house = House::new().await;
    house.sell_many(0, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let mut backups = fiscald::backup::Backups::default();
    backups.config.folder = Some(folder.path().to_owned());
    let stop = tokio_util::sync::CancellationToken::new();
    let running = {
        let (backups, stop) = (backups.clone(), stop.clone());
        let (ledger, path) = (house.ledger().clone(), house.path());
        tokio::spawn(async move { backups.run(&ledger, &path, &stop).await })
    };
    // Time passes until something is so.
    let passes_until = async |is_so: &dyn Fn(&backup::Standing) -> bool| {
        let mut standing = backups.view.watch();
        let started = SystemClock.boot();
        while tokio::time::timeout(GLANCE, standing.wait_for(|s| is_so(s)))
            .await
            .is_err()
        {
            house.advance(std::time::Duration::from_secs(600));
            assert!(
                SystemClock.boot() - started < PATIENCE,
                "{:?}",
                backups.view.standing()
            );
        }
    };
    passes_until(&|s| s.last.is_some() && s.running.is_none()).await;
    let first = backups.view.standing().last;
    // A day later there is another one, and when the disk is away that is shown.
    passes_until(&|s| s.last > first && s.running.is_none()).await;
    assert!(backup::list(folder.path()).len() >= 2);
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away).unwrap();
    passes_until(&|s| s.trouble.is_some()).await;
    let (trouble, _) = backups.view.standing().trouble.unwrap();
    assert!(
        trouble.contains("is the disk or stick in its place"),
        "{trouble}"
    );
    std::fs::rename(&away, folder.path()).unwrap();
    passes_until(&|s| s.trouble.is_none()).await;
    stop.cancel();
    running.await.unwrap();
}

/// What a command says that ends well.
fn run(store: &Store, args: &[&str]) -> String {
    let output = store.fiscald(args);
    assert!(output.status.success(), "{args:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A passphrase that was made and tested, written down in the note that is named.
fn write_note(store: &Store, note: &Path) {
    let never = run(store, &["recovery", "status"]);
    assert!(never.contains("never tested"), "{never}");
    // Nobody is there to be asked: the note in the safe stays the right one.
    let refused = store.fiscald(&["recovery", "renew"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && text.contains("--yes"),
        "{text}"
    );
    assert!(refused.stdout.is_empty(), "{:?}", refused.stdout);
    let shown = run(store, &["recovery", "renew", "--yes"]);
    let typed = shown
        .lines()
        .map(str::trim)
        .find(|line| line.len() == 39)
        .unwrap();
    std::fs::write(note, typed).unwrap();
    let note = note.to_str().unwrap();
    let tested = run(store, &["recovery", "test", "--passphrase-file", note]);
    assert!(tested.contains("tested last on"), "{tested}");
}

/// The command line from end to end: passphrase, test of it, backup, restore on another machine, and the gateway runs.
#[test]
fn by_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4300);
    let note = dir.path().join("note");
    write_note(&store, &note);
    let note = note.to_str().unwrap();

    store.start();
    let sale = crate::crash::sale("A");
    let sold = Http::open(store.address)
        .unwrap()
        .post("/v1/receipts", &store.token, &sale);
    assert_eq!(sold.unwrap().status, 201);
    let stick = dir.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    let made = run(&store, &["backup", "take", "--to", stick.to_str().unwrap()]);
    let file = made.lines().next().unwrap().to_owned();
    assert!(run(&store, &["backup", "check", &file]).contains("receipt 1"));
    assert_eq!(
        run(
            &store,
            &["backup", "list", "--from", stick.to_str().unwrap()]
        )
        .lines()
        .count(),
        1
    );
    let refused = store.fiscald(&["restore", "--yes", &file]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && text.contains("another fiscald runs"),
        "{text}"
    );
    store.kill();

    // The folder of the ledger is another machine's.
    std::fs::rename(dir.path().join("data"), dir.path().join("lost")).unwrap();
    let refused = store.fiscald(&["restore", &file, "--passphrase-file", note]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && text.contains("--yes"),
        "{text}"
    );
    let restored = run(
        &store,
        &["restore", "--yes", &file, "--passphrase-file", note],
    );
    assert!(restored.contains("receipt 1"), "{restored}");
    store.start();
    store.drain();
    let started = SystemClock.boot();
    let mut http = Http::open(store.address).unwrap();
    loop {
        let sold = http
            .post("/v1/receipts", &store.token, &crate::crash::sale("B"))
            .unwrap();
        if sold.status == 201 {
            assert_eq!(sold.member("receiptGlobalNo"), "2");
            break;
        }
        assert!(sold.body.contains("till_"), "{}", sold.body);
        assert!(SystemClock.boot() - started < PATIENCE, "{}", sold.body);
        store.clock.advance(std::time::Duration::from_secs(1));
    }
}
