//! Devices, taxpayers and taxes as a test or the admin port describes them.
//!
//! The defaults are shaped like the authority's test server: a VAT payer with the five usual taxes,
//! 24 hours a day, the test server's QR address.

use jiff::civil::{DateTime, datetime};
use serde::{Deserialize, Serialize};

use crate::micro::Micro;

/// A tax of a device's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaxSpec {
    /// The number receipts name it by.
    #[serde(rename = "taxID")]
    pub tax_id: i32,
    /// None for exempt, 0 for zero-rated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_percent: Option<Micro>,
    /// Its name on paper. One that begins with `Non-VAT` is not a value added tax (RCPT021).
    pub tax_name: String,
    /// The first moment of its validity, local time.
    pub valid_from: DateTime,
    /// The last moment of its validity, local time; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_till: Option<DateTime>,
}

impl TaxSpec {
    /// A tax that is valid from 2023 on, for ever.
    #[must_use]
    pub fn new(tax_id: i32, percent_cents: Option<i64>, name: &str) -> Self {
        Self {
            tax_id,
            tax_percent: percent_cents.map(Micro::from_cents),
            tax_name: name.to_owned(),
            valid_from: datetime(2023, 1, 1, 0, 0, 0, 0),
            valid_till: None,
        }
    }

    pub(crate) fn is_valid_at(&self, date: DateTime) -> bool {
        self.valid_from <= date && self.valid_till.is_none_or(|till| date <= till)
    }

    /// Whether it is a value added tax above 0 %, which only VAT payers may use.
    pub(crate) fn is_vat_above_zero(&self) -> bool {
        let above_zero = self.tax_percent.is_some_and(|percent| percent.signum() > 0);
        above_zero && !self.tax_name.to_lowercase().starts_with("non-vat")
    }
}

/// The five taxes of the authority's test server.
#[must_use]
pub fn usual_taxes() -> Vec<TaxSpec> {
    vec![
        TaxSpec::new(1, None, "Exempt"),
        TaxSpec::new(2, Some(0), "Zero rated 0%"),
        TaxSpec {
            valid_from: datetime(2024, 1, 1, 0, 0, 0, 0),
            ..TaxSpec::new(514, Some(500), "Non-VAT Withholding Tax")
        },
        TaxSpec {
            valid_till: Some(datetime(2025, 12, 31, 23, 59, 59, 0)),
            ..TaxSpec::new(515, Some(1500), "Standard rated 15%")
        },
        TaxSpec {
            valid_from: datetime(2026, 1, 1, 0, 0, 0, 0),
            ..TaxSpec::new(517, Some(1550), "Standard rated 15.5%")
        },
    ]
}

/// Where a branch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub struct Address {
    pub province: String,
    pub city: String,
    pub street: String,
    pub house_no: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<String>,
}

/// How a branch is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub struct Contacts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_no: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Something that a branch has in stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Good {
    /// Eight digits; goods without one are not shown to devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hs_code: Option<String>,
    /// Its name, 500 characters.
    pub good_name: String,
    /// How much there is, with three decimals.
    pub quantity: Micro,
}

/// How a device reports its receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum OperatingMode {
    Online,
    Offline,
}

/// A device's model, as registered with the authority and sent in two headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// `DeviceModelName`.
    pub name: String,
    /// `DeviceModelVersion`.
    pub version: String,
}

/// A device and its taxpayer. Devices with the same TIN are one taxpayer's, which is what the latest
/// of them said it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DeviceSpec {
    /// Its number with FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// The manufacturer's number, 20 characters.
    pub serial_no: String,
    /// Eight characters, compared without case; good for one registration.
    pub activation_key: String,
    /// Legal name.
    pub tax_payer_name: String,
    /// Ten digits; what makes two devices one taxpayer's.
    #[serde(rename = "taxPayerTIN")]
    pub tax_payer_tin: String,
    /// Nine digits; none: no VAT payer.
    pub vat_number: Option<String>,
    /// The branch's number; devices of one taxpayer with the same one stand at one branch.
    pub branch_id: i32,
    /// Name of the branch.
    pub branch_name: String,
    /// Where the branch is.
    pub address: Address,
    /// How the branch is reached.
    pub contacts: Option<Contacts>,
    /// Online: receipt by receipt; Offline: files.
    pub operating_mode: OperatingMode,
    /// The longest a fiscal day may be, in hours.
    pub day_max_hrs: u16,
    /// How many hours before that end the cashier is warned.
    pub day_end_notification_hrs: u16,
    /// Its taxes, past ones included.
    pub taxes: Vec<TaxSpec>,
    /// Where receipts are verified.
    pub qr_url: String,
    /// What Ping answers, in minutes.
    pub reporting_frequency: u32,
    /// The model it is registered with; none: whatever it registers itself with.
    pub model: Option<Model>,
    /// What its branch has in stock; empty: what the branch's other devices say.
    pub stock: Vec<Good>,
}

impl Default for DeviceSpec {
    fn default() -> Self {
        Self {
            device_id: 1,
            serial_no: "till-1".to_owned(),
            activation_key: "12AXC178".to_owned(),
            tax_payer_name: "Example Traders (Pvt) Ltd".to_owned(),
            tax_payer_tin: "2000000000".to_owned(),
            vat_number: Some("220000000".to_owned()),
            branch_id: 1,
            branch_name: "Example Traders (Pvt) Ltd".to_owned(),
            address: Address {
                province: "HARARE".to_owned(),
                city: "HARARE".to_owned(),
                street: "Samora Machel Ave".to_owned(),
                house_no: "147".to_owned(),
                district: None,
            },
            contacts: Some(Contacts {
                phone_no: Some("0770000000".to_owned()),
                email: Some("accounts@example.co.zw".to_owned()),
            }),
            operating_mode: OperatingMode::Online,
            day_max_hrs: 24,
            day_end_notification_hrs: 2,
            taxes: usual_taxes(),
            qr_url: "https://fdmstest.zimra.co.zw".to_owned(),
            reporting_frequency: 5,
            model: None,
            stock: Vec::new(),
        }
    }
}

impl DeviceSpec {
    /// A device with the usual defaults, `till-<id>` and an activation key made from its number.
    #[must_use]
    pub fn new(device_id: u32) -> Self {
        Self {
            device_id,
            serial_no: format!("till-{device_id}"),
            activation_key: format!("{:08}", device_id % 100_000_000),
            ..Self::default()
        }
    }

    /// The subject of its certificates.
    pub(crate) fn common_name(&self) -> String {
        format!("ZIMRA-{}-{:010}", self.serial_no, self.device_id)
    }
}

/// What to change about a device and its taxpayer; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DeviceChange {
    /// False: blocked, every call is answered DEV01.
    pub active: Option<bool>,
    /// False: every call of every device of the taxpayer is answered DEV05.
    pub tax_payer_active: Option<bool>,
    /// The taxpayer's VAT number from now on; empty: no longer a VAT payer.
    pub vat_number: Option<String>,
    /// All its taxes anew.
    pub taxes: Option<Vec<TaxSpec>>,
    /// Online or Offline.
    pub operating_mode: Option<OperatingMode>,
    /// A new activation key, good for one more registration.
    pub activation_key: Option<String>,
    /// The longest a fiscal day may be, in hours.
    pub day_max_hrs: Option<u16>,
    /// How many hours before that end the cashier is warned.
    pub day_end_notification_hrs: Option<u16>,
    /// Where receipts are verified.
    pub qr_url: Option<String>,
    /// What Ping answers, in minutes.
    pub reporting_frequency: Option<u32>,
    /// The model it is registered with.
    pub model: Option<Model>,
    /// True: all its certificates are revoked.
    pub revoke_certificates: Option<bool>,
}
