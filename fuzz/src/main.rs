//! The fuzzer: one program, whose target is named by `FUZZ_TARGET`. See `scripts/fuzz`.

#![no_main]

mod capture;
mod encoder;
mod input;
mod isl;
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
    targets::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET: there is no target {name:?}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
