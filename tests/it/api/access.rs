//! Who may come in, and what he may use.

use std::sync::Arc;
use std::time::Duration;

use fiscal::DeviceId;
use fiscald::api::{
    Admission, Admitted, AllowList, Api, ApiSettings, LanDoor, Reach, UnixId, UnixUser, schema,
};
use fiscald::ledger::Settings;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::api::{Answer, Ask, Shop, get, post, sale, sale_with, whole};

/// A web page can neither post nor read: foreign origins, preflights and rebound names are refused, and
/// nothing says that it might be otherwise.
#[tokio::test]
async fn web_pages_stay_outside() {
    let shop = Shop::open().await;
    let good = post("/v1/receipts", sale("T1-1"));
    let origins = [
        "https://evil.example",
        "http://localhost:1",
        "null",
        "file://",
    ];
    for origin in origins {
        let answer = shop.ask(&good.clone().header("origin", origin)).await;
        answer.problem(403, "origin_refused");
    }
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", ""] {
        let answer = shop.ask(&good.clone().header("host", host)).await;
        answer.problem(403, "host_refused");
        let answer = shop.ask(&get("/healthz").header("host", host)).await;
        answer.problem(403, "host_refused");
    }
    let preflight = Ask {
        method: "OPTIONS",
        ..post("/v1/receipts", "")
    };
    let answer = shop
        .ask(&preflight.clone().header("origin", "https://evil.example"))
        .await;
    answer.problem(403, "origin_refused");
    let answer = shop.ask(&preflight).await;
    answer.problem(405, "method_not_allowed");
    assert!(
        answer
            .headers
            .keys()
            .all(|name| !name.starts_with("access-control"))
    );
    assert_eq!(shop.last_number().await, 0);

    // The page at /docs asks from the very host that it was read from.
    let host = shop.address.to_string();
    let own = good
        .header("host", host.as_str())
        .header("origin", format!("http://{host}"));
    shop.ask(&own).await.receipt(201);
}

/// Without a token nothing is told; a wrong one is told apart from a missing one.
#[tokio::test]
async fn tokens_are_needed() {
    let shop = Shop::open().await;
    let asks = [
        post("/v1/receipts", sale("T1-1")),
        post("/v1/receipts/preview", sale("T1-1")),
        get("/v1/status"),
        get("/v1/receipts"),
        get("/v1/events"),
        post("/v1/days/close", ""),
        post("/v1/queue/retry", ""),
    ];
    for ask in asks {
        let answer = shop.ask(&ask.clone().without("authorization")).await;
        answer.problem(401, "token_missing");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        for wrong in ["Bearer nobody", "Bearer", "Basic b25lOm9uZQ==", "one"] {
            let answer = shop.ask(&ask.clone().header("authorization", wrong)).await;
            answer.problem(401, "token_unknown");
        }
        let on_socket = shop.ask_unix(&ask.without("authorization")).await;
        on_socket.problem(401, "token_missing");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        let answer = shop.ask(&get(path).without("authorization")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(shop.last_number().await, 0);
}

/// A revoked token works no longer than a second, also where it is remembered.
#[tokio::test]
async fn revoked_tokens() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    let revoked = shop.ledger.write(|core| core.revoke_token("one", "test"));
    assert!(revoked.await.unwrap());
    shop.clock.advance(Duration::from_secs(1));
    let ask = post("/v1/receipts", sale("T1-2"));
    shop.ask(&ask).await.problem(401, "token_unknown");
    assert_eq!(shop.last_number().await, 1);
}

/// A till's token is for that till only, however the other one is named.
#[tokio::test]
async fn tokens_of_another_till() {
    let shop = Shop::open().await;
    let ask = post("/v1/receipts?deviceID=102", sale("T1-1"));
    shop.ask(&ask).await.problem(403, "wrong_till");
    let ask = post("/v1/receipts", sale_with("T1-1", r#", "deviceID": 102"#));
    let problem = shop.ask(&ask).await.problem(403, "wrong_till");
    assert_eq!(problem.pointer.as_deref(), Some("/deviceID"));
    let ask = post("/v1/receipts?environment=production", sale("T1-1"));
    shop.ask(&ask).await.problem(403, "wrong_till");
    let ask = post("/v1/receipts?deviceID=999", sale("T1-1"));
    shop.ask(&ask).await.problem(403, "wrong_till");

    let sold = post("/v1/receipts", sale("T2-1")).token("two");
    shop.ask(&sold).await.receipt(201);
    shop.ask(&get("/v1/receipts/1"))
        .await
        .problem(404, "receipt_unknown");
    let list: schema::Receipts = shop
        .ask(&get("/v1/receipts?invoiceNo=T2-1"))
        .await
        .read(200);
    assert!(list.receipts.is_empty());
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    assert_eq!(status.tills.len(), 1);
    for path in [
        "/v1/status?deviceID=102",
        "/v1/queue?deviceID=102",
        "/v1/events?deviceID=102",
    ] {
        shop.ask(&get(path)).await.problem(403, "wrong_till");
    }
    let close = post("/v1/days/close?deviceID=102", "");
    shop.ask(&close).await.problem(403, "wrong_till");
}

/// A token of every till names the till that it means.
#[tokio::test]
async fn tokens_of_every_till() {
    let shop = Shop::open().await;
    let all = |ask: Ask| ask.token("all");
    let ask = all(post("/v1/receipts", sale("X-1")));
    let problem = shop.ask(&ask).await.problem(400, "till_needed");
    assert!(problem.detail.contains("101") && problem.detail.contains("102"));
    let by_body = all(post(
        "/v1/receipts",
        sale_with("X-1", r#", "deviceID": 102"#),
    ));
    assert_eq!(shop.ask(&by_body).await.receipt(201).device_id, 102);
    let by_address = all(post(
        "/v1/receipts?deviceID=101&environment=test",
        sale("X-2"),
    ));
    assert_eq!(shop.ask(&by_address).await.receipt(201).device_id, 101);
    let both = all(post(
        "/v1/receipts?deviceID=101",
        sale_with("X-3", r#", "deviceID": 102"#),
    ));
    let problem = shop.ask(&both).await.problem(422, "device_mismatch");
    assert_eq!(problem.pointer.as_deref(), Some("/deviceID"));
    let unknown = all(post("/v1/receipts?deviceID=999", sale("X-4")));
    shop.ask(&unknown).await.problem(404, "till_unknown");
    let status: schema::Status = shop.ask(&all(get("/v1/status"))).await.read(200);
    assert_eq!(status.tills.len(), 2);
}

/// On the Unix socket the kernel says who asks; the configuration says what he may use.
#[tokio::test]
async fn users_of_the_machine() {
    // The user of this very process, as the kernel sees him on a socket pair.
    let (pair, _other) = tokio::net::UnixStream::pair().unwrap();
    let me = pair.peer_cred().unwrap();
    let user = |who, reach| UnixUser { who, reach };
    let cases = [
        (vec![user(UnixId::Uid(me.uid()), Reach::All)], 400),
        (
            vec![user(
                UnixId::Gid(me.gid()),
                Reach::Device(DeviceId::new(101).unwrap()),
            )],
            201,
        ),
        (vec![user(UnixId::Uid(me.uid() + 1), Reach::All)], 401),
    ];
    for (unix_users, status) in cases {
        let settings = ApiSettings {
            admission: Admission::new(Admitted {
                unix_users,
                ..Admitted::default()
            }),
            ..ApiSettings::default()
        };
        let shop = Shop::with(settings, Settings::default()).await;
        let ask = post("/v1/receipts", sale("T1-1")).without("authorization");
        let answer = shop.ask_unix(&ask).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        // Over TCP a user is nobody, and on the socket a token counts more than the user.
        shop.ask(&ask).await.problem(401, "token_missing");
        let with_token = shop
            .ask_unix(&post("/v1/receipts", sale("T2-1")).token("two"))
            .await;
        assert_eq!(with_token.receipt(201).device_id, 102);
        if status == 201 {
            let other = ask.clone().header("host", "anything");
            assert_eq!(shop.ask_unix(&other).await.status, 200);
            let mut other = ask;
            other.path = "/v1/receipts?deviceID=102".to_owned();
            shop.ask_unix(&other).await.problem(403, "wrong_till");
        }
    }
}

fn server_config() -> (Arc<rustls::ServerConfig>, rustls::RootCertStore) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["till-server.shop".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (Arc::new(config), roots)
}

async fn over_tls(
    address: std::net::SocketAddr,
    roots: rustls::RootCertStore,
    ask: &Ask,
) -> Answer {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("till-server.shop").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    whole(ask.over(stream).await).await
}

/// Tills on other machines come in over TLS, with a token, from addresses that are allowed.
#[tokio::test]
async fn tills_on_other_machines() {
    let shop = Shop::open().await;
    let (tls, roots) = server_config();
    let admitted = |network: &str| Admitted {
        lan_names: vec!["till-server.shop".to_owned()],
        lan: Some(LanDoor {
            tls: Arc::clone(&tls),
            allowed: AllowList::parse(&[network]).unwrap(),
        }),
        ..Admitted::default()
    };
    let admission = Admission::new(admitted("127.0.0.0/8"));
    let settings = ApiSettings {
        admission: admission.clone(),
        ..ApiSettings::default()
    };
    let api = Api::new(
        shop.ledger.clone(),
        fiscald::submit::Submitter::default(),
        fiscald::api::Devices::default(),
        settings,
        shop.stop.clone(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { api.serve_lan(listener).await });
    let good = post("/v1/receipts", sale("T1-1")).header("host", "till-server.shop");
    let answer = over_tls(address, roots.clone(), &good).await;
    answer.receipt(201);
    let rebound = good.clone().header("host", "evil.example");
    let answer = over_tls(address, roots.clone(), &rebound).await;
    answer.problem(403, "host_refused");
    let nobody = good.without("authorization");
    let answer = over_tls(address, roots.clone(), &nobody).await;
    answer.problem(401, "token_missing");
    // What the gateway counts is for programs on its own machine.
    let metrics = get("/metrics").header("host", "till-server.shop");
    let answer = over_tls(address, roots, &metrics).await;
    answer.problem(403, "not_allowed");
    assert_eq!(
        shop.ask(&get("/metrics").without("authorization"))
            .await
            .status,
        200
    );

    // Whom the configuration lets in may change while the door is open.
    admission.replace(admitted("192.0.2.0/24"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut byte = [0];
    let heard = stream.read(&mut byte).await;
    assert!(
        matches!(heard, Ok(0) | Err(_)),
        "turned away without a word"
    );
}
