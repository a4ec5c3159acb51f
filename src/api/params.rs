//! Parameters of an address: known by name, read exactly, told apart when wrong.

use axum::extract::Query;
use axum::http::Uri;
use fiscal::DateTime;

use super::problem::{Problem, ProblemCode as P};

/// The parameters of one request.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

/// Which till: every path that is about one takes these.
pub(super) const TILL: [&str; 2] = ["deviceID", "environment"];

impl Params {
    /// Reads them; a name that is not among `known`, or is there twice, is refused. Those of a till always are.
    ///
    /// # Errors
    /// As told above, or what stands behind the `?` is no list of parameters.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        if uri.query().is_none() {
            return Ok(Self(Vec::new()));
        }
        let Query(all): Query<Vec<(String, String)>> =
            Query::try_from_uri(uri).map_err(|error| {
                Problem::new(
                    P::ParameterUnknown,
                    format!("the parameters cannot be read: {error}"),
                )
            })?;
        for (place, (name, _)) in all.iter().enumerate() {
            let shown: String = name.chars().take(50).collect();
            if !TILL.contains(&name.as_str()) && !known.contains(&name.as_str()) {
                let names = [known, &TILL].concat().join(", ");
                let detail = format!("`{shown}` is not known here; known are {names}");
                return Err(Problem::new(P::ParameterUnknown, detail));
            }
            if all.iter().take(place).any(|(other, _)| other == name) {
                let detail = format!("`{shown}` is there twice");
                return Err(Problem::new(P::ParameterUnknown, detail));
            }
        }
        Ok(Self(all))
    }

    /// A value as it was sent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How many there are beside these.
    pub(super) fn count_beside(&self, names: &[&str]) -> usize {
        let beside = self
            .0
            .iter()
            .filter(|(key, _)| !names.contains(&key.as_str()));
        beside.count()
    }

    /// A whole number that `make` accepts.
    pub(super) fn number<T>(
        &self,
        name: &'static str,
        make: impl FnOnce(u32) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse().ok().filter(|_| digits).and_then(make) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::parameter(
                name,
                format!("{name} must be a whole number in its range"),
            )),
        }
    }

    /// `true` or `false`; left out is false.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(
                name,
                format!("{name} is `true` or `false`"),
            )),
        }
    }

    /// A moment, or a day: its first or its last second.
    ///
    /// # Errors
    /// It is neither.
    pub fn moment(
        &self,
        name: &'static str,
        end_of_day: bool,
    ) -> Result<Option<DateTime>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let whole_day = match text.len() {
            10 => text.parse::<jiff::civil::Date>().ok().map(|date| {
                if end_of_day {
                    date.at(23, 59, 59, 0)
                } else {
                    date.at(0, 0, 0, 0)
                }
            }),
            19 => text.parse::<DateTime>().ok(),
            _ => None,
        };
        whole_day.map(Some).ok_or_else(|| {
            Problem::parameter(
                name,
                format!("{name} must be a date like 2026-05-28 or 2026-05-28T07:42:19"),
            )
        })
    }

    /// Characters in a printed line: 48, or what `columns` says.
    ///
    /// # Errors
    /// It is no number from 16 to 200.
    pub fn columns(&self) -> Result<usize, Problem> {
        let columns = self.number("columns", |n| (16..=200).contains(&n).then_some(n))?;
        Ok(columns.map_or(48, |n| usize::try_from(n).unwrap_or(48)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelt or doubled parameter is never silently ignored.
    #[test]
    fn strict() {
        let of = |text: &str| {
            let uri: Uri = text.parse().unwrap();
            Params::of(&uri, &["limit", "from"])
                .map_err(|p| p.code())
                .map(|p| p.number("limit", Some).map_err(|p| p.code()))
        };
        assert_eq!(of("/x?limit=5&deviceID=1").unwrap(), Ok(Some(5)));
        assert_eq!(of("/x?Limit=5").unwrap_err(), "parameter_unknown");
        assert_eq!(of("/x?limit=5&limit=6").unwrap_err(), "parameter_unknown");
        for bad in ["-1", "+5", "5.0", "", "99999999999", "%00"] {
            let text = format!("/x?limit={bad}");
            assert_eq!(of(&text).unwrap(), Err("parameter_invalid"), "{bad}");
        }
    }

    /// A day stands for its first or its last second.
    #[test]
    fn moments() {
        let uri: Uri = "/x?from=2026-05-28".parse().unwrap();
        let params = Params::of(&uri, &["from"]).unwrap();
        let at = |end| params.moment("from", end).unwrap().unwrap().to_string();
        assert_eq!(at(false), "2026-05-28T00:00:00");
        assert_eq!(at(true), "2026-05-28T23:59:59");
    }
}
