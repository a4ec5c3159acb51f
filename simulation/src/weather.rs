//! What a line does to messages, drawn anew for each of them.

use std::time::Duration;

use fiscal::testing::Random;
use serde::{Deserialize, Serialize};

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Weather {
    /// Everything arrives within a second.
    #[default]
    Fair,
    /// Nothing arrives.
    Away,
    /// Requests and answers get lost, arrive twice, or long after the sender has given up.
    Lossy,
    /// Whoever answers is out of order: 5xx, 429, with or without having processed the request.
    Erring,
    /// Answers are cut short or no JSON.
    Garbled,
    /// Everything takes seconds to minutes.
    Slow,
    /// All of it.
    Storm,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// No connection comes about.
    NotReached,
    /// The request does not arrive; the connection breaks.
    RequestLost,
    /// The request is processed, and the connection breaks.
    AnswerLost,
    /// The sender gives up; the request arrives so much later.
    Late(Duration),
    /// The request arrives twice; the second answer is heard.
    Twice,
    /// An answer of this status, processed or not.
    Status(u16, bool),
    /// The request is processed; the answer is no JSON.
    Garbage,
    /// The request is processed; the answer is cut short.
    CutShort,
}

impl Weather {
    /// Draws what becomes of the next message.
    pub(crate) fn draw(self, random: &mut Random) -> Fate {
        let dice = random.below(100);
        match self {
            Self::Fair | Self::Slow => Fate::Answered,
            Self::Away => Fate::NotReached,
            Self::Lossy => lossy(dice, random),
            Self::Erring => erring(dice, random),
            Self::Garbled => match dice {
                0..20 => Fate::Garbage,
                20..40 => Fate::CutShort,
                _ => Fate::Answered,
            },
            Self::Storm => match random.below(5) {
                0 => lossy(dice, random),
                1 => erring(dice, random),
                2 => Self::Garbled.draw(random),
                _ => Fate::Answered,
            },
        }
    }

    /// Half of the way there and back.
    pub(crate) fn way(self, random: &mut Random) -> Duration {
        let longest = match self {
            Self::Slow => 60_000,
            Self::Storm if random.chance(10) => 60_000,
            _ => 400,
        };
        Duration::from_millis(10 + random.below(longest))
    }
}

fn lossy(dice: u64, random: &mut Random) -> Fate {
    match dice {
        0..10 => Fate::NotReached,
        10..25 => Fate::RequestLost,
        25..40 => Fate::AnswerLost,
        40..50 => Fate::Late(Duration::from_secs(random.below(900))),
        50..60 => Fate::Twice,
        _ => Fate::Answered,
    }
}

fn erring(dice: u64, random: &mut Random) -> Fate {
    let statuses = [500, 502, 503, 504, 429];
    let status = *random.pick(&statuses).unwrap_or(&500);
    match dice {
        0..30 => Fate::Status(status, false),
        30..45 => Fate::Status(status, true),
        _ => Fate::Answered,
    }
}
