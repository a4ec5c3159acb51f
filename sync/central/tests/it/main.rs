//! Tests of head office: the service as it runs, on a real Postgres, with a clock that is set by the test.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot be set up may end"
)]

mod access;
mod alerts;
mod answered;
mod api;
mod attack;
mod audit;
mod checklist;
mod cli;
mod commands;
mod credentials;
mod figures;
mod forgot;
mod functions;
mod isolation;
mod months;
mod pages;
mod people;
mod played;
mod restored;
mod retired;
mod rotate;
mod runbook;
mod schema;
mod secured;
mod seed;
mod service;
mod settings;
mod sign_in;
mod support;
mod switched;
mod sync;
mod tables;
mod turns;
mod waiting;
mod walls;
mod ways_in;
mod worker;
