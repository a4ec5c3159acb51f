//! What has been simulated so far: a file, so that a long simulation can be stopped and gone on with.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::Done;

/// The totals of many runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The first seed.
    pub first: u64,
    /// How many seeds have been run from there on.
    pub seeds: u64,
    /// Sales wanted of each.
    pub sales_each: u64,
    /// What happened.
    pub done: Done,
    /// Real time that it took, milliseconds.
    pub millis: u64,
    /// The seeds that failed, with what broke.
    pub failed: Vec<(u64, String)>,
}

impl Record {
    /// Reads what an earlier simulation has left; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is none of these.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let record = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is no record of a simulation; name another file",
                path.display()
            )
        })?;
        Ok(Some(record))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let draft = path.with_extension("new");
        let said = || format!("{} cannot be written", path.display());
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?).with_context(said)?;
        std::fs::rename(&draft, path).with_context(said)
    }
}
