//! The pure core of the fiscal gateway: exact money, receipts, the authority's rules, signing strings,
//! fiscal-day counters and paper.
//!
//! Nothing here does I/O, reads a clock, draws a random number or uses a floating-point number: time,
//! numbers and facts come in as arguments, so that every result can be recomputed from a ledger years
//! later. The rules are those of `docs/FDMS.md`; comments name its sections.

pub mod compose;
pub mod counters;
pub mod day;
pub mod draft;
pub mod finding;
pub mod ids;
pub mod json;
pub mod money;
pub mod number;
pub mod paper;
pub mod qr;
pub mod receipt;
pub mod report;
pub mod rules;
pub mod sign;
pub mod sums;
pub mod taxpayer;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod wire;

pub use finding::{Code, Color, Finding};
pub use ids::{Currency, DeviceId, FiscalDayNo, MoneyType, ReceiptCounter, ReceiptGlobalNo, TaxId};
pub use money::Cents;
pub use number::{Percent, Price, Quantity};
pub use receipt::{Receipt, ReceiptType};

/// Local time of Zimbabwe without zone, as FDMS writes it (docs/FDMS.md section 1).
pub use jiff::civil::DateTime;
