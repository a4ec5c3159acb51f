//! Paper: what a receipt printer, a screen or a POS is given to show.
//!
//! A document is a list of [`Block`]s that say what stands there, not how a printer is told to do it:
//! printers, pages and the API's JSON are made from the same list. [`render_text`] sets it as plain text of
//! any width; [`receipt48()`] makes the authority's Receipt48 (docs/FDMS.md section 9).

use serde::{Deserialize, Serialize};

pub mod facts;
mod layout;
mod receipt48;

pub use layout::{render_block, render_text};
pub use receipt48::{Marks, OriginalOnPaper, Proof, ReceiptOnPaper, fiscal_block, receipt48};

/// Where a text stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Center,
    /// At the right edge.
    Right,
}

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Size {
    /// One cell a character.
    #[default]
    Normal,
    /// Twice as high and twice as wide, where the paper can; plain text shows it as it shows the rest.
    Double,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A piece of paper. The names are stable: POS software reads them from the API. How a text is set is left
/// out of the JSON where it is set like most: at the left, not bold, of normal size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "block",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Block {
    /// A text, folded where it is longer than the paper is wide.
    Text {
        /// The text.
        text: String,
        /// Where it stands.
        #[serde(default, skip_serializing_if = "is_default")]
        align: Align,
        /// Whether it is bold.
        #[serde(default, skip_serializing_if = "is_default")]
        bold: bool,
        /// How large it is.
        #[serde(default, skip_serializing_if = "is_default")]
        size: Size,
    },
    /// Two texts at both edges of a line.
    Row {
        /// At the left edge; folded if need be.
        left: String,
        /// At the right edge of the last line.
        right: String,
        /// Whether both are bold.
        #[serde(default, skip_serializing_if = "is_default")]
        bold: bool,
    },
    /// Columns: the first stands left, the others right. A row has as many cells as the head.
    Table {
        /// Heads of the columns.
        head: Vec<String>,
        /// The rows.
        rows: Vec<Vec<String>>,
    },
    /// A row of hyphens across the paper.
    Rule,
    /// A QR code, in the middle.
    Qr {
        /// What it holds.
        content: String,
    },
    /// An empty line.
    Blank,
    /// The end of the paper: printers cut here.
    Cut,
}

impl Block {
    /// A plain text at the left.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            align: Align::Left,
            bold: false,
            size: Size::Normal,
        }
    }

    /// A plain text in the middle.
    #[must_use]
    pub fn center(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            align: Align::Center,
            bold: false,
            size: Size::Normal,
        }
    }

    /// A bold text in the middle.
    #[must_use]
    pub fn title(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            align: Align::Center,
            bold: true,
            size: Size::Normal,
        }
    }

    /// A large bold text in the middle.
    #[must_use]
    pub fn banner(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            align: Align::Center,
            bold: true,
            size: Size::Double,
        }
    }

    /// A plain row.
    #[must_use]
    pub fn row(left: impl Into<String>, right: impl Into<String>) -> Self {
        Self::Row {
            left: left.into(),
            right: right.into(),
            bold: false,
        }
    }

    /// A bold row.
    #[must_use]
    pub fn bold_row(left: impl Into<String>, right: impl Into<String>) -> Self {
        Self::Row {
            left: left.into(),
            right: right.into(),
            bold: true,
        }
    }
}

/// The seller as receipts and reports are headed: names, numbers, address and contacts.
pub(crate) fn seller(taxpayer: &crate::taxpayer::Taxpayer) -> Vec<Block> {
    let lines = facts::seller_lines(taxpayer).into_iter().enumerate();
    let block = |(place, line)| match place {
        0 => Block::title(line),
        _ => Block::center(line),
    };
    lines.map(block).collect()
}
