//! What is on paper, as the software printer printed it: the judge of what was believed.

use vprinter::{Printer, Row, Sheet};

use crate::spool::Receipt;

/// How often a receipt's head is on paper, complete or not.
pub(crate) fn heads(sheets: &[Sheet], receipt: &Receipt, copy: bool) -> usize {
    let head = receipt.head(copy);
    let rows = sheets.iter().flat_map(|sheet| &sheet.rows);
    rows.filter(|row| row.text() == head).count()
}

/// How often a receipt is complete on one sheet, from its head to its foot.
pub(crate) fn complete(sheets: &[Sheet], receipt: &Receipt, copy: bool) -> usize {
    let whole = |sheet: &&Sheet| sheet.complete && is_on(&sheet.rows, receipt, copy);
    sheets.iter().filter(whole).count()
}

/// All sheets, also the one that hangs out.
pub(crate) fn sheets(printer: &Printer) -> Vec<Sheet> {
    let mut sheets = printer.sheets().to_vec();
    sheets.extend(printer.hanging());
    sheets
}

fn is_on(rows: &[Row], receipt: &Receipt, copy: bool) -> bool {
    let head = receipt.head(copy);
    let Some(start) = rows.iter().rposition(|row| row.text() == head) else {
        return false;
    };
    let rest = &rows[start + 1..];
    let foot = receipt.foot();
    let Some(end) = rest.iter().position(|row| row.text() == foot) else {
        return false;
    };
    let body = &rest[..end];
    let texts = body.iter().map(Row::text).filter(|text| !text.is_empty());
    let pictures = body.iter().filter(|row| !row.pictures.is_empty()).count();
    let wanted = usize::from(receipt.qr) + usize::from(receipt.picture);
    texts.eq(receipt.lines.iter().cloned()) && pictures >= wanted
}
