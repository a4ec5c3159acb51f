//! Adding, changing and removing devices: the authority's side of the desk.

use clock::Timestamp;
use jiff::civil::DateTime;

use super::World;
use crate::micro::Micro;
use crate::model::{Device, Taxpayer};
use crate::spec::{DeviceChange, DeviceSpec, Good};

/// Why a device could not be added or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is one with this ID; delete it first, or change it.
    #[error("device {0} exists already: change it, or delete it first")]
    Exists(u32),
    /// There is none with this ID.
    #[error("there is no device {0}: add it first")]
    Unknown(u32),
    /// A field of the description cannot be.
    #[error("{0}")]
    Wrong(String),
    /// The change cannot be written to the data folder, and was not made for good.
    #[error("the change cannot be kept: {0}")]
    NotKept(String),
}

impl World {
    /// A new device; its taxpayer becomes what the description says.
    pub(crate) fn add_device(
        &mut self,
        spec: DeviceSpec,
        now: Timestamp,
    ) -> Result<(), DeviceError> {
        check(&spec)?;
        if self.devices.contains_key(&spec.device_id) {
            return Err(DeviceError::Exists(spec.device_id));
        }
        // A deleted device's certificates are nobody's once there is another with its number.
        self.certificates
            .retain(|_, (owner, _)| *owner != spec.device_id);
        let taxpayer = self
            .taxpayers
            .entry(spec.tax_payer_tin.clone())
            .or_default();
        taxpayer.is_active = true;
        taxpayer.name = spec.tax_payer_name.clone();
        set_vat_number(taxpayer, spec.vat_number.clone(), now);
        let device_id = spec.device_id;
        self.devices.insert(device_id, Device::new(spec));
        self.share_stock(device_id)
    }

    /// Changes a device and its taxpayer.
    pub(crate) fn change_device(
        &mut self,
        device_id: u32,
        change: DeviceChange,
        now: Timestamp,
    ) -> Result<(), DeviceError> {
        let device = self.devices.get_mut(&device_id);
        let device = device.ok_or(DeviceError::Unknown(device_id))?;
        check_change(&change)?;
        if let Some(taxpayer) = self.taxpayers.get_mut(&device.spec.tax_payer_tin) {
            taxpayer.is_active = change.tax_payer_active.unwrap_or(taxpayer.is_active);
            if let Some(number) = change.vat_number {
                let number = Some(number).filter(|number| !number.is_empty());
                device.spec.vat_number = number.clone();
                set_vat_number(taxpayer, number, now);
            }
        }
        device.is_active = change.active.unwrap_or(device.is_active);
        if let Some(key) = change.activation_key {
            device.spec.activation_key = key;
            device.is_activation_key_used = false;
        }
        for certificate in &mut device.certificates {
            certificate.is_revoked |= change.revoke_certificates.unwrap_or(false);
        }
        let spec = &mut device.spec;
        replace(&mut spec.taxes, change.taxes);
        replace(&mut spec.operating_mode, change.operating_mode);
        replace(&mut spec.day_max_hrs, change.day_max_hrs);
        replace(
            &mut spec.day_end_notification_hrs,
            change.day_end_notification_hrs,
        );
        replace(&mut spec.qr_url, change.qr_url);
        replace(&mut spec.reporting_frequency, change.reporting_frequency);
        if change.model.is_some() {
            spec.model = change.model;
        }
        Ok(())
    }

    /// Removes a device. Its certificates are still known as FDMS's, so that it is answered DEV01.
    pub(crate) fn delete_device(&mut self, device_id: u32) -> Result<(), DeviceError> {
        let removed = self.devices.remove(&device_id);
        removed.map(|_| ()).ok_or(DeviceError::Unknown(device_id))
    }

    /// All devices.
    pub(crate) fn devices(&self) -> Vec<DeviceSpec> {
        self.devices
            .values()
            .map(|device| device.spec.clone())
            .collect()
    }
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_vat_number(taxpayer: &mut Taxpayer, number: Option<String>, now: Timestamp) {
    let since = match taxpayer.vat_numbers.last() {
        None => DateTime::MIN,
        Some((_, current)) if *current == number => return,
        Some(_) => clock::local(now),
    };
    taxpayer.vat_numbers.push((since, number));
}

/// The same lengths where they are changed.
fn check_change(change: &DeviceChange) -> Result<(), DeviceError> {
    let wrong = |what: &str| Err(DeviceError::Wrong(what.to_owned()));
    let vat_number = change.vat_number.as_ref();
    if vat_number.is_some_and(|number| !number.is_empty() && number.len() != 9) {
        return wrong("vatNumber must have 9 digits, or be empty for none");
    }
    let key = change.activation_key.as_ref();
    if key.is_some_and(|key| key.chars().count() != 8) {
        return wrong("activationKey must have 8 characters");
    }
    if change
        .qr_url
        .as_ref()
        .is_some_and(|url| url.chars().count() > 50)
    {
        return wrong("qrUrl must have at most 50 characters");
    }
    Ok(())
}

/// The lengths of the fields of goods.
pub(super) fn check_stock(goods: &[Good]) -> Result<(), DeviceError> {
    let wrong = |what: &str| Err(DeviceError::Wrong(what.to_owned()));
    for good in goods {
        let code = good.hs_code.as_deref().unwrap_or("00000000");
        if code.len() != 8 || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return wrong("hsCode must have 8 digits");
        }
        if good.good_name.is_empty() || good.good_name.chars().count() > 500 {
            return wrong("goodName must have 1 to 500 characters");
        }
        if Micro::parse(&good.quantity.to_string(), 19, 3).is_err() {
            return wrong("quantity must be decimal(19,3)");
        }
    }
    Ok(())
}

/// The lengths of the authority's own fields.
fn check(spec: &DeviceSpec) -> Result<(), DeviceError> {
    let wrong = |what: &str| Err(DeviceError::Wrong(what.to_owned()));
    if i32::try_from(spec.device_id).is_err() || spec.device_id == 0 {
        return wrong("deviceID must be between 1 and 2147483647");
    }
    if spec.serial_no.is_empty() || spec.serial_no.chars().count() > 20 {
        return wrong("serialNo must have 1 to 20 characters");
    }
    if spec.activation_key.chars().count() != 8 {
        return wrong("activationKey must have 8 characters");
    }
    if spec.tax_payer_tin.len() != 10 {
        return wrong("taxPayerTIN must have 10 digits");
    }
    if spec
        .vat_number
        .as_ref()
        .is_some_and(|number| number.len() != 9)
    {
        return wrong("vatNumber must have 9 digits");
    }
    if spec.qr_url.chars().count() > 50 {
        return wrong("qrUrl must have at most 50 characters");
    }
    check_stock(&spec.stock)
}
