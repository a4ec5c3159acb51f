//! Files of an offline device, as FDMS lists them (docs/FDMS.md section 7).

use serde_json::value::RawValue;

use super::super::json::{Object, need};
use super::{Extra, LocalTime, ValidationError, WireError};

words! {
    /// How far FDMS is with a file.
    FileState {
        /// It is being looked at.
        InProgress = "InProgress",
        /// Everything in it was taken.
        CompleteSuccessful = "CompleteSuccessful",
        /// Something in it was not taken; see the error.
        FailedWithErrors = "FailedWithErrors" | "FileProcessingWithErrors",
        /// A file before it is missing.
        WaitingForPreviousFile = "WaitingForPreviousFile",
    }
}
words! {
    /// Why a file failed.
    FileError {
        /// Its form is wrong: our defect.
        IncorrectFileFormat = "IncorrectFileFormat",
        /// Its day was closed already.
        FileSentForClosedDay = "FileSentForClosedDay",
        /// The signature over the day does not verify.
        BadCertificateSignature = "BadCertificateSignature",
        /// A receipt has a gap before it.
        MissingReceipts = "MissingReceipts",
        /// A receipt is Red.
        ReceiptsWithValidationErrors = "ReceiptsWithValidationErrors",
        /// FDMS adds up other counters.
        CountersMismatch = "CountersMismatch",
        /// The file before it did not come in time.
        FileExceededAllowedWaitingTime = "FileExceededAllowedWaitingTime",
        /// FDMS's own fault.
        InternalError = "InternalError",
    }
}

/// The answer of SubmitFile: the file will be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTaken {
    /// Unknown fields.
    pub extra: Extra,
}

impl FileTaken {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "all replies read themselves alike"
    )]
    pub(super) fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            extra: object.rest(),
        })
    }
}

/// The answer of SubmittedFileList.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    /// How many there are.
    pub total: u32,
    /// A page of them.
    pub rows: Vec<FileRow>,
    /// Unknown fields.
    pub extra: Extra,
}

impl FileList {
    pub(super) fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            total: object.int(&["total"])?.unwrap_or(0),
            rows: object.list(&["rows"], FileRow::read)?,
            extra: object.rest(),
        })
    }
}

/// A file as FDMS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// `dayNo`
    pub day_no: u64,
    /// `fileSequence`
    pub sequence: u32,
    /// `fileUploadDate`
    pub uploaded: Option<LocalTime>,
    /// `fileProcessingStatus`
    pub state: FileState,
    /// `fileProcessingError`
    pub error: Option<FileError>,
    /// `hasFooter`
    pub has_footer: bool,
    /// `operationId`
    pub operation_id: Option<String>,
    /// `invoiceWithValidationErrors`
    pub marked: Vec<MarkedReceipt>,
    /// Unknown fields.
    pub extra: Extra,
}

impl FileRow {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const DAY: &[&str] = &["dayNo", "fiscalDayNo"];
        const SEQUENCE: &[&str] = &["fileSequence"];
        const STATE: &[&str] = &["fileProcessingStatus"];
        let word = |text: Option<String>| text.filter(|text| !text.is_empty());
        let is_true = |raw: Box<RawValue>| raw.get() == "true";
        Ok(Self {
            day_no: need(DAY, object.int(DAY)?)?,
            sequence: need(SEQUENCE, object.int(SEQUENCE)?)?,
            uploaded: object.time(&["fileUploadDate"])?,
            state: need(STATE, object.text(STATE)?)?.as_str().into(),
            error: word(object.text(&["fileProcessingError"])?).map(|code| code.as_str().into()),
            has_footer: object.raw(&["hasFooter"]).is_some_and(is_true),
            operation_id: object.text(&["operationId", "operationID"])?,
            marked: object.list(&["invoiceWithValidationErrors"], MarkedReceipt::read)?,
            extra: object.rest(),
        })
    }
}

/// A receipt of a file that FDMS has marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedReceipt {
    /// `receiptGlobalNo`
    pub global_no: Option<u32>,
    /// `validationErrors`
    pub errors: Vec<ValidationError>,
    /// Unknown fields.
    pub extra: Extra,
}

impl MarkedReceipt {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            global_no: object.int(&["receiptGlobalNo"])?,
            errors: object.list(&["validationErrors"], ValidationError::read)?,
            extra: object.rest(),
        })
    }
}
