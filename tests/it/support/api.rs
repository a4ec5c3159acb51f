//! A shop whose API is asked over real sockets, without FDMS: ledger, tokens, listeners on port 0.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clock::TestClock;
use fiscal::DeviceId;
use fiscald::api::{Api, ApiSettings, Devices, schema};
use fiscald::daemon::api_settings;
use fiscald::keys::SealingKey;
use fiscald::ledger::core::Core;
use fiscald::ledger::{Ledger, Settings, TillId};
use fiscald::pos::PosPorts;
use fiscald::print::Printers;
use fiscald::submit::Submitter;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long anything may take in real time before a test gives up; only a defect takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A shop with two tills, 101 and 102.
pub(crate) struct Shop {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ledger: Ledger,
    pub(crate) address: SocketAddr,
    pub(crate) lines: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) lines_socket: PathBuf,
    pub(crate) tills: [TillId; 2],
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinSet<()>,
    dir: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    pub(crate) fn receipt(&self, status: u16) -> schema::Receipt {
        self.read(status)
    }

    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> schema::Problem {
        let problem: schema::Problem = self.read(status);
        assert_eq!(problem.code, code, "{}", self.text());
        assert_eq!(problem.status, status);
        assert_eq!(
            self.headers.get("content-type").map(String::as_str),
            Some("application/problem+json")
        );
        problem
    }
}

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    Ask {
        method: "GET",
        path: path.into(),
        ..Ask::default()
    }
    .token("one")
}

pub(crate) fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Ask {
    Ask {
        method: "POST",
        path: path.into(),
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.into(),
    }
    .token("one")
}

/// A sale of 2.40 USD.
pub(crate) fn sale(invoice_no: &str) -> String {
    sale_with(invoice_no, "")
}

/// The same with more members, which begin with a comma.
pub(crate) fn sale_with(invoice_no: &str, more: &str) -> String {
    format!(
        r#"{{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "{invoice_no}",
        "receiptLinesTaxInclusive": true,
        "receiptLines": [{{"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090",
                          "receiptLinePrice": 1.20, "receiptLineQuantity": 2, "taxID": 517}}],
        "receiptPayments": [{{"moneyTypeCode": "Cash", "paymentAmount": 2.40}}]{more}}}"#
    )
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
            .body(Full::new(Bytes::from(self.body.clone())))
            .unwrap()
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn over<S>(&self, stream: S) -> Response<Incoming>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        timeout(PATIENCE, sender.send_request(self.request()))
            .await
            .unwrap()
            .unwrap()
    }
}

/// Reads an answer to its end.
pub(crate) async fn whole(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    Answer {
        status: parts.status.as_u16(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.to_bytes().to_vec(),
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with(ApiSettings::default(), Settings::default()).await
    }

    /// Tokens: `one` and `two` for the tills, `all` for every till.
    pub(crate) async fn with(settings: ApiSettings, ledger: Settings) -> Self {
        Self::build(settings, ledger, Devices::default()).await
    }

    /// A shop with printers, from the `[[printers]]` and `[store]` of a configuration.
    pub(crate) async fn printing(config: &str) -> Self {
        Self::with_devices(config).await.0
    }

    /// The same, and its devices.
    pub(crate) async fn with_devices(config: &str) -> (Self, Devices) {
        let config = fiscald::config::Config::parse(Path::new("fiscald.toml"), config).unwrap();
        let devices = Devices {
            printers: Printers::new(config.print_plan().unwrap()),
            pos: PosPorts::new(config.pos().unwrap()),
        };
        let (settings, ledger) = (api_settings(&config).unwrap(), config.settings().unwrap());
        let shop = Self::build(settings, ledger, devices.clone()).await;
        (shop, devices)
    }

    async fn build(settings: ApiSettings, ledger: Settings, devices: Devices) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let clock = TestClock::new("2026-05-28T05:00:00Z".parse().unwrap());
        let sealing = SealingKey::random().unwrap();
        let mut core = Core::open(&path, sealing, clock.clone(), ledger).unwrap();
        let mut tills = Vec::new();
        for (device, token) in [(101, "one"), (102, "two")] {
            let device = DeviceId::new(device).unwrap();
            let till = fiscald::testing::add_till(&mut core, device).unwrap();
            core.write(|core| core.add_token(token, Some(till), token, "setup"))
                .unwrap();
            tills.push(till);
        }
        core.write(|core| core.add_token("all", None, "all", "setup"))
            .unwrap();
        let ledger = Ledger::start(core, &path).unwrap();
        let stop = CancellationToken::new();
        let api = Api::new(
            ledger.clone(),
            Submitter::default(),
            devices.clone(),
            settings,
            stop.clone(),
        );
        let page = fiscald::page::router(&api, &ledger).unwrap();
        let api = api.with_page(page);
        let socket = dir.path().join("api.sock");
        let lines_socket = dir.path().join("lines.sock");
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lines = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unix = UnixListener::bind(&socket).unwrap();
        let unix_lines = UnixListener::bind(&lines_socket).unwrap();
        let (address, lines_address) = (http.local_addr().unwrap(), lines.local_addr().unwrap());
        let mut serving = JoinSet::new();
        let Devices { printers, pos } = devices;
        serving.spawn(pos.run(ledger.clone(), printers.clone(), stop.clone()));
        serving.spawn(printers.run(ledger.clone(), stop.clone()));
        let part = api.clone();
        serving.spawn(async move { part.serve_tcp(http).await });
        let part = api.clone();
        serving.spawn(async move { part.serve_unix(unix).await });
        let part = api.clone();
        serving.spawn(async move { part.serve_lines_tcp(lines).await });
        serving.spawn(async move { api.serve_lines_unix(unix_lines).await });
        Self {
            clock,
            ledger,
            address,
            lines: lines_address,
            socket,
            lines_socket,
            tills: tills.try_into().unwrap(),
            stop,
            serving,
            dir,
        }
    }

    /// The ledger's file.
    pub(crate) fn ledger_path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// Who has done something, as the audit names him, each time.
    pub(crate) fn audited(&self, action: &str) -> Vec<String> {
        let conn = rusqlite::Connection::open(self.ledger_path()).unwrap();
        let mut rows = conn
            .prepare("SELECT actor FROM audit WHERE action = ?1 ORDER BY audit_id")
            .unwrap();
        let rows = rows.query_map([action], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    pub(crate) async fn stream(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        whole(ask.over(self.stream().await).await).await
    }

    pub(crate) async fn ask_unix(&self, ask: &Ask) -> Answer {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        whole(ask.over(stream).await).await
    }

    /// Sells, which must work.
    pub(crate) async fn sell(&self, invoice_no: &str) -> schema::Receipt {
        self.ask(&post("/v1/receipts", sale(invoice_no)))
            .await
            .receipt(201)
    }

    /// The number of the first till's last receipt.
    pub(crate) async fn last_number(&self) -> u32 {
        let till = self.tills[0];
        let last = self.ledger.ask(move |reader| reader.last_receipt(till));
        last.await.unwrap().0.get()
    }
}

/// A conversation in JSON lines.
pub(crate) struct Talk<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) async fn say(&mut self, line: &str) {
        self.stream.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line, or `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<serde_json::Value> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line));
        if read.await.unwrap().unwrap() == 0 {
            return None;
        }
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn ask(&mut self, line: &str) -> serde_json::Value {
        self.say(&format!("{line}\n")).await;
        self.hear().await.unwrap()
    }

    /// No more requests; what is answered can still be heard.
    pub(crate) async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}
