//! States and reasons of print jobs as words, in the ledger and in answers.

use drivers::job::{HeldReason, JobState, Level, UnknownReason};

/// A state as a word and what belongs to it.
pub(super) struct Word {
    pub(super) state: &'static str,
    pub(super) detail: Option<String>,
}

impl Word {
    pub(super) fn of(state: &JobState) -> Self {
        let (state, detail) = match state {
            JobState::Queued => ("queued", None),
            JobState::Held(why) => ("held", Some(held(*why).to_owned())),
            JobState::Sending => ("sending", None),
            JobState::AwaitAck => ("await_ack", None),
            JobState::Done(level) => ("done", Some(level_word(*level).to_owned())),
            JobState::Unknown(why) => ("unknown", Some(unknown(*why).to_owned())),
            JobState::Failed(why) => ("failed", Some(why.clone())),
        };
        Self { state, detail }
    }
}

/// The word of a grade.
const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Sent => "sent",
        Level::SentHealthy => "sent_healthy",
        Level::Processed => "processed",
        Level::Printed => "printed",
    }
}

/// The word of what keeps a printer from printing.
#[must_use]
pub const fn held(why: HeldReason) -> &'static str {
    match why {
        HeldReason::PaperOut => "paper_out",
        HeldReason::CoverOpen => "cover_open",
        HeldReason::Cutter => "cutter",
        HeldReason::Hot => "hot",
        HeldReason::Offline => "offline",
        HeldReason::Fault => "fault",
        HeldReason::Unreachable => "unreachable",
    }
}

const fn unknown(why: UnknownReason) -> &'static str {
    match why {
        UnknownReason::LinkLost => "link_lost",
        UnknownReason::PowerCycled => "power_cycled",
        UnknownReason::Timeout => "timeout",
        UnknownReason::Restarted => "restarted",
    }
}
