//! A hash and a signature that somebody made, compared with what they should be.
//!
//! FDMS answers RCPT020 (BadCertificateSignature at a close) for a wrong hash, a wrong signature and a
//! right signature in the wrong form alike (docs/FDMS.md sections 3 and 6). Here each is told apart.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fiscal::Finding;
use fiscal::draft::DraftSignature;
use fiscal::receipt::Hash;
use sha2::{Digest as _, Sha256};

use super::rcpt020;
use crate::keys::PublicKey;

/// Most bytes of a signature that FDMS takes.
const MAX_SIGNATURE: usize = 256;
/// Bytes of the raw pair r and s of a P-256 signature.
const RAW_PAIR: usize = 64;

/// A mistake that reproduces a given hash.
pub(super) struct Mistake {
    /// What was done, in words that follow "it is the hash of the string".
    pub(super) name: String,
    /// The string that was hashed.
    pub(super) string: String,
}

/// What was given, and where it stands.
pub(super) struct Given<'a> {
    hash: Option<&'a str>,
    signature: Option<&'a str>,
    at: &'static str,
}

impl<'a> Given<'a> {
    /// The signature that a receipt carries.
    pub(super) fn of_receipt(given: Option<&'a DraftSignature>) -> Self {
        Self {
            hash: given.and_then(|given| given.hash.as_deref()),
            signature: given.and_then(|given| given.signature.as_deref()),
            at: "/receiptDeviceSignature",
        }
    }

    /// The signature that a close carries.
    pub(super) fn of_day(hash: Option<&'a str>, signature: Option<&'a str>) -> Self {
        Self {
            hash,
            signature,
            at: "/fiscalDayDeviceSignature",
        }
    }

    /// Whether anything was given.
    pub(super) fn is_some(&self) -> bool {
        self.hash.is_some() || self.signature.is_some()
    }

    /// What differs from `canonical`: its hash, and its signature as far as there is a key.
    pub(super) fn differences(
        &self,
        canonical: &str,
        key: Option<&PublicKey>,
        find: impl Fn(&Hash) -> Option<Mistake>,
    ) -> Vec<Finding> {
        let wanted = fiscal::sign::hash(canonical);
        let mut findings = Vec::new();
        let mut wrong_string = None;
        if let Some(text) = self.hash {
            let (message, mistake) = hash_message(text, &wanted, find);
            findings.extend(message.map(|text| rcpt020(&format!("{}/hash", self.at), text)));
            wrong_string = mistake;
        }
        if let Some(text) = self.signature {
            let message = signature_message(text, canonical, wrong_string.as_deref(), key);
            findings.extend(message.map(|text| rcpt020(&format!("{}/signature", self.at), text)));
        }
        findings
    }
}

/// What is wrong with a hash, and the string that it was made of, if that is known.
fn hash_message(
    text: &str,
    wanted: &Hash,
    find: impl Fn(&Hash) -> Option<Mistake>,
) -> (Option<String>, Option<String>) {
    if text == wanted.to_string() {
        return (None, None);
    }
    let start = format!("is \"{text}\"; the hash of the signing string is \"{wanted}\"");
    let Some((bytes, form)) = decode_hash(text) else {
        let why = "it is not the base64 of 32 bytes";
        return (Some(format!("{start}: {why}")), None);
    };
    if bytes == *wanted {
        return (
            Some(format!(
                "{start}: it is the right hash, but {form}; FDMS wants standard base64 with padding"
            )),
            None,
        );
    }
    match find(&bytes) {
        Some(mistake) => (
            Some(format!(
                "{start}: it is the hash of the string {} (\"{}\")",
                mistake.name,
                mistake.string.escape_debug()
            )),
            Some(mistake.string),
        ),
        None => (
            Some(format!(
                "{start}: none of the usual mistakes reproduces it; compare your string with `canonical` \
                 letter by letter, and check that previousReceiptHash is your own hash of the receipt \
                 before, not the one that FDMS returned"
            )),
            None,
        ),
    }
}

/// Reads a hash in the forms that are met, and says which one it is.
fn decode_hash(text: &str) -> Option<(Hash, &'static str)> {
    if let Some(hash) = Hash::parse(text) {
        return Some((hash, "in standard base64"));
    }
    let trimmed = text.trim();
    if let Some(bytes) = decode_hex(trimmed) {
        return Some((Hash(bytes.try_into().ok()?), "in hexadecimal"));
    }
    let forgiving = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    for (letters, form) in [
        (&alphabet::STANDARD, "without padding or with blanks around"),
        (&alphabet::URL_SAFE, "in the URL-safe alphabet"),
    ] {
        let bytes = GeneralPurpose::new(letters, forgiving).decode(trimmed).ok();
        if let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) {
            return Some((Hash(bytes), form));
        }
    }
    None
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// What is wrong with a signature over `canonical`; `wrong` is the string whose hash was given instead.
fn signature_message(
    text: &str,
    canonical: &str,
    wrong: Option<&str>,
    key: Option<&PublicKey>,
) -> Option<String> {
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text) else {
        return Some("is not base64".to_owned());
    };
    if bytes.len() > MAX_SIGNATURE {
        return Some(format!(
            "has {} bytes; FDMS takes at most {MAX_SIGNATURE}",
            bytes.len()
        ));
    }
    let der = raw_pair_as_der(&bytes);
    let raw = "is the raw pair of r and s; FDMS wants ECDSA signatures in ASN.1 DER (it answers a raw \
               pair with RCPT020)";
    let Some(key) = key else {
        return der.map(|_| raw.to_owned());
    };
    let verifies = |message: &[u8], signature: &[u8]| key.verify(message, signature);
    if verifies(canonical.as_bytes(), &bytes) {
        return None;
    }
    let (bytes, form) = match der {
        Some(der) if verifies(canonical.as_bytes(), &der) => return Some(raw.to_owned()),
        Some(der) => (der, " (and a raw pair of r and s, not ASN.1 DER)"),
        None => (bytes, ""),
    };
    let digest = Sha256::digest(canonical.as_bytes());
    let base64 = base64::engine::general_purpose::STANDARD.encode(digest);
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        hex.push_str(&format!("{byte:02x}"));
        hex
    });
    let over: [(&[u8], &str); 4] = [
        (&digest, "the bytes of the hash"),
        (base64.as_bytes(), "the base64 text of the hash"),
        (hex.as_bytes(), "the hexadecimal text of the hash"),
        (
            wrong.unwrap_or_default().as_bytes(),
            "the string that the given hash is of",
        ),
    ];
    let found = over
        .into_iter()
        .find(|(message, _)| !message.is_empty() && verifies(message, &bytes));
    Some(match found {
        Some((_, what)) => {
            format!("is over {what}{form}; the key must sign the signing string itself")
        }
        None => format!(
            "is not this key's over the signing string{form}: either another string was signed, or \
             another key did it (a device that was registered again has a new one)"
        ),
    })
}

/// The ASN.1 DER of a signature that is the raw pair of r and s.
fn raw_pair_as_der(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_der = bytes.first() == Some(&0x30)
        && bytes.get(1).map(|length| usize::from(*length) + 2) == Some(bytes.len());
    if bytes.len() != RAW_PAIR || is_der {
        return None;
    }
    let mut body = Vec::new();
    for number in bytes.chunks(RAW_PAIR / 2) {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let mut digits = number.get(zeros..)?.to_vec();
        if digits.first().is_none_or(|first| *first >= 0x80) {
            digits.insert(0, 0);
        }
        body.push(0x02);
        body.push(u8::try_from(digits.len()).ok()?);
        body.extend(digits);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}
