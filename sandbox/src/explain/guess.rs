//! Which mistake makes a received hash: the parts of the signing string are written in the ways in
//! which they are often written wrong, one or two at a time, until a string has that hash.

use crate::receipt::{Receipt, TaxRow};
use crate::signing::{self, ReceiptParts};

/// A part that was written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deviation {
    /// Which part: an index into [`ReceiptParts::NAMES`].
    pub(crate) part: usize,
    /// What it was instead.
    pub(crate) text: String,
    /// The mistake, in words.
    pub(crate) what: String,
}

/// A string that has the received hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guess {
    pub(crate) text: String,
    pub(crate) deviations: Vec<Deviation>,
}

/// The string with the fewest mistakes, two at most, that has the received hash.
pub(super) fn guess(
    parts: &ReceiptParts,
    receipt: &Receipt,
    near: &[(i32, String)],
) -> Option<Guess> {
    let mut all = head(parts, receipt);
    all.extend(taxes(receipt));
    all.extend(previous(parts, near));
    all.retain(|deviation| parts.0.get(deviation.part) != Some(&deviation.text));
    let wanted = receipt.signature.hash.as_slice();
    let of = |deviations: &[&Deviation]| {
        let mut parts = parts.clone();
        for deviation in deviations {
            if let Some(part) = parts.0.get_mut(deviation.part) {
                part.clone_from(&deviation.text);
            }
        }
        let text = parts.joined();
        (signing::hash(&text) == *wanted).then(|| Guess {
            text,
            deviations: deviations.iter().map(|one| (*one).clone()).collect(),
        })
    };
    let single = all.iter().find_map(|one| of(&[one]));
    single.or_else(|| {
        all.iter().enumerate().find_map(|(at, first)| {
            let mut rest = all.iter().skip(at + 1);
            rest.find_map(|second| {
                (first.part != second.part)
                    .then(|| of(&[first, second]))
                    .flatten()
            })
        })
    })
}

fn deviation(part: usize, text: impl Into<String>, what: &str) -> Deviation {
    Deviation {
        part,
        text: text.into(),
        what: what.to_owned(),
    }
}

/// Everything before the taxes.
fn head(parts: &ReceiptParts, receipt: &Receipt) -> Vec<Deviation> {
    let [device, kind, currency, _, date, total, _, _] = &parts.0;
    let names = crate::receipt::ReceiptType::NAMES;
    let name = names.iter().find(|(_, known)| *known == receipt.kind);
    let name = name.map_or("", |(name, _)| *name);
    let zoned = receipt.date.strftime("%Y-%m-%d %H:%M:%S").to_string();
    vec![
        deviation(
            0,
            format!("{device:0>10}"),
            "the device ID with leading zeros",
        ),
        deviation(0, "", "the device ID is left out"),
        deviation(1, name, "the receipt type is not in upper case"),
        deviation(1, kind.to_lowercase(), "the receipt type is in lower case"),
        deviation(1, "", "the receipt type is left out"),
        deviation(2, currency.to_lowercase(), "the currency is in lower case"),
        deviation(2, "", "the currency is left out"),
        deviation(
            3,
            receipt.counter.to_string(),
            "receiptCounter in the place of receiptGlobalNo",
        ),
        deviation(3, "", "receiptGlobalNo is left out"),
        deviation(4, format!("{date}Z"), "the date has a Z behind it"),
        deviation(4, format!("{date}+02:00"), "the date has a zone behind it"),
        deviation(4, format!("{date}.000"), "the date has milliseconds"),
        deviation(4, zoned, "the date has a space and no T"),
        deviation(4, receipt.date.date().to_string(), "the date has no time"),
        deviation(5, receipt.total.two_decimals(), "the total is not in cents"),
        deviation(5, receipt.total.to_string(), "the total is not in cents"),
        deviation(
            5,
            total.trim_start_matches('-'),
            "the total has lost its sign",
        ),
    ]
}

/// The hash of the receipt before.
fn previous(parts: &ReceiptParts, near: &[(i32, String)]) -> Vec<Deviation> {
    let has_one = parts.0.last().is_some_and(|hash| !hash.is_empty());
    let mut all = vec![deviation(
        7,
        "",
        "the hash of the receipt before is left out",
    )];
    for (global_no, hash) in near {
        let what = if has_one {
            format!("the hash of receipt {global_no}, which is not the one before")
        } else {
            format!("the hash of receipt {global_no}, though it is not signed here")
        };
        all.push(deviation(7, hash.clone(), &what));
    }
    all
}

/// How tax rows can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TaxStyle {
    order: Order,
    percent: Percent,
    in_cents: bool,
    has_code: bool,
    has_id: bool,
    has_amount: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    ById,
    AsSent,
    ByPercent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Percent {
    TwoDecimals,
    Short,
    ZeroIfExempt,
    LeftOut,
}

/// All the ways in which the tax rows can be written, those with the fewest mistakes first.
fn taxes(receipt: &Receipt) -> Vec<Deviation> {
    let mut styles = Vec::new();
    for order in [Order::ById, Order::AsSent, Order::ByPercent] {
        for percent in [
            Percent::TwoDecimals,
            Percent::Short,
            Percent::ZeroIfExempt,
            Percent::LeftOut,
        ] {
            for flags in 0..16_u8 {
                styles.push(TaxStyle {
                    order,
                    percent,
                    in_cents: flags & 1 == 0,
                    has_code: flags & 2 == 0,
                    has_id: flags & 4 != 0,
                    has_amount: flags & 8 == 0,
                });
            }
        }
    }
    styles.sort_by_key(|style| style.mistakes().len());
    let mut all = vec![deviation(6, "", "the taxes are left out")];
    let styled = styles.iter().map(|style| {
        let what = style.mistakes().join("; ");
        deviation(6, style.written(receipt), &what)
    });
    all.extend(styled);
    all
}

impl TaxStyle {
    fn mistakes(self) -> Vec<&'static str> {
        let mut all = Vec::new();
        match self.order {
            Order::ById => {}
            Order::AsSent => all.push("tax rows as sent, not by taxID and code"),
            Order::ByPercent => all.push("tax rows by percent, not by taxID and code"),
        }
        match self.percent {
            Percent::TwoDecimals => {}
            Percent::Short => all.push("percents without two decimals"),
            Percent::ZeroIfExempt => all.push("an exempt tax written as 0.00"),
            Percent::LeftOut => all.push("percents are left out"),
        }
        let others = [
            (self.in_cents, "tax amounts are not in cents"),
            (self.has_code, "tax codes are left out"),
            (!self.has_id, "taxIDs are written too"),
            (self.has_amount, "taxAmount is left out"),
        ];
        all.extend(
            others
                .iter()
                .filter(|(right, _)| !right)
                .map(|(_, what)| *what),
        );
        all
    }

    fn written(self, receipt: &Receipt) -> String {
        let mut rows: Vec<&TaxRow> = receipt.taxes.iter().collect();
        match self.order {
            Order::AsSent => {}
            Order::ById => {
                rows.sort_by_key(|row| (row.tax.id, row.tax.code.clone().unwrap_or_default()));
            }
            Order::ByPercent => rows.sort_by_key(|row| row.tax.percent),
        }
        let amount = |amount: crate::micro::Micro| {
            if self.in_cents {
                amount.cents().to_string()
            } else {
                amount.two_decimals()
            }
        };
        let mut text = String::new();
        for row in rows {
            if self.has_id {
                text.push_str(&row.tax.id.to_string());
            }
            if self.has_code {
                text.push_str(row.tax.code.as_deref().unwrap_or_default());
            }
            match (self.percent, row.tax.percent) {
                (Percent::LeftOut, _) => {}
                (Percent::Short, Some(percent)) => text.push_str(&percent.to_string()),
                (_, Some(percent)) => text.push_str(&percent.two_decimals()),
                (Percent::ZeroIfExempt, None) => text.push_str("0.00"),
                (_, None) => {}
            }
            if self.has_amount {
                text.push_str(&amount(row.tax_amount));
            }
            text.push_str(&amount(row.sales_with_tax));
        }
        text
    }
}
