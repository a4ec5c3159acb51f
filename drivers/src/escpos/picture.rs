//! Pictures as GS v 0, in bands, with no real-time command in their dots.
//!
//! Where two bytes of a row would be a real-time command, the whole picture is moved by a dot, by two, up to
//! seven; where they are the end of a row and the beginning of the next, the band ends between the two. A
//! picture that holds one however it is moved gets a dot more, which nobody sees.

use super::realtime;
use crate::page::Bitmap;

/// Rows in a band: printers with small buffers take no more at once.
const BAND: usize = 255;

/// A row's bytes.
type Row = Vec<u8>;

/// The picture's rows, made to fit: `width` dots at most.
pub(super) fn bands(picture: &Bitmap, width: usize, guarded: bool) -> Vec<u8> {
    let picture = fit(picture, width);
    let rows = if guarded {
        quiet(&picture, width)
    } else {
        moved(&picture, 0)
    };
    let mut out = Vec::new();
    let mut band: Vec<Row> = Vec::new();
    for row in rows {
        let straddles = guarded
            && match (band.last().and_then(|above| above.last()), row.first()) {
                (Some(end), Some(start)) => realtime::begins(*end, *start),
                _ => false,
            };
        if straddles || band.len() == BAND {
            write(&mut out, &band);
            band.clear();
        }
        band.push(row);
    }
    write(&mut out, &band);
    out
}

/// One GS v 0. Its length bytes cannot be a real-time command: a row has less than 256 bytes and a band less
/// than 256 rows, so that both high bytes are 0.
fn write(out: &mut Vec<u8>, band: &[Row]) {
    let Some(x) = band.first().and_then(|row| u8::try_from(row.len()).ok()) else {
        return;
    };
    let Ok(y) = u8::try_from(band.len()) else {
        return;
    };
    out.extend_from_slice(&[0x1D, b'v', b'0', 0, x, 0, y, 0]);
    out.extend(band.iter().flatten());
}

/// The picture if it fits, else made smaller by the least whole number: a dot is black where half of those that
/// it stands for are.
fn fit(picture: &Bitmap, width: usize) -> Bitmap {
    let step = picture.width.div_ceil(width.max(1)).max(1);
    if step == 1 {
        return without_edge(picture);
    }
    let (columns, rows) = (picture.width.div_ceil(step), picture.height.div_ceil(step));
    let mut out = Bitmap::white(columns, rows);
    for y in 0..rows {
        for x in 0..columns {
            let (mut black, mut all) = (0, 0);
            for dy in y * step..((y + 1) * step).min(picture.height) {
                for dx in x * step..((x + 1) * step).min(picture.width) {
                    all += 1;
                    black += usize::from(picture.black(dx, dy));
                }
            }
            if black * 2 >= all {
                out.blacken(x, y);
            }
        }
    }
    out
}

/// The picture with what lies right of its last dot made white.
fn without_edge(picture: &Bitmap) -> Bitmap {
    let mut out = picture.clone();
    let unused = out.width.next_multiple_of(8) - out.width;
    for row in out.bits.chunks_mut(out.width.div_ceil(8).max(1)) {
        if let Some(last) = row.last_mut() {
            *last = *last >> unused << unused;
        }
    }
    out
}

/// The rows with no real-time command inside of any.
fn quiet(picture: &Bitmap, width: usize) -> Vec<Row> {
    let room = width.saturating_sub(picture.width).min(7);
    for by in 0..=room {
        let rows = moved(picture, by);
        if rows.iter().all(|row| realtime::find(row).is_none()) {
            return rows;
        }
    }
    let mut rows = moved(picture, 0);
    for row in &mut rows {
        while let Some(at) = realtime::find(row) {
            // 10 becomes 18, which begins nothing: the byte has a right neighbour, so the dot is in the picture.
            if let Some(byte) = row.get_mut(at) {
                *byte |= 0x08;
            }
        }
    }
    rows
}

/// The rows, `by` dots further to the right, at most seven.
fn moved(picture: &Bitmap, by: usize) -> Vec<Row> {
    let length = (picture.width + by).div_ceil(8);
    let row = |bits: &[u8]| {
        let mut left = 0;
        let mut out = Row::with_capacity(length);
        for bits in bits.iter().copied().chain([0]).take(length) {
            let [_, byte] = (u16::from_be_bytes([left, bits]) >> by).to_be_bytes();
            out.push(byte);
            left = bits;
        }
        out
    };
    let bytes = picture.width.div_ceil(8).max(1);
    picture.bits.chunks(bytes).map(row).collect()
}
