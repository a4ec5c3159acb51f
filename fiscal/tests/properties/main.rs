//! What must hold for every sale, and proof that each of these checks can fail.
//!
//! A check is a function that takes the implementation to be checked. A property test gives it the real
//! one with random seeds; a second test gives it defective ones, each of which it must turn down.

mod drawn;
mod fingerprint;
mod sent;
mod shop;
mod sums;

use proptest::test_runner::TestCaseError;

/// What a check answers: nothing, or what is wrong.
pub(crate) type Verdict = Result<(), String>;

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, wanted: &T) -> Verdict {
    if ours == wanted {
        return Ok(());
    }
    Err(format!("{what}:\n{ours:?}\ninstead of\n{wanted:?}"))
}

pub(crate) fn fail(message: String) -> TestCaseError {
    TestCaseError::fail(message)
}

/// Asserts that a check turns a defect down within two hundred seeds.
pub(crate) fn assert_caught(defect: &str, check: impl Fn(u64) -> Verdict) {
    assert!(
        (0..200).any(|seed| check(seed).is_err()),
        "the check does not see this defect: {defect}"
    );
}
