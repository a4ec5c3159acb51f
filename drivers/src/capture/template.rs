//! What a shop's receipts look like: how to know them, and where on them to find what.
//!
//! A template is a TOML file (see `drivers/templates/`). It fits a job if every pattern of `match.all` and none
//! of `match.none` is found in some row; the first that fits, in the order given, decides. Everything is
//! checked when it is read: a template that could fail later is refused now, with the line that is wrong.

use std::collections::BTreeMap;

use regex::Regex;
use rust_decimal::Decimal;

use crate::capture::grid::{Grid, Paper};
use crate::capture::number::NumberFormat;
use crate::capture::sale::Rate;

mod file;
mod pattern;

pub use file::Kind;
pub(crate) use file::Role;
use file::{File, Patterns, Prices};
use pattern::Words;

/// Most rows of one item.
const MAX_ITEM_ROWS: usize = 4;

/// A template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct TemplateError {
    /// The line of the file, from 1 on, if it is known.
    pub line: Option<usize>,
    /// What is wrong, and what is allowed.
    pub what: String,
}

/// A template, ready to read.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) paper: Paper,
    pub(crate) numbers: NumberFormat,
    all: Vec<Regex>,
    none: Vec<Regex>,
    pub(crate) fields: BTreeMap<&'static str, Vec<Regex>>,
    pub(crate) items: Option<Items>,
    pub(crate) tax: Tax,
    pub(crate) payments: Option<Payments>,
    pub(crate) currency: Currency,
    pub(crate) negative: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Items {
    pub(crate) start: Vec<Regex>,
    pub(crate) end: Vec<Regex>,
    pub(crate) skip: Vec<Regex>,
    pub(crate) lines: Vec<(Role, Vec<Regex>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tax {
    pub(crate) inclusive: bool,
    pub(crate) map: BTreeMap<String, Rate>,
    pub(crate) usual: Option<Rate>,
    pub(crate) rows: Vec<Regex>,
}

#[derive(Debug, Clone)]
pub(crate) struct Payments {
    pub(crate) map: BTreeMap<String, String>,
    pub(crate) rows: Vec<Regex>,
    pub(crate) usual: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Currency {
    pub(crate) map: BTreeMap<String, String>,
    pub(crate) usual: Option<String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Not TOML, an unknown or missing field, a pattern that is none or lacks its group, a number format, tax
    /// or currency that is none.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let file: File = toml::from_str(source).map_err(|error| TemplateError {
            line: error.span().map(|span| line_at(source, span.start)),
            what: error.message().trim().to_owned(),
        })?;
        Compiler {
            source,
            file: &file,
        }
        .template()
    }

    /// A template that comes with the product.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(name: &str) -> Result<Self, TemplateError> {
        let found = SHIPPED.iter().find(|(known, _)| *known == name);
        let Some((_, source)) = found else {
            let known: Vec<&str> = SHIPPED.iter().map(|(known, _)| *known).collect();
            return Err(TemplateError {
                line: None,
                what: format!(
                    "there is no template \"{name}\"; there are {}",
                    known.join(", ")
                ),
            });
        };
        Self::parse(source)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the jobs are that it fits.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The paper that its POS prints on.
    #[must_use]
    pub fn paper(&self) -> &Paper {
        &self.paper
    }

    /// How its POS writes numbers.
    #[must_use]
    pub fn numbers(&self) -> NumberFormat {
        self.numbers
    }

    /// Whether it is the template for this job.
    #[must_use]
    pub fn fits(&self, grid: &Grid) -> bool {
        let found = |pattern: &Regex| grid.rows().iter().any(|row| pattern.is_match(row));
        self.all.iter().all(found) && !self.none.iter().any(found)
    }

    /// The patterns of `match.all` that no row fits, and those of `match.none` that one fits.
    #[must_use]
    pub fn misfits(&self, grid: &Grid) -> Vec<String> {
        let found = |pattern: &Regex| grid.rows().iter().any(|row| pattern.is_match(row));
        let missing = self.all.iter().filter(|p| !found(p));
        let unwanted = self.none.iter().filter(|p| found(p));
        missing
            .map(|p| format!("match.all: no line has `{p}`"))
            .chain(unwanted.map(|p| format!("match.none: a line has `{p}`")))
            .collect()
    }
}

/// The templates that come with the product, as starting points: name and text.
pub const SHIPPED: [(&str, &str); 6] = [
    ("one-line", include_str!("../../templates/one-line.toml")),
    ("two-line", include_str!("../../templates/two-line.toml")),
    ("comma", include_str!("../../templates/comma.toml")),
    ("refund", include_str!("../../templates/refund.toml")),
    ("slips", include_str!("../../templates/slips.toml")),
    ("reprint", include_str!("../../templates/reprint.toml")),
];

fn line_at(source: &str, offset: usize) -> usize {
    source
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

struct Compiler<'a> {
    source: &'a str,
    file: &'a File,
}

type Compiled<T> = Result<T, TemplateError>;

impl Compiler<'_> {
    fn template(&self) -> Compiled<Template> {
        let file = self.file;
        let numbers = match &file.number {
            Some(text) => NumberFormat::parse(text).map_err(|what| self.wrong(text, what))?,
            None => NumberFormat::default(),
        };
        if let Some(fault) = file.paper.fault() {
            return Err(self.wrong("[paper]", fault.to_owned()));
        }
        let tax = self.tax_map()?;
        let taxes: Vec<String> = tax.keys().cloned().collect();
        let payments = file.payments.as_ref();
        let methods: Vec<String> = payments
            .map(|p| p.map.keys().cloned().collect())
            .unwrap_or_default();
        let currency = self.currency()?;
        let currencies: Vec<String> = currency.map.keys().cloned().collect();
        let words = Words::new(numbers, &taxes, &methods, &currencies);
        if file.matching.all.is_empty() {
            return Err(self.wrong("[match]", "match.all needs a pattern".to_owned()));
        }
        let template = Template {
            name: file.name.clone(),
            kind: file.kind,
            paper: file.paper.clone(),
            numbers,
            all: self.searches(&words, &file.matching.all, &[])?,
            none: self.searches(&words, &file.matching.none, &[])?,
            fields: self.fields(&words)?,
            items: self.items(&words)?,
            tax: Tax {
                inclusive: file.tax.prices == Prices::Inclusive,
                usual: self.usual_tax(&tax)?,
                map: tax,
                rows: self.rows(&words, &file.tax.row, &["tax", "tax_amount"])?,
            },
            payments: payments.map(|p| self.payments(&words, p)).transpose()?,
            currency,
            negative: file.refund.as_ref().is_some_and(|r| r.negative),
        };
        self.complete(&template)?;
        Ok(template)
    }

    /// Whether everything is there that its kind needs.
    fn complete(&self, template: &Template) -> Compiled<()> {
        let needed: &[&'static str] = match template.kind {
            Kind::Passthrough => &[],
            Kind::Reprint | Kind::FiscalSale => &["receipt_no", "date", "total"],
            Kind::FiscalRefund => &["receipt_no", "date", "total", "original_ref"],
        };
        if let Some(field) = needed.iter().find(|f| !template.fields.contains_key(*f)) {
            return Err(self.wrong("kind", format!("this kind of template needs `{field}`")));
        }
        let fiscal = matches!(template.kind, Kind::FiscalSale | Kind::FiscalRefund);
        if fiscal && template.items.is_none() {
            return Err(self.wrong("kind", "this kind of template needs [items]".to_owned()));
        }
        if fiscal && template.currency.map.is_empty() && template.currency.usual.is_none() {
            return Err(self.wrong("kind", "this kind of template needs [currency]".to_owned()));
        }
        if fiscal && template.tax.map.is_empty() {
            return Err(self.wrong("kind", "this kind of template needs [tax] map".to_owned()));
        }
        Ok(())
    }

    fn fields(&self, words: &Words) -> Compiled<BTreeMap<&'static str, Vec<Regex>>> {
        let file = self.file;
        let totals = file.totals.as_ref();
        let payments = file.payments.as_ref();
        let refund = file.refund.as_ref();
        let currency = file.currency.as_ref();
        let all: [(&'static str, &[&str], Option<&Patterns>); 15] = [
            (
                "receipt_no",
                &["receipt_no"],
                file.header.receipt_no.as_ref(),
            ),
            ("date", &["date"], file.header.date.as_ref()),
            ("time", &["time"], file.header.time.as_ref()),
            ("till", &["till"], file.header.till.as_ref()),
            ("cashier", &["cashier"], file.header.cashier.as_ref()),
            ("total", &["total"], totals.map(|t| &t.total)),
            (
                "discount",
                &["name", "discount"],
                totals.and_then(|t| t.discount.as_ref()),
            ),
            (
                "tendered",
                &["tendered"],
                payments.and_then(|p| p.tendered.as_ref()),
            ),
            (
                "change",
                &["change"],
                payments.and_then(|p| p.change.as_ref()),
            ),
            (
                "original_ref",
                &["original_ref"],
                refund.map(|r| &r.original_ref),
            ),
            (
                "currency",
                &["currency"],
                currency.and_then(|c| c.find.as_ref()),
            ),
            ("buyer", &["buyer"], file.buyer.name.as_ref()),
            ("tin", &["tin"], file.buyer.tin.as_ref()),
            ("vat", &["vat"], file.buyer.vat.as_ref()),
            ("address", &["address"], file.buyer.address.as_ref()),
        ];
        let mut out = BTreeMap::new();
        for (name, groups, patterns) in all {
            if let Some(patterns) = patterns {
                let compiled = if name == "discount" {
                    self.rows(words, patterns.list(), groups)?
                } else {
                    self.searches(words, patterns.list(), groups)?
                };
                out.insert(name, compiled);
            }
        }
        Ok(out)
    }

    fn items(&self, words: &Words) -> Compiled<Option<Items>> {
        let Some(items) = &self.file.items else {
            return Ok(None);
        };
        let mut lines = Vec::new();
        for line in &items.line {
            if line.rows.is_empty() || line.rows.len() > MAX_ITEM_ROWS {
                let what = format!("an item has 1 to {MAX_ITEM_ROWS} rows");
                return Err(self.wrong("[[items.line]]", what));
            }
            let rows = self.rows(words, &line.rows, &[])?;
            let has = |group: &str| rows.iter().any(|r| has_group(r, group));
            let needed: &[&str] = match line.role {
                Role::Item | Role::Discount => &["name", "total"],
                Role::Void => &["total"],
            };
            if let Some(group) = needed.iter().find(|group| !has(group)) {
                let first = line.rows.first().map_or("", String::as_str);
                return Err(self.wrong(first, format!("the rows lack {{{group}}}")));
            }
            lines.push((line.role, rows));
        }
        Ok(Some(Items {
            start: self.searches(words, items.start.list(), &[])?,
            end: self.searches(words, items.end.list(), &[])?,
            skip: self.rows(words, &items.skip, &[])?,
            lines,
        }))
    }

    fn payments(&self, words: &Words, file: &file::Payments) -> Compiled<Payments> {
        Ok(Payments {
            map: file.map.clone(),
            rows: self.rows(words, &file.row, &["method", "amount"])?,
            usual: file.default.clone(),
        })
    }

    fn tax_map(&self) -> Compiled<BTreeMap<String, Rate>> {
        let mut map = BTreeMap::new();
        for (mark, meaning) in &self.file.tax.map {
            let rate = rate(meaning).ok_or_else(|| {
                let what = format!(
                    "tax {mark} is \"{meaning}\"; write a percent such as \"15.5\", or \"exempt\""
                );
                self.wrong(&format!("\"{meaning}\""), what)
            })?;
            map.insert(mark.clone(), rate);
        }
        Ok(map)
    }

    fn usual_tax(&self, map: &BTreeMap<String, Rate>) -> Compiled<Option<Rate>> {
        let Some(usual) = &self.file.tax.default else {
            return Ok(None);
        };
        map.get(usual).copied().map(Some).ok_or_else(|| {
            self.wrong(
                usual,
                format!("tax.default is `{usual}`, which tax.map does not have"),
            )
        })
    }

    fn currency(&self) -> Compiled<Currency> {
        let Some(file) = &self.file.currency else {
            return Ok(Currency::default());
        };
        for code in file.map.values().chain(&file.default) {
            if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
                let what = format!("`{code}` is no currency; write its code, such as USD or ZWG");
                return Err(self.wrong(code, what));
            }
        }
        Ok(Currency {
            map: file.map.clone(),
            usual: file.default.clone(),
        })
    }

    fn searches(&self, words: &Words, list: &[String], groups: &[&str]) -> Compiled<Vec<Regex>> {
        self.patterns(list, groups, |source| words.search(source))
    }

    fn rows(&self, words: &Words, list: &[String], groups: &[&str]) -> Compiled<Vec<Regex>> {
        self.patterns(list, groups, |source| words.row(source))
    }

    fn patterns(
        &self,
        list: &[String],
        groups: &[&str],
        compile: impl Fn(&str) -> Result<Regex, String>,
    ) -> Compiled<Vec<Regex>> {
        let mut out = Vec::new();
        for source in list {
            let pattern = compile(source).map_err(|what| self.wrong(source, what))?;
            if let Some(group) = groups.iter().find(|group| !has_group(&pattern, group)) {
                return Err(self.wrong(source, format!("the pattern lacks {{{group}}}")));
            }
            out.push(pattern);
        }
        Ok(out)
    }

    /// An error at the first line that holds a text.
    fn wrong(&self, text: &str, what: String) -> TemplateError {
        let offset = self.source.find(text).filter(|_| !text.is_empty());
        TemplateError {
            line: offset.map(|offset| line_at(self.source, offset)),
            what,
        }
    }
}

fn has_group(pattern: &Regex, name: &str) -> bool {
    pattern.capture_names().flatten().any(|group| group == name)
}

fn rate(text: &str) -> Option<Rate> {
    if text == "exempt" {
        return Some(Rate::Exempt);
    }
    let percent: Decimal = text.trim_end_matches('%').parse().ok()?;
    (Decimal::ZERO..Decimal::ONE_HUNDRED)
        .contains(&percent)
        .then_some(Rate::Percent(percent))
}
