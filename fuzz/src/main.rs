//! The fuzzer of the crates that compute and do nothing else: one program, whose target is named by `FUZZ_TARGET`. See
//! `scripts/fuzz`.

#![no_main]

mod capture;
mod damage;
mod draft;
mod encoder;
mod input;
mod isl;
mod leak;
mod paper;
mod receipt;
mod register;
mod status;
mod targets;
mod template;
mod till;
mod zfp;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|(known, _)| *known == name);
    let (_, run) = found.unwrap_or_else(|| panic!("FUZZ_TARGET: there is no target {name:?}"));
    *run
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::watched(*TARGET, data));
