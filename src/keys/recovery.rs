//! The recovery passphrase: the way into a backup when the machine with the sealing key is gone.
//!
//! It is made at set-up, shown once and stored nowhere. A key derived from it (Argon2id) wraps the
//! sealing key, and the wrap lies in the ledger: whoever has a backup and the passphrase has the tills'
//! keys. It carries 150 bits of randomness, so it needs no guard against guessing but its own length;
//! two more characters catch slips of the pen before anything is tried.
//!
//! Wrap: version 1 · Argon2 memory, passes, lanes (4 bytes each) · salt (16) · nonce (12) · ciphertext.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{KeyError, SealingKey, fill_random};

/// Digits and capitals without I, L, O and U, which are misread or misheard.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of randomness, five bits each.
const RANDOM_CHARS: usize = 30;
/// Characters that check the others.
const CHECK_CHARS: usize = 2;
const GROUP: usize = 4;

const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const HEADER_LEN: usize = 1 + 3 * 4 + SALT_LEN;
/// Argon2id costs, far above the recommended minimum of 19 MiB and two passes, yet fit for a small PC.
const MEMORY_KIB: u32 = 48 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// The most that a record may ask of us; more is damage or malice.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;

/// Eight groups of four characters; show it once with [`RecoveryPassphrase::reveal`].
pub struct RecoveryPassphrase(Zeroizing<String>);

impl RecoveryPassphrase {
    /// A new passphrase.
    ///
    /// # Errors
    /// No randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut random = Zeroizing::new([0; RANDOM_CHARS]);
        fill_random(random.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(RANDOM_CHARS + CHECK_CHARS));
        for byte in random.iter() {
            // 256 is a multiple of 32: every character is equally likely.
            text.push(char::from(ALPHABET[usize::from(byte % 32)]));
        }
        let check = check_chars(&text);
        text.push_str(&check);
        Ok(Self(text))
    }

    /// Reads what a person typed: case, blanks and hyphens do not matter, O is 0, I and L are 1.
    ///
    /// # Errors
    /// Too short, too long, a foreign character, or a slip that the check characters reveal.
    pub fn parse(typed: &str) -> Result<Self, KeyError> {
        let mut text = Zeroizing::new(String::with_capacity(RANDOM_CHARS + CHECK_CHARS));
        for typed_char in typed.chars() {
            match typed_char.to_ascii_uppercase() {
                c if c.is_whitespace() || c == '-' => {}
                'O' => text.push('0'),
                'I' | 'L' => text.push('1'),
                c if u8::try_from(c).is_ok_and(|c| ALPHABET.contains(&c)) => text.push(c),
                c => {
                    return Err(KeyError::Passphrase(format!(
                        "`{c}` does not occur in it; it has digits and letters without I, L, O and U"
                    )));
                }
            }
        }
        let expected = RANDOM_CHARS + CHECK_CHARS;
        if text.len() != expected {
            return Err(KeyError::Passphrase(format!(
                "it has {} characters instead of {expected} (eight groups of four)",
                text.len()
            )));
        }
        let (random, check) = text.split_at(RANDOM_CHARS);
        if check_chars(random) != check {
            return Err(KeyError::Passphrase(
                "a character is wrong or two are swapped; compare it with the note once more"
                    .to_owned(),
            ));
        }
        Ok(Self(text))
    }

    /// The passphrase in eight groups, to be shown to a person once and written down.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut shown = Zeroizing::new(String::with_capacity(2 * self.0.len()));
        for (at, c) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                shown.push('-');
            }
            shown.push(c);
        }
        shown
    }
}

impl fmt::Debug for RecoveryPassphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPassphrase(redacted)")
    }
}

/// Two characters (ten bits) of a hash over the others.
fn check_chars(random: &str) -> String {
    let hash = Sha256::new()
        .chain_update(b"fiscald recovery passphrase")
        .chain_update(random)
        .finalize();
    hash.iter()
        .take(CHECK_CHARS)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// A sealing key under a passphrase; not a secret by itself, stored in the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryWrap(Vec<u8>);

impl RecoveryWrap {
    /// Wraps `key` under `passphrase`. Takes some 48 MiB of memory for a moment.
    ///
    /// # Errors
    /// No randomness or no memory.
    pub fn wrap(key: &SealingKey, passphrase: &RecoveryPassphrase) -> Result<Self, KeyError> {
        let mut salt = [0; SALT_LEN];
        fill_random(&mut salt)?;
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut record = vec![VERSION];
        for cost in [MEMORY_KIB, PASSES, LANES] {
            record.extend(cost.to_be_bytes());
        }
        record.extend(salt);
        let wrapping = derive(passphrase, &salt, [MEMORY_KIB, PASSES, LANES])?;
        let ciphertext = wrapping.encrypt(&nonce, key.expose(), &record)?;
        record.extend(nonce);
        record.extend(ciphertext);
        Ok(Self(record))
    }

    /// The sealing key, if `passphrase` is the right one.
    ///
    /// # Errors
    /// Another store's passphrase, or a damaged record.
    pub fn unwrap_with(&self, passphrase: &RecoveryPassphrase) -> Result<SealingKey, KeyError> {
        let (header, rest) = self
            .0
            .split_at_checked(HEADER_LEN)
            .ok_or(KeyError::RecoveryRecord("it is too short"))?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(KeyError::RecoveryRecord("it is too short"))?;
        if header[0] != VERSION {
            return Err(KeyError::RecoveryRecord("its format is unknown"));
        }
        let cost = |at: usize| {
            header[1 + 4 * at..5 + 4 * at]
                .iter()
                .fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
        };
        let costs = [cost(0), cost(1), cost(2)];
        if costs[0] > MEMORY_KIB_MAX || costs[1] > PASSES_MAX || costs[2] > 16 {
            return Err(KeyError::RecoveryRecord("its costs are out of range"));
        }
        let wrapping = derive(passphrase, &header[13..], costs)?;
        let opened = wrapping
            .decrypt(nonce, ciphertext, header)
            .ok_or(KeyError::WrongPassphrase)?;
        let mut bytes = Zeroizing::new([0; 32]);
        if opened.len() != bytes.len() {
            return Err(KeyError::RecoveryRecord("it holds no key"));
        }
        bytes.copy_from_slice(&opened);
        Ok(SealingKey::from_bytes(bytes))
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What [`RecoveryWrap::as_bytes`] gave; it is judged when it is opened.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for RecoveryWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryWrap({} bytes)", self.0.len())
    }
}

fn derive(
    passphrase: &RecoveryPassphrase,
    salt: &[u8],
    [memory, passes, lanes]: [u32; 3],
) -> Result<SealingKey, KeyError> {
    let params = Params::new(memory, passes, lanes, Some(32))
        .map_err(|_| KeyError::RecoveryRecord("its costs are out of range"))?;
    let mut bytes = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, bytes.as_mut_slice())
        .map_err(|_| KeyError::Crypto("deriving a key from the passphrase"))?;
    Ok(SealingKey::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The passphrase has eight groups of four and enough randomness, and no two are the same.
    #[test]
    fn passphrases_are_long_and_new() {
        let first = RecoveryPassphrase::generate().unwrap().reveal();
        let groups: Vec<&str> = first.split('-').collect();
        assert_eq!(groups.len(), 8);
        assert!(groups.iter().all(|group| group.len() == 4));
        const { assert!(RANDOM_CHARS * 5 >= 128) };
        assert_ne!(*first, *RecoveryPassphrase::generate().unwrap().reveal());
    }

    /// What a person writes down and types in another way is the same passphrase.
    #[test]
    fn typing_is_forgiven() {
        let passphrase = RecoveryPassphrase::generate().unwrap();
        let shown = passphrase.reveal();
        let typed = shown
            .to_lowercase()
            .replace('-', " ")
            .replace('0', "o")
            .replace('1', "l");
        assert_eq!(*RecoveryPassphrase::parse(&typed).unwrap().0, *passphrase.0);
    }

    /// Slips are named; a character changed anywhere is caught nearly always (all but one in 1024).
    #[test]
    fn slips_are_caught() {
        let shown = RecoveryPassphrase::generate().unwrap().reveal();
        assert!(RecoveryPassphrase::parse(&shown[1..]).is_err());
        assert!(RecoveryPassphrase::parse("").is_err());
        assert!(RecoveryPassphrase::parse(&shown.replace('-', "?")).is_err());
        let slips = (0..shown.len())
            .filter(|at| shown.as_bytes()[*at] != b'-')
            .map(|at| {
                let other = if shown.as_bytes()[at] == b'7' {
                    "8"
                } else {
                    "7"
                };
                format!("{}{other}{}", &shown[..at], &shown[at + 1..])
            });
        let caught = slips
            .filter(|typed| RecoveryPassphrase::parse(typed).is_err())
            .count();
        assert!(caught >= RANDOM_CHARS + CHECK_CHARS - 2, "{caught} caught");
    }

    /// The right passphrase gives the key back, another one does not, and damage is noticed.
    #[test]
    fn the_passphrase_opens_its_own_wrap_only() {
        let key = SealingKey::random().unwrap();
        let passphrase = RecoveryPassphrase::generate().unwrap();
        let wrap = RecoveryWrap::wrap(&key, &passphrase).unwrap();
        let stored = RecoveryWrap::from_bytes(wrap.as_bytes());
        assert_eq!(stored.unwrap_with(&passphrase).unwrap().name(), key.name());
        let other = RecoveryPassphrase::generate().unwrap();
        let error = stored.unwrap_with(&other).unwrap_err();
        assert!(matches!(error, KeyError::WrongPassphrase), "{error}");
        let mut changed = wrap.as_bytes().to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(
            RecoveryWrap::from_bytes(&changed)
                .unwrap_with(&passphrase)
                .is_err()
        );
        // Costs that would take all memory are refused before they are paid.
        let mut greedy = wrap.as_bytes().to_vec();
        greedy[1] = 0xff;
        let error = RecoveryWrap::from_bytes(&greedy)
            .unwrap_with(&passphrase)
            .unwrap_err();
        assert!(matches!(error, KeyError::RecoveryRecord(_)), "{error}");
        assert!(
            RecoveryWrap::from_bytes(&[])
                .unwrap_with(&passphrase)
                .is_err()
        );
    }

    /// Debug shows neither passphrase nor wrap.
    #[test]
    fn debug_is_redacted() {
        let passphrase = RecoveryPassphrase::generate().unwrap();
        assert_eq!(format!("{passphrase:?}"), "RecoveryPassphrase(redacted)");
    }
}
