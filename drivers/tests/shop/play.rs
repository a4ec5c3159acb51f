//! Sessions from a seed.
pub(crate) struct Nothing;
