//! Broken configurations, folders, disks, ledgers and clocks.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use fiscald::disk::Space;
use fiscald::doctor::Verdict::{Fault, Warning};
use fiscald::join::renew_recovery;
use fiscald::keys::SealingKey;
use fiscald::ledger::holds::HoldKind;
use jiff::SignedDuration;

use crate::support::clinic::{Clinic, SetUp, examine};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

const CONFIGURATIONS: &[SetUp] = &[
    SetUp {
        what: "a name is misspelt",
        breaks: |clinic| clinic.configure("data_dir", "data_dri"),
        verdict: Fault,
        codes: &["config_invalid"],
    },
    SetUp {
        what: "a value has the wrong type",
        breaks: |clinic| clinic.configure("level = \"info\"", "keep = \"many\""),
        verdict: Fault,
        codes: &["config_invalid"],
    },
    SetUp {
        what: "a value makes no sense",
        breaks: |clinic| clinic.configure("https://", "http://"),
        verdict: Fault,
        codes: &["config_value"],
    },
    SetUp {
        what: "a folder is in the configuration's place",
        breaks: |clinic| std::fs::create_dir(clinic.config_path()).unwrap(),
        verdict: Fault,
        codes: &["config_unreadable"],
    },
    SetUp {
        what: "the log's level is none",
        breaks: |clinic| clinic.configure("\"info\"", "\"fiscald=loud\""),
        verdict: Fault,
        codes: &["log_level"],
    },
    SetUp {
        what: "the extra authority's file is gone",
        breaks: |clinic| std::fs::remove_file(clinic.file("ca.pem")).unwrap(),
        verdict: Fault,
        codes: &["trust_unusable"],
    },
    SetUp {
        what: "the extra authority is no certificate",
        breaks: |clinic| std::fs::write(clinic.file("ca.pem"), "none").unwrap(),
        verdict: Fault,
        codes: &["trust_unusable"],
    },
    SetUp {
        what: "the certificate for other machines is not there",
        breaks: |clinic| {
            clinic.configure(
                "[fdms]",
                "[api.lan]\nlisten = \"127.0.0.1:0\"\ncertificate = \"/none.pem\"\nkey = \"/none.key\"\nallow = []\n[fdms]",
            );
        },
        verdict: Fault,
        codes: &["lan_certificate"],
    },
    SetUp {
        what: "the logo is no picture",
        breaks: |clinic| clinic.configure("[store]", "[store]\nlogo = \"/dev/null\""),
        verdict: Warning,
        codes: &["logo_unusable", "logo_unusable"],
    },
];

#[tokio::test]
async fn broken_configurations() {
    examine(CONFIGURATIONS).await;
    let clinic = Clinic::new().await;
    let mut doctor = clinic.doctor();
    doctor.config = Some(clinic.file("none.toml"));
    let report = doctor.look().await;
    assert_eq!(report.findings[0].code, "config_missing");
}

const FOLDERS: &[SetUp] = &[
    SetUp {
        what: "the data folder is not there",
        breaks: |clinic| clinic.configure("data_dir = \"", "data_dir = \"/none"),
        verdict: Fault,
        codes: &["data_dir_missing"],
    },
    SetUp {
        what: "the data folder is a file",
        breaks: |clinic| {
            let dir = format!("{:?}", clinic.house.path().parent().unwrap());
            let file = format!("{:?}", clinic.file("ca.pem"));
            clinic.configure(&dir, &file);
        },
        verdict: Fault,
        codes: &["data_dir_no_folder"],
    },
    SetUp {
        what: "everybody may write in the data folder",
        breaks: |clinic| set_mode(clinic.house.path().parent().unwrap(), 0o777),
        verdict: Warning,
        codes: &["data_dir_open"],
    },
    SetUp {
        what: "everybody may read the ledger",
        breaks: |clinic| set_mode(&clinic.house.path(), 0o644),
        verdict: Warning,
        codes: &["ledger_open"],
    },
    SetUp {
        what: "the sealing key is gone",
        breaks: |clinic| std::fs::remove_file(clinic.file("sealing.key")).unwrap(),
        verdict: Fault,
        codes: &["sealing_key_missing"],
    },
    SetUp {
        what: "everybody may read the sealing key",
        breaks: |clinic| set_mode(&clinic.file("sealing.key"), 0o644),
        verdict: Fault,
        codes: &["sealing_key_open"],
    },
    SetUp {
        what: "the sealing key is none",
        breaks: |clinic| std::fs::write(clinic.file("sealing.key"), "secret").unwrap(),
        verdict: Fault,
        codes: &["sealing_key_unusable"],
    },
    SetUp {
        what: "the sealing key is another store's",
        breaks: |clinic| {
            std::fs::remove_file(clinic.file("sealing.key")).unwrap();
            SealingKey::generate(&clinic.file("sealing.key")).unwrap();
        },
        verdict: Fault,
        codes: &["sealing_key_other"],
    },
    SetUp {
        what: "the folder for logs is a file",
        breaks: |clinic| {
            let log = format!("[log]\ndirectory = {:?}", clinic.file("ca.pem"));
            clinic.configure("[log]", &log);
        },
        verdict: Fault,
        codes: &["log_dir_unwritable"],
    },
    SetUp {
        what: "the folder for the socket is not there",
        breaks: |clinic| clinic.configure("[api]", "[api]\nsocket = \"/none/fiscald.sock\""),
        verdict: Fault,
        codes: &["socket_dir_unwritable"],
    },
];

#[tokio::test]
async fn broken_folders() {
    examine(FOLDERS).await;
}

/// As a technician does who runs a command as root that writes.
#[tokio::test]
async fn files_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file away.
        return;
    }
    let by_another = SetUp {
        what: "the ledger's numbers belong to another user",
        breaks: |clinic| {
            let path = clinic.file("ledger.epoch");
            std::fs::write(&path, "").unwrap();
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        },
        verdict: Fault,
        codes: &["other_owner"],
    };
    examine(&[by_another]).await;
}

fn room(free: u64) -> Space {
    Space {
        free,
        total: 64 << 30,
        room_for_files: true,
        in_memory: false,
        read_only: false,
    }
}

const DISKS: &[SetUp] = &[
    SetUp {
        what: "the disk is full",
        breaks: |clinic| {
            clinic.machine.space = |_| Ok(room(12_288));
            clinic.machine.durable_write = |_, _| Err(std::io::ErrorKind::StorageFull.into());
        },
        verdict: Fault,
        codes: &["disk_full"],
    },
    SetUp {
        what: "there are no inodes",
        breaks: |clinic| {
            clinic.machine.space = |_| {
                Ok(Space {
                    room_for_files: false,
                    ..room(9 << 30)
                })
            };
        },
        verdict: Fault,
        codes: &["disk_full"],
    },
    SetUp {
        what: "the disk is nearly full",
        breaks: |clinic| clinic.machine.space = |_| Ok(room(500 << 20)),
        verdict: Warning,
        codes: &["disk_nearly_full"],
    },
    SetUp {
        what: "the system has mounted the disk read-only",
        breaks: |clinic| {
            clinic.machine.space = |_| {
                Ok(Space {
                    read_only: true,
                    ..room(9 << 30)
                })
            };
            clinic.machine.durable_write =
                |_, _| Err(std::io::ErrorKind::ReadOnlyFilesystem.into());
        },
        verdict: Fault,
        codes: &["disk_read_only"],
    },
    SetUp {
        what: "the ledger is in memory",
        breaks: |clinic| {
            clinic.machine.space = |_| {
                Ok(Space {
                    in_memory: true,
                    ..room(9 << 30)
                })
            };
        },
        verdict: Fault,
        codes: &["disk_in_memory"],
    },
    SetUp {
        what: "the disk is slow",
        breaks: |clinic| {
            clinic.machine.durable_write = |_, _| Ok(Duration::from_millis(120));
        },
        verdict: Warning,
        codes: &["disk_slow"],
    },
    SetUp {
        what: "the disk is much too slow",
        breaks: |clinic| clinic.machine.durable_write = |_, _| Ok(Duration::from_secs(2)),
        verdict: Fault,
        codes: &["disk_too_slow"],
    },
    SetUp {
        what: "the disk cannot be written",
        breaks: |clinic| {
            clinic.machine.durable_write = |_, _| Err(std::io::Error::from_raw_os_error(5));
        },
        verdict: Fault,
        codes: &["disk_unwritable"],
    },
];

#[tokio::test]
async fn broken_disks() {
    examine(DISKS).await;
}

/// Another ledger in this one's place.
fn replace_ledger(clinic: &Clinic, with: &str) {
    for end in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(clinic.file(end));
    }
    std::fs::rename(clinic.file(with), clinic.house.path()).unwrap();
    set_mode(&clinic.house.path(), 0o600);
}

const LEDGERS: &[SetUp] = &[
    SetUp {
        what: "the ledger is gone",
        breaks: |clinic| std::fs::remove_file(clinic.house.path()).unwrap(),
        verdict: Fault,
        codes: &["ledger_missing"],
    },
    SetUp {
        what: "a restore was cut short after it had set the ledger aside",
        breaks: |clinic| {
            let aside = clinic.file("ledger-replaced-20260528-003000Z.db");
            std::fs::rename(clinic.house.path(), aside).unwrap();
        },
        verdict: Fault,
        codes: &["ledger_set_aside"],
    },
    SetUp {
        what: "a newer version has written it",
        breaks: |clinic| clinic.sql("PRAGMA user_version = 9999"),
        verdict: Fault,
        codes: &["ledger_newer"],
    },
    SetUp {
        what: "it is no database",
        breaks: |clinic| std::fs::write(clinic.house.path(), "receipts ".repeat(9999)).unwrap(),
        verdict: Fault,
        codes: &["ledger_damaged"],
    },
    SetUp {
        what: "a byte of a receipt has flipped",
        breaks: |clinic| {
            let mut bytes = std::fs::read(clinic.house.path()).unwrap();
            let name = b"\"receiptGlobalNo\":2";
            // Free pages and events hold the same words: all of them flip, the receipt's own too.
            let places: Vec<usize> = (0..bytes.len() - name.len())
                .filter(|at| bytes[*at..].starts_with(name))
                .collect();
            assert!(!places.is_empty());
            for at in places {
                bytes[at + name.len() - 1] ^= 1;
            }
            std::fs::write(clinic.house.path(), bytes).unwrap();
        },
        verdict: Fault,
        codes: &["ledger_contradicts"],
    },
    SetUp {
        what: "a page is damaged",
        breaks: |clinic| {
            let mut bytes = std::fs::read(clinic.house.path()).unwrap();
            let last = bytes.len() - 4096;
            bytes[last..].fill(0xa5);
            std::fs::write(clinic.house.path(), bytes).unwrap();
        },
        verdict: Fault,
        codes: &["ledger_damaged"],
    },
    SetUp {
        what: "the chain is broken",
        breaks: |clinic| {
            clinic.sql("UPDATE receipt SET hash = zeroblob(32) WHERE global_no = 2");
        },
        verdict: Fault,
        codes: &["ledger_contradicts"],
    },
    SetUp {
        what: "an older copy was put back, and FDMS has more",
        breaks: |clinic| {
            // Beside it still lies how far the store had come.
            let id = clinic.house.till(0).id.0;
            let ledger: String = rusqlite::Connection::open(clinic.house.path())
                .unwrap()
                .query_row(
                    "SELECT CAST(value AS TEXT) FROM meta WHERE name = 'ledger_id'",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            let kept = format!("{{\"ledger\":\"{ledger}\",\"tills\":{{\"{id}\":[1,3]}}}}");
            std::fs::write(clinic.file("ledger.epoch"), kept).unwrap();
            replace_ledger(clinic, "early.db");
        },
        verdict: Fault,
        codes: &["ledger_behind", "fdms_ahead"],
    },
    SetUp {
        what: "the ledger was copied",
        breaks: |clinic| {
            std::fs::copy(clinic.house.path(), clinic.file("copy.db")).unwrap();
            replace_ledger(clinic, "copy.db");
        },
        verdict: Warning,
        codes: &["ledger_moved"],
    },
    SetUp {
        what: "another store's ledger is in its place",
        breaks: |clinic| {
            let (ledger, old) = (clinic.house.path(), clinic.file("ledger.old"));
            let kept = "{\"ledger\":\"ours\",\"tills\":{}}";
            std::fs::write(clinic.file("ledger.epoch"), kept).unwrap();
            std::fs::rename(&ledger, &old).unwrap();
            drop(clinic.core());
        },
        verdict: Fault,
        codes: &["ledger_behind", "no_till"],
    },
    SetUp {
        what: "a till's sealed key was changed",
        breaks: |clinic| {
            clinic.sql(
                "UPDATE device_key SET sealed = CAST(substr(sealed, 1, length(sealed) - 4) || x'00000000' AS BLOB)",
            );
        },
        verdict: Fault,
        codes: &["till_key_damaged"],
    },
    SetUp {
        what: "nobody has typed the recovery passphrase in since it was made",
        breaks: |clinic| {
            let sealing = clinic.house.sealing();
            renew_recovery(&mut clinic.core(), &sealing).unwrap();
        },
        verdict: Warning,
        codes: &["recovery_untested"],
    },
    SetUp {
        what: "the store was set up without a recovery passphrase",
        breaks: |clinic| clinic.sql("DELETE FROM meta WHERE name LIKE 'recovery%'"),
        verdict: Warning,
        codes: &["recovery_missing"],
    },
    SetUp {
        what: "FDMS had more than the ledger",
        breaks: |clinic| {
            let till = clinic.house.till(0).id;
            let hold = clinic
                .core()
                .write(|core| core.hold_till(till, HoldKind::Ahead, "FDMS has more", "test"));
            hold.unwrap();
        },
        verdict: Fault,
        codes: &["till_ahead"],
    },
    SetUp {
        what: "somebody has paused the queue",
        breaks: |clinic| {
            let till = clinic.house.till(0).id;
            let mut core = clinic.core();
            core.write(|core| core.open_day(till, "test")).unwrap();
            core.write(|core| core.pause_stream(till, "stock-taking", "test"))
                .unwrap();
        },
        verdict: Fault,
        codes: &["queue_parked"],
    },
    SetUp {
        what: "nothing was sent for more than a day",
        breaks: |clinic| {
            let till = clinic.house.till(0).id;
            clinic
                .core()
                .write(|core| core.open_day(till, "test"))
                .unwrap();
            clinic.house.advance(Duration::from_secs(30 * 3600));
        },
        verdict: Warning,
        codes: &["queue_old", "day_overdue", "hq_lags"],
    },
];

#[tokio::test]
async fn broken_ledgers() {
    examine(LEDGERS).await;
}

const CLOCKS: &[SetUp] = &[
    SetUp {
        what: "the clock was set while the machine ran",
        breaks: |clinic| clinic.house.set_wall(SignedDuration::from_hours(24)),
        verdict: Fault,
        codes: &["clock_leapt", "clock_ahead_of_fdms"],
    },
    SetUp {
        what: "the battery is flat: after a power cut the clock stands before the last receipt",
        breaks: |clinic| {
            clinic.house.clock.reboot();
            clinic.house.set_wall(SignedDuration::from_hours(-5));
        },
        verdict: Fault,
        codes: &["clock_behind", "clock_behind_fdms"],
    },
    SetUp {
        what: "after a power cut the clock stands a month ahead",
        breaks: |clinic| {
            clinic.house.clock.reboot();
            clinic.house.set_wall(SignedDuration::from_hours(30 * 24));
        },
        verdict: Fault,
        codes: &["clock_ahead", "clock_ahead_of_fdms"],
    },
    SetUp {
        what: "FDMS is ten minutes ahead",
        breaks: |clinic| clinic.house.fdms_clock.advance(Duration::from_secs(600)),
        verdict: Fault,
        codes: &["clock_behind_fdms"],
    },
];

#[tokio::test]
async fn broken_clocks() {
    examine(CLOCKS).await;
}
