//! Parts that every document has: marks, title, boxes of lines, facts in two columns, foot of the page.

use crate::font::{Style, Twips};
use crate::sheet::{
    Area, GREY, HAIR, INK, Kind, LEFT, NAVY, PAGE_HEIGHT, RED, RIGHT, Shape, Sheet, Side, TOP,
    text_shape,
};

/// Width of what is printed.
pub(crate) const WIDTH: Twips = RIGHT - LEFT;
/// Room between two columns.
pub(crate) const GAP: Twips = 460;
/// Width of one of two columns.
pub(crate) const HALF: Twips = (WIDTH - GAP) / 2;
/// Left edge of the right one.
pub(crate) const SECOND: Twips = LEFT + HALF + GAP;

/// Text as it stands almost everywhere.
pub(crate) const BODY: Style = Style::plain(176);
/// The same, bold.
pub(crate) const STRONG: Style = Style::bold(176);
/// Names of facts.
pub(crate) const SMALL: Style = Style::plain(156);
/// Headings of boxes.
pub(crate) const HEADING: Style = Style::bold(160);

/// The title of the document, and the marks in frames at the right of it.
pub(crate) fn title(sheet: &mut Sheet<'_>, title: &str, marks: &[&str]) {
    let style = Style::bold(360);
    let mut right = RIGHT;
    for mark in marks.iter().rev() {
        let style = Style::bold(260);
        let line = sheet.fonts.line(mark, style);
        let width = line.width + 240;
        let area = Area {
            x: right - width,
            y: sheet.y + 40,
            width,
            height: style.size + 180,
        };
        let node = sheet.paragraph();
        sheet.draw(None, Shape::Frame(area, 30, RED));
        let place = (area.x, area.y + 62, width);
        let shape = text_shape(line, style, RED, place, Side::Middle);
        sheet.draw(Some(node), shape);
        right -= width + 160;
    }
    let node = sheet.node(Kind::Heading(1, title.to_owned()), None);
    let place = (LEFT, sheet.y, right - LEFT);
    sheet.y = sheet.text(Some(node), title, style, NAVY, place, Side::Left) + 60;
    sheet.rule(NAVY, 30);
    sheet.y += 150;
}

/// A heading over lines of text; the first line is bold. Says where it ends.
pub(crate) fn lines_box(
    sheet: &mut Sheet<'_>,
    heading: &str,
    lines: &[String],
    place: (Twips, Twips),
) -> Twips {
    let (x, width) = place;
    let mut y = heading_at(sheet, heading, place, sheet.y);
    let mut style = STRONG;
    for line in lines {
        let node = sheet.paragraph();
        y = sheet.text(Some(node), line, style, INK, (x, y, width), Side::Left);
        style = BODY;
    }
    y
}

/// A heading with a thin line below it. Says where it ends.
pub(crate) fn heading_at(
    sheet: &mut Sheet<'_>,
    heading: &str,
    place: (Twips, Twips),
    y: Twips,
) -> Twips {
    let (x, width) = place;
    let node = sheet.node(Kind::Heading(2, heading.to_owned()), None);
    let y = sheet.text(
        Some(node),
        heading,
        HEADING,
        NAVY,
        (x, y, width),
        Side::Left,
    );
    let line = Area {
        x,
        y: y + 10,
        width,
        height: 10,
    };
    sheet.draw(None, Shape::Fill(line, HAIR));
    y + 60
}

/// Names and values, one below the other. Says where they end.
pub(crate) fn facts(
    sheet: &mut Sheet<'_>,
    facts: &[(&str, String)],
    place: (Twips, Twips, Twips),
) -> Twips {
    let (x, mut y, width) = place;
    let names = facts.iter().map(|(name, _)| {
        let line = sheet.fonts.line(name, SMALL);
        line.width
    });
    let indent = names.max().unwrap_or(0).min(width / 2) + 140;
    for (name, value) in facts {
        let node = Some(sheet.paragraph());
        let name_place = (x, y + 14, indent);
        let below = sheet.text(node, name, SMALL, GREY, name_place, Side::Left);
        let place = (x + indent, y, width - indent);
        y = sheet.text(node, value, BODY, INK, place, Side::Left);
        y = y.max(below - 14);
    }
    y
}

/// From now on every page begins with a line that says which document it belongs to.
pub(crate) fn running_head(sheet: &mut Sheet<'_>, left: &str, right: &str, marks: &[&str]) {
    let style = Style::bold(150);
    let half = WIDTH / 2 - 100;
    let mut shapes = Vec::new();
    let mut end = TOP;
    let mut column = |text: &str, color, place: (Twips, Twips), side| {
        let mut y = TOP;
        for line in sheet.fonts.fold(text, style, place.1) {
            shapes.push(text_shape(line, style, color, (place.0, y, place.1), side));
            y += style.pitch();
        }
        end = end.max(y);
    };
    let marks = marks.join("  ");
    let left = [left, marks.as_str()].join("   ");
    column(&left, GREY, (LEFT, half), Side::Left);
    column(right, NAVY, (RIGHT - half, half), Side::Right);
    let line = Area {
        x: LEFT,
        y: end + 40,
        width: WIDTH,
        height: 15,
    };
    shapes.push(Shape::Fill(line, NAVY));
    sheet.repeat_on_new_pages(shapes, end + 200);
}

/// At the foot of every page: which document it is, and which of how many pages.
pub(crate) fn feet(sheet: &mut Sheet<'_>, text: &str) {
    let style = Style::plain(144);
    let count = sheet.pages.len();
    let y = PAGE_HEIGHT - 960;
    for (page, number) in sheet.pages.iter_mut().zip(1..) {
        let line = Area {
            x: LEFT,
            y,
            width: WIDTH,
            height: 10,
        };
        let number = sheet
            .fonts
            .line(&format!("Page {number} of {count}"), style);
        let room = WIDTH - number.width - 300;
        let mut shapes = vec![
            Shape::Fill(line, HAIR),
            text_shape(number, style, GREY, (LEFT, y + 60, WIDTH), Side::Right),
        ];
        let place = |y| (LEFT, y, room);
        for (line, row) in sheet.fonts.fold(text, style, room).into_iter().zip(0..) {
            let y = y + 60 + row * style.pitch();
            shapes.push(text_shape(line, style, GREY, place(y), Side::Left));
        }
        let item = |shape| crate::sheet::Item { shape, node: None };
        page.extend(shapes.into_iter().map(item));
    }
}
