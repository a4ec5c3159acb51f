//! Named points between two durable steps, at which a test has this process kill itself.
//!
//! Whatever a process does, it may be gone before its next step. `FISCALD_CRASH_AT=name` ends it with SIGKILL when it
//! first passes the point of that name, `name:3` at the third time, so that each such moment is tried and not only those
//! that chance finds (`tests/it/crash/points.rs`, which is red if a point is never reached; `scripts/crash --points`).
//! Only with the feature `crash-points`: in a package the calls are empty, and the names are not in the program.

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal;)+) => {
        /// A moment between two durable steps.
        #[derive(Clone, Copy)]
        pub(crate) enum Point {
            $($(#[doc = $doc])+ $point,)+
        }

        /// The names of all points.
        #[cfg(feature = "crash-points")]
        pub const NAMES: &[&str] = &[$($name),+];

        #[cfg(feature = "crash-points")]
        impl Point {
            fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }
        }
    };
}

points! {
    /// Sales have their numbers and signatures and are written, not committed.
    SaleWritten = "sale.written";
    /// Sales are in the ledger for good; nobody was told.
    SaleCommitted = "sale.committed";
    /// Other work is in the ledger for good; whoever asked for it was not told.
    TaskCommitted = "task.committed";
    /// A fiscal day's opening is written, not committed.
    DayOpened = "day.opened";
    /// A fiscal day's close is written, not committed.
    DayClosed = "day.closed";
    /// A mark of how far the ledger has come is written beside the old one.
    EpochWritten = "epoch.written";
    /// It has taken the old one's place.
    EpochRenamed = "epoch.renamed";
    /// The log is about to be copied into the database.
    CheckpointBegun = "checkpoint.begun";
    /// It has been.
    CheckpointDone = "checkpoint.done";
    /// FDMS has said how far it has come; the comparison is not kept.
    CompareAnswered = "compare.answered";
    /// The head of a queue is about to be sent.
    SubmitBegun = "submit.begun";
    /// FDMS has answered; the answer is not kept.
    SubmitAnswered = "submit.answered";
    /// FDMS has said how a day stands; that is not kept.
    StatusAnswered = "status.answered";
    /// What came of the head is written, not committed.
    SubmitWritten = "submit.written";
    /// It is kept; the next item is not begun.
    SubmitKept = "submit.kept";
    /// A file of an offline device is cut and kept, and about to be sent.
    FileBegun = "file.begun";
    /// FDMS has taken the file; that is not kept.
    FileAnswered = "file.answered";
    /// FDMS has listed the file; that is not kept.
    FileListed = "file.listed";
    /// What came of the file is written, not committed.
    FileWritten = "file.written";
    /// Print jobs were made of events; the printers were not told.
    PrintQueued = "print.queued";
    /// A job is taken to be sent, its heading claimed.
    PrintTaken = "print.taken";
    /// A job's next state is about to be kept.
    PrintBefore = "print.before";
    /// It is kept; the bytes that it stands for are not sent.
    PrintKept = "print.kept";
    /// A backup's pages are copied, not checked.
    BackupCopied = "backup.copied";
    /// A backup is checked and has no manifest yet.
    BackupChecked = "backup.checked";
    /// A backup has its manifest and not its name.
    BackupDescribed = "backup.described";
    /// A backup is there; older ones are not taken away.
    BackupNamed = "backup.named";
    /// A live copy is made and has not its name.
    LiveMade = "live.made";
    /// What is new is written into the live copy, not committed.
    LiveWritten = "live.written";
    /// The live copy is as the ledger was.
    LiveKept = "live.kept";
    /// A ledger of an earlier version is copied; the copy has not its name.
    MigrateCopied = "migrate.copied";
    /// The copy is there; the ledger is not changed.
    MigrateNamed = "migrate.named";
    /// The ledger's tables are changed, not committed.
    MigrateWritten = "migrate.written";
    /// The ledger is of this version.
    MigrateKept = "migrate.kept";
    /// An archive is written and checked, under another name.
    ArchiveWritten = "archive.written";
    /// An archive has its name; the ledger does not know of it.
    ArchiveNamed = "archive.named";
    /// The ledger knows of the archive, and still has everything.
    ArchiveKept = "archive.kept";
    /// Some of what is in the archive has left the ledger.
    ArchiveEmptying = "archive.emptying";
    /// A backup lies beside the ledger, to be put back.
    RestorePlaced = "restore.placed";
    /// It is verified; the ledger that was there is still in its place.
    RestoreVerified = "restore.verified";
    /// The ledger that was there has another name; its log has not, if it has one.
    RestoreHalfAside = "restore.half-aside";
    /// The ledger that was there is set aside.
    RestoreAside = "restore.aside";
    /// The backup is in its place; the folder's names may not be on disk.
    RestoreNamed = "restore.named";
    /// Head office has lines of ours; its acknowledgement is not kept.
    HqAnswered = "hq.answered";
    /// The acknowledgement is kept.
    HqAcknowledged = "hq.acknowledged";
    /// Commands of head office are kept, not begun.
    HqCommanded = "hq.commanded";
    /// A command is begun.
    HqBegun = "hq.begun";
    /// A command was carried out; its end is not kept.
    HqCarriedOut = "hq.carried-out";
    /// A command's end is kept.
    HqEnded = "hq.ended";
}

/// This process passes a point.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) const fn at(_: Point) {}

/// This process passes a point, and may not get beyond it.
#[cfg(feature = "crash-points")]
pub(crate) fn at(point: Point) {
    use std::sync::atomic::Ordering;
    if let Some(armed) = ARMED.as_ref()
        && armed.name == point.name()
        && armed.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // Nothing of the process runs any more once this returns to it, if it ever does.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// The point at which this process is to end.
#[cfg(feature = "crash-points")]
struct Armed {
    name: String,
    /// Passings that are left; the last one ends the process.
    left: std::sync::atomic::AtomicI64,
}

#[cfg(feature = "crash-points")]
static ARMED: std::sync::LazyLock<Option<Armed>> = std::sync::LazyLock::new(|| {
    let wanted = std::env::var("FISCALD_CRASH_AT").ok()?;
    let (name, nth) = read(&wanted)?;
    Some(Armed {
        name: name.to_owned(),
        left: nth.into(),
    })
});

/// Whether `FISCALD_CRASH_AT` names a point, where it is set.
///
/// # Errors
/// A sentence that says what is wrong with it.
#[cfg(feature = "crash-points")]
pub(crate) fn check() -> Result<(), String> {
    match std::env::var("FISCALD_CRASH_AT") {
        Ok(wanted) if read(&wanted).is_none() => Err(format!(
            "FISCALD_CRASH_AT is {wanted:?}; it is the name of a point, or `name:3`. There are: {}",
            NAMES.join(", ")
        )),
        _ => Ok(()),
    }
}

/// A point's name, and at which of its passings.
#[cfg(feature = "crash-points")]
fn read(wanted: &str) -> Option<(&str, i64)> {
    let (name, nth) = match wanted.split_once(':') {
        Some((name, nth)) => (name, nth.parse().ok().filter(|nth| *nth > 0)?),
        None => (wanted, 1),
    };
    NAMES.contains(&name).then_some((name, nth))
}

#[cfg(test)]
#[cfg(feature = "crash-points")]
mod tests {
    use super::*;

    /// A wrong name must not pass as a test in which nothing was killed.
    #[test]
    fn what_is_read() {
        assert_eq!(read("sale.written"), Some(("sale.written", 1)));
        assert_eq!(read("sale.written:12"), Some(("sale.written", 12)));
        for wrong in [
            "",
            "sale",
            "sale.written:",
            "sale.written:0",
            "sale.written:-1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    /// Each name stands for one point.
    #[test]
    fn names_are_different() {
        let names: std::collections::BTreeSet<_> = NAMES.iter().collect();
        assert_eq!(names.len(), NAMES.len());
    }
}
