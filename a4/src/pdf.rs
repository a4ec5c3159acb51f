//! Draws laid-out pages as PDF/A-2a (which is also PDF/UA-1) and checks them with krilla's validators.
//!
//! No clock and no random number is asked: date and identity of the document are arguments, so the same
//! pages always give the same bytes.

use std::num::NonZeroU16;

use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::error::KrillaError;
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::image::Image;
use krilla::metadata::{DateTime as PdfDate, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, SpanTag, TableHeaderScope, Tag, TagGroup,
    TagKind, TagTree,
};
use krilla::text::TextDirection;
use krilla::{Document, SerializeSettings};
use qrcode::{EcLevel, QrCode};

use crate::A4Error;
use crate::font::{Fonts, Line, Twips};
use crate::sheet::{Area, Color, Item, Kind, Node, Shape, Sheet};

/// What is said of the document as a whole.
pub(crate) struct About {
    /// Its title.
    pub(crate) title: String,
    /// Who issued it.
    pub(crate) author: String,
    /// The same for every copy of the same document.
    pub(crate) id: String,
    /// Its date, local time of Zimbabwe.
    pub(crate) date: fiscal::DateTime,
}

/// The pages as bytes of a PDF file.
pub(crate) fn write(
    sheet: Sheet<'_>,
    about: About,
    logo: Option<&Image>,
) -> Result<Vec<u8>, A4Error> {
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_A)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|error| A4Error::Pdf(format!("{error:?}")))?;
    let mut document = Document::new_with(SerializeSettings {
        configuration,
        ..SerializeSettings::default()
    });
    let settings = PageSettings::from_wh(595.3, 841.9).ok_or_else(|| wrong("the page's size"))?;
    let mut identifiers = vec![Vec::new(); sheet.nodes.len()];
    for items in &sheet.pages {
        let mut page = document.start_page_with(settings.clone());
        let pen = Pen {
            surface: page.surface(),
            fonts: sheet.fonts,
            logo,
        };
        pen.page(items, &mut identifiers)?;
        page.finish();
    }
    let mut outline = Outline::new();
    outline.push_child(OutlineNode::new(
        about.title.clone(),
        XyzDestination::new(0, Point::from_xy(0.0, 0.0)),
    ));
    document.set_outline(outline);
    document.set_tag_tree(tree(&sheet.nodes, &identifiers));
    document.set_metadata(metadata(about));
    document.finish().map_err(|error| match error {
        KrillaError::Image(_, _, what) => A4Error::Logo(what),
        KrillaError::Validation(errors) => {
            A4Error::Pdf(errors.iter().map(|e| format!("{:?}; ", e.0)).collect())
        }
        other => A4Error::Pdf(other.to_string()),
    })
}

fn wrong(what: &str) -> A4Error {
    A4Error::Pdf(what.to_owned())
}

fn metadata(about: About) -> Metadata {
    let part = |value: i8| u8::try_from(value).unwrap_or(0);
    let date = about.date;
    let metadata = Metadata::new()
        .title(about.title)
        .authors(vec![about.author])
        .document_id(about.id)
        .language("en".to_owned())
        .creator("fiscald".to_owned())
        .producer("fiscald".to_owned());
    match u16::try_from(date.year()) {
        Ok(year) if year > 0 => metadata.creation_date(
            PdfDate::new(year)
                .month(part(date.month()))
                .day(part(date.day()))
                .hour(part(date.hour()))
                .minute(part(date.minute()))
                .second(part(date.second()))
                .utc_offset_hour(2)
                .utc_offset_minute(0),
        ),
        _ => metadata,
    }
}

/// The structure with what was drawn for it. Nodes with nothing in them are left out.
fn tree(nodes: &[Node], identifiers: &[Vec<Identifier>]) -> TagTree {
    let mut groups: Vec<TagGroup> = nodes
        .iter()
        .zip(identifiers)
        .map(|(node, identifiers)| {
            let mut group = TagGroup::new(tag(&node.kind));
            for identifier in identifiers {
                group.push(*identifier);
            }
            group
        })
        .collect();
    // A child is always made after its parent: from the last to the first, each one is whole when it is
    // put where it belongs. Children come to their parent in turned order, which is turned back at once.
    let mut children: Vec<Vec<TagGroup>> = nodes.iter().map(|_| Vec::new()).collect();
    let mut roots = Vec::new();
    while let Some(mut group) = groups.pop() {
        let place = groups.len();
        let mut own = children.pop().unwrap_or_default();
        own.reverse();
        for child in own {
            group.push(child);
        }
        let parent = nodes.get(place).and_then(|node| node.parent);
        match parent.and_then(|parent| children.get_mut(parent)) {
            Some(siblings) => siblings.push(group),
            None => roots.push(group),
        }
    }
    let mut tree = TagTree::new();
    for root in roots.into_iter().rev() {
        tree.push(root);
    }
    tree
}

fn tag(kind: &Kind) -> TagKind {
    match kind {
        Kind::Heading(level, title) => {
            let level = NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN);
            Tag::Hn(level, Some(title.clone())).into()
        }
        Kind::Paragraph => Tag::P.into(),
        Kind::Figure(words) => Tag::Figure(Some(words.clone())).into(),
        Kind::Table(summary) => Tag::Table.with_summary(Some(summary.clone())).into(),
        Kind::TableHead => Tag::THead.into(),
        Kind::TableBody => Tag::TBody.into(),
        Kind::Row => Tag::TR.into(),
        Kind::HeadCell => Tag::TH(TableHeaderScope::Column).into(),
        Kind::Cell => Tag::TD.into(),
    }
}

/// Places are within the page, which fits 16 bits; from there to the PDF's numbers nothing is lost.
fn place(value: Twips) -> i16 {
    let limit = |_| if value < 0 { i16::MIN } else { i16::MAX };
    i16::try_from(value).unwrap_or_else(limit)
}

fn rect(area: Area) -> Option<Rect> {
    Rect::from_xywh(
        place(area.x).into(),
        place(area.y).into(),
        place(area.width).into(),
        place(area.height).into(),
    )
}

struct Pen<'a> {
    surface: Surface<'a>,
    fonts: &'a Fonts,
    logo: Option<&'a Image>,
}

impl Pen<'_> {
    /// Draws a whole page and lays the pen down.
    fn page(mut self, items: &[Item], nodes: &mut [Vec<Identifier>]) -> Result<(), A4Error> {
        self.surface
            .push_transform(&Transform::from_scale(0.05, 0.05));
        for item in items {
            match item.node.and_then(|node| nodes.get_mut(node)) {
                Some(identifiers) => self.tagged(&item.shape, identifiers)?,
                None => self.ornament(&item.shape)?,
            }
        }
        self.surface.pop();
        self.surface.finish();
        Ok(())
    }

    fn ornament(&mut self, shape: &Shape) -> Result<(), A4Error> {
        let artifact = Artifact::with_kind(ArtifactType::Layout);
        self.surface.start_tagged(ContentTag::Artifact(artifact));
        let drawn = self.shape(shape);
        self.surface.end_tagged();
        drawn
    }

    fn tagged(&mut self, shape: &Shape, into: &mut Vec<Identifier>) -> Result<(), A4Error> {
        if let Shape::Text {
            x,
            y,
            size,
            color,
            line,
        } = shape
        {
            self.text((*x, *y), *size, *color, line, Some(into));
            return Ok(());
        }
        into.push(self.surface.start_tagged(ContentTag::Other));
        let drawn = self.shape(shape);
        self.surface.end_tagged();
        drawn
    }

    fn shape(&mut self, shape: &Shape) -> Result<(), A4Error> {
        match shape {
            Shape::Text {
                x,
                y,
                size,
                color,
                line,
            } => self.text((*x, *y), *size, *color, line, None),
            Shape::Fill(area, color) => self.fill(&[*area], *color),
            Shape::Frame(area, thickness, color) => self.fill(&frame(*area, *thickness), *color),
            Shape::Logo(area) => self.image(*area),
            Shape::Qr(area, content) => self.fill(&modules(*area, content)?, [0, 0, 0]),
        }
        Ok(())
    }

    fn text(
        &mut self,
        start: (Twips, Twips),
        size: Twips,
        color: Color,
        line: &Line,
        mut into: Option<&mut Vec<Identifier>>,
    ) {
        self.color(color);
        let (mut x, y) = start;
        for run in &line.runs {
            if let Some(into) = into.as_deref_mut() {
                let span = ContentTag::Span(SpanTag::empty());
                into.push(self.surface.start_tagged(span));
            }
            self.surface.draw_text(
                Point::from_xy(place(x).into(), place(y).into()),
                self.fonts.font(run.face),
                place(size).into(),
                &run.text,
                false,
                TextDirection::LeftToRight,
            );
            if into.is_some() {
                self.surface.end_tagged();
            }
            x += run.width;
        }
    }

    fn color(&mut self, color: Color) {
        let [red, green, blue] = color;
        self.surface.set_fill(Some(Fill {
            paint: rgb::Color::new(red, green, blue).into(),
            ..Fill::default()
        }));
    }

    fn fill(&mut self, areas: &[Area], color: Color) {
        self.color(color);
        let mut path = PathBuilder::new();
        for rect in areas.iter().filter_map(|area| rect(*area)) {
            path.push_rect(rect);
        }
        if let Some(path) = path.finish() {
            self.surface.draw_path(&path);
        }
    }

    fn image(&mut self, area: Area) {
        let size = Size::from_wh(place(area.width).into(), place(area.height).into());
        if let (Some(image), Some(size)) = (self.logo, size) {
            self.surface.push_transform(&Transform::from_translate(
                place(area.x).into(),
                place(area.y).into(),
            ));
            self.surface.draw_image(image.clone(), size);
            self.surface.pop();
        }
    }
}

fn frame(area: Area, thickness: Twips) -> [Area; 4] {
    let Area {
        x,
        y,
        width,
        height,
    } = area;
    let part = |x, y, width, height| Area {
        x,
        y,
        width,
        height,
    };
    [
        part(x, y, width, thickness),
        part(x, y + height - thickness, width, thickness),
        part(x, y, thickness, height),
        part(x + width - thickness, y, thickness, height),
    ]
}

/// The dark places of a QR code, those beside each other joined. Every module is a whole number of twips.
fn modules(area: Area, content: &str) -> Result<Vec<Area>, A4Error> {
    let code = QrCode::with_error_correction_level(content, EcLevel::M)
        .map_err(|error| A4Error::Qr(error.to_string()))?;
    let side = code.width();
    let count = Twips::try_from(side).map_err(|_| wrong("the QR code's size"))?;
    let module = area.width / count.max(1);
    let margin = (area.width - module * count) / 2;
    let mut areas: Vec<Area> = Vec::new();
    for (row, colors) in (0..).zip(code.to_colors().chunks(side.max(1))) {
        let y = area.y + margin + row * module;
        let mut dark_before = false;
        for (column, color) in (0..).zip(colors) {
            let dark = *color == qrcode::Color::Dark;
            match areas.last_mut() {
                Some(last) if dark && dark_before => last.width += module,
                _ if dark => areas.push(Area {
                    x: area.x + margin + column * module,
                    y,
                    width: module,
                    height: module,
                }),
                _ => {}
            }
            dark_before = dark;
        }
    }
    Ok(areas)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document that breaks a rule of PDF/UA or PDF/A is an error: the validators are on.
    #[test]
    fn rules_are_checked() {
        let fonts = Fonts::new().expect("typefaces");
        let about = |title: &str| About {
            title: title.to_owned(),
            author: "Example Traders".to_owned(),
            id: "1".to_owned(),
            date: fiscal::DateTime::constant(2026, 9, 6, 12, 0, 0, 0),
        };
        let sheet = || Sheet::new(&fonts);
        assert!(write(sheet(), about("INVOICE"), None).is_ok());
        let untitled = write(sheet(), about(""), None);
        assert_eq!(untitled, Err(A4Error::Pdf("NoDocumentTitle; ".to_owned())));
        let mut private = sheet();
        let line = Line {
            runs: vec![crate::font::Run {
                face: crate::font::FaceId::Fallback,
                text: "\u{F400}".to_owned(),
                width: 100,
            }],
            width: 100,
        };
        let node = private.paragraph();
        let place = (crate::sheet::LEFT, crate::sheet::TOP, 1000);
        let style = crate::font::Style::plain(180);
        let side = crate::sheet::Side::Left;
        private.lines(Some(node), vec![line], style, [0, 0, 0], place, side);
        let refused = write(private, about("INVOICE"), None);
        assert!(matches!(refused, Err(A4Error::Pdf(_))), "{refused:?}");
    }
}
