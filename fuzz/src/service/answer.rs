//! FDMS's answers: nothing is taken for a yes that is none, and nothing that was said is lost.

use fiscal::taxpayer::Taxpayer;
use fiscald::fdms::classify::{Outcome, Seen, classify};
use fiscald::fdms::wire::{
    CloseStarted, Config, DayOpened, DeviceCertificate, FileList, FileTaken, Pong, ReceiptAccepted,
    Reply, ServerCertificates, Status, Taxpayer as Verified,
};
use fiscald::fdms::{Call, DelayCause};
use fiscald::keys::Certificate;

use crate::input::Input;

/// What FDMS answers with, and what proxies do.
const STATUSES: [u16; 26] = [
    200, 201, 204, 299, 100, 199, 300, 302, 304, 400, 401, 403, 404, 408, 409, 413, 418, 422, 425,
    429, 499, 500, 502, 503, 504, 999,
];

/// A byte for the status, one for the call, one for where the answer is cut; then the body.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let status = input.of(&STATUSES);
    let call = input.byte();
    let cut = usize::from(input.byte());
    let body = String::from_utf8_lossy(input.rest());
    let (status, body) = (status, body.as_ref());
    match call % 12 {
        0 => judge::<Verified>(Call::VerifyTaxpayerInformation, status, body, cut),
        1 => judge::<DeviceCertificate>(Call::RegisterDevice, status, body, cut),
        2 => judge::<ServerCertificates>(Call::GetServerCertificate, status, body, cut),
        3 => judge::<Config>(Call::GetConfig, status, body, cut),
        4 => judge::<Status>(Call::GetStatus, status, body, cut),
        5 => judge::<DayOpened>(Call::OpenDay, status, body, cut),
        6 => judge::<ReceiptAccepted>(Call::SubmitReceipt, status, body, cut),
        7 => judge::<CloseStarted>(Call::CloseDay, status, body, cut),
        8 => judge::<DeviceCertificate>(Call::IssueCertificate, status, body, cut),
        9 => judge::<Pong>(Call::Ping, status, body, cut),
        10 => judge::<FileTaken>(Call::SubmitFile, status, body, cut),
        _ => judge::<FileList>(Call::SubmittedFileList, status, body, cut),
    }
    if call % 12 == 3 {
        configured(body);
    }
    if call % 12 == 8
        && let Ok(answer) = DeviceCertificate::parse(body)
        && let Ok(certificate) = Certificate::from_pem(&answer.certificate)
    {
        assert!(!certificate.chain_der().is_empty());
    }
}

fn judge<T: Reply + PartialEq + std::fmt::Debug>(call: Call, status: u16, body: &str, cut: usize) {
    let seen = |body: &str| Seen::Answered {
        status,
        retry_after: None,
        body: body.to_owned(),
    };
    let outcome = classify::<T>(call, &seen(body));
    assert_eq!(classify::<T>(call, &seen(body)), outcome);
    let read = T::parse(body).ok();
    match &outcome {
        Outcome::Accepted(value) => {
            assert!((200..300).contains(&status));
            assert_eq!(read.as_ref(), Some(value));
            // Only what is an object of JSON, whole, is a yes.
            let bare = body.trim_start_matches('\u{feff}');
            serde_json::from_str::<serde::de::IgnoredAny>(bare).expect("a yes is JSON");
            assert!(bare.trim_start().starts_with('{'));
            shortened::<T>(call, status, body, cut);
        }
        Outcome::Unknown(_) => assert!((200..300).contains(&status) && read.is_none()),
        Outcome::Refused(refusal) => {
            assert!((400..500).contains(&status));
            assert_eq!((refusal.call, refusal.status), (call, Some(status)));
            assert!(refusal.detail.chars().count() <= 300);
            assert!(!refusal.detail.chars().any(char::is_control));
            assert!(!refusal.meaning.is_empty());
            assert!(refusal.code.as_ref().is_none_or(|code| !code.is_empty()));
            assert!(!refusal.actions.is_empty());
        }
        Outcome::Later(delay) => {
            assert!(!(200..300).contains(&status));
            let asked = matches!(status, 408 | 425 | 429);
            assert_eq!(delay.cause == DelayCause::TooManyRequests, asked);
            assert!(delay.was_sent());
        }
    }
    // A message is given up only where somebody said no.
    let said_no = (400..500).contains(&status) && !matches!(status, 408 | 425 | 429);
    assert_eq!(outcome.may_have_happened(), !said_no);
}

/// A yes that was cut off is none.
fn shortened<T: Reply + PartialEq + std::fmt::Debug>(
    call: Call,
    status: u16,
    body: &str,
    cut: usize,
) {
    let whole = body.trim_end();
    let end = (0..=cut % whole.len())
        .rev()
        .find(|end| whole.is_char_boundary(*end))
        .unwrap_or(0);
    let outcome = classify::<T>(
        call,
        &Seen::Answered {
            status,
            retry_after: None,
            body: whole[..end].to_owned(),
        },
    );
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

/// The core's own reading of a configuration: what is kept of an earlier one is all of it, and nothing twice.
fn configured(body: &str) {
    let Ok(taxpayer) = Taxpayer::from_config(body.as_bytes()) else {
        return;
    };
    let mut same = taxpayer.clone();
    same.keep_old_taxes(&taxpayer);
    assert_eq!(same, taxpayer);
    let mut fewer = Taxpayer {
        taxes: Vec::new(),
        ..taxpayer.clone()
    };
    fewer.keep_old_taxes(&taxpayer);
    for tax in &taxpayer.taxes {
        let key = |tax: &fiscal::taxpayer::Tax| (tax.id, tax.percent);
        let kept = fewer.taxes.iter().filter(|kept| key(kept) == key(tax));
        assert_eq!(kept.count(), 1);
        assert!(taxpayer.tax(tax.id, tax.valid_from).is_some());
    }
}
