//! What the tests share: a printer on virtual time, and what a host would send.

use std::time::Duration;

use vprinter::{Fault, Printer, PrinterSetup};

pub(crate) const CUT: &[u8] = b"\x1dVB\x00";

/// A printer that has printed these bytes.
pub(crate) fn printed(setup: PrinterSetup, bytes: &[u8]) -> Printer {
    let mut printer = Printer::new(setup);
    feed(&mut printer, bytes);
    printer
}

/// Sends all, at a time when all before is printed.
pub(crate) fn feed(printer: &mut Printer, bytes: &[u8]) {
    let mut rest = bytes;
    let mut now = Duration::ZERO;
    while !rest.is_empty() {
        let taken = printer.receive(now, rest);
        rest = &rest[taken..];
        now = match printer.next_event() {
            Some(next) => next,
            None if rest.is_empty() || taken > 0 => now,
            None => panic!("the printer stands still with {} bytes to go", rest.len()),
        };
    }
    finish(printer);
}

/// Lets it print all that it can.
pub(crate) fn finish(printer: &mut Printer) {
    while let Some(next) = printer.next_event() {
        printer.advance(next);
    }
}

/// Something happens to it, and it has all the time to go on.
pub(crate) fn suffer(printer: &mut Printer, fault: Fault) {
    printer.suffer(Duration::ZERO, fault);
    finish(printer);
}

/// The lines of all sheets.
pub(crate) fn lines(printer: &Printer) -> Vec<Vec<String>> {
    printer
        .sheets()
        .iter()
        .map(vprinter::Sheet::lines)
        .collect()
}
