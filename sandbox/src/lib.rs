//! A faithful FDMS to develop, test and demonstrate against.
//!
//! It has a certification authority of its own, speaks mutual TLS, and *checks* what the authority
//! checks, by its own reading of the rules (docs/FDMS.md): hashes, signatures, taxes, counters, the
//! chain. Nothing is canned, and no code is shared with the gateway that it judges. Where the authority
//! has published nothing, [`Settings`] has a switch.
//!
//! [`Sandbox::builder`] starts one in-process; the program `fdms-sandbox` runs one by itself.

mod admin;
mod answer;
mod ca;
mod call;
mod counters;
mod csr;
mod explain;
mod failure;
mod fault;
mod file;
mod finding;
mod http;
mod inside;
mod journal;
mod json;
mod judge;
mod micro;
mod model;
mod opening;
mod pages;
mod query;
mod receipt;
mod replay;
mod sandbox;
pub mod schema;
mod secrets;
mod service;
mod settings;
mod signing;
mod spec;
mod tls;
mod world;

pub use call::Call;
pub use failure::{ClosingError, FileError};
pub use fault::{Fault, FaultCount, FaultError, FaultKind, read_faults};
pub use finding::{Code, Color, Finding};
pub use inside::{Asked, Inside, Keys, Told};
pub use journal::Difference;
pub use micro::{Micro, NumberError};
pub use model::{
    BadReceipt, Channel, CodePurpose, DayStatus, FileStatus, ReceiptSummary, ReconciliationMode,
    StoredDay, StoredFile, StoredMail, StoredReceipt, UserStatus,
};
pub use receipt::{MoneyType, ReceiptType};
pub use replay::{Different, Replay, replay};
pub use sandbox::{RequestCount, RunningSandbox, Sandbox, SandboxBuilder};
pub use settings::{
    CloseWithBadReceipts, CsrSubjectErrors, Currency, ExpiredTaxOnNote, FieldErrors, FileTransport,
    FilesOfOpenDays, GapSignature, GreySpelling, ModelErrors, Settings,
};
pub use spec::{
    Address, Contacts, DeviceChange, DeviceSpec, Good, Model, OperatingMode, TaxSpec, usual_taxes,
};
pub use world::DeviceError;
