//! `fiscald inspect`: what a receipt, a fiscal day or a QR code should have been.
//!
//! The tool every integrator misses when FDMS says RCPT020. It reads JSON and answers JSON: the signing
//! string and its hash (docs/FDMS.md section 6), the taxes and the total that the lines come to, every
//! broken rule, and where a given hash or signature differs: the usual mistakes are tried until one
//! reproduces it. What is wrong in the receipt is a finding; only what leaves nothing to compute is an
//! error. Nothing here reads a file or the clock.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fiscal::json::{Value, write_string};
use fiscal::taxpayer::Taxpayer;
use fiscal::{Code, DateTime, DeviceId, Finding, ReceiptGlobalNo, qr};
use zeroize::Zeroizing;

use crate::keys::{Certificate, DeviceKey, PublicKey, Signer};

mod day;
mod mistakes;
mod receipt;
mod signature;

pub use day::{inspect_day, read_counters};
pub use receipt::inspect_receipt;

/// Why there is nothing to compute: the text says where and what to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InspectError(String);

/// The QR content and the verification code of a signed receipt:
/// `{"qrUrl", "deviceID", "receiptDate", "receiptGlobalNo", "signature"}` →
/// `{"qrData", "verificationCode"}`.
///
/// # Errors
/// Not JSON, or one of the five members is missing or malformed.
pub fn inspect_qr(input: &[u8]) -> Result<String, InspectError> {
    let input = Envelope::parse(input)?;
    let url = input.needed_text("qrUrl")?;
    let device = input.device()?;
    let date = input.date("receiptDate")?;
    let number = input.whole("receiptGlobalNo", ReceiptGlobalNo::new)?;
    let signature = STANDARD
        .decode(input.needed_text("signature")?.trim())
        .map_err(|_| InspectError("signature is not base64".to_owned()))?;
    let mut out = Answer::new();
    let code = qr::verification_code(&signature);
    out.text("qrData", &qr::content(&url, device, date, number, &code));
    out.text("verificationCode", &code);
    Ok(out.finish())
}

/// Reads the signing key of `--key FILE`: PEM of an unencrypted PKCS#8.
///
/// # Errors
/// Another form of key, with the command that converts it, or none that FDMS accepts.
pub fn signing_key(pem: &str) -> Result<DeviceKey, InspectError> {
    let unusable = |why: &str| InspectError(format!("the key cannot be used: {why}"));
    for block in x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|_| unusable("the file is not PEM"))?;
        let contents = Zeroizing::new(block.contents);
        match block.label.as_str() {
            "PRIVATE KEY" => {
                return DeviceKey::from_pkcs8(&contents)
                    .map_err(|error| unusable(&error.to_string()));
            }
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                return Err(unusable(&format!(
                    "the file holds \"{}\"; convert it with `openssl pkcs8 -topk8 -nocrypt`",
                    block.label
                )));
            }
            _ => {}
        }
    }
    Err(unusable("there is no PRIVATE KEY block in the file"))
}

/// The JSON around what is inspected.
struct Envelope<'a>(Value<'a>);

impl<'a> Envelope<'a> {
    fn parse(input: &'a [u8]) -> Result<Self, InspectError> {
        let value = Value::parse(input).map_err(|error| InspectError(error.to_string()))?;
        if !matches!(value, Value::Object(_)) {
            return Err(InspectError(format!(
                "the input is {}; an object is needed",
                value.kind()
            )));
        }
        Ok(Self(value))
    }

    fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.get(name)
    }

    /// A misspelt member would be taken as absent, and the hash be another one.
    fn unknown_members(&self, known: &[&str]) -> Vec<Finding> {
        let Value::Object(members) = &self.0 else {
            return Vec::new();
        };
        let unknown = members
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_ref()));
        let finding = |(name, _): &(std::borrow::Cow<'_, str>, Value<'_>)| {
            let message = format!("is not read here; known are {}", known.join(", "));
            Finding::new(Code::FieldUnknown, format!("/{name}"), message)
        };
        unknown.map(finding).collect()
    }

    /// A text, or a number's text.
    fn text(&self, name: &str) -> Result<Option<String>, InspectError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.to_string())),
            Some(Value::Number(text)) => Ok(Some((*text).to_owned())),
            Some(other) => Err(InspectError(format!(
                "{name} is {}; a string is needed",
                other.kind()
            ))),
        }
    }

    fn needed_text(&self, name: &str) -> Result<String, InspectError> {
        self.text(name)?
            .ok_or_else(|| InspectError(format!("{name} is missing from the input")))
    }

    fn whole<T>(&self, name: &str, make: impl Fn(u32) -> Option<T>) -> Result<T, InspectError> {
        let text = self.needed_text(name)?;
        text.trim()
            .parse()
            .ok()
            .and_then(make)
            .ok_or_else(|| InspectError(format!("{name} is \"{text}\"; a whole number is needed")))
    }

    fn device(&self) -> Result<DeviceId, InspectError> {
        self.whole("deviceID", DeviceId::new)
    }

    fn date(&self, name: &str) -> Result<DateTime, InspectError> {
        let text = self.needed_text(name)?;
        lenient_date(&text).ok_or_else(|| {
            InspectError(format!(
                "{name} is \"{text}\"; a date like 2026-05-28T07:42:19 is needed"
            ))
        })
    }

    /// The answer of GetConfig, if it was sent along.
    fn taxpayer(&self) -> Result<Option<Taxpayer>, InspectError> {
        let Some(config) = self.get("config") else {
            return Ok(None);
        };
        Taxpayer::from_config(config.to_string().as_bytes())
            .map(Some)
            .map_err(|error| InspectError(format!("config: {error}")))
    }

    /// The public key to verify with: of the certificate sent along, else of the signing key.
    fn public_key(&self, key: Option<&dyn Signer>) -> Result<Option<PublicKey>, InspectError> {
        let Some(pem) = self.text("certificate")? else {
            return Ok(key.map(|key| key.public_key().clone()));
        };
        let certificate = Certificate::from_pem(&pem)
            .map_err(|error| InspectError(format!("certificate: {error}")))?;
        if key.is_some_and(|key| !certificate.belongs_to(key)) {
            return Err(InspectError(
                "the certificate is not the one of the key; send the pair that the device uses now"
                    .to_owned(),
            ));
        }
        Ok(Some(certificate.public_key().clone()))
    }
}

/// A date as FDMS writes it, also with a space in the middle or something behind the seconds; a day alone
/// is its midnight.
fn lenient_date(text: &str) -> Option<DateTime> {
    let text = text.trim();
    let head = text.get(..19).or_else(|| text.get(..10))?;
    head.replacen(' ', "T", 1)
        .parse()
        .ok()
        .or_else(|| head.get(..10)?.parse().ok())
}

/// The answer being written.
struct Answer(String);

impl Answer {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write_string(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        let mut json = String::new();
        write_string(&mut json, text);
        self.raw(name, &json);
    }

    /// The signing string, its hash and, with a key, its signature.
    fn signed(&mut self, canonical: &str, key: Option<&dyn Signer>) -> Result<(), InspectError> {
        self.text("canonical", canonical);
        self.text("hash", &fiscal::sign::hash(canonical).to_string());
        if let Some(key) = key {
            let signature = key
                .sign(canonical.as_bytes())
                .map_err(|error| InspectError(error.to_string()))?;
            self.text("signature", &STANDARD.encode(signature));
        }
        Ok(())
    }

    fn findings(&mut self, findings: &[Finding]) {
        let rows: Vec<String> = findings
            .iter()
            .map(|finding| {
                let mut row = Self::new();
                row.text("code", finding.code.as_str());
                row.text("color", finding.code.color().as_str());
                row.text("pointer", &finding.pointer);
                row.text("message", &finding.message);
                row.finish()
            })
            .collect();
        self.raw("findings", &format!("[{}]", rows.join(",")));
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn rcpt020(pointer: &str, message: impl Into<String>) -> Finding {
    Finding::new(Code::Rcpt020, pointer, message)
}

#[cfg(test)]
mod tests;
