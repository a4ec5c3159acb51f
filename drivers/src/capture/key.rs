//! Which receipt of a POS this is, so that one that comes twice is made fiscal once.

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use crate::capture::grid::Grid;
use crate::capture::sale::{CapturedReprint, CapturedSale};

/// A receipt of a POS. The same number, date and total at the same port is the same receipt: the POS prints it
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Name of the port that the POS prints to.
    pub port: String,
    /// The POS' number.
    pub receipt_no: String,
    /// Date as written.
    pub date: String,
    /// Total.
    pub total: Decimal,
}

impl Key {
    /// The key of a sale.
    #[must_use]
    pub fn of_sale(port: &str, sale: &CapturedSale) -> Self {
        Self::new(
            port,
            &sale.receipt_no.text,
            &sale.date.text,
            sale.total.value,
        )
    }

    /// The key of a receipt that says that it is printed again.
    #[must_use]
    pub fn of_reprint(port: &str, reprint: &CapturedReprint) -> Self {
        Self::new(
            port,
            &reprint.receipt_no.text,
            &reprint.date.text,
            reprint.total.value.abs(),
        )
    }

    fn new(port: &str, receipt_no: &str, date: &str, total: Decimal) -> Self {
        Self {
            port: port.to_owned(),
            receipt_no: receipt_no.to_owned(),
            date: date.to_owned(),
            total: total.normalize(),
        }
    }

    /// The key as one text, for a unique index: its parts with their lengths, so that no two keys are one text.
    #[must_use]
    pub fn text(&self) -> String {
        let part = |text: &str| format!("{}:{text}", text.len());
        format!(
            "{} {} {} {}",
            part(&self.port),
            part(&self.receipt_no),
            part(&self.date),
            self.total
        )
    }
}

/// SHA-256 of a paper's text without empty rows and runs of spaces: tells whether a receipt that came again is
/// the same to the letter.
#[must_use]
pub fn text_hash(grid: &Grid) -> [u8; 32] {
    Sha256::digest(grid.normalised().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::grid::Paper;

    /// Spaces and empty rows do not make another text; a digit does. Parts of a key cannot run together.
    #[test]
    fn the_same_receipt() {
        let hash = |bytes: &[u8]| text_hash(&Grid::new(bytes, &Paper::default()));
        assert_eq!(hash(b"TOTAL   2.00\n\nBye\n"), hash(b"TOTAL 2.00\nBye\n"));
        assert_ne!(hash(b"TOTAL   2.00\n"), hash(b"TOTAL   2.01\n"));
        let a = Key::new("p", "1 1:2", "3", Decimal::ONE);
        let b = Key::new("p", "1", "2 1:3", Decimal::ONE);
        assert_ne!(a.text(), b.text());
        assert_eq!(
            Key::new("p", "1", "2", Decimal::new(200, 2)).text(),
            "1:p 1:1 1:2 2"
        );
    }
}
