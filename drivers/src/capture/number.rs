//! Numbers as a POS writes them: which sign is the decimal point, which groups thousands.

use rust_decimal::Decimal;

/// How numbers are written on a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFormat {
    decimal: char,
    group: Option<char>,
}

impl Default for NumberFormat {
    fn default() -> Self {
        Self {
            decimal: '.',
            group: Some(','),
        }
    }
}

/// Digits of the largest number.
const MAX_DIGITS: usize = 15;

impl NumberFormat {
    /// Reads `decimal . group ,`, `decimal , group .`, `decimal , group space`, `decimal .`.
    ///
    /// # Errors
    /// Not of this form, or both signs are the same; says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no number format; write for example \"decimal . group ,\" or \"decimal , group space\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let sign = |word: &str| match word {
            "." => Some('.'),
            "," => Some(','),
            "'" => Some('\''),
            "space" => Some(' '),
            _ => None,
        };
        let (decimal, group) = match *words.as_slice() {
            ["decimal", decimal] => (sign(decimal), None),
            ["decimal", decimal, "group", group] => {
                (sign(decimal), Some(sign(group).ok_or_else(wrong)?))
            }
            _ => (None, None),
        };
        match decimal {
            Some(decimal @ ('.' | ',')) if group != Some(decimal) => Ok(Self { decimal, group }),
            _ => Err(wrong()),
        }
    }

    /// The pattern of a number with as many digits after its point as asked for.
    #[must_use]
    pub fn pattern(&self, decimals: &str) -> String {
        let whole = match self.group {
            Some(group) => format!(r"(?:\d{{1,3}}(?:{}\d{{3}})+|\d+)", escape(group)),
            None => r"\d+".to_owned(),
        };
        format!(r"(?:{whole}{}\d{decimals})", escape(self.decimal))
    }

    /// The pattern of a number that may be whole.
    #[must_use]
    pub fn pattern_or_whole(&self, decimals: &str) -> String {
        let whole = match self.group {
            Some(group) => format!(r"(?:\d{{1,3}}(?:{}\d{{3}})+|\d+)", escape(group)),
            None => r"\d+".to_owned(),
        };
        format!(r"(?:{whole}(?:{}\d{decimals})?)", escape(self.decimal))
    }

    /// The pattern of an amount: two digits after the point; a sign before or after it, brackets, a dollar.
    #[must_use]
    pub fn amount_pattern(&self) -> String {
        format!(r"-?\(?\$?-?{}\)?-?", self.pattern("{2}"))
    }

    /// Reads a number exactly. Minus before or after it, or brackets, make it negative; dollar signs do not
    /// count.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Decimal> {
        let negative = text.contains('-') || (text.contains('(') && text.contains(')'));
        let bare: String = text
            .chars()
            .filter(|c| !matches!(c, '-' | '(' | ')' | '$'))
            .collect();
        let (whole, fraction) = match bare.trim().split_once(self.decimal) {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (bare.trim(), ""),
        };
        let mut groups = match self.group {
            Some(group) => whole.split(group).collect(),
            None => vec![whole],
        };
        if groups.len() > 1 {
            let first = groups.remove(0);
            let good = (1..=3).contains(&first.len()) && groups.iter().all(|g| g.len() == 3);
            if !good {
                return None;
            }
            groups.insert(0, first);
        }
        let digits = groups.concat() + fraction;
        if digits.is_empty()
            || groups.concat().is_empty()
            || digits.len() > MAX_DIGITS
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let number: i64 = digits.parse().ok()?;
        let scale = u32::try_from(fraction.len()).ok()?;
        Some(Decimal::new(if negative { -number } else { number }, scale))
    }
}

fn escape(sign: char) -> &'static str {
    match sign {
        '.' => r"\.",
        ',' => ",",
        '\'' => "'",
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same text is one number, another, or none, as the format has it.
    #[test]
    fn formats() {
        let english = NumberFormat::default();
        let german = NumberFormat::parse("decimal , group .").unwrap();
        let french = NumberFormat::parse("decimal , group space").unwrap();
        let read = |f: &NumberFormat, text: &str| f.read(text).map(|n| n.to_string());
        assert_eq!(read(&english, "1,234.50").as_deref(), Some("1234.50"));
        assert_eq!(read(&german, "1.234,50").as_deref(), Some("1234.50"));
        assert_eq!(read(&french, "1 234,50").as_deref(), Some("1234.50"));
        assert_eq!(read(&english, "$2.00-").as_deref(), Some("-2.00"));
        assert_eq!(read(&english, "(2.00)").as_deref(), Some("-2.00"));
        for wrong in [
            "1,23.50",
            "1.234,50",
            "",
            ".",
            "2.",
            ".50",
            "1 2",
            "12a",
            "1234567890123456",
        ] {
            assert_eq!(read(&english, wrong), None, "{wrong}");
        }
        for wrong in ["decimal , group ,", "decimal", "point .", "decimal x"] {
            assert!(NumberFormat::parse(wrong).is_err(), "{wrong}");
        }
    }
}
