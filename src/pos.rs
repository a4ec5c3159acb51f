//! Old POS software at our ports: what it prints is read, sold and printed with its fiscal block, or it drives us as
//! a fiscal printer. Either way its sales go through the same door as the API's: the ledger's queue.
//!
//! Each port has threads of its own and is started again when its link is lost; it never holds up the daemon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drivers::transport::{Acceptor, LinkConfig, MayConnect, Stop, SystemMonotonic};
use tokio_util::sync::CancellationToken;

use crate::config::{Listen, Plays, PosSetup};
use crate::ledger::{Ledger, TillInfo};
use crate::print::Printers;

mod counter;
mod door;
mod folder;
mod letters;
mod register;
pub mod sale;
mod state;
pub mod words;

pub use counter::Counter;
use state::PortError;
pub use state::{LastPaper, PortFacts, Standing};

/// After a port could not be listened at, or a defect.
const AGAIN: Duration = Duration::from_secs(2);

/// The store's ports for old POS software. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct PosPorts {
    setups: Arc<Vec<PosSetup>>,
    standings: Arc<state::Standings>,
}

/// How the audit and the keys of a port's sales and papers name it.
fn actor(setup: &PosSetup) -> String {
    format!("pos:{}", setup.name)
}

impl PosPorts {
    /// The ports of a configuration; none of them is opened before [`PosPorts::run`].
    #[must_use]
    pub fn new(setups: Vec<PosSetup>) -> Self {
        Self {
            setups: Arc::new(setups),
            standings: Arc::default(),
        }
    }

    /// Whether POS software can connect to a port.
    #[must_use]
    pub fn standing(&self, port: &str) -> Standing {
        self.standings.of(port)
    }

    /// The ports.
    #[must_use]
    pub fn setups(&self) -> &[PosSetup] {
        &self.setups
    }

    /// A port by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&PosSetup> {
        self.setups.iter().find(|setup| setup.name == name)
    }

    /// Serves all ports until the stop signal.
    pub async fn run(self, ledger: Ledger, printers: Printers, stop: CancellationToken) {
        let forgotten = ledger.write(|core| core.forget_passed()).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "old slips stay");
        }
        self.tell_orphans(&ledger).await;
        let stopped = Stop::new();
        let mut threads = Vec::new();
        for setup in self.setups.iter().cloned() {
            let (ledger, printers, stop) = (ledger.clone(), printers.clone(), stopped.clone());
            let (ports, name) = (self.clone(), setup.name.clone());
            let thread = std::thread::Builder::new().name(format!("pos {name}"));
            match thread.spawn(move || ports.keep_serving(&setup, &ledger, &printers, &stop)) {
                Ok(thread) => threads.push(thread),
                Err(error) => tracing::error!(port = name, %error, "no thread for the port"),
            }
        }
        self.watch(&ledger, &stop).await;
        stopped.set();
        // The threads end with their stop signal; joining them blocks.
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has said so itself.
                let _ = thread.join();
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "the ports did not stop in order");
        }
    }
}

impl PosPorts {
    /// Papers of a port that is not in the configuration any more are read by nobody.
    async fn tell_orphans(&self, ledger: &Ledger) {
        match ledger.ask(|reader| reader.unread_ports()).await {
            Ok(ports) => {
                for port in ports.iter().filter(|port| self.named(port).is_none()) {
                    tracing::warn!(
                        port,
                        "papers of this port have not been read, and it is not in [[pos]] any more; put it back"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "unread papers cannot be looked for"),
        }
    }

    /// Until the stop signal: says what the ports' letters do not mean, when the ports start and whenever a
    /// configuration may have arrived.
    async fn watch(&self, ledger: &Ledger, stop: &CancellationToken) {
        let mut arrived = ledger.tills_changed();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while !stop.is_cancelled() {
            arrived.mark_unchanged();
            self.warn(ledger, &mut told).await;
            tokio::select! {
                () = stop.cancelled() => return,
                changed = arrived.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
        }
    }

    async fn warn(&self, ledger: &Ledger, told: &mut BTreeMap<String, Vec<String>>) {
        for setup in self.setups() {
            let (port, asked) = (setup.clone(), ledger.clone());
            let found = ledger.ask(move |reader| state::warnings(&port, &asked, reader));
            let warnings = match found.await {
                Ok(warnings) => warnings,
                Err(error) => {
                    tracing::warn!(port = setup.name, %error, "the port's letters cannot be looked at");
                    continue;
                }
            };
            let before = told.insert(setup.name.clone(), warnings.clone());
            for warning in warnings {
                if !before.iter().flatten().any(|before| *before == warning) {
                    tracing::warn!(port = setup.name, "{warning}");
                }
            }
        }
    }

    /// Serves a port until it is to stop; a defect of ours in there must not take the port away for good.
    fn keep_serving(&self, setup: &PosSetup, ledger: &Ledger, printers: &Printers, stop: &Stop) {
        while !stop.is_set() {
            let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.serve(setup, ledger, printers, stop)
            }));
            let (why, action) = match served {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => (error.to_string(), error.action(&setup.listen)),
                Err(_) => (
                    "a defect of the gateway".to_owned(),
                    "Report it, with the gateway's log; the port is started again by itself.",
                ),
            };
            let standing = Standing::Shut {
                why: why.clone(),
                action: action.to_owned(),
            };
            if self.standings.set(&setup.name, standing) {
                tracing::warn!(
                    port = setup.name,
                    error = why,
                    "the port cannot be served; it is tried again every two seconds. {action}"
                );
            }
            stop.wait(AGAIN);
        }
    }

    /// POS software can connect.
    fn opened(&self, setup: &PosSetup) {
        if self.standings.set(&setup.name, Standing::Open) {
            tracing::info!(port = setup.name, listen = %setup.listen, "the port is open");
        }
    }

    fn serve(
        &self,
        setup: &PosSetup,
        ledger: &Ledger,
        printers: &Printers,
        stop: &Stop,
    ) -> Result<(), PortError> {
        let till = till(setup, ledger)?;
        let counter = Counter::new(setup, till, ledger, printers);
        if let Plays::Printer(templates) = &setup.plays
            && let Err(error) = templates.current()
        {
            tracing::error!(
                port = setup.name,
                error,
                "the templates of the port cannot be read: its papers are put aside until they are mended"
            );
        }
        match (&setup.plays, &setup.listen) {
            (Plays::Printer(_), Listen::Folder(path)) => {
                folder::serve(path, &counter, stop, &|| self.opened(setup))
            }
            (Plays::Printer(_), Listen::Link(_)) => {
                let counter = Arc::new(counter);
                // What came in before the power went is dealt with first.
                let worker = door::Worker::start(&counter, stop)?;
                let mut acceptor = self.acceptor(setup)?;
                while let Some(link) = acceptor.accept(stop)? {
                    self.opened(setup);
                    door::serve(link, &counter, &worker, stop)
                        .map_err(|error| PortError::Serving(error.to_string()))?;
                }
                Ok(())
            }
            (Plays::Isl(rules) | Plays::Zfp(rules), _) => {
                let mut acceptor = self.acceptor(setup)?;
                let mut register = register::LedgerRegister::new(counter, Arc::clone(rules));
                // A close that was cut off is brought to its end, whether the software comes again or not.
                let resumed = match &setup.plays {
                    Plays::Isl(_) => {
                        drivers::isl::Session::start(Arc::clone(rules), &mut register).err()
                    }
                    _ => drivers::zfp::Session::start(Arc::clone(rules), &mut register).err(),
                };
                if let Some(refusal) = resumed {
                    return Err(PortError::Serving(refusal.to_string()));
                }
                while let Some(mut link) = acceptor.accept(stop)? {
                    self.opened(setup);
                    let (time, flag) = (SystemMonotonic::new(), stop.flag());
                    let served = match &setup.plays {
                        Plays::Isl(_) => {
                            drivers::isl::serve(link.as_mut(), &mut register, rules, &time, flag)
                                .map_err(|error| error.to_string())
                        }
                        _ => drivers::zfp::serve(link.as_mut(), &mut register, rules, &time, flag)
                            .map_err(|error| error.to_string()),
                    };
                    if let Err(error) = served {
                        tracing::debug!(port = setup.name, error, "the POS software is gone");
                    }
                }
                Ok(())
            }
        }
    }

    fn acceptor(&self, setup: &PosSetup) -> Result<Box<dyn Acceptor>, PortError> {
        let Listen::Link(link) = &setup.listen else {
            return Err(PortError::Serving("a folder is no link".to_owned()));
        };
        let allow = Arc::clone(&setup.allow);
        let may = MayConnect(Box::new(move |peer| {
            peer.is_loopback() || allow.contains(peer)
        }));
        let acceptor = link.acceptor(Some(may))?;
        // A serial port is opened by accepting: it may not be plugged in.
        if !matches!(link, LinkConfig::Serial(_)) {
            self.opened(setup);
        }
        Ok(acceptor)
    }
}

fn till(setup: &PosSetup, ledger: &Ledger) -> Result<TillInfo, PortError> {
    let tills = ledger.reader().tills()?;
    let found = tills
        .into_iter()
        .find(|till| (till.environment, till.device_id) == setup.till);
    found.ok_or_else(|| PortError::NoTill(format!("{} ({})", setup.till.1, setup.till.0)))
}
