//! A Chromium of its own, driven over WebDriver, at the operator's page of one shop.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::PATIENCE;

/// The three sizes at which the page must be readable: name, width, height, whether it is a phone.
pub(crate) const SIZES: [(&str, u32, u32, bool); 3] = [
    ("till", 1024, 600, false),
    ("phone", 390, 844, true),
    ("wide", 1440, 900, false),
];

/// The key that goes on to the next field.
const TAB: &str = "\u{e004}";
/// The key that presses.
pub(crate) const ENTER: &str = "\u{e007}";

/// Everything whose content is wider than itself, in words.
const OVERFLOW: &str = r##"
const bad = [];
for (const e of [document.documentElement, ...document.querySelectorAll("body *")]) {
  const style = getComputedStyle(e);
  if (style.display === "inline" || style.display === "none" || e.clientWidth === 0 || e.closest("svg")) continue;
  if (e.scrollWidth > e.clientWidth + 1) bad.push(e.tagName + "." + e.className + "#" + e.id + " " + e.scrollWidth + ">" + e.clientWidth + ": " + e.textContent.slice(0, 80));
}
return bad;"##;

/// What can be reached with the keyboard, and where the keyboard is.
const REACHABLE: &str = r#"return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")]
  .filter((e) => e.offsetParent !== null && !e.disabled).length;"#;
const HERE: &str = r#"const e = document.activeElement;
return e && e !== document.body ? [...document.querySelectorAll("*")].indexOf(e) + "|" + e.id : "";"#;

/// A browser; chromedriver ends with it.
pub(crate) struct Browser {
    client: Client,
    driver: Driver,
    base: String,
    session: String,
    http: reqwest::Client,
}

struct Driver {
    child: Child,
    port: u16,
    profile: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Driver {
    fn start() -> Self {
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
        Self {
            child,
            port,
            profile: tempfile::tempdir().unwrap(),
        }
    }
}

impl Browser {
    /// A browser that prefers English, at no page yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let driver = Driver::start();
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
            format!("--user-data-dir={}", driver.profile.path().display())
        ]);
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": args }));
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::rustls()
            .unwrap()
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        Self {
            client,
            driver,
            base: format!("http://{address}"),
            session,
            http: reqwest::Client::new(),
        }
    }

    /// Goes to a path.
    pub(crate) async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.unwrap();
    }

    /// Waits for an element.
    pub(crate) async fn find(&self, css: &str) -> fantoccini::elements::Element {
        let wait = self.client.wait().at_most(PATIENCE);
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let page = self.client.source().await.unwrap_or_default();
                panic!("{css} does not show: {error}\n{page}")
            }
        }
    }

    /// Presses a button or follows a link. The page may be put in the place of itself meanwhile: then the one that is
    /// there now is pressed.
    pub(crate) async fn press(&self, css: &str) {
        while let Err(error) = self.find(css).await.click().await {
            assert!(error.is_stale_element_reference(), "{css}: {error}");
        }
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        while let Err(error) = self.find(css).await.send_keys(text).await {
            assert!(error.is_stale_element_reference(), "{css}: {error}");
        }
    }

    /// Waits until an element has a text in it.
    pub(crate) async fn has_text(&self, css: &str, text: &str) {
        let mut seen = String::new();
        let waited = timeout(PATIENCE, async {
            loop {
                let found = self.client.find(Locator::Css(css)).await;
                if let Ok(element) = found {
                    seen = element.text().await.unwrap_or_default();
                }
                if seen.contains(text) {
                    return;
                }
                // The browser is asked again as soon as it has answered.
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{css} has `{seen}`, not `{text}`");
    }

    /// Waits until there is no such element.
    pub(crate) async fn gone(&self, css: &str) {
        let waited = timeout(PATIENCE, async {
            while !self
                .client
                .find_all(Locator::Css(css))
                .await
                .unwrap()
                .is_empty()
            {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{css} is still there");
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Presses a key where the keyboard is.
    pub(crate) async fn key(&self, keys: &str) {
        let at = self.client.active_element().await.unwrap();
        at.send_keys(keys).await.unwrap();
    }

    /// Goes with the keyboard to an element of this id, from wherever it is.
    pub(crate) async fn tab_to(&self, id: &str) {
        for _ in 0..120 {
            self.key(TAB).await;
            let here = self.run(HERE).await;
            if here
                .as_str()
                .is_some_and(|here| here.ends_with(&format!("|{id}")))
            {
                return;
            }
        }
        panic!("the keyboard does not reach {id}");
    }

    /// Goes through the whole page with the keyboard: everything that can be pressed or filled in is reached.
    pub(crate) async fn walk(&self, what: &str) {
        let wanted = self.run(REACHABLE).await.as_u64().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..wanted + 3 {
            self.key(TAB).await;
            let here = self.run(HERE).await;
            seen.extend(
                here.as_str()
                    .filter(|here| !here.is_empty())
                    .map(str::to_owned),
            );
        }
        let seen = u64::try_from(seen.len()).unwrap();
        assert!(
            seen >= wanted,
            "{what}: {seen} of {wanted} are reached with the keyboard"
        );
    }

    /// Nothing was blocked by the page's policy, and no script failed. Refusals that a test provokes are no faults.
    pub(crate) async fn no_errors(&self) {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let is_bad = |line: &&Value| {
            let text = line["message"].as_str().unwrap_or_default();
            line["level"] == "SEVERE" && !text.contains("the server responded with a status of")
        };
        let bad: Vec<&Value> = lines.iter().filter(is_bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/session/{}/{path}",
            self.driver.port, self.session
        );
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        answer["value"].take()
    }

    async fn cdp(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.command("goog/cdp/execute", body).await
    }

    /// Makes the screen so wide and high.
    pub(crate) async fn resize(&self, (_, width, height, mobile): (&str, u32, u32, bool)) {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Light or dark.
    pub(crate) async fn scheme(&self, scheme: &str) {
        // Without motion: colours that are still on their way are no colours of the page.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        let media = json!({ "media": "", "features": features });
        self.cdp("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture of the whole page, for people to look at.
    pub(crate) async fn shoot(&self, name: &str) {
        let wanted = json!({ "captureBeyondViewport": true, "format": "png" });
        let shot = self.cdp("Page.captureScreenshot", wanted).await;
        let data = shot["data"].as_str();
        let data = data.unwrap_or_else(|| panic!("no picture of {name}: {shot}"));
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/operator");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        std::fs::write(folder.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    /// Nothing on the page is wider than its place.
    pub(crate) async fn fits(&self, what: &str) -> Vec<String> {
        let bad = self.run(OVERFLOW).await;
        let bad = bad.as_array().cloned().unwrap_or_default();
        bad.iter().map(|one| format!("{what}: {one}")).collect()
    }

    /// What axe-core finds wrong: contrast, labels, headings, languages.
    pub(crate) async fn axe(&self, what: &str) -> Vec<String> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
        let axe = std::fs::read_to_string(file).expect("scripts/axe fetches axe-core");
        self.run(&axe).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then(
              (found) => done(found.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.html + ' ' + n.failureSummary))),
              (error) => done(['axe failed: ' + error]));";
        let found = self.client.execute_async(script, vec![]).await.unwrap();
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(|one| format!("{what}: {one}")).collect()
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}
