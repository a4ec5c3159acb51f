//! The commands of each item, byte by byte.

use super::*;
use crate::page::{Align, Bitmap, Pulse};
use crate::profile::{Cut, Qr};

/// How a job begins where there is no code page.
const START: &[u8] = b"\n\x1B@\x1C.";

/// An address as the authority's, 70 characters long.
const ADDRESS: &str = "https://receipt.zimra.org/0000012345010120240000000017A1B2C3D4E5F60718";

fn after_start(items: Vec<Item>, profile: &Profile) -> Vec<u8> {
    let bytes = encoded(items, profile);
    bytes.strip_prefix(START).expect("it starts so").to_vec()
}

#[test]
fn a_job_selects_its_code_page_and_writes_in_it() {
    let bytes = encoded(vec![line("Café €2")], &profile("epson-tm-t20"));
    assert_eq!(bytes, b"\n\x1B@\x1Bt\x10\x1C.Caf\xE9 \x802\n");
    let bytes = encoded(vec![line("Café €2")], &profile("generic-80"));
    assert_eq!(bytes, b"\n\x1B@\x1C.Cafe EUR2\n");
}

#[test]
fn modes_are_written_when_they_change_and_only_then() {
    let styled = |align, bold, double| {
        Item::Line(Line {
            text: "x".to_owned(),
            align,
            bold,
            double,
        })
    };
    let items = vec![
        line("x"),
        styled(Align::Center, true, false),
        styled(Align::Center, true, true),
        styled(Align::Right, false, true),
        line("x"),
    ];
    assert_eq!(
        after_start(items.clone(), &profile("generic-80")),
        b"x\n\x1Ba\x01\x1BE\x01x\n\x1D!\x11x\n\x1Ba\x02\x1BE\x00x\n\x1Ba\x00\x1D!\x00x\n"
    );
    let bytes = encoded(items, &profile("epson-tm-u220"));
    assert_eq!(
        bytes,
        b"\n\x1B@\x1Bt\x02\x1C.x\n\x1Ba\x01\x1B!\x08x\n\x1B!\x38x\n\x1Ba\x02\x1B!\x30x\n\x1Ba\x00\x1B!\x00x\n"
    );
}

#[test]
fn long_lines_are_folded_at_the_columns_of_their_size() {
    let text = "0123456789".repeat(5);
    for (name, columns) in [
        ("generic-80", 48),
        ("generic-80-42", 42),
        ("generic-58", 32),
    ] {
        let bytes = after_start(vec![line(&text)], &profile(name));
        let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines[0].len(), columns, "{name}");
        assert_eq!(lines.concat(), text.as_bytes(), "{name}");
    }
    let double = Item::Line(Line {
        text: text.clone(),
        double: true,
        ..Line::default()
    });
    let bytes = after_start(vec![double], &profile("generic-58"));
    let bytes = bytes.strip_prefix(b"\x1D!\x11").expect("it is double");
    let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert_eq!(longest, Some(16));
}

#[test]
fn letters_that_become_two_are_counted_after_they_have() {
    let bytes = after_start(vec![line(&"ß".repeat(32))], &profile("generic-58"));
    assert_eq!(
        bytes,
        ["s".repeat(32), "s".repeat(32), String::new()]
            .join("\n")
            .as_bytes()
    );
}

#[test]
fn a_text_cannot_command_the_printer() {
    let evil = "a\x1B@b\x10\x04\x01c\x1DV\x00d\u{9B}e\x7F\0";
    let bytes = after_start(vec![line(evil)], &profile("generic-80"));
    assert_eq!(bytes, b"a?@b???c?V?d?e??\n");
    assert_eq!(after_start(vec![line("")], &profile("generic-80")), b"\n");
}

#[test]
fn a_sheet_ends_as_the_printer_can() {
    let ends = |cut| {
        let profile = Profile {
            cut,
            ..profile("generic-80")
        };
        after_start(vec![line("x"), Item::Cut], &profile)
    };
    assert_eq!(ends(Cut::Partial), b"x\n\x1DVB\x00");
    assert_eq!(ends(Cut::Full), b"x\n\x1DVA\x00");
    assert_eq!(ends(Cut::None), b"x\n\x1Bd\x05");
}

#[test]
fn feeding_is_exact() {
    for (lines, wanted) in [
        (0, &b""[..]),
        (3, b"\x1Bd\x03"),
        (16, b"\x1Bd\x08\x1Bd\x08"),
        (255, b"\x1Bd\xFF"),
    ] {
        assert_eq!(
            after_start(vec![Item::Feed(lines)], &profile("generic-80")),
            wanted
        );
    }
}

#[test]
fn a_drawer_opens_without_moving_paper_and_only_where_there_is_one() {
    let opened = |pin2, on_ms, off_ms| {
        let pulse = Pulse {
            pin2,
            on_ms,
            off_ms,
        };
        encoded(vec![Item::Drawer(pulse)], &profile("generic-80"))
    };
    assert_eq!(opened(true, 100, 100), [0x1B, 0x70, 0, 50, 50]);
    assert_eq!(opened(false, 50, 510), [0x1B, 0x70, 1, 25, 255]);
    assert_eq!(opened(true, 0, u16::MAX), [0x1B, 0x70, 0, 1, 255]);
    assert_eq!(
        opened(true, 32, 8),
        [0x1B, 0x70, 0, 0x11, 4],
        "10 04 would be a command"
    );
    let none = encoded(vec![Item::Drawer(Pulse::default())], &profile("sunmi-58"));
    assert_eq!(none, b"");
}

#[test]
fn bytes_of_an_old_pos_go_out_as_they_are() {
    let raw = || Item::Raw(b"\x1B@\x1Bt\x05Total\x10\x04\x01\x84\n".to_vec());
    let only = encoded(vec![raw(), raw()], &profile("epson-tm-t20"));
    assert_eq!(only, b"\x1B@\x1Bt\x05Total\x10\x04\x01\x84\n".repeat(2));

    let more = encoded(vec![raw(), line("é")], &profile("epson-tm-t20"));
    let reset = b"\x1Ba\x00\x1BE\x00\x1D!\x00\x1DB\x00\x1B-\x00\x1B{\x00\x1DL\x00\x00";
    assert_eq!(
        more.strip_prefix(&only[..only.len() / 2]),
        Some([&reset[..], b"e\n"].concat().as_slice()),
        "modes are taken back one by one, and its code page is not ours"
    );
    let impact = encoded(vec![raw(), line("é")], &profile("epson-tm-u220"));
    assert!(impact.ends_with(b"\x84\n\x1Ba\x00\x1BE\x00\x1B!\x00\x1B-\x00\x1B{\x00e\n"));
}

#[test]
fn the_printers_own_qr_code_has_exact_lengths() {
    let bytes = after_start(
        vec![Item::Qr(ADDRESS.to_owned())],
        &Profile {
            code_page: None,
            ..profile("epson-tm-t20")
        },
    );
    let mut wanted = b"\x1Ba\x01\x1Bd\x01".to_vec();
    wanted.extend(
        b"\x1D(k\x04\x00\x31\x41\x32\x00\x1D(k\x03\x00\x31\x43\x08\x1D(k\x03\x00\x31\x45\x31",
    );
    wanted.extend([0x1D, b'(', b'k', 73, 0, 0x31, 0x50, 0x30]);
    wanted.extend(ADDRESS.as_bytes());
    wanted.extend(b"\x1D(k\x03\x00\x31\x51\x30\x1Bd\x01\x1Ba\x00");
    assert_eq!(bytes, wanted);

    let long = "x".repeat(300);
    let bytes = encoded(vec![Item::Qr(long)], &profile("epson-tm-t20"));
    let store = [0x1D, b'(', b'k', 47, 1, 0x31, 0x50, 0x30];
    assert!(
        bytes.windows(8).any(|window| window == store),
        "303 is 2F 01"
    );
}

/// The rows of all GS v 0 in a row, read back.
fn rows(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let [0x1D, b'v', b'0', 0, x, 0, y, 0, rest @ ..] = bytes {
        let (x, y) = (usize::from(*x), usize::from(*y));
        assert!(rest.len() >= x * y, "the band is whole");
        out.extend(rest[..x * y].chunks(x).map(<[u8]>::to_vec));
        bytes = &rest[x * y..];
    }
    assert_eq!(bytes, b"\x1Ba\x00", "nothing is left over");
    out
}

#[test]
fn a_qr_code_as_a_picture_is_the_code_enlarged() {
    let bytes = after_start(vec![Item::Qr(ADDRESS.to_owned())], &profile("generic-58"));
    let rows = rows(
        bytes
            .strip_prefix(b"\x1Ba\x01")
            .expect("it is in the middle"),
    );
    let code =
        qrcode::QrCode::with_error_correction_level(ADDRESS, qrcode::EcLevel::M).expect("a code");
    let side = (code.width() + 8) * 8;
    assert_eq!(
        (rows.len(), rows[0].len() * 8),
        (side, side),
        "8 dots a module, 4 modules of white"
    );
    for (y, row) in rows.iter().enumerate() {
        for x in 0..side {
            let black = row[x / 8] >> (7 - x % 8) & 1 == 1;
            let wanted = match ((x / 8).checked_sub(4), (y / 8).checked_sub(4)) {
                (Some(x), Some(y)) if x < code.width() && y < code.width() => {
                    code[(x, y)] == qrcode::Color::Dark
                }
                _ => false,
            };
            assert_eq!(black, wanted, "dot {x}, {y}");
        }
    }
}

#[test]
fn a_qr_code_of_an_impact_printer_is_passes_of_eight_pins() {
    let bytes = encoded(
        vec![Item::Qr(ADDRESS.to_owned())],
        &profile("epson-tm-u220"),
    );
    let mut rest = bytes
        .strip_prefix(b"\n\x1B@\x1Bt\x02\x1C.\x1Ba\x01\x1B3\x10")
        .expect("passes touch each other");
    let code =
        qrcode::QrCode::with_error_correction_level(ADDRESS, qrcode::EcLevel::M).expect("a code");
    let side = (code.width() + 8) * 2;
    let mut y = 0;
    while let [0x1B, b'*', 0, low, 0, data @ ..] = rest {
        assert_eq!(usize::from(*low), side);
        for (x, column) in data[..side].iter().enumerate() {
            for pin in 0..8 {
                let inside = |at: usize| (8..side - 8).contains(&at).then(|| at / 2 - 4);
                let wanted = match (inside(x), inside(y + pin)) {
                    (Some(x), Some(y)) => code[(x, y)] == qrcode::Color::Dark,
                    _ => false,
                };
                assert_eq!(column >> (7 - pin) & 1 == 1, wanted, "dot {x}, {}", y + pin);
            }
        }
        assert_eq!(data[side], b'\n');
        rest = &data[side + 1..];
        y += 8;
    }
    assert_eq!(rest, b"\x1B2\x1Ba\x00");
    assert_eq!(y, side.next_multiple_of(8));
}

#[test]
fn a_qr_code_that_nobody_could_scan_is_left_out_and_the_text_stands() {
    let long = "x".repeat(600);
    for name in ["generic-58", "sunmi-58", "epson-tm-u220"] {
        let profile = Profile {
            code_page: None,
            ..profile(name)
        };
        let bytes = after_start(vec![line("a"), Item::Qr(long.clone()), line("b")], &profile);
        assert_eq!(bytes, b"a\nb\n", "{name}");
    }
    let none = Profile {
        qr: Qr::None,
        ..profile("generic-80")
    };
    assert_eq!(
        after_start(vec![line("a"), Item::Qr("b".to_owned())], &none),
        b"a\n"
    );
}

#[test]
fn a_picture_goes_out_in_bands_of_255_rows() {
    let mut picture = Bitmap::white(20, 600);
    for y in 0..600 {
        picture.blacken(y % 20, y);
    }
    let bytes = after_start(vec![Item::Picture(picture.clone())], &profile("generic-80"));
    let bytes = bytes
        .strip_prefix(b"\x1Ba\x01")
        .expect("it is in the middle");
    let heads: Vec<_> = bytes
        .windows(8)
        .filter_map(|head| match head {
            [0x1D, b'v', b'0', 0, 3, 0, y, 0] => Some(*y),
            _ => None,
        })
        .collect();
    assert_eq!(heads, [255, 255, 90]);
    assert_eq!(rows(bytes).concat(), picture.bits);
}

#[test]
fn a_picture_wider_than_the_paper_is_made_smaller() {
    let mut picture = Bitmap::white(800, 9);
    for y in 0..9 {
        for x in 0..400 {
            picture.blacken(x, y);
        }
    }
    let bytes = after_start(vec![Item::Picture(picture)], &profile("generic-58"));
    let rows = rows(
        bytes
            .strip_prefix(b"\x1Ba\x01")
            .expect("it is in the middle"),
    );
    assert_eq!(rows.len(), 3, "a third as high");
    // 800 dots take a third to fit 384. 400 black ones are 133 threes and a single one among white.
    let black: u32 = rows[0].iter().map(|byte| byte.count_ones()).sum();
    assert_eq!((rows[0].len(), black), (34, 133));
}

#[test]
fn a_picture_that_is_not_whole_is_refused_and_an_empty_one_is_nothing() {
    let torn = Bitmap {
        width: 9,
        height: 2,
        bits: vec![0; 3],
    };
    let page = Page {
        items: vec![Item::Picture(torn)],
    };
    assert_eq!(
        encode(&page, &profile("generic-80")),
        Err(EncodeError::Picture {
            width: 9,
            height: 2,
            found: 3
        })
    );
    let nothing = encoded(
        vec![Item::Picture(Bitmap::white(0, 0))],
        &profile("generic-80"),
    );
    assert_eq!(nothing, b"");
    let impact = encoded(
        vec![Item::Picture(Bitmap::white(8, 8))],
        &profile("epson-tm-u220"),
    );
    assert_eq!(impact, b"");
}
