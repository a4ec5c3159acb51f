//! Switches for what the authority has not published.
//!
//! docs/FDMS.md section 11 lists the open questions; each is a field here, with what integrators saw on
//! live servers, or else the stricter reading, as default.

use jiff::civil::{DateTime, datetime};
use serde::{Deserialize, Serialize};

use crate::failure::{ClosingError, FileError};
use crate::spec::Model;

/// How an open question is answered; `Settings::default()` answers all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far a receipt's date may be ahead of the sandbox's clock, in seconds, before RCPT031.
    pub future_tolerance_secs: u32,
    /// How many cents line totals and taxes may be off before RCPT024, RCPT026 and RCPT027.
    pub rounding_tolerance_cents: u32,
    /// How a field of the wrong shape is answered.
    pub field_errors: FieldErrors,
    /// How a missing or foreign model name or version is answered.
    pub model_errors: ModelErrors,
    /// How a CSR with a wrong subject is answered.
    pub csr_subject_errors: CsrSubjectErrors,
    /// What is said about the signature of a receipt whose previous one is missing.
    pub gap_signature: GapSignature,
    /// Whether a note may use a tax that has expired since the original.
    pub expired_tax_on_note: ExpiredTaxOnNote,
    /// When a close with Grey or Red receipts is refused.
    pub close_with_bad_receipts: CloseWithBadReceipts,
    /// Whether a counter of zero in CloseDay is a mismatch.
    pub zero_counter_is_mismatch: bool,
    /// Whether the receiptCounter of CloseDay is compared: MissingReceipts if it is above the day's
    /// last one, CountersMismatch if below.
    pub check_close_receipt_counter: bool,
    /// Whether Red receipts count in the day's counters.
    pub red_receipts_count: bool,
    /// Whether IssueCertificate revokes the old certificates.
    pub issue_revokes_old: bool,
    /// How the colour Grey is spelled.
    pub grey_spelling: GreySpelling,
    /// How long a close takes, on the sandbox's clock, in milliseconds.
    pub close_delay_ms: u64,
    /// How many answers of GetStatus say CloseInitiated before a close is done.
    pub close_polls: u32,
    /// How files of offline devices travel.
    pub file_transport: FileTransport,
    /// Whether a file is taken while FDMS has the device's fiscal day open.
    pub files_of_open_days: FilesOfOpenDays,
    /// How long a file is in progress, on the sandbox's clock, in milliseconds.
    pub file_delay_ms: u64,
    /// How many answers of SubmittedFileList say InProgress before a file is processed.
    pub file_polls: u32,
    /// How long a file waits for the ones before it, in milliseconds.
    pub file_waiting_ms: u64,
    /// How many days a device's certificate is valid.
    pub certificate_valid_days: u32,
    /// The currencies and when they are valid (RCPT010).
    pub currencies: Vec<Currency>,
    /// The registered models; none: any. Others are answered as `model_errors` says.
    pub models: Option<Vec<Model>>,
    /// Models answered DEV04.
    pub blacklisted_models: Vec<Model>,
    /// Rules that every new receipt is marked with besides, by number (`25` is RCPT025), each in its colour.
    pub marks: Vec<u8>,
    /// What every close fails with, whatever is in it.
    pub close_error: Option<ClosingError>,
    /// What every file fails with, whatever is in it; nothing of it is kept.
    pub file_error: Option<FileError>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            future_tolerance_secs: 0,
            rounding_tolerance_cents: 0,
            field_errors: FieldErrors::BadRequest,
            model_errors: ModelErrors::Dev06,
            csr_subject_errors: CsrSubjectErrors::Dev03,
            gap_signature: GapSignature::RedUntilHealed,
            expired_tax_on_note: ExpiredTaxOnNote::OriginalCounts,
            close_with_bad_receipts: CloseWithBadReceipts::CloseFailed,
            zero_counter_is_mismatch: true,
            check_close_receipt_counter: true,
            red_receipts_count: true,
            issue_revokes_old: false,
            grey_spelling: GreySpelling::Grey,
            close_delay_ms: 0,
            close_polls: 0,
            file_transport: FileTransport::JsonTextPlain,
            files_of_open_days: FilesOfOpenDays::Accepted,
            file_delay_ms: 0,
            file_polls: 0,
            file_waiting_ms: 24 * 3_600_000,
            certificate_valid_days: 365,
            currencies: usual_currencies(),
            models: None,
            blacklisted_models: Vec::new(),
            marks: Vec::new(),
            close_error: None,
            file_error: None,
        }
    }
}

/// A currency and when it is valid; local times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Currency {
    /// Three letters.
    pub code: String,
    /// The first moment; none: since ever.
    #[serde(default)]
    pub valid_from: Option<DateTime>,
    /// The last moment; none: for ever.
    #[serde(default)]
    pub valid_till: Option<DateTime>,
}

impl Currency {
    pub(crate) fn is_valid_at(&self, date: DateTime) -> bool {
        self.valid_from.is_none_or(|from| from <= date)
            && self.valid_till.is_none_or(|till| date <= till)
    }
}

/// What is in use in Zimbabwe: ZiG (ZWG) since April 2024, the old dollar (ZWL) until August 2024, and
/// the foreign ones.
fn usual_currencies() -> Vec<Currency> {
    let always = |code: &str| Currency {
        code: code.to_owned(),
        valid_from: None,
        valid_till: None,
    };
    let mut currencies = vec![
        Currency {
            valid_from: Some(datetime(2024, 4, 5, 0, 0, 0, 0)),
            ..always("ZWG")
        },
        Currency {
            valid_till: Some(datetime(2024, 8, 31, 23, 59, 59, 0)),
            ..always("ZWL")
        },
    ];
    let foreign = [
        "USD", "ZAR", "BWP", "GBP", "EUR", "AUD", "CNY", "INR", "JPY", "MZN", "ZMW",
    ];
    currencies.extend(foreign.map(always));
    currencies
}

/// How a field of the wrong shape is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldErrors {
    /// 400 with `errors`.
    BadRequest,
    /// 422 with RCPT02.
    Rcpt02,
}

/// How a missing or foreign model is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelErrors {
    /// 422 with DEV06.
    Dev06,
    /// 403.
    Forbidden,
}

/// How a CSR with a wrong subject is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsrSubjectErrors {
    /// 422 with DEV03.
    Dev03,
    /// 400 with `errors`.
    BadRequest,
}

/// What is said about the signature of a receipt behind a gap, which cannot be checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapSignature {
    /// RCPT020 Red beside RCPT011 Grey, judged again when the gap is filled.
    RedUntilHealed,
    /// RCPT020 Red, and it stays.
    RedForever,
    /// RCPT020 Grey, judged again when the gap is filled.
    Grey,
    /// Nothing until the gap is filled.
    Nothing,
}

/// Whether a note may use a tax that has expired since the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredTaxOnNote {
    /// The original's taxes are the note's, whatever their validity.
    OriginalCounts,
    /// RCPT025 as on any receipt.
    Rcpt025,
}

/// When a close with Grey or Red receipts is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseWithBadReceipts {
    /// 200, then CloseFailed.
    CloseFailed,
    /// 422 without a code; the day stays as it was.
    RefusedAtOnce,
}

/// How the colour Grey is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GreySpelling {
    /// As in the text.
    Grey,
    /// As seen on live servers.
    Gray,
}

/// How a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileTransport {
    /// Its JSON, as `text/plain`.
    JsonTextPlain,
    /// Its JSON in base64, as `text/plain`.
    Base64TextPlain,
    /// Its JSON in base64, as the first part of `multipart/form-data`.
    MultipartBase64,
}

/// Whether a file is taken while FDMS has the device's fiscal day open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesOfOpenDays {
    /// It is.
    Accepted,
    /// 422 without a code: the day's status must be `FiscalDayClosed`.
    Refused,
}
