//! The page in Chromium: every page in three languages at three sizes, light and dark, checked by axe-core and for
//! overflow, tills that do not sell and the lock in all its states among them; every button pressed and its question
//! answered, in each language; everything with the keyboard alone; what happens shows by itself. Pictures are in
//! target/operator.

use std::path::PathBuf;
use std::time::Duration;

use browser::{Browser, ENTER, SIZES};
use fiscald::api::schema;
use fiscald::ledger::captured::CapturedState;
use fiscald::ledger::holds::HoldKind;
use fiscald::ledger::printing::PrintRow;
use vprinter::VirtualPrinter;

use crate::live_copy::Running;
use crate::support::api::{Shop, post, sale_with};
use crate::support::operator::{PIN, jobs_when, set_pin};
use crate::support::printer::{front, named, printer};

/// Every page, by a name for its picture.
const PAGES: [(&str, &str); 13] = [
    ("tills", "/operator"),
    ("till", "/operator/till/test-101"),
    ("other-till", "/operator/till/test-102"),
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

/// Where tests leave what people look at, and tools that were fetched for them.
fn target(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(name)
}

/// A browser for the pages of a shop.
async fn open(shop: &Shop) -> Browser {
    Browser::open(format!("http://{}", shop.address), target("operator")).await
}

/// A question that may be answered any number of times.
const QUESTION: &str = "/operator/do/test_page?printer=front&back=/operator/printers";
/// What the page says, by language.
const TEXTS: [(&str, &str); 3] = [
    ("en", include_str!("../../../src/page/texts/en.toml")),
    ("sn", include_str!("../../../src/page/texts/sn.toml")),
    ("nd", include_str!("../../../src/page/texts/nd.toml")),
];
/// What is refused, with words: nothing connects the shop to an authority, and the port of the paper is gone.
const REFUSED: [&str; 3] = ["renew", "ask_settings", "sell_paper"];

/// Everything that can be done on the page, in the page's order: each has a question, and the texts of all are held to
/// be there by a test of their own.
fn acts() -> Vec<&'static str> {
    let (_, questions) = TEXTS[0].1.split_once("[texts.do]").unwrap();
    let (questions, _) = questions.split_once("\n[").unwrap();
    let named = questions.lines().filter_map(|line| {
        let (act, _) = line.split_once("_about = ")?;
        Some(act)
    });
    let acts: Vec<&str> = named.collect();
    assert!(acts.len() >= 15, "{acts:?}");
    acts
}

/// A copy of a receipt whose fate at a printer nobody knows: the link breaks while it is printed.
async fn doubt(shop: &Shop, printer: &VirtualPrinter, name: &str, receipt: u32) {
    // It may break before the paper has begun: then that one comes out, and the next is tried.
    for _ in 0..5 {
        printer.cut_after_received(400);
        let print = post(format!("/v1/receipts/{receipt}/print?printer={name}"), "");
        let asked: schema::PrintJob = shop.ask(&print).await.read(202);
        let state = |jobs: &[PrintRow]| {
            let job = jobs.iter().find(|job| job.id.0 == asked.job)?;
            let is_over = ["done", "unknown", "failed", "lost"].contains(&job.state.as_str());
            is_over.then(|| job.state.clone())
        };
        let jobs = jobs_when(shop, |jobs| state(jobs).is_some()).await;
        if state(&jobs).as_deref() == Some("unknown") {
            return;
        }
    }
    panic!("no paper of {name} is in doubt");
}

/// A shop in which a lot goes on: one till that sells, one whose day is closed and whose queue stands still; a printer
/// with a paper in doubt, one without paper, before which papers wait, one that is not there; a paper that could not be
/// sold; a live copy whose stick is away.
async fn busy_shop() -> (Shop, ([VirtualPrinter; 2], Running)) {
    let printers = [printer(), printer()];
    let more = "receipts = false\nz_reports = false\nafter_unknown = \"ask\"\n";
    let config = [
        named("bar", printers[0].name(), more),
        front(printers[1].name(), "drawer = true\n"),
        named("kitchen-at-the-back", "127.0.0.1:1", "receipts = false\n"),
    ];
    let shop = Shop::printing(&config.concat()).await;
    set_pin(&shop).await;
    printers[1].set_paper(0);
    for number in 1..=9 {
        shop.sell(&format!("T1-00012{number}")).await;
    }
    let long = sale_with("T2-2026-05-28-00000000000000000001", "");
    shop.ask(&post("/v1/receipts", long).token("two"))
        .await
        .receipt(201);
    let closed = post("/v1/days/close", "").token("two");
    assert!(shop.ask(&closed).await.status < 300);
    doubt(&shop, &printers[0], "bar", 1).await;
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
    (shop, (printers, copies))
}

/// Looks at the page that is shown, at every size, light and dark: what is wider than its place, what axe-core finds.
async fn look(browser: &Browser, language: &str, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for size in SIZES {
        browser.resize(size).await;
        let what = format!("{language}-{name}-{}", size.0);
        wrong.extend(browser.fits(&what).await);
        wrong.extend(browser.axe(&what, &target("axe/axe.min.js")).await);
        browser.shoot(&what).await;
    }
    browser.scheme("dark").await;
    let what = format!("{language}-{name}-dark");
    wrong.extend(browser.axe(&what, &target("axe/axe.min.js")).await);
    if language == "en" {
        browser.shoot(&what).await;
    }
    browser.scheme("light").await;
    wrong
}

/// Answers the question that is shown with a PIN.
async fn answer(browser: &Browser, pin: &str) {
    browser.fill("#pin", pin).await;
    browser.press("#yes").await;
}

/// Locks the page, and waits until it is: a page that is left too early takes its request with it.
async fn lock(browser: &Browser) {
    browser.press("#lock").await;
    browser.gone("#lock").await;
}

/// Looks at the lock in all its states: a wrong PIN, open, shut after too many wrong ones, without a PIN.
async fn look_at_the_lock(shop: &Shop, browser: &Browser, language: &str) -> Vec<String> {
    browser.goto(QUESTION).await;
    answer(browser, "1111").await;
    browser.find(".note.bad").await;
    browser.find("#pin").await;
    let mut wrong = look(browser, language, "wrong-pin").await;
    answer(browser, PIN).await;
    browser.find(".note.ok").await;
    browser.find("#lock").await;
    wrong.extend(look(browser, language, "unlocked").await);
    lock(browser).await;
    for _ in 0..3 {
        browser.goto(QUESTION).await;
        answer(browser, "1111").await;
        browser.find(".note.bad").await;
    }
    let has_field = browser
        .run("return document.querySelector('#pin') !== null;")
        .await;
    assert_eq!(has_field, false, "no PIN is looked at for a while");
    let notes = browser
        .run("return document.querySelectorAll('.note').length;")
        .await;
    assert_eq!(notes, 1, "it is said once");
    wrong.extend(look(browser, language, "shut").await);
    // After the pause the right one is forgiven all.
    shop.clock.advance(Duration::from_secs(31));
    browser.goto(QUESTION).await;
    answer(browser, PIN).await;
    lock(browser).await;

    let removed = shop.ledger.write(|core| core.set_page_pin(None, "cli"));
    removed.await.unwrap();
    browser.goto(QUESTION).await;
    browser.has_text(".note.warn", "fiscald pin set").await;
    wrong.extend(look(browser, language, "no-pin").await);
    set_pin(shop).await;
    wrong
}

/// Every page, in a language, at every size: nothing is wider than its place, and axe-core finds nothing; light and
/// dark; a till that does not sell; the lock in all its states. The pictures are looked at by people.
async fn pages_fit_and_are_accessible(language: &str) {
    let (shop, _printers) = busy_shop().await;
    let two = shop.tills[1];
    let held = shop
        .ledger
        .write(move |core| core.hold_till(two, HoldKind::Unchecked, "a copy", "test"));
    held.await.unwrap();
    let browser = open(&shop).await;
    browser.goto(&format!("/operator?lang={language}")).await;
    for path in ["/operator", "/operator/till/test-102"] {
        browser.goto(path).await;
        browser.find(".light.red").await;
    }
    let mut wrong = Vec::new();
    for (name, path) in PAGES {
        browser.goto(path).await;
        browser.find("main").await;
        wrong.extend(look(&browser, language, name).await);
    }
    wrong.extend(look_at_the_lock(&shop, &browser, language).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.no_errors_but_refusals().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_fit_and_are_accessible_in_english() {
    pages_fit_and_are_accessible("en").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_fit_and_are_accessible_in_shona() {
    pages_fit_and_are_accessible("sn").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_fit_and_are_accessible_in_ndebele() {
    pages_fit_and_are_accessible("nd").await;
}

/// With the keyboard alone everything is reached, and a day is closed: to the button, to the PIN, done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_is_enough() {
    let (shop, _printers) = busy_shop().await;
    let browser = open(&shop).await;
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
    browser.no_errors_but_refusals().await;
    browser.close().await;
}

/// Every button of every page leads where it says: to a question that can be left, or to another page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_button() {
    let (shop, _printers) = busy_shop().await;
    let browser = open(&shop).await;
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
    for act in acts() {
        assert!(pressed.contains(act), "{act} is on no page: {pressed:?}");
    }
    browser.no_errors_but_refusals().await;
    browser.close().await;
}

/// Presses the button for an act on the first page that has one: the front printer's, else the last of them.
async fn press_act(browser: &Browser, act: &str) {
    let script = format!(
        "const all = [...document.querySelectorAll('main a[id^=\"{act}-\"]')];
         const one = all.filter((e) => e.id.includes('front')).at(-1) ?? all.at(-1);
         one?.click();
         return one !== undefined;"
    );
    for (_, path) in PAGES {
        browser.goto(path).await;
        browser.find("main").await;
        if browser.run(&script).await == true {
            browser.find("#yes").await;
            return;
        }
    }
    panic!("{act} is on no page");
}

/// Everything that can be done is done, in each language: the button, the question, the PIN, a reason where one is
/// asked for, and then the page says that it is done; or that it is not, where this shop cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_answered() {
    for (language, texts) in TEXTS {
        let texts: toml::Table = texts.parse().unwrap();
        let says =
            |group: &str, name: &str| texts["texts"][group][name].as_str().unwrap().to_owned();
        let (shop, (printers, _copies)) = busy_shop().await;
        let browser = open(&shop).await;
        browser.goto(&format!("/operator?lang={language}")).await;
        for act in acts() {
            // What was in doubt is not by now: another paper of the same was asked for, or somebody has answered.
            if let Some(receipt) = [("came_out", 2), ("not_out", 3)]
                .into_iter()
                .find_map(|(asks, receipt)| (asks == act).then_some(receipt))
            {
                doubt(&shop, &printers[0], "bar", receipt).await;
            }
            press_act(&browser, act).await;
            let has_reason = browser
                .run("return document.querySelector('#reason') !== null;")
                .await;
            if has_reason == true {
                browser.fill("#reason", "a test").await;
            }
            answer(&browser, PIN).await;
            if REFUSED.contains(&act) {
                let refused = says("page", "refused");
                browser.has_text(".note.bad", &refused).await;
            } else {
                browser.has_text(".note.ok", &says("done", act)).await;
            }
            // The next one is asked for the PIN, too.
            lock(&browser).await;
            browser.has_text("h1", &says("nav", "tills")).await;
        }
        for (action, times) in [
            ("day.open", 1),
            ("day.close", 1),
            ("print.settle", 2),
            ("drawer.open", 1),
        ] {
            let by_page = shop.audited(action);
            let by_page = by_page.iter().filter(|actor| *actor == "operator's page");
            assert_eq!(by_page.count(), times, "{language}: {action}");
        }
        browser.no_errors_but_refusals().await;
        browser.close().await;
    }
}

/// What happens shows by itself, on the very same page; and that the gateway is gone shows too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_stays_fresh() {
    let mut shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let browser = open(&shop).await;
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
    lock(&browser).await;
    browser.find("#live").await;
    browser.no_errors_but_refusals().await;

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
