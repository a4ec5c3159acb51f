//! `simulate`: runs seeds, tells how far it is, and tells the story of one that fails. `scripts/simulate` builds and calls it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use clock::{Clock as _, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use simulation::record::Record;
use simulation::script::Script;
use simulation::shrink::shrink;
use simulation::{Defect, Keys, run};

/// Simulates stores from seeds, with everything that goes wrong, and looks whether what must hold does.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Args {
    /// How many seeds, from `--from` on.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This seed alone, told step by step and shortened if it fails.
    #[arg(long, conflicts_with_all = ["seeds", "from", "state"])]
    seed: Option<u64>,
    /// Sales of each seed.
    #[arg(long, default_value_t = 1000)]
    sales: u64,
    /// Every so-maniest seed only, for several machines: `2/4` is the second of four.
    #[arg(long, value_name = "PART/OF")]
    shard: Option<String>,
    /// The file that keeps how far it is; a simulation that is called with it again goes on there.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Runs at most that are spent on making a failure's story short.
    #[arg(long, default_value_t = 300)]
    tries: usize,
    /// The code that runs, as git names it; kept in the state file.
    #[arg(long, default_value = "")]
    commit: String,
    /// Adds up the state files of all shards, and prints their figures as JSON; runs nothing.
    #[arg(long, value_name = "STATE", num_args = 1.., conflicts_with_all = ["seeds", "from", "seed", "shard", "state"])]
    total: Vec<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if !args.total.is_empty() {
        return total(&args.total);
    }
    let keys = Keys::generate()?;
    match args.seed {
        Some(seed) => one(seed, &args, &keys),
        None => many(&args, &keys),
    }
}

fn shard(text: Option<&str>) -> Result<(u64, u64)> {
    let Some(text) = text else { return Ok((0, 1)) };
    let parts = text.split_once('/');
    let parts = parts.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    let (part, of): (u64, u64) = parts.unwrap_or((0, 0));
    ensure!(
        part >= 1 && part <= of,
        "--shard {text}: write it as 2/4, the second of four"
    );
    Ok((part - 1, of))
}

fn total(states: &[PathBuf]) -> Result<ExitCode> {
    let read = |path: &PathBuf| {
        Record::read(path)?.with_context(|| format!("{} is not there", path.display()))
    };
    let records: Vec<Record> = states.iter().map(read).collect::<Result<_>>()?;
    println!("{}", Record::total(&records)?);
    Ok(
        match records.iter().all(|record| record.failed.is_empty()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
    )
}

fn many(args: &Args, keys: &Keys) -> Result<ExitCode> {
    let kept = args
        .state
        .as_deref()
        .map(Record::read)
        .transpose()?
        .flatten();
    let wanted = Record {
        first: args.from,
        sales_each: args.sales,
        commit: args.commit.clone(),
        shard: shard(args.shard.as_deref())?,
        ..Record::default()
    };
    let mut record = kept.unwrap_or_else(|| wanted.clone());
    ensure!(
        record.is_kin(&wanted) && record.shard == wanted.shard,
        "the state file is of another simulation (--from {} --sales {} --shard {}/{}, commit '{}'); name another file",
        record.first,
        record.sales_each,
        record.shard.0 + 1,
        record.shard.1,
        record.commit
    );
    let style = "{elapsed_precise} {bar:30} {pos} of {len} seeds, {eta} left; {msg}";
    let bar = ProgressBar::new(args.seeds);
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.set_position(record.seeds);
    while record.seeds < args.seeds {
        let seed = args.from + record.seeds;
        if record.has(record.seeds) {
            let began = SystemClock.boot();
            let script = Script::draw(seed, args.sales);
            let ended = run(&script, keys, Defect::None)?;
            let took = SystemClock.boot().saturating_sub(began);
            record.millis += u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            record.done += ended.done;
            if let Some((_, what)) = &ended.broken {
                record.failed.push((seed, what.clone()));
                bar.suspend(|| println!("simulate: seed {seed} FAILED: {what}"));
            }
        }
        record.seeds += 1;
        bar.set_position(record.seeds);
        bar.set_message(format!("{} sales", record.done.sales));
        if let Some(path) = &args.state {
            record.write(path)?;
        }
    }
    bar.finish_and_clear();
    println!("simulate: {}", told(&record));
    let Some((seed, _)) = record.failed.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    one(*seed, args, keys)
}

fn told(record: &Record) -> String {
    let done = &record.done;
    let hours = done.seconds / 3600;
    format!(
        "{} seeds, {} failed: {} steps, {} sales answered, {} asked for again, {} refused as they must be, {} met a full or failing \
         disk, {} held; {} crashes, {} failed syncs, {} starts, {} acts of people; {} requests to FDMS, {} of them met something bad, {} \
         receipts lost there and sent again; {} bad pages named; {hours} simulated hours in {} s",
        record.ran(),
        record.failed.len(),
        done.steps,
        done.sales,
        done.repeated,
        done.refused,
        done.failed,
        done.held,
        done.crashes,
        done.faults,
        done.starts,
        done.acts,
        done.asked,
        done.hurt,
        done.lost_at_fdms,
        done.bad_pages,
        record.millis / 1000
    )
}

fn one(seed: u64, args: &Args, keys: &Keys) -> Result<ExitCode> {
    let script = Script::draw(seed, args.sales);
    let ended = run(&script, keys, Defect::None)?;
    let Some((_, what)) = &ended.broken else {
        println!("simulate: seed {seed} holds: {:?}", ended.done);
        return Ok(ExitCode::SUCCESS);
    };
    println!("simulate: seed {seed} FAILED: {what}");
    println!("simulate: looking for the shortest story…");
    let story = shrink(&script, ended, keys, Defect::None, args.tries)?;
    println!("{story}");
    println!(
        "simulate: again: scripts/simulate --seed {seed} --sales {}",
        args.sales
    );
    Ok(ExitCode::FAILURE)
}
