//! Verification code and QR content of a receipt (docs/FDMS.md section 6).

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::{DateTime, DeviceId, ReceiptGlobalNo};

/// The first 16 hexadecimal digits of the MD5 of the raw signature bytes, upper case.
#[must_use]
pub fn verification_code(signature: &[u8]) -> String {
    let digest = Md5::digest(signature);
    let mut code = String::with_capacity(16);
    for byte in digest.iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(code, "{byte:02X}");
    }
    code
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

/// What the QR code of a receipt holds.
#[must_use]
pub fn content(
    qr_url: &str,
    device: DeviceId,
    date: DateTime,
    global_no: ReceiptGlobalNo,
    signature: &[u8],
) -> String {
    let slash = if qr_url.ends_with('/') { "" } else { "/" };
    format!(
        "{qr_url}{slash}{:010}{:02}{:02}{:04}{:010}{}",
        device.get(),
        date.day(),
        date.month(),
        date.year(),
        global_no.get(),
        verification_code(signature)
    )
}
