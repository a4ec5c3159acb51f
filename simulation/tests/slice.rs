//! A slice of the simulation, and that it can fail: each kind of defect is planted and found.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot be set up may end"
)]

use std::sync::LazyLock;

use fiscald::ledger::core::Planted as InLedger;
use fiscald::submit::Planted as InWorker;
use simulation::disk::Unsynced;
use simulation::script::{Script, Step};
use simulation::shrink::shrink;
use simulation::weather::Weather;
use simulation::{Defect, Done, Ended, Keys, run};
use sync_agent::Planted as InAgent;

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::generate().unwrap());

fn lived(seed: u64, sales: u64, defect: Defect) -> (Script, Ended) {
    let script = Script::draw(seed, sales);
    let ended = run(&script, &KEYS, defect).unwrap();
    (script, ended)
}

/// Some seeds hold, sell nearly everything that is asked for, and meet what there is to meet.
#[test]
fn a_slice_holds() {
    let mut all = Done::default();
    for seed in 1..=8 {
        let (script, ended) = lived(seed, 150, Defect::None);
        if ended.broken.is_some() {
            let story = shrink(&script, ended, &KEYS, Defect::None, 100).unwrap();
            panic!("{story}\nagain: scripts/simulate --seed {seed} --sales 150");
        }
        all += ended.done;
    }
    assert_eq!(all.sales, 8 * 150, "{all:?}");
    let met = [
        all.repeated,
        all.refused,
        all.failed,
        all.acts,
        all.crashes,
        all.hurt,
    ];
    assert!(!met.contains(&0), "{all:?}");
}

/// A script by hand.
fn holds(steps: &[Step]) {
    let script = Script {
        seed: 1,
        steps: (1..).zip(steps.iter().copied()).collect(),
    };
    let ended = run(&script, &KEYS, Defect::None).unwrap();
    assert_eq!(ended.broken, None);
}

/// A sync fails, the gateway is killed, sells on, and the power goes: a log with a hole in it would lose what was sold
/// behind the hole.
#[test]
fn a_failed_sync_a_kill_and_a_power_cut_lose_nothing() {
    let sell = Step::Sell {
        till: 0,
        sales: 3,
        pause: 1,
    };
    let cut = Step::PowerCut {
        syncs: 0,
        is_synced: false,
        fate: Unsynced::Lost,
        reboots: true,
        off_seconds: 5,
    };
    holds(&[
        sell,
        Step::SyncFails { is_killed: true },
        sell,
        sell,
        cut,
        sell,
    ]);
}

/// The line is away at the start, comes back, and is lost again before a till has sold anything: its worker waits for
/// the line, and does not look again and again because it had been back.
#[test]
fn a_line_that_comes_and_goes_makes_no_worker_spin() {
    let sell = |till| Step::Sell {
        till,
        sales: 3,
        pause: 15,
    };
    holds(&[
        Step::Line(Weather::Away),
        Step::Restart,
        Step::Wait { seconds: 120 },
        Step::Line(Weather::Fair),
        Step::Wait { seconds: 120 },
        Step::Line(Weather::Away),
        sell(1),
        Step::Wait { seconds: 120 },
        sell(0),
        Step::Wait { seconds: 60 },
        Step::Line(Weather::Fair),
        sell(0),
    ]);
}

/// FDMS has lost a receipt of a day that is to be closed, and the line is bad while the gap is filled: it is filled when
/// the line is good again.
#[test]
fn a_gap_is_filled_over_a_bad_line() {
    let sell = Step::Sell {
        till: 2,
        sales: 25,
        pause: 3,
    };
    holds(&[
        sell,
        Step::Wait { seconds: 120 },
        Step::LoseReceipt { till: 2 },
        Step::Line(Weather::Lossy),
        Step::CloseDay { till: 2 },
        Step::Wait { seconds: 1200 },
    ]);
}

/// A seed replays exactly.
#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 21..=23 {
        let (_, mut once) = lived(seed, 120, Defect::None);
        let (_, mut again) = lived(seed, 120, Defect::None);
        // What lies on a page depends on the length of signatures, which no seed decides.
        (once.done.bad_pages, again.done.bad_pages) = (0, 0);
        assert_eq!(once, again, "seed {seed}");
    }
}

/// Some seed of a few finds the defect; what is said of it has one of these words.
fn is_found(defect: Defect, words: &[&str]) {
    let mut said = Vec::new();
    for seed in 1..=40 {
        let (_, ended) = lived(seed, 150, defect);
        if let Some((_, what)) = ended.broken {
            if words.iter().any(|word| what.contains(word)) {
                return;
            }
            said.push(what);
        }
    }
    panic!("{defect:?} is not found, but: {said:#?}");
}

/// A commit that is answered before it is on the disk.
#[test]
fn a_lost_answer_is_found() {
    is_found(
        Defect::Ledger(InLedger::AnsweredEarly),
        &["was answered, and the ledger ends at", "not in the ledger"],
    );
}

/// A key that is forgotten: the same sale twice.
#[test]
fn a_doubled_sale_is_found() {
    is_found(
        Defect::Ledger(InLedger::KeyForgotten),
        &[
            "now as a new one",
            "a valid sale is refused",
            "without a reason",
        ],
    );
}

/// A number that is given out twice.
#[test]
fn a_doubled_number_is_found() {
    is_found(
        Defect::Ledger(InLedger::NumberTwice),
        &["was given to", "given out before", "without a reason"],
    );
}

/// A number that is left out.
#[test]
fn a_skipped_number_is_found() {
    is_found(
        Defect::Ledger(InLedger::NumberSkipped),
        &["was never given out", "but only"],
    );
}

/// A hash that does not cover the one before.
#[test]
fn a_broken_chain_is_found() {
    is_found(
        Defect::Ledger(InLedger::ChainBroken),
        &["marked", "does not verify", "come together"],
    );
}

/// Receipts that feed no counters.
#[test]
fn wrong_counters_are_found() {
    is_found(
        Defect::Ledger(InLedger::CountersForgotten),
        &["come together", "not closed", "counted anew"],
    );
}

/// Dates that do not rise.
#[test]
fn dates_that_do_not_rise_are_found() {
    is_found(
        Defect::Ledger(InLedger::DateNotRising),
        &["marked", "without a reason", "come together"],
    );
}

/// Receipts that are sent before those before them.
#[test]
fn sending_out_of_order_is_found() {
    is_found(
        Defect::Worker(InWorker::OutOfOrder),
        &["FDMS hears of receipt"],
    );
}

/// A close that is sent before the day's receipts.
#[test]
fn a_close_before_its_receipts_is_found() {
    is_found(Defect::Worker(InWorker::ClosesEarly), &["FDMS shall close"]);
}

/// A queue that stands still, and nobody is told.
#[test]
fn a_silent_queue_is_found() {
    is_found(Defect::Worker(InWorker::ParksSilently), &["not parked"]);
}

/// What FDMS refuses is passed over.
#[test]
fn a_passed_over_receipt_is_found() {
    is_found(
        Defect::Worker(InWorker::Skips),
        &["FDMS", "marked", "come together"],
    );
}

/// A doubt that is taken for a yes.
#[test]
fn trust_in_a_lost_answer_is_found() {
    is_found(
        Defect::Worker(InWorker::Trusts),
        &["FDMS", "marked", "come together"],
    );
}

/// Receipts that FDMS sees before their date.
#[test]
fn sending_too_early_is_found() {
    is_found(
        Defect::Worker(InWorker::TooEarly),
        &["marked", "come together"],
    );
}

/// What was sent to head office counts as kept there.
#[test]
fn an_early_acknowledgement_is_found() {
    is_found(
        Defect::Agent(InAgent::SentIsAcknowledged),
        &[
            "count as acknowledged",
            "come together",
            "head office holds",
        ],
    );
}

/// Head office takes a batch twice.
#[test]
fn a_doubled_batch_is_found() {
    is_found(
        Defect::OfficeDoubles,
        &["head office holds", "come together"],
    );
}

/// A failure is told in a few steps, and the story alone fails again.
#[test]
fn a_story_is_short() {
    let defect = Defect::Ledger(InLedger::AnsweredEarly);
    for seed in 1..=40 {
        let (script, ended) = lived(seed, 150, defect);
        if ended.broken.is_none() {
            continue;
        }
        let story = shrink(&script, ended, &KEYS, defect, 200).unwrap();
        let text = story.to_string();
        assert!(story.script.steps.len() * 3 <= story.of, "{text}");
        assert!(
            text.contains("steps are enough") && text.contains("sales"),
            "{text}"
        );
        let again = run(&story.script, &KEYS, defect).unwrap();
        assert_eq!(again.broken, story.ended.broken, "{text}");
        return;
    }
    panic!("no seed finds it");
}
