//! QR codes on the paper are real ones: another program reads them from the sheet's picture.

use std::process::Command;

use crate::common::{CUT, lines, printed, suffer};
use qrcode::{Color, EcLevel, QrCode};
use vprinter::{Fault, PictureKind, Printer, PrinterSetup, Sheet};

const URL: &str =
    "https://fdms.example.test/Receipt/0000032123/27112026/0000000451/4C8BE27663330417";

/// What zbarimg reads from the sheet's picture.
fn decoded(sheet: &Sheet) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sheet.png");
    std::fs::write(&file, sheet.to_png().unwrap()).unwrap();
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw", "--nodbus"])
        .arg(&file)
        .output()
        .expect("zbarimg is there (Debian package zbar-tools)");
    String::from_utf8(output.stdout).unwrap()
}

fn only_sheet(printer: &Printer) -> &Sheet {
    assert_eq!(printer.sheets().len(), 1, "{:?}", lines(printer));
    &printer.sheets()[0]
}

/// The code's modules as `(side, is dark)`.
fn modules() -> (usize, Vec<bool>) {
    let code = QrCode::with_error_correction_level(URL, EcLevel::M).unwrap();
    let dark = code.to_colors().into_iter().map(|c| c == Color::Dark);
    (code.width(), dark.collect())
}

fn native(module: u8) -> Vec<u8> {
    let store = u16::try_from(URL.len() + 3).unwrap().to_le_bytes();
    [
        b"\x1b@\x1ba\x01Scan:\n\x1d(k\x04\x00\x31\x41\x32\x00".as_slice(),
        &[0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x43, module],
        b"\x1d(k\x03\x00\x31\x45\x31",
        b"\x1d(k",
        &store,
        b"\x31\x50\x30",
        URL.as_bytes(),
        b"\x1d(k\x03\x00\x31\x51\x30",
        b"below\n\x1bd\x06",
        CUT,
    ]
    .concat()
}

/// Rows of whole bytes, each module so many dots a side.
fn rows(module: usize) -> (usize, usize, Vec<u8>) {
    let (side, dark) = modules();
    let width = (side * module).div_ceil(8);
    let mut bytes = vec![0_u8; width * side * module];
    for y in 0..side * module {
        for x in 0..side * module {
            if dark[y / module * side + x / module] {
                bytes[y * width + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    (width, side * module, bytes)
}

#[test]
fn the_printers_own_code_decodes() {
    for (setup, module) in [(PrinterSetup::epson_80(), 8), (PrinterSetup::epson_42(), 4)] {
        let printer = printed(setup, &native(module));
        let sheet = only_sheet(&printer);
        assert_eq!(decoded(sheet), format!("{URL}\n"));
        assert_eq!(sheet.lines()[1].trim(), "below");
        let picture = sheet.pictures().next().unwrap();
        let wanted = PictureKind::Qr {
            data: URL.as_bytes().to_vec(),
            module: usize::from(module),
        };
        assert_eq!(picture.kind, wanted);
    }
}

#[test]
fn a_code_that_is_wider_than_the_paper_is_not_printed() {
    let printer = printed(PrinterSetup::epson_80(), &native(16));
    assert_eq!(only_sheet(&printer).pictures().count(), 0);
}

#[test]
fn a_printer_without_codes_of_its_own_prints_none() {
    let printer = printed(PrinterSetup::clone_80(), &native(4));
    let sheet = only_sheet(&printer);
    assert_eq!(sheet.pictures().count(), 0);
    assert!(sheet.text().contains("1P0https://"), "{}", sheet.text());
}

#[test]
fn a_raster_decodes_on_the_narrowest_paper() {
    let (width, height, bytes) = rows(5);
    let size = [
        u8::try_from(width).unwrap(),
        0,
        u8::try_from(height).unwrap(),
        0,
    ];
    let job = [
        b"\x1b@\x1ba\x01\x1dv0\x00",
        &size[..],
        &bytes,
        b"\n\x1bd\x06",
    ]
    .concat();
    let printer = printed(PrinterSetup::clone_58(), &job);
    assert_eq!(decoded(only_sheet(&printer)), format!("{URL}\n"));
}

#[test]
fn a_stored_raster_decodes() {
    let (width, height, bytes) = rows(4);
    let dots = u16::try_from(width * 8).unwrap().to_le_bytes();
    let high = u16::try_from(height).unwrap().to_le_bytes();
    let length = u32::try_from(bytes.len() + 10).unwrap().to_le_bytes();
    let head = [
        b"\x1d8L",
        &length[..],
        b"\x30\x70\x30\x01\x01\x31",
        &dots,
        &high,
    ]
    .concat();
    let job = [&head[..], &bytes, b"\x1d(L\x02\x00\x30\x32\n", CUT].concat();
    let printer = printed(PrinterSetup::epson_80(), &job);
    assert_eq!(decoded(only_sheet(&printer)), format!("{URL}\n"));
}

/// Bands of columns; each module is two dots wide and high before the printer makes them larger.
fn bands(mode: u8, bytes_in_column: usize, module: usize, spacing: u8) -> Vec<u8> {
    let (side, dark) = modules();
    let band = bytes_in_column * 8;
    let dots = side * module;
    let mut job = vec![0x1B, 0x33, spacing];
    for top in (0..dots).step_by(band) {
        let count = u16::try_from(dots).unwrap().to_le_bytes();
        job.extend([0x1B, 0x2A, mode, count[0], count[1]]);
        for x in 0..dots {
            for part in 0..bytes_in_column {
                let mut byte = 0;
                for place in 0..8 {
                    let y = top + part * 8 + place;
                    if y < dots && dark[y / module * side + x / module] {
                        byte |= 0x80 >> place;
                    }
                }
                job.push(byte);
            }
        }
        job.push(b'\n');
    }
    job
}

#[test]
fn columns_decode_on_a_thermal_head() {
    let job = [&bands(33, 3, 6, 24)[..], CUT].concat();
    let printer = printed(PrinterSetup::clone_80(), &job);
    assert_eq!(decoded(only_sheet(&printer)), format!("{URL}\n"));
}

#[test]
fn columns_decode_on_needles() {
    let job = [&bands(0, 1, 2, 16)[..], CUT].concat();
    let printer = printed(PrinterSetup::impact(), &job);
    assert_eq!(decoded(only_sheet(&printer)), format!("{URL}\n"));
}

#[test]
fn a_code_that_the_power_left_unfinished_does_not_decode() {
    let mut printer = Printer::new(PrinterSetup::clone_80());
    let job = bands(33, 3, 6, 24);
    crate::common::feed(&mut printer, &job[..job.len() / 2]);
    suffer(&mut printer, Fault::PowerCycle);
    let sheet = only_sheet(&printer);
    assert!(!sheet.complete && sheet.pictures().count() > 2);
    assert_eq!(decoded(sheet), "");
}

#[test]
fn the_picture_of_text_is_that_of_the_letters() {
    let text = b"\x1b@Bread\n\x1d!\x11BIG\x1d!\x00\x1bE\x01 bold\x1bE\x00\x1b-\x01 under\x1b-\x00\n\x1bM\x01small\n\x1bM\x00\x1dB\x01 white \x1dB\x00\n";
    let printer = printed(PrinterSetup::epson_80(), &[&text[..], CUT].concat());
    let paper = only_sheet(&printer).bitmap();
    let mut seen = String::new();
    for y in (0..140).step_by(2) {
        let dots = (32..32 + 150).map(|x| match (paper.is_black(x, y), paper.is_black(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        seen.push_str(dots.collect::<String>().trim_end());
        seen.push('\n');
    }
    insta::assert_snapshot!(seen);
}
