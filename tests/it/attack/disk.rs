//! A stolen disk, or a stolen backup: what is in it in the clear, and what is sealed.

use std::path::{Path, PathBuf};

use fiscald::keys::{DeviceKey, KeyKind, SealingKey};
use fiscald::ledger::Settings;
use fiscald::ledger::core::Core;

use crate::support::api::sale;
use crate::support::process::{Http, Store};

/// How a private key on P-256 begins in PKCS#8, as far as that is the same for all of them.
const PKCS8: [u8; 20] = [
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce,
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push(path);
        }
    }
    all
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret)
}

/// Ledger, its log and a backup hold no private key, no token, no activation key and no PIN in the clear, and the
/// sealing key is in none of them: whoever has them cannot sign a receipt. With another sealing key the ledger says so and
/// gives nothing. What he can read, receipts and buyers, docs/SECURITY.md tells.
#[test]
fn no_secret_is_in_the_clear() {
    let probe = DeviceKey::generate(KeyKind::EcP256).unwrap();
    assert!(holds(probe.pkcs8(), &PKCS8), "it would be found");
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4713);
    store.start();
    let sold = Http::open(store.address)
        .and_then(|mut http| http.post("/v1/receipts", &store.token, &sale("A-1")));
    assert_eq!(sold.unwrap().status, 201);
    store.drain();
    let backups = dir.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let taken = store.fiscald(&["backup", "take", "--to", backups.to_str().unwrap()]);
    assert!(taken.status.success(), "{taken:?}");
    store.kill();

    let data = dir.path().join("data");
    let key_file = data.join("sealing.key");
    let key = std::fs::read_to_string(&key_file).unwrap();
    let raw: Vec<u8> = (0..key.trim().len() / 2)
        .map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert_eq!(raw.len(), 32);
    let activation = std::fs::read(dir.path().join("activation")).unwrap();
    let mut looked = 0;
    for path in files(&data).into_iter().chain(files(&backups)) {
        if path == key_file {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for (what, secret) in [
            ("a private key", &PKCS8[..]),
            ("a private key in PEM", b"PRIVATE KEY"),
            ("the token", store.token.as_bytes()),
            ("the activation key", activation.trim_ascii()),
            ("the sealing key", &raw),
            ("the sealing key in hex", key.trim().as_bytes()),
        ] {
            assert!(!holds(&bytes, secret), "{what} is in {}", path.display());
        }
        looked += 1;
    }
    assert!(looked >= 4, "ledger, log, backup, manifest");
    let other = SealingKey::random().unwrap();
    let clock = store.clock.clone();
    let opened = Core::open(&store.ledger(), other, clock, Settings::default());
    let error = opened.map(drop).unwrap_err().to_string();
    assert!(error.contains("sealing key"), "{error}");
}
