//! Findings: what a receipt is marked with when it is taken in spite of a broken rule.

use std::fmt;

use serde::Serialize;

use crate::settings::GreySpelling;

/// A row of the table of validation errors (docs/FDMS.md section 8), by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RCPT{:03}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Color {
    /// A warning; never blocks the close.
    Yellow,
    /// Cannot be judged yet: something before it is missing.
    Grey,
    /// The day cannot be closed by the device any more.
    Red,
}

/// A broken rule on a stored receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Finding {
    /// Which rule.
    pub code: Code,
    /// How bad.
    pub color: Color,
}

impl Finding {
    /// A finding in the colour that its rule has in the table.
    pub(crate) fn of(number: u8) -> Self {
        let color = match number {
            14 | 31 | 41 => Color::Yellow,
            _ => Color::Red,
        };
        Self {
            code: Code(number),
            color,
        }
    }

    /// A finding that cannot be judged yet.
    pub(crate) fn grey(number: u8) -> Self {
        Self {
            code: Code(number),
            color: Color::Grey,
        }
    }
}

/// A finding as it travels.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValidationError {
    validation_error_code: String,
    validation_error_color: &'static str,
}

/// Findings as they travel, the colour Grey spelled as the setting says.
pub(crate) fn validation_errors(findings: &[Finding], grey: GreySpelling) -> Vec<ValidationError> {
    let color = |color| match (color, grey) {
        (Color::Yellow, _) => "Yellow",
        (Color::Red, _) => "Red",
        (Color::Grey, GreySpelling::Grey) => "Grey",
        (Color::Grey, GreySpelling::Gray) => "Gray",
    };
    let errors = findings.iter().map(|finding| ValidationError {
        validation_error_code: finding.code.to_string(),
        validation_error_color: color(finding.color),
    });
    errors.collect()
}
