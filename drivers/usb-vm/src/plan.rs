//! When the cable is pulled, for how long, and what the printer then forgets: drawn from a seed.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Chance from a seed: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True so many times out of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// Where in a job the cable is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    /// While nothing is printed; the receipt comes while the cable is out.
    Idle,
    /// The first bytes are on the cable, and the printer has taken none.
    First,
    /// The printer has taken some of the bytes.
    Middle,
    /// The printer has just taken the last byte, and has not answered.
    Last,
    /// The sheet is out, and the answer has not been sent.
    Printed,
    /// The answer has just been sent.
    Answered,
}

impl Hit {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Idle,
        Self::First,
        Self::Middle,
        Self::Last,
        Self::Printed,
        Self::Answered,
    ];
    /// One after the other, the middle of a job most often.
    const TURNS: [Self; 8] = [
        Self::Middle,
        Self::Last,
        Self::Idle,
        Self::Middle,
        Self::First,
        Self::Printed,
        Self::Middle,
        Self::Answered,
    ];
}

impl Display for Hit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "no job",
            Self::First => "before first byte",
            Self::Middle => "mid-job",
            Self::Last => "after last byte",
            Self::Printed => "sheet out, no ack",
            Self::Answered => "ack on the cable",
        })
    }
}

/// One pull of the cable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull {
    /// Where.
    pub(crate) hit: Hit,
    /// The printer loses its power with it: what it has not printed, and its modes.
    pub(crate) power_lost: bool,
    /// How long after the pull, as a rule with some lines on paper.
    pub(crate) fades: Duration,
    /// The printer keeps its answers until it is plugged in again.
    pub(crate) late: bool,
    /// How long the cable is out.
    pub(crate) away: Duration,
    /// The next pull does not wait until all is printed: it hits the copy that follows.
    pub(crate) hurry: bool,
}

impl Pull {
    /// The pull of that number.
    pub(crate) fn random(number: usize, dice: &mut Dice) -> Self {
        let turn = number % Hit::TURNS.len();
        let hit = Hit::TURNS.get(turn).copied().unwrap_or(Hit::Middle);
        let power_lost = dice.chance(50);
        Self {
            hit,
            power_lost,
            fades: dice.millis(0, 1000),
            late: !power_lost && dice.chance(50),
            away: match dice.below(4) {
                0 => dice.millis(30, 300),
                1 | 2 => dice.millis(300, 3000),
                _ => dice.millis(5000, 9500),
            },
            hurry: dice.chance(25),
        }
    }
}
