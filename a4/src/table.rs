//! A table that goes on over as many pages as it needs: its head stands on each, no row is split.

use crate::font::{Line, Style, Twips};
use crate::sheet::{
    Area, HAIR, INK, Kind, NAVY, NodeId, PALE, Shape, Sheet, Side, WHITE, text_shape,
};

/// Space between a column's edge and its text.
const PAD: Twips = 90;
/// Where there is room, a column of numbers is at least so wide.
const AIRY: Twips = 760;
/// Space above and below a row's text.
const LEAD: Twips = 50;
/// Sizes of letters, the largest that fits is taken.
const SIZES: [Twips; 5] = [176, 164, 150, 136, 120];

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// In lines, as they are broken where there is room.
    head: &'static [&'static str],
    side: Side,
    /// At least so wide, and wider as there is room; others are as wide as what stands in them.
    least: Option<Twips>,
}

impl Column {
    /// A column of long texts, which get the room that is left, and fold.
    pub(crate) const fn wide(head: &'static [&'static str], least: Twips) -> Self {
        Self {
            head,
            side: Side::Left,
            least: Some(least),
        }
    }

    /// A column of short texts at the left.
    pub(crate) const fn left(head: &'static [&'static str]) -> Self {
        Self {
            head,
            side: Side::Left,
            least: None,
        }
    }

    /// A column of numbers, one below the other.
    pub(crate) const fn number(head: &'static [&'static str]) -> Self {
        Self {
            head,
            side: Side::Right,
            least: None,
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// A text for each column.
    pub(crate) cells: Vec<String>,
    /// Whether it is a sum.
    pub(crate) bold: bool,
}

/// A table before it is drawn.
pub(crate) struct Table<'a> {
    /// What it shows, for somebody who cannot see it.
    pub(crate) summary: &'a str,
    /// The columns.
    pub(crate) columns: &'a [Column],
    /// The rows.
    pub(crate) rows: &'a [Row],
    /// Its left edge and its width.
    pub(crate) place: (Twips, Twips),
}

/// How it is set: chosen once for the whole table.
struct Setting {
    size: Twips,
    /// Left edge and width of each column, without the space at its edges.
    places: Vec<(Twips, Twips)>,
    head: Vec<Vec<Line>>,
    head_height: Twips,
}

/// Draws the table from the sheet's present height on.
pub(crate) fn draw(sheet: &mut Sheet<'_>, table: &Table<'_>) {
    let setting = setting(sheet, table);
    let node = sheet.node(Kind::Table(table.summary.to_owned()), None);
    let head = sheet.node(Kind::TableHead, Some(node));
    let head = sheet.node(Kind::Row, Some(head));
    let body = sheet.node(Kind::TableBody, Some(node));
    let first = table.rows.first();
    let first_height = first.map_or(0, |row| lay(sheet, &setting, row).1);
    sheet.need(setting.head_height + first_height);
    draw_head(sheet, table, &setting, Some(head));
    for (row, shaded) in table.rows.iter().zip([false, true].into_iter().cycle()) {
        let (lines, height) = lay(sheet, &setting, row);
        if !sheet.fits(height) {
            close(sheet, table);
            sheet.new_page();
            draw_head(sheet, table, &setting, None);
        }
        let area = Area {
            x: table.place.0,
            y: sheet.y,
            width: table.place.1,
            height,
        };
        if row.bold {
            let line = Area { height: 12, ..area };
            sheet.draw(None, Shape::Fill(line, NAVY));
        } else if shaded {
            sheet.draw(None, Shape::Fill(area, PALE));
        }
        let node = sheet.node(Kind::Row, Some(body));
        let style = style(&setting, row);
        let cells = lines.into_iter().zip(table.columns).zip(&setting.places);
        for ((lines, column), (x, width)) in cells {
            let cell = sheet.node(Kind::Cell, Some(node));
            let place = (*x, sheet.y + LEAD, *width);
            sheet.lines(Some(cell), lines, style, INK, place, column.side);
        }
        sheet.y += height;
    }
    close(sheet, table);
}

/// How high the table is on a single page.
pub(crate) fn height(sheet: &Sheet<'_>, table: &Table<'_>) -> Twips {
    let setting = setting(sheet, table);
    let rows = table.rows.iter().map(|row| lay(sheet, &setting, row).1);
    setting.head_height + rows.sum::<Twips>()
}

const fn style(setting: &Setting, row: &Row) -> Style {
    Style {
        size: setting.size,
        bold: row.bold,
    }
}

fn close(sheet: &mut Sheet<'_>, table: &Table<'_>) {
    let area = Area {
        x: table.place.0,
        y: sheet.y,
        width: table.place.1,
        height: 10,
    };
    sheet.draw(None, Shape::Fill(area, HAIR));
}

/// The row's cells, folded, and its height.
fn lay(sheet: &Sheet<'_>, setting: &Setting, row: &Row) -> (Vec<Vec<Line>>, Twips) {
    let style = style(setting, row);
    let cells = row.cells.iter().zip(&setting.places);
    let lines: Vec<Vec<Line>> = cells
        .map(|(text, (_, width))| sheet.fonts.fold(text, style, *width))
        .collect();
    let most = lines.iter().map(Vec::len).max().unwrap_or(1);
    let height = Twips::try_from(most).unwrap_or(1) * style.pitch() + 2 * LEAD;
    (lines, height)
}

fn draw_head(sheet: &mut Sheet<'_>, table: &Table<'_>, setting: &Setting, node: Option<NodeId>) {
    let style = head_style(setting.size);
    let area = Area {
        x: table.place.0,
        y: sheet.y,
        width: table.place.1,
        height: setting.head_height,
    };
    sheet.draw(None, Shape::Fill(area, NAVY));
    let cells = setting.head.iter().zip(table.columns).zip(&setting.places);
    for ((lines, column), (x, width)) in cells {
        let cell = node.map(|node| sheet.node(Kind::HeadCell, Some(node)));
        let count = Twips::try_from(lines.len()).unwrap_or(1);
        let mut y = sheet.y + setting.head_height - LEAD - count * style.pitch();
        for line in lines {
            let shape = text_shape(line.clone(), style, WHITE, (*x, y, *width), column.side);
            sheet.draw(cell, shape);
            y += style.pitch();
        }
    }
    sheet.y += setting.head_height;
}

/// The largest letters with which the numbers fit beside texts of the least width, heads broken as they
/// should be, or else between any words. Should even the smallest letters be too large, all columns share
/// the room and fold.
fn setting(sheet: &Sheet<'_>, table: &Table<'_>) -> Setting {
    let (left, room) = table.place;
    let (size, mut widths) = widths(sheet, table);
    let used: Twips = widths.iter().sum();
    if used > room {
        for width in &mut widths {
            *width = *width * room / used;
        }
    } else {
        let wide = table.columns.iter().filter(|c| c.least.is_some()).count();
        let extra = (room - used) / Twips::try_from(wide).unwrap_or(1).max(1);
        for (width, column) in widths.iter_mut().zip(table.columns) {
            *width += column.least.map_or(0, |_| extra);
        }
    }
    let mut x = left;
    let mut places = Vec::new();
    for width in widths {
        places.push((x + PAD, (width - 2 * PAD).max(1)));
        x += width;
    }
    let style = head_style(size);
    let head: Vec<Vec<Line>> = table
        .columns
        .iter()
        .zip(&places)
        .map(|(column, (_, width))| {
            let as_given: Vec<Line> = column
                .head
                .iter()
                .map(|line| sheet.fonts.line(line, style))
                .collect();
            if as_given.iter().all(|line| line.width <= *width) {
                return as_given;
            }
            sheet.fonts.fold(&column.head.join(" "), style, *width)
        })
        .collect();
    let most = head.iter().map(Vec::len).max().unwrap_or(1);
    Setting {
        size,
        places,
        head_height: Twips::try_from(most).unwrap_or(1) * style.pitch() + 2 * LEAD,
        head,
    }
}

const fn head_style(size: Twips) -> Style {
    Style::bold(size * 19 / 20)
}

/// The size of the letters, and each column's width with the space at its edges.
fn widths(sheet: &Sheet<'_>, table: &Table<'_>) -> (Twips, Vec<Twips>) {
    let largest = SIZES.first().copied().unwrap_or(120);
    let roomy = natural_widths(sheet, table, largest, true);
    let tight = natural_widths(sheet, table, largest, false);
    let tries = std::iter::once((largest, &roomy)).chain(SIZES.map(|size| (size, &tight)));
    let mut chosen = (largest, Vec::new());
    for (size, natural) in tries {
        let widths = natural.iter().zip(table.columns).map(|(width, column)| {
            let text = match column.least {
                Some(least) => least.max(*width),
                // A twip or two more, so that rounding never folds what was measured to fit.
                None => (width * size + largest - 1) / largest + 2,
            };
            text + 2 * PAD
        });
        chosen = (size, widths.collect());
        if chosen.1.iter().sum::<Twips>() <= table.place.1 {
            break;
        }
    }
    chosen
}

/// For each column the width of its widest cell, or of its head's widest line (`roomy`) or word. Columns
/// of long texts have the width of their heads.
fn natural_widths(sheet: &Sheet<'_>, table: &Table<'_>, size: Twips, roomy: bool) -> Vec<Twips> {
    let mut widths: Vec<Twips> = table
        .columns
        .iter()
        .map(|column| {
            let words = column.head.iter().flat_map(|line| line.split(' '));
            let pieces: Vec<&str> = if roomy {
                column.head.to_vec()
            } else {
                words.collect()
            };
            let wide = |piece: &&str| sheet.fonts.line(piece, Style::bold(size)).width;
            let airy = roomy && column.least.is_none() && column.side == Side::Right;
            let wide = pieces.iter().map(wide).max().unwrap_or(0);
            wide.max(if airy { AIRY } else { 0 })
        })
        .collect();
    for row in table.rows {
        let style = Style {
            size,
            bold: row.bold,
        };
        let cells = row.cells.iter().zip(table.columns).zip(&mut widths);
        for ((text, column), width) in cells {
            if column.least.is_none() {
                *width = (*width).max(sheet.fonts.line(text, style).width);
            }
        }
    }
    widths
}
