//! Why a signature is wrong: what the sandbox would have signed for a receipt, what the received hash
//! and signature fit instead, and which mistake that is. This is what the authority never shows.

use clock::Timestamp;

use crate::model::StoredReceipt;
use crate::receipt::Receipt;
use crate::signing::{self, DeviceKey, ReceiptParts};

mod guess;

pub(crate) use guess::Guess;

/// The receipt before the explained one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// There is none.
    Nothing,
    /// It has not arrived: what must be signed cannot be known.
    Missing,
    /// It is another day's, so that its hash is not signed.
    OtherDay { global_no: i32 },
    /// Its hash is signed.
    There {
        receipt_id: i64,
        global_no: i32,
        hash: String,
    },
}

/// A key of the device, with the certificate that it came by.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) key: DeviceKey,
    /// The certificate's number among the device's, from 1.
    pub(crate) number: usize,
    pub(crate) valid_till: Timestamp,
    pub(crate) is_revoked: bool,
}

/// What a signature fits.
#[derive(Debug, Clone)]
pub(crate) enum Fit {
    /// The text, as it should.
    Text(Key),
    /// The text, by a key that is revoked.
    RevokedKey(Key),
    /// The text of the guess: only the string is wrong.
    GuessedText(Key),
    /// The text, but it is the raw pair of numbers and no ASN.1.
    RawPair(Key),
    /// The hash of the text, which was hashed once more.
    HashTwice(Key),
    /// The hash of the text, written in base64.
    HashText(Key),
    /// Nothing that is known here.
    Nothing,
}

/// A receipt and what its signature should have been.
#[derive(Debug, Clone)]
pub(crate) struct Explained {
    pub(crate) stored: StoredReceipt,
    pub(crate) before: Before,
    /// The parts of the string that should have been signed.
    pub(crate) parts: ReceiptParts,
    pub(crate) expected_hash: String,
    /// What was signed instead, if the hash tells.
    pub(crate) guess: Option<Guess>,
    pub(crate) fit: Fit,
    /// How many keys were tried.
    pub(crate) keys: usize,
}

impl Explained {
    /// `near` are numbers and hashes of the receipts around it.
    pub(crate) fn new(
        stored: StoredReceipt,
        receipt: Receipt,
        before: Before,
        keys: Vec<Key>,
        near: Vec<(i32, String)>,
    ) -> Self {
        let previous = match &before {
            Before::There { hash, .. } => Some(hash.as_str()),
            _ => None,
        };
        let parts = ReceiptParts::of(stored.device_id, &receipt, previous);
        let text = parts.joined();
        let expected_hash = signing::hash_base64(&text);
        let guess = (expected_hash != stored.hash)
            .then(|| guess::guess(&parts, &receipt, &near))
            .flatten();
        let guessed = guess.as_ref().map(|guess| guess.text.as_str());
        let fit = fit(&text, guessed, &receipt.signature.bytes, &keys);
        Self {
            stored,
            before,
            parts,
            expected_hash,
            guess,
            fit,
            keys: keys.len(),
        }
    }

    pub(crate) fn is_hash_right(&self) -> bool {
        self.expected_hash == self.stored.hash
    }
}

/// What the signature fits, the likeliest first.
fn fit(text: &str, guessed: Option<&str>, signature: &[u8], keys: &[Key]) -> Fit {
    let texts = || std::iter::once(text).chain(guessed);
    let find = |fits: &dyn Fn(&Key) -> bool| keys.iter().rev().find(|key| fits(key)).cloned();
    let by_text = |key: &Key| key.key.verifies(text, signature);
    if let Some(key) = find(&|key| !key.is_revoked && by_text(key)) {
        return Fit::Text(key);
    }
    if let Some(key) = find(&by_text) {
        return Fit::RevokedKey(key);
    }
    if let Some(key) = find(&|key| guessed.is_some_and(|text| key.key.verifies(text, signature))) {
        return Fit::GuessedText(key);
    }
    if let Some(key) = find(&|key| texts().any(|text| key.key.verifies_raw_pair(text, signature))) {
        return Fit::RawPair(key);
    }
    let twice = |key: &Key, text: &str| {
        let hash = signing::hash(text);
        key.key.verifies_bytes(&hash, signature)
    };
    if let Some(key) = find(&|key| texts().any(|text| twice(key, text))) {
        return Fit::HashTwice(key);
    }
    let written = |key: &Key, text: &str| {
        let hash = signing::hash_base64(text);
        key.key.verifies(&hash, signature)
    };
    if let Some(key) = find(&|key| texts().any(|text| written(key, text))) {
        return Fit::HashText(key);
    }
    Fit::Nothing
}
