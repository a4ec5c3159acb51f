//! A port that is a folder: each file that is dropped into it is a paper.

use std::path::Path;
use std::time::Duration;

use drivers::capture::CapturedJob;
use drivers::capture::session::{MAX_JOB, file};
use drivers::transport::{Folder, Stop};

use super::{Counter, PortError};
use crate::ledger::LedgerError;

/// After a file could not be moved.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks into the folder.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn serve(
    path: &Path,
    counter: &Counter,
    stop: &Stop,
    opened: &dyn Fn(),
) -> Result<(), PortError> {
    for id in counter.unread()? {
        settle(counter, id)?;
    }
    std::fs::create_dir_all(path)
        .map_err(|error| PortError::Folder(format!("{}: {error}", path.display())))?;
    let mut folder = Folder::open(path, MAX_JOB)?;
    opened();
    while !stop.is_set() {
        let Some(dropped) = folder.look()? else {
            stop.wait(LOOK);
            continue;
        };
        let job = CapturedJob {
            lost: dropped.lost,
            ..file(0, dropped.bytes)
        };
        let id = counter.keep(&job)?;
        // Kept: the file has done its work, and must not be kept again. What is not settled now is settled after the
        // next start.
        while let Err(error) = folder.done(&dropped.name) {
            tracing::error!(port = counter.setup.name, %error, "a file that was taken cannot be moved away");
            stop.wait(AGAIN);
            if stop.is_set() {
                return Ok(());
            }
        }
        settle(counter, id)?;
    }
    Ok(())
}

/// Deals with a paper; one that a person has dealt with already is none of our business.
fn settle(counter: &Counter, id: i64) -> Result<(), PortError> {
    match counter.settle(id, false) {
        Ok(_) | Err(LedgerError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
