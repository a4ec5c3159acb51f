//! What FDMS's GetConfig says of a till: the taxpayer, the branch and the taxes (docs/FDMS.md section 2).

use serde::{Deserialize, Serialize};

use crate::json::Value;
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

/// Why a GetConfig answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration that FDMS sent cannot be used: {field} {what}")]
pub struct ConfigError {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl Taxpayer {
    /// Reads a GetConfig answer. Fields that are not needed for selling are ignored; both spellings of a
    /// tax's validity are taken (docs/FDMS.md section 1).
    ///
    /// # Errors
    /// It is no JSON, or a field without which no receipt can be issued is missing or malformed.
    pub fn from_config(bytes: &[u8]) -> Result<Self, ConfigError> {
        let root = Value::parse(bytes).map_err(|error| ConfigError {
            field: "body".to_owned(),
            what: format!("is {error}"),
        })?;
        let taxes = match root.get("applicableTaxes") {
            Some(Value::Array(rows)) => rows.iter().map(tax).collect::<Result<Vec<_>, _>>()?,
            _ => return Err(wrong("applicableTaxes", "is missing")),
        };
        let address = root.get("deviceBranchAddress");
        let part = |name: &str| address.and_then(|a| text(a, name)).unwrap_or_default();
        let contacts = root.get("deviceBranchContacts");
        let name = needed_text(&root, "taxPayerName")?;
        Ok(Self {
            tin: needed_text(&root, "taxPayerTIN")?,
            vat_number: text(&root, "vatNumber")
                .or_else(|| text(&root, "VATNumber"))
                .filter(|number| !number.is_empty()),
            device_serial_no: needed_text(&root, "deviceSerialNo")?,
            branch_name: text(&root, "deviceBranchName").unwrap_or_else(|| name.clone()),
            name,
            branch_address: Address {
                province: part("province"),
                city: part("city"),
                street: part("street"),
                house_no: part("houseNo"),
                district: address.and_then(|a| text(a, "district")),
            },
            branch_contacts: Contacts {
                phone_no: contacts.and_then(|c| text(c, "phoneNo")),
                email: contacts.and_then(|c| text(c, "email")),
            },
            taxes,
            day_max_hours: needed_integer(&root, "taxPayerDayMaxHrs")?,
            day_end_notification_hours: needed_integer(&root, "taxpayerDayEndNotificationHrs")
                .unwrap_or(0),
            qr_url: needed_text(&root, "qrUrl")?,
        })
    }

    /// Keeps every tax that an earlier configuration had and this one no longer lists: notes on old
    /// receipts need them (docs/FDMS.md section 2).
    pub fn keep_old_taxes(&mut self, earlier: &Self) {
        for tax in &earlier.taxes {
            let listed = |t: &&Tax| (t.id, t.percent) == (tax.id, tax.percent);
            if !self.taxes.iter().any(|t| listed(&t)) {
                self.taxes.push(tax.clone());
            }
        }
    }

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

fn wrong(field: &str, what: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        what: what.to_owned(),
    }
}

fn text(object: &Value<'_>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) => Some(text.to_string()),
        Value::Number(text) => Some((*text).to_owned()),
        _ => None,
    }
}

fn needed_text(object: &Value<'_>, name: &str) -> Result<String, ConfigError> {
    text(object, name).ok_or_else(|| wrong(name, "is missing"))
}

fn needed_integer(object: &Value<'_>, name: &str) -> Result<u32, ConfigError> {
    needed_text(object, name)?
        .parse()
        .map_err(|_| wrong(name, "is not a whole number"))
}

fn tax(row: &Value<'_>) -> Result<Tax, ConfigError> {
    let either = |a: &str, b: &str| text(row, a).or_else(|| text(row, b));
    let date = |text: &str| {
        DateTime::strptime("%Y-%m-%dT%H:%M:%S", text.get(..19).unwrap_or(text))
            .map_err(|_| wrong("applicableTaxes", &format!("has the date \"{text}\"")))
    };
    let percent = match text(row, "taxPercent") {
        None => None,
        Some(text) => Some(Percent::parse(&text).map_err(|error| {
            wrong("applicableTaxes", &format!("has a taxPercent that {error}"))
        })?),
    };
    Ok(Tax {
        id: TaxId::new(needed_integer(row, "taxID")?)
            .ok_or_else(|| wrong("applicableTaxes", "has a taxID that is too large"))?,
        name: needed_text(row, "taxName")?,
        percent,
        valid_from: either("validFrom", "taxValidFrom")
            .map_or(Ok(DateTime::MIN), |text| date(&text))?,
        valid_till: either("validTill", "taxValidTill")
            .map(|text| date(&text))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tax(id: u32, name: &str, percent: Option<u32>, years: (i16, Option<i16>)) -> Tax {
        Tax {
            id: TaxId::new(id).unwrap(),
            name: name.to_owned(),
            percent: percent.and_then(Percent::from_hundredths),
            valid_from: jiff::civil::date(years.0, 1, 1).at(0, 0, 0, 0),
            valid_till: years
                .1
                .map(|year| jiff::civil::date(year, 12, 31).at(23, 59, 59, 0)),
        }
    }

    const CONFIG: &str = r#"{"taxPayerName": "Moyo", "taxPayerTIN": "2000000000", "VATNumber": "220000000",
      "deviceSerialNo": "till-2", "deviceBranchName": "Moyo, Avondale",
      "deviceBranchAddress": {"province": "Harare", "city": "Harare", "street": "King George Road", "houseNo": "7", "district": "Avondale"},
      "deviceBranchContacts": {"phoneNo": "0770000000", "email": "shop@moyo.example"},
      "taxPayerDayMaxHrs": 24, "taxpayerDayEndNotificationHrs": 2, "qrUrl": "https://receipts.example",
      "applicableTaxes": [{"taxID": 1, "taxName": "Exempt"},
        {"taxID": 515, "taxName": "VAT", "taxPercent": 15.0, "validFrom": "2023-01-01T00:00:00", "validTill": "2025-12-31T23:59:59"},
        {"taxID": 517, "taxName": "VAT", "taxPercent": 15.5, "taxValidFrom": "2026-01-01T00:00:00.000"}]}"#;

    /// A tax may be used from its first moment to its last, both included.
    #[test]
    fn validity() {
        let vat = tax(515, "VAT", Some(1500), (2023, Some(2025)));
        for (date, is_valid) in [
            ("2022-12-31T23:59:59", false),
            ("2023-01-01T00:00:00", true),
            ("2025-12-31T23:59:59", true),
            ("2026-01-01T00:00:00", false),
        ] {
            assert_eq!(vat.is_valid_at(date.parse().unwrap()), is_valid, "{date}");
        }
        let open = tax(517, "VAT", Some(1550), (2026, None));
        assert!(open.is_valid_at("9999-12-31T23:59:59".parse().unwrap()));
        assert!(!open.is_valid_at("2025-12-31T23:59:59".parse().unwrap()));
    }

    /// VAT is what has a percent above zero and is not called otherwise.
    #[test]
    fn vat() {
        for (name, percent, is_vat) in [
            ("Exempt", None, false),
            ("Zero rated 0%", Some(0), false),
            ("Standard rated", Some(1), true),
            ("Non-VAT Withholding Tax", Some(500), false),
            ("NON-VAT", None, false),
        ] {
            assert_eq!(
                tax(1, name, percent, (2023, None)).is_vat_above_zero(),
                is_vat,
                "{name}"
            );
        }
    }

    /// A tax that is listed no more is kept once; one whose percent has changed is another tax.
    #[test]
    fn old_taxes_are_kept() {
        let mut now = Taxpayer::from_config(CONFIG.as_bytes()).unwrap();
        let listed = now.taxes.clone();
        let mut earlier = now.clone();
        now.keep_old_taxes(&earlier);
        assert_eq!(now.taxes, listed);
        let cheaper = tax(517, "VAT", Some(1400), (2020, Some(2022)));
        let other = tax(9, "Levy", None, (2020, None));
        let renamed = tax(1, "Exempt by law", None, (2020, None));
        earlier.taxes = vec![cheaper.clone(), renamed, other.clone()];
        for _ in 0..2 {
            now.keep_old_taxes(&earlier);
            assert_eq!(
                now.taxes,
                [&listed[..], &[cheaper.clone(), other.clone()]].concat()
            );
        }
    }

    /// Every field of GetConfig comes to its place; the VAT number decides who pays VAT.
    #[test]
    fn configuration() {
        let taxpayer = Taxpayer::from_config(CONFIG.as_bytes()).unwrap();
        let wanted = Taxpayer {
            name: "Moyo".to_owned(),
            tin: "2000000000".to_owned(),
            vat_number: Some("220000000".to_owned()),
            device_serial_no: "till-2".to_owned(),
            branch_name: "Moyo, Avondale".to_owned(),
            branch_address: Address {
                province: "Harare".to_owned(),
                city: "Harare".to_owned(),
                street: "King George Road".to_owned(),
                house_no: "7".to_owned(),
                district: Some("Avondale".to_owned()),
            },
            branch_contacts: Contacts {
                phone_no: Some("0770000000".to_owned()),
                email: Some("shop@moyo.example".to_owned()),
            },
            taxes: vec![
                Tax {
                    valid_from: DateTime::MIN,
                    ..tax(1, "Exempt", None, (2023, None))
                },
                tax(515, "VAT", Some(1500), (2023, Some(2025))),
                tax(517, "VAT", Some(1550), (2026, None)),
            ],
            day_max_hours: 24,
            day_end_notification_hours: 2,
            qr_url: "https://receipts.example".to_owned(),
        };
        assert_eq!(taxpayer, wanted);
        assert!(taxpayer.is_vat_payer());
        let without = CONFIG.replace("\"VATNumber\": \"220000000\"", "\"vatNumber\": \"\"");
        assert!(
            !Taxpayer::from_config(without.as_bytes())
                .unwrap()
                .is_vat_payer()
        );
        let date = "2026-06-01T12:00:00".parse().unwrap();
        let vat = TaxId::new(517).unwrap();
        assert_eq!(taxpayer.tax(vat, date), taxpayer.taxes.get(2));
        assert_eq!(taxpayer.tax(TaxId::new(9).unwrap(), date), None);
        let ids = |hundredths| {
            let taxes = taxpayer.taxes_by_percent(Percent::from_hundredths(hundredths), date);
            taxes.iter().map(|tax| tax.id.get()).collect::<Vec<_>>()
        };
        assert_eq!((ids(1550), ids(1500)), (vec![517], vec![]));
    }

    /// A configuration without which nothing can be sold is refused with its field.
    #[test]
    fn refused_configurations() {
        for (old, new, field) in [
            ("\"taxPayerName\": \"Moyo\", ", "", "taxPayerName"),
            ("\"taxPayerTIN\": \"2000000000\", ", "", "taxPayerTIN"),
            ("\"deviceSerialNo\": \"till-2\", ", "", "deviceSerialNo"),
            ("24", "\"a day\"", "taxPayerDayMaxHrs"),
            ("applicableTaxes", "taxes", "applicableTaxes"),
            ("\"taxID\": 1,", "", "taxID"),
            ("\"taxID\": 1,", "\"taxID\": 2147483648,", "applicableTaxes"),
            ("15.5", "-1", "applicableTaxes"),
            ("2025-12-31T", "31.12.2025 ", "applicableTaxes"),
            ("{\"taxPayerName\"", "\"taxPayerName\"", "body"),
        ] {
            assert!(CONFIG.contains(old), "{old}");
            let error = Taxpayer::from_config(CONFIG.replacen(old, new, 1).as_bytes()).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
    }
}
