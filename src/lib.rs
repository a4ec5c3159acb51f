//! The point-of-sale fiscal gateway `fiscald`: the daemon beside the tills, as a library.
//!
//! A sale is checked, numbered, chained and signed and is in the [`ledger`] before it is answered; FDMS
//! hears of it in order when it can be reached. The way of a sale, and why things are where they are, is
//! told in `docs/ARCHITECTURE.md`.

pub mod api;
pub mod config;
pub mod fdms;
pub mod inspect;
pub mod join;
pub mod keys;
pub mod ledger;
pub mod submit;
pub mod telemetry;
#[cfg(feature = "demo")]
pub mod testing;
pub mod time;
