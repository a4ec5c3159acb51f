//! A printer's thread over real links against a printer made of software: cables are pulled, speeds are wrong,
//! readers stall, and what was begun is an original once and then a copy.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use drivers::job::{
    Condition, HeldReason, Job, JobId, JobState, Level, Settings, Spool, SpoolError, UnknownReason,
    run,
};
use drivers::page::{Item, Line, Page};
use drivers::profile::Profile;
use drivers::transport::{LinkConfig, Monotonic, Stop, SystemMonotonic};
use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(30);
/// What a printer that is back may take to be found.
const RECOVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Kept {
    waiting: VecDeque<(JobId, bool)>,
    states: Vec<(JobId, JobState)>,
    condition: Condition,
    fetches: usize,
    next: i64,
    stopped: bool,
}

/// A spool in memory; all clones are one.
#[derive(Debug, Clone, Default)]
struct Memory {
    kept: Arc<(Mutex<Kept>, Condvar)>,
}

impl Memory {
    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let changed = change(&mut self.kept.0.lock().expect("no panic"));
        self.kept.1.notify_all();
        changed
    }

    fn print(&self) -> JobId {
        self.with(|kept| {
            kept.next += 1;
            kept.waiting.push_back((JobId(kept.next), false));
            JobId(kept.next)
        })
    }

    /// Waits until it is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Kept) -> bool) {
        let kept = self.kept.0.lock().expect("no panic");
        let (kept, late) = self
            .kept
            .1
            .wait_timeout_while(kept, LONG, |kept| !wanted(kept))
            .expect("no panic");
        assert!(!late.timed_out(), "never {what}: {kept:?}");
    }

    fn until_state(&self, id: JobId, state: &JobState) {
        let wanted = |kept: &Kept| kept.states.iter().any(|one| one.0 == id && one.1 == *state);
        self.until(&format!("{state:?}"), wanted);
    }

    fn until_printed(&self, id: JobId) {
        self.until_state(id, &JobState::Done(Level::Printed));
    }
}

impl Spool for Memory {
    fn next(&mut self) -> Result<Option<Job>, SpoolError> {
        Ok(self.with(|kept| {
            kept.fetches += 1;
            kept.waiting.front().map(|(id, copy)| Job {
                id: *id,
                page: page(*id, *copy),
            })
        }))
    }

    fn keep(&mut self, job: JobId, state: &JobState) -> Result<(), SpoolError> {
        self.with(|kept| {
            kept.states.push((job, state.clone()));
            if matches!(state, JobState::Done(_) | JobState::Unknown(_)) {
                kept.waiting.pop_front();
            }
            if matches!(state, JobState::Unknown(_)) {
                kept.next += 1;
                kept.waiting.push_back((JobId(kept.next), true));
            }
        });
        Ok(())
    }

    fn wait(&mut self, at_most: Duration) {
        let kept = self.kept.0.lock().expect("no panic");
        let idle = |kept: &mut Kept| kept.waiting.is_empty() && !kept.stopped;
        drop(self.kept.1.wait_timeout_while(kept, at_most, idle));
    }

    fn condition(&mut self, condition: &Condition) {
        self.with(|kept| kept.condition = condition.clone());
    }
}

fn page(id: JobId, copy: bool) -> Page {
    let head = if copy { "COPY" } else { "ORIGINAL" };
    let lines = (0..40).map(|line| format!("{line} of job {}", id.0));
    let lines = [head.to_owned()].into_iter().chain(lines);
    let items = lines.map(|text| Item::Line(Line::plain(text)));
    Page {
        items: items.chain([Item::Cut]).collect(),
    }
}

/// A printer's thread.
struct Shop {
    spool: Memory,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    fn open(link: &str, settings: Settings) -> Self {
        let spool = Memory::default();
        let stop = Stop::new();
        let link = LinkConfig::parse(link).expect(link);
        let (mut own, signal) = (spool.clone(), stop.clone());
        let settings = Settings {
            cut_short: false,
            ..settings
        };
        let thread = std::thread::spawn(move || {
            let profile = Profile::named("epson-tm-t20").expect("it is shipped");
            let time = SystemMonotonic::new();
            let mut opener = link.opener();
            run(
                opener.as_mut(),
                &profile,
                &mut own,
                &time,
                &signal,
                settings,
            );
        });
        Self {
            spool,
            stop,
            thread: Some(thread),
        }
    }

    fn close(&mut self) {
        self.stop.set();
        self.spool.with(|kept| kept.stopped = true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.close();
    }
}

fn fast() -> PrinterSetup {
    PrinterSetup {
        speed_mm_per_s: 0,
        ..PrinterSetup::epson_80()
    }
}

fn tcp() -> VirtualPrinter {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    VirtualPrinter::tcp(fast(), LinkSetup::default(), any).expect("a port is free")
}

/// Sheets with an original on them, and with a copy.
fn heads(printer: &VirtualPrinter) -> (usize, usize) {
    let sheets = printer.sheets();
    let count = |head: &str| sheets.iter().filter(|sheet| sheet.says(head)).count();
    (count("ORIGINAL"), count("COPY"))
}

/// Receipts come out over TCP, one sheet each; the thread ends when it is told so.
#[test]
fn prints_over_tcp() {
    let printer = tcp();
    let mut shop = Shop::open(&format!("tcp:{}", printer.name()), Settings::default());
    for _ in 0..3 {
        let id = shop.spool.print();
        shop.spool.until_printed(id);
    }
    assert_eq!(heads(&printer), (3, 0));
    assert_eq!(printer.connections(), 1, "the link stays open");
    shop.close();
}

/// The cable is pulled in the middle of a job, and put in again: the original is in doubt, a copy comes soon.
#[test]
fn unplugged_in_the_middle() {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("printer.sock");
    let printer =
        VirtualPrinter::unix(fast(), LinkSetup::default(), &path).expect("the path is free");
    let shop = Shop::open(&format!("unix:{}", path.display()), Settings::default());
    let time = SystemMonotonic::new();
    shop.spool
        .until("connected", |kept| kept.condition.answers == Some(true));
    printer.cut_after_received(300);
    let id = shop.spool.print();
    shop.spool
        .until_state(id, &JobState::Unknown(UnknownReason::LinkLost));
    printer.unplug();
    shop.spool.until("unreachable", |kept| {
        kept.condition.fault == Some(HeldReason::Unreachable) && kept.condition.link_error.is_some()
    });
    printer.plug();
    let plugged = time.now();
    shop.spool
        .until("found again", |kept| kept.condition.answers == Some(true));
    assert!(time.now() - plugged <= RECOVERY);
    shop.spool.until_printed(JobId(id.0 + 1));
    let sheets = printer.sheets();
    let copy = sheets.last().expect("a sheet");
    assert!(
        copy.says("COPY") && copy.says("39 of job 2"),
        "{}",
        copy.text()
    );
    assert!(heads(&printer).0 <= 1);
}

/// A serial adapter comes back under another name in the middle of a job; its stable name is followed.
#[test]
fn replugged_under_another_name() {
    let dir = tempfile::tempdir().expect("there is room");
    let stable = dir.path().join("usb-FTDI-if00");
    let link = LinkSetup {
        stable_name: Some(stable.clone()),
        ..LinkSetup::default()
    };
    let printer = VirtualPrinter::pty(fast(), link).expect("a terminal is there");
    let shop = Shop::open(
        &format!("serial:{}?baud=9600", stable.display()),
        Settings::default(),
    );
    let time = SystemMonotonic::new();
    let first = shop.spool.print();
    shop.spool.until_printed(first);
    let old = printer.name();
    printer.cut_after_received(400);
    let second = shop.spool.print();
    shop.spool
        .until_state(second, &JobState::Unknown(UnknownReason::LinkLost));
    printer.replug();
    let plugged = time.now();
    shop.spool
        .until("found again", |kept| kept.condition.answers == Some(true));
    assert!(time.now() - plugged <= RECOVERY);
    shop.spool.until_printed(JobId(second.0 + 1));
    printer.replug();
    assert_ne!(printer.name(), old);
    let third = shop.spool.print();
    shop.spool.until_printed(third);
    assert_eq!(printer.failure(), None);
}

/// A connection that is dead at the other side only is given up, and the job goes on over a new one.
#[test]
fn half_open() {
    let printer = tcp();
    let settings = Settings {
        silence: Duration::from_secs(2),
        ..Settings::default()
    };
    let shop = Shop::open(&format!("tcp:{}", printer.name()), settings);
    shop.spool
        .until("connected", |kept| kept.condition.answers == Some(true));
    printer.half_open();
    let id = shop.spool.print();
    shop.spool.until_printed(id);
    assert_eq!(
        heads(&printer),
        (1, 0),
        "no byte of it was lost on the dead link"
    );
    assert!(printer.connections() >= 2);
}

/// At another speed than the printer's, nothing is understood and nothing is printed.
#[test]
fn wrong_speed() {
    let link = LinkSetup {
        baud: 38_400,
        ..LinkSetup::default()
    };
    let printer = VirtualPrinter::pty(fast(), link).expect("a terminal is there");
    let shop = Shop::open(
        &format!("serial:{}?baud=9600", printer.name()),
        Settings::default(),
    );
    let id = shop.spool.print();
    shop.spool
        .until_state(id, &JobState::Held(HeldReason::Unreachable));
    shop.spool
        .until("told", |kept| kept.condition.link_error.is_some());
    assert_eq!(shop.spool.with(|kept| kept.states.len()), 1);
    assert_eq!(printer.with(|printer| printer.counts().lines), 0);
}

/// A printer that reads nothing for a while finishes what it was given: one original.
#[test]
fn stalled() {
    let printer = tcp();
    let shop = Shop::open(&format!("tcp:{}", printer.name()), Settings::default());
    shop.spool
        .until("connected", |kept| kept.condition.answers == Some(true));
    let id = shop.spool.print();
    shop.spool.until_state(id, &JobState::Sending);
    printer.stall(true);
    printer.one_byte_replies(true);
    shop.spool.until_state(id, &JobState::AwaitAck);
    printer.stall(false);
    shop.spool.until_printed(id);
    assert_eq!(heads(&printer), (1, 0));
}

/// Two programs at one port: the second is told so, and prints nothing.
#[test]
fn two_at_one_port() {
    let printer = VirtualPrinter::pty(fast(), LinkSetup::default()).expect("a terminal is there");
    let link = format!("serial:{}?baud=9600", printer.name());
    let first = Shop::open(&link, Settings::default());
    let id = first.spool.print();
    first.spool.until_printed(id);
    let second = Shop::open(&link, Settings::default());
    let other = second.spool.print();
    second
        .spool
        .until_state(other, &JobState::Held(HeldReason::Unreachable));
    second.spool.until("told", |kept| {
        let why = kept.condition.link_error.as_deref();
        why.is_some_and(|why| why.contains("in use by another program"))
    });
    let id = first.spool.print();
    first.spool.until_printed(id);
    assert_eq!(heads(&printer), (2, 0));
}

/// Paper out and in again, while nothing is printed and in the middle of a job.
#[test]
fn paper_out() {
    let printer = tcp();
    let settings = Settings {
        idle_poll: Duration::from_millis(200),
        busy_poll: Duration::from_millis(100),
        ..Settings::default()
    };
    let shop = Shop::open(&format!("tcp:{}", printer.name()), settings);
    shop.spool
        .until("connected", |kept| kept.condition.answers == Some(true));
    printer.set_paper(0);
    shop.spool.until("told", |kept| {
        kept.condition.fault == Some(HeldReason::PaperOut)
    });
    let id = shop.spool.print();
    shop.spool
        .until_state(id, &JobState::Held(HeldReason::PaperOut));
    printer.set_paper(60);
    // There is paper for half a receipt: it ends in the middle.
    shop.spool.until_state(id, &JobState::AwaitAck);
    shop.spool.until("told", |kept| {
        kept.condition.fault == Some(HeldReason::PaperOut)
    });
    printer.set_paper(80_000);
    shop.spool.until_printed(id);
    assert_eq!(heads(&printer), (1, 0));
}

/// An idle printer costs next to nothing, and is asked how it is all the same.
#[test]
fn idle() {
    let printer = tcp();
    let settings = Settings {
        idle_poll: Duration::from_millis(300),
        ..Settings::default()
    };
    let shop = Shop::open(&format!("tcp:{}", printer.name()), settings);
    let asked = |count: usize| {
        assert!(printer.wait_until(LONG, |printer| printer.counts().real_time.len() >= count));
    };
    asked(3);
    let before = shop.spool.with(|kept| kept.fetches);
    asked(15);
    let rounds = shop.spool.with(|kept| kept.fetches) - before;
    assert!(rounds <= 40, "{rounds} rounds in four status requests");
}
