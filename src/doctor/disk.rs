//! The disk of the ledger: room, and how long a write takes until it is durable.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::SharedClock;

use super::{Area, Doctor, Finding};
use crate::config::Config;
use crate::disk::Space;

/// Below this nothing can be sold soon: the ledger's log alone grows to 64 MB.
const NO_ROOM: u64 = 128 << 20;
/// Below this somebody should make room.
const LITTLE_ROOM: u64 = 1 << 30;
/// A sale waits for one durable write: beyond this cashiers notice.
const SLOW: Duration = Duration::from_millis(60);
/// Beyond this the disk is failing, or is no disk for a ledger.
const TOO_SLOW: Duration = Duration::from_millis(500);
/// Writes that are measured; fewer if they take long.
const WRITES: usize = 15;
/// The longest that is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// The longest that is waited for the disk.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is written to measure.
const TRIAL: &str = ".fiscald-doctor";

/// How long a durable write of one page takes: the middle of several, in a file that is removed again.
///
/// # Errors
/// The folder cannot be written.
pub fn measure(dir: &Path, clock: &SharedClock) -> std::io::Result<Duration> {
    let path = dir.join(TRIAL);
    let mut file = std::fs::File::create(&path)?;
    let done = timed_writes(&mut file, clock);
    std::fs::remove_file(&path)?;
    let mut times = done?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

fn timed_writes(file: &mut std::fs::File, clock: &SharedClock) -> std::io::Result<Vec<Duration>> {
    let page = [0x5a; 4096];
    let mut times = Vec::with_capacity(WRITES);
    let mut sum = Duration::ZERO;
    while times.len() < WRITES && sum < MEASURED {
        let from = clock.boot();
        file.write_all(&page)?;
        file.sync_data()?;
        let took = clock.boot().saturating_sub(from);
        sum += took;
        times.push(took);
    }
    Ok(times)
}

/// Room and speed.
pub(super) async fn look(doctor: &Doctor, config: &Config, found: &mut Vec<Finding>) {
    let dir = config.data_dir();
    if !dir.is_dir() {
        found.push(Finding::skipped(Area::Disk, "there is no data folder"));
        return;
    }
    let (machine, clock) = (doctor.machine, Arc::clone(&doctor.clock));
    let looked = tokio::task::spawn_blocking(move || {
        let space = (machine.space)(&dir);
        let speed = (machine.durable_write)(&dir, &clock);
        (space, speed)
    });
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok((space, speed))) => judge(space, speed, found),
        Ok(Err(_)) | Err(_) => found.push(Finding::fault(
            Area::Disk,
            "disk_hangs",
            format!("the disk has not answered within {} s", PATIENCE.as_secs()),
            "The disk or its connection is failing: look at `dmesg`, keep a copy of the data folder, change the disk.",
        )),
    }
}

fn judge(
    space: std::io::Result<Space>,
    speed: std::io::Result<Duration>,
    found: &mut Vec<Finding>,
) {
    let mut texts = Vec::new();
    let before = found.len();
    match space {
        Ok(space) => {
            texts.push(format!(
                "{} free of {}",
                size(space.free),
                size(space.total)
            ));
            room(space, found);
        }
        Err(error) => found.push(Finding::fault(
            Area::Disk,
            "disk_unreadable",
            format!("the disk cannot be looked at: {error}"),
            "See that it is mounted; look at `dmesg`.",
        )),
    }
    // What is wrong with the room explains why nothing can be written.
    match speed {
        Ok(time) => {
            let text = format!("a durable write takes {}", millis(time));
            speed_of(time, &text, found);
            texts.push(text);
        }
        Err(_) if found.len() > before => {
            found.push(Finding::skipped(Area::Disk, "nothing can be written").about("speed"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let why = "this user may not write in the data folder";
            found.push(Finding::skipped(Area::Disk, why).about("speed"));
        }
        Err(error) => found.push(Finding::fault(
            Area::Disk,
            "disk_unwritable",
            format!("the disk cannot be written: {error}"),
            "Look at `dmesg`; keep a copy of the data folder, change the disk.",
        )),
    }
    if found.len() == before {
        found.push(Finding::ok(Area::Disk, texts.join(", ")));
    }
}

fn room(space: Space, found: &mut Vec<Finding>) {
    let make_room = "Make room on the disk of the ledger: old logs, packages, other people's files; never the ledger's own. \
                     Selling goes on by itself.";
    if space.read_only {
        found.push(Finding::fault(
            Area::Disk,
            "disk_read_only",
            "the disk is mounted read-only; after an error the system does that by itself",
            "Look at `dmesg`. If the disk has failed, change it; else mount it for writing.",
        ));
    }
    if space.in_memory {
        found.push(Finding::fault(
            Area::Disk,
            "disk_in_memory",
            "the ledger lies in memory (tmpfs): everything is gone with the power",
            "Name a folder on a disk as `data_dir` in [store].",
        ));
    }
    let text = format!("{} free of {}", size(space.free), size(space.total));
    if !space.room_for_files {
        let text = "there is no place for another file (inodes)";
        found.push(Finding::fault(Area::Disk, "disk_full", text, make_room));
    } else if space.free < NO_ROOM {
        found.push(Finding::fault(Area::Disk, "disk_full", text, make_room));
    } else if space.free < LITTLE_ROOM {
        found.push(Finding::warning(
            Area::Disk,
            "disk_nearly_full",
            text,
            make_room,
        ));
    }
}

fn speed_of(time: Duration, text: &str, found: &mut Vec<Finding>) {
    let next = "Put the ledger on an SSD of its own with power-loss protection, not on a memory card or a network drive; \
                look at `dmesg` for a failing disk.";
    if time > TOO_SLOW {
        found.push(Finding::fault(Area::Disk, "disk_too_slow", text, next));
    } else if time > SLOW {
        found.push(Finding::warning(Area::Disk, "disk_slow", text, next));
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes >> 20 {
        megabytes if megabytes < 10_240 => format!("{megabytes} MB"),
        megabytes => format!("{} GB", megabytes >> 10),
    }
}

fn millis(time: Duration) -> String {
    format!("{}.{} ms", time.as_millis(), time.as_micros() % 1000 / 100)
}
