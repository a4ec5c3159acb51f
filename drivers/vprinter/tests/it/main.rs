//! The software printer as a host meets it, and as a person who looks at its paper does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod common;
mod model;
mod qr;
#[cfg(feature = "server")]
mod server;
