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

/// A text in printable ASCII alone, as printers without a code page get it: accents taken off, `?` for what
/// nobody could read.
#[must_use]
pub fn ascii(text: &str) -> Vec<u8> {
    text::bytes(text, None)
}

#[cfg(test)]
mod tests;
