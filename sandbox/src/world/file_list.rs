//! SubmittedFileList: what has become of a device's files (docs/FDMS.md section 2).

use jiff::civil::DateTime;
use serde::Serialize;

use super::World;
use crate::answer::Refusal;
use crate::failure::FileError;
use crate::finding::{ValidationError, validation_errors};
use crate::json::{self, Errors};
use crate::model::{FileRecord, FileStatus};
use crate::query::{Page, Query, quoted};
use crate::settings::GreySpelling;

/// How many days may be asked for at once.
const MOST_DAYS: i64 = 100;

/// What SubmittedFileList answers.
#[derive(Debug, Serialize)]
pub(crate) struct FileList {
    total: usize,
    rows: Vec<FileRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileRow {
    file_name: String,
    file_upload_date: DateTime,
    device_id: i32,
    day_no: i32,
    fiscal_day_opened_at: DateTime,
    file_sequence: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_processing_date: Option<DateTime>,
    file_processing_status: FileStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_processing_error: Option<FileError>,
    has_footer: bool,
    operation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invoice_with_validation_errors: Vec<MarkedInvoice>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MarkedInvoice {
    receipt_counter: i32,
    receipt_global_no: i32,
    validation_errors: Vec<ValidationError>,
}

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, Default)]
enum Sort {
    DeviceId,
    FileName,
    #[default]
    FileUploadDate,
    FileProcessingDate,
    FileProcessingStatus,
    FileProcessingError,
}

const SORTS: [(&str, Sort); 6] = [
    ("DeviceId", Sort::DeviceId),
    ("FileName", Sort::FileName),
    ("FileUploadDate", Sort::FileUploadDate),
    ("FileProcessingDate", Sort::FileProcessingDate),
    ("FileProcessingStatus", Sort::FileProcessingStatus),
    ("FileProcessingError", Sort::FileProcessingError),
];

/// Which files are asked for.
struct Wanted {
    page: Page,
    sort: Sort,
    from: DateTime,
    till: DateTime,
    operation_id: Option<String>,
}

impl Wanted {
    fn read(query: &Query, errors: &mut Errors) -> Self {
        let date = |errors: &mut Errors, key| query.required(errors, key, quoted(json::date_time));
        let sort = query.optional(errors, "Sort", quoted(json::one_of(&SORTS)));
        Self {
            page: Page::read(query, None, errors),
            sort: sort.unwrap_or_default(),
            from: date(errors, "FileUploadedFrom"),
            till: date(errors, "FileUploadedTill"),
            operation_id: query.optional(errors, "OperationID", quoted(json::text(60))),
        }
    }

    fn wants(&self, file: &FileRecord) -> bool {
        let uploaded = clock::local(file.uploaded);
        let by_id = self.operation_id.as_ref();
        self.page.admits(&[
            Some(self.from <= uploaded && uploaded <= self.till),
            by_id.map(|id| *id == file.operation_id),
        ])
    }

    /// What a row is sorted by; files that are alike stay in the order they came.
    fn key(&self, row: &FileRow) -> (Option<String>, Option<DateTime>, u8) {
        let number = |value: Option<u8>| (None, None, value.unwrap_or(0));
        match self.sort {
            Sort::DeviceId => number(None),
            Sort::FileName => (Some(row.file_name.clone()), None, 0),
            Sort::FileUploadDate => (None, Some(row.file_upload_date), 0),
            Sort::FileProcessingDate => (None, row.file_processing_date, 0),
            Sort::FileProcessingStatus => number(Some(row.file_processing_status as u8)),
            Sort::FileProcessingError => {
                number(row.file_processing_error.map(|error| error as u8 + 1))
            }
        }
    }
}

impl World {
    /// SubmittedFileList. Each file in progress is one answer nearer to its end after it.
    pub(crate) fn submitted_files(
        &mut self,
        device_id: u32,
        query: &Query,
    ) -> Result<FileList, Refusal> {
        self.admit_offline(device_id)?;
        let mut errors = Errors::default();
        let wanted = Wanted::read(query, &mut errors);
        errors
            .finish(())
            .map_err(|errors| self.wrong_fields(errors, Some("FILE02")))?;
        let longest = jiff::Span::new().days(MOST_DAYS);
        if wanted.till < wanted.from || wanted.from.saturating_add(longest) < wanted.till {
            let why = "FileUploadedTill must be at most 100 days after FileUploadedFrom.";
            return Err(Refusal::code("FILE02", why));
        }
        let grey = self.settings.grey_spelling;
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        let files = device.files.iter().filter(|file| wanted.wants(file));
        let rows = files.map(|file| FileRow::of(file, grey)).collect();
        for file in &mut device.files {
            file.polls_left = file.polls_left.saturating_sub(1);
        }
        let (total, rows) = wanted.page.cut(rows, |row| wanted.key(row));
        Ok(FileList { total, rows })
    }
}

impl FileRow {
    fn of(file: &FileRecord, grey: GreySpelling) -> Self {
        let marked = file.bad_receipts.iter().map(|receipt| MarkedInvoice {
            receipt_counter: receipt.receipt_counter,
            receipt_global_no: receipt.receipt_global_no,
            validation_errors: validation_errors(&receipt.validation_errors, grey),
        });
        Self {
            file_name: file.name(),
            file_upload_date: clock::local(file.uploaded),
            device_id: file.header.device_id,
            day_no: file.header.day_no,
            fiscal_day_opened_at: file.header.opened,
            file_sequence: file.header.sequence,
            file_processing_date: file.finished.map(clock::local),
            file_processing_status: file.status,
            file_processing_error: file.error,
            has_footer: file.has_footer,
            operation_id: file.operation_id.clone(),
            ip_address: file.sender.map(|address| address.to_string()),
            invoice_with_validation_errors: marked.collect(),
        }
    }
}
