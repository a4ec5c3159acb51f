//! The customer's display beside a printer: two lines, the latest wins. It holds nothing up and is never waited for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use drivers::display::Dialect;
use drivers::transport::{Link, LinkConfig, Stop};

use super::bell::Bell;
use crate::config::PrintPlan;
use crate::ledger::printing::PrintableEvent;

/// After a display could not be opened or was lost, and between two looks at the stop signal.
const AGAIN: Duration = Duration::from_secs(5);
/// A display that takes no bytes for so long is opened anew.
const WRITE: Duration = Duration::from_secs(1);

/// The displays of the store, by the printer that each stands beside.
#[derive(Debug, Default)]
pub(super) struct Displays(BTreeMap<String, std::sync::Arc<Display>>);

#[derive(Debug)]
struct Display {
    link: LinkConfig,
    dialect: Dialect,
    lines: Mutex<[String; 2]>,
    bell: Bell,
}

impl Displays {
    pub(super) fn new(plan: &PrintPlan) -> Self {
        let displays = plan.printers.iter().filter_map(|printer| {
            let (link, dialect) = printer.display.clone()?;
            let display = Display {
                link,
                dialect,
                lines: Mutex::default(),
                bell: Bell::default(),
            };
            Some((printer.name.clone(), std::sync::Arc::new(display)))
        });
        Self(displays.collect())
    }

    pub(super) fn show(&self, printer: &str, upper: Option<&str>, lower: Option<&str>) {
        let Some(display) = self.0.get(printer) else {
            return;
        };
        {
            let mut lines = display.lines.lock().unwrap_or_else(PoisonError::into_inner);
            for (line, text) in lines.iter_mut().zip([upper, lower]) {
                if let Some(text) = text {
                    text.clone_into(line);
                }
            }
        }
        display.bell.ring();
    }

    /// Each receipt's total, at the display beside its till's printer.
    pub(super) fn tell(&self, plan: &PrintPlan, events: &[PrintableEvent]) {
        if self.0.is_empty() {
            return;
        }
        for event in events {
            let printer = plan.printer(event.device);
            if let (Some((currency, total)), Some(printer)) = (&event.total, printer) {
                let upper = format!("TOTAL {currency} {total}");
                self.show(&printer.name, Some(&upper), Some("RECEIPT SIGNED"));
            }
        }
    }

    pub(super) fn start(&self, stop: &Stop) -> Vec<std::thread::JoinHandle<()>> {
        let start = |display: &std::sync::Arc<Display>| {
            let (display, stop) = (std::sync::Arc::clone(display), stop.clone());
            let thread = std::thread::Builder::new().name("display".to_owned());
            thread.spawn(move || display.run(&stop)).ok()
        };
        self.0.values().filter_map(start).collect()
    }

    pub(super) fn wake(&self) {
        for display in self.0.values() {
            display.bell.ring();
        }
    }
}

impl Display {
    fn run(&self, stop: &Stop) {
        let mut opener = self.link.opener();
        let mut link: Option<Box<dyn Link>> = None;
        while !stop.is_set() {
            self.bell.wait(AGAIN);
            let [upper, lower] = self
                .lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if upper.is_empty() && lower.is_empty() {
                continue;
            }
            let opened = match link.take() {
                Some(open) => Ok(open),
                None => opener.open().and_then(|mut open| {
                    write(open.as_mut(), &self.dialect.start())?;
                    Ok(open)
                }),
            };
            let shown = opened.and_then(|mut open| {
                write(open.as_mut(), &self.dialect.show(&upper, &lower))?;
                Ok(open)
            });
            match shown {
                Ok(open) => link = Some(open),
                Err(error) => tracing::debug!(%error, "the customer's display"),
            }
        }
    }
}

fn write(link: &mut dyn Link, bytes: &[u8]) -> Result<(), drivers::transport::LinkError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = link.write(rest, WRITE)?;
        if taken == 0 {
            return Ok(());
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}
