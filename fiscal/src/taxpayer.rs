//! What FDMS's GetConfig says of a till: the taxpayer, the branch and the taxes (docs/FDMS.md section 2).

use serde::{Deserialize, Serialize};

use crate::{DateTime, Percent, TaxId};

/// A street address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Province.
    pub province: String,
    /// City.
    pub city: String,
    /// Street.
    pub street: String,
    /// Number of the house.
    pub house_no: String,
    /// District, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<String>,
}

/// Telephone and e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contacts {
    /// Telephone, at most 20 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_no: Option<String>,
    /// E-mail, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A tax as configured for the taxpayer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// Its number.
    pub id: TaxId,
    /// Its name as the authority writes it.
    pub name: String,
    /// Its percent; `None` is exempt, zero is zero-rated.
    pub percent: Option<Percent>,
    /// First moment it may be used.
    pub valid_from: DateTime,
    /// Last moment it may be used; `None` is open.
    pub valid_till: Option<DateTime>,
}

impl Tax {
    /// Whether it may be used on a receipt of this date.
    #[must_use]
    pub fn is_valid_at(&self, date: DateTime) -> bool {
        date >= self.valid_from && self.valid_till.is_none_or(|till| date <= till)
    }

    /// Whether it is VAT above zero. FDMS lists withholding taxes beside VAT; those say "Non-VAT" in
    /// their names (docs/FDMS.md section 5).
    #[must_use]
    pub fn is_vat_above_zero(&self) -> bool {
        self.percent.is_some_and(|p| p > Percent::ZERO)
            && !self.name.to_ascii_lowercase().contains("non-vat")
    }
}

/// The taxpayer and branch that a till belongs to, with every tax ever seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxpayer {
    /// Legal name.
    pub name: String,
    /// Taxpayer identification number, 10 digits.
    pub tin: String,
    /// VAT number, 9 digits; `None` for a taxpayer who pays no VAT.
    pub vat_number: Option<String>,
    /// Serial number of the device.
    pub device_serial_no: String,
    /// Name of the branch.
    pub branch_name: String,
    /// Address of the branch.
    pub branch_address: Address,
    /// Telephone and e-mail of the branch.
    pub branch_contacts: Contacts,
    /// Taxes, every one that was ever configured.
    pub taxes: Vec<Tax>,
    /// Longest fiscal day in hours.
    pub day_max_hours: u32,
    /// How many hours before that the cashier is warned.
    pub day_end_notification_hours: u32,
    /// Address that QR codes point to.
    pub qr_url: String,
}

impl Taxpayer {
    /// Whether the taxpayer is registered for VAT.
    #[must_use]
    pub fn is_vat_payer(&self) -> bool {
        self.vat_number.is_some()
    }

    /// The tax with this number; among several (a percent that changed) the one valid at `date`,
    /// else any.
    #[must_use]
    pub fn tax(&self, id: TaxId, date: DateTime) -> Option<&Tax> {
        let mut same = self.taxes.iter().filter(|tax| tax.id == id);
        same.clone()
            .find(|tax| tax.is_valid_at(date))
            .or_else(|| same.next())
    }

    /// The taxes with this percent that are valid at `date`.
    #[must_use]
    pub fn taxes_by_percent(&self, percent: Option<Percent>, date: DateTime) -> Vec<&Tax> {
        self.taxes
            .iter()
            .filter(|tax| tax.percent == percent && tax.is_valid_at(date))
            .collect()
    }
}
