//! The OpenAPI document and its page.

use std::collections::BTreeSet;

use fiscald::api::Api;
use serde_json::Value;

use crate::support::api::{Ask, Shop, get};

/// What outsiders rely on is frozen: a change here is a change of the promise in docs/API.md.
#[test]
fn the_document_is_frozen() {
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

/// Members may be added to an answer, so no client may be told to refuse one that it does not know.
#[test]
fn schemas_are_open() {
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 30);
    for (name, schema) in schemas {
        assert_eq!(schema.get("additionalProperties"), None, "{name}");
    }
}

/// Documents, pictures and papers are bytes, not lists of numbers.
#[test]
fn bytes_are_declared_as_bytes() {
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let mut count = 0;
    for operation in document["paths"].as_object().unwrap().values() {
        let contents = operation["get"]["responses"]["200"]["content"].as_object();
        for (kind, content) in contents.into_iter().flatten() {
            let is_bytes = ["application/pdf", "application/octet-stream", "image/png"];
            if is_bytes.contains(&kind.as_str()) {
                let binary = serde_json::json!({"type": "string", "format": "binary"});
                assert_eq!(content["schema"], binary, "{kind}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 5);
}

/// Every path and method of the document is answered by the router, every reference in it leads somewhere,
/// and no operation is named twice.
#[tokio::test]
async fn document_and_router_agree() {
    let shop = Shop::open().await;
    let served: Value = shop.ask(&get("/openapi.json")).await.read(200);
    let ours: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    assert_eq!(served, ours);
    let mut names = BTreeSet::new();
    let mut count = 0;
    for (path, operations) in served["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(operation["summary"].is_string(), "{name}");
            let method = match method.as_str() {
                "get" => "GET",
                "post" => "POST",
                other => panic!("{other}"),
            };
            let ask = Ask {
                method,
                path: path.replace(['{', '}'], ""),
                ..Ask::default()
            };
            let answer = shop.ask(&ask).await;
            let is_open = operation["security"].as_array().is_some();
            let wanted: &[u16] = match (is_open, path.as_str()) {
                (true, "/docs/{file}") => &[404],
                (true, _) => &[200, 307],
                (false, _) => &[401],
            };
            assert!(
                wanted.contains(&answer.status),
                "{method} {path}: {}",
                answer.status
            );
            count += 1;
        }
    }
    assert_eq!(count, 58, "every route that is known today");
    let text = served.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(served["components"]["schemas"][name].is_object(), "{name}");
    }
}

/// The page is served whole from the program: it names nothing outside, and its policy would not let it.
#[tokio::test]
async fn the_page_needs_no_internet() {
    let shop = Shop::open().await;
    // At the root is the operator's page, where there is one: on loopback.
    for (ask, over_socket, to) in [
        (get("/docs"), false, "/docs/"),
        (get("/"), false, "/operator"),
        (get("/"), true, "/docs/"),
    ] {
        let answer = match over_socket {
            true => shop.ask_unix(&ask).await,
            false => shop.ask(&ask).await,
        };
        assert_eq!(
            (answer.status, answer.headers["location"].as_str()),
            (307, to)
        );
    }
    let page = shop.ask(&get("/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].starts_with("text/html"));
    let policy = &page.headers["content-security-policy"];
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    let named = page.text().split(['"']).filter(|part| {
        [".css", ".js", ".png"]
            .iter()
            .any(|end| part.ends_with(end))
    });
    let mut count = 0;
    for name in named {
        let path = format!("/docs/{}", name.trim_start_matches("./"));
        let answer = shop.ask(&get(path)).await;
        assert_eq!(answer.status, 200, "{name}");
        count += 1;
    }
    assert_eq!(count, 7);
    let settings = shop.ask(&get("/docs/swagger-initializer.js")).await;
    assert!(settings.text().contains("/openapi.json"));
    let answer = shop.ask(&get("/docs/etc")).await;
    answer.problem(404, "path_unknown");
}
