//! What was measured, by name, and what is demanded of it: for scripts/evidence, and for whoever looks whether all was held.

use std::path::Path;

use anyhow::ensure;
use serde_json::{Map, Value, json};

/// The figures so far.
#[derive(Default)]
pub(crate) struct Figures {
    values: Map<String, Value>,
    demands: Vec<Value>,
    grown: Vec<Value>,
    missed: Vec<String>,
}

impl Figures {
    pub(crate) fn set(&mut self, name: &str, value: u64) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// A figure that must come up to something; `otherwise`: what is wrong where it does not.
    pub(crate) fn at_least(&mut self, name: &str, is: u64, least: u64, otherwise: String) {
        self.set(name, is);
        self.demands
            .push(json!({ "figure": name, "is": is, "at_least": least }));
        if is < least {
            self.missed.push(otherwise);
        }
    }

    /// The same of one that must not be beyond something.
    pub(crate) fn at_most(&mut self, name: &str, is: u64, most: u64, otherwise: String) {
        self.set(name, is);
        self.demands
            .push(json!({ "figure": name, "is": is, "at_most": most }));
        if is > most {
            self.missed.push(otherwise);
        }
    }

    /// Events a second, in tables of so many rows.
    pub(crate) fn grown(&mut self, rows: u64, events: u64) {
        self.grown
            .push(json!({ "rows": rows, "events_per_s": events }));
    }

    /// Writes them, where they are wanted.
    ///
    /// # Errors
    /// The file cannot be written, or something is not as it must be.
    pub(crate) fn end(mut self, to: Option<&Path>) -> anyhow::Result<()> {
        self.values
            .insert("demands".to_owned(), self.demands.into());
        self.values.insert("grown".to_owned(), self.grown.into());
        if let Some(path) = to {
            std::fs::write(path, Value::from(self.values).to_string())?;
        }
        ensure!(self.missed.is_empty(), "missed: {}", self.missed.join("; "));
        Ok(())
    }
}
