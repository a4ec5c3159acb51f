//! A day of a supermarket, drawn from a seed: when which till sells what, and what becomes of the line to FDMS.

use std::time::Duration;

use clock::Timestamp;
use fdms_sandbox::{Fault, FaultKind};
use fiscal::testing::Random;

/// The hour of the day, local time, at which the shop opens and a run begins.
pub(super) const OPENS_AT: u64 = 6;
/// Minutes after midnight at which the days are closed.
const CLOSES_AT: u64 = 23 * 60 + 30;
/// The same as a configuration writes it.
pub(super) const CLOSING: &str = "23:30";

/// How busy each hour of the day is, from midnight on, in parts: opening, the rush at lunch and the one after work,
/// and a night in which hardly anybody comes.
const PROFILE: [u64; 24] = [
    2, 1, 1, 1, 1, 2, 10, 25, 40, 45, 50, 60, 90, 85, 55, 50, 65, 100, 110, 80, 50, 30, 15, 5,
];

pub(super) const HOUR: u64 = 3600;
pub(super) const DAY: u64 = 24 * HOUR;
/// Arrivals are Poisson's: in each slot of a quarter of a second there is one with a small chance.
const SLOT_MS: u64 = 250;
const SLOTS: u64 = HOUR * 1000 / SLOT_MS;

/// What a run is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) seed: u64,
    /// Simulated hours.
    pub(super) hours: u64,
    /// Real seconds that a simulated day takes, if the machine keeps up.
    pub(super) day_s: u64,
    pub(super) tills: usize,
    /// Customers a simulated day, of all tills.
    pub(super) sales: u64,
    /// Rounds of the tills at the end of each hour, by which the latency is judged.
    pub(super) rounds: u64,
}

/// What happens at a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Invoice,
    /// On an invoice of the same till that has something left; an invoice where there is none.
    Credit,
    Debit,
    /// Something that was answered is sent once more.
    Repeat,
    /// The same basket each time, to compare hours by.
    Probe,
    /// The day is closed by hand.
    Close,
}

/// Something that happens at a till, so many milliseconds after the run's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at_ms: u64,
    pub(super) place: usize,
    pub(super) kind: Kind,
}

/// The hour of the day of a run's hour.
pub(super) fn hour_of_day(hour: u64) -> u64 {
    (OPENS_AT + hour) % 24
}

/// Whether a till's days are closed by the keeper; the others' are by hand.
pub(super) fn is_kept(place: usize) -> bool {
    place.is_multiple_of(2)
}

/// All arrivals, in their order.
pub(super) fn arrivals(wanted: &Wanted) -> Vec<Arrival> {
    let mut random = Random::new(wanted.seed);
    let tills = wanted.tills as u64;
    let parts: u64 = PROFILE.iter().sum::<u64>() * tills * SLOTS;
    let mut all = Vec::new();
    for hour in 0..wanted.hours {
        let busy = PROFILE[usize::try_from(hour_of_day(hour)).unwrap()] * wanted.sales;
        for slot in 0..SLOTS {
            for place in 0..wanted.tills {
                if random.below(parts) < busy {
                    let at_ms = hour * HOUR * 1000 + slot * SLOT_MS;
                    let kind = kind(&mut random);
                    all.push(Arrival { at_ms, place, kind });
                }
            }
        }
    }
    let closes = (0..=wanted.hours / 24).map(|day| (CLOSES_AT - OPENS_AT * 60) * 60 + day * DAY);
    for at in closes.filter(|at| *at < wanted.hours * HOUR) {
        let by_hand = (0..wanted.tills).filter(|place| !is_kept(*place));
        all.extend(by_hand.map(|place| Arrival {
            at_ms: at * 1000,
            place,
            kind: Kind::Close,
        }));
    }
    all.sort_by_key(|arrival| arrival.at_ms);
    all
}

/// Three of a hundred are credit notes, one is a debit note, two are sales that are sent again.
fn kind(random: &mut Random) -> Kind {
    match random.below(100) {
        0..3 => Kind::Credit,
        3 => Kind::Debit,
        4..6 => Kind::Repeat,
        _ => Kind::Invoice,
    }
}

/// A time of up to an eighth of the run, from `least` to `most` seconds if that is long enough.
fn spell(random: &mut Random, seconds: u64, least: u64, most: u64) -> (u64, u64) {
    let length = (least + random.below(most - least)).min(seconds / 8);
    let from = random.below(seconds - length);
    (from, from + length)
}

/// What becomes of the line from `start` on, beside requests and answers that are lost at any time: outages of minutes,
/// one of hours a day, and hours in which FDMS is slow or answers 503 to every third request.
pub(super) fn spells(wanted: &Wanted, start: Timestamp) -> Vec<Fault> {
    let mut random = Random::new(wanted.seed ^ 0x11_1e);
    let seconds = wanted.hours * HOUR;
    let moment = |at: u64| start + Duration::from_secs(at);
    let mut faults = Vec::new();
    for _ in 0..wanted.hours.div_ceil(24) {
        for (least, most) in [(120, 1800), (120, 1800), (600, 3600), (HOUR, 3 * HOUR)] {
            let (from, till) = spell(&mut random, seconds, least, most);
            faults.push(Fault::outage(moment(from), moment(till)));
        }
        let late = Duration::from_secs(2 + random.below(20));
        let tired = FaultKind::Status {
            status: 503,
            retry_after: None,
            processed: false,
        };
        for (per_mille, kind) in [(500, FaultKind::DelayAnswer(late)), (330, tired)] {
            let (from, till) = spell(&mut random, seconds, 1800, 2 * HOUR);
            faults.push(Fault {
                from: Some(moment(from)),
                till: Some(moment(till)),
                seed: Some(random.bits()),
                ..Fault::chance(per_mille, kind)
            });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(seed: u64) -> Wanted {
        Wanted {
            seed,
            hours: 24,
            day_s: 1,
            tills: 5,
            sales: 5_000,
            rounds: 1,
        }
    }

    /// As many as are wanted, most of them at lunch and after work, 3 % credit notes; the same seed draws the same.
    #[test]
    fn a_day_has_its_rushes() {
        for seed in 0..3 {
            let all = arrivals(&day(seed));
            assert_eq!(all, arrivals(&day(seed)));
            let count = |is: &dyn Fn(&Arrival) -> bool| all.iter().filter(|a| is(a)).count();
            let hour = |of: u64| count(&|a| hour_of_day(a.at_ms / 1000 / HOUR) == of);
            assert!((4_600..5_400).contains(&all.len()), "{}", all.len());
            assert!(hour(12) > hour(10) && hour(18) > hour(15), "{seed}");
            assert!(hour(3) * 20 < hour(18), "{seed}");
            let credits = count(&|a| a.kind == Kind::Credit);
            assert!((100..200).contains(&credits), "{credits}");
            // Two of five tills are closed by hand, once.
            assert_eq!(count(&|a| a.kind == Kind::Close), 2);
        }
        assert_ne!(arrivals(&day(1)), arrivals(&day(2)));
    }

    /// The gaps between customers are those of a Poisson process: their mean is their deviation.
    #[test]
    fn customers_come_at_random() {
        let wanted = Wanted {
            hours: 1,
            tills: 1,
            // One in four seconds in the hour after opening, by the profile.
            sales: 90 * PROFILE.iter().sum::<u64>(),
            ..day(7)
        };
        let all = arrivals(&wanted);
        let gaps: Vec<u64> = all
            .windows(2)
            .map(|two| two[1].at_ms - two[0].at_ms)
            .collect();
        let count = gaps.len() as u64;
        let mean = gaps.iter().sum::<u64>() / count;
        let variance = gaps
            .iter()
            .map(|gap| gap.abs_diff(mean).pow(2))
            .sum::<u64>()
            / count;
        let deviation = variance.isqrt();
        assert!((3_500..4_600).contains(&mean), "{mean}");
        assert!(
            deviation.abs_diff(mean) * 10 < mean * 2,
            "{mean} {deviation}"
        );
    }
}
