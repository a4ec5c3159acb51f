//! Backups and the live copy: whether their disks are in their places and take them, how old the last backup is, and
//! what the running gateway tells of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Timestamp;
use rustix::fs::Access as May;
use serde_json::Value;

use super::disk::size;
use super::gateway::{Running, ask};
use super::{Area, Doctor, Finding, Machine, Verdict};
use crate::alarms::{BACKUP_OLD, SILENT_LONG};
use crate::backup::{list, needed, on_same_disk};
use crate::config::Config;

/// The longest that a disk is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const MOUNT: &str = "Put the disk or stick in its place and mount it; the folder must be there and belong to the gateway's user \
                     (/usr/share/doc/fiscald/INSTALL.md, Backups).";
const SEE: &str = "Mend what it says: is the disk or stick whole, and is there room? The gateway tries again by itself.";

/// Looks at both; `now` is the trusted time, where it can be told.
pub(super) async fn look(
    doctor: &Doctor,
    config: &Config,
    running: Running,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let (folder, live) = (&config.backup.folder, &config.backup.live);
    if folder.is_none() && live.is_none() {
        let text = "none is configured: what FDMS and head office lack would be lost with the disk";
        found.push(Finding::ok(Area::Backup, text));
        return;
    }
    let told = match running {
        Running::Yes => ask(config, "/v1/status").await.ok(),
        Running::Silent | Running::No => None,
    };
    let told = told.as_ref().map(|status| &status["backup"]);
    let (ledger, machine) = (config.ledger_path(), doctor.machine);
    if let Some(folder) = folder {
        let (path, ledger) = (folder.clone(), ledger.clone());
        let seen = in_time(move || backups(&path, &ledger, machine, now));
        let seen = seen.await.unwrap_or_else(hangs);
        push(folder, fails(told, "backup_fails"), seen, found);
    }
    if let Some(live) = live {
        let path = live.clone();
        let seen = in_time(move || live_copy(&path, &ledger));
        let seen = seen.await.unwrap_or_else(hangs);
        let told = told.map(|told| &told["live"]);
        let told = fails(told, "live_copy_fails").or_else(|| told.and_then(behind));
        push(live, told, seen, found);
    }
}

/// A fault that is seen explains what the gateway tells; where none is, its word counts.
fn push(path: &Path, told: Option<Finding>, seen: Vec<Finding>, found: &mut Vec<Finding>) {
    let is_explained = seen.iter().any(|one| one.verdict == Verdict::Fault);
    let findings = match told {
        Some(told) if !is_explained => vec![told],
        _ => seen,
    };
    let about = path.display().to_string();
    found.extend(findings.into_iter().map(|one| one.about(about.clone())));
}

/// A disk that hangs is not waited for.
async fn in_time(look: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Option<Vec<Finding>> {
    let looked = tokio::task::spawn_blocking(look);
    tokio::time::timeout(PATIENCE, looked).await.ok()?.ok()
}

fn hangs() -> Vec<Finding> {
    vec![Finding::fault(
        Area::Backup,
        "backup_disk_hangs",
        format!("its disk has not answered within {} s", PATIENCE.as_secs()),
        "Look at its connection and at `dmesg`; take another disk or stick if it stays so.",
    )]
}

fn backups(folder: &Path, ledger: &Path, machine: Machine, now: Timestamp) -> Vec<Finding> {
    let fault = |code, text: String, next: &str| Finding::fault(Area::Backup, code, text, next);
    if !folder.is_dir() {
        let text = "the folder for backups is not there".to_owned();
        return vec![fault("backup_folder_missing", text, MOUNT)];
    }
    if !may_write(folder) {
        let text = "this user may not write backups into it, or the disk is read-only".to_owned();
        return vec![fault("backup_folder_unwritable", text, MOUNT)];
    }
    let mut found = Vec::new();
    let needed = needed(ledger);
    if let Ok(space) = (machine.space)(folder)
        && space.free < needed
    {
        found.push(fault(
            "backup_no_room",
            format!(
                "a backup needs {}, {} are free",
                size(needed),
                size(space.free)
            ),
            "Make room there, or keep fewer backups (`keep_daily`, `keep_weekly`).",
        ));
    }
    if on_same_disk(folder, ledger) {
        found.push(Finding::warning(
            Area::Backup,
            "backup_same_disk",
            "it is on the ledger's own disk, and would be lost together with it",
            "Name a folder on another disk in [backup], or mount that disk.",
        ));
    }
    found.push(age(list(folder).last().map(|last| last.made), now));
    found
}

fn age(last: Option<Timestamp>, now: Timestamp) -> Finding {
    let next = "A gateway that runs makes one by itself; `fiscald backup take --to FOLDER` makes one now and says what is wrong.";
    let warning = |code, text: String| Finding::warning(Area::Backup, code, text, next);
    match last {
        None => warning("backup_none", "no backup is in it".to_owned()),
        Some(last) if now.duration_since(last).as_secs() > BACKUP_OLD => {
            let text = format!("the last backup is of {}", clock::local(last));
            warning("backup_old", text)
        }
        Some(last) => Finding::ok(
            Area::Backup,
            format!("the last backup is of {}", clock::local(last)),
        ),
    }
}

fn live_copy(to: &Path, ledger: &Path) -> Vec<Finding> {
    let fault = |code, text: &str, next: &str| vec![Finding::fault(Area::Backup, code, text, next)];
    let folder = to.parent().map_or(PathBuf::new(), Path::to_owned);
    if !folder.is_dir() {
        let text = "the folder for the live copy is not there";
        return fault("live_copy_folder_missing", text, MOUNT);
    }
    if on_same_disk(&folder, ledger) {
        return fault(
            "live_copy_same_disk",
            "it would be on the ledger's own disk, and is not made there",
            "Mount the other disk or stick, or name a file on it as `live` in [backup].",
        );
    }
    if !may_write(&folder) {
        let text = "this user may not write into its folder, or the disk is read-only";
        return fault("live_copy_folder_unwritable", text, MOUNT);
    }
    vec![Finding::ok(Area::Backup, "its disk is in its place")]
}

fn may_write(folder: &Path) -> bool {
    rustix::fs::access(folder, May::READ_OK | May::WRITE_OK | May::EXEC_OK).is_ok()
}

/// What the gateway tells to have failed.
fn fails(told: Option<&Value>, code: &'static str) -> Option<Finding> {
    let why = told?.get("error")?.as_str()?;
    Some(Finding::fault(Area::Backup, code, why, SEE))
}

/// How far the gateway tells the live copy to be behind.
fn behind(live: &Value) -> Option<Finding> {
    let lag = live
        .get("lagSeconds")?
        .as_i64()
        .filter(|lag| *lag >= SILENT_LONG)?;
    let text = format!("it lacks what was done in the last {lag} s");
    Some(Finding::warning(
        Area::Backup,
        "live_copy_behind",
        text,
        SEE,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A copy is told to be behind from when on it is alarming, and not before.
    #[test]
    fn behind_when_it_is_alarming() {
        let at = |lag: i64| behind(&json!({ "lagSeconds": lag })).map(|found| found.code);
        assert_eq!(at(SILENT_LONG - 1), None);
        assert_eq!(at(SILENT_LONG), Some("live_copy_behind"));
        assert_eq!(behind(&json!({})), None);
    }
}
