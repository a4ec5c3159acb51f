//! The table of paths, its document and its page; what is done around every request.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use fiscal_hq::access::Role;
use fiscal_hq::api::{self, Edge, Rate};
use reqwest::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::people::{Asker, send};
use crate::support::Test;

fn document() -> Value {
    serde_json::from_str(api::document()).unwrap()
}

/// All operations of the document: method, path, operation.
pub(crate) fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push((method, path.clone(), operation.clone()));
        }
    }
    all
}

/// Names are written in one way, the runbook's: `like_this`.
#[test]
fn names_are_written_in_one_way() {
    let document = document();
    let is_plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut other = Vec::new();
    for (schema, described) in document["components"]["schemas"].as_object().unwrap() {
        let properties = described["properties"].as_object().into_iter().flatten();
        other.extend(
            properties
                .filter(|(name, _)| !is_plain(name))
                .map(|(name, _)| format!("{schema}.{name}")),
        );
    }
    for (method, path, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let names = parameters.filter_map(|parameter| parameter["name"].as_str());
        other.extend(
            names
                .filter(|name| !is_plain(name))
                .map(|name| format!("{method} {path} {name}")),
        );
    }
    assert!(other.is_empty(), "{other:#?}");
}

/// Every operation of the document is answered by the router, and nothing else is: another method is refused, and
/// the source has no route that is not in the table. No name is there twice, every reference leads somewhere.
#[tokio::test]
async fn document_and_router_agree() {
    let test = Test::start().await;
    let nobody = Asker::nobody(&test);
    let served = nobody.get("/openapi.json").await.read(200);
    assert_eq!(served, document());
    assert_eq!(served["openapi"], "3.1.0");
    let all = operations(&served);
    let (mut names, mut wrong) = (BTreeSet::new(), Vec::new());
    for (method, path, operation) in &all {
        // Else this would be a flood.
        test.clock.advance(std::time::Duration::from_secs(10));
        let name = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} {path} has no name"));
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(operation["summary"].is_string(), "{name} says nothing");
        assert!(operation["tags"][0].is_string(), "{name} has no tag");
        let answer = send(nobody.request(method.clone(), &filled(path))).await;
        if answer.status == 405 || answer.text.contains("there is nothing at") {
            wrong.push(format!("{method} {path} is in no router"));
        }
        // Whatever needs somebody needs somebody.
        if operation["security"].is_null() && ![401, 303].contains(&answer.status) {
            wrong.push(format!("{method} {path} is {} for nobody", answer.status));
        }
    }
    for (path, item) in served["paths"].as_object().unwrap() {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            if item.get(method.as_str().to_lowercase()).is_none() {
                test.clock.advance(std::time::Duration::from_secs(10));
                let answer = send(nobody.request(method, &filled(path))).await;
                if answer.status != 405 || answer.json()["code"] != "method" {
                    wrong.push(format!("{path} is in no document: {}", answer.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let text = served.to_string();
    let named = text.split("\"#/components/schemas/").skip(1);
    let lost: BTreeSet<&str> = named
        .filter_map(|part| part.split('"').next())
        .filter(|name| !served["components"]["schemas"][name].is_object())
        .collect();
    assert!(lost.is_empty(), "the document has no {lost:?}");
    let source = source();
    let annotated = source.matches("#[utoipa::path(").count();
    let pages = all
        .iter()
        .filter(|(_, _, operation)| operation["tags"][0] == "pages");
    assert_eq!(
        annotated + pages.count(),
        all.len(),
        "each path of the source is in the table"
    );
    // The two of the table of pages.
    assert_eq!(
        source.matches(".route(").count(),
        2,
        "a route that is in no document"
    );
    for other in [
        ".route_service(",
        ".nest(",
        ".nest_service(",
        ".fallback_service(",
    ] {
        assert!(
            !source.contains(other),
            "{other} makes a path that is in no document"
        );
    }
}

/// A path with values that can be read.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{environment}" => "test".to_owned(),
        "{device}" | "{device_id}" | "{number}" | "{version}" => "1".to_owned(),
        "{action}" | "{what}" | "{file}" => "retire".to_owned(),
        name if name.starts_with('{') => uuid::Uuid::nil().to_string(),
        fixed => fixed.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The service's source, all of it.
pub(crate) fn source() -> String {
    let mut all = String::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

/// What cannot be read says what is wrong and where, and is never a bare error.
#[tokio::test]
async fn what_cannot_be_read() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let nobody = Asker::nobody(&test);
    nobody.get("/nowhere").await.problem(404, "not_found");
    nobody.poke("/openapi.json").await.problem(405, "method");
    let post = || admin.request(Method::POST, "/tokens");
    let json_of = |text: &str| {
        post()
            .header("content-type", "application/json; charset=utf-8")
            .body(text.to_owned())
    };
    for (text, pointer) in [
        (r#"{"name":"a","role":"king"}"#, "/role"),
        (r#"{"name":"a","role":"viewer","more":1}"#, "/more"),
        (r#"{"name":7,"role":"viewer"}"#, "/name"),
        (r#"{"name":"a","name":"b","role":"viewer"}"#, ""),
        (r#"{"name":"a"}"#, ""),
        (r#"{"name":"a","role":"viewer"} {}"#, ""),
        (r#"{"name":"a","#, ""),
        ("[]", ""),
        ("", ""),
    ] {
        let found = send(json_of(text)).await.problem(422, "invalid");
        assert_eq!(found, pointer, "{text}");
    }
    for kind in ["", "text/plain", "application/xml"] {
        let request = post()
            .header("content-type", kind)
            .body(r#"{"name":"a","role":"viewer"}"#);
        send(request).await.problem(415, "media_type");
    }
    let packed = json_of("{}").header("content-encoding", "gzip");
    send(packed).await.problem(415, "media_type");
    let large = json!({ "name": "x".repeat(300 * 1024), "role": "viewer" });
    admin.post("/tokens", large).await.problem(413, "too_large");
    assert_eq!(admin.get("/tokens").await.read(200), json!([]));
}

/// Every answer says to browsers what its page may do; the page of the document names nothing outside.
#[tokio::test]
async fn headers_and_the_page() {
    let test = Test::start().await;
    let nobody = Asker::nobody(&test);
    for path in ["/session", "/nowhere", "/openapi.json", "/docs"] {
        let answer = nobody.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "same-origin");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    let page = nobody.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("script-src 'self';")
    );
    assert!(!page.text.contains("http://") && !page.text.contains("https://"));
    let named = page.text.split('"').filter(|part| {
        [".css", ".js", ".png"]
            .iter()
            .any(|end| part.ends_with(end))
    });
    let mut count = 0;
    for name in named {
        let answer = nobody
            .get(&format!("/docs/{}", name.trim_start_matches("./")))
            .await;
        assert_eq!(answer.status, 200, "{name}");
        count += 1;
    }
    assert_eq!(count, 7);
    nobody.get("/docs/etc").await.problem(404, "not_found");
}

/// The service with small limits, behind proxies of one network.
fn flooded(test: &Test) -> axum::Router {
    let edge = Edge {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        per_address: Rate {
            burst: 40,
            per_second: 1,
        },
        per_token: Rate {
            burst: 5,
            per_second: 1,
        },
        ..Edge::default()
    };
    api::router_with(Arc::clone(&test.hq), edge)
}

/// What is answered to somebody at an address, who says that he passes on for another.
async fn ask_from(
    router: &axum::Router,
    (peer, forwarded): (&str, &str),
    token: Option<&str>,
    path: &str,
) -> u16 {
    let mut request = Request::get(path).header("x-forwarded-for", forwarded);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: std::net::SocketAddr = format!("{peer}:9").parse().unwrap();
    request
        .extensions_mut()
        .insert(axum::extract::ConnectInfo(peer));
    let answer = router.clone().oneshot(request).await.unwrap();
    answer.status().as_u16()
}

/// Floods are cut off, per address and per token, and end by themselves; a proxy's clients are told apart, a
/// stranger's word about himself is not believed.
#[tokio::test]
async fn floods_are_cut_off() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let router = flooded(&test);
    let ask = async |peer: &str, forwarded: &str, token: Option<&str>, path: &str| {
        ask_from(&router, (peer, forwarded), token, path).await
    };
    for _ in 0..40 {
        assert_eq!(ask("10.1.1.1", "196.1.1.1", None, "/docs").await, 307);
    }
    assert_eq!(ask("10.1.1.1", "196.1.1.1", None, "/docs").await, 429);
    assert_eq!(ask("10.1.1.1", "196.1.1.2", None, "/docs").await, 307);
    assert_eq!(ask("196.1.1.1", "1.2.3.4", None, "/docs").await, 429);
    test.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ask("10.1.1.1", "196.1.1.1", None, "/docs").await, 307);
    assert_eq!(ask("10.1.1.1", "196.1.1.1", None, "/docs").await, 429);
    // Refused tokens cost more: four, and the address is empty.
    for _ in 0..4 {
        assert_eq!(
            ask("10.1.1.1", "196.1.1.3", Some("fhq_made_up"), "/session").await,
            401
        );
    }
    assert_eq!(
        ask("10.1.1.1", "196.1.1.3", Some("fhq_made_up"), "/session").await,
        429
    );
    // Many machines behind one address are counted each on its own.
    for name in [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ] {
        let machine = Asker::machine(&test, tenant, Role::Viewer, name).await;
        let crate::people::Shows::Bearer(token) = machine.shows else {
            panic!("no token");
        };
        for _ in 0..5 {
            assert_eq!(
                ask("10.1.1.1", "196.1.1.4", Some(&token), "/session").await,
                200
            );
        }
        assert_eq!(
            ask("10.1.1.1", "196.1.1.4", Some(&token), "/session").await,
            429
        );
    }
}

/// What is shown may be made up: it opens no way around the address's limit, whatever it is and wherever it is shown.
#[tokio::test]
async fn made_up_secrets_cost_their_address() {
    let test = Test::start().await;
    let router = flooded(&test);
    let ask = async |from: &str, token: Option<&str>, path: &str| {
        ask_from(&router, ("10.1.1.1", from), token, path).await
    };
    for number in 0..40 {
        let made_up = format!("made up {number}");
        assert_eq!(ask("196.1.1.5", Some(&made_up), "/docs").await, 307);
    }
    assert_eq!(ask("196.1.1.5", Some("another"), "/docs").await, 429);
    // A page answers with the way to the sign-in; a guess is a guess.
    for number in 0..4 {
        let made_up = format!("fhq_{number}");
        assert_eq!(ask("196.1.1.6", Some(&made_up), "/receipts").await, 303);
    }
    assert_eq!(ask("196.1.1.6", None, "/docs").await, 429);
}
