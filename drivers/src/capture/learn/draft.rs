//! A first template from what receipts have in common: a line that says total, lines that end in an amount above
//! it, a number and a date with their labels, ways to pay below.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::Regex;

use crate::capture::grid::Grid;

/// Words by which the total is known; what is before it in the row must not say that it is a part.
const TOTAL: &str =
    r"(?i)^\s*((?:grand\s+)?total(?:\s+due)?|amount\s+due|balance\s+due|to\s+pay|somme)\b";
const NUMBER_LABEL: &str = r"(?i)\b((?:receipt|invoice|inv|rcpt|sale|bill|ticket|slip|trans(?:action)?|doc(?:ument)?)\b[ .]*(?:no|nr|num|number)?\.?\s*[:#]?\s*#?)([A-Z0-9/-]*\d[A-Z0-9/-]*)";
/// How a line tells its tax.
const MARK: &str = r"(?:[A-Z*]{1,2}|\d|\d{1,2}(?:[.,]\d{1,2})?%)";
const DATE: &str = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}";
/// Ways to pay: how a POS writes them, and what they are.
const METHODS: [(&str, &str); 8] = [
    ("ecocash", "mobile"),
    ("card", "card"),
    ("visa", "card"),
    ("mastercard", "card"),
    ("swipe", "card"),
    ("zimswitch", "card"),
    ("innbucks", "mobile"),
    ("cash", "cash"),
];
const CURRENCIES: [(&str, &str); 4] = [
    ("USD", "USD"),
    ("US$", "USD"),
    ("ZWG", "ZWG"),
    ("ZiG", "ZWG"),
];

/// The receipt that the draft is made from, with what was found on it.
struct Look<'a> {
    rows: &'a [String],
    comma: bool,
    total: usize,
    first: usize,
    last: usize,
}

/// Drafts a template from the first paper that looks like a receipt.
pub(super) fn draft(papers: &[Grid]) -> Option<String> {
    papers
        .iter()
        .find_map(|paper| Look::at(paper.rows())?.template())
}

fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

fn amount(comma: bool) -> &'static str {
    if comma {
        r"-?\d{1,3}(?:\.?\d{3})*,\d{2}-?"
    } else {
        r"-?\d{1,3}(?:,?\d{3})*\.\d{2}-?"
    }
}

impl<'a> Look<'a> {
    fn at(rows: &'a [String]) -> Option<Self> {
        let count = |comma| {
            let end = regex(&format!(r"(?:^|\s){}(?:\s|$)", amount(comma)));
            rows.iter()
                .filter(|row| end.as_ref().is_some_and(|end| end.is_match(row)))
                .count()
        };
        let comma = count(true) > count(false);
        let total = regex(TOTAL)?;
        let amount_at_end = regex(&format!(r"{}\s*$", amount(comma)))?;
        let total = rows
            .iter()
            .position(|row| total.is_match(row) && amount_at_end.is_match(row))?;
        let item = regex(&format!(r"\S\s+{}(?:\s+{MARK})?\s*$", amount(comma)))?;
        let no_item = regex(r"(?i)^\s*(sub\s*-?total|total|vat|tax|items?)\b")?;
        let is_item = |row: &String| item.is_match(row) && !no_item.is_match(row);
        let above = rows.get(..total)?;
        let last = above.iter().rposition(is_item)?;
        let first = above.iter().position(is_item)?;
        Some(Self {
            rows,
            comma,
            total,
            first,
            last,
        })
    }

    fn row(&self, n: usize) -> &'a str {
        self.rows.get(n).map_or("", String::as_str)
    }

    fn template(&self) -> Option<String> {
        let (number_pattern, number_row) = self.receipt_no()?;
        let date = self.labelled(DATE, "date")?;
        let mut out = String::new();
        let _ = write!(
            out,
            "# A first draft. Check every pattern against more receipts: refunds, discounts, voids, copies.\n\
             name = \"draft\"\nkind = \"fiscal_sale\"\nnumber = \"{}\"\n\n[match]\nall = ['{}', '{}']\nnone = ['(?i)duplicate|copy|reprint']\n\n",
            if self.comma {
                "decimal , group ."
            } else {
                "decimal . group ,"
            },
            literal(label_of(number_row)),
            self.total_label(),
        );
        let _ = write!(
            out,
            "[paper]\ncolumns = 48\n\n[header]\nreceipt_no = '{number_pattern}'\ndate = '{date}'\n"
        );
        if let Some(cashier) = self.by_word("(?i)(cashier|served by|operator)", "cashier") {
            let _ = writeln!(out, "cashier = '{cashier}'");
        }
        self.items(&mut out)?;
        self.below(&mut out)?;
        Some(out)
    }

    fn receipt_no(&self) -> Option<(String, &'a str)> {
        let label = regex(NUMBER_LABEL)?;
        self.rows.iter().find_map(|row| {
            let found = label.captures(row)?;
            let before = found.get(1)?;
            let pattern = format!("{}{{receipt_no}}", literal(before.as_str()));
            Some((pattern, before.as_str()))
        })
    }

    /// A pattern for the text before a thing, and the thing.
    fn labelled(&self, thing: &str, word: &str) -> Option<String> {
        let thing = regex(thing)?;
        self.rows.iter().find_map(|row| {
            let found = thing.find(row)?;
            let before = row.get(..found.start())?.trim_start();
            let label: String = before
                .split_whitespace()
                .last()
                .map(literal)
                .unwrap_or_default();
            let label = if label.chars().any(|c| c.is_ascii_digit()) {
                String::new()
            } else {
                label
            };
            Some(if label.is_empty() {
                format!("{{{word}}}")
            } else {
                format!(r"{label}\s*{{{word}}}")
            })
        })
    }

    fn by_word(&self, words: &str, field: &str) -> Option<String> {
        let words = regex(&format!(r"{words}\s*:?"))?;
        self.rows.iter().find_map(|row| {
            let found = words.find(row)?;
            Some(format!(r"{}\s*{{{field}}}$", literal(found.as_str())))
        })
    }

    fn total_label(&self) -> String {
        let row = self.row(self.total);
        let label = regex(TOTAL)
            .and_then(|total| total.find(row))
            .map_or("", |found| found.as_str());
        format!(r"^\s*{}\b", literal(label.trim()))
    }

    /// Where items begin and end, and how they are written.
    fn items(&self, out: &mut String) -> Option<()> {
        let amount = amount(self.comma);
        let product = regex(&format!(r"(\d+(?:[.,]\d+)?)\s*(x|X|@|\*)\s*{amount}"))?;
        let mark = regex(&format!(r"{amount}\s+{MARK}\s*$"))?;
        let first = self.row(self.first);
        let product_only = regex(&format!(r"^\s*\d+(?:[.,]\d+)?\s*(x|X|@|\*)\s*{amount}"))?;
        let name_above = product_only.is_match(first);
        let begins = if name_above {
            self.first.checked_sub(1)?
        } else {
            self.first
        };
        let above = self.beginning(begins)?;
        // Rules are skipped: one may stand between the heading and the first item.
        let below = (self.last + 1..=self.total).find(|n| {
            let row = self.row(*n);
            row.chars().any(char::is_alphanumeric) && !product_only.is_match(row)
        })?;
        let tax = if mark.is_match(first) { " {tax}" } else { "" };
        let sign = |row: &str| {
            product
                .captures(row)
                .and_then(|found| found.get(2))
                .map_or("x".to_owned(), |sign| literal(sign.as_str()))
        };
        let _ = write!(
            out,
            "\n[items]\nstart = '{above}'\nend = '{}'\nskip = ['[-=*_]{{3,}}']\n",
            if below == self.total {
                self.total_label()
            } else {
                whole(self.row(below))
            },
        );
        let simple = format!(r"rows = ['{{name}}\s+{{total}}{tax}']");
        let next = self.row(self.first + 1);
        let line = if name_above {
            let sign = sign(first);
            format!(r"rows = ['{{name}}', '{{qty}}\s*{sign}\s*{{price}}\s+{{total}}{tax}']")
        } else if product.is_match(first) {
            let sign = sign(first);
            format!(r"rows = ['{{name}}\s+{{qty}}\s*{sign}\s*{{price}}\s+{{total}}{tax}']")
        } else if product_only.is_match(next) {
            let sign = sign(next);
            format!(
                "rows = ['{{name}}\\s+{{total}}{tax}', '{{qty}}\\s*{sign}\\s*{{price}}']\n\n[[items.line]]\n{simple}"
            )
        } else {
            simple
        };
        let _ = write!(
            out,
            "\n[[items.line]]\nis = \"discount\"\nrows = ['(?<name>(?i:.*discount.*?))\\s+{{total}}']\n\n[[items.line]]\n{line}\n"
        );
        Some(())
    }

    /// A pattern for the row that begins the items: the nearest that looks like none above it. Only rules may
    /// stand between it and the items.
    fn beginning(&self, items: usize) -> Option<String> {
        for n in (0..items).rev().filter(|n| !self.row(*n).trim().is_empty()) {
            let pattern = whole(self.row(n));
            let this = regex(&pattern)?;
            let is_first = !self.rows.iter().take(n).any(|row| this.is_match(row));
            if is_first || self.row(n).chars().any(char::is_alphanumeric) {
                return Some(pattern);
            }
        }
        None
    }

    /// Tax, total, payments, currency.
    fn below(&self, out: &mut String) -> Option<()> {
        let amount = amount(self.comma);
        let mark = regex(&format!(r"{amount}\s+({MARK})\s*$"))?;
        let marks: BTreeMap<String, ()> = self
            .rows
            .get(self.first..=self.last)?
            .iter()
            .filter_map(|row| Some((mark.captures(row)?.get(1)?.as_str().to_owned(), ())))
            .collect();
        let map: Vec<String> = marks
            .keys()
            .map(|m| format!("{} = \"15.5\"", quoted(m)))
            .collect();
        let _ = writeln!(
            out,
            "\n[tax]\n# What do the marks mean? A percent, or \"exempt\"."
        );
        if map.is_empty() {
            let _ = writeln!(out, "map = {{ all = \"15.5\" }}\ndefault = \"all\"");
        } else {
            let _ = writeln!(out, "map = {{ {} }}", map.join(", "));
        }
        let row = self.row(self.total);
        let currency = CURRENCIES.iter().find(|(name, _)| row.contains(name));
        let _ = writeln!(
            out,
            "\n[totals]\ntotal = '{}.*?\\s{{total}}\\s*$'\n\n[payments]",
            self.total_label()
        );
        self.payments(out)?;
        let _ = match currency {
            Some((name, code)) => writeln!(
                out,
                "\n[currency]\nmap = {{ {} = \"{code}\" }}\nfind = '{}.*?{{currency}}'",
                quoted(name),
                self.total_label()
            ),
            None => writeln!(out, "\n[currency]\ndefault = \"USD\""),
        };
        Some(())
    }

    fn payments(&self, out: &mut String) -> Option<()> {
        let row = regex(&format!(r"^\s*(\S.*?)\s+{}\s*$", amount(self.comma)))?;
        let mut map = BTreeMap::new();
        let mut change = None;
        for text in self.rows.iter().skip(self.total + 1) {
            let Some(label) = row.captures(text).and_then(|found| found.get(1)) else {
                continue;
            };
            let word = label.as_str().to_lowercase();
            if word.starts_with("change") || word.starts_with("rendu") {
                change = Some(literal(label.as_str()));
            } else if let Some((_, method)) = METHODS.iter().find(|(name, _)| word.contains(name)) {
                map.insert(label.as_str().to_owned(), *method);
            }
        }
        let map: Vec<String> = map
            .iter()
            .map(|(name, method)| format!("{} = \"{method}\"", quoted(name)))
            .collect();
        let _ = writeln!(
            out,
            "map = {{ {} }}\nrow = ['{{method}}\\s+{{amount}}']",
            map.join(", ")
        );
        if let Some(change) = change {
            let _ = writeln!(out, "change = '^\\s*{change}\\s+{{change}}$'");
        }
        Some(())
    }
}

/// A text as a pattern: spaces may be more or fewer.
fn literal(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| regex::escape(word).replace('\'', "."))
        .collect();
    let space = if text.ends_with(' ') { r"\s*" } else { "" };
    words.join(r"\s+") + space
}

/// A whole row as a pattern; a rule of dashes of any length.
fn whole(row: &str) -> String {
    let bare = row.trim();
    let first = bare.chars().next().unwrap_or(' ');
    if !first.is_alphanumeric() && bare.chars().all(|c| c == first) {
        return format!(r"^\s*{}{{3,}}\s*$", regex::escape(&first.to_string()));
    }
    let words: Vec<String> = bare
        .split_whitespace()
        .take_while(|word| !word.chars().any(|c| c.is_ascii_digit()))
        .map(|word| regex::escape(word).replace('\'', "."))
        .collect();
    format!(r"^\s*{}", words.join(r"\s+"))
}

fn label_of(text: &str) -> &str {
    text.trim_end_matches(['#', ':', ' '])
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
