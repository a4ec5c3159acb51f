//! The targets by name. The tests of `drivers` play the seeds in `fuzz/corpus/` through the same ones.

use crate::{capture, encoder, isl, receipt, status, template, zfp};

/// Plays one input; panics where something does not hold.
pub(crate) type Target = fn(&[u8]);

/// Every target and its name.
pub(crate) const ALL: [(&str, Target); 7] = [
    ("capture", capture::run),
    ("isl", isl::run),
    ("zfp", zfp::run),
    ("receipt", receipt::run),
    ("template", template::run),
    ("status", status::run),
    ("encoder", encoder::run),
];

/// The target of a name.
pub(crate) fn named(name: &str) -> Option<Target> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, run)| *run)
}
