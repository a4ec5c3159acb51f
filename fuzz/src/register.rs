//! A shop behind a fiscal printer's door that keeps everything in memory, and fails or dies when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use drivers::job::{Condition, HeldReason};
use drivers::register::{
    Closed, DateTime, Identity, Kept, MoneyType, OpenReceipt, Refusal, RefusalClass, Register,
    RegisterSettings, Report, Rules, SubtotalDiscounts, TaxRate, Totals,
};
use rust_decimal::Decimal;

/// What is durable, and what is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    kept: Option<Kept>,
    pub(crate) signed: BTreeMap<String, (Closed, OpenReceipt)>,
    /// Everything that was done under a key, but receipts.
    pub(crate) done: BTreeMap<String, &'static str>,
    /// So many calls go well, then one fails.
    pub(crate) fails_after: Option<u8>,
    /// As a deed fails, it is done all the same.
    pub(crate) fails_late: bool,
    pub(crate) condition: Condition,
}

impl Shop {
    /// Everything that was done so far.
    pub(crate) fn effects(&self) -> usize {
        self.signed.len() + self.done.len()
    }

    fn fails(&mut self) -> bool {
        match self.fails_after {
            Some(0) => {
                self.fails_after = None;
                true
            }
            Some(more) => {
                self.fails_after = Some(more - 1);
                false
            }
            None => false,
        }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Result<T, Refusal> {
        let fails = self.fails();
        if fails && !self.fails_late {
            return Err(lost());
        }
        let out = act(self);
        if fails { Err(lost()) } else { Ok(out) }
    }

    fn once(&mut self, what: &'static str, key: &str) -> Result<(), Refusal> {
        self.act(|shop| {
            let before = shop.done.insert(key.to_owned(), what);
            assert!(before.is_none_or(|b| b == what), "two deeds under one key");
        })
    }

    fn sums(&self) -> Totals {
        let fiscal = u64::try_from(self.signed.len()).unwrap_or(0);
        Totals {
            all: fiscal + u64::try_from(self.done.len()).unwrap_or(0),
            fiscal,
            today: fiscal,
            closures: 3,
            payments: vec![(MoneyType::Cash, Decimal::new(1050, 2))],
            taxes: vec![('A', Decimal::new(1150, 2))],
        }
    }
}

fn lost() -> Refusal {
    Refusal::new(RefusalClass::Store, "the disk is full")
}

impl Register for Shop {
    fn kept(&mut self) -> Result<Option<Kept>, Refusal> {
        Ok(self.kept.clone())
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Refusal> {
        // All or nothing, says the trait: what failed is not kept.
        if self.fails() {
            return Err(lost());
        }
        self.kept = Some(kept.clone());
        Ok(())
    }

    fn close(&mut self, receipt: &OpenReceipt, key: &str) -> Result<Closed, Refusal> {
        adds_up(receipt);
        self.act(|shop| {
            let number = shop.sums().fiscal + 1;
            let new = || {
                let closed = Closed {
                    all: number,
                    fiscal: number,
                    qr: format!("https://example.invalid/{key}"),
                    verification: "4C8B-E276-6333-0417".into(),
                };
                (closed, receipt.clone())
            };
            let (closed, signed) = shop.signed.entry(key.to_owned()).or_insert_with(new);
            assert_eq!(signed, receipt, "two receipts under one key");
            closed.clone()
        })
    }

    fn cancel(&mut self, _: &OpenReceipt, key: &str) -> Result<(), Refusal> {
        self.once("cancel", key)
    }

    fn x_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.once("X", key)?;
        Ok(Report {
            totals: self.sums(),
        })
    }

    fn z_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.once("Z", key)?;
        Ok(Report {
            totals: self.sums(),
        })
    }

    fn duplicate(&mut self, key: &str) -> Result<(), Refusal> {
        self.once("duplicate", key)
    }

    fn service_print(&mut self, _: &[String], key: &str) -> Result<(), Refusal> {
        self.once("service", key)
    }

    fn drawer(&mut self, key: &str) -> Result<(), Refusal> {
        self.once("drawer", key)
    }

    fn display(&mut self, _: Option<&str>, _: Option<&str>) {}

    fn totals(&mut self) -> Result<Totals, Refusal> {
        Ok(self.sums())
    }

    fn tax_rates(&mut self) -> Result<Vec<TaxRate>, Refusal> {
        Ok(vec![TaxRate {
            letter: 'A',
            percent: Some(Decimal::new(1550, 2)),
        }])
    }

    fn now(&mut self) -> Result<DateTime, Refusal> {
        Ok(DateTime {
            year: 2026,
            month: 11,
            day: 27,
            hour: 13,
            minute: 5,
            second: 9,
        })
    }

    fn status(&mut self) -> Condition {
        self.condition.clone()
    }

    fn identity(&mut self) -> Identity {
        Identity {
            name: "FP-2000".into(),
            version: "1.00BG 23NOV18".into(),
            serial: "DT000001".into(),
            fiscal_memory: "02000001".into(),
            taxpayer: "2000123456".into(),
        }
    }
}

/// A receipt that is signed is paid to the cent, and its lines make its total however they are written.
fn adds_up(receipt: &OpenReceipt) {
    assert!(receipt.is_paid(), "closed unpaid");
    let total = receipt.total();
    assert!(!total.is_sign_negative() || total.is_zero());
    let settled: Decimal = receipt.settled().iter().map(|p| p.amount).sum();
    assert_eq!(settled, total, "payments less change are the total");
    for how in [SubtotalDiscounts::Lines, SubtotalDiscounts::Spread] {
        let lines = receipt.flat(how);
        assert_eq!(lines.iter().map(|line| line.total).sum::<Decimal>(), total);
    }
    assert_eq!(receipt.by_tax().values().sum::<Decimal>(), total);
}

/// Conditions of a printer by a byte.
pub(crate) fn condition(byte: u8) -> Condition {
    let fault = [
        None,
        Some(HeldReason::PaperOut),
        Some(HeldReason::CoverOpen),
        Some(HeldReason::Cutter),
    ];
    Condition {
        connected: true,
        fault: fault[usize::from(byte & 3)],
        paper_low: byte & 4 != 0,
        ..Condition::default()
    }
}

/// The rules of the shipped country profiles, with the letters that the seeds use.
pub(crate) fn rules(bulgarian: bool) -> Arc<Rules> {
    static RULES: LazyLock<[Arc<Rules>; 2]> = LazyLock::new(|| {
        ["generic", "bg"].map(|profile| {
            let text = format!(
                "profile = {profile:?}\ncurrency = 'USD'\n\
                 taxes = {{ A = '15.5%', B = 'zero', C = 'exempt' }}\n\
                 departments = {{ 1 = 'A', 2 = 'B' }}\n\
                 [payments.I]\nmoney = 'Cash'\ncurrency = 'ZWG'\n"
            );
            let settings: RegisterSettings = toml::from_str(&text).expect("settings");
            Arc::new(Rules::new(settings).expect("rules"))
        })
    });
    Arc::clone(&RULES[usize::from(bulgarian)])
}
