//! Somebody at the operator's page without a browser: cookies, forms, and what a browser would send along.

use std::collections::BTreeMap;
use std::time::Duration;

use fiscald::ledger::printing::PrintRow;

use super::api::{Answer, Ask, PATIENCE, Shop};

/// The PIN of the tests.
pub(crate) const PIN: &str = "2580";

/// Somebody at the page.
pub(crate) struct Operator<'a> {
    shop: &'a Shop,
    cookies: BTreeMap<String, String>,
}

/// Sets the PIN, as `fiscald pin set` does.
pub(crate) async fn set_pin(shop: &Shop) {
    let hash = fiscald::page::pin::hash(PIN).unwrap();
    let set = shop
        .ledger
        .write(move |core| core.set_page_pin(Some(&hash), "cli"));
    set.await.unwrap();
}

impl<'a> Operator<'a> {
    pub(crate) fn at(shop: &'a Shop) -> Self {
        Self {
            shop,
            cookies: BTreeMap::new(),
        }
    }

    /// A request as this browser sends it.
    pub(crate) fn request(&self, method: &'static str, path: &str) -> Ask {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let ask = Ask {
            method,
            path: path.to_owned(),
            ..Ask::default()
        };
        ask.header("cookie", cookies.join("; "))
    }

    /// Sends it, and keeps the cookies of the answer.
    pub(crate) async fn send(&mut self, ask: &Ask) -> Answer {
        let answer = self.shop.ask(ask).await;
        // A page sets one cookie at a time, but for a first visit in a chosen language.
        if let Some(set) = answer.headers.get("set-cookie") {
            let pair = set.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Looks at a page.
    pub(crate) async fn look(&mut self, path: &str) -> Answer {
        let ask = self.request("GET", path);
        self.send(&ask).await
    }

    /// A page that must be there.
    pub(crate) async fn page(&mut self, path: &str) -> String {
        let answer = self.look(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().to_owned()
    }

    /// The form of a question, with its hidden fields.
    pub(crate) async fn form(&mut self, href: &str) -> Ask {
        let page = self.page(href).await;
        let action = between(&page, "<form method=\"post\" action=\"/operator/do/", "\"")
            .unwrap_or_else(|| panic!("{href} asks nothing: {page}"));
        let mut body = form_urlencoded::Serializer::new(String::new());
        let form = page.split("class=\"question\"").nth(1).unwrap_or_default();
        for field in form.split("<input type=\"hidden\"").skip(1) {
            let name = between(field, "name=\"", "\"").unwrap();
            let value = between(field, "value=\"", "\"").unwrap();
            body.append_pair(name, &value.replace("&amp;", "&"));
        }
        let mut ask = self.request("POST", &format!("/operator/do/{action}"));
        ask.body = body.finish().into_bytes();
        ask.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Answers a question.
    pub(crate) async fn answer(&mut self, href: &str, fields: &[(&str, &str)]) -> Answer {
        let mut ask = self.form(href).await;
        for (name, value) in fields {
            ask.body.extend(format!("&{name}={value}").into_bytes());
        }
        self.send(&ask).await
    }

    /// Does something that must work; the page that follows.
    pub(crate) async fn does(&mut self, href: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.answer(href, fields).await;
        assert_eq!(answer.status, 303, "{href}: {}", answer.text());
        let to = answer.headers["location"].clone();
        self.page(&to).await
    }
}

/// The print jobs, newest first, once `wanted` is true of them.
pub(crate) async fn jobs_when(shop: &Shop, wanted: impl Fn(&[PrintRow]) -> bool) -> Vec<PrintRow> {
    let mut committed = shop.ledger.committed();
    let looked = async {
        loop {
            let jobs = shop.ledger.ask(|reader| reader.last_prints(None, None, 50));
            let jobs = jobs.await.unwrap();
            if wanted(&jobs) {
                return jobs;
            }
            // Every edge that is worth telling is an event; the others are looked for again after a moment.
            let _ = tokio::time::timeout(Duration::from_millis(50), committed.changed()).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap()
}

/// The text between two others.
pub(crate) fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

/// The link of an act on a page.
pub(crate) fn link(page: &str, act: &str) -> String {
    let begin = format!("/operator/do/{act}?");
    let rest = between(page, &format!("href=\"{begin}"), "\"");
    let rest = rest.unwrap_or_else(|| panic!("nothing does {act} on {page}"));
    format!("{begin}{}", rest.replace("&amp;", "&"))
}
