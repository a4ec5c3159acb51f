//! What a byte of 80 or more means.

/// The character that this byte prints in this code page (`ESC t n`).
pub(crate) fn character(page: u8, byte: u8) -> char {
    if byte < 0x80 {
        return char::from(byte);
    }
    let table = match page {
        0 => CP437,
        2 => CP850,
        16 => CP1252,
        19 if byte == 0xD5 => return '€',
        19 => CP850,
        _ => return UNKNOWN,
    };
    table
        .chars()
        .nth(usize::from(byte) - 0x80)
        .unwrap_or(UNKNOWN)
}

/// What stands for a character that the printer has not got.
pub(crate) const UNKNOWN: char = '\u{FFFD}';

const CP437: &str = "\
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
    áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}\
    ";
const CP850: &str = "\
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ\
    áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
    ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{AD}±‗¾¶§÷¸°¨·¹³²■\u{A0}\
    ";
const CP1252: &str = "\
    €\u{FFFD}‚ƒ„…†‡ˆ‰Š‹Œ\u{FFFD}Ž\u{FFFD}\u{FFFD}‘’“”•–—˜™š›œ\u{FFFD}žŸ\
    \u{A0}¡¢£¤¥¦§¨©ª«¬\u{AD}®¯°±²³´µ¶·¸¹º»¼½¾¿\
    ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
    àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ\
    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_character_for_each_byte() {
        for table in [CP437, CP850, CP1252] {
            assert_eq!(table.chars().count(), 128);
        }
        assert_eq!(character(0, 0x9C), '£');
        assert_eq!(character(2, 0x87), 'ç');
        assert_eq!(character(16, 0x80), '€');
        assert_eq!(character(19, 0xD5), '€');
        assert_eq!(character(255, 0xD5), UNKNOWN);
        assert_eq!(character(255, b'A'), 'A');
    }
}
