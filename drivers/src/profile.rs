//! What a printer can do, as data: columns, dots, code page, QR code, cutter, drawer, how it acknowledges.

use serde::Deserialize;

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

/// A printer's profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
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
