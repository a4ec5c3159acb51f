//! Request smuggling: bytes that one reader takes for one request and another for two. Nothing stands before the gateway,
//! and a proxy may stand before head office; so what can be read in two ways is not read at all, and what is sold is
//! exactly what was answered, each to the token that it came with.

use std::fmt::Write as _;

use fiscal_hq::testing::{Admin, Test};
use serde_json::json;
use tokio::net::{TcpStream, UnixStream};

use super::wire::{Said, chunked, exchange};
use crate::support::api::{Shop, sale};

/// A request that makes something, of whoever is asked.
struct Words {
    path: &'static str,
    /// The tokens of the one who asks, and of the other, whose request is hidden.
    tokens: [String; 2],
    body: fn(&str) -> String,
}

/// What has to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// One answer that says no, or none at all, and the connection ends; nothing is made.
    Refused,
    /// The outer request is answered and the connection ends: what stands behind it is not read.
    Alone,
    /// The outer request is answered, not with a yes; what is hidden in it is no request.
    Nothing,
    /// It is read in the one way that the standard knows: as many yeses as there are requests in it.
    Read(usize),
}

/// An attack: its name, its bytes, what has to come of it.
type Attack = (String, Vec<u8>, Then);

impl Words {
    fn head(&self, who: usize) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            self.path, self.tokens[who]
        )
    }

    /// A whole good request.
    fn whole(&self, who: usize, name: &str) -> String {
        let body = (self.body)(name);
        format!(
            "{}Content-Length: {}\r\n\r\n{body}",
            self.head(who),
            body.len()
        )
    }

    /// An outer request with these lines in its head, this body, and a whole request of the other's behind it.
    fn attack(&self, lines: &str, body: &str, name: &str) -> Vec<u8> {
        let hidden = self.whole(1, &format!("{name}-hidden"));
        format!("{}{lines}\r\n\r\n{body}{hidden}", self.head(0)).into_bytes()
    }

    /// Heads whose length is said in two ways, or in none that the standard knows.
    fn lengths(&self, number: &mut Counter) -> Vec<Attack> {
        let mut all = Vec::new();
        let mut add = |lines: &dyn Fn(usize) -> String, is_chunked: bool, then: Then| {
            let name = number.next();
            let plain = (self.body)(&name);
            let body = match is_chunked {
                true => chunked(&plain),
                false => plain.clone(),
            };
            let lines = lines(plain.len());
            let bytes = self.attack(&lines, &body, &name);
            all.push((format!("{lines:?}"), bytes, then));
        };
        let refused: [&dyn Fn(usize) -> String; 12] = [
            &|n| format!("Content-Length: {n}\r\nContent-Length: {}", n + 300),
            &|n| format!("Content-Length: {}\r\nContent-Length: {n}", n - 1),
            &|n| format!("Content-Length: {n}, {n}"),
            &|n| format!("Content-Length: +{n}"),
            &|n| format!("Content-Length: -{n}"),
            &|n| format!("Content-Length: 0x{n:x}"),
            &|n| format!("Content-Length: {n} {n}"),
            &|n| format!("Content-Length: {n}.0"),
            &|_| "Content-Length:".to_owned(),
            &|n| format!("Content-Length: 1844674407370955161{n}"),
            &|n| format!("Content-Length: {n}\0"),
            &|n| format!("Content-Length : {n}"),
        ];
        for lines in refused {
            add(lines, false, Then::Refused);
        }
        for coding in [
            "xchunked",
            "chunked, identity",
            "chunked, gzip",
            "chunked,",
            "chunked;a=b",
            "\"chunked\"",
            "chunked\u{b}",
            "chunked chunked",
            "identity",
        ] {
            add(
                &|_| format!("Transfer-Encoding: {coding}"),
                true,
                Then::Refused,
            );
            let both = |n: usize| format!("Content-Length: {n}\r\nTransfer-Encoding: {coding}");
            add(&both, true, Then::Refused);
        }
        for line in [
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            "Transfer-Encoding:\r\n chunked",
            "X: y\r\n Transfer-Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked",
            "Transfer-Encoding chunked",
            "Transfer\0-Encoding: chunked",
            ": chunked\r\nTransfer-Encoding: chunked",
        ] {
            add(&|_| line.to_owned(), true, Then::Refused);
        }
        // Both lengths: the chunks count, and then the connection ends, so that nobody can be behind it.
        let alone: [&dyn Fn(usize) -> String; 3] = [
            &|n| format!("Content-Length: {n}\r\nTransfer-Encoding: chunked"),
            &|n| format!("Transfer-Encoding: chunked\r\nContent-Length: {}", n + 900),
            &|_| "Content-Length: 0\r\nTransfer-Encoding: chunked".to_owned(),
        ];
        for lines in alone {
            add(lines, true, Then::Alone);
        }
        for line in [
            "Transfer-Encoding: chunked",
            "Transfer-Encoding:\tchunked",
            "transfer-encoding: CHUNKED",
        ] {
            add(&|_| line.to_owned(), true, Then::Read(2));
        }
        let twice = |n: usize| format!("Content-Length: {n}\r\nContent-Length: {n}");
        add(&twice, false, Then::Read(2));
        all
    }

    /// Chunks whose sizes are none, or lie.
    fn chunks(&self, number: &mut Counter) -> Vec<Attack> {
        let mut all = Vec::new();
        let bodies: [&dyn Fn(&str) -> String; 11] = [
            &|body| format!("g\r\n{body}\r\n0\r\n\r\n"),
            &|body| format!("-{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("+{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("0x{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("\r\n{body}\r\n0\r\n\r\n"),
            &|body| format!("{:x}\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("{:x};a\nb\r\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("{:x} {:x}\r\n{body}\r\n0\r\n\r\n", body.len(), body.len()),
            &|body| format!("fffffffffffffffff{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            &|body| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len() - 2),
            &|body| format!("{:x}\0\r\n{body}\r\n0\r\n\r\n", body.len()),
        ];
        for body in bodies {
            let name = number.next();
            let body = body(&(self.body)(&name));
            let what = format!("chunks {:?}", body.get(..12).unwrap_or(&body));
            let bytes = self.attack("Transfer-Encoding: chunked", &body, &name);
            all.push((what, bytes, Then::Refused));
        }
        // A trailer is no head: the token in it counts for nothing.
        let name = number.next();
        let body = (self.body)(&name);
        let other = &self.tokens[1];
        let body = format!(
            "{:x};a=\"b\"\r\n{body}\r\n0\r\nAuthorization: Bearer {other}\r\n\r\n",
            body.len()
        );
        let bytes = self.attack("Transfer-Encoding: chunked", &body, &name);
        all.push(("trailers".to_owned(), bytes, Then::Read(2)));
        all
    }

    /// First lines that are none of ours.
    fn targets(&self, number: &mut Counter) -> Vec<Attack> {
        let mut all = Vec::new();
        for (first, then) in [
            (
                "POST {path} HTTP/1.0\r\nTransfer-Encoding: chunked",
                Then::Refused,
            ),
            ("POST {path} HTTP/0.9", Then::Refused),
            ("POST {path} HTTP/2.0", Then::Refused),
            ("POST {path} HTTP/1.2", Then::Refused),
            ("POST {path}", Then::Refused),
            ("POST {path}\0 HTTP/1.1", Then::Refused),
            ("POST {path} HTTP/1.1 HTTP/1.1", Then::Refused),
            ("POST {path}\tHTTP/1.1", Then::Refused),
            ("PO\0ST {path} HTTP/1.1", Then::Refused),
            (
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPOST {path} HTTP/1.1",
                Then::Refused,
            ),
            ("POST {path} HTTP/1.0", Then::Alone),
            (
                "POST {path} HTTP/1.0\r\nConnection: keep-alive",
                Then::Read(2),
            ),
            (
                "POST {path} HTTP/1.1\r\nConnection: authorization, content-length",
                Then::Read(2),
            ),
            (
                "POST {path} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
                Then::Read(2),
            ),
            ("\r\n\r\nPOST {path} HTTP/1.1", Then::Read(2)),
            ("POST http://localhost{path} HTTP/1.1", Then::Read(2)),
        ] {
            let name = number.next();
            let first = first.replace("{path}", self.path);
            let whole = self.whole(0, &name);
            let (_, rest) = whole.split_once("\r\n").unwrap();
            let hidden = self.whole(1, &format!("{name}-hidden"));
            let bytes = format!("{first}\r\n{rest}{hidden}").into_bytes();
            all.push((format!("{first:?}"), bytes, then));
        }
        all
    }

    /// Requests that are refused or take no body, and have a whole request of the other's as their body.
    fn bodies(&self, number: &mut Counter) -> Vec<Attack> {
        let mut all = Vec::new();
        for (first, is_chunked) in [
            ("GET {path}", false),
            ("GET {path}", true),
            ("DELETE {path}", false),
            ("GET /nothing", false),
            ("GET /nothing", true),
            ("OPTIONS *", false),
            ("CONNECT localhost:80", false),
            ("GET localhost:80", false),
            ("OPTIONS {path}", true),
            ("POST /nothing", false),
            ("POST {path}", false),
            ("POST {path}", true),
        ] {
            let hidden = self.whole(1, &number.next());
            let (length, body) = match is_chunked {
                true => ("Transfer-Encoding: chunked".to_owned(), chunked(&hidden)),
                false => (format!("Content-Length: {}", hidden.len()), hidden),
            };
            let first = first.replace("{path}", self.path);
            let token = &self.tokens[0];
            let bytes = format!(
                "{first} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: text/plain\r\n{length}\r\n\r\n{body}"
            );
            all.push((
                format!("{first}, {length}"),
                bytes.into_bytes(),
                Then::Nothing,
            ));
        }
        all
    }

    /// Several requests at once, one of which is bad: those before it count, and those behind it where it has an end.
    fn pipelines(&self, number: &mut Counter) -> Vec<Attack> {
        let (mut bad, mut torn) = (String::new(), String::new());
        for _ in 0..3 {
            bad.push_str(&self.whole(0, &number.next()));
            bad.push_str(&self.head(1));
            bad.push_str("Content-Length: 5\r\n\r\n{\"a\":");
            let _ = write!(torn, "{}", self.whole(1, &number.next()));
        }
        let torn = format!(
            "{torn}POST {} HTTP/1.1\r\nX : y\r\n\r\n{}",
            self.path,
            self.whole(0, &number.next())
        );
        vec![
            ("bad bodies".to_owned(), bad.into_bytes(), Then::Read(3)),
            ("a bad head".to_owned(), torn.into_bytes(), Then::Read(3)),
        ]
    }

    fn all(&self, number: &mut Counter) -> Vec<Attack> {
        let all = [
            self.lengths(number),
            self.chunks(number),
            self.targets(number),
            self.bodies(number),
            self.pipelines(number),
        ]
        .concat();
        assert!(all.len() > 80, "{}", all.len());
        all
    }
}

/// Names that differ.
#[derive(Default)]
struct Counter(usize);

impl Counter {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("S-{}", self.0)
    }
}

/// What is wrong with the answers to an attack that has made so many things.
fn wrong(then: Then, answers: &[Said], goes_on: bool, made: usize) -> Option<String> {
    let yes = answers.iter().filter(|said| said.status == 201).count();
    let is_refused = |said: &Said| (400..=505).contains(&said.status) && said.status != 500;
    let fits = match then {
        Then::Refused => answers.len() <= 1 && answers.iter().all(is_refused) && !goes_on,
        Then::Alone => answers.len() == 1 && yes == 1 && !goes_on,
        Then::Nothing => answers.len() == 1 && yes == 0,
        Then::Read(count) => yes == count,
    };
    let is_honest = made == yes && answers.iter().all(|said| said.status != 500);
    (!fits || !is_honest).then(|| {
        let statuses: Vec<u16> = answers.iter().map(|said| said.status).collect();
        let body = answers.first().map_or("", |said| said.body.as_str());
        format!("{then:?}, but {made} made, answers {statuses:?}, goes on: {goes_on}: {body:.200}")
    })
}

/// The numbers of both tills' last receipts.
async fn sold(shop: &Shop) -> [u32; 2] {
    let mut last = [0; 2];
    for (till, last) in shop.tills.into_iter().zip(&mut last) {
        let number = shop.ledger.ask(move |reader| reader.last_receipt(till));
        *last = number.await.unwrap().0.get();
    }
    last
}

/// Over the gateway's TCP port and over its Unix socket: as many receipts as answers that say so, each of the till whose
/// token its request had, and the shop sells on.
#[tokio::test]
async fn nothing_is_smuggled_into_the_gateway() {
    let shop = Shop::open().await;
    let words = Words {
        path: "/v1/receipts",
        tokens: ["one".to_owned(), "two".to_owned()],
        body: sale,
    };
    let mut number = Counter::default();
    let mut all_wrong = Vec::new();
    for over_socket in [false, true] {
        for (what, bytes, then) in words.all(&mut number) {
            let before = sold(&shop).await;
            let (answers, goes_on) = match over_socket {
                false => exchange(shop.stream().await, &bytes).await,
                true => {
                    let stream = UnixStream::connect(&shop.socket).await.unwrap();
                    exchange(stream, &bytes).await
                }
            };
            let after = sold(&shop).await;
            let said = |device: &str| {
                let named = format!("\"deviceID\":{device}");
                let is_his = |said: &&Said| said.status == 201 && said.body.contains(&named);
                u32::try_from(answers.iter().filter(is_his).count()).unwrap()
            };
            let made = [after[0] - before[0], after[1] - before[1]];
            if made != [said("101"), said("102")] {
                all_wrong.push(format!("{what}: {made:?} sold, not as answered"));
            }
            let made = usize::try_from(made[0] + made[1]).unwrap();
            all_wrong
                .extend(wrong(then, &answers, goes_on, made).map(|why| format!("{what}: {why}")));
        }
    }
    assert!(all_wrong.is_empty(), "{all_wrong:#?}");
    shop.sell("T1-last").await;
}

/// A request names one host. Of two, whoever stands in between may have gone by the other one: it is refused, as is an
/// address in the first line that is not this machine's, whatever stands in `Host`, and a name with anything behind it but a
/// port.
#[tokio::test]
async fn a_request_names_one_host() {
    let shop = Shop::open().await;
    let mut number = Counter::default();
    for (target, hosts, status) in [
        ("/v1/receipts", "Host: localhost", 201),
        ("/v1/receipts", "Host: localhost:8487", 201),
        ("http://localhost/v1/receipts", "Host: localhost", 201),
        ("/v1/receipts", "Host: localhost\r\nHost: evil.example", 403),
        ("/v1/receipts", "Host: evil.example\r\nHost: localhost", 403),
        ("/v1/receipts", "Host: localhost\r\nHost: localhost", 403),
        (
            "http://localhost/v1/receipts",
            "Host: localhost\r\nHost: localhost",
            403,
        ),
        ("http://evil.example/v1/receipts", "Host: localhost", 403),
        (
            "http://localhost:1@evil.example/v1/receipts",
            "Host: localhost",
            403,
        ),
        ("/v1/receipts", "Host: localhost:1@evil.example", 403),
        ("/v1/receipts", "Host: localhost:evil.example", 403),
        ("/v1/receipts", "Host: [::1]evil.example", 403),
        ("/v1/receipts", "Host: localhost.", 403),
        ("/v1/receipts", "Host: localhost, evil.example", 403),
        ("/v1/receipts", "Host:", 403),
        ("/v1/receipts", "X-Forwarded-Host: localhost", 403),
    ] {
        let before = shop.last_number().await;
        let body = sale(&number.next());
        let bytes = format!(
            "POST {target} HTTP/1.1\r\n{hosts}\r\nAuthorization: Bearer one\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (said, _) = exchange(shop.stream().await, bytes.as_bytes()).await;
        let statuses: Vec<u16> = said.iter().map(|said| said.status).collect();
        assert_eq!(statuses, [status], "{target} {hosts:?}");
        let sold = shop.last_number().await - before;
        assert_eq!(sold, u32::from(status == 201), "{target} {hosts:?}");
    }
}

/// The same at head office, where a proxy may stand before the service: as many stores as answers that say so, each of
/// the company whose token its request had.
#[tokio::test]
async fn nothing_is_smuggled_into_head_office() {
    let test = Test::start().await;
    let (ours, theirs) = (
        Admin::of_new(&test, "Baobab Stores").await,
        Admin::of_new(&test, "Msasa Traders").await,
    );
    let words = Words {
        path: "/fiscal_devices/stores",
        tokens: [ours.token().to_owned(), theirs.token().to_owned()],
        body: |name| json!({ "name": name }).to_string(),
    };
    let address = test.base.trim_start_matches("http://").to_owned();
    let count = "SELECT count(*) FROM stores WHERE tenant_id = $1";
    let mut all_wrong = Vec::new();
    for (what, bytes, then) in words.all(&mut Counter::default()) {
        // Else this would be a flood.
        test.clock.advance(std::time::Duration::from_secs(60));
        let before = [ours.count(count).await, theirs.count(count).await];
        let stream = TcpStream::connect(&address).await.unwrap();
        let (answers, goes_on) = exchange(stream, &bytes).await;
        let after = [ours.count(count).await, theirs.count(count).await];
        let made = after[0] - before[0] + after[1] - before[1];
        let made = usize::try_from(made).unwrap();
        all_wrong.extend(wrong(then, &answers, goes_on, made).map(|why| format!("{what}: {why}")));
        if matches!(then, Then::Refused | Then::Nothing | Then::Alone) && after[1] != before[1] {
            all_wrong.push(format!("{what}: the other's store was made"));
        }
    }
    assert!(all_wrong.is_empty(), "{all_wrong:#?}");
    ours.post("/fiscal_devices/stores", json!({ "name": "last" }))
        .await;
}
