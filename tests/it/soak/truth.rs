//! Whether ledger and FDMS hold what the tills were told; in sentences.

use fiscald::ledger::TillInfo;
use fiscald::ledger::verify::verify;

use super::till::Book;
use crate::support::compare::not_closed;
use crate::support::process::Store;

/// Everything that is not as the tills were told, or that FDMS has marked or not closed. Empty is what is wanted.
pub(super) fn disagreements(store: &Store, books: &[Book]) -> Vec<String> {
    let told: u64 = books.iter().map(|book| book.told.len() as u64).sum();
    let mut wrong = Vec::new();
    match verify(&store.ledger(), &mut |_, _| {}) {
        Ok(verified) if verified.receipts == told => {}
        Ok(verified) => wrong.push(format!(
            "{} receipts are in the ledger, {told} sales were answered",
            verified.receipts
        )),
        Err(error) => wrong.push(format!("the ledger is not sound: {error}")),
    }
    let tills = store.reader().tills().unwrap();
    for (till, book) in tills.iter().zip(books) {
        assert_eq!(
            till.device_id.get(),
            book.device,
            "the tills are in their order"
        );
        wrong.extend(in_ledger(store, till, book));
        wrong.extend(at_fdms(store, book));
    }
    wrong.extend(store.sandbox.schema_violations());
    wrong
}

fn in_ledger(store: &Store, till: &TillInfo, book: &Book) -> Vec<String> {
    let reader = store.reader();
    let is_there = |key: &str| {
        let told = &book.told[key];
        reader.by_key(till.id, key).unwrap().is_some_and(|found| {
            found.receipt.global_no.to_string() == told.number
                && found.signature.hash.to_string() == told.hash
        })
    };
    let lost = book.told.keys().filter(|key| !is_there(key));
    lost.map(|key| format!("{key} is not in the ledger as it was told"))
        .collect()
}

fn at_fdms(store: &Store, book: &Book) -> Vec<String> {
    let device = book.device;
    let stored = store.sandbox.receipts(device);
    let mut wrong = Vec::new();
    if stored.len() != book.told.len() {
        wrong.push(format!(
            "{device}: FDMS has {} receipts, {} were told",
            stored.len(),
            book.told.len()
        ));
    }
    for (theirs, number) in stored.iter().zip(1..) {
        let told = book.told.get(&theirs.invoice_no);
        let is_same = theirs.receipt_global_no == number
            && told
                .is_some_and(|told| told.number == number.to_string() && told.hash == theirs.hash);
        let is_marked = !theirs.validation_errors.is_empty() || theirs.is_grey;
        if !is_same || is_marked || theirs.server_date < theirs.receipt_date {
            wrong.push(format!("{device}: FDMS has {theirs:?} for {told:?}"));
        }
    }
    let open = not_closed(&store.sandbox.days(device)).into_iter();
    wrong.extend(open.map(|day| format!("{device}: {day}")));
    wrong
}
