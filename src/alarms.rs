//! Alarms: what a person must know or do, told from how the store is at this moment.
//!
//! [`alarms`] is the one place where it is decided what is alarming. It is a pure function of [`StoreFacts`], so an
//! alarm is there as long as its reason is, and is cleared by nothing but the end of the reason. Whoever shows alarms
//! (`GET /v1/alarms`, the operator's page, a command) asks here and adds nothing of his own. Each has a stable code;
//! what it means and what to do stands in the table below, in English, and in the page's files of texts.

use std::net::IpAddr;

use clock::{DateTime, Timestamp};
use drivers::job::HeldReason;
use fiscal::{DeviceId, FiscalDayNo, ReceiptGlobalNo};

use crate::ledger::Environment;
use crate::ledger::holds::{Hold, HoldKind};
use crate::ledger::stream::Parked;
use crate::time::TimeFlag;

mod rules;
#[cfg(test)]
mod tests;

pub use rules::{BACKUP_OLD, SILENT_LONG, alarms};

/// How much an alarm means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Sales are refused: the light is red.
    Stops,
    /// It sells, and a person must act: the light is yellow.
    Attend,
    /// Good to know; it may mend itself. The light stays green.
    Note,
}

impl Severity {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stops => "stops",
            Self::Attend => "attend",
            Self::Note => "note",
        }
    }
}

macro_rules! codes {
    (@one) => { None };
    (@one $value:literal $one:literal) => { Some(($value, $one)) };
    ($($variant:ident $text:literal $what:literal $(one $value:literal $one:literal)? => $action:literal;)*) => {
        /// What can be alarming.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AlarmCode {
            $(#[doc = $what] $variant,)*
        }

        impl AlarmCode {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as outsiders see it; never changed once published.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What is the matter, with `{names}` of values.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),* }
            }

            /// Where the sentence counts something: which of its values is the count, and the sentence for one thing.
            #[must_use]
            pub const fn one(self) -> Option<(&'static str, &'static str)> {
                match self { $(Self::$variant => codes!(@one $($value $one)?)),* }
            }

            /// What to do, with `{names}` of values.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$variant => $action),* }
            }
        }
    };
}

codes! {
    LedgerFault "ledger_fault" "The gateway cannot write its ledger." => "No sale can be made. Call your technician: look after the disk, run `fiscald verify`, restart the gateway.";
    DiskFull "disk_full" "The disk of the gateway is full: {free} MB are left." => "Sales are refused. Delete files that nobody needs from this machine; selling goes on by itself.";
    DiskNearlyFull "disk_nearly_full" "The disk of the gateway is nearly full: {free} MB are left." => "Have files that nobody needs deleted from this machine soon. When the disk is full, no sale can be made.";
    TillUnchecked "till_unchecked" "The ledger was moved or copied: the authority must be asked before this till sells." => "Connect the store to the internet and wait a minute. Without internet call your technician.";
    TillAhead "till_ahead" "The authority has more receipts of this till than the gateway." => "Do not sell on this till. Call your technician.";
    TillDisabled "till_disabled" "Head office has switched this till off." => "Ask head office to switch it on again.";
    TillBlocked "till_blocked" "Head office has blocked this till." => "Do not sell on this till. Ask head office why: the reason stands there, and it is unblocked there. What waits is kept.";
    TillNotReady "till_not_ready" "This till is not set up yet." => "Call your technician to finish the registration.";
    DayOver "day_over" "Fiscal day {day} has been open for too long, since {until}." => "Close the day now.";
    DayEnding "day_ending" "Fiscal day {day} must be closed by {until}." => "Close the day before then, best at a quiet moment.";
    Parked "parked" "The authority has refused a message. Nothing more is sent to it." => "Go on selling. Call your technician: the reason stands under Queue. When it is mended, press Send again.";
    Paused "paused" "Somebody has paused sending to the authority." => "Go on selling. Press Send again, under Queue, when it may go on.";
    CloseFailed "close_failed" "The authority has not accepted the close of a fiscal day." => "Go on selling. Call your technician: the reason stands under Queue.";
    ReceiptRed "receipt_red" "The authority has marked receipt {receipts} red. It will not let the device close this day." => "Go on selling. After the day is closed here, a technician closes it in the authority's portal, then presses Send again.";
    ReceiptGrey "receipt_grey" "The authority says that a receipt before receipt {receipts} is missing." => "The gateway sends the day's receipts again by itself. If this stays for a day, call your technician.";
    SignatureInvalid "signature_invalid" "The authority's signature on receipt {receipts} is wrong." => "Go on selling. Call your technician to report it to the authority's support.";
    UnsentLong "unsent_long" "{receipts} receipts wait for the authority, the oldest since {since}." one "receipts" "{receipts} receipt waits for the authority, since {since}." => "Go on selling. Look after the internet of the shop: cable, router, data bundle. What waits is sent by itself.";
    CertificateEnded "certificate_ended" "The certificate of this till ended on {until}. Nothing is sent to the authority." => "Go on selling. Call your technician: a new activation key from the authority is needed.";
    CertificateEnding "certificate_ending" "The certificate of this till ends in {days} days, on {until}." one "days" "The certificate of this till ends in {days} day, on {until}." => "Keep the store on the internet: the certificate is renewed by itself. If not, press Renew under Store.";
    ConfigUnusable "config_unusable" "The authority's new settings for this till cannot be used." => "Go on selling with the old settings. Call your technician.";
    ClockOff "clock_off" "The clock of this machine is wrong." => "Set the date and time of this machine right, or call your technician. Receipts keep the right time.";
    ClockUnconfirmed "clock_unconfirmed" "Nobody has confirmed the clock since the machine was started." => "Connect the store to the internet; compare the time under Store with a watch.";
    PrinterAway "printer_away" "Printer {printer} does not answer." => "Switch the printer on and look after its cable. Receipts wait and come out later.";
    PrinterPaperOut "printer_paper_out" "Printer {printer} has no paper." => "Put in a new roll. Printing goes on by itself.";
    PrinterCoverOpen "printer_cover_open" "The cover of printer {printer} is open." => "Close the cover. Printing goes on by itself.";
    PrinterFault "printer_fault" "Printer {printer} has a fault." => "Switch the printer off and on. If that does not help, call your technician.";
    PrinterPaperLow "printer_paper_low" "The paper of printer {printer} is nearly used up." => "Have a new roll ready.";
    PapersInDoubt "papers_in_doubt" "Nobody knows if {count} papers came out of printer {printer}." one "count" "Nobody knows if {count} paper came out of printer {printer}." => "Look at the printer, then say under Printers if each paper came out.";
    PapersPutAside "papers_put_aside" "{count} papers of the old till software could not be sold." one "count" "{count} paper of the old till software could not be sold." => "No receipt was made. Call your technician: the reason stands under Queue.";
    PortShut "port_shut" "The port {port} for old till software is closed." => "Call your technician. The old till software finds no printer.";
    LanAway "lan_away" "This machine does not have the address {address}, by which tills on other machines come in." => "Go on selling on this machine. Look after cable and router of the shop: as soon as the address is there, the other tills sell again. If it stays away, call your technician.";
    HeadOfficeSilent "head_office_silent" "Head office has not answered since {since}." => "Go on selling. Look after the internet of the shop; what waits is sent by itself.";
    CopyStill "copy_still" "The copy of the ledger has stood still since {since}." => "Go on selling. Look if the disk or stick of the copy is in its place. The reason stands under Store.";
    BackupFailed "backup_failed" "The last backup of the ledger failed, at {since}." => "Go on selling. Look if the disk or stick for backups is in its place. The reason stands under Store; it is tried again by itself.";
    BackupOld "backup_old" "No backup of the ledger was made since {since}." => "Go on selling. Look if the disk or stick for backups is in its place, then call your technician.";
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is.
    pub code: AlarmCode,
    /// How much it means.
    pub severity: Severity,
    /// The till; none where it concerns the whole store.
    pub till: Option<(Environment, DeviceId)>,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// What stands in its words.
    pub values: Vec<(&'static str, String)>,
    /// What is known of it beside that: an English sentence for a technician.
    pub detail: Option<String>,
}

impl Alarm {
    /// What is the matter.
    #[must_use]
    pub fn what(&self) -> String {
        let is_one = |name: &str| {
            let mut values = self.values.iter();
            values.any(|(own, value)| *own == name && value == "1")
        };
        let one = self.code.one().filter(|(name, _)| is_one(name));
        fill(one.map_or(self.code.what(), |(_, one)| one), &self.values)
    }

    /// What to do.
    #[must_use]
    pub fn action(&self) -> String {
        fill(self.code.action(), &self.values)
    }

    /// Whether it concerns this till: one of its own, or one of the whole store that stops all tills.
    #[must_use]
    pub fn concerns(&self, till: (Environment, DeviceId)) -> bool {
        match self.till {
            Some(own) => own == till,
            None => self.severity == Severity::Stops,
        }
    }
}

/// A text with its `{names}` replaced by values. What has no value stays as it is.
#[must_use]
pub fn fill<'a>(
    text: &str,
    values: impl IntoIterator<Item = &'a (&'static str, String)>,
) -> String {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

/// How the store is, as far as alarms want to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreFacts {
    /// The trusted time.
    pub now: Timestamp,
    /// What is wrong with the machine's clock, or unconfirmed.
    pub clock: Option<TimeFlag>,
    /// The machine's clock less the trusted time, in seconds.
    pub skew_seconds: i64,
    /// The fault after which the ledger takes no writes.
    pub ledger_fault: Option<String>,
    /// Bytes that are free on the ledger's disk, where that can be told.
    pub disk_free: Option<u64>,
    /// Why head office does not answer, and since when.
    pub head_office: Option<(String, Timestamp)>,
    /// Why the live copy does not follow, and since when.
    pub live_copy: Option<(String, Timestamp)>,
    /// Why the last backup failed, and when.
    pub backup: Option<(String, Timestamp)>,
    /// Since when this run of the gateway makes backups; none where none are configured.
    pub backups_since: Option<Timestamp>,
    /// When the last backup was made, if there is one.
    pub last_backup: Option<Timestamp>,
    /// The tills.
    pub tills: Vec<TillFacts>,
    /// The printers.
    pub printers: Vec<PrinterFacts>,
    /// Ports for old POS software that cannot be opened, and why.
    pub shut_ports: Vec<(String, String)>,
    /// The address of `[api.lan]`, while no interface of this machine has it.
    pub lan_away: Option<IpAddr>,
    /// Papers of old POS software that were put aside.
    pub put_aside: u32,
}

/// How a till is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TillFacts {
    /// The till.
    pub till: (Environment, DeviceId),
    /// Whether it has a certificate and a configuration.
    pub is_ready: bool,
    /// Why it takes no sales.
    pub hold: Option<Hold>,
    /// The open fiscal day.
    pub day: Option<OpenDay>,
    /// Receipts of the latest day that FDMS marked Red.
    pub red: Vec<ReceiptGlobalNo>,
    /// The same of those that it marked Grey, and has not taken back since.
    pub grey: Vec<ReceiptGlobalNo>,
    /// The same of those with a signature of FDMS that does not fit.
    pub unproven: Vec<ReceiptGlobalNo>,
    /// Why its queue sends nothing.
    pub parked: Option<Parked>,
    /// Receipts that FDMS does not have.
    pub unsent_receipts: u32,
    /// The date of what is sent next, local.
    pub oldest_unsent: Option<DateTime>,
    /// When its certificate ends.
    pub certificate_ends: Option<Timestamp>,
    /// Why the authority's last configuration cannot be used.
    pub config_error: Option<String>,
}

/// An open fiscal day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenDay {
    /// Its number.
    pub no: FiscalDayNo,
    /// From when on the cashier is warned, local.
    pub warned_from: DateTime,
    /// The last moment at which it takes receipts, local.
    pub longest: DateTime,
    /// Whether the next sale after that closes it and opens another.
    pub rolls_over: bool,
}

/// How a printer is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrinterFacts {
    /// Its name.
    pub name: String,
    /// Whether it was reached; none before it was tried.
    pub connected: Option<bool>,
    /// What keeps it from printing.
    pub fault: Option<HeldReason>,
    /// Paper is near its end.
    pub paper_low: bool,
    /// Papers of which nobody knows whether they came out.
    pub in_doubt: usize,
    /// What the last attempt to reach it said.
    pub link_error: Option<String>,
}
