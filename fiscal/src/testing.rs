//! Random valid sales for tests: JSON as a POS would send it, the same for the same seed.
//!
//! Only there with the feature `testing`. The totals and taxes that a sale must come to are worked out
//! here a second time, with integers of a cent and nothing of the core's arithmetic, so that tests have
//! something to compare with. Every sale is one that FDMS accepts without a colour (docs/FDMS.md
//! sections 5 and 8).

use crate::rules::Original;
use crate::taxpayer::{Address, Contacts, Tax, Taxpayer};
use crate::{
    Cents, Currency, DateTime, DeviceId, FiscalDayNo, Percent, Receipt, ReceiptGlobalNo, TaxId,
};

mod random;
mod sale;

pub use random::Random;
pub use sale::{GenOptions, Sale, SaleTax, random_sale};

/// An invoice that notes may refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The till that issued it.
    pub device_id: DeviceId,
    /// Its number there.
    pub receipt_global_no: ReceiptGlobalNo,
    /// Its fiscal day there.
    pub fiscal_day_no: FiscalDayNo,
    /// When it was issued.
    pub date: DateTime,
    /// Its currency.
    pub currency: Currency,
    /// Its taxes.
    pub taxes: Vec<(TaxId, Option<Percent>)>,
    /// What can still be credited.
    pub remaining: Cents,
}

impl Issued {
    /// What notes need to know of a receipt.
    #[must_use]
    pub fn of(receipt: &Receipt, device: DeviceId, day: FiscalDayNo) -> Self {
        let mut taxes: Vec<_> = receipt
            .taxes
            .iter()
            .map(|row| (row.tax.id, row.tax.percent))
            .collect();
        taxes.dedup();
        Self {
            device_id: device,
            receipt_global_no: receipt.global_no,
            fiscal_day_no: day,
            date: receipt.date,
            currency: receipt.currency,
            taxes,
            remaining: receipt.total,
        }
    }

    /// The same for the rules.
    #[must_use]
    pub fn as_original(&self) -> Original {
        Original {
            date: self.date,
            currency: self.currency,
            taxes: self.taxes.clone(),
            remaining: self.remaining,
        }
    }

    /// Takes a note's total (negative on credit notes) into account.
    pub fn noted(&mut self, total: Cents) {
        self.remaining += total;
    }
}

fn tax(id: u32, name: &str, percent: Option<u32>, from: i16, till: Option<i16>) -> Tax {
    Tax {
        id: TaxId::new(id).unwrap_or(TaxId::ZERO),
        name: name.to_owned(),
        percent: percent.and_then(Percent::from_hundredths),
        valid_from: jiff::civil::date(from, 1, 1).at(0, 0, 0, 0),
        valid_till: till.map(|year| jiff::civil::date(year, 12, 31).at(23, 59, 59, 0)),
    }
}

/// A taxpayer registered for VAT, with taxes as FDMS configures them: exempt, zero-rated, a withholding
/// tax, the VAT until 2025 and the one since 2026.
#[must_use]
pub fn sample_taxpayer() -> Taxpayer {
    Taxpayer {
        name: "Example Traders (Pvt) Ltd".to_owned(),
        tin: "2000000000".to_owned(),
        vat_number: Some("220000000".to_owned()),
        device_serial_no: "till-2".to_owned(),
        branch_name: "Example Traders Samora Machel".to_owned(),
        branch_address: Address {
            province: "HARARE".to_owned(),
            city: "HARARE".to_owned(),
            street: "Samora Machel Ave".to_owned(),
            house_no: "147".to_owned(),
            district: None,
        },
        branch_contacts: Contacts {
            phone_no: Some("0770000000".to_owned()),
            email: Some("accounts@example.co.zw".to_owned()),
        },
        taxes: vec![
            tax(1, "Exempt", None, 2023, None),
            tax(2, "Zero rated 0%", Some(0), 2023, None),
            tax(514, "Non-VAT Withholding Tax", Some(500), 2024, None),
            tax(515, "Standard rated 15%", Some(1500), 2023, Some(2025)),
            tax(517, "Standard rated 15.5%", Some(1550), 2026, None),
        ],
        day_max_hours: 24,
        day_end_notification_hours: 2,
        qr_url: "https://fdmstest.zimra.co.zw".to_owned(),
    }
}

/// The same taxpayer before the registration for VAT.
#[must_use]
pub fn sample_taxpayer_without_vat() -> Taxpayer {
    Taxpayer {
        vat_number: None,
        ..sample_taxpayer()
    }
}
