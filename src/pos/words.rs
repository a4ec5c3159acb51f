//! The slip that comes out instead of a receipt that could not be sold.

use fiscal::paper::{Align, Block, Size};

/// Reasons on a slip; the rest is in the list.
const REASONS: usize = 8;

/// What the cashier reads.
#[must_use]
pub fn slip(captured: i64, port: &str, reasons: &[String], time: &str) -> Vec<Block> {
    let bold = |text: &str| Block::Text {
        text: text.to_owned(),
        align: Align::Center,
        bold: true,
        size: Size::Normal,
    };
    let mut blocks = vec![
        Block::banner("NO RECEIPT"),
        bold("This sale was NOT made fiscal."),
        bold("Do not give this paper to the customer."),
        Block::Rule,
    ];
    blocks.extend(reasons.iter().take(REASONS).map(Block::text));
    if reasons.len() > REASONS {
        blocks.push(Block::text(format!("and {} more", reasons.len() - REASONS)));
    }
    blocks.extend([
        Block::Rule,
        Block::text(
            "What to do: call the technician; he mends the template and sells this paper with",
        ),
        Block::text(format!("fiscald capture replay {captured}")),
        Block::row(format!("Port {port}"), format!("paper {captured}")),
        Block::text(time),
        Block::Cut,
    ]);
    blocks
}
