//! What came of the pulls: one line for each, and a table at the end.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use drivers::job::{JobState, Level};

use crate::plan::{Hit, Pull};

/// What came of one pull.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) pull: Pull,
    /// The job that was hit: its head, the bytes that the printer had of it, and all of its bytes.
    pub(crate) head: String,
    pub(crate) taken: usize,
    pub(crate) length: usize,
    /// Where the job stood once the printer was reached again.
    pub(crate) state: JobState,
    /// How long that took from the plugging in.
    pub(crate) back: Duration,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pull = &self.pull;
        let place = match pull.hit {
            Hit::Idle => String::new(),
            _ => format!("{}/{}", self.taken, self.length),
        };
        let keeps = match (pull.power_lost, pull.late) {
            (true, _) => "power lost",
            (false, true) => "kept, late answers",
            (false, false) => "kept",
        };
        write!(
            f,
            "{:<14} {:<17} {place:>11}  {keeps:<18} out {:>5}  {:<11} back in {}",
            self.head,
            pull.hit,
            Seconds(pull.away),
            word(&self.state),
            Seconds(self.back)
        )
    }
}

/// A job's state in a word.
fn word(state: &JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Held(_) => "held",
        JobState::Sending => "sending",
        JobState::AwaitAck => "awaits ack",
        JobState::Done(Level::Printed) => "printed",
        JobState::Done(Level::Processed) => "processed",
        JobState::Done(_) => "sent",
        JobState::Unknown(_) => "unknown",
        JobState::Failed(_) => "failed",
    }
}

/// A time as people read it.
pub(crate) struct Seconds(pub(crate) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02} s", self.0.as_secs(), self.0.subsec_millis() / 10);
        f.pad(&text)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) receipts: usize,
    pub(crate) copies: usize,
    pub(crate) unknown: usize,
    pub(crate) held: u32,
    pub(crate) sheets: usize,
    /// The time for which the printer's thread was watched with the cable out, and what it worked in it.
    pub(crate) watched: Duration,
    pub(crate) worked: Duration,
}

impl Tally {
    /// How busy the printer's thread was with the cable out, in hundredths of a percent.
    pub(crate) fn busy(&self) -> u128 {
        let worked = self.worked.as_nanos().saturating_mul(10_000);
        worked.checked_div(self.watched.as_nanos()).unwrap_or(0)
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>7} {:>11} {:>8} {:>6} {:>8} {:>13}",
            "pulled", "unplugs", "power lost", "unknown", "held", "printed", "slowest back"
        )?;
        for hit in Hit::ALL {
            let of: Vec<&Outcome> = self.outcomes.iter().filter(|o| o.pull.hit == hit).collect();
            row(f, &hit.to_string(), &of)?;
        }
        row(f, "all", &self.outcomes.iter().collect::<Vec<_>>())?;
        let busy = self.busy();
        write!(
            f,
            "receipts {}, jobs unknown {}, copies {}, times held {}, sheets {}; \
             busy with the cable out: {}.{:02} % of {}",
            self.receipts,
            self.unknown,
            self.copies,
            self.held,
            self.sheets,
            busy / 100,
            busy % 100,
            Seconds(self.watched)
        )
    }
}

fn row(f: &mut Formatter<'_>, name: &str, outcomes: &[&Outcome]) -> fmt::Result {
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|one| wanted(one)).count();
    let slowest = outcomes.iter().map(|outcome| outcome.back).max();
    writeln!(
        f,
        "{name:<18} {:>7} {:>11} {:>8} {:>6} {:>8} {:>13}",
        outcomes.len(),
        count(|one| one.pull.power_lost),
        count(|one| matches!(one.state, JobState::Unknown(_))),
        count(|one| matches!(one.state, JobState::Held(_) | JobState::Queued)),
        count(|one| matches!(one.state, JobState::Done(_))),
        Seconds(slowest.unwrap_or_default())
    )
}
