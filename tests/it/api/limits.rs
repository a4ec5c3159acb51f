//! Limits: bodies, lines, heads, connections, streams; and stopping.

use std::time::Duration;

use fiscald::api::{Api, ApiSettings, Limits};
use fiscald::ledger::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::support::api::{PATIENCE, Shop, Talk, get, post, sale};

/// A known caller's question.
const STATUS: &str = r#"{"id": 1, "method": "GET", "path": "/v1/status", "headers": {"Authorization": "Bearer one"}}"#;

async fn shop_with(limits: Limits) -> Shop {
    let settings = ApiSettings {
        limits,
        ..ApiSettings::default()
    };
    Shop::with(settings, Settings::default()).await
}

/// Ten megabytes are answered with 413, however they come, and the sender lives to hear it.
#[tokio::test]
async fn large_bodies() {
    let shop = Shop::open().await;
    let large = vec![b' '; 10 * 1024 * 1024];
    let ask = post("/v1/receipts", large.clone());
    shop.ask(&ask).await.problem(413, "body_too_large");
    let polite = ask.header("expect", "100-continue");
    shop.ask(&polite).await.problem(413, "body_too_large");
    let mut stream = shop.stream().await;
    let head = "POST /v1/receipts HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer one\r\n\
                connection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for chunk in large.chunks(64 * 1024) {
        let size = format!("{:x}\r\n", chunk.len());
        stream.write_all(size.as_bytes()).await.unwrap();
        stream.write_all(chunk).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer));
    read.await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"));
    assert_eq!(shop.last_number().await, 0);
    assert_eq!(shop.sell("T1-1").await.receipt_global_no, 1);
}

/// A line that is too long is answered and skipped; the next one works.
#[tokio::test]
async fn long_lines() {
    let shop = shop_with(Limits {
        line: 4096,
        ..Limits::default()
    })
    .await;
    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let status = STATUS;
    assert_eq!(talk.ask(status).await["status"], 200);
    let long = format!("{{\"id\": 2, \"path\": \"/{}\"}}", "x".repeat(1024 * 1024));
    let answer = talk.ask(&long).await;
    assert_eq!(answer["body"]["code"], "line_too_long");
    assert_eq!(talk.ask(status).await["status"], 200);
    let exact = format!("{status}{}", " ".repeat(4096 - status.len()));
    assert_eq!(talk.ask(&exact).await["status"], 200);
    let answer = talk.ask(&format!("{exact} ")).await;
    assert_eq!(answer["status"], json!(413));
}

/// One connection too many is told so, and there is room again when another one ends; other doors stay open.
#[tokio::test]
async fn many_connections() {
    let shop = shop_with(Limits {
        connections_aside: 2,
        ..Limits::default()
    })
    .await;
    // Each is answered once, so that it has been counted.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
        talk.ask("{}").await;
        held.push(talk);
    }
    let mut third = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let answer = third.hear().await.unwrap();
    assert_eq!(answer["body"]["code"], "too_many_connections");
    shop.ask(&get("/healthz")).await.read::<Value>(200);
    shop.ask_unix(&get("/healthz")).await.read::<Value>(200);
    let mut unix = Talk::new(UnixStream::connect(&shop.lines_socket).await.unwrap());
    assert_eq!(unix.ask(STATUS).await["status"], 200);
    let mut first = held.remove(0);
    first.end().await;
    assert!(first.hear().await.is_none());
    // The server has closed it; its place is free as soon as its task has ended.
    let freed = async {
        loop {
            let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
            talk.say(&format!("{STATUS}\n")).await;
            if talk.hear().await.unwrap()["status"] == 200 {
                break;
            }
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

/// HTTP too tells one connection too many, and when to come again.
#[tokio::test]
async fn many_http_connections() {
    let shop = shop_with(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let mut held = shop.stream().await;
    held.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut begin = [0; 12];
    held.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let answer = shop.ask(&get("/healthz")).await;
    answer.problem(503, "too_many_connections");
    assert_eq!(answer.headers["retry-after"], "1");
    shop.ask_unix(&get("/healthz")).await.read::<Value>(200);
}

/// A connection of lines over which no known caller asks is closed, however busy; a known one's may wait.
#[tokio::test]
async fn lines_of_nobody() {
    let shop = shop_with(Limits {
        head: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    let mut known = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    assert_eq!(known.ask(STATUS).await["status"], 200);
    let mut idle = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let mut idle_unix = Talk::new(UnixStream::connect(&shop.lines_socket).await.unwrap());
    let mut busy = TcpStream::connect(shop.lines).await.unwrap();
    let stranger = format!("{}\n", STATUS.replace("Bearer one", "Bearer nobody"));
    let asks_on = async {
        let mut answer = [0; 4096];
        loop {
            let said = busy.write_all(stranger.as_bytes()).await;
            if said.is_err() || matches!(busy.read(&mut answer).await, Ok(0) | Err(_)) {
                break;
            }
        }
    };
    timeout(PATIENCE, asks_on).await.unwrap();
    assert!(idle.hear().await.is_none());
    assert!(idle_unix.hear().await.is_none());
    assert_eq!(known.ask(STATUS).await["status"], 200);
}

/// A known caller's connection of lines that is silent for too long is closed.
#[tokio::test]
async fn silent_lines() {
    let shop = shop_with(Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    assert_eq!(talk.ask(STATUS).await["status"], 200);
    assert!(talk.hear().await.is_none());
}

/// Who asks and asks and reads no answer loses his place, over HTTP as with lines.
#[tokio::test]
async fn clients_that_do_not_read() {
    let shop = shop_with(Limits {
        connections_aside: 1,
        body_time: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    // More answers than the kernel holds for a socket, asked for at once.
    let http = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    let lines = format!("{}\n", STATUS.replace("/v1/status", "/openapi.json")).repeat(200);
    for (socket, asked) in [(&shop.socket, http), (&shop.lines_socket, lines)] {
        let mut deaf = UnixStream::connect(socket).await.unwrap();
        // Perhaps it is cut before all is said.
        let _ = timeout(PATIENCE, deaf.write_all(asked.as_bytes()))
            .await
            .unwrap();
        let freed = async {
            loop {
                let mut next = UnixStream::connect(socket).await.unwrap();
                let first = asked.lines().next().unwrap();
                let one = match first.starts_with('{') {
                    true => format!("{first}\n"),
                    false => format!("{first}\r\nhost: localhost\r\n\r\n"),
                };
                let _ = next.write_all(one.as_bytes()).await;
                let mut answer = vec![0; 64];
                let read = next.read(&mut answer).await.unwrap_or(0);
                let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
                if answer.contains(" 200 ") || answer.contains("\"status\":200") {
                    break;
                }
            }
        };
        timeout(PATIENCE, freed).await.unwrap();
        // It was cut with answers unread, not served to the end.
        let mut heard = Vec::new();
        let _ = timeout(PATIENCE, deaf.read_to_end(&mut heard))
            .await
            .unwrap();
        let document = Api::openapi_json().len();
        assert!(heard.len() < 200 * document, "{} bytes", heard.len());
    }
}

/// A body or a line that never ends is given up, and so is a head.
#[tokio::test]
async fn senders_that_fall_asleep() {
    let shop = shop_with(Limits {
        body_time: Duration::from_millis(50),
        head: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    let mut stream = shop.stream().await;
    let head = "POST /v1/receipts HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer one\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer));
    read.await.unwrap().unwrap();
    assert!(answer.contains("body_incomplete"), "{answer}");

    let mut stream = shop.stream().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
    read.await.unwrap().unwrap();

    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    talk.say("{\"id\"").await;
    let answer = talk.hear().await.unwrap();
    assert_eq!(answer["body"]["code"], "body_incomplete");
    assert!(talk.hear().await.is_none());
}

/// A head that is too large, or no HTTP at all, ends that connection only.
#[tokio::test]
async fn what_is_no_http() {
    let shop = Shop::open().await;
    for garbage in [
        "\0\u{1}\u{2}\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!(
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
            "y".repeat(100_000)
        ),
    ] {
        let mut stream = shop.stream().await;
        // The other side may close while this is still being written.
        let _ = stream.write_all(garbage.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    shop.sell("T1-1").await;
}

/// Stopping ends listeners, idle connections and streams; a request in flight is answered first.
#[tokio::test]
async fn stopping() {
    let mut shop = Shop::open().await;
    let idle = shop.stream().await;
    let mut lines = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    lines.ask("{}").await;
    let ask = post("/v1/receipts?wait=60000", sale("T1-1"));
    let in_flight = shop.ask(&ask);
    let stopping = async {
        let mut committed = shop.ledger.committed();
        while shop.last_number().await < 1 {
            committed.changed().await.unwrap();
        }
        shop.stop.cancel();
    };
    let (answer, ()) = tokio::join!(in_flight, stopping);
    answer.receipt(201);
    assert!(lines.hear().await.is_none());
    drop(idle);
    let ended = async { while shop.serving.join_next().await.is_some() {} };
    timeout(PATIENCE, ended).await.unwrap();
    assert!(TcpStream::connect(shop.address).await.is_err());
}
