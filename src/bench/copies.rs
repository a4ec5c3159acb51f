//! `fiscald bench backup`: what a backup and a live copy cost the sales that go on meanwhile, and whether the backup can
//! be put back elsewhere.
//!
//! The shop's time runs faster than the machine's here, so the live copy pauses less than it would in a shop.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock as _, SharedClock, SystemClock};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::load::Sold;
use super::report::{Demand, Report};
use super::scratch;
use super::store::{BenchStore, LIVE};
use crate::backup::{
    BackupView, Backups, Manifest, Pause, RestoreError, Restoring, aside, restore, take,
};
use crate::config::{Config, Keep};
use crate::keys::RecoveryPassphrase;
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
    /// Folder for the live copy, on another disk than the ledger.
    #[arg(long, value_name = "FOLDER", default_value = LIVE)]
    live: PathBuf,
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
    /// Sales while nothing is copied.
    alone: Times,
    /// Sales during backups, with a live copy that follows.
    during: Times,
    /// The longest sale during backups, less the longest without.
    added_max_ms: f64,
    /// How long a backup took with its check, in seconds: the longest.
    backup_s: f64,
    /// The last backup's length, in MiB.
    mib: u64,
    /// How long it took to put the last backup back in another folder, with the recovery passphrase, in seconds.
    restore_s: f64,
    /// Receipts there, all verified.
    restored: u64,
    /// Receipts in the live copy at the end, all verified: as many as were sold.
    live: u64,
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

/// The part of a daemon that keeps a live copy.
struct Live {
    view: BackupView,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Live {
    fn start(store: &BenchStore, to: &Path) -> Self {
        let mut backups = Backups::default();
        backups.config.live = Some(to.to_owned());
        let (view, stop) = (backups.view.clone(), CancellationToken::new());
        let (ledger, path, stopped) = (store.ledger.clone(), store.path.clone(), stop.clone());
        let task = tokio::spawn(async move { backups.run(&ledger, &path, &stopped).await });
        Self { view, stop, task }
    }

    /// Until it has followed for the first time.
    async fn follows(&self) -> anyhow::Result<()> {
        let mut watch = self.view.watch();
        loop {
            let live = watch.borrow_and_update().live.clone().unwrap_or_default();
            if let Some((trouble, _)) = live.trouble {
                anyhow::bail!("the live copy does not follow: {trouble}");
            }
            if live.copied.is_some() {
                return Ok(());
            }
            watch.changed().await?;
        }
    }

    /// Stops it in order, as a daemon that ends does: what is missing comes into it first.
    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?;
        let live = self.view.standing().live.unwrap_or_default();
        if let Some((trouble, _)) = live.trouble {
            anyhow::bail!("the live copy does not follow: {trouble}");
        }
        Ok(())
    }
}

#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
pub(super) async fn run(args: &CopiesArgs, dir: &Path) -> anyhow::Result<Copies> {
    ensure!(args.backups > 0, "--backups: one at least");
    let stick = scratch::folder(&args.live)?;
    let live_copy = stick.path().join("live.db");
    let store = BenchStore::start(dir, 64).await?;
    let bar = indicatif::ProgressBar::new_spinner();
    let mut all = store.warm_up().await?;
    all.add(&store.tills.fill(args.fill, 64, &bar).await?);
    let to = args.to.clone().unwrap_or_else(|| dir.join("backup"));
    std::fs::create_dir_all(&to)?;
    let mut copies = Copies::default();
    let (mut alone, mut during) = (Sold::default(), Sold::default());
    let mut backup = to.clone();
    for round in 0..args.backups {
        bar.set_message(format!("round {} of {}", round + 1, args.backups));
        let start = SystemClock.boot();
        // In the first round the live copy is made while the backup is.
        let live = Live::start(&store, &live_copy);
        let taking = tokio::spawn(taken(store.path.clone(), to.clone()));
        while !taking.is_finished() {
            let piece = Duration::from_millis(500);
            let sold = store.tills.sell_for(args.connections, piece).await?;
            keep(&mut during, &sold);
        }
        let manifest = taking.await??;
        let took = SystemClock.boot().saturating_sub(start);
        copies.backup_s = copies.backup_s.max(took.as_secs_f64());
        copies.mib = manifest.bytes >> 20;
        backup = to.join(manifest.file);
        live.follows().await?;
        live.stop().await?;
        // As long without one.
        let sold = store.tills.sell_for(args.connections, took).await?;
        keep(&mut alone, &sold);
    }
    Live::start(&store, &live_copy).stop().await?;
    all.add(&alone);
    all.add(&during);
    bar.set_message("verifying");
    let passphrase = RecoveryPassphrase::parse(&store.passphrase.reveal())?;
    let sold = store.finish(&all).await?;
    copies.live = receipts(&live_copy).await?;
    ensure!(
        copies.live == sold,
        "{sold} receipts were sold, but {} are in the live copy",
        copies.live
    );
    let start = SystemClock.boot();
    let elsewhere = dir.join("elsewhere");
    copies.restored = restored(backup, elsewhere, passphrase).await?;
    copies.restore_s = SystemClock.boot().saturating_sub(start).as_secs_f64();
    ensure!(copies.restored >= args.fill, "the backup lacks receipts");
    bar.finish_and_clear();
    ensure!(all.errors == 0, "{} sales failed", all.errors);
    copies.alone = times(&mut alone);
    copies.during = times(&mut during);
    copies.added_max_ms = copies.during.max_ms - copies.alone.max_ms;
    Ok(copies)
}

/// A backup, taken as a daemon takes it.
async fn taken(ledger: PathBuf, folder: PathBuf) -> anyhow::Result<Manifest> {
    let taking = aside("backup", move || {
        let clock: SharedClock = Arc::new(SystemClock);
        let (mut pause, _stopper) = Pause::new(&clock);
        take(
            &ledger,
            &folder,
            SystemClock.wall(),
            Keep::default(),
            &mut |_, _, _| pause.rest(),
        )
    });
    Ok(taking.await??)
}

/// Puts a backup back in another folder, which has no sealing key; how many receipts are there, all verified.
async fn restored(
    backup: PathBuf,
    elsewhere: PathBuf,
    passphrase: RecoveryPassphrase,
) -> anyhow::Result<u64> {
    let text = format!("[store]\ndata_dir = {elsewhere:?}\n");
    let config = Config::parse(&elsewhere, &text)?;
    let ledger = config.ledger_path();
    let in_backup = receipts(&backup).await?;
    let restoring = tokio::task::spawn_blocking(move || {
        let mut passphrase = Some(passphrase);
        restore(&mut Restoring {
            config: &config,
            backup: &backup,
            over: None,
            passphrase: &mut || {
                let asked = "the passphrase was asked for twice".to_owned();
                passphrase.take().ok_or(RestoreError::Asking(asked))
            },
            progress: &mut |_, _| {},
            clock: Arc::new(SystemClock),
            actor: "bench",
        })
    });
    restoring
        .await??
        .recovered_key
        .context("the sealing key did not come out of the passphrase")?;
    let restored = receipts(&ledger).await?;
    ensure!(
        restored == in_backup,
        "{in_backup} receipts are in the backup, {restored} where it was put back"
    );
    Ok(restored)
}

/// How many receipts are in a ledger, all verified.
async fn receipts(ledger: &Path) -> anyhow::Result<u64> {
    let path = ledger.to_owned();
    let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {}));
    let verified = verified.await?;
    let verified = verified.with_context(|| format!("{} does not verify", ledger.display()))?;
    Ok(verified.receipts)
}

fn keep(all: &mut Sold, sold: &Sold) {
    all.add(sold);
    all.latencies_us.extend_from_slice(&sold.latencies_us);
}

/// A pace that waits for nobody.
pub(super) fn unhurried() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Report for Copies {
    const COMMAND: &'static str = "bench backup";

    fn print(&self) {
        println!("sales                 number      p50      p99    p99.9      max  (ms)");
        for (name, times) in [("alone", self.alone), ("while copied", self.during)] {
            println!(
                "{name:<16} {:>11} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
                times.sales, times.p50_ms, times.p99_ms, times.p999_ms, times.max_ms
            );
        }
        println!(
            "the longest sale during backups took {:.1} ms more than the longest without",
            self.added_max_ms
        );
        println!(
            "a backup of {} MiB took {:.1} s at most, with its check",
            self.mib, self.backup_s
        );
        println!(
            "the last one was put back elsewhere in {:.1} s: {} receipts verified; {} in the live copy",
            self.restore_s, self.restored, self.live
        );
    }

    fn demands(&self) -> Vec<Demand> {
        vec![Demand::at_most("added_max_ms", self.added_max_ms, 50.0)]
    }
}
