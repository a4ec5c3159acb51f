//! A job is read as a sale, or it is said why it is not.
//!
//! Nothing is guessed. Every doubt is a reason, with its line and what was expected there, and one reason is
//! enough for quarantine: then no fiscal number is used, and a person looks at the paper.

use std::fmt;

use crate::capture::grid::{Grid, Span};
use crate::capture::job::CapturedJob;
use crate::capture::sale::{CapturedReprint, CapturedSale};
use crate::capture::template::{Kind, Template};

mod check;
mod fields;
mod items;
mod money;
mod sale;

/// What kind of doubt a reason is. Stable: for counters and messages of other languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubtful {
    /// The job was longer than the room for it.
    TooLong,
    /// The job is a picture: there is no text to read.
    Picture,
    /// No template fits.
    NoTemplate,
    /// The paper cannot be laid out without doubt.
    Paper,
    /// Something that must be there is not.
    Missing,
    /// The same thing is there twice, and differs.
    Differs,
    /// A row among the items is no item.
    NoItem,
    /// A number or a mark that cannot be understood.
    NotUnderstood,
    /// Lines and total differ.
    Total,
    /// Quantity times price is not the line's total.
    Product,
    /// Payments, change and total differ.
    Payments,
    /// Printed tax is not what the lines make.
    Tax,
    /// Something negative or zero that must not be.
    Sign,
}

/// Why a job is quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The line of the paper, from 1 on.
    pub line: Option<usize>,
    /// What kind.
    pub doubt: Doubtful,
    /// What is there, and what was expected.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// What a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A sale or a refund to be made fiscal.
    Sale(Box<CapturedSale>),
    /// A receipt that is printed again, and says so.
    Reprint(CapturedReprint),
    /// Nothing fiscal: the bytes go to the printer as they are.
    Passthrough,
    /// In doubt.
    Quarantine(Vec<Reason>),
}

/// A job as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it is.
    pub reading: Reading,
    /// The template that decided.
    pub template: Option<String>,
    /// Its paper; the places in the reading are places on it.
    pub grid: Grid,
}

/// Reads a job by the first template that fits. A job without any letter or digit passes through.
#[must_use]
pub fn read(job: &CapturedJob, templates: &[Template]) -> Read {
    let bytes = job.for_printer();
    let mut grid = Grid::default();
    let mut paper = None;
    for template in templates {
        if paper != Some(template.paper()) {
            grid = Grid::new(&bytes, template.paper());
            paper = Some(template.paper());
        }
        if !template.fits(&grid) {
            continue;
        }
        let reading = if job.lost > 0 {
            too_long(job)
        } else {
            by_template(template, &grid)
        };
        return Read {
            reading,
            template: Some(template.name().to_owned()),
            grid,
        };
    }
    if paper.is_none() {
        grid = Grid::new(&bytes, &crate::capture::grid::Paper::default());
    }
    let reading = if job.lost > 0 {
        too_long(job)
    } else if grid.is_picture() {
        one(
            Doubtful::Picture,
            "the job is a picture without text; set the POS to a text printer driver (Generic / Text Only) or to ESC/POS",
        )
    } else if grid.has_text() {
        one(Doubtful::NoTemplate, "no template fits this job")
    } else {
        Reading::Passthrough
    };
    Read {
        reading,
        template: None,
        grid,
    }
}

/// Reads a paper by one template, whether it fits or not.
#[must_use]
pub fn by_template(template: &Template, grid: &Grid) -> Reading {
    if template.kind() == Kind::Passthrough {
        return Reading::Passthrough;
    }
    let mut sheet = Sheet {
        template,
        grid,
        reasons: Vec::new(),
    };
    for (row, doubt) in grid.doubts() {
        sheet.doubt(Some(*row), Doubtful::Paper, doubt.to_string());
    }
    let reading = match template.kind() {
        Kind::Reprint => sheet.reprint().map(Reading::Reprint),
        _ => sheet.sale().map(|sale| Reading::Sale(Box::new(sale))),
    };
    match reading {
        Some(reading) if sheet.reasons.is_empty() => reading,
        _ => Reading::Quarantine(sheet.reasons),
    }
}

fn too_long(job: &CapturedJob) -> Reading {
    let text = format!("the job is {} bytes longer than a job may be", job.lost);
    one(Doubtful::TooLong, &text)
}

fn one(doubt: Doubtful, text: &str) -> Reading {
    Reading::Quarantine(vec![Reason {
        line: None,
        doubt,
        text: text.to_owned(),
    }])
}

/// Most reasons that are told.
const MAX_REASONS: usize = 20;

/// A paper under the eye of a template, and the doubts so far.
pub(crate) struct Sheet<'a> {
    template: &'a Template,
    grid: &'a Grid,
    reasons: Vec<Reason>,
}

impl Sheet<'_> {
    /// Notes a doubt; the row counts from 0.
    fn doubt(&mut self, row: Option<usize>, doubt: Doubtful, text: String) {
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(Reason {
                line: row.map(|row| row + 1),
                doubt,
                text,
            });
        }
    }

    fn doubt_at(&mut self, at: Span, doubt: Doubtful, text: String) {
        self.doubt(Some(at.row), doubt, text);
    }
}
