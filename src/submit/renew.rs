//! The till's certificate: renewed by itself before it ends, and an alarm where that does not come about.
//!
//! From 30 days before its end on a certificate is renewed at a quiet moment: no day open, nothing unsent; in
//! the last 14 days whenever FDMS answers (docs/FDMS.md section 3). Each step is kept before the next one is
//! taken: what FDMS issues is kept, tried against FDMS, and only then used. A certificate that has ended
//! stops the sending, never the selling.

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use jiff::SignedDuration;

use super::line::Line;
use crate::fdms::{Identity, Outcome, Refusal};
use crate::keys::{Certificate, KeyError, certificate_request};
use crate::ledger::certificates::{Candidate, CertificateAlarm};
use crate::ledger::{LedgerError, StorageError};

/// Days before the end at which an alarm is raised.
const STEPS: [i64; 5] = [1, 3, 7, 14, 30];
/// Days before the end from which on it is renewed at a quiet moment.
const RENEW_FROM: i64 = 30;
/// Days before the end from which on it no longer waits for one.
const RENEW_ANYWAY: i64 = 14;
/// Pause after a try that did not come through.
const AGAIN: Duration = Duration::from_secs(3600);
/// Pause after FDMS has refused.
const AGAIN_AFTER_REFUSAL: Duration = Duration::from_secs(24 * 3600);
/// Who acts, as the audit names him.
const ACTOR: &str = "system";
const DAY: i64 = 24 * 3600;

/// When a certificate is to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Not yet.
    Later,
    /// As soon as the till is at rest.
    AtRest,
    /// As soon as FDMS answers.
    Now,
    /// It has ended: FDMS renews only what is valid.
    TooLate,
}

fn due(left: SignedDuration) -> Due {
    let days = left.as_secs().div_euclid(DAY);
    match days {
        i64::MIN..0 => Due::TooLate,
        0..RENEW_ANYWAY => Due::Now,
        RENEW_ANYWAY..RENEW_FROM => Due::AtRest,
        RENEW_FROM.. => Due::Later,
    }
}

/// The alarm that so much time is worth: the least of the steps that it is within.
fn step(left: SignedDuration) -> Option<i64> {
    if !left.is_positive() {
        return Some(0);
    }
    STEPS
        .into_iter()
        .find(|step| left <= SignedDuration::from_secs(step * DAY))
}

/// Why a renewal did not come about, and when it is tried again.
struct Failed {
    why: String,
    again: Duration,
    /// FDMS does not take the certificate that it issued: another one is asked for.
    useless: Option<i64>,
}

impl Failed {
    fn later(why: impl ToString) -> Self {
        Self {
            why: why.to_string(),
            again: AGAIN,
            useless: None,
        }
    }

    fn refused(refusal: &Refusal) -> Self {
        Self {
            again: AGAIN_AFTER_REFUSAL,
            ..Self::later(refusal)
        }
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        Self::later(error)
    }
}

impl From<KeyError> for Failed {
    fn from(error: KeyError) -> Self {
        Self::later(error)
    }
}

/// Looks after the certificate of one till.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// No try before this moment of the boot clock.
    not_before: Duration,
    /// A renewed certificate that FDMS did not accept.
    useless: Option<i64>,
    /// Why the last try failed.
    last_error: Option<String>,
}

impl Renewal {
    /// Renews what is due, and raises what alarm is due.
    pub(super) async fn turn(&mut self, line: &Line) {
        let id = line.till.id;
        let pem = line.ledger.ask(move |reader| reader.certificate_pem(id));
        let Ok(Some(pem)) = pem.await else { return };
        let Ok(certificate) = Certificate::from_pem(&pem) else {
            return;
        };
        let left = certificate
            .not_after()
            .duration_since(line.ledger.time().now());
        if line.clock().boot() >= self.not_before && self.is_due(line, due(left)).await {
            self.try_to_renew(line).await;
        }
        if let Some(step) = step(left) {
            self.alarm(line, &certificate, step).await;
        }
    }

    async fn is_due(&self, line: &Line, due: Due) -> bool {
        match due {
            Due::Later | Due::TooLate => false,
            Due::Now => true,
            Due::AtRest => {
                let id = line.till.id;
                let at_rest = line.ledger.ask(move |reader| {
                    let open = reader.day(id, None)?.is_some_and(|day| day.close.is_none());
                    let (_, unsent) = reader.stream(id)?;
                    Ok(!open && unsent.is_none())
                });
                at_rest.await.unwrap_or(false)
            }
        }
    }

    async fn try_to_renew(&mut self, line: &Line) {
        let till = line.till.device_id;
        match renew(line, self.useless).await {
            Ok(()) => {
                *self = Self::default();
                tracing::info!(%till, "the certificate was renewed");
            }
            Err(failed) => {
                tracing::warn!(%till, error = failed.why, "the certificate was not renewed; it is tried again");
                self.not_before = line.clock().boot().saturating_add(failed.again);
                self.useless = failed.useless.or(self.useless);
                self.last_error = Some(failed.why);
            }
        }
    }

    async fn alarm(&self, line: &Line, certificate: &Certificate, step: i64) {
        let alarm = CertificateAlarm {
            thumbprint: certificate.thumbprint().to_owned(),
            step,
            valid_till: clock::local(certificate.not_after()).to_string(),
            action: action(step, self.last_error.as_deref()),
        };
        let id = line.till.id;
        let text = alarm.action.clone();
        let raised = line
            .ledger
            .write(move |core| core.alarm_certificate(id, &alarm));
        if let Ok(true) = raised.await {
            let (till, ends) = (line.till.device_id, certificate.not_after());
            tracing::error!(%till, %ends, days = step, "the till's certificate ends: {text}");
        }
    }
}

/// What is done about a certificate with so many days left, and what a person may do.
pub(crate) fn action(step: i64, last_error: Option<&str>) -> String {
    let because = last_error.map_or_else(String::new, |error| format!(" (last try: {error})"));
    match step {
        0 => "it has ended: selling goes on, nothing is sent. FDMS renews only a valid certificate, so ask the \
              authority for a new activation key for this device and run `fiscald register --again`; what is \
              queued is sent then"
            .to_owned(),
        1..=7 => format!(
            "it is renewed by itself as soon as FDMS answers{because}; connect the store to the internet before it ends"
        ),
        _ => format!(
            "it is renewed by itself between two fiscal days, in the last {RENEW_ANYWAY} days whenever FDMS \
             answers{because}; see that the store is connected by then"
        ),
    }
}

/// Renews now, whatever is left of the certificate in use; the error is a sentence.
pub(super) async fn now(line: &Line) -> Result<(), String> {
    renew(line, None).await.map_err(|failed| failed.why)
}

/// One renewal, from wherever the one before was interrupted.
async fn renew(line: &Line, useless: Option<i64>) -> Result<(), Failed> {
    let id = line.till.id;
    let _alone = line.renewing.lock().await;
    let candidate = line.ledger.write(move |core| core.candidate(id)).await?;
    let candidate = match candidate {
        Some(candidate) if Some(candidate.certificate_id) != useless => candidate,
        _ => ask_for_one(line).await?,
    };
    prove(line, &candidate).await?;
    let certificate_id = candidate.certificate_id;
    line.ledger
        .write(move |core| core.use_certificate(id, certificate_id, ACTOR))
        .await?;
    Ok(())
}

/// Has FDMS certify the till's key anew.
async fn ask_for_one(line: &Line) -> Result<Candidate, Failed> {
    let (id, till) = (line.till.id, &line.till);
    let (key, _) = identity(line).await?;
    let request = certificate_request(&key, &till.serial_no, till.device_id.get(), false)?;
    let answer = line.ask(line.fdms.issue_certificate(&request)).await;
    let pem = match answer.outcome {
        Outcome::Accepted(issued) => issued.certificate,
        Outcome::Refused(refusal) => return Err(Failed::refused(&refusal)),
        Outcome::Later(delay) => return Err(Failed::later(delay)),
        Outcome::Unknown(doubt) => return Err(Failed::later(doubt)),
    };
    let kept = line
        .ledger
        .write(move |core| core.keep_candidate(id, &pem, ACTOR));
    Ok(kept.await?)
}

/// Asks FDMS something over the new certificate.
async fn prove(line: &Line, candidate: &Candidate) -> Result<(), Failed> {
    let (key, _) = identity(line).await?;
    let identity = Identity {
        certificate: Certificate::from_pem(&candidate.pem)?,
        key: Arc::new(key),
    };
    let fdms = line.connector.connect_as(&line.till, identity);
    let fdms = fdms.await.map_err(Failed::later)?;
    match line.ask(fdms.get_config()).await.outcome {
        Outcome::Accepted(_) => Ok(()),
        Outcome::Refused(refusal) => Err(Failed {
            useless: Some(candidate.certificate_id),
            ..Failed::refused(&refusal)
        }),
        Outcome::Later(delay) => Err(Failed::later(delay)),
        Outcome::Unknown(doubt) => Err(Failed::later(doubt)),
    }
}

async fn identity(line: &Line) -> Result<(crate::keys::DeviceKey, String), Failed> {
    let id = line.till.id;
    let identity = line.ledger.write(move |core| core.identity(id)).await?;
    identity.ok_or_else(|| Failed::later(StorageError::Damaged("the till has no key".to_owned())))
}

/// The moment at which a certificate ends, for whoever shows it.
pub(crate) fn alarm_of(not_after: Timestamp, now: Timestamp) -> Option<String> {
    step(not_after.duration_since(now)).map(|step| action(step, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: i64) -> SignedDuration {
        SignedDuration::from_secs(days * DAY)
    }

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    /// Not before 30 days, at rest until 14, then at once, and never after the end.
    #[test]
    fn when_it_is_due() {
        for (left, expected) in [
            (days(31), Due::Later),
            (days(30), Due::Later),
            (days(30) - SECOND, Due::AtRest),
            (days(14), Due::AtRest),
            (days(14) - SECOND, Due::Now),
            (SECOND, Due::Now),
            (-SECOND, Due::TooLate),
            (days(-400), Due::TooLate),
        ] {
            assert_eq!(due(left), expected, "{left}");
        }
    }

    /// An alarm at 30, 14, 7, 3 and 1 days, and at the end.
    #[test]
    fn steps_of_the_alarm() {
        for (left, expected) in [
            (days(31), None),
            (days(30), Some(30)),
            (days(14) + SECOND, Some(30)),
            (days(14), Some(14)),
            (days(7), Some(7)),
            (days(4), Some(7)),
            (days(3), Some(3)),
            (days(1), Some(1)),
            (SECOND, Some(1)),
            (SignedDuration::ZERO, Some(0)),
            (-SECOND, Some(0)),
        ] {
            assert_eq!(step(left), expected, "{left}");
        }
    }
}
