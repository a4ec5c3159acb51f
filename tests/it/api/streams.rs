//! Server-sent events.

use std::time::Duration;

use fiscald::api::{ApiSettings, Limits, schema};
use fiscald::ledger::Settings;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::support::api::{Ask, PATIENCE, Shop, get, post, whole};

/// A stream being read, event by event.
struct Stream {
    body: Incoming,
    unread: String,
}

/// One event: id, kind, data.
type Heard = (i64, String, String);

impl Stream {
    async fn open(shop: &Shop, ask: &Ask) -> Self {
        let response: Response<Incoming> = ask.over(shop.stream().await).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            unread: String::new(),
        }
    }

    /// The next event, or `None` at the end; comments are skipped.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let event = event.to_owned();
                self.unread = rest.to_owned();
                if !event.starts_with(':') {
                    return Some(parse(&event));
                }
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.unread.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn event(&mut self) -> schema::Event {
        let (id, kind, data) = self.next().await.unwrap();
        let event: schema::Event = serde_json::from_str(&data).unwrap();
        assert_eq!((event.seq, event.kind.as_str()), (id, kind.as_str()));
        event
    }
}

fn parse(text: &str) -> Heard {
    let field = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("{name} in {text}"))
            .to_owned()
    };
    (
        field("id: ").parse().unwrap(),
        field("event: "),
        field("data: "),
    )
}

/// A stream begins with the state, tells each event of its till as it happens, and goes on from where a
/// client was.
#[tokio::test]
async fn events_as_they_happen() {
    let shop = Shop::open().await;
    let mut stream = Stream::open(&shop, &get("/v1/events")).await;
    let (start, kind, data) = stream.next().await.unwrap();
    assert_eq!(kind, "state");
    let state: schema::Status = serde_json::from_str(&data).unwrap();
    assert_eq!(state.tills.len(), 1);
    // Another till's sale is not told.
    let two = post("/v1/receipts", crate::support::api::sale("T2-1")).token("two");
    shop.ask(&two).await.receipt(201);
    shop.sell("T1-1").await;
    let opened = stream.event().await;
    assert_eq!(
        (opened.kind.as_str(), opened.device_id),
        ("day.opened", Some(101))
    );
    let issued = stream.event().await;
    assert_eq!(
        (issued.kind.as_str(), issued.receipt_global_no),
        ("receipt.issued", Some(1))
    );
    assert_eq!(issued.at, "2026-05-28T07:00:00");
    let day: schema::Day = shop.ask(&post("/v1/days/close", "")).await.read(200);
    assert_eq!(day.state, "closed");
    assert_eq!(stream.event().await.kind, "day.closed");

    let till = shop.tills[0];
    for _ in 0..2 {
        let (_, head) = shop.ledger.ask(move |r| r.stream(till)).await.unwrap();
        let done = shop
            .ledger
            .write(move |core| core.finish_item(till, &head.unwrap(), &Default::default()));
        done.await.unwrap();
    }
    assert_eq!(stream.event().await.kind, "fdms.opened");
    let taken = stream.event().await;
    assert_eq!(
        (taken.kind.as_str(), taken.receipt_global_no),
        ("fdms.receipt", Some(1))
    );

    let from_issued = get("/v1/events").header("last-event-id", issued.seq.to_string());
    let mut again = Stream::open(&shop, &from_issued).await;
    assert_eq!(again.next().await.unwrap().1, "state");
    assert_eq!(again.event().await.kind, "day.closed");
    let from_start = get(format!("/v1/events?after={start}"));
    let mut again = Stream::open(&shop, &from_start).await;
    assert_eq!(again.next().await.unwrap().0, start);
    let kinds = [again.event().await.kind, again.event().await.kind];
    assert_eq!(kinds, ["day.opened", "receipt.issued"]);
}

/// Somebody who may use every till hears of all of them.
#[tokio::test]
async fn events_of_all_tills() {
    let shop = Shop::open().await;
    let mut stream = Stream::open(&shop, &get("/v1/events").token("all")).await;
    stream.next().await.unwrap();
    shop.sell("T1-1").await;
    let two = post("/v1/receipts", crate::support::api::sale("T2-1")).token("two");
    shop.ask(&two).await.receipt(201);
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(stream.event().await.device_id.unwrap());
    }
    assert_eq!(devices, [101, 101, 102, 102]);
}

/// One caller cannot take all streams: others find theirs, and his own are free again when they end.
#[tokio::test]
async fn streams_of_one_caller() {
    let settings = ApiSettings {
        limits: Limits {
            streams: 4,
            streams_each: 2,
            ..Limits::default()
        },
        ..ApiSettings::default()
    };
    let shop = Shop::with(settings, Settings::default()).await;
    let first = Stream::open(&shop, &get("/v1/events")).await;
    let _second = Stream::open(&shop, &get("/v1/events")).await;
    let third = get("/v1/events").over(shop.stream().await).await;
    let problem = whole(third).await.problem(503, "busy");
    assert!(problem.detail.contains("2 streams"));
    let mut two = Stream::open(&shop, &get("/v1/events").token("two")).await;
    assert_eq!(two.next().await.unwrap().1, "state");
    drop(first);
    // That somebody has gone is found out when something is told to him.
    let freed = async {
        for sale in 1.. {
            shop.sell(&format!("T1-{sale}")).await;
            let again = get("/v1/events").over(shop.stream().await).await;
            if again.status() == 200 {
                break;
            }
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

/// Streams are counted, end when their token is revoked, and end when the daemon stops.
#[tokio::test]
async fn streams_end() {
    let limits = Limits {
        streams: 1,
        ..Limits::default()
    };
    let settings = ApiSettings {
        limits,
        ..ApiSettings::default()
    };
    let mut shop = Shop::with(settings, Settings::default()).await;
    for wrong in ["x", "-1", ""] {
        let ask = get("/v1/events").header("last-event-id", wrong);
        shop.ask(&ask).await.problem(400, "parameter_invalid");
    }
    let mut stream = Stream::open(&shop, &get("/v1/events")).await;
    stream.next().await.unwrap();
    let second = get("/v1/events").over(shop.stream().await).await;
    whole(second).await.problem(503, "busy");
    let revoked = shop.ledger.write(|core| core.revoke_token("one", "test"));
    assert!(revoked.await.unwrap());
    shop.clock.advance(Duration::from_secs(1));
    // Something happens to the till: the stream looks at its token before it tells.
    let till = shop.tills[0];
    shop.ledger
        .write(move |core| core.open_day(till, "test"))
        .await
        .unwrap();
    // What was on its way before may still come; what came after is not told.
    while let Some((_, kind, _)) = stream.next().await {
        assert_ne!(kind, "day.opened");
    }

    let freed = async {
        loop {
            let response = get("/v1/events")
                .token("two")
                .over(shop.stream().await)
                .await;
            if response.status() == 200 {
                break response;
            }
        }
    };
    let response = timeout(PATIENCE, freed).await.unwrap();
    shop.stop.cancel();
    let rest = timeout(PATIENCE, response.into_body().collect())
        .await
        .unwrap();
    rest.unwrap();
    let ended = async { while shop.serving.join_next().await.is_some() {} };
    timeout(PATIENCE, ended).await.unwrap();
}
