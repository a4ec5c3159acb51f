//! Whether two answers say the same.

use std::fmt;

use serde_json::Value;

/// Where two answers differ first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `status`, or the path of a member such as `validationErrors[0].validationErrorCode`.
    pub place: String,
    /// What was recorded there; `nothing` if there was none.
    pub recorded: String,
    /// What is there now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            recorded,
            now,
        } = self;
        write!(f, "{place}: recorded {recorded}, now {now}")
    }
}

/// Whether a member is another one each time: numbers of operations, and what is made with random keys.
fn differs_always(name: &str) -> bool {
    let names = [
        "operationID",
        "certificate",
        "receiptServerSignature",
        "fiscalDayServerSignature",
    ];
    names.contains(&name) || name.ends_with("token") || name.ends_with("Token")
}

/// The first difference of two answers, but for what is another one each time.
pub(super) fn difference(recorded: (u16, &str), now: (u16, &str)) -> Option<Difference> {
    if recorded.0 != now.0 {
        return Some(Difference {
            place: "status".to_owned(),
            recorded: shown(recorded),
            now: shown(now),
        });
    }
    let read =
        |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    of_values("", Some(&read(recorded.1)), Some(&read(now.1)))
}

fn shown((status, body): (u16, &str)) -> String {
    format!("{status} {body}")
}

fn of_values(place: &str, recorded: Option<&Value>, now: Option<&Value>) -> Option<Difference> {
    match (recorded, now) {
        (Some(Value::Object(recorded)), Some(Value::Object(now))) => {
            let more = now.keys().filter(|name| !recorded.contains_key(*name));
            let mut names = recorded.keys().chain(more);
            names.find_map(|name| {
                if differs_always(name) {
                    return None;
                }
                let dot = if place.is_empty() { "" } else { "." };
                let place = format!("{place}{dot}{name}");
                of_values(&place, recorded.get(name), now.get(name))
            })
        }
        (Some(Value::Array(recorded)), Some(Value::Array(now))) => {
            let mut places = 0..recorded.len().max(now.len());
            places
                .find_map(|at| of_values(&format!("{place}[{at}]"), recorded.get(at), now.get(at)))
        }
        (recorded, now) if recorded == now => None,
        (recorded, now) => {
            let text = |value: Option<&Value>| {
                value.map_or_else(|| "nothing".to_owned(), Value::to_string)
            };
            let place = if place.is_empty() { "body" } else { place };
            Some(Difference {
                place: place.to_owned(),
                recorded: text(recorded),
                now: text(now),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first difference is found and named; numbers of operations and signatures are none.
    #[test]
    fn differences_are_named() {
        let of = |recorded: &str, now: &str| {
            difference((200, recorded), (200, now)).map(|found| found.to_string())
        };
        assert_eq!(
            of(
                r#"{"a":1,"operationID":"x"}"#,
                r#"{"operationID":"y","a":1}"#
            ),
            None
        );
        assert_eq!(of(r#"{"receiptServerSignature":{"hash":"x"}}"#, "{}"), None);
        let cases = [
            (
                r#"{"a":[{"b":1}]}"#,
                r#"{"a":[{"b":2}]}"#,
                "a[0].b: recorded 1, now 2",
            ),
            (r#"{"a":1}"#, "{}", "a: recorded 1, now nothing"),
            ("{}", r#"{"a":null}"#, "a: recorded nothing, now null"),
            ("[1]", "[1,2]", "[1]: recorded nothing, now 2"),
            (
                "<html>",
                "<body>",
                r#"body: recorded "<html>", now "<body>""#,
            ),
        ];
        for (recorded, now, expected) in cases {
            assert_eq!(of(recorded, now).as_deref(), Some(expected));
        }
        let other = difference((200, "{}"), (422, "{}")).unwrap();
        assert_eq!(other.to_string(), "status: recorded 200 {}, now 422 {}");
    }
}
