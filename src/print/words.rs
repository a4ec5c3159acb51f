//! What people are told of a printer, and its test page.

use drivers::job::{Condition, HeldReason};
use fiscal::paper::{Align, Block, Size};

use crate::config::PrinterSetup;

/// A printer's state in a word.
#[must_use]
pub const fn state(condition: Option<&Condition>) -> &'static str {
    let Some(condition) = condition else {
        return "starting";
    };
    match condition.fault {
        _ if !condition.connected => "unreachable",
        Some(fault) => crate::ledger::printing::held(fault),
        None if condition.paper_low => "paper_low",
        None => "ready",
    }
}

/// What to do about it.
#[must_use]
pub fn action(condition: Option<&Condition>, in_doubt: usize) -> Option<String> {
    let about_printer = condition.and_then(|condition| match condition.fault {
        _ if !condition.connected => {
            Some("Switch the printer on and check its cable; `fiscald port list` shows what is plugged in.")
        }
        Some(HeldReason::PaperOut) => Some("Put in paper; printing goes on by itself."),
        Some(HeldReason::CoverOpen) => Some("Close the printer's cover; printing goes on by itself."),
        Some(HeldReason::Cutter) => {
            Some("Free the cutter: open the cover, take the paper out, close it, switch the printer off and on.")
        }
        Some(HeldReason::Hot) => Some("Wait: the print head cools down by itself."),
        Some(HeldReason::Offline) => Some("Press the printer's feed button, or switch it off and on."),
        Some(HeldReason::Fault) => Some("Switch the printer off and on; if that does not help, it needs repair."),
        Some(HeldReason::Unreachable) => Some("Check the printer's cable and power."),
        None if condition.paper_low => Some("Have a new roll ready: the paper is near its end."),
        None => None,
    });
    let in_doubt = (in_doubt > 0).then_some(
        "Nobody knows whether some papers came out: look, and say so with `fiscald printer settle`.",
    );
    let parts: Vec<&str> = about_printer.into_iter().chain(in_doubt).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// A page that shows width, styles and QR code, to be looked at.
#[must_use]
pub fn test_page(printer: &PrinterSetup, time: &str) -> Vec<Block> {
    let columns = usize::from(printer.profile.columns);
    let ruler: String = "1234567890".chars().cycle().take(columns).collect();
    let styled = |text: &str, align, bold, size| Block::Text {
        text: text.to_owned(),
        align,
        bold,
        size,
    };
    vec![
        Block::banner("TEST PAGE"),
        Block::center("no fiscal receipt"),
        Block::Rule,
        Block::row("Printer", printer.name.clone()),
        Block::row("Columns", columns.to_string()),
        Block::row("Time", time),
        Block::Rule,
        Block::text(ruler),
        styled("left", Align::Left, false, Size::Normal),
        styled("middle, bold", Align::Center, true, Size::Normal),
        styled("right", Align::Right, false, Size::Normal),
        styled("DOUBLE", Align::Left, false, Size::Double),
        Block::text("The line of digits must fill the paper in one line, and the code must scan."),
        Block::Qr {
            content: "https://fdms.zimra.co.zw/0000000000010120260000000001AAAABBBBCCCCDDDD"
                .to_owned(),
        },
        Block::Cut,
    ]
}
