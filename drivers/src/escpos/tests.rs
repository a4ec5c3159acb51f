//! What the encoder writes: its commands, its widths, and that no real-time command is ever among them.

mod commands;
mod dump;
mod trap;

use super::{EncodeError, encode};
use crate::page::{Item, Line, Page};
use crate::profile::Profile;

fn profile(name: &str) -> Profile {
    Profile::named(name).expect("it is shipped")
}

fn encoded(items: Vec<Item>, profile: &Profile) -> Vec<u8> {
    encode(&Page { items }, profile).expect("it can be printed")
}

fn line(text: &str) -> Item {
    Item::Line(Line::plain(text))
}

/// The independent look: every place where a printer would obey.
fn obeyed(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut after_dle = false;
    for (at, byte) in bytes.iter().enumerate() {
        if after_dle && [4, 5, 20].contains(byte) {
            found.push(at - 1);
        }
        after_dle = *byte == 16;
    }
    found
}
