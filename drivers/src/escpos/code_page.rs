//! The upper halves of the code pages that printers have, 80 to FF.

use crate::profile::CodePageName;

/// The characters of 80 to FF in order; NUL where a page has none that we would print.
fn upper(name: CodePageName) -> &'static str {
    match name {
        CodePageName::Cp437 => CP437,
        CodePageName::Cp850 => CP850,
        CodePageName::Cp858 => CP858,
        CodePageName::Wpc1252 => WPC1252,
    }
}

/// The byte of a character that is not ASCII, if the page has it.
pub(super) fn byte(name: CodePageName, wanted: char) -> Option<u8> {
    if wanted == '\0' {
        return None;
    }
    let place = upper(name).chars().position(|c| c == wanted)?;
    u8::try_from(place + 0x80).ok()
}

const CP437: &str = "\
     ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
     áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
     └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
     αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\0";

const CP850: &str = "\
     ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ\
     áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
     └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
     ÓßÔÒõÕµþÞÚÛÙýÝ¯´\0±‗¾¶§÷¸°¨·¹³²■\0";

const CP858: &str = "\
     ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ\
     áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
     └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀\
     ÓßÔÒõÕµþÞÚÛÙýÝ¯´\0±‗¾¶§÷¸°¨·¹³²■\0";

const WPC1252: &str = "\
     €\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ\
     \0¡¢£¤¥¦§¨©ª«¬\0®¯°±²³´µ¶·¸¹º»¼½¾¿\
     ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
     àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_128_characters_and_the_letters_where_they_belong() {
        for name in [
            CodePageName::Cp437,
            CodePageName::Cp850,
            CodePageName::Cp858,
            CodePageName::Wpc1252,
        ] {
            assert_eq!(upper(name).chars().count(), 128, "{name:?}");
            assert_eq!(byte(name, '\0'), None);
            assert_eq!(byte(name, 'A'), None);
        }
        // From the makers' tables.
        for (name, c, wanted) in [
            (CodePageName::Cp437, 'é', Some(0x82)),
            (CodePageName::Cp437, '■', Some(0xFE)),
            (CodePageName::Cp437, '€', None),
            (CodePageName::Cp850, 'Ã', Some(0xC7)),
            (CodePageName::Cp850, 'ı', Some(0xD5)),
            (CodePageName::Cp858, '€', Some(0xD5)),
            (CodePageName::Wpc1252, '€', Some(0x80)),
            (CodePageName::Wpc1252, 'ÿ', Some(0xFF)),
            (CodePageName::Wpc1252, 'Š', Some(0x8A)),
        ] {
            assert_eq!(byte(name, c), wanted, "{name:?} {c}");
        }
    }
}
