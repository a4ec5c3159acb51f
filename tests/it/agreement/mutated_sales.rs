//! Sales that were changed at random: gateway and sandbox give the same codes.
//!
//! What the gateway issues in spite of the change, the sandbox must take without a mark. What it refuses is
//! put together without asking any rule, signed with the key of a second till of the taxpayer, and submitted:
//! the sandbox must mark it with just the codes that the gateway gave. Sales that the gateway refuses for
//! reasons of its own (words, lengths, precision) are not compared. `MUTATED_SALES` and `MUTATED_SEED` steer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock::{Clock as _, local};
use fdms_sandbox::DeviceSpec;
use fiscal::draft::Draft;
use fiscal::receipt::OriginalRef;
use fiscal::testing::{GenOptions, Issued as Original, Random, random_sale};
use fiscal::{Cents, Currency, Finding, Receipt, ReceiptType};
use serde_json::{Value, json};

use super::mutate::mutate;
use super::random_sales::number_from;
use crate::support::agreement::{Codes, Forger, House, Till, Verdict, fdms_codes};

/// Invoices that notes may refer to.
const ORIGINALS: usize = 30;

/// A taxpayer's two tills: one sells, the other one sends what was refused.
struct Shop {
    till: Till,
    mirror: Till,
    forger: Forger,
    originals: Vec<Original>,
    /// Numbers of originals on which the sandbox has notes that the ledger has not.
    spoilt: BTreeSet<u32>,
    used: Vec<String>,
    sales: u32,
}

/// How it went.
#[derive(Debug, Default)]
struct Tally {
    issued: usize,
    compared: usize,
    /// How often each code was found by both.
    codes: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Shop {
    async fn new(house: &House, number: u32, vat: bool) -> Self {
        let spec = |number| {
            let mut spec = DeviceSpec::new(number);
            if !vat {
                spec.vat_number = None;
                spec.tax_payer_tin = "2000000001".to_owned();
            }
            spec
        };
        let till = house.join(spec(number)).await;
        let mirror = house.join(spec(number + 1)).await;
        let mut shop = Self {
            till,
            mirror,
            forger: Forger::new(),
            originals: Vec::new(),
            spoilt: BTreeSet::new(),
            used: Vec::new(),
            sales: 0,
        };
        // The mirror's day is opened, and its chain begun, by a sale that is good.
        let json = shop.draw(house, &mut Random::new(1)).json;
        let first = house.sell(&shop.mirror, &json, None).await.unwrap();
        house.post_clean(&shop.mirror).await;
        shop.forger = Forger::after(&first);
        shop
    }

    fn draw(&mut self, house: &House, random: &mut Random) -> fiscal::testing::Sale {
        self.sales += 1;
        let currencies = ["USD", "ZWG"].map(|text| Currency::parse(text).unwrap());
        let options = GenOptions {
            device: None,
            invoice_no: &format!("{}/{}", self.till.device, self.sales),
            date: house.ledger().time().local(),
            currencies: &currencies,
            originals: &self.originals,
        };
        random_sale(random, &self.till.taxpayer, &options)
    }

    /// A changed sale; half of them paid as they now come to, so that payments are not wrong each time.
    fn changed(&mut self, house: &House, random: &mut Random) -> Value {
        let drawn = self.draw(house, random);
        let mut sale = mutate(random, &drawn, &self.used);
        if random.chance(60) {
            let date = local(house.clock.wall());
            let receipt = self.forger.compose(&self.mirror, &sale.to_string(), date);
            let total = receipt.total.to_string();
            sale["receiptPayments"] = json!([{"moneyTypeCode": "Card", "paymentAmount": total}]);
        }
        sale
    }

    /// Whether it refers to an original that ledger and sandbox no longer see alike.
    fn is_spoilt(&self, sale: &Value) -> bool {
        let number = sale["creditDebitNote"]["receiptGlobalNo"].as_u64();
        number.is_some_and(|number| self.spoilt.iter().any(|no| u64::from(*no) == number))
    }

    /// Tries a sale on both.
    async fn compare(&mut self, house: &House, sale: &Value, tally: &mut Tally) {
        let json = sale.to_string();
        let key = format!("sale {}", self.sales);
        match house.sell(&self.till, &json, Some(&key)).await {
            Ok(issued) => {
                tally.issued += 1;
                self.used.push(issued.receipt.invoice_no.clone());
                for (_, verdict) in house.post(&self.till).await {
                    if !matches!(&verdict, Verdict::Taken(codes) if codes.is_empty()) {
                        tally.wrong.push(format!("issued, but {verdict:?}: {json}"));
                    }
                }
                let day = issued.fiscal_day_no;
                self.remember(
                    Original::of(&issued.receipt, self.till.device, day),
                    &issued.receipt,
                );
            }
            Err(findings) if is_comparable(&json, &findings) => {
                tally.compared += 1;
                self.submit_refused(house, &json, &findings, tally).await;
            }
            Err(_) => {}
        }
    }

    fn remember(&mut self, as_original: Original, receipt: &Receipt) {
        if receipt.receipt_type == ReceiptType::FiscalInvoice {
            if as_original.remaining > Cents::ZERO {
                self.originals.push(as_original);
            }
            if self.originals.len() > ORIGINALS {
                self.originals.remove(0);
            }
        } else if let Some(original) = self.referred(receipt.credit_debit_note.as_ref()) {
            original.noted(receipt.total);
        }
    }

    fn referred(&mut self, reference: Option<&OriginalRef>) -> Option<&mut Original> {
        let number = reference?.receipt_global_no?;
        let mut originals = self.originals.iter_mut();
        originals.find(|original| original.receipt_global_no == number)
    }

    async fn submit_refused(
        &mut self,
        house: &House,
        json: &str,
        findings: &[Finding],
        tally: &mut Tally,
    ) {
        let wanted = fdms_codes(findings);
        let date = local(house.clock.wall());
        let receipt = self.forger.compose(&self.mirror, json, date);
        let before = self.forger.clone();
        let body = self.forger.sign(&self.mirror, &receipt);
        let verdict = self.mirror.submit(&body).await;
        if let Some(number) = receipt.credit_debit_note.and_then(|r| r.receipt_global_no) {
            self.spoilt.insert(number.get());
            self.originals
                .retain(|original| original.receipt_global_no != number);
        }
        match verdict {
            Verdict::Taken(codes) if alike(&wanted, &codes, &body) => {
                for code in codes {
                    *tally.codes.entry(code).or_default() += 1;
                }
            }
            Verdict::Refused(_) => {
                // More digits than the field holds: the gateway says what is wrong, FDMS takes nothing.
                self.forger = before;
                if !wanted.contains("RCPT048") {
                    tally
                        .wrong
                        .push(format!("{wanted:?} here, {verdict:?} there: {json}"));
                }
            }
            Verdict::Taken(codes) => {
                let why = findings.iter().map(ToString::to_string);
                let why = why.collect::<Vec<_>>().join("; ");
                tally.wrong.push(format!(
                    "{wanted:?} here, {codes:?} there: {why}: {json}\n  {body}"
                ));
            }
        }
    }
}

/// Whether both have found the same. Of a tax that ended before the till joined, GetConfig says nothing
/// (docs/FDMS.md section 2): the gateway knows that it is wrong, but not that it is a VAT as well.
fn alike(here: &Codes, there: &Codes, body: &str) -> bool {
    let more: Vec<&String> = there.symmetric_difference(here).collect();
    let is_ended_vat = more == ["RCPT021"] && here.contains("RCPT025");
    more.is_empty() || (is_ended_vat && body.contains("\"taxPercent\":15,\"taxID\":515"))
}

/// Whether everything was read as it was sent, and all that is wrong are rules of FDMS.
fn is_comparable(json: &str, findings: &[Finding]) -> bool {
    let (_, reading) = Draft::read(json.as_bytes());
    let all_of_fdms = findings
        .iter()
        .all(|finding| finding.code.as_str().starts_with("RCPT"));
    reading.is_empty() && all_of_fdms
}

/// Both judge alike, whatever is wrong.
#[tokio::test]
async fn both_give_the_same_codes() {
    let count = number_from("MUTATED_SALES", 1500);
    let seed = number_from("MUTATED_SEED", 1);
    let mut random = Random::new(seed);
    let house = House::new("2026-05-28T05:00:00Z").await;
    let mut shops = [
        Shop::new(&house, 11, true).await,
        Shop::new(&house, 21, false).await,
    ];
    let mut tally = Tally::default();
    for _ in 0..count {
        house.clock.advance(Duration::from_secs(5));
        for shop in &mut shops {
            let sale = shop.changed(&house, &mut random);
            if !shop.is_spoilt(&sale) {
                shop.compare(&house, &sale, &mut tally).await;
            }
        }
    }
    let Tally {
        issued,
        compared,
        codes,
        wrong,
    } = tally;
    println!("seed {seed}: {issued} issued, {compared} compared: {codes:?}");
    let some: Vec<_> = wrong.iter().take(8).collect();
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} times, {some:#?}",
        wrong.len()
    );
    assert!(codes.len() >= 25, "only {} codes: {codes:?}", codes.len());
    assert!(issued > 100 && compared > 100, "{issued} {compared}");
}
