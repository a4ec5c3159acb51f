//! Pages while they are laid out: shapes at fixed places, and what each of them means.
//!
//! Laying out comes first and drawing after, because `Page 1 of 3` is known only at the end. Each shape
//! belongs to a node of the document's structure (heading, paragraph, table cell …), which makes the PDF
//! readable by a screen reader, or to none, if it is an ornament or repeats what stands elsewhere.

use crate::font::{Fonts, Line, Style, Twips};

/// Width of the paper.
pub(crate) const PAGE_WIDTH: Twips = 11906;
/// Height of the paper.
pub(crate) const PAGE_HEIGHT: Twips = 16838;
/// Left edge of what is printed.
pub(crate) const LEFT: Twips = 960;
/// Right edge of what is printed.
pub(crate) const RIGHT: Twips = PAGE_WIDTH - LEFT;
/// Upper edge of what is printed.
pub(crate) const TOP: Twips = 800;
/// Lower edge of what is printed, above the foot of the page.
pub(crate) const BOTTOM: Twips = PAGE_HEIGHT - 1180;

/// Red, green, blue.
pub(crate) type Color = [u8; 3];
/// Text.
pub(crate) const INK: Color = [0x1C, 0x21, 0x28];
/// Names of facts, less important text.
pub(crate) const GREY: Color = [0x5B, 0x65, 0x70];
/// Headings and the bands of tables.
pub(crate) const NAVY: Color = [0x1D, 0x3A, 0x5F];
/// Thin lines.
pub(crate) const HAIR: Color = [0xC9, 0xD0, 0xD8];
/// Background of every other row and of boxes.
pub(crate) const PALE: Color = [0xF3, 0xF5, 0xF8];
/// Text on a band.
pub(crate) const WHITE: Color = [0xFF, 0xFF, 0xFF];
/// Marks: COPY, TEST, PREVIEW.
pub(crate) const RED: Color = [0xB4, 0x23, 0x18];

/// Where a text stands between two edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// At the left edge.
    Left,
    /// In the middle.
    Middle,
    /// At the right edge.
    Right,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    /// Left edge.
    pub(crate) x: Twips,
    /// Upper edge.
    pub(crate) y: Twips,
    /// Width.
    pub(crate) width: Twips,
    /// Height.
    pub(crate) height: Twips,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A line of text from `x`, its base at `y`.
    Text {
        x: Twips,
        y: Twips,
        size: Twips,
        color: Color,
        line: Line,
    },
    /// A filled rectangle.
    Fill(Area, Color),
    /// The frame of a rectangle, drawn inside it.
    Frame(Area, Twips, Color),
    /// The logo.
    Logo(Area),
    /// The QR code; it holds the text.
    Qr(Area, String),
}

/// A shape and the node of the structure that it belongs to, if any.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// What is drawn.
    pub(crate) shape: Shape,
    /// What it belongs to.
    pub(crate) node: Option<NodeId>,
}

/// A node's place in [`Sheet::nodes`].
pub(crate) type NodeId = usize;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A heading of a level from 1.
    Heading(u16, String),
    /// A paragraph.
    Paragraph,
    /// A picture, and what it shows in words.
    Figure(String),
    /// A table.
    Table(String),
    /// The row of heads.
    TableHead,
    /// The other rows.
    TableBody,
    /// A row.
    Row,
    /// A column's head.
    HeadCell,
    /// A cell.
    Cell,
}

/// A node of the structure.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: Kind,
    /// The node that it is in.
    pub(crate) parent: Option<NodeId>,
}

/// The pages so far, and where the next thing goes.
pub(crate) struct Sheet<'a> {
    /// The typefaces.
    pub(crate) fonts: &'a Fonts,
    /// What stands on the pages.
    pub(crate) pages: Vec<Vec<Item>>,
    /// The structure, in reading order.
    pub(crate) nodes: Vec<Node>,
    /// Upper edge of what comes next.
    pub(crate) y: Twips,
    /// Drawn at the head of every page but the first.
    running_head: Vec<Item>,
    /// Where text begins below that.
    running_y: Twips,
}

impl<'a> Sheet<'a> {
    /// A document of one empty page.
    pub(crate) fn new(fonts: &'a Fonts) -> Self {
        Self {
            fonts,
            pages: vec![Vec::new()],
            nodes: Vec::new(),
            y: TOP,
            running_head: Vec::new(),
            running_y: TOP,
        }
    }

    /// From now on every new page begins with these shapes, and text below `y`.
    pub(crate) fn repeat_on_new_pages(&mut self, shapes: Vec<Shape>, y: Twips) {
        let item = |shape| Item { shape, node: None };
        self.running_head = shapes.into_iter().map(item).collect();
        self.running_y = y;
    }

    /// A new node; it is read after all that were made before.
    pub(crate) fn node(&mut self, kind: Kind, parent: Option<NodeId>) -> NodeId {
        self.nodes.push(Node { kind, parent });
        self.nodes.len() - 1
    }

    /// A new paragraph.
    pub(crate) fn paragraph(&mut self) -> NodeId {
        self.node(Kind::Paragraph, None)
    }

    /// Draws on the last page.
    pub(crate) fn draw(&mut self, node: Option<NodeId>, shape: Shape) {
        if let Some(page) = self.pages.last_mut() {
            page.push(Item { shape, node });
        }
    }

    /// Whether so much still fits on the page.
    pub(crate) const fn fits(&self, height: Twips) -> bool {
        self.y + height <= BOTTOM
    }

    /// Begins a new page.
    pub(crate) fn new_page(&mut self) {
        self.pages.push(self.running_head.clone());
        self.y = self.running_y;
    }

    /// Begins a new page unless so much still fits. What is higher than a page stays where it is.
    pub(crate) fn need(&mut self, height: Twips) {
        if !self.fits(height) && height <= BOTTOM - self.running_y {
            self.new_page();
        }
    }

    /// A line across the page.
    pub(crate) fn rule(&mut self, color: Color, thickness: Twips) {
        let area = Area {
            x: LEFT,
            y: self.y,
            width: RIGHT - LEFT,
            height: thickness,
        };
        self.draw(None, Shape::Fill(area, color));
        self.y += thickness;
    }

    /// Draws lines one below the other and says where the next would begin.
    pub(crate) fn lines(
        &mut self,
        node: Option<NodeId>,
        lines: Vec<Line>,
        style: Style,
        color: Color,
        place: (Twips, Twips, Twips),
        side: Side,
    ) -> Twips {
        let (x, mut y, width) = place;
        for line in lines {
            self.draw(node, text_shape(line, style, color, (x, y, width), side));
            y += style.pitch();
        }
        y
    }

    /// Folds a text at `(x, y, width)`, draws it and says where the next line would begin.
    pub(crate) fn text(
        &mut self,
        node: Option<NodeId>,
        text: &str,
        style: Style,
        color: Color,
        place: (Twips, Twips, Twips),
        side: Side,
    ) -> Twips {
        let lines = self.fonts.fold(text, style, place.2);
        self.lines(node, lines, style, color, place, side)
    }
}

/// A line whose upper edge is at `(x, y, width)`.
pub(crate) fn text_shape(
    line: Line,
    style: Style,
    color: Color,
    place: (Twips, Twips, Twips),
    side: Side,
) -> Shape {
    let (x, y, width) = place;
    let free = width - line.width;
    let x = match side {
        Side::Left => x,
        Side::Middle => x + free / 2,
        Side::Right => x + free,
    };
    Shape::Text {
        x,
        y: y + style.size * 21 / 20,
        size: style.size,
        color,
        line,
    }
}
