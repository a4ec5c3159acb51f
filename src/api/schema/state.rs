//! The state of the store, events and problems as they are answered.

use serde::Deserialize;
use utoipa::ToSchema;

use super::Exact;

/// How the store is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Status {
    /// The gateway's version.
    pub version: String,
    /// The clock.
    pub time: Clock,
    /// The ledger.
    pub ledger: LedgerState,
    /// Head office, once the store has joined it.
    pub head_office: Option<HeadOffice>,
    /// Backups and the live copy, where they are configured.
    pub backup: Option<BackupState>,
    /// The tills that the caller may use.
    pub tills: Vec<TillState>,
}

/// Backups of the ledger.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupState {
    /// The folder that they go to.
    pub folder: Option<String>,
    /// When the latest one was made, local.
    pub last_backup: Option<String>,
    /// One is being made: `copying` or `checking`.
    pub running: Option<String>,
    /// How far that is.
    pub percent: Option<u64>,
    /// Why the last one failed.
    pub error: Option<String>,
    /// When that was, local.
    pub since: Option<String>,
    /// The file that follows the ledger.
    pub live: Option<LiveCopyState>,
}

/// The file that follows the ledger, on another disk.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveCopyState {
    /// The file.
    pub path: String,
    /// When it was last as the ledger was then, local.
    pub up_to_date: Option<String>,
    /// So many events are not in it yet.
    pub behind: Option<i64>,
    /// How long the oldest of them has waited.
    pub lag_seconds: Option<i64>,
    /// It is being made anew: how far that is.
    pub percent: Option<u64>,
    /// Why it does not follow.
    pub error: Option<String>,
    /// Since when, local.
    pub since: Option<String>,
}

/// The clock: receipts are dated by the trusted time.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clock {
    /// The time that receipts are dated by, local.
    pub trusted: String,
    /// The machine's clock, local.
    pub wall: String,
    /// Machine's clock less trusted time, in seconds.
    pub skew_seconds: i64,
    /// What is wrong or unconfirmed: `wall_leapt`, `behind_last_receipt`, `long_after_reboot`,
    /// `unconfirmed_after_reboot` or `fdms_differs`.
    pub flag: Option<String>,
}

/// The ledger.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerState {
    /// Whether it takes writes.
    pub writable: bool,
    /// The fault after which it takes none.
    pub fault: Option<String>,
    /// How many sales wait.
    pub waiting: u32,
}

/// How the store gets on with head office.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeadOffice {
    /// Its address.
    pub url: String,
    /// The tenant.
    pub tenant: String,
    /// The store.
    pub store: String,
    /// `connected`, `away`, or `unknown` before the first exchange since the gateway's start.
    pub state: String,
    /// How many events head office has not yet.
    pub waiting: u64,
    /// How old the oldest of them is, in seconds.
    pub lag_seconds: Option<i64>,
    /// When head office last answered, local.
    pub last_contact: Option<String>,
    /// What head office has set in the store, by the names of `[store]` in the configuration; the rest stands in the store's file.
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// Why nothing gets through, and what to do.
    pub error: Option<String>,
    /// Since when, local.
    pub since: Option<String>,
}

/// What is alarming.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alarms {
    /// Those that stop sales first.
    pub alarms: Vec<Alarm>,
}

/// Something that a person must know or do. It is there as long as its reason is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alarm {
    /// The stable code; all are in docs/OPERATOR.md.
    pub code: String,
    /// `stops`: sales are refused. `attend`: it sells, and a person must act. `note`: good to know.
    pub severity: String,
    /// The till; absent where it concerns the whole store.
    #[serde(rename = "deviceID")]
    pub device_id: Option<u32>,
    /// `test` or `production`.
    pub environment: Option<String>,
    /// Since when, where that is known.
    pub since: Option<String>,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub action: String,
    /// What stands in these sentences, by name: for sentences in another language.
    pub values: std::collections::BTreeMap<String, String>,
    /// More of it, for a technician.
    pub detail: Option<String>,
}

/// A till.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TillState {
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// Its serial number.
    pub device_serial_no: String,
    /// Its model.
    pub device_model_name: String,
    /// Its model's version.
    pub device_model_version: String,
    /// What is put in front of every `invoiceNo`.
    pub invoice_prefix: String,
    /// Whether it has a certificate and a configuration.
    pub ready: bool,
    /// The taxpayer.
    pub taxpayer: Option<Taxpayer>,
    /// The latest fiscal day.
    pub day: Option<DayState>,
    /// The last receipt.
    pub last_receipt: Option<LastReceipt>,
    /// The certificate in use.
    pub certificate: Option<Certificate>,
    /// Why it takes no sales.
    pub hold: Option<super::Hold>,
    /// The till that its new sales go to instead.
    pub new_sales_go_to: Option<super::TillName>,
    /// From which numbers of others it last went on.
    pub adopted: Option<super::AdoptedNumbers>,
    /// Its way to FDMS.
    pub link: Option<super::Link>,
    /// The queue to FDMS.
    pub fdms: Queue,
}

/// The taxpayer as FDMS has configured it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taxpayer {
    /// Legal name.
    pub tax_payer_name: String,
    /// Taxpayer identification number.
    #[serde(rename = "taxPayerTIN")]
    pub tax_payer_tin: String,
    /// VAT number, if registered for VAT.
    pub vat_number: Option<String>,
    /// Name of the branch.
    pub device_branch_name: String,
    /// Address that QR codes point to.
    pub qr_url: String,
    /// Longest fiscal day in hours.
    pub tax_payer_day_max_hrs: u32,
    /// The taxes, also those that are no longer valid.
    pub applicable_taxes: Vec<AppliedTax>,
}

/// A tax.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppliedTax {
    /// Its number.
    #[serde(rename = "taxID")]
    pub tax_id: u32,
    /// Its name.
    pub tax_name: String,
    /// Its percent; absent for exempt.
    pub tax_percent: Option<Exact>,
    /// From when on.
    pub valid_from: Option<String>,
    /// Until when.
    pub valid_till: Option<String>,
}

/// A fiscal day, in short.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DayState {
    /// Its number.
    pub fiscal_day_no: u32,
    /// `open` or `closed`.
    pub state: String,
    /// When it was opened.
    pub fiscal_day_opened: String,
    /// When it was closed.
    pub fiscal_day_closed: Option<String>,
    /// Of an open day: the last moment at which it takes receipts.
    pub longest_until: Option<String>,
    /// Of an open day: its receipts that FDMS marked Red.
    pub red_receipts: Option<Vec<RedReceipt>>,
    /// Of an open day with a Red receipt, which the device cannot close: what a person is to do.
    pub not_closable: Option<String>,
    /// Of an open day that the gateway closes by itself: when.
    pub closes_at: Option<String>,
    /// Of an open day that nears its longest: what the cashier is to do.
    pub warning: Option<String>,
    /// Number of its last receipt within it.
    pub receipt_counter: u32,
}

/// A receipt that FDMS marked Red.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedReceipt {
    /// Its number.
    pub receipt_global_no: u32,
    /// The rules that FDMS found broken, each with its colour: `RCPT025 Red`.
    pub marks: Vec<String>,
}

/// The last receipt.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastReceipt {
    /// Its number.
    pub receipt_global_no: u32,
    /// Its date.
    pub receipt_date: String,
}

/// A certificate.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// Until when it is valid.
    pub valid_till: String,
    /// Whole days left; below zero when it has expired.
    pub days_left: i64,
    /// FDMS's name for it.
    pub thumbprint: String,
    /// From 30 days before its end on: what is done about it, and what a person may do.
    pub alarm: Option<String>,
}

/// A till's queue to FDMS.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// `sent`: nothing waits. `waiting`: it will be sent. `retrying`: the head was tried in vain. `parked`:
    /// nothing is sent until a person has acted.
    pub state: String,
    /// Openings, receipts and closes that FDMS does not have yet.
    pub unsent: u32,
    /// Receipts among them.
    pub unsent_receipts: u32,
    /// What is sent next.
    pub head: Option<QueueHead>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Option<String>,
    /// Why the last try was in vain.
    pub last_error: Option<String>,
    /// Why nothing is sent.
    pub parked: Option<Parked>,
}

/// What is sent next.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueHead {
    /// `openDay`, `receipt` or `closeDay`.
    pub what: String,
    /// The day.
    pub fiscal_day_no: Option<u32>,
    /// The receipt.
    pub receipt_global_no: Option<u32>,
    /// It is not sent before this moment.
    pub not_before: String,
    /// `send`; or `ask` or `poll`: FDMS is asked how it stands.
    pub step: String,
}

/// The queues of the tills that the caller may use.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queues {
    /// One for each till.
    pub tills: Vec<TillQueue>,
}

/// A till's queue to FDMS, with the till.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TillQueue {
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// `sent`, `waiting`, `retrying` or `parked`.
    pub state: String,
    /// Openings, receipts and closes that FDMS does not have yet.
    pub unsent: u32,
    /// Receipts among them.
    pub unsent_receipts: u32,
    /// What is sent next.
    pub head: Option<QueueHead>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Option<String>,
    /// Why the last try was in vain.
    pub last_error: Option<String>,
    /// Why nothing is sent.
    pub parked: Option<Parked>,
}

/// Why a queue is parked.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parked {
    /// A sentence.
    pub reason: String,
    /// FDMS's code, or the HTTP status.
    pub code: String,
    /// What a person may do: `retry`.
    pub actions: Vec<String>,
    /// Whether the gateway itself asks FDMS now and then if it is over.
    pub probing: bool,
    /// Since when.
    pub since: String,
}

/// The `data` of an event.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// Its number, also its id.
    pub seq: i64,
    /// When, local.
    pub at: String,
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: Option<u32>,
    /// `test` or `production`.
    pub environment: Option<String>,
    /// The till's serial number.
    pub device_serial_no: Option<String>,
    /// What happened: `receipt.issued`, `day.opened`, `day.closed`, `fdms.opened`, `fdms.receipt`,
    /// `fdms.closed`, `stream.parked`, `stream.resumed`, `config.changed`, `fdms.signature_invalid`, `receipt.red`, `day.ending`, `certificate.used`,
    /// `certificate.expiring`, `certificate.expired`, `link.offline`, `link.online`, `link.caught_up`, `till.held`, `till.released`,
    /// `till.adopted`, `till.switched`, `receipt.grey`, `day.healed`, …
    pub kind: String,
    /// The receipt it is about.
    pub receipt_global_no: Option<u32>,
    /// More of it: a text, or an object.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Box<serde_json::value::RawValue>>,
}

/// Alive or ready.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Health {
    /// `ok` or `ready`.
    pub status: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// `urn:fiscald:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong, in general.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here.
    pub detail: String,
    /// The stable code; all are in docs/ERRORS.md.
    pub code: String,
    /// JSON pointer of the field of the body.
    pub pointer: Option<String>,
    /// The parameter of the address.
    pub parameter: Option<String>,
    /// What to do.
    pub action: String,
    /// FDMS's own code, where FDMS has refused.
    pub error_code: Option<String>,
    /// Everything that is wrong with a sale.
    pub findings: Option<Vec<Finding>>,
}

/// Something that is wrong with a sale.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// The stable code.
    pub code: String,
    /// FDMS's colour: `Red` or `Yellow`; `Refused` is what FDMS would not take at all.
    pub color: String,
    /// JSON pointer of the field.
    pub pointer: String,
    /// What is wrong here.
    pub message: String,
    /// What to do.
    pub action: String,
}
