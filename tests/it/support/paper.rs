//! Paper that came out, as a person with a phone sees it: text, and the QR code read by a program that is not ours.

use std::path::Path;
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

/// A black picture of 64 x 32 dots.
pub(crate) fn black_png(path: &Path) {
    let mut file = png::Encoder::new(std::fs::File::create(path).unwrap(), 64, 32);
    file.set_color(png::ColorType::Grayscale);
    file.set_depth(png::BitDepth::Eight);
    let mut file = file.write_header().unwrap();
    file.write_image_data(&[0; 64 * 32]).unwrap();
}

/// How many pictures a PDF shows; its QR code is drawn, and is none.
pub(crate) fn pictures_of(pdf: &[u8]) -> usize {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pdf).unwrap();
    let listed = Command::new("pdfimages")
        .arg("-list")
        .arg(file.path())
        .output();
    let listed = listed.expect("pdfimages; scripts/test installs it");
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().filter(|line| line.contains(" image ")).count()
}
