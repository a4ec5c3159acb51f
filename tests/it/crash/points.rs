//! The daemon ends itself with SIGKILL at each of its named points (`src/crash.rs`), and goes on as if nothing had been.
//!
//! A story is what is done so that the points of some prefixes are passed. All names are walked: the test is red where a
//! point was never reached, or belongs to no story. `CRASH_DEPTH=3` tries the second and third passing of each as well.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fdms_sandbox::{DeviceSpec, OperatingMode};
use fiscald::crash::NAMES;
use tempfile::TempDir;

use super::book::Book;
use super::volume::Ground;
use super::{report, wished};
use crate::support::printer::{front, printer};
use crate::support::process::{Http, PATIENCE, Store};

/// What the variable is called that names the point.
const CRASH_AT: &str = "FISCALD_CRASH_AT";

/// What each story is about.
const DAY: &[&str] = &[
    "sale",
    "task",
    "day",
    "epoch",
    "checkpoint",
    "compare",
    "submit",
    "status",
];
const FILES: &[&str] = &["file"];
const PAPER: &[&str] = &["print"];
const LIVE: &[&str] = &["live"];
pub(super) const BACKUP: &[&str] = &["backup"];
pub(super) const MIGRATION: &[&str] = &["migrate"];
pub(super) const ARCHIVE: &[&str] = &["archive"];
pub(super) const RESTORE: &[&str] = &["restore"];
pub(super) const OFFICE: &[&str] = &["hq"];
const STORIES: [&[&str]; 9] = [
    DAY, FILES, PAPER, LIVE, BACKUP, MIGRATION, ARCHIVE, RESTORE, OFFICE,
];

/// A point, and at which of its passings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passing {
    pub(super) name: &'static str,
    nth: u64,
}

impl Passing {
    /// What the process is told.
    pub(super) fn wish(self) -> String {
        format!("{}:{}", self.name, self.nth)
    }

    pub(super) fn is_first(self) -> bool {
        self.nth == 1
    }

    /// The process has ended: at the point, or, since it was passed less often, by itself.
    pub(super) fn reached(self, end: ExitStatus) -> bool {
        let killed = end.signal() == Some(9);
        assert!(
            killed || (self.nth > 1 && end.success()),
            "{self:?} was never reached: {end:?}"
        );
        killed
    }
}

/// All passings that a story tries, in the order of the names.
pub(super) fn passings(story: &[&str]) -> Vec<Passing> {
    let depth = wished("CRASH_DEPTH", 1);
    let names = NAMES
        .iter()
        .filter(|name| story.contains(&prefix(name)))
        .copied();
    names
        .flat_map(|name| (1..=depth).map(move |nth| Passing { name, nth }))
        .collect()
}

fn prefix(name: &str) -> &str {
    name.split_once('.').unwrap().0
}

/// A point that no story is about would never be reached, and nobody would know.
#[test]
fn every_point_has_a_story() {
    for name in NAMES {
        let stories = STORIES
            .iter()
            .filter(|story| story.contains(&prefix(name)))
            .count();
        assert_eq!(stories, 1, "{name}");
    }
    for prefix_of_story in STORIES.iter().copied().flatten() {
        let is_used = NAMES.iter().any(|name| prefix(name) == *prefix_of_story);
        assert!(is_used, "no point is called {prefix_of_story}.…");
    }
}

/// A wrong name is no run in which nothing was killed.
#[test]
fn a_wrong_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::set_up(dir.path(), 4300);
    let refused = store.fiscald_with(&["check-config"], &[(CRASH_AT, "sale.never")]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("sale.written"),
        "{said}"
    );
}

#[test]
fn a_day() {
    let dir = tempfile::tempdir().unwrap();
    day(dir.path(), &Ground::Plain);
}

#[test]
fn a_day_by_file() {
    let dir = tempfile::tempdir().unwrap();
    day_by_file(dir.path(), &Ground::Plain);
}

/// Sales, openings and closes, their way to FDMS, and what a stop does.
pub(super) fn day(dir: &Path, ground: &Ground) {
    days(Store::set_up(dir, 4301), DAY, ground);
}

/// The same of a device that reports by file.
pub(super) fn day_by_file(dir: &Path, ground: &Ground) {
    let spec = DeviceSpec {
        operating_mode: OperatingMode::Offline,
        ..DeviceSpec::new(4302)
    };
    days(Store::set_up_with(dir, spec, ""), FILES, ground);
}

fn days(mut store: Store, story: &[&str], ground: &Ground) {
    let book = Book::default();
    let mut reached = 0;
    for passing in passings(story) {
        reached += u64::from(passing.reached(live(&mut store, &book, passing)));
        ground.power_goes();
        store.start();
        settle(&mut store, &book);
        book.compare_with_ledger(&store, 0);
        store.stop();
    }
    book.compare_with_fdms(&store, 0);
    report("points", 0, reached, book.sold());
}

/// A fiscal day, until it is over and the daemon stopped, or the daemon has ended itself; how it has ended.
fn live(store: &mut Store, book: &Book, passing: Passing) -> ExitStatus {
    if store.try_start(&[(CRASH_AT, &passing.wish())]) {
        // Whatever was cut short is seen to afterwards.
        let _ = a_day_of(store, book);
    }
    store.end()
}

fn a_day_of(store: &mut Store, book: &Book) -> Option<()> {
    let mut http = Http::open(store.address).ok()?;
    for _ in 0..2 {
        book.sell_next(&mut http, &store.token).then_some(())?;
    }
    let closed = http.post("/v1/days/close", &store.token, "").ok()?;
    assert_eq!(closed.status / 100, 2, "{}", closed.body);
    pass_while(store, |store| waits(store) > 0).then_some(())
}

/// What of the till FDMS has not taken.
fn waits(store: &Store) -> u64 {
    let till = store.till().id;
    let reader = store.reader();
    let (state, _) = reader.stream(till).unwrap();
    assert_eq!(state.parked, None);
    u64::from(reader.backlog(till).unwrap().total())
}

/// Time passes while something is so; false if the daemon has ended before.
pub(super) fn pass_while(store: &mut Store, is_so: impl Fn(&Store) -> bool) -> bool {
    let started = SystemClock.boot();
    while is_so(store) {
        if !store.is_alive() {
            return false;
        }
        store.clock.advance(Duration::from_secs(1));
        assert!(SystemClock.boot() - started < PATIENCE, "it takes for ever");
        std::thread::yield_now();
    }
    true
}

/// The tills repeat what is open, the day is closed if it is not, and FDMS gets everything.
pub(super) fn settle(store: &mut Store, book: &Book) {
    book.repeat_unanswered(store);
    close_day(store);
    assert!(pass_while(store, |store| waits(store) > 0));
}

fn close_day(store: &Store) {
    let reader = store.reader();
    let is_open = |day: fiscald::ledger::DayFacts| day.close.is_none();
    if reader
        .day(store.till().id, None)
        .unwrap()
        .is_some_and(is_open)
    {
        let mut http = Http::open(store.address).unwrap();
        let closed = http.post("/v1/days/close", &store.token, "").unwrap();
        assert_eq!(closed.status / 100, 2, "{}", closed.body);
    }
}

/// Sales on paper: whenever the daemon ends, each has a whole sheet, and at most one is an original.
#[test]
fn paper() {
    let dir = tempfile::tempdir().unwrap();
    let printer = printer();
    let config = front(printer.name(), "");
    let mut store = Store::set_up_with(dir.path(), DeviceSpec::new(4303), &config);
    let book = Book::default();
    let mut reached = 0;
    for passing in passings(PAPER) {
        if store.try_start(&[(CRASH_AT, &passing.wish())]) {
            let mut http = Http::open(store.address).unwrap();
            if book.sell_next(&mut http, &store.token) {
                pass_while(&mut store, is_printing);
            }
        }
        reached += u64::from(passing.reached(store.end()));
        store.start();
        book.repeat_unanswered(&store);
        assert!(pass_while(&mut store, is_printing), "{passing:?}");
        store.stop();
        for key in (0..book.sold()).map(|no| format!("K{no}")) {
            // With a blank behind it, or K1 would be in K10 too.
            let sheets = printer.sheets();
            let of = |sheet: &&vprinter::Sheet| {
                let words = sheet.lines().join(" ");
                words.split_whitespace().any(|word| word == key)
            };
            let whole: Vec<_> = sheets
                .iter()
                .filter(|sheet| sheet.complete)
                .filter(of)
                .collect();
            let is_copy =
                |sheet: &vprinter::Sheet| sheet.lines().iter().any(|line| line.trim() == "COPY");
            let originals = sheets.iter().filter(of).filter(|sheet| !is_copy(sheet));
            assert!(!whole.is_empty(), "{passing:?}: {key} is not on paper");
            assert!(
                originals.count() <= 1,
                "{passing:?}: {key} has two originals"
            );
        }
    }
    report("points", 0, reached, book.sold());
}

fn is_printing(store: &Store) -> bool {
    let reader = store.reader();
    let printed = |job: &fiscald::ledger::printing::PrintRow| job.state == "done";
    let till = store.till().id;
    let (last, _) = reader.last_receipt(till).unwrap();
    let Some(seq) = reader
        .by_number(till, last)
        .unwrap()
        .map(|issued| issued.seq)
    else {
        return false;
    };
    let jobs = reader.prints_of(seq).unwrap();
    !jobs.iter().any(printed) || !reader.open_prints(None).unwrap().is_empty()
}

/// The live copy is a whole ledger at every moment, and follows again.
#[test]
fn a_live_copy() {
    let (dir, stick): (TempDir, TempDir) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir_in("/dev/shm").unwrap(),
    );
    let copy = stick.path().join("live.db");
    let config = format!("[backup]\nlive = {copy:?}\n");
    let mut store = Store::set_up_with(dir.path(), DeviceSpec::new(4304), &config);
    let book = Book::default();
    let ends = fiscald::ledger::copies::ends;
    let mut reached = 0;
    for passing in passings(LIVE) {
        if passing.name == "live.made" && copy.exists() {
            std::fs::remove_file(&copy).unwrap();
        }
        let follows = |store: &Store| {
            let copied = ends(&copy).map_or(0, |ends| ends.last_event);
            copied < ends(&store.ledger()).unwrap().last_event
        };
        reached += u64::from(passing.reached(live(&mut store, &book, passing)));
        let is_whole = |copy: &Path| {
            fiscald::backup::check(copy).unwrap_or_else(|error| panic!("{passing:?}: {error}"));
            let verified = fiscald::ledger::verify::verify(copy, &mut |_, _| {});
            verified.unwrap_or_else(|error| panic!("{passing:?}: {error}"));
        };
        if copy.exists() {
            is_whole(&copy);
        }
        store.start();
        settle(&mut store, &book);
        assert!(pass_while(&mut store, follows));
        store.stop();
        is_whole(&copy);
        assert_eq!(ends(&copy).unwrap(), ends(&store.ledger()).unwrap());
        book.compare_with_ledger(&store, 0);
    }
    report("points", 0, reached, book.sold());
}
