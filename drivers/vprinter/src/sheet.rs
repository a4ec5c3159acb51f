//! What comes out of a printer: sheets of paper.

use crate::bitmap::{Bitmap, PngError};
use crate::font::glyph;

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a command of its own"
)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub reverse: bool,
    /// Turned by half a turn.
    pub upside_down: bool,
    /// The smaller font.
    pub font_b: bool,
    /// So many times as wide, 1 to 8.
    pub width: usize,
    /// So many times as high, 1 to 8.
    pub height: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            bold: false,
            underline: false,
            reverse: false,
            upside_down: false,
            font_b: false,
            width: 1,
            height: 1,
        }
    }
}

/// A character on the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What it is.
    pub ch: char,
    /// Its left edge in dots from the left end of the head.
    pub x: usize,
    /// Its width in dots, scaled.
    pub width: usize,
    /// Its height in rows, scaled.
    pub height: usize,
    /// How it looks.
    pub style: Style,
}

/// What a picture on the paper was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureKind {
    /// A QR code that the printer has drawn by itself (`GS ( k`).
    Qr {
        /// What it says.
        data: Vec<u8>,
        /// Dots in a side of a module.
        module: usize,
    },
    /// Rows of dots (`GS v 0`).
    Raster,
    /// A band of columns of dots (`ESC *`).
    Columns,
    /// Rows of dots, stored first (`GS ( L`, `GS 8 L`).
    Stored,
    /// A bar code (`GS k`), drawn as a box only.
    Barcode {
        /// What it says.
        data: Vec<u8>,
    },
}

/// A picture on the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its left edge in dots from the left end of the head.
    pub x: usize,
    /// Its dots.
    pub dots: Bitmap,
    /// What it was made with.
    pub kind: PictureKind,
}

/// What was printed in one go, side by side: a line of text, or a picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its upper edge in rows of dots from the sheet's upper end.
    pub y: usize,
    /// Its height in rows of dots, without the white below it.
    pub height: usize,
    /// Its characters in the order in which they were sent.
    pub cells: Vec<Cell>,
    /// Its pictures.
    pub pictures: Vec<Picture>,
}

impl Row {
    /// Whether nothing is on it that could be seen.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.pictures.is_empty() && self.cells.iter().all(|cell| cell.ch == ' ')
    }

    /// Its text as one reads it, with as many spaces as the white is wide; none at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut cells: Vec<_> = self.cells.iter().collect();
        cells.sort_by_key(|cell| cell.x);
        let mut text = String::new();
        let mut at = 0;
        for cell in cells {
            let one = (cell.width / cell.style.width.max(1)).max(1);
            let white = cell.x.saturating_sub(at);
            text.extend(std::iter::repeat_n(' ', (white + one / 2) / one));
            text.push(cell.ch);
            at = cell.x + cell.width;
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// How a sheet came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheetEnd {
    /// The printer has cut it.
    Cut,
    /// A person has torn it off.
    Torn,
    /// The power went away while it was printed, and a person has torn off what there was.
    PowerLost,
}

/// A sheet of paper that has left the printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What is on it, from the top.
    pub rows: Vec<Row>,
    /// Nothing that was sent for it has been lost: no power loss, no cleared buffer.
    pub complete: bool,
    /// How it ended.
    pub end: SheetEnd,
    /// On how many pieces of paper it is: 2 if the roll ended in the middle of it.
    pub pieces: usize,
    /// Dots in a row of the head.
    pub dots: usize,
    /// Its length in rows of dots.
    pub height: usize,
}

/// White paper at both sides of what the head reaches, in dots.
const MARGIN: usize = 32;

impl Sheet {
    /// Its lines as one reads them. A row that is a picture only is none.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let rows = self.rows.iter();
        let with_text = rows.filter(|row| row.pictures.is_empty() || !row.cells.is_empty());
        with_text.map(Row::text).collect()
    }

    /// Its lines in one string, each with its newline.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().into_iter().map(|line| line + "\n").collect()
    }

    /// Whether this stands in one of its lines.
    #[must_use]
    pub fn says(&self, what: &str) -> bool {
        self.lines().iter().any(|line| line.contains(what))
    }

    /// Its pictures from the top.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.rows.iter().flat_map(|row| &row.pictures)
    }

    /// The paper as it looks.
    #[must_use]
    pub fn bitmap(&self) -> Bitmap {
        let ends = self.rows.iter().map(|row| row.y + row.height);
        let height = ends.max().unwrap_or(0).max(self.height);
        let mut paper = Bitmap::new(self.dots + 2 * MARGIN, height + MARGIN);
        for row in &self.rows {
            for picture in &row.pictures {
                paper.print(MARGIN + picture.x, row.y, &picture.dots);
            }
            for cell in &row.cells {
                draw(&mut paper, row, cell);
            }
        }
        paper
    }

    /// The paper as it looks, as a PNG file.
    ///
    /// # Errors
    /// It is too long for one.
    pub fn to_png(&self) -> Result<Vec<u8>, PngError> {
        self.bitmap().to_png()
    }
}

fn draw(paper: &mut Bitmap, row: &Row, cell: &Cell) {
    let (across, down) = (cell.style.width.max(1), cell.style.height.max(1));
    let mut letter = glyph(cell.ch, cell.width / across, cell.height / down).scaled(across, down);
    if cell.style.upside_down {
        letter = letter.turned();
    }
    let x = MARGIN + cell.x;
    let y = row.y + row.height.saturating_sub(cell.height);
    paper.print(x, y, &letter);
    if cell.style.bold {
        paper.print(x + 1, y, &letter);
    }
    if cell.style.underline {
        paper.fill(x, y + cell.height.saturating_sub(2), cell.width, 2);
    }
    if cell.style.reverse {
        paper.invert(x, y, cell.width, cell.height);
    }
}
