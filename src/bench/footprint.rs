//! `fiscald bench footprint`: a daemon of its own, its memory, its start, and what a sale costs once the
//! ledger is large.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock as _, SystemClock, TestClock};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::load::Connection;
use super::store::{Tills, add_tills, tick};
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
/// A daemon that takes longer to start has failed.
const START: Duration = Duration::from_secs(60);

/// Options of `fiscald bench footprint`.
#[derive(Debug, Clone, Args)]
pub(super) struct FootprintArgs {
    /// How large the ledger gets.
    #[arg(long, default_value_t = 1_000_000)]
    receipts: u64,
    /// Seconds of rest before the memory is read.
    #[arg(long, default_value_t = 60)]
    rest: u64,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Footprint {
    /// Resident memory after the start, in KiB.
    idle_rss_kib: u64,
    /// Resident memory some time after 100,000 sales, in KiB.
    after_sales_rss_kib: u64,
    /// Processor time of the daemon per sale with a small ledger, in microseconds.
    cpu_per_sale_small_us: f64,
    /// The same with the large one.
    cpu_per_sale_large_us: f64,
    /// The second over the first.
    large_over_small: f64,
    /// From the start of the process to its first good /readyz with the large ledger, in milliseconds:
    /// the median of five.
    ready_ms: f64,
    /// Receipts at the end, all verified.
    receipts: u64,
}

pub(super) fn print(footprint: &Footprint, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(footprint)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "resident, idle                 {:>10} KiB",
        footprint.idle_rss_kib
    );
    println!(
        "resident, after 100,000 sales  {:>10} KiB",
        footprint.after_sales_rss_kib
    );
    println!(
        "processor per sale, small      {:>10.1} µs",
        footprint.cpu_per_sale_small_us
    );
    println!(
        "processor per sale, large      {:>10.1} µs",
        footprint.cpu_per_sale_large_us
    );
    println!(
        "large over small               {:>10.2}",
        footprint.large_over_small
    );
    println!(
        "ready with the large ledger    {:>10.0} ms",
        footprint.ready_ms
    );
    println!("{} receipts verified", footprint.receipts);
    Ok(ExitCode::SUCCESS)
}

/// The daemon as a process of its own.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("--config")
            .arg(dir.join("fiscald.toml"))
            .args(["run", "--test-clock"])
            .arg(dir.join("clock.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.child.id()));
        std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    }

    /// Resident memory in KiB.
    fn rss_kib(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.context("no VmRSS")?.parse().context("VmRSS")
    }

    /// Processor time so far, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> anyhow::Result<u64> {
        let stat = self.proc("stat")?;
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_whitespace().skip(11);
        let mut next = || -> anyhow::Result<u64> { Ok(fields.next().context("stat")?.parse()?) };
        Ok(next()? + next()?)
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the daemon ended with {ended}");
        Ok(())
    }
}

/// Waits for a good answer of /readyz.
async fn ready(address: SocketAddr) -> anyhow::Result<()> {
    let start = SystemClock.boot();
    loop {
        if let Ok(mut connection) = Connection::open(address, None).await
            && connection.get("/readyz").await.unwrap_or(false)
        {
            return Ok(());
        }
        ensure!(
            SystemClock.boot().saturating_sub(start) < START,
            "the daemon is not ready"
        );
        SystemClock.sleep(Duration::from_millis(1)).await;
    }
}

#[expect(
    clippy::float_arithmetic,
    reason = "times and ratios of a report, no money"
)]
pub(super) async fn run(args: &FootprintArgs, dir: &Path) -> anyhow::Result<Footprint> {
    let clock = TestClock::new(SystemClock.wall());
    clock.serve(&dir.join("clock.sock"))?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tokens = set_up(dir, address)?;
    let stop = CancellationToken::new();
    tokio::spawn(tick(clock, stop.clone()));
    let bar = indicatif::ProgressBar::new_spinner();
    let connections = tokens.len();
    let tills = Tills::new(address, tokens);
    let mut footprint = Footprint::default();

    let daemon = Daemon::start(dir)?;
    ready(address).await?;
    footprint.idle_rss_kib = daemon.rss_kib()?;
    let mut sold = tills.fill(SMALL, connections, &bar).await?;
    let small = cost(&daemon, &tills, connections).await?;
    sold.add(&small.1);
    footprint.cpu_per_sale_small_us = small.0;
    sold.add(
        &tills
            .fill(BUSY.saturating_sub(sold.done), connections, &bar)
            .await?,
    );
    SystemClock.sleep(Duration::from_secs(args.rest)).await;
    footprint.after_sales_rss_kib = daemon.rss_kib()?;
    let rest = args.receipts.saturating_sub(sold.done);
    sold.add(&tills.fill(rest, connections, &bar).await?);
    let large = cost(&daemon, &tills, connections).await?;
    sold.add(&large.1);
    footprint.cpu_per_sale_large_us = large.0;
    footprint.large_over_small = large.0 / small.0;
    daemon.stop()?;

    let mut starts = Vec::new();
    for _ in 0..5 {
        let start = SystemClock.boot();
        let daemon = Daemon::start(dir)?;
        ready(address).await?;
        starts.push(SystemClock.boot().saturating_sub(start).as_secs_f64() * 1e3);
        daemon.stop()?;
    }
    footprint.ready_ms = super::quantile(&mut starts, 0.5);
    stop.cancel();
    bar.set_message("verifying");
    let path = dir.join("ledger.db");
    let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {})).await??;
    ensure!(
        verified.receipts == sold.done && sold.errors == 0,
        "sales were lost: {sold:?}"
    );
    footprint.receipts = verified.receipts;
    bar.finish_and_clear();
    Ok(footprint)
}

/// Processor time of the daemon per sale, and what was sold.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
async fn cost(
    daemon: &Daemon,
    tills: &Tills,
    connections: usize,
) -> anyhow::Result<(f64, super::load::Sold)> {
    let before = daemon.cpu_ticks()?;
    let sold = tills.sell_for(connections, PIECE).await?;
    let ticks = daemon.cpu_ticks()?.saturating_sub(before);
    Ok((ticks as f64 * 1e4 / sold.done.max(1) as f64, sold))
}

/// A store whose FDMS is out of reach, and the tokens of its tills.
fn set_up(dir: &Path, address: SocketAddr) -> anyhow::Result<Vec<std::sync::Arc<str>>> {
    let config = format!(
        "[store]\ndata_dir = {dir:?}\n[api]\nlisten = \"{address}\"\n\
         [fdms]\ntest_url = \"https://127.0.0.1:1\"\n[log]\nlevel = \"off\"\n"
    );
    std::fs::write(dir.join("fiscald.toml"), config)?;
    let sealing = SealingKey::generate(&dir.join("sealing.key"))?;
    let clock = std::sync::Arc::new(SystemClock);
    let mut core = Core::open(&dir.join("ledger.db"), sealing, clock, Settings::default())?;
    add_tills(&mut core, TILLS)
}
