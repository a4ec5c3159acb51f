//! What is on paper, as the software printer printed it: the judge of what was believed.

use drivers::job::{JobState, Level};
use vprinter::{Row, Sheet};

use crate::book::Entry;
use crate::receipt::Receipt;

/// What is wrong with one receipt, given all sheets and all its jobs, none of which is under way any more.
pub(crate) fn breaches(sheets: &[Sheet], receipt: &Receipt, jobs: &[&Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let name = &receipt.name;
    let originals = heads(sheets, receipt);
    if originals > 1 {
        found.push(format!(
            "{name} is on paper as an ORIGINAL {originals} times"
        ));
    }
    let (original, copies) = (
        complete(sheets, receipt, false),
        complete(sheets, receipt, true),
    );
    if original + copies == 0 {
        found.push(format!("{name} is nowhere complete"));
    }
    for (copy, there) in [(false, original), (true, copies)] {
        let believed = jobs.iter().filter(|job| job.copy == copy && proved(job));
        let believed = believed.count();
        if believed > there {
            let head = receipt.head(copy);
            found.push(format!(
                "{head} is believed to be printed {believed} times, and is complete on {there} sheets"
            ));
        }
    }
    if !found.is_empty() {
        let states: Vec<_> = jobs.iter().map(|job| (job.copy, &job.state)).collect();
        found.push(format!("{name} has the jobs (copy, state) {states:?}"));
    }
    found
}

/// Whether the printer has told that it is on paper.
fn proved(job: &Entry) -> bool {
    let proofs = [Level::Printed, Level::Processed];
    matches!(job.state, JobState::Done(level) if proofs.contains(&level))
}

/// How often the receipt's head as an original is on paper, complete or not.
fn heads(sheets: &[Sheet], receipt: &Receipt) -> usize {
    let head = receipt.head(false);
    let rows = sheets.iter().flat_map(|sheet| &sheet.rows);
    rows.filter(|row| row.text() == head).count()
}

/// How many sheets have all of it, from its head to its foot.
fn complete(sheets: &[Sheet], receipt: &Receipt, copy: bool) -> usize {
    let whole = |sheet: &&Sheet| sheet.complete && is_on(&sheet.rows, receipt, copy);
    sheets.iter().filter(whole).count()
}

fn is_on(rows: &[Row], receipt: &Receipt, copy: bool) -> bool {
    let (head, foot) = (receipt.head(copy), receipt.foot());
    let body = rows
        .iter()
        .rposition(|row| row.text() == head)
        .and_then(|start| rows.get(start + 1..))
        .and_then(|rest| {
            let end = rest.iter().position(|row| row.text() == foot)?;
            rest.get(..end)
        });
    body.is_some_and(|body| {
        let texts = body.iter().map(Row::text).filter(|text| !text.is_empty());
        let pictures = body.iter().filter(|row| !row.pictures.is_empty()).count();
        texts.eq(receipt.lines.iter().cloned()) && pictures >= receipt.pictures()
    })
}
