//! The usual mistakes in making a receipt's signing string, tried one by one and in pairs.
//!
//! Each is a [`Style`] that differs from the right one in one respect. Whoever gets RCPT020 has made one
//! or two of them, and his hash tells which: the string that reproduces it.

use fiscal::json::Value;
use fiscal::receipt::{Hash, Receipt, TaxRow};
use fiscal::{Cents, DateTime, DeviceId, Percent, sign};
use sha2::{Digest as _, Sha256};

use super::Envelope;
use super::signature::Mistake;

/// One way of doing it wrong: its name, and what it changes.
pub(super) type Variation<S> = (&'static str, fn(&mut S));

/// Tries each variation alone, then each pair, until one has the hash.
pub(super) fn search<S: Clone>(
    right: &S,
    variations: &[Variation<S>],
    wanted: &Hash,
    render: impl Fn(&S) -> (String, Hash),
) -> Option<Mistake> {
    let vary = |names: &[&str], style: &S| {
        let (string, hash) = render(style);
        (hash == *wanted).then(|| Mistake {
            name: names.join(" and "),
            string,
        })
    };
    let right_hash = render(right).1;
    let mut singles = Vec::new();
    for (name, change) in variations {
        let mut style = right.clone();
        change(&mut style);
        if let Some(mistake) = vary(&[name], &style) {
            return Some(mistake);
        }
        // What changes nothing in this receipt is of no use in a pair either.
        if render(&style).1 != right_hash {
            singles.push((*name, *change, style));
        }
    }
    for (place, (first, _, style)) in singles.iter().enumerate() {
        for (second, change, _) in singles.iter().skip(place + 1) {
            let mut style = style.clone();
            change(&mut style);
            if let Some(mistake) = vary(&[first, second], &style) {
                return Some(mistake);
            }
        }
    }
    None
}

/// How amounts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amounts {
    /// In cents with sign, as it should be.
    Cents,
    /// `12.30`
    TwoDecimals,
    /// `12.3`
    Trimmed,
    /// In cents without sign.
    Unsigned,
}

impl Amounts {
    pub(super) fn write(self, amount: Cents) -> String {
        match self {
            Self::Cents => amount.get().to_string(),
            Self::TwoDecimals => amount.to_string(),
            Self::Trimmed => {
                let text = amount.to_string();
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Self::Unsigned => amount.get().unsigned_abs().to_string(),
        }
    }
}

/// How percents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Percents {
    /// With two decimals, as it should be.
    TwoDecimals,
    /// `15.5`
    Trimmed,
    /// `15.5`, `15.0`
    OneDecimal,
    /// `1550`
    Hundredths,
    /// Not at all.
    LeftOut,
}

impl Percents {
    pub(super) fn write(self, percent: Percent) -> String {
        let hundredths = percent.hundredths();
        match self {
            Self::TwoDecimals => percent.fixed(),
            Self::Trimmed => percent.to_string(),
            Self::OneDecimal => format!("{}.{}", hundredths / 100, hundredths % 100 / 10),
            Self::Hundredths => hundredths.to_string(),
            Self::LeftOut => String::new(),
        }
    }
}

/// Order of the tax rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Signing,
    AsSent,
    Reverse,
    ByPercent,
    ByCode,
}

/// The hash of the receipt before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    Ours,
    LeftOut,
    Hex,
    Null,
    Servers,
}

/// What is hashed of the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Utf8,
    Utf16,
    LineFeed,
    Hash,
    HashText,
}

/// Date and time.
#[derive(Debug, Clone, Copy)]
enum Date {
    Right,
    AsSent,
    /// The right one with something changed by a function on its text.
    Changed(fn(&str) -> String),
}

/// How a receipt's string is made.
#[derive(Debug, Clone)]
struct Style {
    /// Leaves out the field at this place.
    left_out: Option<usize>,
    padded_device: bool,
    padded_number: bool,
    counter_for_number: bool,
    receipt_type: fn(&str) -> String,
    date: Date,
    amounts: Amounts,
    percents: Percents,
    exempt: &'static str,
    zero_rated_as_exempt: bool,
    computed_sums: bool,
    order: Order,
    codes: bool,
    ids: bool,
    sales_first: bool,
    rows: bool,
    previous: Previous,
    between: &'static str,
    bytes: Bytes,
}

impl Style {
    const RIGHT: Self = Self {
        left_out: None,
        padded_device: false,
        padded_number: false,
        counter_for_number: false,
        receipt_type: str::to_ascii_uppercase,
        date: Date::Right,
        amounts: Amounts::Cents,
        percents: Percents::TwoDecimals,
        exempt: "",
        zero_rated_as_exempt: false,
        computed_sums: false,
        order: Order::Signing,
        codes: true,
        ids: false,
        sales_first: false,
        rows: true,
        previous: Previous::Ours,
        between: "",
        bytes: Bytes::Utf8,
    };
}

/// Names follow "it is the hash of the string".
const VARIATIONS: &[Variation<Style>] = &[
    ("without the hash of the receipt before", |s| {
        s.previous = Previous::LeftOut;
    }),
    (
        "with FDMS's hash of the receipt before instead of your own",
        |s| {
            s.previous = Previous::Servers;
        },
    ),
    ("with the hash of the receipt before in hexadecimal", |s| {
        s.previous = Previous::Hex;
    }),
    (
        "with the word null for the hash of the receipt before",
        |s| {
            s.previous = Previous::Null;
        },
    ),
    (
        "with the tax rows in the order of the JSON instead of taxID and taxCode",
        |s| {
            s.order = Order::AsSent;
        },
    ),
    ("with the tax rows in the opposite order", |s| {
        s.order = Order::Reverse
    }),
    ("with the tax rows in the order of their percents", |s| {
        s.order = Order::ByPercent
    }),
    ("with the tax rows in the order of their taxCodes", |s| {
        s.order = Order::ByCode
    }),
    ("with amounts with a point instead of in cents", |s| {
        s.amounts = Amounts::TwoDecimals
    }),
    (
        "with amounts with a point and without closing zeros instead of in cents",
        |s| {
            s.amounts = Amounts::Trimmed;
        },
    ),
    ("with amounts without their sign", |s| {
        s.amounts = Amounts::Unsigned
    }),
    ("with percents without two decimals", |s| {
        s.percents = Percents::Trimmed
    }),
    ("with percents with one decimal instead of two", |s| {
        s.percents = Percents::OneDecimal
    }),
    ("with percents in hundredths", |s| {
        s.percents = Percents::Hundredths
    }),
    ("without percents", |s| s.percents = Percents::LeftOut),
    ("with 0.00 for exempt, which has no percent", |s| {
        s.exempt = "0.00"
    }),
    ("with 0 for exempt, which has no percent", |s| {
        s.exempt = "0"
    }),
    ("with nothing for zero-rated, which is 0.00", |s| {
        s.zero_rated_as_exempt = true
    }),
    ("with receiptType not in upper case", |s| {
        s.receipt_type = str::to_owned
    }),
    ("with receiptType in lower case", |s| {
        s.receipt_type = str::to_ascii_lowercase
    }),
    ("with receiptDate as it stands in the JSON", |s| {
        s.date = Date::AsSent
    }),
    ("with a space instead of the T in receiptDate", |s| {
        s.date = Date::Changed(|date| date.replace('T', " "));
    }),
    ("with a Z behind receiptDate", |s| {
        s.date = Date::Changed(|date| format!("{date}Z"))
    }),
    ("with +02:00 behind receiptDate", |s| {
        s.date = Date::Changed(|date| format!("{date}+02:00"));
    }),
    ("with thousandths of seconds behind receiptDate", |s| {
        s.date = Date::Changed(|date| format!("{date}.000"));
    }),
    (
        "with thousandths of seconds and a Z behind receiptDate",
        |s| {
            s.date = Date::Changed(|date| format!("{date}.000Z"));
        },
    ),
    ("with receiptDate without seconds", |s| {
        s.date = Date::Changed(|date| date.get(..16).unwrap_or(date).to_owned());
    }),
    ("with the day alone for receiptDate", |s| {
        s.date = Date::Changed(|date| date.get(..10).unwrap_or(date).to_owned());
    }),
    ("with receiptCounter instead of receiptGlobalNo", |s| {
        s.counter_for_number = true
    }),
    ("with deviceID in ten digits", |s| s.padded_device = true),
    ("with receiptGlobalNo in ten digits", |s| {
        s.padded_number = true
    }),
    (
        "with the sums that the lines come to, which the JSON does not carry",
        |s| {
            s.computed_sums = true;
        },
    ),
    ("without the taxCodes", |s| s.codes = false),
    ("with taxIDs, which are not signed", |s| s.ids = true),
    ("with salesAmountWithTax before taxAmount", |s| {
        s.sales_first = true
    }),
    ("without the tax rows", |s| s.rows = false),
    ("without deviceID", |s| s.left_out = Some(0)),
    ("without receiptType", |s| s.left_out = Some(1)),
    ("without receiptCurrency", |s| s.left_out = Some(2)),
    ("without receiptGlobalNo", |s| s.left_out = Some(3)),
    ("without receiptDate", |s| s.left_out = Some(4)),
    ("without receiptTotal", |s| s.left_out = Some(5)),
    ("with | between the fields", |s| s.between = "|"),
    ("with , between the fields", |s| s.between = ","),
    ("with - between the fields", |s| s.between = "-"),
    ("with spaces between the fields", |s| s.between = " "),
    ("with line feeds between the fields", |s| s.between = "\n"),
    ("in UTF-16 instead of UTF-8", |s| s.bytes = Bytes::Utf16),
    ("with a line feed at its end", |s| s.bytes = Bytes::LineFeed),
    ("hashed twice", |s| s.bytes = Bytes::Hash),
    ("hashed twice, the second time as base64 text", |s| {
        s.bytes = Bytes::HashText
    }),
];

/// What strings are made of.
pub(super) struct ReceiptFacts<'a> {
    device: DeviceId,
    receipt: &'a Receipt,
    previous: &'a str,
    previous_of_server: Option<String>,
    computed: &'a [TaxRow],
    date_as_sent: Option<String>,
}

impl<'a> ReceiptFacts<'a> {
    pub(super) fn new(
        device: DeviceId,
        receipt: &'a Receipt,
        previous: &'a str,
        computed: &'a [TaxRow],
        value: &Value<'_>,
        input: &Envelope<'_>,
    ) -> Self {
        let date_as_sent = match value.get("receiptDate") {
            Some(Value::String(text)) => Some(text.to_string()),
            _ => None,
        };
        Self {
            device,
            receipt,
            previous,
            previous_of_server: input.text("previousServerHash").ok().flatten(),
            computed,
            date_as_sent,
        }
    }

    /// The mistake that has this hash.
    pub(super) fn find(&self, wanted: &Hash) -> Option<Mistake> {
        search(&Style::RIGHT, VARIATIONS, wanted, |style| {
            let string = self.string(style);
            let hash = hash_as(style.bytes, &string);
            (string, hash)
        })
    }

    fn string(&self, style: &Style) -> String {
        let receipt = self.receipt;
        let number = if style.counter_for_number {
            receipt.counter.get()
        } else {
            receipt.global_no.get()
        };
        let rows = if style.computed_sums {
            self.computed
        } else {
            &receipt.taxes
        };
        let total = if style.computed_sums {
            fiscal::sums::total(self.computed)
        } else {
            receipt.total
        };
        let padded = |pad: bool, number: u32| {
            if pad {
                format!("{number:010}")
            } else {
                number.to_string()
            }
        };
        let mut fields = vec![
            padded(style.padded_device, self.device.get()),
            (style.receipt_type)(receipt.receipt_type.as_str()),
            receipt.currency.to_string(),
            padded(style.padded_number, number),
            self.date(style.date, receipt.date),
            style.amounts.write(total),
        ];
        if let Some(place) = style.left_out {
            fields.remove(place.min(fields.len() - 1));
        }
        if style.rows {
            for row in ordered(rows, style.order) {
                fields.extend(row_fields(row, style));
            }
        }
        let previous = self.previous_field(style.previous);
        if !previous.is_empty() {
            fields.push(previous);
        }
        fields.join(style.between)
    }

    fn date(&self, date: Date, right: DateTime) -> String {
        let right = right.to_string();
        match date {
            Date::Right => right,
            Date::AsSent => self.date_as_sent.clone().unwrap_or(right),
            Date::Changed(change) => change(&right),
        }
    }

    fn previous_field(&self, previous: Previous) -> String {
        match previous {
            Previous::Ours => self.previous.to_owned(),
            Previous::LeftOut => String::new(),
            Previous::Null => "null".to_owned(),
            Previous::Servers => self
                .previous_of_server
                .clone()
                .unwrap_or_else(|| self.previous.to_owned()),
            Previous::Hex => match Hash::parse(self.previous) {
                Some(hash) => hash.0.iter().map(|byte| format!("{byte:02x}")).collect(),
                None => self.previous.to_owned(),
            },
        }
    }
}

fn ordered(rows: &[TaxRow], order: Order) -> Vec<&TaxRow> {
    let mut rows: Vec<&TaxRow> = rows.iter().collect();
    match order {
        Order::AsSent => {}
        Order::Signing => rows.sort_by_key(|row| &row.tax),
        Order::Reverse => {
            rows.sort_by_key(|row| &row.tax);
            rows.reverse();
        }
        Order::ByPercent => rows.sort_by_key(|row| row.tax.percent),
        Order::ByCode => rows.sort_by_key(|row| (&row.tax.code, row.tax.id)),
    }
    rows
}

/// The fields of a row; empty ones are left out, as they leave nothing behind.
fn row_fields(row: &TaxRow, style: &Style) -> Vec<String> {
    let percent = match row.tax.percent {
        None => style.exempt.to_owned(),
        Some(Percent::ZERO) if style.zero_rated_as_exempt => String::new(),
        Some(percent) => style.percents.write(percent),
    };
    let mut fields = Vec::new();
    if style.ids {
        fields.push(row.tax.id.to_string());
    }
    if style.codes {
        fields.extend(row.tax.code.clone());
    }
    fields.push(percent);
    let mut amounts = [row.tax_amount, row.sales_amount_with_tax];
    if style.sales_first {
        amounts.reverse();
    }
    fields.extend(amounts.map(|amount| style.amounts.write(amount)));
    fields.retain(|field| !field.is_empty());
    fields
}

fn hash_as(bytes: Bytes, string: &str) -> Hash {
    match bytes {
        Bytes::Utf8 => sign::hash(string),
        Bytes::LineFeed => sign::hash(&format!("{string}\n")),
        Bytes::Utf16 => {
            let bytes: Vec<u8> = string.encode_utf16().flat_map(u16::to_le_bytes).collect();
            Hash(Sha256::digest(&bytes).into())
        }
        Bytes::Hash => Hash(Sha256::digest(sign::hash(string).0).into()),
        Bytes::HashText => sign::hash(&sign::hash(string).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right style is the core's own string: else every search would start from a mistake.
    #[test]
    fn the_right_style_is_right() {
        use fiscal::compose::{Known, compose};
        use fiscal::testing::{GenOptions, Random, random_sale, sample_taxpayer};
        let taxpayer = sample_taxpayer();
        let mut random = Random::new(3);
        for _ in 0..50 {
            let date: DateTime = "2026-09-06T12:18:39".parse().unwrap();
            let sale = random_sale(
                &mut random,
                &taxpayer,
                &GenOptions {
                    device: None,
                    invoice_no: "1",
                    date,
                    currencies: &[fiscal::Currency::USD],
                    originals: &[],
                },
            );
            let (draft, _) = fiscal::draft::Draft::read(sale.json.as_bytes());
            let (mut receipt, _) = compose(
                &draft,
                &Known {
                    taxpayer: Some(&taxpayer),
                    ..Known::default()
                },
            );
            receipt.date = date;
            let device = DeviceId::new(7).unwrap();
            let previous = sign::hash("before");
            let facts = ReceiptFacts {
                device,
                receipt: &receipt,
                previous: &previous.to_string(),
                previous_of_server: None,
                computed: &[],
                date_as_sent: None,
            };
            assert_eq!(
                facts.string(&Style::RIGHT),
                sign::receipt_string(device, &receipt, Some(&previous))
            );
        }
    }
}
