//! The upper halves of the code pages that receipt printers have.

use crate::profile::CodePageName;

const CP437: [&str; 4] = [
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
    "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
    "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{00A0}",
];
const CP850: [&str; 4] = [
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ",
    "áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐",
    "└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀",
    "ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{00AD}±‗¾¶§÷¸°¨·¹³²■\u{00A0}",
];
const CP858: [&str; 4] = [
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ",
    "áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐",
    "└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀",
    "ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{00AD}±‗¾¶§÷¸°¨·¹³²■\u{00A0}",
];
const WPC1252: [&str; 4] = [
    "€\u{FFFD}‚ƒ„…†‡ˆ‰Š‹Œ\u{FFFD}Ž\u{FFFD}\u{FFFD}‘’“”•–—˜™š›œ\u{FFFD}žŸ",
    "\u{00A0}¡¢£¤¥¦§¨©ª«¬\u{00AD}®¯°±²³´µ¶·¸¹º»¼½¾¿",
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß",
    "àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
];

/// What stands for a byte that the code page does not have, or whose code page is not known.
pub const UNKNOWN: char = '\u{FFFD}';

/// The code page that ESC t `n` selects on printers of Epson's numbering.
#[must_use]
pub fn by_number(n: u8) -> Option<CodePageName> {
    match n {
        0 => Some(CodePageName::Cp437),
        2 => Some(CodePageName::Cp850),
        16 => Some(CodePageName::Wpc1252),
        19 => Some(CodePageName::Cp858),
        _ => None,
    }
}

/// The character that a byte of a text stands for; [`UNKNOWN`] for a byte above 7Eh without a code page.
#[must_use]
pub fn decode(byte: u8, page: Option<CodePageName>) -> char {
    if byte < 0x7F {
        return char::from(byte);
    }
    let table = match page {
        Some(CodePageName::Cp437) => &CP437,
        Some(CodePageName::Cp850) => &CP850,
        Some(CodePageName::Cp858) => &CP858,
        Some(CodePageName::Wpc1252) => &WPC1252,
        None => return UNKNOWN,
    };
    let Some(place) = byte.checked_sub(0x80).map(usize::from) else {
        return UNKNOWN;
    };
    table
        .get(place / 32)
        .and_then(|row| row.chars().nth(place % 32))
        .unwrap_or(UNKNOWN)
}

/// The character of a byte in Epson's katakana page (ESC t 1), whose lines some software draws rules with.
#[must_use]
pub fn decode_katakana(byte: u8) -> char {
    match byte {
        ..=0x7E => char::from(byte),
        0x80..=0x9F => KATAKANA_LINES
            .chars()
            .nth(usize::from(byte - 0x80))
            .unwrap_or(UNKNOWN),
        0xA1..=0xDF => char::from_u32(0xFF61 + u32::from(byte - 0xA1)).unwrap_or(UNKNOWN),
        _ => UNKNOWN,
    }
}

const KATAKANA_LINES: &str = "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉┼┴┬┤├▔─│▕┌┐└┘╭╮╰╯";

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table is full, and the euro and the pound stand where the pages have them.
    #[test]
    fn tables() {
        for table in [&CP437, &CP850, &CP858, &WPC1252] {
            assert!(table.iter().all(|row| row.chars().count() == 32));
        }
        assert_eq!(decode(0xD5, Some(CodePageName::Cp858)), '€');
        assert_eq!(decode(0x80, Some(CodePageName::Wpc1252)), '€');
        assert_eq!(decode(0x9C, Some(CodePageName::Cp437)), '£');
        assert_eq!(decode(0xFE, Some(CodePageName::Cp850)), '■');
        assert_eq!(decode(0x80, None), UNKNOWN);
        assert_eq!(decode(b'A', None), 'A');
        assert_eq!(decode_katakana(0x95), '─');
        assert_eq!(decode_katakana(0xB1), 'ｱ');
        assert_eq!(KATAKANA_LINES.chars().count(), 32);
    }
}
