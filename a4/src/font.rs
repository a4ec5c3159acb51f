//! The typefaces: which one has a character, how wide a text is, how it folds.
//!
//! Noto Sans in two weights; what it lacks is taken from DejaVu Sans, and what neither has, or what could
//! turn a text round or hide in it, is shown as U+FFFD, and read out of the file as that. (PDF could carry
//! the character itself beside it; readers differ in what they make of that, some drop both.) Widths come
//! from the same shaper that sets the text, so that columns of numbers stand exactly.

use krilla::text::Font;
use rustybuzz::{Direction, Face, UnicodeBuffer};

use crate::A4Error;

/// Lengths: twentieths of a point. A page is 11906 by 16838 of them.
pub(crate) type Twips = i32;

const REGULAR: &[u8] = include_bytes!("../fonts/NotoSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/NotoSans-Bold.ttf");
const FALLBACK: &[u8] = include_bytes!("../fonts/DejaVuSans.ttf");

/// Shown where no typeface has a character.
const REPLACEMENT: char = '\u{FFFD}';

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Size of the letters.
    pub(crate) size: Twips,
    /// Whether it is bold.
    pub(crate) bold: bool,
}

impl Style {
    /// Regular letters of so many twentieths of a point.
    pub(crate) const fn plain(size: Twips) -> Self {
        Self { size, bold: false }
    }

    /// Bold ones.
    pub(crate) const fn bold(size: Twips) -> Self {
        Self { size, bold: true }
    }

    /// From one line to the next.
    pub(crate) const fn pitch(self) -> Twips {
        self.size * 27 / 20
    }
}

/// One of the typefaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaceId {
    /// Noto Sans.
    Regular,
    /// Noto Sans Bold.
    Bold,
    /// DejaVu Sans.
    Fallback,
}

/// A piece of a line in one typeface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The typeface.
    pub(crate) face: FaceId,
    /// What is shown.
    pub(crate) text: String,
    /// How wide it is.
    pub(crate) width: Twips,
}

/// A line that is ready to be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line {
    /// Its pieces from left to right.
    pub(crate) runs: Vec<Run>,
    /// How wide it is.
    pub(crate) width: Twips,
}

struct Typeface {
    face: Face<'static>,
    font: Font,
}

impl Typeface {
    fn new(bytes: &'static [u8]) -> Result<Self, A4Error> {
        let face = Face::from_slice(bytes, 0).ok_or(A4Error::Font)?;
        let font = Font::new(bytes.into(), 0).ok_or(A4Error::Font)?;
        Ok(Self { face, font })
    }

    fn has(&self, letter: char) -> bool {
        self.face.glyph_index(letter).is_some()
    }

    fn width(&self, text: &str, size: Twips) -> Twips {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        buffer.set_direction(Direction::LeftToRight);
        let glyphs = rustybuzz::shape(&self.face, &[], buffer);
        let units: i64 = glyphs
            .glyph_positions()
            .iter()
            .map(|glyph| i64::from(glyph.x_advance))
            .sum();
        let em = i64::from(self.face.units_per_em()).max(1);
        let width = (units * i64::from(size) + em - 1) / em;
        Twips::try_from(width).unwrap_or(Twips::MAX)
    }
}

/// All typefaces.
pub(crate) struct Fonts {
    regular: Typeface,
    bold: Typeface,
    fallback: Typeface,
}

impl Fonts {
    /// Reads them.
    pub(crate) fn new() -> Result<Self, A4Error> {
        Ok(Self {
            regular: Typeface::new(REGULAR)?,
            bold: Typeface::new(BOLD)?,
            fallback: Typeface::new(FALLBACK)?,
        })
    }

    /// The typeface for the PDF.
    pub(crate) fn font(&self, id: FaceId) -> Font {
        self.typeface(id).font.clone()
    }

    fn typeface(&self, id: FaceId) -> &Typeface {
        match id {
            FaceId::Regular => &self.regular,
            FaceId::Bold => &self.bold,
            FaceId::Fallback => &self.fallback,
        }
    }

    /// A text on a single line, however wide.
    pub(crate) fn line(&self, text: &str, style: Style) -> Line {
        let mut runs: Vec<Run> = Vec::new();
        for letter in text.chars() {
            let (face, shown) = self.choose(letter, style);
            match runs.last_mut() {
                Some(run) if run.face == face => run.text.push(shown),
                _ => runs.push(Run {
                    face,
                    text: shown.into(),
                    width: 0,
                }),
            }
        }
        for run in &mut runs {
            run.width = self.typeface(run.face).width(&run.text, style.size);
        }
        Line {
            width: runs.iter().map(|run| run.width).sum(),
            runs,
        }
    }

    fn choose(&self, letter: char, style: Style) -> (FaceId, char) {
        let main = if style.bold {
            FaceId::Bold
        } else {
            FaceId::Regular
        };
        if letter == ' ' {
            return (main, letter);
        }
        if !may_be_shown(letter) {
            return (FaceId::Fallback, REPLACEMENT);
        }
        if self.typeface(main).has(letter) {
            (main, letter)
        } else if self.fallback.has(letter) {
            (FaceId::Fallback, letter)
        } else {
            (FaceId::Fallback, REPLACEMENT)
        }
    }

    /// The text in lines of at most this width, at least one: broken between words; a word that is wider
    /// than a line is broken anywhere.
    pub(crate) fn fold(&self, text: &str, style: Style, width: Twips) -> Vec<Line> {
        let space = self.line(" ", style).width;
        let mut texts = Vec::new();
        let mut present = String::new();
        let mut filled = 0;
        for word in text.split_whitespace() {
            let wide = self.line(word, style).width;
            if filled > 0 && filled + space + wide <= width {
                present.push(' ');
                present.push_str(word);
                filled += space + wide;
                continue;
            }
            if filled > 0 {
                texts.push(std::mem::take(&mut present));
                filled = 0;
            }
            if wide <= width {
                present.push_str(word);
                filled = wide;
                continue;
            }
            for letter in word.chars() {
                let wide = self.line(letter.encode_utf8(&mut [0; 4]), style).width;
                if filled > 0 && filled + wide > width {
                    texts.push(std::mem::take(&mut present));
                    filled = 0;
                }
                present.push(letter);
                filled += wide;
            }
        }
        if !present.is_empty() || texts.is_empty() {
            texts.push(present);
        }
        texts.iter().map(|text| self.line(text, style)).collect()
    }
}

/// Whether it may stand on paper at all: no control character, nothing invisible, nothing that is written
/// from right to left.
fn may_be_shown(letter: char) -> bool {
    use fiscal::text::TextError;
    let is_unseen = matches!(
        letter,
        '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'
            ..='\u{180F}' | '\u{2028}' | '\u{2029}' | '\u{3164}'
    );
    let is_symbol = matches!(letter, '\u{2600}'..='\u{27BF}' | '\u{2B00}'..='\u{2BFF}');
    let refused = fiscal::text::check(letter.encode_utf8(&mut [0; 4]), 1);
    let fine = matches!(refused, Ok(()) | Err(TextError::Empty));
    !is_unseen && (fine || is_symbol)
}
