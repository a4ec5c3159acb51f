//! Verification code and QR content of a receipt (docs/FDMS.md section 6).

use md5::{Digest as _, Md5};

use crate::{DateTime, DeviceId, ReceiptGlobalNo};

/// The first 16 hexadecimal digits of the MD5 of the raw signature bytes, upper case.
#[must_use]
pub fn verification_code(signature: &[u8]) -> String {
    let digest = Md5::digest(signature);
    let digit =
        |half: u8| char::from_digit(half.into(), 16).map_or('0', |d| d.to_ascii_uppercase());
    digest
        .iter()
        .take(8)
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .collect()
}

/// The code as it is printed: four groups of four joined by hyphens.
#[must_use]
pub fn grouped(code: &str) -> String {
    let mut grouped = String::with_capacity(20);
    for (place, letter) in code.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            grouped.push('-');
        }
        grouped.push(letter);
    }
    grouped
}

/// What the QR code of a receipt holds; `code` is its [`verification_code`].
#[must_use]
pub fn content(
    qr_url: &str,
    device: DeviceId,
    date: DateTime,
    global_no: ReceiptGlobalNo,
    code: &str,
) -> String {
    let slash = if qr_url.ends_with('/') { "" } else { "/" };
    format!(
        "{qr_url}{slash}{:010}{:02}{:02}{:04}{:010}{code}",
        device.get(),
        date.day(),
        date.month(),
        date.year(),
        global_no.get(),
    )
}
