//! No real-time command in what we write, whatever stands on the page; and a look that would see one.

use proptest::prelude::*;

use super::*;
use crate::escpos::ack::{HEALTH, PREFLIGHT, ending};
use crate::escpos::encode::encode_unguarded;
use crate::job::JobId;
use crate::page::{Align, Bitmap, Pulse};

/// A picture of these bytes, so many in a row.
fn picture(bits: Vec<u8>, row: usize) -> Bitmap {
    Bitmap {
        width: row * 8,
        height: bits.len() / row,
        bits: bits[..bits.len() / row * row].to_vec(),
    }
}

/// Each shift of 10 04 by up to seven dots, so that no shift of the whole is free of it.
fn every_shift() -> Bitmap {
    let mut bits = Vec::new();
    for second in [0x04_u32, 0x05, 0x14] {
        for by in 0..8 {
            bits.extend((((0x1000 | second) << 16) >> by).to_be_bytes());
            bits.extend((((0x1000 | second) << 16) << by).to_be_bytes());
        }
    }
    picture(bits, 4)
}

/// Pages that a printer would obey if nobody looked.
fn planted() -> Vec<(&'static str, &'static str, Vec<Item>)> {
    vec![
        (
            "in a row",
            "generic-80",
            vec![Item::Picture(picture(vec![0x10, 0x04], 2))],
        ),
        (
            "across rows",
            "generic-80",
            vec![Item::Picture(picture(vec![0x10, 0x05], 1))],
        ),
        (
            "at every shift",
            "generic-80",
            vec![Item::Picture(every_shift())],
        ),
        (
            "on the whole width",
            "generic-58",
            vec![Item::Picture(picture([0x10, 0x14].repeat(96), 48))],
        ),
        (
            "in the QR code",
            "epson-tm-t20",
            vec![Item::Qr("a\x10\x04\x01b".to_owned())],
        ),
        (
            "in its length",
            "epson-tm-t20",
            vec![Item::Qr("x".repeat(0x410 - 3))],
        ),
    ]
}

#[test]
fn the_look_sees_what_is_planted_and_the_guard_takes_it_away() {
    for (what, name, items) in planted() {
        let page = Page { items };
        let profile = profile(name);
        let without = encode_unguarded(&page, &profile).expect("it can be printed");
        assert!(!obeyed(&without).is_empty(), "{what}: nothing was planted");
        let with = encode(&page, &profile).expect("it can be printed");
        assert_eq!(obeyed(&with), [0_usize; 0], "{what}");
        assert!(with.len() > 16, "{what}: something is printed");
    }
}

#[test]
fn what_ends_in_10_meets_no_byte_of_an_old_pos() {
    for second in [0x04, 0x05, 0x14] {
        let raw = || Item::Raw(vec![second, 0x01]);
        let pulse = Pulse {
            pin2: true,
            on_ms: 32,
            off_ms: 32,
        };
        let items = vec![
            Item::Feed(16),
            raw(),
            Item::Drawer(pulse),
            raw(),
            Item::Picture(picture(vec![0x10], 1)),
            raw(),
            line("\x10"),
            raw(),
            Item::Raw(vec![0x41, 0x10]),
            Item::Cut,
        ];
        for name in Profile::names() {
            assert_eq!(
                obeyed(&encoded(items.clone(), &profile(name))),
                [0_usize; 0],
                "{name}"
            );
        }
    }
}

#[test]
fn a_picture_keeps_its_dots_where_it_can() {
    let bits = vec![0x10, 0x04, 0x00, 0x10, 0x05, 0x14];
    let bytes = encoded(
        vec![Item::Picture(picture(bits, 3))],
        &profile("generic-80"),
    );
    // Moved by one dot: 10 04 00 is 08 02 00, and a row has a byte more.
    let band = [
        0x1D, b'v', b'0', 0, 4, 0, 2, 0, 0x08, 0x02, 0, 0, 0x08, 0x02, 0x8A, 0,
    ];
    assert!(
        bytes.windows(band.len()).any(|window| window == band),
        "{bytes:02X?}"
    );

    let bytes = encoded(vec![Item::Picture(every_shift())], &profile("generic-80"));
    let dots = |bits: &[u8]| bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let (before, after) = (every_shift(), bytes);
    let mut found = Vec::new();
    let mut rest = after
        .strip_prefix(b"\n\x1B@\x1C.\x1Ba\x01")
        .expect("it starts so");
    while let [0x1D, b'v', b'0', 0, 4, 0, rows, 0, data @ ..] = rest {
        let length = usize::from(*rows) * 4;
        found.extend_from_slice(&data[..length]);
        rest = &data[length..];
    }
    assert_eq!(found.len(), before.bits.len());
    let more = dots(&found) - dots(&before.bits);
    assert!((1..=12).contains(&more), "{more} dots more");
}

/// Bytes that are dangerous next to each other.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(vec![0x10_u8, 0x04, 0x05, 0x14]),
        1 => prop::sample::select(vec![0x00_u8, 0x08, 0x20, 0x40, 0x80, 0x01, 0x02]),
        1 => any::<u8>(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\x00-\\x20\\x10\\x04\\x05\\x14A-Z]{0,120}",
        "\\PC{0,120}",
        prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter),
    ]
}

fn styled() -> impl Strategy<Value = Line> {
    let align = prop::sample::select(vec![Align::Left, Align::Center, Align::Right]);
    (text(), align, any::<bool>(), any::<bool>()).prop_map(|(text, align, bold, double)| Line {
        text,
        align,
        bold,
        double,
    })
}

fn bitmap() -> impl Strategy<Value = Bitmap> {
    (
        1_usize..90,
        prop::collection::vec(byte(), 0..900),
        0_usize..8,
    )
        .prop_map(|(row, bits, less)| {
            let whole = picture(bits, row);
            Bitmap {
                width: whole.width - less,
                ..whole
            }
        })
}

fn item() -> impl Strategy<Value = Item> {
    let pulse = (any::<bool>(), 0_u16..60, 0_u16..60);
    prop_oneof![
        4 => styled().prop_map(Item::Line),
        2 => text().prop_map(Item::Qr),
        1 => (1030_usize..1045).prop_map(|length| Item::Qr("x".repeat(length))),
        3 => bitmap().prop_map(Item::Picture),
        1 => (0_u8..40).prop_map(Item::Feed),
        1 => Just(Item::Cut),
        1 => pulse.prop_map(|(pin2, on_ms, off_ms)| Item::Drawer(Pulse { pin2, on_ms, off_ms })),
        // An old POS that begins with the second byte of a command, and ends with the first.
        1 => prop::sample::select(vec![0x04_u8, 0x05, 0x14, 0x41])
            .prop_map(|first| Item::Raw(vec![first, 0x41, 0x10, 0x41, 0x10])),
    ]
}

/// Two of an old POS side by side are its own affair: a line is put between them.
fn apart(items: Vec<Item>) -> Vec<Item> {
    let mut out: Vec<Item> = Vec::new();
    for item in items {
        if matches!((out.last(), &item), (Some(Item::Raw(_)), Item::Raw(_))) {
            out.push(line(""));
        }
        // What prints nothing here does not part them.
        let keeps =
            !matches!(item, Item::Raw(_)) || matches!(out.last(), None | Some(Item::Line(_)));
        if !keeps {
            out.push(line(""));
        }
        out.push(item);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_page_commands_the_printer(
        items in prop::collection::vec(item(), 1..6).prop_map(apart),
        name in prop::sample::select(Profile::names().collect::<Vec<_>>()),
        job in any::<i64>(),
    ) {
        let profile = profile(name);
        let page = Page { items };
        let bytes = encode(&page, &profile);
        prop_assert!(bytes.is_ok(), "{:?}", bytes);
        let bytes = bytes.unwrap_or_default();
        prop_assert_eq!(obeyed(&bytes), Vec::<usize>::new());

        // The whole of a job on the wire: only the questions are obeyed, each where it begins.
        let ask = |requests: &[crate::escpos::request::Request]| -> Vec<u8> {
            requests.iter().flat_map(|request| request.bytes()).collect()
        };
        let before = ask(&PREFLIGHT);
        let mut wire = before.clone();
        wire.extend(&bytes);
        wire.extend(ending(profile.ack, JobId(job)).into_iter().flat_map(|end| end.bytes()));
        let end = wire.len();
        wire.extend(ask(&HEALTH));
        prop_assert_eq!(obeyed(&wire), vec![0, 3, 6, end, end + 3, end + 6, end + 9]);
    }
}
