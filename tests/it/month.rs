//! A month in the life of a store: what is in the ledger is at FDMS, whatever happens on the way.
//!
//! The long one is `scripts/month`, which steers it with `MONTH_SEED` and `MONTH_RECEIPTS`.

use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fdms_sandbox::{Code, Color, FaultKind, Finding, ReconciliationMode, StoredReceipt};
use indicatif::{ProgressBar, ProgressStyle};

use crate::support::compare::not_closed;
use crate::support::month::{Month, Wanted, lived, plan};
use crate::support::store::House;

const NOTHING: [&str; 0] = [];

/// Says how to do it again, if it fails.
struct Repeat(Wanted);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Wanted { seed, receipts, .. } = self.0;
            println!("month: FAILED; again: scripts/month --seed {seed} --receipts {receipts}");
        }
    }
}

/// What must have happened, or nothing was tried.
fn must_have_happened(month: &Month) {
    let processed = |kind: &FaultKind, wanted| match kind {
        FaultKind::Status { processed, .. } => *processed == wanted,
        _ => false,
    };
    let happened = [
        month.hit(|kind| *kind == FaultKind::LoseRequest),
        month.hit(|kind| *kind == FaultKind::LoseAnswer),
        month.hit(|kind| *kind == FaultKind::Offline),
        month.hit(|kind| processed(kind, false)),
        month.hit(|kind| processed(kind, true)),
        month.restarts,
        month.in_send,
        month.reboots,
        month.retries,
    ];
    assert!(!happened.contains(&0), "{month:?}");
}

/// Four days of three tills.
#[tokio::test]
async fn a_short_month() {
    let wanted = Wanted {
        seed: 1,
        receipts: 1000,
        days: 4,
    };
    let (house, month) = lived(&wanted, plan(wanted.seed), &ProgressBar::hidden()).await;
    assert_eq!(month.wrong, NOTHING);
    assert_eq!((month.receipts, month.days), (1000, 12));
    must_have_happened(&month);
    differences_are_found(&house);
}

/// What would be wrong is found: FDMS's list is bent in every way that matters.
fn differences_are_found(house: &House) {
    let good = house.at_fdms(0);
    assert_eq!(house.compare(0, &good), NOTHING);
    let bend: [fn(&mut Vec<StoredReceipt>); 9] = [
        |list| drop(list.remove(7)),
        |list| drop(list.pop()),
        |list| list.insert(7, list[7].clone()),
        |list| list.swap(7, 8),
        |list| list[7].receipt_global_no += 1,
        |list| list[7].hash = list[8].hash.clone(),
        |list| list[7].receipt_date = list[8].receipt_date,
        |list| list[7].fiscal_day_no += 1,
        |list| list[7].is_grey = true,
    ];
    for (no, bend) in bend.iter().enumerate() {
        let mut bent = good.clone();
        bend(&mut bent);
        assert_ne!(house.compare(0, &bent), NOTHING, "{no}");
    }
    let mut red = good.clone();
    red[7].validation_errors = vec![Finding {
        code: Code(20),
        color: Color::Red,
    }];
    assert_ne!(house.compare(0, &red), NOTHING);
    let mut days = house.sandbox.days(house.till(0).number());
    assert_eq!(not_closed(&days), NOTHING);
    days[3].reconciliation_mode = Some(ReconciliationMode::Manual);
    assert_eq!(not_closed(&days).len(), 1);
}

/// Thirty days of three tills, as many receipts as are wanted. All on one thread: a worker that reads the test
/// clock, and sleeps by it afterwards, must not see it set in between.
#[tokio::test]
#[ignore = "minutes: scripts/month runs it"]
async fn the_long_month() {
    let read = |name: &str| std::env::var(name).ok();
    let wanted = Wanted {
        seed: read("MONTH_SEED").map_or(1, |text| text.parse().unwrap()),
        receipts: read("MONTH_RECEIPTS").map_or(100_000, |text| text.parse().unwrap()),
        days: 30,
    };
    let Wanted { seed, receipts, .. } = wanted;
    println!("month: scripts/month --seed {seed} --receipts {receipts}");
    let _repeat = Repeat(wanted);
    let style = "{elapsed_precise} {bar:30} {pos} of {len}, {eta} left; {msg}";
    let bar = ProgressBar::new(receipts);
    bar.set_style(ProgressStyle::with_template(style).unwrap());
    let began = SystemClock.boot();
    let (_house, month) = lived(&wanted, plan(seed), &bar).await;
    bar.finish_and_clear();
    for wrong in month.wrong.iter().take(20) {
        println!("month: {wrong}");
    }
    if let Some(path) = read("MONTH_FIGURES") {
        std::fs::write(path, figures(&month).to_string()).unwrap();
    }
    assert_eq!(month.wrong.len(), 0, "things are wrong");
    must_have_happened(&month);
    println!("month: {}", told(&month, SystemClock.boot() - began));
}

fn is_status(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::Status { .. })
}

/// What has happened, for scripts/evidence.
fn figures(month: &Month) -> serde_json::Value {
    serde_json::json!({
        "receipts": month.receipts,
        "days": month.days,
        "outages": month.outages,
        "restarts": month.restarts,
        "restartsInSend": month.in_send,
        "reboots": month.reboots,
        "lostRequests": month.hit(|kind| *kind == FaultKind::LoseRequest),
        "lostAnswers": month.hit(|kind| *kind == FaultKind::LoseAnswer),
        "answered5xx": month.hit(is_status),
        "sentAgain": month.retries,
        "wrong": month.wrong.len(),
    })
}

/// What has happened, in a line.
fn told(month: &Month, took: Duration) -> String {
    format!(
        "{} receipts in {} fiscal days: FDMS holds the same, nothing Red, nothing Grey, every day closed by the device, \
         the ledger verified. {} requests lost, {} answers lost, {} answered 5xx, {} met one of {} outages; {} restarts, {} of \
         them in the middle of a send; {} reboots; {} messages sent again. {} s",
        month.receipts,
        month.days,
        month.hit(|kind| *kind == FaultKind::LoseRequest),
        month.hit(|kind| *kind == FaultKind::LoseAnswer),
        month.hit(is_status),
        month.hit(|kind| *kind == FaultKind::Offline),
        month.outages,
        month.restarts,
        month.in_send,
        month.reboots,
        month.retries,
        took.as_secs()
    )
}
