//! InvoiceA4: a receipt on A4 (docs/FDMS.md section 9), tax-inclusive or -exclusive, and notes.
//!
//! Ours, where the book says nothing: the tax's code has a column of its own; VAT payers get the table of
//! taxes that Receipt48 has, and every paper its payments and number of items; a seller without VAT has
//! "Tax" above the column, for taxes that are none; amounts are written as on Receipt48, not grouped.

use fiscal::paper::{Marks, ReceiptOnPaper, facts as words};
use fiscal::{Cents, Percent, qr};
use krilla::image::Image;

use crate::font::{Style, Twips};
use crate::line_tax::line_taxes;
use crate::parts::{
    BODY, GAP, HALF, SECOND, SMALL, STRONG, WIDTH, facts, heading_at, lines_box, running_head,
    title,
};
use crate::sheet::{Area, GREY, INK, Kind, LEFT, NAVY, RED, RIGHT, Shape, Sheet, Side, WHITE};
use crate::table::{self, Column, Row, Table};

/// Side of the QR code.
const QR: Twips = 1640;
/// Room for the logo.
const LOGO: (Twips, Twips) = (4600, 1500);
/// Width of the sums at the right.
const SUMS: Twips = 4300;
/// A table of taxes with more rows stands below the sums, not beside them.
const TAXES_BESIDE: usize = 12;

/// Lays the receipt out.
pub(crate) fn lay_out(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>, logo: Option<&Image>) {
    let name = words::title(paper.receipt, paper.taxpayer);
    let number = words::invoice_number(paper);
    let marks = marks(paper.marks);
    running_head(
        sheet,
        &paper.taxpayer.name,
        &format!("{name} {number}"),
        &marks,
    );
    letterhead(sheet, paper, logo);
    title(sheet, name, &marks);
    if paper.marks.preview {
        let node = Some(sheet.paragraph());
        let place = (LEFT, sheet.y - 60, WIDTH);
        let text = "not issued: no fiscal receipt";
        sheet.y = sheet.text(node, text, STRONG, RED, place, Side::Left) + 120;
    }
    parties(sheet, paper);
    numbers(sheet, paper);
    original(sheet, paper);
    lines(sheet, paper);
    sums(sheet, paper);
    remarks(sheet, paper);
}

/// The words of the marks that are set.
pub(crate) fn marks(marks: Marks) -> Vec<&'static str> {
    let all = [
        (marks.test, "TEST"),
        (marks.preview, "PREVIEW"),
        (marks.copy, "COPY"),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, word)| word).collect()
}

/// The logo of a seller at the left, and where it ends.
pub(crate) fn logo_at_left(sheet: &mut Sheet<'_>, image: &Image, seller: &str) -> Twips {
    let area = fitted(image.size(), (LEFT, sheet.y), LOGO);
    let node = sheet.node(Kind::Figure(format!("Logo of {seller}")), None);
    sheet.draw(Some(node), Shape::Logo(area));
    area.y + area.height
}

/// At the left the logo, or the seller's name where there is none; at the right the proof.
fn letterhead(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>, logo: Option<&Image>) {
    let top = sheet.y;
    let mut end = match logo {
        Some(image) => logo_at_left(sheet, image, &paper.taxpayer.name),
        None => {
            let node = Some(sheet.paragraph());
            let place = (LEFT, top, LOGO.0);
            let style = Style::bold(300);
            sheet.text(node, &paper.taxpayer.name, style, NAVY, place, Side::Left)
        }
    };
    if let Some(proof) = paper.proof {
        let x = RIGHT - QR;
        let area = Area {
            x,
            y: top,
            width: QR,
            height: QR,
        };
        let words = format!("QR code: {}", proof.qr_content);
        let node = sheet.node(Kind::Figure(words), None);
        sheet.draw(Some(node), Shape::Qr(area, proof.qr_content.clone()));
        let left = LEFT + LOGO.0 + 200;
        let width = x - 220 - left;
        let code = qr::grouped(&proof.verification_code);
        let mut y = top + 120;
        for (text, style, color, room) in [
            ("Verification code:", SMALL, GREY, 0),
            (code.as_str(), Style::bold(190), INK, 110),
            ("You can verify this receipt manually at", SMALL, GREY, 0),
            (paper.taxpayer.qr_url.as_str(), SMALL, NAVY, 0),
        ] {
            let node = Some(sheet.paragraph());
            y = sheet.text(node, text, style, color, (left, y, width), Side::Right) + room;
        }
        end = end.max(top + QR).max(y);
    }
    sheet.y = end + 200;
}

/// A picture as large as it can be in a box, undistorted, at the box's upper left.
fn fitted(size: (u32, u32), place: (Twips, Twips), room: (Twips, Twips)) -> Area {
    let (width, height) = (i64::from(size.0).max(1), i64::from(size.1).max(1));
    let (most_wide, most_high) = (i64::from(room.0), i64::from(room.1));
    let (wide, high) = if width * most_high > height * most_wide {
        (most_wide, height * most_wide / width)
    } else {
        (width * most_high / height, most_high)
    };
    let twips = |length: i64| Twips::try_from(length).unwrap_or(room.1).max(1);
    Area {
        x: place.0,
        y: place.1,
        width: twips(wide),
        height: twips(high),
    }
}

fn parties(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    let seller = words::seller_lines(paper.taxpayer);
    let buyer = paper.receipt.buyer.as_ref();
    let buyer = buyer.map_or_else(|| vec!["-".to_owned()], words::buyer_lines);
    let left = lines_box(sheet, "SELLER", &seller, (LEFT, HALF));
    let right = lines_box(sheet, "BUYER", &buyer, (SECOND, HALF));
    sheet.y = left.max(right) + 180;
}

fn numbers(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    let mut left = vec![
        ("Invoice No:", words::invoice_number(paper)),
        ("Customer reference No:", paper.receipt.invoice_no.clone()),
        ("Device Serial No:", paper.taxpayer.device_serial_no.clone()),
    ];
    let right = vec![
        ("Fiscal day No:", words::day_number(paper)),
        ("Date:", words::issue_date(paper)),
        ("Fiscal device ID:", paper.device.to_string()),
    ];
    left.extend(paper.print.cashier.clone().map(|name| ("Cashier:", name)));
    two_columns(sheet, &left, &right);
}

fn two_columns(sheet: &mut Sheet<'_>, left: &[(&str, String)], right: &[(&str, String)]) {
    let y = sheet.y;
    let left = facts(sheet, left, (LEFT, y, HALF));
    let right = facts(sheet, right, (SECOND, y, HALF));
    sheet.y = left.max(right) + 200;
}

fn original(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    let Some((heading, known)) = words::original(paper) else {
        return;
    };
    let known: Vec<(String, String)> = known
        .into_iter()
        .map(|(name, value)| (format!("{name}:"), value))
        .collect();
    let known: Vec<(&str, String)> = known
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let (left, right) = known.split_at(known.len().div_ceil(2));
    sheet.y = heading_at(sheet, heading, (LEFT, WIDTH), sheet.y);
    two_columns(sheet, left, right);
}

fn lines(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    let receipt = paper.receipt;
    let exclusive = !receipt.lines_tax_inclusive;
    let with_tax_codes = receipt.lines.iter().any(|line| line.tax.code.is_some());
    let mut columns = vec![
        Column::left(&["Code"]),
        Column::wide(&["Description"], 2300),
        Column::number(&["Qty"]),
        Column::number(&["Price"]),
    ];
    if exclusive {
        columns.push(Column::number(&["Amount", "(excl. tax)"]));
    }
    columns.push(if paper.taxpayer.is_vat_payer() {
        Column::number(&["VAT"])
    } else {
        Column::number(&["Tax"])
    });
    columns.push(Column::number(&["Total amount", "(incl. tax)"]));
    if with_tax_codes {
        columns.push(Column::left(&["Tax", "code"]));
    }
    let taxes = line_taxes(receipt);
    let rows: Vec<Row> = receipt
        .lines
        .iter()
        .zip(taxes)
        .map(|(line, tax)| {
            let mut cells = vec![
                line.hs_code.clone().unwrap_or_default(),
                words::line_name(line),
                line.quantity.to_string(),
                line.price.map(words::price_text).unwrap_or_default(),
            ];
            if exclusive {
                cells.push(line.total.to_string());
            }
            cells.push(match line.tax.percent {
                None => "-".to_owned(),
                Some(Percent::ZERO) => Cents::ZERO.to_string(),
                Some(_) => tax.to_string(),
            });
            let total = if exclusive {
                line.total + tax
            } else {
                line.total
            };
            cells.push(total.to_string());
            if with_tax_codes {
                cells.push(line.tax.code.clone().unwrap_or_default());
            }
            Row { cells, bold: false }
        })
        .collect();
    table::draw(
        sheet,
        &Table {
            summary: "Goods and services",
            columns: &columns,
            rows: &rows,
            place: (LEFT, WIDTH),
        },
    );
    sheet.y += 160;
}

/// At the right what it comes to and how it was paid, at the left the table of taxes.
fn sums(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    let receipt = paper.receipt;
    let mut above = if receipt.lines_tax_inclusive {
        words::tax_by_rate(receipt, paper.taxpayer)
    } else {
        words::exclusive_sums(receipt, paper.taxpayer)
    };
    if !paper.taxpayer.is_vat_payer() {
        above.retain(|(_, amount)| *amount != Cents::ZERO);
    }
    let mut rows = sum_rows(&above);
    rows.push(Sum {
        label: words::total_label(receipt),
        value: receipt.total.to_string(),
        is_total: true,
    });
    rows.extend(sum_rows(&words::paid(paper)));
    rows.push(Sum {
        label: "Number of items".to_owned(),
        value: words::item_count(receipt).to_string(),
        is_total: false,
    });
    let taxes = tax_rows(paper);
    let columns = tax_columns(&taxes.0);
    let beside = taxes.1.len() <= TAXES_BESIDE;
    let of_taxes = |width| Table {
        summary: "Taxes by rate",
        columns: &columns,
        rows: &taxes.1,
        place: (LEFT, width),
    };
    let table_width = WIDTH - SUMS - GAP;
    let mut height: Twips = rows.iter().map(|row| sum_height(sheet, row)).sum();
    if beside && !taxes.1.is_empty() {
        height = height.max(table::height(sheet, &of_taxes(table_width)));
    }
    sheet.need(height);
    let top = sheet.y;
    let page = sheet.pages.len();
    if beside && !taxes.1.is_empty() {
        table::draw(sheet, &of_taxes(table_width));
    }
    let below_table = sheet.y;
    if sheet.pages.len() == page {
        sheet.y = top;
    }
    for row in &rows {
        draw_sum(sheet, row);
    }
    sheet.y = sheet.y.max(below_table) + 160;
    if !beside {
        table::draw(sheet, &of_taxes(WIDTH));
        sheet.y += 160;
    }
}

/// A label, an amount, and whether it is what the document comes to.
struct Sum {
    label: String,
    value: String,
    is_total: bool,
}

fn sum_rows<L: AsRef<str>>(rows: &[(L, Cents)]) -> Vec<Sum> {
    let row = |(label, amount): &(L, Cents)| Sum {
        label: label.as_ref().to_owned(),
        value: amount.to_string(),
        is_total: false,
    };
    rows.iter().map(row).collect()
}

/// Style, space above and below, and room for the label.
fn sum_setting(sheet: &Sheet<'_>, row: &Sum) -> (Style, Twips, Twips) {
    let (style, space) = if row.is_total {
        (Style::bold(220), 80)
    } else {
        (BODY, 26)
    };
    let value = sheet.fonts.line(&row.value, style).width;
    (style, space, (SUMS - value - 360).max(SUMS / 3))
}

fn sum_height(sheet: &Sheet<'_>, row: &Sum) -> Twips {
    let (style, space, room) = sum_setting(sheet, row);
    let lines = sheet.fonts.fold(&row.label, style, room).len();
    let around = if row.is_total { 60 } else { 0 };
    Twips::try_from(lines).unwrap_or(1) * style.pitch() + 2 * (space + around)
}

fn draw_sum(sheet: &mut Sheet<'_>, row: &Sum) {
    let height = sum_height(sheet, row);
    sheet.need(height);
    let (style, space, room) = sum_setting(sheet, row);
    let x = RIGHT - SUMS;
    let mut color = INK;
    let mut y = sheet.y + space;
    if row.is_total {
        let band = Area {
            x,
            y: sheet.y + 60,
            width: SUMS,
            height: height - 120,
        };
        sheet.draw(None, Shape::Fill(band, NAVY));
        color = WHITE;
        y += 60;
    }
    let node = Some(sheet.paragraph());
    let place = (x + 100, y, room);
    sheet.text(node, &row.label, style, color, place, Side::Left);
    let place = (x + 100 + room, y, SUMS - 200 - room);
    sheet.text(node, &row.value, style, color, place, Side::Right);
    sheet.y += height;
}

fn tax_rows(paper: &ReceiptOnPaper<'_>) -> (Vec<String>, Vec<Row>) {
    if !paper.taxpayer.is_vat_payer() {
        return (Vec::new(), Vec::new());
    }
    let (head, rows) = words::tax_table(paper.receipt, paper.taxpayer);
    let row = |cells| Row { cells, bold: false };
    (head, rows.into_iter().map(row).collect())
}

fn tax_columns(head: &[String]) -> Vec<Column> {
    let mut columns = vec![
        Column::wide(&["VAT %"], 700),
        Column::number(&["Net.Amt"]),
        Column::number(&["VAT"]),
        Column::number(&["Amount"]),
    ];
    if head.len() > columns.len() {
        columns.insert(0, Column::left(&["Code"]));
    }
    columns
}

/// The receipt's notes, then the lines that the cashier's software wants below everything.
fn remarks(sheet: &mut Sheet<'_>, paper: &ReceiptOnPaper<'_>) {
    if let Some(notes) = &paper.receipt.notes {
        let height = sheet.fonts.fold(notes, BODY, WIDTH).len();
        let height = Twips::try_from(height).unwrap_or(1) * BODY.pitch() + 300;
        sheet.need(height);
        sheet.y = heading_at(sheet, "NOTES", (LEFT, WIDTH), sheet.y);
        let node = Some(sheet.paragraph());
        let place = (LEFT, sheet.y, WIDTH);
        sheet.y = sheet.text(node, notes, BODY, INK, place, Side::Left) + 120;
    }
    for line in &paper.print.footer_lines {
        let lines = sheet.fonts.fold(line, BODY, WIDTH);
        let height = Twips::try_from(lines.len()).unwrap_or(1) * BODY.pitch();
        sheet.need(height);
        let node = Some(sheet.paragraph());
        let place = (LEFT, sheet.y, WIDTH);
        sheet.y = sheet.lines(node, lines, BODY, GREY, place, Side::Middle);
    }
}
