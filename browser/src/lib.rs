//! For tests: a Chromium of its own, driven over WebDriver, with the pages of one service in it. It looks at them as people
//! do: presses, types, waits for what shows, goes by keyboard, takes pictures.
//!
//! Needs Debian's `chromium` and `chromium-driver`. What is waited for and does not come within [`PATIENCE`] fails the test.

#![expect(
    clippy::unwrap_used,
    reason = "all of it is for tests, which stop where something does not hold and say what they see"
)]

use std::path::PathBuf;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use tokio::time::timeout;

mod driver;
mod keyboard;
mod look;

use driver::Driver;
pub use keyboard::ENTER;
pub use look::SIZES;

/// For something to show.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A browser; its driver ends with it.
pub struct Browser {
    client: Client,
    driver: Driver,
    base: String,
    pictures: PathBuf,
}

impl Browser {
    /// A browser for the pages below an address (`http://127.0.0.1:1234`), at none of them yet. Its pictures go to a folder.
    pub async fn open(base: impl Into<String>, pictures: impl Into<PathBuf>) -> Self {
        let (driver, client) = Driver::start().await;
        Self {
            client,
            driver,
            base: base.into(),
            pictures: pictures.into(),
        }
    }

    /// Goes to a path.
    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.unwrap();
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element {
        self.shown(css, Locator::Css(css)).await
    }

    async fn shown(&self, what: &str, locator: Locator<'_>) -> Element {
        let wait = self.client.wait().at_most(PATIENCE);
        match wait.for_element(locator).await {
            Ok(element) => element,
            Err(error) => panic!("{what} does not show: {error}\n{}", self.page().await),
        }
    }

    async fn page(&self) -> String {
        self.client.source().await.unwrap_or_default()
    }

    /// Presses a button or follows a link. The page may be put in the place of itself meanwhile: then the one that is
    /// there now is pressed.
    pub async fn press(&self, css: &str) {
        while let Err(error) = self.find(css).await.click().await {
            assert!(error.is_stale_element_reference(), "{css}: {error}");
        }
    }

    /// Types into a field that may have a value, which goes.
    pub async fn fill(&self, css: &str, text: &str) {
        while let Err(error) = self.try_fill(css, text).await {
            assert!(error.is_stale_element_reference(), "{css}: {error}");
        }
    }

    async fn try_fill(&self, css: &str, text: &str) -> Result<(), CmdError> {
        let field = self.find(css).await;
        field.clear().await?;
        field.send_keys(text).await
    }

    /// Follows the first link with exactly this text, in the page or in its rail.
    pub async fn follow(&self, text: &str) {
        let path = format!(
            "//main//a[normalize-space()='{text}'] | //*[@class='frame']/*[@class='rail']//a[normalize-space()='{text}']"
        );
        let link = self.shown(text, Locator::XPath(&path)).await;
        link.click().await.unwrap();
    }

    /// Unfolds an action.
    pub async fn unfold(&self, text: &str) {
        let path = format!("//details/summary[normalize-space()='{text}']");
        let action = self.shown(text, Locator::XPath(&path)).await;
        action.click().await.unwrap();
    }

    /// Waits until an element has a text in it.
    pub async fn has_text(&self, css: &str, text: &str) {
        self.until(css, |found| found.contains(text), text).await;
    }

    /// Waits until an element's text is this.
    pub async fn text_is(&self, css: &str, text: &str) {
        self.until(css, |found| found == text, text).await;
    }

    /// Waits until an element shows no more.
    pub async fn hidden(&self, css: &str) {
        self.until(css, str::is_empty, "nothing").await;
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

    /// Waits until there is no such element.
    pub async fn gone(&self, css: &str) {
        let waited = timeout(PATIENCE, async {
            while self.count(css).await > 0 {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{css} is still there");
    }

    /// The text of the first element.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// The value of a field.
    pub async fn value(&self, css: &str) -> String {
        let value = self.find(css).await.prop("value").await;
        value.unwrap().unwrap_or_default()
    }

    /// Waits until a field has this value.
    pub async fn value_is(&self, css: &str, wanted: &str) {
        let waited = timeout(PATIENCE, async {
            while self.value(css).await != wanted {
                tokio::task::yield_now().await;
            }
        });
        if waited.await.is_err() {
            panic!("{css} has `{}`, not `{wanted}`", self.value(css).await);
        }
    }

    /// How many there are.
    pub async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Where it is.
    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// The cookies as a header.
    pub async fn cookie(&self) -> String {
        let cookies = self.client.get_all_cookies().await.unwrap();
        let pairs = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Nothing was blocked by the page's policy, nothing was refused, and no script failed.
    pub async fn no_errors(&self) {
        self.none_severe(|_| true).await;
    }

    /// The same, but that the service may refuse what it is asked: where a test provokes that.
    pub async fn no_errors_but_refusals(&self) {
        self.none_severe(|text| !text.contains("the server responded with a status of"))
            .await;
    }

    async fn none_severe(&self, counts: impl Fn(&str) -> bool) {
        let log = self
            .driver
            .command("se/log", json!({ "type": "browser" }))
            .await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let is_bad = |line: &&Value| {
            line["level"] == "SEVERE" && counts(line["message"].as_str().unwrap_or_default())
        };
        let bad: Vec<&Value> = lines.iter().filter(is_bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    /// Takes the line away, or gives it back.
    pub async fn offline(&self, is_off: bool) {
        self.line(is_off, 0).await;
    }

    /// Makes each answer so many milliseconds late.
    pub async fn latency(&self, milliseconds: u32) {
        self.line(false, milliseconds).await;
    }

    async fn line(&self, is_off: bool, latency: u32) {
        let conditions = json!({ "offline": is_off, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.driver.tools("Network.enable", json!({})).await;
        self.driver
            .tools("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// Ends it.
    pub async fn close(self) {
        self.client.close().await.unwrap();
    }
}
