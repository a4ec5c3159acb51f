//! How many bytes a printer may still wait for when a job breaks off in the middle of a picture.

use crate::profile::{Profile, Qr};

/// Rows of a picture that are sent in one command, at most.
const ROWS: usize = 255;
/// The data of a QR code, at most.
const QR: usize = 1024;

/// The longest stretch of data that a command of ours announces to such a printer.
pub(super) fn most(profile: &Profile) -> usize {
    let dots = usize::from(profile.dots);
    if profile.pictures || profile.qr == Qr::Raster {
        dots.div_ceil(8) * ROWS
    } else {
        dots.max(QR)
    }
}

/// The longest stretch of data that a command of these bytes announces. Bytes inside a picture may look like
/// such a command: then it is too many, never too few.
pub(super) fn longest(bytes: &[u8]) -> usize {
    let announced = (0..bytes.len()).map(|at| announces(bytes.get(at..).unwrap_or_default()));
    announced.max().unwrap_or(0)
}

fn announces(bytes: &[u8]) -> usize {
    match *bytes {
        // GS v 0 m xL xH yL yH: bytes of a row, rows.
        [0x1D, b'v', b'0', _, x_low, x_high, y_low, y_high, ..] => {
            let row = word(x_low, x_high);
            row.saturating_mul(word(y_low, y_high))
        }
        // GS ( x pL pH.
        [0x1D, b'(', _, low, high, ..] => word(low, high),
        // ESC * m nL nH: columns of one byte, or of three.
        [0x1B, b'*', mode, low, high, ..] => {
            let column = if mode < 32 { 1 } else { 3 };
            word(low, high).saturating_mul(column)
        }
        _ => 0,
    }
}

fn word(low: u8, high: u8) -> usize {
    usize::from(low) + 256 * usize::from(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the commands' parameters.
    #[test]
    fn the_longest_is_found() {
        assert_eq!(longest(b"a plain receipt\n\x1DVB\0"), 0);
        assert_eq!(longest(b"ab\x1Dv0\0\x48\0\x18\0..."), 72 * 24);
        assert_eq!(longest(b"\x1D(k\x04\0\x31\x41\x32\0\x1D(k\x46\x01"), 326);
        assert_eq!(longest(b"\x1B*\0\x20\x01\x1B*\x21\x20\x01"), 3 * 288);
        assert_eq!(longest(b"\x1Dv0\0\x48"), 0, "cut off before it says");
    }
}
