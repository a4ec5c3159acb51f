//! Texts with a few places changed: JSON, TOML, lines.

use crate::input::Input;

/// Pieces that readers trip over.
const PIECES: [&str; 40] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-0",
    "-1",
    "1e9",
    "1e-9",
    "0.1",
    "0.005",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
    "99999999.99",
    "79228162514264337593543950335",
    "\"1.20\"",
    "\"-1\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "\"2026-02-30T24:00:00\"",
    "\"9999-12-31T23:59:59\"",
    ",",
    ":",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\0",
    "\u{FEFF}",
    " ",
    "=",
    "é",
];

/// Most changes.
const MAX_CHANGES: usize = 12;

/// Changes a few places of a text, most of them whole words: numbers, names, strings.
pub(crate) fn damaged(mut text: Vec<u8>, input: &mut Input<'_>) -> Vec<u8> {
    let mut changes = 0;
    while !input.is_empty() && changes < MAX_CHANGES && !text.is_empty() {
        changes += 1;
        let how = input.byte();
        let at = usize::from(input.word()) % text.len();
        let word = word(&text, at);
        match how % 9 {
            0 => text[at] = input.byte(),
            1 => text.insert(at, input.byte()),
            2 => {
                text.remove(at);
            }
            3 => {
                let piece = input.of(&PIECES);
                text.splice(word, piece.bytes());
            }
            4 => {
                let piece = input.of(&PIECES);
                text.splice(at..at, piece.bytes());
            }
            5 => {
                text.drain(word);
            }
            6 => {
                let other = usize::from(input.word()) % text.len();
                let other = text[self::word(&text, other)].to_vec();
                text.splice(word, other);
            }
            7 => {
                let to = (at + 1 + usize::from(input.byte())).min(text.len());
                let copy = text[at..to].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                let digit = (at..text.len()).find(|n| text[*n].is_ascii_digit());
                if let Some(digit) = digit {
                    text[digit] = b'0' + input.byte() % 10;
                }
            }
        }
    }
    text
}

/// The word around a place: letters, digits and what stands in numbers; else the one byte.
fn word(text: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+_".contains(byte);
    let before = text[..at].iter().rev().take_while(|b| is_part(b)).count();
    let after = text[at..].iter().take_while(|b| is_part(b)).count();
    at - before..at + after.max(1)
}
