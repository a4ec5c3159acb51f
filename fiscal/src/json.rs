//! JSON read without losing a digit.
//!
//! serde_json turns numbers into floats, which money must never touch. Here a document becomes a small
//! tree whose numbers are still the text that was sent, with members in order and doubled names kept,
//! so that everything wrong in a sale can be reported at once, each with its JSON pointer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting that is read; a sale needs four levels.
const MAX_DEPTH: usize = 16;

/// A JSON value; numbers are the text that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its text.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object: its members in order, doubled names kept.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// A document that is no JSON: where, and the member that was being read there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON at line {line}, column {column}: {message}")]
pub struct JsonError {
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault, from 1.
    pub column: usize,
    /// JSON pointer of the member that was being read.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl<'a> Value<'a> {
    /// Reads a document.
    ///
    /// # Errors
    /// The bytes are not UTF-8, not JSON, or nested deeper than 16 levels.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default())
                .unwrap_or_default();
            fault_at(good, good.len(), "the text is not UTF-8".to_owned())
        })?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let offset = offset_of(text, error.line(), error.column());
            let message = error.to_string();
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or(&message)
                .to_owned();
            fault_at(text, offset, message)
        })?;
        Self::from_raw(raw, 0)
    }

    fn from_raw(raw: &'a RawValue, depth: usize) -> Result<Self, JsonError> {
        let text = raw.get();
        if depth > MAX_DEPTH {
            return Err(JsonError {
                line: 1,
                column: 1,
                pointer: String::new(),
                message: format!("nested deeper than {MAX_DEPTH} levels"),
            });
        }
        let inner = |error: serde_json::Error| fault_at(text, 0, error.to_string());
        match text.as_bytes().first() {
            Some(b'n') => Ok(Self::Null),
            Some(b't') => Ok(Self::Bool(true)),
            Some(b'f') => Ok(Self::Bool(false)),
            Some(b'"') => {
                let mut reader = serde_json::Deserializer::from_str(text);
                reader
                    .deserialize_str(TextVisitor)
                    .map(Self::String)
                    .map_err(inner)
            }
            Some(b'[') => {
                let mut reader = serde_json::Deserializer::from_str(text);
                let items = reader.deserialize_seq(ItemsVisitor(depth + 1));
                Ok(Self::Array(items.map_err(inner)??))
            }
            Some(b'{') => {
                let mut reader = serde_json::Deserializer::from_str(text);
                let members = reader.deserialize_map(MembersVisitor(depth + 1));
                Ok(Self::Object(members.map_err(inner)??))
            }
            _ => Ok(Self::Number(text)),
        }
    }

    /// The member of an object by name, `null` being the same as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(member, value)| member == name && *value != Self::Null)
            .map(|(_, value)| value)
    }

    /// What kind of value it is, in words for an error message.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// The document as compact JSON: every number as it was sent, members in order.
impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(value) => value.fmt(formatter),
            Self::Number(text) => formatter.write_str(text),
            Self::String(text) => write_name(formatter, text),
            Self::Array(items) => {
                formatter.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    formatter.write_str(if place > 0 { "," } else { "" })?;
                    item.fmt(formatter)?;
                }
                formatter.write_str("]")
            }
            Self::Object(members) => {
                formatter.write_str("{")?;
                for (place, (name, value)) in members.iter().enumerate() {
                    formatter.write_str(if place > 0 { "," } else { "" })?;
                    write_name(formatter, name)?;
                    formatter.write_str(":")?;
                    value.fmt(formatter)?;
                }
                formatter.write_str("}")
            }
        }
    }
}

fn write_name(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut out = String::new();
    write_string(&mut out, text);
    formatter.write_str(&out)
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Self)
    }
}

fn pushed<T>(mut all: Vec<T>, one: T) -> Result<Vec<T>, JsonError> {
    all.push(one);
    Ok(all)
}

/// Items, and how deep they are nested. They are read to the end also behind one that is too deep.
struct ItemsVisitor(usize);

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Result<Vec<Value<'de>>, JsonError>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Ok(Vec::new());
        while let Some(item) = items.next_element()? {
            all = all.and_then(|all| pushed(all, Value::from_raw(item, self.0)?));
        }
        Ok(all)
    }
}

/// Members, in the same way.
struct MembersVisitor(usize);

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Result<Vec<(Cow<'de, str>, Value<'de>)>, JsonError>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Ok(Vec::new());
        while let Some((Text(name), value)) = members.next_entry()? {
            all = all.and_then(|all| pushed(all, (name, Value::from_raw(value, self.0)?)));
        }
        Ok(all)
    }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

fn fault_at(text: &str, offset: usize, message: String) -> JsonError {
    let before = text.get(..offset).unwrap_or(text);
    JsonError {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1,
        pointer: pointer_at(before),
        message,
    }
}

/// The JSON pointer of the member that was being read when the text broke off.
fn pointer_at(before: &str) -> String {
    enum Level {
        Object(String),
        Array(usize),
    }
    let mut levels: Vec<Level> = Vec::new();
    let mut last_string = String::new();
    let mut chars = before.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                last_string.clear();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => last_string.extend(chars.next()),
                        c => last_string.push(c),
                    }
                }
            }
            ':' => {
                if let Some(Level::Object(name)) = levels.last_mut() {
                    name.clone_from(&last_string);
                }
            }
            ',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            '{' => levels.push(Level::Object(String::new())),
            '[' => levels.push(Level::Array(0)),
            '}' | ']' => drop(levels.pop()),
            _ => {}
        }
    }
    let mut pointer = String::new();
    for level in levels.into_iter().take(MAX_DEPTH) {
        pointer.push('/');
        match level {
            Level::Object(name) => pointer.push_str(&escape(&name)),
            Level::Array(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// A member's name as a step of a JSON pointer (RFC 6901).
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    let is_plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(is_plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string always serialises.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers keep their text: no digit is lost, no exponent is applied.
    #[test]
    fn numbers_keep_their_text() {
        let value = Value::parse(br#"{"a": [0.10, 1e400, -0], "b": "x\u00e9"}"#).unwrap();
        assert_eq!(
            value.get("a"),
            Some(&Value::Array(vec![
                Value::Number("0.10"),
                Value::Number("1e400"),
                Value::Number("-0")
            ]))
        );
        assert_eq!(value.get("b"), Some(&Value::String("xé".into())));
    }

    /// What is written again is what was read, to the digit.
    #[test]
    fn documents_are_written_as_they_were_read() {
        let text = r#"{"a":[0.10,1e400,-0,null,true],"b":{"\"x\"":"é\n"},"a":[]}"#;
        assert_eq!(Value::parse(text.as_bytes()).unwrap().to_string(), text);
    }

    /// A fault is told with line, column and the member that was being read.
    #[test]
    fn faults_name_the_member() {
        let error =
            Value::parse(b"{\"receiptLines\": [{\"a\": 1},\n {\"price\": NaN}]}").unwrap_err();
        assert_eq!(
            (error.line, error.pointer.as_str()),
            (2, "/receiptLines/1/price")
        );
        let error = Value::parse(b"{\"receiptType\": \"Fis").unwrap_err();
        assert_eq!(error.pointer, "/receiptType");
        // The place is where the reader stopped: line, column and reason.
        let error = Value::parse(b"{\n \"a\": 1,\n \"b\": x}").unwrap_err();
        assert_eq!(
            (error.line, error.column, error.pointer.as_str()),
            (3, 7, "/b")
        );
        assert_eq!(error.message, "expected value");
        let error = Value::parse(b"{\"a\": [[], {}, \"\xFF\"]}").unwrap_err();
        assert_eq!(
            (error.line, error.column, error.pointer.as_str()),
            (1, 17, "/a/2")
        );
    }

    /// Every kind of value is named, and found by its name; `null` is as good as absent.
    #[test]
    fn kinds_and_members() {
        let text = br#"{"a": null, "b": true, "c": false, "d": 1, "e": "x", "f": [], "g": {}}"#;
        let value = Value::parse(text).unwrap();
        let Value::Object(members) = &value else {
            panic!("{value}");
        };
        let kinds: Vec<_> = members.iter().map(|(_, value)| value.kind()).collect();
        assert_eq!(
            kinds,
            [
                "null",
                "true or false",
                "true or false",
                "a number",
                "a string",
                "an array",
                "an object"
            ]
        );
        assert_eq!(value.get("a"), None);
        assert_eq!(value.get("b"), Some(&Value::Bool(true)));
        assert_eq!(value.get("c"), Some(&Value::Bool(false)));
        assert_eq!(value.get("h"), None);
        assert_eq!(value.get("d").and_then(|number| number.get("d")), None);
    }

    /// Strings are written so that any reader reads the same.
    #[test]
    fn strings_are_escaped() {
        for (text, written) in [
            ("plain é", r#""plain é""#),
            ("", r#""""#),
            ("\"", r#""\"""#),
            ("\\", r#""\\""#),
            ("\n", r#""\n""#),
            ("a\"b\\c\u{1f}", r#""a\"b\\c\u001f""#),
        ] {
            let mut out = String::new();
            write_string(&mut out, text);
            assert_eq!(out, written);
            let again = Value::parse(out.as_bytes()).map(|value| value.to_string());
            assert_eq!(again.as_deref(), Ok(written));
        }
        assert_eq!(escape("a/b~c"), "a~1b~0c");
    }

    /// Deep nesting is refused, not followed into the stack's end.
    #[test]
    fn deep_nesting_is_refused() {
        let arrays = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for nested in [arrays, objects] as [fn(usize) -> String; 2] {
            let just = nested(MAX_DEPTH);
            assert_eq!(Value::parse(just.as_bytes()).unwrap().to_string(), just);
            for depth in [MAX_DEPTH + 1, 40] {
                let error = Value::parse(nested(depth).as_bytes()).unwrap_err();
                assert_eq!(error.message, "nested deeper than 16 levels");
            }
        }
        let deeper = "[".repeat(100_000);
        assert!(Value::parse(deeper.as_bytes()).is_err());
    }
}
