//! The trap: a printer obeys a real-time command wherever it stands in the stream.
//!
//! "Transmitted anytime the sequence 10 04 n is received, even as part of another command", say the makers.
//! So `10 04` (send status), `10 05` (recover, or clear the buffer) and `10 14` (drawer, clear the buffer) may
//! stand in no picture, no QR code and across no two commands of ours.

use std::ops::Range;

/// The first byte of every real-time command.
const DLE: u8 = 0x10;

/// Whether these two bytes, one after the other, begin a real-time command.
pub(super) fn begins(first: u8, second: u8) -> bool {
    first == DLE && matches!(second, 0x04 | 0x05 | 0x14)
}

/// Where a real-time command first begins in these bytes.
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(2)
        .position(|pair| matches!(pair, [a, b] if begins(*a, *b)))
}

/// Where a real-time command begins that does not lie inside of one of `given`, which are in order.
pub(super) fn find_outside(bytes: &[u8], given: &[Range<usize>]) -> Option<usize> {
    let inside = |at: usize| {
        given
            .iter()
            .any(|range| range.start <= at && at + 1 < range.end)
    };
    bytes.windows(2).enumerate().find_map(|(at, pair)| {
        matches!(pair, [a, b] if begins(*a, *b) && !inside(at)).then_some(at)
    })
}
