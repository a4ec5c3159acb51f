//! The chain over a store's lines: both sides know by one hash whether they speak of the same past.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The hash over all lines up to one of them. Base64 in messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// Before the first line.
    pub const START: Self = Self([0; 32]);

    /// With one more line, given without its line end.
    #[must_use]
    pub fn then(self, line: &[u8]) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(line);
        Self(digest.finalize().into())
    }

    /// From 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for ChainHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).ok();
        bytes
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| serde::de::Error::custom("not 32 bytes in Base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another line, another order, another cut: another hash.
    #[test]
    fn tells_pasts_apart() {
        let start = ChainHash::START;
        let ab = start.then(b"a").then(b"b");
        assert_ne!(ab, start.then(b"b").then(b"a"));
        assert_ne!(ab, start.then(b"ab"));
        assert_ne!(ab, start.then(b"a"));
        let text = serde_json::to_string(&ab).unwrap();
        assert_eq!(serde_json::from_str::<ChainHash>(&text).unwrap(), ab);
        assert!(serde_json::from_str::<ChainHash>("\"AAAA\"").is_err());
        assert_eq!(format!("\"{ab:?}\""), text);
        // SHA-256 of 32 zeros and "a", worked out elsewhere than here: the lines of years hang on it.
        let after = serde_json::to_string(&start.then(b"a")).unwrap();
        assert_eq!(after, "\"QaA3DD2fQnc6WejgFlGRHPQ7Hj9mlEy7aQAp3rxOtkc=\"");
    }
}
