//! `fiscald export`: fiscal days for auditors.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clock::{Clock as _, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;

use super::{Done, TillArg};
use crate::config::Config;
use crate::export::{Span, export};
use crate::ledger::Reader;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The folder to make.
    to: PathBuf,
    /// Only days that were opened on this date or later, such as 2026-01-01.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Only days that were opened on this date or earlier.
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// Export from this file instead of the configured ledger: a backup, for example.
    #[arg(long, value_name = "FILE")]
    pub(super) ledger: Option<PathBuf>,
    #[command(flatten)]
    till: TillArg,
}

pub(super) fn export_days(config: &Config, args: &ExportArgs) -> Done {
    let ledger = args.ledger.clone().unwrap_or_else(|| config.ledger_path());
    if !ledger.exists() {
        return Err(anyhow::anyhow!("there is no ledger at {}", ledger.display()).into());
    }
    crate::backup::step_back();
    let reader = Reader::new(&ledger);
    let environment = args.till.environment.map(Into::into);
    let mut spans = Vec::new();
    let mut total = 0;
    for till in reader.tills_named(args.till.device_id, environment)? {
        if let Some(days) = reader.days_within(&till, args.from, args.until)? {
            total += reader.receipts_within(&till, days)?;
            spans.push(Span { till, days });
        }
    }
    let bar = ProgressBar::new(total);
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} receipts, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let made = export(&reader, &spans, &args.to, SystemClock.wall(), &mut |done| {
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let manifest = made?;
    println!("{}", args.to.display());
    for till in &manifest.tills {
        println!(
            "  {}: days {} to {}, {} receipts",
            till.folder, till.first_fiscal_day_no, till.last_fiscal_day_no, till.receipts
        );
    }
    println!(
        "How to verify it without this software is told in {}.",
        args.to.join("AUDIT.md").display()
    );
    Ok(ExitCode::SUCCESS)
}
