//! The fuzzer of what the gateway and head office read: one program, whose target is named by `FUZZ_TARGET`. See
//! `scripts/fuzz`.

#![no_main]

mod answer;
mod certificate;
#[path = "../chosen.rs"]
mod chosen;
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

libfuzzer_sys::fuzz_target!(|data: &[u8]| chosen::play(&service::ALL, data));
