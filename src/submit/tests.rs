//! The suites of the integration tests with planted defects: each must find something.
//!
//! A suite that stays green over a defect it was made for would prove nothing. The defects are planted in
//! the ledger, in the trusted time and in the worker; the suites are the very ones that the integration
//! tests run.

use jiff::SignedDuration;

use super::worker::Planted;
use crate::ledger::Settings;
use crate::ledger::core::{Core, Planted as InLedger};
use store::{House, Plan};

#[path = "../../tests/it/support/compare.rs"]
mod compare;
#[path = "../../tests/it/support/month.rs"]
#[expect(dead_code, reason = "the integration tests use more of it")]
mod month;
#[path = "../../tests/it/support/store.rs"]
#[expect(dead_code, reason = "the integration tests use more of it")]
mod store;
#[path = "../../tests/it/support/suites.rs"]
mod suites;

fn ledger_with(defect: InLedger) -> Plan {
    Plan {
        core: Box::new(move |mut core: Core| {
            core.plant(defect);
            core
        }),
        ..Plan::default()
    }
}

fn worker_with(defect: Planted) -> Plan {
    Plan {
        submitter: Box::new(move |submitter| submitter.plant(defect)),
        ..Plan::default()
    }
}

fn time_that_follows_the_wall() -> Plan {
    Plan {
        core: Box::new(|core: Core| {
            core.time().plant();
            core
        }),
        ..Plan::default()
    }
}

fn must_find(found: &[String], what: &str) {
    assert!(
        found.iter().any(|wrong| wrong.contains(what)),
        "`{what}` was not found, but: {found:?}"
    );
}

/// Dates that do not rise: RCPT030.
#[tokio::test]
async fn equal_dates_are_found() {
    let house = House::build(ledger_with(InLedger::DateNotRising)).await;
    must_find(&suites::sixty_in_a_second(&house).await, "RCPT030");
}

/// Receipts that are sent before their date: RCPT031.
#[tokio::test]
async fn early_sending_is_found() {
    let house = House::build(worker_with(Planted::TooEarly)).await;
    must_find(&suites::sixty_in_a_second(&house).await, "RCPT031");
    let mut house = House::build(worker_with(Planted::TooEarly)).await;
    must_find(&suites::rebooted_into_tomorrow(&mut house).await, "RCPT031");
    let mut house = House::build(worker_with(Planted::TooEarly)).await;
    must_find(&suites::restarts_and_reboots(&mut house).await, "RCPT031");
}

/// A wall clock that is followed: dates an hour, a day off.
#[tokio::test]
async fn a_followed_wall_clock_is_found() {
    let house = House::build(time_that_follows_the_wall()).await;
    let ahead = SignedDuration::from_hours(24);
    must_find(
        &suites::wall_set_by(&house, ahead).await,
        "dated 2026-05-29",
    );
    let house = House::build(time_that_follows_the_wall()).await;
    let back = SignedDuration::from_hours(-1);
    must_find(&suites::wall_set_by(&house, back).await, "nobody is told");
}

/// Receipts that do not feed the counters: the days of an outage do not close.
#[tokio::test]
async fn forgotten_counters_are_found() {
    let house = House::build(ledger_with(InLedger::CountersForgotten)).await;
    let found = suites::three_days_without_fdms(&house).await;
    must_find(&found, "CountersMismatch");
}

/// A broken chain: RCPT020.
#[tokio::test]
async fn a_broken_chain_is_found() {
    let house = House::build(ledger_with(InLedger::ChainBroken)).await;
    must_find(&suites::sixty_in_a_second(&house).await, "RCPT020");
}

/// A day that may not roll over without FDMS: selling stops.
#[tokio::test]
#[should_panic(expected = "selling stopped")]
async fn selling_that_stops_is_found() {
    let settings = Settings {
        rollover_offline: false,
        ..Settings::default()
    };
    let house = House::build(Plan {
        settings,
        ..Plan::default()
    })
    .await;
    suites::three_days_without_fdms(&house).await;
}

/// An OpenDay or CloseDay that is repeated without asking: sent twice.
#[tokio::test]
async fn repeating_without_asking_is_found() {
    let house = House::build(Plan {
        tills: suites::tills_for_faults(),
        ..worker_with(Planted::AsksNothing)
    })
    .await;
    let found = suites::every_fault_on_every_message(&house).await;
    must_find(&found, "OpenDay after LoseAnswer was sent 2 times");
    must_find(&found, "CloseDay after LoseAnswer was sent 2 times");
}

/// A doubt that is taken for a yes: a receipt is missing at FDMS.
#[tokio::test]
async fn trust_in_a_lost_answer_is_found() {
    let house = House::build(Plan {
        tills: suites::tills_for_faults(),
        ..worker_with(Planted::Trusts)
    })
    .await;
    let found = suites::every_fault_on_every_message(&house).await;
    must_find(&found, "receipts at FDMS");
}

/// The same in a month's life.
#[tokio::test]
async fn trust_in_a_month_is_found() {
    let wanted = month::Wanted {
        seed: 1,
        receipts: 120,
        days: 1,
    };
    let plan = Plan {
        submitter: Box::new(|submitter| submitter.plant(Planted::Trusts)),
        ..month::plan(wanted.seed)
    };
    let (_house, month) = month::lived(&wanted, plan, &indicatif::ProgressBar::hidden()).await;
    must_find(&month.wrong, "receipts at FDMS");
}

/// A refused receipt that is passed over: a gap.
#[tokio::test]
async fn passing_over_is_found() {
    let house = House::build(worker_with(Planted::Skips)).await;
    let found = suites::a_refused_receipt(&house).await;
    must_find(&found, "not parked");
    must_find(&found, "FDMS has StoredReceipt");
}

/// Two hundred sales while the worker waits: it looks at the ledger twice, not two hundred times.
#[tokio::test]
async fn nudges_cause_no_storm() {
    let house = House::new().await;
    house.sandbox.set_offline(true);
    house.sell(0).await;
    house.settle().await;
    let before = house.submitter().looks();
    house.burst(0, 100).await;
    for _ in 0..100 {
        house.sell(0).await;
    }
    let looks = house.submitter().looks() - before;
    assert!(looks <= 2, "{looks} looks");
    house.sandbox.set_offline(false);
    assert_eq!(suites::ended(&house).await, [""; 0]);
}
