//! Old POS software that prints: the gateway stands where it expects its printer.
//!
//! What the POS sends is cut into jobs ([`session`]), each laid out as the paper would show it ([`grid`]) and
//! read as a sale by a template of the shop ([`template`]). A sale gets its fiscal block between its last line
//! and the cut ([`splice`]); whatever is no sale passes byte for byte. What is not understood without doubt is
//! never guessed: it is reported with reasons, and no fiscal number is used.

pub mod codepage;
pub mod door;
pub mod grid;
pub mod job;
pub mod key;
pub mod learn;
pub mod number;
pub mod read;
pub mod sale;
pub mod session;
pub mod splice;
pub mod status;
pub mod template;
pub mod token;

pub use door::{Door, DoorError, Ended, News, ServeError, serve};
pub use job::{CapturedJob, EndedBy};
pub use read::{Read, Reading, Reason, read};
