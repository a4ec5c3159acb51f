//! Why a close or a file fails (docs/FDMS.md sections 4 and 7).

use serde::{Deserialize, Serialize};

/// Why a day could not be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum ClosingError {
    BadCertificateSignature,
    MissingReceipts,
    ReceiptsWithValidationErrors,
    CountersMismatch,
    InternalError,
}

/// Why a file failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum FileError {
    IncorrectFileFormat,
    FileSentForClosedDay,
    BadCertificateSignature,
    MissingReceipts,
    ReceiptsWithValidationErrors,
    CountersMismatch,
    FileExceededAllowedWaitingTime,
    InternalError,
}

impl FileError {
    /// Whether nothing of the file was kept, so that another with its number must come.
    pub(crate) fn kept_nothing(self) -> bool {
        matches!(
            self,
            Self::IncorrectFileFormat
                | Self::FileSentForClosedDay
                | Self::FileExceededAllowedWaitingTime
        )
    }
}

impl From<ClosingError> for FileError {
    fn from(error: ClosingError) -> Self {
        match error {
            ClosingError::BadCertificateSignature => Self::BadCertificateSignature,
            ClosingError::MissingReceipts => Self::MissingReceipts,
            ClosingError::ReceiptsWithValidationErrors => Self::ReceiptsWithValidationErrors,
            ClosingError::CountersMismatch => Self::CountersMismatch,
            ClosingError::InternalError => Self::InternalError,
        }
    }
}
