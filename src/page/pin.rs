//! The PIN of the operator's page: what may be one, and how it is kept.
//!
//! It guards buttons on a machine that somebody stands in front of, so it is short, and what protects it is that it
//! can be tried a few times only ([`super::lock`]). It is kept as an argon2id hash all the same.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// Digits of a PIN.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=12;

/// Why a PIN cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It has other characters than digits, or too few or too many.
    #[error("a PIN is 4 to 12 digits; nothing was changed")]
    Form,
    /// Everybody would try it first.
    #[error(
        "this PIN is the first that anybody tries (1234, 0000 and the like); take another one. Nothing was changed"
    )]
    Obvious,
    /// The hash cannot be made, for want of memory or random numbers.
    #[error(
        "the PIN cannot be kept: this machine has too little memory, or gives no random numbers"
    )]
    Machine,
}

/// The hash of a new PIN, as it is kept.
///
/// # Errors
/// It is no PIN, or one that is easily guessed.
pub fn hash(pin: &str) -> Result<String, PinError> {
    let digits = pin.as_bytes();
    if !LENGTH.contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(PinError::Form);
    }
    if is_obvious(digits) {
        return Err(PinError::Obvious);
    }
    let hashed: PasswordHash = Argon2::default()
        .hash_password(digits)
        .map_err(|_| PinError::Machine)?;
    Ok(hashed.to_string())
}

/// Whether a PIN is the one with this hash. It takes a moment and some 19 MiB.
#[must_use]
pub fn fits(pin: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    Argon2::default()
        .verify_password(pin.as_bytes(), &hash)
        .is_ok()
}

/// One digit over and over, or digits in a row, up or down.
fn is_obvious(digits: &[u8]) -> bool {
    let next = digits.iter().skip(1);
    let pairs = digits.iter().zip(next);
    [0, 1, u8::MAX].into_iter().any(|step| {
        pairs
            .clone()
            .all(|(one, next)| next.wrapping_sub(*one) == step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only digits, not too few, nothing that everybody tries first; and never kept as it is.
    #[test]
    fn what_is_a_pin() {
        for (pin, why) in [
            ("123", PinError::Form),
            ("", PinError::Form),
            ("12a4", PinError::Form),
            ("1234567890123", PinError::Form),
            ("1234", PinError::Obvious),
            ("9876", PinError::Obvious),
            ("000000", PinError::Obvious),
        ] {
            assert_eq!(hash(pin), Err(why), "{pin}");
        }
        let kept = hash("2580").unwrap();
        assert!(kept.starts_with("$argon2id$") && !kept.contains("2580"));
        assert!(fits("2580", &kept) && !fits("2581", &kept) && !fits("2580", "nonsense"));
        assert_ne!(hash("2580").unwrap(), kept, "another salt each time");
    }
}
