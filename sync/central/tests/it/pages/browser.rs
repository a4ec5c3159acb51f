//! A Chromium of its own, driven over WebDriver, with the pages of one test in it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::Test;

/// For something to show.
const PATIENCE: Duration = Duration::from_secs(20);

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
    _profile: tempfile::TempDir,
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
            _profile: tempfile::tempdir().unwrap(),
        }
    }
}

/// Keeps what the browser gives as Base64.
fn keep(name: &str, data: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

impl Browser {
    /// A browser at no page yet.
    pub(crate) async fn open(test: &Test) -> Self {
        let driver = Driver::start();
        let profile = driver._profile.path().display();
        let args = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            format!("--user-data-dir={profile}")
        ]);
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": args }));
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let url = format!("http://127.0.0.1:{}", driver.port);
        let client = ClientBuilder::rustls()
            .unwrap()
            .capabilities(wanted)
            .connect(&url)
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        Self {
            client,
            driver,
            base: test.base.clone(),
            session,
            http: test.http.clone(),
        }
    }

    /// A browser in which somebody is signed in.
    pub(crate) async fn signed_in(test: &Test, email: &str) -> Self {
        let mut browser = Self::open(test).await;
        browser.goto("/sign-in").await;
        browser.sign_in(email, crate::seed::PASSWORD).await;
        browser.find("#main").await;
        browser
    }

    /// Fills the form of signing in and sends it.
    pub(crate) async fn sign_in(&mut self, email: &str, password: &str) {
        self.fill("input[name=email]", email).await;
        self.fill("input[name=password]", password).await;
        self.press("button.main").await;
    }

    /// Goes to a path.
    pub(crate) async fn goto(&mut self, path: &str) {
        self.client
            .goto(&format!("{}{path}", self.base))
            .await
            .unwrap();
    }

    /// Waits for an element.
    pub(crate) async fn find(&self, css: &str) -> fantoccini::elements::Element {
        let wait = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await;
        match wait {
            Ok(element) => element,
            Err(error) => panic!("{css} does not show: {error}\n{}", self.page().await),
        }
    }

    async fn page(&self) -> String {
        self.client.source().await.unwrap_or_default()
    }

    /// Types into a field that may have a value.
    pub(crate) async fn fill(&mut self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a button.
    pub(crate) async fn press(&mut self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Follows the first link with exactly this text.
    pub(crate) async fn follow(&mut self, text: &str) {
        let path = format!(
            "//main//a[normalize-space()='{text}'] | //*[@class='frame']/*[@class='rail']//a[normalize-space()='{text}']"
        );
        let link = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::XPath(&path))
            .await;
        match link {
            Ok(link) => link.click().await.unwrap(),
            Err(error) => panic!("no link {text}: {error}\n{}", self.page().await),
        }
    }

    /// Unfolds an action.
    pub(crate) async fn unfold(&mut self, text: &str) {
        let path = format!("//details/summary[normalize-space()='{text}']");
        self.client
            .find(Locator::XPath(&path))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// Waits until an element has a text in it.
    pub(crate) async fn has_text(&self, css: &str, text: &str) {
        self.until(css, |found| found.contains(text), text).await;
    }

    /// Waits until an element's text is this.
    pub(crate) async fn text_is(&self, css: &str, text: &str) {
        self.until(css, |found| found == text, text).await;
    }

    async fn until(&self, css: &str, is_there: impl Fn(&str) -> bool, wanted: &str) {
        let mut seen = String::new();
        let waited = timeout(PATIENCE, async {
            loop {
                seen = self.try_text(css).await.unwrap_or_default();
                if is_there(&seen) {
                    return;
                }
                // The browser is asked again as soon as it has answered.
                tokio::task::yield_now().await;
            }
        });
        if waited.await.is_err() {
            panic!("{css} has `{seen}`, not `{wanted}`\n{}", self.page().await);
        }
    }

    async fn try_text(&self, css: &str) -> Result<String, CmdError> {
        self.client.find(Locator::Css(css)).await?.text().await
    }

    /// Waits until an element shows no more.
    pub(crate) async fn hidden(&self, css: &str) {
        self.until(css, str::is_empty, "nothing").await;
    }

    /// The text of the first element.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// The value of a field.
    pub(crate) async fn value(&self, css: &str) -> String {
        self.find(css)
            .await
            .prop("value")
            .await
            .unwrap()
            .unwrap_or_default()
    }

    /// Waits until a field has this value.
    pub(crate) async fn value_is(&self, css: &str, wanted: &str) {
        let waited = timeout(PATIENCE, async {
            while self.value(css).await != wanted {
                tokio::task::yield_now().await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "{css} has `{}`",
            self.value(css).await
        );
    }

    /// How many there are.
    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Where it is.
    pub(crate) async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// The cookies as a header.
    pub(crate) async fn cookie(&self) -> String {
        let cookies = self.client.get_all_cookies().await.unwrap();
        let pairs: Vec<String> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        pairs.join("; ")
    }

    /// Nothing was blocked by the guards, and no script failed.
    pub(crate) async fn no_errors(&self) {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let bad: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "SEVERE")
            .collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    /// Takes the line away, or gives it back.
    pub(crate) async fn offline(&self, is_off: bool) {
        self.line(is_off, 0).await;
    }

    /// Makes each answer so many milliseconds late.
    pub(crate) async fn latency(&self, milliseconds: u32) {
        self.line(false, milliseconds).await;
    }

    async fn line(&self, is_off: bool, latency: u32) {
        let conditions = json!({ "offline": is_off, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.cdp("Network.enable", json!({})).await;
        self.cdp("Network.emulateNetworkConditions", conditions)
            .await;
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/session/{}/{path}",
            self.driver.port, self.session
        );
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        answer["value"].take()
    }

    async fn cdp(&self, command: &str, params: Value) -> Value {
        self.command(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": params }),
        )
        .await
    }

    /// A picture of the whole page, light and wide.
    pub(crate) async fn shoot(&self, name: &str) {
        let shot = self
            .cdp(
                "Page.captureScreenshot",
                json!({ "captureBeyondViewport": true, "format": "png" }),
            )
            .await;
        let data = shot["data"]
            .as_str()
            .unwrap_or_else(|| panic!("no picture of {name}: {shot}"));
        keep(&format!("{name}.png"), data);
    }

    /// The same in the dark, on a phone, and as it is printed. On a phone nothing is wider than the screen.
    pub(crate) async fn shoot_all(&self, name: &str) {
        self.shoot(name).await;
        let media = |kind: &str, scheme: &str| json!({ "media": kind, "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", media("", "dark"))
            .await;
        self.shoot(&format!("{name}-dark")).await;
        self.cdp("Emulation.setEmulatedMedia", media("print", "light"))
            .await;
        self.shoot(&format!("{name}-print")).await;
        self.cdp("Emulation.setEmulatedMedia", media("", "light"))
            .await;
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        self.cdp("Emulation.setDeviceMetricsOverride", phone).await;
        self.shoot(&format!("{name}-phone")).await;
        let wide = self
            .run("return document.documentElement.scrollWidth")
            .await;
        self.cdp("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
        assert!(
            wide.as_i64().unwrap() <= 390,
            "{name} is {wide} pixels wide on a phone"
        );
    }

    /// Shows pages as they are printed, or again as on a screen.
    pub(crate) async fn as_printed(&self, is_printed: bool) {
        let media = if is_printed { "print" } else { "" };
        let media = json!({ "media": media, "features": [] });
        self.cdp("Emulation.setEmulatedMedia", media).await;
    }

    /// The page on paper (A4), left as a PDF beside the pictures.
    pub(crate) async fn print(&self, name: &str) {
        let a4 = json!({ "paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true });
        let printed = self.cdp("Page.printToPDF", a4).await;
        let data = printed["data"]
            .as_str()
            .unwrap_or_else(|| panic!("no paper of {name}: {printed}"));
        keep(&format!("{name}.pdf"), data);
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}
