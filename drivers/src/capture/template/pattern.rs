//! Patterns of a template: regular expressions with words for what receipts are made of.
//!
//! `{total}` stands for an amount that is kept as `total`, `{name}` for the name of goods, `{gap}` for the empty
//! space between two columns. Words save the writer of a template from writing the number format, the tax
//! letters and the ways to pay again in every pattern.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use crate::capture::number::NumberFormat;

/// Largest compiled pattern, in bytes.
const MAX_SIZE: usize = 4 << 20;

/// What words stand for in one template.
#[derive(Debug, Clone)]
pub(super) struct Words(BTreeMap<&'static str, String>);

/// Words that stand for an amount with two digits after the point.
const AMOUNTS: [&str; 8] = [
    "total",
    "amount",
    "net",
    "gross",
    "change",
    "tendered",
    "tax_amount",
    "discount",
];
/// Words that stand for one word.
const WORDS: [&str; 3] = ["receipt_no", "original_ref", "code"];
/// Words that stand for text with spaces in it.
const TEXTS: [&str; 4] = ["till", "cashier", "buyer", "address"];

impl Words {
    pub(super) fn new(
        numbers: NumberFormat,
        taxes: &[String],
        methods: &[String],
        currencies: &[String],
    ) -> Self {
        let mut words: BTreeMap<&'static str, String> = BTreeMap::new();
        for name in AMOUNTS {
            words.insert(name, numbers.amount_pattern());
        }
        for name in WORDS {
            words.insert(name, r"[^\s,;]+".to_owned());
        }
        for name in TEXTS {
            words.insert(name, r"\S(?:.*?\S)?".to_owned());
        }
        let price = format!(r"\$?{}", numbers.pattern("{2,6}"));
        words.insert("price", price);
        let quantity = format!("-?{}", numbers.pattern_or_whole("{1,6}"));
        words.insert("qty", quantity);
        words.insert("percent", numbers.pattern_or_whole("{1,2}"));
        words.insert("name", r"\S(?:.*?\S)?".to_owned());
        words.insert("date", r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}".to_owned());
        words.insert("time", r"\d{1,2}:\d{2}(?::\d{2})?".to_owned());
        words.insert("tin", r"\d{6,15}".to_owned());
        words.insert("vat", r"\d{6,15}".to_owned());
        words.insert("tax", any_of(taxes));
        words.insert("method", any_of(methods));
        words.insert("currency", any_of(currencies));
        Self(words)
    }

    /// A pattern that a whole row must match.
    pub(super) fn row(&self, source: &str) -> Result<Regex, String> {
        self.compile(source, true)
    }

    /// A pattern that is searched in a row.
    pub(super) fn search(&self, source: &str) -> Result<Regex, String> {
        self.compile(source, false)
    }

    fn compile(&self, source: &str, whole: bool) -> Result<Regex, String> {
        let expanded = self.expand(source)?;
        let pattern = if whole {
            format!(r"^\s*(?:{expanded})\s*$")
        } else {
            expanded
        };
        RegexBuilder::new(&pattern)
            .size_limit(MAX_SIZE)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
                error => error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or("not a pattern")
                    .to_owned(),
            })
    }

    fn expand(&self, source: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            out.push_str(before);
            let word: String = from
                .chars()
                .skip(1)
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            let ends = from
                .get(word.len() + 1..)
                .is_some_and(|r| r.starts_with('}'));
            if word.is_empty() || !ends || before.ends_with(r"\p") || before.ends_with(r"\P") {
                out.push('{');
                rest = from.get(1..).unwrap_or_default();
                continue;
            }
            rest = from.get(word.len() + 2..).unwrap_or_default();
            if word == "gap" {
                out.push_str(r"\s{2,}");
                continue;
            }
            let Some(pattern) = self.0.get(word.as_str()) else {
                let known: Vec<&str> = self.0.keys().copied().collect();
                return Err(format!(
                    "{{{word}}} is not known; there are {{gap}} and {{{}}}",
                    known.join("}, {")
                ));
            };
            out.push_str(&format!("(?<{word}>{pattern})"));
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// One of these texts, the longest first; nothing at all if there are none.
fn any_of(texts: &[String]) -> String {
    let mut texts: Vec<&String> = texts.iter().collect();
    texts.sort_by_key(|text| (std::cmp::Reverse(text.len()), (*text).clone()));
    if texts.is_empty() {
        return r"[^\s\S]".to_owned();
    }
    let escaped: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    format!("(?:{})", escaped.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        Words::new(
            NumberFormat::default(),
            &list(&["A", "15.5%"]),
            &list(&["CASH", "CASH USD"]),
            &[],
        )
    }

    /// Words become groups of their name; braces of repetitions stay.
    #[test]
    fn words_are_groups() {
        let pattern = words().row(r"{name}{gap}{total} {tax}").unwrap();
        let found = pattern.captures("  Bread 2kg   1,234.50 15.5%").unwrap();
        assert_eq!(&found["name"], "Bread 2kg");
        assert_eq!(&found["total"], "1,234.50");
        assert_eq!(&found["tax"], "15.5%");
        assert!(words().search(r"\d{4}-\d{2,3}").is_ok());
        assert_eq!(
            &words()
                .search("{method}")
                .unwrap()
                .captures("CASH USD 2")
                .unwrap()[0],
            "CASH USD"
        );
        assert!(!words().search("{currency}").unwrap().is_match("USD"));
    }

    /// What is wrong with a pattern is said.
    #[test]
    fn wrong_patterns() {
        assert!(
            words()
                .row("{price_of_one}")
                .unwrap_err()
                .contains("{price}")
        );
        assert!(words().row("(").unwrap_err().contains("unclosed"));
    }
}
