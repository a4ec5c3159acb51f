//! A run: the steps of a script, one after the other, with what must hold looked at after each.

use std::time::Duration;

use anyhow::Result;
use fdms_sandbox::{DeviceChange, Keys};
use fiscal::testing::Random;
use fiscald::ledger::core::Core;
use fiscald::ledger::{LedgerError, Refusal};

use crate::disk::{PowerCut, Unsynced};
use crate::script::{Script, Step, TILLS};
use crate::store::Store;
use crate::till::Memory;
use crate::weather::Weather;
use crate::{Defect, Done, Ended};

mod calm;
mod check;
mod sell;

/// A power cut comes after so many steps at the latest.
const CUT_AFTER: u32 = 6;

/// Something that must hold does not: a sentence.
pub(crate) type Checked = Result<(), String>;

/// The world of a run.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) memories: Vec<Memory>,
    /// What the present step draws from.
    pub(crate) random: Random,
    /// What becomes of unsynced writes at the power cut that comes, whether the machine starts anew, and for how long
    /// it is off.
    cut: Option<(Unsynced, bool, u64)>,
    /// How many steps it has been coming.
    cut_steps: u32,
    is_full: bool,
    /// After a sync that failed the gateway is killed, not stopped.
    is_killed: bool,
    office_went_back: bool,
    pub(crate) done: Done,
    /// What happened, for comparing two runs of one seed.
    trace: u64,
}

impl World {
    fn new(seed: u64, keys: &Keys, defect: Defect) -> Result<Self> {
        let mut store = Store::set_up(seed, TILLS, keys, defect)?;
        store.start()?;
        Ok(Self {
            store,
            memories: (0..TILLS).map(|_| Memory::default()).collect(),
            random: Random::new(seed),
            cut: None,
            cut_steps: 0,
            is_full: false,
            is_killed: false,
            office_went_back: false,
            done: Done::default(),
            trace: 0,
        })
    }

    /// Something happened that a run of the same seed must have as well.
    pub(crate) fn note(&mut self, what: impl Into<u64>) {
        self.trace = Random::new(self.trace ^ what.into()).bits();
    }

    fn step(&mut self, no: u64, seed: u64, step: Step) -> Checked {
        self.note(no);
        self.done.steps += 1;
        if self.cut.is_some() {
            // Whether there are syncs or not: now it goes.
            self.cut_steps += 1;
            if self.cut_steps > CUT_AFTER {
                self.store.disk.power_off();
            }
        }
        self.random = Random::new(seed);
        self.store.line.reseed(seed ^ 1);
        self.store.office.reseed(seed ^ 2);
        match step {
            Step::Sell { till, sales, pause } => {
                for _ in 0..sales {
                    self.sell(till)?;
                    self.pass(pause)?;
                }
            }
            Step::SellTogether { sales } => self.sell_together(sales)?,
            Step::AskAgain { till } => self.ask_again(till)?,
            Step::Conflict { till } => self.conflict(till)?,
            Step::WrongSale { till } => self.wrong_sale(till)?,
            Step::Wait { seconds } => self.pass(seconds)?,
            Step::OpenDay { till } => {
                self.act(till, |core, id| core.open_day(id, "sim").map(drop))?;
            }
            Step::CloseDay { till } => {
                self.act(till, |core, id| core.close_day(id, "sim").map(drop))?;
            }
            Step::Pause { till } => {
                self.act(till, |core, id| core.pause_stream(id, "a person", "sim"))?;
            }
            Step::SendAgain { till } => {
                self.act(till, |core, id| core.retry_stream(id, "sim").map(drop))?;
            }
            other => self.outside(other)?,
        }
        self.pass(0)?;
        self.check()
    }

    /// Steps that do not go through the ledger's door.
    fn outside(&mut self, step: Step) -> Checked {
        match step {
            Step::Line(weather) => self.store.line.set_weather(weather),
            Step::OfficeLine(weather) => self.store.office.set_weather(weather),
            Step::SetWall { seconds } => self.store.hours.set_wall_by(seconds),
            Step::Drift { ppm } => self.store.hours.drift(ppm),
            Step::RightWall => self.store.hours.set_wall_right(),
            Step::Full(is_full) => self.fill(is_full),
            Step::SyncFails { is_killed } => {
                self.is_killed = is_killed;
                self.store.disk.fail_sync();
            }
            Step::PowerCut {
                syncs,
                is_synced,
                fate,
                reboots,
                off_seconds,
            } => {
                self.cut = Some((fate, reboots, off_seconds));
                self.cut_steps = 0;
                self.store.disk.cut_power(PowerCut {
                    after_syncs: syncs,
                    is_synced,
                });
            }
            Step::Kill { off_seconds } => self.crash(Unsynced::Kept, false, off_seconds)?,
            Step::Restart => self.restart()?,
            Step::Block { till, is_blocked } => self.block(till, is_blocked)?,
            Step::LoseReceipt { till } => self.lose_receipt(till),
            Step::Idle => self.with_ledger(fiscald::ledger::Ledger::idle),
            Step::FoldLog { is_whole } => {
                let mode = if is_whole { "TRUNCATE" } else { "PASSIVE" };
                self.with_ledger(|ledger| ledger.fold_log(mode));
            }
            Step::BadPage => self.bad_page()?,
            Step::OfficeCopies => self.store.office.back_up(),
            Step::OfficeGoesBack => self.office_went_back |= self.store.office.put_back(),
            _ => {}
        }
        Ok(())
    }

    fn with_ledger(&self, work: impl FnOnce(&fiscald::ledger::Ledger)) {
        if let Some(running) = &self.store.running {
            work(&running.ledger);
        }
    }

    /// A person does something at a till; refusals are his own affair.
    fn act(
        &mut self,
        till: usize,
        act: impl FnOnce(&mut Core, fiscald::ledger::TillId) -> Result<(), LedgerError> + Send + 'static,
    ) -> Checked {
        let Some(running) = &self.store.running else {
            return Ok(());
        };
        let id = self.store.tills[till].id;
        let done = running.ledger.write_blocking(move |core| act(core, id));
        match done {
            Ok(()) => self.done.acts += 1,
            Err(LedgerError::Refused(_)) => {}
            Err(LedgerError::Storage(error)) => self.fault(&error.to_string())?,
        }
        self.pass(0)
    }

    /// The storage failed: that is allowed when it was made to.
    fn fault(&self, error: &str) -> Checked {
        if self.store.disk.is_off() || self.is_full || self.store.disk.has_failed() {
            return Ok(());
        }
        Err(format!("the storage fails without a reason: {error}"))
    }

    pub(crate) fn fill(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.store.disk.fill(is_full);
    }

    fn block(&mut self, till: usize, is_blocked: bool) -> Checked {
        let device = self.store.tills[till].device.get();
        let change = DeviceChange {
            active: Some(!is_blocked),
            ..DeviceChange::default()
        };
        let changed = self.store.line.inside.change_device(device, change);
        changed.map_err(|error| error.to_string())
    }

    fn lose_receipt(&mut self, till: usize) {
        let device = self.store.tills[till].device.get();
        let is_lost = self.store.line.lose_note(device, &mut self.random);
        self.done.lost_at_fdms += u64::from(is_lost);
    }

    /// Lets seconds pass; where the power goes meanwhile, the store is started anew after its time.
    pub(crate) fn pass(&mut self, seconds: u64) -> Checked {
        let until = self.store.hours.passed() + Duration::from_secs(seconds);
        loop {
            let left = until.saturating_sub(self.store.hours.passed());
            if self.store.pass(left) {
                break;
            }
            let (fate, reboots, off) = self.cut.take().unwrap_or((Unsynced::Lost, true, 1));
            self.crash(fate, reboots, off)?;
        }
        if self.store.hours.spins() {
            return Err("somebody goes on and on without letting the time pass".to_owned());
        }
        if let Some(part) = self.store.ended() {
            return Err(format!("{part} has ended by itself"));
        }
        self.look_after_faults()
    }

    /// A ledger that takes no writes is started anew by a person. It has a reason, and that is told.
    fn look_after_faults(&mut self) -> Checked {
        let fault = self.store.running.as_ref();
        let fault = fault.and_then(|running| running.ledger.fault());
        let has_failed = self.store.disk.take_failed();
        match (fault, has_failed) {
            (None, _) => Ok(()),
            (Some(fault), false) => Err(format!("the storage fails without a reason: {fault}")),
            (Some(_), true) => {
                self.done.faults += 1;
                if self.is_killed {
                    return self.crash(Unsynced::Kept, false, 5);
                }
                self.restart()
            }
        }
    }

    /// In order, unless the power goes meanwhile.
    fn restart(&mut self) -> Checked {
        self.store.stop();
        if self.store.disk.is_off() {
            return self.pass(0);
        }
        self.start()
    }

    fn crash(&mut self, fate: Unsynced, reboots: bool, off_seconds: u64) -> Checked {
        self.go_down(fate, reboots, off_seconds)?;
        self.start()
    }

    fn go_down(&mut self, fate: Unsynced, reboots: bool, off_seconds: u64) -> Checked {
        self.done.crashes += 1;
        self.note(0xC0DE_u64);
        if reboots {
            let crashed = self.store.crash(fate, &mut self.random);
            crashed.map_err(|error| format!("the disk cannot be simulated: {error}"))?;
        } else {
            self.store.kill();
        }
        // Nobody runs: nothing can go wrong.
        self.store.pass(Duration::from_secs(off_seconds));
        Ok(())
    }

    /// The gateway starts. What may keep it from that is over at some time: a full disk, a sync that fails, a power cut.
    fn start(&mut self) -> Checked {
        self.done.starts += 1;
        loop {
            let Err(error) = self.store.start() else {
                return Ok(());
            };
            if self.store.disk.is_off() {
                let (fate, reboots, off) = self.cut.take().unwrap_or((Unsynced::Lost, true, 1));
                self.go_down(fate, reboots, off)?;
            } else if self.is_full {
                self.fill(false);
            } else if !self.store.disk.take_failed() {
                return Err(format!("the gateway does not start: {error:#}"));
            }
        }
    }
}

/// Whether a refusal only says that the ledger waits for FDMS or a person.
pub(crate) fn is_held(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Held { .. })
}

/// Lives through a script.
///
/// # Errors
/// The simulation itself cannot be set up.
pub(crate) fn live(script: &Script, keys: &Keys, defect: Defect) -> Result<Ended> {
    let mut world = World::new(script.seed, keys, defect)?;
    let mut at = None;
    let mut lived = Ok(());
    for (no, step) in &script.steps {
        lived = world.step(*no, script.seed_of(*no), *step);
        if lived.is_err() {
            at = Some(*no);
            break;
        }
    }
    if lived.is_ok() {
        lived = world.calm_down();
    }
    let (asked, hurt) = world.store.line.counts();
    world.done.asked = asked;
    world.done.hurt = hurt;
    world.done.seconds = world.store.hours.passed().as_secs();
    Ok(Ended {
        broken: lived.err().map(|what| (at, what)),
        trace: world.trace,
        done: world.done,
    })
}

/// Nothing bad happens any more on the lines.
pub(crate) fn fair_weather(store: &Store) {
    store.line.set_weather(Weather::Fair);
    store.office.set_weather(Weather::Fair);
}
