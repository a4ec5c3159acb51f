//! The line that a printer collects before it prints it.
//!
//! Text goes cell by cell; only a move (ESC $, ESC \, HT, a margin) looks at dots. So letters that are spaced
//! apart stay one word, and a text that was moved stands where it is seen.

use crate::capture::grid::Paper;
use crate::capture::token::{ESC, GS};

/// Most cells of a line, wherever a POS moves to.
const MAX_CELLS: usize = 256;
/// Tab stops stand at every so many characters until the POS sets others.
const TAB: u32 = 8;
/// Most tab stops that a printer keeps.
const MAX_TABS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Blank,
    Char(char),
    /// The rest of a wide character.
    Wide,
    /// The rest of a wide space.
    WideBlank,
}

/// Another character stands there already.
pub(super) struct Overprinted;

/// See the module. Lengths in dots, but for `cells`.
#[derive(Debug)]
pub(super) struct Line {
    cells: Vec<Cell>,
    /// Where the next character goes, in cells.
    column: usize,
    /// The same in dots.
    x: u32,
    /// Where the last character ended, in dots.
    end: u32,
    moved: bool,
    cell: u32,
    dpi: u32,
    /// Units to an inch, if the POS has set them.
    unit: Option<u32>,
    columns: u32,
    font_b: bool,
    wide: u32,
    spacing: u32,
    align: u8,
    margin: u32,
    width: Option<u32>,
    tabs: Option<Vec<u32>>,
}

impl Line {
    pub(super) fn new(paper: &Paper) -> Self {
        Self {
            cells: Vec::new(),
            column: 0,
            x: 0,
            end: 0,
            moved: false,
            cell: u32::from(paper.cell),
            dpi: u32::from(paper.dpi),
            unit: None,
            columns: u32::from(paper.columns),
            font_b: false,
            wide: 1,
            spacing: 0,
            align: 0,
            margin: 0,
            width: None,
            tabs: None,
        }
    }

    /// Nothing is in it that would print.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether the next character would start a new line by itself.
    pub(super) fn is_full(&self) -> bool {
        !self.cells.is_empty() && self.x + self.dots() * self.wide > self.area()
    }

    /// Sets a character. Spaces hide nothing.
    pub(super) fn put(&mut self, character: char) -> Result<(), Overprinted> {
        if self.moved {
            self.settle();
        }
        let wide = usize::try_from(self.wide).unwrap_or(1);
        let places = self.column..self.column + wide;
        self.column = places.end;
        self.x += (self.dots() + self.spacing) * self.wide;
        self.end = self.x;
        if places.end > MAX_CELLS {
            return Err(Overprinted);
        }
        if self.cells.len() < places.end {
            self.cells.resize(places.end, Cell::Blank);
        }
        let Some(cells) = self.cells.get_mut(places) else {
            return Err(Overprinted);
        };
        if character == ' ' {
            for cell in cells.iter_mut().skip(1).filter(|c| **c == Cell::Blank) {
                *cell = Cell::WideBlank;
            }
            return Ok(());
        }
        let first = cells.first().copied();
        if first == Some(Cell::Char(character)) {
            return Ok(());
        }
        if cells
            .iter()
            .any(|c| matches!(c, Cell::Char(_) | Cell::Wide))
        {
            return Err(Overprinted);
        }
        for (n, cell) in cells.iter_mut().enumerate() {
            *cell = if n == 0 {
                Cell::Char(character)
            } else {
                Cell::Wide
            };
        }
        Ok(())
    }

    /// To the next tab stop; without one a printer does nothing.
    pub(super) fn tab(&mut self) {
        let next = match &self.tabs {
            Some(tabs) => tabs.iter().copied().find(|stop| *stop > self.x),
            None => Some((self.x / (TAB * self.cell) + 1) * TAB * self.cell),
        };
        if let Some(next) = next {
            self.go(next);
        }
    }

    /// A picture of so many columns of dots stands in the line.
    pub(super) fn skip(&mut self, dots: u16) {
        self.go(self.x + u32::from(dots));
    }

    /// A command that changes where characters go, or how wide they are.
    pub(super) fn command(&mut self, bytes: &[u8]) {
        match *bytes {
            [ESC, b'!', n] => {
                self.font_b = n & 0x01 != 0;
                self.wide = if n & 0x20 == 0 { 1 } else { 2 };
            }
            [GS, b'!', n] => self.wide = u32::from((n >> 4) & 0x07) + 1,
            [ESC, b'M', n] => self.font_b = matches!(n, 1 | 49),
            [ESC, b' ', n] => self.spacing = self.length(u32::from(n)),
            [ESC, b'a', n] => self.align = if matches!(n, 48..=50) { n - 48 } else { n },
            [ESC, b'$', low, high] => {
                let x = self.length(word(low, high));
                self.go(x);
            }
            [ESC, b'\\', low, high] => {
                let by = i16::from_le_bytes([low, high]);
                let dots = self.length(u32::from(by.unsigned_abs()));
                self.go(if by < 0 {
                    self.x.saturating_sub(dots)
                } else {
                    self.x + dots
                });
            }
            [GS, b'L', low, high] => self.margin = self.length(word(low, high)),
            [GS, b'W', low, high] => self.width = Some(self.length(word(low, high))),
            [GS, b'P', x, _] => self.unit = (x != 0).then_some(u32::from(x)),
            [ESC, b'D', ref stops @ ..] => {
                let dots = (self.dots() + self.spacing) * self.wide;
                self.tabs = Some(
                    stops
                        .iter()
                        .take_while(|stop| **stop != 0)
                        .take(MAX_TABS)
                        .map(|stop| u32::from(*stop) * dots)
                        .collect(),
                );
            }
            _ => {}
        }
    }

    /// Prints: the row, with margin and alignment, without spaces at its end.
    pub(super) fn take(&mut self) -> String {
        let cells = std::mem::take(&mut self.cells);
        (self.column, self.x, self.end, self.moved) = (0, 0, 0, false);
        let room = usize::try_from(self.area() / self.dots()).unwrap_or(0);
        let free = room.saturating_sub(cells.len());
        let before = match self.align {
            1 => free / 2,
            2 => free,
            _ => 0,
        } + usize::try_from(self.margin / self.dots()).unwrap_or(0);
        let mut row = String::new();
        if cells.iter().any(|cell| matches!(cell, Cell::Char(_))) {
            row.extend(std::iter::repeat_n(' ', before.min(MAX_CELLS)));
        }
        row.extend(cells.iter().filter_map(|cell| match cell {
            Cell::Blank => Some(' '),
            Cell::Char(character) => Some(*character),
            Cell::Wide | Cell::WideBlank => None,
        }));
        row.truncate(row.trim_end().len());
        row
    }

    /// Dots of a character of normal width.
    fn dots(&self) -> u32 {
        if self.font_b {
            (self.cell * 3 / 4).max(1)
        } else {
            self.cell.max(1)
        }
    }

    /// Dots from the margin to the right edge.
    fn area(&self) -> u32 {
        let paper = (self.columns * self.cell).saturating_sub(self.margin);
        self.width.map_or(paper, |width| width.min(paper))
    }

    /// A length that a POS sent, in dots.
    fn length(&self, units: u32) -> u32 {
        match self.unit {
            Some(unit) => units * self.dpi / unit,
            None => units,
        }
    }

    fn go(&mut self, x: u32) {
        self.x = x;
        self.moved = true;
    }

    /// After a move: the cell in which the next character is seen.
    fn settle(&mut self) {
        self.moved = false;
        let dots = self.dots();
        let column = usize::try_from((self.x + dots / 2) / dots).unwrap_or(MAX_CELLS);
        self.column = if self.x >= self.end {
            let gap = usize::from(self.x - self.end >= dots / 2 && !self.cells.is_empty());
            column.max(self.cells.len() + gap)
        } else {
            column
        };
    }
}

fn word(low: u8, high: u8) -> u32 {
    u32::from(u16::from_le_bytes([low, high]))
}
