//! `[backup]`: where copies of the ledger go, and when.

use std::path::PathBuf;

use jiff::civil::Time;
use serde::Deserialize;

/// `[backup]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// The folder for backups, on another disk than the ledger; none are made by themselves without one. It must be
    /// there: it is not made, lest a backup land below a mount point whose disk is missing.
    pub folder: Option<PathBuf>,
    /// At what times of day, local. One that was missed is made up for at the next start.
    pub at: Vec<At>,
    /// Of so many days the latest backup is kept.
    pub keep_daily: u32,
    /// Of so many weeks the latest backup is kept.
    pub keep_weekly: u32,
    /// A second file that follows the ledger sale by sale, on another disk or a stick.
    pub live: Option<PathBuf>,
}

impl Default for BackupConfig {
    fn default() -> Self {
        let keep = Keep::default();
        Self {
            folder: None,
            at: vec![At(Time::constant(2, 30, 0, 0))],
            keep_daily: keep.daily,
            keep_weekly: keep.weekly,
            live: None,
        }
    }
}

impl BackupConfig {
    /// How many backups are kept.
    #[must_use]
    pub const fn keep(&self) -> Keep {
        Keep {
            daily: self.keep_daily,
            weekly: self.keep_weekly,
        }
    }
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct At(pub Time);

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Time::strptime("%H:%M", &text)
            .map(Self)
            .map_err(|_| format!("\"{text}\" is no time of day; write it like \"02:30\""))
    }
}

/// How many backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Keep {
    /// Of so many days the latest one.
    pub daily: u32,
    /// Of so many weeks the latest one.
    pub weekly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            daily: 7,
            weekly: 8,
        }
    }
}
