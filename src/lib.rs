//! x
pub mod fdms;
pub mod keys;
