//! Reading what stands behind the `?`: names are compared without case, an empty value is absent.

use crate::json::Errors;

/// The parameters of a request, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// All parameters, as they came.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let (_, value) = all.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        (!value.is_empty()).then_some(value)
    }

    /// A parameter that may be left out.
    pub(crate) fn optional<T>(
        &self,
        errors: &mut Errors,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.get(key)?) {
            Ok(value) => Some(value),
            Err(what) => {
                errors.push(key, what);
                None
            }
        }
    }

    /// A parameter that must be there.
    pub(crate) fn required<T: Default>(
        &self,
        errors: &mut Errors,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        if self.get(key).is_none() {
            errors.push(key, format!("The {key} field is required."));
            return T::default();
        }
        self.optional(errors, key, read).unwrap_or_default()
    }
}

/// Reads a bare parameter as the JSON string that it would be in a body.
pub(crate) fn quoted<T>(
    read: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<T, String> {
    move |value| read(&serde_json::Value::from(value).to_string())
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) is_descending: bool,
    /// Whether one of the conditions is enough.
    pub(crate) any_condition: bool,
}

impl Page {
    /// `Offset` and `Limit`, which must be there, `Order` and `Operator`, which are `asc` and `And`.
    pub(crate) fn read(query: &Query, most: Option<usize>, errors: &mut Errors) -> Self {
        let limit = query.required(errors, "Limit", count);
        if most.is_some_and(|most| limit > most) {
            let most = most.unwrap_or_default();
            errors.push("Limit", format!("The field must be at most {most}."));
        }
        let orders = [("asc", false), ("desc", true)];
        let operators = [("And", false), ("Or", true)];
        let order = quoted(crate::json::one_of(&orders));
        let operator = quoted(crate::json::one_of(&operators));
        Self {
            offset: query.required(errors, "Offset", count),
            limit,
            is_descending: query.optional(errors, "Order", order).unwrap_or_default(),
            any_condition: query
                .optional(errors, "Operator", operator)
                .unwrap_or_default(),
        }
    }

    /// Whether something with these conditions is listed; those that were not asked for are none.
    pub(crate) fn admits(self, conditions: &[Option<bool>]) -> bool {
        let mut asked = conditions.iter().flatten().peekable();
        if self.any_condition && asked.peek().is_some() {
            asked.any(|met| *met)
        } else {
            asked.all(|met| *met)
        }
    }

    /// Sorts by `key` and cuts the page out; how many there are in all comes with it.
    pub(crate) fn cut<T, K: Ord>(
        self,
        mut all: Vec<T>,
        key: impl FnMut(&T) -> K,
    ) -> (usize, Vec<T>) {
        let total = all.len();
        all.sort_by_cached_key(key);
        if self.is_descending {
            all.reverse();
        }
        let page = all.into_iter().skip(self.offset).take(self.limit);
        (total, page.collect())
    }
}

/// A number that is not negative.
fn count(text: &str) -> Result<usize, String> {
    let number = crate::json::integer(text)?;
    usize::try_from(number).map_err(|_| "The field must not be negative.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters are decoded and found without regard to case; an empty one is absent.
    #[test]
    fn parameters_are_decoded() {
        let query = Query::of("offset=0&GoodName=brown+bread%2C%201kg&HsCode=");
        assert_eq!(query.get("Offset"), Some("0"));
        assert_eq!(query.get("goodname"), Some("brown bread, 1kg"));
        assert_eq!(query.get("HsCode"), None);
        let mut errors = Errors::default();
        query.required(&mut errors, "Limit", count);
        assert_eq!(errors.0["Limit"], ["The Limit field is required."]);
    }

    /// And wants all conditions, Or one of them; without any condition everything is listed.
    #[test]
    fn conditions_are_joined() {
        let and = Page::default();
        let or = Page {
            any_condition: true,
            ..and
        };
        assert!(!and.admits(&[Some(true), None, Some(false)]));
        assert!(or.admits(&[Some(true), None, Some(false)]));
        assert!(and.admits(&[None, None]) && or.admits(&[None, None]));
        assert!(!or.admits(&[Some(false), None]));
    }
}
