//! `fiscald bench footprint`: a daemon of its own: what it takes of a shop's machine at rest, with a printer and a live
//! copy on another disk; its memory and its start, and what a sale costs, once the ledger is large.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock as _, SystemClock, TestClock};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::load::Sold;
use super::print::Sink;
use super::process::{self, Daemon, started, started_of};
use super::report::{Demand, Report};
use super::scratch;
use super::store::{LIVE, Tills, add_tills, tick};
use crate::keys::SealingKey;
use crate::ledger::Settings;
use crate::ledger::core::Core;
use crate::ledger::verify::verify;

/// Tills, and connections that sell.
const TILLS: u32 = 64;
/// A ledger that counts as small.
const SMALL: u64 = 1_000;
/// After so many receipts the memory is read again.
const BUSY: u64 = 100_000;
/// How long each comparison sells.
const PIECE: Duration = Duration::from_secs(3);
/// Sales of the shop that rests then, all of them printed.
const BEFORE_REST: u32 = 50;
/// How long a paper may take, and how long the shop comes to rest: printing and the live copy are done by then.
const PATIENCE: Duration = Duration::from_secs(30);
const SETTLING: Duration = Duration::from_secs(15);

/// Options of `fiscald bench footprint`.
#[derive(Debug, Clone, Args)]
pub(super) struct FootprintArgs {
    /// How large the ledger gets.
    #[arg(long, default_value_t = 1_000_000)]
    receipts: u64,
    /// Seconds of rest, over which the processor time is told and after which the memory is read.
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Folder for the live copy, on another disk than the ledger.
    #[arg(long, value_name = "FOLDER", default_value = LIVE)]
    live: PathBuf,
    /// What rests: fiscald as a package installs it, without the demo, the benchmarks and the clock of the tests that
    /// this one has in it. Left out, it is this one.
    #[arg(long, value_name = "FILE")]
    packaged: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Footprint {
    /// Processor time of the daemon at rest, with a printer and a live copy, in percent of a core.
    idle_cpu_percent: f64,
    /// Resident memory of it then, in KiB.
    idle_rss_kib: u32,
    /// Resident memory some time after 100,000 sales, in KiB.
    after_sales_rss_kib: u32,
    /// Processor time of the daemon per sale with a small ledger, in microseconds.
    cpu_per_sale_small_us: f64,
    /// The same with the large one.
    cpu_per_sale_large_us: f64,
    /// The second over the first.
    large_over_small: f64,
    /// From the start of the process to its first good /readyz with the large ledger, in milliseconds:
    /// the longest of five.
    ready_ms: f64,
    /// Receipts at the end, all verified.
    receipts: u64,
}

impl Report for Footprint {
    const COMMAND: &'static str = "bench footprint";

    fn print(&self) {
        let row = |name: &str, value: f64, unit: &str| println!("{name:<40} {value:>12.2} {unit}");
        row("processor at rest", self.idle_cpu_percent, "% of a core");
        row("resident at rest", f64::from(self.idle_rss_kib), "KiB");
        row(
            "resident after 100,000 sales",
            f64::from(self.after_sales_rss_kib),
            "KiB",
        );
        row(
            "processor per sale, small",
            self.cpu_per_sale_small_us,
            "µs",
        );
        row(
            "processor per sale, large",
            self.cpu_per_sale_large_us,
            "µs",
        );
        row("large over small", self.large_over_small, "");
        row("ready with the large ledger", self.ready_ms, "ms");
        println!("{} receipts verified", self.receipts);
    }

    fn demands(&self) -> Vec<Demand> {
        vec![
            Demand::at_most("idle_cpu_percent", self.idle_cpu_percent, 0.2),
            // 30 MB.
            Demand::at_most("idle_rss_kib", f64::from(self.idle_rss_kib), 29_296.0),
            Demand::at_most("large_over_small", self.large_over_small, 1.2),
            Demand::at_most("ready_ms", self.ready_ms, 1000.0),
        ]
    }
}

#[expect(
    clippy::float_arithmetic,
    reason = "times and ratios of a report, no money"
)]
pub(super) async fn run(args: &FootprintArgs, dir: &Path) -> anyhow::Result<Footprint> {
    let address = process::free_address()?;
    let (tokens, config) = set_up(dir, address)?;
    let connections = tokens.len();
    let tills = Tills::new(address, tokens);
    let bar = indicatif::ProgressBar::new_spinner();
    let mut footprint = Footprint::default();
    bar.set_message(format!("a shop at rest, {} s", args.rest));
    let mut sold = at_rest(args, dir, &tills, &mut footprint).await?;

    let clock = TestClock::new(SystemClock.wall());
    let socket = dir.join("clock.sock");
    clock.serve(&socket)?;
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    tokio::spawn(tick(clock, stop));
    let (daemon, _) = started(&config, Some(&socket), address).await?;
    sold.add(&tills.fill(SMALL, connections, &bar).await?);
    let small = cost(&daemon, &tills, connections).await?;
    sold.add(&small.1);
    footprint.cpu_per_sale_small_us = small.0;
    let busy = BUSY.min(args.receipts).saturating_sub(sold.done);
    sold.add(&tills.fill(busy, connections, &bar).await?);
    SystemClock.sleep(Duration::from_secs(args.rest)).await;
    footprint.after_sales_rss_kib = daemon.rss_kib()?;
    let rest = args.receipts.saturating_sub(sold.done);
    sold.add(&tills.fill(rest, connections, &bar).await?);
    let large = cost(&daemon, &tills, connections).await?;
    sold.add(&large.1);
    footprint.cpu_per_sale_large_us = large.0;
    footprint.large_over_small = large.0 / small.0;
    daemon.stop()?;

    for _ in 0..5 {
        let (daemon, ms) = started(&config, Some(&socket), address).await?;
        footprint.ready_ms = footprint.ready_ms.max(ms);
        daemon.stop()?;
    }
    bar.set_message("verifying");
    let path = dir.join("ledger.db");
    footprint.receipts = verified(&path, &sold).await?;
    bar.finish_and_clear();
    Ok(footprint)
}

/// A shop that has sold and printed, and whose live copy has followed, rests: with the machine's own clock, as every
/// timer of the daemon counts.
#[expect(clippy::float_arithmetic, reason = "a share of a report, no money")]
async fn at_rest(
    args: &FootprintArgs,
    dir: &Path,
    tills: &Tills,
    footprint: &mut Footprint,
) -> anyhow::Result<Sold> {
    let stick = scratch::folder(&args.live)?;
    let live = stick.path().join("live.db");
    let (printer, papers) = Sink::start()?;
    let config = format!(
        "{}[backup]\nlive = {live:?}\n\
         [[printers]]\nname = \"front\"\nlink = \"tcp:{printer}\"\nprofile = \"generic-80\"\n",
        process::config(dir, tills.address)
    );
    let path = dir.join("shop.toml");
    std::fs::write(&path, config)?;
    let this = std::env::current_exe()?;
    let program = args.packaged.as_deref().unwrap_or(&this);
    let daemon = started_of(program, &path, tills.address).await?;
    let mut sold = Sold::default();
    let mut till = tills.connection(0).await?;
    for _ in 0..BEFORE_REST {
        ensure!(till.ask().await?, "a sale was refused");
        sold.done += 1;
        papers
            .recv_timeout(PATIENCE)
            .context("nothing has reached the printer")?;
    }
    SystemClock.sleep(SETTLING).await;
    let (cpu, start) = (daemon.cpu_s()?, SystemClock.boot());
    SystemClock.sleep(Duration::from_secs(args.rest)).await;
    let took = SystemClock.boot().saturating_sub(start).as_secs_f64();
    footprint.idle_cpu_percent = (daemon.cpu_s()? - cpu) / took * 100.0;
    footprint.idle_rss_kib = daemon.rss_kib()?;
    // Stopping, it would bring the copy up to date once more: that is not what has followed.
    let copied = verified(&live, &sold).await;
    copied.with_context(|| format!("the live copy {} has not followed", live.display()))?;
    daemon.stop()?;
    Ok(sold)
}

/// Verifies a ledger that has what was sold and nothing else; how many receipts.
async fn verified(ledger: &Path, sold: &Sold) -> anyhow::Result<u64> {
    let path = ledger.to_owned();
    let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {})).await??;
    ensure!(
        verified.receipts == sold.done && sold.errors == 0,
        "{} sales were answered with 201 and {} otherwise, but {} receipts are in the ledger",
        sold.done,
        sold.errors,
        verified.receipts
    );
    Ok(verified.receipts)
}

/// Processor time of the daemon per sale, and what was sold.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
async fn cost(daemon: &Daemon, tills: &Tills, connections: usize) -> anyhow::Result<(f64, Sold)> {
    let before = daemon.cpu_s()?;
    let sold = tills.sell_for(connections, PIECE).await?;
    let took = daemon.cpu_s()? - before;
    Ok((took * 1e6 / sold.done.max(1) as f64, sold))
}

/// A store whose FDMS is out of reach: the tokens of its tills, and its configuration.
fn set_up(dir: &Path, address: SocketAddr) -> anyhow::Result<(Vec<std::sync::Arc<str>>, PathBuf)> {
    let config = dir.join("fiscald.toml");
    std::fs::write(&config, process::config(dir, address))?;
    let sealing = SealingKey::generate(&dir.join("sealing.key"))?;
    let clock = std::sync::Arc::new(SystemClock);
    let mut core = Core::open(&dir.join("ledger.db"), sealing, clock, Settings::default())?;
    Ok((add_tills(&mut core, TILLS)?, config))
}
