//! A store, FDMS and head office driven from one seed, with everything that goes wrong, and what must hold all the same.
//!
//! The ledger (its real core over real SQLite), the submit workers, the keeper of the days and the store agent are the
//! gateway's own, driven on one thread. FDMS is the sandbox, which judges by its own reading of the rules; head office
//! takes batches by the rule of `sync_wire`. Simulated are what lies between them and below them: clocks ([`time`]),
//! lines ([`weather`]), the disk ([`disk`]), and people. A run is the work of a list of steps ([`script`]) that is drawn
//! from the seed before anything happens; so a seed that fails fails again, and steps can be left out of it until only
//! those remain that matter ([`shrink`]).
//!
//! Looked at after every step, and at the end of a run, when all faults are over: no receipt is lost, doubled, skipped
//! or renumbered (against what the tills were answered); chain and counters are true (counted anew, and by FDMS's own
//! judgement); FDMS, ledger and head office hold the same; every day can be closed and is closed by the device; a queue
//! that stands still is parked, and says so.
//!
//! # What is not simulated
//!
//! HTTP, TLS and JSON of the doors (tests/it plays them), threads and what happens beside each other on them (sales that
//! share a commit are there, the queue before the writer is always emptied at once), printers and ports for old
//! software, files of offline devices, renewal of certificates, backups and a ledger put back from one, adoption of
//! FDMS's numbers, archives, commands and wishes of head office and its database (`scripts/hq-exactly-once`), the file
//! beside the ledger (`ledger.epoch`). A torn write tears within what was written; sectors that were not written to stay
//! whole.

use serde::{Deserialize, Serialize};

mod damage;
pub mod disk;
mod fdms;
mod office;
pub mod record;
pub mod script;
pub mod shrink;
mod store;
mod till;
pub mod time;
pub mod weather;
mod world;

pub use fdms_sandbox::Keys;

use fiscald::ledger::core::Planted as InLedger;
use fiscald::submit::Planted as InWorker;
use script::Script;
use sync_agent::Planted as InAgent;

/// A defect that is planted, to show that it is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Defect {
    /// None.
    #[default]
    None,
    /// In the ledger.
    Ledger(InLedger),
    /// In the submit workers.
    Worker(InWorker),
    /// In the store agent.
    Agent(InAgent),
    /// Head office takes a batch that it has.
    OfficeDoubles,
}

impl Defect {
    fn of_ledger(self) -> InLedger {
        match self {
            Self::Ledger(planted) => planted,
            _ => InLedger::None,
        }
    }

    fn of_worker(self) -> InWorker {
        match self {
            Self::Worker(planted) => planted,
            _ => InWorker::None,
        }
    }

    fn of_agent(self) -> InAgent {
        match self {
            Self::Agent(planted) => planted,
            _ => InAgent::None,
        }
    }
}

/// What has happened in runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Steps of stories that were lived through.
    #[serde(default)]
    pub steps: u64,
    /// Sales that were answered with a receipt.
    pub sales: u64,
    /// Sales that were asked for again and answered with the receipt that they were.
    pub repeated: u64,
    /// Sales that had to be refused, and were.
    pub refused: u64,
    /// Sales that the storage could not take.
    pub failed: u64,
    /// Sales that had to wait because the ledger was not sure of itself.
    pub held: u64,
    /// What people did.
    pub acts: u64,
    /// Times at which the gateway or its machine was gone in the middle of something.
    pub crashes: u64,
    /// Syncs that failed: the ledger took no writes until a restart.
    pub faults: u64,
    /// Starts after the first.
    pub starts: u64,
    /// Requests to FDMS, and those that met something bad.
    pub asked: u64,
    /// Requests to FDMS that met something bad.
    pub hurt: u64,
    /// Receipts that FDMS has lost.
    pub lost_at_fdms: u64,
    /// Pages that went bad and were named.
    pub bad_pages: u64,
    /// Simulated seconds.
    pub seconds: u64,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.sales += other.sales;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.failed += other.failed;
        self.held += other.held;
        self.acts += other.acts;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.starts += other.starts;
        self.asked += other.asked;
        self.hurt += other.hurt;
        self.lost_at_fdms += other.lost_at_fdms;
        self.bad_pages += other.bad_pages;
        self.seconds += other.seconds;
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What does not hold, and after which step; none: at the end.
    pub broken: Option<(Option<u64>, String)>,
    /// A number that stands for what happened: the same for the same script.
    pub trace: u64,
    /// What happened.
    pub done: Done,
}

/// Lives through a script.
///
/// # Errors
/// The simulation itself cannot be set up.
pub fn run(script: &Script, keys: &Keys, defect: Defect) -> anyhow::Result<Ended> {
    world::live(script, keys, defect)
}
