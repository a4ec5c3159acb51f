//! Backups and the live copy that are not where they should be.

use std::ops::ControlFlow;
use std::path::Path;

use clock::Clock as _;
use fiscald::backup::{Keep, take};
use fiscald::disk::Space;
use fiscald::doctor::Verdict::{self, Fault, Warning};
use jiff::SignedDuration;

use crate::support::clinic::{Clinic, SetUp, examine};

/// Has backups go into a folder on another disk than the ledger: memory, in this test.
fn backups(clinic: &mut Clinic) -> std::path::PathBuf {
    let disk = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = disk.path().to_owned();
    clinic.keep(disk);
    configure(clinic, &format!("folder = {folder:?}"));
    folder
}

fn configure(clinic: &mut Clinic, copies: &str) {
    clinic.configure("[store]", &format!("[backup]\n{copies}\n[store]"));
}

/// A backup that was made so long ago.
fn made(clinic: &Clinic, folder: &Path, ago: SignedDuration) {
    let now = clinic.house.clock.wall() - ago;
    let taken = take(
        &clinic.house.path(),
        folder,
        now,
        Keep::default(),
        &mut |_, _, _| ControlFlow::Continue(()),
    );
    taken.unwrap();
}

const COPIES: &[SetUp] = &[
    SetUp {
        what: "the folder for backups is not there",
        breaks: |clinic| configure(clinic, "folder = \"/none/backups\""),
        verdict: Fault,
        codes: &["backup_folder_missing"],
    },
    SetUp {
        what: "backups go to the ledger's own disk, and none was made",
        breaks: |clinic| {
            let folder = clinic.file("backups");
            std::fs::create_dir(&folder).unwrap();
            configure(clinic, &format!("folder = {folder:?}"));
        },
        verdict: Warning,
        codes: &["backup_same_disk", "backup_none"],
    },
    SetUp {
        what: "the backup disk is full",
        breaks: |clinic| {
            let folder = backups(clinic);
            made(clinic, &folder, SignedDuration::ZERO);
            clinic.machine.space = |path| {
                Ok(Space {
                    free: if path.starts_with("/dev/shm") {
                        1 << 20
                    } else {
                        100 << 30
                    },
                    total: 200 << 30,
                    room_for_files: true,
                    in_memory: false,
                    read_only: false,
                })
            };
        },
        verdict: Fault,
        codes: &["backup_no_room"],
    },
    SetUp {
        what: "the last backup is of the day before yesterday",
        breaks: |clinic| {
            let folder = backups(clinic);
            made(clinic, &folder, SignedDuration::from_hours(27));
        },
        verdict: Warning,
        codes: &["backup_old"],
    },
    SetUp {
        what: "the stick of the live copy is missing",
        breaks: |clinic| configure(clinic, "live = \"/none/live.db\""),
        verdict: Fault,
        codes: &["live_copy_folder_missing"],
    },
    SetUp {
        what: "the stick is missing, and its mount point is not",
        breaks: |clinic| {
            let live = clinic.file("live.db");
            configure(clinic, &format!("live = {live:?}"));
        },
        verdict: Fault,
        codes: &["live_copy_same_disk"],
    },
];

#[tokio::test]
async fn copies_that_are_not_made() {
    examine(COPIES).await;
}

/// With a backup of last night and a stick in its place nothing is wrong.
#[tokio::test]
async fn copies_that_are_made() {
    let mut clinic = Clinic::new().await;
    let folder = backups(&mut clinic);
    let live = format!("[backup]\nlive = {:?}", folder.join("live.db"));
    clinic.configure("[backup]", &live);
    made(&clinic, &folder, SignedDuration::from_hours(9));
    let report = clinic.look().await;
    let of_copies = report.findings.iter();
    let of_copies: Vec<_> = of_copies
        .filter(|finding| finding.area.as_str() == "backup")
        .collect();
    assert_eq!(of_copies.len(), 2, "{}", report.text());
    for finding in &of_copies {
        assert_eq!(finding.verdict, Verdict::Ok, "{}", report.text());
    }
    assert!(of_copies[0].text.contains("2026-05-2"), "{}", report.text());
}
