//! The fuzzer of what the gateway and head office read: one program, whose target is named by `FUZZ_TARGET`. See
//! `scripts/fuzz`.

#![no_main]

mod answer;
mod certificate;
mod config;
#[path = "../damage.rs"]
mod damage;
mod file;
#[path = "../input.rs"]
#[expect(dead_code, reason = "the other program needs more of it")]
mod input;
#[path = "../leak.rs"]
mod leak;
mod lines;
mod query;
mod service;
mod sync;

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = service::ALL.iter().find(|(known, _)| *known == name);
    let (_, run) = found.unwrap_or_else(|| panic!("FUZZ_TARGET: there is no target {name:?}"));
    *run
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::watched(*TARGET, data));
