//! Integration tests of the daemon: one binary, a module per subject.
#![cfg(feature = "demo")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot be set up may end"
)]

mod adoption;
mod agreement;
mod alarms;
mod api;
mod archive;
mod attack;
mod backup;
mod backup_alarms;
mod bench;
mod certificates;
mod clock_rules;
mod configuration;
mod crash;
mod day_policy;
mod devices;
mod disk_full;
mod doctor;
mod documents;
mod examples;
mod export;
mod gaps;
mod gates;
mod head_office;
mod hq;
mod join;
mod live_copy;
mod metrics;
mod month;
mod offline;
mod operator;
mod ports;
mod pos;
mod printing;
mod removal;
mod scenarios;
mod sheets;
mod soak;
mod submit;
mod systemd;
mod zfp;

mod support {
    pub(crate) mod agreement;
    pub(crate) mod alarms;
    pub(crate) mod api;
    pub(crate) mod clinic;
    pub(crate) mod compare;
    pub(crate) mod counter;
    pub(crate) mod hq;
    pub(crate) mod month;
    pub(crate) mod namespace;
    pub(crate) mod operator;
    pub(crate) mod paper;
    pub(crate) mod pass;
    pub(crate) mod printer;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod store;
    pub(crate) mod suites;
    pub(crate) mod zfp;
}
