//! How pages look: screens, colours, paper, pictures of them, and what is wrong with them.

use std::path::Path;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::Browser;

/// The three sizes at which a page must be readable: name, width, height, whether it is a phone.
pub const SIZES: [(&str, u32, u32, bool); 3] = [
    ("till", 1024, 600, false),
    ("phone", 390, 844, true),
    ("wide", 1440, 900, false),
];

/// Everything whose content is wider than itself, in words.
const OVERFLOW: &str = r##"
const bad = [];
for (const e of [document.documentElement, ...document.querySelectorAll("body *")]) {
  const style = getComputedStyle(e);
  if (style.display === "inline" || style.display === "none" || e.clientWidth === 0 || e.closest("svg")) continue;
  if (e.scrollWidth > e.clientWidth + 1) bad.push(e.tagName + "." + e.className + "#" + e.id + " " + e.scrollWidth + ">" + e.clientWidth + ": " + e.textContent.slice(0, 80));
}
return bad;"##;

const AXE: &str = "const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(
  (found) => done(found.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.html + ' ' + n.failureSummary))),
  (error) => done(['axe failed: ' + error]));";

impl Browser {
    /// Makes the screen so wide and high.
    pub async fn resize(&self, (_, width, height, mobile): (&str, u32, u32, bool)) {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.driver
            .tools("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// Light or dark.
    pub async fn scheme(&self, scheme: &str) {
        self.media("", scheme).await;
    }

    /// Shows pages as they are printed, or again as on a screen.
    pub async fn as_printed(&self, is_printed: bool) {
        self.media(if is_printed { "print" } else { "" }, "light")
            .await;
    }

    async fn media(&self, kind: &str, scheme: &str) {
        // Without motion: colours that are still on their way are no colours of the page.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        let media = json!({ "media": kind, "features": features });
        self.driver.tools("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture of the whole page, for people to look at.
    pub async fn shoot(&self, name: &str) {
        let wanted = json!({ "captureBeyondViewport": true, "format": "png" });
        let shot = self.driver.tools("Page.captureScreenshot", wanted).await;
        self.keep(&format!("{name}.png"), &shot);
    }

    /// The same in the dark, on a phone, and as it is printed. On a phone nothing is wider than the screen.
    pub async fn shoot_all(&self, name: &str) {
        self.shoot(name).await;
        self.scheme("dark").await;
        self.shoot(&format!("{name}-dark")).await;
        self.as_printed(true).await;
        self.shoot(&format!("{name}-print")).await;
        self.as_printed(false).await;
        let [_, phone, _] = SIZES;
        self.resize(phone).await;
        self.shoot(&format!("{name}-phone")).await;
        let wide = self
            .run("return document.documentElement.scrollWidth")
            .await;
        self.driver
            .tools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
        let most = i64::from(phone.1);
        assert!(
            wide.as_i64().unwrap() <= most,
            "{name} is {wide} pixels wide on a phone"
        );
    }

    /// The page on paper (A4), left as a PDF beside the pictures.
    pub async fn print(&self, name: &str) {
        let a4 = json!({ "paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true });
        let printed = self.driver.tools("Page.printToPDF", a4).await;
        self.keep(&format!("{name}.pdf"), &printed);
    }

    /// Keeps what the browser gives as Base64.
    fn keep(&self, name: &str, given: &Value) {
        let data = given["data"].as_str();
        let data = data.unwrap_or_else(|| panic!("no {name}: {given}"));
        std::fs::create_dir_all(&self.pictures).unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        std::fs::write(self.pictures.join(name), bytes.unwrap()).unwrap();
    }

    /// Nothing on the page is wider than its place: what is, after the name of the page.
    pub async fn fits(&self, what: &str) -> Vec<String> {
        told(what, &self.run(OVERFLOW).await)
    }

    /// What axe-core finds wrong: contrast, labels, headings, languages. `axe` is its file, which `scripts/axe` fetches.
    pub async fn axe(&self, what: &str, axe: &Path) -> Vec<String> {
        let axe = std::fs::read_to_string(axe).expect("scripts/axe fetches axe-core");
        self.run(&axe).await;
        let found = self.client.execute_async(AXE, vec![]).await.unwrap();
        told(what, &found)
    }
}

fn told(what: &str, found: &Value) -> Vec<String> {
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().map(|one| format!("{what}: {one}")).collect()
}
