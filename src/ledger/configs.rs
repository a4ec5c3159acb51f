//! The history of a till's configurations: what FDMS has changed, and when.

use std::collections::BTreeMap;

use clock::Timestamp;
use fiscal::taxpayer::Taxpayer;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use super::{LedgerError, Reader, StorageError, TillId, sql};
use crate::fdms::wire::{Config, OperatingMode, Reply as _};

/// A configuration that FDMS sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRow {
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// What it changed against the one before; empty for the first.
    pub changes: Vec<ConfigChange>,
}

/// Something that FDMS has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// FDMS's name of the field, `tax 517` for a tax.
    pub what: String,
    /// What it was; none if it was not there.
    pub before: Option<String>,
    /// What it is; none if it is no longer there.
    pub after: Option<String>,
}

impl Reader {
    /// Whether the authority has set the till to report by file.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn is_offline(&self, till: TillId) -> Result<bool, LedgerError> {
        self.with(|conn| {
            let mode = operating_mode(conn, till)?;
            Ok(mode.is_some_and(|mode| mode == OperatingMode::Offline))
        })
    }

    /// A till's newest configuration by itself, without the taxes that earlier ones had.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn configured(&self, till: TillId) -> Result<Option<Taxpayer>, LedgerError> {
        self.with(|conn| {
            let newest: Option<String> = conn
                .prepare_cached(
                    "SELECT body FROM config WHERE till_id = ?1 ORDER BY config_id DESC LIMIT 1",
                )?
                .query_row([till.0], |row| row.get(0))
                .optional()?;
            let read = newest.map(|body| Taxpayer::from_config(body.as_bytes()));
            let read = read.transpose();
            Ok(read.map_err(|error| sql::damaged(format!("config.body: {error}")))?)
        })
    }

    /// A till's configurations, newest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn configs(&self, till: TillId) -> Result<Vec<ConfigRow>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT fetched_at, body FROM config WHERE till_id = ?1 ORDER BY config_id",
            )?;
            let mut rows = statement.query([till.0])?;
            let mut configs = Vec::new();
            let mut before: Option<String> = None;
            while let Some(row) = rows.next()? {
                let body: String = row.get(1)?;
                let fetched_at = Timestamp::from_millisecond(row.get(0)?)
                    .map_err(|_| sql::damaged("config.fetched_at"))?;
                let changes = before.map_or_else(Vec::new, |before| changes(&before, &body));
                configs.push(ConfigRow {
                    fetched_at,
                    changes,
                });
                before = Some(body);
            }
            configs.reverse();
            Ok(configs)
        })
    }
}

/// How the authority has set the till to report; none before its first configuration.
pub(super) fn operating_mode(
    conn: &Connection,
    till: TillId,
) -> Result<Option<OperatingMode>, StorageError> {
    let newest: Option<String> = conn
        .prepare_cached(
            "SELECT body FROM config WHERE till_id = ?1 ORDER BY config_id DESC LIMIT 1",
        )?
        .query_row([till.0], |row| row.get(0))
        .optional()?;
    let config = newest.and_then(|body| Config::parse(&body).ok());
    Ok(config.map(|config| config.operating_mode))
}

/// What differs between two answers of GetConfig, but for the number of the operation.
pub(super) fn changes(before: &str, after: &str) -> Vec<ConfigChange> {
    let (before, after) = (facts(before), facts(after));
    let mut changes: Vec<ConfigChange> = before
        .iter()
        .filter(|(what, text)| after.get(*what) != Some(text))
        .map(|(what, text)| ConfigChange {
            what: what.clone(),
            before: Some(text.clone()),
            after: after.get(what).cloned(),
        })
        .collect();
    let added = after.iter().filter(|(what, _)| !before.contains_key(*what));
    changes.extend(added.map(|(what, text)| ConfigChange {
        what: what.clone(),
        before: None,
        after: Some(text.clone()),
    }));
    changes
}

/// Every fact of a configuration by its name; a tax is one fact.
fn facts(body: &str) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    // Only shown, never reckoned with: that numbers pass through floats does no harm here.
    if let Ok(value) = serde_json::from_str(body) {
        flatten("", &value, &mut facts);
    }
    facts.remove("operationID");
    facts
}

fn flatten(name: &str, value: &Value, facts: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (member, value) in members {
                let name = match name {
                    "" => member.clone(),
                    _ => format!("{name}.{member}"),
                };
                flatten(&name, value, facts);
            }
        }
        Value::Array(rows) => {
            for row in rows {
                let id = row.get("taxID").or_else(|| row.get("taxId"));
                let name = id.map_or_else(|| name.to_owned(), |id| format!("tax {id}"));
                let text = facts.entry(name).or_default();
                if !text.is_empty() {
                    text.push_str("; ");
                }
                text.push_str(&one_line(row));
            }
        }
        Value::String(text) => {
            facts.insert(name.to_owned(), text.clone());
        }
        other => {
            facts.insert(name.to_owned(), other.to_string());
        }
    }
}

fn one_line(value: &Value) -> String {
    let Value::Object(members) = value else {
        return value.to_string();
    };
    let parts = members.iter().filter(|(_, value)| !value.is_null());
    let parts = parts.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tax that changes its percent, one that comes, a VAT number that goes; the operation is no fact.
    #[test]
    fn changes_are_named() {
        let before = r#"{"operationID":"a","vatNumber":"220000000","applicableTaxes":[{"taxID":517,"taxPercent":15.5,"taxName":"Standard"}],"deviceBranchAddress":{"city":"Harare"}}"#;
        let after = r#"{"operationID":"b","vatNumber":null,"applicableTaxes":[{"taxID":517,"taxPercent":16,"taxName":"Standard"},{"taxID":1,"taxName":"Exempt"}],"deviceBranchAddress":{"city":"Harare"}}"#;
        let changes = changes(before, after);
        let found: Vec<(&str, Option<&str>, Option<&str>)> = changes
            .iter()
            .map(|c| (c.what.as_str(), c.before.as_deref(), c.after.as_deref()))
            .collect();
        let (old, new) = (
            "taxID 517, taxName Standard, taxPercent 15.5",
            "taxID 517, taxName Standard, taxPercent 16",
        );
        assert_eq!(
            found,
            [
                ("tax 517", Some(old), Some(new)),
                ("vatNumber", Some("220000000"), None),
                ("tax 1", None, Some("taxID 1, taxName Exempt")),
            ]
        );
    }
}
