//! A printer made of software that prints at once, and what a configuration says of it.

use std::fmt::Display;
use std::net::SocketAddr;

use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

/// A printer on a port of its own.
pub(crate) fn printer() -> VirtualPrinter {
    printer_of(PrinterSetup::epson_80())
}

/// One of this kind on a port of its own.
pub(crate) fn printer_of(setup: PrinterSetup) -> VirtualPrinter {
    at_once(setup, SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// A printer at this address.
pub(crate) fn printer_at(address: SocketAddr) -> VirtualPrinter {
    at_once(PrinterSetup::epson_80(), address)
}

fn at_once(setup: PrinterSetup, address: SocketAddr) -> VirtualPrinter {
    let setup = PrinterSetup {
        speed_mm_per_s: 0,
        ..setup
    };
    VirtualPrinter::tcp(setup, LinkSetup::default(), address).unwrap()
}

/// A configuration with the printer `front` at this address, and what follows.
pub(crate) fn front(address: impl Display, more: &str) -> String {
    named("front", address, more)
}

/// The same with a printer of another name.
pub(crate) fn named(name: &str, address: impl Display, more: &str) -> String {
    format!(
        "[[printers]]\nname = \"{name}\"\nlink = \"tcp:{address}\"\nprofile = \"epson-tm-t20\"\n{more}"
    )
}
