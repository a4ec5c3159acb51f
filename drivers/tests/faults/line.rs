//! The link between us and the printer, and all that goes wrong on it.

use std::collections::VecDeque;
use std::time::Duration;

use vprinter::Printer;

use crate::dice::Dice;

/// What is under way at most: on a socket, and on a serial port that is slow.
const BUFFER: usize = 4096;
const SLOW_BUFFER: usize = 256;

/// A link in virtual time.
#[derive(Debug)]
pub(crate) struct Line {
    dice: Dice,
    pub(crate) open: bool,
    /// It has broken, and we have not noticed yet.
    pub(crate) broken: bool,
    /// Not plugged in until then.
    pub(crate) out_until: Duration,
    /// Taken from us and not yet at the printer.
    outward: VecDeque<u8>,
    inward: VecDeque<(Duration, u8)>,
    /// Bytes a second; none: at once.
    pub(crate) pace: Option<u64>,
    moved_at: Duration,
    /// The printer takes nothing until then.
    pub(crate) stalled_until: Duration,
    /// Nothing arrives until then, in either direction, and nobody says so.
    pub(crate) half_open_until: Duration,
    /// What the printer says arrives no earlier than then.
    pub(crate) late_until: Duration,
    /// It breaks when so many more bytes have gone out.
    pub(crate) cut_after_out: Option<u64>,
    /// It breaks when so many more bytes have come in.
    pub(crate) cut_after_in: Option<u64>,
    /// One byte at a time.
    pub(crate) piecemeal: bool,
    /// What is put into what the printer says next.
    pub(crate) intruder: Option<Intruder>,
    power_losses: u32,
    /// Noise may read as 00. That is also the answer to GS r: as a second answer, right after the true first
    /// one, it would be believed a few seconds too early, which nothing can tell apart.
    pub(crate) zeros_are_noise: bool,
    /// Bytes that have reached the printer.
    pub(crate) moved: u64,
}

/// What comes in that was not meant so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intruder {
    /// The answer comes twice.
    Twice,
    /// The process ID of another job.
    Foreign,
    /// Automatic status in the middle of an answer.
    Automatic,
    /// Rubbish.
    Noise,
}

impl Line {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            open: false,
            broken: false,
            out_until: Duration::ZERO,
            outward: VecDeque::new(),
            inward: VecDeque::new(),
            pace: None,
            moved_at: Duration::ZERO,
            stalled_until: Duration::ZERO,
            half_open_until: Duration::ZERO,
            late_until: Duration::ZERO,
            cut_after_out: None,
            cut_after_in: None,
            piecemeal: false,
            intruder: None,
            power_losses: 0,
            zeros_are_noise: true,
            moved: 0,
        }
    }

    /// Whether opening it would work.
    pub(crate) fn can_open(&self, now: Duration, printer: &Printer) -> bool {
        now >= self.out_until && printer.is_on()
    }

    pub(crate) fn open(&mut self) {
        self.open = true;
        self.broken = false;
    }

    /// We close it, or are killed: what was taken still arrives, or not.
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.inward.clear();
        if self.dice.chance(50) {
            self.outward.clear();
        }
    }

    /// It is pulled out, for so long.
    pub(crate) fn cut(&mut self, now: Duration) {
        self.outward.clear();
        self.inward.clear();
        self.cut_after_in = None;
        self.cut_after_out = None;
        self.broken = self.open;
        self.out_until = now + self.dice.millis(10, 20_000);
    }

    /// Takes bytes, as many as there is room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let buffer = if self.pace.is_some() {
            SLOW_BUFFER
        } else {
            BUFFER
        };
        let room = buffer.saturating_sub(self.outward.len());
        let most = if self.piecemeal { 1 } else { bytes.len() };
        let count = room.min(most).min(bytes.len());
        self.outward.extend(&bytes[..count]);
        count
    }

    /// Moves what can move now.
    pub(crate) fn pump(&mut self, now: Duration, printer: &mut Printer) {
        printer.advance(now);
        self.power(now, printer);
        let allowed = self.allowed(now);
        let mut gone = 0;
        while gone < allowed && now >= self.stalled_until {
            let Some(byte) = self.outward.front().copied() else {
                break;
            };
            if now < self.half_open_until {
                self.outward.pop_front();
                continue;
            }
            if printer.receive(now, &[byte]) == 0 {
                break;
            }
            self.outward.pop_front();
            gone += 1;
            self.moved += 1;
            self.power(now, printer);
            if count_down(&mut self.cut_after_out) {
                self.cut(now);
            }
        }
        if gone > 0 || self.outward.is_empty() {
            self.moved_at = now;
        }
        let said = printer.take_replies();
        self.hear(now, &said, printer);
    }

    /// A printer that is switched off takes its link with it.
    fn power(&mut self, now: Duration, printer: &Printer) {
        let losses = printer.counts().power_losses;
        if losses != self.power_losses {
            self.power_losses = losses;
            let out_until = self.out_until;
            self.cut(now);
            self.out_until = out_until.max(now + Duration::from_millis(500));
        }
    }

    /// Bytes that the line's speed lets through by now.
    fn allowed(&self, now: Duration) -> u128 {
        match self.pace {
            None => u128::MAX,
            Some(pace) => (now - self.moved_at).as_micros() * u128::from(pace) / 1_000_000,
        }
    }

    fn hear(&mut self, now: Duration, said: &[u8], printer: &Printer) {
        if said.is_empty() || !self.open || self.broken || now < self.half_open_until {
            return;
        }
        let mut said = said.to_vec();
        if let Some(intruder) = self.intruder.take() {
            let at = self.dice.place(said.len() + 1);
            match intruder {
                Intruder::Twice => said.extend(said.clone()),
                Intruder::Foreign => said.splice(0..0, *b"\x37\x22!\"!'\0").for_each(drop),
                Intruder::Automatic => {
                    let burst = printer.condition().automatic();
                    said.splice(at..at, burst).for_each(drop);
                }
                Intruder::Noise => {
                    let rubbish = if self.zeros_are_noise {
                        [0x00, 0xFF, 0x80, 0x00]
                    } else {
                        [0xFF, 0x80, 0x9F, 0xFE]
                    };
                    said.splice(at..at, rubbish).for_each(drop);
                }
            }
        }
        let delay = self.dice.millis(0, 5);
        let last = self.inward.back().map_or(Duration::ZERO, |(at, _)| *at);
        let at = (now + delay).max(self.late_until).max(last);
        self.inward.extend(said.into_iter().map(|byte| (at, byte)));
    }

    /// What has come in by now.
    pub(crate) fn read(&mut self, now: Duration) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((at, byte)) = self.inward.front().copied() {
            if at > now || self.piecemeal && !bytes.is_empty() {
                break;
            }
            self.inward.pop_front();
            bytes.push(byte);
            if count_down(&mut self.cut_after_in) {
                self.cut(now);
            }
        }
        bytes
    }

    /// When something happens by itself next.
    pub(crate) fn next_event(&self, now: Duration) -> Option<Duration> {
        let arrival = self.inward.front().map(|(at, _)| *at);
        let departure = match (self.outward.is_empty(), self.pace) {
            (true, _) => None,
            (false, None) => Some(self.stalled_until),
            (false, Some(pace)) => {
                let byte = Duration::from_micros(1_000_001 / pace + 1);
                Some((self.moved_at + byte * 8).max(self.stalled_until))
            }
        };
        let later = |at: &Duration| *at > now;
        arrival.into_iter().chain(departure).filter(later).min()
    }
}

/// Whether this was the last one.
fn count_down(left: &mut Option<u64>) -> bool {
    match left {
        Some(1) => {
            *left = None;
            true
        }
        Some(count) => {
            *count -= 1;
            false
        }
        None => false,
    }
}
