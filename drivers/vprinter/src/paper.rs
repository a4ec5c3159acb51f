//! The paper in the printer: a roll that gets shorter, and the piece that hangs out of it.

use crate::setup::PrinterSetup;
use crate::sheet::{Row, Sheet, SheetEnd};

/// The paper in the printer.
#[derive(Debug, Clone)]
pub(crate) struct Paper {
    /// What is left on the roll, in thousandths of a millimetre.
    left_um: u64,
    um_in_inch_of_rows: (u64, u64),
    /// What has been printed since the last cut.
    rows: Vec<Row>,
    /// Where the head is, in rows of dots from the upper end.
    at: usize,
    /// Empty rows since the last print.
    blank: usize,
    damaged: bool,
    pieces: usize,
    /// From the head to the edge at which paper is cut or torn.
    edge: usize,
    dots: usize,
}

impl Paper {
    pub(crate) fn new(setup: &PrinterSetup) -> Self {
        Self {
            left_um: millimetres(setup.paper_left_mm),
            um_in_inch_of_rows: (25_400, u64::from(setup.rows_per_inch.max(1))),
            rows: Vec::new(),
            at: 0,
            blank: 0,
            damaged: false,
            pieces: 1,
            edge: setup.cutter_rows,
            dots: setup.dots,
        }
    }

    pub(crate) fn is_out(&self) -> bool {
        self.left_um == 0
    }

    pub(crate) fn is_below(&self, mm: u32) -> bool {
        self.left_um < millimetres(mm)
    }

    /// Another roll, or the end of this one (0).
    pub(crate) fn set(&mut self, mm: u32) {
        if self.is_out() && mm > 0 && self.has_print() {
            self.pieces += 1;
        }
        self.left_um = millimetres(mm);
    }

    pub(crate) fn has_print(&self) -> bool {
        self.rows.iter().any(|row| !row.is_blank())
    }

    /// Something meant for this sheet has been lost.
    pub(crate) fn damage(&mut self) {
        self.damaged |= self.has_print();
    }

    /// Prints a row where the head is, and feeds.
    pub(crate) fn print(&mut self, mut row: Row, advance: usize) {
        row.y = self.at;
        let (blank, height) = (row.is_blank(), row.height);
        self.rows.push(row);
        let before = self.blank;
        self.feed(advance);
        self.blank = if blank {
            before + advance
        } else {
            advance.saturating_sub(height)
        };
    }

    pub(crate) fn feed(&mut self, rows: usize) {
        self.at += rows;
        self.blank += rows;
        let (um, in_rows) = self.um_in_inch_of_rows;
        let used = u64::try_from(rows).unwrap_or(u64::MAX).saturating_mul(um) / in_rows;
        self.left_um = self.left_um.saturating_sub(used);
    }

    /// Whether print is followed by so many empty rows that a person can tear it off.
    pub(crate) fn can_be_torn(&self, blank: usize) -> bool {
        self.has_print() && self.blank >= blank
    }

    /// Ends the sheet at the edge: what is between head and edge is the beginning of the next one.
    pub(crate) fn cut(&mut self) -> Option<Sheet> {
        let place = self.at.saturating_sub(self.edge);
        let (off, mut stays): (Vec<_>, Vec<_>) = std::mem::take(&mut self.rows)
            .into_iter()
            .partition(|row| row.y + row.height / 2 <= place);
        for row in &mut stays {
            row.y = row.y.saturating_sub(place);
        }
        let sheet = self.take(off, place, SheetEnd::Cut);
        self.rows = stays;
        self.at -= place;
        sheet
    }

    /// Ends the sheet by hand: a person pulls it out until all is off.
    pub(crate) fn tear(&mut self, end: SheetEnd) -> Option<Sheet> {
        self.damaged |= end == SheetEnd::PowerLost;
        let rows = std::mem::take(&mut self.rows);
        let height = std::mem::take(&mut self.at);
        self.take(rows, height, end)
    }

    fn take(&mut self, rows: Vec<Row>, height: usize, end: SheetEnd) -> Option<Sheet> {
        self.blank = 0;
        let damaged = std::mem::take(&mut self.damaged);
        let pieces = std::mem::replace(&mut self.pieces, 1);
        let printed = rows.iter().any(|row| !row.is_blank());
        printed.then_some(Sheet {
            rows,
            complete: !damaged,
            end,
            pieces,
            dots: self.dots,
            height,
        })
    }

    /// What hangs out of the printer, as if it were torn off now.
    pub(crate) fn hanging(&self) -> Option<Sheet> {
        self.clone().tear(SheetEnd::Torn)
    }
}

fn millimetres(mm: u32) -> u64 {
    u64::from(mm) * 1000
}
