//! A receipt printer made of software, for tests: what it prints is the judge of what our drivers believe.
//!
//! It shares no code with `drivers`: it reads ESC/POS by itself, as a printer does. The model,
//! [`Printer`], knows no clock and no link: it is told the time, receives bytes, and gives answers and
//! [`Sheet`]s of paper. The feature `server` puts it behind a pty, a TCP port or a Unix socket.

mod bitmap;
mod codepage;
mod exec;
mod fault;
mod font;
mod line;
mod paper;
mod printer;
mod realtime;
#[cfg(feature = "server")]
mod server;
mod setup;
mod sheet;
mod status;
mod symbols;
mod token;

pub use bitmap::{Bitmap, PngError};
pub use fault::{Fault, Rule, When, rules_from_seed};
pub use printer::{Counts, Printer};
pub use realtime::RealTime;
#[cfg(feature = "server")]
pub use server::{LinkSetup, VirtualPrinter};
pub use setup::{Dialect, Head, PrinterSetup};
pub use sheet::{Cell, Picture, PictureKind, Row, Sheet, SheetEnd, Style};
pub use status::Condition;
