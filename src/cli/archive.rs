//! `fiscald archive`: old years leave the ledger for files beside it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clock::SharedClock;
use indicatif::{ProgressBar, ProgressStyle};

use super::Done;
use crate::archive::{Phase, archive, due, verify};
use crate::backup::{Pause, step_back};
use crate::config::Config;
use crate::join::set_up;
use crate::ledger::Reader;

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// So many whole years before the present one stay in the ledger.
    #[arg(long, default_value_t = 2, value_name = "YEARS")]
    keep: u16,
    /// Only list the archives and the years that would be moved.
    #[arg(long)]
    list: bool,
    /// Only verify this archive.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    verify: Option<PathBuf>,
    /// Read the time from this socket instead of the machine's clock.
    #[cfg(feature = "test-clock")]
    #[arg(long, value_name = "SOCKET", hide = true)]
    test_clock: Option<PathBuf>,
}

#[cfg(feature = "test-clock")]
fn the_clock(args: &ArchiveArgs) -> anyhow::Result<SharedClock> {
    super::run::clock_at(args.test_clock.as_deref())
}

#[cfg(not(feature = "test-clock"))]
fn the_clock(_: &ArchiveArgs) -> anyhow::Result<SharedClock> {
    Ok(Arc::new(clock::SystemClock))
}

pub(super) fn archive_years(config: &Config, args: &ArchiveArgs) -> Done {
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{msg} {bar:40} {human_pos} of {human_len}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    step_back();
    if let Some(file) = &args.verify {
        let receipts = verify(file, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        println!("{}: {receipts} receipts: everything agrees", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let ledger = config.ledger_path();
    if !ledger.exists() {
        return Err(
            anyhow::anyhow!("there is no ledger in {}", config.data_dir().display()).into(),
        );
    }
    let reader = Reader::new(&ledger);
    let clock = the_clock(args)?;
    let years = due(&reader, clock::local(clock.wall()).year(), args.keep)?;
    if args.list {
        for one in reader.archives()? {
            let state = if one.is_emptied {
                ""
            } else {
                ", not yet taken out of the ledger"
            };
            println!("{}: {} receipts{state}", one.file, one.receipts);
        }
        for year in years {
            println!("{year}: would be moved");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if years.is_empty() {
        println!(
            "No year is old enough; the last {} whole years stay in the ledger.",
            args.keep
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut core = set_up(config, Arc::clone(&clock))?.core;
    // Its other half is never dropped before the end: nobody stops it but the terminal.
    let (mut pause, _stopper) = Pause::new(&clock);
    for year in years {
        let made = archive(
            &mut core,
            &ledger,
            year,
            &clock,
            ACTOR,
            &mut |phase, done, total| {
                bar.set_message(match phase {
                    Phase::Writing => format!("{year}: writing and checking"),
                    Phase::Emptying => format!("{year}: taking out of the ledger"),
                });
                bar.set_length(total);
                bar.set_position(done);
                pause.rest()
            },
        );
        let made = made?;
        bar.suspend(|| println!("{}: {} receipts", made.file, made.receipts));
    }
    bar.finish_and_clear();
    println!(
        "Look-ups still find them as long as the files lie beside the ledger. Back them up with it."
    );
    Ok(ExitCode::SUCCESS)
}
