//! Tolerant reading of FDMS's JSON (docs/FDMS.md section 1, "Reading").
//!
//! An answer is taken apart field by field: `null` is absent, several spellings of a name are tried,
//! whole numbers may come as strings, and what nobody asked for is kept. Amounts and percents are never
//! turned into a float: [`Exact`] is the number's own text.

use std::collections::BTreeMap;
use std::fmt;

use clock::DateTime;
use serde_json::value::RawValue;

/// Unknown fields of an answer: name and JSON text.
pub type Extra = BTreeMap<String, String>;

/// Why an answer could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct WireError {
    /// Path of the field, such as `applicableTaxes/2/taxID`; `answer` for the whole.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl WireError {
    fn new(field: &str, why: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            why: why.into(),
        }
    }

    fn inside(mut self, outer: &str) -> Self {
        self.field = format!("{outer}/{}", self.field);
        self
    }
}

/// A number as FDMS wrote it, digit by digit (`15.50` stays `15.50`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact(String);

impl Exact {
    /// The number's text: JSON number syntax.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A local time of Zimbabwe with the text it came in (signatures are made over the text).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// As FDMS wrote it.
    pub text: String,
    /// What it means.
    pub at: DateTime,
}

/// A JSON object that is being taken apart.
pub(super) struct Object {
    fields: BTreeMap<String, Box<RawValue>>,
}

/// One name of a field, or several in order of preference.
pub(super) type Names<'a> = &'a [&'a str];

impl Object {
    /// Reads the text of an object; a byte order mark before it is passed over.
    pub(super) fn parse(text: &str) -> Result<Self, WireError> {
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map(|fields| Self { fields })
            .map_err(|error| WireError::new("answer", format!("no JSON object ({error})")))
    }

    /// Takes the first of `names` that is there and not null; the others are dropped.
    pub(super) fn raw(&mut self, names: Names<'_>) -> Option<Box<RawValue>> {
        let mut found = None;
        for name in names {
            let value = self.fields.remove(*name);
            found = found.or_else(|| value.filter(|value| value.get() != "null"));
        }
        found
    }

    pub(super) fn text(&mut self, names: Names<'_>) -> Result<Option<String>, WireError> {
        let Some(raw) = self.raw(names) else {
            return Ok(None);
        };
        if raw.get().starts_with('"') {
            return from_raw(names, &raw).map(Some);
        }
        // A number or a word where a text belongs: its own notation is the text.
        if raw.get().starts_with(['{', '[']) {
            return Err(WireError::new(names[0], "a text was expected"));
        }
        Ok(Some(raw.get().to_owned()))
    }

    pub(super) fn int<T: TryFrom<i64>>(
        &mut self,
        names: Names<'_>,
    ) -> Result<Option<T>, WireError> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        let number = text
            .trim()
            .parse::<i64>()
            .ok()
            .and_then(|n| T::try_from(n).ok());
        number
            .map(Some)
            .ok_or_else(|| WireError::new(names[0], format!("`{text}` is no such number")))
    }

    pub(super) fn exact(&mut self, names: Names<'_>) -> Result<Option<Exact>, WireError> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        let text = text.trim();
        // The grammar of numbers is serde_json's; its value is not used.
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(_) => Ok(Some(Exact(text.to_owned()))),
            Err(_) => Err(WireError::new(names[0], format!("`{text}` is no number"))),
        }
    }

    pub(super) fn time(&mut self, names: Names<'_>) -> Result<Option<LocalTime>, WireError> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        let at = local_time(&text)
            .ok_or_else(|| WireError::new(names[0], format!("`{text}` is no time")))?;
        Ok(Some(LocalTime { text, at }))
    }

    /// An array of objects; absent is empty.
    pub(super) fn list<T>(
        &mut self,
        names: Names<'_>,
        read: impl Fn(&mut Object) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let Some(raw) = self.raw(names) else {
            return Ok(Vec::new());
        };
        let rows: Vec<Box<RawValue>> = from_raw(names, &raw)?;
        let rows = rows.iter().filter(|row| row.get() != "null").enumerate();
        rows.map(|(at, row)| {
            Object::parse(row.get())
                .and_then(|mut object| read(&mut object))
                .map_err(|error| error.inside(&at.to_string()).inside(names[0]))
        })
        .collect()
    }

    /// A nested object, if it is there.
    pub(super) fn object<T>(
        &mut self,
        names: Names<'_>,
        read: impl Fn(&mut Object) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        let Some(raw) = self.raw(names) else {
            return Ok(None);
        };
        Object::parse(raw.get())
            .and_then(|mut object| read(&mut object))
            .map(Some)
            .map_err(|error| error.inside(names[0]))
    }

    /// What nobody asked for.
    pub(super) fn rest(&mut self) -> Extra {
        std::mem::take(&mut self.fields)
            .into_iter()
            .map(|(name, value)| (name, value.get().to_owned()))
            .collect()
    }
}

/// Makes an absent field an error.
pub(super) fn need<T>(names: Names<'_>, value: Option<T>) -> Result<T, WireError> {
    value.ok_or_else(|| WireError::new(names[0], "is missing"))
}

/// An array of strings; one string stands for an array of one, absent for an empty one.
pub(super) fn texts(object: &mut Object, names: Names<'_>) -> Result<Vec<String>, WireError> {
    match object.raw(names) {
        None => Ok(Vec::new()),
        Some(raw) if raw.get().starts_with('"') => from_raw(names, &raw).map(|text| vec![text]),
        Some(raw) => from_raw(names, &raw),
    }
}

/// The map of a 400: field to messages, whatever their shape.
pub(super) fn messages(object: &mut Object, names: Names<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(raw) = object.raw(names) else {
        return BTreeMap::new();
    };
    let Ok(fields) = Object::parse(raw.get()) else {
        return BTreeMap::from([(String::new(), vec![raw.get().to_owned()])]);
    };
    let one = |raw: Box<RawValue>| {
        serde_json::from_str::<Vec<String>>(raw.get())
            .or_else(|_| serde_json::from_str::<String>(raw.get()).map(|text| vec![text]))
            .unwrap_or_else(|_| vec![raw.get().to_owned()])
    };
    fields
        .fields
        .into_iter()
        .map(|(field, raw)| (field, one(raw)))
        .collect()
}

fn from_raw<T: serde::de::DeserializeOwned>(
    names: Names<'_>,
    raw: &RawValue,
) -> Result<T, WireError> {
    serde_json::from_str(raw.get()).map_err(|error| WireError::new(names[0], error.to_string()))
}

/// FDMS's times have no zone and are local. If one has a zone after all, it is honoured.
fn local_time(text: &str) -> Option<DateTime> {
    let text = text.trim();
    if let Ok(at) = text.parse::<DateTime>() {
        return Some(at);
    }
    text.parse::<clock::Timestamp>().ok().map(clock::local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        Object::parse(text).unwrap()
    }

    /// Null is absent, the second spelling counts when the first is not there, the rest is kept.
    #[test]
    fn spellings_null_and_rest() {
        let mut answer = object(r#"{"a":null,"b":"x","later":{"k":[1,2.50]}}"#);
        assert_eq!(answer.text(&["a", "b"]).unwrap().as_deref(), Some("x"));
        assert_eq!(answer.text(&["a"]).unwrap(), None);
        let rest = answer.rest();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest["later"], r#"{"k":[1,2.50]}"#);
        let mut both = object(r#"{"a":"first","b":"second"}"#);
        assert_eq!(both.text(&["a", "b"]).unwrap().as_deref(), Some("first"));
        assert!(both.rest().is_empty());
    }

    /// Numbers keep every digit, also those that no float holds.
    #[test]
    fn numbers_keep_their_text() {
        for text in ["15.50", "0.1", "-40.35", "9007199254740993.01", "1e2", "0"] {
            let mut answer = object(&format!(r#"{{"n":{text},"s":"{text}"}}"#));
            assert_eq!(answer.exact(&["n"]).unwrap().unwrap().as_str(), text);
            assert_eq!(answer.exact(&["s"]).unwrap().unwrap().as_str(), text);
        }
        for text in [r#""1,20""#, r#""NaN""#, "true", "[1]", r#""""#] {
            let error = object(&format!(r#"{{"n":{text}}}"#))
                .exact(&["n"])
                .unwrap_err();
            assert_eq!(error.field, "n", "{text}");
        }
    }

    /// Whole numbers come as numbers or strings and must fit.
    #[test]
    fn integers_must_fit() {
        let mut answer = object(r#"{"a":7,"b":"8","c":-1,"d":4294967296,"e":1.5}"#);
        assert_eq!(answer.int::<u32>(&["a"]).unwrap(), Some(7));
        assert_eq!(answer.int::<u32>(&["b"]).unwrap(), Some(8));
        for name in ["c", "d", "e"] {
            assert!(answer.int::<u32>(&[name]).is_err(), "{name}");
        }
    }

    /// Times are local; fractions are read, a zone is honoured.
    #[test]
    fn times_are_local() {
        let mut answer = object(
            r#"{"a":"2026-05-28T07:42:19","b":"2026-05-28T07:42:19.123","c":"2026-05-28T05:42:19Z","d":"soon"}"#,
        );
        let time = answer.time(&["a"]).unwrap().unwrap();
        assert_eq!(time.text, "2026-05-28T07:42:19");
        assert_eq!(time.at.to_string(), "2026-05-28T07:42:19");
        assert_eq!(answer.time(&["b"]).unwrap().unwrap().at.second(), 19);
        assert_eq!(answer.time(&["c"]).unwrap().unwrap().at, time.at);
        assert!(answer.time(&["d"]).is_err());
    }

    /// An error names the whole path of its field.
    #[test]
    fn errors_name_the_path() {
        let mut answer = object(r#"{"rows":[{"id":1},{"id":"x"}]}"#);
        let error = answer
            .list(&["rows"], |row| row.int::<u32>(&["id"]))
            .unwrap_err();
        assert_eq!(error.field, "rows/1/id");
        for text in ["", "[]", "<html>", "\"x\"", "{\"a\":"] {
            assert!(Object::parse(text).is_err(), "{text}");
        }
    }
}
