//! Documents on A4 as PDF/A: the authority's InvoiceA4 and the reports of a fiscal day (docs/FDMS.md
//! section 9). Nothing here does I/O or reads a clock: the same document always gives the same bytes.
//!
//! Files conform to PDF/A-2a and PDF/UA-1 as far as a program can check: whoever archives them for years
//! sees the same page (fonts are in the file), can search it, and a screen reader can read it out.
//! krilla's validators run on every document; one that breaks a rule is an error, not a file.

use fiscal::paper::{ReceiptOnPaper, facts};
use fiscal::report::DayReport;
use krilla::image::Image;

mod font;
mod invoice;
mod line_tax;
mod parts;
mod pdf;
mod report;
mod sheet;
mod table;

/// Largest logo, in pixels: what a picture may need in memory while a document is made.
const MAX_LOGO_PIXELS: u64 = 16_000_000;

/// Why a document could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum A4Error {
    /// The logo is no PNG, is damaged, or has too many pixels.
    #[error("the logo cannot be used: {0}")]
    Logo(String),
    /// The QR code cannot hold its text.
    #[error("the QR code cannot be made: {0}")]
    Qr(String),
    /// A typeface that is built in cannot be read.
    #[error("a built-in typeface cannot be read")]
    Font,
    /// The document breaks a rule of PDF/A.
    #[error("the document cannot be written: {0}")]
    Pdf(String),
}

/// The receipt as InvoiceA4: a PDF file of one or more pages. `logo` is a PNG; without it the seller's
/// name stands in its place. Characters that no built-in typeface has are shown as `�`.
///
/// # Errors
/// The logo cannot be used; else only what [`A4Error`] tells of faults of the program itself.
pub fn invoice(paper: &ReceiptOnPaper<'_>, logo: Option<&[u8]>) -> Result<Vec<u8>, A4Error> {
    let logo = logo.map(read_logo).transpose()?;
    let fonts = font::Fonts::new()?;
    let mut sheet = sheet::Sheet::new(&fonts);
    invoice::lay_out(&mut sheet, paper, logo.as_ref());
    let receipt = paper.receipt;
    let number = facts::invoice_number(paper);
    let name = facts::title(receipt, paper.taxpayer);
    let mut foot = format!("{name} {number}  ·  Device ID {}", paper.device);
    if paper.marks.preview {
        foot = format!("{name}, not issued  ·  Device ID {}", paper.device);
    } else {
        foot.push_str(&format!("  ·  {}", facts::issue_date(paper)));
    }
    if let Some(proof) = paper.proof {
        let code = fiscal::qr::grouped(&proof.verification_code);
        foot.push_str(&format!("  ·  Verification code {code}"));
    }
    parts::feet(&mut sheet, &foot);
    let marks = invoice::marks(paper.marks).join(" ");
    let about = pdf::About {
        title: format!("{name} {number} {marks}").trim().to_owned(),
        author: paper.taxpayer.name.clone(),
        id: format!(
            "receipt {} {} {} {marks}",
            paper.device, receipt.global_no, receipt.invoice_no
        ),
        date: receipt.date,
    };
    pdf::write(sheet, about, logo.as_ref())
}

/// The X report of an open fiscal day, or the Z report of a closed one: a PDF file.
///
/// # Errors
/// Only what [`A4Error`] tells of faults of the program itself.
pub fn report(day: &DayReport<'_>) -> Result<Vec<u8>, A4Error> {
    let fonts = font::Fonts::new()?;
    let mut sheet = sheet::Sheet::new(&fonts);
    report::lay_out(&mut sheet, day);
    let title = format!("{}, fiscal day {}", report::name(day), day.fiscal_day);
    parts::feet(&mut sheet, &format!("{title}  ·  Device ID {}", day.device));
    let about = pdf::About {
        author: day.taxpayer.name.clone(),
        id: format!("{title} of {}", day.device),
        date: day.closed.unwrap_or(day.opened),
        title,
    };
    pdf::write(sheet, about, None)
}

/// Whether a picture can stand on an invoice: it is put on a page of its own.
///
/// # Errors
/// It is no PNG, is damaged, has too many pixels, or cannot be archived.
pub fn check_logo(logo: &[u8]) -> Result<(), A4Error> {
    let image = read_logo(logo)?;
    let fonts = font::Fonts::new()?;
    let mut sheet = sheet::Sheet::new(&fonts);
    invoice::logo_at_left(&mut sheet, &image, "the shop");
    let about = pdf::About {
        title: "Logo".to_owned(),
        author: "the shop".to_owned(),
        id: "logo".to_owned(),
        date: fiscal::DateTime::constant(2026, 1, 1, 0, 0, 0, 0),
    };
    pdf::write(sheet, about, Some(&image)).map(drop)
}

fn read_logo(bytes: &[u8]) -> Result<Image, A4Error> {
    let image = Image::from_png(bytes.to_vec().into(), false).map_err(A4Error::Logo)?;
    let (width, height) = image.size();
    if u64::from(width) * u64::from(height) > MAX_LOGO_PIXELS {
        let what = format!("it has {width} by {height} pixels");
        return Err(A4Error::Logo(what));
    }
    Ok(image)
}
