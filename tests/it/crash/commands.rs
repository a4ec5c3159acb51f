//! Commands of a technician, and of the package, that end themselves at each named point: done again, they are done.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fiscald::ledger::verify::verify;

use super::book::Book;
use super::points::{ARCHIVE, BACKUP, MIGRATION, Passing, RESTORE, pass_while, passings, settle};
use super::report;
use super::volume::Ground;
use crate::support::process::{Http, Store};

/// A store with a closed day that FDMS has; it does not run.
fn shop(dir: &Path, device_id: u32) -> (Store, Book) {
    let (mut store, book) = (Store::set_up(dir, device_id), Book::default());
    sell(&mut store, &book);
    (store, book)
}

/// Another closed day.
fn sell(store: &mut Store, book: &Book) {
    store.start();
    let mut http = Http::open(store.address).unwrap();
    for _ in 0..3 {
        assert!(book.sell_next(&mut http, &store.token));
    }
    settle(store, book);
    store.stop();
}

/// Runs a command that ends itself at a point; whether it was reached.
fn ends_itself(store: &Store, args: &[&str], passing: Passing, ground: &Ground) -> bool {
    let ended = store.fiscald_with(args, &[("FISCALD_CRASH_AT", &passing.wish())]);
    ground.power_goes();
    passing.reached(ended.status)
}

fn done(store: &Store, args: &[&str]) {
    let ended = store.fiscald(args);
    assert!(ended.status.success(), "{args:?}: {ended:?}");
}

/// The only backup in a folder.
fn only_backup(folder: &Path) -> PathBuf {
    let backups = fiscald::backup::list(folder);
    assert_eq!(backups.len(), 1);
    folder.join(&backups[0].file)
}

#[test]
fn a_backup() {
    let dir = tempfile::tempdir().unwrap();
    backup(dir.path(), &Ground::Plain);
}

/// Whatever is called a backup is one, at every moment.
pub(super) fn backup(dir: &Path, ground: &Ground) {
    let (store, book) = shop(dir, 4310);
    let mut reached = 0;
    for (no, passing) in passings(BACKUP).into_iter().enumerate() {
        let folder = dir.join(format!("data/backups-{no}"));
        std::fs::create_dir(&folder).unwrap();
        let take = ["backup", "take", "--to", folder.to_str().unwrap()];
        reached += u64::from(ends_itself(&store, &take, passing, ground));
        for backup in fiscald::backup::list(&folder) {
            let path = folder.join(&backup.file);
            if path.exists() {
                fiscald::backup::check(&path).unwrap();
            }
        }
        done(&store, &take);
        let whole: Vec<PathBuf> = fiscald::backup::list(&folder)
            .iter()
            .map(|backup| folder.join(&backup.file))
            .filter(|path| path.exists())
            .collect();
        assert!(!whole.is_empty(), "{passing:?}");
        for path in whole {
            fiscald::backup::check(&path).unwrap();
        }
        let parts = std::fs::read_dir(&folder).unwrap().flatten();
        let parts = parts.filter(|entry| entry.file_name().to_string_lossy().contains(".part"));
        assert_eq!(parts.count(), 0, "{passing:?}");
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        for manifest in entries.map(|entry| entry.path()) {
            let is_manifest = manifest.extension().is_some_and(|end| end == "json");
            let is_there = manifest.with_extension("db").exists();
            assert!(!is_manifest || is_there, "{passing:?}: {manifest:?}");
        }
    }
    report("points", 0, reached, book.sold());
}

#[test]
fn a_migration() {
    let dir = tempfile::tempdir().unwrap();
    migration(dir.path(), &Ground::Plain);
}

/// A ledger of the step before is brought to this version, whenever that is cut short.
pub(super) fn migration(dir: &Path, ground: &Ground) {
    let (store, book) = shop(dir, 4311);
    let mut reached = 0;
    for passing in passings(MIGRATION) {
        let newest = a_step_back(&store.ledger());
        reached += u64::from(ends_itself(&store, &["migrate"], passing, ground));
        done(&store, &["migrate"]);
        book.compare_with_ledger(&store, 0);
        let copy = store
            .ledger()
            .with_file_name(format!("ledger.before-step-{newest}.db"));
        fiscald::backup::check(&copy).unwrap();
        assert!(!copy.with_extension("db.new").exists(), "{passing:?}");
        std::fs::remove_file(&copy).unwrap();
    }
    report("points", 0, reached, book.sold());
}

/// Undoes the newest step of the tables, which made the table `archive`; its number.
fn a_step_back(ledger: &Path) -> i64 {
    let conn = rusqlite::Connection::open(ledger).unwrap();
    let newest: i64 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    conn.execute_batch("DROP TABLE archive").unwrap();
    conn.pragma_update(None, "user_version", newest - 1)
        .unwrap();
    newest
}

#[test]
fn an_archive() {
    let dir = tempfile::tempdir().unwrap();
    archive(dir.path(), &Ground::Plain);
}

/// A year leaves the ledger for an archive, cut short at every point in turn.
pub(super) fn archive(dir: &Path, ground: &Ground) {
    let (mut store, book) = shop(dir, 4312);
    store.clock.advance(Duration::from_secs(400 * 24 * 60 * 60));
    let socket = store.dir.join("clock.sock");
    let archive = [
        "archive",
        "--keep",
        "0",
        "--test-clock",
        socket.to_str().unwrap(),
    ];
    let mut reached = 0;
    // Each goes on where the one before it was cut short, so only the first passing of a point is left to be tried.
    for passing in passings(ARCHIVE).into_iter().filter(|p| p.is_first()) {
        reached += u64::from(ends_itself(&store, &archive, passing, ground));
        book.compare_with_ledger(&store, 0);
    }
    done(&store, &archive);
    book.compare_with_ledger(&store, 0);
    // Out of the ledger, and known to it all the same.
    let conn = rusqlite::Connection::open(store.ledger()).unwrap();
    let left: i64 = conn
        .query_row("SELECT sum(length(body)) FROM receipt", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, 0);
    drop(conn);
    store.start();
    book.repeat_everything(&store);
    store.stop();
    report("points", 0, reached, book.sold());
}

/// A ledger that has a log, since its machine went down, is replaced, and that is cut short between the two: what is set
/// aside has all of it nevertheless.
#[test]
fn what_is_set_aside_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, book) = shop(dir.path(), 4314);
    let folder = dir.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    done(
        &store,
        &["backup", "take", "--to", folder.to_str().unwrap()],
    );
    store.start();
    let mut http = Http::open(store.address).unwrap();
    for _ in 0..3 {
        assert!(book.sell_next(&mut http, &store.token));
    }
    store.kill();
    let log = store.ledger().with_extension("db-wal");
    assert!(std::fs::metadata(log).unwrap().len() > 0);
    let backup = only_backup(&folder);
    let name = fiscald::ledger::copies::ends(&store.ledger())
        .unwrap()
        .ledger;
    let restore = [
        "restore",
        "--yes",
        "--over",
        &name,
        backup.to_str().unwrap(),
    ];
    let cut_short = store.fiscald_with(&restore, &[("FISCALD_CRASH_AT", "restore.half-aside")]);
    assert!(!cut_short.status.success() && !store.ledger().exists());
    done(&store, &restore);
    let files = std::fs::read_dir(store.ledger().parent().unwrap()).unwrap();
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("ledger-replaced-") && name.ends_with(".db")
    };
    let aside: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(is_aside)
        .collect();
    assert_eq!(aside.len(), 1);
    let verified = verify(&aside[0], &mut |_, _| {}).unwrap();
    assert_eq!(verified.receipts, u64::try_from(book.sold()).unwrap());
}

/// A backup in a new folder.
fn backed_up(store: &Store, folder: &Path) -> PathBuf {
    std::fs::create_dir(folder).unwrap();
    done(store, &["backup", "take", "--to", folder.to_str().unwrap()]);
    only_backup(folder)
}

/// A machine that went down while the ledger had another name already and the backup not yet its own: whoever starts the
/// gateway then, or sets a store up, begins no other ledger. Restored once more, the store sells on.
#[test]
fn none_is_begun_where_one_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, book) = shop(dir.path(), 4315);
    for point in ["restore.half-aside", "restore.aside"] {
        let folder = dir.path().join(point);
        let backup = backed_up(&store, &folder);
        let restore = ["restore", "--yes", backup.to_str().unwrap()];
        let cut_short = store.fiscald_with(&restore, &[("FISCALD_CRASH_AT", point)]);
        assert_eq!(cut_short.status.signal(), Some(9), "{cut_short:?}");
        assert!(!store.ledger().exists(), "{point}");

        assert!(!store.try_start(&[]), "{point}");
        assert_eq!(store.end().code(), Some(78), "{point}");
        let activation = dir.path().join("activation");
        let register = store.fiscald(&[
            "register",
            "--environment",
            "test",
            "--device-id",
            "4316",
            "--serial-no",
            "SN-4316",
            "--activation-key-file",
            activation.to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&register.stderr);
        assert!(
            !register.status.success() && said.contains("a restore was cut short"),
            "{point}: {said}"
        );
        assert!(!store.ledger().exists(), "{point}");

        done(&store, &restore);
        store.start();
        let is_held = |store: &Store| store.reader().hold(store.till().id).unwrap().is_some();
        assert!(pass_while(&mut store, is_held), "{point}");
        store.stop();
        book.compare_with_ledger(&store, 0);
    }
    sell(&mut store, &book);
    book.compare_with_fdms(&store, 0);
}

#[test]
fn a_restore() {
    let dir = tempfile::tempdir().unwrap();
    restore(dir.path(), &Ground::Plain);
}

/// A backup is put back, cut short at every point: done again, the store sells on, and nothing is used twice.
pub(super) fn restore(dir: &Path, ground: &Ground) {
    let (mut store, book) = shop(dir, 4313);
    let mut reached = 0;
    for (no, passing) in passings(RESTORE).into_iter().enumerate() {
        let folder = dir.join(format!("data/backups-{no}"));
        let backup = backed_up(&store, &folder);
        let restore = ["restore", "--yes", backup.to_str().unwrap()];
        let was_reached = ends_itself(&store, &restore, passing, ground);
        reached += u64::from(was_reached);
        let again = store.fiscald(&restore);
        let said = String::from_utf8_lossy(&again.stderr);
        // It is in its place already, and has written that down.
        let is_there = (passing.name == "restore.named" || !was_reached)
            && said.contains("it has what the backup has not");
        assert!(again.status.success() || is_there, "{passing:?}: {said}");
        verify(&store.ledger(), &mut |_, _| {}).unwrap();
        assert_eq!(book.lost(&store), [""; 0], "{passing:?}");
        store.start();
        let is_held = |store: &Store| store.reader().hold(store.till().id).unwrap().is_some();
        assert!(pass_while(&mut store, is_held), "{passing:?}");
        store.stop();
        sell(&mut store, &book);
        book.compare_with_ledger(&store, 0);
    }
    book.compare_with_fdms(&store, 0);
    report("points", 0, reached, book.sold());
}
