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
mod counting;
mod drain;
mod footprint;
mod load;
mod machine;
mod print;
mod process;
mod report;
mod scratch;
mod store;
mod years;

use report::{Demand, Report, cores, tell};
use scratch::{or_interrupted, within};

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
pub(crate) struct BenchReport {
    /// Empty HTTP answers per second over the same number of connections.
    empty_http_per_s: f64,
    /// Signatures per second of one core.
    signs_per_s: f64,
    /// Appends per second, each with fdatasync, of as many bytes as one sale's commit.
    fsync_append_per_s: f64,
    /// Receipts per second.
    receipts_per_s: f64,
    /// 1 / (1/empty_http + 1/(cores × signs)).
    bound_per_s: f64,
    /// Receipts per second as a share of that bound.
    of_bound: f64,
    /// Median time of a sale on one connection, in microseconds.
    single_p50_us: f64,
    /// 99th percentile of the same.
    single_p99_us: f64,
    /// Empty HTTP answer + signature + append, one after the other, in microseconds.
    single_floor_us: f64,
    /// How many sales on one connection took how long.
    single_histogram: Vec<Bucket>,
    /// The median of a sale on one connection, in such floors.
    median_in_floors: f64,
    /// The 99th percentile of a sale on one connection, in medians.
    p99_in_medians: f64,
    /// What counting and measuring for Prometheus takes of each sale, in nanoseconds, all cores counting at once.
    counting_ns: f64,
    /// That, as a share of the processor time that there is for a sale at these receipts per second.
    counting_share: f64,
    /// Connections.
    connections: usize,
    /// Receipts in the ledger at the end, all verified.
    receipts: u64,
    /// Sales that were not answered with 201.
    errors: u64,
    /// Bytes that one sale's commit writes.
    commit_bytes: u64,
}

/// Sales that took no longer than this, and longer than the bucket before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Bucket {
    /// Microseconds.
    up_to_us: f64,
    sales: usize,
}

/// Runs the benchmark.
///
/// # Errors
/// The folder is no real disk, a sale fails, the ledger does not verify at the end, or it is interrupted.
pub fn main(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let base = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let json = args.json;
    match &args.what {
        None => tell(&within(&base, async |dir| run(args, dir).await)?, json),
        Some(What::Footprint(options)) => {
            let work = async |dir: &Path| footprint::run(options, dir).await;
            tell(&within(&base, work)?, json)
        }
        Some(What::Drain(options)) => {
            let work = async |dir: &Path| drain::run(options, dir).await;
            tell(&within(&base, work)?, json)
        }
        Some(What::Backup(options)) => {
            let work = async |dir: &Path| copies::run(options, dir).await;
            tell(&within(&base, work)?, json)
        }
        Some(What::Years(options)) => {
            let work = async || years::run(options).await;
            tell(&or_interrupted(work)?, json)
        }
        Some(What::Print(options)) => {
            let work = async |dir: &Path| print::run(options, dir).await;
            tell(&within(&base, work)?, json)
        }
    }
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
        rounds.counting.push(counting::ns_per_sale(piece / 4)?);
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
    counting: Vec<f64>,
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
        let empty = quantile(&mut self.empty, 0.5);
        let signs = quantile(&mut self.signs, 0.5);
        let appends = quantile(&mut self.appends, 0.5);
        let receipts_per_s = quantile(&mut self.receipts, 0.5);
        let cores = f64::from(u32::try_from(cores()).unwrap_or(1));
        let bound = 1.0 / (1.0 / empty + 1.0 / (cores * signs));
        let floor = quantile(&mut self.empty_single, 0.5) + 1e6 / signs + 1e6 / appends;
        let p50 = quantile(&mut self.singles, 0.5);
        let p99 = quantile(&mut self.singles, 0.99);
        let counting = quantile(&mut self.counting, 0.5);
        BenchReport {
            empty_http_per_s: empty,
            signs_per_s: signs,
            fsync_append_per_s: appends,
            receipts_per_s,
            bound_per_s: bound,
            of_bound: receipts_per_s / bound,
            single_p50_us: p50,
            single_p99_us: p99,
            single_floor_us: floor,
            single_histogram: histogram(&self.singles),
            median_in_floors: p50 / floor,
            p99_in_medians: p99 / p50,
            counting_ns: counting,
            counting_share: counting / 1e9 * receipts_per_s / cores,
            connections: args.connections,
            receipts,
            errors: sold.errors,
            commit_bytes,
        }
    }
}

/// Times in buckets, each an eighth longer than the one before, from the shortest to the longest that there is.
#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
fn histogram(sorted_us: &[f64]) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for us in sorted_us {
        while buckets.last().is_none_or(|bucket| *us > bucket.up_to_us) {
            let up_to_us = buckets
                .last()
                .map_or(us.max(1.0), |last| last.up_to_us * 1.125);
            buckets.push(Bucket { up_to_us, sales: 0 });
        }
        if let Some(bucket) = buckets.last_mut() {
            bucket.sales += 1;
        }
    }
    buckets
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

impl Report for BenchReport {
    const COMMAND: &'static str = "bench";

    fn print(&self) {
        let row = |name: &str, value: f64, unit: &str| println!("{name:<44} {value:>12.0} {unit}");
        println!("machine ({} cores)", cores());
        row("  empty HTTP answers", self.empty_http_per_s, "/s");
        row("  signatures, one core", self.signs_per_s, "/s");
        let appends = format!("  appends of {} bytes with fdatasync", self.commit_bytes);
        row(&appends, self.fsync_append_per_s, "/s");
        println!("gateway ({} connections)", self.connections);
        row("  receipts", self.receipts_per_s, "/s");
        row("  bound by HTTP and signing", self.bound_per_s, "/s");
        row("  one connection: median", self.single_p50_us, "µs");
        row(
            "  one connection: 99th percentile",
            self.single_p99_us,
            "µs",
        );
        row(
            "  floor: HTTP + signature + append",
            self.single_floor_us,
            "µs",
        );
        row("  counting for Prometheus, a sale", self.counting_ns, "ns");
        println!(
            "receipts are {:.2} of the bound; the median is {:.1} floors; the 99th percentile is {:.1} medians; \
             counting is {:.4} of a sale's processor time",
            self.of_bound, self.median_in_floors, self.p99_in_medians, self.counting_share
        );
        println!(
            "{} receipts verified, {} errors",
            self.receipts, self.errors
        );
    }

    fn demands(&self) -> Vec<Demand> {
        let errors = u32::try_from(self.errors).unwrap_or(u32::MAX);
        vec![
            Demand::at_least("of_bound", self.of_bound, 0.25),
            Demand::at_most("median_in_floors", self.median_in_floors, 2.0),
            Demand::at_most("p99_in_medians", self.p99_in_medians, 3.0),
            Demand::at_most("counting_share", self.counting_share, 0.01),
            Demand::at_most("errors", f64::from(errors), 0.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every time is in the one bucket that it belongs to, also behind a gap.
    #[test]
    fn times_are_in_buckets() {
        let times = [100.0, 100.0, 112.5, 112.6, 1000.0];
        let buckets = histogram(&times);
        let counted: usize = buckets.iter().map(|bucket| bucket.sales).sum();
        assert_eq!(counted, times.len());
        let sales = buckets.iter().take(3).map(|bucket| bucket.sales);
        assert_eq!(sales.collect::<Vec<_>>(), [2, 1, 1]);
        let last = buckets.last().unwrap();
        assert!(last.sales == 1 && last.up_to_us >= 1000.0 && last.up_to_us < 1125.0);
        assert_eq!(histogram(&[]), []);
    }
}
