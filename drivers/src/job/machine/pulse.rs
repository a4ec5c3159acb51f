//! A drawer's pulse past papers that stand still: a printer without paper, or with its cover open, obeys it in real
//! time, before all that waits in its buffer.
//!
//! It is a job of its own beside the one that is being worked at: kept as `Sending` before its bytes are written, and
//! `Done` once the link has taken them. Nothing answers it.

use super::{Machine, Stage};
use crate::job::{HeldReason, JobId, JobState, Level, UnknownReason};

/// The pulse that is under way.
#[derive(Debug)]
pub(super) struct Passing {
    id: JobId,
    bytes: Vec<u8>,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// `Sending` is being kept. No byte has been sent.
    Start,
    /// Its bytes are being written.
    Send,
    /// Its last state is being kept.
    End,
}

impl Machine {
    /// Whether a drawer's pulse is to be sent past the papers: they stand still, and the printer hears.
    #[must_use]
    pub fn may_pulse(&self) -> bool {
        let stands = match self.stage() {
            None => self.held.is_some(),
            Some(Stage::Await(_)) => true,
            Some(_) => false,
        };
        let hears = matches!(
            self.facts.fault(),
            Some(HeldReason::PaperOut | HeldReason::CoverOpen | HeldReason::Offline)
        );
        self.pulse.is_none()
            && self.open
            && self.two_way()
            && self.condition.answers == Some(true)
            && stands
            && hears
            && self.keeps.is_empty()
    }

    /// A pulse is to pass.
    pub(super) fn take_pulse(&mut self, id: JobId, bytes: Vec<u8>) {
        self.keeps.push_back((id, JobState::Sending));
        let at = At::Start;
        self.pulse = Some(Passing { id, bytes, at });
    }

    /// A state has been kept; whether it was the pulse's.
    pub(super) fn kept_pulse(&mut self, id: JobId) -> bool {
        let Some(pulse) = self.pulse.as_mut().filter(|pulse| pulse.id == id) else {
            return false;
        };
        match pulse.at {
            At::Start => {
                pulse.at = At::Send;
                self.control.extend(std::mem::take(&mut pulse.bytes));
            }
            At::Send => {}
            At::End => self.pulse = None,
        }
        true
    }

    /// All questions and pulses have been written.
    pub(super) fn wrote_pulse(&mut self) {
        if let Some(pulse) = self.pulse.as_mut().filter(|pulse| pulse.at == At::Send) {
            pulse.at = At::End;
            let done = (pulse.id, JobState::Done(Level::Sent));
            self.keeps.push_back(done);
        }
    }

    /// The link is gone: what that means for the pulse.
    pub(super) fn lost_pulse(&mut self) {
        let Some(pulse) = &mut self.pulse else { return };
        let state = match pulse.at {
            At::Start => JobState::Held(HeldReason::Unreachable),
            At::Send => JobState::Unknown(UnknownReason::LinkLost),
            At::End => return,
        };
        pulse.at = At::End;
        let id = pulse.id;
        self.keeps.retain(|(kept, _)| *kept != id);
        self.keeps.push_back((id, state));
    }
}
