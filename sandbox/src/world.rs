//! The state of the sandbox, and the verbs on it.
//!
//! No network, no clock: the time comes in with each verb, so that a test can play days in seconds.
//! One lock around it makes every verb a transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clock::Timestamp;

use crate::answer::Refusal;
use crate::json::Errors;
use crate::model::{Device, Kept, Taxpayer};
use crate::secrets::Secrets;
use crate::settings::Settings;

mod access;
mod days;
mod devices;
mod file_list;
mod files;
mod identity;
mod receipts;
mod stock;
mod users;
mod view;

pub(crate) use access::ModelHeaders;
pub use devices::DeviceError;
pub(crate) use files::FileMessage;
pub(crate) use view::DeviceView;

/// Everything the sandbox knows.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    /// By TIN.
    taxpayers: HashMap<String, Taxpayer>,
    devices: BTreeMap<u32, Device>,
    /// All receipts; a receiptID is an index into it plus `first_receipt_id`.
    receipts: Vec<Kept>,
    first_receipt_id: i64,
    /// Whose a certificate is: device and index into its certificates, by SHA-256 of the DER.
    certificates: HashMap<[u8; 32], (u32, usize)>,
    /// The devices with files that have not come to their end.
    unfinished_files: BTreeSet<u32>,
    secrets: Secrets,
}

impl World {
    /// An FDMS that knows nobody; its receiptIDs begin at `first_receipt_id`, and codes and tokens
    /// are drawn from it.
    pub(crate) fn new(settings: Settings, first_receipt_id: i64) -> Self {
        Self {
            settings,
            taxpayers: HashMap::new(),
            devices: BTreeMap::new(),
            receipts: Vec::new(),
            first_receipt_id,
            certificates: HashMap::new(),
            unfinished_files: BTreeSet::new(),
            secrets: Secrets::new(first_receipt_id.unsigned_abs()),
        }
    }

    /// The device, which must be known (DEV01).
    fn device(&self, device_id: u32) -> Result<&Device, Refusal> {
        self.devices.get(&device_id).ok_or_else(unknown_device)
    }

    /// The device, and what closing of its day is due is done first.
    fn settled(&mut self, device_id: u32, now: Timestamp) -> Result<&mut Device, Refusal> {
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(unknown_device)?;
        days::settle(device, now);
        Ok(device)
    }

    fn taxpayer_of(&self, device: &Device) -> Result<&Taxpayer, Refusal> {
        let tin = &device.spec.tax_payer_tin;
        self.taxpayers
            .get(tin)
            .ok_or_else(|| Refusal::code("DEV05", "The taxpayer is not known."))
    }

    /// How fields of the wrong shape are answered.
    fn wrong_fields(&self, errors: Errors, code: Option<&'static str>) -> Refusal {
        Refusal::fields(errors, self.settings.field_errors, code)
    }
}

fn unknown_device() -> Refusal {
    Refusal::code("DEV01", "The device is not found or not active.")
}
