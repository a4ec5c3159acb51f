//! Who may read the page, and who may change something: PIN, tries, sessions, and pages elsewhere.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use fiscald::config::Config;
use fiscald::ledger::Reader;

use crate::support::api::{Shop, get, whole};
use crate::support::operator::{Operator, PIN, between, link, set_pin};

const CLOSE: &str = "/operator/do/close_day?till=test-101&back=%2Foperator";

/// Whether the first till has an open day.
async fn is_open(shop: &Shop) -> bool {
    let till = shop.tills[0];
    let day = shop.ledger.ask(move |reader| reader.day(till, None));
    day.await.unwrap().is_some_and(|day| day.close.is_none())
}

/// Whoever sits at the machine may read, without a token; what is answered lets nothing in from elsewhere and shows
/// no secret. Other doors have no page.
#[tokio::test]
async fn reading_needs_nothing() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    set_pin(&shop).await;
    let mut operator = Operator::at(&shop);
    for path in [
        "/operator",
        "/operator/till/test-101",
        "/operator/till/test-101/day/1",
        "/operator/till/test-101/receipt/1",
        "/operator/receipts",
        "/operator/receipts?till=test-101&q=T1-1",
        "/operator/queue",
        "/operator/printers",
        "/operator/alarms",
        "/operator/store",
        CLOSE,
    ] {
        let answer = operator.look(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert!(policy.contains("frame-ancestors 'none'"));
        let page = answer.text();
        assert!(!page.contains("argon2") && !page.contains(PIN), "{path}");
        assert!(
            !page.contains("style=") && !page.contains("<script>"),
            "{path}"
        );
    }
    let pdf = operator.look("/operator/till/test-101/receipt/1/pdf").await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    for nowhere in [
        "/operator/nothing",
        "/operator/till/test-999",
        "/operator/till/x",
        "/operator/till/test-101/receipt/9",
        "/operator/till/test-101/receipt/x",
        "/operator/till/test-101/day/9",
        "/operator/paper/x",
        "/operator/do/sell?till=test-101",
    ] {
        let answer = operator.look(nowhere).await;
        assert_eq!(answer.status, 404, "{nowhere}");
        assert!(answer.text().contains("<h1>"), "{nowhere} is a page");
    }
    let elsewhere = get("/operator").header("host", "evil.example");
    shop.ask(&elsewhere).await.problem(403, "host_refused");
    shop.ask_unix(&get("/operator"))
        .await
        .problem(404, "path_unknown");
}

/// Without a PIN nothing is changed, and the page says what to do.
#[tokio::test]
async fn without_a_pin_nothing_is_changed() {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    let page = operator.page(CLOSE).await;
    assert!(page.contains("fiscald pin set") && !page.contains("id=\"pin\""));
    // A form of another question, made before, is no way around it.
    set_pin(&shop).await;
    let mut form = operator.form(CLOSE).await;
    shop.ledger
        .write(|core| core.set_page_pin(None, "cli"))
        .await
        .unwrap();
    form.body.extend_from_slice(b"&pin=");
    let answer = operator.send(&form).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("fiscald pin set"));
    assert!(is_open(&shop).await);
}

/// The right PIN does it, and for some minutes goes on without being asked; the audit says who.
#[tokio::test]
async fn the_pin_opens_for_some_minutes() {
    let shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    let page = operator.page("/operator").await;
    let close = link(&page, "close_day");
    let done = operator.does(&close, &[("pin", PIN)]).await;
    assert!(done.contains("The day is closed.") && !is_open(&shop).await);
    assert_eq!(shop.audited("day.close"), ["operator's page"]);

    let open = link(&done, "open_day");
    let question = operator.page(&open).await;
    assert!(!question.contains("id=\"pin\""), "it is not asked again");
    operator.does(&open, &[]).await;
    assert!(is_open(&shop).await);
    // Another browser is asked, and so is this one once it was locked, and after a while.
    let mut other = Operator::at(&shop);
    assert!(other.page(CLOSE).await.contains("id=\"pin\""));
    let lock = operator.page("/operator").await;
    let token = between(&lock, "name=\"token\" value=\"", "\"").unwrap();
    let mut ask = operator.request("POST", "/operator/lock");
    ask.body = format!("token={token}").into_bytes();
    let ask = ask.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(operator.send(&ask).await.status, 303);
    assert!(operator.page(CLOSE).await.contains("id=\"pin\""));
    operator.does(CLOSE, &[("pin", PIN)]).await;
    shop.clock.advance(Duration::from_secs(10 * 60));
    assert!(operator.page(CLOSE).await.contains("id=\"pin\""));
}

/// A few wrong PINs are forgiven; then none is looked at for a while, and the while doubles. All are audited.
#[tokio::test]
async fn tries_are_limited() {
    let shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    for wrong in ["0000", "9999"] {
        let answer = operator.answer(CLOSE, &[("pin", wrong)]).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("That was not the PIN"));
    }
    let form = operator.form(CLOSE).await;
    let with = |pin: &str| {
        let mut form = form.clone();
        form.body.extend(format!("&pin={pin}").into_bytes());
        form
    };
    let answer = operator.send(&with("1111")).await;
    assert!(
        answer.text().contains("Wait 30 seconds"),
        "{}",
        answer.text()
    );
    // The right one is no longer looked at either, by whomever; a new browser is no way around it.
    assert_eq!(operator.send(&with(PIN)).await.status, 403);
    let page = Operator::at(&shop).page(CLOSE).await;
    assert!(page.contains("Wait 30 seconds") && !page.contains("id=\"pin\""));
    shop.clock.advance(Duration::from_secs(30));
    let answer = operator.send(&with("1111")).await;
    assert!(
        answer.text().contains("Wait 60 seconds"),
        "{}",
        answer.text()
    );
    assert!(is_open(&shop).await);
    assert_eq!(shop.audited("pin.wrong").len(), 4);
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(operator.send(&with(PIN)).await.status, 303);
    assert!(!is_open(&shop).await);
}

/// A page elsewhere can do nothing, not even in an unlocked browser: not from another origin or site, not without the
/// token of the form, not with that of another browser, not with another kind of body.
#[tokio::test]
async fn pages_elsewhere_do_nothing() {
    let shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    operator.does(CLOSE, &[("pin", PIN)]).await;
    shop.sell("T1-2").await;
    assert!(is_open(&shop).await);
    let good = operator.form(CLOSE).await;

    let foreign = good.clone().header("origin", "http://localhost:3000");
    shop.ask(&foreign).await.problem(403, "origin_refused");
    let null = good.clone().header("origin", "null");
    shop.ask(&null).await.problem(403, "origin_refused");
    let other_site = good.clone().header("sec-fetch-site", "same-site");
    assert_eq!(shop.ask(&other_site).await.status, 403);
    let as_json = good.clone().header("content-type", "text/plain");
    assert_eq!(shop.ask(&as_json).await.status, 403);
    let no_cookie = good.clone().without("cookie");
    assert_eq!(shop.ask(&no_cookie).await.status, 403);
    let mut no_token = good.clone();
    no_token.body = b"till=test-101&back=%2Foperator".to_vec();
    assert_eq!(shop.ask(&no_token).await.status, 403);
    let mut stranger = Operator::at(&shop);
    let mut mixed = good.clone();
    mixed.body = stranger.form(CLOSE).await.body;
    assert_eq!(shop.ask(&mixed).await.status, 403);
    let mut huge = good.clone();
    huge.body.extend(vec![b'x'; 20 * 1024]);
    assert_eq!(shop.ask(&huge).await.status, 403);
    assert!(is_open(&shop).await, "nothing of that was done");

    let own = good
        .header("origin", "http://localhost")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(shop.ask(&own).await.status, 303);
    assert!(!is_open(&shop).await);
}

/// An open page is told that something has happened, and not what.
#[tokio::test]
async fn an_open_page_is_told() {
    use http_body_util::BodyExt as _;
    let shop = Shop::open().await;
    let ask = Operator::at(&shop).request("GET", "/operator/events");
    let mut stream = ask.over(shop.stream().await).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut hear = async || {
        let piece = tokio::time::timeout(Duration::from_secs(60), stream.frame());
        let frame = piece.await.unwrap().unwrap().unwrap();
        frame.into_data().unwrap()
    };
    assert_eq!(&hear().await[..], b"data: changed\n\n");
    shop.sell("T1-1").await;
    assert_eq!(&hear().await[..], b"data: changed\n\n");
}

/// A page is in the language that was chosen, else in the one that the browser prefers; what no native speaker has
/// read says so.
#[tokio::test]
async fn languages() {
    let shop = Shop::open().await;
    let mut operator = Operator::at(&shop);
    let page = operator.page("/operator").await;
    assert!(page.contains("<html lang=\"en\">") && !page.contains("class=\"unread\""));
    let prefers = operator
        .request("GET", "/operator")
        .header("accept-language", "nd-ZW,en;q=0.5");
    let answer = operator.send(&prefers).await;
    assert!(answer.text().contains("<html lang=\"nd\">"));
    operator.page("/operator/receipts?lang=sn").await;
    let page = operator.page("/operator").await;
    assert!(page.contains("<html lang=\"sn\">") && page.contains("Marisiti"));
    assert!(page.contains("class=\"unread\""));
}

/// `fiscald pin`: set from standard input, never an argument; kept as a hash; removed.
#[tokio::test]
async fn the_pin_on_the_command_line() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fiscald.toml");
    let text = format!("[store]\ndata_dir = \"{}\"\n", dir.path().display());
    std::fs::write(&file, &text).unwrap();
    let run = |words: &[&str], typed: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fiscald"))
            .arg("--config")
            .arg(&file)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(typed.as_bytes())
            .unwrap();
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8(said).unwrap())
    };
    let (good, said) = run(&["pin", "set"], "2580\n");
    assert!(!good && said.contains("fiscald register"), "{said}");
    let config = Config::load(Some(&file)).unwrap();
    drop(fiscald::join::set_up(&config, Arc::new(SystemClock)).unwrap());

    assert!(run(&["pin", "show"], "").1.contains("no PIN"));
    for (bad, why) in [
        ("12\n", "4 to 12 digits"),
        ("1234\n", "anybody tries"),
        ("", "4 to 12"),
    ] {
        let (good, said) = run(&["pin", "set"], bad);
        assert!(!good && said.contains(why), "{said}");
    }
    assert!(!run(&["pin", "set", "2580"], "").0, "never an argument");
    let (good, said) = run(&["pin", "set"], "2580\n");
    assert!(good && !said.contains("2580"), "{said}");
    let kept = Reader::new(&config.ledger_path())
        .page_pin()
        .unwrap()
        .unwrap();
    assert!(fiscald::page::pin::fits("2580", &kept));
    assert!(run(&["pin", "show"], "").1.contains("a PIN is set"));
    assert!(run(&["pin", "remove"], "").0);
    assert_eq!(Reader::new(&config.ledger_path()).page_pin().unwrap(), None);
}

/// The stream of one page takes none of the streams of the tills beyond its share.
#[tokio::test]
async fn pages_leave_streams_to_the_tills() {
    let shop = Shop::open().await;
    let ask = Operator::at(&shop).request("GET", "/operator/events");
    let mut open = Vec::new();
    for _ in 0..8 {
        let stream = ask.over(shop.stream().await).await;
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let refused = whole(ask.over(shop.stream().await).await).await;
    refused.problem(503, "busy");
    let till = get("/v1/events").over(shop.stream().await).await;
    assert_eq!(till.status(), 200);
}
