//! Reading the device's JSON, field by field.
//!
//! FDMS answers a message of the wrong shape with a map from field to what is wrong with it, so reading
//! goes on after an error and gathers them all. Numbers are taken from their text (`RawValue`), names
//! are compared as they are written, unknown fields are passed over and null is absent
//! (docs/FDMS.md section 1).

use std::collections::{BTreeMap, HashMap};

use jiff::civil::DateTime;
use serde_json::value::RawValue;

use crate::micro::{Micro, NumberError};

/// What is wrong, by the path of the field.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Errors(pub(crate) BTreeMap<String, Vec<String>>);

impl Errors {
    pub(crate) fn push(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.0.entry(path.into()).or_default().push(what.into());
    }

    /// `value`, unless something was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

/// One JSON object, its values still as text.
pub(crate) struct Object<'a> {
    path: String,
    fields: HashMap<String, &'a RawValue>,
}

impl<'a> Object<'a> {
    /// Takes the outermost object of a message apart.
    pub(crate) fn outermost(text: &'a str, errors: &mut Errors) -> Self {
        Self::read(text, String::new(), errors)
    }

    fn read(text: &'a str, path: String, errors: &mut Errors) -> Self {
        let fields = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(error) => {
                let place = if path.is_empty() { "$" } else { &path };
                errors.push(place, format!("The value is not a JSON object: {error}"));
                HashMap::new()
            }
        };
        Self { path, fields }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        let text = self.fields.get(key)?.get();
        (text != "null").then_some(text)
    }

    /// Whether one of the two spellings of a field is there; the first one that is.
    pub(crate) fn either<'k>(&self, first: &'k str, second: &'k str) -> &'k str {
        if self.value(first).is_none() && self.value(second).is_some() {
            second
        } else {
            first
        }
    }

    /// A field that must be there.
    pub(crate) fn required<T: Default>(
        &self,
        errors: &mut Errors,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        if self.value(key).is_none() {
            let what = format!("The {key} field is required.");
            errors.push(self.path_of(key), what);
            return T::default();
        }
        self.optional(errors, key, read).unwrap_or_default()
    }

    /// A field that may be left out or null.
    pub(crate) fn optional<T>(
        &self,
        errors: &mut Errors,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.value(key)?) {
            Ok(value) => Some(value),
            Err(what) => {
                errors.push(self.path_of(key), what);
                None
            }
        }
    }

    /// An object inside that must be there; an empty one in its place if it is not.
    pub(crate) fn required_object(&self, errors: &mut Errors, key: &str) -> Object<'a> {
        if let Some(text) = self.value(key) {
            return Self::read(text, self.path_of(key), errors);
        }
        let what = format!("The {key} field is required.");
        errors.push(self.path_of(key), what);
        Self {
            path: self.path_of(key),
            fields: HashMap::new(),
        }
    }

    /// A field's own JSON text; empty when it is not there.
    pub(crate) fn text_of(&self, key: &str) -> &'a str {
        self.value(key).unwrap_or_default()
    }

    /// The JSON texts of a list of objects that must be there; it may be empty.
    pub(crate) fn texts(&self, errors: &mut Errors, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        self.required_list(errors, key, |_, _| ());
        let items: Vec<&RawValue> = serde_json::from_str(self.text_of(key)).unwrap_or_default();
        texts.extend(items.iter().map(|item| item.get().to_owned()));
        texts
    }

    /// An object inside that may be left out.
    pub(crate) fn optional_object(&self, errors: &mut Errors, key: &str) -> Option<Object<'a>> {
        let text = self.value(key)?;
        Some(Self::read(text, self.path_of(key), errors))
    }

    /// A list of objects that must be there; it may be empty.
    pub(crate) fn required_list<T>(
        &self,
        errors: &mut Errors,
        key: &str,
        mut read: impl FnMut(&Object<'_>, &mut Errors) -> T,
    ) -> Vec<T> {
        let path = self.path_of(key);
        let Some(text) = self.value(key) else {
            errors.push(path, format!("The {key} field is required."));
            return Vec::new();
        };
        let items: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(items) => items,
            Err(error) => {
                errors.push(path, format!("The value is not a list: {error}"));
                return Vec::new();
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let object = Object::read(item.get(), format!("{path}[{index}]"), errors);
            // An item that is no object has been reported; its fields need no report of their own.
            if item.get().starts_with('{') {
                list.push(read(&object, errors));
            }
        }
        list
    }
}

/// A text of at most `longest` UTF-16 units, as FDMS counts them.
pub(crate) fn text(longest: usize) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let value: String = serde_json::from_str(raw)
            .map_err(|_| "The value could not be converted to a string.".to_owned())?;
        if value.encode_utf16().count() > longest {
            return Err(format!(
                "The field must be a string with a maximum length of {longest}."
            ));
        }
        Ok(value)
    }
}

/// A 32-bit number.
pub(crate) fn integer(raw: &str) -> Result<i32, String> {
    raw.parse()
        .map_err(|_| "The value could not be converted to a 32-bit number.".to_owned())
}

/// A 64-bit number.
pub(crate) fn long_integer(raw: &str) -> Result<i64, String> {
    raw.parse()
        .map_err(|_| "The value could not be converted to a 64-bit number.".to_owned())
}

/// true or false.
pub(crate) fn boolean(raw: &str) -> Result<bool, String> {
    raw.parse()
        .map_err(|_| "The value could not be converted to a boolean.".to_owned())
}

/// decimal(`digits`, `scale`).
pub(crate) fn decimal(digits: u32, scale: u32) -> impl Fn(&str) -> Result<Micro, String> {
    move |raw| {
        Micro::parse(raw, digits, scale).map_err(|error| match error {
            NumberError::NotANumber => "The value could not be converted to a number.".to_owned(),
            NumberError::TooManyDigits => {
                format!("provided value {raw} do not satisfy decimal({digits},{scale})")
            }
        })
    }
}

/// An amount of money, decimal(21,2).
pub(crate) fn amount(raw: &str) -> Result<Micro, String> {
    decimal(21, 2)(raw)
}

/// A percent, decimal(5,2).
pub(crate) fn percent(raw: &str) -> Result<Micro, String> {
    decimal(5, 2)(raw)
}

/// A local time, `YYYY-MM-DDTHH:MM:SS` and nothing else.
pub(crate) fn date_time(raw: &str) -> Result<DateTime, String> {
    let wrong = || {
        "The value could not be converted to a local date and time (YYYY-MM-DDTHH:MM:SS)."
            .to_owned()
    };
    let value: String = serde_json::from_str(raw).map_err(|_| wrong())?;
    let shape = value.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if value.len() != 19 || !shape {
        return Err(wrong());
    }
    value.parse().map_err(|_| wrong())
}

/// One of the values of an enum, by its exact name.
pub(crate) fn one_of<T: Copy>(values: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |raw| {
        let name: String = serde_json::from_str(raw)
            .map_err(|_| "The value could not be converted to a string.".to_owned())?;
        let found = values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            format!("The value '{name}' is not one of {}.", known.join(", "))
        })
    }
}

/// Bytes written in base64, at most `longest` of them; the text as sent, and the bytes.
pub(crate) fn base64_bytes(longest: usize) -> impl Fn(&str) -> Result<(String, Vec<u8>), String> {
    use base64::Engine;
    move |raw| {
        let text: String = serde_json::from_str(raw)
            .map_err(|_| "The value could not be converted to a string.".to_owned())?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&text)
            .map_err(|_| "The value is not base64.".to_owned())?;
        if bytes.len() > longest {
            return Err(format!(
                "The field must be an array with a maximum length of {longest}."
            ));
        }
        Ok((text, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is wrong in a message is reported, each under its path.
    #[test]
    fn errors_are_gathered_by_path() {
        let mut errors = Errors::default();
        let object = Object::outermost(r#"{"a": 1.234, "list": [{}, 7], "n": null}"#, &mut errors);
        object.required(&mut errors, "a", amount);
        object.required(&mut errors, "n", integer);
        object.required_list(&mut errors, "list", |item, errors| {
            item.required(errors, "x", boolean)
        });
        let paths: Vec<&str> = errors.0.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a", "list[0].x", "list[1]", "n"]);
        assert_eq!(
            errors.0["a"],
            ["provided value 1.234 do not satisfy decimal(21,2)"]
        );
    }

    /// Times have one shape only: no zone, no fraction, no space.
    #[test]
    fn times_have_one_shape() {
        assert!(date_time("\"2026-05-28T07:42:19\"").is_ok());
        for wrong in [
            "\"2026-05-28T07:42:19Z\"",
            "\"2026-05-28 07:42:19\"",
            "\"2026-05-28T07:42:19.5\"",
            "\"2026-02-30T07:42:19\"",
            "\"2026-05-28\"",
            "7",
        ] {
            assert!(date_time(wrong).is_err(), "{wrong}");
        }
    }

    /// Lengths are counted in UTF-16 units: an emoji is two.
    #[test]
    fn text_length_is_counted_in_utf16() {
        assert!(text(2)("\"\u{1F35E}\"").is_ok());
        assert!(text(1)("\"\u{1F35E}\"").is_err());
    }
}
