//! Path tricks: another spelling of a path is another path, and leads nowhere. Each is played on every path of both
//! documents, by nobody: no answer shows what only a known caller may see, and none is a defect of ours (500).

use fiscal_hq::testing::{Admin, Test};
use fiscald::api::Api;
use serde_json::Value;
use tokio::net::TcpStream;

use super::wire::{Said, exchange};
use crate::support::api::{Shop, get};

/// What only a known caller may see.
const HIDDEN: &str = "Zanzibar";

/// Other spellings of a path, which begins with `/`.
fn spellings(path: &str) -> Vec<String> {
    let first = path[1..].chars().next().map_or(String::new(), |c| {
        format!("/%{:02x}{}", u32::from(c), &path[1 + c.len_utf8()..])
    });
    let hidden_slash = format!("/{}", path[1..].replacen('/', "%2f", 1));
    vec![
        format!("/{path}"),
        format!("/.{path}"),
        format!("/%2e{path}"),
        format!("/docs/..{path}"),
        format!("/docs/%2e%2e{path}"),
        format!("/docs/..%2f{}", &path[1..]),
        format!("/docs/%2e%2e%2f{}", &path[1..]),
        format!("/docs/..;{path}"),
        format!("/healthz{path}"),
        format!("/healthz/..{path}"),
        format!("/operator/..{path}"),
        format!("/assets/..%5c..{path}"),
        format!("{path}/"),
        format!("{path}/."),
        format!("{path}/..;/"),
        format!("{path};a=b"),
        format!("{path}%00"),
        format!("{path}%00.json"),
        format!("{path}%0d%0aX-a:%20b"),
        format!("{path}%20"),
        format!("{path}?%00"),
        format!("{path}#/healthz"),
        format!("{path}\\..\\healthz"),
        format!("{path}%c0%af"),
        format!("{path}%"),
        format!("{path}%zz"),
        format!("{path}\u{2215}x"),
        path.to_uppercase(),
        first,
        hidden_slash,
        format!("http://localhost{path}"),
        format!("http://localhost:1@localhost{path}"),
        format!("{path}/{}", "a".repeat(8_000)),
        format!("{path}/{}", "../".repeat(2_000)),
    ]
}

/// Files that are on this machine.
const FILES: [&str; 8] = [
    "/docs/../../../../etc/passwd",
    "/docs/..%2f..%2f..%2fetc%2fpasswd",
    "/docs/%2e%2e/%2e%2e/etc/passwd",
    "/docs//etc/passwd",
    "/docs/%2fetc%2fpasswd",
    "/operator/../../etc/passwd",
    "/assets/..%2f..%2fetc%2fpasswd",
    "/file:///etc/passwd",
];

/// The paths of a document: method, path with values in it, whether it is for everybody.
fn paths(document: &Value) -> Vec<(String, String, bool)> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parts = path.split('/').map(|part| match part {
            "{environment}" => "test",
            name if name.starts_with('{') && name.contains("_id") && !name.contains("device") => {
                "00000000-0000-0000-0000-000000000000"
            }
            name if name.starts_with('{') => "1",
            fixed => fixed,
        });
        let filled = parts.collect::<Vec<_>>().join("/");
        for (method, operation) in operations.as_object().unwrap() {
            let is_open = operation["security"].is_array();
            all.push((method.to_uppercase(), filled.clone(), is_open));
        }
    }
    all
}

/// A request of nobody.
fn nobody(method: &str, target: &str) -> Vec<u8> {
    let body = match method {
        "GET" => "",
        _ => "{}",
    };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What is wrong with the answers to one spelling.
fn wrong(what: &str, answers: &[Said]) -> Option<String> {
    let [said] = answers else {
        return Some(format!("{what}: {} answers", answers.len()));
    };
    let shows = [HIDDEN, "root:x:0", "BEGIN CERTIFICATE"]
        .into_iter()
        .find(|secret| said.body.contains(secret));
    if let Some(secret) = shows {
        return Some(format!("{what} shows {secret}"));
    }
    // 503: too many from one address, which is an answer.
    let is_defect = said.status >= 500 && said.status != 503;
    is_defect.then(|| format!("{what}: {} {:.200}", said.status, said.body))
}

/// At the gateway; what is spelled as it should be is answered, with a token and without as it should be.
#[tokio::test]
async fn other_spellings_lead_nowhere_in_the_gateway() {
    let shop = Shop::open().await;
    shop.sell(HIDDEN).await;
    let shown = shop.ask(&get("/v1/receipts")).await;
    assert!(shown.text().contains(HIDDEN), "a known caller sees it");
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let (mut all_wrong, mut asked) = (Vec::new(), 0);
    for (method, path, is_open) in paths(&document) {
        let (said, _) = exchange(shop.stream().await, &nobody(&method, &path)).await;
        if !is_open && said.first().is_none_or(|said| said.status != 401) {
            all_wrong.push(format!("{method} {path} is not 401 for nobody: {said:?}"));
        }
        for target in spellings(&path) {
            let (said, _) = exchange(shop.stream().await, &nobody(&method, &target)).await;
            all_wrong.extend(wrong(&format!("{method} {target:.100}"), &said));
            asked += 1;
        }
    }
    for target in FILES {
        let (said, _) = exchange(shop.stream().await, &nobody("GET", target)).await;
        all_wrong.extend(wrong(target, &said));
    }
    assert!(all_wrong.is_empty(), "{all_wrong:#?}");
    assert!(asked > 1_500, "{asked}");
    assert_eq!(shop.last_number().await, 1);
    assert_eq!(shop.audited("day.close"), [""; 0]);
}

/// A known caller gains nothing by them either: another till's receipt is not his, however he names it.
#[tokio::test]
async fn other_spellings_name_no_other_till() {
    let shop = Shop::open().await;
    let sold = crate::support::api::post("/v1/receipts", crate::support::api::sale(HIDDEN));
    shop.ask(&sold.token("two")).await.receipt(201);
    let mut asked = 0;
    for path in [
        "/v1/receipts/1",
        "/v1/receipts/1/text",
        "/v1/receipts?deviceID=102",
        "/v1/receipts?deviceID=101&deviceID=102",
        "/v1/receipts?deviceID=102&deviceID=101",
        "/v1/receipts?%64eviceID=102",
        "/v1/receipts?deviceid=102",
        "/v1/receipts?deviceID=%31%30%32",
        "/v1/receipts?deviceID[]=102",
        "/v1/receipts?deviceID=0102",
        "/v1/receipts?deviceID=+102",
        "/v1/receipts?deviceID=102%00",
        "/v1/receipts?invoiceNo=Zanzibar",
        "/v1/receipts?invoiceNo=%25",
        "/v1/receipts?invoiceNo=Zan*",
        "/v1/receipts?invoiceNo='%20OR%201=1--",
        "/v1/receipts/1%20OR%201=1",
        "/v1/receipts/1;DROP%20TABLE%20receipt",
        "/v1/receipts/-1",
        "/v1/receipts/18446744073709551617",
        "/v1/status?deviceID=102",
        "/v1/queue/head?deviceID=102",
        "/v1/days/1?deviceID=102",
        "/v1/prints",
    ] {
        let answer = shop.ask(&get(path)).await;
        assert!(answer.status < 500, "{path}: {}", answer.text());
        assert!(!answer.text().contains(HIDDEN), "{path}: {}", answer.text());
        asked += 1;
    }
    assert_eq!(asked, 24);
    let his = shop.ask(&get("/v1/receipts/1").token("two")).await;
    assert!(his.text().contains(HIDDEN), "it is there");
}

/// At head office.
#[tokio::test]
async fn other_spellings_lead_nowhere_in_head_office() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, HIDDEN).await;
    admin.new_store(HIDDEN).await;
    let shown = admin.get("/fiscal_devices/stores").await.to_string();
    assert!(shown.contains(HIDDEN), "a known caller sees it");
    let address = test.base.trim_start_matches("http://").to_owned();
    let document: Value = serde_json::from_str(fiscal_hq::api::document()).unwrap();
    let (mut all_wrong, mut asked, mut too_many) = (Vec::new(), 0, 0);
    for (method, path, _) in paths(&document) {
        for target in spellings(&path).into_iter().chain([path.clone()]) {
            // Else this would be a flood.
            test.clock.advance(std::time::Duration::from_secs(60));
            let stream = TcpStream::connect(&address).await.unwrap();
            let (said, _) = exchange(stream, &nobody(&method, &target)).await;
            too_many += said.iter().filter(|said| said.status == 429).count();
            all_wrong.extend(wrong(&format!("{method} {target:.100}"), &said));
            asked += 1;
        }
    }
    for target in FILES {
        test.clock.advance(std::time::Duration::from_secs(60));
        let stream = TcpStream::connect(&address).await.unwrap();
        let (said, _) = exchange(stream, &nobody("GET", target)).await;
        all_wrong.extend(wrong(target, &said));
    }
    assert!(all_wrong.is_empty(), "{all_wrong:#?}");
    assert!(
        asked > 2_000 && too_many * 20 < asked,
        "{asked}, {too_many}"
    );
}
