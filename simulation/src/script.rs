//! What is to happen in a run: a list of steps, drawn from the seed before anything happens.
//!
//! So a step can be left out and the others stay what they were: each has a number, and what is random within it (a
//! sale's lines, the fate of a message) is drawn from the seed and that number.

use std::fmt;

use fiscal::testing::Random;
use serde::{Deserialize, Serialize};

use crate::disk::Unsynced;
use crate::weather::Weather;

/// How many tills a store has.
pub const TILLS: usize = 3;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "its `Display` says what each of them is")]
pub enum Step {
    Sell {
        till: usize,
        sales: u64,
        pause: u64,
    },
    SellTogether {
        sales: u64,
    },
    AskAgain {
        till: usize,
    },
    Conflict {
        till: usize,
    },
    WrongSale {
        till: usize,
    },
    Wait {
        seconds: u64,
    },
    OpenDay {
        till: usize,
    },
    CloseDay {
        till: usize,
    },
    Line(Weather),
    OfficeLine(Weather),
    SetWall {
        seconds: i64,
    },
    Drift {
        ppm: i64,
    },
    RightWall,
    Full(bool),
    SyncFails {
        is_killed: bool,
    },
    PowerCut {
        syncs: u64,
        is_synced: bool,
        fate: Unsynced,
        reboots: bool,
        off_seconds: u64,
    },
    Kill {
        off_seconds: u64,
    },
    Restart,
    Pause {
        till: usize,
    },
    SendAgain {
        till: usize,
    },
    Block {
        till: usize,
        is_blocked: bool,
    },
    LoseReceipt {
        till: usize,
    },
    Idle,
    FoldLog {
        is_whole: bool,
    },
    BadPage,
    OfficeCopies,
    OfficeGoesBack,
}

/// A run's steps, each with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// What all of it is drawn from.
    pub seed: u64,
    /// What happens.
    pub steps: Vec<(u64, Step)>,
}

impl Script {
    /// Draws the steps of a run with about so many sales.
    #[must_use]
    pub fn draw(seed: u64, sales: u64) -> Self {
        let mut random = Random::new(seed ^ 0x51A1_0A7E);
        let mut steps = Vec::new();
        let mut sold = 0;
        let mut no = 0;
        while sold < sales {
            let step = draw(&mut random, sales - sold);
            if let Step::Sell { sales, .. } | Step::SellTogether { sales } = step {
                sold += sales;
            }
            no += 1;
            steps.push((no, step));
        }
        Self { seed, steps }
    }

    /// What is random within a step is drawn from this.
    #[must_use]
    pub fn seed_of(&self, no: u64) -> u64 {
        Random::new(self.seed.rotate_left(17) ^ no.wrapping_mul(0x9E37_79B9)).bits()
    }

    /// How many sales there are in it.
    #[must_use]
    pub fn sales(&self) -> u64 {
        let sales = self.steps.iter().map(|(_, step)| match step {
            Step::Sell { sales, .. } | Step::SellTogether { sales } => *sales,
            _ => 0,
        });
        sales.sum()
    }
}

fn till(random: &mut Random) -> usize {
    usize::try_from(random.below(TILLS as u64)).unwrap_or(0)
}

fn draw(random: &mut Random, left: u64) -> Step {
    match random.below(1000) {
        0..420 => Step::Sell {
            till: till(random),
            sales: (1 + random.below(8)).min(left),
            pause: random.below(15),
        },
        420..500 => Step::SellTogether {
            sales: (2 + random.below(24)).min(left),
        },
        500..530 => Step::AskAgain { till: till(random) },
        530..540 => Step::Conflict { till: till(random) },
        540..550 => Step::WrongSale { till: till(random) },
        550..680 => Step::Wait {
            seconds: seconds(random),
        },
        680..687 => Step::OpenDay { till: till(random) },
        687..707 => Step::CloseDay { till: till(random) },
        707..767 => Step::Line(weather(random)),
        767..807 => Step::OfficeLine(weather(random)),
        807..815 => Step::SetWall {
            seconds: random.between(-7200, 7200),
        },
        815..820 => Step::Drift {
            ppm: random.between(-200, 200),
        },
        820..824 => Step::RightWall,
        824..836 => Step::Full(random.chance(50)),
        836..840 => Step::SyncFails {
            is_killed: random.chance(50),
        },
        840..880 => power_cut(random),
        880..890 => Step::Kill {
            off_seconds: random.below(30),
        },
        890..898 => Step::Restart,
        898..903 => Step::Pause { till: till(random) },
        903..923 => Step::SendAgain { till: till(random) },
        923..935 => Step::Block {
            till: till(random),
            is_blocked: random.chance(40),
        },
        935..941 => Step::LoseReceipt { till: till(random) },
        941..961 => Step::Idle,
        961..975 => Step::FoldLog {
            is_whole: random.chance(30),
        },
        975..978 => Step::BadPage,
        978..989 => Step::OfficeCopies,
        _ => Step::OfficeGoesBack,
    }
}

/// Mostly seconds, now and then hours.
fn seconds(random: &mut Random) -> u64 {
    match random.below(100) {
        0..60 => 1 + random.below(60),
        60..92 => 60 + random.below(1200),
        92..98 => 3600 + random.below(2 * 3600),
        _ => 6 * 3600 + random.below(20 * 3600),
    }
}

fn weather(random: &mut Random) -> Weather {
    let all = [
        Weather::Fair,
        Weather::Fair,
        Weather::Fair,
        Weather::Away,
        Weather::Lossy,
        Weather::Erring,
        Weather::Garbled,
        Weather::Slow,
        Weather::Storm,
    ];
    *random.pick(&all).unwrap_or(&Weather::Fair)
}

fn power_cut(random: &mut Random) -> Step {
    use Unsynced::{Kept, Lost, Torn};
    Step::PowerCut {
        syncs: random.below(12),
        is_synced: random.chance(35),
        fate: *random.pick(&[Lost, Kept, Torn]).unwrap_or(&Lost),
        reboots: random.chance(70),
        off_seconds: match random.below(10) {
            0 => 600 + random.below(7200),
            _ => random.below(180),
        },
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Sell { till, sales, pause } => {
                write!(f, "till {till} makes {sales} sales, one every {pause} s")
            }
            Self::SellTogether { sales } => {
                write!(f, "{sales} sales are made at once on all tills")
            }
            Self::AskAgain { till } => write!(f, "the POS of till {till} asks for a sale again"),
            Self::Conflict { till } => write!(f, "till {till} makes another sale under a used key"),
            Self::WrongSale { till } => write!(f, "till {till} makes a sale that breaks the rules"),
            Self::Wait { seconds } => write!(f, "{seconds} s pass"),
            Self::OpenDay { till } => write!(f, "a person opens the day of till {till}"),
            Self::CloseDay { till } => write!(f, "a person closes the day of till {till}"),
            Self::Line(weather) => write!(f, "the line to FDMS is {weather:?}"),
            Self::OfficeLine(weather) => write!(f, "the line to head office is {weather:?}"),
            Self::SetWall { seconds } => write!(f, "the wall clock is set by {seconds} s"),
            Self::Drift { ppm } => write!(f, "the wall clock drifts by {ppm} ppm"),
            Self::RightWall => write!(f, "the wall clock is set right"),
            Self::Full(true) => write!(f, "the disk is full"),
            Self::Full(false) => write!(f, "the disk has room"),
            Self::SyncFails { is_killed } => {
                let what = if is_killed { "killed" } else { "stopped" };
                write!(
                    f,
                    "the next sync fails; then the gateway is {what} and started"
                )
            }
            Self::PowerCut {
                syncs,
                is_synced,
                fate,
                reboots,
                off_seconds,
            } => {
                let what = if reboots {
                    "the power goes"
                } else {
                    "the process is killed"
                };
                let when = if is_synced { "after" } else { "in" };
                write!(
                    f,
                    "{what} {when} the sync that comes after {syncs} others, unsynced writes are {fate:?}, for {off_seconds} s"
                )
            }
            Self::Kill { off_seconds } => {
                write!(f, "the process is killed now, for {off_seconds} s")
            }
            Self::Restart => write!(f, "the gateway is restarted in order"),
            Self::Pause { till } => write!(f, "a person pauses the queue of till {till}"),
            Self::SendAgain { till } => write!(f, "a person lets the queue of till {till} go on"),
            Self::Block { till, is_blocked } => {
                let what = if is_blocked { "blocks" } else { "unblocks" };
                write!(f, "the authority {what} till {till}")
            }
            Self::LoseReceipt { till } => write!(f, "FDMS loses a receipt of till {till}"),
            Self::Idle => write!(f, "the writer has nothing to do for a while"),
            Self::FoldLog { is_whole: true } => write!(f, "the log is folded in and cut"),
            Self::FoldLog { is_whole: false } => write!(f, "the log is folded in"),
            Self::BadPage => write!(f, "a page of a copy of the ledger goes bad"),
            Self::OfficeCopies => write!(f, "head office copies its books"),
            Self::OfficeGoesBack => write!(f, "head office puts its books back from the copy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed draws the same; another one, something else; and every kind of step is drawn.
    #[test]
    fn draws_everything() {
        assert_eq!(Script::draw(7, 500), Script::draw(7, 500));
        assert_ne!(Script::draw(7, 500), Script::draw(8, 500));
        assert_eq!(Script::draw(7, 500).sales(), 500);
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..20 {
            for (_, step) in Script::draw(seed, 1000).steps {
                let text = format!("{step:?}");
                kinds.insert(text.split([' ', '(']).next().unwrap_or("").to_owned());
            }
        }
        assert_eq!(kinds.len(), 27, "{kinds:?}");
    }
}
