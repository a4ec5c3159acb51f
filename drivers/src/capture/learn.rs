//! Helps to write a template: shows captured papers with what a template finds on them, and drafts a first one.

use std::fmt::Write as _;

use regex::{Captures, Regex};

use crate::capture::grid::{Grid, Paper, Span};
use crate::capture::read::{Reading, by_template};
use crate::capture::sale::CapturedSale;
use crate::capture::template::Template;

mod draft;

/// What can be told of captured jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The papers with line numbers, what was found where, and what came of it; for people to read.
    pub report: String,
    /// The text of a first template, if none was given and the papers look like receipts. To be checked and
    /// completed by hand.
    pub draft: Option<String>,
}

/// Looks at captured jobs (bytes for the printer), by a template or to draft one.
#[must_use]
pub fn learn(jobs: &[Vec<u8>], template: Option<&Template>) -> Learned {
    if let Some(template) = template {
        return Learned {
            report: report(jobs, Some(template)),
            draft: None,
        };
    }
    let papers: Vec<Grid> = jobs
        .iter()
        .map(|job| Grid::new(job, &Paper::default()))
        .collect();
    let draft = draft::draft(&papers);
    match draft.as_deref().map(Template::parse) {
        Some(Ok(template)) => Learned {
            report: report(jobs, Some(&template)),
            draft,
        },
        Some(Err(error)) => Learned {
            report: report(jobs, None) + &format!("\nThe draft is not complete: {error}\n"),
            draft,
        },
        None => Learned {
            report: report(jobs, None)
                + "\nNo total, items, number and date were found that a draft could begin with.\n",
            draft: None,
        },
    }
}

fn report(jobs: &[Vec<u8>], template: Option<&Template>) -> String {
    let mut out = String::new();
    for (n, job) in jobs.iter().enumerate() {
        let paper = template.map_or_else(Paper::default, |t| t.paper().clone());
        let grid = Grid::new(job, &paper);
        line(&mut out, &format!("job {} ({} bytes)", n + 1, job.len()));
        let marks = template.map_or_else(Vec::new, |t| marks(t, &grid));
        show(&mut out, &grid, &marks);
        if grid.is_picture() {
            line(&mut out, "This job is a picture; there is no text to read.");
        }
        if let Some(template) = template {
            outcome(&mut out, template, &grid);
        }
        out.push('\n');
    }
    out
}

/// The rows, and below each what was found in it.
fn show(out: &mut String, grid: &Grid, marks: &[(Span, String)]) {
    for (n, row) in grid.rows().iter().enumerate() {
        line(out, &format!("{:>4} |{row}", n + 1));
        let mut here: Vec<&(Span, String)> =
            marks.iter().filter(|(span, _)| span.row == n).collect();
        here.sort();
        here.dedup();
        let mut under = String::new();
        let mut names: Vec<&str> = Vec::new();
        for (span, name) in here {
            let from = chars(row, span.from);
            let to = chars(row, span.to);
            names.push(name);
            if under.chars().count() > from {
                continue;
            }
            under.extend(std::iter::repeat_n(' ', from - under.chars().count()));
            under.extend(std::iter::repeat_n('^', to.saturating_sub(from).max(1)));
        }
        if !names.is_empty() {
            line(out, &format!("     |{under}  {}", names.join(", ")));
        }
    }
}

fn chars(row: &str, byte: usize) -> usize {
    row.get(..byte).map_or(0, |before| before.chars().count())
}

fn outcome(out: &mut String, template: &Template, grid: &Grid) {
    for misfit in template.misfits(grid) {
        line(out, &format!("does not fit: {misfit}"));
    }
    match by_template(template, grid) {
        Reading::Sale(sale) => line(out, &summary(&sale)),
        Reading::Reprint(reprint) => line(
            out,
            &format!(
                "read as a copy of {} of {}, total {}",
                reprint.receipt_no.text, reprint.date.text, reprint.total.value
            ),
        ),
        Reading::Passthrough => line(out, "passes through unchanged"),
        Reading::Quarantine(reasons) => {
            line(out, "not understood:");
            for reason in reasons {
                line(out, &format!("  {reason}"));
            }
        }
    }
}

fn summary(sale: &CapturedSale) -> String {
    let paid: Vec<String> = sale
        .payments
        .iter()
        .map(|p| format!("{} {}", p.method, p.amount.value))
        .collect();
    format!(
        "read: {:?} {} of {}, {} lines, total {} {}, paid {}",
        sale.kind,
        sale.receipt_no.text,
        sale.date.text,
        sale.lines.len(),
        sale.total.value,
        sale.currency.code,
        paid.join(" + ")
    )
}

/// Everything that any pattern of the template finds, whether it adds up or not.
fn marks(template: &Template, grid: &Grid) -> Vec<(Span, String)> {
    let mut out = Vec::new();
    let mut single: Vec<&Regex> = template.fields.values().flatten().collect();
    single.extend(&template.tax.rows);
    single.extend(template.payments.iter().flat_map(|p| &p.rows));
    for (n, row) in grid.rows().iter().enumerate() {
        for pattern in &single {
            if let Some(found) = pattern.captures(row) {
                groups(&mut out, n, pattern, &found);
            }
        }
    }
    if let Some(items) = &template.items {
        let is = |patterns: &[Regex], row: &str| patterns.iter().any(|p| p.is_match(row));
        let rows = grid.rows();
        let start = rows.iter().position(|row| is(&items.start, row));
        let start = start.map_or(rows.len(), |n| n + 1);
        let mut n = start;
        while let Some(row) = rows.get(n).filter(|row| !is(&items.end, row)) {
            let mut used = 1;
            for (_, patterns) in &items.lines {
                let here = rows.get(n..n + patterns.len()).unwrap_or_default();
                let found: Option<Vec<Captures<'_>>> = patterns
                    .iter()
                    .zip(here)
                    .map(|(pattern, row)| pattern.captures(row))
                    .collect();
                if let Some(found) = found.filter(|f| f.len() == patterns.len()) {
                    for (k, (pattern, found)) in patterns.iter().zip(&found).enumerate() {
                        groups(&mut out, n + k, pattern, found);
                    }
                    used = patterns.len();
                    break;
                }
            }
            if row.trim().is_empty() {
                used = 1;
            }
            n += used;
        }
    }
    out
}

fn groups(out: &mut Vec<(Span, String)>, row: usize, pattern: &Regex, found: &Captures<'_>) {
    for name in pattern.capture_names().flatten() {
        if let Some(text) = found.name(name).filter(|t| !t.is_empty()) {
            let at = Span {
                row,
                from: text.start(),
                to: text.end(),
            };
            out.push((at, name.to_owned()));
        }
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", text.trim_end());
}
