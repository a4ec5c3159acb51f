//! ESC/POS: pages as bytes, status as facts.
//!
//! The language of receipt printers, as Epson made it and everybody copied it. [`encode()`] turns a
//! [`Page`](crate::page::Page) into the bytes that print it on a printer of a given profile; [`status`] reads
//! what the printer says; [`ack`] holds the bytes that make it tell whether a job is on paper. No part does
//! I/O or knows the time.

pub mod ack;
mod code_page;
mod encode;
mod picture;
mod qr;
mod realtime;
pub mod request;
pub mod status;
mod text;

pub use encode::{EncodeError, encode};

use crate::page::Pulse;

/// A text in printable ASCII alone, as printers without a code page get it: accents taken off, `?` for what
/// nobody could read.
#[must_use]
pub fn ascii(text: &str) -> Vec<u8> {
    text::bytes(text, None)
}

/// A drawer's pulse that the printer obeys as it comes (DLE DC4 1), without paper too. It knows steps of 100 ms, up to
/// 800, the same on and off.
#[must_use]
pub fn real_time_pulse(pulse: Pulse) -> [u8; 5] {
    let steps = u8::try_from(pulse.on_ms.div_ceil(100).clamp(1, 8)).unwrap_or(8);
    [0x10, 0x14, 1, u8::from(!pulse.pin2), steps]
}

#[cfg(test)]
mod tests;
