//! The support bundle: secrets and people are planted everywhere, and none of them is in it; what support needs is.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use clock::{Clock as _, SystemClock};

use crate::support::clinic::sql;
use crate::support::process::{Http, Store};

/// What must never leave the store.
const BUYER: [&str; 6] = [
    "Chipo Marufu Trading",
    "2000987654",
    "Samora Machel",
    "chipo.marufu@example.co.zw",
    "772998877",
    "220123456",
];
const PLANTED: [&str; 3] = [
    "hunter2-is-the-password",
    "AKTK-9ZQ8-77XP",
    "c2VjcmV0IGtleSBvZiBzb21lYm9keSBlbHNlIQ",
];

/// Name and text of each file in a bundle.
fn unpack(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}

fn sell(http: &mut Http, store: &Store) {
    let body = r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"B1",
        "receiptLinesTaxInclusive":true,"receiptLines":[{"receiptLineType":"Sale",
        "receiptLineName":"Kapentabrot","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}],
        "buyerData":{"buyerRegisterName":"Chipo Marufu Trading","buyerTIN":"2000987654","VATNumber":"220123456",
        "buyerContacts":{"phoneNo":"+263772998877","email":"chipo.marufu@example.co.zw"},
        "buyerAddress":{"province":"Harare","city":"Harare","street":"Samora Machel","houseNo":"7"}},
        "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":2.40}]}"#;
    let answer = http.post("/v1/receipts", &store.token, body).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// A store that has sold to a buyer with all his data, whose configuration and logs hold what they never should.
fn planted(dir: &Path) -> Store {
    let mut store = Store::set_up(dir, 4501);
    let logs = dir.join("logs");
    std::fs::create_dir(&logs).unwrap();
    let path = dir.join("fiscald.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("[log]\n", &format!("[log]\ndirectory = {logs:?}\n"));
    std::fs::write(&path, &config).unwrap();
    store.start();
    store.clock.set_wall(SystemClock.wall());
    sell(&mut Http::open(store.address).unwrap(), &store);
    let [password, activation, key] = PLANTED;
    let token = &store.token;
    let lines = format!(
        "2026-05-28T07:42:19Z  WARN fiscald::submit: FDMS refused SubmitReceipt (422 RCPT01) device_id=4501 number=1\n\
         2026-05-28T07:42:20Z  INFO fiscald::api: Authorization: Bearer {token}\n\
         2026-05-28T07:42:21Z  INFO fiscald::api: body={{\"buyerRegisterName\":\"Chipo Marufu Trading\",\"buyerTIN\":\"2000987654\"}}\n\
         2026-05-28T07:42:22Z  INFO fiscald::join: activation_key={activation} password=\"{password}\"\n\
         2026-05-28T07:42:23Z  INFO fiscald::keys: read {key}== from the safe\n\
         2026-05-28T07:42:24Z  INFO fiscald::pos: mail chipo.marufu@example.co.zw, call +263 772998877, street: Samora Machel, VAT 220123456\n"
    );
    std::fs::write(logs.join("fiscald.2026-05-28.log"), lines).unwrap();
    std::fs::write(logs.join("notes.txt"), password).unwrap();
    store
}

fn bundle(store: &Store, name: &str) -> (Output, BTreeMap<String, String>) {
    let path = store.dir.join(name);
    let output = store.fiscald(&["doctor", "--json", "--bundle", path.to_str().unwrap()]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = unpack(&path);
    (output, files)
}

/// Everything that must not be in a bundle of this store.
fn secrets(store: &Store) -> Vec<String> {
    let mut secrets: Vec<String> = BUYER
        .iter()
        .chain(&PLANTED)
        .map(|s| (*s).to_owned())
        .collect();
    secrets.push(store.token.clone());
    secrets.push("Kapentabrot".to_owned());
    secrets.push("receiptLineName".to_owned());
    let sealing = std::fs::read_to_string(store.dir.join("data/sealing.key")).unwrap();
    secrets.push(sealing.trim().to_owned());
    secrets.push("-----BEGIN".to_owned());
    let activation = std::fs::read_to_string(store.dir.join("activation")).unwrap();
    secrets.push(activation.trim().to_owned());
    secrets
}

fn hold_against(files: &BTreeMap<String, String>, secrets: &[String]) {
    for (name, text) in files {
        for secret in secrets {
            assert!(
                !text.contains(secret.as_str()),
                "{secret} in {name}: {text}"
            );
        }
    }
}

/// With the gateway running, and without; with a configuration that cannot be used.
#[test]
fn no_secret_and_no_buyer_leaves_the_store() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = planted(dir.path());
    let secrets = secrets(&store);
    // The check sees what it is to see: it is all there, where it was planted.
    let ledger = dir.path().join("plain.db");
    sql(
        &store.ledger(),
        &format!("VACUUM INTO '{}'", ledger.display()),
    );
    let bytes = std::fs::read(&ledger).unwrap();
    let buyer = BUYER[0].as_bytes();
    assert!(bytes.windows(buyer.len()).any(|part| part == buyer));

    let (output, files) = bundle(&store, "running.tar.zst");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    hold_against(&files, &secrets);
    let of = |name: &str| {
        let file = files.get(&format!("fiscald-support/{name}"));
        file.unwrap_or_else(|| panic!("{name} in {:?}", files.keys()))
    };
    for (name, needed) in [
        ("report.txt", "the gateway answers"),
        ("report.json", "\"verdict\": \"ok\""),
        ("versions.json", env!("CARGO_PKG_VERSION")),
        ("config.toml", "extra_ca"),
        ("status.json", "\"skewSeconds\""),
        ("status.json", "\"receiptGlobalNo\": 1"),
        ("queue.json", "\"unsent\""),
        ("days.json", "\"lastReceiptGlobalNo\": 1"),
        ("days.json", "\"waiting\""),
        (
            "log/fiscald.2026-05-28.log",
            "FDMS refused SubmitReceipt (422 RCPT01) device_id=4501 number=1",
        ),
        ("log/fiscald.2026-05-28.log", "Authorization: [blotted]"),
    ] {
        assert!(
            of(name).contains(needed),
            "{needed} in {name}: {}",
            of(name)
        );
    }
    assert!(
        !files
            .keys()
            .any(|name| name.contains("notes") || name.ends_with(".db"))
    );
    // A second one does not overwrite the first.
    let path = store.dir.join("running.tar.zst");
    let again = store.fiscald(&["doctor", "--bundle", path.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("running.tar.zst"));

    store.kill();
    let config = dir.path().join("fiscald.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let (output, files) = bundle(&store, "stopped.tar.zst");
    assert_eq!(output.status.code(), Some(0));
    hold_against(&files, &secrets);
    assert!(files["fiscald-support/days.json"].contains("\"lastReceiptGlobalNo\": 1"));
    assert!(!files.contains_key("fiscald-support/status.json"));

    let [password, activation, key] = PLANTED;
    let bad = format!(
        "# call Chipo Marufu Trading\n{good}admin_password = \"{password}\"\nactivation_key = \"{activation}\"\n\
         store_token = [\"{key}\"]\nproxy = \"https://chipo:{password}@proxy.example\"\n"
    );
    std::fs::write(&config, bad).unwrap();
    let (output, files) = bundle(&store, "broken.tar.zst");
    assert_eq!(output.status.code(), Some(1));
    hold_against(&files, &secrets);
    assert!(files["fiscald-support/config.toml"].contains("data_dir"));
    assert!(files["fiscald-support/report.txt"].contains("config_invalid"));
}
