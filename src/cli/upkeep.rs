//! What the package asks of a store that is not running: bring the ledger to this version, and say whether the
//! program may be removed.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clock::SystemClock;

use super::Done;
use crate::config::Config;
use crate::ledger::core::Core;
use crate::ledger::lock::only_one;
use crate::ledger::{Environment, Reader};

/// Exit code of a store that has not told FDMS everything.
const UNSENT: u8 = 3;

/// Exit code of a store whose ledger is not where the configuration has it: nobody knows what FDMS has been told.
const NO_LEDGER: u8 = 4;

/// `fiscald migrate`.
pub(super) fn migrate(config: &Config) -> Done {
    let path = config.ledger_path();
    if !path.exists() {
        println!("There is no ledger in {} yet.", config.data_dir().display());
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = only_one(&config.data_dir())?;
    let settings = config.settings().map_err(anyhow::Error::msg)?;
    let sealing = config.sealing_key()?;
    let core = Core::open(&path, sealing, Arc::new(SystemClock), settings)?;
    match core.migrated() {
        None => println!("{}: of this version already", path.display()),
        Some(migrated) => println!(
            "{}: brought from step {} to step {}; as it was before, it is kept in {}",
            path.display(),
            migrated.from,
            migrated.to,
            migrated.backup.display()
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// `fiscald unsent`: what FDMS has not been told, of all tills; also of a gateway that does not run.
pub(super) fn unsent(config: &Config) -> Done {
    let path = config.ledger_path();
    let is_there = path.try_exists();
    if !is_there.with_context(|| format!("{} may not be looked for", path.display()))? {
        println!(
            "There is no ledger at {}: is its disk mounted? Without it nobody knows what FDMS has been told.",
            path.display()
        );
        return Ok(ExitCode::from(NO_LEDGER));
    }
    let reader = Reader::new(&path);
    let mut anything = false;
    for till in reader.tills()? {
        let waiting = reader.backlog(till.id)?;
        let open = reader.day(till.id, None)?.filter(|day| day.close.is_none());
        if waiting.total() == 0 && open.is_none() {
            continue;
        }
        // What the authority's test server has not heard costs nobody anything, but it is said all the same.
        let word = match till.environment {
            Environment::Test => " (test)",
            Environment::Production => "",
        };
        if waiting.total() > 0 {
            anything = true;
            println!(
                "till {}{word}: {} receipts, {} openings and {} closes of days are not at FDMS yet",
                till.device_id, waiting.receipts, waiting.openings, waiting.closes
            );
        }
        if let Some(day) = open {
            anything = true;
            println!(
                "till {}{word}: the fiscal day {} is open",
                till.device_id, day.fiscal_day_no
            );
        }
    }
    if anything {
        return Ok(ExitCode::from(UNSENT));
    }
    println!("FDMS has everything; no day is open.");
    Ok(ExitCode::SUCCESS)
}
