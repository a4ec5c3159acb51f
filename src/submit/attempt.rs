//! What an exchange with FDMS about the head of a stream, or about a file, is told as: pure.
//!
//! Every attempt is an event for head office, in the transaction that keeps what came of it (docs/HQ.md). A question
//! whether something is done that only finds out that it is not is none.

use std::time::Duration;

use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome};

use crate::fdms::{Evidence, Outcome};
use crate::ledger::stream::{Item, StreamState, Tried};

/// What was asked of FDMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To take it.
    ToTake,
    /// Whether it has it, and how that ended.
    HowItIs,
}

/// What an attempt was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) kind: AttemptKind,
    /// Its event.
    pub(super) seq: i64,
    pub(super) number: u32,
    /// How often it was tried before, in vain.
    pub(super) before: u32,
}

impl Subject {
    /// The head of a stream.
    pub(super) fn head(item: &Item, state: &StreamState) -> Self {
        let (kind, number) = item.kind.named();
        Self {
            kind,
            seq: item.seq.0,
            number,
            before: state.attempts,
        }
    }

    /// Told as an attempt that ended so.
    pub(super) fn ended(
        self,
        outcome: AttemptOutcome,
        evidence: &Evidence,
        error: Option<String>,
    ) -> Attempt {
        Attempt {
            item: self.kind,
            item_seq: self.seq,
            number: self.number,
            attempt: self.before.saturating_add(1),
            outcome,
            http_status: evidence.status,
            code: None,
            operation_id: evidence.operation_id.clone(),
            color: None,
            error_message: error,
            duration_ms: millis(evidence.round_trip),
            answer: None,
            server_signature: None,
        }
    }
}

/// How the head was brought to FDMS.
pub(super) fn tried(before: &StreamState, evidence: &Evidence) -> Tried {
    Tried {
        before: before.attempts,
        http_status: evidence.status,
        duration_ms: millis(evidence.round_trip),
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// What is told of an attempt after which the stream stands as `next`; none where nothing was tried.
pub(super) fn kept<T>(
    subject: Subject,
    asked: Asked,
    outcome: &Outcome<T>,
    evidence: &Evidence,
    next: &StreamState,
) -> Option<Attempt> {
    let is_yes = matches!(outcome, Outcome::Accepted(_));
    if asked == Asked::HowItIs && is_yes && next.parked.is_none() {
        return None;
    }
    let word = match outcome {
        Outcome::Unknown(_) => AttemptOutcome::Unknown,
        Outcome::Later(_) => AttemptOutcome::Later,
        _ if next.parked.is_some() => AttemptOutcome::Refused,
        // A close that is being checked; a refusal that is tried again.
        _ => AttemptOutcome::Later,
    };
    let error = match outcome {
        Outcome::Accepted(_) if next.parked.is_none() => {
            Some("FDMS has it and is not done with it yet; it is asked how that ends".to_owned())
        }
        Outcome::Refused(refusal) => Some(refusal.to_string()),
        _ => next.last_error.clone(),
    };
    let parked = next.parked.as_ref().map(|parked| parked.code.clone());
    let code = match outcome {
        Outcome::Refused(refusal) => refusal.code.clone().or(parked),
        Outcome::Accepted(_) => parked,
        Outcome::Later(_) | Outcome::Unknown(_) => None,
    };
    Some(Attempt {
        code,
        ..subject.ended(word, evidence, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fdms::{Call, Delay, DelayCause, Doubt, DoubtCause, Next, Refusal, Scope};
    use crate::ledger::stream::{Parked, Step};
    use crate::ledger::{Seq, TillId};

    fn state(parked: bool) -> StreamState {
        StreamState {
            till: TillId(1),
            cursor: Seq(6),
            last_day_no: fiscal::FiscalDayNo::ZERO,
            last_global_no: fiscal::ReceiptGlobalNo::ZERO,
            step: Step::Send,
            attempts: 2,
            next_attempt: clock::Timestamp::UNIX_EPOCH,
            last_error: Some("it did not work".to_owned()),
            parked: parked.then(|| Parked {
                reason: "because".to_owned(),
                code: "CountersMismatch".to_owned(),
                answer: None,
                actions: Vec::new(),
                probing: false,
                since: clock::Timestamp::UNIX_EPOCH,
            }),
            shut: None,
        }
    }

    fn refused() -> Outcome<()> {
        Outcome::Refused(Refusal {
            call: Call::SubmitReceipt,
            status: Some(422),
            code: Some("RCPT01".to_owned()),
            scope: Scope::Message,
            next: Next::Park,
            meaning: "no",
            detail: String::new(),
            fields: Default::default(),
            actions: &[],
        })
    }

    fn later() -> Outcome<()> {
        Outcome::Later(Delay {
            cause: DelayCause::NoConnection,
            retry_after: None,
            detail: "no way".to_owned(),
        })
    }

    fn unknown() -> Outcome<()> {
        Outcome::Unknown(Doubt {
            cause: DoubtCause::TimedOut,
            detail: "no answer".to_owned(),
        })
    }

    /// Each end by its word and code; a question that only finds that it goes on is no attempt.
    #[test]
    fn how_attempts_are_told() {
        use AttemptOutcome as A;
        let subject = Subject {
            kind: AttemptKind::CloseDay,
            seq: 7,
            number: 4,
            before: 2,
        };
        let evidence = Evidence {
            status: Some(422),
            round_trip: Duration::from_millis(1_500),
            ..Evidence::default()
        };
        let table = [
            (
                Asked::ToTake,
                Outcome::Accepted(()),
                false,
                Some((A::Later, None)),
            ),
            (Asked::HowItIs, Outcome::Accepted(()), false, None),
            (
                Asked::HowItIs,
                Outcome::Accepted(()),
                true,
                Some((A::Refused, Some("CountersMismatch"))),
            ),
            (
                Asked::ToTake,
                refused(),
                true,
                Some((A::Refused, Some("RCPT01"))),
            ),
            (
                Asked::ToTake,
                refused(),
                false,
                Some((A::Later, Some("RCPT01"))),
            ),
            (Asked::ToTake, later(), false, Some((A::Later, None))),
            (Asked::HowItIs, later(), true, Some((A::Later, None))),
            (Asked::ToTake, unknown(), false, Some((A::Unknown, None))),
        ];
        for (asked, outcome, parked, expected) in table {
            let told = kept(subject, asked, &outcome, &evidence, &state(parked));
            let found = told
                .as_ref()
                .map(|told| (told.outcome, told.code.as_deref()));
            assert_eq!(found, expected, "{asked:?} {outcome:?} {parked}");
            if let Some(told) = told {
                assert_eq!((told.attempt, told.duration_ms), (3, 1_500));
                assert_eq!((told.item_seq, told.number), (7, 4));
                assert!(told.error_message.is_some());
            }
        }
    }
}
