//! What a store and head office (HQ) say to each other, as types that both sides use.
//!
//! A store's events are its outbox: each becomes an [`entry::Entry`], one line of JSON, rendered from rows of
//! the ledger that never change. Lines are chained by hash ([`chain`]), so that both sides know whether they
//! speak of the same past. An [`exchange`] carries lines up and the acknowledgement and [`command`]s down;
//! [`enrol`] is how a store joins, or joins again without its machine; [`seal`] hides a key from everyone but
//! the store it is for (docs/HQ.md). [`bearer`] is how whoever asks shows who he is.

pub mod bearer;
pub mod chain;
pub mod command;
pub mod enrol;
pub mod entry;
pub mod exchange;
pub mod seal;
pub mod settings;
pub mod state;

use serde::{Deserialize, Serialize};

/// The version of these messages. HQ answers one that it does not know with a problem that says so.
pub const VERSION: u32 = 1;

/// Which FDMS a till belongs to, in HQ's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The authority's test server.
    Test,
    /// The real one.
    Prod,
}

impl Environment {
    /// The word in messages and in HQ's tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Prod => "prod",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "test" => Some(Self::Test),
            "prod" => Some(Self::Prod),
            _ => None,
        }
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A till, as both sides and FDMS know it. It never changes its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TillRef {
    /// Test or production.
    pub environment: Environment,
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
}

impl std::fmt::Display for TillRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.environment, self.device_id)
    }
}
