//! A port that is a folder: each file that is dropped into it is a paper.

use std::path::Path;

use drivers::capture::{CapturedJob, EndedBy};
use drivers::transport::{Folder, Stop};

use super::{Counter, PortError};

pub(super) fn serve(path: &Path, counter: &Counter, stop: &Stop) -> Result<(), PortError> {
    let failed = |error: std::io::Error| PortError::Folder(format!("{}: {error}", path.display()));
    for id in counter.unread()? {
        counter.settle(id, false)?;
    }
    let mut folder = Folder::open(path).map_err(failed)?;
    while let Some(dropped) = folder.next(stop).map_err(failed)? {
        let id = counter.keep(&CapturedJob {
            number: 0,
            bytes: dropped.bytes.clone(),
            taken: Vec::new(),
            lost: dropped.lost,
            ended_by: EndedBy::File,
        })?;
        // Kept: the file has done its work. What is not settled now is settled after the next start.
        folder.done(&dropped).map_err(failed)?;
        counter.settle(id, false)?;
    }
    Ok(())
}
