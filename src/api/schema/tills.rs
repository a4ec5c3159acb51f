//! What a technician asks of a till, its way to FDMS, and what differs of a day: as it is asked and answered.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Counter, Exact};

/// A till's way to FDMS.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Link {
    /// `online`, `offline`, `catchingUp`, or `unknown` right after a start.
    pub state: String,
    /// Since when.
    pub since: Option<String>,
    /// Of `offline`: why.
    pub error: Option<String>,
    /// Of `catchingUp`: how much of the backlog has been sent.
    pub sent: Option<u32>,
    /// Of `catchingUp`: how much waited when FDMS could be reached again.
    pub of: Option<u32>,
}

/// What keeps a till from selling.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// `unchecked`, `ahead`, `retired` or `disabled`.
    pub kind: String,
    /// Why, and what to do.
    pub reason: String,
    /// Since when.
    pub since: String,
}

/// A till, named.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TillName {
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
}

/// Numbers that are not this ledger's own, from which the till goes on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptedNumbers {
    /// The last day that was over then.
    pub last_fiscal_day_no: u32,
    /// The last receipt.
    pub last_receipt_global_no: u32,
}

/// The device ID once more: what cannot be undone asks for it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Confirm)]
pub struct Confirm {
    /// The till's device ID.
    pub confirm: u32,
}

/// From where a till goes on: from FDMS's numbers, or within a day that other software has opened.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adopt {
    /// The till's device ID.
    pub confirm: u32,
    /// The last day that is over, of a device that reports by file, which FDMS does not tell.
    pub last_fiscal_day_no: Option<u32>,
    /// The highest `receiptGlobalNo`, where a person knows of a higher one than FDMS names. One that is too high leaves
    /// a gap at FDMS that never heals.
    pub last_receipt_global_no: Option<u32>,
    /// The day that is open at FDMS.
    pub open_day: Option<AdoptOpenDay>,
}

/// A day that other software has opened: all of it must be known, or the day cannot be closed by the device.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptOpenDay {
    /// Its number.
    pub fiscal_day_no: u32,
    /// When it was opened, as FDMS was told.
    pub fiscal_day_opened: String,
    /// `receiptCounter` of its last receipt; 0 if it has none.
    pub receipt_counter: u32,
    /// `receiptGlobalNo` of the last receipt.
    pub receipt_global_no: u32,
    /// Date of the last receipt.
    pub receipt_date: Option<String>,
    /// Hash of the day's last receipt, base64; left out if it has none.
    pub previous_receipt_hash: Option<String>,
    /// Its counters so far, as CloseDay takes them.
    pub fiscal_day_counters: Vec<Counter>,
}

/// The till that new sales go to.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SwitchTo {
    /// Its device ID.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`, where both have one.
    pub environment: Option<String>,
}

/// Why sending is to stop.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pause {
    /// A sentence, for whoever finds the queue paused.
    pub reason: String,
}

/// The head of a queue with its evidence.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// Its serial number.
    pub device_serial_no: String,
    /// The queue.
    pub queue: super::Queue,
    /// What is sent to FDMS, byte for byte.
    pub request: Option<String>,
    /// What FDMS answered last, of a parked queue.
    pub answer: Option<String>,
}

/// The configurations of a till, newest first.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configs {
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// Its serial number.
    pub device_serial_no: String,
    /// The configurations.
    pub configs: Vec<ConfigEntry>,
}

/// A configuration that FDMS sent.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigEntry {
    /// When it was fetched.
    pub fetched_at: String,
    /// What it changed against the one before; empty for the first.
    pub changes: Vec<ConfigChange>,
}

/// Something that FDMS has changed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigChange {
    /// FDMS's name of it; `tax 517` for a tax.
    pub what: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

/// Of a day that was closed by hand: what FDMS has otherwise.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reconciliation {
    /// `Manual`.
    pub mode: String,
    /// Whether nothing differs.
    pub agrees: bool,
    /// Counters that differ.
    pub counters: Vec<CounterDifference>,
    /// Quantities and totals of documents that differ.
    pub documents: Vec<DocumentDifference>,
}

/// A counter that differs.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CounterDifference {
    /// Type, currency and percent or money type, as in the string that is signed.
    pub counter: String,
    /// The close's.
    pub ours: Exact,
    /// FDMS's, of a day closed by hand.
    pub fdms: Option<Exact>,
    /// The sum of the receipts, of a close that failed.
    pub receipts: Option<Exact>,
}

/// Documents that differ.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentDifference {
    /// Their currency.
    pub receipt_currency: String,
    /// Their type.
    pub receipt_type: String,
    /// The close's.
    pub ours: super::Documents,
    /// FDMS's, of a day closed by hand.
    pub fdms: Option<super::Documents>,
    /// The sum of the receipts, of a close that failed.
    pub receipts: Option<super::Documents>,
}

/// Why FDMS did not close the day, and what there is to compare.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseFailed {
    /// FDMS's error.
    pub fiscal_day_closing_error_code: String,
    /// What it means, and what to do.
    pub reason: String,
    /// What a person may do.
    pub actions: Vec<String>,
    /// Receipts of the day that FDMS does not have.
    pub unsent_receipts: u32,
    /// Receipts of the day that FDMS marked Red or Grey.
    pub marked_receipts: Vec<MarkedReceipt>,
    /// The close's counters against the sum of the receipts.
    pub counters: Compared,
}

/// A receipt that FDMS marked.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkedReceipt {
    /// Its number.
    pub receipt_global_no: u32,
    /// The worst colour.
    pub color: String,
    /// What FDMS found: `RCPT025 Red`.
    pub marks: Vec<String>,
}

/// The close's counters against the sum of the receipts.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compared {
    /// Whether nothing differs.
    pub agrees: bool,
    /// Counters that differ.
    pub counters: Vec<CounterDifference>,
    /// Documents that differ.
    pub documents: Vec<DocumentDifference>,
}

/// A day's files for upload by hand.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DayFiles {
    /// The till's number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// Its serial number.
    pub device_serial_no: String,
    /// The files in their order.
    pub files: Vec<DayFile>,
}

/// A file for upload by hand.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DayFile {
    /// A name for it.
    pub name: String,
    /// Its day.
    pub fiscal_day_no: u32,
    /// Its place among the day's files.
    pub file_sequence: u32,
    /// The file itself.
    pub body: String,
}

/// What is FDMS's own: passed on as it comes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct Passed {}

/// A call of an optional part in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(crate) struct CallPath {
    /// FDMS's name of the call.
    call: String,
}

/// Which queues.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(crate) struct RetryParams {
    /// `true`: every queue that the caller may use.
    all: Option<bool>,
}

/// The parameters of FDMS's own lists, passed on as they come.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(crate) struct FdmsListParams {
    /// Sort by this field.
    #[param(rename = "Sort")]
    sort: Option<String>,
    /// `asc` or `desc`.
    #[param(rename = "Order")]
    order: Option<String>,
    /// How many to leave out.
    #[param(rename = "Offset")]
    offset: Option<u32>,
    /// How many at most.
    #[param(rename = "Limit")]
    limit: Option<u32>,
    /// `And` or `Or`.
    #[param(rename = "Operator")]
    operator: Option<String>,
    /// HS code, of goods in stock.
    #[param(rename = "HsCode")]
    hs_code: Option<String>,
    /// The beginning of a word of the goods' name.
    #[param(rename = "GoodName")]
    good_name: Option<String>,
    /// The branch.
    #[param(rename = "BranchId")]
    branch_id: Option<String>,
}
