//! Security codes, tokens and salts: the same for the same seed, in the order they are drawn.

use sha2::{Digest, Sha256};

/// Draws them.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    seed: u64,
    drawn: u64,
}

impl Secrets {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let text = format!("fdms-sandbox {} {}", self.seed, self.drawn);
        Sha256::digest(text.as_bytes()).into()
    }

    /// Six digits.
    pub(crate) fn code(&mut self) -> String {
        let bytes = self.draw();
        bytes[..6]
            .iter()
            .map(|byte| char::from(b'0' + byte % 10))
            .collect()
    }

    /// Sixty-four letters and digits.
    pub(crate) fn token(&mut self) -> String {
        let bytes = self.draw();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn salt(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        salt.copy_from_slice(&self.draw()[..16]);
        salt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed draws the same, another one does not, and nothing comes twice.
    #[test]
    fn a_seed_draws_the_same() {
        let (mut one, mut same, mut other) = (Secrets::new(7), Secrets::new(7), Secrets::new(8));
        let first = one.token();
        assert_eq!(first, same.token());
        assert_ne!(first, other.token());
        assert_ne!(first, one.token());
        let code = one.code();
        assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()));
    }
}
