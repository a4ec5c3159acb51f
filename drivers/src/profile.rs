//! What a printer can do, as data: columns, dots, code page, QR code, cutter, drawer, how it acknowledges.
//!
//! Profiles are shipped in `profile/profiles.toml`. A shop names one and overrides single members of it, or
//! names `custom` and says all itself ([`ProfileChoice`]).

mod choice;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

pub use choice::ProfileChoice;

/// How a QR code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qr {
    /// By the printer itself (GS ( k).
    Native,
    /// As a picture (GS v 0).
    Raster,
    /// As columns of eight dots (ESC *): impact printers.
    Column,
    /// Not at all; verification code and address are printed anyway.
    None,
}

/// What there is to end a sheet with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// GS V: cut but for a bridge.
    Partial,
    /// GS V: cut through.
    Full,
    /// Torn off by hand.
    None,
}

/// The surest answer that a printer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ack {
    /// GS ( H: it tells when a job has been printed.
    ProcessId,
    /// GS r: it tells when a job has been worked through.
    Status,
    /// DLE EOT alone.
    RealTime,
    /// None: the link goes one way, or nobody answers.
    OneWay,
}

/// Columns that a line may have.
const COLUMNS: std::ops::RangeInclusive<u8> = 16..=80;
/// Dots that a line may have: from 48 mm paper at 180 dpi to 112 mm paper at 203 dpi.
const DOTS: std::ops::RangeInclusive<u16> = 200..=1000;
/// Dots to an inch that receipt printers have.
const DPI: std::ops::RangeInclusive<u16> = 60..=300;
/// How wide a character of normal size may be, in dots.
const DOTS_TO_A_COLUMN: std::ops::RangeInclusive<u16> = 6..=24;

/// A printer's profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Which printers it is for, for people.
    #[serde(default)]
    pub about: String,
    /// Characters of normal size in a line.
    pub columns: u8,
    /// Dots in a line.
    pub dots: u16,
    /// Dots to an inch.
    pub dpi: u16,
    /// Its code page: number for ESC t, and name; without one all is written in ASCII.
    #[serde(default)]
    pub code_page: Option<CodePage>,
    /// How it makes a QR code.
    pub qr: Qr,
    /// Whether it prints pictures (GS v 0).
    pub pictures: bool,
    /// How a sheet ends.
    pub cut: Cut,
    /// Whether a drawer can hang on it.
    pub drawer: bool,
    /// The surest answer it gives.
    pub ack: Ack,
    /// Sizes by ESC ! in place of GS !: impact printers.
    #[serde(default)]
    pub impact: bool,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// There is none of that name.
    #[error("there is no printer profile '{0}'; there are {1}, and custom")]
    Unknown(String, String),
    /// A member lies outside of what printers have.
    #[error("{member} = {value} is no printer's; it must be {wanted}")]
    Value {
        /// The member.
        member: &'static str,
        /// What it is set to.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// A custom profile lacks a member.
    #[error("a custom printer profile needs {0}")]
    Missing(&'static str),
    /// Two members do not go together.
    #[error("{0}")]
    Conflict(&'static str),
}

static SHIPPED: LazyLock<BTreeMap<String, Profile>> = LazyLock::new(|| {
    // The file is a part of the program; a test proves that it parses, and what it holds.
    toml::from_str(include_str!("profile/profiles.toml")).unwrap_or_default()
});

impl Profile {
    /// The shipped profile of that name.
    ///
    /// # Errors
    /// There is none; the error lists those that there are.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        SHIPPED.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            ProfileError::Unknown(name.to_owned(), names.join(", "))
        })
    }

    /// The names of the shipped profiles, in the order of the alphabet.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.keys().map(String::as_str)
    }

    /// Checks that a printer can be like this.
    ///
    /// # Errors
    /// The first member that no printer has, or two that do not go together.
    pub fn check(&self) -> Result<(), ProfileError> {
        within("columns", self.columns, &COLUMNS)?;
        within("dots", self.dots, &DOTS)?;
        within("dpi", self.dpi, &DPI)?;
        let each = self.dots / u16::from(self.columns);
        within("dots to a column", each, &DOTS_TO_A_COLUMN)?;
        if self.impact && (self.pictures || matches!(self.qr, Qr::Native | Qr::Raster)) {
            return Err(ProfileError::Conflict(
                "an impact printer prints no pictures, and a QR code only with qr = \"column\"",
            ));
        }
        if self.qr == Qr::Column && !self.impact {
            return Err(ProfileError::Conflict(
                "qr = \"column\" is for impact printers; qr = \"raster\" is the same for thermal ones",
            ));
        }
        if self.qr == Qr::Raster && !self.pictures {
            return Err(ProfileError::Conflict(
                "qr = \"raster\" is a picture: it needs pictures = true",
            ));
        }
        Ok(())
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    member: &'static str,
    value: T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<(), ProfileError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(ProfileError::Value {
        member,
        value: value.to_string(),
        wanted: format!("from {} to {}", range.start(), range.end()),
    })
}

/// A printer's code page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodePage {
    /// The number that ESC t selects it by.
    pub number: u8,
    /// Which it is.
    pub name: CodePageName,
}

/// Code pages that we can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodePageName {
    /// Code page 437.
    Cp437,
    /// Code page 850.
    Cp850,
    /// Code page 858: 850 with the euro.
    Cp858,
    /// Windows-1252.
    Wpc1252,
}

#[cfg(test)]
mod tests;
