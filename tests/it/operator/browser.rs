//! The page in Chromium: every page in three languages at three sizes, light and dark, checked by axe-core and for
//! overflow; everything with the keyboard alone; what happens shows by itself. Pictures are in target/operator.

use std::net::SocketAddr;

use fiscald::ledger::captured::CapturedState;
use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

use crate::live_copy::Running;
use crate::support::api::{Shop, post, sale_with};
use crate::support::browser::{Browser, ENTER, SIZES};
use crate::support::operator::{PIN, set_pin};

/// Every page, by a name for its picture.
const PAGES: [(&str, &str); 12] = [
    ("tills", "/operator"),
    ("till", "/operator/till/test-101"),
    ("report", "/operator/till/test-101/day/1"),
    ("receipts", "/operator/receipts?till=test-101"),
    ("receipt", "/operator/till/test-101/receipt/1"),
    ("queue", "/operator/queue"),
    ("paper", "/operator/paper/1"),
    ("printers", "/operator/printers"),
    ("alarms", "/operator/alarms"),
    ("store", "/operator/store"),
    (
        "question",
        "/operator/do/drop_paper?no=1&back=/operator/queue",
    ),
    ("nothing", "/operator/nothing"),
];

/// A shop in which a lot goes on: one till that sells, one that stands still, a printer without paper, a paper that
/// could not be sold, a live copy whose stick is away.
async fn busy_shop() -> (Shop, VirtualPrinter, Running) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let setup = PrinterSetup {
        speed_mm_per_s: 0,
        ..PrinterSetup::epson_80()
    };
    let printer = VirtualPrinter::tcp(setup, LinkSetup::default(), any).unwrap();
    let shop = Shop::printing(&format!(
        "[[printers]]\nname = \"front\"\nlink = \"tcp:{}\"\nprofile = \"epson-tm-t20\"\ndrawer = true\n\
         [[printers]]\nname = \"kitchen-at-the-back\"\nlink = \"tcp:127.0.0.1:1\"\nprofile = \"epson-tm-t20\"\nreceipts = false\n",
        printer.name()
    ))
    .await;
    set_pin(&shop).await;
    printer.set_paper(0);
    for number in 1..=9 {
        shop.sell(&format!("T1-00012{number}")).await;
    }
    let long = sale_with("T2-2026-05-28-00000000000000000001", "");
    shop.ask(&post("/v1/receipts", long).token("two"))
        .await
        .receipt(201);
    let (one, two) = (shop.tills[0], shop.tills[1]);
    let prepared = shop.ledger.write(move |core| {
        core.pause_stream(two, "the inventory is being counted", "test")?;
        let body = b"MBARE SUPERETTE\nBread       1.20\nTOTAL       1.20\n";
        let id = core.keep_captured("old-till", body, 0)?;
        let why = "no template of the port fits this paper; the line \"TOTAL\" has no amount that adds up";
        core.settle_captured(one, id, &CapturedState::Quarantined(why.to_owned()), None)
    });
    prepared.await.unwrap();
    let nowhere =
        std::path::Path::new("/nowhere/a-folder-with-a-long-name-on-a-stick/ledger-live.db");
    let copies = Running::beside(&shop, nowhere);
    copies
        .until("the stick is missed", |live| live.trouble.is_some())
        .await;
    (shop, printer, copies)
}

/// Every page, in every language, at every size: nothing is wider than its place, and axe-core finds nothing; light
/// and dark. The pictures are looked at by people.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_fit_and_are_accessible() {
    let (shop, _printer, _copies) = busy_shop().await;
    let browser = Browser::open(shop.address).await;
    let mut wrong = Vec::new();
    for language in ["en", "sn", "nd"] {
        browser.goto(&format!("/operator?lang={language}")).await;
        for (name, path) in PAGES {
            browser.goto(path).await;
            browser.find("main").await;
            for size in SIZES {
                browser.resize(size).await;
                let what = format!("{language}-{name}-{}", size.0);
                wrong.extend(browser.fits(&what).await);
                browser.shoot(&what).await;
            }
            for scheme in ["dark", "light"] {
                browser.scheme(scheme).await;
                let what = format!("{language}-{name}-{scheme}");
                wrong.extend(browser.axe(&what).await);
                if scheme == "dark" && language == "en" {
                    browser.shoot(&what).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.no_errors().await;
    browser.close().await;
}

/// With the keyboard alone everything is reached, and a day is closed: to the button, to the PIN, done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_is_enough() {
    let (shop, _printer, _copies) = busy_shop().await;
    let browser = Browser::open(shop.address).await;
    for (name, path) in PAGES {
        browser.goto(path).await;
        browser.find("main").await;
        browser.walk(name).await;
    }
    browser.goto("/operator").await;
    browser.tab_to("close_day-test-101-0").await;
    browser.key(ENTER).await;
    browser.find("#pin").await;
    // The field has the keyboard already.
    browser.key(PIN).await;
    browser.key(ENTER).await;
    browser.has_text(".note.ok", "The day is closed.").await;
    let till = shop.tills[0];
    let day = shop.ledger.ask(move |reader| reader.day(till, None));
    assert!(day.await.unwrap().unwrap().close.is_some());
    // A search, and the receipt that it finds.
    browser.tab_to("nav-receipts").await;
    browser.key(ENTER).await;
    browser.find("#q").await;
    browser.tab_to("q").await;
    browser.key("T1-000125").await;
    browser.key(ENTER).await;
    browser.find("#receipt-5").await;
    browser.tab_to("receipt-5").await;
    browser.key(ENTER).await;
    browser.has_text("pre.paper", "T1-000125").await;
    browser.no_errors().await;
    browser.close().await;
}

/// Every button of every page leads where it says: to a question that can be left, or to another page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_button() {
    let (shop, _printer, _copies) = busy_shop().await;
    let browser = Browser::open(shop.address).await;
    let mut pressed = std::collections::BTreeSet::new();
    for (name, path) in PAGES {
        browser.goto(path).await;
        browser.find("main").await;
        let ids = browser
            .run("return [...document.querySelectorAll('main a[id], #nav a, .languages a')].map((e) => e.id);")
            .await;
        for id in ids.as_array().unwrap() {
            let id = id.as_str().unwrap();
            // A document is shown by the browser's own viewer, which is no page of ours.
            if id == "pdf" {
                continue;
            }
            browser.goto(path).await;
            browser.press(&format!("[id=\"{id}\"]")).await;
            browser.find("main h1").await;
            let title = browser
                .run("return document.querySelector('h1').textContent;")
                .await;
            assert_ne!(title, "That did not work", "{name}: {id}");
            pressed.insert(id.split('-').next().unwrap_or_default().to_owned());
        }
        browser.goto("/operator?lang=en").await;
    }
    for wanted in [
        "close_day",
        "pause",
        "send",
        "print_receipt",
        "print_day",
        "test_page",
        "drawer",
        "renew",
        "sell_paper",
        "drop_paper",
    ] {
        assert!(
            pressed.contains(wanted),
            "{wanted} is on no page: {pressed:?}"
        );
    }
    browser.no_errors().await;
    browser.close().await;
}

/// What happens shows by itself, on the very same page; and that the gateway is gone shows too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_stays_fresh() {
    let mut shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let browser = Browser::open(shop.address).await;
    browser.goto("/operator").await;
    browser.has_text("#live", "2.40").await;
    browser.run("window.isTheSame = true;").await;
    // Whoever stands on a button stands there still after the page was put in anew.
    browser.tab_to("close_day-test-101-0").await;
    shop.sell("T1-2").await;
    browser.has_text("#live", "4.80").await;
    let here = browser.run("return document.activeElement.id;").await;
    assert_eq!(here, "close_day-test-101-0");
    let till = shop.tills[1];
    let paused = shop
        .ledger
        .write(move |core| core.pause_stream(till, "a test", "test"));
    paused.await.unwrap();
    browser
        .has_text(".strip", "Somebody has paused sending")
        .await;
    browser.has_text("#nav", "1").await;
    assert_eq!(browser.run("return window.isTheSame === true;").await, true);

    // What a question was answered wrong with is said, and the right PIN goes on from there.
    browser.press("[id=\"close_day-test-101-0\"]").await;
    browser.fill("#pin", "1111").await;
    browser.press("#yes").await;
    browser.has_text(".note.bad", "That was not the PIN").await;
    browser.fill("#pin", PIN).await;
    browser.press("#yes").await;
    browser.has_text(".note.ok", "The day is closed.").await;
    browser.press("#lock").await;
    browser.find("#live").await;
    browser.no_errors().await;

    shop.stop.cancel();
    while shop.serving.join_next().await.is_some() {}
    browser
        .run("document.dispatchEvent(new Event('visibilitychange'));")
        .await;
    browser
        .has_text("#away", "The gateway does not answer.")
        .await;
    browser.close().await;
}
