//! Software that drives a fiscal printer, in any language: frames made sound by the harness, broken ones, noise,
//! repeats, a full disk and power cuts; and what must hold whatever comes.
//!
//! The input is records that a byte 01 parts: how it is sent, a command, data. So a fuzzer can cut and splice them, and lengths
//! and checksums are always right.

use std::sync::Arc;
use std::time::Duration;

use drivers::register::{OpenReceipt, Refusal, Rules};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::register::{Shop, condition, rules};

/// What a reply says of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

/// A fiscal printer's language, as the harness speaks it.
pub(crate) trait Language {
    type Session;

    fn start(rules: Arc<Rules>, shop: &mut Shop) -> Result<Self::Session, Refusal>;

    fn receive(
        session: &mut Self::Session,
        now: Duration,
        bytes: &[u8],
        shop: &mut Shop,
    ) -> Vec<u8>;

    fn receipt(session: &Self::Session) -> Option<&OpenReceipt>;

    /// A sound frame; `None` if the data is too long for one.
    fn frame(kind: u8, number: u8, command: u8, data: &[u8]) -> Option<Vec<u8>>;

    /// Takes a reply to a sound frame apart; panics if it is none.
    fn judge(frame: &[u8], reply: &[u8]) -> Verdict;

    /// What a plain sale comes to: a price, perhaps times a quantity, and nothing else. `None`: it is not plain.
    fn sale(kind: u8, command: u8, data: &[u8]) -> Option<Decimal>;
}

/// Bits of the byte that says how a record is sent.
const X: u8 = 0x02;
const BROKEN: u8 = 0x04;
const NOISE: u8 = 0x08;
const REPEAT: u8 = 0x10;
const FAILS: u8 = 0x20;
const DIES: u8 = 0x40;

/// Most records that are sent.
const MAX_RECORDS: usize = 60;

/// Plays a whole input.
pub(crate) fn run<L: Language>(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let mut till = Till::<L>::new(rules(first & 1 == 1));
    till.shop.fails_late = first & 2 == 2;
    till.shop.condition = condition(first >> 4);
    for record in rest.split(|byte| *byte == 1).take(MAX_RECORDS) {
        if let [how, command, data @ ..] = record {
            till.record(*how, *command, data);
        }
    }
}

struct Till<L: Language> {
    rules: Arc<Rules>,
    shop: Shop,
    session: L::Session,
    number: u8,
    now: Duration,
}

impl<L: Language> Till<L> {
    fn new(rules: Arc<Rules>) -> Self {
        let mut shop = Shop::default();
        let session = L::start(Arc::clone(&rules), &mut shop).expect("an empty shop starts");
        Self {
            rules,
            shop,
            session,
            number: 0x20,
            now: Duration::ZERO,
        }
    }

    fn record(&mut self, how: u8, command: u8, data: &[u8]) {
        // Long enough that what came before is given up.
        self.now += Duration::from_secs(1);
        self.number = if self.number >= 0x7E {
            0x20
        } else {
            self.number + 1
        };
        if how & NOISE != 0 {
            L::receive(&mut self.session, self.now, data, &mut self.shop);
            return;
        }
        let Some(frame) = L::frame(how & X, self.number, command, data) else {
            return;
        };
        if how & BROKEN != 0 {
            self.broken(&frame, data.len());
        }
        let fails = how & FAILS != 0;
        self.shop.fails_after = fails.then_some((how & 1) | (how >> 7 << 1));
        self.frame(&frame, L::sale(how & X, command, data));
        // It may fail at a later call than came.
        let failed = fails && self.shop.fails_after.is_none();
        self.shop.fails_after = None;
        if how & DIES != 0 {
            self.session = L::start(Arc::clone(&self.rules), &mut self.shop)
                .expect("a shop starts again after a power cut");
        }
        if how & REPEAT != 0 {
            self.repeat(&frame, failed);
        }
    }

    /// A frame with one byte changed is not carried out.
    fn broken(&mut self, frame: &[u8], at: usize) {
        let before = self.shop.effects();
        let mut broken = frame.to_vec();
        let at = 2 + at % (broken.len() - 3);
        broken[at] ^= 0x40;
        L::receive(&mut self.session, self.now, &broken, &mut self.shop);
        self.now += Duration::from_secs(1);
        assert_eq!(
            self.shop.effects(),
            before,
            "a broken frame was carried out"
        );
    }

    fn frame(&mut self, frame: &[u8], sale: Option<Decimal>) {
        let total = |session: &L::Session| L::receipt(session).map(OpenReceipt::total);
        let before = L::receipt(&self.session).cloned();
        let signed = self.shop.signed.len();
        let reply = L::receive(&mut self.session, self.now, frame, &mut self.shop);
        let verdict = L::judge(frame, &reply);
        let after = total(&self.session);
        if let (Some(sale), Verdict::Accepted) = (sale, verdict) {
            let more = after.expect("sold without a receipt")
                - before.as_ref().map_or(Decimal::ZERO, OpenReceipt::total);
            assert_eq!(more, sale, "the receipt grew by something else");
        }
        if self.shop.signed.len() > signed {
            let before = before.expect("signed without a receipt");
            let (_, receipt) = self
                .shop
                .signed
                .get(&before.key)
                .expect("signed another one");
            assert_eq!(receipt.total(), before.total());
            assert_eq!(receipt.entries, before.entries);
        }
    }

    /// The same bytes again: the same reply, and nothing is done twice.
    fn repeat(&mut self, frame: &[u8], failed: bool) {
        let effects = self.shop.effects();
        let receipt = L::receipt(&self.session).cloned();
        let reply = L::receive(&mut self.session, self.now, frame, &mut self.shop);
        L::judge(frame, &reply);
        if !failed {
            assert_eq!(
                self.shop.effects(),
                effects,
                "a frame was carried out twice"
            );
            let now = L::receipt(&self.session);
            assert_eq!(now, receipt.as_ref(), "a frame was carried out twice");
        }
        let effects = self.shop.effects();
        let again = L::receive(&mut self.session, self.now, frame, &mut self.shop);
        assert_eq!(again, reply, "the same frame has another reply");
        assert_eq!(self.shop.effects(), effects);
    }
}

/// A number of digits and a point, read without the product's help.
pub(crate) fn number(text: &[u8]) -> Option<Decimal> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (plain && text.len() < 12 && text.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// `Price` or `Price*Quantity` in cents.
pub(crate) fn product(text: &[u8]) -> Option<Decimal> {
    let mut parts = text.split(|b| *b == b'*');
    let price = number(parts.next()?)?;
    let quantity = match parts.next() {
        Some(quantity) => number(quantity)?,
        None => Decimal::ONE,
    };
    parts.next().is_none().then(|| cents(price * quantity))
}

/// Rounds halves away from zero.
pub(crate) fn cents(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}
