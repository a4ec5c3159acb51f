//! Any page on any printer: no byte that a printer obeys at once, and nothing that ends within a command.

use drivers::capture::token::tokens;
use drivers::escpos::encode;
use drivers::page::{Align, Bitmap, Item, Line, Page, Pulse};
use drivers::profile::{CodePage, CodePageName, Cut, Profile, Qr};

use crate::input::Input;

/// Most pieces of a page.
const MAX_ITEMS: usize = 12;

/// A printer's profile, then pieces of a page.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(profile) = profile(&mut input) else {
        return;
    };
    let page = page(&mut input);
    let bytes = encode(&page, &profile).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(obeyed(&bytes), None, "{page:?}");
    let foreign = page.items.iter().any(|item| matches!(item, Item::Raw(_)));
    let last = tokens(&bytes).last();
    assert!(foreign || last.is_none_or(|token| token.whole));
}

/// A shipped profile, or one with members of its own.
fn profile(input: &mut Input<'_>) -> Option<Profile> {
    let names: Vec<&str> = Profile::names().collect();
    let mut profile = Profile::named(input.of(&names)).expect("it is shipped");
    if input.flag() {
        profile.columns = input.byte();
        profile.dots = input.word() % 1100;
        profile.qr = input.of(&[Qr::Native, Qr::Raster, Qr::Column, Qr::None]);
        profile.cut = input.of(&[Cut::Partial, Cut::Full, Cut::None]);
        let flags = input.byte();
        profile.pictures = flags & 1 != 0;
        profile.drawer = flags & 2 != 0;
        profile.impact = flags & 4 != 0;
        let names = [
            CodePageName::Cp437,
            CodePageName::Cp850,
            CodePageName::Cp858,
            CodePageName::Wpc1252,
        ];
        let number = input.byte();
        let name = input.of(&names);
        profile.code_page = (flags & 8 != 0).then_some(CodePage { number, name });
    }
    profile.check().is_ok().then_some(profile)
}

fn page(input: &mut Input<'_>) -> Page {
    let mut items: Vec<Item> = Vec::new();
    let mut codes = 0;
    while !input.is_empty() && items.len() < MAX_ITEMS {
        let item = item(input);
        // A code takes as long as a thousand lines.
        codes += usize::from(matches!(item, Item::Qr(_)));
        if codes > 1 && matches!(item, Item::Qr(_)) {
            continue;
        }
        // Two of an old POS side by side are its own affair.
        let foreign = |item: &Item| matches!(item, Item::Raw(_));
        if foreign(&item) && !matches!(items.last(), None | Some(Item::Line(_))) {
            items.push(Item::Line(Line::plain("")));
        }
        items.push(item);
    }
    Page { items }
}

fn item(input: &mut Input<'_>) -> Item {
    let kind = input.byte();
    match kind % 8 {
        0 | 1 => Item::Line(Line {
            text: text(input.piece()),
            align: input.of(&[Align::Left, Align::Center, Align::Right]),
            bold: kind & 0x10 != 0,
            double: kind & 0x20 != 0,
        }),
        2 if kind == 2 => {
            let length = 1030 + usize::from(input.byte() % 16);
            Item::Qr("x".repeat(length))
        }
        // A long code takes a millisecond.
        2 if kind & 0xF0 == 0xF0 => Item::Qr(text(input.piece())),
        2 => {
            let length = usize::from(input.byte() % 14);
            Item::Qr(text(input.take(length)))
        }
        3 => {
            let row = usize::from(input.byte() % 90) + 1;
            let less = usize::from(kind >> 5);
            let mut bits = input.piece().to_vec();
            let height = bits.len().div_ceil(row);
            bits.resize(height * row, 0x10);
            Item::Picture(Bitmap {
                width: row * 8 - less,
                height,
                bits,
            })
        }
        4 => Item::Feed(input.byte()),
        5 => Item::Cut,
        6 => Item::Drawer(Pulse {
            pin2: kind & 0x10 != 0,
            on_ms: input.word(),
            off_ms: input.word(),
        }),
        7 => Item::Raw(tame(input.piece())),
        _ => Item::Line(Line::plain(text(input.piece()))),
    }
}

/// Text in any alphabet: what is not UTF-8 is taken for Latin-1.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Without a command of its own that is obeyed at once; its first and last byte are anything.
fn tame(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let Some(at) = obeyed(&bytes) {
        bytes[at] = b'!';
    }
    bytes
}

/// The first place where a printer would obey.
fn obeyed(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(2)
        .position(|pair| pair[0] == 0x10 && matches!(pair[1], 4 | 5 | 0x14))
}
