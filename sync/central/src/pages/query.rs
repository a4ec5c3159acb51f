//! What stands behind the `?` of a page's address, and forms: read leniently, never panicking.

use axum::body::Bytes;
use fiscal::Cents;
use jiff::civil::Date;

/// A value that was typed and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// The field.
    pub name: &'static str,
    /// What it must be.
    pub must: &'static str,
}

/// What is wrong with a field, for the person at it.
pub(super) fn wrong_at(wrong: &[Wrong], name: &str) -> Option<&'static str> {
    let found = wrong.iter().find(|wrong| wrong.name == name);
    found.map(|wrong| wrong.must)
}

/// Names and values of an address or a form.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `name=value&…`.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// Of an address.
    pub(super) fn of(uri: &axum::http::Uri) -> Self {
        Self::read(uri.query().unwrap_or_default().as_bytes())
    }

    /// Of a form that was posted.
    pub(super) fn form(body: &Bytes) -> Self {
        Self::read(body)
    }

    /// A value without blanks around it; none where it is missing or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        let value = value.trim();
        (!value.is_empty()).then_some(value)
    }

    /// A value as it was typed, blanks and all: passwords.
    #[must_use]
    pub fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same without blanks around it, empty where it is missing: for fields that are shown again.
    #[must_use]
    pub fn shown(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A value that can be read as what is wanted.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A value that is read as what is wanted. What was typed and cannot be read is noted, never taken for nothing.
    pub(super) fn checked<T>(
        &self,
        name: &'static str,
        must: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        wrong: &mut Vec<Wrong>,
    ) -> Option<T> {
        let found = read(self.text(name)?);
        if found.is_none() {
            wrong.push(Wrong { name, must });
        }
        found
    }

    /// A whole number above 0.
    pub fn number(&self, name: &'static str, wrong: &mut Vec<Wrong>) -> Option<i32> {
        let read = |text: &str| text.parse::<i32>().ok().filter(|number| *number > 0);
        self.checked(name, "a whole number above 0", read, wrong)
    }

    /// A calendar day.
    pub fn day(&self, name: &'static str, wrong: &mut Vec<Wrong>) -> Option<Date> {
        let read = |text: &str| text.parse().ok();
        self.checked(name, "a date like 2026-11-27", read, wrong)
    }

    /// A calendar day.
    pub(super) fn date(&self, name: &str) -> Option<Date> {
        self.parsed(name)
    }

    /// An amount: `12.30`, `1,234.50`.
    pub fn amount(&self, name: &'static str, wrong: &mut Vec<Wrong>) -> Option<i64> {
        let must = "an amount like 25.70, with a point before the cents";
        self.checked(name, must, cents, wrong)
    }

    /// Whether a box is ticked.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// The same address with a name set to another value, less those of paging and the tenant.
    #[must_use]
    pub fn with(&self, path: &str, name: &str, value: &str) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (key, kept) in &self.0 {
            if key != name && key != "tenant" && !kept.trim().is_empty() {
                out.append_pair(key, kept);
            }
        }
        if !value.is_empty() {
            out.append_pair(name, value);
        }
        let text = out.finish();
        if text.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{text}")
        }
    }
}

/// An amount in cents. A comma stands between thousands and nowhere else: `25,70` is none.
fn cents(text: &str) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let is_grouped =
        first.trim_start_matches('-').len() <= 3 && rest.iter().all(|group| group.len() == 3);
    if !rest.is_empty() && !is_grouped {
        return None;
    }
    Cents::parse(&text.replace(',', "")).ok().map(Cents::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comma before the cents is refused, not taken for a thousand times as much.
    #[test]
    fn amounts() {
        for (text, amount) in [
            ("25.70", Some(2570)),
            ("25", Some(2500)),
            ("1,234", Some(123_400)),
            ("-1,234.5", Some(-123_450)),
            ("12,345,678.90", Some(1_234_567_890)),
            ("25,70", None),
            ("1234,567", None),
            ("1,2345", None),
            ("1.2,345", None),
            ("abc", None),
            (",", None),
        ] {
            assert_eq!(cents(text), amount, "{text}");
        }
    }

    /// Values are read, blanks and nonsense are none, and a page keeps its search.
    #[test]
    fn reads_and_keeps() {
        let query =
            Query::read(b"from=2026-11-01&amount=1,234.5&number=x&invoice=+&name=a%26b&tenant=z");
        assert_eq!(query.date("from").unwrap().to_string(), "2026-11-01");
        let mut wrong = Vec::new();
        assert_eq!(query.amount("amount", &mut wrong), Some(123_450));
        assert_eq!(query.number("invoice", &mut wrong), None);
        assert_eq!(wrong, []);
        assert_eq!(query.number("number", &mut wrong), None);
        assert_eq!(wrong_at(&wrong, "number"), Some("a whole number above 0"));
        assert_eq!(
            (query.parsed::<i32>("number"), query.text("invoice")),
            (None, None)
        );
        assert_eq!(
            query.with("/r", "number", "7"),
            "/r?from=2026-11-01&amount=1%2C234.5&name=a%26b&number=7"
        );
        assert_eq!(Query::default().with("/r", "after", ""), "/r");
    }
}
