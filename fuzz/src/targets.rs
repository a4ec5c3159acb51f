//! The targets by name, of the crates that compute and do nothing else. `tests/fuzz_seeds.rs` plays the seeds in
//! `fuzz/corpus/` through the same ones.

use crate::{capture, draft, encoder, isl, receipt, status, template, zfp};

/// Plays one input; panics where something does not hold.
pub(crate) type Target = fn(&[u8]);

/// Every target and its name.
pub(crate) const ALL: [(&str, Target); 8] = [
    ("capture", capture::run),
    ("isl", isl::run),
    ("zfp", zfp::run),
    ("receipt", receipt::run),
    ("template", template::run),
    ("status", status::run),
    ("encoder", encoder::run),
    ("draft", draft::run),
];
