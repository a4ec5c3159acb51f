//! What comes next in a till's stream, and what an answer of FDMS changes: pure functions over the row.
//!
//! [`todo()`] looks at the head of the stream and says what to do; [`after_send`] and [`after_status`] turn
//! an answer into what is kept. Time and randomness come in from outside, so that every line here is a row
//! of a table in the tests. The rules: docs/FDMS.md sections 1, 4 and 8. Nothing is skipped, nothing is
//! sent before its date, a receipt is sent again byte for byte, and before an OpenDay or CloseDay is
//! repeated GetStatus is asked.

use std::time::Duration;

use clock::Timestamp;
use fiscal::FiscalDayNo;
use jiff::SignedDuration;

use crate::fdms::wire::{ClosingError, Color, DayStatus, Status, ValidationError};
use crate::fdms::{Action, Delay, Doubt, Evidence, Next, Outcome, PROBE_EVERY, Refusal, backoff};
use crate::ledger::stream::{Item, ItemKind, Parked, Step, StreamState, Submission};

/// Longest pause between two questions whether a close is done.
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// A pause can be no longer than this (the longest `Retry-After` that is honoured); a row that says
/// otherwise was written when the clock stood elsewhere.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// So often FDMS may refuse what its own status allows before a person has to look.
const CONTRADICTIONS: u32 = 3;

/// What is known when the next step is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The trusted time.
    pub now: Timestamp,
    /// How far the trusted time may be ahead of FDMS's clock: dates come up to that much later there.
    pub lead: SignedDuration,
    /// The worker has just started: an OpenDay or CloseDay may have been under way when it ended, and what
    /// shut the till out may have been put right since.
    pub fresh: bool,
    /// The head pauses because FDMS could not be reached, and it can again: the pause is over.
    pub is_back: bool,
}

/// What to do next about a till's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Everything has been sent.
    Nothing,
    /// Nothing before this moment.
    Wait(Timestamp),
    /// The head is a note whose original another till has yet to send.
    Hold,
    /// Send the head.
    Send,
    /// Ask GetStatus whether FDMS has the head already.
    Ask,
    /// Ask GetStatus whether the close is done.
    Poll,
    /// The stream is parked, and it is time to ask whether the reason is gone.
    Probe,
    /// Parked until a person has acted.
    Parked,
    /// Head office has switched the environment off: nothing is sent or asked.
    Shut,
}

/// Time and chance at the moment of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// The trusted time.
    pub now: Timestamp,
    /// A random number.
    pub jitter: u64,
}

/// A yes of FDMS, reduced to what decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yes {
    /// A day is open, with this number if it was named.
    Opened(Option<u64>),
    /// A receipt was taken; the worst colour among its validation errors.
    Taken(Option<String>),
    /// A close has begun.
    Closing,
}

/// What is to be kept after an answer.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// FDMS has taken the head.
    Finish(Submission),
    /// The head stays; this is where it stands now.
    Keep(StreamState),
    /// A refusal that only GetStatus explains: ask it, then [`after_status`] with the refusal.
    AskStatus(Box<Refusal>),
}

/// Chooses the next step.
#[must_use]
pub fn todo(state: &StreamState, head: Option<&Item>, facts: &Facts) -> Todo {
    if head.is_some_and(|item| state.is_shut_for(item.seq)) {
        return Todo::Shut;
    }
    let pause_ends = match facts.is_back {
        true => facts.now,
        false => pause_ends(state.next_attempt, facts.now),
    };
    if let Some(parked) = &state.parked {
        return match parked.probing {
            false => Todo::Parked,
            true if pause_ends > facts.now && !facts.fresh => Todo::Wait(pause_ends),
            true => Todo::Probe,
        };
    }
    let Some(item) = head else {
        return Todo::Nothing;
    };
    if pause_ends > facts.now {
        return Todo::Wait(pause_ends);
    }
    match state.step {
        Step::Ask => return Todo::Ask,
        Step::Poll => return Todo::Poll,
        Step::Send => {}
    }
    let due = clock::instant(item.due);
    let due = due.checked_add(facts.lead).unwrap_or(due);
    if due > facts.now {
        return Todo::Wait(due);
    }
    match item.kind {
        ItemKind::Receipt(_) if item.waits_for.is_some() => Todo::Hold,
        ItemKind::Open(_) | ItemKind::Close(_) if facts.fresh => Todo::Ask,
        _ => Todo::Send,
    }
}

fn pause_ends(next_attempt: Timestamp, now: Timestamp) -> Timestamp {
    if next_attempt.duration_since(now) > LONGEST_PAUSE {
        now
    } else {
        next_attempt
    }
}

/// The pause before the next question whether a close is done: 1 s, doubling to 30 s.
#[must_use]
pub fn poll_pause(asked: u32) -> Duration {
    Duration::from_secs(1 << asked.min(5)).min(LONGEST_POLL)
}

/// The worst colour: a Red costs the day, a Grey is a gap, Yellow is harmless. Behind a gap the signature cannot be
/// judged yet: RCPT020 is no Red of its own there (docs/FDMS.md section 11).
#[must_use]
pub fn worst_color(errors: &[ValidationError]) -> Option<String> {
    let is_gap = errors.iter().any(|error| error.color == Color::Grey);
    let rank = |error: &ValidationError| match error.color {
        Color::Red if is_gap && error.code == "RCPT020" => 0,
        Color::Red => 4,
        Color::Grey => 3,
        Color::Other(_) => 2,
        Color::Yellow => 1,
    };
    errors
        .iter()
        .max_by_key(|error| rank(error))
        .map(|error| &error.color)
        .map(|color| color.as_str().to_owned())
}

/// What the answer to a sent head means.
#[must_use]
pub fn after_send(
    state: &StreamState,
    item: &Item,
    outcome: &Outcome<Yes>,
    evidence: &Evidence,
    tick: Tick,
) -> Verdict {
    let is_receipt = matches!(item.kind, ItemKind::Receipt(_));
    match outcome {
        Outcome::Accepted(Yes::Closing) => Verdict::Keep(polling(state, 0, tick)),
        Outcome::Accepted(Yes::Taken(color)) => {
            Verdict::Finish(submission(evidence, color.clone()))
        }
        Outcome::Accepted(Yes::Opened(number)) => {
            let other = number.filter(|number| ItemKind::Open(day(*number)) != item.kind);
            let Some(other) = other else {
                return Verdict::Finish(submission(evidence, None));
            };
            let reason = format!(
                "FDMS opened day {other} instead of the {}; is this ledger a copy, or is the till used elsewhere too?",
                item.kind
            );
            Verdict::Keep(park(
                state,
                reason,
                "fiscalDayNo".to_owned(),
                evidence,
                false,
                tick,
            ))
        }
        Outcome::Refused(refusal) if refusal.next == Next::AskStatus => {
            Verdict::AskStatus(Box::new(refusal.clone()))
        }
        Outcome::Refused(refusal) => Verdict::Keep(park_refused(state, refusal, evidence, tick)),
        Outcome::Later(delay) => {
            let again = is_receipt || !delay.was_sent();
            let step = if again { Step::Send } else { Step::Ask };
            Verdict::Keep(later(state, step, delay, tick))
        }
        Outcome::Unknown(doubt) => {
            let step = if is_receipt { Step::Send } else { Step::Ask };
            Verdict::Keep(doubtful(state, step, doubt, tick))
        }
    }
}

/// Why GetStatus was asked.
#[derive(Debug, Clone, Copy)]
pub enum Why<'a> {
    /// The row says so: ask, poll or probe.
    Step,
    /// The head was refused just now, with this evidence.
    Refused(&'a Refusal, &'a Evidence),
}

/// What GetStatus says about the head.
#[must_use]
pub fn after_status(
    state: &StreamState,
    item: &Item,
    why: Why<'_>,
    outcome: &Outcome<Status>,
    evidence: &Evidence,
    tick: Tick,
) -> Verdict {
    let status = match outcome {
        Outcome::Accepted(status) => status,
        _ if state.parked.is_some() => {
            return Verdict::Keep(still_parked(state, outcome, evidence, tick));
        }
        Outcome::Refused(refusal) => {
            return Verdict::Keep(park_refused(state, refusal, evidence, tick));
        }
        // The step stays: a refused message is sent again and refused again, and then asked about.
        Outcome::Later(delay) => return Verdict::Keep(later(state, state.step, delay, tick)),
        Outcome::Unknown(doubt) => return Verdict::Keep(doubtful(state, state.step, doubt, tick)),
    };
    let mut state = state.clone();
    if state.parked.take().is_some() {
        state.step = Step::Ask;
        state.attempts = 0;
    }
    match standing(item, state.last_day_no, status) {
        Standing::Done => Verdict::Finish(submission(evidence, None)),
        Standing::Closing if matches!(item.kind, ItemKind::Close(_)) => {
            let asked = if state.step == Step::Poll {
                state.attempts + 1
            } else {
                0
            };
            Verdict::Keep(polling(&state, asked, tick))
        }
        Standing::Closing => Verdict::Keep(StreamState {
            last_error: Some("FDMS is still closing a day".to_owned()),
            ..pausing(&state, Step::Ask, poll_pause(state.attempts), tick)
        }),
        Standing::ToSend => Verdict::Keep(to_send(&state, why, evidence, tick)),
        Standing::Failed(error) => {
            Verdict::Keep(failed_close(&state, item, why, error, evidence, tick))
        }
        Standing::Conflict(reason) => {
            let (code, proof) = match why {
                Why::Refused(refusal, proof) => (code_of(refusal), proof),
                Why::Step => (status.day.as_str().to_owned(), evidence),
            };
            Verdict::Keep(park(&state, reason, code, proof, false, tick))
        }
    }
}

/// Where FDMS's status puts the head.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// FDMS has it.
    Done,
    /// FDMS is checking a close.
    Closing,
    /// FDMS has it not, and would take it.
    ToSend,
    /// The close was checked and failed.
    Failed(Option<ClosingError>),
    /// FDMS stands somewhere else than this ledger.
    Conflict(String),
}

/// Compares FDMS's day with the head's. `taken` is the last day whose opening FDMS has taken from us.
fn standing(item: &Item, taken: FiscalDayNo, status: &Status) -> Standing {
    use DayStatus as D;
    let last = day(status.last_fiscal_day_no.unwrap_or(0));
    let elsewhere = || {
        Standing::Conflict(format!(
            "for the {} FDMS stands at day {last} ({}); is this ledger a copy, or is the till used elsewhere too? \
             Compare `lastFiscalDayNo` with the days of this till before letting the queue go on",
            item.kind,
            status.day.as_str()
        ))
    };
    match item.kind {
        ItemKind::Open(no) if no == last => Standing::Done,
        ItemKind::Open(no) if no == last.next() => match &status.day {
            D::Closed => Standing::ToSend,
            D::CloseInitiated => Standing::Closing,
            _ => Standing::Conflict(format!(
                "day {last} is not closed at FDMS ({}), so day {no} cannot be opened; close day {last} in the \
                 authority's portal, then let the queue go on (`retry`)",
                status.day.as_str()
            )),
        },
        ItemKind::Close(no) if no == last => match &status.day {
            D::Closed => Standing::Done,
            D::CloseInitiated => Standing::Closing,
            D::Opened => Standing::ToSend,
            D::CloseFailed => Standing::Failed(status.closing_error.clone()),
            D::Other(_) => elsewhere(),
        },
        ItemKind::Receipt(_) if taken == last => match &status.day {
            D::Opened | D::CloseFailed => Standing::ToSend,
            D::CloseInitiated => Standing::Closing,
            D::Closed => Standing::Conflict(format!(
                "day {last} is closed at FDMS, by hand it seems, before all of its receipts were there; the \
                 {} and what follows stay queued, selling goes on. Speak to the authority about day {last}, \
                 then let the queue go on (`retry`)",
                item.kind
            )),
            D::Other(_) => elsewhere(),
        },
        _ => elsewhere(),
    }
}

/// A day's number as FDMS wrote it; one beyond our range equals none of ours.
fn day(number: u64) -> FiscalDayNo {
    u32::try_from(number)
        .ok()
        .and_then(FiscalDayNo::new)
        .or(FiscalDayNo::new(i32::MAX.unsigned_abs()))
        .unwrap_or(FiscalDayNo::ZERO)
}

/// FDMS would take the head. If it has just refused it all the same, that is tried a few times more.
fn to_send(state: &StreamState, why: Why<'_>, evidence: &Evidence, tick: Tick) -> StreamState {
    match why {
        Why::Refused(refusal, proof) if state.attempts >= CONTRADICTIONS => {
            let status = evidence.body.as_deref().unwrap_or_default();
            let reason = format!("{}; yet GetStatus says: {status}", explained(refusal));
            park(state, reason, code_of(refusal), proof, false, tick)
        }
        Why::Refused(refusal, _) => retry(state, Step::Send, None, refusal.to_string(), tick),
        Why::Step if state.step == Step::Poll => {
            let error = "FDMS took the close and then forgot it".to_owned();
            retry(state, Step::Send, None, error, tick)
        }
        Why::Step => StreamState {
            step: Step::Send,
            next_attempt: tick.now,
            ..state.clone()
        },
    }
}

/// The day is CloseFailed: the end of a close that was under way, or the ground for another try.
fn failed_close(
    state: &StreamState,
    item: &Item,
    why: Why<'_>,
    error: Option<ClosingError>,
    evidence: &Evidence,
    tick: Tick,
) -> StreamState {
    if state.step == Step::Ask && matches!(why, Why::Step) {
        return to_send(state, why, evidence, tick);
    }
    let code = error.as_ref().map_or("CloseFailed", ClosingError::as_str);
    let what = match &error {
        Some(ClosingError::BadCertificateSignature) => {
            "FDMS does not accept the signature over the day; run `fiscald verify` and speak to the maker"
        }
        Some(ClosingError::MissingReceipts) => {
            "FDMS misses receipts of the day; run `fiscald verify` and compare with the receipts in the portal"
        }
        Some(ClosingError::ReceiptsWithValidationErrors) => {
            "the day has a receipt that FDMS marked Red, so it can only be closed by hand: close it in the \
             authority's portal, then let the queue go on (`retry`)"
        }
        Some(ClosingError::CountersMismatch) => {
            "FDMS adds the day up to other counters; run `fiscald verify` and compare the Z report with the portal"
        }
        Some(ClosingError::InternalError) => {
            "FDMS itself was out of order; it is tried again by itself"
        }
        _ => {
            "for a reason that this version does not know; look the day up in the authority's portal"
        }
    };
    let probing = error == Some(ClosingError::InternalError);
    let reason = format!("the {} failed ({code}): {what}", item.kind);
    park(state, reason, code.to_owned(), evidence, probing, tick)
}

fn submission(evidence: &Evidence, color: Option<String>) -> Submission {
    Submission {
        operation_id: evidence.operation_id.clone(),
        color,
        answer: evidence.body.clone().unwrap_or_default(),
        ..Submission::default()
    }
}

fn polling(state: &StreamState, asked: u32, tick: Tick) -> StreamState {
    StreamState {
        attempts: asked,
        last_error: None,
        ..pausing(state, Step::Poll, poll_pause(asked), tick)
    }
}

/// The head again after a pause, as one attempt more.
fn pausing(state: &StreamState, step: Step, pause: Duration, tick: Tick) -> StreamState {
    StreamState {
        step,
        attempts: state.attempts.saturating_add(1),
        next_attempt: after(tick.now, pause),
        ..state.clone()
    }
}

fn later(state: &StreamState, step: Step, delay: &Delay, tick: Tick) -> StreamState {
    retry(state, step, delay.retry_after, delay.to_string(), tick)
}

fn doubtful(state: &StreamState, step: Step, doubt: &Doubt, tick: Tick) -> StreamState {
    retry(state, step, None, doubt.to_string(), tick)
}

pub(super) fn retry(
    state: &StreamState,
    step: Step,
    wish: Option<Duration>,
    error: String,
    tick: Tick,
) -> StreamState {
    let pause = backoff(state.attempts.saturating_add(1), tick.jitter, wish);
    StreamState {
        last_error: Some(error),
        ..pausing(state, step, pause, tick)
    }
}

pub(super) fn park_refused(
    state: &StreamState,
    refusal: &Refusal,
    evidence: &Evidence,
    tick: Tick,
) -> StreamState {
    let probing = refusal.next == Next::Probe;
    park(
        state,
        explained(refusal),
        code_of(refusal),
        evidence,
        probing,
        tick,
    )
}

pub(super) fn park(
    state: &StreamState,
    reason: String,
    code: String,
    evidence: &Evidence,
    probing: bool,
    tick: Tick,
) -> StreamState {
    StreamState {
        step: Step::Ask,
        next_attempt: next_probe(tick),
        last_error: Some(reason.clone()),
        parked: Some(Parked {
            reason,
            code,
            answer: evidence.body.clone(),
            actions: vec!["retry".to_owned()],
            probing,
            since: tick.now,
        }),
        ..state.clone()
    }
}

/// A probe that did not get through, or found the till shut out as before.
fn still_parked(
    state: &StreamState,
    outcome: &Outcome<Status>,
    evidence: &Evidence,
    tick: Tick,
) -> StreamState {
    if let (Outcome::Refused(refusal), Some(parked)) = (outcome, &state.parked)
        && code_of(refusal) != parked.code
    {
        return park_refused(state, refusal, evidence, tick);
    }
    StreamState {
        next_attempt: next_probe(tick),
        last_error: Some(outcome.to_string()),
        ..state.clone()
    }
}

/// A quarter of an hour and up to a minute, so that a shop's tills do not all probe together.
fn next_probe(tick: Tick) -> Timestamp {
    after(
        tick.now,
        PROBE_EVERY + Duration::from_millis(tick.jitter % 60_000),
    )
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(now)
}

/// FDMS's code, else the HTTP status, else the TLS handshake.
fn code_of(refusal: &Refusal) -> String {
    match (&refusal.code, refusal.status) {
        (Some(code), _) => code.clone(),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => "TLS".to_owned(),
    }
}

/// A refusal with what to do about it.
fn explained(refusal: &Refusal) -> String {
    let advice: Vec<&str> = refusal
        .actions
        .iter()
        .map(|action| advice(*action))
        .collect();
    if advice.is_empty() {
        return refusal.to_string();
    }
    format!("{refusal}. What to do: {}", advice.join("; or "))
}

/// An action as a sentence.
#[must_use]
pub fn advice(action: Action) -> &'static str {
    match action {
        Action::SendAgain => "remove the cause and let the queue go on (`retry`)",
        Action::CompareStatus => "compare FDMS's status with this till's days",
        Action::FixConfiguration => "correct the environment, device ID, model name or version",
        Action::RenewCertificate => "have a new certificate issued while the old one is valid",
        Action::EnterActivationKey => {
            "type the activation key again, or ask the authority for a new one"
        }
        Action::ContactAuthority => "speak to the tax authority",
        Action::CloseByHand => "close the day by hand in the authority's portal",
        Action::ReportDefect => "report this to the maker",
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
