//! The driver of a browser, and what it is asked beyond what WebDriver itself knows.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder};
use serde_json::{Map, Value, json};

/// A chromedriver of its own; it ends with this.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    profile: tempfile::TempDir,
    session: String,
    http: reqwest::Client,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Driver {
    /// A driver at a port of the system's choice, and a browser that prefers English.
    pub(crate) async fn start() -> (Self, Client) {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is needed: apt-get install chromium-driver");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("successfully on port ")?;
                rest.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        let mut driver = Self {
            child,
            port,
            profile: tempfile::tempdir().unwrap(),
            session: String::new(),
            http: reqwest::Client::new(),
        };
        let client = ClientBuilder::rustls()
            .unwrap()
            .capabilities(driver.wanted())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        driver.session = client.session_id().await.unwrap().unwrap();
        (driver, client)
    }

    fn wanted(&self) -> Map<String, Value> {
        let args = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            "--window-size=1440,900",
            format!("--user-data-dir={}", self.profile.path().display())
        ]);
        let mut wanted = Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": args }));
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        wanted
    }

    /// A command of chromedriver's own.
    pub(crate) async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/session/{}/{path}",
            self.port, self.session
        );
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        answer["value"].take()
    }

    /// A command of the browser's developer tools.
    pub(crate) async fn tools(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.command("goog/cdp/execute", body).await
    }
}
