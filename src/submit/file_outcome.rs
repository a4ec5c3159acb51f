//! What FDMS's list says of a file, and what follows from it: pure, but for what is kept in the ledger.

use std::collections::BTreeMap;

use super::plan::{self, Tick};
use crate::fdms::Evidence;
use crate::fdms::wire::{FileError, FileList, FileRow as Listed, FileState, ValidationError};
use crate::ledger::core::Core;
use crate::ledger::files::{File, FileOutcome};
use crate::ledger::{LedgerError, TillId};

/// What to do with a file that FDMS has come to an end with.
pub(super) enum Then {
    /// On to the next.
    GoOn,
    /// The same again, after a pause.
    Again,
    /// A person has to look: code and reason.
    Park(String, String),
}

/// Takes over what FDMS lists of files that were uploaded by hand, as far as it tells something new: the file that waits
/// and those behind it. How many were settled.
///
/// # Errors
/// A fault of the storage.
pub fn settle_files(
    core: &mut Core,
    till: TillId,
    list: &FileList,
    body: &str,
    actor: &str,
) -> Result<u32, LedgerError> {
    let mut settled = 0;
    while let Some(file) = core.next_file(till)? {
        let found = list.rows.iter().find(|row| {
            row.day_no == u64::from(file.row.day_no.get()) && row.sequence == file.row.sequence
        });
        let closed_by_file = |row: &Listed| is_closed_by_file(list, row);
        let judged = found.and_then(|row| judge(row, &file, closed_by_file(row), body));
        let Some((outcome, then)) = judged else {
            return Ok(settled);
        };
        core.file_done(till, file.row.file_id, &outcome)?;
        settled += 1;
        let (state, _) = core.stream(till)?;
        match then {
            Then::GoOn if state.parked.is_some() => {
                core.retry_stream(till, actor)?;
            }
            Then::GoOn => {}
            Then::Again => return Ok(settled),
            Then::Park(code, reason) => {
                let tick = Tick {
                    now: core.time().now(),
                    jitter: 0,
                };
                let evidence = Evidence {
                    body: Some(body.to_owned()),
                    ..Evidence::default()
                };
                core.update_stream(&plan::park(&state, reason, code, &evidence, false, tick))?;
                return Ok(settled);
            }
        }
    }
    Ok(settled)
}

/// Whether FDMS has taken the footer of the row's day with some file.
pub(super) fn is_closed_by_file(list: &FileList, row: &Listed) -> bool {
    list.rows.iter().any(|other| {
        other.day_no == row.day_no
            && other.has_footer
            && other.state == FileState::CompleteSuccessful
    })
}

/// What became of a listed file, and what follows; none while FDMS is not done with it.
pub(super) fn judge(
    row: &Listed,
    file: &File,
    closed_by_file: bool,
    body: &str,
) -> Option<(FileOutcome, Then)> {
    let taken = FileOutcome {
        operation_id: row.operation_id.clone(),
        content_taken: true,
        footer_taken: file.row.has_footer,
        counts: true,
        marked: marks(row),
        answer: body.to_owned(),
        error: None,
    };
    match &row.state {
        FileState::CompleteSuccessful => return Some((taken, Then::GoOn)),
        FileState::FailedWithErrors => {}
        FileState::InProgress | FileState::WaitingForPreviousFile | FileState::Other(_) => {
            return None;
        }
    }
    let error = row.error.clone();
    let code = error
        .as_ref()
        .map_or("FailedWithErrors", FileError::as_str)
        .to_owned();
    let nothing = FileOutcome {
        error: Some(code.clone()),
        content_taken: false,
        footer_taken: false,
        counts: false,
        ..taken.clone()
    };
    let without_footer = FileOutcome {
        error: Some(code.clone()),
        footer_taken: false,
        ..taken.clone()
    };
    let what = format!("file {} of day {}", row.sequence, row.day_no);
    let park = |why: String| Then::Park(code.clone(), why);
    Some(match error {
        Some(FileError::InternalError) => (nothing, Then::Again),
        Some(FileError::FileExceededAllowedWaitingTime) => {
            let why = format!(
                "FDMS waited in vain for the files before {what}; run `fiscald verify`, then let the queue go on (`retry`): it is sent again"
            );
            (nothing, park(why))
        }
        Some(FileError::FileSentForClosedDay) if closed_by_file || file.row.receipts.is_none() => {
            (taken, Then::GoOn)
        }
        Some(FileError::FileSentForClosedDay) => {
            let (_, why) = closed_before(file, "FDMS has closed the day");
            (nothing, park(why))
        }
        Some(FileError::ReceiptsWithValidationErrors) if !file.row.has_footer => {
            (without_footer, Then::GoOn)
        }
        Some(FileError::ReceiptsWithValidationErrors) => (
            without_footer,
            park(format!(
                "{what} has a receipt that FDMS marked Red, so the day can only be closed by hand: close it in the authority's portal, then let the queue go on (`retry`)"
            )),
        ),
        Some(FileError::MissingReceipts) => (
            without_footer,
            park(format!(
                "FDMS misses receipts before {what}: hand the whole day in by hand (`fiscald day export`), which FDMS takes as often as it is sent, then let the queue go on (`retry`)"
            )),
        ),
        Some(FileError::BadCertificateSignature | FileError::CountersMismatch) => (
            without_footer,
            park(format!(
                "FDMS does not accept the close of day {} ({code}): run `fiscald verify` and compare the Z report with the portal; close the day there by hand, then let the queue go on (`retry`)",
                row.day_no
            )),
        ),
        _ => (
            nothing,
            park(format!(
                "FDMS did not accept {what} ({code}); that is a defect of this gateway, please report it"
            )),
        ),
    })
}

pub(super) fn closed_before(file: &File, what: &str) -> (String, String) {
    let reason = format!(
        "{what}; yet receipts of day {} are still here. They stay, selling goes on. Speak to the authority about that day; \
         the till goes on without them with `fiscald till adopt`",
        file.row.day_no
    );
    ("FILE04".to_owned(), reason)
}

/// The marked receipts of a listed file, each with its worst colour and its marks.
fn marks(row: &Listed) -> BTreeMap<u32, (String, Vec<String>)> {
    let marked = row.marked.iter().filter_map(|receipt| {
        let number = receipt.global_no?;
        let color = plan::worst_color(&receipt.errors)?;
        let errors = receipt.errors.iter();
        Some((number, (color, errors.map(ValidationError::mark).collect())))
    });
    marked.collect()
}
