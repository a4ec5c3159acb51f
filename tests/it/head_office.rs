//! Head office and gateway, both as they are: the service on a real Postgres, the daemon with its ledger, agent and
//! submitter, FDMS's test and production servers behind, all on one clock that passes only when a test lets it.

mod away;
mod block;
mod credential;
mod cut_over;
mod fork;
mod join;
mod lost;
mod settings;
mod shop;
mod story;
mod vat;
mod world;
