//! What is to stand on a piece of paper, before any printer's language.
//!
//! A page is already laid out: its lines fit the columns of the printer that it was made for. Which bytes
//! make it is the business of [`crate::escpos`].

mod png;

pub use png::{PictureError, Shades};

/// Where something stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Center,
    /// At the right edge.
    Right,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The text. Characters that the printer does not have are written in ASCII.
    pub text: String,
    /// Where it stands.
    pub align: Align,
    /// Whether it is bold.
    pub bold: bool,
    /// Twice as high and as wide: then half as many characters fit.
    pub double: bool,
}

impl Line {
    /// A plain line at the left.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// A picture of black and white dots, such as a logo: rows from the top, eight dots a byte, the left one in
/// the highest bit, 1 is black; each row begins with a byte of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Dots in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width.div_ceil(8) * height` bytes.
    pub bits: Vec<u8>,
}

impl Bitmap {
    /// A white picture.
    #[must_use]
    pub fn white(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            bits: vec![0; width.div_ceil(8) * height],
        }
    }

    /// Whether it has as many bytes as its dots take.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.width.div_ceil(8).checked_mul(self.height) == Some(self.bits.len())
    }

    /// Whether a dot is black, counted from the left and from the top. Outside of the picture all is white.
    #[must_use]
    pub fn black(&self, x: usize, y: usize) -> bool {
        self.place(x, y)
            .and_then(|(at, mask)| self.bits.get(at).map(|byte| byte & mask != 0))
            .unwrap_or(false)
    }

    /// Makes a dot black, counted from the left and from the top; outside of the picture it does nothing.
    pub fn blacken(&mut self, x: usize, y: usize) {
        if let Some((at, mask)) = self.place(x, y)
            && let Some(byte) = self.bits.get_mut(at)
        {
            *byte |= mask;
        }
    }

    /// The byte of a dot and the bit in it.
    fn place(&self, x: usize, y: usize) -> Option<(usize, u8)> {
        let inside = x < self.width && y < self.height;
        inside.then(|| (y * self.width.div_ceil(8) + x / 8, 0x80 >> (x % 8)))
    }
}

/// Which pin of the drawer's connector is pulsed, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Pin 2 of the connector, else pin 5.
    pub pin2: bool,
    /// Milliseconds on, at most 510.
    pub on_ms: u16,
    /// Milliseconds off, at most 510.
    pub off_ms: u16,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            pin2: true,
            on_ms: 100,
            off_ms: 100,
        }
    }
}

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A line of text.
    Line(Line),
    /// A QR code in the middle, as large as the paper takes; nothing where the printer can make none.
    Qr(String),
    /// A picture in the middle.
    Picture(Bitmap),
    /// Empty lines.
    Feed(u8),
    /// The end of a sheet: fed to the cutter and cut, or fed far enough to be torn off.
    Cut,
    /// Opens the cash drawer.
    Drawer(Pulse),
    /// Bytes of an old POS, sent as they are.
    Raw(Vec<u8>),
}

/// A job's paper, from the first item to the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Its pieces.
    pub items: Vec<Item>,
}
