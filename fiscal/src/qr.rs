//! Verification code and QR content of a receipt (docs/FDMS.md section 6).

use md5::{Digest as _, Md5};

use crate::{DateTime, DeviceId, ReceiptGlobalNo};

/// The first 16 hexadecimal digits of the MD5 of the raw signature bytes, upper case.
#[must_use]
pub fn verification_code(signature: &[u8]) -> String {
    let digest = Md5::digest(signature);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The code as it is printed: four groups of four joined by hyphens.
#[must_use]
pub fn grouped(code: &str) -> String {
    let letters: Vec<char> = code.chars().collect();
    letters
        .chunks(4)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-")
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
