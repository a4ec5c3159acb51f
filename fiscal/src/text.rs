//! Text that goes on a receipt: what it may hold, how long it may be, and how it stands in a table for a spreadsheet.
//!
//! A receipt must read the same on paper, at FDMS and on a screen, also on a printer with one code page.
//! So text is plain: letters written from left to right, digits, punctuation, spaces. Control characters,
//! pictures (emoji), right-to-left scripts and the invisible marks that reorder text are refused: a
//! printer drops or turns them round, and the paper would then say something else than the ledger.

use std::borrow::Cow;

/// What a formula begins with, in a spreadsheet of whatever language: some take the wide letters of East Asia for it too.
const FORMULA: [char; 10] = [
    '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Why a text cannot stand on a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A control character, NUL among them.
    #[error("holds the control character U+{0:04X} at character {1}")]
    Control(u32, usize),
    /// A picture, an invisible or a private character, which no receipt printer has.
    #[error("holds U+{0:04X} at character {1}, which no receipt printer can print")]
    NotPrintable(u32, usize),
    /// Right-to-left script, or a mark that reorders text.
    #[error(
        "holds right-to-left text (U+{0:04X}) at character {1}, which paper and FDMS would show in different order"
    )]
    RightToLeft(u32, usize),
    /// Longer than the field.
    #[error("has {0} characters; at most {1} are allowed")]
    TooLong(usize, usize),
    /// Nothing but spaces.
    #[error("is empty")]
    Empty,
}

/// Checks a text of at most `max` characters that must not be empty.
///
/// # Errors
/// See [`TextError`].
pub fn check(text: &str, max: usize) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    for (place, c) in text.chars().enumerate() {
        let code = u32::from(c);
        if c.is_control() || matches!(code, 0x2028 | 0x2029) {
            return Err(TextError::Control(code, place + 1));
        }
        if is_right_to_left(code) {
            return Err(TextError::RightToLeft(code, place + 1));
        }
        if is_picture(code) {
            return Err(TextError::NotPrintable(code, place + 1));
        }
    }
    let length = text.chars().count();
    if length > max {
        return Err(TextError::TooLong(length, max));
    }
    Ok(())
}

/// A text that others have chosen, for a cell of CSV. A spreadsheet takes one that begins like a formula for a formula,
/// and would compute, fetch or send what a till calls its invoice: an apostrophe in front makes it a text.
#[must_use]
pub fn cell_text(value: &str) -> Cow<'_, str> {
    match value.starts_with(FORMULA) {
        true => Cow::Owned(format!("'{value}")),
        false => Cow::Borrowed(value),
    }
}

fn is_right_to_left(code: u32) -> bool {
    matches!(
        code,
        0x0590..=0x08FF
            | 0x200E..=0x200F
            | 0x202A..=0x202E
            | 0x2066..=0x2069
            | 0xFB1D..=0xFDFF
            | 0xFE70..=0xFEFE
            | 0x1_0800..=0x1_0FFF
            | 0x1_E800..=0x1_EFFF
    )
}

fn is_picture(code: u32) -> bool {
    matches!(
        code,
        0x00AD
            | 0x200B..=0x200D
            | 0x2060..=0x2065
            | 0x206A..=0x206F
            | 0x20E3
            | 0x2600..=0x27BF
            | 0x2B00..=0x2BFF
            | 0xE000..=0xF8FF
            | 0xFE00..=0xFE0F
            | 0xFEFF
            | 0xFFF0..=0xFFFF
    ) || code > 0xFFFF
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What begins like a formula begins with an apostrophe; everything else, and a formula further in, stays as it is.
    #[test]
    fn no_cell_is_a_formula() {
        for begins in FORMULA {
            let formula = format!("{begins}1+1");
            assert_eq!(cell_text(&formula), format!("'{formula}"));
        }
        for good in ["", "A-1", "1=1", "'=1", " =1", "\n=1", "a,\"b\""] {
            assert_eq!(cell_text(good), good);
        }
    }

    /// Names of goods as shops write them pass; what paper cannot show is refused with its reason.
    #[test]
    fn what_may_stand_on_paper() {
        for good in [
            "Bread & milk 2 €",
            "Crème brûlée",
            "Чай",
            "Maheu – 500ml \"cold\"",
        ] {
            assert_eq!(check(good, 200), Ok(()), "{good}");
        }
        assert_eq!(check("a\0b", 200), Err(TextError::Control(0, 2)));
        assert_eq!(check("tab\there", 200), Err(TextError::Control(9, 4)));
        assert_eq!(check("🍞", 200), Err(TextError::NotPrintable(0x1F35E, 1)));
        assert_eq!(check("לחם", 200), Err(TextError::RightToLeft(0x05DC, 1)));
        assert_eq!(
            check("a\u{202E}b", 200),
            Err(TextError::RightToLeft(0x202E, 2))
        );
        assert_eq!(
            check(&"x".repeat(501), 500),
            Err(TextError::TooLong(501, 500))
        );
        assert_eq!(check("  ", 5), Err(TextError::Empty));
        assert_eq!(check("a\u{2028}", 5), Err(TextError::Control(0x2028, 2)));
        assert_eq!(check("ab☕", 5), Err(TextError::NotPrintable(0x2615, 3)));
        // Just inside, and at both ends of what is refused.
        assert_eq!(check("\u{58F}\u{900}\u{FFEF}", 3), Ok(()));
        assert_eq!(check("\u{590}", 3), Err(TextError::RightToLeft(0x590, 1)));
        assert_eq!(check("\u{8FF}", 3), Err(TextError::RightToLeft(0x8FF, 1)));
        assert_eq!(
            check("\u{FFFF}", 3),
            Err(TextError::NotPrintable(0xFFFF, 1))
        );
        assert_eq!(
            check("\u{10000}", 3),
            Err(TextError::NotPrintable(0x1_0000, 1))
        );
    }
}
