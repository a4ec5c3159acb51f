//! Head office: many stores, many tenants, one Postgres.
//!
//! [`db`] is the one door to Postgres: every transaction names its tenant first. [`access`] says who is
//! calling. [`sync`] takes the stores' lines; [`commands`] asks stores to do something; [`functions`] are the
//! six functions of the runbook; [`pages`] is what people see; [`worker`] is what happens by itself. All of it
//! is without state of its own, so that two instances on one Postgres work as one (docs/HQ.md).

pub mod access;
pub mod api;
pub mod audit;
pub mod cli;
pub mod commands;
pub mod db;
pub mod functions;
pub mod hq;
pub mod keys;
pub mod metrics;
pub mod migrate;
pub mod outbound;
pub mod pages;
pub mod problem;
pub mod rotate;
pub mod serve;
pub mod sync;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
pub mod worker;

pub use hq::Hq;
