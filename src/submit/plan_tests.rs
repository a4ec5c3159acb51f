//! The plan as tables: each row a situation and what must come of it.

use fiscal::ReceiptGlobalNo;
use proptest::prelude::*;

use super::*;
use crate::fdms::classify::{Seen, classify};
use crate::fdms::wire::{CloseStarted, DayOpened, ReceiptAccepted, Reply as _};
use crate::fdms::{Call, DelayCause, DoubtCause};
use crate::ledger::{Seq, TillId};

#[path = "plan_status_tests.rs"]
mod status_tables;

const NOW: &str = "2026-05-28T05:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn seconds(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn tick() -> Tick {
    Tick {
        now: now(),
        jitter: 0,
    }
}

fn no(number: u32) -> FiscalDayNo {
    FiscalDayNo::new(number).unwrap()
}

fn open(number: u32) -> Item {
    item(ItemKind::Open(no(number)))
}

fn close(number: u32) -> Item {
    item(ItemKind::Close(no(number)))
}

fn receipt(number: u32) -> Item {
    item(ItemKind::Receipt(ReceiptGlobalNo::new(number).unwrap()))
}

fn item(kind: ItemKind) -> Item {
    Item {
        seq: Seq(7),
        kind,
        due: clock::local(now()),
        body: "{}".to_owned(),
        waits_for: None,
    }
}

/// A stream on day 4 with nothing wrong.
fn state(step: Step) -> StreamState {
    StreamState {
        till: TillId(1),
        cursor: Seq(6),
        last_day_no: no(4),
        last_global_no: ReceiptGlobalNo::new(90).unwrap(),
        step,
        attempts: 0,
        next_attempt: Timestamp::UNIX_EPOCH,
        last_error: None,
        parked: None,
        shut: None,
    }
}

fn parked(probing: bool) -> StreamState {
    StreamState {
        parked: Some(Parked {
            reason: "because".to_owned(),
            code: "HTTP 401".to_owned(),
            answer: None,
            actions: vec!["retry".to_owned()],
            probing,
            since: now(),
        }),
        ..state(Step::Ask)
    }
}

fn facts() -> Facts {
    Facts {
        now: now(),
        lead: SignedDuration::ZERO,
        fresh: false,
        is_back: false,
    }
}

fn answered(status: u16, body: &str) -> Seen {
    Seen::Answered {
        status,
        retry_after: None,
        body: body.to_owned(),
    }
}

fn refused(status: u16, code: &str) -> Seen {
    answered(
        status,
        &format!(r#"{{"title":"no","status":{status},"errorCode":"{code}"}}"#),
    )
}

fn lost() -> Seen {
    Seen::ConnectionLost("reset".to_owned())
}

fn evidence(seen: &Seen) -> Evidence {
    let mut evidence = Evidence {
        operation_id: Some("op".to_owned()),
        ..Evidence::default()
    };
    if let Seen::Answered { status, body, .. } = seen {
        evidence.status = Some(*status);
        evidence.body = Some(body.clone());
    }
    evidence
}

/// Sends an item into an answer, classified as the client does it.
fn sent(state: &StreamState, item: &Item, seen: &Seen) -> Verdict {
    let outcome = match item.kind {
        ItemKind::Open(_) => classify::<DayOpened>(Call::OpenDay, seen)
            .map(|opened| Yes::Opened(opened.fiscal_day_no)),
        ItemKind::Receipt(_) => classify::<ReceiptAccepted>(Call::SubmitReceipt, seen)
            .map(|taken| Yes::Taken(worst_color(&taken.validation_errors))),
        ItemKind::Close(_) => classify::<CloseStarted>(Call::CloseDay, seen).map(|_| Yes::Closing),
    };
    after_send(state, item, &outcome, &evidence(seen), tick())
}

fn status(day: &str, last: Option<u32>, error: &str) -> Seen {
    let mut body =
        serde_json::json!({"fiscalDayStatus": format!("FiscalDay{day}"), "operationID": "op"});
    if let Some(last) = last {
        body["lastFiscalDayNo"] = last.into();
    }
    if !error.is_empty() {
        body["fiscalDayClosingErrorCode"] = error.into();
    }
    answered(200, &body.to_string())
}

fn asked(state: &StreamState, item: &Item, why: Why<'_>, seen: &Seen) -> Verdict {
    let outcome = classify(Call::GetStatus, seen);
    after_status(state, item, why, &outcome, &evidence(seen), tick())
}

/// A verdict in a word: `finish`, `finish Red`, `status`, `park CODE`, `probe CODE`, or the step, the
/// attempts and the pause in seconds: `send 1 0.25`.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Finish(submission) => match &submission.color {
            Some(color) => format!("finish {color}"),
            None => "finish".to_owned(),
        },
        Verdict::AskStatus(_) => "status".to_owned(),
        Verdict::Keep(state) => match &state.parked {
            Some(parked) => {
                let how = if parked.probing { "probe" } else { "park" };
                format!("{how} {}", parked.code)
            }
            None => {
                let step = match state.step {
                    Step::Send => "send",
                    Step::Ask => "ask",
                    Step::Poll => "poll",
                };
                let pause = state.next_attempt.duration_since(now()).as_millis();
                format!("{step} {} {pause}ms", state.attempts)
            }
        },
    }
}

/// What comes next for a head that nothing stands in the way of, and for one whose time has not come.
#[test]
fn next_step() {
    let tomorrow = Item {
        due: clock::local(seconds(5)),
        ..receipt(91)
    };
    let held = Item {
        waits_for: Some(Seq(3)),
        ..receipt(91)
    };
    let table = [
        (Step::Send, None, Todo::Nothing),
        (Step::Send, Some(receipt(91)), Todo::Send),
        (Step::Send, Some(open(5)), Todo::Send),
        (Step::Ask, Some(open(5)), Todo::Ask),
        (Step::Poll, Some(close(4)), Todo::Poll),
        (Step::Send, Some(tomorrow.clone()), Todo::Wait(seconds(5))),
        (Step::Ask, Some(tomorrow), Todo::Ask),
        (Step::Send, Some(held), Todo::Hold),
    ];
    for (step, head, expected) in table {
        let next = todo(&state(step), head.as_ref(), &facts());
        assert_eq!(next, expected, "{step:?} {head:?}");
    }
}

/// Pauses are kept, unless they were written by another clock; a parked stream waits for a person, one
/// that is shut out for its next probe.
#[test]
fn pauses_and_parking() {
    let pausing = |until| StreamState {
        next_attempt: until,
        ..state(Step::Send)
    };
    let probing = |until| StreamState {
        next_attempt: until,
        ..parked(true)
    };
    let table = [
        (pausing(seconds(9)), Todo::Wait(seconds(9))),
        (pausing(now()), Todo::Send),
        (pausing(seconds(3600)), Todo::Wait(seconds(3600))),
        (pausing(seconds(3601)), Todo::Send),
        (pausing(seconds(24 * 3600)), Todo::Send),
        (parked(false), Todo::Parked),
        (probing(seconds(60)), Todo::Wait(seconds(60))),
        (probing(now()), Todo::Probe),
    ];
    for (state, expected) in table {
        let next = todo(&state, Some(&receipt(91)), &facts());
        assert_eq!(next, expected, "{state:?}");
    }
}

/// After a start, an OpenDay or CloseDay may have been under way: it is asked about; a receipt is not. A
/// till that was shut out is tried at once.
#[test]
fn after_a_start_openings_and_closes_are_asked_about() {
    let fresh = Facts {
        fresh: true,
        is_back: false,
        ..facts()
    };
    for (head, expected) in [
        (open(5), Todo::Ask),
        (close(4), Todo::Ask),
        (receipt(91), Todo::Send),
    ] {
        assert_eq!(todo(&state(Step::Send), Some(&head), &fresh), expected);
    }
    let shut_out = StreamState {
        next_attempt: seconds(60),
        ..parked(true)
    };
    assert_eq!(todo(&shut_out, Some(&open(5)), &fresh), Todo::Probe);
}

/// Where our clock is ahead of FDMS's, dates come later there.
#[test]
fn a_lead_over_fdms_delays() {
    let ahead = Facts {
        lead: SignedDuration::from_secs(20),
        ..facts()
    };
    let expected = Todo::Wait(seconds(20));
    assert_eq!(
        todo(&state(Step::Send), Some(&receipt(91)), &ahead),
        expected
    );
}

/// Every kind of answer to each of the three messages.
#[test]
fn answers_to_what_was_sent() {
    let taken = |colors: &[&str]| {
        let errors: Vec<_> = colors
            .iter()
            .map(|color| {
                let (code, color) = color.split_once(' ').unwrap_or(("RCPT025", color));
                serde_json::json!({"validationErrorCode": code, "validationErrorColor": color})
            })
            .collect();
        let body =
            serde_json::json!({"receiptID": 9, "serverDate": "", "validationErrors": errors});
        answered(200, &body.to_string())
    };
    let busy = Seen::Answered {
        status: 429,
        retry_after: Some(Duration::from_secs(90)),
        body: String::new(),
    };
    let offline = Seen::NoConnection("refused".to_owned());
    let forged = Seen::ServerNotTrusted("unknown issuer".to_owned());
    let revoked = Seen::CertificateRefused("revoked".to_owned());
    let table = [
        (open(5), answered(200, r#"{"fiscalDayNo":5}"#), "finish"),
        (open(5), answered(200, "{}"), "finish"),
        (
            open(5),
            answered(200, r#"{"fiscalDayNo":6}"#),
            "park fiscalDayNo",
        ),
        (
            open(5),
            answered(200, r#"{"fiscalDayNo":99999999999}"#),
            "park fiscalDayNo",
        ),
        (open(5), refused(422, "FISC01"), "status"),
        (open(5), refused(400, ""), "park HTTP 400"),
        (open(5), lost(), "ask 1 250ms"),
        (open(5), offline.clone(), "send 1 250ms"),
        (open(5), answered(500, ""), "ask 1 250ms"),
        (open(5), busy.clone(), "ask 1 90000ms"),
        (receipt(91), taken(&[]), "finish"),
        (receipt(91), taken(&["Yellow"]), "finish Yellow"),
        (receipt(91), taken(&["Yellow", "Gray"]), "finish Grey"),
        (receipt(91), taken(&["Grey", "Red", "Yellow"]), "finish Red"),
        (
            receipt(91),
            taken(&["RCPT011 Grey", "RCPT020 Red"]),
            "finish Grey",
        ),
        (receipt(91), taken(&["RCPT020 Red"]), "finish Red"),
        (receipt(91), taken(&["Purple", "Yellow"]), "finish Purple"),
        (receipt(91), refused(422, "RCPT01"), "status"),
        (receipt(91), refused(422, "RCPT02"), "park RCPT02"),
        (receipt(91), refused(422, "RCPT99"), "park RCPT99"),
        (receipt(91), refused(422, "DEV01"), "probe DEV01"),
        (receipt(91), refused(422, "DEV05"), "probe DEV05"),
        (receipt(91), refused(401, ""), "probe HTTP 401"),
        (receipt(91), refused(403, ""), "probe HTTP 403"),
        (receipt(91), revoked, "probe TLS"),
        (receipt(91), lost(), "send 1 250ms"),
        (
            receipt(91),
            Seen::TimedOut(Duration::from_secs(35)),
            "send 1 250ms",
        ),
        (receipt(91), answered(200, "gibberish"), "send 1 250ms"),
        (receipt(91), answered(502, "<html>"), "send 1 250ms"),
        (receipt(91), busy, "send 1 90000ms"),
        (receipt(91), forged, "send 1 250ms"),
        (close(4), answered(200, "{}"), "poll 0 1000ms"),
        (close(4), refused(422, "FISC03"), "status"),
        (close(4), refused(422, "FISC04"), "status"),
        (close(4), refused(422, ""), "status"),
        (close(4), lost(), "ask 1 250ms"),
        (close(4), answered(503, ""), "ask 1 250ms"),
        (close(4), offline, "send 1 250ms"),
    ];
    for (item, seen, expected) in table {
        let verdict = sent(&state(Step::Send), &item, &seen);
        assert_eq!(told(&verdict), expected, "{} {seen:?}", item.kind);
    }
}

/// A finished item keeps FDMS's answer and operation, a parked one says what to do.
#[test]
fn evidence_is_kept() {
    let yes = answered(200, r#"{"receiptID":9}"#);
    let Verdict::Finish(submission) = sent(&state(Step::Send), &receipt(91), &yes) else {
        panic!("taken");
    };
    assert_eq!(submission.operation_id.as_deref(), Some("op"));
    assert_eq!(submission.answer, r#"{"receiptID":9}"#);
    let no = refused(401, "");
    let Verdict::Keep(StreamState {
        parked: Some(parked),
        ..
    }) = sent(&state(Step::Send), &receipt(91), &no)
    else {
        panic!("parked");
    };
    assert!(parked.reason.contains("What to do: "), "{}", parked.reason);
    assert_eq!(parked.answer, evidence(&no).body);
}

/// The pauses between polls: 1 s growing to 30 s.
#[test]
fn poll_pauses() {
    let pauses: Vec<u64> = (0..8).map(|asked| poll_pause(asked).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(poll_pause(u32::MAX), LONGEST_POLL);
}

fn any_seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        Just(lost()),
        Just(Seen::NoConnection(String::new())),
        Just(Seen::TooLong(1)),
        (100_u16..600, "\\PC{0,20}").prop_map(|(code, body)| answered(code, &body)),
        prop::sample::select(vec!["RCPT01", "FISC01", "FISC04", "DEV01", "RCPT77"])
            .prop_map(|code| refused(422, code)),
        (
            prop::sample::select(vec![
                "Closed",
                "Opened",
                "CloseInitiated",
                "CloseFailed",
                "X"
            ]),
            0_u32..7
        )
            .prop_map(|(day, last)| status(day, Some(last), "")),
    ]
}

proptest! {
    /// Whatever is answered: a head is finished only by a yes or by a status that names its very day,
    /// a pause lies ahead and within an hour, and a receipt is never finished by GetStatus.
    #[test]
    fn nothing_is_finished_without_proof(
        seen in any_seen(), kind in 0_u8..3, step in 0_u8..3, attempts in 0_u32..50,
        is_parked: bool, jitter: u64,
    ) {
        let item = match kind { 0 => open(5), 1 => receipt(91), _ => close(4) };
        let step = match step { 0 => Step::Send, 1 => Step::Ask, _ => Step::Poll };
        let row = if is_parked { parked(true) } else { state(step) };
        let row = StreamState { attempts, ..row };
        let tick = Tick { now: now(), jitter };
        let outcome = classify::<Status>(Call::GetStatus, &seen);
        let verdict = after_status(&row, &item, Why::Step, &outcome, &evidence(&seen), tick);
        match verdict {
            Verdict::Finish(_) => {
                let Seen::Answered { status: 200..=299, body, .. } = &seen else {
                    return Err(TestCaseError::fail("finished without an answer"));
                };
                let last = Status::parse(body).unwrap().last_fiscal_day_no;
                let own = match item.kind {
                    ItemKind::Open(no) | ItemKind::Close(no) => u64::from(no.get()),
                    ItemKind::Receipt(_) => return Err(TestCaseError::fail("a receipt by GetStatus")),
                };
                prop_assert_eq!(last, Some(own));
            }
            Verdict::Keep(kept) => {
                prop_assert_eq!(kept.cursor, row.cursor);
                let pause = kept.next_attempt.duration_since(now());
                prop_assert!(pause <= LONGEST_PAUSE && !pause.is_negative(), "{pause}");
            }
            Verdict::AskStatus(_) => return Err(TestCaseError::fail("asks again and again")),
        }
        let outcome = classify::<ReceiptAccepted>(Call::SubmitReceipt, &seen);
        let yes = matches!(outcome, Outcome::Accepted(_));
        let outcome = outcome.map(|_| Yes::Taken(None));
        let verdict = after_send(&state(Step::Send), &receipt(91), &outcome, &evidence(&seen), tick);
        prop_assert_eq!(matches!(verdict, Verdict::Finish(_)), yes);
    }
}

/// The causes that the tables above rely on.
#[test]
fn causes_are_as_assumed() {
    let outcome = classify::<CloseStarted>(Call::CloseDay, &lost());
    assert!(matches!(
        outcome,
        Outcome::Unknown(Doubt {
            cause: DoubtCause::ConnectionLost,
            ..
        })
    ));
    let outcome = classify::<CloseStarted>(Call::CloseDay, &answered(500, ""));
    assert!(matches!(
        outcome,
        Outcome::Later(Delay {
            cause: DelayCause::ServerTrouble(500),
            ..
        })
    ));
}
