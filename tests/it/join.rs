//! Set-up and registration: done once, interrupted anywhere, done again.

use std::path::Path;
use std::sync::Arc;

use clock::{SharedClock, SystemClock};
use fdms_sandbox::{Call, DeviceChange, DeviceSpec, Fault, FaultKind, OperatingMode};
use fiscald::config::Config;
use fiscald::join::{self, JoinError, Joined, Progress, Registration};
use fiscald::keys::{KeyKind, RecoveryPassphrase};
use fiscald::ledger::Ledger;
use fiscald::ledger::tills::NewTill;

use crate::support::store::House;

const NUMBER: u32 = 777;

fn config(dir: &Path) -> Config {
    let text = format!("[store]\ndata_dir = {:?}\n", dir.join("data"));
    Config::parse(Path::new("test.toml"), &text).unwrap()
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// The first time makes folder, key, ledger and passphrase; after that the passphrase is never shown again.
#[test]
fn set_up_happens_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let first = join::set_up(&config, clock()).unwrap();
    let passphrase = first.passphrase.expect("shown the first time");
    let typed = RecoveryPassphrase::parse(&passphrase.reveal()).unwrap();
    let wrap = first.core.recovery().unwrap().expect("kept");
    let recovered = wrap.unwrap_with(&typed).unwrap();
    assert_eq!(recovered.name(), config.sealing_key().unwrap().name());
    drop(first.core);
    let second = join::set_up(&config, clock()).unwrap();
    assert!(second.passphrase.is_none());
}

/// A new passphrase replaces the one before.
#[test]
fn passphrase_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut store = join::set_up(&config, clock()).unwrap();
    let first = store.passphrase.unwrap();
    let sealing = config.sealing_key().unwrap();
    let second = join::renew_recovery(&mut store.core, &sealing).unwrap();
    let wrap = store.core.recovery().unwrap().unwrap();
    assert!(wrap.unwrap_with(&first).is_err());
    assert!(wrap.unwrap_with(&second).is_ok());
}

/// A ledger whose key is gone gets no new key: nothing in it could be opened any more.
#[test]
fn lost_sealing_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    drop(join::set_up(&config, clock()).unwrap());
    std::fs::remove_file(config.sealing_key_path()).unwrap();
    let error = join::set_up(&config, clock()).unwrap_err();
    assert!(matches!(error, JoinError::SealingKeyGone { .. }), "{error}");
    assert!(!config.sealing_key_path().exists());
}

/// A house and one more device at its sandbox, to be registered.
async fn house() -> House {
    let house = House::new().await;
    house.sandbox.add_device(DeviceSpec::new(NUMBER)).unwrap();
    house
}

async fn register(house: &House, activation_key: &str) -> Result<Joined, JoinError> {
    register_in(
        house,
        house.ledger(),
        house.new_till(NUMBER),
        activation_key,
    )
    .await
}

async fn register_in(
    house: &House,
    ledger: &Ledger,
    till: NewTill,
    activation_key: &str,
) -> Result<Joined, JoinError> {
    let registration = Registration {
        till,
        activation_key,
        kind: KeyKind::EcP256,
        again: false,
        actor: "test",
    };
    join::register(ledger, &house.access(), &registration).await
}

async fn progress(house: &House) -> Progress {
    join::progress(house.ledger(), &house.new_till(NUMBER))
        .await
        .unwrap()
}

fn fault(house: &House, call: Call, fault: FaultKind) {
    house.sandbox.add_fault(Fault {
        device: Some(NUMBER),
        ..Fault::next(call, fault)
    });
}

/// How many keys the audit says were made for the store.
fn keys_made(house: &House) -> i64 {
    let audit = rusqlite::Connection::open(house.path()).unwrap();
    let count = "SELECT count(*) FROM audit WHERE action = 'key.add'";
    audit.query_row(count, [], |row| row.get(0)).unwrap()
}

/// A person sees whose activation key it is before anything is done; a wrong one is refused.
#[tokio::test]
async fn taxpayer_is_shown_first() {
    let house = house().await;
    let till = house.new_till(NUMBER);
    let access = house.access();
    let taxpayer = join::verify_taxpayer(&access, &till, "00000777")
        .await
        .unwrap();
    assert_eq!(taxpayer.tin, "2000000000");
    let error = join::verify_taxpayer(&access, &till, "WRONGKEY")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("DEV02"), "{error}");
    assert_eq!(progress(&house).await, Progress::New, "nothing was kept");
}

/// The request is lost: the same key is registered by the second try, and the till sells.
#[tokio::test]
async fn lost_request_is_repeated_with_the_same_key() {
    let house = house().await;
    fault(&house, Call::RegisterDevice, FaultKind::LoseRequest);
    let error = register(&house, "00000777").await.unwrap_err();
    assert!(matches!(error, JoinError::Doubt(_)), "{error}");
    assert_eq!(progress(&house).await, Progress::Begun);
    let keys = keys_made(&house);
    let joined = register(&house, "00000777").await.unwrap();
    assert_eq!(keys_made(&house), keys, "no second key");
    assert_eq!((joined.was_registered, joined.foreign_past), (false, None));
    assert_eq!(progress(&house).await, Progress::Registered);
}

/// The answer is lost: the second try says what has happened and what to do, and a new activation key
/// brings the till in.
#[tokio::test]
async fn lost_certificate_is_explained() {
    let house = house().await;
    fault(&house, Call::RegisterDevice, FaultKind::LoseAnswer);
    let error = register(&house, "00000777").await.unwrap_err();
    assert!(matches!(error, JoinError::Doubt(_)), "{error}");
    let error = register(&house, "00000777").await.unwrap_err();
    assert!(matches!(error, JoinError::AnswerLost(_)), "{error}");
    assert!(error.to_string().contains("new activation key"), "{error}");
    let change = DeviceChange {
        activation_key: Some("SECOND01".to_owned()),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(NUMBER, change).unwrap();
    register(&house, "SECOND01").await.unwrap();
}

/// Interrupted after the certificate: the next try fetches the configuration, and needs no activation key.
#[tokio::test]
async fn interrupted_after_the_certificate() {
    for call in [Call::GetConfig, Call::GetStatus] {
        let house = house().await;
        // Where no submitter runs: it would ask FDMS too as soon as there is a certificate.
        let ledger = house.another_ledger();
        let till = || house.new_till(NUMBER);
        fault(&house, call, FaultKind::LoseRequest);
        let error = register_in(&house, &ledger, till(), "00000777")
            .await
            .unwrap_err();
        assert!(matches!(error, JoinError::Later(_)), "{error}");
        let joined = register_in(&house, &ledger, till(), "").await.unwrap();
        assert!(joined.was_registered);
        assert_eq!(house.sandbox.request_count(NUMBER, Call::RegisterDevice), 1);
        tokio::task::spawn_blocking(move || ledger.stop())
            .await
            .unwrap();
    }
}

/// A wrong activation key, no connection, a till that is another: each is said, and nothing is registered. A device
/// that reports by file joins like any other.
#[tokio::test]
async fn refusals_say_what_to_do() {
    let house = house().await;
    let error = register(&house, "WRONGKEY").await.unwrap_err();
    assert!(matches!(error, JoinError::Refused(_)), "{error}");
    house.sandbox.set_offline(true);
    let error = register(&house, "00000777").await.unwrap_err();
    assert!(matches!(error, JoinError::Later(_)), "{error}");
    house.sandbox.set_offline(false);
    let other = NewTill {
        serial_no: "another".to_owned(),
        ..house.new_till(NUMBER)
    };
    let error = register_in(&house, house.ledger(), other, "00000777")
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::OtherTill { .. }), "{error}");
    let change = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(NUMBER, change).unwrap();
    let joined = register(&house, "00000777").await.unwrap();
    assert_eq!((joined.status, joined.foreign_past), (None, None));
}

/// A device that has sold with another gateway, or with a ledger that is gone, says so when it joins.
#[tokio::test]
async fn foreign_past_is_noticed() {
    let house = House::new().await;
    let number = house.till(0).number();
    house.sell_many(0, 3).await;
    house.close_day(0).await;
    house.drain().await;
    let change = DeviceChange {
        activation_key: Some("SECOND01".to_owned()),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(number, change).unwrap();
    let ledger = house.another_ledger();
    let joined = register_in(&house, &ledger, house.new_till(number), "SECOND01")
        .await
        .unwrap();
    let past = joined.foreign_past.expect("noticed");
    assert!(past.contains("day 1 and receipt 3"), "{past}");
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
}

/// No secret is in a registration's or a set-up's `Debug`, nor in an error.
#[tokio::test]
async fn secrets_stay_secret() {
    let dir = tempfile::tempdir().unwrap();
    let store = join::set_up(&config(dir.path()), clock()).unwrap();
    let shown = format!("{store:?}");
    let passphrase = store.passphrase.unwrap();
    assert!(!shown.contains(passphrase.reveal().as_str()));
    let house = house().await;
    let error = register(&house, "WRONGKEY").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("WRONGKEY"));
    let registration = Registration {
        till: house.new_till(NUMBER),
        activation_key: "WRONGKEY",
        kind: KeyKind::EcP256,
        again: false,
        actor: "test",
    };
    assert!(!format!("{registration:?}").contains("WRONGKEY"));
}

/// `fiscald register` with no flags is a conversation on a terminal: it asks, shows the taxpayer, asks again, and tells what
/// is next. Where nobody can be asked it names the flag.
#[tokio::test]
async fn registering_is_a_conversation() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let stop = tokio_util::sync::CancellationToken::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = fdms_sandbox::Sandbox::builder()
        .device(DeviceSpec::new(NUMBER))
        .start(listener, None, stop.clone())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, sandbox.ca_pem()).unwrap();
    let toml = dir.path().join("fiscald.toml");
    let text = format!(
        "[store]\ndata_dir = {:?}\n[fdms]\ntest_url = {:?}\nextra_ca = {ca:?}\n",
        dir.path().join("data"),
        sandbox.url()
    );
    std::fs::write(&toml, text).unwrap();
    let fiscald = env!("CARGO_BIN_EXE_fiscald");
    let asked = tokio::task::spawn_blocking(move || {
        let piped = Command::new(fiscald)
            .arg("--config")
            .arg(&toml)
            .arg("register")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // `script` gives the command a terminal.
        let mut talk = Command::new("script")
            .arg("-qefc")
            .arg(format!("{fiscald} --config {} register", toml.display()))
            .arg("/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut typed = talk.stdin.take().unwrap();
        typed
            .write_all(b"test\n777\ntill-777\n00000777\nyes\n")
            .unwrap();
        let said = talk.wait_with_output().unwrap();
        drop(typed);
        (piped, said)
    });
    let (piped, said) = asked.await.unwrap();
    assert!(!piped.status.success());
    let error = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert!(error.contains("give --environment"), "{error}");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}");
    for part in [
        "whole life",
        "Device ID:",
        "Serial number:",
        "Activation key:",
        "Example Traders",
        "Register the till for this taxpayer?",
        "The till 777 is registered and can sell.",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    stop.cancel();
}
