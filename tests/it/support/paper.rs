//! Paper that came out, as a person with a phone sees it: text, and the QR code read by a program that is not ours.

use std::process::Command;

use vprinter::Sheet;

/// What is in the QR codes on a sheet.
pub(crate) fn scan(sheet: &Sheet) -> Vec<String> {
    scan_png(&sheet.to_png().unwrap())
}

/// What is in the QR codes of a picture.
pub(crate) fn scan_png(png: &[u8]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sheet.png");
    std::fs::write(&file, png).unwrap();
    let out = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(&file)
        .output()
        .expect("zbarimg; scripts/test installs it");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}
