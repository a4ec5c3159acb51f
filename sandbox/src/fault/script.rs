//! Rules read from a file: a JSON list of them, or one behind the other, as JSON lines are.

use std::fmt;

use serde_json::value::RawValue;

use super::{Fault, FaultJson};

/// Why a file of faults cannot be read: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FaultError {
    /// The line, from 1.
    pub line: usize,
    /// The field of the rule, if it is one.
    pub field: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Reads rules: a JSON list, or objects one behind the other.
///
/// # Errors
/// The first thing that is no rule, with its line and field.
pub fn read_faults(text: &str) -> Result<Vec<Fault>, FaultError> {
    let rules: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| broken(&error))?
    } else {
        let stream = serde_json::Deserializer::from_str(text).into_iter();
        let rules: Result<_, _> = stream.collect();
        rules.map_err(|error| broken(&error))?
    };
    rules.iter().map(|rule| read_rule(text, rule)).collect()
}

/// The text is no JSON at all.
fn broken(error: &serde_json::Error) -> FaultError {
    FaultError {
        line: error.line(),
        field: None,
        what: format!("column {}: {}", error.column(), plain(error)),
    }
}

fn read_rule(file: &str, rule: &RawValue) -> Result<Fault, FaultError> {
    serde_json::from_str(rule.get()).map_err(|error| {
        let (field, place) = wrong_field(rule).unwrap_or((None, rule.get()));
        let what = match &field {
            // The reason without the other fields around it.
            Some(name) => single(name, place).err().unwrap_or(error),
            None => error,
        };
        FaultError {
            line: line_of(file, place),
            field,
            what: plain(&what),
        }
    })
}

/// The first field that is wrong by itself, and where it stands.
fn wrong_field(rule: &RawValue) -> Option<(Option<String>, &str)> {
    let fields: Fields<'_> = serde_json::from_str(rule.get()).ok()?;
    let wrong = fields
        .0
        .into_iter()
        .find(|(name, value)| single(name, value.get()).is_err());
    wrong.map(|(name, value)| (Some(name), value.get()))
}

/// Reads a rule of one field only.
fn single(name: &str, value: &str) -> Result<(), serde_json::Error> {
    let name = serde_json::to_string(name)?;
    let rule: FaultJson = serde_json::from_str(&format!("{{{name}: {value}}}"))?;
    if rule.per_mille.is_some_and(|per_mille| per_mille > 1000) {
        return Err(serde::de::Error::custom("must be between 0 and 1000"));
    }
    Ok(())
}

/// The fields of an object in their order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Visitor).map(Self)
    }
}

/// The line on which `place`, a part of `file`, begins.
fn line_of(file: &str, place: &str) -> usize {
    let offset = place.as_ptr().addr().saturating_sub(file.as_ptr().addr());
    let before = file.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The message without its place, which is counted from where the rule begins.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Call, FaultKind};

    /// Lists and lines are read alike.
    #[test]
    fn lists_and_lines() {
        let (lost, flaky) = (
            r#"{"call": "Ping", "fault": "lose_request"}"#,
            "{\"per_mille\": 20,\n \"fault\": {\"status\": 503}}",
        );
        let list = read_faults(&format!("[{lost},\n{flaky}]")).unwrap();
        assert_eq!(read_faults(&format!("{lost}\n\n{flaky}\n")).unwrap(), list);
        assert_eq!(list[0], Fault::next(Call::Ping, FaultKind::LoseRequest));
        assert_eq!((list[1].per_mille, list.len()), (Some(20), 2));
        assert_eq!(read_faults("").unwrap(), []);
    }

    /// An error names line and field, and says what would be right.
    #[test]
    fn errors_name_line_and_field() {
        let error = |text: &str| read_faults(text).unwrap_err().to_string();
        let good = "{\"fault\": \"reset\"}";
        let cases = [
            ("{\"fault\": \"reset\",\n\"skip\": \"x\"}", "line 3: skip: "),
            (
                "{\"fault\": \"explode\"}",
                "line 2: fault: must be lose_request",
            ),
            (
                "{\"fault\": {\"status\": 200}}",
                "line 2: fault: status must be",
            ),
            (
                "{\"fault\": \"reset\", \"per_mille\": 2000}",
                "line 2: per_mille: must be",
            ),
            (
                "{\"fault\": \"reset\",\n\"calls\": 1}",
                "line 3: calls: unknown field",
            ),
            (
                "{\"call\": \"Pong\", \"fault\": \"reset\"}",
                "line 2: call: unknown variant",
            ),
            (
                "{\"fault\": \"reset\", \"till\": \"noon\"}",
                "line 2: till: noon is no moment",
            ),
            ("{\"skip\": 1}", "line 2: the field fault is missing"),
            ("{\"fault\": ", "line 2: column"),
            ("7", "line 2: "),
        ];
        for (text, begins) in cases {
            let lines = error(&format!("{good}\n{text}"));
            assert!(lines.starts_with(begins), "{lines}");
            let list = read_faults(&format!("[{good},\n{text}]"));
            assert!(list.is_err(), "{text}");
        }
    }
}
