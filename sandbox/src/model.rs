//! What the sandbox keeps: taxpayers, devices, certificates, days, receipts.
//!
//! Everything that a message needs is found by key, so that the hundred-thousandth receipt costs as
//! much as the first.

use std::collections::{BTreeMap, HashMap};

use clock::Timestamp;
use jiff::civil::DateTime;
use serde::Serialize;

use crate::counters::Counters;
use crate::failure::ClosingError;
use crate::finding::{Color, Finding};
use crate::micro::Micro;
use crate::receipt::ReceiptType;
use crate::signing::DeviceKey;
use crate::spec::{DeviceSpec, Model};

mod files;
mod users;

pub(crate) use files::FileRecord;
pub use files::{BadReceipt, FileStatus, StoredFile};
pub use users::{Channel, CodePurpose, StoredMail, UserStatus};
pub(crate) use users::{Password, SentCode, User};

/// Who pays the taxes; known by the TIN.
#[derive(Debug, Default)]
pub(crate) struct Taxpayer {
    pub(crate) name: String,
    /// VAT numbers and since when (local time); the first since ever.
    pub(crate) vat_numbers: Vec<(DateTime, Option<String>)>,
    pub(crate) is_active: bool,
    /// Every invoice number used, by all its devices.
    pub(crate) invoice_nos: std::collections::HashSet<String>,
    /// The users of its tills, by name.
    pub(crate) users: BTreeMap<String, User>,
    /// Whose a token is, by token.
    pub(crate) tokens: HashMap<String, String>,
}

impl Taxpayer {
    /// The VAT number now.
    pub(crate) fn vat_number(&self) -> Option<&str> {
        self.vat_numbers.last()?.1.as_deref()
    }

    /// Whether it was a VAT payer at that time.
    pub(crate) fn was_vat_payer_at(&self, date: DateTime) -> bool {
        let entry = self
            .vat_numbers
            .iter()
            .rev()
            .find(|(since, _)| *since <= date);
        entry
            .or_else(|| self.vat_numbers.first())
            .is_some_and(|(_, number)| number.is_some())
    }
}

/// A certificate that was issued to a device.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) key: DeviceKey,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_till: Timestamp,
    pub(crate) is_revoked: bool,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) spec: DeviceSpec,
    pub(crate) is_active: bool,
    pub(crate) is_activation_key_used: bool,
    /// The model it registered itself with.
    pub(crate) registered_model: Option<Model>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) days: Vec<Day>,
    /// Its receipts in the order they came, as indexes into all receipts.
    pub(crate) receipts: Vec<usize>,
    /// By global number; a new map each time the numbers restart at 1.
    pub(crate) runs: Vec<BTreeMap<i32, usize>>,
    /// By global number and hash: how a repeated receipt is known.
    pub(crate) by_hash: HashMap<(i32, [u8; 32]), usize>,
    /// Date and global number of the receipt with the latest date.
    pub(crate) latest: Option<(DateTime, i32)>,
    /// Its files in the order they came.
    pub(crate) files: Vec<FileRecord>,
    /// When a file was finished last.
    pub(crate) files_at: Timestamp,
    /// The security codes that were sent for it.
    pub(crate) mails: Vec<StoredMail>,
}

impl Device {
    pub(crate) fn new(spec: DeviceSpec) -> Self {
        Self {
            spec,
            is_active: true,
            is_activation_key_used: false,
            registered_model: None,
            certificates: Vec::new(),
            days: Vec::new(),
            receipts: Vec::new(),
            runs: Vec::new(),
            by_hash: HashMap::new(),
            latest: None,
            files: Vec::new(),
            files_at: Timestamp::MIN,
            mails: Vec::new(),
        }
    }

    /// The keys whose signatures are taken.
    pub(crate) fn keys(&self) -> Vec<DeviceKey> {
        let valid = self.certificates.iter().rev().filter(|c| !c.is_revoked);
        let mut keys: Vec<DeviceKey> = Vec::new();
        for certificate in valid {
            if !keys.contains(&certificate.key) {
                keys.push(certificate.key.clone());
            }
        }
        keys
    }
}

/// The states of a fiscal day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum DayStatus {
    FiscalDayClosed,
    FiscalDayOpened,
    FiscalDayCloseInitiated,
    FiscalDayCloseFailed,
}

/// How a day was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReconciliationMode {
    /// By the device.
    Auto,
    /// By hand.
    Manual,
}

/// A fiscal day.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) no: i32,
    pub(crate) opened: DateTime,
    pub(crate) status: DayStatus,
    pub(crate) counters: Counters,
    /// How many receipts of each type and currency, and their total.
    pub(crate) documents: BTreeMap<(ReceiptType, String), (u32, Micro)>,
    pub(crate) receipt_count: u32,
    pub(crate) grey_count: u32,
    pub(crate) red_count: u32,
    /// The highest receiptCounter.
    pub(crate) last_counter: i32,
    /// A close that is under way.
    pub(crate) closing: Option<Closing>,
    pub(crate) closing_error: Option<ClosingError>,
    /// How it was closed, when it was.
    pub(crate) closed: Option<Closed>,
}

/// A close that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    /// When it is done, by the sandbox's clock.
    pub(crate) due: Timestamp,
    /// How many times GetStatus still says that it is under way.
    pub(crate) polls_left: u32,
    /// What it will come to.
    pub(crate) outcome: Result<String, ClosingError>,
}

/// How a day was closed.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    pub(crate) mode: ReconciliationMode,
    pub(crate) at: DateTime,
    /// The device's signature, as sent; none where it was closed by hand.
    pub(crate) device_signature: Option<String>,
}

/// A receipt that was taken.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) device_id: u32,
    pub(crate) day_no: i32,
    pub(crate) kind: ReceiptType,
    pub(crate) counter: i32,
    pub(crate) global_no: i32,
    pub(crate) date: DateTime,
    pub(crate) currency: String,
    pub(crate) total: Micro,
    pub(crate) taxes: Vec<(i32, Option<Micro>)>,
    /// The hash it was sent with, base64.
    pub(crate) hash: String,
    /// The device's signature as sent, base64.
    pub(crate) device_signature: String,
    pub(crate) server_date: DateTime,
    pub(crate) invoice_no: String,
    /// What credit notes have taken off it (positive) and debit notes have added.
    pub(crate) credited: Micro,
    pub(crate) debited: Micro,
    /// Findings of the receipt alone, and of its place in the chain.
    pub(crate) alone: Vec<Finding>,
    pub(crate) chain: Vec<Finding>,
    /// How many times it was received.
    pub(crate) times_received: u32,
    /// Its JSON as received.
    pub(crate) raw: Box<str>,
}

impl Kept {
    /// All its findings, in the order of their codes.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.alone.iter().chain(&self.chain).copied().collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn has(&self, color: Color) -> bool {
        self.alone
            .iter()
            .chain(&self.chain)
            .any(|f| f.color == color)
    }
}

/// A receipt as the sandbox keeps it, to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredReceipt {
    /// Whose receipt.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// FDMS's number of it.
    #[serde(rename = "receiptID")]
    pub receipt_id: i64,
    /// The day it was taken in.
    pub fiscal_day_no: i32,
    /// Invoice or note.
    pub receipt_type: ReceiptType,
    /// Its number in the day.
    pub receipt_counter: i32,
    /// Its number for ever.
    pub receipt_global_no: i32,
    /// The taxpayer's own number.
    pub invoice_no: String,
    /// The device's date.
    pub receipt_date: DateTime,
    /// When it was taken.
    pub server_date: DateTime,
    /// Currency code.
    pub currency: String,
    /// Its total.
    pub receipt_total: Micro,
    /// The hash it was sent with, base64.
    pub hash: String,
    /// The broken rules, in the order of their codes.
    pub validation_errors: Vec<Finding>,
    /// Whether something before it is missing still.
    pub is_grey: bool,
    /// How many times it was received.
    pub times_received: u32,
    /// The receipt's JSON as received.
    pub raw: String,
}

/// All of a device's receipts in a few figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptSummary {
    /// How many there are.
    pub receipts: usize,
    /// How many have a Yellow finding.
    pub yellow: usize,
    /// How many have a Grey one now.
    pub grey: usize,
    /// How many have a Red one.
    pub red: usize,
    /// How many were received more than once.
    pub repeated: usize,
    /// The highest global number.
    pub highest_global_no: Option<i32>,
}

/// A fiscal day as the sandbox keeps it, to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredDay {
    /// Its number.
    pub fiscal_day_no: i32,
    /// When the device opened it.
    pub fiscal_day_opened: DateTime,
    /// Its state.
    pub status: DayStatus,
    /// How many receipts were taken in it.
    pub receipt_count: u32,
    /// How many of them are Grey now.
    pub grey_count: u32,
    /// How many of them are Red.
    pub red_count: u32,
    /// Why the last close failed, while it is CloseFailed.
    pub closing_error: Option<ClosingError>,
    /// How it was closed, when it was.
    pub reconciliation_mode: Option<ReconciliationMode>,
    /// When it was closed, by the sandbox's clock.
    pub fiscal_day_closed: Option<DateTime>,
}
