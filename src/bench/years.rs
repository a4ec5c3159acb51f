//! `fiscald bench years`: a ledger of five years, made without FDMS; how soon a daemon of its own is ready on it, how long
//! a look-up over its API takes, and archiving and verifying its oldest years.
//!
//! The ledger is kept in `--at`: interrupted, it is gone on with, and measured again without being made again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock as _, SharedClock, SystemClock, TestClock};
use fiscal::DeviceId;
use fiscal::draft::Draft;
use indicatif::ProgressBar;
use serde::Serialize;

use super::load::Connection;
use super::process::{self, started};
use super::report::{Demand, Report};
use super::store::{self, Tills};
use super::{machine, scratch};
use crate::archive::{archive, due};
use crate::backup::free_bytes;
use crate::keys::SealingKey;
use crate::ledger::core::Core;
use crate::ledger::stream::Submission;
use crate::ledger::verify::verify;
use crate::ledger::{Reader, Sale, SaleDone, Settings, TillId};

/// Tills of the store.
const TILLS: u32 = 8;
/// Days on which it sells.
const DAYS: u64 = 5 * 365;
/// What a receipt takes of the disk, and what more of it an archive does, in bytes.
const BYTES_EACH: u64 = 3_200;
const ARCHIVED_BYTES_EACH: u64 = 2_400;
/// How many a small PC makes in a second, at least.
const MADE_PER_S: u64 = 4_000;
/// Room on the disk that stays.
const MARGIN: u64 = 1 << 30;
/// Starts of the daemon, and look-ups.
const STARTS: u32 = 5;
const LOOK_UPS: u32 = 1_000;
/// When its first day is.
const FIRST: &str = "2026-01-01T05:00:00Z";
const LAST_YEAR: i16 = 2030;
/// A file that says that time has gone on to the end of the years: more cannot be sold within them.
const MEASURED: &str = "measured";
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

/// How a daemon does on the ledger, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Daily {
    /// From the start of the process to its first good /readyz: the longest of five, the first of them with nothing of the
    /// ledger in memory.
    ready_ms: f64,
    /// A receipt of the oldest years over the API: the median of the first look-ups of each, when little is in memory.
    first_p50_ms: f64,
    /// The median of the second ones, and the longest.
    p50_ms: f64,
    max_ms: f64,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Years {
    receipts: u64,
    mib: u64,
    /// With everything in the ledger; none of one that was archived before.
    ready_ms: Option<f64>,
    look_up_first_p50_ms: Option<f64>,
    look_up_p50_ms: Option<f64>,
    look_up_max_ms: Option<f64>,
    /// With the oldest years in archives; the look-ups are of receipts in them.
    archived_ready_ms: Option<f64>,
    archived_first_p50_ms: Option<f64>,
    archived_p50_ms: Option<f64>,
    archived_max_ms: Option<f64>,
    /// Seconds that archiving took, and receipts that were moved.
    archive_s: Option<f64>,
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
        let known = reader.tills()?;
        let till = match known.iter().find(|till| till.device_id == device) {
            Some(till) => till.id,
            None => crate::testing::add_till(&mut core, device)?,
        };
        let token = store::token(device);
        if reader.token(&token)?.is_none() {
            core.write(|core| core.add_token(&token, Some(till), &token, "bench"))?;
        }
    }
    let tills = reader.tills()?.iter().map(|till| till.ids()).collect();
    Ok(Maker { core, clock, tills })
}

impl Maker {
    /// Receipts that are there.
    fn done(&self) -> anyhow::Result<u64> {
        let mut done = 0;
        for (till, _) in &self.tills {
            done += u64::from(self.core.last_numbers(*till)?.1.get());
        }
        Ok(done)
    }

    /// Sells day after day until so many receipts are there.
    fn fill(&mut self, receipts: u64, bar: &ProgressBar) -> anyhow::Result<()> {
        let a_day = (receipts / DAYS / u64::from(TILLS)).max(1);
        let mut done = self.done()?;
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

pub(super) async fn run(args: &YearsArgs) -> anyhow::Result<Years> {
    let bar = ProgressBar::new(0);
    let style = indicatif::ProgressStyle::with_template(
        "{msg} {bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left",
    )?;
    bar.set_style(style);
    let options = args.clone();
    let mut years = aside(&bar, move |bar| made(&options, bar)).await?;
    let path = args.at.join("ledger.db");
    if Reader::new(&path).archives()?.is_empty() {
        bar.set_message("starting, looking up");
        let daily = daily(&args.at).await?;
        years.ready_ms = Some(daily.ready_ms);
        years.look_up_first_p50_ms = Some(daily.first_p50_ms);
        years.look_up_p50_ms = Some(daily.p50_ms);
        years.look_up_max_ms = Some(daily.max_ms);
    }
    if args.archive {
        let at = args.at.clone();
        let (seconds, moved) = aside(&bar, move |bar| archived(&at, bar)).await?;
        years.archived = moved;
        years.archive_s = (moved > 0).then_some(seconds);
    }
    if !Reader::new(&path).archives()?.is_empty() {
        bar.set_message("starting, looking up");
        let daily = daily(&args.at).await?;
        years.archived_ready_ms = Some(daily.ready_ms);
        years.archived_first_p50_ms = Some(daily.first_p50_ms);
        years.archived_p50_ms = Some(daily.p50_ms);
        years.archived_max_ms = Some(daily.max_ms);
    }
    let start = SystemClock.boot();
    let receipts = aside(&bar, move |bar| verified(&path, bar)).await?;
    years.verify_s = SystemClock.boot().saturating_sub(start).as_secs_f64();
    ensure!(
        receipts >= years.receipts,
        "only {receipts} of {} receipts are in the ledger and its archives",
        years.receipts
    );
    bar.finish_and_clear();
    Ok(years)
}

/// Runs blocking work, so that an interruption is heard meanwhile. The ledger is gone on with then.
async fn aside<T: Send + 'static>(
    bar: &ProgressBar,
    work: impl FnOnce(&ProgressBar) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let bar = bar.clone();
    tokio::task::spawn_blocking(move || work(&bar)).await?
}

/// Makes the ledger, or goes on with it.
fn made(args: &YearsArgs, bar: &ProgressBar) -> anyhow::Result<Years> {
    std::fs::create_dir_all(&args.at)?;
    machine::refuse_tmpfs(&args.at)?;
    let mut maker = open(&args.at)?;
    let there = maker.done()?;
    eprintln!("{}", demanded(args, there)?);
    bar.set_message("making   ");
    maker.fill(args.receipts, bar)?;
    let receipts = maker.done()?;
    drop(maker);
    let mib = std::fs::metadata(args.at.join("ledger.db"))?.len() >> 20;
    Ok(Years {
        receipts,
        mib,
        ..Years::default()
    })
}

/// What making the ledger will take: said before it begins, and refused where there is no room.
fn demanded(args: &YearsArgs, there: u64) -> anyhow::Result<String> {
    let (at, wanted) = (args.at.display(), args.receipts);
    let missing = wanted.saturating_sub(there);
    ensure!(
        missing == 0 || !args.at.join(MEASURED).exists(),
        "the ledger in {at} was measured with {there} receipts, and cannot get more; name another folder with --at"
    );
    let archives = Reader::new(&args.at.join("ledger.db")).archives()?;
    let archive = match args.archive && archives.is_empty() {
        true => wanted.saturating_mul(ARCHIVED_BYTES_EACH),
        false => 0,
    };
    let needed = missing.saturating_mul(BYTES_EACH).saturating_add(archive);
    let free = free_bytes(&args.at)?;
    ensure!(
        free >= needed.saturating_add(MARGIN),
        "a ledger of {wanted} receipts in {at}, where {there} are already, needs {} MiB more and 1 GiB to spare; {} MiB are free. Make room, name another folder with --at, or take fewer --receipts",
        needed >> 20,
        free >> 20
    );
    if missing == 0 {
        return Ok(format!(
            "{at} holds {there} receipts already: nothing is made anew"
        ));
    }
    let minutes = (missing / MADE_PER_S).div_ceil(60);
    Ok(format!(
        "{missing} receipts are made in {at}, where {there} are already: about {minutes} minutes at most and {} MiB of disk, of which {} MiB are free. It may be interrupted, and goes on the next time; it stays there until you take it away",
        needed >> 20,
        free >> 20
    ))
}

/// Archives all but the last two years; seconds, and receipts that were moved.
fn archived(at: &Path, bar: &ProgressBar) -> anyhow::Result<(f64, u64)> {
    let path = at.join("ledger.db");
    let mut maker = open(at)?;
    let clock: SharedClock = maker.clock.clone();
    let start = SystemClock.boot();
    let mut moved = 0;
    for year in due(&Reader::new(&path), LAST_YEAR + 1, 2)? {
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
        moved += made.receipts;
    }
    let took = SystemClock.boot().saturating_sub(start).as_secs_f64();
    Ok((took, moved))
}

/// Verifies the ledger and its archives; how many receipts.
fn verified(path: &Path, bar: &ProgressBar) -> anyhow::Result<u64> {
    bar.set_message("verifying");
    let verified = verify(path, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    Ok(verified.receipts)
}

/// Starts daemons on the ledger, as systemd would, and looks receipts up.
async fn daily(at: &Path) -> anyhow::Result<Daily> {
    std::fs::write(at.join(MEASURED), "")?;
    let at = &std::path::absolute(at)?;
    let dir = scratch::folder(&std::env::temp_dir())?;
    let (address, config) = (process::free_address()?, dir.path().join("fiscald.toml"));
    std::fs::write(&config, process::config(at, address))?;
    // After the ledger's last day, which is some days late, because whole days are sold.
    let first: clock::Timestamp = FIRST.parse()?;
    let clock = TestClock::new(first + Duration::from_secs((DAYS + 30) * 24 * 3600));
    let socket = dir.path().join("clock.sock");
    clock.serve(&socket)?;
    let mut daily = Daily::default();
    let_go(at)?;
    for start in 1..=STARTS {
        let (daemon, ms) = started(&config, Some(&socket), address).await?;
        daily.ready_ms = daily.ready_ms.max(ms);
        if start == 1 {
            look_ups(at, address, &mut daily).await?;
        }
        daemon.stop()?;
    }
    Ok(daily)
}

/// Has the system forget what it remembers of the ledger's files, as after a boot. No connection of this process may be
/// open on them.
fn let_go(at: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(at)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "db") {
            let file = std::fs::File::open(&path)?;
            // Only what is on disk is forgotten.
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Receipts all over the oldest years, each by its number, and once more.
async fn look_ups(
    at: &Path,
    address: std::net::SocketAddr,
    daily: &mut Daily,
) -> anyhow::Result<()> {
    let reader = Reader::new(&at.join("ledger.db"));
    let mut tills = Vec::new();
    for till in reader.tills()? {
        let last = reader.last_receipt(till.id)?.0.get();
        let till = Tills::new(address, vec![store::token(till.device_id)]);
        tills.push((till.connection(0).await?, last));
    }
    drop(reader);
    let mut first = pass(&mut tills).await?;
    let mut second = pass(&mut tills).await?;
    daily.first_p50_ms = super::quantile(&mut first, 0.5);
    daily.p50_ms = super::quantile(&mut second, 0.5);
    daily.max_ms = super::quantile(&mut second, 1.0);
    Ok(())
}

/// The same receipts in the same order each time; milliseconds of each.
#[expect(clippy::float_arithmetic, reason = "times of a report, no money")]
async fn pass(tills: &mut [(Connection, u32)]) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut place = 1_u32;
    for turn in 0..LOOK_UPS {
        let till = usize::try_from(turn)? % tills.len().max(1);
        let (connection, last) = tills.get_mut(till).context("no tills")?;
        place = place.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The first half: what archiving moves.
        let number = 1 + place % (*last / 2).max(1);
        let start = SystemClock.boot();
        let path = format!("/v1/receipts/{number}");
        ensure!(connection.get(&path).await?, "{path} was not answered");
        times.push(SystemClock.boot().saturating_sub(start).as_secs_f64() * 1e3);
    }
    Ok(times)
}

impl Report for Years {
    const COMMAND: &'static str = "bench years";

    fn print(&self) {
        println!("{} receipts, {} MiB", self.receipts, self.mib);
        let row = |name: &str, ms: Option<f64>| {
            if let Some(ms) = ms {
                println!("{name:<44} {ms:>10.2} ms");
            }
        };
        row("ready, longest of five starts", self.ready_ms);
        row("look-up, first: median", self.look_up_first_p50_ms);
        row("look-up: median", self.look_up_p50_ms);
        row("look-up: longest", self.look_up_max_ms);
        if let Some(seconds) = self.archive_s {
            println!("{} receipts archived in {seconds:.0} s", self.archived);
        }
        row("ready with archives", self.archived_ready_ms);
        row(
            "look-up in an archive, first: median",
            self.archived_first_p50_ms,
        );
        row("look-up in an archive: median", self.archived_p50_ms);
        row("look-up in an archive: longest", self.archived_max_ms);
        println!("verified in {:.0} s", self.verify_s);
    }

    fn demands(&self) -> Vec<Demand> {
        vec![
            Demand::at_most("ready_ms", self.ready_ms, 1000.0),
            Demand::at_most("look_up_first_p50_ms", self.look_up_first_p50_ms, 5.0),
            Demand::at_most("look_up_max_ms", self.look_up_max_ms, 5.0),
            Demand::at_most("archived_ready_ms", self.archived_ready_ms, 1000.0),
            Demand::at_most("archived_first_p50_ms", self.archived_first_p50_ms, 5.0),
            Demand::at_most("archived_max_ms", self.archived_max_ms, 5.0),
        ]
    }
}
