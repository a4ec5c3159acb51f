//! What must be known of a printer to lay out what was made for it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::capture::codepage;
use crate::profile::CodePageName;

/// The paper that a POS believes to print on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paper {
    /// Characters of font A in a line.
    pub columns: u8,
    /// Dots of a character of font A; font B has three quarters of it.
    pub cell: u8,
    /// Dots to an inch, for POS software that sets its own unit of length (GS P).
    pub dpi: u16,
    /// The code page before the POS selects one.
    pub code_page: CodePageName,
    /// What ESC t selects where the printer has numbers of its own: number to code page.
    pub code_pages: BTreeMap<String, CodePageName>,
}

impl Default for Paper {
    fn default() -> Self {
        Self {
            columns: 48,
            cell: 12,
            dpi: 203,
            code_page: CodePageName::Cp437,
            code_pages: BTreeMap::new(),
        }
    }
}

impl Paper {
    /// The code page that ESC t `n` selects.
    #[must_use]
    pub fn page_of(&self, n: u8) -> Option<CodePageName> {
        self.code_pages
            .get(&n.to_string())
            .copied()
            .or_else(|| codepage::by_number(n))
    }

    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if !(16..=96).contains(&self.columns) {
            return Some("columns must be 16 to 96");
        }
        if !(4..=48).contains(&self.cell) {
            return Some("cell must be 4 to 48 dots");
        }
        if !(60..=1200).contains(&self.dpi) {
            return Some("dpi must be 60 to 1200");
        }
        if self.code_pages.keys().any(|n| n.parse::<u8>().is_err()) {
            return Some("the keys of code_pages are numbers from 0 to 255");
        }
        None
    }
}
