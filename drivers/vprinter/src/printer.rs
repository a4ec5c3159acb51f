//! The printer: bytes and time go in, sheets and answers come out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fault::{Fault, Rule, When};
use crate::line::{Line, Modes};
use crate::paper::Paper;
use crate::realtime::{RealTime, Watcher};
use crate::setup::PrinterSetup;
use crate::sheet::{Row, Sheet, SheetEnd};
use crate::status::Condition;
use crate::symbols::Symbols;
use crate::token::Reader;

/// What the mechanism is to do, in order.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Print a row, and feed so many rows of dots.
    Print(Row, usize),
    /// Feed so many rows of dots.
    Feed(usize),
    /// Feed so many rows of dots, and cut.
    Cut(usize),
    /// Say that all before is printed.
    Confirm([u8; 4]),
    /// Pulse the drawer at pin 2 (0) or pin 5 (1).
    Pulse(u8),
}

/// What has happened to a printer since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes received.
    pub received: u64,
    /// Lines and pictures printed, empty lines too.
    pub lines: u64,
    /// Sheets that were cut or torn off.
    pub sheets: u64,
    /// Drawer pulses at pin 2 and at pin 5.
    pub pulses: [u32; 2],
    /// Times that the power went away.
    pub power_losses: u32,
    /// Times that bytes that were not printed yet were thrown away on demand.
    pub cleared: u32,
    /// The commands that were obeyed at reception, in order.
    pub real_time: Vec<RealTime>,
}

/// A receipt printer. Its time is what it is told: it must not go backwards.
#[derive(Debug, Clone)]
pub struct Printer {
    pub(crate) setup: PrinterSetup,
    pub(crate) condition: Condition,
    told: Condition,
    pub(crate) automatic: u8,
    pub(crate) selected: bool,
    powered: bool,
    watcher: Watcher,
    /// Cuts what comes in, so as to know which real-time commands are no part of another command.
    entrance: Reader,
    buffer: VecDeque<u8>,
    /// Cuts what is taken out of the buffer.
    reader: Reader,
    pub(crate) modes: Modes,
    pub(crate) line: Line,
    pub(crate) kanji_first: bool,
    pub(crate) symbols: Symbols,
    plan: VecDeque<Work>,
    /// What the first of the plan still takes.
    takes: Duration,
    clock: Duration,
    paper: Paper,
    sheets: Vec<Sheet>,
    replies: Vec<u8>,
    rules: Vec<Rule>,
    counts: Counts,
}

impl Printer {
    /// A printer that has just been switched on, with paper and closed.
    #[must_use]
    pub fn new(setup: PrinterSetup) -> Self {
        let condition = Condition {
            drawer_high: setup.drawer_pin_high,
            ..Condition::default()
        };
        let mut printer = Self {
            condition,
            told: condition,
            automatic: 0,
            selected: true,
            powered: true,
            watcher: Watcher::default(),
            entrance: Reader::new(&setup),
            buffer: VecDeque::new(),
            reader: Reader::new(&setup),
            modes: Modes::new(&setup),
            line: Line::default(),
            kanji_first: false,
            symbols: Symbols::default(),
            plan: VecDeque::new(),
            takes: Duration::ZERO,
            clock: Duration::ZERO,
            paper: Paper::new(&setup),
            sheets: Vec::new(),
            replies: Vec::new(),
            rules: Vec::new(),
            counts: Counts::default(),
            setup,
        };
        printer.sense();
        printer
    }

    /// What kind of printer it is.
    #[must_use]
    pub fn setup(&self) -> &PrinterSetup {
        &self.setup
    }

    /// How it feels.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Whether it is switched on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.powered
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The sheets that have left the printer, in order.
    #[must_use]
    pub fn sheets(&self) -> &[Sheet] {
        &self.sheets
    }

    /// What hangs out of the printer: printed, but neither cut nor torn off.
    #[must_use]
    pub fn hanging(&self) -> Option<Sheet> {
        self.paper.hanging()
    }

    /// Whether there is nothing left to print or to read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.plan.is_empty()
    }

    /// Bytes in the receive buffer.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The bytes for the host that have come up since the last call.
    #[must_use]
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    /// Receives bytes, as many as there is room for: less than all means that the link stands still. A
    /// printer that is off takes all and keeps nothing.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) -> usize {
        self.advance(now);
        for (taken, byte) in bytes.iter().enumerate() {
            if !self.has_room_for(*byte) {
                self.advance(now);
                if !self.has_room_for(*byte) {
                    return taken;
                }
            }
            self.receive_byte(*byte);
        }
        self.advance(now);
        bytes.len()
    }

    /// Lets it work until this time.
    pub fn advance(&mut self, now: Duration) {
        let now = now.max(self.clock);
        loop {
            self.fire();
            self.read();
            let step = match self.plan.front() {
                Some(_) if self.works() => self.clock + self.takes,
                _ => now,
            };
            let next = self.next_rule().map_or(step, |at| at.min(step)).min(now);
            let done = self.works() && !self.plan.is_empty() && next == self.clock + self.takes;
            self.takes = self.takes.saturating_sub(self.passed(next));
            self.clock = next;
            if done {
                self.finish();
            } else if next >= now && self.next_rule().is_none_or(|at| at > now) {
                break;
            }
        }
        self.tell();
    }

    /// When something will happen by itself, if nothing else comes before.
    #[must_use]
    pub fn next_event(&self) -> Option<Duration> {
        let work = (self.works() && !self.plan.is_empty()).then(|| self.clock + self.takes);
        work.into_iter().chain(self.next_rule()).min()
    }

    /// Adds what is to happen to it.
    pub fn schedule(&mut self, rules: impl IntoIterator<Item = Rule>) {
        self.rules.extend(rules);
    }

    /// Something happens to it now.
    pub fn suffer(&mut self, now: Duration, fault: Fault) {
        self.advance(now);
        self.apply(fault);
        self.advance(now);
    }

    fn works(&self) -> bool {
        self.powered && self.condition.is_ready()
    }

    /// A real-time command that stands where a command may begin always has room.
    fn has_room_for(&self, byte: u8) -> bool {
        !self.powered
            || self.entrance.is_in_real_time()
            || (byte == crate::token::DLE && self.entrance.is_between_commands())
            || self.buffer.len() < self.setup.buffer_bytes.max(1)
    }

    fn passed(&self, until: Duration) -> Duration {
        if self.works() {
            until.saturating_sub(self.clock)
        } else {
            Duration::ZERO
        }
    }

    /// A real-time command that stands alone is obeyed and needs no room; one amid another command's bytes
    /// is obeyed too, and belongs to that command all the same.
    fn receive_byte(&mut self, byte: u8) {
        self.counts.received += 1;
        if self.powered {
            let whole = self.entrance.feed(byte);
            match whole {
                Some(command) if command.first() == Some(&crate::token::DLE) => {}
                _ if self.entrance.is_in_real_time() => {}
                _ => self.buffer.push_back(byte),
            }
            if let Some(command) = self.watcher.feed(byte) {
                self.obey(command);
            }
        }
        self.fire();
    }

    fn obey(&mut self, command: RealTime) {
        self.counts.real_time.push(command);
        match command {
            RealTime::Status(n) => {
                if let Some(status) = self.condition.status(n) {
                    self.answer(&[status]);
                }
            }
            RealTime::Recover(n) => {
                if n == 2 && !self.condition.is_ready() {
                    self.forget();
                }
                self.condition.cutter_error = false;
            }
            RealTime::Pulse { pin } => self.pulse(pin),
            RealTime::Clear => {
                self.forget();
                self.condition.cutter_error = false;
                self.answer(&[0x37, 0x25, 0]);
            }
        }
    }

    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        if self.powered && self.setup.dialect.answers() {
            self.replies.extend_from_slice(bytes);
        }
    }

    fn pulse(&mut self, pin: u8) {
        if let Some(count) = self.counts.pulses.get_mut(usize::from(pin)) {
            *count += 1;
        }
    }

    /// Throws away what is received and not printed.
    fn forget(&mut self) {
        let nothing = self.is_idle() && self.line.is_empty();
        if !nothing {
            self.counts.cleared += 1;
            self.paper.damage();
        }
        self.empty();
    }

    fn empty(&mut self) {
        self.buffer.clear();
        self.reader.clear();
        self.entrance.clear();
        self.watcher.clear();
        self.line.clear();
        self.kanji_first = false;
        self.plan.clear();
        self.takes = Duration::ZERO;
    }

    /// Reads commands while there is something to plan for.
    fn read(&mut self) {
        while self.works() && self.plan.len() < self.setup.lines_ahead.max(1) {
            let Some(byte) = self.buffer.pop_front() else {
                break;
            };
            if let Some(command) = self.reader.feed(byte) {
                self.execute(&command);
            }
        }
    }

    pub(crate) fn plan(&mut self, work: Work) {
        if self.plan.is_empty() {
            self.takes = self.duration(&work);
        }
        self.plan.push_back(work);
    }

    fn duration(&self, work: &Work) -> Duration {
        let rows = match work {
            Work::Print(_, rows) | Work::Feed(rows) => *rows,
            // The cut itself is as long as a centimetre of feed.
            Work::Cut(rows) => *rows + 80,
            Work::Confirm(_) | Work::Pulse(_) => 0,
        };
        let speed = u64::from(self.setup.rows_per_inch) * u64::from(self.setup.speed_mm_per_s);
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let micros = rows.saturating_mul(25_400_000).checked_div(speed);
        Duration::from_micros(micros.unwrap_or(0))
    }

    /// The first of the plan is done.
    fn finish(&mut self) {
        match self.plan.pop_front() {
            Some(Work::Print(row, rows)) => {
                self.paper.print(row, rows);
                self.counts.lines += 1;
            }
            Some(Work::Feed(rows)) => self.paper.feed(rows),
            Some(Work::Cut(rows)) => {
                self.paper.feed(rows);
                self.cut();
            }
            Some(Work::Confirm([a, b, c, d])) => self.answer(&[0x37, 0x22, a, b, c, d, 0]),
            Some(Work::Pulse(pin)) => self.pulse(pin),
            None => {}
        }
        if !self.setup.cutter && self.paper.can_be_torn(self.setup.tear_rows) {
            let sheet = self.paper.tear(SheetEnd::Torn);
            self.out(sheet);
        }
        self.takes = self
            .plan
            .front()
            .map_or(Duration::ZERO, |work| self.duration(work));
        self.sense();
    }

    fn cut(&mut self) {
        if self.condition.cutter_blocked {
            self.condition.cutter_error = true;
            self.plan.push_front(Work::Cut(0));
        } else {
            let sheet = self.paper.cut();
            self.out(sheet);
        }
    }

    fn out(&mut self, sheet: Option<Sheet>) {
        if let Some(sheet) = sheet {
            self.counts.sheets += 1;
            self.sheets.push(sheet);
        }
    }

    /// The sensors look at the paper.
    fn sense(&mut self) {
        self.condition.paper_out = self.paper.is_out();
        self.condition.paper_low = self.paper.is_below(self.setup.near_end_mm);
        self.tell();
    }

    /// Says by itself what has changed, to who has asked for that.
    fn tell(&mut self) {
        if self.told.is_news(self.condition, self.automatic) {
            self.answer(&self.condition.automatic());
        }
        self.told = self.condition;
    }

    fn next_rule(&self) -> Option<Duration> {
        let times = self.rules.iter().filter_map(|rule| match rule.when {
            When::At(at) => Some(at),
            _ => None,
        });
        times.min()
    }

    /// Lets happen what is due.
    fn fire(&mut self) {
        while let Some(place) = self.rules.iter().position(|rule| self.is_due(rule.when)) {
            let rule = self.rules.remove(place);
            self.apply(rule.fault);
            if let Some((after, fault)) = rule.then {
                self.rules
                    .push(Rule::once(When::At(self.clock + after), fault));
            }
        }
    }

    fn is_due(&self, when: When) -> bool {
        match when {
            When::At(at) => self.clock >= at,
            When::Byte(count) => self.counts.received >= count,
            When::Line(count) => self.counts.lines >= count,
            When::Sheet(count) => self.counts.sheets >= count,
        }
    }

    fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::PaperOut => self.paper.set(0),
            Fault::PaperLow => self.paper.set((self.setup.near_end_mm / 2).max(1)),
            Fault::NewPaper { mm } => self.paper.set(mm),
            Fault::CoverOpen => self.condition.cover_open = true,
            Fault::CoverClose => {
                self.condition.cover_open = false;
                self.condition.cutter_error = false;
            }
            Fault::CutterBlocked => self.condition.cutter_blocked = true,
            Fault::CutterFree => {
                self.condition.cutter_blocked = false;
                self.condition.cutter_error = false;
            }
            Fault::HeadHot => self.condition.head_hot = true,
            Fault::HeadCool => self.condition.head_hot = false,
            Fault::Broken => self.condition.broken = true,
            Fault::Drawer { high } => self.condition.drawer_high = high,
            Fault::FeedButton { held } => self.condition.feed_button = held,
            Fault::PowerOff => self.power_off(),
            Fault::PowerOn => self.power_on(),
            Fault::PowerCycle => {
                self.power_off();
                self.power_on();
            }
            Fault::Tear => {
                let sheet = self.paper.tear(SheetEnd::Torn);
                self.out(sheet);
            }
        }
        self.sense();
    }

    fn power_off(&mut self) {
        if !self.powered {
            return;
        }
        self.counts.power_losses += 1;
        self.empty();
        let sheet = self.paper.tear(SheetEnd::PowerLost);
        self.out(sheet);
        self.replies.clear();
        self.automatic = 0;
        self.powered = false;
    }

    fn power_on(&mut self) {
        self.powered = true;
        self.modes = Modes::new(&self.setup);
        self.symbols = Symbols::default();
        self.selected = true;
        self.condition.broken = false;
        self.condition.cutter_error = false;
    }
}
