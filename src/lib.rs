//! The point-of-sale fiscal gateway `fiscald`: the daemon beside the tills, as a library.
//!
//! A sale is checked, numbered, chained and signed and is in the [`ledger`] before it is answered; FDMS
//! hears of it in order when it can be reached. The way of a sale, and why things are where they are, is
//! told in `docs/ARCHITECTURE.md`.

/// The suites of the integration tests are run with planted defects too, as unit tests; they name the crate.
#[cfg(test)]
extern crate self as fiscald;

pub mod alarms;
pub mod api;
pub mod archive;
pub mod backup;
#[cfg(feature = "demo")]
pub mod bench;
pub mod cli;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod days;
#[cfg(feature = "demo")]
pub mod demo;
mod digest;
pub mod disk;
pub mod doctor;
pub mod export;
pub mod fdms;
pub mod hq;
pub mod inspect;
pub mod join;
pub mod keys;
pub mod lan;
pub mod ledger;
pub mod local;
mod memory;
pub mod metrics;
pub mod page;
pub mod paper;
pub mod pos;
pub mod print;
mod private;
pub mod submit;
pub mod systemd;
pub mod telemetry;
#[cfg(feature = "demo")]
pub mod testing;
pub mod time;
