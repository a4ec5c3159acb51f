//! `fiscald bench backup`: what a backup and a live copy cost the sales that go on meanwhile.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use clock::{Clock as _, SharedClock, SystemClock};
use serde::Serialize;

use super::load::Sold;
use super::store::BenchStore;
use crate::backup::{Pause, check, step_back, take};
use crate::config::Keep;
use crate::ledger::verify::verify;

/// Options of `fiscald bench backup`.
#[derive(Debug, Clone, Args)]
pub(super) struct CopiesArgs {
    /// Receipts in the ledger before anything is measured.
    #[arg(long, default_value_t = 20_000)]
    fill: u64,
    /// Connections that sell at once, as fast as they are answered.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Backups that are made, one after the other.
    #[arg(long, default_value_t = 3)]
    backups: u32,
    /// Folder for the backups; beside the ledger if left out, which is the worst case.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// Times of sales, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Times {
    sales: u64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Copies {
    /// Sales without a backup.
    alone: Times,
    /// Sales during backups.
    during: Times,
    /// The longest sale during backups, less the longest without.
    added_max_ms: f64,
    /// How long a backup took with its check, in seconds: the longest.
    backup_s: f64,
    /// The last backup's length, in MiB.
    mib: u64,
    /// Receipts in the last backup, all verified.
    receipts: u64,
}

#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
fn times(sold: &mut Sold) -> Times {
    let mut at = |share| super::quantile(&mut sold.latencies_us, share) / 1e3;
    Times {
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: at(1.0),
        sales: sold.done,
    }
}

#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
pub(super) async fn run(args: &CopiesArgs, dir: &Path) -> anyhow::Result<Copies> {
    let store = BenchStore::start(dir, 64).await?;
    let bar = indicatif::ProgressBar::new_spinner();
    let mut all = store.warm_up().await?;
    all.add(&store.tills.fill(args.fill, 64, &bar).await?);
    let to = args.to.clone().unwrap_or_else(|| dir.join("backup"));
    std::fs::create_dir_all(&to)?;
    let mut copies = Copies::default();
    let (mut alone, mut during) = (Sold::default(), Sold::default());
    let mut last = None;
    for round in 0..args.backups {
        bar.set_message(format!("round {} of {}", round + 1, args.backups));
        let start = SystemClock.boot();
        let (ledger, folder) = (dir.join("ledger.db"), to.clone());
        let taking = crate::backup::aside("backup", move || {
            step_back();
            let clock: SharedClock = std::sync::Arc::new(SystemClock);
            let (mut pause, _stopper) = Pause::new(&clock);
            take(
                &ledger,
                &folder,
                SystemClock.wall(),
                Keep::default(),
                &mut |_, _, _| pause.rest(),
            )
        });
        let taking = tokio::spawn(taking);
        while !taking.is_finished() {
            let sold = store
                .tills
                .sell_for(args.connections, Duration::from_millis(500))
                .await?;
            keep(&mut during, &sold);
        }
        let manifest = taking.await???;
        let took = SystemClock.boot().saturating_sub(start);
        copies.backup_s = copies.backup_s.max(took.as_secs_f64());
        copies.mib = manifest.bytes >> 20;
        last = Some(to.join(manifest.file));
        // As long without one.
        let sold = store.tills.sell_for(args.connections, took).await?;
        keep(&mut alone, &sold);
    }
    bar.finish_and_clear();
    all.add(&alone);
    all.add(&during);
    store.finish(&all).await?;
    if let Some(backup) = last {
        check(&backup)?;
        copies.receipts = verify(&backup, &mut |_, _| {})?.receipts;
        ensure!(copies.receipts >= args.fill, "the backup lacks receipts");
    }
    ensure!(all.errors == 0, "{} sales failed", all.errors);
    copies.alone = times(&mut alone);
    copies.during = times(&mut during);
    copies.added_max_ms = copies.during.max_ms - copies.alone.max_ms;
    Ok(copies)
}

fn keep(all: &mut Sold, sold: &Sold) {
    all.add(sold);
    all.latencies_us.extend_from_slice(&sold.latencies_us);
}

/// A pace that waits for nobody.
pub(super) fn unhurried() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(super) fn print(copies: &Copies, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(copies)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("sales                 number      p50      p99    p99.9      max  (ms)");
    for (name, times) in [("alone", copies.alone), ("during backups", copies.during)] {
        println!(
            "{name:<16} {:>11} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            times.sales, times.p50_ms, times.p99_ms, times.p999_ms, times.max_ms
        );
    }
    println!(
        "the longest sale during backups took {:.1} ms more than the longest without",
        copies.added_max_ms
    );
    println!(
        "a backup of {} MiB took {:.1} s at most, with its check; {} receipts verified in the last one",
        copies.mib, copies.backup_s, copies.receipts
    );
    Ok(ExitCode::SUCCESS)
}
