//! Integration tests of the daemon: one binary, a module per subject.
#![cfg(feature = "demo")]

mod agreement;
mod clock_rules;
mod submit;

mod support {
    pub(crate) mod agreement;
    pub(crate) mod store;
    pub(crate) mod suites;
}
