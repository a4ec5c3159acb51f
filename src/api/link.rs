//! How the way to FDMS is, as it is told in every answer: online, offline since when, catching up n of m.

use clock::Timestamp;
use fiscal::wire::Object;

use super::Shared;
use crate::ledger::TillId;
use crate::submit::{CatchingUp, Connection, LinkState};

/// A till's way to FDMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    word: &'static str,
    since: Option<Timestamp>,
    error: Option<String>,
    catching_up: Option<CatchingUp>,
}

impl From<&LinkState> for Link {
    fn from(state: &LinkState) -> Self {
        let mut link = Self {
            word: "unknown",
            since: None,
            error: None,
            catching_up: state.catching_up,
        };
        match &state.connection {
            Connection::Unknown => {}
            Connection::Online { since } => {
                link.word = if link.catching_up.is_some() {
                    "catchingUp"
                } else {
                    "online"
                };
                link.since = Some(*since);
            }
            Connection::Offline { since, error } => {
                link.word = "offline";
                link.since = Some(*since);
                link.error = Some(error.clone());
            }
        }
        link
    }
}

impl Link {
    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.text("state", self.word);
        o.optional_text(
            "since",
            self.since.map(|at| clock::local(at).to_string()).as_deref(),
        );
        o.optional_text("error", self.error.as_deref());
        if let Some(catching_up) = self.catching_up {
            o.number("sent", catching_up.sent);
            o.number("of", catching_up.of);
        }
    }
}

impl Shared {
    /// How a till's way to FDMS is; unknown as long as nothing is sent to FDMS.
    pub(super) fn link(&self, till: TillId) -> Link {
        let link = self.submitter.look(till, |state| Link::from(state));
        link.unwrap_or_else(|| Link::from(&LinkState::default()))
    }
}
