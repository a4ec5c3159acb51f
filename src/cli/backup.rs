//! `fiscald backup`, `restore` and `recovery`: copies of the ledger, putting one back, and the passphrase for it.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use clock::{Clock as _, SharedClock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};

use super::Done;
use super::setup::{agreed, ask, read_secret, show_passphrase};
use crate::backup::{self, BackupError, Manifest, Phase, RestoreError, Restoring};
use crate::config::Config;
use crate::join::{renew_recovery, set_up};
use crate::keys::RecoveryPassphrase;
use crate::ledger::{LedgerError, Reader};

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Make a backup now, also while the gateway runs, and check it.
    Take {
        /// The folder; the configured one if left out.
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
    },
    /// List the backups in a folder.
    List {
        /// The folder; the configured one if left out.
        #[arg(long, value_name = "FOLDER")]
        from: Option<PathBuf>,
    },
    /// Check whether a backup is whole and unchanged.
    Check {
        /// The backup.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    backup: PathBuf,
    /// Replace the ledger of this name though it has more than the backup; it is kept beside the new one.
    #[arg(long, value_name = "LEDGER")]
    over: Option<String>,
    /// File with the recovery passphrase, for a machine without the sealing key; without it the passphrase is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Do not ask whether the machine that the backup comes from is out of use.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum RecoveryCommand {
    /// Prove that the passphrase that was written down opens this store's backups.
    Test {
        /// File with the passphrase; without it the passphrase is asked for.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Make a new passphrase and show it, this once. The one before opens older backups only.
    Renew {
        /// Do not ask whether the note of the passphrase in use may become worthless for new backups.
        #[arg(long)]
        yes: bool,
    },
    /// Say when the passphrase was tested last.
    Status,
}

pub(super) fn backup(config: &Config, command: &BackupCommand) -> Done {
    match command {
        BackupCommand::Take { to } => take(config, &folder(config, to.as_deref())?),
        BackupCommand::List { from } => list(&folder(config, from.as_deref())?),
        BackupCommand::Check { file } => {
            let ends = backup::check(file)?;
            println!("{} is whole.", file.display());
            show_tills(&ends.tills);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn folder(config: &Config, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = named.or(config.backup.folder.as_deref());
    Ok(folder
        .context("name a folder, or configure one: `folder` in [backup]")?
        .to_owned())
}

fn take(config: &Config, folder: &Path) -> Done {
    let ledger = existing_ledger(config)?;
    backup::step_back();
    let bar = bar("{msg} {bar:40} {percent} %, {eta} left");
    let now = SystemClock.wall();
    let made = backup::take(
        &ledger,
        folder,
        now,
        config.backup.keep(),
        &mut |phase, done, total| {
            bar.set_message(match phase {
                Phase::Copying => "copying ",
                Phase::Checking => "checking",
            });
            bar.set_length(total);
            bar.set_position(done);
            ControlFlow::Continue(())
        },
    );
    bar.finish_and_clear();
    let manifest = made?;
    println!("{}", folder.join(&manifest.file).display());
    show_tills(&manifest.ends.tills);
    if backup::on_same_disk(&ledger, folder) {
        println!("Take care: it lies on the same disk as the ledger, and a dead disk takes both.");
    }
    Ok(ExitCode::SUCCESS)
}

fn existing_ledger(config: &Config) -> anyhow::Result<PathBuf> {
    let ledger = config.ledger_path();
    if !ledger.exists() {
        bail!(
            "there is no ledger in {}; name the configuration with --config",
            config.data_dir().display()
        );
    }
    Ok(ledger)
}

fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show_tills(tills: &[crate::ledger::copies::TillEnd]) {
    for till in tills {
        println!(
            "  till {} ({}): up to day {}, receipt {}",
            till.device_id, till.environment, till.last_fiscal_day_no, till.last_receipt_global_no
        );
    }
}

fn list(folder: &Path) -> Done {
    if !folder.is_dir() {
        let path = folder.to_owned();
        return Err(BackupError::NoFolder { path }.into());
    }
    for Manifest {
        file, made, bytes, ..
    } in backup::list(folder)
    {
        println!("{file}  {}  {:>8} MiB", clock::local(made), bytes >> 20);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(config: &Config, args: &RestoreArgs) -> Done {
    if !args.yes && !confirmed()? {
        return Err(anyhow::anyhow!("nothing was changed").into());
    }
    let bar = bar("verifying {bar:40} {human_pos} of {human_len} receipts, {eta} left");
    let clock: SharedClock = Arc::new(SystemClock);
    let restored = backup::restore(&mut Restoring {
        config,
        backup: &args.backup,
        over: args.over.as_deref(),
        passphrase: &mut || {
            passphrase(args.passphrase_file.as_deref())
                .map_err(|error| RestoreError::Asking(format!("{error:#}")))
        },
        progress: &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        },
        clock,
        actor: ACTOR,
    });
    bar.finish_and_clear();
    let restored = restored?;
    println!(
        "{} is the ledger again, as it was in the backup:",
        config.ledger_path().display()
    );
    show_tills(&restored.ends.tills);
    if let Some(path) = restored.recovered_key {
        println!("The sealing key is back in {}.", path.display());
    }
    if let Some(path) = restored.replaced {
        println!("The ledger that was there is kept as {}.", path.display());
    }
    println!(
        "Next: start the gateway and connect it. No till sells before FDMS was asked whether it has more; `fiscald till list`\n\
         shows it. Receipts that were issued after the backup and had not reached FDMS are on paper only: keep the copies."
    );
    Ok(ExitCode::SUCCESS)
}

/// Two living copies of a ledger use each number twice.
fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "nobody can be asked whether the machine that the backup comes from is out of use; add --yes if it surely is"
        );
    }
    println!(
        "Two living copies of a ledger issue the same numbers twice, and the authority alone can put that right."
    );
    agreed("Is the ledger that this backup was made of out of use for good? (yes/no) ")
}

/// The note in the safe is the only way to open a backup elsewhere.
fn renewal_confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "nobody can be asked whether the note of the passphrase in use may become worthless for new backups; add --yes if it may"
        );
    }
    println!(
        "The passphrase in use opens the backups that were made so far, and none that is made from now on."
    );
    agreed("Make a new one, and write it down now? (yes/no) ")
}

/// The passphrase from a file or from the terminal.
fn passphrase(file: Option<&Path>) -> anyhow::Result<RecoveryPassphrase> {
    let typed = zeroize::Zeroizing::new(match file {
        Some(file) => read_secret(file)?,
        None => ask("Recovery passphrase: ")?,
    });
    Ok(RecoveryPassphrase::parse(&typed)?)
}

pub(super) fn recovery(config: &Config, command: &RecoveryCommand) -> Done {
    existing_ledger(config)?;
    match command {
        RecoveryCommand::Status => {}
        RecoveryCommand::Renew { yes } => {
            if !yes && !renewal_confirmed()? {
                return Err(anyhow::anyhow!("nothing was changed").into());
            }
            let mut store = set_up(config, Arc::new(SystemClock))?;
            let passphrase = renew_recovery(&mut store.core, &config.sealing_key()?)?;
            show_passphrase(Some(&passphrase));
            return Ok(ExitCode::SUCCESS);
        }
        RecoveryCommand::Test { passphrase_file } => {
            let typed = passphrase(passphrase_file.as_deref())?;
            test(config, &typed)?;
            println!("The passphrase opens this store's backups. Put it back where it was.");
        }
    }
    let tested = Reader::new(&config.ledger_path()).recovery_tested()?;
    match tested {
        Some(at) => println!("It was tested last on {}.", clock::local(at)),
        None => println!("It was never tested: `fiscald recovery test`."),
    }
    Ok(ExitCode::SUCCESS)
}

fn test(config: &Config, typed: &RecoveryPassphrase) -> anyhow::Result<()> {
    let mut core = set_up(config, Arc::new(SystemClock))?.core;
    let wrap = core
        .recovery()?
        .context("this store has no recovery passphrase yet; make one: `fiscald recovery renew`")?;
    let (opened, in_use) = (wrap.unwrap_with(typed)?, config.sealing_key()?);
    if opened.name() != in_use.name() {
        bail!(
            "the passphrase is right, but what it opens is not the sealing key in use; make a new one: `fiscald recovery renew`"
        );
    }
    core.write(|core| core.recovery_tested(ACTOR))
        .map_err(|error: LedgerError| error.into())
}
