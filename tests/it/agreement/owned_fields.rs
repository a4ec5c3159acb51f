//! What the gateway owns, nobody can get wrong: counters, numbers, dates, chain and signature.
//!
//! Shops live through random days: the POS sends numbers, dates and signatures of its own, sales of every
//! kind, some of them broken; the store's clock goes on, leaps, is set back, the daemon restarts, the machine
//! reboots into another time, FDMS or a technician corrects the time, days are opened and closed by hand or
//! not at all. Every receipt that leaves the ledger is submitted when its date has come by the authority's
//! clock, and none may be marked. `OWNED_LIVES` and `OWNED_SEED` steer it. That each of the seven codes
//! would be found is shown with a chain that is numbered, dated or signed wrongly.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::{Clock as _, TestClock, Timestamp, local};
use fdms_sandbox::DeviceSpec;
use fiscal::testing::{GenOptions, Issued as Original, Random, random_sale};
use fiscal::{Currency, Receipt, ReceiptType};
use fiscald::ledger::{LedgerError, Refusal};
use jiff::{SignedDuration, ToSpan as _};
use serde_json::{Value, json};

use super::mutate::mutate;
use super::random_sales::number_from;
use super::{invoice, with};
use crate::support::agreement::{Codes, Forger, House, Till, Verdict};

const START: &str = "2026-05-28T05:00:00Z";
/// What happens in a life.
const STEPS: u32 = 80;
const HOUR: i64 = 3600;

/// A till and what its notes may refer to.
struct Life {
    till: Till,
    originals: Vec<Original>,
    used: Vec<String>,
    sales: u32,
    /// How often each thing happened.
    tally: BTreeMap<&'static str, u32>,
    /// Receipts that were marked or not taken.
    wrong: Vec<String>,
}

impl Life {
    async fn new(house: &House, number: u32) -> Self {
        let mut spec = DeviceSpec::new(number);
        spec.tax_payer_tin = format!("2{number:09}");
        Self {
            till: house.join(spec).await,
            originals: Vec::new(),
            used: Vec::new(),
            sales: 0,
            tally: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    async fn step(&mut self, house: &mut House, random: &mut Random) {
        match random.below(100) {
            0..50 => {
                for _ in 0..random.between(1, 6) {
                    self.sell(house, random).await;
                }
            }
            50..65 => {
                let pauses = [1, 59, 600, 5 * HOUR, 23 * HOUR, 30 * HOUR];
                let pause = *random.pick(&pauses).unwrap();
                house
                    .clock
                    .advance(Duration::from_secs(pause.unsigned_abs()));
                self.count("time passed");
            }
            65..75 => {
                house.clock.set_wall(elsewhere(random, house.clock.wall()));
                self.count("clock set");
            }
            75..82 => {
                let reboots = random.chance(60);
                let wall = elsewhere(random, house.clock.wall());
                house
                    .restart(|clock| {
                        if reboots {
                            clock.reboot();
                            clock.set_wall(wall);
                        }
                    })
                    .await;
                self.count(if reboots { "reboot" } else { "restart" });
            }
            82..87 => {
                let time = house.ledger().time();
                if random.chance(50) {
                    time.learn(house.fdms_clock.wall(), Duration::from_millis(80));
                } else {
                    time.confirm_wall();
                }
                self.count("time corrected");
            }
            87..92 => self.open_or_close(house).await,
            _ => self.post(house).await,
        }
    }

    /// A sale of any kind with fields that are not the POS's.
    async fn sell(&mut self, house: &House, random: &mut Random) {
        self.sales += 1;
        let currencies = ["USD", "ZWG"].map(|text| Currency::parse(text).unwrap());
        let invoice_no = format!("{}/{}", self.till.device, self.sales);
        let options = GenOptions {
            device: None,
            invoice_no: &invoice_no,
            // The date that the receipt will have, so that a note's original is not too old.
            date: self.next_date(house),
            currencies: &currencies,
            originals: &self.originals,
        };
        let drawn = random_sale(random, &self.till.taxpayer, &options);
        let mut sale: Value = serde_json::from_str(&drawn.json).unwrap();
        if random.chance(20) {
            sale = mutate(random, &drawn, &self.used);
        }
        if random.chance(50) {
            self.own_up(house, random, &mut sale);
        }
        let key = format!("sale {}", self.sales);
        let before = house.ledger().reader().last_receipt(self.till.id).unwrap();
        match house.sell(&self.till, &sale.to_string(), Some(&key)).await {
            Ok(issued) => {
                self.count("issued");
                self.used.push(issued.receipt.invoice_no.clone());
                self.remember(&issued.receipt, issued.fiscal_day_no);
            }
            Err(_) => {
                self.count("refused");
                let after = house.ledger().reader().last_receipt(self.till.id).unwrap();
                assert_eq!(after, before, "numbered: {sale}");
            }
        }
    }

    fn next_date(&self, house: &House) -> fiscal::DateTime {
        let (_, last) = house.ledger().reader().last_receipt(self.till.id).unwrap();
        let now = house.ledger().time().local();
        last.map_or(now, |last| now.max(last))
    }

    fn remember(&mut self, receipt: &Receipt, day: fiscal::FiscalDayNo) {
        if receipt.receipt_type == ReceiptType::FiscalInvoice {
            self.originals
                .push(Original::of(receipt, self.till.device, day));
            return;
        }
        let number = receipt.credit_debit_note.as_ref();
        let number = number.and_then(|reference| reference.receipt_global_no);
        let mut originals = self.originals.iter_mut();
        if let Some(original) = originals.find(|o| Some(o.receipt_global_no) == number) {
            original.noted(receipt.total);
        }
    }

    /// Puts numbers, dates and signatures in, right or wrong.
    fn own_up(&mut self, house: &House, random: &mut Random, sale: &mut Value) {
        let reader = house.ledger().reader();
        let (last, _) = reader.last_receipt(self.till.id).unwrap();
        let date = self.next_date(house);
        let off = SignedDuration::from_secs(random.between(-3 * HOUR, 3 * HOUR));
        let dates = [
            date,
            date.saturating_add(1.second()),
            date.saturating_add(off),
        ];
        if random.chance(40) {
            sale["receiptGlobalNo"] = (i64::from(last.get()) + random.between(-1, 2))
                .max(0)
                .into();
        }
        if random.chance(40) {
            sale["receiptCounter"] = random.between(0, 9).into();
        }
        if random.chance(40) {
            sale["receiptDate"] = random.pick(&dates).unwrap().to_string().into();
        }
        if random.chance(30) {
            sale["receiptDeviceSignature"] = json!({"hash": "AAAA", "signature": "BBBB"});
        }
    }

    async fn open_or_close(&mut self, house: &House) {
        let id = self.till.id;
        let done = house
            .ledger()
            .write(move |core| match core.close_day(id, "test") {
                Err(LedgerError::Refused(Refusal::DayNotOpen { .. })) => {
                    core.open_day(id, "test").map(|_| "day opened")
                }
                done => done.map(|_| "day closed"),
            });
        let done = done.await.unwrap();
        self.count(done);
    }

    async fn post(&mut self, house: &House) {
        for (number, verdict) in house.post(&self.till).await {
            self.count("posted");
            if verdict != Verdict::Taken(Codes::new()) {
                let device = self.till.device;
                self.wrong
                    .push(format!("{device} receipt {number}: {verdict:?}"));
            }
        }
    }
}

/// Where somebody may set a clock to.
fn elsewhere(random: &mut Random, wall: Timestamp) -> Timestamp {
    let hours = *random.pick(&[-50, -25, -1, 0, 1, 6, 24, 30, 60]).unwrap();
    let seconds = random.between(-90, 90);
    wall + SignedDuration::from_hours(hours) + SignedDuration::from_secs(seconds)
}

/// Whatever POS and clocks do, no receipt is marked.
#[tokio::test]
async fn no_input_and_no_clock_breaks_the_chain() {
    let lives = u32::try_from(number_from("OWNED_LIVES", 12)).unwrap();
    let seed = number_from("OWNED_SEED", 1);
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    for life in 0..lives {
        let mut random = Random::new(seed * 1000 + u64::from(life));
        let start: Timestamp = START.parse().unwrap();
        let mut house = House::with_clocks(TestClock::new(start), TestClock::new(start)).await;
        let mut life = Life::new(&house, 60 + life).await;
        for _ in 0..STEPS {
            life.step(&mut house, &mut random).await;
        }
        // The last day is closed, and FDMS agrees with it.
        let day = house.ledger().reader().day(life.till.id, None).unwrap();
        if day.is_some_and(|day| day.close.is_none()) {
            life.open_or_close(&house).await;
        }
        life.post(&house).await;
        for (what, count) in life.tally {
            *tally.entry(what).or_default() += count;
        }
        wrong.extend(life.wrong);
    }
    println!("seed {seed}: {tally:?}");
    assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    assert_eq!(tally.get("posted"), tally.get("issued"), "{tally:?}");
    assert_eq!(tally.len(), 10, "something never happened: {tally:?}");
}

/// A receipt that continues a till's first one wrongly.
struct Wrong {
    code: &'static str,
    /// How much later than the first one.
    after: Duration,
    /// Changes the receipt; the first one, and the chain it is signed in.
    change: fn(&mut Receipt, &Receipt, &mut Forger),
}

fn wrongs() -> [Wrong; 8] {
    let wrong = |code, change| Wrong {
        code,
        after: Duration::from_secs(60),
        change,
    };
    [
        wrong("", |_, _, _| ()),
        wrong("RCPT011", |receipt, _, _| {
            receipt.counter = receipt.counter.next();
        }),
        wrong("RCPT012", |receipt, first, forger| {
            receipt.global_no = first.global_no;
            receipt.counter = first.counter;
            forger.previous = None;
        }),
        wrong("RCPT014", |receipt, _, _| {
            receipt.date = receipt.date.saturating_sub(1.day());
        }),
        wrong("RCPT020", |_, _, forger| forger.previous = None),
        wrong("RCPT030", |receipt, first, _| receipt.date = first.date),
        wrong("RCPT031", |receipt, _, _| {
            receipt.date = receipt.date.saturating_add(1.second());
        }),
        Wrong {
            after: Duration::from_secs(25 * 3600),
            ..wrong("RCPT041", |_, _, _| ())
        },
    ]
}

/// The sandbox marks what the gateway must never send, and nothing where nothing is wrong.
#[tokio::test]
async fn a_wrong_chain_is_marked() {
    let house = House::new(START).await;
    for (number, wrong) in (90..).zip(wrongs()) {
        let mut spec = DeviceSpec::new(number);
        spec.tax_payer_tin = format!("2{number:09}");
        let till = house.join(spec).await;
        house.clock.advance(Duration::from_secs(60));
        let named = |name: &str| {
            let invoice_no = format!("{number}-{name}");
            with(invoice(), json!({ "invoiceNo": invoice_no })).to_string()
        };
        let first = house.sell(&till, &named("first"), None).await.unwrap();
        house.post_clean(&till).await;

        house.clock.advance(wrong.after);
        let mut forger = Forger::after(&first);
        let mut receipt = forger.compose(&till, &named("next"), local(house.clock.wall()));
        (wrong.change)(&mut receipt, &first.receipt, &mut forger);
        let body = forger.sign(&till, &receipt);
        let Verdict::Taken(codes) = till.submit(&body).await else {
            panic!("{}: not taken: {body}", wrong.code);
        };
        let is_marked = codes.contains(wrong.code);
        assert!(
            is_marked || (wrong.code.is_empty() && codes.is_empty()),
            "{}: {codes:?} {body}",
            wrong.code
        );
    }
}
