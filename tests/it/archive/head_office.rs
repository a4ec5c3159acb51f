//! Old years of a store that has joined head office: nothing leaves the ledger before head office has it, and every line of
//! it can be sent again out of the archive, whoever has lost it.

use std::time::Duration;

use fiscald::hq::HqView;
use tokio_util::sync::DropGuard;

use super::{YEAR, all, bodies, file, move_year, receipts};
use crate::adoption::Backup;
use crate::hq::{has_all, join_with, joined, run};
use crate::submit::bread;
use crate::support::hq::Hq;
use crate::support::pass::pass_until;
use crate::support::store::House;

const STEP: Duration = Duration::from_secs(10);

/// The last line that the store knows to be at head office.
fn acked(house: &House) -> i64 {
    house.ledger().reader().hq().unwrap().unwrap().acked
}

/// Head office has every line of the ledger, byte for byte, and the store knows it.
async fn arrives(house: &House, hq: &Hq) {
    pass_until(house, STEP, "everything at head office", |house| {
        // In this order: what is acknowledged while the lines are compared is not taken for all of them.
        has_all(house, hq) && hq.lock().lines.last().map(|line| line.0) == Some(acked(house))
    })
    .await;
}

/// Sells some and closes the day; FDMS has it then.
async fn a_day(house: &House) {
    house.sell_many(0, 5).await;
    house.close_day(0).await;
    house.drain().await;
}

/// A store that has joined, with a closed day of which head office has nothing yet.
async fn behind() -> (House, Hq, HqView, DropGuard) {
    let (house, hq) = joined().await;
    let (view, stop) = run(&house);
    arrives(&house, &hq).await;
    hq.lock().away = true;
    a_day(&house).await;
    (house, hq, view, stop)
}

/// A store whose year is in the archive, with head office up to date.
async fn archived() -> (House, Hq, HqView, DropGuard) {
    let (house, hq, view, stop) = behind().await;
    hq.lock().away = false;
    arrives(&house, &hq).await;
    move_year(&house, all).await.unwrap();
    arrives(&house, &hq).await;
    assert_eq!(bodies(&house), 0);
    (house, hq, view, stop)
}

/// Nothing is moved as long as head office lacks a sale, or what FDMS has answered to one; then it is, and every line stays
/// what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_head_office_has() {
    let (house, hq, _view, _stop) = behind().await;
    let refused = async || {
        let why = move_year(&house, all).await.unwrap_err().to_string();
        assert!(why.contains("connect the store to head office"), "{why}");
        assert!(!file(&house).exists());
    };
    refused().await;
    hq.lock().away = false;
    arrives(&house, &hq).await;
    // Head office hears of the next day's sales and of its close, and not of FDMS's answers.
    house.sandbox.set_offline(true);
    house.sell_many(0, 3).await;
    house.close_day(0).await;
    arrives(&house, &hq).await;
    hq.lock().away = true;
    house.sandbox.set_offline(false);
    house.drain().await;
    refused().await;
    hq.lock().away = false;
    arrives(&house, &hq).await;
    assert_eq!(move_year(&house, all).await.unwrap().receipts, 8);
    assert_eq!(bodies(&house), 0);
    // The lines that head office has are still those of the ledger, and those that follow fit onto them.
    arrives(&house, &hq).await;
    house.sell_many(0, 3).await;
    house.drain().await;
    arrives(&house, &hq).await;
    assert_eq!(hq.lock().epochs.len(), 1);
    assert_eq!(receipts(&house).unwrap(), 11);
}

/// Head office was put back from a backup and lacks lines of the year that was moved: they come again out of the archive.
/// Without its file that is said, with the file's name, and goes on when it is there again; selling goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_office_loses_lines_that_are_archived() {
    let (house, hq, view, _stop) = archived().await;
    let kept = |count| {
        let mut kept = hq.lock();
        kept.lines.truncate(count);
        assert_eq!(kept.lines.len(), count);
    };
    kept(3);
    // No note on what is in the archive.
    house.sell_json(0, &bread("1")).await.unwrap();
    arrives(&house, &hq).await;

    let away = file(&house).with_extension("away");
    std::fs::rename(file(&house), &away).unwrap();
    kept(3);
    house.sell_json(0, &bread("2")).await.unwrap();
    pass_until(&house, STEP, "what is missing", |_| {
        let trouble = view.standing().trouble;
        trouble.is_some_and(|trouble| trouble.reason.contains("archive-2026.db"))
    })
    .await;
    assert_eq!(hq.lock().lines.len(), 3);
    assert_eq!(house.ledger().fault(), None);
    house.sell_json(0, &bread("3")).await.unwrap();
    std::fs::rename(&away, file(&house)).unwrap();
    arrives(&house, &hq).await;
    pass_until(&house, STEP, "the end of the trouble", |_| {
        view.standing().trouble.is_none()
    })
    .await;
    assert_eq!(hq.lock().epochs.len(), 1, "it is the same series");
    assert_eq!(receipts(&house).unwrap(), 8);
}

/// The same where the store joins again meanwhile: its new series begins behind the archived part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joined_again_behind_the_archived_part() {
    let (house, hq, _view, stop) = archived().await;
    drop(stop);
    let third = {
        let mut kept = hq.lock();
        kept.lines.truncate(3);
        kept.codes.push("AGAIN".to_owned());
        kept.lines[2].0
    };
    join_with(&house, &hq, "AGAIN").await.unwrap();
    assert_eq!(acked(&house), third);
    let (_view, _stop) = run(&house);
    house.sell(0).await;
    house.drain().await;
    arrives(&house, &hq).await;
    assert_eq!(hq.lock().epochs.len(), 2, "a series of its own");
    assert_eq!(receipts(&house).unwrap(), 6);
}

/// The ledger is put back from before the archive, and from before head office knew of its days: a new series begins behind
/// the archived part. The year is whole in that ledger again, and is moved again once head office has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_back_from_before_the_archive() {
    let (mut house, hq, _view, stop) = behind().await;
    drop(stop);
    let known = acked(&house);
    house.stop().await;
    let backup = Backup::take(&house);
    house.start();
    {
        let (_view, _stop) = run(&house);
        hq.lock().away = false;
        arrives(&house, &hq).await;
        move_year(&house, all).await.unwrap();
        arrives(&house, &hq).await;
    }
    let archive = std::fs::read(file(&house)).unwrap();
    house.stop().await;
    backup.put_back(&house);
    house.start();
    assert_eq!(acked(&house), known);
    assert!(bodies(&house) > 0);
    let text = move_year(&house, all).await.unwrap_err().to_string();
    assert!(text.contains("connect the store to head office"), "{text}");
    assert!(
        std::fs::read(file(&house)).unwrap() == archive,
        "the file of the other ledger is left as it is"
    );
    let (_view, _stop) = run(&house);
    house.drain().await;
    arrives(&house, &hq).await;
    assert_eq!(hq.lock().epochs.len(), 2, "a series of its own");
    let moved = move_year(&house, all).await.unwrap();
    assert_eq!((moved.year, moved.receipts), (YEAR, 5));
    house.sell_many(0, 2).await;
    house.drain().await;
    arrives(&house, &hq).await;
    assert_eq!(house.at_fdms(0).len(), 7);
    assert_eq!(receipts(&house).unwrap(), 7);
}
