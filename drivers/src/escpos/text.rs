//! Text as a printer's bytes: in its code page or in ASCII, folded to the width of the paper.
//!
//! No byte below 20 and no 7F leaves here: inside a text they would be commands.

use std::borrow::Cow;

use super::code_page;
use crate::profile::CodePageName;

/// What stands for a character that can be written in no way.
const UNKNOWN: u8 = b'?';

/// A text's bytes. What the code page lacks is written in ASCII.
pub(super) fn bytes(text: &str, page: Option<CodePageName>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            out.extend(u8::try_from(c));
        } else if let Some(byte) = page.and_then(|page| code_page::byte(page, c)) {
            out.push(byte);
        } else if let Some(ascii) = ascii(c) {
            out.extend_from_slice(ascii.as_bytes());
        } else {
            out.push(UNKNOWN);
        }
    }
    out
}

/// Cuts a line into pieces of at most `width` bytes. Spaces at the end that would not fit make no piece.
pub(super) fn fold(line: &[u8], width: usize) -> Vec<&[u8]> {
    let width = width.max(1);
    let line = if line.len() > width {
        let end = line.iter().rposition(|byte| *byte != b' ');
        // Spaces that still fit stay: they may place a text that is not at the left.
        &line[..end.map_or(0, |end| end + 1).max(width)]
    } else {
        line
    };
    if line.is_empty() {
        return vec![line];
    }
    line.chunks(width).collect()
}

/// A character in ASCII: nothing for invisible marks, `None` where nobody would read it.
fn ascii(c: char) -> Option<Cow<'static, str>> {
    if let Some(letters) = letter(c) {
        return Some(Cow::Borrowed(letters));
    }
    Some(Cow::Borrowed(match c {
        '\t' | '\n' | '\r' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => " ",
        // Soft hyphen, joiners, marks of direction, accents that stand for themselves, byte order mark.
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{300}'..='\u{36F}' | '\u{FEFF}' => "",
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '‹' | '›' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '─' | '━' | '¯' => "-",
        '═' => "=",
        '│' | '┃' | '║' | '¦' => "|",
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => "+",
        '█' | '▓' | '▒' | '■' => "#",
        '…' => "...",
        '•' | '·' | '∙' | '●' => "*",
        '×' => "x",
        '÷' => "/",
        '±' => "+/-",
        '≤' => "<=",
        '≥' => ">=",
        '≠' => "<>",
        '≈' => "~",
        '°' | 'º' => "o",
        'ª' => "a",
        '¹' => "1",
        '²' => "2",
        '³' => "3",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '€' => "EUR",
        '£' => "GBP",
        '¥' => "JPY",
        '¢' => "c",
        '©' => "(C)",
        '®' => "(R)",
        '™' => "TM",
        '№' => "No",
        '§' => "S.",
        '¡' => "!",
        '¿' => "?",
        'µ' => "u",
        '→' => "->",
        '←' => "<-",
        // The wide forms of ASCII.
        '\u{FF01}'..='\u{FF5E}' => {
            let plain = char::from_u32(u32::from(c) - 0xFEE0)?;
            return Some(Cow::Owned(plain.to_string()));
        }
        _ => return None,
    }))
}

/// A Latin letter with its accent taken off.
fn letter(c: char) -> Option<&'static str> {
    LETTERS
        .iter()
        .find(|(_, with)| with.contains(c))
        .map(|(plain, _)| *plain)
}

/// Plain letters, and those that are written with them. Latin-1, Latin Extended-A, Vietnamese left out.
const LETTERS: &[(&str, &str)] = &[
    ("A", "ÀÁÂÃÄÅĀĂĄǍ"),
    ("a", "àáâãäåāăąǎ"),
    ("AE", "ÆǼ"),
    ("ae", "æǽ"),
    ("C", "ÇĆĈĊČ"),
    ("c", "çćĉċč"),
    ("D", "ÐĎĐ"),
    ("d", "ðďđ"),
    ("E", "ÈÉÊËĒĔĖĘĚẼ"),
    ("e", "èéêëēĕėęěẽ"),
    ("G", "ĜĞĠĢ"),
    ("g", "ĝğġģ"),
    ("H", "ĤĦ"),
    ("h", "ĥħ"),
    ("I", "ÌÍÎÏĨĪĬĮİ"),
    ("i", "ìíîïĩīĭįı"),
    ("IJ", "Ĳ"),
    ("ij", "ĳ"),
    ("J", "Ĵ"),
    ("j", "ĵ"),
    ("K", "Ķ"),
    ("k", "ķĸ"),
    ("L", "ĹĻĽĿŁ"),
    ("l", "ĺļľŀł"),
    ("N", "ÑŃŅŇŊǸ"),
    ("n", "ñńņňŉŋǹ"),
    ("O", "ÒÓÔÕÖØŌŎŐǑ"),
    ("o", "òóôõöøōŏőǒ"),
    ("OE", "Œ"),
    ("oe", "œ"),
    ("R", "ŔŖŘ"),
    ("r", "ŕŗř"),
    ("S", "ŚŜŞŠȘ"),
    ("s", "śŝşšșſ"),
    ("SS", "ẞ"),
    ("ss", "ß"),
    ("T", "ŢŤŦȚ"),
    ("t", "ţťŧț"),
    ("Th", "Þ"),
    ("th", "þ"),
    ("U", "ÙÚÛÜŨŪŬŮŰŲǓ"),
    ("u", "ùúûüũūŭůűųǔ"),
    ("W", "Ŵ"),
    ("w", "ŵ"),
    ("Y", "ÝŶŸ"),
    ("y", "ýÿŷ"),
    ("Z", "ŹŻŽ"),
    ("z", "źżž"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        String::from_utf8(bytes(text, None)).expect("ASCII")
    }

    #[test]
    fn what_ascii_lacks_is_written_as_a_reader_would() {
        for (text, wanted) in [
            ("Café Müller", "Cafe Muller"),
            (
                "“Best” ‘deal’ – 50 % … €5",
                "\"Best\" 'deal' - 50 % ... EUR5",
            ),
            ("Straße œuvre Þór", "Strasse oeuvre Thor"),
            ("Łódź Škoda ČEZ", "Lodz Skoda CEZ"),
            ("e\u{301}te\u{301}", "ete"),
            ("a\u{A0}b\u{200B}c\u{AD}d", "a bcd"),
            ("2×½ kg", "2x1/2 kg"),
            ("ＡＢ１", "AB1"),
            ("東京 Ω 🍞", "?? ? ?"),
        ] {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_control_character_never_gets_through() {
        for code in (0..0x20).chain(0x7F..0xA0) {
            let c = char::from_u32(code).expect("a character");
            for page in [
                None,
                Some(CodePageName::Cp437),
                Some(CodePageName::Cp850),
                Some(CodePageName::Wpc1252),
            ] {
                let out = bytes(&format!("a{c}b"), page);
                let wanted = if matches!(c, '\t' | '\n' | '\r') {
                    b' '
                } else {
                    b'?'
                };
                assert_eq!(out, [b'a', wanted, b'b'], "{code:02X} {page:?}");
            }
        }
    }

    #[test]
    fn the_code_page_comes_first_and_ascii_after_it() {
        assert_eq!(
            bytes("é€—Ł", Some(CodePageName::Cp437)),
            [0x82, b'E', b'U', b'R', b'-', b'L']
        );
        assert_eq!(
            bytes("é€—", Some(CodePageName::Wpc1252)),
            [0xE9, 0x80, 0x97]
        );
    }

    #[test]
    fn long_lines_are_folded_and_nothing_of_them_is_lost() {
        assert_eq!(fold(b"", 4), [b""]);
        assert_eq!(fold(b"abcd", 4), [b"abcd"]);
        assert_eq!(fold(b"abcdefghi", 4), [&b"abcd"[..], b"efgh", b"i"]);
        assert_eq!(fold(b"ab        ", 4), [b"ab  "]);
        assert_eq!(fold(b"          ", 4), [b"    "]);
        assert_eq!(fold(b"abcdef    ", 4), [&b"abcd"[..], b"ef"]);
        assert_eq!(fold(b"abc", 0), [b"a", b"b", b"c"]);
    }
}
