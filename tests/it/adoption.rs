//! A ledger that is not alone: an old copy that comes back, a device that was used elsewhere.
//!
//! Whatever happened, no number is used twice, and what FDMS has goes on unbroken.

use std::path::{Path, PathBuf};

use fiscal::ReceiptGlobalNo;
use fiscal::draft::Draft;
use fiscald::join::{self, JoinError};
use fiscald::keys::{Certificate, Imported};
use fiscald::ledger::adoption::{AdoptedDay, Adoption};
use fiscald::ledger::holds::HoldKind;
use fiscald::ledger::stream::Item;
use fiscald::ledger::{Ledger, LedgerError, Refusal, Sale, SaleDone, TillId, verify};
use fiscald::submit::desk::DeskError;
use fiscald::submit::reconcile::adoption_from;

use crate::support::store::{GLANCE, House};

/// The ledger as it was at some time, and back in its place: the daemon is down.
pub(crate) struct Backup(PathBuf);

impl Backup {
    pub(crate) fn take(house: &House) -> Self {
        let copy = house.path().with_extension("backup");
        std::fs::copy(house.path(), &copy).unwrap();
        Self(copy)
    }

    pub(crate) fn put_back(&self, house: &House) {
        let ledger = house.path();
        for ending in ["db-wal", "db-shm"] {
            // They are there or not, as SQLite left them.
            let _ = std::fs::remove_file(ledger.with_extension(ending));
        }
        std::fs::remove_file(&ledger).unwrap();
        std::fs::copy(&self.0, &ledger).unwrap();
    }
}

fn verified(path: &Path) {
    verify::verify(path, &mut |_, _| {}).unwrap_or_else(|error| panic!("{error}"));
}

fn hold(house: &House) -> Option<HoldKind> {
    let hold = house.ledger().reader().hold(house.till(0).id).unwrap();
    hold.map(|hold| hold.kind)
}

/// What a sale is refused with.
async fn refused(house: &House) -> HoldKind {
    let json = house.draw(0);
    match house.sell_json(0, &json).await {
        Err(LedgerError::Refused(Refusal::Held { kind, .. })) => kind,
        other => panic!("{other:?}"),
    }
}

/// Sells three, keeps a copy, sells `more`, and puts the copy back; everything is sent each time.
pub(crate) async fn put_back(more: usize) -> House {
    let mut house = House::new().await;
    house.sell_many(0, 3).await;
    house.drain().await;
    house.stop().await;
    let backup = Backup::take(&house);
    house.start();
    house.sell_many(0, more).await;
    house.drain().await;
    house.stop().await;
    backup.put_back(&house);
    house
}

/// An old copy sells nothing before FDMS is asked; FDMS is ahead, and the till stands still until a person has
/// decided. Then it goes on from FDMS's numbers, and everything it issues is taken without a mark.
#[tokio::test]
async fn an_old_copy_stands_still_and_goes_on_from_fdms() {
    let mut house = put_back(2).await;
    house.sandbox.set_offline(true);
    house.start();
    assert_eq!(refused(&house).await, HoldKind::Unchecked);
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(hold(&house), Some(HoldKind::Ahead));
    assert_eq!(refused(&house).await, HoldKind::Ahead);
    let parked = house.stream(0).0.parked.expect("nothing is sent either");
    assert_eq!((parked.code.as_str(), parked.probing), ("ahead", false));

    // Trying again changes nothing as long as nothing has changed.
    house.retry(0).await;
    house.drain().await;
    assert_eq!(hold(&house), Some(HoldKind::Ahead));

    let till = house.till(0);
    let status = house.submitter().fdms_status(till.id).await.unwrap();
    let own = house
        .ledger()
        .write(move |core| core.last_numbers(till.id))
        .await
        .unwrap();
    let why = adoption_from(&status, own, None).unwrap_err();
    assert!(why.contains("is open at FDMS"), "{why}");
    assert!(house.sandbox.close_by_hand(till.number()));
    let status = house.submitter().fdms_status(till.id).await.unwrap();
    let to = adoption_from(&status, own, None).unwrap();
    let id = till.id;
    house
        .ledger()
        .write(move |core| core.adopt(id, &to, "test"))
        .await
        .unwrap();
    assert_eq!(hold(&house), None);
    let issued = house.sell(0).await;
    assert_eq!(issued.receipt.global_no, ReceiptGlobalNo::new(6).unwrap());
    house.sell_many(0, 3).await;
    house.close_day(0).await;
    house.drain().await;
    let stored = house.at_fdms(0);
    let numbers: Vec<i32> = stored
        .iter()
        .map(|receipt| receipt.receipt_global_no)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(
        stored
            .iter()
            .all(|receipt| receipt.validation_errors.is_empty()),
        "{stored:?}"
    );
    assert_eq!(house.sandbox.summary(till.number()).repeated, 0);
    house.stop().await;
    verified(&house.path());
}

/// A copy that FDMS is not ahead of sells as soon as FDMS has answered, or a person vouches for it.
#[tokio::test]
async fn a_copy_that_is_up_to_date_sells_on() {
    let mut house = put_back(0).await;
    house.sandbox.set_offline(true);
    house.start();
    assert_eq!(refused(&house).await, HoldKind::Unchecked);
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(hold(&house), None);
    house.sell_many(0, 2).await;
    house.drain().await;
    assert_eq!(house.disagreements(), [""; 0]);

    // Once more, without a line.
    house.stop().await;
    let backup = Backup::take(&house);
    backup.put_back(&house);
    house.sandbox.set_offline(true);
    house.start();
    assert_eq!(refused(&house).await, HoldKind::Unchecked);
    let id = house.till(0).id;
    house
        .ledger()
        .write(move |core| core.confirm_till(id, "test"))
        .await
        .unwrap();
    house.sell_many(0, 2).await;
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(house.disagreements(), [""; 0]);
    house.stop().await;
    verified(&house.path());
}

/// An ordinary restart holds nobody up, line or not.
#[tokio::test]
async fn a_restart_is_no_copy() {
    let mut house = House::new().await;
    house.sell(0).await;
    house.sandbox.set_offline(true);
    house.stop().await;
    house.start();
    house.sell(0).await;
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(house.disagreements(), [""; 0]);
}

/// What lies beside the ledger betrays an older ledger even in the same file.
#[tokio::test]
async fn numbers_beside_the_ledger_betray_an_older_one() {
    let mut house = House::new().await;
    house.sell_many(0, 3).await;
    house.drain().await;
    house.stop().await;
    let backup = Backup::take(&house);
    house.start();
    house.sell(0).await;
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    house.ledger().keep_epoch(&house.path(), stop).await;
    house.stop().await;
    // Into the very same file: inode and birth stay.
    std::fs::copy(&backup.0, house.path()).unwrap();
    house.sandbox.set_offline(true);
    house.start();
    assert_eq!(refused(&house).await, HoldKind::Unchecked);
    let hold = house
        .ledger()
        .reader()
        .hold(house.till(0).id)
        .unwrap()
        .unwrap();
    assert!(hold.reason.contains("had come to 4"), "{}", hold.reason);
}

/// The key and certificate of the house's till, as its former software would hand them over.
async fn identity(house: &House) -> Imported {
    let id = house.till(0).id;
    let identity = house.ledger().write(move |core| core.identity(id)).await;
    let (key, pem) = identity.unwrap().unwrap();
    Imported {
        certificate: Certificate::from_pem(&pem).unwrap(),
        key,
    }
}

/// A sale that refers to nothing of the former ledger.
fn invoice(house: &House) -> Draft {
    loop {
        let json = house.draw(0).replacen("\"S", "\"NEW-S", 1);
        let (draft, _) = Draft::read(json.as_bytes());
        if draft.credit_debit_note.is_none() {
            return draft;
        }
    }
}

async fn sell_in(house: &House, ledger: &Ledger, till: TillId, draft: Draft) -> u32 {
    let sale = Sale::new((till, house.till(0).device), draft, None, "test".into());
    match ledger.issue(sale).await {
        Ok(SaleDone::Issued(issued)) => issued.receipt.global_no.get(),
        other => panic!("{other:?}"),
    }
}

/// A device of other software is taken over between two days: its certificate is imported, FDMS's numbers are adopted.
#[tokio::test]
async fn taken_over_between_days() {
    let house = House::new().await;
    house.sell_many(0, 4).await;
    house.close_day(0).await;
    house.drain().await;
    let ledger = house.another_ledger();
    let new_till = house.new_till(house.till(0).number());
    let stranger = house.new_till(999);
    let error = join::import(
        &ledger,
        &house.access(),
        &stranger,
        identity(&house).await,
        "test",
    )
    .await;
    assert!(
        matches!(error, Err(JoinError::OthersCertificate { .. })),
        "{error:?}"
    );
    let joined = join::import(
        &ledger,
        &house.access(),
        &new_till,
        identity(&house).await,
        "test",
    )
    .await
    .unwrap();
    assert!(joined.foreign_past.is_some());
    let till = joined.till;
    let hold = ledger.reader().hold(till).unwrap().unwrap();
    assert_eq!(hold.kind, HoldKind::Ahead);
    let own = ledger
        .write(move |core| core.last_numbers(till))
        .await
        .unwrap();
    let to = adoption_from(&joined.status.unwrap(), own, None).unwrap();
    ledger
        .write(move |core| core.adopt(till, &to, "test"))
        .await
        .unwrap();
    assert_eq!(sell_in(&house, &ledger, till, invoice(&house)).await, 5);
    let (_, head) = ledger.reader().stream(till).unwrap();
    assert!(head.is_some_and(|item| item.kind.to_string() == "opening of day 2"));
    let path = house.path().with_file_name("another.db");
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
    verified(&path);
}

/// Within a day it takes the day's opening, counters and the last hash: then the next receipt continues the chain, and
/// the close is the device's own.
#[tokio::test]
async fn taken_over_within_a_day() {
    let mut house = House::new().await;
    house.sell_many(0, 4).await;
    house.drain().await;
    let reader = house.ledger().reader().clone();
    let till = house.till(0);
    let day = house.day(0).unwrap();
    let last = reader
        .by_number(till.id, ReceiptGlobalNo::new(4).unwrap())
        .unwrap()
        .unwrap();
    let ledger = house.another_ledger();
    let new_till = house.new_till(till.number());
    let joined = join::import(
        &ledger,
        &house.access(),
        &new_till,
        identity(&house).await,
        "test",
    )
    .await
    .unwrap();
    let draft = invoice(&house);
    house.stop().await;
    let to = Adoption {
        last_day_no: fiscal::FiscalDayNo::ZERO,
        last_global_no: last.receipt.global_no,
        last_date: Some(last.receipt.date),
        day: Some(AdoptedDay {
            opened: day.opened,
            last_counter: last.receipt.counter,
            last_hash: Some(last.signature.hash),
            totals: day.totals,
        }),
    };
    let id = joined.till;
    ledger
        .write(move |core| core.adopt(id, &to, "test"))
        .await
        .unwrap();
    house.advance(std::time::Duration::from_secs(60));
    assert_eq!(sell_in(&house, &ledger, id, draft).await, 5);
    ledger
        .write(move |core| core.close_day(id, "test"))
        .await
        .unwrap();
    let fdms = join_line(&house, &ledger).await;
    loop {
        let (_, head) = ledger.reader().stream(id).unwrap();
        let Some(item) = head else { break };
        fdms.send(&house, &ledger, id, item).await;
    }
    let stored = house.at_fdms(0);
    assert_eq!(stored.len(), 5);
    assert!(
        stored
            .iter()
            .all(|receipt| receipt.validation_errors.is_empty()),
        "{stored:?}"
    );
    assert_eq!(house.open_days_at_fdms(0), [""; 0], "closed by the device");
    let path = house.path().with_file_name("another.db");
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
    verified(&path);
}

/// A worker of its own for the other ledger.
struct Sender {
    submitter: fiscald::submit::Submitter,
    _stop: tokio_util::sync::DropGuard,
}

async fn join_line(house: &House, ledger: &Ledger) -> Sender {
    use std::sync::Arc;
    let submitter = fiscald::submit::Submitter::new(Arc::new(|| 7));
    let stop = tokio_util::sync::CancellationToken::new();
    let connector = Arc::new(fiscald::submit::LedgerConnector::new(
        ledger.clone(),
        house.access(),
    ));
    let (runs, told, its_ledger) = (submitter.clone(), stop.clone(), ledger.clone());
    tokio::spawn(async move { runs.run(its_ledger, connector, told).await });
    Sender {
        submitter,
        _stop: stop.drop_guard(),
    }
}

impl Sender {
    /// Waits until the item is sent.
    async fn send(&self, house: &House, ledger: &Ledger, till: TillId, item: Item) {
        let mut committed = ledger.committed();
        loop {
            committed.mark_unchanged();
            let (state, head) = ledger.reader().stream(till).unwrap();
            assert_eq!(state.parked, None, "{:?}", self.submitter.state(till));
            if head.is_none_or(|head| head.seq != item.seq) {
                return;
            }
            // Dates and pauses come with time; what is under way needs none.
            if tokio::time::timeout(GLANCE, committed.changed())
                .await
                .is_err()
            {
                house.advance(std::time::Duration::from_secs(1));
            }
        }
    }
}

/// A till is retired once everything of it has reached FDMS, and sells no more.
#[tokio::test]
async fn retired_once_everything_is_sent() {
    let house = House::new().await;
    house.sell(0).await;
    let id = house.till(0).id;
    let retire = || {
        house
            .ledger()
            .write(move |core| core.retire_till(id, "", "test"))
    };
    assert!(matches!(
        retire().await,
        Err(LedgerError::Refused(Refusal::DayOpen { .. }))
    ));
    house.close_day(0).await;
    let error = retire().await.unwrap_err().to_string();
    assert!(error.contains("has not sent everything"), "{error}");
    house.drain().await;
    retire().await.unwrap();
    assert_eq!(refused(&house).await, HoldKind::Retired);
    let status = house.submitter().fdms_status(id).await;
    assert!(!matches!(status, Err(DeskError::NoLine(_))), "{status:?}");
}
