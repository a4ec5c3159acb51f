//! A port that is a folder: each file that is dropped into it is a paper.

use std::path::Path;
use std::time::Duration;

use drivers::capture::session::MAX_JOB;
use drivers::capture::{CapturedJob, EndedBy};
use drivers::transport::{Folder, Stop};

use super::{Counter, PortError};

/// Between two looks into the folder.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn serve(path: &Path, counter: &Counter, stop: &Stop) -> Result<(), PortError> {
    for id in counter.unread()? {
        counter.settle(id, false)?;
    }
    std::fs::create_dir_all(path)
        .map_err(|error| PortError::Folder(format!("{}: {error}", path.display())))?;
    let mut folder = Folder::open(path, MAX_JOB)?;
    while !stop.is_set() {
        let Some(dropped) = folder.look()? else {
            stop.wait(LOOK);
            continue;
        };
        let id = counter.keep(&CapturedJob {
            number: 0,
            bytes: dropped.bytes,
            taken: Vec::new(),
            lost: dropped.lost,
            ended_by: EndedBy::File,
        })?;
        // Kept: the file has done its work. What is not settled now is settled after the next start.
        folder.done(&dropped.name)?;
        counter.settle(id, false)?;
    }
    Ok(())
}
