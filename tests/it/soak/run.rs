//! A run: the shop lives through its hours, and at the end of each it is looked at the gateway.
//!
//! Time is the test clock's, which gateway and FDMS follow: it goes on in steps, some hundred times as fast as the real one.
//! Where a till does not keep up it stands. At the end of an hour it stands too: the open jobs are finished, and as soon as
//! the gateway rests, each till sells the same basket some times, one after the other. So hours are compared at the same
//! load, whatever load they had.

use std::path::Path;
use std::time::Duration;

use clock::{Clock as _, SystemClock, Timestamp};
use fdms_sandbox::{DeviceSpec, FaultCount, FaultKind};
use indicatif::ProgressBar;
use serde::Serialize;

use super::floor::Floor;
use super::gauge::{Gauge, Handles};
use super::judge::Hour;
use super::shop::{
    Arrival, CLOSING, DAY, HOUR, Kind, OPENS_AT, Wanted, arrivals, hour_of_day, is_kept, spells,
};
use super::till::{Book, Place, Till};
use super::truth::disagreements;
use crate::support::month::line_faults;
use crate::support::process::{PATIENCE, Store, free_address};

/// The first till's device ID.
const FIRST: u32 = 5_000;
/// Each fourth till speaks JSON lines.
const LINES: usize = 4;
/// A step of the time takes so long,
const TICK: Duration = Duration::from_millis(20);
/// or less, so that it is no longer than this: the gateway takes a leap of a minute for a clock that was set.
const LONGEST_STEP_MS: u64 = 10_000;
/// The gateway rests when it has worked no more than one tick of the processor time in such a span.
const REST: Duration = Duration::from_millis(100);
const REST_US: u64 = 10_000;
/// One that never rests is measured all the same after so long.
const REST_WITHIN: Duration = Duration::from_secs(20);
/// Four readers of the ledger, each three files, may have been opened since.
const MORE_FILES: u64 = 12;

/// What came of a run.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) hours: Vec<Hour>,
    /// Before the first sale and after the last, without tills.
    pub(super) before: Handles,
    pub(super) after: Handles,
    pub(super) receipts: u64,
    pub(super) notes: u64,
    pub(super) repeats: u64,
    /// Fiscal days that FDMS has, all closed.
    pub(super) days: usize,
    pub(super) bytes_per_receipt: u64,
    pub(super) seconds: u64,
    /// What the line did, by kind.
    pub(super) faults: Vec<FaultCount>,
    /// All that is not as it must be, in sentences.
    pub(super) wrong: Vec<String>,
}

impl Outcome {
    /// How many requests to FDMS were hit by what `is` it.
    pub(super) fn hit(&self, is: impl Fn(&FaultKind) -> bool) -> u64 {
        let faults = self.faults.iter().filter(|count| is(&count.fault));
        faults.map(|count| count.count).sum()
    }
}

struct Run<'a> {
    wanted: &'a Wanted,
    store: Store,
    floor: Floor,
    gauge: Gauge,
    /// Simulated milliseconds since its beginning.
    now_ms: u64,
    cpu_us: u64,
    /// Without tills, before the first sale.
    before: Handles,
    empty_kib: u64,
    /// The machine's boot clock at the beginning.
    began: Duration,
    hours: Vec<Hour>,
    bar: &'a ProgressBar,
}

/// Lets a shop live in `dir`; what came of it, and the store with what its tills were told.
pub(super) fn live(wanted: &Wanted, dir: &Path, bar: &ProgressBar) -> (Outcome, Store, Vec<Book>) {
    let began = SystemClock.boot();
    bar.set_message("registering");
    let (mut store, places) = set_up(dir, wanted);
    let start = morning(&store);
    store.sandbox.add_faults(spells(wanted, start));
    store.sandbox.add_faults(line_faults(wanted.seed));
    store.start();
    let gauge = Gauge(store.pid());
    let before = gauge.handles();
    let reader = store.reader();
    let tills = reader.tills().unwrap().into_iter().zip(places);
    let tills = tills.map(|(till, place)| {
        let taxpayer = reader.taxpayer(till.id).unwrap().unwrap();
        Till::new(place, taxpayer, store.clock.clone(), wanted.seed)
    });
    let floor = Floor::start(tills.collect());
    let mut run = Run {
        wanted,
        floor,
        gauge,
        now_ms: 0,
        cpu_us: gauge.cpu_us(),
        before,
        empty_kib: ledger_kib(&store),
        began,
        hours: Vec::new(),
        bar,
        store,
    };
    run.all_hours();
    run.end()
}

/// A store with its tills registered; where each sells.
fn set_up(dir: &Path, wanted: &Wanted) -> (Store, Vec<Place>) {
    let spec = |place: usize| DeviceSpec::new(FIRST + u32::try_from(place).unwrap());
    let store = Store::set_up_with(dir, spec(0), "");
    let lines = free_address();
    let mut places = Vec::new();
    let mut closing = String::new();
    for place in 0..wanted.tills {
        let device = spec(place).device_id;
        let token = match place {
            0 => store.token.clone(),
            _ => store.add_till(spec(place)),
        };
        let is_lines = place % LINES == LINES - 1;
        let address = if is_lines { lines } else { store.address };
        places.push(Place {
            device,
            token,
            address,
            is_lines,
        });
        if is_kept(place) {
            closing += &format!(
                "[[tills]]\ndevice_id = {device}\nenvironment = \"test\"\nday_closing = \"{CLOSING}\"\n"
            );
        }
    }
    let config = dir.join("fiscald.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let doors = format!("lines_listen = \"{lines}\"\n[fdms]");
    // What the line does is no news here.
    let text = text.replace("level = \"warn\"", "level = \"error\"");
    std::fs::write(&config, text.replace("[fdms]", &doors) + &closing).unwrap();
    (store, places)
}

/// Lets the time pass until the shop opens tomorrow.
fn morning(store: &Store) -> Timestamp {
    let now = store.clock.wall();
    let hour = i8::try_from(OPENS_AT).unwrap();
    let tomorrow = clock::local(now).date().tomorrow().unwrap();
    let opens = clock::instant(tomorrow.at(hour, 0, 0, 0));
    let left = Duration::try_from(opens.duration_since(now)).unwrap();
    store.clock.advance(left);
    opens
}

/// Waits a little; time that is measured or passes, nothing that is waited for.
fn pause(store: &Store, time: Duration) {
    store.block_on(async move { SystemClock.sleep(time).await });
}

fn kib(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len() / 1024)
}

fn wal_kib(store: &Store) -> u64 {
    kib(&store.ledger().with_extension("db-wal"))
}

/// The ledger with its log.
fn ledger_kib(store: &Store) -> u64 {
    kib(&store.ledger()) + wal_kib(store)
}

impl Run<'_> {
    fn all_hours(&mut self) {
        let drawn = arrivals(self.wanted);
        let mut coming = drawn.as_slice();
        for hour in 0..self.wanted.hours {
            self.bar.set_message(self.told());
            self.pass((hour + 1) * HOUR * 1000, &mut coming);
            self.measure(hour);
        }
    }

    /// Time passes until so many milliseconds from the beginning, and what comes meanwhile is done.
    fn pass(&mut self, until_ms: u64, coming: &mut &[Arrival]) {
        let day_s = self.wanted.day_s;
        let tick = TICK.min(Duration::from_millis(LONGEST_STEP_MS * day_s / DAY));
        let step_ms = DAY * u64::try_from(tick.as_millis()).unwrap() / day_s;
        assert!(step_ms > 0, "the time would run too fast, or stand");
        while self.now_ms < until_ms {
            let began = SystemClock.boot();
            let step = step_ms.min(until_ms - self.now_ms);
            self.store.clock.advance(Duration::from_millis(step));
            self.now_ms += step;
            self.bar.set_position(self.now_ms / 60_000);
            while let Some((next, rest)) = coming.split_first() {
                if next.at_ms > self.now_ms {
                    break;
                }
                self.floor.give(next.place, next.kind);
                *coming = rest;
            }
            pause(&self.store, tick.saturating_sub(SystemClock.boot() - began));
        }
    }

    /// How it stands, in a line.
    fn told(&self) -> String {
        let Some(hour) = self.hours.last() else {
            return "opening".to_owned();
        };
        let Hour {
            at,
            receipts,
            rss_kib,
            files,
            sockets,
            probe_p50_us,
            queue,
            ..
        } = hour;
        format!(
            "{at}: {receipts} receipts, {rss_kib} KiB, {files} files, {sockets} sockets, {probe_p50_us} µs, {queue} wait"
        )
    }

    fn measure(&mut self, no: u64) {
        self.floor.settle();
        let selling = self.floor.take_latency();
        let (queue, queue_age_s) = self.queue();
        self.rest();
        let probe = self.floor.probe(self.wanted.rounds);
        let receipts = self.floor.take_receipts();
        let handles = self.gauge.handles();
        let cpu_us = self.gauge.cpu_us();
        let worked = cpu_us - self.cpu_us;
        self.cpu_us = cpu_us;
        self.hours.push(Hour {
            at: format!("{:02}:00", hour_of_day(no)),
            receipts,
            rss_kib: self.gauge.rss_kib(),
            pss_kib: self.gauge.pss_kib(),
            files: handles.files,
            sockets: handles.sockets,
            others: handles.others,
            threads: handles.threads,
            wal_kib: wal_kib(&self.store),
            ledger_kib: kib(&self.store.ledger()),
            p50_us: selling.p50_us,
            p99_us: selling.p99_us,
            max_us: selling.max_us,
            probe_p50_us: probe.p50_us,
            probe_p99_us: probe.p99_us,
            probe_max_us: probe.max_us,
            cpu_us_per_receipt: worked / receipts.max(1),
            queue,
            queue_age_s,
        });
        if self.bar.is_hidden() {
            println!("soak: {}", self.told());
        }
    }

    /// What waits for FDMS, and for how many seconds the oldest of it could have been sent.
    fn queue(&self) -> (u64, u64) {
        let reader = self.store.reader();
        let now = clock::local(self.store.clock.wall());
        let (mut count, mut age) = (0, 0);
        for till in reader.tills().unwrap() {
            count += u64::from(reader.backlog(till.id).unwrap().total());
            let (_, head) = reader.stream(till.id).unwrap();
            let waited = head.map_or(0, |item| now.duration_since(item.due).as_secs());
            age = age.max(u64::try_from(waited).unwrap_or(0));
        }
        (count, age)
    }

    /// While the time stands, the gateway finishes what it is at.
    fn rest(&self) {
        let began = SystemClock.boot();
        while SystemClock.boot() - began < REST_WITHIN {
            let before = self.gauge.cpu_us();
            pause(&self.store, REST);
            if self.gauge.cpu_us() - before <= REST_US {
                return;
            }
        }
    }

    /// The shop closes for good: everything is sent, and compared.
    fn end(mut self) -> (Outcome, Store, Vec<Book>) {
        self.bar.set_message("closing");
        let faults = self.store.sandbox.fault_counts();
        self.store.sandbox.clear_faults();
        for place in 0..self.wanted.tills {
            self.floor.give(place, Kind::Close);
        }
        let books: Vec<Book> = self.floor.end().into_iter().map(Till::hang_up).collect();
        let store = &self.store;
        store.drain();
        let mut wrong = Vec::new();
        let after = without_tills(store, self.gauge, &self.before, books.len(), &mut wrong);
        let days = |book: &Book| store.sandbox.days(book.device).len();
        self.bar.set_message("comparing");
        wrong.extend(disagreements(store, &books));
        let receipts: u64 = books.iter().map(|book| book.told.len() as u64).sum();
        let grown = ledger_kib(store).saturating_sub(self.empty_kib) * 1024;
        let outcome = Outcome {
            before: self.before,
            after,
            receipts,
            notes: books.iter().map(|book| book.notes).sum(),
            repeats: books.iter().map(|book| book.repeats).sum(),
            days: books.iter().map(days).sum(),
            bytes_per_receipt: grown / receipts,
            seconds: (SystemClock.boot() - self.began).as_secs(),
            faults,
            wrong,
            hours: self.hours,
        };
        (outcome, self.store, books)
    }
}

/// The handles once the tills have hung up. More than the kept connections to FDMS and the readers' files are leaks.
fn without_tills(
    store: &Store,
    gauge: Gauge,
    before: &Handles,
    tills: usize,
    wrong: &mut Vec<String>,
) -> Handles {
    let connections = tills as u64;
    let began = SystemClock.boot();
    loop {
        let after = gauge.handles();
        let is_back = after.files <= before.files + MORE_FILES
            && after.sockets <= before.sockets + connections
            && after.others <= before.others + 1;
        if is_back {
            return after;
        }
        if SystemClock.boot() - began > PATIENCE {
            wrong.push(format!("handles before {before:?}, after {after:?}"));
            return after;
        }
        pause(store, TICK);
    }
}
