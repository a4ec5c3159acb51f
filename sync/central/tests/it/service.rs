//! The service as a whole: on its socket, with its database going and coming.

use std::sync::Arc;

use clock::{Clock as _, TestClock};
use fiscal_hq::Hq;
use fiscal_hq::access::Role;
use fiscal_hq::db::{APP_ROLE, Address, Limits};
use fiscal_hq::keys::MasterKeys;
use fiscal_hq::outbound::Outbound;
use fiscal_hq::{migrate, serve};
use secrecy::SecretString;
use serde_json::{Value, json};
use sync_wire::Environment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::people::Asker;
use crate::support::{MASTER_KEY, Server, Test, WORKER_SECRET, start};

/// Two instances on one database are one service; a path that is not there is told so.
#[tokio::test]
async fn two_instances_are_one() {
    let first = Test::start().await;
    let second = first.second().await;
    let tenant = first.tenant("Baobab Stores").await;
    let seen = fiscal_hq::tenants::all(&second.hq.db).await.unwrap();
    assert_eq!(seen, [(tenant, "Baobab Stores".to_owned())]);
    assert_eq!(second.hq.now(), first.clock.wall());
    let answer = second
        .http
        .get(second.url("/nowhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-request-id"].len(), 32);
}

/// Who has signed in at one instance is known to the other, writes there, and is nobody at both once he has signed out;
/// a token that one has revoked is good at none.
#[tokio::test]
async fn sessions_and_tokens_are_of_both() {
    let first = Test::start().await;
    let second = first.second().await;
    let tenant = first.tenant("Baobab Stores").await;
    let rudo = Asker::person(&first, tenant, Role::Admin, "rudo@shop.example").await;
    let mut there = Asker::nobody(&second);
    there.shows = rudo.shows.clone();
    let made = there
        .post("/fiscal_devices/stores", json!({ "name": "Harare" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let stores = rudo.get("/fiscal_devices/stores").await.read(200);
    assert_eq!(stores[0]["name"], "Harare");
    let token = there
        .post(
            "/tokens",
            json!({ "name": "till software", "role": "viewer" }),
        )
        .await
        .read(201);
    let machine = |test: &Test| Asker::bearer(test, token["token"].as_str().unwrap());
    assert_eq!(machine(&first).get("/fiscal_devices").await.status, 200);
    let path = format!("/tokens/{}", token["token_id"].as_str().unwrap());
    assert_eq!(rudo.delete(&path).await.status, 204);
    assert_eq!(machine(&second).get("/fiscal_devices").await.status, 401);
    assert_eq!(there.delete("/session").await.status, 204);
    for asker in [&rudo, &there] {
        assert_eq!(asker.get("/session").await.status, 401);
    }
}

/// A lock of the installation is one instance's until it lets go.
#[tokio::test]
async fn one_instance_is_alone() {
    let first = Test::start().await;
    let second = first.second().await;
    let lock = first.hq.db.alone(77).await.unwrap();
    assert!(lock.is_some());
    assert!(second.hq.db.alone(77).await.unwrap().is_none());
    assert!(second.hq.db.alone(78).await.unwrap().is_some());
    drop(lock);
    // The server lets go when it has seen the connection close.
    while second.hq.db.alone(77).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

/// What is counted: requests by path, whatever was asked for, and the state of the stores.
#[tokio::test]
async fn metrics_are_read_here() {
    let test = Test::start().await;
    let get = async |path: &str| test.http.get(test.url(path)).send().await.unwrap();
    assert_eq!(get("/healthz").await.status(), 200);
    assert_eq!(get("/readyz").await.status(), 200);
    get("/secret-code-in-a-path").await;
    let text = get("/metrics").await.text().await.unwrap();
    for wanted in [
        "fiscal_hq_request_seconds_count{method=\"GET\",route=\"/readyz\",status=\"200\"} 1\n",
        "fiscal_hq_request_seconds_count{method=\"GET\",route=\"unknown\",status=\"404\"} 1\n",
        "fiscal_hq_stores{state=\"silent\"} 0\n",
        "fiscal_hq_database_up 1\n",
        "fiscal_hq_entries_taken_total 0\n",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains("secret-code"));
    let behind_a_proxy = test
        .http
        .get(test.url("/metrics"))
        .header("x-forwarded-for", "196.1.1.1")
        .send()
        .await
        .unwrap();
    assert_eq!(behind_a_proxy.status(), 403);
}

/// Postgres goes and comes: problem documents meanwhile, and all goes on without a restart; also when it was not
/// there at the start.
#[tokio::test]
async fn the_database_goes_and_comes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("postgres"));
    let root = server.url();
    let mut owner = Address::parse(root).unwrap().connect().await.unwrap();
    migrate::migrate(&mut owner, start()).await.unwrap();
    server.stop();
    let url = root.replace("user=postgres", &format!("user={APP_ROLE}"));
    let hq = Arc::new(Hq {
        db: Address::parse(&url)
            .unwrap()
            .pool(Limits::default())
            .unwrap(),
        clock: TestClock::new(start()),
        ceiling: Environment::Test,
        keys: MasterKeys::parse(MASTER_KEY, None).unwrap(),
        worker_secret: Some(SecretString::from(WORKER_SECRET)),
        secure_cookies: false,
        public_url: "http://hq.test".to_owned(),
        outbound: Outbound::default(),
    });
    serve::may_serve(&hq).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve::start(hq, listener).unwrap();
    let base = format!("http://{}", running.address);
    let http = reqwest::Client::new();
    let turn = async || {
        let asked = http
            .post(format!("{base}/fdms_worker"))
            .bearer_auth(WORKER_SECRET);
        asked.send().await.unwrap()
    };
    let status = async |path: &str| {
        http.get(format!("{base}{path}"))
            .send()
            .await
            .unwrap()
            .status()
    };
    for _ in 0..2 {
        assert_eq!(status("/healthz").await, 200);
        assert_eq!(status("/readyz").await, 503);
        let answer = turn().await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "unavailable");
        let metrics = http.get(format!("{base}/metrics")).send().await.unwrap();
        assert!(
            metrics
                .text()
                .await
                .unwrap()
                .contains("fiscal_hq_database_up 0\n")
        );

        server.start_again();
        assert_eq!(status("/readyz").await, 200);
        assert_eq!(turn().await.status(), 200);
        // Connections are open and in the pool when it goes.
        server.stop();
    }
    running.stop().await;
}

/// On stop the listener goes at once, and what is in flight is answered.
#[tokio::test]
async fn it_stops_when_it_is_told() {
    let test = Test::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve::start(Arc::clone(&test.hq), listener).unwrap();
    let url = format!("http://{}/healthz", running.address);
    assert_eq!(test.http.get(&url).send().await.unwrap().status(), 200);
    running.stop().await;
    assert!(test.http.get(&url).send().await.is_err());
}

/// Whoever opens connections and says nothing does not take the places of others: each address has so many.
#[tokio::test]
async fn one_address_does_not_take_all_places() {
    let test = Test::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = serve::Settings {
        connections_per_address: 2,
        ..serve::Settings::default()
    };
    let running = serve::start_with(Arc::clone(&test.hq), listener, settings).unwrap();
    let ask = async || {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = "GET /healthz HTTP/1.1\r\nhost: hq.test\r\n\r\n";
        // Whoever is turned away may learn of it when he writes, or when he reads.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut begin = [0; 12];
        let answered = stream.read_exact(&mut begin).await.is_ok();
        (answered && &begin == b"HTTP/1.1 200").then_some(stream)
    };
    let first = ask().await.expect("a place");
    let second = ask().await.expect("a place");
    assert!(ask().await.is_none());
    drop(first);
    // The service sees the end when it sees it.
    while ask().await.is_none() {
        tokio::task::yield_now().await;
    }
    drop(second);
    running.stop().await;
}
