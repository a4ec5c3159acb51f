//! Texts as the software at the other end writes them: one byte a character, by a code page.

use serde::{Deserialize, Serialize};

/// How bytes are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// Windows-1252, which has ASCII in it.
    #[default]
    Cp1252,
    /// Windows-1251: Cyrillic.
    Cp1251,
    /// UTF-8.
    Utf8,
}

impl TextEncoding {
    /// Reads a text. Control characters become spaces, bytes without a character `?`.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> String {
        let text: String = match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Cp1251 => bytes.iter().map(|b| cyrillic(*b)).collect(),
            Self::Cp1252 => bytes.iter().map(|b| western(*b)).collect(),
        };
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }

    /// Writes a text. Characters that the code page does not have become `?`.
    #[must_use]
    pub fn write(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Cp1251 => text.chars().map(|c| byte_of(c, cyrillic)).collect(),
            Self::Cp1252 => text.chars().map(|c| byte_of(c, western)).collect(),
        }
    }
}

fn byte_of(wanted: char, page: fn(u8) -> char) -> u8 {
    (0..=u8::MAX)
        .find(|b| page(*b) == wanted && (wanted == '?' || page(*b) != '?'))
        .unwrap_or(b'?')
}

fn cyrillic(byte: u8) -> char {
    match byte {
        0..=0x7F => char::from(byte),
        0xA8 => 'Ё',
        0xB8 => 'ё',
        0xB9 => '№',
        0xA0 => ' ',
        0xC0.. => char::from_u32(0x0410 + u32::from(byte) - 0xC0).unwrap_or('?'),
        _ => '?',
    }
}

fn western(byte: u8) -> char {
    match byte {
        0x80 => '€',
        0x91 | 0x92 => '\'',
        0x93 | 0x94 => '"',
        0x96 | 0x97 => '-',
        0x81..=0x9F => '?',
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_from_its_bytes() {
        assert_eq!(TextEncoding::Cp1251.read(&[0xC0, 0xC1, 0xFF]), "АБя");
        assert_eq!(TextEncoding::Cp1251.write("АБя?"), [0xC0, 0xC1, 0xFF, b'?']);
        assert_eq!(TextEncoding::Cp1252.write("5 € é"), b"5 \x80 \xE9");
        assert_eq!(TextEncoding::Utf8.read("é\t".as_bytes()), "é ");
    }
}
