//! Attacks on head office, as whoever can reach it would make them. Who the attackers are, and what is left to them, is told
//! in docs/SECURITY.md, which names these tests.

mod fields;

use fiscal_hq::access::Role;
use fiscal_hq::api;
use reqwest::Method;
use serde_json::Value;

use crate::api::operations;
use crate::people::{Asker, send};
use crate::support::Test;

/// Bodies that are nested as deeply as they may be long are refused wherever a body is read, of known and unknown
/// callers, and head office goes on.
#[tokio::test]
async fn depth_is_limited() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let nobody = Asker::nobody(&test);
    let deep = ["[".repeat(120_000), "{\"a\":".repeat(50_000)];
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let mut asked = 0;
    for (method, path, operation) in operations(&document) {
        if method == Method::GET || operation.get("requestBody").is_none() {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        for body in &deep {
            let request = admin
                .request(method.clone(), &path)
                .header("content-type", "application/json")
                .body(body.clone());
            let status = send(request).await.status;
            assert!((400..500).contains(&status), "{method} {path}: {status}");
            asked += 1;
        }
    }
    for body in deep {
        let request = nobody
            .request(Method::POST, "/session")
            .header("content-type", "application/json")
            .body(body);
        let status = send(request).await.status;
        assert!((400..500).contains(&status), "{status}");
    }
    assert!(asked > 20, "{asked}");
    assert_eq!(admin.get("/session").await.status, 200);
}

/// Bodies that say that they are packed are refused as they are, on every path that takes one; nothing is unpacked. What
/// stores send is packed, and is unpacked for a store that is known, within limits.
#[tokio::test]
async fn nothing_of_a_stranger_is_unpacked() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::machine(&test, tenant, Role::Admin, "machine").await;
    let nobody = Asker::nobody(&test);
    let bomb = zstd::bulk::compress(&vec![b' '; 256 << 20], 1).unwrap();
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let mut asked = 0;
    for (method, path, operation) in operations(&document) {
        if operation.get("requestBody").is_none() {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        for encoding in ["gzip", "br", "deflate", "zstd"] {
            for asker in [&admin, &nobody] {
                // Else this would be a flood.
                test.clock.advance(std::time::Duration::from_secs(60));
                let request = asker
                    .request(method.clone(), &path)
                    .header("content-type", "application/json")
                    .header("content-encoding", encoding)
                    .body(bomb.clone());
                let status = send(request).await.status;
                assert!(
                    (300..500).contains(&status),
                    "{method} {path} {encoding}: {status}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "{asked}");
    let made = serde_json::json!({ "name": "Harare" });
    let plain = admin.post("/fiscal_devices/stores", made).await;
    assert_eq!(plain.status, 201, "{}", plain.text);
}
