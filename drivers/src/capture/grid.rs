//! A job as its paper would show it: rows of characters, each where it stands.
//!
//! POS programs place a price with spaces, with tab stops, or with nothing but a position in dots; on paper all
//! look the same. So the stream is laid out as a printer would, in cells of one character, and templates are
//! matched against what is to be seen. A double-wide character takes two cells. What cannot be laid out without
//! doubt (text printed over text, own character shapes) is noted, for no sale may be read from it.

use std::fmt;

use crate::capture::codepage;
use crate::capture::token::{ESC, GS, Kind, Token, selects_printer, tokens};
use crate::profile::CodePageName;

mod line;
mod paper;

use line::Line;
pub use paper::Paper;

/// Most rows that are laid out; a receipt has a few dozen.
pub const MAX_ROWS: usize = 4000;
/// Empty rows that a feed leaves, whatever its length.
const FEED_ROWS: usize = 2;
/// A row of text as high as so many rows of dots.
const DOTS_OF_A_ROW: u64 = 24;
/// The longest text beside a picture that tells nothing.
const CAPTION: usize = 8;

/// A place on the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The row, from 0 on.
    pub row: usize,
    /// Where it begins in the row's text, in bytes.
    pub from: usize,
    /// Where it ends, in bytes.
    pub to: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.row + 1)
    }
}

/// Why a row cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Different characters are printed over each other.
    Overprinted,
    /// The POS defined the shapes of its characters itself.
    OwnCharacters,
    /// A page was thrown away in part.
    Cancelled,
    /// More rows than are laid out.
    TooLong,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overprinted => "characters are printed over each other",
            Self::OwnCharacters => "the POS prints characters of its own shape",
            Self::Cancelled => "a part of the page was thrown away (CAN)",
            Self::TooLong => "the job has too many lines",
        })
    }
}

/// A job's paper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grid {
    rows: Vec<String>,
    doubts: Vec<(usize, Doubt)>,
    picture_rows: u64,
}

impl Grid {
    /// Lays out a job.
    #[must_use]
    pub fn new(bytes: &[u8], paper: &Paper) -> Self {
        let mut layout = Layout::new(paper);
        for token in tokens(bytes).filter(|token| token.whole) {
            layout.token(&token);
        }
        layout.end_line();
        layout.grid
    }

    /// The rows, from the top, without spaces at their ends.
    #[must_use]
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// What stands at a place; empty if there is no such place.
    #[must_use]
    pub fn at(&self, span: Span) -> &str {
        self.rows
            .get(span.row)
            .and_then(|row| row.get(span.from..span.to))
            .unwrap_or_default()
    }

    /// What cannot be believed, and in which row.
    #[must_use]
    pub fn doubts(&self) -> &[(usize, Doubt)] {
        &self.doubts
    }

    /// Whether there is a letter or a digit on the paper.
    #[must_use]
    pub fn has_text(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.chars().any(char::is_alphanumeric))
    }

    /// Whether the job is pictures of text: nothing that could be read, and more dots than rows.
    #[must_use]
    pub fn is_picture(&self) -> bool {
        let text = self.rows.iter().filter(|row| !row.trim().is_empty());
        let longest = text.clone().map(|row| row.trim().chars().count()).max();
        let rows = u64::try_from(text.count()).unwrap_or(u64::MAX);
        self.picture_rows > rows.saturating_mul(DOTS_OF_A_ROW) && longest.unwrap_or(0) <= CAPTION
    }

    /// The text without what may differ between two prints of the same receipt: empty rows, runs of spaces.
    #[must_use]
    pub fn normalised(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let mut words = row.split_whitespace().peekable();
            if words.peek().is_none() {
                continue;
            }
            for word in words {
                if !(out.is_empty() || out.ends_with('\n')) {
                    out.push(' ');
                }
                out.push_str(word);
            }
            out.push('\n');
        }
        out
    }
}

/// A printer without paper.
struct Layout<'a> {
    paper: &'a Paper,
    grid: Grid,
    line: Line,
    code_page: Option<CodePageName>,
    katakana: bool,
    /// What comes is for another device.
    elsewhere: bool,
    british: bool,
    own_characters: bool,
    page_mode: bool,
}

impl<'a> Layout<'a> {
    fn new(paper: &'a Paper) -> Self {
        Self {
            paper,
            grid: Grid::default(),
            line: Line::new(paper),
            code_page: Some(paper.code_page),
            katakana: false,
            elsewhere: false,
            british: false,
            own_characters: false,
            page_mode: false,
        }
    }

    fn token(&mut self, token: &Token<'_>) {
        if let Some(selected) = selects_printer(token.bytes) {
            self.elsewhere = !selected;
        }
        if self.elsewhere {
            return;
        }
        match token.kind {
            Kind::Text => self.text(token.bytes),
            Kind::Control(control) => self.control(control),
            Kind::Command => self.command(token.bytes),
            Kind::RealTime => {}
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        if self.own_characters {
            self.doubt(Doubt::OwnCharacters);
        }
        for byte in bytes {
            let character = match byte {
                b'#' if self.british => '£',
                _ if self.katakana => codepage::decode_katakana(*byte),
                _ => codepage::decode(*byte, self.code_page),
            };
            if self.line.is_full() {
                self.flush();
            }
            if self.line.put(character).is_err() {
                self.doubt(Doubt::Overprinted);
            }
        }
    }

    fn control(&mut self, control: u8) {
        match control {
            b'\n' => self.flush(),
            b'\t' => self.line.tab(),
            0x0C if self.page_mode => {
                self.end_line();
                self.page_mode = false;
            }
            0x0C => self.end_line(),
            0x18 if self.page_mode => self.doubt(Doubt::Cancelled),
            _ => {}
        }
    }

    fn command(&mut self, bytes: &[u8]) {
        match *bytes {
            [ESC, b'@'] => {
                self.end_line();
                let grid = std::mem::take(&mut self.grid);
                *self = Self::new(self.paper);
                self.grid = grid;
            }
            [ESC, b't', n] => {
                self.code_page = self.paper.page_of(n);
                self.katakana = n == 1 && self.code_page.is_none();
            }
            [ESC, b'R', n] => self.british = n == 3,
            [ESC, b'%', n] => self.own_characters = n & 1 == 1,
            [ESC, b'd', n] => self.feed(usize::from(n)),
            [ESC, b'J', _] => self.end_line(),
            [ESC, b'L'] => self.page_mode = true,
            [ESC, b'S'] => self.page_mode = false,
            [GS, b'$', ..] if self.page_mode => self.end_line(),
            [GS, b'v', _, _, _, _, yl, yh, ..] => self.picture(yl, yh),
            [GS, b'(', b'L', _, _, 48, 112, _, _, _, _, _, _, yl, yh, ..]
            | [
                GS,
                b'8',
                b'L',
                _,
                _,
                _,
                _,
                48,
                112,
                _,
                _,
                _,
                _,
                _,
                _,
                yl,
                yh,
                ..,
            ] => {
                self.picture(yl, yh);
            }
            [GS, b'V', ..] | [ESC, b'i' | b'm'] => self.end_line(),
            [ESC, b'*', mode, low, high, ..] => {
                self.grid.picture_rows += if mode < 32 { 8 } else { 24 };
                self.line.skip(u16::from_le_bytes([low, high]));
            }
            _ => self.line.command(bytes),
        }
    }

    fn picture(&mut self, low: u8, high: u8) {
        self.end_line();
        self.grid.picture_rows += u64::from(u16::from_le_bytes([low, high]));
    }

    fn doubt(&mut self, doubt: Doubt) {
        let found = (self.grid.rows.len(), doubt);
        if !self.grid.doubts.contains(&found) && self.grid.doubts.len() < 20 {
            self.grid.doubts.push(found);
        }
    }

    /// Prints the line if there is anything in it.
    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.flush();
        }
    }

    fn feed(&mut self, lines: usize) {
        let empty = if self.line.is_empty() {
            lines
        } else {
            self.flush();
            lines.saturating_sub(1)
        };
        for _ in 0..empty.min(FEED_ROWS) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let row = self.line.take();
        if self.grid.rows.len() < MAX_ROWS {
            self.grid.rows.push(row);
        } else if !row.is_empty() {
            self.doubt(Doubt::TooLong);
        }
    }
}
