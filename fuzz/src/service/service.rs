//! The targets by name, of the gateway and of head office. `tests/fuzz_seeds.rs` plays the seeds in `fuzz/corpus/`
//! through the same ones.

use crate::{answer, certificate, config, file, lines, query, sync};

/// Every target and its name. Each plays one input, and panics where something does not hold.
pub(crate) const ALL: [(&str, fn(&[u8])); 7] = [
    ("lines", lines::run),
    ("answer", answer::run),
    ("certificate", certificate::run),
    ("config", config::run),
    ("file", file::run),
    ("sync", sync::run),
    ("query", query::run),
];
