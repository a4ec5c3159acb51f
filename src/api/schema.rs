//! The shapes of requests and answers, as the OpenAPI document shows them.
//!
//! Answers are written by hand, so that amounts keep every digit; these types describe them. Clients in
//! Rust, and the tests, read answers with them: a field that is written and not described, or described
//! and not written, shows at once.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

mod answers;
mod days;
mod printing;
mod requests;
mod state;
mod tills;

pub use answers::{
    Block, Creditable, CreditableNote, Fdms, Line, Original, Payment, Preview, Print, Receipt,
    Receipts, Row, TaxRow, ValidationError,
};
pub use days::{Counter, CurrencyFigures, Day, DayFdms, Documents, Report, TaxFigures};
pub use printing::{
    Capture, Captures, LastPaper, Port, Ports, PrintJob, PrintJobs, Printer, Printers, SettlePrint,
};
pub(super) use printing::{
    CapturePath, CapturesParams, CopyParams, JobPath, PrinterParams, PrinterPath, PrintsParams,
};
pub use requests::{
    Address, Buyer, Contacts, Credit, CreditLine, Sale, SaleLine, SaleOriginal, SalePayment,
};
pub use state::{
    Alarm, Alarms, AppliedTax, BackupState, Certificate, Clock, DayState, Event, Finding,
    HeadOffice, Health, LastReceipt, LedgerState, LiveCopyState, Parked, Problem, Queue, QueueHead,
    Queues, RedReceipt, Status, Taxpayer, TillQueue, TillState,
};
pub use tills::{
    Adopt, AdoptOpenDay, AdoptedNumbers, CloseFailed, Compared, ConfigChange, ConfigEntry, Configs,
    Confirm, CounterDifference, DayFile, DayFiles, DocumentDifference, Evidence, Hold, Link,
    MarkedReceipt, Passed, Pause, Reconciliation, SwitchTo, TillName,
};
pub(super) use tills::{CallPath, FdmsListParams, RetryParams};

/// An exact decimal number: its text is what was sent, digit by digit.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Exact(Box<RawValue>);

impl Exact {
    /// The number's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq<str> for Exact {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Exact {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialSchema for Exact {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .description(Some(
                "An exact decimal. Do not read it into a binary float if you calculate with it.",
            ))
            .into()
    }
}

impl ToSchema for Exact {}

/// Bytes of a document, a picture or a paper.
#[derive(Debug)]
pub(super) struct Bytes;

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for Bytes {}

/// Which till, where the caller may use several.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct TillParams {
    /// The till's device ID. A token of one till needs none.
    #[param(rename = "deviceID")]
    device_id: Option<u32>,
    /// `test` or `production`, where a device ID is in both.
    environment: Option<String>,
}

/// Which day is to be closed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct CloseParams {
    /// The day that is meant; left out, the one that is open.
    #[param(rename = "fiscalDayNo")]
    fiscal_day_no: Option<u32>,
}

/// How a sale is answered.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct SaleParams {
    /// Milliseconds to wait for FDMS after the receipt is issued, at most 60000.
    #[param(maximum = 60000)]
    wait: Option<u32>,
    /// Characters in a line of the printed text, 16 to 200; 48 if left out.
    #[param(minimum = 16, maximum = 200)]
    columns: Option<u32>,
    /// The till's device ID. A token of one till needs none.
    #[param(rename = "deviceID")]
    device_id: Option<u32>,
    /// `test` or `production`, where a device ID is in both.
    environment: Option<String>,
}

/// The width of printed text.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct ColumnsParams {
    /// Characters in a line of the printed text, 16 to 200; 48 if left out.
    #[param(minimum = 16, maximum = 200)]
    columns: Option<u32>,
}

/// How a receipt is printed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct TextParams {
    /// Characters in a line, 16 to 200; 48 if left out.
    #[param(minimum = 16, maximum = 200)]
    columns: Option<u32>,
    /// Whether it is headed COPY.
    copy: Option<bool>,
}

/// How a report is given.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct ReportParams {
    /// `json`, or `text` for the paper alone.
    format: Option<String>,
    /// Characters in a line, 16 to 200; 48 if left out.
    #[param(minimum = 16, maximum = 200)]
    columns: Option<u32>,
}

/// The size of a picture.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct ScaleParams {
    /// Pixels of a module, 1 to 32; 8 if left out.
    #[param(minimum = 1, maximum = 32)]
    scale: Option<u32>,
}

/// Where a stream begins.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct EventParams {
    /// As `Last-Event-ID`, for clients that cannot send headers.
    after: Option<i64>,
}

/// A receipt in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct NumberPath {
    /// The receipt's number on its till.
    #[param(rename = "receiptGlobalNo")]
    receipt_global_no: u32,
}

/// A fiscal day in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct DayPath {
    /// The day's number on its till, or `current` for the latest.
    #[param(rename = "fiscalDayNo")]
    fiscal_day_no: String,
}

/// Which receipts a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(super) struct ListParams {
    /// The one with this number of the shop; the till's prefix may be left out.
    invoice_no: Option<String>,
    /// The one with this idempotency key.
    key: Option<String>,
    /// Only receipts before this number: the next page.
    before: Option<u32>,
    /// How many at most, up to 500; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only of this type.
    receipt_type: Option<String>,
    /// Only in this currency.
    receipt_currency: Option<String>,
    /// Only of this fiscal day.
    fiscal_day_no: Option<u32>,
    /// Only from this day or moment on, such as 2026-05-28 or 2026-05-28T07:42:19.
    from: Option<String>,
    /// Only up to this day or moment.
    till: Option<String>,
    /// Characters in a line of the printed text of a whole receipt.
    columns: Option<u32>,
}
