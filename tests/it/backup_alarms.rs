//! Copies of the ledger that are not made are told of: on the alarms, in the metrics, by the doctor; and no longer once
//! they are made again.

use std::process::Output;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fiscald::alarms::AlarmCode as C;
use fiscald::api::schema;
use fiscald::backup;
use serde_json::Value;

use crate::support::process::{Http, PATIENCE, Store};

/// So much time passes between two looks.
const STEP: Duration = Duration::from_secs(2);

/// The codes and details of an answer of `GET /v1/alarms`.
fn read(body: &[u8]) -> Vec<(String, String)> {
    let found: schema::Alarms = serde_json::from_slice(body).unwrap();
    let alarms = found.alarms.into_iter();
    alarms
        .map(|alarm| (alarm.code, alarm.detail.unwrap_or_default()))
        .collect()
}

fn codes(alarms: &[(String, String)]) -> Vec<&str> {
    alarms.iter().map(|(code, _)| code.as_str()).collect()
}

fn words(told: &[C]) -> Vec<&'static str> {
    told.iter().map(|code| code.as_str()).collect()
}

/// Waits until a gateway that runs tells of these alarms and of no other; at each look so much time passes.
fn until(store: &Store, http: &mut Http, wanted: &[C], step: Duration) -> Vec<(String, String)> {
    let started = SystemClock.boot();
    loop {
        let answer = http.get("/v1/alarms", &store.token).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let alarms = read(answer.body.as_bytes());
        if codes(&alarms) == words(wanted) {
            return alarms;
        }
        let waited = SystemClock.boot() - started;
        assert!(waited < PATIENCE, "{alarms:?}, not {wanted:?}");
        store.clock.advance(step);
        std::thread::yield_now();
    }
}

fn metric(http: &mut Http, name: &str) -> i64 {
    let text = http.get("/metrics", "none").unwrap().body;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} in {text}"));
    value.trim().parse().unwrap()
}

/// The doctor's warnings and faults.
fn bad(output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|finding| finding.get("next").is_some());
    bad.map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

/// A backup that cannot be made, and a live copy whose stick is missing: a running gateway says so everywhere until both
/// are mended, and again when the stick is pulled out.
#[test]
fn what_is_not_made_is_told_of() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = tempfile::tempdir_in("/dev/shm").unwrap();
    let (folder, stick) = (disk.path().join("backups"), disk.path().join("stick"));
    // Nothing can be cleared away before a backup that is a folder.
    let in_the_way = folder.join(".ledger-x.db.part");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let mut store = Store::set_up(dir.path(), 4701);
    let path = dir.path().join("fiscald.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let copies = format!(
        "[backup]\nfolder = {folder:?}\nlive = {:?}\n",
        stick.join("live.db")
    );
    std::fs::write(&path, format!("{config}{copies}")).unwrap();
    store.start();
    let mut http = Http::open(store.address).unwrap();

    let alarms = until(&store, &mut http, &[C::BackupFailed], Duration::ZERO);
    assert!(alarms[0].1.contains(".ledger-x.db.part"), "{alarms:?}");
    assert_eq!(metric(&mut http, "fiscald_backup_failed"), 1);
    // The doctor goes by the machine's clock.
    store.clock.set_wall(SystemClock.wall());
    let doctor = store.fiscald(&["doctor", "--json"]);
    assert_eq!(
        bad(&doctor),
        [
            "recovery_untested",
            "backup_fails",
            "live_copy_folder_missing"
        ]
    );
    assert_eq!(doctor.status.code(), Some(1));
    let alarms = until(&store, &mut http, &[C::CopyStill, C::BackupFailed], STEP);
    assert!(alarms[0].1.contains("disk or stick"), "{alarms:?}");

    std::fs::remove_dir(&in_the_way).unwrap();
    std::fs::create_dir(&stick).unwrap();
    until(&store, &mut http, &[], STEP);
    assert_eq!(metric(&mut http, "fiscald_backup_failed"), 0);
    assert!(!backup::list(&folder).is_empty());

    let away = disk.path().join("away");
    std::fs::rename(&stick, &away).unwrap();
    until(&store, &mut http, &[C::CopyStill], STEP);
    std::fs::rename(&away, &stick).unwrap();
    until(&store, &mut http, &[], STEP);
}
