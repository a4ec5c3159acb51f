//! The line that is being put together, and the modes in which its characters are set.

use crate::bitmap::Bitmap;
use crate::setup::PrinterSetup;
use crate::sheet::{Cell, Picture, PictureKind, Row, Style};

/// Where a line stands in its area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Align {
    #[default]
    Left,
    Center,
    Right,
}

/// What `ESC @` resets.
#[derive(Debug, Clone)]
pub(crate) struct Modes {
    pub(crate) style: Style,
    pub(crate) align: Align,
    pub(crate) page: u8,
    /// Rows from line to line.
    pub(crate) spacing: usize,
    pub(crate) space_right: usize,
    /// Columns of the tabulators, in dots from the left margin.
    pub(crate) tabs: Vec<usize>,
    pub(crate) left: usize,
    pub(crate) width: usize,
    pub(crate) kanji: bool,
    pub(crate) barcode_height: usize,
}

impl Modes {
    pub(crate) fn new(setup: &PrinterSetup) -> Self {
        let cell = setup.cell_width(false);
        Self {
            style: Style::default(),
            align: Align::Left,
            page: 0,
            spacing: setup.line_rows(),
            space_right: 0,
            tabs: (1..=32).map(|n| n * 8 * cell).collect(),
            left: 0,
            width: setup.dots,
            kanji: setup.starts_in_kanji,
            barcode_height: 162,
        }
    }

    /// The area's width: what the margin leaves of the head.
    pub(crate) fn area(&self, setup: &PrinterSetup) -> usize {
        self.width.min(setup.dots.saturating_sub(self.left))
    }
}

/// The line that is being put together. Places are dots from the left margin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    cells: Vec<Cell>,
    pictures: Vec<Picture>,
    at: usize,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.pictures.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Dots that this character needs in these modes.
    pub(crate) fn needs(setup: &PrinterSetup, modes: &Modes, wide: bool) -> usize {
        let one = setup.cell_width(modes.style.font_b) * modes.style.width;
        if wide { 2 * one } else { one }
    }

    /// Whether so many dots more do not fit.
    pub(crate) fn is_full_for(&self, dots: usize, area: usize) -> bool {
        self.at > 0 && self.at + dots > area
    }

    pub(crate) fn put(&mut self, setup: &PrinterSetup, modes: &Modes, ch: char, wide: bool) {
        let width = Self::needs(setup, modes, wide);
        self.cells.push(Cell {
            ch,
            x: self.at,
            width,
            height: setup.cell_height(modes.style.font_b) * modes.style.height,
            style: modes.style,
        });
        self.at += width + modes.space_right * modes.style.width;
    }

    /// A picture in the line, from where it stands.
    pub(crate) fn draw(&mut self, dots: Bitmap, kind: PictureKind) {
        let width = dots.width();
        self.pictures.push(Picture {
            x: self.at,
            dots,
            kind,
        });
        self.at += width;
    }

    /// The next tabulator; without one nothing happens.
    pub(crate) fn tab(&mut self, modes: &Modes, area: usize) {
        let mut stops = modes.tabs.iter();
        if let Some(stop) = stops.find(|stop| **stop > self.at && **stop < area) {
            self.at = *stop;
        }
    }

    /// `ESC $`: so many dots from the margin; outside the area it is ignored.
    pub(crate) fn go_to(&mut self, dots: usize, area: usize) {
        if dots < area {
            self.at = dots;
        }
    }

    /// `ESC \`: so many dots to the right, or to the left.
    pub(crate) fn go_by(&mut self, dots: i16, area: usize) {
        let by = usize::from(dots.unsigned_abs());
        let to = if dots < 0 {
            self.at.checked_sub(by)
        } else {
            Some(self.at + by)
        };
        if let Some(to) = to {
            self.go_to(to, area);
        }
    }

    /// The line as it comes onto the paper; the next one begins.
    pub(crate) fn finish(&mut self, setup: &PrinterSetup, modes: &Modes) -> Row {
        let line = std::mem::take(self);
        let ends = line.cells.iter().map(|cell| cell.x + cell.width);
        let ends = ends.chain(line.pictures.iter().map(|p| p.x + p.dots.width()));
        let free = modes.area(setup).saturating_sub(ends.max().unwrap_or(0));
        let shift = modes.left
            + match modes.align {
                Align::Left => 0,
                Align::Center => free / 2,
                Align::Right => free,
            };
        let mut row = Row {
            y: 0,
            height: 0,
            cells: line.cells,
            pictures: line.pictures,
        };
        for cell in &mut row.cells {
            cell.x += shift;
            row.height = row.height.max(cell.height);
        }
        for picture in &mut row.pictures {
            picture.x += shift;
            row.height = row.height.max(picture.dots.height());
        }
        row
    }
}
