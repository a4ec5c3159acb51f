//! Forged tokens: whatever looks nearly like one is none, on every path that wants one, at every door. What is compared is
//! a hash of the whole token, found by an index: there is nothing that would tell how much of it was right.

use fiscal_hq::testing::{Admin, Test};
use fiscald::api::Api;
use fiscald::ledger::tills::token_hash;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::wire::exchange;
use crate::support::api::{Shop, Talk, get, post, sale};

/// A token as `fiscald token add` makes them, in its letters and its length.
const GOOD: &str = "fgt_ZQ7dTn3vB9xLm2Kp8RsY4wHc6JgN5aEu";

/// Everything that is nearly this token, or not at all; as it stands behind `Bearer `.
fn forged(good: &str) -> Vec<String> {
    let mut all: Vec<String> = (1..good.len())
        .map(|length| good[..length].to_owned())
        .collect();
    all.extend((1..good.len()).map(|from| good[from..].to_owned()));
    for (at, c) in good.char_indices() {
        let other = if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            'x'
        };
        if other != c {
            all.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
        }
    }
    let hash = token_hash(good);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    all.extend([
        good.to_uppercase(),
        good.to_lowercase(),
        good.chars().rev().collect(),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("{good},{good}"),
        format!("{good}, other"),
        format!("other {good}"),
        format!("{good} other"),
        format!("\"{good}\""),
        format!("{good}="),
        format!("{good}%00"),
        format!("%{:02x}{}", good.as_bytes()[0], &good[1..]),
        format!("{good}\u{a0}"),
        // Letters that look like others: a Cyrillic A, a full-width Z, an invisible joiner.
        good.replace('a', "\u{430}"),
        good.replace('Z', "\u{ff3a}"),
        format!("{good}\u{200d}"),
        format!("Bearer {good}"),
        hex,
        "*".to_owned(),
        "%".to_owned(),
        "null".to_owned(),
        "' OR '1'='1".to_owned(),
        "' UNION SELECT hash FROM token--".to_owned(),
        "x".repeat(512),
        "x".repeat(513),
        "x".repeat(20_000),
        format!("{good}{}", " x".repeat(300)),
    ]);
    // Not every token has every letter.
    all.retain(|token| token != good);
    all
}

/// A shop whose first till has a strong token, and one that was revoked.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    let till = shop.tills[0];
    shop.ledger
        .write(move |core| {
            core.add_token("strong", Some(till), GOOD, "test")?;
            core.add_token("old", Some(till), "revoked", "test")?;
            core.revoke_token("old", "test")
        })
        .await
        .unwrap();
    shop
}

/// No forged token opens anything: each at one path of each door, some at every path that wants one.
#[tokio::test]
async fn forged_tokens_open_nothing_in_the_gateway() {
    let shop = shop().await;
    let raw = |token: &str, scheme: &str| {
        let mut bytes = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: ".to_vec();
        bytes.extend(scheme.as_bytes());
        bytes.extend(token.as_bytes());
        bytes.extend(b"\r\n\r\n");
        bytes
    };
    let all = forged(GOOD);
    assert!(all.len() > 100, "{}", all.len());
    for token in &all {
        let (said, _) = exchange(shop.stream().await, &raw(token, "Bearer ")).await;
        assert_eq!(said.len(), 1, "{token:.60}");
        assert_eq!(said[0].status, 401, "{token:.60}: {}", said[0].body);
        let begins: String = token.chars().take(40).collect();
        let repeats = begins.len() > 20 && said[0].body.contains(&begins);
        assert!(!repeats, "{}", said[0].body);
        let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
        let headers = json!({ "authorization": format!("Bearer {token}") });
        let line = json!({ "method": "GET", "path": "/v1/status", "headers": headers });
        let status = talk.ask(&line.to_string()).await["status"].clone();
        assert!(status == 401 || status == 400, "{token:.60}: {status}");
    }
    for (scheme, is_good) in [
        ("Bearer ", true),
        ("bearer ", true),
        ("BEARER ", true),
        ("Bearer   ", true),
        ("Basic ", false),
        ("Token ", false),
        ("Bearer\t", false),
        ("Bearer,", false),
        ("", false),
        // Two of them are none: a proxy might look at the other.
        ("Bearer two\r\nAuthorization: Bearer ", false),
        ("Basic dHdv\r\nAuthorization: Bearer ", false),
    ] {
        let (said, _) = exchange(shop.stream().await, &raw(GOOD, scheme)).await;
        let status = if is_good { 200 } else { 401 };
        assert_eq!(said[0].status, status, "{scheme:?}: {}", said[0].body);
    }
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let some = ["revoked", "nobody", &GOOD[..GOOD.len() - 1]];
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"].is_array() {
                continue;
            }
            let path = path.replace(['{', '}'], "");
            let ask = if method == "get" {
                get(path)
            } else {
                post(path, "{}")
            };
            for token in some {
                shop.ask(&ask.clone().token(token))
                    .await
                    .problem(401, "token_unknown");
                shop.ask_unix(&ask.clone().token(token))
                    .await
                    .problem(401, "token_unknown");
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "{asked}");
    assert_eq!(shop.last_number().await, 0);
    let sold = shop
        .ask(&post("/v1/receipts", sale("A-1")).token(GOOD))
        .await;
    assert_eq!(sold.receipt(201).device_id, 101);
}

/// Head office's tokens: the same, on its paths; a token of another company is good for that company alone.
#[tokio::test]
async fn forged_tokens_open_nothing_in_head_office() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab Stores").await;
    admin.new_store("Zanzibar").await;
    let other = Admin::of_new(&test, "Msasa Traders").await;
    let good = admin.token().to_owned();
    let address = test.base.trim_start_matches("http://").to_owned();
    let ask = async |path: &str, value: &str| {
        // Else this would be a flood.
        test.clock.advance(std::time::Duration::from_secs(3_600));
        let bytes =
            format!("GET {path} HTTP/1.1\r\nHost: hq.test\r\nAuthorization: {value}\r\n\r\n");
        let stream = TcpStream::connect(&address).await.unwrap();
        let (said, _) = exchange(stream, bytes.as_bytes()).await;
        assert_eq!(said.len(), 1, "{path} {value:.60}");
        said.into_iter().next().unwrap()
    };
    let stores = "/fiscal_devices/stores";
    assert_eq!(ask(stores, &format!("Bearer {good}")).await.status, 200);
    for token in forged(&good) {
        let said = ask(stores, &format!("Bearer {token}")).await;
        assert_eq!(said.status, 401, "{token:.60}: {}", said.body);
    }
    // Two of them are none: a proxy might look at the other.
    for [first, second] in [
        ["nobody", good.as_str()],
        [good.as_str(), "nobody"],
        [good.as_str(), good.as_str()],
    ] {
        let both = format!("Bearer {first}\r\nAuthorization: Bearer {second}");
        assert_eq!(
            ask(stores, &both).await.status,
            401,
            "{first:.10} {second:.10}"
        );
    }
    let document: Value = serde_json::from_str(fiscal_hq::api::document()).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let operation = &operations["get"];
        if operation.is_null() || operation["security"].is_array() {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        let said = ask(&path, &format!("Bearer {}", &good[1..])).await;
        assert!(
            [401, 303, 404, 400].contains(&said.status),
            "{path}: {}",
            said.status
        );
        assert!(!said.body.contains("Zanzibar"), "{path}");
        asked += 1;
    }
    assert!(asked > 10, "{asked}");
    let theirs = other.get(stores).await.to_string();
    assert!(!theirs.contains("Zanzibar"), "{theirs}");
    assert_eq!(ask(stores, &format!("Bearer {good}")).await.status, 200);
}
