//! One request of a browser: its language, its number, what it asks for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use clock::DateTime;
use maud::{Markup, html};

use super::Page;
use super::lock::Browser;
use super::text::{Language, Words};
use crate::api::PAGE;

/// The cookie with the browser's number.
const BROWSER: &str = "fiscald_page";
/// The cookie with the language.
const LANGUAGE: &str = "fiscald_language";
/// How long a language is remembered, seconds: a year.
const REMEMBERED: u32 = 365 * 24 * 3600;

/// A request.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) page: Arc<Page>,
    /// Where it is, without parameters.
    pub(super) path: String,
    query: Vec<(String, String)>,
    language: Language,
    /// The language was chosen just now: it is remembered.
    has_chosen: bool,
    browser: Option<Browser>,
    /// The number that the browser is given with the answer.
    given: Option<Browser>,
    /// Only the parts that are kept fresh are wanted.
    pub(super) is_fragment: bool,
}

impl FromRequestParts<Arc<Page>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        page: &Arc<Page>,
    ) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let chosen = query.iter().find(|(name, _)| name == "lang");
        let chosen = chosen.and_then(|(_, code)| Language::parse(code));
        let remembered = cookie(&parts.headers, LANGUAGE).and_then(Language::parse);
        let wanted = parts.headers.get(header::ACCEPT_LANGUAGE);
        let wanted = wanted.and_then(|wanted| wanted.to_str().ok());
        let language = chosen
            .or(remembered)
            .unwrap_or_else(|| Language::wanted(wanted.unwrap_or_default()));
        let browser = cookie(&parts.headers, BROWSER).and_then(Browser::parse);
        // Without random numbers the page can be read, and nothing be changed.
        let given = match browser {
            Some(_) => None,
            None => Browser::new().ok(),
        };
        Ok(Self {
            page: Arc::clone(page),
            path: parts.uri.path().to_owned(),
            query,
            language,
            has_chosen: chosen.is_some(),
            browser: browser.or(given),
            given,
            is_fragment: parts.headers.contains_key("x-fragment"),
        })
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

impl Visit {
    /// The words of its language.
    pub(super) fn words(&self) -> &Words {
        self.page.texts.of(self.language)
    }

    /// A text in it.
    pub(super) fn t<'a>(&'a self, key: &'a str) -> &'a str {
        self.words().get(key)
    }

    /// A text with its `{names}` replaced; moments among the values as people write them.
    pub(super) fn with(
        &self,
        key: &str,
        values: &[(&'static str, &dyn std::fmt::Display)],
    ) -> String {
        let values: Vec<(&'static str, String)> = values
            .iter()
            .map(|(name, value)| (*name, self.when(&value.to_string())))
            .collect();
        self.words().with(key, &values)
    }

    /// A text that counts something: the one for one thing (`…_one`) or for any other number of them.
    pub(super) fn counted(
        &self,
        key: &str,
        name: &'static str,
        count: &dyn std::fmt::Display,
    ) -> String {
        let one = format!("{key}_one");
        let is_one = count.to_string() == "1";
        self.with(if is_one { &one } else { key }, &[(name, count)])
    }

    /// A parameter, if it is not empty.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// All parameters.
    pub(super) fn params(&self) -> &[(String, String)] {
        &self.query
    }

    /// The address with another parameter; without it where there is no value.
    pub(super) fn href(&self, name: &str, value: Option<&str>) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let kept = self.query.iter();
        let kept = kept.filter(|(key, _)| ![name, "lang", "said"].contains(&key.as_str()));
        out.extend_pairs(kept);
        if let Some(value) = value {
            out.append_pair(name, value);
        }
        let query = out.finish();
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{query}", self.path),
        }
    }

    /// The browser, if it has shown its number.
    pub(super) fn browser(&self) -> Option<Browser> {
        self.browser
    }

    /// Gives it another number with the answer.
    pub(super) fn give(&mut self, browser: Browser) {
        (self.browser, self.given) = (Some(browser), Some(browser));
    }

    /// Whether it may change something.
    pub(super) fn is_open(&self) -> bool {
        let now = self.page.boot();
        self.browser
            .is_some_and(|browser| self.page.locks.is_open(browser, now))
    }

    /// The hidden field by which a form proves that it is ours.
    pub(super) fn token(&self) -> Markup {
        let token = self
            .browser
            .map(|browser| self.page.locks.form_token(browser));
        html! { input type="hidden" name="token" value=(token.unwrap_or_default()); }
    }

    /// A moment as people write it: the time alone if it is today.
    pub(super) fn when(&self, text: &str) -> String {
        // A bare number is no date, though it could be read as one.
        if !text.contains('-') {
            return text.to_owned();
        }
        let today = self.page.ledger.time().local().date();
        if let Ok(at) = text.parse::<DateTime>() {
            return match at.date() == today {
                true => at.strftime("%H:%M").to_string(),
                false => at.strftime("%d/%m/%Y %H:%M").to_string(),
            };
        }
        match text.parse::<jiff::civil::Date>() {
            Ok(date) => date.strftime("%d/%m/%Y").to_string(),
            Err(_) => text.to_owned(),
        }
    }

    /// Sets the cookies that the answer brings along.
    pub(super) fn set_cookies(&self, response: &mut Response) {
        let mut set = |text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(header::SET_COOKIE, value);
            }
        };
        if let Some(browser) = self.given {
            let number = browser.text();
            set(format!(
                "{BROWSER}={number}; Path={PAGE}; HttpOnly; SameSite=Strict"
            ));
        }
        if self.has_chosen {
            let code = self.language.code();
            set(format!(
                "{LANGUAGE}={code}; Path={PAGE}; Max-Age={REMEMBERED}; HttpOnly; SameSite=Strict"
            ));
        }
    }
}
