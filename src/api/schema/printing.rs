//! Printers and print jobs as they are answered.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The store's printers.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Printers {
    /// In the configuration's order.
    pub printers: Vec<Printer>,
}

/// A printer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Printer {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub link: String,
    /// Characters in a line.
    pub columns: u32,
    /// `ready`, `paper_low`, `paper_out`, `cover_open`, `cutter`, `hot`, `offline`, `fault`, `unreachable`, `starting`.
    pub state: String,
    /// Whether its link is open.
    pub connected: Option<bool>,
    /// Whether the paper is near its end.
    pub paper_low: Option<bool>,
    /// What keeps it from printing.
    pub fault: Option<String>,
    /// Why its link is not open.
    pub link_error: Option<String>,
    /// The drawer's sensor; which of the two is open depends on the drawer.
    pub drawer_high: Option<bool>,
    /// Jobs that wait or are being printed.
    pub waiting: u32,
    /// Papers of which nobody knows whether they came out.
    pub in_doubt: u32,
    /// What to do.
    pub action: Option<String>,
}

/// A print job.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrintJob {
    /// Its number.
    pub job: i64,
    /// The printer.
    pub printer: String,
    /// `receipt`, `z_report`, `blocks` (X report, slip, test page), `captured`, `drawer`.
    pub kind: String,
    /// The receipt.
    pub receipt_global_no: Option<u32>,
    /// `original` or `copy`, once it has been taken to be sent.
    pub heading: Option<String>,
    /// `queued`, `held`, `sending`, `await_ack`, `done`, `unknown` (it may or may not have come out), `failed`, `lost`.
    pub state: String,
    /// How sure `done` is (`printed`, `processed`, `sent_healthy`, `sent`, `seen`), or why it is held, unknown or failed.
    pub detail: Option<String>,
    /// When it was queued, local.
    pub queued_at: String,
    /// When its state changed, local.
    pub changed_at: String,
}

/// Print jobs.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrintJobs {
    /// The jobs.
    pub prints: Vec<PrintJob>,
}

/// What became of a paper.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SettlePrint {
    /// True: it came out. False: it did not, and a copy is printed.
    pub came_out: bool,
}

/// What an old POS printed, and what became of it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capture {
    /// Its number.
    pub capture: i64,
    /// The port that it came in at.
    pub port: String,
    /// When, local.
    pub at: String,
    /// `new`, `passed` (no sale), `sold`, `repeated` (sold before), `quarantined`, `dropped`.
    pub state: String,
    /// The template that it was read by.
    pub template: Option<String>,
    /// The receipt.
    pub receipt_global_no: Option<u32>,
    /// Why it could not be sold.
    pub reasons: Vec<String>,
    /// The paper, line by line; of a single one only.
    pub paper: Option<Vec<String>>,
}

/// What old POS software printed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Captures {
    /// Newest first.
    pub captures: Vec<Capture>,
}

/// The ports for old POS software.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ports {
    /// In the configuration's order.
    pub ports: Vec<Port>,
}

/// A port for old POS software.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Its name in the configuration.
    pub name: String,
    /// What it plays: `printer`, `isl`, `zfp`.
    pub kind: String,
    /// Where POS software connects.
    pub listen: String,
    /// The till that it sells on.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// The till's environment.
    pub environment: String,
    /// The printer of its papers.
    pub printer: String,
    /// `open`, `cannot_open` (it is tried again by itself), `starting`.
    pub state: String,
    /// Why it cannot be opened.
    pub error: Option<String>,
    /// What to do about that.
    pub action: Option<String>,
    /// What will be refused or put aside though the port is open: tax letters or a currency that mean nothing, templates
    /// that cannot be read.
    pub warnings: Vec<String>,
    /// The last paper.
    pub last_paper: Option<LastPaper>,
    /// Papers that were put aside, and neither sold nor dropped since.
    pub quarantined: u32,
}

/// The last paper of a port.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastPaper {
    /// Its number among the captured papers, where the port plays a printer.
    pub capture: Option<i64>,
    /// Its print job, where the port plays a fiscal printer.
    pub job: Option<i64>,
    /// When it came, local.
    pub at: String,
    /// The state of the captured paper, or of the print job.
    pub state: String,
    /// The receipt.
    pub receipt_global_no: Option<u32>,
}

/// A captured paper in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct CapturePath {
    /// The paper's number.
    capture: i64,
}

/// Which captured papers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct CapturesParams {
    /// Only of this state.
    state: Option<String>,
    /// How many at most, up to 500; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A printer in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct PrinterPath {
    /// The printer's name in the configuration.
    printer: String,
}

/// A print job in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct JobPath {
    /// The job's number.
    job: i64,
}

/// Which printer.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct PrinterParams {
    /// The printer's name; left out: the till's own.
    printer: Option<String>,
}

/// Which print jobs.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct PrintsParams {
    /// Only of this printer.
    printer: Option<String>,
    /// Only those that wait or whose fate is not known.
    open: Option<bool>,
    /// How many at most, up to 500; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Whether a paper is a copy.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters that are read one by one")]
pub(in crate::api) struct CopyParams {
    /// Whether it is headed COPY.
    copy: Option<bool>,
}
