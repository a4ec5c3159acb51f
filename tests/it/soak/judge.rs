//! Whether what was measured each hour stays flat; pure, so that planted leaks can be shown to it.
//!
//! The first sixth of the hours warms up: caches fill, connections are opened. After it a figure's *growth* is the larger
//! of two: its slope over the hours, as the median of the slopes between all pairs of hours (Theil and Sen), times the
//! length; and the median of the last quarter less that of the first. The one sees what creeps and is not misled by a
//! single hour; the other sees what leapt late and stayed. Both are 0 for what stays flat.

use serde::Serialize;

/// What was measured at the end of a simulated hour.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Hour {
    /// The local time at which it began.
    pub(super) at: String,
    /// Receipts that were issued in it.
    pub(super) receipts: u64,
    pub(super) rss_kib: u64,
    pub(super) pss_kib: u64,
    /// Open handles: files, sockets, and what is neither.
    pub(super) files: u64,
    pub(super) sockets: u64,
    pub(super) others: u64,
    pub(super) threads: u64,
    pub(super) wal_kib: u64,
    pub(super) ledger_kib: u64,
    /// From a sale's sending to its answer, in microseconds, at whatever load there was.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
    /// The same of the same basket, sold by one till after the other while nothing else happens.
    pub(super) probe_p50_us: u64,
    pub(super) probe_p99_us: u64,
    pub(super) probe_max_us: u64,
    /// Processor time of the whole gateway, for each receipt; its timers run fast too.
    pub(super) cpu_us_per_receipt: u64,
    /// What waits for FDMS, and for how many simulated seconds the oldest of it could have been sent.
    pub(super) queue: u64,
    pub(super) queue_age_s: u64,
}

/// What a figure may do.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// Grow so much over the run.
    Growth(u64),
    /// Grow by so many percent of the first quarter's median, and something that is too little to count.
    Percent(u64, u64),
    /// Be so large in any hour.
    Most(u64),
}

struct Rule {
    figure: &'static str,
    of: fn(&Hour) -> u64,
    bound: Bound,
}

const RULES: &[Rule] = &[
    // Some 300 bytes for each receipt of a day; less is noise of allocator and page caches.
    Rule {
        figure: "rss_kib",
        of: |hour| hour.rss_kib,
        bound: Bound::Growth(8 * 1024),
    },
    // A reader of the ledger is three files.
    Rule {
        figure: "files",
        of: |hour| hour.files,
        bound: Bound::Growth(6),
    },
    Rule {
        figure: "sockets",
        of: |hour| hour.sockets,
        bound: Bound::Growth(6),
    },
    Rule {
        figure: "others",
        of: |hour| hour.others,
        bound: Bound::Growth(3),
    },
    // The pool for blocking work breathes.
    Rule {
        figure: "threads",
        of: |hour| hour.threads,
        bound: Bound::Growth(6),
    },
    // The log is copied from 16 MB on.
    Rule {
        figure: "wal_kib",
        of: |hour| hour.wal_kib,
        bound: Bound::Most(48 * 1024),
    },
    Rule {
        figure: "probe_p50_us",
        of: |hour| hour.probe_p50_us,
        bound: Bound::Percent(50, 100),
    },
    // Of the few slowest a disk decides.
    Rule {
        figure: "probe_p99_us",
        of: |hour| hour.probe_p99_us,
        bound: Bound::Percent(100, 2_000),
    },
];

/// What a rule says of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) figure: &'static str,
    /// Medians of the first and the last quarter after the warm-up.
    pub(super) first: u64,
    pub(super) last: u64,
    /// How much it grew, or the largest of all where that is bounded.
    pub(super) is: i64,
    pub(super) at_most: i64,
    pub(super) is_held: bool,
}

/// Hours that a run must have, or nothing can be said.
pub(super) const SHORTEST: usize = 18;

/// Judges a run by every rule.
pub(super) fn judge(hours: &[Hour]) -> Vec<Verdict> {
    assert!(hours.len() >= SHORTEST, "too short to judge");
    let warm = &hours[hours.len() / 6..];
    RULES
        .iter()
        .map(|rule| {
            let values: Vec<i64> = warm.iter().map(|hour| signed((rule.of)(hour))).collect();
            let quarter = values.len() / 4;
            let first = median(&values[..quarter]);
            let last = median(&values[values.len() - quarter..]);
            let growth = slope(&values).max(last - first);
            let largest = hours.iter().map(|hour| signed((rule.of)(hour))).max();
            let (is, at_most) = match rule.bound {
                Bound::Growth(most) => (growth, signed(most)),
                Bound::Percent(percent, slack) => {
                    (growth, first * signed(percent) / 100 + signed(slack))
                }
                Bound::Most(most) => (largest.unwrap(), signed(most)),
            };
            Verdict {
                figure: rule.figure,
                first: first.unsigned_abs(),
                last: last.unsigned_abs(),
                is,
                at_most,
                is_held: is <= at_most,
            }
        })
        .collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        i64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// Theil and Sen's slope, times the length: what the figure grew by.
fn slope(values: &[i64]) -> i64 {
    let places = 0..values.len();
    let pairs = places.flat_map(|from| (from + 1..values.len()).map(move |to| (from, to)));
    // In thousandths.
    let slopes: Vec<i64> = pairs
        .map(|(from, to)| (values[to] - values[from]) * 1000 / i64::try_from(to - from).unwrap())
        .collect();
    median(&slopes) * i64::try_from(values.len() - 1).unwrap() / 1000
}

#[cfg(test)]
mod tests {
    use fiscal::testing::Random;

    use super::*;

    const SEEDS: u64 = 300;

    /// A run that is flat, with the noise that a machine has: single hours stand out, the latency wanders.
    fn flat(random: &mut Random, hours: usize) -> Vec<Hour> {
        let mut run: Vec<Hour> = (0..hours)
            .map(|_| Hour {
                rss_kib: 40_000 + random.below(3_000),
                files: 20 + random.below(4),
                sockets: 45 + random.below(4),
                others: 12,
                threads: 18 + random.below(4),
                wal_kib: random.below(20_000),
                probe_p50_us: 1_000 + random.below(250),
                probe_p99_us: 3_000 + random.below(2_500),
                // Caches fill.
                ..Hour::default()
            })
            .collect();
        for hour in run.iter_mut().take(hours / 6) {
            hour.rss_kib -= 15_000;
            hour.files -= 8;
        }
        for _ in 0..2 {
            let place = usize::try_from(random.below(hours as u64)).unwrap();
            run[place].rss_kib += 30_000;
            run[place].probe_p50_us *= 4;
            run[place].sockets += 20;
        }
        run
    }

    fn missed(run: &[Hour]) -> Vec<&'static str> {
        let verdicts = judge(run).into_iter();
        let missed = verdicts.filter(|verdict| !verdict.is_held);
        missed.map(|verdict| verdict.figure).collect()
    }

    #[test]
    fn what_is_flat_is_accepted() {
        for seed in 0..SEEDS {
            let mut random = Random::new(seed);
            for hours in [24, 48] {
                assert_eq!(missed(&flat(&mut random, hours)), [""; 0], "seed {seed}");
            }
        }
    }

    /// One who plants a defect in an hour, told how many hours there are.
    type Plant = fn(&mut Hour, u64, u64);

    /// Each leak is found, by the figure that it is in and by no other.
    #[test]
    fn what_grows_is_refused() {
        let planted: [(&str, Plant); 8] = [
            // A kilobyte of each of 1000 receipts an hour stays.
            ("rss_kib", |hour, no, _| hour.rss_kib += no * 1_000),
            // It leaps in the last quarter and stays.
            ("rss_kib", |hour, no, of| {
                hour.rss_kib += if no * 4 >= of * 3 { 20_000 } else { 0 };
            }),
            ("files", |hour, no, _| hour.files += no),
            ("sockets", |hour, no, _| hour.sockets += no),
            ("others", |hour, no, _| hour.others += no / 2),
            ("threads", |hour, no, _| hour.threads += no),
            ("probe_p50_us", |hour, no, _| {
                hour.probe_p50_us += hour.probe_p50_us * no / 12;
            }),
            ("probe_p99_us", |hour, no, _| {
                hour.probe_p99_us += hour.probe_p99_us * no;
            }),
        ];
        for seed in 0..SEEDS {
            for (figure, plant) in planted {
                let mut random = Random::new(seed);
                let mut run = flat(&mut random, 24);
                for (hour, no) in run.iter_mut().zip(0..) {
                    plant(hour, no, 24);
                }
                assert_eq!(missed(&run), [figure], "seed {seed}");
            }
        }
        let mut run = flat(&mut Random::new(1), 24);
        // A log that is never begun anew, and is at the end when it is measured.
        run[23].wal_kib = 60_000;
        assert_eq!(missed(&run), ["wal_kib"]);
    }

    /// A bound is where it is said to be: 8 MiB over the hours that count.
    #[test]
    fn the_bound_decides() {
        let rising = |kib_an_hour: u64| {
            let run: Vec<Hour> = (0..24)
                .map(|no| Hour {
                    rss_kib: 40_000 + no * kib_an_hour,
                    ..Hour::default()
                })
                .collect();
            missed(&run)
        };
        // 20 hours count, from the first to the last of them are 19.
        assert_eq!(rising(8192 / 19), [""; 0]);
        assert_eq!(rising(8192 / 19 + 1), ["rss_kib"]);
    }

    /// What shrinks is no leak.
    #[test]
    fn what_shrinks_is_accepted() {
        let mut run = flat(&mut Random::new(3), 24);
        for (hour, no) in run.iter_mut().zip(0..) {
            hour.rss_kib -= no * 500;
        }
        assert_eq!(missed(&run), [""; 0]);
    }
}
