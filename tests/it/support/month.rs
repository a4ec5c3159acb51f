//! A month in the life of a store, drawn from a seed: three tills sell from eight to eighteen, one by one and
//! in bursts; every call to FDMS may be lost, unanswered or answered 5xx; FDMS is away for minutes, hours, once
//! for days; daemon and machine start anew, also in the middle of a send; at twenty the days are closed, by hand
//! on two tills and by the keeper on the third.
//!
//! Nothing is sent after the last day that was not sold, and at the end nothing may be wrong ([`Month::wrong`]).

use std::time::Duration;

use clock::{Clock as _, Timestamp};
use fdms_sandbox::{Call, Fault, FaultCount, FaultKind};
use fiscal::DeviceId;
use fiscal::testing::Random;
use fiscald::days::keep;
use fiscald::keys::KeyKind;
use fiscald::ledger::verify::verify;
use fiscald::ledger::{DayClosing, Environment, Settings, TillSettings};
use fiscald::submit::Doing;
use indicatif::ProgressBar;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::store::{House, Plan};
use super::suites;

/// How many tills there are; the last one's days are closed by the keeper.
const TILLS: usize = 3;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// A house begins at seven; selling an hour later, for ten hours.
const OPENS: u64 = HOUR;
const SELLING: u64 = 10 * HOUR;
/// From the house's beginning until twenty o'clock.
const CLOSES: u64 = 13 * HOUR;

/// What a month is drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) seed: u64,
    pub(crate) receipts: u64,
    pub(crate) days: u64,
}

/// Something that happens in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    /// So many sales at once on a till; all types, or invoices if there are several.
    Sales { place: usize, count: u64 },
    /// A sale, and the daemon starts anew while FDMS has not answered yet.
    RestartInSend { place: usize, seconds: u64 },
    /// The daemon starts anew, whatever it is doing.
    Restart { seconds: u64 },
    /// The machine starts anew.
    Reboot { seconds: u64 },
    /// It is twenty o'clock.
    Close,
}

/// What is to happen, and when, in seconds from the house's beginning.
struct Script {
    happenings: Vec<(u64, Happening)>,
    outages: Vec<(u64, u64)>,
}

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct Month {
    pub(crate) receipts: u64,
    pub(crate) days: usize,
    pub(crate) outages: usize,
    /// Of the daemon, and how many of them in the middle of a send.
    pub(crate) restarts: u64,
    pub(crate) in_send: u64,
    pub(crate) reboots: u64,
    /// Messages that were sent again.
    pub(crate) retries: u64,
    pub(crate) faults: Vec<FaultCount>,
    /// All that is not as it must be, in sentences.
    pub(crate) wrong: Vec<String>,
}

impl Month {
    /// How many requests were hit by what `is` it.
    pub(crate) fn hit(&self, is: impl Fn(&FaultKind) -> bool) -> u64 {
        let faults = self.faults.iter().filter(|count| is(&count.fault));
        faults.map(|count| count.count).sum()
    }
}

impl Script {
    fn draw(wanted: &Wanted) -> Self {
        let mut random = Random::new(wanted.seed);
        let mut happenings = Vec::new();
        for day in 0..wanted.days {
            let sold = wanted.receipts * day / wanted.days;
            let left = wanted.receipts * (day + 1) / wanted.days - sold;
            draw_sales(&mut random, day * DAY, left, &mut happenings);
            happenings.push((day * DAY + CLOSES, Happening::Close));
            draw_restarts(&mut random, day * DAY, &mut happenings);
        }
        happenings.sort_by_key(|(at, _)| *at);
        let outages = draw_outages(&mut random, wanted.days);
        Self {
            happenings,
            outages,
        }
    }
}

/// A moment at which the store sells.
fn selling_time(random: &mut Random, day: u64) -> u64 {
    day + OPENS + random.below(SELLING)
}

fn place(random: &mut Random) -> usize {
    usize::try_from(random.below(TILLS as u64)).unwrap()
}

fn draw_sales(random: &mut Random, day: u64, receipts: u64, into: &mut Vec<(u64, Happening)>) {
    let mut left = receipts;
    while left > 0 {
        let at = selling_time(random, day);
        let place = place(random);
        // About three a day.
        let in_send = random.below(receipts) < 3;
        let count = if random.chance(2) {
            2 + random.below(20)
        } else {
            1
        };
        let count = count.min(left);
        left -= count;
        let happening = if in_send && count == 1 {
            let seconds = 2 + random.below(90);
            Happening::RestartInSend { place, seconds }
        } else {
            Happening::Sales { place, count }
        };
        into.push((at, happening));
    }
}

fn draw_restarts(random: &mut Random, day: u64, into: &mut Vec<(u64, Happening)>) {
    if random.chance(60) {
        // Also at night, and while days are being closed.
        let seconds = random.below(120);
        into.push((day + random.below(DAY), Happening::Restart { seconds }));
    }
    if random.chance(25) {
        let seconds = 30 + random.below(1200);
        into.push((selling_time(random, day), Happening::Reboot { seconds }));
    }
}

/// One of minutes on most days, one of hours now and then, and one of up to a tenth of the time: in a month up to
/// three days.
fn draw_outages(random: &mut Random, days: u64) -> Vec<(u64, u64)> {
    let mut outages = Vec::new();
    for day in 0..days {
        if random.chance(70) {
            let from = selling_time(random, day * DAY);
            outages.push((from, from + 120 + random.below(HOUR)));
        }
        if random.chance(15) {
            let from = day * DAY + random.below(DAY);
            outages.push((from, from + 2 * HOUR + random.below(6 * HOUR)));
        }
    }
    let longest = days * DAY / 10;
    let length = longest / 3 + random.below(longest * 2 / 3);
    let from = random.below(days * DAY - length);
    outages.push((from, from + length));
    outages
}

/// Five requests of a hundred are lost, five answers, and two are answered 5xx, on every call.
pub(crate) fn line_faults(seed: u64) -> Vec<Fault> {
    let status = |status, retry_after, processed| FaultKind::Status {
        status,
        retry_after,
        processed,
    };
    let kinds = [
        (50, FaultKind::LoseRequest),
        (50, FaultKind::LoseAnswer),
        (7, status(500, None, false)),
        (7, status(502, None, true)),
        (6, status(503, Some(3), false)),
    ];
    let faults = kinds.into_iter().zip(1..);
    faults
        .map(|((per_mille, kind), no)| Fault {
            seed: Some(seed.wrapping_mul(31).wrapping_add(no)),
            ..Fault::chance(per_mille, kind)
        })
        .collect()
}

/// A plan of the store; whoever plants defects changes it.
pub(crate) fn plan(seed: u64) -> Plan {
    let mut settings = Settings::default();
    let closing = DayClosing::try_from("20:00".to_owned()).unwrap();
    let kept = TillSettings {
        closing: Some(closing),
        ..TillSettings::default()
    };
    let last = DeviceId::new(100 + u32::try_from(TILLS).unwrap()).unwrap();
    settings.tills.insert((Environment::Test, last), kept);
    Plan {
        tills: vec![KeyKind::EcP256; TILLS],
        settings,
        seed,
        ..Plan::default()
    }
}

/// A store that lives through it.
struct Life<'a> {
    house: House,
    start: Timestamp,
    keeper: Option<DropGuard>,
    random: Random,
    bar: &'a ProgressBar,
    month: Month,
}

/// Lets a store of `plan` live through the month that is drawn; the house as it is then, and what has happened.
pub(crate) async fn lived(wanted: &Wanted, plan: Plan, bar: &ProgressBar) -> (House, Month) {
    let script = Script::draw(wanted);
    let house = House::build(plan).await;
    let start = house.clock.wall();
    let moment = |seconds| start + Duration::from_secs(seconds);
    let outages = script.outages.iter();
    let outages = outages.map(|(from, till)| Fault::outage(moment(*from), moment(*till)));
    house.sandbox.add_faults(outages);
    house.sandbox.add_faults(line_faults(wanted.seed));
    let mut life = Life {
        keeper: Some(keeper(&house)),
        house,
        start,
        random: Random::new(wanted.seed ^ 0x5eed),
        bar,
        month: Month {
            outages: script.outages.len(),
            ..Month::default()
        },
    };
    for (at, happening) in script.happenings {
        life.pass_to(at).await;
        life.happen(happening).await;
    }
    life.end(wanted).await
}

fn keeper(house: &House) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(keep(house.ledger().clone(), stop.clone()));
    stop.drop_guard()
}

fn is_open(house: &House, place: usize) -> bool {
    house.day(place).is_some_and(|day| day.close.is_none())
}

impl Life<'_> {
    /// Lets time pass until so many seconds from the beginning; not at all if it is later.
    async fn pass_to(&self, at: u64) {
        let at = self.start + Duration::from_secs(at);
        let left = Duration::try_from(at.duration_since(self.house.clock.wall()));
        if let Ok(left) = left {
            self.house.pass(left).await;
        }
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Sales { place, count: 1 } => {
                self.house.sell(place).await;
                self.sold(1);
            }
            Happening::Sales { place, count } => {
                let many = usize::try_from(count).unwrap();
                self.house.burst(place, many).await;
                self.sold(count);
            }
            Happening::RestartInSend { place, seconds } => {
                self.send_slowly(place).await;
                self.restart(seconds).await;
            }
            Happening::Restart { seconds } => self.restart(seconds).await,
            Happening::Reboot { seconds } => {
                self.stop().await;
                self.house.advance(Duration::from_secs(seconds));
                self.house.clock.reboot();
                self.start();
                self.month.reboots += 1;
            }
            Happening::Close => self.close().await,
        }
    }

    fn sold(&mut self, count: u64) {
        self.month.receipts += count;
        self.bar.inc(count);
    }

    /// Sells something whose sending FDMS answers late, and waits until it is on its way, if it can be.
    async fn send_slowly(&mut self, place: usize) {
        let device = self.house.till(place).number();
        let time = Duration::from_secs(1 + self.random.below(60));
        let slow = if self.random.chance(50) {
            FaultKind::Delay(time)
        } else {
            FaultKind::DelayAnswer(time)
        };
        self.house.sandbox.add_fault(Fault {
            device: Some(device),
            // Or it would hit another one, for which nobody lets time pass.
            till: Some(self.house.fdms_clock.wall() + Duration::from_secs(3)),
            ..Fault::next(Call::SubmitReceipt, slow)
        });
        let sent = |house: &House| house.sandbox.request_count(device, Call::SubmitReceipt);
        let before = sent(&self.house);
        self.house.sell(place).await;
        self.sold(1);
        // Its date has come at FDMS for certain then, however quiet it was.
        self.house.advance(Duration::from_secs(2));
        let is_under_way = |house: &House| {
            let doing = house.link(place).doing;
            let waits = matches!(doing, Doing::Waiting { .. } | Doing::Parked { .. });
            sent(house) > before || waits
        };
        self.house.until("the sending", is_under_way).await;
    }

    async fn stop(&mut self) {
        self.keeper = None;
        let busy = |place| self.house.link(place).doing == Doing::Busy;
        self.month.in_send += u64::from((0..TILLS).any(busy));
        self.house.stop().await;
    }

    fn start(&mut self) {
        self.house.start();
        self.keeper = Some(keeper(&self.house));
    }

    /// The daemon is away for so long.
    async fn restart(&mut self, seconds: u64) {
        self.stop().await;
        self.month.restarts += 1;
        self.house.advance(Duration::from_secs(seconds.max(2)));
        self.start();
    }

    /// The days end: by hand, but for the last till's.
    async fn close(&mut self) {
        let kept = TILLS - 1;
        for place in 0..kept {
            if is_open(&self.house, place) {
                self.house.close_day(place).await;
            }
        }
        // The keeper looks every half a minute, and so will have after a whole one.
        self.house.pass(Duration::from_secs(60)).await;
        let is_closed = |house: &House| !is_open(house, kept);
        self.house.until("the keeper's close", is_closed).await;
        let day = self
            .house
            .clock
            .wall()
            .duration_since(self.start)
            .as_hours()
            / 24
            + 1;
        let told = format!("day {day}: {} receipts", self.month.receipts);
        if self.bar.is_hidden() {
            println!("{told}");
        } else {
            self.bar.set_message(told);
        }
    }

    /// Everything is sent and compared.
    async fn end(mut self, wanted: &Wanted) -> (House, Month) {
        self.bar.set_message("comparing");
        let house = self.house;
        let mut month = self.month;
        month.wrong = suites::ended(&house).await;
        let sandbox = &house.sandbox;
        let days = |place: usize| sandbox.days(house.till(place).number()).len();
        month.days = (0..TILLS).map(days).sum();
        month.faults = sandbox.fault_counts();
        let sent = sandbox.requests().into_iter();
        let sent =
            sent.filter(|r| matches!(r.call, Call::OpenDay | Call::SubmitReceipt | Call::CloseDay));
        let sent: u64 = sent.map(|requests| requests.count).sum();
        let needed = month.receipts + 2 * u64::try_from(month.days).unwrap();
        month.retries = sent.saturating_sub(needed);
        month.wrong.extend(sandbox.schema_violations());
        self.keeper = None;
        let path = house.path();
        let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {})).await;
        match verified.unwrap() {
            Ok(verified) if verified.receipts == wanted.receipts => {}
            Ok(verified) => month.wrong.push(format!(
                "{} receipts are in the ledger, {} were sold",
                verified.receipts, wanted.receipts
            )),
            Err(error) => month
                .wrong
                .push(format!("the ledger is not sound: {error}")),
        }
        (house, month)
    }
}
