//! A shop behind a fiscal printer's door, for tests: it keeps what it is told to as JSON, closes receipts by
//! key, fails and dies from a seed.

use std::collections::BTreeMap;

use drivers::job::Condition;
use drivers::register::{
    Closed, DateTime, FlatLine, Identity, Kept, Kind, MoneyType, OpenReceipt, Refusal,
    RefusalClass, Register, RegisterSettings, Report, Rules, SubtotalDiscounts, TaxRate, Totals,
};
use rust_decimal::Decimal;

/// Small numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place in a list.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    pub(crate) fn signed(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).expect("a small number")
    }

    /// Whether something happens that happens so many times in a thousand.
    pub(crate) fn per_mille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }
}

/// A receipt that was signed.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) closed: Closed,
    pub(crate) receipt: OpenReceipt,
    pub(crate) total: Decimal,
}

#[derive(Debug)]
pub(crate) struct Shop {
    /// What is durable.
    pub(crate) kept: Option<String>,
    pub(crate) signed: BTreeMap<String, Signed>,
    pub(crate) order: Vec<String>,
    pub(crate) reports: BTreeMap<String, char>,
    pub(crate) cancelled: BTreeMap<String, ()>,
    pub(crate) slips: BTreeMap<String, Vec<String>>,
    pub(crate) drawers: BTreeMap<String, ()>,
    pub(crate) duplicates: BTreeMap<String, ()>,
    pub(crate) shown: Vec<(Option<String>, Option<String>)>,
    pub(crate) condition: Condition,
    /// Times in a thousand that a call fails or we die at it.
    pub(crate) failing: u64,
    pub(crate) dying: u64,
    pub(crate) seed: Seed,
    pub(crate) dead: bool,
    /// The answer to a close is lost every time.
    pub(crate) deaf: bool,
    /// The planted defect: the last frame is not remembered.
    pub(crate) forgetful: bool,
}

impl Shop {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            kept: None,
            signed: BTreeMap::new(),
            order: Vec::new(),
            reports: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            slips: BTreeMap::new(),
            drawers: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            shown: Vec::new(),
            condition: Condition::default(),
            failing: 0,
            dying: 0,
            seed: Seed(seed),
            dead: false,
            deaf: false,
            forgetful: false,
        }
    }

    /// A point where we may die or fail.
    fn point(&mut self) -> Result<(), Refusal> {
        if self.dead || self.seed.per_mille(self.dying) {
            self.dead = true;
            return Err(Refusal::new(RefusalClass::Store, "killed"));
        }
        Ok(())
    }

    fn fallible(&mut self) -> Result<(), Refusal> {
        self.point()?;
        if self.seed.per_mille(self.failing) {
            return Err(Refusal::new(RefusalClass::Store, "the disk is full"));
        }
        Ok(())
    }

    /// Something that happens once for each key.
    fn once(&mut self, what: impl FnOnce(&mut Self) -> bool) -> Result<(), Refusal> {
        self.fallible()?;
        what(self);
        self.point()
    }

    fn sums(&self) -> Totals {
        let fiscal = self.signed.len() as u64;
        Totals {
            all: fiscal + (self.slips.len() + self.reports.len()) as u64,
            fiscal,
            today: fiscal,
            closures: self.reports.values().filter(|r| **r == 'Z').count() as u64,
            payments: vec![
                (MoneyType::Cash, Decimal::new(1050, 2)),
                (MoneyType::Card, Decimal::ONE),
            ],
            taxes: vec![('A', Decimal::new(1150, 2))],
        }
    }
}

impl Register for Shop {
    fn kept(&mut self) -> Result<Option<Kept>, Refusal> {
        self.point()?;
        let mut kept: Option<Kept> = self
            .kept
            .as_ref()
            .map(|k| serde_json::from_str(k).expect("what was kept"));
        if let Some(kept) = kept.as_mut().filter(|_| self.forgetful) {
            kept.last = None;
        }
        Ok(kept)
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Refusal> {
        self.fallible()?;
        self.kept = Some(serde_json::to_string(kept).expect("a state"));
        self.point()
    }

    fn close(&mut self, receipt: &OpenReceipt, key: &str) -> Result<Closed, Refusal> {
        self.fallible()?;
        assert!(receipt.is_paid(), "closed unpaid");
        let total = receipt.total();
        let settled: Decimal = receipt.settled().iter().map(|p| p.amount).sum();
        assert_eq!(settled, total, "payments less change are the total");
        for how in [SubtotalDiscounts::Lines, SubtotalDiscounts::Spread] {
            let lines: Vec<FlatLine> = receipt.flat(how);
            assert_eq!(lines.iter().map(|l| l.total).sum::<Decimal>(), total);
        }
        if !self.signed.contains_key(key) {
            let closed = Closed {
                all: self.sums().all + 1,
                fiscal: self.sums().fiscal + 1,
                qr: format!("https://example.invalid/{key}"),
                verification: "4C8B-E276-6333-0417".into(),
            };
            let receipt = receipt.clone();
            self.order.push(key.to_owned());
            self.signed.insert(
                key.to_owned(),
                Signed {
                    closed,
                    receipt,
                    total,
                },
            );
        }
        let signed = &self.signed[key];
        assert_eq!(&signed.receipt, receipt, "two receipts under one key");
        let closed = signed.closed.clone();
        // Signed, and yet the answer may be lost.
        if self.deaf {
            return Err(Refusal::new(RefusalClass::Store, "no answer came"));
        }
        self.fallible()?;
        Ok(closed)
    }

    fn cancel(&mut self, _: &OpenReceipt, key: &str) -> Result<(), Refusal> {
        self.once(|s| s.cancelled.insert(key.to_owned(), ()).is_none())
    }

    fn x_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.once(|s| s.reports.insert(key.to_owned(), 'X').is_none())?;
        Ok(Report {
            totals: self.sums(),
        })
    }

    fn z_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.once(|s| s.reports.insert(key.to_owned(), 'Z').is_none())?;
        Ok(Report {
            totals: self.sums(),
        })
    }

    fn duplicate(&mut self, key: &str) -> Result<(), Refusal> {
        self.once(|s| s.duplicates.insert(key.to_owned(), ()).is_none())
    }

    fn service_print(&mut self, lines: &[String], key: &str) -> Result<(), Refusal> {
        let lines = lines.to_vec();
        self.once(|s| s.slips.insert(key.to_owned(), lines).is_none())
    }

    fn drawer(&mut self, key: &str) -> Result<(), Refusal> {
        self.once(|s| s.drawers.insert(key.to_owned(), ()).is_none())
    }

    fn display(&mut self, upper: Option<&str>, lower: Option<&str>) {
        self.shown
            .push((upper.map(str::to_owned), lower.map(str::to_owned)));
    }

    fn totals(&mut self) -> Result<Totals, Refusal> {
        Ok(self.sums())
    }

    fn tax_rates(&mut self) -> Result<Vec<TaxRate>, Refusal> {
        Ok(vec![
            TaxRate {
                letter: 'A',
                percent: Some(Decimal::new(1550, 2)),
            },
            TaxRate {
                letter: 'B',
                percent: None,
            },
        ])
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

/// Receipts that are storno.
pub(crate) fn stornos(shop: &Shop) -> usize {
    let is = |s: &&Signed| matches!(s.receipt.kind, Kind::Storno(_));
    shop.signed.values().filter(is).count()
}

pub(crate) fn rules(profile: &str) -> std::sync::Arc<Rules> {
    let text = format!(
        "profile = {profile:?}\ncurrency = 'USD'\ntaxes = {{ A = '15.5%', B = 'zero', C = 'exempt' }}\n\
         departments = {{ 1 = 'A', 2 = 'B' }}\n[payments.I]\nmoney = 'Cash'\ncurrency = 'ZWG'\n"
    );
    let settings: RegisterSettings = toml::from_str(&text).expect("settings");
    Rules::new(settings).expect("rules").into()
}
