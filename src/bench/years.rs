//! `fiscald bench years`: a ledger of five years, made without FDMS; how soon a daemon is ready on it, how long a look-up
//! takes, and archiving and verifying its oldest years.
//!
//! The ledger is kept in `--at`: interrupted, it is gone on with, and measured again without being made again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use clock::{Clock as _, SharedClock, SystemClock, TestClock};
use fiscal::draft::Draft;
use fiscal::{DeviceId, ReceiptGlobalNo};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::archive::{archive, due};
use crate::keys::SealingKey;
use crate::ledger::core::Core;
use crate::ledger::stream::Submission;
use crate::ledger::verify::verify;
use crate::ledger::{Ledger, Reader, Sale, SaleDone, Settings, TillId};

/// Tills of the store.
const TILLS: u32 = 8;
/// Days on which it sells.
const DAYS: u64 = 5 * 365;
/// When its first day is.
const FIRST: &str = "2026-01-01T05:00:00Z";
/// What FDMS answers to a receipt, about as long as it is.
const ANSWER: &str = r#"{"receiptID":123456789,"serverDate":"2021-01-01T07:00:00","receiptServerSignature":{"certificateThumbprint":"6a2fe1ba4f3c5bd1a1c9bcf6f6b2f1c5c6d7e8f9","hash":"2uXmKqVhS8J7f1b3Hc0P5lq6Zt9wYxRrN4vEaBdCgFo=","signature":"VHlwaWNhbCBzaWduYXR1cmUgb2YgMjU2IGJ5dGVzIGluIGJhc2U2NC4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4="},"validationErrors":[],"operationID":"0HNHM698NBDA4:00000001"}"#;

/// Options of `fiscald bench years`.
#[derive(Debug, Clone, Args)]
pub(super) struct YearsArgs {
    /// How many receipts.
    #[arg(long, default_value_t = 5_000_000)]
    receipts: u64,
    /// Folder for the ledger, which stays; made or gone on with.
    #[arg(long, value_name = "FOLDER")]
    at: PathBuf,
    /// Archive all but the last two years too, and verify.
    #[arg(long)]
    archive: bool,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Years {
    receipts: u64,
    mib: u64,
    /// From opening the ledger to its first transaction, milliseconds.
    ready_ms: f64,
    /// A receipt by its number, milliseconds: median and longest of 1,000.
    look_up_p50_ms: f64,
    look_up_max_ms: f64,
    /// The same of receipts that are in an archive.
    archived_p50_ms: f64,
    archived_max_ms: f64,
    /// Seconds that archiving took, and receipts that were moved.
    archive_s: f64,
    archived: u64,
    /// Seconds that verifying took.
    verify_s: f64,
}

/// A store in the making.
struct Maker {
    core: Core,
    clock: Arc<TestClock>,
    tills: Vec<(TillId, DeviceId)>,
}

fn open(dir: &Path) -> anyhow::Result<Maker> {
    std::fs::create_dir_all(dir)?;
    let key = dir.join("sealing.key");
    let sealing = match key.exists() {
        true => SealingKey::from_file(&key)?,
        false => SealingKey::generate(&key)?,
    };
    let clock = TestClock::new(FIRST.parse()?);
    let mut core = Core::open(
        &dir.join("ledger.db"),
        sealing,
        clock.clone(),
        Settings::default(),
    )?;
    let reader = Reader::new(&dir.join("ledger.db"));
    for number in 1..=TILLS {
        let device = DeviceId::new(number).context("a device")?;
        if !reader.tills()?.iter().any(|till| till.device_id == device) {
            crate::testing::add_till(&mut core, device)?;
        }
    }
    let tills = reader.tills()?.iter().map(|till| till.ids()).collect();
    Ok(Maker { core, clock, tills })
}

impl Maker {
    /// Sells day after day until so many receipts are there.
    fn fill(&mut self, receipts: u64, bar: &ProgressBar) -> anyhow::Result<()> {
        let a_day = (receipts / DAYS / u64::from(TILLS)).max(1);
        let mut done = 0;
        for (till, _) in &self.tills {
            done += u64::from(self.core.last_numbers(*till)?.1.get());
        }
        bar.set_length(receipts);
        while done < receipts {
            let days = done / (a_day * u64::from(TILLS));
            let moment: clock::Timestamp = FIRST.parse()?;
            let moment = moment + Duration::from_secs(days * 24 * 3600);
            if self.clock.wall() < moment {
                self.clock.advance(Duration::try_from(
                    moment.duration_since(self.clock.wall()),
                )?);
            }
            done += self.day(a_day, done)?;
            self.core.fold_log();
            bar.set_position(done);
        }
        Ok(())
    }

    /// A day on every till: sold, closed, and taken by FDMS.
    fn day(&mut self, a_day: u64, from: u64) -> anyhow::Result<u64> {
        let mut done = 0;
        for (till, device) in self.tills.clone() {
            let sales = (0..a_day).map(|no| {
                let json = super::store::sale(from + done + no);
                let (draft, _) = Draft::read(json.as_bytes());
                Sale::new((till, device), draft, None, "bench".into())
            });
            let sales: Vec<Sale> = sales.collect();
            let mut sales = sales.into_iter().peekable();
            while sales.peek().is_some() {
                let batch: Vec<Sale> = sales.by_ref().take(128).collect();
                for sold in self.core.issue(batch)? {
                    match sold? {
                        SaleDone::Issued(_) | SaleDone::Repeated(_) => done += 1,
                    }
                }
            }
            self.core.write(|core| core.close_day(till, "bench"))?;
            self.taken(till)?;
        }
        Ok(done)
    }

    /// FDMS has taken everything of a till.
    fn taken(&mut self, till: TillId) -> anyhow::Result<()> {
        let submission = Submission {
            operation_id: Some("0HNHM698NBDA4:00000001".to_owned()),
            answer: ANSWER.to_owned(),
            ..Submission::default()
        };
        loop {
            let more = self.core.write(|core| {
                for _ in 0..256 {
                    let (_, Some(item)) = core.stream(till)? else {
                        return Ok(false);
                    };
                    core.finish_item(till, &item, &submission)?;
                }
                Ok(true)
            })?;
            if !more {
                return Ok(());
            }
        }
    }
}

pub(super) fn run(args: &YearsArgs) -> anyhow::Result<Years> {
    let path = args.at.join("ledger.db");
    let bar = ProgressBar::new(0);
    let style = indicatif::ProgressStyle::with_template(
        "{msg} {bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left",
    )?;
    bar.set_style(style);
    let mut maker = open(&args.at)?;
    bar.set_message("making   ");
    maker.fill(args.receipts, &bar)?;
    drop(maker.core);
    let mut years = Years {
        receipts: args.receipts,
        mib: std::fs::metadata(&path)?.len() >> 20,
        ..Years::default()
    };
    years.ready_ms = ready(&args.at, &path)?;
    (years.look_up_p50_ms, years.look_up_max_ms) = look_ups(&path)?;
    if args.archive {
        let mut maker = open(&args.at)?;
        let clock: SharedClock = maker.clock.clone();
        let start = SystemClock.boot();
        for year in due(&Reader::new(&path), 2031, 2)? {
            bar.set_message(format!("archive {year}"));
            let made = archive(
                &mut maker.core,
                &path,
                year,
                &clock,
                "bench",
                &mut |_, done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                    super::copies::unhurried()
                },
            )?;
            years.archived += made.receipts;
        }
        years.archive_s = SystemClock.boot().saturating_sub(start).as_secs_f64();
        drop(maker);
        (years.archived_p50_ms, years.archived_max_ms) = look_ups(&path)?;
    }
    bar.set_message("verifying");
    let start = SystemClock.boot();
    verify(&path, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    years.verify_s = SystemClock.boot().saturating_sub(start).as_secs_f64();
    bar.finish_and_clear();
    Ok(years)
}

/// From opening the ledger, as the daemon does, to its first transaction.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
fn ready(dir: &Path, path: &Path) -> anyhow::Result<f64> {
    let start = SystemClock.boot();
    let sealing = SealingKey::from_file(&dir.join("sealing.key"))?;
    let core = Core::open(path, sealing, Arc::new(SystemClock), Settings::default())?;
    let ledger = Ledger::start(core, path)?;
    ledger.write_blocking(|_| Ok(()))?;
    let took = SystemClock.boot().saturating_sub(start);
    ledger.stop();
    Ok(took.as_secs_f64() * 1e3)
}

/// Receipts all over the oldest years, each by its number: the median and the longest.
#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
fn look_ups(path: &Path) -> anyhow::Result<(f64, f64)> {
    let reader = Reader::new(path);
    let mut last = BTreeMap::new();
    for till in reader.tills()? {
        last.insert(till.id, reader.last_receipt(till.id)?.0.get());
    }
    let mut times = Vec::new();
    let mut place = 1_u32;
    while times.len() < 1000 {
        for (till, last) in &last {
            place = place.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The first half: what archiving moves.
            let number = ReceiptGlobalNo::new(1 + place % (last / 2).max(1)).context("a number")?;
            let start = SystemClock.boot();
            reader
                .by_number(*till, number)?
                .context("the receipt is there")?;
            times.push(SystemClock.boot().saturating_sub(start).as_secs_f64() * 1e3);
        }
    }
    Ok((
        super::quantile(&mut times, 0.5),
        super::quantile(&mut times, 1.0),
    ))
}

pub(super) fn print(years: &Years, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(years)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} receipts, {} MiB", years.receipts, years.mib);
    println!("ready after {:.0} ms", years.ready_ms);
    println!(
        "look-up: median {:.2} ms, longest {:.2} ms",
        years.look_up_p50_ms, years.look_up_max_ms
    );
    if years.archived > 0 {
        println!(
            "{} receipts archived in {:.0} s",
            years.archived, years.archive_s
        );
        println!(
            "look-up in an archive: median {:.2} ms, longest {:.2} ms",
            years.archived_p50_ms, years.archived_max_ms
        );
    }
    println!("verified in {:.0} s", years.verify_s);
    Ok(ExitCode::SUCCESS)
}
