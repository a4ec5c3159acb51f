//! A small page on each profile, frozen byte by byte, as a dump that a person can check against the makers'
//! tables.

use super::*;
use crate::escpos::ack;
use crate::job::JobId;
use crate::page::{Align, Bitmap, Pulse};

/// A page with a bit of everything.
fn page() -> Page {
    let mut logo = Bitmap::white(12, 3);
    for (x, y) in [(0, 0), (11, 0), (3, 1), (5, 2), (6, 2)] {
        logo.blacken(x, y);
    }
    Page {
        items: vec![
            Item::Picture(logo),
            Item::Line(Line {
                text: "FISCAL TAX INVOICE".to_owned(),
                align: Align::Center,
                bold: true,
                double: true,
            }),
            line("Café “Mbare” – €2.00"),
            line("A line that is longer than any paper has columns, by far, so that it is folded"),
            Item::Qr("HTTPS://FDMS.EXAMPLE/1".to_owned()),
            Item::Feed(2),
            Item::Cut,
            Item::Drawer(Pulse::default()),
        ],
    }
}

#[test]
fn a_small_page_on_each_profile() {
    for name in Profile::names() {
        let profile = profile(name);
        let mut bytes = encode(&page(), &profile).expect("it can be printed");
        if let Some(request) = ack::ending(profile.ack, JobId(1)) {
            bytes.extend(request.bytes());
        }
        insta::assert_snapshot!(name, dump(&bytes));
    }
}

/// One command or text in each line: its bytes, and what it is. Written after the makers' tables and not after
/// the encoder: a command that is not in there is shown as unknown.
fn dump(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while !bytes.is_empty() {
        let (length, what) = command(bytes);
        let length = length.min(bytes.len());
        out.push_str(&shown(&bytes[..length], &what));
        bytes = &bytes[length..];
    }
    out
}

fn shown(bytes: &[u8], what: &str) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let mut lines = hex.chunks(16).map(|chunk| chunk.join(" "));
    let first = lines.next().unwrap_or_default();
    let mut out = format!("{what}: {first}\n");
    let (mut last, mut same) = (String::new(), 0);
    for line in lines {
        if line == last {
            same += 1;
            continue;
        }
        if same > 0 {
            out.push_str(&format!("    ({same} more)\n"));
        }
        same = 0;
        out.push_str(&format!("    {line}\n"));
        last = line;
    }
    if same > 0 {
        out.push_str(&format!("    ({same} more)\n"));
    }
    out
}

fn command(bytes: &[u8]) -> (usize, String) {
    let two = |low: u8, high: u8| usize::from(low) + 256 * usize::from(high);
    match *bytes {
        [0x0A, ..] => (1, "line feed".to_owned()),
        [0x1B, b'@', ..] => (2, "start".to_owned()),
        [0x1C, b'.', ..] => (2, "no kanji".to_owned()),
        [0x1B, b't', n, ..] => (3, format!("code page {n}")),
        [0x1B, b'a', n, ..] => (
            3,
            format!("align {}", ["left", "center", "right"][usize::from(n)]),
        ),
        [0x1B, b'E', n, ..] => (3, format!("bold {n}")),
        [0x1B, b'!', ..] => (3, "print mode".to_owned()),
        [0x1D, b'!', n, ..] => (3, format!("size {} x {}", (n >> 4) + 1, (n & 15) + 1)),
        [0x1B, b'd', n, ..] => (3, format!("feed {n} lines")),
        [0x1B, b'3', n, ..] => (3, format!("line spacing {n}")),
        [0x1B, b'2', ..] => (2, "line spacing as usual".to_owned()),
        [0x1D, b'V', 65, n, ..] => (4, format!("full cut after {n}")),
        [0x1D, b'V', 66, n, ..] => (4, format!("partial cut after {n}")),
        [0x1B, b'p', pin, on, off, ..] => {
            (5, format!("drawer {pin}, {on} x 2 ms on, {off} x 2 ms off"))
        }
        [0x1B, b'*', 0, low, high, ..] => {
            let columns = two(low, high);
            (5 + columns, format!("{columns} columns of 8 dots"))
        }
        [0x1D, b'v', b'0', 0, xl, xh, yl, yh, ..] => {
            let (x, y) = (two(xl, xh), two(yl, yh));
            (8 + x * y, format!("picture, {x} bytes x {y} rows"))
        }
        [0x1D, b'(', b'k', low, high, 0x31, function, ..] => (
            5 + two(low, high),
            format!("QR code, function {function:02X}"),
        ),
        [0x1D, b'(', b'H', low, high, ..] => (5 + two(low, high), "process ID".to_owned()),
        [0x1D, b'r', n, ..] => (3, format!("tell status {n}")),
        [first, ..] if first >= 0x20 => {
            let length = bytes.iter().take_while(|byte| **byte >= 0x20).count();
            (
                length,
                format!("text {:?}", String::from_utf8_lossy(&bytes[..length])),
            )
        }
        _ => (1, "UNKNOWN".to_owned()),
    }
}
