//! The fuzzer of the crates that compute and do nothing else: one program, whose target is named by `FUZZ_TARGET`. See
//! `scripts/fuzz`.

#![no_main]

mod capture;
mod chosen;
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

libfuzzer_sys::fuzz_target!(|data: &[u8]| chosen::play(&targets::ALL, data));
