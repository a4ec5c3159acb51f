//! The pages, in a real Chromium. Pictures of them are left in target/screenshots.

mod cut_over;
mod forms;
mod markup;
mod visit;

use crate::seed::{BUSY, STUCK, believable};
use crate::support::Test;

/// In the afternoon of the day at which tests begin.
async fn afternoon() -> Test {
    let test = Test::start().await;
    test.clock
        .advance(std::time::Duration::from_secs(7 * 3600 + 1800));
    test
}

/// Signing in: a wrong password says so and keeps the email; the right one leads to where one wanted to go. Then
/// from the overview through store, till and day to a receipt with its paper.
#[tokio::test]
async fn from_the_door_to_a_receipt() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = visit::open(&test).await;
    browser.goto("/receipts").await;
    browser.text_is("h1", "Sign in").await;
    browser.shoot("sign-in").await;
    visit::sign_in(&browser, &shop.email, "not the password at all").await;
    browser.has_text(".note.bad", "password").await;
    assert_eq!(browser.value("input[name=email]").await, shop.email);
    browser
        .fill("input[name=password]", crate::seed::PASSWORD)
        .await;
    browser.press("button.main").await;
    browser.text_is("h1", "Receipts").await;

    browser.follow("Overview").await;
    browser.has_text("#overview", "Borrowdale").await;
    browser.has_text("#overview", "silent").await;
    browser.shoot_all("overview").await;
    browser.follow("Borrowdale").await;
    browser.has_text("#store", "dead letter").await;
    browser.shoot_all("store").await;
    browser.follow(&STUCK.0.to_string()).await;
    browser.has_text("#till", "Nothing is sent").await;
    browser.shoot_all("till").await;

    browser.goto(&format!("/tills/prod/{}", BUSY.0)).await;
    browser.follow("61").await;
    browser.text_is("h1", "Fiscal day 61").await;
    browser.has_text("#day", "Standard rated 15.5%").await;
    browser.shoot_all("day").await;
    browser.print("day").await;

    browser.goto(&format!("/receipts?number={}", BUSY.1)).await;
    browser.shoot("receipts-found").await;
    browser.follow(&BUSY.1.to_string()).await;
    browser.has_text(".paper", "FISCAL TAX INVOICE").await;
    browser.has_text(".paper", "Cooking oil 2 l").await;
    browser.has_text("#attempts", "accepted").await;
    assert_eq!(browser.count(".paper svg.qr").await, 1);
    browser.shoot_all("receipt").await;
    browser.goto("/receipts").await;
    assert_eq!(browser.count("tbody tr").await, 50);
    browser.shoot("receipts").await;
    let first = browser.text("tbody tr td").await;
    let csv = browser
        .run("return document.querySelector('a[href*=\".csv\"]').getAttribute('href')")
        .await;
    let csv = test
        .http
        .get(test.url(csv.as_str().unwrap()))
        .header("cookie", browser.cookie().await)
        .send()
        .await
        .unwrap();
    assert_eq!(csv.status(), 200);
    assert!(csv.text().await.unwrap().lines().count() > 95);
    browser.follow("Older").await;
    assert_ne!(browser.text("tbody tr td").await, first);
    browser.close().await;
}

/// The dead letter of a till is retried: the store has a command, the audit a row, the page says so.
#[tokio::test]
async fn a_dead_letter_is_retried() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = visit::signed_in(&test, &shop.email).await;
    browser.goto("/queue").await;
    browser.has_text("#queue", "RCPT020").await;
    browser.shoot_all("queue").await;
    browser.press("#queue .list button").await;
    browser.has_text(".note.ok", "the store is asked").await;
    let sql = test.database.connect("postgres").await;
    let asked = sql
        .query_one(
            "SELECT count(*) FROM commands WHERE kind = 'retry' AND command_no = 4",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(asked.get::<_, i64>(0), 1);
    browser.goto("/audit?action=command").await;
    browser.has_text("tbody", "command.retry").await;
    browser.has_text("tbody", &shop.email).await;
    browser.shoot_all("audit").await;
    browser.close().await;
}

/// A rollback is done only by whoever types the company's name; a form without the session's token does nothing.
#[tokio::test]
async fn decisions_are_guarded() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let sql = test.database.connect("postgres").await;
    sql.execute(
        "UPDATE tenant_fiscal_profiles SET environment = 'prod', enabled_prod = true WHERE tenant_id = $1",
        &[&shop.tenant.0],
    )
    .await
    .unwrap();
    let environment = async || {
        let ask =
            "SELECT environment, enabled_prod FROM tenant_fiscal_profiles WHERE tenant_id = $1";
        let row = sql.query_one(ask, &[&shop.tenant.0]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, bool>(1))
    };
    let browser = visit::signed_in(&test, &shop.email).await;
    browser.goto("/go-live").await;
    browser.has_text("#checklist", "steps proved").await;
    browser.shoot_all("go-live").await;
    let rollback = "form[action='/go-live/rollback']";
    for name in ["baobab", "Baobab Stores"] {
        assert_eq!(environment().await, ("prod".to_owned(), true));
        browser.unfold("Roll back").await;
        browser
            .fill(
                &format!("{rollback} input[name=reason]"),
                "FDMS refuses everything",
            )
            .await;
        browser
            .fill(&format!("{rollback} input[name=confirm]"), name)
            .await;
        browser.press(&format!("{rollback} button")).await;
        if name == "baobab" {
            browser.has_text(".note.bad", "Nothing was done").await;
        }
    }
    browser.has_text(".note.ok", "Rolled back").await;
    assert_eq!(environment().await, ("test".to_owned(), false));
    browser.goto("/queue").await;
    browser.has_text("#queue", "FDMS refuses everything").await;

    let cookie = browser.cookie().await;
    let forged = test
        .http
        .post(test.url(&format!("/tills/prod/{}/command", STUCK.0)))
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("kind=retry&csrf=guess")
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), 403);
    browser.close().await;
}

/// Every page shows: with rows, and in a company that has none yet.
#[tokio::test]
async fn every_page_shows() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let empty = crate::seed::empty(&test, "New Company").await;
    let paths = [
        "/",
        "/receipts",
        "/vat?month=2026-05&environment=prod",
        "/queue",
        "/submissions",
        "/credentials",
        "/go-live",
        "/stores",
        "/alarms",
        "/profile",
        "/people",
        "/account",
        "/audit",
    ];
    for (email, word) in [(&shop.email, "full"), (&empty, "empty")] {
        let browser = visit::signed_in(&test, email).await;
        for path in paths {
            browser.goto(path).await;
            assert_eq!(
                browser.count("#main h1").await,
                1,
                "{path} of the {word} company"
            );
            let name = path.split('?').next().unwrap().trim_matches('/');
            let name = if name.is_empty() { "overview" } else { name };
            let name = format!("{word}-{name}");
            if word == "empty" {
                browser.shoot(&name).await;
                continue;
            }
            browser.shoot_all(&name).await;
            if path.starts_with("/vat") {
                browser.has_text("#main table", "Total USD").await;
                browser.has_text("#main table", "15.50 %").await;
                browser.print(&name).await;
            }
        }
        browser.no_errors().await;
        browser.close().await;
    }
}

/// On paper stands whose page it is, with the numbers of its papers where it has them, and from when; no navigation, no button.
/// On a screen none of it stands.
#[tokio::test]
async fn paper_says_whose_it_is_and_from_when() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let empty = crate::seed::empty(&test, "New Company").await;
    for (email, company, numbers) in [
        (&shop.email, "Baobab Stores (Private) Limited", true),
        (&empty, "New Company", false),
    ] {
        if numbers {
            let sql = test.database.connect("postgres").await;
            let name = "UPDATE tenant_fiscal_profiles SET legal_name = $2 WHERE tenant_id = $1";
            sql.execute(name, &[&shop.tenant.0, &company])
                .await
                .unwrap();
        }
        let browser = visit::signed_in(&test, email).await;
        for path in [
            "/",
            "/vat?month=2026-05&environment=prod",
            "/queue",
            "/audit",
        ] {
            browser.goto(path).await;
            browser.find("#main h1").await;
            browser.hidden(".letterhead").await;
            browser.as_printed(true).await;
            browser.has_text(".letterhead", company).await;
            browser
                .has_text(".letterhead", "as of 28 May 2026 15:30:00 (UTC+2)")
                .await;
            let text = browser.text(".letterhead").await;
            assert_eq!(text.contains("TIN 2000123456"), numbers, "{path}: {text}");
            assert_eq!(
                text.contains("VAT number 220123456"),
                numbers,
                "{path}: {text}"
            );
            assert_eq!(
                text.contains("TIN") || text.contains("VAT"),
                numbers,
                "{text}"
            );
            browser.hidden(".rail").await;
            browser.hidden(".head .row").await;
            browser.as_printed(false).await;
        }
        // What is there to be filled in is for the screen, what says how something is for paper too.
        browser.as_printed(true).await;
        browser.goto("/credentials").await;
        browser.find("#main h1").await;
        let text = browser.text("#main").await;
        assert!(!text.contains("Private key"), "{text}");
        browser.goto("/profile").await;
        browser.has_text("form.on-paper", "VAT number").await;
        browser.hidden("form.on-paper button").await;
        browser.no_errors().await;
        browser.close().await;
    }
}

/// Parts are put in anew by themselves; when head office does not answer, the page says so, and goes on when it does.
#[tokio::test]
async fn pages_stay_fresh() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let browser = visit::signed_in(&test, &shop.email).await;
    browser.has_text("#overview", "Avondale").await;
    let sql = test.database.connect("postgres").await;
    sql.execute(
        "UPDATE stores SET name = 'Avondale West' WHERE name = 'Avondale'",
        &[],
    )
    .await
    .unwrap();
    browser
        .run("window.dispatchEvent(new Event('hq-refresh'))")
        .await;
    browser.has_text("#overview", "Avondale West").await;
    browser.offline(true).await;
    browser
        .run("window.dispatchEvent(new Event('hq-refresh'))")
        .await;
    browser.has_text("#away", "does not answer since").await;
    browser.shoot("away").await;
    browser.offline(false).await;
    browser
        .run("window.dispatchEvent(new Event('hq-refresh'))")
        .await;
    browser.hidden("#away").await;
    browser.close().await;
}

/// The operator sees all tenants and goes into one; its pages keep it in their addresses.
#[tokio::test]
async fn the_operator_chooses_a_tenant() {
    let test = afternoon().await;
    let shop = believable(&test, "Baobab Stores").await;
    let operator = crate::seed::operator(&test).await;
    let browser = visit::signed_in(&test, &operator).await;
    browser.text_is("h1", "Tenants").await;
    browser.shoot("tenants").await;
    browser.follow("Baobab Stores").await;
    browser.has_text("#overview", "Borrowdale").await;
    browser.follow("Borrowdale").await;
    browser.has_text("#store", "dead letter").await;
    assert!(
        browser
            .address()
            .await
            .ends_with(&format!("?tenant={}", shop.tenant))
    );
    browser.close().await;
}

/// Somebody sets up a second factor with the app's digits, and is asked for them from then on.
#[tokio::test]
async fn a_second_factor_is_set_up() {
    let test = afternoon().await;
    let email = crate::seed::empty(&test, "New Company").await;
    let browser = visit::signed_in(&test, &email).await;
    browser.goto("/account").await;
    browser.unfold("Set it up").await;
    let form = "form[action='/account/second-factor']";
    browser
        .fill(
            &format!("{form} input[name=password]"),
            crate::seed::PASSWORD,
        )
        .await;
    browser.press(&format!("{form} button")).await;
    let secret = browser.text(".once").await;
    browser.shoot("second-factor").await;
    let digits = |at: u64| {
        let bytes = totp_rs::Secret::Encoded(secret.clone()).to_bytes().unwrap();
        totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, bytes)
            .unwrap()
            .generate(at)
    };
    let now = || u64::try_from(test.hq.now().as_second()).unwrap();
    browser.fill("input[name=digits]", &digits(now())).await;
    browser.press("main form button.main").await;
    browser.has_text("#main", "Recovery code").await;
    browser
        .press(".frame > .rail form[action='/sign-out'] button")
        .await;
    browser.has_text(".note.ok", "signed out").await;
    test.clock.advance(std::time::Duration::from_secs(60));
    visit::sign_in(&browser, &email, crate::seed::PASSWORD).await;
    browser.text_is("h1", "Second factor").await;
    browser.fill("input[name=digits]", &digits(now())).await;
    browser.press("button.main").await;
    browser.text_is("h1", "Overview").await;
    browser.close().await;
}
