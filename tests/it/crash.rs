//! The daemon is killed with SIGKILL at random moments while sales are on their way.
//!
//! After each restart the tills repeat what was not answered, as POS software does. At the end every sale
//! that was answered is in the ledger exactly once, with the number and hash that the till was told;
//! nothing is skipped or doubled, everything verifies, FDMS holds the same receipts without a colour, and
//! the day closes. `scripts/crash` runs many sessions of this; `CRASH_KILLS` and `CRASH_SEED` steer it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::{Clock as _, SystemClock};

use crate::support::process::{Http, Store};

/// Tills' connections that sell at once.
const CONNECTIONS: usize = 8;

/// What a till was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    number: String,
    hash: String,
}

#[derive(Default)]
struct Book {
    /// Sales that were answered, by key.
    answered: Mutex<BTreeMap<String, Told>>,
    /// Sales that were sent and not answered.
    unanswered: Mutex<Vec<String>>,
    next: AtomicU64,
    in_flight: AtomicI64,
    killed: AtomicBool,
}

#[test]
fn killed_at_random_moments() {
    let read = |name: &str| std::env::var(name).ok();
    let kills: u32 = read("CRASH_KILLS").map_or(20, |text| text.parse().unwrap());
    let seed: u64 = read("CRASH_SEED").map_or(1, |text| text.parse().unwrap());
    println!("seed {seed}, {kills} kills");
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4242);
    let book = Arc::new(Book::default());
    let mut random = seed;
    let mut killed = 0;
    while killed < kills {
        store.start();
        repeat_unanswered(&store, &book);
        if sell_until_killed(&mut store, &book, pause(&mut random)) {
            killed += 1;
        }
        let verified = fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {}).unwrap();
        let answered = book.answered.lock().unwrap().len() as u64;
        assert!(
            verified.receipts >= answered,
            "seed {seed}: an answered sale is lost"
        );
    }
    store.start();
    repeat_unanswered(&store, &book);
    compare_with_ledger(&store, &book);
    let mut http = Http::open(store.address).unwrap();
    let closed = http.post("/v1/days/close", &store.token, "").unwrap();
    assert_eq!(closed.status / 100, 2, "{}", closed.body);
    store.drain();
    compare_with_fdms(&store, &book);
    println!(
        "{killed} kills, {} sales",
        book.answered.lock().unwrap().len()
    );
}

/// A pause of 2 to 60 ms, drawn from the seed: the random moment of the kill.
fn pause(random: &mut u64) -> Duration {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    Duration::from_micros(2_000 + (*random >> 33) % 58_000)
}

pub(crate) fn sale(key: &str) -> String {
    format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{key}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":2.40}}]}}"#
    )
}

/// Sells on all connections, and kills the daemon after `pause` while a sale is on its way. False if none
/// was: such a kill does not count.
fn sell_until_killed(store: &mut Store, book: &Arc<Book>, pause: Duration) -> bool {
    book.killed.store(false, Ordering::SeqCst);
    let sellers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (book, token) = (Arc::clone(book), store.token.clone());
            // Before the thread: on a loaded machine it may begin after the kill.
            let mut http = Http::open(store.address).unwrap();
            std::thread::spawn(move || {
                while !book.killed.load(Ordering::SeqCst) {
                    let key = format!("K{}", book.next.fetch_add(1, Ordering::SeqCst));
                    if !sell(&mut http, &book, &token, &key) {
                        book.unanswered.lock().unwrap().push(key);
                        return;
                    }
                }
            })
        })
        .collect();
    let start = SystemClock.boot();
    while SystemClock.boot() - start < pause {
        // Time passes, so that receipts come due and are sent meanwhile.
        store.clock.advance(Duration::from_millis(500));
    }
    while book.in_flight.load(Ordering::SeqCst) == 0 && SystemClock.boot() - start < pause * 10 {
        std::hint::spin_loop();
    }
    let is_in_flight = book.in_flight.load(Ordering::SeqCst) > 0;
    store.kill();
    book.killed.store(true, Ordering::SeqCst);
    for seller in sellers {
        seller.join().unwrap();
    }
    is_in_flight
}

/// One sale; false if the daemon died before it answered.
fn sell(http: &mut Http, book: &Book, token: &str, key: &str) -> bool {
    book.in_flight.fetch_add(1, Ordering::SeqCst);
    let answer = http.post("/v1/receipts", token, &sale(key));
    book.in_flight.fetch_sub(1, Ordering::SeqCst);
    let Ok(answer) = answer else { return false };
    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    let told = Told {
        number: answer.member("receiptGlobalNo"),
        hash: answer.member("hash"),
    };
    let before = book
        .answered
        .lock()
        .unwrap()
        .insert(key.to_owned(), told.clone());
    assert!(
        before.is_none_or(|before| before == told),
        "{key} has two receipts"
    );
    true
}

fn repeat_unanswered(store: &Store, book: &Book) {
    let keys = std::mem::take(&mut *book.unanswered.lock().unwrap());
    let mut http = Http::open(store.address).unwrap();
    for key in keys {
        assert!(sell(&mut http, book, &store.token, &key));
    }
}

fn compare_with_ledger(store: &Store, book: &Book) {
    let (reader, till) = (store.reader(), store.till().id);
    let answered = book.answered.lock().unwrap();
    let verified = fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {}).unwrap();
    assert_eq!(
        verified.receipts,
        answered.len() as u64,
        "each sale once, no other receipt"
    );
    for (key, told) in answered.iter() {
        let found = reader
            .by_key(till, key)
            .unwrap()
            .expect("an answered sale is there");
        assert_eq!(found.receipt.global_no.to_string(), told.number);
        assert_eq!(found.signature.hash.to_string(), told.hash);
    }
}

fn compare_with_fdms(store: &Store, book: &Book) {
    let receipts = store.sandbox.receipts(store.device_id);
    let answered = book.answered.lock().unwrap();
    assert_eq!(receipts.len(), answered.len());
    for receipt in receipts {
        assert_eq!(
            receipt.validation_errors,
            [],
            "receipt {}",
            receipt.receipt_global_no
        );
        assert!(!receipt.is_grey);
        assert_eq!(receipt.hash, answered[&receipt.invoice_no].hash);
    }
    for day in store.sandbox.days(store.device_id) {
        let closed = fdms_sandbox::DayStatus::FiscalDayClosed;
        assert_eq!(day.status, closed, "day {}", day.fiscal_day_no);
    }
}
