//! What the tills were told, and whether ledger and FDMS agree with it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::sale;
use crate::support::process::{Http, Store};

/// What a till was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    number: String,
    hash: String,
}

/// The tills' side of a session.
#[derive(Default)]
pub(super) struct Book {
    /// Sales that were answered, by key.
    answered: Mutex<BTreeMap<String, Told>>,
    /// Those of them that were not looked for since.
    fresh: Mutex<Vec<String>>,
    /// Sales that were sent and not answered.
    unanswered: Mutex<Vec<String>>,
    next: AtomicU64,
    /// So many sales are on their way.
    pub(super) in_flight: AtomicI64,
    /// The store is gone: nobody sells any more.
    pub(super) ended: AtomicBool,
    /// The power is off: no till hears anything any more.
    pub(super) is_cut: AtomicBool,
}

impl Book {
    /// Sales that were answered.
    pub(super) fn sold(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// Sells something new; false if there was no answer, which is written down.
    pub(super) fn sell_next(&self, http: &mut Http, token: &str) -> bool {
        let key = format!("K{}", self.next.fetch_add(1, Ordering::SeqCst));
        let is_answered = self.sell(http, token, &key);
        if !is_answered {
            self.unanswered.lock().unwrap().push(key);
        }
        is_answered
    }

    /// One sale; false if the daemon died, or the power went, before there was an answer.
    fn sell(&self, http: &mut Http, token: &str, key: &str) -> bool {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = http.post("/v1/receipts", token, &sale(key));
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let Ok(answer) = answer else { return false };
        if self.is_cut.load(Ordering::SeqCst) {
            return false;
        }
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
        let told = Told {
            number: answer.member("receiptGlobalNo"),
            hash: answer.member("hash"),
        };
        self.fresh.lock().unwrap().push(key.to_owned());
        let mut answered = self.answered.lock().unwrap();
        let before = answered.insert(key.to_owned(), told.clone());
        assert!(
            before.is_none_or(|before| before == told),
            "{key} has two receipts"
        );
        true
    }

    /// The tills send again what was not answered.
    pub(super) fn repeat_unanswered(&self, store: &Store) {
        let keys = std::mem::take(&mut *self.unanswered.lock().unwrap());
        let mut http = Http::open(store.address).unwrap();
        for key in keys {
            assert!(self.sell(&mut http, &store.token, &key), "{key}");
        }
    }

    /// The tills send everything again, as a POS may that has lost its own books: each answer is the first one.
    pub(super) fn repeat_everything(&self, store: &Store) {
        let keys: Vec<String> = self.answered.lock().unwrap().keys().cloned().collect();
        let mut http = Http::open(store.address).unwrap();
        for key in keys {
            assert!(self.sell(&mut http, &store.token, &key), "{key}");
        }
    }

    /// Sales that were answered and are not in the ledger as they were told.
    pub(super) fn lost(&self, store: &Store) -> Vec<String> {
        let all = self.answered.lock().unwrap().keys().cloned().collect();
        self.lost_of(store, all)
    }

    /// The same of those that were answered since this was asked last.
    pub(super) fn just_lost(&self, store: &Store) -> Vec<String> {
        let fresh = std::mem::take(&mut *self.fresh.lock().unwrap());
        self.lost_of(store, fresh)
    }

    fn lost_of(&self, store: &Store, keys: Vec<String>) -> Vec<String> {
        let (reader, till) = (store.reader(), store.till().id);
        let answered = self.answered.lock().unwrap();
        let is_there = |key: &str, told: &Told| match reader.by_key(till, key) {
            Ok(Some(found)) => {
                found.receipt.global_no.to_string() == told.number
                    && found.signature.hash.to_string() == told.hash
            }
            Ok(None) | Err(_) => false,
        };
        let told = keys.iter().map(|key| (key, &answered[key]));
        let lost = told.filter(|(key, told)| !is_there(key, told));
        lost.map(|(key, told)| format!("{key}: {told:?}")).collect()
    }

    /// Each sale is in the ledger once, and `more` other receipts are; everything verifies.
    pub(super) fn compare_with_ledger(&self, store: &Store, more: u64) {
        let verified = fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {}).unwrap();
        assert_eq!(
            verified.receipts,
            u64::try_from(self.sold()).unwrap() + more,
            "each sale once, no other receipt"
        );
        assert_eq!(self.lost(store), [""; 0]);
    }

    /// FDMS has each sale once, and `more` other receipts, none with a colour; every day is closed.
    pub(super) fn compare_with_fdms(&self, store: &Store, more: usize) {
        let receipts = store.sandbox.receipts(store.device_id);
        let answered = self.answered.lock().unwrap();
        assert_eq!(receipts.len(), answered.len() + more);
        let mut others = 0;
        for receipt in receipts {
            assert_eq!(
                receipt.validation_errors,
                [],
                "receipt {}",
                receipt.receipt_global_no
            );
            assert!(!receipt.is_grey);
            match answered.get(&receipt.invoice_no) {
                Some(told) => assert_eq!(receipt.hash, told.hash),
                None => others += 1,
            }
        }
        assert_eq!(others, more);
        for day in store.sandbox.days(store.device_id) {
            let closed = fdms_sandbox::DayStatus::FiscalDayClosed;
            assert_eq!(day.status, closed, "day {}", day.fiscal_day_no);
        }
    }
}
