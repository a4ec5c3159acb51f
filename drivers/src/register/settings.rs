//! What letters, codes and arguments mean: settings of the shop and tables of a country, both data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reason, Refusal, TextEncoding};

/// How money was paid, in the authority's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MoneyType {
    /// Notes and coins.
    Cash,
    /// A bank card.
    Card,
    /// A wallet on a telephone.
    MobileWallet,
    /// A voucher.
    Coupon,
    /// Bought on credit.
    Credit,
    /// Through a bank account.
    BankTransfer,
    /// Anything else.
    Other,
}

/// What a payment code means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRule {
    /// How it is paid.
    pub money: MoneyType,
    /// The currency, where a code stands for one; else the port's.
    #[serde(default)]
    pub currency: Option<String>,
}

/// What becomes of a discount on the subtotal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubtotalDiscounts {
    /// A line of its own for each tax letter.
    #[default]
    Lines,
    /// Spread over the sales, whose totals become smaller.
    Spread,
}

/// Settings of one port that a fiscal printer's software is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterSettings {
    /// Country profile: `generic` or `bg`.
    #[serde(default = "generic")]
    pub profile: String,
    /// Currency of the port, such as `USD`: the old languages do not name one.
    pub currency: String,
    /// Tax letter (`A` to `H`) to the name or taxID of a tax. A letter that is not here is refused.
    pub taxes: BTreeMap<String, String>,
    /// Payment code to money type; codes that are not here mean what the profile says.
    #[serde(default)]
    pub payments: BTreeMap<String, PaymentRule>,
    /// Department number to tax letter.
    #[serde(default)]
    pub departments: BTreeMap<String, String>,
    /// What becomes of a discount on the subtotal.
    #[serde(default)]
    pub subtotal_discounts: SubtotalDiscounts,
    /// How bytes are characters.
    #[serde(default)]
    pub text: TextEncoding,
    /// Password that a connection to ZFP over TCP must begin with.
    #[serde(default)]
    pub password: Option<String>,
}

fn generic() -> String {
    "generic".to_owned()
}

/// A piece of a command's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Number of the operator.
    Operator,
    /// Password, not looked at.
    Password,
    /// Number of the till.
    Till,
    /// The software's number of the sale.
    SaleNo,
    /// Whether an invoice is asked for.
    Invoice,
    /// Why a storno is made.
    Reason,
    /// Number of the original.
    Document,
    /// Date of the original.
    Date,
    /// Fiscal memory of the original.
    FiscalMemory,
    /// More words about the storno.
    Words,
    /// Name of goods or of the customer.
    Name,
    /// Tax letter.
    Tax,
    /// Price.
    Price,
    /// Quantity.
    Quantity,
    /// Kind of discount.
    AdjustKind,
    /// Value of the discount.
    AdjustValue,
    /// Department.
    Department,
    /// Unit of the quantity.
    Unit,
    /// Customer's taxpayer number.
    Taxpayer,
    /// Customer's VAT number.
    Vat,
    /// Customer's address.
    Address,
    /// How a receipt is printed; tells a storno from a sale in ZFP.
    Print,
    /// Payment code.
    Payment,
    /// Amount.
    Amount,
    /// Something that nobody here needs.
    Ignore,
}

/// What codes of a language mean, when the settings do not say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codes {
    /// Payment code to money type.
    pub payments: BTreeMap<String, MoneyType>,
    /// The codes in the order in which sums of payments are told.
    pub payment_order: Vec<String>,
    /// Code of cash.
    pub cash: String,
    /// Code of a storno's reason.
    pub reasons: BTreeMap<String, Reason>,
}

/// Arguments of ISL with "P" frames.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IslP {
    /// 30h and the beginning of 2Eh, separated by commas.
    pub open: Vec<Field>,
    /// 2Eh after the reason and number of the original.
    pub storno_rest: Vec<Field>,
    /// 39h, separated by TAB.
    pub customer: Vec<Field>,
    /// Characters that begin a discount in money.
    pub absolute: String,
    /// Digits that a sum is filled up to with zeros; the last two are cents.
    pub sum_digits: usize,
    /// Codes.
    pub codes: Codes,
}

/// Arguments of ISL with "X" frames, all separated by TAB.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IslX {
    /// 30h.
    pub open: Vec<Field>,
    /// 2Bh.
    pub storno: Vec<Field>,
    /// 31h.
    pub sale: Vec<Field>,
    /// 39h.
    pub customer: Vec<Field>,
    /// 35h.
    pub pay: Vec<Field>,
    /// Codes.
    pub codes: Codes,
}

/// Arguments of ZFP, separated by semicolons.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zfp {
    /// 30h of a sale.
    pub open: Vec<Field>,
    /// 30h of a storno.
    pub storno: Vec<Field>,
    /// Values of the print field that make it a storno.
    pub storno_print: Vec<String>,
    /// Codes.
    pub codes: Codes,
}

/// Tables of a country.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Alphabets of tax letters: the n-th letter of each is the n-th tax.
    pub letters: Vec<String>,
    /// Most digits after the point of a price.
    pub price_decimals: u32,
    /// Most digits after the point of a quantity.
    pub quantity_decimals: u32,
    /// "P" frames.
    pub isl_p: IslP,
    /// "X" frames.
    pub isl_x: IslX,
    /// ZFP.
    pub zfp: Zfp,
}

const PROFILES: [(&str, &str); 2] = [
    ("generic", include_str!("profiles/generic.toml")),
    ("bg", include_str!("profiles/bg.toml")),
];

/// The settings make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No such profile.
    #[error("there is no country profile {0:?}; there are generic and bg")]
    Profile(String),
    /// The profile's own table is broken.
    #[error("the country profile cannot be read: {0}")]
    Table(String),
    /// A tax letter that is none.
    #[error("{0:?} is no tax letter; there are A to H")]
    Letter(String),
    /// A department that is none.
    #[error("{0:?} is no department; write a number from 1 to 99")]
    Department(String),
    /// No tax letter has a meaning.
    #[error("no tax letter is mapped; write for example taxes.A = \"15.5%\"")]
    NoTaxes,
}

/// Settings and profile, checked, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// As they were set.
    pub settings: RegisterSettings,
    /// The country's tables.
    pub profile: Profile,
    departments: BTreeMap<u32, char>,
}

impl Rules {
    /// Checks settings and finds their profile.
    ///
    /// # Errors
    /// There is no such profile, or a letter or department is none.
    pub fn new(settings: RegisterSettings) -> Result<Self, SettingsError> {
        let wanted = settings.profile.as_str();
        let table = PROFILES.iter().find(|(name, _)| *name == wanted);
        let (_, table) = table.ok_or_else(|| SettingsError::Profile(wanted.to_owned()))?;
        let profile: Profile =
            toml::from_str(table).map_err(|e| SettingsError::Table(e.to_string()))?;
        let letter = |text: &String| match text.as_bytes() {
            [letter @ b'A'..=b'H'] => Ok(char::from(*letter)),
            _ => Err(SettingsError::Letter(text.clone())),
        };
        if settings.taxes.is_empty() {
            return Err(SettingsError::NoTaxes);
        }
        for tax in settings.taxes.keys() {
            letter(tax)?;
        }
        let mut departments = BTreeMap::new();
        for (number, tax) in &settings.departments {
            let bad = || SettingsError::Department(number.clone());
            let number: u32 = number.parse().map_err(|_| bad())?;
            departments.insert(number, letter(tax)?);
        }
        Ok(Self {
            settings,
            profile,
            departments,
        })
    }

    /// The tax letter `A` to `H` that a letter, or a digit from 1, stands for.
    ///
    /// # Errors
    /// It stands for none, or for one that is not mapped.
    pub fn tax(&self, text: &str) -> Result<char, Refusal> {
        let mut letters = text.trim().chars();
        let (Some(sent), None) = (letters.next(), letters.next()) else {
            return Err(Refusal::syntax(format!("{text:?} is no tax letter")));
        };
        let in_alphabet = |a: &String| a.chars().position(|c| c == sent);
        let digit = sent.to_digit(10).and_then(|d| d.checked_sub(1));
        let at = match digit {
            Some(digit) => usize::try_from(digit).ok(),
            None => self.profile.letters.iter().find_map(in_alphabet),
        };
        let letter = at.and_then(|at| "ABCDEFGH".chars().nth(at));
        let mapped = |l: &char| self.settings.taxes.contains_key(&l.to_string());
        letter
            .filter(mapped)
            .ok_or_else(|| Refusal::syntax(format!("tax letter {text:?} is not mapped")))
    }

    /// The tax letter of a department.
    ///
    /// # Errors
    /// It is not mapped.
    pub fn department(&self, number: u32) -> Result<char, Refusal> {
        let letter = self.departments.get(&number).copied();
        letter
            .filter(|l| self.settings.taxes.contains_key(&l.to_string()))
            .ok_or_else(|| Refusal::syntax(format!("department {number} is not mapped")))
    }

    /// The name or taxID that a tax letter stands for.
    #[must_use]
    pub fn tax_name(&self, letter: char) -> Option<&str> {
        let name = self.settings.taxes.get(&letter.to_string());
        name.map(String::as_str)
    }

    /// What a payment code means.
    ///
    /// # Errors
    /// It is not mapped.
    pub fn payment(&self, codes: &Codes, code: &str) -> Result<PaymentRule, Refusal> {
        if let Some(rule) = self.settings.payments.get(code) {
            return Ok(rule.clone());
        }
        let money = codes.payments.get(code).copied();
        let rule = money.map(|money| PaymentRule {
            money,
            currency: None,
        });
        rule.ok_or_else(|| Refusal::syntax(format!("payment code {code:?} is not mapped")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Rules, SettingsError> {
        Rules::new(toml::from_str(text).unwrap())
    }

    #[test]
    fn both_profiles_can_be_read() {
        for name in ["generic", "bg"] {
            let text = format!("profile = {name:?}\ncurrency = 'USD'\n[taxes]\nA = '15.5%'");
            rules(&text).unwrap();
        }
    }

    #[test]
    fn letters_of_both_alphabets_and_digits_are_the_same_tax() {
        let rules = rules("profile = 'bg'\ncurrency = 'USD'\ntaxes.B = 'zero'").unwrap();
        for letter in ["B", "Б", "2"] {
            assert_eq!(rules.tax(letter), Ok('B'));
        }
        for letter in ["A", "b", "0", "9", "", "BB"] {
            assert!(rules.tax(letter).is_err(), "{letter}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        let bad = rules("profile = 'xx'\ncurrency = 'USD'\ntaxes.A = '1'");
        assert_eq!(bad, Err(SettingsError::Profile("xx".into())));
        let bad = rules("currency = 'USD'\ntaxes.K = '1'");
        assert_eq!(bad, Err(SettingsError::Letter("K".into())));
        let bad = rules("currency = 'USD'\ntaxes.A = '1'\ndepartments.x = 'A'");
        assert_eq!(bad, Err(SettingsError::Department("x".into())));
        assert!(toml::from_str::<RegisterSettings>("currency = 'USD'\ntax = 1").is_err());
    }
}
