//! Problem documents (RFC 9457): what is wrong, where, and what to do, with a code that stays.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio_postgres::error::SqlState;

use crate::db::DbError;

mod caught;
mod read;

pub use caught::caught;
pub use read::{At, Body, FORM, MAX_BODY, collect, declares, is_a, json};

/// After how many seconds a request is worth repeating when nothing better is known.
const RETRY_AFTER: u64 = 5;

/// The codes. Each keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Nobody is signed in, or the token, session or secret is not good any more.
    Unauthenticated,
    /// The password is right; the six digits of the second factor are asked for too.
    SecondFactor,
    /// Whoever is signed in may not do this.
    Forbidden,
    /// There is no such thing here.
    NotFound,
    /// A field is not as it must be.
    Invalid,
    /// It cannot be done as things are; the detail says what is missing.
    Conflict,
    /// Somebody has changed it in between: read it again.
    Stale,
    /// The checklist's evidence for this is not there yet.
    NotProved,
    /// Too many requests.
    Busy,
    /// The body is too large.
    TooLarge,
    /// The method is none of this path's.
    Method,
    /// The body is of another kind than is read here.
    MediaType,
    /// The body did not arrive in time, or the answer took too long.
    Timeout,
    /// The database is away.
    Unavailable,
    /// A defect of ours; the log has more under the reference.
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::SecondFactor => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict | Self::Stale | Self::NotProved => StatusCode::CONFLICT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Not signed in",
            Self::SecondFactor => "The second factor is missing",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Invalid => "Not as it must be",
            Self::Conflict => "Not as things are",
            Self::Stale => "Changed in between",
            Self::NotProved => "Not proved yet",
            Self::Busy => "Too many requests",
            Self::TooLarge => "Too large",
            Self::Method => "No such method",
            Self::MediaType => "Another kind of body",
            Self::Timeout => "It took too long",
            Self::Unavailable => "The database is away",
            Self::Internal => "A defect of ours",
        }
    }
}

/// What is wrong, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code tells.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The code in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in one word that stays.
    pub code: Code,
    /// What is wrong and what to do, in sentences.
    pub detail: String,
    /// The JSON pointer, parameter or header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Seconds after which the same may be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: code.title(),
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
            pointer: None,
            retry_after: None,
        }
    }

    /// A field that is not as it must be.
    #[must_use]
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            ..Self::new(Code::Invalid, detail)
        }
    }

    /// Too many requests: again after so many seconds.
    #[must_use]
    pub fn busy(seconds: u64, detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(Code::Busy, detail)
        }
    }

    /// A defect of ours: what is known goes to the log, the caller gets a reference to it.
    #[must_use]
    pub fn defect(error: &dyn std::fmt::Display) -> Self {
        let reference = uuid::Uuid::new_v4();
        tracing::error!(%reference, %error, "a defect");
        Self::new(
            Code::Internal,
            format!("this should not happen; report the reference {reference}"),
        )
    }

    /// There is no such thing here; also where it is another tenant's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what} here"))
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Away(why) => {
                tracing::warn!(%why, "the database is away");
                Self::new(
                    Code::Unavailable,
                    "the database cannot be reached just now; stores keep selling and catch up; try again in a moment",
                )
            }
            DbError::Statement(error) if is_text_that_no_column_takes(&error) => Self::new(
                Code::Invalid,
                "there is a character in this (U+0000) that cannot be kept; type it again",
            ),
            DbError::Statement(error) => {
                let reference = uuid::Uuid::new_v4();
                tracing::error!(%reference, ?error, "a statement failed");
                Self::new(
                    Code::Internal,
                    format!("this should not happen; report the reference {reference}"),
                )
            }
        }
    }
}

/// Postgres keeps every character of a text but this one; nobody who types sends it.
fn is_text_that_no_column_takes(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE)
        || code == Some(&SqlState::UNTRANSLATABLE_CHARACTER)
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        DbError::from(error).into()
    }
}

/// A detail may repeat what was sent. JSON writes some control characters as they are, and terminals obey them.
fn shown(detail: &str) -> String {
    let steers = |char: char| char.is_control() && char != '\n';
    detail.replace(steers, "\u{fffd}")
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = self.code.status();
        let retry_after = self.retry_after.unwrap_or(RETRY_AFTER);
        self.detail = shown(&self.detail);
        let mut response = (status, Json(&self)).into_response();
        // For a browser it is made a page of.
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
        }
        response
    }
}
