//! The targets by name, of the crates that compute and do nothing else. `tests/fuzz_seeds.rs` plays the seeds in
//! `fuzz/corpus/` through the same ones.

use crate::input::Target;
use crate::{capture, draft, encoder, isl, receipt, status, template, zfp};

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
