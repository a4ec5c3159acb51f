//! Ten thousand customers over a bad ISL line, with both kinds of frames, our side killed at any moment: both
//! books are the same. And the proof that they would not be, were a repeated frame executed.

use std::time::Duration;

use crate::play::{Heard, Side, Speech, Till, money, thousandths};
use crate::shop::rules;
use drivers::isl::Session;
use drivers::register::{Refusal, Register};

struct Isl(Session);

impl Side for Isl {
    fn start(shop: &mut dyn Register) -> Result<Self, Refusal> {
        thread_local! {
            static RULES: std::sync::Arc<drivers::register::Rules> = rules("generic");
        }
        Session::start(RULES.with(std::sync::Arc::clone), shop).map(Self)
    }

    fn receive(&mut self, now: Duration, bytes: &[u8], shop: &mut dyn Register) -> Vec<u8> {
        self.0.receive(now, bytes, shop)
    }
}

/// The till's own codec.
fn sum(body: &[u8]) -> Vec<u8> {
    let sum: u32 = body.iter().map(|b| u32::from(*b)).sum();
    nibbles(sum)
}

fn nibbles(number: u32) -> Vec<u8> {
    let nibble = |shift: u32| 0x30 + u8::try_from(number >> shift & 15).expect("a nibble");
    vec![nibble(12), nibble(8), nibble(4), nibble(0)]
}

/// Cuts replies of `head` bytes before the data and `status` bytes of status.
fn replies(bytes: &[u8], number_at: usize, head: usize, status: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    for piece in bytes.split_inclusive(|b| matches!(b, 0x03 | 0x15)) {
        if piece == [0x15] {
            heard.push(Heard::Nak);
            continue;
        }
        let Some(start) = piece.iter().rposition(|b| *b == 1) else {
            continue;
        };
        let frame = &piece[start..];
        if frame.len() < head + status + 7 || frame[frame.len() - 1] != 3 {
            continue;
        }
        let post = frame.len() - 6;
        if frame[post] != 5 || frame[post + 1..post + 5] != sum(&frame[1..=post]) {
            continue;
        }
        let state = &frame[post - status..post];
        let data = String::from_utf8_lossy(&frame[head..post - status - 1]).into_owned();
        let number = frame[number_at];
        heard.push(match (state[4] & 1, state[0] & 0x23 | state[1] & 3) {
            (1, _) => Heard::Store(number),
            (_, 0) => Heard::Done(number, data),
            _ => Heard::Refused(number, data),
        });
    }
    heard
}

struct P;

impl Speech for P {
    fn frame(&self, number: u8, command: u8, data: &str) -> Vec<u8> {
        let length = 0x24 + u8::try_from(data.len()).expect("short data");
        let body = [&[length, number, command], data.as_bytes(), &[5]].concat();
        [&[1], &body[..], &sum(&body), &[3]].concat()
    }

    fn hear(&self, bytes: &[u8]) -> Vec<Heard> {
        replies(bytes, 2, 4, 6)
    }

    fn numbers(&self) -> (u8, u8) {
        (0x20, 0x7F)
    }

    fn open(&self, storno: Option<u64>) -> (u8, String) {
        match storno {
            Some(no) => (0x2E, format!("1,0000,1,R{no:07}")),
            None => (0x30, "1,0000,1".into()),
        }
    }

    fn sale(&self, no: u64, tax: char, price: i64, quantity: i64, percent: i64) -> (u8, String) {
        let mut data = format!("Item {no}\t{tax}{}", money(price));
        if quantity != 1000 {
            data += &format!("*{}", thousandths(quantity));
        }
        if percent != 0 {
            data += &format!(",{percent}.00");
        }
        (0x31, data)
    }

    fn discount(&self, percent: i64) -> (u8, String) {
        (0x33, format!("00,{percent}"))
    }

    fn pay(&self, card: bool, amount: Option<i64>) -> (u8, String) {
        let code = if card { 'D' } else { 'P' };
        let amount = amount.map(money).unwrap_or_default();
        (0x35, format!("\t{code}{amount}"))
    }

    fn close(&self) -> (u8, String) {
        (0x38, String::new())
    }

    fn cancel(&self) -> (u8, String) {
        (0x3C, String::new())
    }

    fn status(&self) -> (u8, String) {
        (0x4A, String::new())
    }

    fn slip(&self, text: &str) -> [(u8, String); 3] {
        let empty = String::new;
        [(0x26, empty()), (0x2A, text.into()), (0x27, empty())]
    }

    fn report(&self) -> (u8, String) {
        (0x45, "0".into())
    }

    fn number_of(&self, reply: &str) -> Option<u64> {
        reply.split(',').nth(1)?.parse().ok()
    }
}

struct X;

impl Speech for X {
    fn frame(&self, number: u8, command: u8, data: &str) -> Vec<u8> {
        let length = 0x2A + u32::try_from(data.len()).expect("short data");
        let head = [nibbles(length), vec![number], nibbles(command.into())].concat();
        let body = [&head[..], data.as_bytes(), &[5]].concat();
        [&[1], &body[..], &sum(&body), &[3]].concat()
    }

    fn hear(&self, bytes: &[u8]) -> Vec<Heard> {
        let check = |heard: Heard| match heard {
            Heard::Done(n, data) if data.starts_with("0\t") => Heard::Done(n, data),
            Heard::Done(n, data) => Heard::Refused(n, data),
            other => other,
        };
        replies(bytes, 5, 10, 8).into_iter().map(check).collect()
    }

    fn numbers(&self) -> (u8, u8) {
        (0x20, 0xFF)
    }

    fn open(&self, storno: Option<u64>) -> (u8, String) {
        match storno {
            Some(no) => (
                0x2B,
                format!("1\t1\t1\t1\t{no}\t27-11-26 10:00:00\t02000001\t\t\t\t\t"),
            ),
            None => (0x30, "1\t1\t1\t\t".into()),
        }
    }

    fn sale(&self, no: u64, tax: char, price: i64, quantity: i64, percent: i64) -> (u8, String) {
        let tax = u32::from(tax) - u32::from('A') + 1;
        let kind = if percent == 0 { 0 } else { 2 };
        let (price, quantity, off) = (money(price), thousandths(quantity), -percent);
        (
            0x31,
            format!("Item {no}\t{tax}\t{price}\t{quantity}\t{kind}\t{off}\t0\tkg\t"),
        )
    }

    fn discount(&self, percent: i64) -> (u8, String) {
        (0x33, format!("0\t0\t2\t{}\t", -percent))
    }

    fn pay(&self, card: bool, amount: Option<i64>) -> (u8, String) {
        let amount = amount.map(money).unwrap_or_default();
        (0x35, format!("{}\t{amount}\t1\t", u8::from(card)))
    }

    fn close(&self) -> (u8, String) {
        (0x38, String::new())
    }

    fn cancel(&self) -> (u8, String) {
        (0x3C, String::new())
    }

    fn status(&self) -> (u8, String) {
        (0x4A, String::new())
    }

    fn slip(&self, text: &str) -> [(u8, String); 3] {
        let empty = String::new;
        [
            (0x26, empty()),
            (0x2A, format!("{text}\t")),
            (0x27, empty()),
        ]
    }

    fn report(&self) -> (u8, String) {
        (0x45, "Z\t".into())
    }

    fn number_of(&self, reply: &str) -> Option<u64> {
        reply.split('\t').nth(1)?.parse().ok()
    }
}

const SEED: u64 = 20_261_127;

fn long_day<L: Speech>(speech: L) {
    let mut till = Till::<Isl, L>::new(speech, SEED, 50);
    till.day(10_000)
        .unwrap_or_else(|e| panic!("seed {SEED}: {e}"));
    let book = &till.book;
    assert!(book.totals.len() > 9_000 && book.stornos > 100 && book.slips > 50);
    assert!(
        book.kills > 200 && book.resent > 3_000,
        "the line was bad: {book:?}"
    );
}

#[test]
fn ten_thousand_customers_over_p_frames() {
    long_day(P);
}

#[test]
fn ten_thousand_customers_over_x_frames() {
    long_day(X);
}

#[test]
fn a_printer_that_executed_a_repeated_frame_would_be_found_out() {
    let mut till = Till::<Isl, P>::new(P, SEED, 50);
    till.shop.dying = 0;
    till.shop.failing = 0;
    till.day(100).unwrap();
    till.shop.forgetful = true;
    till.day(200).unwrap_err();
}

#[test]
fn short_days_on_a_very_bad_line() {
    for seed in 0..60 {
        let mut till = Till::<Isl, X>::new(X, seed, 200);
        till.day(50).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}
