//! What a fiscal printer does, whatever its frames look like.
//!
//! Point-of-sale software that drives a fiscal printer opens a receipt, registers sales, pays and closes it.
//! [`Desk`] plays that printer: it turns a [`Request`] into an [`Answer`], keeps the open receipt and the
//! last reply durably before anything is answered, and executes each frame once. Who signs, prints and
//! counts stands behind the trait [`Register`]. The languages ([`crate::isl`], [`crate::zfp`]) only read and
//! write frames.
//!
//! Durable before answered: each command that changes something ends in one [`Register::keep`] of the whole
//! state, with the reply in it. Killed before it, the command never happened, and the software sends it
//! again; killed after it, the same frame gets the kept reply. A close is announced first ([`Kept::closing`])
//! and has a key: found announced after a start, it is brought to its end under the same key before anything
//! else is answered.
//!
//! Letters and codes: a tax letter means what `taxes` of the [`RegisterSettings`] says, a payment code what
//! `payments` says or else the country profile; a letter or code without a meaning is refused, never guessed.

pub mod amount;
pub(crate) mod args;
mod desk;
mod flat;
mod kept;
mod receipt;
mod request;
mod runner;
mod settings;
mod text;

pub use desk::{Desk, Language, View};
pub use flat::{FlatKind, FlatLine};
pub use kept::{Exchange, Kept};
pub use receipt::{
    Adjust, Customer, Entry, Kind, MAX_SALES, OpenReceipt, Paid, Payment, Reason, Sale, Share,
    Storno, SubtotalDiscount,
};
pub use request::{Answer, Opening, Request};
pub use runner::{Step, Wire, serve};
pub use settings::{
    Codes, Field, IslP, IslX, MoneyType, PaymentRule, Profile, RegisterSettings, Rules,
    SettingsError, SubtotalDiscounts, Zfp,
};
pub use text::TextEncoding;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::job::Condition;

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// The data cannot be read, or names something that is not mapped.
    Syntax,
    /// No such command.
    Unknown,
    /// Not now: no receipt is open, it is paid already, the day is closed.
    NotAllowed,
    /// A sum would not fit.
    Overflow,
    /// What must be kept cannot be kept, or nobody knows whether it was. The same command may be sent again.
    Store,
    /// No paper, or the printer is in another way unfit.
    Paper,
}

/// A command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// What kind of refusal it is: this is what the software at the other end is told.
    pub class: RefusalClass,
    /// A sentence for the log.
    pub words: String,
}

impl Refusal {
    /// A refusal of a class, in words.
    #[must_use]
    pub fn new(class: RefusalClass, words: impl Into<String>) -> Self {
        Self {
            class,
            words: words.into(),
        }
    }

    /// The data cannot be read.
    #[must_use]
    pub fn syntax(words: impl Into<String>) -> Self {
        Self::new(RefusalClass::Syntax, words)
    }

    /// Not allowed now.
    #[must_use]
    pub fn not_allowed(words: impl Into<String>) -> Self {
        Self::new(RefusalClass::NotAllowed, words)
    }
}

/// A receipt that was closed: signed and durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Number of all documents so far, this one included.
    pub all: u64,
    /// Number of fiscal receipts so far, this one included.
    pub fiscal: u64,
    /// What its QR code says.
    pub qr: String,
    /// The code printed for verification by hand.
    pub verification: String,
}

/// What the printer that we look like calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Model.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Serial number, eight characters where the language has room for no more.
    pub serial: String,
    /// Number of the fiscal memory, eight characters.
    pub fiscal_memory: String,
    /// The taxpayer's number.
    pub taxpayer: String,
}

/// A civil date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// Year, such as 2026.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// A tax letter and its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxRate {
    /// `A` to `H`.
    pub letter: char,
    /// Percent; `None`: exempt or not in use.
    pub percent: Option<Decimal>,
}

/// Counters and sums, as far as the languages ask for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// All documents so far: fiscal receipts, service receipts, reports.
    pub all: u64,
    /// Fiscal receipts so far.
    pub fiscal: u64,
    /// Receipts of this fiscal day.
    pub today: u64,
    /// Fiscal days closed so far.
    pub closures: u64,
    /// Sales of this fiscal day by money type, less what was given back.
    pub payments: Vec<(MoneyType, Decimal)>,
    /// Sales of this fiscal day by tax letter, less what was given back.
    pub taxes: Vec<(char, Decimal)>,
}

/// What a report said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The sums that the report is about.
    pub totals: Totals,
}

/// The door to whoever signs, prints and counts. Calls may block; a runner tells the software meanwhile
/// that we are busy.
///
/// Every call with a key may come again with the same key after a power cut, and must then do nothing new and
/// give the same answer.
pub trait Register: Send {
    /// What was kept last; `None` if nothing ever was.
    ///
    /// # Errors
    /// It cannot be read: then nothing is answered.
    fn kept(&mut self) -> Result<Option<Kept>, Refusal>;

    /// Keeps the state durably, in place of the last one, before it returns: all or nothing.
    ///
    /// # Errors
    /// It could not be kept: then the last one stands.
    fn keep(&mut self, kept: &Kept) -> Result<(), Refusal>;

    /// Signs and keeps a receipt that is paid; its print comes later and never undoes it. May take long: the
    /// software is told meanwhile that we are busy, but it may give up after some seconds.
    ///
    /// # Errors
    /// [`RefusalClass::Store`]: nobody knows whether it is signed, the same key must be asked again. Every
    /// other class: it is not signed and will not be.
    fn close(&mut self, receipt: &OpenReceipt, key: &str) -> Result<Closed, Refusal>;

    /// An open receipt is given up. No fiscal number is used.
    ///
    /// # Errors
    /// It cannot be noted.
    fn cancel(&mut self, receipt: &OpenReceipt, key: &str) -> Result<(), Refusal>;

    /// Prints the sums of the day.
    ///
    /// # Errors
    /// It cannot be had.
    fn x_report(&mut self, key: &str) -> Result<Report, Refusal>;

    /// Closes the fiscal day and prints its sums.
    ///
    /// # Errors
    /// The day cannot be closed now.
    fn z_report(&mut self, key: &str) -> Result<Report, Refusal>;

    /// Prints the last receipt again, headed as a copy.
    ///
    /// # Errors
    /// There is none, or it was copied already.
    fn duplicate(&mut self, key: &str) -> Result<(), Refusal>;

    /// Prints a service receipt.
    ///
    /// # Errors
    /// It cannot be taken for printing.
    fn service_print(&mut self, lines: &[String], key: &str) -> Result<(), Refusal>;

    /// Opens the cash drawer.
    ///
    /// # Errors
    /// There is none, or this port may not open it.
    fn drawer(&mut self, key: &str) -> Result<(), Refusal>;

    /// Shows text to the customer; `None` leaves a line as it is. Dropped where there is no display.
    fn display(&mut self, upper: Option<&str>, lower: Option<&str>);

    /// Counters and sums.
    ///
    /// # Errors
    /// They cannot be read.
    fn totals(&mut self) -> Result<Totals, Refusal>;

    /// The rates of the tax letters.
    ///
    /// # Errors
    /// They cannot be read.
    fn tax_rates(&mut self) -> Result<Vec<TaxRate>, Refusal>;

    /// The trusted time, in the shop's zone.
    ///
    /// # Errors
    /// It is not known.
    fn now(&mut self) -> Result<DateTime, Refusal>;

    /// How the printer is. Asked for every reply, so it must not wait for the printer.
    fn status(&mut self) -> Condition;

    /// Who we are.
    fn identity(&mut self) -> Identity;
}
