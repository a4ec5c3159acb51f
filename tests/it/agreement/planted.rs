//! The comparison of [`random_sales`](super::random_sales) can fail: defects planted on the way to FDMS.
//!
//! Random sales are issued by the ledger as ever. One message is then changed by a cent and signed anew with
//! the till's key, so that only its content is wrong; the sandbox must mark just that one.

use std::time::Duration;

use fdms_sandbox::{ClosingError, DeviceSpec};
use fiscal::testing::Random;
use fiscal::{Cents, Receipt, ReceiptGlobalNo, sign, wire};
use fiscald::ledger::stream::{Item, ItemKind};

use super::random_sales::{Seller, disagreements};
use crate::support::agreement::{Codes, Forger, House, Till, Verdict};

const SALES: u32 = 30;

/// Sells, closes the day, and sends it all with some bodies changed on the way; what the comparison finds.
async fn compare(
    tamper: impl Fn(&House, &Till, &Item) -> Option<String>,
) -> (House, Vec<(ReceiptGlobalNo, Verdict)>, Vec<String>) {
    let house = House::new("2026-05-28T05:00:00Z").await;
    let mut seller = Seller::new(&house, vec![DeviceSpec::new(7)]).await;
    house.clock.advance(Duration::from_secs(60));
    let mut random = Random::new(7);
    for _ in 0..SALES {
        seller.sell(&mut random, &house, 1).await;
    }
    let till = &seller.tills[0];
    house.close_day(till).await;
    let mut verdicts = Vec::new();
    while let Some(item) = house.ledger().reader().stream(till.id).unwrap().1 {
        let body = tamper(&house, till, &item).unwrap_or_else(|| item.body.clone());
        let verdict = house.deliver(till, &item, &body).await;
        if let (ItemKind::Receipt(number), Some(verdict)) = (item.kind, verdict) {
            verdicts.push((number, verdict));
        }
    }
    let found = disagreements(&house, &seller);
    (house, verdicts, found)
}

/// Changes the day's last receipt, the one whose hash no other one continues, and signs it anew.
fn last_one(
    house: &House,
    till: &Till,
    item: &Item,
    change: impl Fn(&mut Receipt),
) -> Option<String> {
    let ItemKind::Receipt(number) = item.kind else {
        return None;
    };
    if number.get() != SALES {
        return None;
    }
    let reader = house.ledger().reader();
    let issued = |no| reader.by_number(till.id, no).unwrap().unwrap();
    let before = issued(ReceiptGlobalNo::new(SALES - 1).unwrap());
    let mut receipt = issued(number).receipt;
    change(&mut receipt);
    Some(Forger::after(&before).sign(till, &receipt))
}

/// The codes of the receipts that were marked.
fn marked(verdicts: &[(ReceiptGlobalNo, Verdict)]) -> Vec<(u32, Codes)> {
    let marks = verdicts.iter().map(|(number, verdict)| match verdict {
        Verdict::Taken(codes) => (number.get(), codes.clone()),
        Verdict::Refused(why) => panic!("{number}: {why}"),
    });
    marks.filter(|(_, codes)| !codes.is_empty()).collect()
}

fn last_marked(codes: &[&str]) -> Vec<(u32, Codes)> {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    vec![(SALES, codes)]
}

/// Nothing is found where nothing was planted, also in a receipt signed anew.
#[tokio::test]
async fn untouched_receipts_agree() {
    let (_, verdicts, found) =
        compare(|house, till, item| last_one(house, till, item, |_| ())).await;
    assert_eq!(marked(&verdicts), []);
    assert_eq!(found, Vec::<String>::new());
}

/// A cent more tax.
#[tokio::test]
async fn a_cent_of_tax_is_found() {
    let tax = |receipt: &mut Receipt| receipt.taxes[0].tax_amount += Cents::new(1);
    let (_, verdicts, found) = compare(|house, till, item| last_one(house, till, item, tax)).await;
    assert_eq!(verdicts.len(), SALES as usize);
    let codes: Codes = marked(&verdicts).remove(0).1;
    assert!(codes.contains("RCPT026"), "{codes:?}");
    assert!(!found.is_empty());
}

/// A cent more to pay, and paid.
#[tokio::test]
async fn a_cent_of_the_total_is_found() {
    let total = |receipt: &mut Receipt| {
        receipt.total += Cents::new(1);
        receipt.payments[0].amount += Cents::new(1);
    };
    let (_, verdicts, found) =
        compare(|house, till, item| last_one(house, till, item, total)).await;
    let (_, codes) = marked(&verdicts).remove(0);
    assert!(codes.contains("RCPT038"), "{codes:?}");
    assert!(
        found.iter().any(|what| what.contains("sold for")),
        "{found:?}"
    );
}

/// A changed byte that was not signed anew.
#[tokio::test]
async fn an_unsigned_change_is_found() {
    let (_, verdicts, found) = compare(|_, _, item| {
        let is_last = matches!(item.kind, ItemKind::Receipt(number) if number.get() == SALES);
        let text = format!("\"receiptGlobalNo\":{SALES}");
        let (start, rest) = item.body.split_once("\"hash\":\"").filter(|_| is_last)?;
        assert!(start.contains(&text), "{start}");
        let other = if rest.starts_with('A') { "B" } else { "A" };
        Some(format!("{start}\"hash\":\"{other}{}", &rest[1..]))
    })
    .await;
    assert_eq!(marked(&verdicts), last_marked(&["RCPT020"]));
    assert!(!found.is_empty());
}

/// A counter off by a cent: the day does not close.
#[tokio::test]
async fn a_cent_in_a_counter_is_found() {
    let (house, verdicts, found) = compare(|house, till, item| {
        let ItemKind::Close(no) = item.kind else {
            return None;
        };
        let day = house.ledger().reader().day(till.id, Some(no));
        let day = day.unwrap().unwrap();
        let mut counters = day.totals.counters.clone();
        let (key, _) = counters.non_zero().next()?;
        let key = *key;
        counters.add(key, Cents::new(1));
        let text = sign::day_string(till.device, no, day.opened, &counters);
        let last = fiscal::ReceiptCounter::new(day.receipt_counter);
        Some(wire::close_day_body(no, &counters, &till.sign(&text), last))
    })
    .await;
    assert_eq!(marked(&verdicts), []);
    assert_eq!(found.len(), 1, "{found:?}");
    let day = house.sandbox.days(7).remove(0);
    assert_eq!(day.closing_error, Some(ClosingError::CountersMismatch));
}
