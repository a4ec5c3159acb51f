//! A till that lives through a bad line: frames broken, dropped and doubled both ways, our side killed at any
//! call. It tries again like the software does, and counts on its own, in whole cents.

use std::time::Duration;

use drivers::job::HeldReason;
use drivers::register::{Refusal, Register};

use crate::shop::{Seed, Shop};

/// Silence after which the software sends the same frame again.
const PATIENCE: Duration = Duration::from_millis(500);
/// Tries after which a till would call for help.
const TRIES: u32 = 60;

/// Our side, made anew after each kill.
pub(crate) trait Side {
    fn start(shop: &mut dyn Register) -> Result<Self, Refusal>
    where
        Self: Sized;
    fn receive(&mut self, now: Duration, bytes: &[u8], shop: &mut dyn Register) -> Vec<u8>;
}

/// What a reply was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Data of a reply to the frame of this number.
    Done(u8, String),
    /// Refused because nothing could be kept.
    Store(u8),
    /// Refused for another reason.
    Refused(u8, String),
    /// Our frame was broken on its way.
    Nak,
}

/// How a language writes what a till does. Sums in cents, quantities in thousandths.
pub(crate) trait Speech {
    fn frame(&self, number: u8, command: u8, data: &str) -> Vec<u8>;
    /// All sound replies in some bytes.
    fn hear(&self, bytes: &[u8]) -> Vec<Heard>;
    fn numbers(&self) -> (u8, u8);
    fn open(&self, storno: Option<u64>) -> (u8, String);
    fn sale(&self, no: u64, tax: char, price: i64, quantity: i64, percent: i64) -> (u8, String);
    fn discount(&self, percent: i64) -> (u8, String);
    fn pay(&self, card: bool, amount: Option<i64>) -> (u8, String);
    fn close(&self) -> (u8, String);
    fn cancel(&self) -> (u8, String);
    fn status(&self) -> (u8, String);
    fn slip(&self, text: &str) -> [(u8, String); 3];
    fn report(&self) -> (u8, String);
    /// The number of the fiscal receipt, where the reply to a close tells it.
    fn number_of(&self, reply: &str) -> Option<u64>;
}

/// What the till believes to have sold.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) totals: Vec<i64>,
    pub(crate) stornos: usize,
    pub(crate) cancelled: usize,
    pub(crate) slips: usize,
    pub(crate) days: usize,
    pub(crate) kills: u32,
    pub(crate) resent: u32,
}

pub(crate) struct Till<S: Side, L: Speech> {
    pub(crate) shop: Shop,
    pub(crate) book: Book,
    side: Option<S>,
    speech: L,
    seed: Seed,
    now: Duration,
    number: u8,
    /// Faults in a thousand frames, each way.
    faults: u64,
}

impl<S: Side, L: Speech> Till<S, L> {
    pub(crate) fn new(speech: L, seed: u64, faults: u64) -> Self {
        let mut shop = Shop::new(seed);
        shop.failing = faults / 10;
        shop.dying = faults / 10;
        let number = speech.numbers().0;
        Self {
            shop,
            book: Book::default(),
            side: None,
            speech,
            seed: Seed(seed ^ 0xABCD),
            now: Duration::ZERO,
            number,
            faults,
        }
    }

    /// What a line makes of a frame.
    fn line(&mut self, frame: Vec<u8>) -> Vec<u8> {
        if frame.is_empty() || !self.seed.per_mille(self.faults) {
            return frame;
        }
        match self.seed.below(3) {
            0 => Vec::new(),
            1 => [frame.clone(), frame].concat(),
            _ => {
                let mut broken = frame;
                let at = self.seed.index(broken.len());
                broken[at] ^= 1 << self.seed.below(8);
                broken
            }
        }
    }

    /// Sends a frame and listens to what comes back.
    fn exchange(&mut self, frame: &[u8]) -> Vec<u8> {
        let arrived = self.line(frame.to_vec());
        if self.shop.forgetful {
            self.side = None;
        }
        if self.side.is_none() {
            self.shop.dead = false;
            self.side = S::start(&mut self.shop).ok();
        }
        let now = self.now;
        let side = self.side.as_mut();
        let said = side.map(|side| side.receive(now, &arrived, &mut self.shop));
        if self.shop.dead {
            // Killed: nothing of it is said, and all but what was kept is gone.
            self.book.kills += 1;
            self.side = None;
            return Vec::new();
        }
        self.line(said.unwrap_or_default())
    }

    /// Does a command, whatever the line does to it.
    fn command(&mut self, (command, data): (u8, String)) -> Result<String, String> {
        let mut tries = 0;
        loop {
            let (first, last) = self.speech.numbers();
            self.number = if self.number == last {
                first
            } else {
                self.number + 1
            };
            let number = self.number;
            let frame = self.speech.frame(number, command, &data);
            let outcome = loop {
                tries += 1;
                if tries == TRIES {
                    return Err(format!("no answer to {command:02X} {data:?}"));
                }
                let heard = self.exchange(&frame);
                self.now += Duration::from_millis(20);
                let ours = |heard: &Heard| match heard {
                    Heard::Done(n, _) | Heard::Store(n) | Heard::Refused(n, _) => *n == number,
                    Heard::Nak => false,
                };
                let heard = self.speech.hear(&heard);
                if let Some(ours) = heard.iter().find(|h| ours(h)) {
                    break ours.clone();
                }
                self.book.resent += 1;
                if !heard.contains(&Heard::Nak) {
                    self.now += PATIENCE;
                }
            };
            match outcome {
                Heard::Done(_, data) => return Ok(data),
                // The cashier presses the key again: a new frame.
                Heard::Store(_) => {}
                other => return Err(format!("{command:02X} {data:?}: {other:?}")),
            }
        }
    }

    /// One customer.
    pub(crate) fn serve(&mut self) -> Result<(), String> {
        if self.seed.below(10) == 0 {
            let low = self.seed.below(2) == 0;
            self.shop.condition.paper_low = low;
            self.shop.condition.fault = low.then_some(HeldReason::CoverOpen);
            self.command(self.speech.status())?;
            self.shop.condition.fault = None;
        }
        if self.seed.below(50) == 0 {
            for part in self.speech.slip("Kitchen: 2 teas") {
                self.command(part)?;
            }
            self.book.slips += 1;
        }
        if self.seed.below(100) == 0 {
            self.command(self.speech.report())?;
            self.book.days += 1;
        }
        let is_storno = self.seed.below(20) == 0;
        let original = is_storno.then(|| self.seed.below(1000) + 1);
        self.command(self.speech.open(original))?;
        let mut sums = [0_i64; 3];
        for no in 0..=self.seed.below(5) {
            let tax = self.seed.index(3);
            let price = 1 + self.seed.signed(99_999);
            let quantity = if self.seed.below(2) == 0 {
                1000
            } else {
                1 + self.seed.signed(9_999)
            };
            let percent = if self.seed.below(5) == 0 {
                -self.seed.signed(50) - 1
            } else {
                0
            };
            let gross = halves(price * quantity, 1000);
            sums[tax] += gross + halves(gross * percent, 100);
            let tax = [b'A', b'B', b'C'][tax].into();
            let sale = self.speech.sale(no, tax, price, quantity, percent);
            self.command(sale)?;
        }
        let mut total: i64 = sums.iter().sum();
        if total > 0 && self.seed.below(8) == 0 {
            let percent = -self.seed.signed(30) - 1;
            total += halves(total * percent, 100);
            self.command(self.speech.discount(percent))?;
        }
        if self.seed.below(25) == 0 {
            self.command(self.speech.cancel())?;
            self.book.cancelled += 1;
            return Ok(());
        }
        if total > 1 && self.seed.below(3) == 0 {
            self.command(self.speech.pay(true, Some(total / 2)))?;
        }
        let over = (self.seed.below(2) == 0).then_some(total + 500);
        self.command(self.speech.pay(false, over))?;
        let told = self.command(self.speech.close())?;
        self.book.totals.push(total);
        self.book.stornos += usize::from(is_storno);
        let number = self.speech.number_of(&told);
        match number.filter(|n| *n != self.book.totals.len() as u64) {
            Some(number) => Err(format!(
                "receipt {number} is the till's {}",
                self.book.totals.len()
            )),
            None => Ok(()),
        }
    }

    /// Serves customers, then compares both books.
    pub(crate) fn day(&mut self, customers: u32) -> Result<(), String> {
        for _ in 0..customers {
            self.serve()?;
        }
        let shop = &self.shop;
        let signed: Vec<i64> = shop
            .order
            .iter()
            .map(|key| {
                let cents = shop.signed[key].total * rust_decimal::Decimal::ONE_HUNDRED;
                i64::try_from(cents).expect("whole cents")
            })
            .collect();
        let same = [
            signed == self.book.totals,
            crate::shop::stornos(shop) == self.book.stornos,
            shop.cancelled.len() == self.book.cancelled,
            shop.slips.len() == self.book.slips,
            shop.reports.len() == self.book.days,
        ];
        match same {
            [true, true, true, true, true] => Ok(()),
            same => Err(format!("the books differ: {same:?}")),
        }
    }
}

/// Divides and rounds halves away from zero.
fn halves(number: i64, by: i64) -> i64 {
    (number.abs() * 2 + by) / (by * 2) * number.signum()
}

/// A whole number of cents with a point.
pub(crate) fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

/// Thousandths with a point.
pub(crate) fn thousandths(number: i64) -> String {
    format!("{}.{:03}", number / 1000, number % 1000)
}
