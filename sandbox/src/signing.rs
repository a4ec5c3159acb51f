//! Signing strings, hashes and the checking of signatures, by the sandbox's own reading of the rules.
//!
//! Fields are joined with nothing between; amounts in cents with sign, percents with two decimals,
//! exempt as nothing; tax rows by taxID, then code, the empty one first (docs/FDMS.md section 6).
//! Proved on the authority's vectors before anything else is built on it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{Date, DateTime};
use sha2::{Digest, Sha256};

use crate::counters::Counters;
use crate::receipt::{Receipt, TaxRow};

/// The parts of a receipt's signing string, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiptParts(pub(crate) [String; 8]);

impl ReceiptParts {
    /// What the parts are.
    pub(crate) const NAMES: [&'static str; 8] = [
        "deviceID",
        "receiptType",
        "receiptCurrency",
        "receiptGlobalNo",
        "receiptDate",
        "receiptTotal",
        "receiptTaxes",
        "previous hash",
    ];

    /// The parts as the rules want them.
    pub(crate) fn of(device_id: u32, receipt: &Receipt, previous: Option<&str>) -> Self {
        let mut rows: Vec<&TaxRow> = receipt.taxes.iter().collect();
        rows.sort_by_key(|row| (row.tax.id, row.tax.code.clone().unwrap_or_default()));
        let mut taxes = String::new();
        for row in rows {
            taxes.push_str(row.tax.code.as_deref().unwrap_or_default());
            if let Some(percent) = row.tax.percent {
                taxes.push_str(&percent.two_decimals());
            }
            taxes.push_str(&row.tax_amount.cents().to_string());
            taxes.push_str(&row.sales_with_tax.cents().to_string());
        }
        Self([
            device_id.to_string(),
            receipt.kind.upper_case().to_owned(),
            receipt.currency.to_uppercase(),
            receipt.global_no.to_string(),
            receipt.date.to_string(),
            receipt.total.cents().to_string(),
            taxes,
            previous.unwrap_or_default().to_owned(),
        ])
    }

    /// The signing string.
    pub(crate) fn joined(&self) -> String {
        self.0.concat()
    }
}

/// What the device signs for a receipt.
pub(crate) fn receipt_string(device_id: u32, receipt: &Receipt, previous: Option<&str>) -> String {
    ReceiptParts::of(device_id, receipt, previous).joined()
}

/// What FDMS signs for a receipt it has taken.
pub(crate) fn receipt_server_string(
    device_signature: &str,
    receipt_id: i64,
    server_date: DateTime,
) -> String {
    format!("{device_signature}{receipt_id}{server_date}")
}

/// What the device signs to close a day.
pub(crate) fn day_string(device_id: u32, day_no: i32, opened: Date, counters: &Counters) -> String {
    format!("{device_id}{day_no}{opened}{}", counters.signing_text())
}

/// What FDMS signs for a closed day; no device signature where it was closed by hand.
pub(crate) fn day_server_string(
    device_id: u32,
    day_no: i32,
    opened: Date,
    closed: DateTime,
    counters: &Counters,
    device_signature: Option<&str>,
) -> String {
    let mode = if device_signature.is_some() {
        "AUTO"
    } else {
        "MANUAL"
    };
    let counters = counters.signing_text();
    let signature = device_signature.unwrap_or_default();
    format!("{device_id}{day_no}{opened}{closed}{mode}{counters}{signature}")
}

/// SHA-256 of a signing string.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// SHA-256 of a signing string, in base64.
pub(crate) fn hash_base64(text: &str) -> String {
    STANDARD.encode(hash(text))
}

/// A device's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeviceKey {
    /// The point of a P-256 key.
    P256(Vec<u8>),
    /// The PKCS#1 form of an RSA key.
    Rsa(Vec<u8>),
}

impl DeviceKey {
    /// Whether `signature` is this key's over `text`: ASN.1 for P-256, PKCS#1 v1.5 for RSA.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        self.verifies_bytes(text.as_bytes(), signature)
    }

    /// As [`DeviceKey::verifies`], over any bytes.
    pub(crate) fn verifies_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, key): (&'static dyn VerificationAlgorithm, &Vec<u8>) = match self {
            Self::P256(point) => (&ECDSA_P256_SHA256_ASN1, point),
            Self::Rsa(key) => (&RSA_PKCS1_2048_8192_SHA256, key),
        };
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok()
    }

    /// Whether the raw pair r and s would be right, which FDMS does not take
    /// (docs/FDMS.md section 3).
    pub(crate) fn verifies_raw_pair(&self, text: &str, signature: &[u8]) -> bool {
        let Self::P256(point) = self else {
            return false;
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }

    /// What kind of key it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::P256(_) => "P-256",
            Self::Rsa(_) => "RSA",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::counters::ReportedCounters;
    use crate::json::{Errors, Object};

    fn vectors() -> Vec<Value> {
        let file: Value =
            serde_json::from_str(include_str!("../tests/vectors/signatures.json")).unwrap();
        file["vectors"].as_array().unwrap().clone()
    }

    fn vector(id: &str) -> Value {
        vectors().into_iter().find(|v| v["id"] == id).unwrap()
    }

    /// Every vector's hash is the SHA-256 of its string.
    #[test]
    fn hashes_of_the_vectors() {
        let mut checked = 0;
        for vector in vectors() {
            if let Some(text) = vector["signing_string"].as_str() {
                assert_eq!(
                    hash_base64(text),
                    vector["sha256_base64"],
                    "{}",
                    vector["id"]
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 6);
    }

    /// The strings of whole receipts come out as the authority accepted them.
    #[test]
    fn strings_of_the_receipt_vectors() {
        for id in ["tax-exclusive-invoice-15.5", "credit-note-of-it"] {
            let vector = vector(id);
            let receipt = Receipt::parse(&vector["receipt"].to_string()).unwrap();
            let device_id = u32::try_from(vector["device_id"].as_u64().unwrap()).unwrap();
            let previous = vector["previous_receipt_hash"].as_str();
            let text = receipt_string(device_id, &receipt, previous);
            assert_eq!(text, vector["signing_string"], "{id}");
            assert_eq!(hash_base64(&text), receipt.signature.hash_text, "{id}");
        }
    }

    fn receipt_of(fields: &str, taxes: &str) -> Receipt {
        let text = format!(
            r#"{{{fields}, "receiptCounter": 1, "invoiceNo": "x", "receiptLinesTaxInclusive": true,
                "receiptLines": [], "receiptPayments": [], "receiptTaxes": {taxes},
                "receiptDeviceSignature": {{"hash": "", "signature": ""}}}}"#
        );
        Receipt::parse(&text).unwrap()
    }

    /// An exempt row without a code, first of its day: no percent, no previous hash.
    #[test]
    fn string_of_the_exempt_vector() {
        let receipt = receipt_of(
            r#""receiptType": "FiscalInvoice", "receiptCurrency": "USD", "receiptGlobalNo": 7,
               "receiptDate": "2025-05-06T12:40:34", "receiptTotal": 5.81"#,
            r#"[{"taxID": 1, "taxAmount": 0, "salesAmountWithTax": 5.81}]"#,
        );
        let expected = &vector("exempt-invoice-first-of-day")["signing_string"];
        assert_eq!(receipt_string(24455, &receipt, None), *expected);
    }

    /// Three rows, sent in the wrong order, are signed by tax ID and code.
    #[test]
    fn string_of_the_printed_vector() {
        let receipt = receipt_of(
            r#""receiptType": "CreditNote", "receiptCurrency": "USD", "receiptGlobalNo": 85,
               "receiptDate": "2020-09-19T09:23:07", "receiptTotal": -40.35"#,
            r#"[{"taxID": 3, "taxPercent": 14.5, "taxAmount": -3, "salesAmountWithTax": -23},
                {"taxID": 2, "taxPercent": 0, "taxAmount": 0, "salesAmountWithTax": -10.00},
                {"taxID": 1, "taxAmount": 0, "salesAmountWithTax": -7}]"#,
        );
        let previous = "hNVJXP/ACOiE8McD3pKsDlqBXpuaUqQOfPnMyfZWI9k=";
        let expected = &vector("credit-note-usd-three-taxes")["signing_string"];
        assert_eq!(receipt_string(322, &receipt, Some(previous)), *expected);
    }

    /// The fiscal day's string, and the one FDMS signs for a receipt.
    #[test]
    fn strings_of_day_and_server_vectors() {
        let mut errors = Errors::default();
        let message = r#"{"fiscalDayCounters": [
            {"fiscalCounterType": "BalanceByMoneyType", "fiscalCounterCurrency": "USD",
             "fiscalCounterMoneyType": "Cash", "fiscalCounterValue": 0},
            {"fiscalCounterType": "SaleByTax", "fiscalCounterCurrency": "USD",
             "fiscalCounterTaxID": 2, "fiscalCounterTaxPercent": 0, "fiscalCounterValue": 50}]}"#;
        let object = Object::outermost(message, &mut errors);
        let reported = ReportedCounters::read(&object, &mut errors);
        assert_eq!(errors, Errors::default());
        let opened = "2026-02-26".parse().unwrap();
        let text = day_string(32558, 12, opened, &reported.counters);
        assert_eq!(text, vector("fiscal-day-one-counter")["signing_string"]);

        let expected = vector("fdms-receipt-signature");
        let expected = expected["signing_string"].as_str().unwrap();
        let signature = expected.split_inclusive('=').next().unwrap();
        let date = "2019-09-19T15:43:12".parse().unwrap();
        assert_eq!(receipt_server_string(signature, 48377, date), expected);
    }
}
