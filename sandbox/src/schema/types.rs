//! The types of the schema: how they are written, and whether a value is of one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::file::members;
use crate::json;

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// From so many UTF-16 units to so many.
    Text(usize, usize),
    Bool,
    Int32,
    Int64,
    Decimal(u32, u32),
    /// A local time.
    Time,
    /// A time in UTC, with its Z.
    Utc,
    /// Base64 of so many bytes at most.
    Bytes(usize),
    List(Box<Kind>),
    /// An object with a list of texts behind each name.
    ListsOfText,
    Named(String),
}

/// A type and whether it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Field {
    kind: Kind,
    is_optional: bool,
}

impl Field {
    pub(super) fn named(name: &str) -> Self {
        Self {
            kind: Kind::Named(name.to_owned()),
            is_optional: false,
        }
    }

    /// The name of the type, if it is one that the schema describes.
    #[cfg(test)]
    pub(super) fn name(&self) -> Option<&str> {
        let mut kind = &self.kind;
        while let Kind::List(items) = kind {
            kind = items;
        }
        match kind {
            Kind::Named(name) => Some(name),
            _ => None,
        }
    }
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let (text, is_optional) = match written.strip_suffix('?') {
            Some(text) => (text, true),
            None => (written.as_str(), false),
        };
        let kind = read_kind(text).ok_or_else(|| format!("'{written}' is no type"))?;
        Ok(Self { kind, is_optional })
    }
}

fn read_kind(text: &str) -> Option<Kind> {
    if text == "lists of text" {
        return Some(Kind::ListsOfText);
    }
    if let Some(items) = text.strip_prefix("list of ") {
        return Some(Kind::List(Box::new(read_kind(items)?)));
    }
    let (name, sizes) = match text.split_once('(') {
        Some((name, sizes)) => (name, sizes.strip_suffix(')')?),
        None => (text, ""),
    };
    Some(match (name, sizes) {
        ("text", "") => Kind::Text(0, usize::MAX),
        ("text", sizes) => {
            let (least, most) = sizes.split_once("..").unwrap_or(("0", sizes));
            let most = if most.is_empty() {
                usize::MAX
            } else {
                most.parse().ok()?
            };
            Kind::Text(least.parse().ok()?, most)
        }
        ("bool", "") => Kind::Bool,
        ("int32", "") => Kind::Int32,
        ("int64", "") => Kind::Int64,
        ("decimal", sizes) => {
            let (digits, scale) = sizes.split_once(',')?;
            Kind::Decimal(digits.parse().ok()?, scale.parse().ok()?)
        }
        ("time", "") => Kind::Time,
        ("utc", "") => Kind::Utc,
        ("base64", most) => Kind::Bytes(most.parse().ok()?),
        (name, "") if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Kind::Named(name.to_owned())
        }
        _ => return None,
    })
}

/// What a name stands for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Described {
    /// One of these texts.
    Values(Vec<String>),
    /// An object with these fields and no others.
    Fields(BTreeMap<String, Field>),
}

/// All types that have a name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Types(BTreeMap<String, Described>);

impl Types {
    /// Checks a value that came as a bare text, in a header or a query.
    pub(super) fn check_text(
        &self,
        field: &Field,
        value: Option<&str>,
        path: &str,
        found: &mut Vec<String>,
    ) {
        let Some(value) = value else {
            if !field.is_optional {
                found.push(format!("{path}: missing"));
            }
            return;
        };
        let is_number = matches!(field.kind, Kind::Int32 | Kind::Int64 | Kind::Decimal(..));
        let raw = if is_number {
            value.to_owned()
        } else {
            serde_json::Value::from(value).to_string()
        };
        self.check_kind(&field.kind, &raw, path, found);
    }

    /// Checks a JSON value.
    pub(super) fn check(&self, field: &Field, raw: &str, path: &str, found: &mut Vec<String>) {
        match serde_json::from_str::<&RawValue>(raw) {
            Ok(value) if value.get() == "null" && field.is_optional => {}
            Ok(value) => self.check_kind(&field.kind, value.get(), path, found),
            Err(error) => found.push(format!("{path}: not JSON: {error}")),
        }
    }

    fn check_kind(&self, kind: &Kind, raw: &str, path: &str, found: &mut Vec<String>) {
        let wrong = match kind {
            Kind::Text(least, most) => match json::text(*most)(raw) {
                Ok(text) if text.encode_utf16().count() < *least => {
                    Some(format!("The field must have {least} characters or more."))
                }
                other => other.err(),
            },
            Kind::Bool => json::boolean(raw).err(),
            Kind::Int32 => json::integer(raw).err(),
            Kind::Int64 => json::long_integer(raw).err(),
            Kind::Decimal(digits, scale) => json::decimal(*digits, *scale)(raw).err(),
            Kind::Time => json::date_time(raw).err(),
            Kind::Utc => {
                let local = raw.strip_suffix("Z\"").map(|start| format!("{start}\""));
                local.map_or_else(
                    || Some("The time is not in UTC.".to_owned()),
                    |local| json::date_time(&local).err(),
                )
            }
            Kind::Bytes(most) => json::base64_bytes(*most)(raw).err(),
            Kind::List(items) => return self.check_list(items, raw, path, found),
            Kind::ListsOfText => {
                let lists = serde_json::from_str::<BTreeMap<String, Vec<String>>>(raw);
                lists.err().map(|error| error.to_string())
            }
            Kind::Named(name) => return self.check_named(name, raw, path, found),
        };
        found.extend(wrong.map(|what| format!("{path}: {what}")));
    }

    fn check_list(&self, items: &Kind, raw: &str, path: &str, found: &mut Vec<String>) {
        let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(raw) else {
            found.push(format!("{path}: not a list"));
            return;
        };
        for (index, value) in values.iter().enumerate() {
            self.check_kind(items, value.get(), &format!("{path}[{index}]"), found);
        }
    }

    fn check_named(&self, name: &str, raw: &str, path: &str, found: &mut Vec<String>) {
        match self.0.get(name) {
            Some(Described::Fields(fields)) => self.check_fields(fields, raw, path, found),
            Some(Described::Values(values)) => match serde_json::from_str::<String>(raw) {
                Ok(value) if values.contains(&value) => {}
                Ok(value) => found.push(format!("{path}: '{value}' is none of the values")),
                Err(_) => found.push(format!("{path}: not a text")),
            },
            None => found.push(format!("{path}: the schema has no type {name}")),
        }
    }

    fn check_fields(
        &self,
        fields: &BTreeMap<String, Field>,
        raw: &str,
        path: &str,
        found: &mut Vec<String>,
    ) {
        let Ok(members) = members(raw) else {
            found.push(format!("{path}: not an object"));
            return;
        };
        let mut values = BTreeMap::new();
        for (name, value) in &members {
            if values.insert(name.as_str(), value.get()).is_some() {
                found.push(format!("{path}.{name}: twice"));
            }
        }
        let all: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        for name in values.keys().copied().filter(|name| !all.contains(name)) {
            found.push(format!("{path}.{name}: unknown"));
        }
        for (name, field) in fields {
            let path = format!("{path}.{name}");
            match values.get(name.as_str()) {
                Some(raw) if *raw != "null" => self.check_kind(&field.kind, raw, &path, found),
                _ if field.is_optional => {}
                _ => found.push(format!("{path}: missing")),
            }
        }
    }
}

#[cfg(test)]
impl Types {
    /// The names of all types, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The names that the types' own fields use.
    pub(super) fn names_used(&self) -> impl Iterator<Item = &str> {
        let fields = self.0.values().filter_map(|described| match described {
            Described::Fields(fields) => Some(fields.values()),
            Described::Values(_) => None,
        });
        fields.flatten().filter_map(Field::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types are read as they are written, and misspelt ones are not.
    #[test]
    fn types_are_read() {
        let read = |text: &str| Field::try_from(text.to_owned()).ok();
        let field = |kind, is_optional| Some(Field { kind, is_optional });
        assert_eq!(read("text(1..8)?"), field(Kind::Text(1, 8), true));
        assert_eq!(read("text(1..)"), field(Kind::Text(1, usize::MAX), false));
        assert_eq!(read("decimal(21,2)"), field(Kind::Decimal(21, 2), false));
        let list = Kind::List(Box::new(Kind::Named("Tax".to_owned())));
        assert_eq!(read("list of Tax?"), field(list, true));
        for wrong in [
            "txt",
            "text(x)",
            "decimal(21)",
            "int32(4)",
            "base64",
            "",
            "tax",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
