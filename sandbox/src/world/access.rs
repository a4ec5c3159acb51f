//! Who may call: certificates, and the states of device, model and taxpayer.

use clock::Timestamp;

use super::World;
use crate::answer::Refusal;
use crate::settings::ModelErrors;
use crate::spec::{Model, OperatingMode};

/// The two headers that name a device's model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelHeaders {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
}

impl ModelHeaders {
    pub(super) fn model(&self) -> Option<Model> {
        Some(Model {
            name: self.name.clone()?,
            version: self.version.clone()?,
        })
    }
}

impl World {
    /// Whether the certificate of the connection is one of this device's, valid now (else 401); the
    /// last moment of it.
    pub(crate) fn authenticate(
        &self,
        device_id: u32,
        fingerprint: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let refuse = |why: &str| Err(Refusal::status(401, why));
        let Some(fingerprint) = fingerprint else {
            return refuse("A device certificate is required.");
        };
        let Some((owner, index)) = self.certificates.get(&fingerprint) else {
            return refuse("The device certificate was not issued by this authority.");
        };
        if *owner != device_id {
            return refuse("The device certificate is another device's.");
        }
        // The certificates of a deleted device are still known; the device no longer is.
        let Some(certificate) = self.device(device_id)?.certificates.get(*index) else {
            return refuse("The device certificate was not issued to this device.");
        };
        if certificate.is_revoked {
            return refuse("The device certificate is revoked.");
        }
        if now < certificate.valid_from || certificate.valid_till < now {
            return refuse("Device certificate expired.");
        }
        Ok(certificate.valid_till)
    }

    /// Whether device and taxpayer are active and the model is the registered one: DEV01, DEV05, DEV04,
    /// DEV06.
    pub(crate) fn admit(&self, device_id: u32, headers: &ModelHeaders) -> Result<(), Refusal> {
        self.admit_without_model(device_id)?;
        let device = self.device(device_id)?;
        let registered = device.registered_model.as_ref();
        self.admit_model(headers, device.spec.model.as_ref().or(registered))
    }

    /// As [`World::admit`], but a device that registers anew may come with another model.
    pub(crate) fn admit_to_register(
        &self,
        device_id: u32,
        headers: &ModelHeaders,
    ) -> Result<(), Refusal> {
        self.admit_without_model(device_id)?;
        self.admit_model(headers, self.device(device_id)?.spec.model.as_ref())
    }

    fn admit_model(&self, headers: &ModelHeaders, expected: Option<&Model>) -> Result<(), Refusal> {
        let Some(model) = headers.model() else {
            let why = "The headers DeviceModelName and DeviceModelVersion are required.";
            return Err(self.wrong_model(why));
        };
        if self.settings.blacklisted_models.contains(&model) {
            return Err(Refusal::code("DEV04", "The device model is blacklisted."));
        }
        let listed = self.settings.models.as_ref();
        if listed.is_some_and(|models| !models.contains(&model)) {
            return Err(self.wrong_model("The device model is not registered."));
        }
        if expected.is_some_and(|expected| *expected != model) {
            return Err(self.wrong_model("The device is registered with another model."));
        }
        Ok(())
    }

    /// Whether device and taxpayer are active: DEV01, DEV05.
    pub(crate) fn admit_without_model(&self, device_id: u32) -> Result<(), Refusal> {
        let device = self.device(device_id)?;
        if !device.is_active {
            return Err(super::unknown_device());
        }
        if !self.taxpayer_of(device)?.is_active {
            return Err(Refusal::code("DEV05", "The taxpayer is not active."));
        }
        Ok(())
    }

    /// Whether the device reports receipt by receipt; one that sends files is refused with DEV01.
    pub(crate) fn admit_online(&self, device_id: u32) -> Result<(), Refusal> {
        match self.device(device_id)?.spec.operating_mode {
            OperatingMode::Online => Ok(()),
            OperatingMode::Offline => Err(Refusal::code(
                "DEV01",
                "The device's operating mode is Offline.",
            )),
        }
    }

    fn wrong_model(&self, why: &str) -> Refusal {
        match self.settings.model_errors {
            ModelErrors::Dev06 => Refusal::code("DEV06", why),
            ModelErrors::Forbidden => Refusal::status(403, why),
        }
    }
}
