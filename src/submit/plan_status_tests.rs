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
