//! Registration and certificates: VerifyTaxpayerInformation, RegisterDevice, IssueCertificate, and what
//! GetConfig and Ping say.

use clock::Timestamp;
use serde::Serialize;

use super::{ModelHeaders, World};
use crate::answer::Refusal;
use crate::ca::IssuedCertificate;
use crate::csr::{self, CsrError, DeviceRequest};
use crate::json::{self, Errors, Object};
use crate::model::Certificate;
use crate::settings::CsrSubjectErrors;
use crate::spec::{Address, Contacts, OperatingMode, TaxSpec};

/// What VerifyTaxpayerInformation shows a person before registering.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaxpayerInformation {
    tax_payer_name: String,
    #[serde(rename = "taxPayerTIN")]
    tax_payer_tin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vat_number: Option<String>,
    device_branch_name: String,
    device_branch_address: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_branch_contacts: Option<Contacts>,
}

/// What GetConfig answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    #[serde(flatten)]
    taxpayer: TaxpayerInformation,
    device_serial_no: String,
    device_operating_mode: OperatingMode,
    tax_payer_day_max_hrs: u16,
    certificate_valid_till: String,
    qr_url: String,
    taxpayer_day_end_notification_hrs: u16,
    applicable_taxes: Vec<TaxSpec>,
}

impl World {
    pub(crate) fn verify_taxpayer(
        &self,
        device_id: u32,
        message: &str,
    ) -> Result<TaxpayerInformation, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let key = object.required(&mut errors, "activationKey", json::text(8));
        let serial_no = object.required(&mut errors, "deviceSerialNo", json::text(20));
        errors
            .finish(())
            .map_err(|errors| self.wrong_fields(errors, None))?;
        self.admit_without_model(device_id)?;
        if self.device(device_id)?.spec.serial_no != serial_no {
            return Err(super::unknown_device());
        }
        self.check_activation_key(device_id, &key)?;
        self.taxpayer_information(device_id)
    }

    fn taxpayer_information(&self, device_id: u32) -> Result<TaxpayerInformation, Refusal> {
        let device = self.device(device_id)?;
        let taxpayer = self.taxpayer_of(device)?;
        Ok(TaxpayerInformation {
            tax_payer_name: taxpayer.name.clone(),
            tax_payer_tin: device.spec.tax_payer_tin.clone(),
            vat_number: taxpayer.vat_number().map(str::to_owned),
            device_branch_name: device.spec.branch_name.clone(),
            device_branch_address: device.spec.address.clone(),
            device_branch_contacts: device.spec.contacts.clone(),
        })
    }

    fn check_activation_key(&self, device_id: u32, key: &str) -> Result<(), Refusal> {
        let device = self.device(device_id)?;
        let is_it = device.spec.activation_key.eq_ignore_ascii_case(key);
        if !is_it || device.is_activation_key_used {
            return Err(Refusal::code("DEV02", "The activation key is incorrect."));
        }
        Ok(())
    }

    /// Checks a RegisterDevice message; the certificate it asks for is then issued and handed to
    /// [`World::register`].
    pub(crate) fn check_registration(
        &self,
        device_id: u32,
        headers: &ModelHeaders,
        message: &str,
    ) -> Result<DeviceRequest, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let key = object.required(&mut errors, "activationKey", json::text(8));
        let request = object.required(&mut errors, "certificateRequest", json::text(16_384));
        errors
            .finish(())
            .map_err(|errors| self.wrong_fields(errors, None))?;
        self.admit_to_register(device_id, headers)?;
        self.check_activation_key(device_id, &key)?;
        self.read_request(device_id, &request)
    }

    /// Checks an IssueCertificate message.
    pub(crate) fn check_renewal(
        &self,
        device_id: u32,
        message: &str,
    ) -> Result<DeviceRequest, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let request = object.required(&mut errors, "certificateRequest", json::text(16_384));
        errors
            .finish(())
            .map_err(|errors| self.wrong_fields(errors, None))?;
        self.read_request(device_id, &request)
    }

    fn read_request(&self, device_id: u32, pem: &str) -> Result<DeviceRequest, Refusal> {
        let common_name = self.device(device_id)?.spec.common_name();
        csr::read(pem, &common_name).map_err(|error| match error {
            CsrError::Subject(what)
                if self.settings.csr_subject_errors == CsrSubjectErrors::BadRequest =>
            {
                let mut errors = Errors::default();
                errors.push("certificateRequest", what);
                Refusal::Fields(errors)
            }
            CsrError::Subject(what) | CsrError::Invalid(what) => Refusal::code("DEV03", what),
        })
    }

    /// The device has its certificate: the activation key is used up, older certificates are dead.
    pub(crate) fn register(
        &mut self,
        device_id: u32,
        headers: &ModelHeaders,
        request: DeviceRequest,
        issued: &IssuedCertificate,
    ) -> Result<(), Refusal> {
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        device.is_activation_key_used = true;
        device.registered_model = headers.model();
        for certificate in &mut device.certificates {
            certificate.is_revoked = true;
        }
        self.keep_certificate(device_id, request, issued)
    }

    /// The device has a new certificate beside its old ones, or instead of them, as the setting says.
    pub(crate) fn renew(
        &mut self,
        device_id: u32,
        request: DeviceRequest,
        issued: &IssuedCertificate,
    ) -> Result<(), Refusal> {
        let revokes = self.settings.issue_revokes_old;
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        for certificate in &mut device.certificates {
            certificate.is_revoked |= revokes;
        }
        self.keep_certificate(device_id, request, issued)
    }

    fn keep_certificate(
        &mut self,
        device_id: u32,
        request: DeviceRequest,
        issued: &IssuedCertificate,
    ) -> Result<(), Refusal> {
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        device.certificates.push(Certificate {
            key: request.key,
            valid_from: issued.valid_from,
            valid_till: issued.valid_till,
            is_revoked: false,
        });
        let place = (device_id, device.certificates.len() - 1);
        self.certificates.insert(issued.fingerprint, place);
        Ok(())
    }

    /// What GetConfig answers over a connection whose certificate ends at `valid_till`: taxes that are
    /// valid now or later only.
    pub(crate) fn config(
        &self,
        device_id: u32,
        valid_till: Timestamp,
        now: Timestamp,
    ) -> Result<Config, Refusal> {
        let spec = &self.device(device_id)?.spec;
        let local = clock::local(now);
        let current = spec
            .taxes
            .iter()
            .filter(|tax| tax.valid_till.is_none_or(|till| local <= till));
        Ok(Config {
            taxpayer: self.taxpayer_information(device_id)?,
            device_serial_no: spec.serial_no.clone(),
            device_operating_mode: spec.operating_mode,
            tax_payer_day_max_hrs: spec.day_max_hrs,
            certificate_valid_till: clock::local(valid_till).to_string(),
            qr_url: spec.qr_url.clone(),
            taxpayer_day_end_notification_hrs: spec.day_end_notification_hrs,
            applicable_taxes: current.cloned().collect(),
        })
    }

    /// What Ping answers, in minutes.
    pub(crate) fn reporting_frequency(&self, device_id: u32) -> Result<u32, Refusal> {
        Ok(self.device(device_id)?.spec.reporting_frequency)
    }
}
