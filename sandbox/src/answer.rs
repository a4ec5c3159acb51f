//! Answers and refusals, as documents that travel.
//!
//! A refusal is an RFC 7807 problem: 422 with an `errorCode`, 400 with `errors` by field, or a plain
//! status (docs/FDMS.md section 1). Every answer carries its operation ID in the body and in a header,
//! lists only in the header.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::Errors;
use crate::settings::FieldErrors;

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 422 with a code of docs/FDMS.md section 8.
    Code(Cow<'static, str>, String),
    /// 422 without a code.
    Unprocessable(String),
    /// 400 with what is wrong by field.
    Fields(Errors),
    /// Any other status, with a reason.
    Status(u16, String),
}

impl Refusal {
    pub(crate) fn code(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Code(code.into(), detail.into())
    }

    pub(crate) fn status(status: u16, detail: impl Into<String>) -> Self {
        Self::Status(status, detail.into())
    }

    /// Fields of the wrong shape, answered as the setting says. RCPT02 is SubmitReceipt's code; the
    /// other calls have none.
    pub(crate) fn fields(errors: Errors, setting: FieldErrors, code: Option<&'static str>) -> Self {
        match (setting, code) {
            (FieldErrors::Rcpt02, Some(code)) => {
                let fields: Vec<String> = errors.0.into_keys().collect();
                Self::code(code, format!("Wrong fields: {}.", fields.join(", ")))
            }
            _ => Self::Fields(errors),
        }
    }
}

/// A whole answer but for its operation ID.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 200 with the members of a JSON object.
    Success(Box<RawValue>),
    /// 200 with a list, whose operation ID is in the header only.
    List(Box<RawValue>),
    /// Anything else.
    Refused(Refusal),
}

impl Answer {
    /// 200 with this list.
    pub(crate) fn list(body: &impl Serialize) -> Self {
        match Self::success(body) {
            Self::Success(body) => Self::List(body),
            other => other,
        }
    }

    /// 200 with this object.
    pub(crate) fn success(body: &impl Serialize) -> Self {
        match serde_json::value::to_raw_value(body) {
            Ok(body) => Self::Success(body),
            Err(error) => Self::Refused(Refusal::status(500, error.to_string())),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a std::collections::BTreeMap<String, Vec<String>>>,
    #[serde(rename = "operationID")]
    operation_id: &'a str,
}

/// An answer ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// The answer as it travels, under its operation ID.
    pub(crate) fn document(&self, operation_id: &str) -> Document {
        match self {
            Self::Success(body) => Document {
                status: 200,
                content_type: "application/json",
                body: with_operation_id(body.get(), operation_id),
            },
            Self::List(body) => Document {
                status: 200,
                content_type: "application/json",
                body: body.get().to_owned(),
            },
            Self::Refused(refusal) => problem(refusal, operation_id),
        }
    }
}

/// Puts the operation ID into a JSON object as its last member.
fn with_operation_id(object: &str, operation_id: &str) -> String {
    let open = object.trim_end().strip_suffix('}').unwrap_or("{");
    let comma = if open.trim_end().ends_with('{') {
        ""
    } else {
        ","
    };
    format!("{open}{comma}\"operationID\":\"{operation_id}\"}}")
}

fn problem(refusal: &Refusal, operation_id: &str) -> Document {
    let (status, detail, error_code, errors) = match refusal {
        Refusal::Code(code, detail) => (422, Some(detail.as_str()), Some(code.as_ref()), None),
        Refusal::Unprocessable(detail) => (422, Some(detail.as_str()), None, None),
        Refusal::Fields(errors) => (400, None, None, Some(&errors.0)),
        Refusal::Status(status, detail) => (*status, Some(detail.as_str()), None, None),
    };
    let (r#type, title) = kind_of(status);
    let problem = Problem {
        r#type,
        title,
        status,
        detail,
        error_code,
        errors,
        operation_id,
    };
    Document {
        status,
        content_type: "application/problem+json",
        body: serde_json::to_string(&problem).unwrap_or_default(),
    }
}

fn kind_of(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "https://tools.ietf.org/html/rfc7231#section-6.5.1",
            "One or more validation errors occurred.",
        ),
        401 => (
            "https://tools.ietf.org/html/rfc7235#section-3.1",
            "Unauthorized",
        ),
        403 => (
            "https://tools.ietf.org/html/rfc7231#section-6.5.3",
            "Forbidden",
        ),
        404 => (
            "https://tools.ietf.org/html/rfc7231#section-6.5.4",
            "Not Found",
        ),
        405 => (
            "https://tools.ietf.org/html/rfc7231#section-6.5.5",
            "Method Not Allowed",
        ),
        413 => (
            "https://tools.ietf.org/html/rfc7231#section-6.5.11",
            "Payload Too Large",
        ),
        422 => (
            "https://tools.ietf.org/html/rfc4918#section-11.2",
            "Operation failed because of provided data or invalid object state in Fiscal backend.",
        ),
        429 => (
            "https://tools.ietf.org/html/rfc6585#section-4",
            "Too Many Requests",
        ),
        _ => (
            "https://tools.ietf.org/html/rfc7231#section-6.6.1",
            "Server encountered temporary issues.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operation ID is in every body, be it empty, full or a problem.
    #[test]
    fn operation_id_is_in_every_body() {
        assert_eq!(with_operation_id("{}", "x:1"), r#"{"operationID":"x:1"}"#);
        assert_eq!(
            with_operation_id(r#"{"a":1}"#, "x:1"),
            r#"{"a":1,"operationID":"x:1"}"#
        );
        let refused = Answer::Refused(Refusal::code("FISC01", "no"));
        let document = refused.document("x:2");
        assert_eq!(
            (document.status, document.content_type),
            (422, "application/problem+json")
        );
        let body: serde_json::Value = serde_json::from_str(&document.body).unwrap();
        assert_eq!(body["errorCode"], "FISC01");
        assert_eq!(body["operationID"], "x:2");
    }
}
