//! `fiscald doctor`: looks at everything that a store rests on, and names the first thing that is wrong.
//!
//! It only looks: nothing of the store is changed, and it works beside a running gateway as well as without one. Each
//! look is limited in time. What rests on something that has failed is not looked at, and said to be so: a technician
//! is to mend the cause, not what follows from it. Every finding has a code that stays, a verdict, and, unless all is
//! well, the next step (docs/DOCTOR.md).

use std::path::PathBuf;
use std::sync::Arc;

use clock::{SharedClock, SystemClock};
use serde::Serialize;

use crate::config::Config;
use crate::disk::{Space, space};
use crate::keys::SealingKey;
use crate::time::TimeKeeper;

pub mod bundle;
mod copies;
mod devices;
mod disk;
mod fdms;
mod gateway;
mod ledger;
mod line;
mod office;
mod ports;
mod setup;
mod time;

pub use disk::measure;
pub use setup::configured;

/// What is looked at, in the order of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The configuration file and the files that it names.
    Config,
    /// Folders, owners, rights, the sealing key.
    Permissions,
    /// Room and speed of the ledger's disk.
    Disk,
    /// The ledger: whole, right, this store's; its tills and their keys.
    Ledger,
    /// Backups and the live copy.
    Backup,
    /// Whether the gateway runs.
    Gateway,
    /// This machine's clock.
    Clock,
    /// What waits for FDMS, and the fiscal days.
    Queue,
    /// Finding FDMS's address by its name.
    Dns,
    /// Reaching it.
    Tcp,
    /// Whether who answers is FDMS.
    Tls,
    /// The tills' certificates.
    Certificate,
    /// What FDMS answers to the tills.
    Fdms,
    /// Head office.
    Hq,
    /// Printers.
    Printers,
    /// The gateway's own ports, and those for old POS software.
    Ports,
}

impl Area {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Permissions => "permissions",
            Self::Disk => "disk",
            Self::Ledger => "ledger",
            Self::Backup => "backup",
            Self::Gateway => "gateway",
            Self::Clock => "clock",
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Fdms => "fdms",
            Self::Hq => "hq",
            Self::Printers => "printers",
            Self::Ports => "ports",
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not looked at, because something before it has failed.
    Skipped,
    /// The store works, and somebody should see to it.
    Warning,
    /// Something does not work.
    Fault,
}

impl Verdict {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub area: Area,
    /// Which of several: a till, a printer, a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it is.
    pub verdict: Verdict,
    /// The name of this finding, which stays the same from version to version.
    pub code: &'static str,
    /// What was found.
    pub text: String,
    /// What to do now; there for every warning and every fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    fn new(area: Area, verdict: Verdict, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            area,
            subject: None,
            verdict,
            code,
            text: text.into(),
            next: None,
        }
    }

    fn ok(area: Area, text: impl Into<String>) -> Self {
        Self::new(area, Verdict::Ok, "ok", text)
    }

    fn warning(
        area: Area,
        code: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            next: Some(next.into()),
            ..Self::new(area, Verdict::Warning, code, text)
        }
    }

    fn fault(
        area: Area,
        code: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            next: Some(next.into()),
            ..Self::new(area, Verdict::Fault, code, text)
        }
    }

    fn skipped(area: Area, because: &str) -> Self {
        let text = format!("not looked at, because {because}");
        Self::new(area, Verdict::Skipped, "skipped", text)
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

/// What was found, in the order of the areas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The program's version.
    pub version: &'static str,
    /// When it was looked, by this machine's clock, local.
    pub at: String,
    /// The worst verdict.
    pub verdict: Verdict,
    /// The lines.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something does not work.
    #[must_use]
    pub fn has_fault(&self) -> bool {
        self.verdict == Verdict::Fault
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let subject = finding.subject.as_ref();
            text.push_str(&format!(
                "{:<8} {:<12} {}{}\n",
                finding.verdict.as_str(),
                finding.area.as_str(),
                subject.map(|who| format!("{who}: ")).unwrap_or_default(),
                finding.text
            ));
            if let Some(next) = &finding.next {
                text.push_str(&format!(
                    "         {:<12} next: {next} [{}]\n",
                    "", finding.code
                ));
            }
        }
        let count = |verdict| {
            let all = self.findings.iter();
            all.filter(|finding| finding.verdict == verdict).count()
        };
        text.push_str(&format!(
            "{} ok, {} warnings, {} faults, {} not looked at\n",
            count(Verdict::Ok),
            count(Verdict::Warning),
            count(Verdict::Fault),
            count(Verdict::Skipped)
        ));
        text
    }
}

/// What of the machine a test may put something else in place of.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Room on the disk of a folder.
    pub space: fn(&std::path::Path) -> std::io::Result<Space>,
    /// How long a write to the disk of a folder takes until it is durable: the middle of several.
    pub durable_write: fn(&std::path::Path, &SharedClock) -> std::io::Result<std::time::Duration>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            space,
            durable_write: measure,
        }
    }
}

/// Looks at a store.
#[derive(Debug, Clone)]
pub struct Doctor {
    /// The configuration file; none: the defaults hold.
    pub config: Option<PathBuf>,
    /// This machine's clocks.
    pub clock: SharedClock,
    /// The machine.
    pub machine: Machine,
    /// The sealing key, where it was opened before this program became the store's user.
    pub unsealed: Option<SealingKey>,
}

impl Doctor {
    /// Looks at the store of this configuration, on this machine.
    #[must_use]
    pub fn new(config: Option<PathBuf>) -> Self {
        Self {
            config,
            clock: Arc::new(SystemClock),
            machine: Machine::default(),
            unsealed: None,
        }
    }

    /// Looks at everything. It takes seconds; with a line on which nobody answers, up to a minute or two.
    pub async fn look(&self) -> Report {
        let mut found = Vec::new();
        match setup::load(self.config.as_deref(), &mut found) {
            Some(mut config) => {
                config.unsealed.clone_from(&self.unsealed);
                self.look_at(&config, &mut found).await;
            }
            None => {
                let rest = REST_OF_CONFIG.iter();
                found.extend(
                    rest.map(|area| Finding::skipped(*area, "the configuration cannot be used")),
                );
            }
        }
        found.sort_by_key(|finding| finding.area);
        Report {
            version: env!("CARGO_PKG_VERSION"),
            at: clock::local(self.clock.wall()).to_string(),
            verdict: found
                .iter()
                .map(|finding| finding.verdict)
                .max()
                .unwrap_or(Verdict::Ok),
            findings: found,
        }
    }

    async fn look_at(&self, config: &Config, found: &mut Vec<Finding>) {
        let key = setup::permissions(config, found);
        disk::look(self, config, found).await;
        let running = gateway::look(config, found).await;
        ports::look(config, running, found).await;
        let store = ledger::look(config, key, found).await;
        // A ledger that cannot be read is when a backup is wanted.
        let now = store.as_ref().map(|store| self.keeper(store).now());
        let now = now.unwrap_or_else(|| self.clock.wall());
        copies::look(self, config, running, now, found).await;
        let known = match &store {
            Some(store) => store.tills.as_slice(),
            None => &[],
        };
        devices::look(config, running, known, found).await;
        let Some(store) = store else {
            let rest = REST_OF_LEDGER.iter();
            found.extend(rest.map(|area| Finding::skipped(*area, "the ledger cannot be read")));
            return;
        };
        let keeper = time::look(self, &store, found);
        ledger::queues(&store, &keeper, found);
        fdms::look(config, &store, &keeper, found).await;
        office::look(&store, &keeper, found).await;
    }

    /// The trusted time as the gateway would start with it.
    fn keeper(&self, store: &ledger::Store) -> Arc<TimeKeeper> {
        Arc::new(TimeKeeper::start(
            Arc::clone(&self.clock),
            store.anchor.clone(),
            store.last_date.map(clock::instant),
        ))
    }
}

/// What rests on the configuration: everything.
const REST_OF_CONFIG: [Area; 15] = [
    Area::Permissions,
    Area::Disk,
    Area::Ledger,
    Area::Backup,
    Area::Gateway,
    Area::Clock,
    Area::Queue,
    Area::Dns,
    Area::Tcp,
    Area::Tls,
    Area::Certificate,
    Area::Fdms,
    Area::Hq,
    Area::Printers,
    Area::Ports,
];

/// What rests on the ledger, which knows the tills, their keys, and head office.
const REST_OF_LEDGER: [Area; 8] = [
    Area::Clock,
    Area::Queue,
    Area::Dns,
    Area::Tcp,
    Area::Tls,
    Area::Certificate,
    Area::Fdms,
    Area::Hq,
];
