//! A printer's jobs out of the ledger, on a thread of the printer's own.

use std::time::Duration;

use drivers::job::{Condition, Job, JobId, JobState, Settings, Spool, SpoolError};
use drivers::page::{Bitmap, Pulse};
use drivers::transport::{Stop, SystemMonotonic};

use super::Printers;
use super::pages::{PageError, page};
use crate::config::{PrinterSetup, picture};
use crate::crash::{self, Point};
use crate::ledger::Ledger;
use crate::ledger::printing::PrintWhat;

/// After a defect in a printer's thread it is started again.
const RESTART: Duration = Duration::from_secs(1);

/// The ledger as a printer sees it.
pub(super) struct LedgerSpool {
    printers: Printers,
    ledger: Ledger,
    setup: PrinterSetup,
    logo: Option<Bitmap>,
}

impl LedgerSpool {
    pub(super) fn new(printers: Printers, ledger: Ledger, setup: PrinterSetup) -> Self {
        let logo = setup.logo.as_deref().and_then(|path| {
            picture(path)
                .inspect_err(|error| {
                    tracing::warn!(printer = setup.name, path = %path.display(), error, "the logo cannot be used");
                })
                .ok()
        });
        Self {
            printers,
            ledger,
            setup,
            logo,
        }
    }
}

impl LedgerSpool {
    /// What was being sent when the thread failed is in doubt.
    fn recover(&self) {
        let name = self.setup.name.clone();
        let copies = self.printers.copies(&name);
        let done = self
            .ledger
            .write_blocking(move |core| core.recover_prints(Some(&name), |_| copies));
        if let Err(error) = done {
            tracing::error!(printer = self.setup.name, %error, "what was being sent stays as it is");
        }
    }

    /// Whether the last job may have broken off in the middle of a command, so that the printer swallows what comes
    /// next. If that cannot be read, it may.
    fn may_be_cut_short(&self) -> bool {
        let last = self.ledger.reader().last_sent_print(&self.setup.name);
        last.map_or(true, |state| state.is_some_and(|state| state != "done"))
    }
}

fn refused(error: impl std::fmt::Display) -> SpoolError {
    SpoolError(error.to_string())
}

impl Spool for LedgerSpool {
    fn next(&mut self) -> Result<Option<Job>, SpoolError> {
        loop {
            let name = self.setup.name.clone();
            // Looked at first: an idle printer writes nothing.
            let waits = self.ledger.reader().has_print(&name).map_err(refused)?;
            if !waits {
                return Ok(None);
            }
            let taken = self
                .ledger
                .write_blocking(move |core| core.take_print(&name));
            let Some(taken) = taken.map_err(refused)? else {
                return Ok(None);
            };
            crash::at(Point::PrintTaken);
            if taken.what == PrintWhat::Drawer && !self.setup.profile.drawer {
                let why = "the printer's profile has no drawer";
                self.keep(taken.id, &JobState::Failed(why.to_owned()))?;
                continue;
            }
            match page(
                &taken,
                self.ledger.reader(),
                &self.setup,
                self.logo.as_ref(),
            ) {
                Ok(page) => return Ok(Some(Job { id: taken.id, page })),
                Err(PageError::Ledger(error)) => return Err(refused(error)),
                Err(error) => self.keep(taken.id, &JobState::Failed(error.to_string()))?,
            }
        }
    }

    fn pulse(&mut self) -> Result<Option<(JobId, Pulse)>, SpoolError> {
        let name = self.setup.name.clone();
        let waits = self.ledger.reader().has_drawer(&name).map_err(refused)?;
        // Where the profile has no drawer, the job fails when its turn comes.
        if !waits || !self.setup.profile.drawer {
            return Ok(None);
        }
        let taken = self
            .ledger
            .write_blocking(move |core| core.take_drawer(&name));
        let taken = taken.map_err(refused)?;
        Ok(taken.map(|taken| (taken.id, Pulse::default())))
    }

    fn keep(&mut self, job: JobId, state: &JobState) -> Result<(), SpoolError> {
        let (state, copies) = (state.clone(), self.printers.copies(&self.setup.name));
        crash::at(Point::PrintBefore);
        self.ledger
            .write_blocking(move |core| core.keep_print(job, &state, copies))
            .map_err(refused)?;
        crash::at(Point::PrintKept);
        Ok(())
    }

    fn wait(&mut self, at_most: Duration) {
        if let Some(bell) = self.printers.shared.bells.get(&self.setup.name) {
            bell.wait(at_most);
        }
    }

    fn condition(&mut self, condition: &Condition) {
        self.printers.set_condition(&self.setup.name, condition);
    }
}

/// Runs a printer until the stop signal. A defect of ours in here must not take the printer away for good.
pub(super) fn print(mut spool: LedgerSpool, stop: &Stop) {
    let name = spool.setup.name.clone();
    let mut opener = spool.setup.link.opener();
    let profile = spool.setup.profile.clone();
    while !stop.is_set() {
        let settings = Settings {
            patience: spool.setup.patience,
            cut_short: spool.may_be_cut_short(),
            ..Settings::default()
        };
        let run = std::panic::AssertUnwindSafe(|| {
            drivers::job::run(
                opener.as_mut(),
                &profile,
                &mut spool,
                &SystemMonotonic::new(),
                stop,
                settings,
            );
        });
        if std::panic::catch_unwind(run).is_err() {
            tracing::error!(
                printer = name,
                "a defect in the printer's thread; it is started again"
            );
            spool.recover();
            spool.wait(RESTART);
        }
    }
}
