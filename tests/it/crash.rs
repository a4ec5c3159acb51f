//! The daemon is killed with SIGKILL at random moments while sales are on their way, or the power goes.
//!
//! After each restart the tills repeat what was not answered, as POS software does. At the end every sale
//! that was answered is in the ledger exactly once, with the number and hash that the till was told;
//! nothing is skipped or doubled, everything verifies, FDMS holds the same receipts without a colour, and
//! the day closes. `scripts/crash` runs many sessions of this; `CRASH_KILLS`, `CRASH_CUTS` and `CRASH_SEED` steer it,
//! and what a session has done is added to the file that `CRASH_REPORT` names.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::{Clock as _, SystemClock};

use crate::support::process::{Http, Store};

mod book;
mod commands;
mod cuts;
mod head_office;
mod points;
mod volume;

use book::Book;

/// Tills' connections that sell at once.
const CONNECTIONS: usize = 8;

#[test]
fn killed_at_random_moments() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4242);
    let mut session = Session::new("kills", wished("CRASH_KILLS", 20));
    while session.goes_on() {
        let is_in_flight = session.sell(&mut store, |store, _| store.kill());
        session.count(is_in_flight);
        session.nothing_is_lost(&store);
    }
    session.finish(&mut store);
}

/// A number from the environment.
fn wished(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A store that sells, and is ended again and again.
struct Session {
    book: Arc<Book>,
    /// What ends it, as the report names it.
    kind: &'static str,
    seed: u64,
    random: u64,
    done: u64,
    of: u64,
    /// The boot clock at its start.
    began: Duration,
}

impl Session {
    fn new(kind: &'static str, of: u64) -> Self {
        let seed = wished("CRASH_SEED", 1);
        println!("seed {seed}, {of} {kind}");
        Self {
            book: Arc::default(),
            kind,
            seed,
            random: seed,
            done: 0,
            of,
            began: SystemClock.boot(),
        }
    }

    fn goes_on(&self) -> bool {
        self.done < self.of
    }

    /// One that comes while nothing is on its way does not count.
    fn count(&mut self, is_in_flight: bool) {
        self.done += u64::from(is_in_flight);
    }

    /// Starts the store, repeats what was not answered, and sells on all connections, until `end` after a moment.
    /// False if no sale was on its way then.
    fn sell(&mut self, store: &mut Store, end: impl FnOnce(&mut Store, &Book)) -> bool {
        store.start();
        self.book.repeat_unanswered(store);
        let pause = pause(&mut self.random);
        sell_until(store, &self.book, pause, end)
    }

    /// Each sale that was answered before this end is there; now and then all are looked for, and everything is verified.
    fn nothing_is_lost(&self, store: &Store) {
        let lost = self.book.just_lost(store);
        assert!(lost.is_empty(), "seed {}: {lost:?}", self.seed);
        if self.done.is_multiple_of(VERIFY_EVERY) {
            assert_eq!(self.book.lost(store), [""; 0], "seed {}", self.seed);
            let verified = fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {});
            verified.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        }
    }

    /// The tills repeat what is open, the day closes, FDMS has everything.
    fn finish(&self, store: &mut Store) {
        store.start();
        self.book.repeat_unanswered(store);
        self.book.compare_with_ledger(store, 0);
        let mut http = Http::open(store.address).unwrap();
        let closed = http.post("/v1/days/close", &store.token, "").unwrap();
        assert_eq!(closed.status / 100, 2, "{}", closed.body);
        store.drain();
        self.book.compare_with_fdms(store, 0);
        report(self.kind, self.seed, self.done, self.book.sold());
        let took = SystemClock.boot() - self.began;
        println!(
            "{} {}, {} sales, {} s",
            self.done,
            self.kind,
            self.book.sold(),
            took.as_secs()
        );
    }
}

/// After so many ends the whole ledger is verified; it always is at the end of a session.
const VERIFY_EVERY: u64 = 10;

/// Adds a line of JSON to the report, where one is wished for.
fn report(kind: &str, seed: u64, done: u64, sales: usize) {
    let Some(path) = std::env::var_os("CRASH_REPORT") else {
        return;
    };
    let line =
        format!("{{\"kind\":\"{kind}\",\"seed\":{seed},\"done\":{done},\"sales\":{sales}}}\n");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    // One write: several sessions may append at once.
    file.write_all(line.as_bytes()).unwrap();
}

/// A pause of 2 to 60 ms, drawn from the seed: the random moment of the end.
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

/// Sells on all connections until `end` is called, after `pause`, while a sale is on its way. False if none was.
fn sell_until(
    store: &mut Store,
    book: &Arc<Book>,
    pause: Duration,
    end: impl FnOnce(&mut Store, &Book),
) -> bool {
    book.ended.store(false, Ordering::SeqCst);
    let sellers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (book, token) = (Arc::clone(book), store.token.clone());
            // Before the thread: on a loaded machine it may begin after the end.
            let mut http = Http::open(store.address).unwrap();
            std::thread::spawn(move || {
                while !book.ended.load(Ordering::SeqCst) {
                    if !book.sell_next(&mut http, &token) {
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
    end(store, book);
    book.ended.store(true, Ordering::SeqCst);
    for seller in sellers {
        seller.join().unwrap();
    }
    is_in_flight
}
