//! Signing strings and hashes of receipts and fiscal days (docs/FDMS.md section 6).
//!
//! Fields are concatenated with nothing between; amounts in cents with sign, percents with two digits.
//! The hash is SHA-256 of the string; the key signs the same string, never the hash.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::counters::Counters;
use crate::receipt::{Hash, Receipt, TaxRow};
use crate::{DateTime, DeviceId, FiscalDayNo};

/// SHA-256 of a signing string.
#[must_use]
pub fn hash(signing_string: &str) -> Hash {
    Hash(Sha256::digest(signing_string.as_bytes()).into())
}

/// What the device signs of a receipt. `previous` is our own hash of the receipt before it, left out for
/// the first receipt of a fiscal day.
#[must_use]
pub fn receipt_string(device: DeviceId, receipt: &Receipt, previous: Option<&Hash>) -> String {
    let mut out = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{device}{}{}{}{}{}",
        receipt.receipt_type.as_str().to_ascii_uppercase(),
        receipt.currency,
        receipt.global_no,
        receipt.date,
        receipt.total.get(),
    );
    let mut rows: Vec<&TaxRow> = receipt.taxes.iter().collect();
    rows.sort_by(|a, b| a.tax.cmp(&b.tax));
    for row in rows {
        out.push_str(row.tax.code.as_deref().unwrap_or_default());
        if let Some(percent) = row.tax.percent {
            out.push_str(&percent.fixed());
        }
        let _ = write!(
            out,
            "{}{}",
            row.tax_amount.get(),
            row.sales_amount_with_tax.get()
        );
    }
    if let Some(previous) = previous {
        let _ = write!(out, "{previous}");
    }
    out
}

/// What the device signs of a fiscal day. `opened` is the day's opening: its date is signed, whenever the
/// day is closed.
#[must_use]
pub fn day_string(
    device: DeviceId,
    day: FiscalDayNo,
    opened: DateTime,
    counters: &Counters,
) -> String {
    let mut out = format!("{device}{day}{}", opened.date());
    push_counters(&mut out, counters);
    out
}

fn push_counters(out: &mut String, counters: &Counters) {
    for (key, value) in counters.non_zero() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{}", key.signing_prefix(), value.get());
    }
}

/// What FDMS signs of a fiscal day that the device has closed: `closed` as FDMS reports it, our signature
/// in base64.
#[must_use]
pub fn fdms_day_string(
    device: DeviceId,
    day: FiscalDayNo,
    opened: DateTime,
    closed: impl std::fmt::Display,
    counters: &Counters,
    device_signature: &str,
) -> String {
    let mut out = format!("{device}{day}{}{closed}AUTO", opened.date());
    push_counters(&mut out, counters);
    out.push_str(device_signature);
    out
}

/// What FDMS signs of a receipt it has accepted: our signature (base64), its own number and date.
#[must_use]
pub fn fdms_receipt_string(
    device_signature: &str,
    receipt_id: impl std::fmt::Display,
    server_date: impl std::fmt::Display,
) -> String {
    format!("{device_signature}{receipt_id}{server_date}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{By, CounterKey, CounterType};
    use crate::{Cents, Currency, MoneyType, TaxId};

    /// What FDMS signs of a day (docs/FDMS.md section 6): the closing's time and AUTO stand behind the day's
    /// date, our signature behind the counters.
    #[test]
    fn a_day_that_fdms_signs() {
        let key = |counter_type, by| CounterKey {
            counter_type,
            currency: Currency::USD,
            by,
        };
        let mut counters = Counters::default();
        let exempt = By::Tax(TaxId::new(1).unwrap(), None);
        let sales = key(CounterType::SaleByTax, exempt);
        counters.add(sales, Cents::new(581));
        let paid = key(CounterType::BalanceByMoneyType, By::Money(MoneyType::Cash));
        counters.add(paid, Cents::new(581));
        assert_eq!(
            (counters.get(&sales), counters.get(&paid)),
            (Cents::new(581), Cents::new(581))
        );
        let other = key(CounterType::SaleTaxByTax, exempt);
        assert_eq!(counters.get(&other), Cents::ZERO);
        let string = fdms_day_string(
            DeviceId::new(322).unwrap(),
            FiscalDayNo::new(12).unwrap(),
            jiff::civil::date(2026, 2, 26).at(7, 0, 0, 0),
            "2026-02-26T19:30:00",
            &counters,
            "c2lnbmVk",
        );
        assert_eq!(
            string,
            "322122026-02-262026-02-26T19:30:00AUTOSALEBYTAXUSD581BALANCEBYMONEYTYPEUSDCASH581c2lnbmVk"
        );
    }
}
