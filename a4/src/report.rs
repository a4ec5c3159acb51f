//! X and Z reports on A4 (docs/FDMS.md section 9); the figures are those of [`fiscal::report::figures`].

use fiscal::Cents;
use fiscal::Percent;
use fiscal::counters::Documents;
use fiscal::paper::facts as words;
use fiscal::report::{CurrencyFigures, DayReport, TaxFigures, figures};

use crate::font::{Style, Twips};
use crate::parts::{BODY, HALF, SECOND, WIDTH, facts, heading_at, lines_box, running_head, title};
use crate::sheet::{INK, Kind, LEFT, NAVY, Sheet, Side};
use crate::table::{self, Column, Row, Table};

/// Headings of the currencies.
const SECTION: Style = Style::bold(230);

/// What the report is called.
pub(crate) fn name(day: &DayReport<'_>) -> &'static str {
    if day.closed.is_some() {
        "Z REPORT"
    } else {
        "X REPORT"
    }
}

/// Lays the report out.
pub(crate) fn lay_out(sheet: &mut Sheet<'_>, day: &DayReport<'_>) {
    let marks: &[&str] = if day.test { &["TEST"] } else { &[] };
    let name = name(day);
    running_head(
        sheet,
        &day.taxpayer.name,
        &format!("{name}, fiscal day {}", day.fiscal_day),
        marks,
    );
    title(sheet, name, marks);
    let top = sheet.y;
    let seller = words::seller_lines(day.taxpayer);
    let left = lines_box(sheet, "SELLER", &seller, (LEFT, HALF));
    let y = heading_at(sheet, "FISCAL DAY", (SECOND, HALF), top);
    let mut known = vec![
        ("Fiscal day No:", day.fiscal_day.to_string()),
        ("Fiscal day opened:", words::long_date(day.opened)),
    ];
    let closed = day.closed.map(words::long_date);
    known.extend(closed.map(|date| ("Fiscal day closed:", date)));
    known.push(("Device Serial No:", day.taxpayer.device_serial_no.clone()));
    known.push(("Device Id:", day.device.to_string()));
    let right = facts(sheet, &known, (SECOND, y, HALF));
    sheet.y = left.max(right) + 260;
    let all = figures(day.taxpayer, day.opened, day.totals);
    for (place, figures) in all.iter().enumerate() {
        currency(sheet, figures, place == 0);
    }
    if all.is_empty() {
        sheet.y = heading_at(sheet, "Daily totals", (LEFT, WIDTH), sheet.y);
        let node = Some(sheet.paragraph());
        let place = (LEFT, sheet.y, WIDTH);
        let text = "Total documents: 0";
        sheet.y = sheet.text(node, text, BODY, INK, place, Side::Left);
    }
}

/// The totals of a currency; they begin on a page where at least the first of them have room.
fn currency(sheet: &mut Sheet<'_>, figures: &CurrencyFigures, first: bool) {
    let taxes = &figures.taxes;
    let is_taxed = |tax: &&TaxFigures| tax.tax_percent.is_some_and(|p| p > Percent::ZERO);
    let part = |prefix: &str, of: fn(&TaxFigures) -> Cents, taxed_only: bool| -> Vec<Row> {
        let shown = taxes.iter().filter(|tax| !taxed_only || is_taxed(tax));
        let row = |tax: &TaxFigures| amount(format!("{prefix}, {}", tax.tax_name), of(tax), false);
        shown.map(row).collect()
    };
    let mut parts: Vec<(&[&str], Vec<Row>, Row)> = vec![(
        &["Total net sales"],
        part("Net", |tax| tax.net, false),
        amount("Total net amount".to_owned(), figures.net, true),
    )];
    let taxed = part("Tax", |tax| tax.tax, true);
    if !taxed.is_empty() {
        let total = amount("Total tax amount".to_owned(), figures.tax, true);
        parts.push((&["Total taxes"], taxed, total));
    }
    parts.push((
        &["Total gross sales"],
        part("Total", |tax| tax.gross, false),
        amount("Total gross amount".to_owned(), figures.gross, true),
    ));
    let rows: usize = parts.iter().map(|part| part.1.len() + 4).sum();
    let height = Twips::try_from(rows + 8).unwrap_or(Twips::MAX) * (BODY.pitch() + 130);
    sheet.need(height);
    let heading = if first {
        format!("Daily totals, {}", figures.currency)
    } else {
        figures.currency.to_string()
    };
    let node = Some(sheet.node(Kind::Heading(2, heading.clone()), None));
    let place = (LEFT, sheet.y, WIDTH);
    sheet.y = sheet.text(node, &heading, SECTION, NAVY, place, Side::Left) + 60;
    for (heading, mut rows, total) in parts {
        rows.push(total);
        let columns = [Column::wide(heading, 3000), Column::number(&["Amount"])];
        draw(sheet, &heading.join(" "), &columns, &rows);
    }
    documents(sheet, figures);
    sheet.y += 160;
}

fn amount(label: String, amount: Cents, bold: bool) -> Row {
    Row {
        cells: vec![label, amount.grouped()],
        bold,
    }
}

fn documents(sheet: &mut Sheet<'_>, figures: &CurrencyFigures) {
    let row = |name: &str, documents: Documents, bold| Row {
        cells: vec![
            name.to_owned(),
            documents.quantity.to_string(),
            documents.total.grouped(),
        ],
        bold,
    };
    let rows = [
        row("Invoices", figures.invoices, false),
        row("Credit notes", figures.credit_notes, false),
        row("Debit notes", figures.debit_notes, false),
        row("Total documents", figures.documents, true),
    ];
    let columns = [
        Column::wide(&["Documents"], 2000),
        Column::number(&["Quantity"]),
        Column::number(&["Total amount"]),
    ];
    draw(sheet, "Documents", &columns, &rows);
}

fn draw(sheet: &mut Sheet<'_>, summary: &str, columns: &[Column], rows: &[Row]) {
    table::draw(
        sheet,
        &Table {
            summary,
            columns,
            rows,
            place: (LEFT, WIDTH),
        },
    );
    sheet.y += 180;
}
