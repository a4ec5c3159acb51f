//! Files of offline devices as the sandbox keeps them (docs/FDMS.md section 7).

use std::net::IpAddr;

use clock::Timestamp;
use jiff::civil::DateTime;
use serde::Serialize;

use crate::failure::FileError;
use crate::file::FileHeader;
use crate::finding::Finding;

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum FileStatus {
    InProgress,
    CompleteSuccessful,
    FailedWithErrors,
    WaitingForPreviousFile,
}

/// A receipt of a file that was marked when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BadReceipt {
    /// Its number in the day.
    pub receipt_counter: i32,
    /// Its number for ever.
    pub receipt_global_no: i32,
    /// The broken rules, in the order of their codes.
    pub validation_errors: Vec<Finding>,
}

/// A file that was taken.
#[derive(Debug, Clone)]
pub(crate) struct FileRecord {
    pub(crate) operation_id: String,
    pub(crate) header: FileHeader,
    pub(crate) has_footer: bool,
    /// The address that it came from.
    pub(crate) sender: Option<IpAddr>,
    pub(crate) uploaded: Timestamp,
    /// When it is processed, by the sandbox's clock.
    pub(crate) due: Timestamp,
    /// How many times SubmittedFileList still says that it is in progress.
    pub(crate) polls_left: u32,
    /// How long it waits for the files before it.
    pub(crate) waits_till: Timestamp,
    /// Whether its receipts and its footer have been read and found well-shaped.
    pub(crate) is_well_shaped: bool,
    pub(crate) status: FileStatus,
    pub(crate) error: Option<FileError>,
    pub(crate) finished: Option<Timestamp>,
    pub(crate) bad_receipts: Vec<BadReceipt>,
    /// Its JSON as it came.
    pub(crate) text: Box<str>,
}

impl FileRecord {
    /// The name FDMS lists it by.
    pub(crate) fn name(&self) -> String {
        let header = &self.header;
        format!(
            "{:010}-{}-{}.json",
            header.device_id, header.day_no, header.sequence
        )
    }

    /// Whether it has come to its end, a good or a bad one.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(
            self.status,
            FileStatus::CompleteSuccessful | FileStatus::FailedWithErrors
        )
    }

    pub(crate) fn stored(&self) -> StoredFile {
        StoredFile {
            file_name: self.name(),
            operation_id: self.operation_id.clone(),
            fiscal_day_no: self.header.day_no,
            fiscal_day_opened: self.header.opened,
            file_sequence: self.header.sequence,
            has_footer: self.has_footer,
            uploaded: clock::local(self.uploaded),
            status: self.status,
            error: self.error,
            finished: self.finished.map(clock::local),
            bad_receipts: self.bad_receipts.clone(),
            raw: self.text.to_string(),
        }
    }
}

/// A file as the sandbox keeps it, to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    /// The name FDMS lists it by.
    pub file_name: String,
    /// The operation ID under which it was taken.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// The day it belongs to.
    pub fiscal_day_no: i32,
    /// When that day was opened, as the file says.
    pub fiscal_day_opened: DateTime,
    /// Its place among the files of the day.
    pub file_sequence: i32,
    /// Whether it is to close the day.
    pub has_footer: bool,
    /// When it was taken, local time.
    pub uploaded: DateTime,
    /// How far it has come.
    pub status: FileStatus,
    /// Why it failed, if it did.
    pub error: Option<FileError>,
    /// When it came to its end, local time.
    pub finished: Option<DateTime>,
    /// Those of its receipts that were marked.
    pub bad_receipts: Vec<BadReceipt>,
    /// The file's JSON as it came.
    pub raw: String,
}
