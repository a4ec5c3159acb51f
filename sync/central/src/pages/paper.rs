//! A paper's blocks as HTML, QR codes as SVG.

use fiscal::paper::{Align, Block, Size};
use maud::{Markup, PreEscaped, html};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// A paper as it is printed.
pub(super) fn paper(blocks: &[Block]) -> Markup {
    html! { div class="paper" { @for block in blocks { (block_markup(block)) } } }
}

fn block_markup(block: &Block) -> Markup {
    match block {
        Block::Text {
            text,
            align,
            bold,
            size,
        } => {
            let mut class = match align {
                Align::Left => String::new(),
                Align::Center => "center".to_owned(),
                Align::Right => "right".to_owned(),
            };
            if *bold {
                class.push_str(" bold");
            }
            if *size == Size::Double {
                class.push_str(" double");
            }
            html! { p class=(class) { (text) } }
        }
        Block::Row { left, right, bold } => html! {
            p class={ "line" (if *bold { " bold" } else { "" }) } { span { (left) } span { (right) } }
        },
        Block::Table { head, rows } => html! {
            table {
                thead { tr { @for cell in head { th { (cell) } } } }
                tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
            }
        },
        Block::Rule => html! { hr; },
        Block::Qr { content } => qr(content),
        Block::Blank => html! { p { "\u{a0}" } },
        Block::Cut => html! { div class="cut" {} },
    }
}

/// A QR code; the words where it cannot hold them.
fn qr(content: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(content, EcLevel::M) else {
        return html! { p { (content) } };
    };
    let picture = code.render::<svg::Color<'_>>().quiet_zone(true).build();
    // The picture begins with a declaration that has no place inside a page.
    let picture = picture
        .find("<svg")
        .and_then(|at| picture.get(at..))
        .unwrap_or_default();
    let picture = picture.replacen(
        "<svg",
        "<svg class=\"qr\" role=\"img\" aria-label=\"QR code\"",
        1,
    );
    html! { (PreEscaped(picture)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every block shows its text as text.
    #[test]
    fn blocks_are_text() {
        let evil = "<script>alert(1)</script>";
        let blocks = [
            Block::banner(evil),
            Block::row(evil, evil),
            Block::Table {
                head: vec![evil.to_owned()],
                rows: vec![vec![evil.to_owned()]],
            },
            Block::Qr {
                content: evil.repeat(200),
            },
            Block::Qr {
                content: "https://fdms.example/0000037367".to_owned(),
            },
            Block::Cut,
        ];
        let page = paper(&blocks).0;
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(page.contains("<svg class=\"qr\"") && !page.contains("<?xml"));
    }
}
