//! What a person, or software in his name, asks of FDMS over a till's line, beside the till's stream.

use std::sync::{Arc, PoisonError};

use super::Submitter;
use super::line::{Connection, Line};
use super::renew;
use crate::fdms::{Answer, Outcome, PassedOn, Passing, Refusal, wire};
use crate::ledger::TillId;

/// Why FDMS has not done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The till has no way to FDMS.
    #[error("{0}")]
    NoLine(String),
    /// FDMS says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// FDMS was not reached, or was out of order, or it is not known what it did.
    #[error("{0}")]
    Later(String),
    /// What came of it cannot be kept.
    #[error("{0}")]
    NotKept(String),
}

impl Submitter {
    /// Where a till's fiscal day stands at FDMS.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn fdms_status(&self, till: TillId) -> Result<wire::Status, DeskError> {
        let line = self.line_of(till)?;
        yes(line.ask(line.fdms.get_status()).await)
    }

    /// Fetches a till's configuration now; true if it was new.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn fetch_config(&self, till: TillId) -> Result<bool, DeskError> {
        let line = self.line_of(till)?;
        let answer = line.ask(line.fdms.get_config()).await;
        let body = answer.evidence.body.clone().unwrap_or_default();
        yes(answer)?;
        let kept = line.keep_config(body).await;
        kept.map_err(|error| DeskError::NotKept(error.to_string()))
    }

    /// Renews a till's certificate now, whatever is left of the one in use.
    ///
    /// # Errors
    /// See [`DeskError`]; the certificate in use stays.
    pub async fn renew_certificate(&self, till: TillId) -> Result<(), DeskError> {
        let line = self.line_of(till)?;
        renew::now(&line).await.map_err(DeskError::Later)
    }

    /// Passes a call of an optional part of FDMS on, and its answer back as it came.
    ///
    /// # Errors
    /// FDMS was not reached, or nobody knows what it did.
    pub async fn pass_on(&self, till: TillId, call: &Passing) -> Result<PassedOn, DeskError> {
        let line = self.line_of(till)?;
        let answer = line.fdms.pass_on(call).await;
        answer.map_err(DeskError::Later)
    }

    fn line_of(&self, till: TillId) -> Result<Arc<Line>, DeskError> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&till).and_then(std::sync::Weak::upgrade) {
            return Ok(line);
        }
        drop(lines);
        Err(DeskError::NoLine(match self.state(till) {
            Some(link) => match link.connection {
                Connection::Offline { error, .. } => error,
                _ => "the till's way to FDMS is not up yet; try again in a second".to_owned(),
            },
            None => {
                "the till has no way to FDMS; it is registered with `fiscald register`".to_owned()
            }
        }))
    }
}

fn yes<T>(answer: Answer<T>) -> Result<T, DeskError> {
    match answer.outcome {
        Outcome::Accepted(value) => Ok(value),
        Outcome::Refused(refusal) => Err(DeskError::Refused(Box::new(refusal))),
        Outcome::Later(delay) => Err(DeskError::Later(delay.to_string())),
        Outcome::Unknown(doubt) => Err(DeskError::Later(doubt.to_string())),
    }
}
