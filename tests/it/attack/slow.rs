//! Slow clients: whoever sends a byte now and then, half of something, or reads nothing, loses his place in the end,
//! and whoever is quick does not notice. That each limit is there is shown in tests/it/api/limits.rs; here all of it comes at
//! once, in numbers, beside a till that sells.

use std::net::SocketAddr;
use std::time::Duration;

use fiscal_hq::serve;
use fiscal_hq::testing::Test;
use fiscald::api::{ApiSettings, Limits};
use fiscald::ledger::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::{Till, answers};
use crate::support::api::{PATIENCE, Shop, get};

/// How long is waited for an answer before the next byte.
const PAUSE: Duration = Duration::from_millis(100);
/// Clients of each kind.
const EACH: usize = 12;

/// What a slow client does.
#[derive(Debug, Clone)]
enum Slow {
    /// Sends the first part at once and the other byte by byte, without end.
    Drips(String, &'static str),
    /// Sends this and no more, but listens.
    Half(String),
    /// Asks for much again and again, and reads nothing.
    Deaf(String),
}

/// Plays one until the server has hung up; what was heard.
async fn play(address: SocketAddr, slow: Slow) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut heard = Vec::new();
    match slow {
        Slow::Drips(first, rest) => {
            let _ = stream.write_all(first.as_bytes()).await;
            for byte in rest.bytes().cycle() {
                let mut piece = [0; 4096];
                match timeout(PAUSE, stream.read(&mut piece)).await {
                    Ok(Ok(0) | Err(_)) => break,
                    Ok(Ok(read)) => heard.extend(&piece[..read]),
                    Err(_) => {
                        if stream.write_all(&[byte]).await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
        Slow::Half(part) => {
            let _ = stream.write_all(part.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut heard).await;
        }
        Slow::Deaf(request) => {
            // The kernel takes some of it; then nothing moves until the server has enough of it.
            while stream.write_all(request.as_bytes()).await.is_ok() {}
        }
    }
    heard
}

/// Plays all of them at once, many of each, until the last one was hung up on; the answers that they got.
async fn all_at_once(doors: Vec<(SocketAddr, Slow)>) -> Vec<u16> {
    let mut players = JoinSet::new();
    for (address, slow) in doors {
        for _ in 0..EACH {
            let (slow, name) = (slow.clone(), format!("{slow:?}"));
            players.spawn(async move {
                let heard = timeout(PATIENCE, play(address, slow)).await;
                heard.unwrap_or_else(|_| panic!("{name:.80} keeps its place"))
            });
        }
    }
    let heard = players.join_all().await;
    let http = heard.iter().filter(|heard| heard.starts_with(b"HTTP"));
    http.flat_map(|heard| answers(heard))
        .map(|said| said.status)
        .collect()
}

fn head(path: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer two\r\nContent-Type: application/json\r\n{more}"
    )
}

/// At the gateway: all of them are hung up on, none of them has sold, and a till sells all the while, as does one that
/// comes afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_no_till_up() {
    let settings = ApiSettings {
        limits: Limits {
            head: Duration::from_secs(2),
            body_time: Duration::from_secs(2),
            ..Limits::default()
        },
        ..ApiSettings::default()
    };
    let shop = Shop::with(settings, Settings::default()).await;
    let receipts = "/v1/receipts";
    let http = [
        Slow::Drips("POST /v1/receipts HTTP/1.1\r\n".to_owned(), "X-a: b\r\n"),
        Slow::Drips(head(receipts, ""), "X-a: b\r\n"),
        Slow::Drips(head(receipts, "Content-Length: 1000\r\n\r\n{"), " "),
        Slow::Drips(
            head(receipts, "Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\n \r\n",
        ),
        Slow::Drips(String::new(), "\r\n"),
        Slow::Half(head(receipts, "")),
        Slow::Half(head(
            receipts,
            "Content-Length: 1000\r\n\r\n{\"receiptType\"",
        )),
        Slow::Half(head(
            receipts,
            "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a",
        )),
        Slow::Half(String::new()),
        Slow::Deaf("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20)),
    ];
    let lines = [
        Slow::Drips("{\"id\": 1, \"method\": \"".to_owned(), "G"),
        Slow::Half("{\"id\": 1, \"method\": \"GET\"".to_owned()),
        Slow::Half(String::new()),
    ];
    let doors = http.into_iter().map(|slow| (shop.address, slow));
    let doors = doors.chain(lines.into_iter().map(|slow| (shop.lines, slow)));
    let mut till = Till::at(shop.address, "one", "T1").await;
    let statuses = till.sell_until(all_at_once(doors.collect())).await;
    assert!(
        statuses
            .iter()
            .all(|status| [200, 400, 408].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&400), "a body that stays away is told so");
    assert!(till.sold > 20, "{} sales", till.sold);
    assert_eq!(shop.last_number().await as usize, till.sold);
    let second = shop.tills[1];
    let other = shop.ledger.ask(move |reader| reader.last_receipt(second));
    assert_eq!(other.await.unwrap().0.get(), 0, "half a sale is none");
    till.sell().await;
    shop.ask(&get("/readyz"))
        .await
        .read::<serde_json::Value>(200);
}

/// At head office: all of them are hung up on, and it answers others meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_no_store_up() {
    let test = Test::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = serve::Settings {
        head: Duration::from_secs(2),
        stall: Duration::from_secs(2),
        ..serve::Settings::default()
    };
    let running = serve::start_with(std::sync::Arc::clone(&test.hq), listener, settings).unwrap();
    let doors = [
        Slow::Drips("POST /session HTTP/1.1\r\n".to_owned(), "X-a: b\r\n"),
        Slow::Drips(head("/session", ""), "X-a: b\r\n"),
        Slow::Drips(head("/session", "Content-Length: 1000\r\n\r\n{"), " "),
        Slow::Drips(
            head("/session", "Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\n \r\n",
        ),
        Slow::Half(head("/session", "")),
        Slow::Half(head("/session", "Content-Length: 1000\r\n\r\n{\"email\"")),
        Slow::Half(String::new()),
        Slow::Deaf("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20)),
    ];
    let doors = doors.map(|slow| (running.address, slow)).to_vec();
    let url = format!("http://{}/readyz", running.address);
    let attack = tokio::spawn(all_at_once(doors));
    let mut answered = 0;
    while !attack.is_finished() {
        // Else this would be a flood.
        test.clock.advance(Duration::from_secs(10));
        assert_eq!(test.http.get(&url).send().await.unwrap().status(), 200);
        answered += 1;
    }
    attack.await.unwrap();
    assert!(answered > 20, "{answered}");
    test.clock.advance(Duration::from_secs(60));
    assert_eq!(test.http.get(&url).send().await.unwrap().status(), 200);
    running.stop().await;
}
