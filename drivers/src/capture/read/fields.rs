//! Single things on a paper: found once, or more than once and equal.

use regex::{Captures, Regex};

use super::{Doubtful, Sheet};
use crate::capture::codepage::UNKNOWN;
use crate::capture::grid::Span;
use crate::capture::sale::{Number, Text};

/// A part of the rows: items are not searched for the header, nor the header for items.
pub(super) type Rows = Vec<usize>;

impl Sheet<'_> {
    /// The text of a group, if it took part.
    pub(super) fn text_of(
        &mut self,
        row: usize,
        found: &Captures<'_>,
        group: &str,
    ) -> Option<Text> {
        let text = found.name(group)?;
        let trimmed = text.as_str().trim();
        if trimmed.is_empty() {
            return None;
        }
        let from = text.start() + (text.as_str().len() - text.as_str().trim_start().len());
        let at = Span {
            row,
            from,
            to: from + trimmed.len(),
        };
        if trimmed.contains(UNKNOWN) {
            let what = format!(
                "`{trimmed}` holds a character that its code page does not have; set paper.code_pages"
            );
            self.doubt_at(at, Doubtful::NotUnderstood, what);
        }
        Some(Text {
            text: trimmed.to_owned(),
            at,
        })
    }

    /// The number of a group, if it took part. What is no number is a doubt.
    pub(super) fn number_of(
        &mut self,
        row: usize,
        found: &Captures<'_>,
        group: &str,
    ) -> Option<Number> {
        let text = self.text_of(row, found, group)?;
        let value = self.template.numbers().read(&text.text);
        if value.is_none() {
            let what = format!(
                "`{}` ({group}) is no number of this template's format",
                text.text
            );
            self.doubt_at(text.at, Doubtful::NotUnderstood, what);
        }
        Some(Number {
            value: value?,
            at: text.at,
        })
    }

    /// An amount of money: at most two digits after the point.
    pub(super) fn amount_of(
        &mut self,
        row: usize,
        found: &Captures<'_>,
        group: &str,
    ) -> Option<Number> {
        let number = self.number_of(row, found, group)?;
        if number.value.scale() > 2 {
            let what = format!(
                "{} ({group}) has more than two digits after its point",
                number.value
            );
            self.doubt_at(number.at, Doubtful::NotUnderstood, what);
        }
        Some(number)
    }

    /// A text that may be there.
    pub(super) fn optional(&mut self, field: &'static str, rows: &Rows) -> Option<Text> {
        self.find(
            field,
            rows,
            Self::text_of,
            |a, b| a.text == b.text,
            |t| (t.at, t.text.clone()),
        )
    }

    /// An amount that may be there.
    pub(super) fn optional_amount(&mut self, field: &'static str, rows: &Rows) -> Option<Number> {
        self.find(
            field,
            rows,
            Self::amount_of,
            |a, b| a.value == b.value,
            |n| (n.at, n.value.to_string()),
        )
    }

    /// Something that must be there.
    pub(super) fn needed<T>(&mut self, field: &'static str, found: Option<T>) -> Option<T> {
        if found.is_none() && !self.reasons.iter().any(|r| r.text.contains(field)) {
            let patterns: Vec<String> = self
                .patterns(field)
                .iter()
                .map(|p| format!("`{p}`"))
                .collect();
            let what = format!(
                "no line has the {field}; looked for {}",
                patterns.join(", ")
            );
            self.doubt(None, Doubtful::Missing, what);
        }
        found
    }

    pub(super) fn patterns(&self, field: &str) -> Vec<Regex> {
        self.template.fields.get(field).cloned().unwrap_or_default()
    }

    fn find<T>(
        &mut self,
        field: &'static str,
        rows: &Rows,
        get: impl Fn(&mut Self, usize, &Captures<'_>, &str) -> Option<T>,
        same: impl Fn(&T, &T) -> bool,
        show: impl Fn(&T) -> (Span, String),
    ) -> Option<T> {
        let patterns = self.patterns(field);
        let grid = self.grid;
        let mut first: Option<T> = None;
        for (row, text) in rows_in(grid.rows(), rows) {
            for pattern in &patterns {
                let Some(found) = pattern.captures(text) else {
                    continue;
                };
                let Some(value) = get(self, row, &found, field) else {
                    continue;
                };
                match &first {
                    None => first = Some(value),
                    Some(before) if same(before, &value) => {}
                    Some(before) => {
                        let (at, shown) = show(&value);
                        let (other, before) = show(before);
                        let what = format!("{field} is `{shown}` here and `{before}` in {other}");
                        self.doubt_at(at, Doubtful::Differs, what);
                    }
                }
            }
        }
        first
    }
}

/// Some rows, with their numbers.
pub(super) fn rows_in<'r>(
    rows: &'r [String],
    wanted: &Rows,
) -> impl Iterator<Item = (usize, &'r str)> {
    wanted
        .clone()
        .into_iter()
        .filter_map(|row| rows.get(row).map(|text| (row, text.as_str())))
}
