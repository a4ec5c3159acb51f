//! Bodies that are more than they seem: compressed ones that unpack to much, answers without an end, JSON that is deep or
//! long, from whoever answers in the place of FDMS or of head office. What is read has a limit before it is read.

use std::sync::Arc;
use std::time::Duration;

use fiscald::api::Api;
use fiscald::fdms::{
    Answer as Heard, ClientSettings, Fdms as _, FileTransport, HttpFdms, Limits, TrustRoots,
};
use serde_json::Value;
use tokio::time::timeout;

use super::stranger::{Answer, Stranger, authority, ok};
use crate::support::api::{PATIENCE, Shop, post, sale};
use crate::support::store::House;

/// A gigabyte of blanks, packed.
fn bomb() -> Vec<u8> {
    let piece = vec![b' '; 1 << 20];
    let mut packed = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1_024 {
        std::io::Write::write_all(&mut packed, &piece).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 512 * 1024, "{}", packed.len());
    packed
}

/// Bodies that say that they are packed are refused as they are, on every path that takes one, whoever asks; nothing is
/// unpacked. The same sale as it is is sold.
#[tokio::test]
async fn nothing_that_is_packed_is_unpacked() {
    let shop = Shop::open().await;
    let bomb = bomb();
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        if !operations["post"]["requestBody"].is_object() {
            continue;
        }
        let path = path
            .replace("{receiptGlobalNo}", "1")
            .replace("{capture}", "1")
            .replace("{job}", "1")
            .replace(['{', '}'], "");
        for encoding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "x-gzip",
            "compress",
            "gzip, gzip",
            "identity",
        ] {
            let ask = post(path.clone(), bomb.clone()).header("content-encoding", encoding);
            let answer = timeout(PATIENCE, shop.ask(&ask)).await.unwrap();
            assert!(
                (400..500).contains(&answer.status),
                "{path} {encoding}: {}",
                answer.status
            );
            asked += 1;
        }
    }
    assert!(asked >= 64, "{asked}");
    let packed = zstd::bulk::compress(sale("T1-1").as_bytes(), 1).unwrap();
    let ask = post("/v1/receipts", packed).header("content-encoding", "zstd");
    shop.ask(&ask).await.problem(415, "content_type");
    shop.sell("T1-1").await;
}

/// What a stranger answers: its name, and the bytes.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let deep = "[".repeat(1_000_000);
    let members = format!("{{{}\"a\":1}}", "\"operationID\":\"x\",".repeat(100_000));
    let mut all = vec![
        ("deep", ok(deep.as_bytes())),
        (
            "deep, in an object",
            ok(format!("{{\"operationID\":{deep}").as_bytes()),
        ),
        ("deep objects", ok("{\"a\":".repeat(200_000).as_bytes())),
        ("a member again and again", ok(members.as_bytes())),
        (
            "a number without an end",
            ok(format!("{{\"a\":{}}}", "9".repeat(1_000_000)).as_bytes()),
        ),
        (
            "a large exponent",
            ok(b"{\"operationID\":1e999999999,\"taxPayerTIN\":1e-999999999}"),
        ),
        (
            "a text that is none",
            ok(b"{\"operationID\":\"\\ud800\\u0000\"}"),
        ),
        (
            "no UTF-8",
            ok(&[b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']),
        ),
        ("twelve megabytes", ok(&vec![b' '; 12 << 20])),
        ("nothing", ok(b"")),
    ];
    let raw = [
        ("longer than it says", format!("{head}content-length: 2\r\n\r\n{{}}{}", "x".repeat(100_000))),
        ("shorter than it says", format!("{head}content-length: 99999999999\r\nconnection: close\r\n\r\n{{}}")),
        ("two lengths", format!("{head}content-length: 2\r\ncontent-length: 4\r\n\r\n{{}}  ")),
        ("a chunk without an end", format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n{}", " ".repeat(12 << 20))),
        ("packed", format!("{head}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a head without an end", format!("HTTP/1.1 200 OK\r\n{}", "x-a: b\r\n".repeat(200_000))),
        ("one long header", format!("HTTP/1.1 200 OK\r\nx-a: {}", "b".repeat(2_000_000))),
        ("no HTTP", "\0".repeat(1_000_000)),
        ("another place", "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("another file", "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("another protocol", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned()),
        ("steering characters", "HTTP/1.1 400 Bad\r\ncontent-length: 40\r\n\r\n{\"title\":\"\\u001b[2J\\u0007\\r\\nERROR owned\"}".to_owned()),
    ];
    all.extend(
        raw.into_iter()
            .map(|(what, text)| (what, text.into_bytes())),
    );
    all
}

/// Whether something is told of an answer that is no good one, on one line that steers nothing.
fn told<T>(what: &str, heard: Heard<T>) {
    let accepted = heard.outcome.accepted();
    assert!(accepted.is_none(), "{what} was taken for an answer");
}

/// Whatever answers in the place of FDMS, with a good certificate: each is no answer, in a moment; and so it is for a
/// store that joins head office.
#[tokio::test]
async fn answers_are_read_within_limits() {
    let ca = authority();
    let house = House::new().await;
    let mut asked = 0;
    for (what, bytes) in answers() {
        let answer: Answer = Arc::new(move |_| bytes.clone());
        let server = Stranger::trusted(&ca, answer).await;
        let settings = ClientSettings {
            environment: server.url("localhost"),
            device_id: 101,
            model_name: "fiscald".to_owned(),
            model_version: "1".to_owned(),
            identity: None,
            roots: TrustRoots::load(Some(&ca.pem())).unwrap(),
            clock: Arc::new(clock::SystemClock),
            limits: Limits {
                total: Duration::from_secs(5),
                ..Limits::default()
            },
            files: FileTransport::default(),
        };
        let fdms = HttpFdms::new(&settings).unwrap();
        let all = async {
            told(what, fdms.verify_taxpayer("ACTIVATE", "SERIAL").await);
            told(what, fdms.register_device("ACTIVATE", "REQUEST").await);
            told(what, fdms.get_config().await);
            told(what, fdms.get_status().await);
            told(what, fdms.submit_receipt(b"{}").await);
        };
        timeout(PATIENCE, all)
            .await
            .unwrap_or_else(|_| panic!("{what} is read for ever"));
        let joining = fiscald::hq::join::Joining {
            url: &server.url("localhost"),
            ca: Some(ca.pem()),
            code: "ONCE-ONLY",
            actor: "test",
            ledger: &house.path(),
            clock: Arc::new(clock::SystemClock),
        };
        let mut core = house.core();
        let joined = timeout(PATIENCE, fiscald::hq::join::join(&mut core, &joining)).await;
        let error = joined
            .unwrap_or_else(|_| panic!("{what} is read for ever"))
            .unwrap_err();
        let error = error.to_string();
        assert!(!error.contains(char::is_control), "{what}: {error:?}");
        assert!(
            error.len() < 4_000,
            "{what}: {} bytes are told",
            error.len()
        );
        asked += 1;
    }
    assert_eq!(asked, 22);
}
