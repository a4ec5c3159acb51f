//! A receipt inspected: its string as it stands, what its lines come to, and what is wrong with it.

use fiscal::compose::{Known, compose};
use fiscal::draft::Draft;
use fiscal::json::Value;
use fiscal::rules::{Facts, judge};
use fiscal::sums::{tax_rows, total};
use fiscal::{Code, Currency, DeviceId, Finding, Receipt, ReceiptType, sign, wire};

use super::mistakes::ReceiptFacts;
use super::signature::Given;
use super::{Answer, Envelope, InspectError, lenient_date};
use crate::keys::Signer;

/// What may stand beside the receipt.
const MEMBERS: [&str; 6] = [
    "deviceID",
    "previousReceiptHash",
    "receipt",
    "config",
    "certificate",
    "previousServerHash",
];

/// Inspects a receipt: `{"deviceID", "previousReceiptHash", "receipt"}` →
/// `{"canonical", "hash", "signature"?, "receiptTaxes", "receiptTotal", "findings"}`.
///
/// The string is made of the values that the receipt carries and of ours where it carries none;
/// `receiptTaxes` and `receiptTotal` are what its lines come to. Rows may come in any order, and
/// `previousReceiptHash` is left out for the first receipt of a day. With `"config"` (an answer of
/// GetConfig) taxes and HS codes are judged too, with `"certificate"` (PEM) or `key` the signature that
/// the receipt carries; `key` also signs. `"previousServerHash"` is what FDMS returned for the receipt before:
/// whether that was chained by mistake can be told only with it.
///
/// # Errors
/// Not JSON, no `deviceID`, no `receipt` object, or a config or certificate that cannot be read.
pub fn inspect_receipt(input: &[u8], key: Option<&dyn Signer>) -> Result<String, InspectError> {
    let input = Envelope::parse(input)?;
    let device = input.device()?;
    let taxpayer = input.taxpayer()?;
    let public_key = input.public_key(key)?;
    let previous = input.text("previousReceiptHash")?.unwrap_or_default();
    let value = match input.get("receipt") {
        Some(value @ Value::Object(_)) => value,
        Some(other) => {
            let message = format!("receipt is {}; an object is needed", other.kind());
            return Err(InspectError(message));
        }
        None => return Err(InspectError("receipt is missing from the input".to_owned())),
    };
    let (draft, mut findings) = read(value);
    findings.extend(input.unknown_members(&MEMBERS));
    findings.extend(previous_is_a_hash(&previous));
    let known = Known {
        // A whole receipt is taken at its word: a percent that it leaves out means exempt.
        taxpayer: taxpayer.as_ref().filter(|_| draft.receipt_taxes.is_none()),
        ..Known::default()
    };
    let (receipt, more) = compose(&draft, &known);
    findings.extend(more.into_iter().filter(|finding| !is_line_order(finding)));
    let facts = Facts {
        taxpayer: taxpayer.as_ref(),
        ..Facts::default()
    };
    findings.extend(judge(&receipt, &facts));

    let canonical = canonical(device, &receipt, &previous);
    let rows = tax_rows(&receipt.lines, receipt.lines_tax_inclusive);
    let mistakes = ReceiptFacts::new(device, &receipt, &previous, &rows, value, &input);
    findings.extend(
        Given::of_receipt(draft.receipt_device_signature.as_ref()).differences(
            &canonical,
            public_key.as_ref(),
            |hash| mistakes.find(hash),
        ),
    );

    let mut taxes = String::new();
    wire::write_taxes(&mut taxes, &rows);
    let mut out = Answer::new();
    out.signed(&canonical, key)?;
    out.raw("receiptTaxes", &taxes);
    out.raw("receiptTotal", &total(&rows).to_string());
    out.findings(&findings);
    Ok(out.finish())
}

/// The signing string. The hash before stands at its end, and stands there as it was given.
fn canonical(device: DeviceId, receipt: &Receipt, previous: &str) -> String {
    sign::receipt_string(device, receipt, None) + previous
}

/// Reads a receipt, and once more what only its spelling made unreadable: the words that FDMS wants are
/// known in any case, dates in any form that tells the second. The finding stays.
fn read(value: &Value<'_>) -> (Draft, Vec<Finding>) {
    let (mut draft, mut findings) = Draft::from_value(value);
    let text = |name: &str| match value.get(name) {
        Some(Value::String(text)) => Some(text.as_ref()),
        _ => None,
    };
    if draft.receipt_date.is_none() {
        draft.receipt_date = text("receiptDate").and_then(lenient_date);
    }
    if draft.receipt_type.is_none() {
        let is_meant = |kind: &&ReceiptType| {
            text("receiptType").is_some_and(|text| text.eq_ignore_ascii_case(kind.as_str()))
        };
        draft.receipt_type = ReceiptType::ALL.iter().find(is_meant).copied();
    }
    // A sale may say ZIG or usd to the gateway; FDMS is not as patient.
    if let (Some(sent), Some(read)) = (text("receiptCurrency"), draft.receipt_currency)
        && sent != Currency::as_str(&read)
    {
        let message = format!("is \"{sent}\"; FDMS knows it as {read}");
        findings.push(Finding::new(Code::Rcpt010, "/receiptCurrency", message));
    }
    (draft, findings)
}

fn previous_is_a_hash(previous: &str) -> Option<Finding> {
    if previous.is_empty() || fiscal::receipt::Hash::parse(previous).is_some() {
        return None;
    }
    let message = format!("\"{previous}\" is not the base64 of 32 bytes");
    Some(Finding::new(
        Code::FormatInvalid,
        "/previousReceiptHash",
        message,
    ))
}

/// Lines may come in any order; their numbers are neither signed nor summed.
fn is_line_order(finding: &Finding) -> bool {
    finding.code == Code::OwnedByGateway && finding.pointer.ends_with("/receiptLineNo")
}
