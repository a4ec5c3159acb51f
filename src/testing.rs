//! Tills that sell without FDMS: for the benchmark, the simulations and the tests.
//!
//! Such a till has a real key, a certificate that it signed itself, and a configuration like the one that
//! FDMS sends. Everything else about it is real.

use fiscal::DeviceId;

use crate::keys::{DeviceKey, KeyKind};
use crate::ledger::core::Core;
use crate::ledger::tills::NewTill;
use crate::ledger::{Environment, LedgerError, StorageError, TillId};

/// A configuration like the ones that FDMS's test server sends, of a VAT payer.
#[must_use]
pub fn sample_config(serial_no: &str) -> String {
    serde_json::json!({
        "taxPayerName": "Example Traders (Pvt) Ltd",
        "taxPayerTIN": "2000000000",
        "vatNumber": "220000000",
        "deviceSerialNo": serial_no,
        "deviceBranchName": "Example Traders (Pvt) Ltd",
        "deviceBranchAddress": {
            "province": "HARARE", "city": "HARARE", "street": "Samora Machel Ave", "houseNo": "147"
        },
        "deviceBranchContacts": {"phoneNo": "0770000000", "email": "accounts@example.co.zw"},
        "deviceOperatingMode": "Online",
        "taxPayerDayMaxHrs": 24,
        "applicableTaxes": [
            {"taxName": "Exempt", "validFrom": "2023-01-01T00:00:00", "taxID": 1},
            {"taxPercent": 0, "taxName": "Zero rated 0%", "validFrom": "2023-01-01T00:00:00", "taxID": 2},
            {"taxPercent": 5, "taxName": "Non-VAT Withholding Tax",
             "validFrom": "2024-01-01T00:00:00", "taxID": 514},
            {"taxPercent": 15, "taxName": "Standard rated 15%", "validFrom": "2023-01-01T00:00:00",
             "validTill": "2025-12-31T23:59:59", "taxID": 515},
            {"taxPercent": 15.5, "taxName": "Standard rated 15.5%",
             "validFrom": "2026-01-01T00:00:00", "taxID": 517}
        ],
        "certificateValidTill": "2027-12-18T12:34:49",
        "qrUrl": "https://fdmstest.zimra.co.zw",
        "taxpayerDayEndNotificationHrs": 2,
        "operationID": "0HNHM698NBDA4:00000001"
    })
    .to_string()
}

/// Adds a till that can sell at once, without FDMS.
///
/// # Errors
/// The till is there already, or the ledger cannot be written.
pub fn add_till(core: &mut Core, device_id: DeviceId) -> Result<TillId, LedgerError> {
    let serial_no = format!("till-{device_id}");
    let key = DeviceKey::generate(KeyKind::EcP256).map_err(StorageError::from)?;
    let pem = rcgen::CertificateParams::new(Vec::new())
        .and_then(|params| params.self_signed(&key))
        .map(|certificate| certificate.pem())
        .map_err(|error| StorageError::Damaged(error.to_string()))?;
    core.write(|core| {
        let till = core.add_till(
            &NewTill {
                environment: Environment::Test,
                device_id,
                serial_no: serial_no.clone(),
                model_name: "fiscald".to_owned(),
                model_version: env!("CARGO_PKG_VERSION").to_owned(),
                invoice_prefix: String::new(),
            },
            "setup",
        )?;
        let key_id = core.add_key(till, &key, "setup")?;
        core.add_certificate(till, key_id, &pem, "setup")?;
        core.store_config(till, &sample_config(&serial_no))?;
        Ok(till)
    })
}
