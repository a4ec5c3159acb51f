//! Parameters and texts that come in: read strictly, and told apart when wrong. (Bodies: [`crate::problem::Body`].)

use axum::extract::Query;
use axum::http::Uri;
use clock::Timestamp;
use sync_wire::{Environment, TillRef};
use uuid::Uuid;

use crate::problem::{Code, Problem};

/// The parameters of one request.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads them; a name that is not among `known`, or is there twice, is refused. `tenant` is the caller's.
    ///
    /// # Errors
    /// `invalid`
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let query: Result<Query<Vec<(String, String)>>, _> = Query::try_from_uri(uri);
        let Query(all) = query.map_err(|error| {
            Problem::new(
                Code::Invalid,
                format!("the parameters cannot be read: {error}"),
            )
        })?;
        for (place, (name, _)) in all.iter().enumerate() {
            let shown: String = name.chars().take(50).collect();
            if name != "tenant" && !known.contains(&name.as_str()) {
                let detail = format!(
                    "`{shown}` is not known here; known are {}",
                    known.join(", ")
                );
                return Err(Problem::field(shown, detail));
            }
            if all.iter().take(place).any(|(other, _)| other == name) {
                let detail = format!("`{shown}` is there twice");
                return Err(Problem::field(shown, detail));
            }
        }
        Ok(Self(all))
    }

    /// A text; one that is empty, as forms send it, counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Anything that is read from its text.
    ///
    /// # Errors
    /// `invalid`, with what it must be.
    pub fn read<T: std::str::FromStr>(&self, name: &str, must: &str) -> Result<Option<T>, Problem> {
        self.get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Problem::field(name, format!("{name} must be {must}")))
            })
            .transpose()
    }

    /// A number above 0.
    ///
    /// # Errors
    /// `invalid`
    pub fn number(&self, name: &str) -> Result<Option<i32>, Problem> {
        let number: Option<i32> = self.read(name, "a whole number above 0")?;
        match number {
            Some(number) if number <= 0 => Err(Problem::field(
                name,
                format!("{name} must be a whole number above 0"),
            )),
            number => Ok(number),
        }
    }

    /// `test` or `prod`.
    ///
    /// # Errors
    /// `invalid`
    pub fn environment(&self) -> Result<Option<Environment>, Problem> {
        self.get("environment").map(environment).transpose()
    }

    /// A moment: `2026-05-28T07:42:19Z`.
    ///
    /// # Errors
    /// `invalid`
    pub fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, "a moment with its zone, like 2026-05-28T07:42:19Z")
    }

    /// One of these words.
    ///
    /// # Errors
    /// `invalid`
    pub fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, Problem> {
        match self.get(name) {
            Some(text) if !words.contains(&text) => Err(Problem::field(
                name,
                format!("{name} must be one of {}", words.join(", ")),
            )),
            text => Ok(text),
        }
    }

    /// Rows of a page: 50, or what `limit` says, at most 500.
    ///
    /// # Errors
    /// `invalid`
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit: Option<usize> = self.read("limit", "a whole number from 1 to 500")?;
        match limit.unwrap_or(50) {
            limit @ 1..=500 => Ok(limit),
            _ => Err(Problem::field("limit", "limit must be from 1 to 500")),
        }
    }
}

/// Reads an environment.
///
/// # Errors
/// `invalid`
pub fn environment(text: &str) -> Result<Environment, Problem> {
    Environment::parse(text)
        .ok_or_else(|| Problem::field("environment", "environment must be `test` or `prod`"))
}

/// Reads a till of a path.
///
/// # Errors
/// `invalid`
pub fn till(environment_text: &str, device_id: &str) -> Result<TillRef, Problem> {
    let environment = environment(environment_text)?;
    let device: Option<i32> = device_id.parse().ok();
    let device = device.and_then(|device| u32::try_from(device).ok());
    match device.filter(|device| *device > 0) {
        Some(device_id) => Ok(TillRef {
            environment,
            device_id,
        }),
        None => Err(Problem::field(
            "device_id",
            "device_id must be the number that FDMS gave the till, from 1 to 2147483647",
        )),
    }
}

/// The number of a till as the tables have it.
///
/// # Errors
/// `invalid`: no number that FDMS gives.
pub fn device(till: TillRef) -> Result<i32, Problem> {
    i32::try_from(till.device_id)
        .map_err(|_| Problem::field("device_id", "device_id must be from 1 to 2147483647"))
}

/// Reads a name of a path.
///
/// # Errors
/// `not_found`: what is no name names nothing.
pub fn id(text: &str, what: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::not_found(what))
}

/// A text of a body: trimmed, without control characters, of these lengths.
///
/// # Errors
/// `invalid`, with the pointer.
pub fn text(
    pointer: &str,
    value: &str,
    lengths: std::ops::RangeInclusive<usize>,
) -> Result<String, Problem> {
    let value = value.trim();
    let length = value.chars().count();
    if !lengths.contains(&length) {
        return Err(Problem::field(
            pointer,
            format!(
                "this must have {} to {} characters; it has {length}",
                lengths.start(),
                lengths.end()
            ),
        ));
    }
    if value.chars().any(|char| char.is_control() && char != '\n') {
        return Err(Problem::field(
            pointer,
            "there is a control character in this; type it again",
        ));
    }
    Ok(value.to_owned())
}

/// A reason that a person gives: for the audit, and for whoever meets what was done.
///
/// # Errors
/// `invalid`
pub fn reason(value: &str) -> Result<String, Problem> {
    text("/reason", value, 3..=500).map_err(|mut problem| {
        problem.detail = format!("say why, in a few words: {}", problem.detail);
        problem
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelt or doubled parameter is never silently ignored; an empty one is none.
    #[test]
    fn parameters_are_strict() {
        let of = |text: &str| Params::of(&text.parse().unwrap(), &["limit", "environment"]);
        assert_eq!(of("/x?limit=7&tenant=a").unwrap().limit().unwrap(), 7);
        assert_eq!(of("/x?limit=").unwrap().limit().unwrap(), 50);
        assert!(of("/x?limit=501").unwrap().limit().is_err());
        assert!(of("/x?Limit=7").is_err());
        assert!(of("/x?limit=7&limit=7").is_err());
        assert!(of("/x?environment=Prod").unwrap().environment().is_err());
    }

    /// A till's number is one that FDMS gives.
    #[test]
    fn tills() {
        assert_eq!(till("prod", "42").unwrap().to_string(), "prod 42");
        for bad in ["0", "-1", "4294967295", "x", ""] {
            assert!(till("test", bad).is_err(), "{bad}");
        }
        assert!(till("Test", "1").is_err());
    }
}
