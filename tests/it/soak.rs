//! A supermarket's day at high speed: memory, handles and latency stay flat, and all is true at the end.
//!
//! The gateway is a process of its own, its tills keep a connection each, and the line to FDMS is a bad one. The long run is
//! `scripts/soak`, which steers it with `SOAK_…`; what it measures is judged by `judge`.

use std::path::{Path, PathBuf};

use fdms_sandbox::FaultKind;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

mod floor;
mod gauge;
mod judge;
mod plot;
mod run;
mod shop;
mod till;
mod truth;

use judge::{SHORTEST, Verdict, judge};
use run::{Outcome, live};
use shop::Wanted;
use till::Book;
use truth::disagreements;

use crate::support::process::Store;

/// What must have happened, or nothing was tried.
fn must_have_happened(outcome: &Outcome) {
    let happened = [
        outcome.receipts,
        outcome.notes,
        outcome.repeats,
        outcome.hit(|kind| *kind == FaultKind::LoseRequest),
        outcome.hit(|kind| *kind == FaultKind::LoseAnswer),
        outcome.hit(|kind| matches!(kind, FaultKind::Status { .. })),
    ];
    assert!(!happened.contains(&0), "{outcome:?}");
}

/// Four tills from the morning to midnight in half a minute: all is true, and no handle is left. Times are nothing to test here.
#[test]
fn a_short_day() {
    let wanted = Wanted {
        seed: 1,
        hours: 18,
        day_s: 40,
        tills: 4,
        sales: 300,
        rounds: 1,
    };
    let dir = tempfile::tempdir().unwrap();
    let (outcome, store, books) = live(&wanted, dir.path(), &ProgressBar::hidden());
    assert_eq!(outcome.wrong, [""; 0]);
    // Each till closed its day at night, and the one after it at the end.
    assert_eq!(outcome.days, 2 * wanted.tills);
    assert_eq!(outcome.hours.len(), 18);
    let counted: u64 = outcome.hours.iter().map(|hour| hour.receipts).sum();
    assert_eq!(counted, outcome.receipts);
    must_have_happened(&outcome);
    differences_are_found(&store, &books);
}

/// What would be wrong is found: what a till was told is bent in every way that matters.
fn differences_are_found(store: &Store, books: &[Book]) {
    let bend: [fn(&mut Book); 4] = [
        |book| drop(book.told.pop_first()),
        |book| {
            let told = book.told.first_key_value().unwrap().1.clone();
            book.told.insert("never".to_owned(), told);
        },
        |book| book.told.first_entry().unwrap().get_mut().hash.push('x'),
        |book| book.told.first_entry().unwrap().get_mut().number.push('0'),
    ];
    for (no, bend) in bend.iter().enumerate() {
        let mut bent = books.to_vec();
        bend(&mut bent[1]);
        assert_ne!(disagreements(store, &bent), [""; 0], "{no}");
    }
}

/// What a long run tells; the script adds commit, date, machine and command.
#[derive(Serialize)]
struct Told<'a> {
    /// Whether every rule is held and nothing is wrong.
    is_flat: bool,
    judgement: &'a [Verdict],
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// A number that the script gives.
fn given(name: &str, otherwise: u64) -> u64 {
    text(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A day or more of many tills. Its figures count of a build that is optimised, on a machine that does little else.
#[test]
#[ignore = "half an hour: scripts/soak runs it"]
fn the_long_soak() {
    let wanted = Wanted {
        seed: given("SOAK_SEED", 1),
        hours: given("SOAK_HOURS", 24),
        day_s: given("SOAK_DAY", 1500),
        tills: usize::try_from(given("SOAK_TILLS", 20)).unwrap(),
        sales: given("SOAK_SALES", 20_000),
        rounds: 10,
    };
    let shortest = SHORTEST as u64;
    assert!(wanted.hours >= shortest, "{shortest} hours at least");
    let style = "{elapsed_precise} {bar:24} {percent} %, {eta} left; {msg}";
    let bar = ProgressBar::new(wanted.hours * 60);
    bar.set_style(ProgressStyle::with_template(style).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (outcome, ..) = live(&wanted, dir.path(), &bar);
    bar.finish_and_clear();
    let judgement = judge(&outcome.hours);
    let is_held = judgement.iter().all(|verdict| verdict.is_held);
    let is_flat = is_held && outcome.wrong.is_empty();
    let told = Told {
        is_flat,
        judgement: &judgement,
        outcome: &outcome,
    };
    let folder = text("SOAK_FOLDER").map_or_else(|| dir.path().to_owned(), PathBuf::from);
    keep(&told, &folder);
    tell(&outcome, &judgement);
    must_have_happened(&outcome);
    assert!(is_flat, "something is wrong, or not flat");
}

/// Keeps figures and pictures.
fn keep(told: &Told, folder: &Path) {
    let json = serde_json::to_string_pretty(told).unwrap();
    std::fs::write(folder.join("figures.json"), json + "\n").unwrap();
    plot::draw(&told.outcome.hours, folder);
}

fn tell(outcome: &Outcome, judgement: &[Verdict]) {
    for wrong in outcome.wrong.iter().take(20) {
        println!("soak: {wrong}");
    }
    for verdict in judgement {
        let Verdict {
            figure,
            first,
            last,
            is,
            at_most,
            is_held,
        } = verdict;
        let held = if *is_held { "held  " } else { "MISSED" };
        println!(
            "soak: {held} {figure:<14} first quarter {first}, last {last}; {is}, at most {at_most}"
        );
    }
    let cpu = outcome
        .hours
        .iter()
        .map(|hour| hour.cpu_us_per_receipt * hour.receipts);
    let receipts = outcome.receipts;
    println!(
        "soak: {receipts} receipts, {} of them notes, {} sent again, {} fiscal days; {} bytes and {} µs of processor time \
         a receipt; {} answers of FDMS lost, {} answered 5xx; handles before {:?}, after {:?}. {} s",
        outcome.notes,
        outcome.repeats,
        outcome.days,
        outcome.bytes_per_receipt,
        cpu.sum::<u64>() / receipts.max(1),
        outcome.hit(|kind| *kind == FaultKind::LoseAnswer),
        outcome.hit(|kind| matches!(kind, FaultKind::Status { .. })),
        outcome.before,
        outcome.after,
        outcome.seconds,
    );
}
