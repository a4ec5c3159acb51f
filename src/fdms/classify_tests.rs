//! Table tests of the classification: each row of docs/FDMS.md section 1, each code of section 8.

use std::time::Duration;

use super::*;
use crate::fdms::wire::{CloseStarted, DayOpened, ReceiptAccepted, Status};

fn answered(status: u16, body: &str) -> Seen {
    Seen::Answered {
        status,
        retry_after: None,
        body: body.to_owned(),
    }
}

fn submit(seen: &Seen) -> Outcome<ReceiptAccepted> {
    classify(Call::SubmitReceipt, seen)
}

fn refused<T: std::fmt::Debug>(outcome: Outcome<T>) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn problem(status: u16, code: &str) -> Seen {
    answered(
        status,
        &format!(
            r#"{{"type":"https://httpstatuses.io/{status}","title":"Unprocessable Entity","status":{status},
               "detail":"words of FDMS","errorCode":"{code}","operationID":"0HMP:01"}}"#
        ),
    )
}

const GOOD: &str = r#"{"receiptID":7,"serverDate":"2026-05-28T07:42:25","receiptServerSignature":{"hash":"aA==","signature":"bB==","certificateThumbprint":"b7"},"operationID":"x"}"#;

/// 200 is accepted with or without validation errors; a 200 that is not understood leaves a doubt.
#[test]
fn two_hundred() {
    let accepted = submit(&answered(200, GOOD)).accepted().unwrap();
    assert_eq!(accepted.receipt_id, 7);
    let red = GOOD.replace(
        "\"operationID\"",
        r#""validationErrors":[{"validationErrorCode":"RCPT020","validationErrorColor":"Red"}],"operationID""#,
    );
    assert!(submit(&answered(200, &red)).accepted().unwrap().is_red());
    for body in [
        "",
        "<html>log in</html>",
        "[]",
        r#"{"operationID":"x"}"#,
        &GOOD[..40],
    ] {
        let outcome = submit(&answered(200, body));
        assert!(outcome.may_have_happened(), "{body}");
        let Outcome::Unknown(doubt) = outcome else {
            panic!("{body}: {outcome:?}");
        };
        assert_eq!(doubt.cause, DoubtCause::AnswerNotUnderstood);
    }
}

/// Each status of section 1's table that is a refusal: what it stops, what is done about it.
#[test]
fn refusals_by_status() {
    use Next::{AskStatus, Park, Probe};
    use Scope::{Message, Till};
    let rows = [
        (Call::SubmitReceipt, 400, Message, Park, "malformed"),
        (Call::OpenDay, 400, Message, Park, "malformed"),
        (Call::SubmitReceipt, 401, Till, Probe, "certificate"),
        (Call::GetStatus, 401, Till, Probe, "certificate"),
        (Call::SubmitReceipt, 403, Till, Probe, "model"),
        (Call::SubmitReceipt, 404, Till, Probe, "address"),
        (Call::GetServerCertificate, 404, Message, Park, "thumbprint"),
        (Call::SubmitReceipt, 405, Message, Park, "malformed"),
        (Call::SubmitReceipt, 422, Message, Park, "does not know"),
        (Call::CloseDay, 422, Message, AskStatus, "Grey"),
        (Call::SubmitReceipt, 407, Till, Probe, "between"),
        (Call::SubmitReceipt, 413, Till, Probe, "between"),
        (Call::SubmitReceipt, 451, Till, Probe, "between"),
    ];
    for (call, status, scope, next, word) in rows {
        for body in ["", "<html>no</html>", r#"{"title":"no"}"#] {
            let outcome = classify::<Status>(call, &answered(status, body));
            assert!(!outcome.may_have_happened());
            let refusal = refused(outcome);
            let case = format!("{} {status} {body:?}", call.name());
            assert_eq!(refusal.status, Some(status), "{case}");
            assert_eq!(refusal.scope, scope, "{case}");
            assert_eq!(refusal.next, next, "{case}");
            assert!(
                refusal.meaning.contains(word),
                "{case}: {}",
                refusal.meaning
            );
            assert!(!refusal.actions.is_empty(), "{case}");
        }
    }
}

/// Each refusal code of section 8.
#[test]
fn refusals_by_code() {
    use Next::{AskStatus, Park, Probe};
    use Scope::{Message, Till};
    let rows = [
        ("DEV01", Till, Probe, Action::ContactAuthority),
        ("DEV02", Message, Park, Action::EnterActivationKey),
        ("DEV03", Message, Park, Action::ReportDefect),
        ("DEV04", Till, Probe, Action::ContactAuthority),
        ("DEV05", Till, Probe, Action::ContactAuthority),
        ("DEV06", Till, Probe, Action::FixConfiguration),
        ("DEV07", Message, Park, Action::SendAgain),
        ("DEV08", Message, Park, Action::SendAgain),
        ("DEV09", Message, Park, Action::SendAgain),
        ("DEV10", Message, Park, Action::SendAgain),
        ("DEV11", Message, Park, Action::SendAgain),
        ("DEV12", Message, Park, Action::SendAgain),
        ("DEV13", Message, Park, Action::SendAgain),
        ("DEV14", Message, Park, Action::SendAgain),
        ("DEV15", Message, Park, Action::SendAgain),
        ("RCPT01", Message, AskStatus, Action::CompareStatus),
        ("RCPT02", Message, Park, Action::ReportDefect),
        ("FISC01", Message, AskStatus, Action::CompareStatus),
        ("FISC03", Message, AskStatus, Action::CompareStatus),
        ("FISC04", Message, AskStatus, Action::CompareStatus),
        ("FILE01", Message, Park, Action::ReportDefect),
        ("FILE02", Message, Park, Action::ReportDefect),
        ("FILE03", Till, Probe, Action::FixConfiguration),
        ("FILE04", Message, AskStatus, Action::CompareStatus),
        ("FILE05", Message, Park, Action::ReportDefect),
        ("RCPT77", Message, Park, Action::ReportDefect),
    ];
    for (code, scope, next, action) in rows {
        let refusal = refused(submit(&problem(422, code)));
        assert_eq!(refusal.code.as_deref(), Some(code));
        assert_eq!(refusal.scope, scope, "{code}");
        assert_eq!(refusal.next, next, "{code}");
        assert!(refusal.actions.contains(&action), "{code}");
        assert_eq!(refusal.detail, "words of FDMS", "{code}");
        let text = refusal.to_string();
        assert!(
            text.contains(code) && text.contains("words of FDMS"),
            "{text}"
        );
    }
}

/// A code is read whatever its case; an unknown one at a close still leads to GetStatus.
#[test]
fn codes_are_read_tolerantly() {
    assert_eq!(refused(submit(&problem(422, " dev06 "))).scope, Scope::Till);
    let close = classify::<CloseStarted>(Call::CloseDay, &problem(422, "FISC09"));
    let refusal = refused(close);
    assert_eq!(refusal.code.as_deref(), Some("FISC09"));
    assert_eq!(refusal.next, Next::AskStatus);
    assert!(refusal.actions.contains(&Action::CloseByHand));
}

/// A code beside another status does not hide the status: 401 stays a matter of the certificate.
#[test]
fn the_status_rules_outside_422() {
    let refusal = refused(submit(&problem(401, "RCPT01")));
    assert_eq!((refusal.scope, refusal.next), (Scope::Till, Next::Probe));
    assert!(refusal.actions.contains(&Action::RenewCertificate));
}

/// The map of a 400 is kept field by field, whatever its shape.
#[test]
fn field_errors_are_kept() {
    let body = r#"{"title":"One or more validation errors occurred.","status":400,"errors":
        {"receipt.receiptTotal":["provided value 1.234 do not satisfy decimal(21,2)"],"x":"y"}}"#;
    let refusal = refused(submit(&answered(400, body)));
    assert_eq!(refusal.fields["receipt.receiptTotal"].len(), 1);
    assert_eq!(refusal.fields["x"], ["y"]);
    assert!(refusal.to_string().contains("decimal(21,2)"), "{refusal}");
}

/// Infrastructure: the same message later, no earlier than FDMS asks; and it may have been done.
#[test]
fn infrastructure_means_later() {
    for status in [
        429, 500, 501, 502, 503, 504, 520, 599, 408, 425, 301, 302, 307, 100,
    ] {
        let seen = Seen::Answered {
            status,
            retry_after: Some(Duration::from_secs(17)),
            body: "<html>bad gateway</html>".to_owned(),
        };
        let outcome = submit(&seen);
        assert!(outcome.may_have_happened(), "{status}");
        let Outcome::Later(delay) = outcome else {
            panic!("{status}: {outcome:?}");
        };
        assert_eq!(delay.retry_after, Some(Duration::from_secs(17)), "{status}");
        let expected = match status {
            429 | 408 | 425 => DelayCause::TooManyRequests,
            _ => DelayCause::ServerTrouble(status),
        };
        assert_eq!(delay.cause, expected, "{status}");
    }
}

/// What never left is later and certainly not done; what was sent and lost is unknown.
#[test]
fn sent_or_not_sent() {
    let open = |seen| classify::<DayOpened>(Call::OpenDay, &seen);
    for (seen, cause) in [
        (
            Seen::NoConnection("connection refused".to_owned()),
            DelayCause::NoConnection,
        ),
        (
            Seen::ServerNotTrusted("unknown issuer".to_owned()),
            DelayCause::ServerNotTrusted,
        ),
    ] {
        let outcome = open(seen);
        assert!(!outcome.may_have_happened());
        assert!(
            matches!(&outcome, Outcome::Later(delay) if delay.cause == cause),
            "{outcome:?}"
        );
    }
    for (seen, cause) in [
        (
            Seen::ConnectionLost("reset by peer".to_owned()),
            DoubtCause::ConnectionLost,
        ),
        (
            Seen::TimedOut(Duration::from_secs(35)),
            DoubtCause::TimedOut,
        ),
        (Seen::TooLong(10), DoubtCause::AnswerNotUnderstood),
    ] {
        let outcome = open(seen);
        assert!(outcome.may_have_happened());
        assert!(
            matches!(&outcome, Outcome::Unknown(doubt) if doubt.cause == cause),
            "{outcome:?}"
        );
    }
}

/// A handshake that fails over our certificate is the 401 of section 1, without a status.
#[test]
fn certificate_refused_in_the_handshake() {
    let refusal = refused(submit(&Seen::CertificateRefused(
        "certificate revoked".to_owned(),
    )));
    assert_eq!((refusal.status, refusal.scope), (None, Scope::Till));
    assert!(
        refusal.to_string().contains("certificate revoked"),
        "{refusal}"
    );
}

/// A refusal quotes FDMS in one short line, however long and odd the page is that came.
#[test]
fn quotes_are_short_and_plain() {
    let page = format!("<html>\n\t\u{1b}[31m{}</html>", "x".repeat(5000));
    let refusal = refused(submit(&answered(404, &page)));
    assert!(refusal.detail.chars().count() <= DETAIL_MAX);
    assert!(!refusal.detail.chars().any(char::is_control));
}

/// What a refusal looks like in the ledger and the API.
#[test]
fn refusals_are_serialised() {
    let refusal = refused(submit(&problem(422, "RCPT01")));
    let json = serde_json::to_value(&refusal).unwrap();
    assert_eq!(json["call"], "SubmitReceipt");
    assert_eq!(json["scope"], "message");
    assert_eq!(json["next"], "ask-status");
    assert_eq!(json["actions"][0], "compare-status");
}
