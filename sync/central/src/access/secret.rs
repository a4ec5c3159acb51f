//! Secrets that are made here: 256 random bits, shown once, of which only the SHA-256 is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::problem::Problem;

/// Bytes of randomness.
const LENGTH: usize = 32;

/// A secret; shown with [`Secret::reveal`], never by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// A new one. The prefix says what it is for, to people and to whoever finds it where it should not be.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn new(prefix: &str) -> Result<Self, Problem> {
        let mut random = Zeroizing::new([0; LENGTH]);
        getrandom::fill(random.as_mut_slice()).map_err(|error| Problem::defect(&error))?;
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random.as_slice()));
        Ok(Self(Zeroizing::new(text)))
    }

    /// What follows from another secret for one purpose: the same each time, and no way back.
    pub(super) fn derived(from: &str, purpose: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(purpose.as_bytes());
        digest.update([0]);
        digest.update(from.as_bytes());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(digest.finalize())))
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        hash(&self.0)
    }
}

/// SHA-256: what is kept of a secret, and by what an email is looked up.
#[must_use]
pub fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No two are the same, none is shown by accident, and what is derived does not give away its origin.
    #[test]
    fn secrets_differ_and_are_not_shown() {
        let (one, two) = (Secret::new("fhq_").unwrap(), Secret::new("fhq_").unwrap());
        assert_ne!(one.reveal(), two.reveal());
        assert_eq!(one.reveal().len(), 4 + 43);
        assert_eq!(one.hash(), hash(one.reveal()));
        assert!(!format!("{one:?}").contains(one.reveal()));
        let derived = Secret::derived(one.reveal(), "csrf");
        assert_eq!(
            derived.reveal(),
            Secret::derived(one.reveal(), "csrf").reveal()
        );
        assert_ne!(
            derived.reveal(),
            Secret::derived(one.reveal(), "other").reveal()
        );
        assert!(!derived.reveal().contains(&one.reveal()[4..]));
    }
}
