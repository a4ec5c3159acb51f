//! The command line.

use std::process::ExitCode;

/// Runs the command that was given.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
