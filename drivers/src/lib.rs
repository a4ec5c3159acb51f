//! Cashier devices: receipt printers, old POS software that speaks to a printer, and the links to both.
//!
//! Protocols are state machines: bytes, events and times go in, bytes and actions come out. Only
//! [`transport`] does I/O. The crate knows pages, bytes and the sales of an old POS; it knows no ledger and
//! no fiscal receipt, which are reached through the traits [`job::Spool`], `capture::Door` and
//! `register::Register`.

pub mod capture;
pub mod display;
pub mod escpos;
pub mod isl;
pub mod job;
pub mod page;
pub mod profile;
pub mod register;
pub mod transport;
pub mod zfp;
