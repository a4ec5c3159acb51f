//! Another user of the till's PC, without the rights of the gateway's user or of root: what he finds in files and in
//! `/proc`, what links that he lays do, and how many PINs he may try.

use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fiscald::api::{Api, ApiSettings, Devices};
use fiscald::backup::{self, Keep, RestoreError, Restoring};
use fiscald::config::Config;
use fiscald::export::{Span, export};
use fiscald::submit::Submitter;
use tokio::net::TcpListener;

use crate::support::api::{Shop, sale};
use crate::support::operator::{Operator, PIN, set_pin};
use crate::support::process::{Http, PATIENCE, Store};
use crate::support::store::House;

const CLOSE: &str = "/operator/do/close_day?till=test-101&back=%2Foperator";

/// Everything below a folder, with its mode; the folder itself comes first.
fn modes(folder: &Path) -> Vec<(PathBuf, u32, bool)> {
    let about = std::fs::symlink_metadata(folder).unwrap();
    let is_socket = !about.is_file() && !about.is_dir();
    let mut all = vec![(
        folder.to_owned(),
        about.permissions().mode() & 0o777,
        is_socket,
    )];
    if about.is_dir() {
        for entry in std::fs::read_dir(folder).unwrap() {
            all.extend(modes(&entry.unwrap().path()));
        }
    }
    all
}

/// Waits for a file.
fn appears(path: &Path) {
    let started = SystemClock.boot();
    while !path.exists() {
        assert!(
            SystemClock.boot() - started < PATIENCE,
            "{}",
            path.display()
        );
        std::thread::yield_now();
    }
}

/// Where the system gives everybody every right to new files, others still get none to anything that the gateway and its
/// commands write: ledger, log and index of the ledger, numbers beside it, sealing key, logs, backups and their manifests,
/// live copy, exports, papers into files. Only the sockets are for everybody, in a folder that is not.
#[test]
fn others_have_no_right_to_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let stick = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut store = Store::set_up(dir.path(), 4711);
    let place = |name: &str| dir.path().join(name);
    let (logs, backups, papers) = (place("logs"), place("backups"), place("papers.prn"));
    let live = stick.path().join("live.db");
    for folder in [&logs, &backups] {
        std::fs::create_dir(folder).unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let config = place("fiscald.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let more = format!(
        "directory = {logs:?}\n[backup]\nlive = {live:?}\n\
         [[printers]]\nname = \"file\"\nlink = \"file:{}\"\nprofile = \"epson-tm-t20\"\n",
        papers.display()
    );
    std::fs::write(
        &config,
        text.replace("level = \"warn\"", "level = \"info\"") + &more,
    )
    .unwrap();
    store.start_under("000");
    let mut http = Http::open(store.address).unwrap();
    let sold = http
        .post("/v1/receipts", &store.token, &sale("A-1"))
        .unwrap();
    assert_eq!(sold.status, 201, "{}", sold.body);
    appears(&live);
    appears(&papers);
    let to = place("export");
    for command in [
        vec!["backup", "take", "--to", backups.to_str().unwrap()],
        vec!["export", to.to_str().unwrap()],
    ] {
        let done = store.fiscald_under("000", &command);
        assert!(done.status.success(), "{done:?}");
    }
    let folders = [place("data"), logs, backups, to, papers];
    let mut found: Vec<_> = folders.iter().flat_map(|folder| modes(folder)).collect();
    found.extend(modes(&live));
    let mut files = 0;
    for (path, mode, is_socket) in &found {
        let path = path.display();
        if !is_socket {
            assert_eq!(mode & 0o007, 0, "{path} has mode {mode:o}");
            files += 1;
        }
    }
    // Sales, buyers and keys are not for a group either.
    for (path, mode, _) in &found {
        let name = path.file_name().unwrap().to_string_lossy();
        let holds_sales = [
            ".db", ".db-wal", ".db-shm", ".key", ".json", ".jsonl", ".csv", ".epoch",
        ];
        if holds_sales.iter().any(|end| name.ends_with(end)) {
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        }
    }
    let data = modes(&place("data"));
    assert_eq!(data[0].1, 0o700, "the folder around the socket");
    assert!(files > 18, "{found:#?}");
}

/// What everybody may read of the process names no secret, and the environment is not where one is expected.
#[test]
fn the_process_list_tells_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4712);
    store.start();
    let key = std::fs::read_to_string(dir.path().join("data/sealing.key")).unwrap();
    let activation = std::fs::read_to_string(dir.path().join("activation")).unwrap();
    for file in ["cmdline", "environ", "comm", "status"] {
        let read = std::fs::read(format!("/proc/{}/{file}", store.pid())).unwrap();
        let text = String::from_utf8_lossy(&read);
        for secret in [store.token.as_str(), key.trim(), activation.trim()] {
            assert!(!secret.is_empty() && !text.contains(secret), "{file}");
        }
    }
    // A secret on the command line would be seen there: none is taken, not even by mistake.
    for wrong in [
        vec!["pin", "set", "2580"],
        vec!["token", "add", "till", "--every-till", "--token", "x"],
        vec!["register", "--activation-key", "x"],
        vec!["recovery", "test", "--passphrase", "x"],
    ] {
        let refused = store.fiscald(&wrong);
        assert!(!refused.status.success(), "{wrong:?}");
    }
}

/// A gateway that runs and logs as much as a technician can make it, and the folder of its logs.
fn talkative(dir: &Path, device: u32) -> (Store, PathBuf) {
    let mut store = Store::set_up(dir, device);
    let (config, logs) = (dir.join("fiscald.toml"), dir.join("logs"));
    std::fs::create_dir(&logs).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("level = \"warn\"", "level = \"debug\"");
    std::fs::write(&config, text + &format!("directory = {logs:?}\n")).unwrap();
    store.start();
    (store, logs)
}

/// Answers do not repeat a token, be it right or wrong, and the log, as talkative as a technician makes it, has no token, no
/// key and nothing of a body: whoever reads along learns nothing that opens anything.
#[test]
fn no_secret_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, logs) = talkative(dir.path(), 4714);
    let body = sale("A-1").replace("Bread", "Zanzibar Bread");
    for (token, body, status) in [
        (store.token.as_str(), body.as_str(), 201),
        ("WRONGTOKEN", body.as_str(), 401),
        (store.token.as_str(), "{\"cashier\": \"Zanzibar", 400),
        (store.token.as_str(), "{\"cashier\": \"Zanzibar\"}", 422),
    ] {
        let mut http = Http::open(store.address).unwrap();
        let answer = http.post("/v1/receipts", token, body).unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        for secret in [store.token.as_str(), "WRONGTOKEN"] {
            assert!(!answer.body.contains(secret), "{}", answer.body);
        }
    }
    store.drain();
    store.stop();
    let key = std::fs::read_to_string(dir.path().join("data/sealing.key")).unwrap();
    let mut lines = 0;
    for entry in std::fs::read_dir(&logs).unwrap() {
        let log = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        lines += log.lines().count();
        for secret in [
            store.token.as_str(),
            "WRONGTOKEN",
            key.trim(),
            "Zanzibar",
            "PRIVATE KEY",
        ] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
    assert!(lines > 3, "{lines}");
}

/// Nothing that is sent makes a line of the log, or steers a terminal that shows it: each line begins with its moment, and
/// has no control character, whatever names, paths, hosts, keys and tokens say.
#[test]
fn what_is_sent_writes_no_line_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, logs) = talkative(dir.path(), 4716);
    let good = store.token.clone();
    for (number, evil) in super::fields::LIVE.into_iter().enumerate() {
        let mut body: serde_json::Value = serde_json::from_str(&sale("X")).unwrap();
        body["invoiceNo"] = format!("{evil} {number}").into();
        body["receiptLines"][0]["receiptLineName"] = evil.into();
        body["cashier"] = format!("a\u{1b}[31m\r\n{evil}").into();
        let path: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        let path = format!("/v1/{path}%0d%0a2026-01-01T00:00:00Z%20ERROR%20owned%1b[2J");
        for (path, token, body) in [
            ("/v1/receipts", good.as_str(), body.to_string()),
            (path.as_str(), good.as_str(), "{}".to_owned()),
            (
                "/v1/receipts",
                "\u{1b}[2J2026-01-01 ERROR owned",
                "{}".to_owned(),
            ),
            (
                "/v1/receipts",
                "owned\r\nIdempotency-Key: \u{9b}31m owned",
                "{}".to_owned(),
            ),
        ] {
            let answer =
                Http::open(store.address).and_then(|mut http| http.post(path, token, &body));
            // A head that is none is hung up on, or answered.
            assert!(answer.is_ok_and(|answer| answer.status < 500), "{path}");
        }
    }
    let sold = Http::open(store.address)
        .unwrap()
        .post("/v1/receipts", &good, &sale("A-1"));
    assert_eq!(sold.unwrap().status, 201);
    store.stop();
    let mut lines = 0;
    for entry in std::fs::read_dir(&logs).unwrap() {
        let log = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in log.lines() {
            assert!(line.starts_with("20") && line.contains('T'), "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(!line.contains("owned"), "{line:?}");
            lines += 1;
        }
    }
    assert!(lines > 3, "{lines}");
}

/// The page as it is after a restart: over the same ledger, and with nothing in memory.
async fn restarted(shop: &mut Shop) {
    let api = Api::new(
        shop.ledger.clone(),
        Submitter::default(),
        Devices::default(),
        ApiSettings::default(),
        shop.stop.clone(),
    );
    let page = fiscald::page::router(&api, &shop.ledger).unwrap();
    let api = api.with_page(page);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    shop.address = listener.local_addr().unwrap();
    shop.serving
        .spawn(async move { api.serve_tcp(listener).await });
}

/// Whoever restarts the gateway, or switches the machine off and on, gains no try of the PIN: the pause that was due
/// begins anew, and the next is longer. The right PIN ends it.
#[tokio::test]
async fn a_restart_gives_no_tries_back() {
    let mut shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    for wrong in ["0000", "9999", "1111"] {
        let mut operator = Operator::at(&shop);
        let answer = operator.answer(CLOSE, &[("pin", wrong)]).await;
        assert_eq!(answer.status, 403);
    }
    for pause in [30, 60, 120] {
        restarted(&mut shop).await;
        let page = Operator::at(&shop).page(CLOSE).await;
        let words = format!("Wait {pause} seconds");
        assert!(
            page.contains(&words) && !page.contains("id=\"pin\""),
            "{page}"
        );
        shop.clock.advance(Duration::from_secs(pause));
        let answer = Operator::at(&shop).answer(CLOSE, &[("pin", "1112")]).await;
        assert_eq!(answer.status, 403);
    }
    assert_eq!(shop.audited("pin.wrong").len(), 6);
    assert_eq!(shop.audited("day.close"), [""; 0]);
    shop.clock.advance(Duration::from_secs(240));
    let answer = Operator::at(&shop).answer(CLOSE, &[("pin", PIN)]).await;
    assert_eq!(answer.status, 303);
    restarted(&mut shop).await;
    let page = Operator::at(&shop).page(CLOSE).await;
    assert!(page.contains("id=\"pin\""), "nobody is paused any more");
}

/// Whoever may write in the folder of the backups, or of an export, cannot have them written over another file by links
/// that he has laid under names that he foresees, nor read them.
#[tokio::test]
async fn links_lead_backups_nowhere() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    let (stick, room) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::set_permissions(stick.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let precious = room.path().join("precious");
    std::fs::write(&precious, "receipts").unwrap();
    // A backup that was never made, with a manifest that never ends.
    std::fs::write(stick.path().join("ledger-20200101-000000Z.db"), "none").unwrap();
    let pipe = stick.path().join("ledger-20200101-000000Z.json");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let now = shop.clock.wall();
    let stamp = now.strftime("%Y%m%d-%H%M%SZ").to_string();
    for name in [
        format!("ledger-{stamp}.json.new"),
        format!("ledger-{stamp}.json"),
        format!("ledger-{stamp}.db"),
        format!(".ledger-{stamp}.db.part"),
        "export.part".to_owned(),
    ] {
        symlink(&precious, stick.path().join(name)).unwrap();
    }
    let taken = backup::take(
        &shop.ledger_path(),
        stick.path(),
        now,
        Keep::default(),
        &mut |_, _, _| ControlFlow::Continue(()),
    );
    let taken = taken.unwrap();
    backup::check(&stick.path().join(&taken.file)).unwrap();
    let reader = shop.ledger.reader();
    let till = reader.tills().unwrap().remove(0);
    let days = reader.days_within(&till, None, None).unwrap().unwrap();
    let to = stick.path().join("export");
    // A link in the way of an export is an error, and is not followed.
    if export(reader, &[Span { till, days }], &to, now, &mut |_| {}).is_ok() {
        assert!(std::fs::symlink_metadata(&to).unwrap().is_dir());
    }
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "receipts");
    for (path, mode, _) in modes(stick.path()).into_iter().skip(1) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(&format!("ledger-{stamp}")) {
            assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
        }
    }
}

/// A backup that somebody has made up, with an archive whose name leads out of its folder, writes over nothing when it is
/// put back.
#[tokio::test]
async fn a_made_up_backup_writes_nowhere() {
    let house = House::new().await;
    house.sell_many(0, 2).await;
    let (stick, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = stick.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let taken = backup::take(
        &house.path(),
        &folder,
        house.clock.wall(),
        Keep::default(),
        &mut |_, _, _| ControlFlow::Continue(()),
    );
    let file = folder.join(taken.unwrap().file);
    std::fs::remove_file(file.with_extension("json")).unwrap();
    std::fs::write(stick.path().join("evil"), "evil").unwrap();
    let conn = rusqlite::Connection::open(&file).unwrap();
    let hash = "b5c1fb2efc6d6b4674c2fdcc48ce01b43a3b7c03763c0c3355de0099ee0f8c73";
    conn.execute(
        "INSERT INTO archive VALUES ('../evil', 2024, 1, 1, 0, ?1, 1, 0)",
        [hash],
    )
    .unwrap();
    conn.close().unwrap();
    let data = new.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut config = Config::default();
    config.store.data_dir = Some(data);
    house.sealing_to(&config.sealing_key_path());
    let put_back = backup::restore(&mut Restoring {
        config: &config,
        backup: &file,
        over: None,
        passphrase: &mut || Err(RestoreError::Asking("nobody is asked".to_owned())),
        progress: &mut |_, _| {},
        clock: house.clock.clone(),
        actor: "test",
    });
    let error = put_back.unwrap_err().to_string();
    assert!(error.contains("no name of an archive"), "{error}");
    assert!(!new.path().join("evil").exists(), "it was written");
    assert!(!config.ledger_path().exists(), "nothing was put back");
}
