//! Random valid sales of all kinds: every one accepted by the gateway and unmarked at the sandbox.
//!
//! Three tills of a VAT payer and one of somebody without a VAT number sell over several fiscal days and
//! across a new year that brings another VAT; invoices, and notes on any earlier invoice of their taxpayer.
//! The submit worker sends it all over mutual TLS. Totals and taxes must be those that the generator worked
//! out by itself, and every day must close on the authority's own counters. `AGREEMENT_SALES` and
//! `AGREEMENT_SEED` steer it. That a cent too much is noticed is shown by [`planted`](super::planted).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use fdms_sandbox::{DeviceSpec, ReconciliationMode};
use fiscal::receipt::ReceiptType;
use fiscal::testing::{
    GenOptions, Issued as Original, Random, Sale as Drawn, SaleTax, random_sale,
};
use fiscal::{Cents, Currency, Receipt};
use fiscald::submit::{Doing, LedgerConnector, Submitter};
use futures_util::future::{join_all, select_all};
use tokio_util::sync::CancellationToken;

use crate::support::agreement::{House, Till};

/// Sales of one till that are posted at once.
const BURST: usize = 64;
/// Invoices that notes may refer to, of one taxpayer: a random choice of all.
const ORIGINALS: usize = 400;
const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: [&str; 0] = [];
/// How long anything may take in real time; only a defect takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn number_from(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The sales of one taxpayer's tills.
pub(super) struct Seller {
    pub(super) tills: Vec<Till>,
    originals: Vec<Original>,
    /// Totals in cents by till and number, as the generator worked them out.
    expected: BTreeMap<(u32, u32), i64>,
    sold: usize,
}

impl Seller {
    pub(super) async fn new(house: &House, specs: Vec<DeviceSpec>) -> Self {
        let mut tills = Vec::new();
        for spec in specs {
            tills.push(house.join(spec).await);
        }
        Self {
            tills,
            originals: Vec::new(),
            expected: BTreeMap::new(),
            sold: 0,
        }
    }

    fn draw(&mut self, random: &mut Random, house: &House, place: usize) -> Drawn {
        let till = &self.tills[place];
        let currencies = ["USD", "ZWG", "ZAR"].map(|text| Currency::parse(text).unwrap());
        self.sold += 1;
        let device = random.chance(50).then_some(till.device);
        let drawn = random_sale(
            random,
            &till.taxpayer,
            &GenOptions {
                device,
                invoice_no: &format!("{}/{}", till.device, self.sold),
                date: house.ledger().time().local(),
                currencies: &currencies,
                originals: &self.originals,
            },
        );
        if let Some(original) = drawn.original {
            self.originals[original].noted(Cents::new(drawn.total));
        }
        drawn
    }

    /// Draws sales for every till and posts them all at the same moment.
    pub(super) async fn sell(&mut self, random: &mut Random, house: &House, each: usize) {
        let mut sales = Vec::new();
        for place in 0..self.tills.len() {
            for _ in 0..each {
                sales.push((place, self.draw(random, house, place)));
            }
        }
        let selling = sales.iter().map(|(place, drawn)| async {
            let sold = house.sell(&self.tills[*place], &drawn.json, None).await;
            sold.unwrap_or_else(|findings| panic!("{findings:?}: {}", drawn.json))
        });
        let issued = join_all(selling).await;
        for ((place, drawn), issued) in sales.iter().zip(&issued) {
            must_be_as_drawn(&issued.receipt, drawn);
            let till = &self.tills[*place];
            let number = (till.device.get(), issued.receipt.global_no.get());
            self.expected.insert(number, drawn.total);
            if drawn.receipt_type == ReceiptType::FiscalInvoice {
                let day = issued.fiscal_day_no;
                let original = Original::of(&issued.receipt, till.device, day);
                self.remember(random, original);
            }
        }
    }

    fn remember(&mut self, random: &mut Random, original: Original) {
        if self.originals.len() < ORIGINALS {
            self.originals.push(original);
        } else {
            let place = random.below(ORIGINALS as u64);
            self.originals[usize::try_from(place).unwrap()] = original;
        }
    }
}

fn must_be_as_drawn(receipt: &Receipt, drawn: &Drawn) {
    let taxes: Vec<SaleTax> = receipt
        .taxes
        .iter()
        .map(|row| SaleTax {
            id: row.tax.id.get(),
            code: row.tax.code.clone(),
            percent: row.tax.percent.map(|percent| percent.hundredths()),
            amount: row.tax_amount.get(),
            with_tax: row.sales_amount_with_tax.get(),
        })
        .collect();
    let ours = (receipt.total.get(), receipt.currency, taxes);
    let theirs = (drawn.total, drawn.currency, drawn.taxes.clone());
    assert_eq!(ours, theirs, "{}", drawn.json);
}

/// The submit workers of the house, until dropped.
struct Sending {
    submitter: Submitter,
    stop: CancellationToken,
}

impl Sending {
    fn start(house: &House) -> Self {
        let submitter = Submitter::new(Arc::new(|| 7));
        let stop = CancellationToken::new();
        let ledger = house.ledger().clone();
        let connector = Arc::new(LedgerConnector::new(ledger.clone(), house.access()));
        let (runs, told) = (submitter.clone(), stop.clone());
        tokio::spawn(async move { runs.run(ledger, connector, told).await });
        Self { submitter, stop }
    }

    /// Waits until everything is sent, letting time pass whenever all workers wait for it.
    async fn drain(&self, house: &House) {
        let tills = house.ledger().reader().tills().unwrap();
        let waiting = async {
            loop {
                let watched = tills.iter().map(|till| self.submitter.watch(till.id));
                let mut watched: Vec<_> = watched.collect();
                let now = house.ledger().time().now();
                let mut wakes: Vec<Option<Timestamp>> = Vec::new();
                for till in &tills {
                    let (_, head) = house.ledger().reader().stream(till.id).unwrap();
                    let link = self.submitter.state(till.id).unwrap_or_default();
                    match link.doing {
                        Doing::Idle if head.is_none() => {}
                        Doing::Waiting { until } if until > now => wakes.push(Some(until)),
                        Doing::Parked { .. } => panic!("{}: {link:?} {head:?}", till.device_id),
                        _ => wakes.push(None),
                    }
                }
                if wakes.is_empty() {
                    return;
                }
                // Nobody is at work: the next thing to happen is that the first one wakes.
                if let Some(wakes) = wakes.into_iter().collect::<Option<Vec<_>>>() {
                    let wake = wakes.into_iter().min().unwrap();
                    let pause = Duration::try_from(wake.duration_since(now)).unwrap();
                    house.clock.advance(pause);
                    continue;
                }
                let changes = watched.iter_mut().map(|link| Box::pin(link.changed()));
                select_all(changes).await.0.unwrap();
            }
        };
        let drained = tokio::time::timeout(PATIENCE, waiting).await;
        drained.expect("everything is sent");
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What the sandbox has otherwise than it was sold, or has marked, and days that have not closed; in
/// sentences.
pub(super) fn disagreements(house: &House, seller: &Seller) -> Vec<String> {
    let mut found = Vec::new();
    for till in &seller.tills {
        let device = till.device.get();
        let sold = seller.expected.iter().filter(|((of, _), _)| *of == device);
        let mut sold: BTreeMap<u32, i64> = sold.map(|((_, no), total)| (*no, *total)).collect();
        for receipt in house.sandbox.receipts(device) {
            let number = u32::try_from(receipt.receipt_global_no).unwrap();
            let total = i64::try_from(receipt.receipt_total.cents()).unwrap();
            let sold_for = sold.remove(&number);
            if sold_for != Some(total) {
                found.push(format!(
                    "{device}/{number}: {total} at FDMS, sold for {sold_for:?}"
                ));
            }
            let marks = &receipt.validation_errors;
            if !marks.is_empty() {
                found.push(format!("{device}/{number}: {marks:?} {}", receipt.raw));
            }
        }
        found.extend(
            sold.keys()
                .map(|number| format!("{device}/{number} is not at FDMS")),
        );
        let days = house.sandbox.days(device).into_iter();
        let open = days.filter(|day| day.reconciliation_mode != Some(ReconciliationMode::Auto));
        found.extend(open.map(|day| format!("{device}: {day:?}")));
    }
    found
}

/// Ten thousand sales.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_sales_are_taken_without_a_mark() {
    let wanted = usize::try_from(number_from("AGREEMENT_SALES", 10_000)).unwrap();
    let seed = number_from("AGREEMENT_SEED", 1);
    let mut random = Random::new(seed);
    // In Zimbabwe it is the 29th, seven in the morning.
    let house = House::new("2025-12-29T05:00:00Z").await;
    let vat = (1..=3).map(DeviceSpec::new).collect();
    let without = DeviceSpec {
        vat_number: None,
        tax_payer_tin: "2000000001".to_owned(),
        ..DeviceSpec::new(4)
    };
    let mut sellers = [
        Seller::new(&house, vat).await,
        Seller::new(&house, vec![without]).await,
    ];
    let sending = Sending::start(&house);
    let tills = sellers
        .iter()
        .map(|seller| seller.tills.len())
        .sum::<usize>();
    let rounds = wanted.div_ceil(tills * BURST);
    // Six days, the new year's night among them; some are closed by hand, others by the next day's sale.
    let rounds_a_day = rounds.div_ceil(6).max(1);
    for round in 0..rounds {
        for seller in &mut sellers {
            seller.sell(&mut random, &house, BURST).await;
        }
        if (round + 1) % rounds_a_day == 0 {
            house.clock.advance(HOUR);
            for till in sellers.iter().flat_map(|seller| &seller.tills) {
                if random.chance(50) {
                    house.close_day(till).await;
                }
            }
            sending.drain(&house).await;
            house.clock.advance(24 * HOUR);
        } else {
            // Sending goes on beside the next sales, up to their dates.
            house.clock.advance(Duration::from_secs(random.below(300)));
        }
    }
    for till in sellers.iter().flat_map(|seller| &seller.tills) {
        let open = house.ledger().reader().day(till.id, None).unwrap();
        if open.is_some_and(|day| day.close.is_none()) {
            house.close_day(till).await;
        }
    }
    sending.drain(&house).await;
    for seller in &sellers {
        assert_eq!(disagreements(&house, seller), NOTHING, "seed {seed}");
        must_be_of_all_kinds(&house, seller);
    }
    let sold: usize = sellers.iter().map(|seller| seller.expected.len()).sum();
    assert!(sold >= wanted, "{sold} sold, {wanted} wanted");
}

fn must_be_of_all_kinds(house: &House, seller: &Seller) {
    for till in &seller.tills {
        let device = till.device.get();
        let days = house.sandbox.days(device).len();
        assert!(days >= 5, "{device}: {days} days");
        let raw: Vec<String> = house
            .sandbox
            .receipts(device)
            .into_iter()
            .map(|r| r.raw)
            .collect();
        for part in [
            "\"FiscalInvoice\"",
            "\"CreditNote\"",
            "\"DebitNote\"",
            "\"receiptLinesTaxInclusive\":true",
            "\"receiptLinesTaxInclusive\":false",
            "\"Discount\"",
            "\"buyerTIN\"",
            "\"USD\"",
            "\"ZWG\"",
            "\"MobileWallet\"",
        ] {
            let count = raw.iter().filter(|raw| raw.contains(part)).count();
            assert!(count > 20, "{device}: {part} only {count} times");
        }
    }
}
