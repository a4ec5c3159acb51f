//! What each command does.

use crate::bitmap::Bitmap;
use crate::codepage;
use crate::line::{Align, Line, Modes};
use crate::printer::{Printer, Work};
use crate::setup::Head;
use crate::sheet::{PictureKind, Style};
use crate::symbols::{QrWish, bar_code};
use crate::token::{ESC, FS, GS};

impl Printer {
    /// Does what a whole command asks; one that the printer does not know does nothing.
    pub(crate) fn execute(&mut self, command: &[u8]) {
        match *command {
            [ESC, b'=', n] => self.selected = n & 1 == 1,
            _ if !self.selected => {}
            [byte] => self.character(byte),
            [ESC, ref rest @ ..] => self.escape(rest),
            [GS, ref rest @ ..] => self.group(rest),
            [FS, b'.'] => self.modes.kanji = false,
            [FS, b'&'] => self.modes.kanji = true,
            _ => {}
        }
    }

    fn character(&mut self, byte: u8) {
        if std::mem::take(&mut self.kanji_first) && byte >= 0x30 {
            return self.put(codepage::UNKNOWN, true);
        }
        match byte {
            b'\n' => self.line_feed(),
            b'\t' => self.line.tab(&self.modes, self.modes.area(&self.setup)),
            0x0C => self.form_feed(),
            0x80.. if self.modes.kanji => self.kanji_first = true,
            0x7F => self.put(codepage::UNKNOWN, false),
            0x20.. => self.put(codepage::character(self.modes.page, byte), false),
            _ => {}
        }
    }

    fn put(&mut self, ch: char, wide: bool) {
        let needs = Line::needs(&self.setup, &self.modes, wide);
        if self.line.is_full_for(needs, self.modes.area(&self.setup)) {
            self.line_feed();
        }
        self.line.put(&self.setup, &self.modes, ch, wide);
    }

    fn line_feed(&mut self) {
        self.end_line(self.modes.spacing);
    }

    /// Prints the line, be it empty, and feeds as much, at least as much as the line is high.
    fn end_line(&mut self, feed: usize) {
        let row = self.line.finish(&self.setup, &self.modes);
        let feed = feed.max(row.height);
        self.plan(Work::Print(row, feed));
    }

    /// Prints the line if there is one.
    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.line_feed();
        }
    }

    fn feed(&mut self, rows: usize) {
        if self.line.is_empty() {
            self.plan(Work::Feed(rows));
        } else {
            self.end_line(rows);
        }
    }

    fn form_feed(&mut self) {
        self.flush();
        if !self.setup.cutter {
            self.plan(Work::Feed(self.setup.tear_rows));
        }
    }

    fn escape(&mut self, rest: &[u8]) {
        let style = &mut self.modes.style;
        match *rest {
            [b'@'] => self.reset(),
            [b'!', n] => self.print_mode(n),
            [b'E' | b'G', n] => style.bold = n & 1 == 1,
            [b'-', n] => style.underline = matches!(n, 1 | 2 | b'1' | b'2'),
            [b'{', n] => style.upside_down = n & 1 == 1,
            [b'M', n] => style.font_b = matches!(n, 1 | b'1'),
            [b'a', n] => self.align(n),
            [b't', n] => self.modes.page = n,
            [b'2'] => self.modes.spacing = self.setup.line_rows(),
            [b'3', n] => self.modes.spacing = usize::from(n),
            [b' ', n] => self.modes.space_right = usize::from(n),
            [b'd', n] => self.feed(usize::from(n) * self.modes.spacing),
            [b'J', n] => self.feed(usize::from(n)),
            [b'D', ref stops @ ..] => self.tabs(stops),
            [b'$', low, high] => {
                let area = self.modes.area(&self.setup);
                self.line
                    .go_to(usize::from(u16::from_le_bytes([low, high])), area);
            }
            [b'\\', low, high] => {
                let area = self.modes.area(&self.setup);
                self.line.go_by(i16::from_le_bytes([low, high]), area);
            }
            [b'*', mode, _, _, ref data @ ..] => self.columns(mode, data),
            [b'i' | b'm'] => self.plan_cut(0),
            [b'p', pin, _, _] => self.plan(Work::Pulse(pin & 1)),
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.modes = Modes::new(&self.setup);
        self.line.clear();
        self.kanji_first = false;
    }

    fn print_mode(&mut self, n: u8) {
        let on = |place: u8| n & place != 0;
        self.modes.style = Style {
            font_b: on(0x01),
            bold: on(0x08),
            height: if on(0x10) { 2 } else { 1 },
            width: if on(0x20) { 2 } else { 1 },
            underline: on(0x80),
            ..self.modes.style
        };
    }

    fn align(&mut self, n: u8) {
        self.modes.align = match n {
            1 | b'1' => Align::Center,
            2 | b'2' => Align::Right,
            _ => Align::Left,
        };
    }

    fn tabs(&mut self, stops: &[u8]) {
        let cell = self.setup.cell_width(self.modes.style.font_b);
        let stops = stops.iter().take_while(|stop| **stop > 0);
        self.modes.tabs = stops.map(|stop| usize::from(*stop) * cell).collect();
    }

    /// `ESC *`: a band of columns in the line.
    fn columns(&mut self, mode: u8, data: &[u8]) {
        let bytes_in_column = if mode >= 32 { 3 } else { 1 };
        let dots = Bitmap::from_columns(data.len() / bytes_in_column, bytes_in_column, data);
        let across = if mode & 1 == 1 { 1 } else { 2 };
        let down = match (self.setup.head, mode) {
            (Head::Thermal, 0..32) => 3,
            (Head::Thermal, _) => 1,
            (Head::Impact, _) => 2,
        };
        let room = self.modes.area(&self.setup);
        self.line.draw(
            dots.scaled(across, down).cropped(room),
            PictureKind::Columns,
        );
    }

    fn group(&mut self, rest: &[u8]) {
        let impact = self.setup.head == Head::Impact;
        match *rest {
            [b'!', n] if !impact => {
                self.modes.style.width = usize::from(n >> 4 & 7) + 1;
                self.modes.style.height = usize::from(n & 7) + 1;
            }
            [b'B', n] => self.modes.style.reverse = n & 1 == 1,
            [b'L', low, high] => self.modes.left = usize::from(u16::from_le_bytes([low, high])),
            [b'W', low, high] => self.modes.width = usize::from(u16::from_le_bytes([low, high])),
            [b'h', n] => self.modes.barcode_height = usize::from(n.max(1)),
            [b'v', b'0', mode, xl, xh, yl, yh, ref data @ ..] => {
                let bytes = usize::from(u16::from_le_bytes([xl, xh]));
                let rows = usize::from(u16::from_le_bytes([yl, yh]));
                let dots = Bitmap::from_rows(bytes, rows, data);
                let scale = |place: u8| if mode & place != 0 { 2 } else { 1 };
                self.picture(&dots.scaled(scale(1), scale(2)), PictureKind::Raster);
            }
            [b'(', b'k', _, _, ref rest @ ..] if self.setup.native_qr => self.qr(rest),
            [b'(', b'L', _, _, ref rest @ ..] | [b'8', b'L', _, _, _, _, ref rest @ ..]
                if !impact =>
            {
                if let Some(dots) = self.symbols.graphics(rest) {
                    self.picture(&dots, PictureKind::Stored);
                }
            }
            [b'(', b'H', 6, 0, 48, 48, a, b, c, d] if self.setup.knows_process_id() => {
                self.plan(Work::Confirm([a, b, c, d]));
            }
            [b'k', 0..=6, ref data @ .., 0] | [b'k', 65..=255, _, ref data @ ..] => {
                let area = self.modes.area(&self.setup);
                let dots = bar_code(data, self.modes.barcode_height, area);
                self.picture(
                    &dots,
                    PictureKind::Barcode {
                        data: data.to_vec(),
                    },
                );
            }
            [b'V', 0 | 1 | b'0' | b'1'] => self.plan_cut(0),
            [b'V', b'A' | b'B' | b'a' | b'b' | b'g' | b'h', n] => {
                self.plan_cut(self.setup.cutter_rows + usize::from(n));
            }
            // What a clone takes for the end of an unknown command: the next byte is text.
            [b'(', byte] => self.character(byte),
            [b'a', mask] => {
                self.automatic = mask;
                if mask != 0 {
                    self.answer(&self.condition.automatic());
                }
            }
            [b'r', 1 | b'1'] => self.answer(&[self.condition.paper()]),
            [b'r', 2 | b'2'] => self.answer(&[u8::from(self.condition.drawer_high)]),
            [b'I', n] => self.identify(n),
            _ => {}
        }
    }

    /// A cut. Without a cutter it does nothing: the paper is torn off where enough is fed.
    fn plan_cut(&mut self, feed: usize) {
        self.flush();
        if self.setup.cutter {
            self.plan(Work::Cut(feed));
        }
    }

    /// A picture in a row of its own; what does not fit at the right is cut off.
    fn picture(&mut self, dots: &Bitmap, kind: PictureKind) {
        self.flush();
        let mut line = Line::default();
        line.draw(dots.cropped(self.modes.area(&self.setup)), kind);
        let row = line.finish(&self.setup, &self.modes);
        let height = row.height;
        self.plan(Work::Print(row, height));
    }

    fn qr(&mut self, arguments: &[u8]) {
        let wish = self.symbols.qr(arguments);
        let area = self.modes.area(&self.setup);
        let dots = self.symbols.draw_qr().filter(|dots| dots.width() <= area);
        match (wish, dots) {
            (QrWish::Print, Some(dots)) => {
                let kind = PictureKind::Qr {
                    data: self.symbols.data().to_vec(),
                    module: self.symbols.module(),
                };
                self.picture(&dots, kind);
            }
            (QrWish::Size, dots) => {
                let side = dots.as_ref().map_or(0, Bitmap::width);
                let fits = if dots.is_some() { '0' } else { '1' };
                let told = format!("\x37\x36{side}\x1f{side}\x1f1\x1f{fits}\0");
                self.answer(told.as_bytes());
            }
            _ => {}
        }
    }

    fn identify(&mut self, n: u8) {
        let text = match n {
            1 | b'1' => return self.answer(&[0x20]),
            2 | b'2' => return self.answer(&[u8::from(self.setup.cutter) << 1]),
            3 | b'3' => return self.answer(&[0x01]),
            65 => "1.00",
            66 => "EPSON",
            67 => &self.setup.model,
            68 => "VP000001",
            _ => return,
        };
        let told = format!("_{text}\0");
        self.answer(told.as_bytes());
    }
}
