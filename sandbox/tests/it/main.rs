//! The sandbox tested from outside: real mutual TLS, a till of the tests' own, a clock that they move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod access;
mod days;
mod example;
mod fault_rules;
mod faults;
mod files;
mod kept;
mod life;
mod offline;
mod pages;
mod program;
mod record;
mod rules_amounts;
mod rules_chain;
mod rules_head;
mod rules_lines;
mod rules_notes;
mod rules_taxes;
mod schema;
mod stock;

mod till;
mod users;
