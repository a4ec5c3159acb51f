//! A printer, its line, the spool and our machine in one virtual time; what breaks an invariant is an error.

use std::time::Duration;

use drivers::escpos::encode;
use drivers::job::{Event, JobId, JobState, Level, Machine, Settings, Todo};
use drivers::profile::{Ack, Profile};
use vprinter::{Fault, Printer, PrinterSetup};

use crate::dice::Dice;
use crate::judge;
use crate::line::Line;
use crate::spool::{Receipt, Row, Spool};
use crate::trouble::{KINDS, Ours, strike};

/// Once a printer can be reached, it is within this time.
const RECOVERY: Duration = Duration::from_secs(5);
/// Rounds without work that are no busy loop yet, in a second.
const ROUNDS: u32 = 400;
/// All must have come to its end by then.
const END: Duration = Duration::from_secs(40_000);
/// A write waits for so long at most.
const WRITE: Duration = Duration::from_millis(100);

/// Defects that the suite must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// What follows an unknown outcome is an original again.
    ResendsOriginals,
    /// Any process ID is taken for the job's own.
    BelievesForeignAcks,
    /// States are kept only when the job is over.
    KeepsTooLate,
    /// What an interrupted picture may lack is not made up for.
    FillsNothing,
    /// A link that is lost is never opened again.
    ForgetsTheLink,
}

/// What came of a world, for the proof that the suite sees something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) printed: usize,
    pub(crate) processed: usize,
    pub(crate) healthy: usize,
    pub(crate) sent: usize,
    pub(crate) unknown: usize,
    pub(crate) held: usize,
    pub(crate) restarts: usize,
    pub(crate) losses: usize,
}

pub(crate) struct World {
    now: Duration,
    dice: Dice,
    profile: Profile,
    printer: Printer,
    line: Line,
    spool: Spool,
    machine: Machine,
    planted: Planted,
    /// Receipts that are still to come, and when the next one does.
    coming: usize,
    next_receipt: Duration,
    /// The kinds of trouble; empty: all.
    kinds: Vec<u64>,
    ours: Vec<Ours>,
    steps: u64,
    /// Since when the link could be opened and is not.
    reachable: Option<Duration>,
    rounds: (u64, u32),
    /// The first bytes of this link, up to the first question's.
    greeting: Vec<u8>,
    pub(crate) tally: Tally,
}

/// What kinds of printers are tried: profile, printer, and how it acknowledges.
pub(crate) fn fleet() -> Vec<(Profile, PrinterSetup)> {
    let named = |name: &str| Profile::named(name).expect("it is shipped");
    let with = |name: &str, ack: Ack| Profile { ack, ..named(name) };
    vec![
        (named("epson-tm-t20"), PrinterSetup::epson_80()),
        (named("epson-tm-t88"), PrinterSetup::epson_42()),
        (with("generic-80", Ack::Status), PrinterSetup::clone_80()),
        (named("epson-tm-u220"), PrinterSetup::impact()),
        (with("generic-58", Ack::Status), PrinterSetup::clone_58()),
        (named("generic-80"), PrinterSetup::clone_80()),
        (with("generic-58", Ack::OneWay), PrinterSetup::clone_58()),
    ]
}

impl World {
    /// A shop of so many receipts. `kinds`: which trouble it has; none: no trouble; all from the seed.
    pub(crate) fn new(
        seed: u64,
        (profile, setup): (Profile, PrinterSetup),
        receipts: usize,
        kinds: Vec<u64>,
        planted: Planted,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let mut line = Line::new(dice.next());
        line.zeros_are_noise = profile.ack != Ack::Status;
        Self {
            now: Duration::from_secs(1),
            line,
            dice,
            machine: Machine::new(
                &profile,
                Settings {
                    cut_short: false,
                    ..Settings::default()
                },
            ),
            profile,
            printer: Printer::new(setup),
            spool: Spool {
                resends_originals: planted == Planted::ResendsOriginals,
                ..Spool::default()
            },
            planted,
            coming: receipts,
            next_receipt: Duration::from_secs(2),
            kinds,
            ours: Vec::new(),
            steps: 0,
            reachable: None,
            rounds: (0, 0),
            greeting: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Lives until all receipts have come to their end.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.coming > 0 || !self.spool.jobs.iter().all(Row::is_over) {
            if self.now > END {
                let open: Vec<_> = self
                    .spool
                    .jobs
                    .iter()
                    .filter(|row| !row.is_over())
                    .collect();
                return Err(format!(
                    "never at an end: {open:?}, {:?}",
                    self.machine.condition()
                ));
            }
            self.steps += 1;
            self.arrive();
            self.step()?;
            self.look()?;
        }
        self.judge()
    }

    /// A receipt comes, and with it, often, some trouble.
    fn arrive(&mut self) {
        if self.coming == 0 || self.now < self.next_receipt {
            return;
        }
        self.coming -= 1;
        self.next_receipt = self.now + self.dice.millis(0, 30_000);
        let mut receipt = Receipt::random(self.spool.receipts.len(), &mut self.dice);
        receipt.picture &= self.profile.pictures;
        self.line.piecemeal = false;
        self.line.pace = None;
        // The last two are to be printed in peace.
        if self.coming >= 2 && !self.kinds.is_empty() && self.dice.chance(70) {
            let place = self.dice.place(self.kinds.len());
            let kind = self.kinds[place];
            let bytes =
                encode(&receipt.page(false), &self.profile).map_or(100, |bytes| bytes.len());
            let bytes = u64::try_from(bytes).expect("it is small");
            let (line, printer) = (&mut self.line, &mut self.printer);
            let ours = strike(kind, &mut self.dice, self.now, bytes, line, printer);
            self.ours.extend(ours);
        }
        self.spool.add(receipt);
    }

    fn step(&mut self) -> Result<(), String> {
        if self.ours.iter_mut().any(|ours| match ours {
            Ours::KilledAt { steps } => {
                *steps = steps.saturating_sub(1);
                *steps == 0
            }
            _ => false,
        }) {
            self.ours
                .retain(|ours| !matches!(ours, Ours::KilledAt { steps: 0 }));
            return self.restart();
        }
        let now = self.now;
        match self.machine.next(now) {
            Todo::Keep(id, state) => {
                let state = state.clone();
                self.keep(id, &state)
            }
            Todo::Open if self.planted == Planted::ForgetsTheLink && self.tally.losses > 0 => {
                self.machine.handle(now, Event::OpenFailed("planted"));
                Ok(())
            }
            Todo::Open if self.line.can_open(now, &self.printer) => {
                self.line.open();
                self.greeting.clear();
                self.machine.handle(now, Event::Opened);
                Ok(())
            }
            Todo::Open => {
                self.machine.handle(now, Event::OpenFailed("unplugged"));
                self.round()
            }
            Todo::Close => {
                self.line.close();
                Ok(())
            }
            Todo::Write(bytes) => {
                let bytes = bytes.to_vec();
                self.write(&bytes)
            }
            Todo::Fetch => {
                self.fetch()?;
                self.round()
            }
            Todo::Idle(until) => {
                self.wait(until)?;
                self.machine.handle(self.now, Event::Awake);
                Ok(())
            }
            Todo::Wait(until) => self.wait(until),
        }
    }

    fn fetch(&mut self) -> Result<(), String> {
        let Some(row) = self.spool.next() else {
            self.machine.handle(self.now, Event::NoJob);
            return Ok(());
        };
        let page = self.spool.receipts[row.receipt].page(row.copy);
        let bytes = encode(&page, &self.profile).map_err(|error| error.to_string())?;
        if bytes
            .windows(2)
            .any(|pair| pair[0] == 0x10 && [4, 5, 0x14].contains(&pair[1]))
        {
            return Err("a real-time command in a job's bytes".to_owned());
        }
        self.machine.handle(self.now, Event::Job(row.id, bytes));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.line.broken {
            return self.lose();
        }
        let mut bytes = bytes.to_vec();
        if self.planted == Planted::FillsNothing && bytes.starts_with(&[0, 0]) {
            let nulls = bytes.iter().take_while(|byte| **byte == 0).count();
            self.machine.handle(self.now, Event::Written(nulls));
            return Ok(());
        }
        let count = self.line.write(&bytes);
        bytes.truncate(count);
        self.check_written(&bytes)?;
        self.machine.handle(self.now, Event::Written(count));
        if count == 0 {
            let until = self.now + WRITE;
            return self.wait(until);
        }
        self.settle()
    }

    /// A link is greeted with a status request, and paper costs a state that is kept.
    fn check_written(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.profile.ack != Ack::OneWay && self.greeting.len() < 3 {
            self.greeting.extend(bytes);
            if !self
                .greeting
                .starts_with(&[0x10, 4, 1][..self.greeting.len().min(3)])
            {
                return Err(format!("a link is greeted with {:?}", self.greeting));
            }
        }
        let text = bytes
            .windows(10)
            .any(|window| window.starts_with(b"ORIGINAL R"));
        let late = self.planted == Planted::KeepsTooLate;
        let kept = self
            .spool
            .jobs
            .iter()
            .any(|row| row.state == JobState::Sending);
        if text && !kept && !late {
            return Err("an original is sent, and no state says so".to_owned());
        }
        Ok(())
    }

    fn keep(&mut self, id: JobId, state: &JobState) -> Result<(), String> {
        let late = self.planted == Planted::KeepsTooLate
            && matches!(state, JobState::Sending | JobState::AwaitAck);
        let (mut kept, mut told, mut killed) = (!late, true, false);
        for ours in &mut self.ours {
            match ours {
                Ours::KeepFails { times, kept: does } if *times > 0 => {
                    *times -= 1;
                    (kept, told) = (*does, false);
                }
                Ours::Killed { states, kept: does } if *states > 0 => {
                    *states -= 1;
                    if *states == 0 {
                        (kept, killed) = (*does && !late, true);
                    }
                }
                _ => {}
            }
        }
        if kept {
            self.count(state);
            self.spool.keep(id, state)?;
            self.believe(id, state)?;
        }
        if killed {
            return self.restart();
        }
        let event = if told { Event::Kept } else { Event::KeepFailed };
        self.machine.handle(self.now, event);
        Ok(())
    }

    fn count(&mut self, state: &JobState) {
        let tally = &mut self.tally;
        match state {
            JobState::Done(Level::Printed) => tally.printed += 1,
            JobState::Done(Level::Processed) => tally.processed += 1,
            JobState::Done(Level::SentHealthy) => tally.healthy += 1,
            JobState::Done(Level::Sent) => tally.sent += 1,
            JobState::Unknown(_) => tally.unknown += 1,
            JobState::Held(_) => tally.held += 1,
            _ => {}
        }
    }

    /// "Printed" is true when it is said.
    fn believe(&self, id: JobId, state: &JobState) -> Result<(), String> {
        let row = self.spool.row(id);
        if *state == JobState::Done(Level::Printed) {
            let sheets = judge::sheets(&self.printer);
            let receipt = &self.spool.receipts[row.receipt];
            if judge::complete(&sheets, receipt, row.copy) == 0 {
                let near = sheets.iter().filter(|sheet| sheet.says(&receipt.name));
                let near: Vec<_> = near.map(|sheet| (sheet.complete, sheet.text())).collect();
                return Err(format!("{row:?} is not on paper: {receipt:?}, {near:?}"));
            }
        }
        Ok(())
    }

    /// We are killed, and started again.
    fn restart(&mut self) -> Result<(), String> {
        self.tally.restarts += 1;
        self.line.close();
        let cut_short = self.spool.restart()?;
        let settings = Settings {
            cut_short,
            ..Settings::default()
        };
        self.machine = Machine::new(&self.profile, settings);
        Ok(())
    }

    /// Lets the time pass until then, or until something happens.
    fn wait(&mut self, until: Duration) -> Result<(), String> {
        if until <= self.now {
            return Err("it waits for a time that is past".to_owned());
        }
        self.round()?;
        let events = [
            self.printer.next_event(),
            self.line.next_event(self.now),
            (self.coming > 0).then_some(self.next_receipt),
        ];
        let next = events
            .into_iter()
            .flatten()
            .filter(|at| *at > self.now)
            .min();
        self.now = next.map_or(until, |at| at.min(until));
        self.settle()
    }

    /// Moves bytes, and tells the machine what has come.
    fn settle(&mut self) -> Result<(), String> {
        self.line.pump(self.now, &mut self.printer);
        loop {
            let mut bytes = self.line.read(self.now);
            if self.line.broken {
                return self.lose();
            }
            if bytes.is_empty() {
                return Ok(());
            }
            if self.planted == Planted::BelievesForeignAcks {
                self.forge(&mut bytes);
            }
            if self.line.open {
                self.machine.handle(self.now, Event::Received(&bytes));
            }
        }
    }

    fn forge(&self, bytes: &mut [u8]) {
        let waits = |row: &&Row| row.state == JobState::AwaitAck;
        if let Some(row) = self.spool.jobs.iter().find(waits)
            && let Some(at) = bytes.windows(2).position(|pair| pair == [0x37, 0x22])
            && let Some(digits) = bytes.get_mut(at + 2..at + 6)
        {
            digits.copy_from_slice(&drivers::escpos::request::ProcessId::of(row.id).0);
        }
    }

    fn lose(&mut self) -> Result<(), String> {
        self.tally.losses += 1;
        self.line.broken = false;
        self.line.open = false;
        self.machine.handle(self.now, Event::Lost("cut"));
        Ok(())
    }

    /// No round without work is one too many.
    fn round(&mut self) -> Result<(), String> {
        if self.rounds.0 == self.now.as_secs() {
            self.rounds.1 += 1;
        } else {
            self.rounds = (self.now.as_secs(), 0);
        }
        if self.rounds.1 > ROUNDS {
            return Err(format!("a busy loop at {:?}", self.now));
        }
        Ok(())
    }

    /// A printer that can be reached again is reached soon.
    fn look(&mut self) -> Result<(), String> {
        if self.line.open || !self.line.can_open(self.now, &self.printer) {
            self.reachable = None;
            return Ok(());
        }
        let since = *self.reachable.get_or_insert(self.now);
        if self.now - since > RECOVERY {
            return Err(format!(
                "could be reached since {since:?}, at {:?} it is not",
                self.now
            ));
        }
        Ok(())
    }

    /// All has come to its end: what is on paper?
    fn judge(&mut self) -> Result<(), String> {
        // What the printer still has in it comes out.
        self.now += Duration::from_secs(700);
        self.line.pump(self.now, &mut self.printer);
        self.printer.suffer(self.now, Fault::Tear);
        let sheets = judge::sheets(&self.printer);
        let proves = matches!(self.profile.ack, Ack::ProcessId | Ack::Status);
        for (number, receipt) in self.spool.receipts.iter().enumerate() {
            let originals = judge::heads(&sheets, receipt, false);
            if originals > 1 {
                return Err(format!("{} is an original {originals} times", receipt.name));
            }
            let original = judge::complete(&sheets, receipt, false);
            let copies = judge::complete(&sheets, receipt, true);
            let jobs = self.spool.jobs.iter().filter(|row| row.receipt == number);
            if proves && original + copies == 0 {
                let jobs: Vec<_> = jobs.map(|row| (row.copy, &row.state)).collect();
                let near = sheets.iter().filter(|sheet| sheet.says(&receipt.name));
                let near: Vec<_> = near.map(|sheet| (sheet.complete, sheet.text())).collect();
                return Err(format!(
                    "{receipt:?} is nowhere complete: {jobs:?}, {near:#?}"
                ));
            }
            let believed: Vec<_> = jobs.filter(|row| row.is_believed()).collect();
            let of = |copy| believed.iter().filter(|row| row.copy == copy).count();
            if of(false) > original || of(true) > copies {
                return Err(format!(
                    "believed {believed:?}, on paper {original} and {copies}"
                ));
            }
        }
        Ok(())
    }
}

/// All kinds of trouble.
pub(crate) fn all() -> Vec<u64> {
    (0..KINDS).collect()
}
