//! The daemon under a service manager, which this test plays: what it is told, and when.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::process::{PATIENCE, Store};

/// Waits for a message with this line in it, whatever comes before it.
fn hear(manager: &UnixDatagram, line: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = manager
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{line} was not heard: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.lines().any(|found| found.starts_with(line)) {
            return message;
        }
    }
}

/// It says when it is ready, how the store is, that its writer lives, that it reloads, and that it stops.
#[test]
fn what_systemd_hears() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut store = Store::set_up(dir.path(), 73);
    store.start_with(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "9000000"),
    ]);
    hear(&manager, "READY=1");
    hear(&manager, "WATCHDOG=1");
    let status = hear(&manager, "STATUS=");
    assert!(
        status.contains("1 till, nothing waits for FDMS; 73 test: no day open"),
        "{status}"
    );

    let sale = r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"S-1",
        "receiptLinesTaxInclusive":true,"receiptLines":[{"receiptLineType":"Sale",
        "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}],
        "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":2.40}]}"#;
    let mut till = crate::support::process::Http::open(store.address).unwrap();
    let sold = till.post("/v1/receipts", &store.token, sale).unwrap();
    assert_eq!(sold.status, 201, "{}", sold.body);
    store.clock.advance(Duration::from_secs(10));
    hear(&manager, "WATCHDOG=1");
    let status = hear(&manager, "STATUS=");
    assert!(status.contains("73 test: day 1 since"), "{status}");

    store.signal(Signal::HUP);
    hear(&manager, "RELOADING=1");
    hear(&manager, "READY=1");
    // A file that is wrong changes nothing, and the daemon lives on.
    std::fs::write(dir.path().join("fiscald.toml"), "[nonsense]\n").unwrap();
    store.signal(Signal::HUP);
    hear(&manager, "RELOADING=1");
    hear(&manager, "READY=1");
    let answer = till.get("/healthz", &store.token).unwrap();
    assert_eq!(answer.status, 200);

    store.signal(Signal::TERM);
    hear(&manager, "STOPPING=1");
    store.ended();
}

/// Root, or whoever asks, hears what FDMS has not been told; a store that has nothing to tell may be removed.
#[test]
fn what_a_package_asks() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 74);
    assert_eq!(store.fiscald(&["unsent"]).status.code(), Some(0));
    let migrated = store.fiscald(&["migrate"]);
    assert!(migrated.status.success(), "{migrated:?}");
    store.start();
    // A running gateway is not migrated under its feet.
    assert_eq!(store.fiscald(&["migrate"]).status.code(), Some(1));
    let opened = store.fiscald(&["day", "open"]);
    assert!(opened.status.success(), "{opened:?}");
    store.kill();
    let unsent = store.fiscald(&["unsent"]);
    assert_eq!(unsent.status.code(), Some(3), "{unsent:?}");
    let text = String::from_utf8(unsent.stdout).unwrap();
    assert!(text.contains("the fiscal day 1 is open"), "{text}");
    let pages = dir.path().join("pages");
    let written = store.fiscald(&["manual", pages.to_str().unwrap()]);
    assert!(written.status.success(), "{written:?}");
    for page in [
        "fiscald.1",
        "fiscald-register.1",
        "fiscald-day-close.1",
        "_fiscald",
    ] {
        assert!(pages.join(page).exists(), "{page}");
    }
}

/// Root's commands on a store that is another's are done as that user: nothing in it becomes root's.
#[test]
fn root_goes_on_as_the_stores_user() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can change to another user: not tested here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = Store::set_up(dir.path(), 75);
    let data = dir.path().join("data");
    let files = || {
        let files = std::fs::read_dir(&data).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    for path in files().iter().chain([&data]) {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // The files that SQLite makes anew, and the one that the command writes beside the ledger.
    for name in ["ledger.db-wal", "ledger.db-shm", "ledger.epoch"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    // Where backups go, on another disk.
    let stick = dir.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    chown(&stick, Some(NOBODY), Some(NOBODY)).unwrap();
    for command in [
        &["token", "add", "another", "--every-till"][..],
        &["verify"],
        &["recovery", "status"],
        &["archive", "--list"],
        &["backup", "take", "--to", stick.to_str().unwrap()],
        &["unsent"],
        &["migrate"],
    ] {
        let done = store.fiscald(command);
        assert!(done.status.success(), "{command:?}: {done:?}");
    }
    // A folder of root's is no place for a backup, and that says nothing against the ledger.
    let roots = dir.path().join("roots");
    std::fs::create_dir(&roots).unwrap();
    let refused = store.fiscald(&["backup", "take", "--to", roots.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains("cannot be written") && said.contains("user 65534"),
        "{said}"
    );
    assert!(!said.contains("damaged"), "{said}");
    // It finds that the gateway does not run, but not that it was asked by root.
    let looked = store.fiscald(&["doctor"]);
    let looked = String::from_utf8(looked.stdout).unwrap();
    assert!(looked.contains("owners and rights are right"), "{looked}");
    let copies = std::fs::read_dir(&stick).unwrap();
    let copies: Vec<_> = copies.map(|file| file.unwrap().path()).collect();
    assert_eq!(copies.len(), 2, "a backup and its manifest: {copies:?}");
    for path in files().into_iter().chain(copies) {
        let owner = std::fs::metadata(&path).unwrap().uid();
        assert_eq!(owner, NOBODY, "{}", path.display());
    }
    assert!(data.join("run.lock").exists(), "nothing was written at all");
}
