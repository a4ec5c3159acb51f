//! `fiscald bench`: what this machine can do, and what the gateway makes of it.
//!
//! The gateway runs as `fiscald run` runs it: HTTP, tokens, all rules, all rows, group commit on a real
//! disk, FDMS out of reach. In the same run, in interleaved rounds, the machine is measured: empty HTTP
//! answers, signatures of one core, appends with fdatasync. Results are ratios within one run, because
//! milliseconds of a shared machine say nothing.
#![expect(
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    reason = "seconds and rates of a report, no money"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

mod copies;
mod drain;
mod footprint;
mod load;
mod machine;
mod print;
mod store;
mod years;

/// Options of `fiscald bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Folder for the ledger, on a real disk; a temporary one below the present folder if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Rounds of measuring.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of selling in each round.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Connections that sell at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Tills that they sell on.
    #[arg(long, default_value_t = 64)]
    tills: u32,
    /// Sell so many receipts first, so that the ledger is that large while measuring.
    #[arg(long, default_value_t = 0)]
    fill: u64,
    /// One line of JSON instead of the table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// Other things to measure.
#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Memory, start and cost per sale of a daemon with a large ledger.
    Footprint(footprint::FootprintArgs),
    /// How fast a backlog reaches FDMS: one till, then ten.
    Drain(drain::DrainArgs),
    /// What a backup costs the sales that go on meanwhile.
    Backup(copies::CopiesArgs),
    /// A ledger of five years: how soon it is ready, look-ups, archiving, verifying.
    Years(years::YearsArgs),
    /// How soon a sale, or a paper of an old POS, reaches the printer.
    Print(print::PrintArgs),
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BenchReport {
    /// Empty HTTP answers per second over the same number of connections.
    pub empty_http_per_s: f64,
    /// Signatures per second of one core.
    pub signs_per_s: f64,
    /// Appends per second, each with fdatasync, of as many bytes as one sale's commit.
    pub fsync_append_per_s: f64,
    /// Receipts per second.
    pub receipts_per_s: f64,
    /// 1 / (1/empty_http + 1/(cores × signs)).
    pub bound_per_s: f64,
    /// Median time of a sale on one connection, in microseconds.
    pub single_p50_us: f64,
    /// 99th percentile of the same.
    pub single_p99_us: f64,
    /// Empty HTTP answer + signature + append, one after the other, in microseconds.
    pub single_floor_us: f64,
    /// Connections.
    pub connections: usize,
    /// Receipts in the ledger at the end, all verified.
    pub receipts: u64,
    /// Sales that were not answered with 201.
    pub errors: u64,
    /// Bytes that one sale's commit writes.
    pub commit_bytes: u64,
    /// Processor cores.
    pub cores: usize,
}

/// Runs the benchmark.
///
/// # Errors
/// The folder is no real disk, a sale fails, or the ledger does not verify at the end.
pub fn main(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if let Some(What::Years(options)) = &args.what {
        return years::print(&years::run(options)?, args.json);
    }
    let base = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    std::fs::create_dir_all(&base)?;
    machine::refuse_tmpfs(&base)?;
    let dir = tempfile_in(&base)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match &args.what {
        None | Some(What::Years(_)) => {}
        Some(What::Backup(options)) => {
            let result = runtime.block_on(copies::run(options, &dir));
            std::fs::remove_dir_all(&dir)?;
            return copies::print(&result?, args.json);
        }
        Some(What::Footprint(footprint)) => {
            let result = runtime.block_on(footprint::run(footprint, &dir));
            std::fs::remove_dir_all(&dir)?;
            return footprint::print(&result?, args.json);
        }
        Some(What::Drain(drain)) => {
            let result = runtime.block_on(drain::run(drain, &dir));
            std::fs::remove_dir_all(&dir)?;
            return drain::print(&result?, args.json);
        }
        Some(What::Print(options)) => {
            let result = runtime.block_on(print::run(options, &dir));
            std::fs::remove_dir_all(&dir)?;
            return print::print(&result?, args.json);
        }
    }
    let result = runtime.block_on(run(args, &dir));
    std::fs::remove_dir_all(&dir)?;
    let report = result?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_table(&report);
    }
    Ok(if report.errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A new folder inside `base`, named by this process.
fn tempfile_in(base: &Path) -> std::io::Result<PathBuf> {
    let dir = base.join(format!("fiscald-bench-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    Ok(dir)
}

async fn run(args: &BenchArgs, dir: &Path) -> anyhow::Result<BenchReport> {
    let store = store::BenchStore::start(dir, args.tills).await?;
    let empty = machine::EmptyServer::start().await?;
    let bar = progress(args.rounds, "round");
    let mut sold = store.warm_up().await?;
    let commit_bytes = store.commit_bytes(&mut sold).await?;
    if args.fill > 0 {
        sold.add(&store.tills.fill(args.fill, args.connections, &bar).await?);
    }
    let mut rounds = Rounds::default();
    let piece = Duration::from_millis(u64::from(args.seconds) * 250);
    for _ in 0..args.rounds {
        rounds
            .empty
            .push(empty.per_second(args.connections, piece).await?);
        rounds.signs.push(machine::signs_per_second(piece / 2)?);
        rounds
            .appends
            .push(machine::appends_per_second(dir, commit_bytes, piece / 2)?);
        let all = store
            .tills
            .sell_for(
                args.connections,
                Duration::from_secs(u64::from(args.seconds)),
            )
            .await?;
        rounds.receipts.push(all.per_second());
        sold.add(&all);
        rounds.empty_single.push(empty.median_us(piece / 2).await?);
        let single = store.tills.sell_for(1, piece).await?;
        rounds.singles.extend_from_slice(&single.latencies_us);
        sold.add(&single);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let receipts = store.finish(&sold).await?;
    Ok(rounds.report(args, &sold, receipts, commit_bytes))
}

fn progress(count: u32, what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(count.into());
    if let Ok(style) =
        indicatif::ProgressStyle::with_template("{msg} {pos} of {len} {bar:30} {elapsed}")
    {
        bar.set_style(style);
    }
    bar.with_message(what)
}

/// The rounds' results.
#[derive(Default)]
struct Rounds {
    empty: Vec<f64>,
    signs: Vec<f64>,
    appends: Vec<f64>,
    receipts: Vec<f64>,
    empty_single: Vec<f64>,
    singles: Vec<f64>,
}

#[expect(
    clippy::float_arithmetic,
    reason = "rates and times of a report, no money"
)]
impl Rounds {
    fn report(
        mut self,
        args: &BenchArgs,
        sold: &load::Sold,
        receipts: u64,
        commit_bytes: u64,
    ) -> BenchReport {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let empty = quantile(&mut self.empty, 0.5);
        let signs = quantile(&mut self.signs, 0.5);
        let appends = quantile(&mut self.appends, 0.5);
        let cores_f = f64::from(u32::try_from(cores).unwrap_or(1));
        BenchReport {
            empty_http_per_s: empty,
            signs_per_s: signs,
            fsync_append_per_s: appends,
            receipts_per_s: quantile(&mut self.receipts, 0.5),
            bound_per_s: 1.0 / (1.0 / empty + 1.0 / (cores_f * signs)),
            single_p50_us: quantile(&mut self.singles, 0.5),
            single_p99_us: quantile(&mut self.singles, 0.99),
            single_floor_us: quantile(&mut self.empty_single, 0.5) + 1e6 / signs + 1e6 / appends,
            connections: args.connections,
            receipts,
            errors: sold.errors,
            commit_bytes,
            cores,
        }
    }
}

/// The value below which this share of the values lies; zero of none.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1)) as f64;
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a short list"
    )]
    let place = (place * share).round() as usize;
    values.get(place).copied().unwrap_or(0.0)
}

#[expect(clippy::float_arithmetic, reason = "ratios of a report, no money")]
fn print_table(report: &BenchReport) {
    let row = |name: &str, value: f64, unit: &str| println!("{name:<44} {value:>12.0} {unit}");
    println!("machine ({} cores)", report.cores);
    row("  empty HTTP answers", report.empty_http_per_s, "/s");
    row("  signatures, one core", report.signs_per_s, "/s");
    row(
        &format!("  appends of {} bytes with fdatasync", report.commit_bytes),
        report.fsync_append_per_s,
        "/s",
    );
    println!("gateway ({} connections)", report.connections);
    row("  receipts", report.receipts_per_s, "/s");
    row("  bound by HTTP and signing", report.bound_per_s, "/s");
    row("  one connection: median", report.single_p50_us, "µs");
    row(
        "  one connection: 99th percentile",
        report.single_p99_us,
        "µs",
    );
    row(
        "  floor: HTTP + signature + append",
        report.single_floor_us,
        "µs",
    );
    println!(
        "receipts are {:.2} of the bound; the median is {:.1} floors; the 99th percentile is {:.1} medians",
        report.receipts_per_s / report.bound_per_s,
        report.single_p50_us / report.single_floor_us,
        report.single_p99_us / report.single_p50_us,
    );
    println!(
        "{} receipts verified, {} errors",
        report.receipts, report.errors
    );
}
