//! A template as it is written: TOML, strict. Regular expressions find things; tables say what marks mean.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::capture::grid::Paper;

/// One pattern or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a pattern, or a list of patterns")]
pub(super) enum Patterns {
    One(String),
    Many(Vec<String>),
}

impl Patterns {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What a job is that a template fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A sale.
    FiscalSale,
    /// Goods come back.
    FiscalRefund,
    /// A receipt is printed again, and the paper says so.
    Reprint,
    /// No sale: kitchen slips, reports, card slips.
    Passthrough,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) number: Option<String>,
    #[serde(rename = "match")]
    pub(super) matching: Match,
    #[serde(default)]
    pub(super) paper: Paper,
    #[serde(default)]
    pub(super) header: Header,
    pub(super) items: Option<Items>,
    #[serde(default)]
    pub(super) tax: Tax,
    pub(super) totals: Option<Totals>,
    pub(super) payments: Option<Payments>,
    pub(super) currency: Option<Currency>,
    pub(super) refund: Option<Refund>,
    #[serde(default)]
    pub(super) buyer: Buyer,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Match {
    pub(super) all: Vec<String>,
    #[serde(default)]
    pub(super) none: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) receipt_no: Option<Patterns>,
    pub(super) date: Option<Patterns>,
    pub(super) time: Option<Patterns>,
    pub(super) till: Option<Patterns>,
    pub(super) cashier: Option<Patterns>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Items {
    pub(super) start: Patterns,
    pub(super) end: Patterns,
    #[serde(default)]
    pub(super) skip: Vec<String>,
    pub(super) line: Vec<ItemLine>,
}

/// One way to write an item.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemLine {
    #[serde(default, rename = "is")]
    pub(super) role: Role,
    /// One pattern for each row.
    pub(super) rows: Vec<String>,
}

/// What rows among the items are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Goods.
    #[default]
    Item,
    /// Taken off the line before it.
    Discount,
    /// Takes back a line before it.
    Void,
}

/// Whether line totals contain tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Prices {
    #[default]
    Inclusive,
    Exclusive,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tax {
    pub(super) prices: Prices,
    pub(super) map: BTreeMap<String, String>,
    pub(super) default: Option<String>,
    pub(super) row: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Totals {
    pub(super) total: Patterns,
    pub(super) discount: Option<Patterns>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payments {
    #[serde(default)]
    pub(super) map: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) row: Vec<String>,
    pub(super) tendered: Option<Patterns>,
    pub(super) change: Option<Patterns>,
    pub(super) default: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Currency {
    #[serde(default)]
    pub(super) map: BTreeMap<String, String>,
    pub(super) find: Option<Patterns>,
    pub(super) default: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    pub(super) original_ref: Patterns,
    #[serde(default)]
    pub(super) negative: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Buyer {
    pub(super) name: Option<Patterns>,
    pub(super) tin: Option<Patterns>,
    pub(super) vat: Option<Patterns>,
    pub(super) address: Option<Patterns>,
}
