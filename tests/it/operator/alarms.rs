//! Alarms of a living store: each comes with its reason and goes with it, as `GET /v1/alarms` tells.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use fdms_sandbox::{Call, Fault, FaultKind, usual_taxes};
use fiscald::api::{Api, ApiSettings, Devices, schema};
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

use crate::submit::{bread, taxes};
use crate::support::api::{PATIENCE, Shop, get};
use crate::support::store::House;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a house's API says is alarming: the codes.
async fn alarms(house: &House) -> BTreeSet<String> {
    let api = Api::new(
        house.ledger().clone(),
        house.submitter().clone(),
        Devices::default(),
        ApiSettings::default(),
        CancellationToken::new(),
    );
    let request = Request::get("/v1/alarms").body(Body::empty()).unwrap();
    let answer = api.ask_as(&Arc::from("test"), request).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let found: schema::Alarms = serde_json::from_slice(&body).unwrap();
    let mut codes = BTreeSet::new();
    for alarm in found.alarms {
        assert!(alarm.what.ends_with('.') && alarm.action.ends_with('.'));
        assert!(!alarm.what.contains('{') && !alarm.action.contains('{'));
        codes.insert(alarm.code);
    }
    codes
}

fn set(codes: &[&str]) -> BTreeSet<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// Without internet: after some hours the receipts that wait are alarming, until they are sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_that_wait_long() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&[]));
    house.sandbox.set_offline(true);
    house.sell(0).await;
    house.pass(3 * HOUR).await;
    assert_eq!(alarms(&house).await, set(&[]));
    house.pass(2 * HOUR).await;
    assert_eq!(alarms(&house).await, set(&["unsent_long"]));
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A day that nears its longest, that is over it, that is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_lasts() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    house.pass(20 * HOUR).await;
    assert_eq!(alarms(&house).await, set(&[]));
    house.pass(3 * HOUR).await;
    assert_eq!(alarms(&house).await, set(&["day_ending"]));
    house.pass(2 * HOUR).await;
    assert_eq!(alarms(&house).await, set(&["day_over"]));
    house.close_day(0).await;
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A receipt that the authority marks red: it costs the day, whose close fails, until it is closed by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_red_receipt() {
    let house = House::new().await;
    house.sell_json(0, &bread("1")).await.unwrap();
    house.drain().await;
    // The authority changes the tax and the till has not heard of it yet.
    let others = usual_taxes().into_iter().filter(|tax| tax.tax_id != 517);
    taxes(&house, others.collect());
    house.sell_json(0, &bread("2")).await.unwrap();
    house.drain().await;
    taxes(&house, usual_taxes());
    assert_eq!(alarms(&house).await, set(&["receipt_red"]));
    house.close_day(0).await;
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&["close_failed", "receipt_red"]));
    assert!(house.sandbox.close_by_hand(house.till(0).number()));
    house.retry(0).await;
    house.pass(MINUTE).await;
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A till that the authority shuts out, and lets in again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_till_that_is_shut_out() {
    let house = House::new().await;
    for call in [Call::OpenDay, Call::GetStatus] {
        let refused = FaultKind::Status {
            status: 401,
            retry_after: None,
            processed: false,
        };
        house.sandbox.add_fault(Fault::next(call, refused));
    }
    house.sell(0).await;
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&["parked"]));
    house.pass(40 * MINUTE).await;
    house.drain().await;
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A queue that a person pauses and lets go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_queue() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    let till = house.till(0).id;
    let paused = house
        .ledger()
        .write(move |core| core.pause_stream(till, "inventory", "test"));
    paused.await.unwrap();
    assert_eq!(alarms(&house).await, set(&["paused"]));
    house.retry(0).await;
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A clock that somebody has set, and set right again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_set() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    house.set_wall(SignedDuration::from_hours(5));
    assert_eq!(alarms(&house).await, set(&["clock_off"]));
    house.set_wall(SignedDuration::from_hours(-5));
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A ledger that is a copy: its tills do not sell until the authority has been asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_till_that_is_held() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    let till = house.till(0).id;
    let held = house.ledger().write(move |core| {
        let kind = fiscald::ledger::holds::HoldKind::Unchecked;
        core.hold_till(till, kind, "a copy", "test")
    });
    held.await.unwrap();
    assert_eq!(alarms(&house).await, set(&["till_unchecked"]));
    let confirmed = house
        .ledger()
        .write(move |core| core.confirm_till(till, "test"));
    confirmed.await.unwrap();
    assert_eq!(alarms(&house).await, set(&[]));
}

/// A printer without paper, with its cover open, switched off; and each mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printer() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let setup = PrinterSetup {
        speed_mm_per_s: 0,
        ..PrinterSetup::epson_80()
    };
    let printer = VirtualPrinter::tcp(setup, LinkSetup::default(), any).unwrap();
    let shop = Shop::printing(&format!(
        "[[printers]]\nname = \"front\"\nlink = \"tcp:{}\"\nprofile = \"epson-tm-t20\"\n",
        printer.name()
    ))
    .await;
    until(&shop, &[]).await;
    printer.open_cover();
    until(&shop, &["printer_cover_open"]).await;
    printer.close_cover();
    until(&shop, &[]).await;
    printer.set_paper(0);
    until(&shop, &["printer_paper_out"]).await;
    printer.set_paper(10_000);
    until(&shop, &[]).await;
    drop(printer);
    shop.sell("T1-1").await;
    until(&shop, &["printer_away"]).await;
}

/// Waits until these are the alarms of a shop, as a till's own token and one for every till see them.
async fn until(shop: &Shop, wanted: &[&str]) {
    let mut seen = Vec::new();
    let waiting = async {
        loop {
            seen.clear();
            for token in ["one", "all"] {
                let answer = shop.ask(&get("/v1/alarms").token(token)).await;
                let found: schema::Alarms = answer.read(200);
                let codes = found.alarms.into_iter().map(|alarm| alarm.code);
                seen.push(codes.collect::<BTreeSet<_>>());
            }
            if seen.iter().all(|codes| *codes == set(wanted)) {
                return;
            }
            // A printer's condition is no event.
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{seen:?}, not {wanted:?}");
}
