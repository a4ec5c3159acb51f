//! Printing: what the ledger says is to be on paper, on paper.
//!
//! Receipts and closes are found by the printers' own place among the events, as FDMS's are; each becomes a job in
//! the ledger in the same transaction in which that place moves on. Each printer has a thread that takes its jobs
//! one by one ([`drivers::job`]); every edge of a job is in the ledger before the byte that it stands for. A printer
//! never holds up a sale, and a paper that fails undoes none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drivers::job::Condition;
use drivers::transport::Stop;
use tokio_util::sync::CancellationToken;

use crate::config::{PrintPlan, PrinterSetup};
use crate::crash::{self, Point};
use crate::ledger::printing::{NewPrint, PrintableEvent};
use crate::ledger::{Ledger, LedgerError, PrintPolicy, Seq, Settings, StorageError};

mod bell;
mod display;
pub mod pages;
mod spool;
pub mod words;

use bell::Bell;
use display::Displays;
use spool::LedgerSpool;

/// Events that are turned into jobs in one transaction.
const BATCH: u32 = 200;
/// After a fault of the ledger.
const AGAIN: Duration = Duration::from_secs(1);

/// The store's printers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Printers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: PrintPlan,
    bells: BTreeMap<String, Bell>,
    conditions: Mutex<BTreeMap<String, Condition>>,
    displays: Displays,
}

impl Printers {
    /// The printers of a configuration; none of them is touched before [`Printers::run`].
    #[must_use]
    pub fn new(plan: PrintPlan) -> Self {
        let bells = plan
            .printers
            .iter()
            .map(|p| (p.name.clone(), Bell::default()));
        Self {
            shared: Arc::new(Shared {
                bells: bells.collect(),
                displays: Displays::new(&plan),
                plan,
                conditions: Mutex::default(),
            }),
        }
    }

    /// What goes where.
    #[must_use]
    pub fn plan(&self) -> &PrintPlan {
        &self.shared.plan
    }

    /// What a printer last told of itself; none before its link was first tried.
    #[must_use]
    pub fn condition(&self, printer: &str) -> Option<Condition> {
        self.conditions().get(printer).cloned()
    }

    fn conditions(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Condition>> {
        self.shared
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_condition(&self, printer: &str, condition: &Condition) {
        let before = self
            .conditions()
            .insert(printer.to_owned(), condition.clone());
        if before.as_ref() != Some(condition) {
            tracing::info!(
                printer,
                connected = condition.connected,
                fault = condition.fault.map(crate::ledger::printing::held),
                paper_low = condition.paper_low,
                error = condition.link_error,
                "the printer's condition has changed"
            );
        }
    }

    /// Shows the customer two lines at the display beside a printer; none leaves a line as it is. Nothing happens
    /// where there is none.
    pub fn display(&self, printer: &str, upper: Option<&str>, lower: Option<&str>) {
        self.shared.displays.show(printer, upper, lower);
    }

    /// Wakes a printer: a job may be there.
    pub fn ring(&self, printer: &str) {
        if let Some(bell) = self.shared.bells.get(printer) {
            bell.ring();
        }
    }

    /// Puts jobs that somebody has asked for into the queue, and wakes their printers.
    ///
    /// # Errors
    /// A fault of the storage.
    pub async fn queue(
        &self,
        ledger: &Ledger,
        jobs: Vec<NewPrint>,
        actor: Arc<str>,
    ) -> Result<Vec<drivers::job::JobId>, LedgerError> {
        let names: Vec<String> = jobs.iter().map(|job| job.printer.clone()).collect();
        let ids = ledger
            .write(move |core| core.queue_prints_for(&jobs, &actor))
            .await?;
        for name in names {
            self.ring(&name);
        }
        Ok(ids)
    }

    /// Prints until the stop signal. What is sold after this call, even before the future is polled, is printed.
    pub fn run(self, ledger: Ledger, stop: CancellationToken) -> impl Future<Output = ()> + Send {
        let sold_before = *ledger.committed().borrow();
        self.print(ledger, sold_before, stop)
    }

    async fn print(self, ledger: Ledger, sold_before: Seq, stop: CancellationToken) {
        while let Err(error) = self.begin(&ledger, sold_before).await {
            tracing::error!(%error, "the printers' queue cannot be read; nothing is printed yet");
            tokio::select! {
                () = stop.cancelled() => return,
                () = ledger.time().clock().sleep(AGAIN) => {}
            }
        }
        if self.shared.plan.printers.is_empty() {
            stop.cancelled().await;
            return;
        }
        let stopped = Stop::new();
        let mut threads = self.start_threads(&ledger, &stopped);
        threads.extend(self.shared.displays.start(&stopped));
        while !stop.is_cancelled() {
            // A defect of ours in there must not end all printing.
            let (printers, fed, until) = (self.clone(), ledger.clone(), stop.clone());
            let ended = tokio::spawn(async move { printers.feed(&fed, &until).await }).await;
            if let Err(error) = ended {
                tracing::error!(%error, "a defect where receipts are put into the printers' queue; it goes on");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = ledger.time().clock().sleep(AGAIN) => {}
            }
        }
        stopped.set();
        self.shared.displays.wake();
        for bell in self.shared.bells.values() {
            bell.ring();
        }
        // The threads end with their stop signal; joining them blocks.
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has said so itself.
                let _ = thread.join();
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "the printers did not stop in order");
        }
    }

    /// What was being printed when the daemon was stopped is in doubt. A store that gets its first printer does
    /// not print what it sold before.
    async fn begin(&self, ledger: &Ledger, sold_before: Seq) -> Result<(), LedgerError> {
        let printers = self.clone();
        let has_printers = !self.shared.plan.printers.is_empty();
        let cursor = ledger.ask(|reader| reader.print_cursor()).await?;
        for job in ledger.ask(|reader| reader.open_prints(None)).await? {
            if self.shared.plan.named(&job.printer).is_none() {
                tracing::warn!(
                    printer = job.printer,
                    job = job.id.0,
                    "a print job waits for a printer that is not in the configuration any more"
                );
            }
        }
        ledger
            .write(move |core| {
                core.recover_prints(None, |name| printers.copies(name))?;
                core.forget_printed()?;
                match (has_printers, cursor) {
                    (true, None) => core.set_print_cursor(Some(sold_before)),
                    (false, Some(_)) => core.set_print_cursor(None),
                    _ => Ok(()),
                }
            })
            .await
    }

    fn copies(&self, printer: &str) -> bool {
        let setup = self.shared.plan.named(printer);
        setup.is_some_and(|setup| setup.after_unknown == crate::config::AfterUnknown::Copy)
    }

    fn start_threads(&self, ledger: &Ledger, stop: &Stop) -> Vec<std::thread::JoinHandle<()>> {
        let start = |setup: &PrinterSetup| {
            let spool = LedgerSpool::new(self.clone(), ledger.clone(), setup.clone());
            let (name, stop) = (setup.name.clone(), stop.clone());
            let thread = std::thread::Builder::new().name(format!("print {name}"));
            let started = thread.spawn(move || spool::print(spool, &stop));
            started
                .inspect_err(
                    |error| tracing::error!(printer = name, %error, "no thread for the printer"),
                )
                .ok()
        };
        self.shared.plan.printers.iter().filter_map(start).collect()
    }

    /// Turns events into jobs until the stop signal.
    async fn feed(&self, ledger: &Ledger, stop: &CancellationToken) {
        let mut committed = ledger.committed();
        loop {
            committed.mark_unchanged();
            match self.turn(ledger).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(LedgerError::Storage(StorageError::Stopping)) => return,
                Err(error) => {
                    tracing::warn!(%error, "receipts cannot be put into the printers' queue");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = ledger.time().clock().sleep(AGAIN) => continue,
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = committed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One batch of events; true if there may be more.
    async fn turn(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        let found = ledger
            .ask(|reader| {
                let cursor = reader.print_cursor()?.unwrap_or(Seq(0));
                reader.printable_events(cursor, BATCH)
            })
            .await?;
        let Some(upto) = found.upto else {
            return Ok(false);
        };
        let settings = ledger.settings();
        let jobs: Vec<NewPrint> = found
            .events
            .iter()
            .filter_map(|event| self.job(event, &settings))
            .collect();
        let names: Vec<String> = jobs.iter().map(|job| job.printer.clone()).collect();
        ledger
            .write(move |core| core.print_events(&jobs, upto))
            .await?;
        if !names.is_empty() {
            crash::at(Point::PrintQueued);
        }
        for name in names {
            self.ring(&name);
        }
        self.shared.displays.tell(&self.shared.plan, &found.events);
        Ok(found.is_full)
    }

    /// What an event puts on paper.
    fn job(&self, event: &PrintableEvent, settings: &Settings) -> Option<NewPrint> {
        let plan = &self.shared.plan;
        if event.is_close {
            let printer = plan.z_printer(event.device)?;
            return Some(NewPrint::z_report(&printer.name, event.till, event.seq));
        }
        let printer = plan.printer(event.device)?;
        let wanted = match settings.print(event.device) {
            PrintPolicy::Always => event.print != Some(false),
            PrintPolicy::OnRequest => event.print == Some(true),
            PrintPolicy::Never => false,
        };
        wanted.then(|| NewPrint::receipt(&printer.name, event.till, event.seq))
    }
}
