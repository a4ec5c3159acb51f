//! The printer's letters, as dots.

use crate::bitmap::Bitmap;

/// Number, rows: the sources and the licence are beside the files.
const LARGE: &[u8] = include_bytes!("../font/receipt-12x24.bin");
const SMALL: &[u8] = include_bytes!("../font/receipt-8x16.bin");

/// A character in a cell of this size, the larger letters where they fit.
pub(crate) fn glyph(ch: char, width: usize, height: usize) -> Bitmap {
    let (table, bytes_in_row, rows) = if width >= 12 && height >= 24 {
        (LARGE, 2, 24)
    } else {
        (SMALL, 1, 16)
    };
    let mut cell = Bitmap::new(width, height);
    match rows_of(table, ch, bytes_in_row * rows) {
        Some(bytes) => cell.print(0, 0, &Bitmap::from_rows(bytes_in_row, rows, bytes)),
        None => box_in(&mut cell),
    }
    cell
}

fn rows_of(table: &'static [u8], ch: char, length: usize) -> Option<&'static [u8]> {
    let wanted = u16::try_from(u32::from(ch)).ok()?.to_le_bytes();
    let mut entries = table.chunks_exact(length + 2);
    entries.find_map(|entry| entry.strip_prefix(&wanted[..]))
}

/// What is drawn for a character that the font does not have.
fn box_in(cell: &mut Bitmap) {
    let (width, height) = (cell.width(), cell.height());
    let (right, bottom) = (width.saturating_sub(2), height.saturating_sub(4));
    for x in 1..right {
        cell.blacken(x, 3);
        cell.blacken(x, bottom);
    }
    for y in 3..=bottom {
        cell.blacken(1, y);
        cell.blacken(right, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_ascii_character_is_there_and_no_two_look_alike() {
        for (width, height) in [(12, 24), (9, 17)] {
            let glyphs: Vec<_> = (0x21..0x7F_u8)
                .map(|b| glyph(char::from(b), width, height))
                .collect();
            let missing = glyph('\u{FFFF}', width, height);
            for (number, one) in glyphs.iter().enumerate() {
                assert_ne!(*one, missing);
                assert!(!glyphs[..number].contains(one));
            }
        }
    }
}
