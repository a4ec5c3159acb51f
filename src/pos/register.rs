//! The fiscal printer that old POS software drives: its receipts are signed by the ledger, its papers come out of our
//! printer, its open receipt lies in the ledger between two commands.

use std::sync::Arc;

use drivers::job::Condition;
use drivers::register::{
    Closed, DateTime, Identity, Kept, Kind, MoneyType, OpenReceipt, Refusal, RefusalClass,
    Register, Report, Rules, TaxRate, Totals,
};
use fiscal::counters::{By, CounterType, DayTotals};
use fiscal::paper::Block;
use fiscal::taxpayer::Taxpayer;
use fiscal::{ReceiptGlobalNo, TaxId};
use rust_decimal::Decimal;

use super::{Counter, letters, sale};
use crate::ledger::printing::NewPrint;
use crate::ledger::{Issued, LedgerError, TillInfo};
use crate::paper;

/// A register over the ledger.
pub(super) struct LedgerRegister {
    counter: Counter,
    rules: Arc<Rules>,
}

type Done<T> = Result<T, Refusal>;

/// What the ledger's error is to the software at the other end. A fault of the storage may be asked again.
fn refused(error: LedgerError) -> Refusal {
    match error {
        LedgerError::Refused(refusal) => Refusal::not_allowed(refusal.to_string()),
        LedgerError::Storage(error) => Refusal::new(RefusalClass::Store, error.to_string()),
    }
}

impl LedgerRegister {
    pub(super) fn new(counter: Counter, rules: Arc<Rules>) -> Self {
        Self { counter, rules }
    }

    fn taxpayer(&self, till: &TillInfo) -> Done<Arc<Taxpayer>> {
        let found = self
            .counter
            .ledger
            .reader()
            .taxpayer(till.id)
            .map_err(refused)?;
        found.ok_or_else(|| Refusal::not_allowed("the configuration of the till is missing"))
    }

    fn till(&self) -> Done<TillInfo> {
        self.counter.selling().map_err(refused)
    }

    /// Queues a paper under a key, once.
    fn queue(&self, job: NewPrint) -> Done<()> {
        let queued = self
            .counter
            .ledger
            .write_blocking(move |core| core.queue_prints(&[job]));
        queued.map_err(refused)?;
        self.counter.printers.ring(&self.counter.setup.printer);
        Ok(())
    }

    fn blocks(&self, till: &TillInfo, blocks: &[Block], key: &str) -> NewPrint {
        let printer = &self.counter.setup.printer;
        NewPrint {
            key: Some(self.key(key)),
            ..NewPrint::blocks(printer, Some(till.id), blocks)
        }
    }

    /// Keys of different ports are different.
    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.counter.actor)
    }

    fn last(&self, till: &TillInfo) -> Done<Option<Issued>> {
        let reader = self.counter.ledger.reader();
        let (number, _) = reader.last_receipt(till.id).map_err(refused)?;
        reader.by_number(till.id, number).map_err(refused)
    }

    /// A storno names its original by the number that the close of it told, which is FDMS's; the note wants the
    /// shop's. Two tills of a switch may both have that number: then nobody can know which is meant.
    fn original(&self, till: &TillInfo, receipt: &OpenReceipt) -> Done<Option<String>> {
        let Kind::Storno(storno) = &receipt.kind else {
            return Ok(None);
        };
        let number = storno.document.trim().parse().ok();
        let Some(number) = number.and_then(ReceiptGlobalNo::new) else {
            return Ok(None);
        };
        let reader = self.counter.ledger.reader();
        let mut found = Vec::new();
        let other = Some(self.counter.till.id).filter(|own| *own != till.id);
        for id in [Some(till.id), other].into_iter().flatten() {
            found.extend(reader.by_number(id, number).map_err(refused)?);
        }
        match found.as_slice() {
            [] => Err(Refusal::not_allowed(format!(
                "there is no receipt {number} on this till to take back"
            ))),
            [one] => Ok(Some(one.receipt.invoice_no.clone())),
            _ => Err(Refusal::not_allowed(format!(
                "two tills have a receipt {number}: credit it over the API"
            ))),
        }
    }

    fn sign(&self, receipt: &OpenReceipt, key: &str) -> Done<Issued> {
        let till = self.till()?;
        let original = self.original(&till, receipt)?;
        let setup = &self.counter.setup;
        let draft = sale::registered(receipt, setup, &self.rules, original.as_deref());
        let draft = draft.map_err(|reasons| Refusal::syntax(reasons.join("; ")))?;
        let sold = self.counter.sell(&till, draft, self.key(key));
        sold.map_err(refused)?.map_err(|reasons| {
            tracing::warn!(
                port = setup.name,
                reasons = reasons.len(),
                "a receipt was refused"
            );
            Refusal::not_allowed(reasons.join("; "))
        })
    }

    fn closed(issued: &Issued) -> Closed {
        let proof = paper::proof(issued);
        let number = u64::from(issued.receipt.global_no.get());
        Closed {
            all: number,
            fiscal: number,
            qr: proof.qr_content,
            verification: fiscal::qr::grouped(&proof.verification_code),
        }
    }
}

impl Register for LedgerRegister {
    fn kept(&mut self) -> Done<Option<Kept>> {
        let kept = self
            .counter
            .ledger
            .reader()
            .register(&self.counter.setup.name);
        let Some(json) = kept.map_err(refused)? else {
            return Ok(None);
        };
        let kept = serde_json::from_str(&json);
        kept.map(Some).map_err(|error| {
            Refusal::new(
                RefusalClass::Store,
                format!("what was kept cannot be read: {error}"),
            )
        })
    }

    fn keep(&mut self, kept: &Kept) -> Done<()> {
        let port = self.counter.setup.name.clone();
        let json = serde_json::to_string(kept)
            .map_err(|error| Refusal::new(RefusalClass::Store, error.to_string()))?;
        let written = self
            .counter
            .ledger
            .write_blocking(move |core| core.keep_register(&port, &json));
        written.map_err(refused)
    }

    fn close(&mut self, receipt: &OpenReceipt, key: &str) -> Done<Closed> {
        // Signed before, and cut off: whatever has changed in the configuration since, that receipt it is.
        let issued = match self.counter.known(&self.key(key)).map_err(refused)? {
            Some(issued) => issued,
            None => self.sign(receipt, key)?,
        };
        self.queue(NewPrint {
            key: Some(self.key(&format!("{key}-receipt"))),
            ..NewPrint::receipt(&self.counter.setup.printer, issued.till.id, issued.seq)
        })?;
        Ok(Self::closed(&issued))
    }

    fn cancel(&mut self, receipt: &OpenReceipt, key: &str) -> Done<()> {
        let (till, actor) = (self.till()?, Arc::clone(&self.counter.actor));
        let detail = format!(
            "{key}: {} lines, {}",
            receipt.entries.len(),
            receipt.total()
        );
        let noted = self
            .counter
            .ledger
            .write_blocking(move |core| core.note_cancelled(till.id, &detail, &actor));
        noted.map_err(refused)
    }

    fn x_report(&mut self, key: &str) -> Done<Report> {
        let till = self.till()?;
        let taxpayer = self.taxpayer(&till)?;
        let day = self
            .counter
            .ledger
            .reader()
            .day(till.id, None)
            .map_err(refused)?;
        let day = day.filter(|day| day.close.is_none());
        let day = day.ok_or_else(|| Refusal::not_allowed("no fiscal day is open"))?;
        let blocks = paper::report_blocks(&till, &taxpayer, &day);
        self.queue(self.blocks(&till, &blocks, key))?;
        Ok(Report {
            totals: self.totals()?,
        })
    }

    fn z_report(&mut self, key: &str) -> Done<Report> {
        let till = self.till()?;
        let (printer, actor) = (
            self.counter.setup.printer.clone(),
            Arc::clone(&self.counter.actor),
        );
        let (id, key) = (till.id, self.key(key));
        // In one transaction: asked again with the same key, the day is not closed a second time.
        let closed = self.counter.ledger.write_blocking(move |core| {
            if core.has_print_key(&key)? {
                return Ok(());
            }
            let day = core.close_day(id, &actor)?;
            let Some(close) = day.close.map(|close| close.seq) else {
                return Ok(());
            };
            core.queue_prints(&[NewPrint {
                key: Some(key),
                ..NewPrint::z_report(&printer, id, close)
            }])?;
            Ok(())
        });
        closed.map_err(refused)?;
        self.counter.printers.ring(&self.counter.setup.printer);
        Ok(Report {
            totals: self.totals()?,
        })
    }

    fn duplicate(&mut self, key: &str) -> Done<()> {
        let till = self.till()?;
        let last = self.last(&till)?;
        let last = last.ok_or_else(|| Refusal::not_allowed("there is no receipt yet"))?;
        self.queue(NewPrint {
            key: Some(self.key(key)),
            ..NewPrint::receipt(&self.counter.setup.printer, till.id, last.seq)
        })
    }

    fn service_print(&mut self, lines: &[String], key: &str) -> Done<()> {
        let till = self.till()?;
        let mut blocks = vec![Block::title("NO FISCAL RECEIPT"), Block::Rule];
        blocks.extend(lines.iter().map(Block::text));
        blocks.extend([Block::Rule, Block::title("NO FISCAL RECEIPT"), Block::Cut]);
        self.queue(self.blocks(&till, &blocks, key))
    }

    fn drawer(&mut self, key: &str) -> Done<()> {
        if !self.counter.setup.drawer {
            let words = "this port may not open the drawer: `drawer = true` in its [[pos]]";
            return Err(Refusal::not_allowed(words));
        }
        let (printer, key) = (self.counter.setup.printer.clone(), self.key(key));
        let (till, actor) = (self.counter.till.id, Arc::clone(&self.counter.actor));
        let queued = self
            .counter
            .ledger
            .write_blocking(move |core| core.queue_drawer(&printer, Some(till), Some(key), &actor));
        queued.map_err(refused)?;
        self.counter.printers.ring(&self.counter.setup.printer);
        Ok(())
    }

    fn display(&mut self, upper: Option<&str>, lower: Option<&str>) {
        self.counter
            .printers
            .display(&self.counter.setup.printer, upper, lower);
    }

    fn totals(&mut self) -> Done<Totals> {
        let till = self.till()?;
        let taxpayer = self.taxpayer(&till)?;
        let reader = self.counter.ledger.reader();
        let (number, _) = reader.last_receipt(till.id).map_err(refused)?;
        let day = reader.day(till.id, None).map_err(refused)?;
        let number = u64::from(number.get());
        let Some(day) = day else {
            return Ok(Totals::default());
        };
        let letters = self.letters(&taxpayer);
        Ok(Totals {
            all: number,
            fiscal: number,
            today: day.receipt_counter.into(),
            closures: u64::from(day.fiscal_day_no.get()) - u64::from(day.close.is_none()),
            payments: payments(&day.totals, &self.rules.settings.currency),
            taxes: taxes(&day.totals, &self.rules.settings.currency, &letters),
        })
    }

    fn tax_rates(&mut self) -> Done<Vec<TaxRate>> {
        let taxpayer = self.taxpayer(&self.till()?)?;
        let letters = self.letters(&taxpayer);
        let rates = letters.iter().map(|(letter, id)| {
            let tax = taxpayer.taxes.iter().rev().find(|tax| tax.id == *id);
            TaxRate {
                letter: *letter,
                percent: tax
                    .and_then(|tax| tax.percent)
                    .map(|percent| Decimal::new(percent.hundredths().into(), 2)),
            }
        });
        Ok(rates.collect())
    }

    fn now(&mut self) -> Done<DateTime> {
        let now = self.counter.ledger.time().local();
        let small = |part: i8| u8::try_from(part).unwrap_or_default();
        Ok(DateTime {
            year: u16::try_from(now.year()).unwrap_or_default(),
            month: small(now.month()),
            day: small(now.day()),
            hour: small(now.hour()),
            minute: small(now.minute()),
            second: small(now.second()),
        })
    }

    fn status(&mut self) -> Condition {
        let printer = &self.counter.setup.printer;
        self.counter.printers.condition(printer).unwrap_or_default()
    }

    fn identity(&mut self) -> Identity {
        let till = &self.counter.till;
        let taxpayer = self.taxpayer(till).ok();
        Identity {
            name: "FISCALD".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            serial: till.serial_no.chars().take(8).collect(),
            fiscal_memory: format!("{:08}", till.device_id.get() % 100_000_000),
            taxpayer: taxpayer.map(|t| t.tin.to_string()).unwrap_or_default(),
        }
    }
}

impl LedgerRegister {
    /// The taxes that the configured letters mean today.
    fn letters(&self, taxpayer: &Taxpayer) -> Vec<(char, TaxId)> {
        let now = self.counter.ledger.time().local();
        let settings = self.counter.ledger.settings();
        let configured = &self.rules.settings.taxes;
        configured
            .iter()
            .filter_map(|(letter, name)| {
                let id = letters::tax(name, taxpayer, &settings, now).ok()?;
                Some((letter.chars().next()?, id))
            })
            .collect()
    }
}

fn cents(value: fiscal::Cents) -> Decimal {
    Decimal::new(value.get(), 2)
}

fn payments(totals: &DayTotals, currency: &str) -> Vec<(MoneyType, Decimal)> {
    let paid = totals.counters.non_zero().filter_map(|(key, value)| {
        let By::Money(money) = key.by else {
            return None;
        };
        let is_ours = key.counter_type == CounterType::BalanceByMoneyType
            && key.currency.as_str() == currency;
        is_ours.then(|| (money_type(money), cents(value)))
    });
    paid.collect()
}

fn taxes(totals: &DayTotals, currency: &str, letters: &[(char, TaxId)]) -> Vec<(char, Decimal)> {
    let mut sums: Vec<(char, Decimal)> = letters
        .iter()
        .map(|(letter, _)| (*letter, Decimal::ZERO))
        .collect();
    for (key, value) in totals.counters.non_zero() {
        let By::Tax(id, _) = key.by else { continue };
        let counts = matches!(
            key.counter_type,
            CounterType::SaleByTax | CounterType::CreditNoteByTax | CounterType::DebitNoteByTax
        );
        if !counts || key.currency.as_str() != currency {
            continue;
        }
        let place = letters.iter().position(|(_, known)| *known == id);
        if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
            sum.1 += cents(value);
        }
    }
    sums
}

const fn money_type(money: fiscal::MoneyType) -> MoneyType {
    match money {
        fiscal::MoneyType::Cash => MoneyType::Cash,
        fiscal::MoneyType::Card => MoneyType::Card,
        fiscal::MoneyType::MobileWallet => MoneyType::MobileWallet,
        fiscal::MoneyType::Coupon => MoneyType::Coupon,
        fiscal::MoneyType::Credit => MoneyType::Credit,
        fiscal::MoneyType::BankTransfer => MoneyType::BankTransfer,
        fiscal::MoneyType::Other => MoneyType::Other,
    }
}
