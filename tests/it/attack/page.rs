//! A web page that somebody opens on the till's PC: it may have the browser send nearly anything to any port of this
//! machine, and the browser says where it comes from.

use std::io::{Read as _, Write as _};

use fiscald::api::Api;
use serde_json::Value;

use crate::pos::Isl;
use crate::support::api::{Ask, Shop, get, post, sale};
use crate::support::counter::{Counter, paper};
use crate::support::operator::{Operator, PIN, set_pin};

/// What the page and the router have that the document does not tell of.
const BESIDE: [&str; 17] = [
    "/",
    "/metrics",
    "/openapi.json",
    "/docs/",
    "/healthz",
    "/readyz",
    "/nothing",
    "/operator",
    "/operator/receipts",
    "/operator/till/test-101",
    "/operator/till/test-101/receipt/1",
    "/operator/till/test-101/receipt/1/pdf",
    "/operator/do/close_day?till=test-101",
    "/operator/events",
    "/operator/operator.js",
    "/operator/operator.css",
    "/operator/nothing",
];

/// Every request that the gateway answers over HTTP.
fn everything() -> Vec<Ask> {
    let document: Value = serde_json::from_str(&Api::openapi_json()).unwrap();
    let mut all: Vec<Ask> = BESIDE.into_iter().map(get).collect();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut parts = path.split(['{', '}']);
        let mut filled = parts.next().unwrap().to_owned();
        while let (Some(_), Some(rest)) = (parts.next(), parts.next()) {
            filled.push('1');
            filled.push_str(rest);
        }
        for method in methods.as_object().unwrap().keys() {
            all.push(match method.as_str() {
                "get" => get(filled.clone()),
                "post" => post(filled.clone(), "{}"),
                "put" => Ask {
                    method: "PUT",
                    ..post(filled.clone(), "{}")
                },
                "delete" => Ask {
                    method: "DELETE",
                    ..get(filled.clone())
                },
                other => panic!("{other} {path}: add it here"),
            });
        }
    }
    assert!(all.len() > 60, "{}", all.len());
    all
}

/// No request is answered that a page elsewhere can have a browser send: with a name of its own that it has pointed at this
/// machine, from a form or a script, or embedded as a picture, a script, a frame. That holds for every path of every
/// door, with a good token too, and nothing lets a page read an answer.
#[tokio::test]
async fn no_path_answers_a_page_elsewhere() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    set_pin(&shop).await;
    for ask in everything() {
        let what = format!("{} {}", ask.method, ask.path);
        for host in [
            "evil.example",
            "evil.example:8487",
            "127.0.0.1.evil.example",
        ] {
            let answer = shop.ask(&ask.clone().header("host", host)).await;
            assert_eq!(answer.status, 403, "{what} as {host}");
            answer.problem(403, "host_refused");
        }
        for origin in ["https://evil.example", "http://localhost:3000", "null"] {
            let answer = shop.ask(&ask.clone().header("origin", origin)).await;
            assert_eq!(answer.status, 403, "{what} from {origin}");
            answer.problem(403, "origin_refused");
        }
        for site in ["cross-site", "same-site"] {
            for (mode, kind) in [
                ("no-cors", "image"),
                ("no-cors", "script"),
                ("cors", "empty"),
                ("navigate", "iframe"),
            ] {
                let embedded = ask
                    .clone()
                    .header("sec-fetch-site", site)
                    .header("sec-fetch-mode", mode)
                    .header("sec-fetch-dest", kind);
                let answer = shop.ask(&embedded).await;
                assert_eq!(answer.status, 403, "{what}, {site} {mode} {kind}");
                let headers = &answer.headers;
                assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
                assert_eq!(headers["x-content-type-options"], "nosniff");
                let shared = headers
                    .keys()
                    .any(|name| name.starts_with("access-control"));
                assert!(!shared, "{what}: {headers:?}");
            }
        }
    }
    assert_eq!(shop.last_number().await, 1);
    assert_eq!(shop.audited("day.close"), [""; 0]);
}

/// A link to the operator's page may be followed from anywhere, and what is typed into the browser is no attack.
#[tokio::test]
async fn links_to_the_page_work() {
    let shop = Shop::open().await;
    for site in ["cross-site", "same-site", "none", "same-origin"] {
        let followed = get("/operator")
            .without("authorization")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        assert_eq!(shop.ask(&followed).await.status, 200, "{site}");
    }
}

/// A form that a page elsewhere fills in and sends does nothing, not even while the lock is open and with the token of
/// the form, should it have leaked: the browser says where it comes from.
#[tokio::test]
async fn stolen_forms_do_nothing() {
    const CLOSE: &str = "/operator/do/close_day?till=test-101&back=%2Foperator";
    let shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    let mut form = operator.form(CLOSE).await;
    form.body.extend(format!("&pin={PIN}").into_bytes());
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = shop.ask(&form.clone().header(name, value)).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    assert_eq!(shop.audited("day.close"), [""; 0]);
    assert_eq!(operator.send(&form).await.status, 303, "it was a good form");
}

/// A request as a browser sends it, with this behind its head.
fn posted(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: 127.0.0.1:9100\r\nOrigin: https://evil.example\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends it, and waits until the port has hung up, or the answer has come.
fn sent(counter: &Counter, bytes: &[u8]) -> Vec<u8> {
    let mut stream = counter.connect();
    // Whoever is hung up on in the middle may not be able to send the rest.
    let _ = stream.write_all(bytes);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    heard
}

/// A page that has a browser "post" a whole paper to the port of old POS software sells nothing, prints nothing, and
/// leaves nothing behind; nor does one that tries with TLS. The software itself goes on printing there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_of_a_page_are_not_read() {
    let counter = Counter::printing().await;
    for bytes in [
        posted(&paper("A-1", "TAX INVOICE", "3.40")),
        posted(b""),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ] {
        assert_eq!(sent(&counter, &bytes), b"");
    }
    assert_eq!(counter.captures().await.len(), 0);
    assert_eq!(counter.shop.last_number().await, 0);
    counter.print(&paper("A-2", "TAX INVOICE", "3.40"));
    assert_eq!(counter.receipt(1).await.invoice_no, "A-2");
    assert_eq!(counter.sheets(1).len(), 1);
}

/// The same at a port that plays a fiscal printer: the frames of a whole receipt, and of the day's close, are not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_a_page_are_not_read() {
    let counter = Counter::open(
        "kind = \"isl\"\nlisten = \"tcp:{port}\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = { A = \"15.5%\", B = \"1\" }\n",
    )
    .await;
    let mut isl = Isl {
        stream: counter.connect(),
        seq: 0x20,
    };
    let commands = [
        (0x30, "1,0000,1"),
        (0x31, "Bread\tA1.20*2"),
        (0x35, "\tP5.00"),
        (0x38, ""),
        (0x45, "0"),
    ];
    let mut frames = Vec::new();
    for (command, data) in commands {
        isl.seq += 1;
        frames.push(isl.frame(command, data));
    }
    drop(isl);
    assert_eq!(sent(&counter, &posted(&frames.concat())), b"");
    assert_eq!(counter.shop.last_number().await, 0);
    // The very same frames without the head of a request are a sale and the close of its day.
    let mut isl = Isl {
        stream: counter.connect(),
        seq: 0x20,
    };
    for frame in &frames {
        isl.send(frame);
    }
    assert_eq!(counter.shop.last_number().await, 1);
    assert_eq!(counter.shop.audited("day.close").len(), 1);
}

/// JSON lines that a page hides in the body of a request are no requests: see also `http_on_the_lines_port`.
#[tokio::test]
async fn lines_of_a_page_are_not_read() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let shop = Shop::open().await;
    let line = format!(
        "{{\"method\": \"POST\", \"path\": \"/v1/receipts\", \"headers\": {{\"authorization\": \"Bearer one\"}}, \"body\": {}}}\n",
        sale("A-1").replace('\n', " ")
    );
    let mut stream = tokio::net::TcpStream::connect(shop.lines).await.unwrap();
    let _ = stream.write_all(&posted(line.as_bytes())).await;
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    let heard = String::from_utf8_lossy(&heard);
    assert_eq!(
        heard.matches("\"code\":\"line_malformed\"").count(),
        1,
        "{heard}"
    );
    assert_eq!(shop.last_number().await, 0);
}

/// A link with anything in its address, which somebody may send to the person at the till: what is shown of it is text, it
/// leads to no page elsewhere, and does nothing.
#[tokio::test]
async fn what_is_in_an_address_stays_text() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    set_pin(&shop).await;
    let mut asked = 0;
    for path in [
        "/operator",
        "/operator/receipts",
        "/operator/queue",
        "/operator/printers",
        "/operator/alarms",
        "/operator/store",
        "/operator/till/test-101/receipt/1",
        "/operator/do/close_day",
    ] {
        for name in [
            "till", "q", "back", "said", "lang", "printer", "before", "act",
        ] {
            let away = [
                "//evil.example/",
                "https://evil.example/",
                "/operator//evil.example",
                "/\\evil.example",
            ];
            for text in super::fields::LIVE.into_iter().chain(away) {
                let value: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let query = match name {
                    "till" => format!("till={value}"),
                    other => format!("till=test-101&{other}={value}"),
                };
                let answer = Operator::at(&shop).look(&format!("{path}?{query}")).await;
                assert!(answer.status < 500, "{path}?{query}: {}", answer.text());
                let is_markup = text.contains(['<', '"']);
                assert!(
                    !is_markup || !answer.text().contains(text),
                    "{path}?{query}"
                );
                let location = answer.headers.get("location").map_or("", String::as_str);
                assert!(
                    !location.contains("evil"),
                    "{path}?{query} leads to {location}"
                );
                let links = answer.text().split("href=\"").skip(1);
                let away = links.filter(|link| link.starts_with("http") || link.starts_with("//"));
                assert_eq!(away.count(), 0, "{path}?{query}");
                asked += 1;
            }
        }
    }
    assert!(asked > 2_000, "{asked}");
    assert_eq!(shop.audited("day.close"), [""; 0]);
}
