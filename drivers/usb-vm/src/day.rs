//! The days of two printers: receipts, pulls of the cable, and the judgement after each.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use drivers::escpos::ack::ending;
use drivers::escpos::encode;
use drivers::job::{JobState, Settings};
use drivers::profile::{Ack, Profile};
use drivers::transport::{LinkConfig, Monotonic, Stop, SystemMonotonic};
use vprinter::PrinterSetup;

use crate::book::{Book, Entry};
use crate::cable::{Cable, SERIAL};
use crate::device::Device;
use crate::judge;
use crate::machine;
use crate::plan::{Dice, Hit, Pull};
use crate::receipt::Receipt;
use crate::tally::{Outcome, Seconds, Tally};

/// A printer that is plugged in again is reached within this time.
const RECOVERY: Duration = Duration::from_secs(5);
/// Whatever is waited for has come by then, or never will.
const PATIENCE: Duration = Duration::from_secs(120);
/// So long after a pull the loss has been noticed, and the printer's thread may rest.
const NOTICED: Duration = Duration::from_millis(700);
/// The most that the printer's thread may work while the cable is out, in hundredths of a percent.
const BUSY: u128 = 200;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders {
    /// How often the cable is pulled.
    pub(crate) unplugs: usize,
    /// What all chance comes from.
    pub(crate) seed: u64,
    /// A spool that sends an original again after an outcome that nobody knows: it must be found.
    pub(crate) resend_original: bool,
}

impl Orders {
    /// Reads `unplugs=50 seed=1 plant=resend-original`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut orders = Self {
            unplugs: 50,
            seed: 1,
            resend_original: false,
        };
        for word in words {
            let wrong = || format!("{word} is no order");
            match word.split_once('=').ok_or_else(wrong)? {
                ("unplugs", number) => orders.unplugs = number.parse().map_err(|_| wrong())?,
                ("seed", number) => orders.seed = number.parse().map_err(|_| wrong())?,
                ("plant", "resend-original") => orders.resend_original = true,
                _ => return Err(wrong()),
            }
        }
        Ok(orders)
    }
}

/// Lives through it all; an error is what was wrong.
pub(crate) fn live(orders: &Orders, said: &mut File) -> Result<(), String> {
    let named = |name: &str| Profile::named(name).map_err(|error| error.to_string());
    let by_process_id = named("epson-tm-t20")?;
    let by_status = Profile {
        ack: Ack::Status,
        ..named("generic-80")?
    };
    tell(
        said,
        format_args!(
            "Linux {}, {} unplugs, seed {}",
            machine::kernel(),
            orders.unplugs,
            orders.seed
        ),
    )?;
    let mut cable = Cable::new()?;
    let mut tally = Tally::default();
    let half = orders.unplugs.div_ceil(2);
    let days = [
        (
            "answers GS ( H",
            by_process_id,
            PrinterSetup::epson_80(),
            half,
        ),
        (
            "answers GS r",
            by_status,
            PrinterSetup::clone_80(),
            orders.unplugs - half,
        ),
    ];
    for (name, profile, setup, pulls) in days {
        tell(said, format_args!("a printer that {name}:"))?;
        let seed = orders
            .seed
            .wrapping_mul(2)
            .wrapping_add(u64::from(profile.ack == Ack::Status));
        let mut day = Day {
            said: &mut *said,
            time: SystemMonotonic::new(),
            dice: Dice::new(seed),
            book: Book::new(orders.resend_original),
            device: Device::new(setup, &mut cable),
            tally: &mut tally,
            profile,
        };
        day.live(pulls)?;
    }
    tell(said, format_args!("{tally}"))?;
    if tally.busy() > BUSY {
        return Err("the printer's thread is busy while the cable is out".to_owned());
    }
    Ok(())
}

fn tell(said: &mut File, what: std::fmt::Arguments<'_>) -> Result<(), String> {
    writeln!(said, "{what}").map_err(|error| format!("nobody listens: {error}"))
}

struct Day<'a> {
    said: &'a mut File,
    time: SystemMonotonic,
    dice: Dice,
    profile: Profile,
    book: Book,
    device: Device<'a>,
    tally: &'a mut Tally,
}

/// The product's side: the printer's thread.
struct Host {
    stop: Stop,
    thread: JoinHandle<()>,
    /// Its directory below `/proc`.
    place: String,
}

impl Host {
    fn start(book: &Book, profile: &Profile) -> Result<Self, String> {
        let link = LinkConfig::parse(&format!("usb:serial={SERIAL}"));
        let mut opener = link.map_err(|error| error.to_string())?.opener();
        let (mut book, profile, stop) = (book.clone(), profile.clone(), Stop::new());
        let (told, place) = mpsc::channel();
        let theirs = stop.clone();
        let thread = std::thread::spawn(move || {
            // If nobody waits for it, nobody needs it.
            let _ = told.send(machine::this_thread());
            drivers::job::run(
                opener.as_mut(),
                &profile,
                &mut book,
                &SystemMonotonic::new(),
                &theirs,
                Settings::default(),
            );
        });
        let place = place.recv().map_err(|error| error.to_string())??;
        Ok(Self {
            stop,
            thread,
            place,
        })
    }
}

impl Day<'_> {
    /// Pulls the cable so often, and judges.
    fn live(&mut self, pulls: usize) -> Result<(), String> {
        let host = Host::start(&self.book, &self.profile)?;
        self.device.plug(self.time.now())?;
        self.until("the printer is not reached", |day| {
            day.book.read().is_reached()
        })?;
        for number in 0..pulls {
            let pull = Pull::random(number, &mut self.dice);
            self.pull(&host, &pull)?;
            if !pull.hurry || number + 1 == pulls {
                self.settle()?;
            }
        }
        host.stop.set();
        let joined = host.thread.join();
        self.device.cable.pull()?;
        joined.map_err(|_| "the printer's thread has panicked".to_owned())?;
        let pages = self.book.read();
        let tally = &mut *self.tally;
        tally.receipts += pages.receipts.len();
        tally.copies += pages.jobs.iter().filter(|job| job.copy).count();
        let unknown = |job: &&Entry| matches!(job.state, JobState::Unknown(_));
        tally.unknown += pages.jobs.iter().filter(unknown).count();
        tally.held += pages.held;
        tally.sheets += self.device.printer.sheets().len();
        Ok(())
    }

    /// One pull, from the receipt that it hits to the printer that is reached again.
    fn pull(&mut self, host: &Host, pull: &Pull) -> Result<(), String> {
        if pull.hit == Hit::Idle {
            self.settle()?;
        } else if self.book.read().is_settled() {
            self.receipt();
        }
        let (taken, length) = if pull.hit == Hit::Idle {
            (0, 0)
        } else {
            self.until_hit(pull.hit)?
        };
        let hit = self.book.read().under_way().cloned();
        let opened = self.book.read().opened;
        self.device.pull(self.time.now(), pull)?;
        self.away(host, pull)?;
        let plugged = self.time.now();
        self.device.plug(plugged)?;
        self.until("the printer is not reached again", |day| {
            let pages = day.book.read();
            pages.opened > opened && pages.is_reached()
        })?;
        let back = self.time.now().saturating_sub(plugged);
        let outcome = self.outcome(pull, hit.as_ref(), (taken, length), back)?;
        self.tally.outcomes.push(outcome.clone());
        let number = self.tally.outcomes.len();
        tell(self.said, format_args!("{number:>4}  {outcome}"))?;
        if pull.hit == Hit::Idle && matches!(outcome.state, JobState::Unknown(_)) {
            return Err(format!(
                "{} is unknown, and no byte of it can have been sent",
                outcome.head
            ));
        }
        if back > RECOVERY {
            return Err(format!(
                "the printer is reached {} after it was plugged in",
                Seconds(back)
            ));
        }
        Ok(())
    }

    fn receipt(&mut self) {
        let number = self.book.read().receipts.len();
        self.book.add(Receipt::random(number, &mut self.dice));
    }

    /// Where the job stands that was hit: the one that was under way, or the one that came meanwhile.
    fn outcome(
        &self,
        pull: &Pull,
        hit: Option<&Entry>,
        (taken, length): (usize, usize),
        back: Duration,
    ) -> Result<Outcome, String> {
        let pages = self.book.read();
        let job = match hit {
            Some(hit) => pages.jobs.iter().find(|job| job.id == hit.id),
            None => pages.jobs.last(),
        };
        let job = job.ok_or("no job was hit")?;
        let receipt = pages.receipts.get(job.receipt).ok_or("no receipt")?;
        Ok(Outcome {
            pull: *pull,
            head: receipt.head(job.copy),
            taken,
            length,
            state: job.state.clone(),
            back,
        })
    }

    /// Prints until the moment to pull; gives how many bytes the printer has of the job, and how many it has.
    fn until_hit(&mut self, hit: Hit) -> Result<(usize, usize), String> {
        let since = self.time.now();
        let mut stop = None;
        loop {
            let now = self.look(since, "the moment to pull never comes")?;
            self.device.fetch(now)?;
            self.follow()?;
            if let Some(job) = self.device.job {
                let most = u64::try_from(job.length).unwrap_or(u64::MAX);
                let place = *stop.get_or_insert_with(|| self.dice.below(most.saturating_sub(1)));
                let place = usize::try_from(place).unwrap_or(0).saturating_add(1);
                if self.device.work(now, Some(hit), place)? {
                    let job = self.device.job.unwrap_or(job);
                    return Ok((job.taken.min(job.length), job.length));
                }
            } else {
                self.device.work(now, None, 0)?;
            }
            self.rest(now);
        }
    }

    /// Lives on with the cable out, and watches how busy the printer's thread is.
    fn away(&mut self, host: &Host, pull: &Pull) -> Result<(), String> {
        let begin = self.time.now();
        let mut comes = pull.hit == Hit::Idle;
        let mut watched: Option<(Duration, Duration)> = None;
        loop {
            let now = self.time.now();
            let passed = now.saturating_sub(begin);
            self.device.go_on(now, pull);
            if passed >= pull.fades.min(pull.away) {
                self.device.fade(now, pull);
            }
            if comes && passed >= pull.away / 2 {
                comes = false;
                self.receipt();
            }
            if watched.is_none() && passed >= NOTICED {
                watched = Some((now, machine::worked(&host.place)?));
            }
            if passed >= pull.away {
                break;
            }
            let left = pull.away.saturating_sub(passed);
            self.book.wait_for_news(left.min(Duration::from_millis(20)));
        }
        if let Some((since, before)) = watched {
            let now = self.time.now();
            self.tally.watched += now.saturating_sub(since);
            self.tally.worked += machine::worked(&host.place)?.saturating_sub(before);
        }
        Ok(())
    }

    /// Prints until nothing is left to print; then all that is on paper is judged.
    fn settle(&mut self) -> Result<(), String> {
        self.until("the jobs never end", |day| {
            day.book.read().is_settled() && day.device.is_idle()
        })?;
        let mut sheets = self.device.printer.sheets().to_vec();
        sheets.extend(self.device.printer.hanging());
        let pages = self.book.read();
        let mut found = pages.errors.clone();
        for (number, receipt) in pages.receipts.iter().enumerate() {
            let jobs = pages.jobs.iter().filter(|job| job.receipt == number);
            let jobs: Vec<&Entry> = jobs.collect();
            found.extend(judge::breaches(&sheets, receipt, &jobs));
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(found.join("; "))
    }

    fn until(&mut self, or: &str, met: impl Fn(&Self) -> bool) -> Result<(), String> {
        let since = self.time.now();
        while !met(self) {
            let now = self.look(since, or)?;
            self.device.fetch(now)?;
            self.follow()?;
            self.device.work(now, None, 0)?;
            self.rest(now);
        }
        Ok(())
    }

    /// The time, unless it is too late.
    fn look(&self, since: Duration, or: &str) -> Result<Duration, String> {
        let now = self.time.now();
        if now.saturating_sub(since) < PATIENCE {
            return Ok(now);
        }
        let pages = self.book.read();
        let open: Vec<&Entry> = pages.jobs.iter().filter(|job| !job.is_over()).collect();
        Err(format!(
            "{or}; {:?}, {open:?}, {:?}",
            pages.condition, self.device.job
        ))
    }

    fn rest(&self, now: Duration) {
        if let Err(pause) = self.device.wait(now) {
            self.book.wait_for_news(pause);
        }
    }

    /// Tells the printer which job's bytes arrive.
    fn follow(&mut self) -> Result<(), String> {
        let pages = self.book.read();
        let job = match pages.under_way() {
            None => None,
            Some(job) if self.device.job.is_some_and(|known| known.id == job.id) => return Ok(()),
            Some(job) => {
                let receipt = pages.receipts.get(job.receipt).ok_or("no receipt")?;
                let bytes = encode(&receipt.page(job.copy), &self.profile);
                let bytes = bytes.map_err(|error| error.to_string())?;
                let question = ending(self.profile.ack, job.id).map(|question| question.bytes());
                Some((
                    job.id,
                    bytes.len() + question.map_or(0, |bytes| bytes.len()),
                ))
            }
        };
        drop(pages);
        self.device.follow(job);
        Ok(())
    }
}
