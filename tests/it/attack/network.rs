//! A neighbour in the shop's network.

use std::sync::Arc;

use fiscald::api::{Admission, Admitted, Api, ApiSettings, Devices};
use fiscald::config::LanConfig;
use fiscald::daemon::lan_door;
use fiscald::submit::Submitter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::api::{Shop, get, whole};

/// The listener for other machines, as the configuration makes it, for these addresses.
async fn lan(shop: &Shop, allow: &str) -> (std::net::SocketAddr, rustls::RootCertStore) {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["till-server.shop".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    let (certificate, private) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&certificate, own.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let config = LanConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate,
        key: private,
        allow: vec![allow.to_owned()],
        names: vec!["till-server.shop".to_owned()],
    };
    let admitted = Admitted {
        lan: Some(lan_door(&config).unwrap()),
        lan_names: config.names,
        ..Admitted::default()
    };
    let settings = ApiSettings {
        admission: Admission::new(admitted),
        ..ApiSettings::default()
    };
    let api = Api::new(
        shop.ledger.clone(),
        Submitter::default(),
        Devices::default(),
        settings,
        CancellationToken::new(),
    );
    let api = api
        .clone()
        .with_page(fiscald::page::router(&api, &shop.ledger).unwrap());
    let listener = TcpListener::bind(config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { api.serve_lan(listener).await });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.der().clone()).unwrap();
    (address, roots)
}

/// What a server says to the first bytes of a client.
async fn heard(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

/// The greeting of a client that can no more than this version of TLS (0x0302 is TLS 1.1).
fn hello(version: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    // ECDHE with AES in CBC, RSA with AES in CBC; no compression.
    body.extend([0, 6, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}

/// The listener for other machines speaks TLS 1.2 and 1.3 and nothing else: older versions get an alert, and what is not
/// encrypted, a token in it, is not even answered.
#[tokio::test]
async fn nothing_is_said_without_tls() {
    let shop = Shop::open().await;
    let (address, _) = lan(&shop, "127.0.0.0/8").await;
    for version in [0x0300, 0x0301, 0x0302] {
        let alert = heard(address, &hello(version)).await;
        assert_eq!(alert.first(), Some(&0x15), "{version:x}: {alert:?}");
        assert_eq!(alert.get(5), Some(&2), "it ends the connection: {alert:?}");
    }
    let plain =
        b"GET /v1/status HTTP/1.1\r\nHost: till-server.shop\r\nAuthorization: Bearer one\r\n\r\n";
    let answer = heard(address, plain).await;
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/1.1"),
        "{answer:?}"
    );
}

/// Over TLS a neighbour without a token gets nothing, also not the operator's page, the metrics, or what they are made of.
#[tokio::test]
async fn a_neighbour_without_a_token_gets_nothing() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    let (address, roots) = lan(&shop, "127.0.0.0/8").await;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for (path, status) in [
        ("/v1/status", 401),
        ("/v1/receipts", 401),
        ("/v1/events", 401),
        ("/v1/captures", 401),
        ("/v1/alarms", 401),
        ("/metrics", 403),
        ("/operator", 404),
        ("/operator/events", 404),
        ("/operator/receipts?till=test-101", 404),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("till-server.shop").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let ask = get(path)
            .without("authorization")
            .header("host", "till-server.shop");
        let answer = whole(ask.over(stream).await).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(!answer.text().contains("T1-1"), "{path}");
    }
}

/// Addresses that are not on the list are hung up on before a byte is said, and neighbours who connect and say nothing
/// take places of that listener only: tills on this machine sell on.
#[tokio::test]
async fn neighbours_take_no_places_of_tills() {
    let shop = Shop::open().await;
    let (address, _) = lan(&shop, "192.0.2.0/24").await;
    assert_eq!(heard(address, &hello(0x0303)).await, b"");
    let (address, _) = lan(&shop, "127.0.0.0/8").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    shop.sell("T1-1").await;
    assert_eq!(silent.len(), 300);
}
