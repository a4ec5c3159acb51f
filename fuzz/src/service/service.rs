//! The targets by name, of the gateway and of head office. `tests/fuzz_seeds.rs` plays the seeds in `fuzz/corpus/`
//! through the same ones.

use crate::input::Target;
use crate::{answer, certificate, config, file, lines, query, sync};

/// Every target and its name.
pub(crate) const ALL: [(&str, Target); 7] = [
    ("lines", lines::run),
    ("answer", answer::run),
    ("certificate", certificate::run),
    ("config", config::run),
    ("file", file::run),
    ("sync", sync::run),
    ("query", query::run),
];
