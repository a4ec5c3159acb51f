//! What stands behind the `?` of a page's address, and forms: read leniently, never panicking.

use axum::body::Bytes;
use fiscal::Cents;
use jiff::civil::Date;

/// Names and values of an address or a form.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `name=value&…`.
    pub(super) fn read(text: &[u8]) -> Self {
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
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        let value = value.trim();
        (!value.is_empty()).then_some(value)
    }

    /// A value as it was typed, blanks and all: passwords.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same without blanks around it, empty where it is missing: for fields that are shown again.
    pub(super) fn shown(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A value that can be read as what is wanted.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A calendar day.
    pub(super) fn date(&self, name: &str) -> Option<Date> {
        self.parsed(name)
    }

    /// An amount: `12.30`, `1,234.50`.
    pub(super) fn amount(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?.replace(',', "");
        Cents::parse(&text).ok().map(Cents::get)
    }

    /// Whether a box is ticked.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// The same address with a name set to another value, less those of paging and the tenant.
    pub(super) fn with(&self, path: &str, name: &str, value: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Values are read, blanks and nonsense are none, and a page keeps its search.
    #[test]
    fn reads_and_keeps() {
        let query =
            Query::read(b"from=2026-11-01&amount=1,234.5&number=x&invoice=+&name=a%26b&tenant=z");
        assert_eq!(query.date("from").unwrap().to_string(), "2026-11-01");
        assert_eq!(query.amount("amount"), Some(123_450));
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
