//! From blocks, which say what stands on a paper, to a page that is laid out for a printer.

use drivers::page::{Bitmap, Item, Line, Page, Pulse};
use drivers::profile::Profile;
use fiscal::paper::{Block, Size, render_block};

use crate::config::PrinterSetup;
use crate::ledger::printing::{Heading, PrintWhat, TakenPrint};
use crate::ledger::{Issued, LedgerError, Reader, Seq};
use crate::paper;

/// Why a job cannot be printed at all.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// What it prints is not in the ledger.
    #[error("{0} is not in the ledger")]
    NotThere(String),
    /// Its blocks cannot be read.
    #[error("its blocks cannot be read: {0}")]
    Blocks(#[from] serde_json::Error),
    /// The ledger cannot be read now.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The page of a job.
///
/// # Errors
/// What it prints cannot be found or read.
pub fn page(
    job: &TakenPrint,
    reader: &Reader,
    printer: &PrinterSetup,
    logo: Option<&Bitmap>,
) -> Result<Page, PageError> {
    let is_copy = job.heading == Heading::Copy;
    let mut page = Page::default();
    match &job.what {
        PrintWhat::Receipt(seq) => {
            let issued = issued(reader, *seq)?;
            let opens = !is_copy && opens_drawer(&issued, printer);
            page.items
                .extend(opens.then(|| Item::Drawer(Pulse::default())));
            page.items.extend(logo.cloned().map(Item::Picture));
            let (proof, marks) = (paper::proof(&issued), paper::marks(&issued, is_copy));
            let blocks = paper::receipt_blocks(&issued, Some(&proof), marks);
            lay_out(&blocks, &printer.profile, &mut page);
        }
        PrintWhat::ZReport(seq) => {
            let blocks = z_report(reader, job, *seq)?;
            headed(is_copy, &mut page);
            lay_out(&blocks, &printer.profile, &mut page);
        }
        PrintWhat::Drawer => page.items.push(Item::Drawer(Pulse::default())),
        PrintWhat::Blocks(json) => {
            let blocks: Vec<Block> = serde_json::from_str(json)?;
            headed(is_copy, &mut page);
            lay_out(&blocks, &printer.profile, &mut page);
        }
        PrintWhat::Captured {
            before,
            receipt,
            after,
        } => {
            headed(is_copy, &mut page);
            page.items.push(Item::Raw(before.clone()));
            if let Some(seq) = receipt {
                let issued = issued(reader, *seq)?;
                // The heading stands above what the POS printed.
                let marks = paper::marks(&issued, false);
                lay_out(
                    &paper::fiscal_blocks(&issued, marks),
                    &printer.profile,
                    &mut page,
                );
            }
            page.items.push(Item::Raw(after.clone()));
        }
    }
    Ok(page)
}

fn issued(reader: &Reader, seq: Seq) -> Result<Issued, PageError> {
    let found = reader.by_seq(seq)?;
    found.ok_or_else(|| PageError::NotThere(format!("the receipt of event {seq}")))
}

fn z_report(reader: &Reader, job: &TakenPrint, seq: Seq) -> Result<Vec<Block>, PageError> {
    let missing = || PageError::NotThere(format!("the close of event {seq}"));
    let till = job.till.ok_or_else(missing)?;
    let info = reader.tills()?.into_iter().find(|info| info.id == till);
    let info = info.ok_or_else(missing)?;
    let taxpayer = reader.taxpayer(till)?.ok_or_else(missing)?;
    let day = reader.day_closed_by(till, seq)?.ok_or_else(missing)?;
    Ok(paper::report_blocks(&info, &taxpayer, &day))
}

/// Whether a payment of the receipt is one that opens the drawer.
fn opens_drawer(issued: &Issued, printer: &PrinterSetup) -> bool {
    let mut payments = issued.receipt.payments.iter();
    printer.profile.drawer && payments.any(|p| printer.drawer_on.contains(&p.money_type))
}

fn headed(is_copy: bool, page: &mut Page) {
    if is_copy {
        page.items.push(Item::Line(Line {
            text: "COPY".to_owned(),
            align: drivers::page::Align::Center,
            bold: true,
            double: true,
        }));
    }
}

/// Blocks as lines of the printer's width.
pub fn lay_out(blocks: &[Block], profile: &Profile, page: &mut Page) {
    let columns = usize::from(profile.columns);
    for block in blocks {
        match block {
            Block::Qr { content } => page.items.push(Item::Qr(content.clone())),
            Block::Cut => page.items.push(Item::Cut),
            Block::Blank => page.items.push(Item::Feed(1)),
            Block::Text { bold, size, .. } => {
                let double = *size == Size::Double;
                let columns = if double { columns / 2 } else { columns };
                lines(block, columns, (*bold, double), page);
            }
            Block::Row { bold, .. } => lines(block, columns, (*bold, false), page),
            Block::Table { .. } | Block::Rule => lines(block, columns, (false, false), page),
        }
    }
}

fn lines(block: &Block, columns: usize, (bold, double): (bool, bool), page: &mut Page) {
    let rendered = render_block(block, columns).into_iter();
    page.items.extend(rendered.map(|text| {
        Item::Line(Line {
            text,
            bold,
            double,
            ..Line::default()
        })
    }));
}
