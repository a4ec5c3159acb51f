//! A fiscal day inspected: the string of its counters.

use fiscal::counters::{By, CounterKey, CounterType, Counters};
use fiscal::json::Value;
use fiscal::receipt::Hash;
use fiscal::{
    Cents, Code, Currency, DateTime, DeviceId, Finding, FiscalDayNo, MoneyType, Percent, TaxId,
    sign,
};

use super::mistakes::{Amounts, Percents, Variation, search};
use super::signature::{Given, Mistake};
use super::{Answer, Envelope, InspectError};
use crate::keys::Signer;

/// Inspects a fiscal day: `{"deviceID", "fiscalDayNo", "fiscalDayDate", "fiscalDayCounters"}` →
/// `{"canonical", "hash", "signature"?}`.
///
/// `fiscalDayDate` is the day on which it was opened. Counters come in any order, zero ones are left out
/// of the string. With `"fiscalDayDeviceSignature": {"hash", "signature"}` (and `"certificate"` or `key`)
/// these are compared. `"findings"` is in the answer when something was given to compare, or when a
/// counter cannot be read.
///
/// # Errors
/// Not JSON, or one of the four members is missing or unusable.
pub fn inspect_day(input: &[u8], key: Option<&dyn Signer>) -> Result<String, InspectError> {
    let input = Envelope::parse(input)?;
    let device = input.device()?;
    let day = input.whole("fiscalDayNo", FiscalDayNo::new)?;
    let opened = input.date("fiscalDayDate")?;
    let public_key = input.public_key(key)?;
    let rows = match input.get("fiscalDayCounters") {
        Some(Value::Array(rows)) => rows.as_slice(),
        None => &[],
        Some(other) => {
            let message = format!("fiscalDayCounters is {}; an array is needed", other.kind());
            return Err(InspectError(message));
        }
    };
    let mut findings = Vec::new();
    let read = read_rows(rows, &mut findings);
    let mut counters = Counters::default();
    for (place, (key, value)) in read.iter().enumerate() {
        if read.iter().take(place).any(|(other, _)| other == key) {
            let message = format!(
                "{} {} is there twice; one counter has one row",
                key.counter_type, key.currency
            );
            findings.push(Finding::new(
                Code::FieldRepeated,
                "/fiscalDayCounters",
                message,
            ));
        }
        counters.add(*key, *value);
    }
    let canonical = sign::day_string(device, day, opened, &counters);
    let facts = DayFacts {
        device,
        day,
        opened,
        rows: &read,
        counters: &counters,
    };
    let given = input.get("fiscalDayDeviceSignature");
    let text = |name: &str| match given.and_then(|given| given.get(name)) {
        Some(Value::String(text)) => Some(text.as_ref()),
        _ => None,
    };
    let given = Given::of_day(text("hash"), text("signature"));
    findings.extend(given.differences(&canonical, public_key.as_ref(), |hash| facts.find(hash)));
    let mut out = Answer::new();
    out.signed(&canonical, key)?;
    if given.is_some() || !findings.is_empty() {
        out.findings(&findings);
    }
    Ok(out.finish())
}

fn read_rows(rows: &[Value<'_>], findings: &mut Vec<Finding>) -> Vec<(CounterKey, Cents)> {
    rows.iter()
        .enumerate()
        .filter_map(|(place, row)| counter(row, place, findings))
        .collect()
}

/// Reads `fiscalDayCounters`, as CloseDay takes them, with what is wrong with them.
#[must_use]
pub fn read_counters(rows: &[Value<'_>]) -> (Counters, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut counters = Counters::default();
    for (key, value) in read_rows(rows, &mut findings) {
        counters.add(key, value);
    }
    (counters, findings)
}

/// Reads a counter; one that cannot be read is a finding and stays out of the string.
fn counter(
    row: &Value<'_>,
    place: usize,
    findings: &mut Vec<Finding>,
) -> Option<(CounterKey, Cents)> {
    let text = |name: &str| match row.get(name) {
        Some(Value::String(text)) => Some(text.to_string()),
        Some(Value::Number(text)) => Some((*text).to_owned()),
        _ => None,
    };
    let mut fault = |name: &str, code: Code, message: String| {
        let at = format!("/fiscalDayCounters/{place}/{name}");
        findings.push(Finding::new(code, at, message));
    };
    let mut needed = |name: &str| {
        let found = text(name);
        if found.is_none() {
            fault(name, Code::FieldMissing, format!("{name} is missing"));
        }
        found
    };
    let kind = needed("fiscalCounterType");
    let currency = needed("fiscalCounterCurrency");
    let value = needed("fiscalCounterValue");
    let (kind, currency, value) = (kind?, currency?, value?);
    let counter_type = ignoring_case(CounterType::ALL, &kind, CounterType::as_str);
    let Some(counter_type) = counter_type else {
        let message = format!("\"{kind}\" is not one of the seven counters that a device sends");
        fault("fiscalCounterType", Code::WordUnknown, message);
        return None;
    };
    let Some(currency) = Currency::parse(&currency) else {
        let message = format!("\"{currency}\" is not the three letters of a currency");
        fault("fiscalCounterCurrency", Code::Rcpt010, message);
        return None;
    };
    let amount = Cents::parse(&value)
        .map_err(|error| {
            fault(
                "fiscalCounterValue",
                Code::NumberInvalid,
                format!("{value} {error}"),
            )
        })
        .ok()?;
    let by = if counter_type == CounterType::BalanceByMoneyType {
        by_money(
            &text("fiscalCounterMoneyType").unwrap_or_default(),
            &mut fault,
        )?
    } else {
        let (id, percent) = (text("fiscalCounterTaxID"), text("fiscalCounterTaxPercent"));
        by_tax(id.as_deref(), percent.as_deref(), &mut fault)?
    };
    let key = CounterKey {
        counter_type,
        currency,
        by,
    };
    Some((key, amount))
}

fn by_money(word: &str, fault: &mut impl FnMut(&str, Code, String)) -> Option<By> {
    let money = ignoring_case(MoneyType::ALL, word, MoneyType::as_str);
    if money.is_none() {
        let message = format!("\"{word}\" is not a money type");
        fault("fiscalCounterMoneyType", Code::WordUnknown, message);
    }
    money.map(By::Money)
}

fn by_tax(
    id: Option<&str>,
    percent: Option<&str>,
    fault: &mut impl FnMut(&str, Code, String),
) -> Option<By> {
    let percent = match percent.map(Percent::parse).transpose() {
        Ok(percent) => percent,
        Err(error) => {
            let message = format!("{} {error}", percent.unwrap_or_default());
            fault("fiscalCounterTaxPercent", Code::NumberInvalid, message);
            return None;
        }
    };
    let id = id.and_then(|text| text.parse().ok()).and_then(TaxId::new);
    if id.is_none() {
        let message = "a counter by tax needs its taxID, which orders the string".to_owned();
        fault("fiscalCounterTaxID", Code::FieldMissing, message);
    }
    Some(By::Tax(id.unwrap_or(TaxId::ZERO), percent))
}

fn ignoring_case<T: Copy>(all: &[T], text: &str, word: fn(T) -> &'static str) -> Option<T> {
    all.iter()
        .find(|value| word(**value).eq_ignore_ascii_case(text))
        .copied()
}

/// What strings of a day are made of.
struct DayFacts<'a> {
    device: DeviceId,
    day: FiscalDayNo,
    opened: DateTime,
    rows: &'a [(CounterKey, Cents)],
    counters: &'a Counters,
}

/// How a day's string is made.
#[derive(Debug, Clone)]
struct Style {
    rows: Rows,
    upper: bool,
    amounts: Amounts,
    percents: Percents,
    exempt: &'static str,
    between: &'static str,
    with_time: bool,
    next_day: bool,
    without_counters: bool,
}

/// Which counters, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Right,
    AsSent,
    AsSentWithZeros,
    WithZeros,
    CurrencyFirst,
    TaxBeforeCurrency,
    ByPercent,
    MoneyByName,
}

impl Style {
    const RIGHT: Self = Self {
        rows: Rows::Right,
        upper: true,
        amounts: Amounts::Cents,
        percents: Percents::TwoDecimals,
        exempt: "",
        between: "",
        with_time: false,
        next_day: false,
        without_counters: false,
    };
}

/// Names follow "it is the hash of the string".
const VARIATIONS: &[Variation<Style>] = &[
    ("with the counters in the order of the JSON", |s| {
        s.rows = Rows::AsSent
    }),
    (
        "with the counters in the order of the JSON, zero ones among them",
        |s| {
            s.rows = Rows::AsSentWithZeros;
        },
    ),
    ("with counters that are zero", |s| s.rows = Rows::WithZeros),
    (
        "with the counters in the order of currency before type",
        |s| s.rows = Rows::CurrencyFirst,
    ),
    (
        "with the counters in the order of tax before currency",
        |s| {
            s.rows = Rows::TaxBeforeCurrency;
        },
    ),
    (
        "with the counters in the order of percent instead of taxID",
        |s| s.rows = Rows::ByPercent,
    ),
    ("with the money types in alphabetical order", |s| {
        s.rows = Rows::MoneyByName
    }),
    ("with the words not in upper case", |s| s.upper = false),
    ("with values with a point instead of in cents", |s| {
        s.amounts = Amounts::TwoDecimals
    }),
    (
        "with values with a point and without closing zeros instead of in cents",
        |s| {
            s.amounts = Amounts::Trimmed;
        },
    ),
    ("with values without their sign", |s| {
        s.amounts = Amounts::Unsigned
    }),
    ("with percents without two decimals", |s| {
        s.percents = Percents::Trimmed
    }),
    ("with percents with one decimal instead of two", |s| {
        s.percents = Percents::OneDecimal
    }),
    ("without percents", |s| s.percents = Percents::LeftOut),
    ("with 0.00 for exempt, which has no percent", |s| {
        s.exempt = "0.00"
    }),
    ("with 0 for exempt, which has no percent", |s| {
        s.exempt = "0"
    }),
    ("with | between the fields", |s| s.between = "|"),
    ("with the time of the opening behind the date", |s| {
        s.with_time = true
    }),
    (
        "with the date after that of the opening; the opening's counts",
        |s| s.next_day = true,
    ),
    ("without the counters", |s| s.without_counters = true),
];

impl DayFacts<'_> {
    fn find(&self, wanted: &Hash) -> Option<Mistake> {
        search(&Style::RIGHT, VARIATIONS, wanted, |style| {
            let string = self.string(style);
            let hash = sign::hash(&string);
            (string, hash)
        })
    }

    fn string(&self, style: &Style) -> String {
        let opened = if style.next_day {
            self.opened.saturating_add(jiff::Span::new().days(1))
        } else {
            self.opened
        };
        let date = if style.with_time {
            opened.to_string()
        } else {
            opened.date().to_string()
        };
        let mut fields = vec![self.device.to_string(), self.day.to_string(), date];
        let rows = if style.without_counters {
            Vec::new()
        } else {
            self.rows(style.rows)
        };
        let word = |word: &str| {
            if style.upper {
                word.to_ascii_uppercase()
            } else {
                word.to_owned()
            }
        };
        for (key, value) in rows {
            fields.push(word(key.counter_type.as_str()));
            fields.push(key.currency.to_string());
            fields.push(match key.by {
                By::Tax(_, None) => style.exempt.to_owned(),
                By::Tax(_, Some(percent)) => style.percents.write(percent),
                By::Money(money) => word(money.as_str()),
            });
            fields.push(style.amounts.write(value));
        }
        fields.retain(|field| !field.is_empty());
        fields.join(style.between)
    }

    fn rows(&self, order: Rows) -> Vec<(CounterKey, Cents)> {
        let is_sent = |row: &&(CounterKey, Cents)| row.1 != Cents::ZERO;
        let mut rows: Vec<(CounterKey, Cents)> = match order {
            Rows::AsSent => self.rows.iter().filter(is_sent).copied().collect(),
            Rows::AsSentWithZeros | Rows::WithZeros => self.rows.to_vec(),
            _ => {
                let rows = self.counters.non_zero();
                rows.map(|(key, value)| (*key, value)).collect()
            }
        };
        let percent = |key: &CounterKey| match key.by {
            By::Tax(_, percent) => percent,
            By::Money(_) => None,
        };
        let money = |key: &CounterKey| match key.by {
            By::Tax(..) => "",
            By::Money(money) => money.as_str(),
        };
        match order {
            Rows::Right | Rows::AsSent | Rows::AsSentWithZeros => {}
            Rows::WithZeros => rows.sort_by_key(|(key, _)| *key),
            Rows::CurrencyFirst => rows.sort_by_key(|(key, _)| (key.currency, *key)),
            Rows::TaxBeforeCurrency => {
                rows.sort_by_key(|(key, _)| (key.counter_type, key.by, key.currency));
            }
            Rows::ByPercent => {
                rows.sort_by_key(|(key, _)| (key.counter_type, key.currency, percent(key), *key))
            }
            Rows::MoneyByName => rows.sort_by_key(|(key, _)| {
                let by_tax = CounterKey {
                    by: match key.by {
                        By::Money(_) => By::Money(MoneyType::Cash),
                        tax => tax,
                    },
                    ..*key
                };
                (by_tax, money(key))
            }),
        }
        rows
    }
}
