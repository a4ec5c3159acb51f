//! Forms that take files, say what is wrong, and pages that take long; in a real Chromium, with pictures.

use super::afternoon;
use super::visit;
use crate::credentials::{PASSPHRASE, file};
use crate::seed::{BUSY, believable};

/// A till of the seed that has no credential yet.
const TILL: u32 = 24_001;

/// A PKCS#12 file that is chosen is in the form as text; a wrong passphrase says so, the right one keeps the credential.
#[tokio::test]
async fn a_file_is_uploaded() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("till.p12");
    let (base64, _) = file(TILL);
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &base64);
    std::fs::write(&path, bytes.unwrap()).unwrap();
    let browser = visit::signed_in(&test, &shop.email).await;
    for passphrase in ["wrong", PASSPHRASE] {
        browser.goto("/credentials").await;
        browser
            .press(&format!("select[name=till] option[value='prod/{TILL}']"))
            .await;
        browser
            .fill(
                "form[action='/credentials'] input[name=label]",
                "from ZIMRA",
            )
            .await;
        let choose = browser.find("input[type=file][data-into=pkcs12]").await;
        choose.send_keys(path.to_str().unwrap()).await.unwrap();
        browser.value_is("textarea[name=pkcs12]", &base64).await;
        browser.fill("input[name=passphrase]", passphrase).await;
        browser.shoot_all("upload").await;
        browser
            .press("form[action='/credentials'] button.main")
            .await;
        if passphrase == "wrong" {
            browser.has_text(".note.bad", "check the passphrase").await;
            // What was typed is there still, but for what is secret.
            browser
                .value_is(
                    "form[action='/credentials'] input[name=label]",
                    "from ZIMRA",
                )
                .await;
            browser
                .value_is("select[name=till]", &format!("prod/{TILL}"))
                .await;
            browser.value_is("textarea[name=pkcs12]", "").await;
            browser.value_is("input[name=passphrase]", "").await;
            let kept = browser.run("return JSON.stringify(sessionStorage)").await;
            assert_eq!(kept, "{}");
            browser.shoot_all("upload-refused").await;
        }
    }
    browser
        .has_text(".note.ok", "Version 1 is checked and sealed")
        .await;
    browser.has_text("#main", "from ZIMRA").await;
    browser.no_errors().await;
    browser.close().await;
}

/// The receipt's page leads to its PDF.
#[tokio::test]
async fn a_receipt_has_its_pdf() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = {
        let browser = visit::signed_in(&test, &shop.email).await;
        browser.goto(&format!("/receipts?number={}", BUSY.1)).await;
        browser.follow(&BUSY.1.to_string()).await;
        browser
    };
    let path = browser
        .find("a[href*='paper.pdf']")
        .await
        .attr("href")
        .await
        .unwrap()
        .unwrap();
    let asked = test.http.get(test.url(&path));
    let answer = asked
        .header("cookie", browser.cookie().await)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/pdf");
    assert!(answer.bytes().await.unwrap().starts_with(b"%PDF-"));
    browser.close().await;
}

/// While an answer takes long, the page that one leaves says that the next is on its way; a quick one does not flicker.
#[tokio::test]
async fn a_slow_answer_shows() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = visit::signed_in(&test, &shop.email).await;
    let leave = "new MutationObserver(() => { if (document.body.classList.contains('slow')) sessionStorage.setItem('slow', 'shown'); })
        .observe(document.body, { attributes: true });
        setTimeout(() => { location.href = arguments[0] }, 0);";
    let shown = async || browser.run("return sessionStorage.getItem('slow')").await;
    browser
        .run(&leave.replace("arguments[0]", "'/queue'"))
        .await;
    browser.text_is("h1", "Dead letters").await;
    assert!(shown().await.is_null(), "a quick answer");
    browser.latency(2_000).await;
    browser
        .run(&leave.replace("arguments[0]", "'/receipts'"))
        .await;
    browser.text_is("h1", "Receipts").await;
    browser.latency(0).await;
    assert_eq!(shown().await, "shown");
    let is_slow = browser
        .run("return document.body.classList.contains('slow')")
        .await;
    assert_eq!(is_slow, false);
    browser.run("document.body.classList.add('slow')").await;
    browser.shoot_all("slow").await;
    browser.close().await;
}

/// Settings of a store: what cannot be is refused and stays typed, what can be is set and stands there as on the way.
#[tokio::test]
async fn settings_are_set() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = visit::signed_in(&test, &shop.email).await;
    browser.goto(&format!("/stores/{}", shop.stores[1])).await;
    browser.follow("Settings of the store").await;
    let own = format!("/stores/{}/settings", shop.stores[1]);
    for currencies in ["dollars", "usd, zwg"] {
        browser
            .press("select[name=day_closing] option[value=at]")
            .await;
        let set = "document.querySelector('[name=day_closing_at]').value = '22:30'";
        browser.run(set).await;
        browser.fill("input[name=currencies]", currencies).await;
        browser.press("main button.main").await;
        if currencies == "dollars" {
            browser.has_text(".note.bad", "DOLLARS").await;
            browser.value_is("input[name=currencies]", "dollars").await;
            browser.value_is("[name=day_closing_at]", "22:30").await;
            browser.shoot_all("settings-refused").await;
        }
    }
    browser.has_text(".note.ok", "The settings are set").await;
    browser.has_text("main table", "at 22:30").await;
    browser.has_text("main table", "USD, ZWG").await;
    browser.has_text("main table", "on the way").await;
    browser.value_is("[name=day_closing_at]", "22:30").await;
    browser.shoot_all("settings").await;
    browser.has_text(".note.warn", "has not heard").await;
    // What makes no sense is not asked about: it would be nothing that is set, everywhere.
    browser
        .run("document.querySelector('[name=day_closing_at]').type = 'text'")
        .await;
    browser
        .run("document.querySelector('[name=day_closing_at]').value = '7pm'")
        .await;
    browser.press("input[name=every_store]").await;
    browser.press("main button.main").await;
    browser.has_text(".note.bad", "7pm").await;
    browser.goto(&own).await;
    browser.press("input[name=every_store]").await;
    browser.press("main button.main").await;
    // It is asked first, with what is replaced; nothing is set yet.
    browser.text_is("h1", "Settings of every store").await;
    browser.has_text("main", "something else is set now").await;
    browser.shoot_all("settings-every-store").await;
    let other = format!("/stores/{}/settings", shop.stores[0]);
    browser.goto(&other).await;
    browser.value_is("[name=day_closing_at]", "").await;
    browser.goto(&own).await;
    browser.press("input[name=every_store]").await;
    browser.press("main button.main").await;
    browser.text_is("h1", "Settings of every store").await;
    browser.press("main button.main").await;
    browser.has_text(".note.ok", "stores").await;
    browser.goto(&other).await;
    browser.value_is("[name=day_closing_at]", "22:30").await;
    browser.has_text("main table", "USD, ZWG").await;
    browser.no_errors().await;
    browser.close().await;
}
