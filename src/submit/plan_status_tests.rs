//! What GetStatus says about the head, as tables.

use super::*;

/// GetStatus after a doubt: had FDMS the message, or not?
#[test]
fn status_after_a_doubt() {
    let table = [
        (open(5), "Closed", Some(4), "send 0 0ms"),
        (open(5), "Opened", Some(5), "finish"),
        (open(5), "CloseFailed", Some(5), "finish"),
        (open(5), "Closed", Some(5), "finish"),
        (open(5), "CloseInitiated", Some(4), "ask 1 1000ms"),
        (open(5), "Opened", Some(4), "park FiscalDayOpened"),
        (open(5), "Closed", Some(9), "park FiscalDayClosed"),
        (open(5), "Closed", None, "park FiscalDayClosed"),
        (open(1), "Closed", None, "send 0 0ms"),
        (close(4), "Closed", Some(4), "finish"),
        (close(4), "Opened", Some(4), "send 0 0ms"),
        (close(4), "CloseFailed", Some(4), "send 0 0ms"),
        (close(4), "CloseInitiated", Some(4), "poll 0 1000ms"),
        (close(4), "Closed", Some(3), "park FiscalDayClosed"),
        (close(4), "Dreaming", Some(4), "park FiscalDayDreaming"),
        (receipt(91), "Opened", Some(4), "send 0 0ms"),
        (receipt(91), "CloseFailed", Some(4), "send 0 0ms"),
        (receipt(91), "CloseInitiated", Some(4), "ask 1 1000ms"),
        (receipt(91), "Closed", Some(4), "park FiscalDayClosed"),
        (receipt(91), "Opened", Some(5), "park FiscalDayOpened"),
    ];
    for (item, day, last, expected) in table {
        let seen = status(day, last, "");
        let verdict = asked(&state(Step::Ask), &item, Why::Step, &seen);
        assert_eq!(told(&verdict), expected, "{} {day} {last:?}", item.kind);
    }
}

/// GetStatus while a close is under way: done, not yet, or failed with the code that names why.
#[test]
fn status_of_a_close() {
    let table = [
        ("Closed", "", 3, "finish"),
        ("CloseInitiated", "", 0, "poll 1 2000ms"),
        ("CloseInitiated", "", 3, "poll 4 16000ms"),
        ("CloseInitiated", "", 40, "poll 41 30000ms"),
        ("Opened", "", 0, "send 1 250ms"),
        (
            "CloseFailed",
            "BadCertificateSignature",
            0,
            "park BadCertificateSignature",
        ),
        ("CloseFailed", "MissingReceipts", 0, "park MissingReceipts"),
        (
            "CloseFailed",
            "ReceiptsWithValidationErrors",
            0,
            "park ReceiptsWithValidationErrors",
        ),
        (
            "CloseFailed",
            "CountersMismatch",
            0,
            "park CountersMismatch",
        ),
        ("CloseFailed", "InternalError", 0, "probe InternalError"),
        ("CloseFailed", "Mood", 0, "park Mood"),
        ("CloseFailed", "", 0, "park CloseFailed"),
    ];
    for (day, error, attempts, expected) in table {
        let state = StreamState {
            attempts,
            ..state(Step::Poll)
        };
        let seen = status(day, Some(4), error);
        let verdict = asked(&state, &close(4), Why::Step, &seen);
        assert_eq!(told(&verdict), expected, "{day} {error}");
        if let Verdict::Keep(StreamState {
            parked: Some(parked),
            ..
        }) = verdict
        {
            assert_eq!(parked.answer, evidence(&seen).body, "the answer is kept");
            assert_eq!(parked.actions, ["retry"]);
        }
    }
}

/// GetStatus after a refusal: our own lost answer, a reason to wait, or a reason to stop.
#[test]
fn status_after_a_refusal() {
    let table = [
        (open(5), "FISC01", "Opened", Some(5), 0, "finish"),
        (open(5), "FISC01", "Closed", Some(4), 0, "send 1 250ms"),
        (open(5), "FISC01", "Closed", Some(4), 3, "park FISC01"),
        (
            open(5),
            "FISC01",
            "CloseInitiated",
            Some(4),
            0,
            "ask 1 1000ms",
        ),
        (open(5), "FISC01", "CloseFailed", Some(4), 0, "park FISC01"),
        (open(1), "FISC01", "Closed", Some(57), 0, "park FISC01"),
        (receipt(91), "RCPT01", "Closed", Some(4), 0, "park RCPT01"),
        (
            receipt(91),
            "RCPT01",
            "CloseInitiated",
            Some(4),
            0,
            "ask 1 1000ms",
        ),
        (receipt(91), "RCPT01", "Opened", Some(4), 0, "send 1 250ms"),
        (close(4), "FISC04", "Closed", Some(4), 0, "finish"),
        (
            close(4),
            "FISC03",
            "CloseInitiated",
            Some(4),
            0,
            "poll 0 1000ms",
        ),
        (close(4), "", "Opened", Some(4), 3, "park HTTP 422"),
        (
            close(4),
            "",
            "CloseFailed",
            Some(4),
            0,
            "park MissingReceipts",
        ),
    ];
    for (item, code, day, last, attempts, expected) in table {
        let state = StreamState {
            attempts,
            ..state(Step::Send)
        };
        let seen = refused(422, code);
        let call = match item.kind {
            ItemKind::Open(_) => Call::OpenDay,
            ItemKind::Receipt(_) => Call::SubmitReceipt,
            ItemKind::Close(_) => Call::CloseDay,
        };
        let Outcome::Refused(refusal) = classify::<CloseStarted>(call, &seen) else {
            panic!("{seen:?} is a refusal");
        };
        let proof = evidence(&seen);
        let error = if day == "CloseFailed" {
            "MissingReceipts"
        } else {
            ""
        };
        let why = Why::Refused(&refusal, &proof);
        let verdict = asked(&state, &item, why, &status(day, last, error));
        assert_eq!(
            told(&verdict),
            expected,
            "{} {code} {day} {last:?}",
            item.kind
        );
    }
}

/// GetStatus itself fails: the head stays as it was, for another try; shut out, it is parked.
#[test]
fn status_that_fails() {
    let table = [
        (Step::Ask, lost(), "ask 1 250ms"),
        (Step::Poll, answered(500, ""), "poll 1 250ms"),
        (
            Step::Send,
            Seen::NoConnection("refused".to_owned()),
            "send 1 250ms",
        ),
        (Step::Ask, refused(401, ""), "probe HTTP 401"),
        (Step::Ask, refused(422, "DEV01"), "probe DEV01"),
    ];
    for (step, seen, expected) in table {
        let verdict = asked(&state(step), &close(4), Why::Step, &seen);
        assert_eq!(told(&verdict), expected, "{step:?} {seen:?}");
    }
}

/// A probe: shut out as before, for another reason, not reached, or let in again.
#[test]
fn probes() {
    let quarter = PROBE_EVERY;
    let table = [
        (refused(401, ""), "probe HTTP 401"),
        (refused(422, "DEV05"), "probe DEV05"),
        (lost(), "probe HTTP 401"),
        (status("Opened", Some(4), ""), "send 0 0ms"),
        (status("Closed", Some(4), ""), "park FiscalDayClosed"),
    ];
    for (seen, expected) in table {
        let verdict = asked(&parked(true), &receipt(91), Why::Step, &seen);
        assert_eq!(told(&verdict), expected, "{seen:?}");
        if let Verdict::Keep(StreamState {
            parked: Some(parked),
            next_attempt,
            ..
        }) = verdict
        {
            assert!(
                next_attempt.duration_since(now()) >= SignedDuration::try_from(quarter).unwrap()
            );
            assert_eq!(parked.since, now());
        }
    }
}

/// What a row keeps beside its step: the newest error, none where all is well, and when a parked stream is probed.
#[test]
fn what_is_kept_beside_the_step() {
    let old = |state| StreamState {
        last_error: Some("old".to_owned()),
        ..state
    };
    let kept = |verdict| match verdict {
        Verdict::Keep(state) => state,
        other => panic!("{other:?}"),
    };
    let (sending, asking) = (old(state(Step::Send)), old(state(Step::Ask)));
    let doubtful = kept(sent(&sending, &open(5), &lost()));
    assert_eq!(
        doubtful.last_error.map(|error| error.contains("reset")),
        Some(true)
    );
    let waiting = status("CloseInitiated", Some(4), "");
    let waiting = kept(asked(&asking, &open(5), Why::Step, &waiting));
    assert_eq!(
        waiting.last_error.as_deref(),
        Some("FDMS is still closing a day")
    );
    let closing = kept(sent(&sending, &close(4), &answered(200, "{}")));
    assert_eq!(closing.last_error, None);
    let probe = now() + SignedDuration::try_from(PROBE_EVERY).unwrap();
    let parked_now = kept(sent(&sending, &receipt(91), &refused(401, "")));
    assert_eq!(
        (parked_now.step, parked_now.next_attempt),
        (Step::Ask, probe)
    );
    assert_eq!(
        parked_now.last_error,
        parked_now.parked.map(|parked| parked.reason)
    );
    let still = kept(asked(&old(parked(true)), &open(5), Why::Step, &lost()));
    assert_eq!(still.next_attempt, probe);
    assert_ne!(still.last_error.as_deref(), Some("old"));
    assert_eq!(still.parked, parked(true).parked);
    let later = Tick {
        jitter: 61_234,
        ..tick()
    };
    assert_eq!(next_probe(later), probe + SignedDuration::from_millis(1234));
}

/// A close that failed says what to do about its own reason, and each action is a sentence of its own.
#[test]
fn what_to_do_is_said() {
    for (error, words) in [
        ("BadCertificateSignature", "the signature over the day"),
        ("MissingReceipts", "misses receipts of the day"),
        ("ReceiptsWithValidationErrors", "marked Red"),
        ("CountersMismatch", "other counters"),
        ("InternalError", "out of order"),
        ("Mood", "does not know"),
    ] {
        let seen = status("CloseFailed", Some(4), error);
        let verdict = asked(&state(Step::Poll), &close(4), Why::Step, &seen);
        let Verdict::Keep(StreamState {
            parked: Some(parked),
            ..
        }) = verdict
        else {
            panic!("{verdict:?}");
        };
        assert!(parked.reason.contains(words), "{}", parked.reason);
    }
    let actions = [
        Action::SendAgain,
        Action::CompareStatus,
        Action::FixConfiguration,
        Action::RenewCertificate,
        Action::EnterActivationKey,
        Action::ContactAuthority,
        Action::CloseByHand,
        Action::ReportDefect,
    ];
    let sentences: std::collections::BTreeSet<_> = actions.map(advice).into_iter().collect();
    assert_eq!(sentences.len(), actions.len());
    assert!(sentences.iter().all(|sentence| sentence.contains(' ')));
}
