//! Bodies: declared as JSON, read whole, within limits of size and time.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::Shared;
use super::problem::{Problem, ProblemCode as P};

/// What is read and thrown away of a body that is too large, so that its sender is still there to hear
/// that it was: a connection closed with unread bytes is reset.
const DRAIN: usize = 32 * 1024 * 1024;
/// Longest Idempotency-Key.
const MAX_KEY: usize = 200;

impl Shared {
    /// Reads a body that must be JSON.
    pub(super) async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
        let limits = self.settings.limits;
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<usize>().ok());
        if headers.contains_key(header::EXPECT) && length.is_some_and(|n| n > limits.body) {
            // He waits for leave to send it.
            return Err(too_large(limits.body));
        }
        match timeout(limits.body_time, collect(body, limits.body)).await {
            Ok(Ok(bytes)) => {
                if !bytes.is_empty() {
                    is_json(headers)?;
                }
                Ok(bytes)
            }
            Ok(Err(problem)) => Err(problem),
            Err(_) => {
                let detail = format!("it did not arrive within {} s", limits.body_time.as_secs());
                Err(Problem::new(P::BodyIncomplete, detail))
            }
        }
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Problem::new(P::BodyIncomplete, format!("it broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > DRAIN {
            break;
        }
        if length > limit {
            all = Vec::new();
            continue;
        }
        // Nearly always there is one frame, which then need not be copied.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    if length > limit {
        return Err(too_large(limit));
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("at most {limit} bytes are read");
    Problem::new(P::BodyTooLarge, detail)
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let detail = format!(
            "the body is encoded ({}); send it as it is",
            encoding.to_str().unwrap_or("unreadable")
        );
        return Err(Problem::new(P::ContentType, detail));
    }
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let shown: String = declared.chars().take(100).collect();
    let detail = if shown.is_empty() {
        "there is no Content-Type".to_owned()
    } else {
        format!("the Content-Type is {shown}")
    };
    Err(Problem::new(P::ContentType, detail))
}

/// The `Idempotency-Key`, if there is one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(Problem::new(P::KeyInvalid, "the header is there twice"));
    }
    let text = value.to_str().unwrap_or_default();
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_KEY || !is_visible {
        return Err(Problem::new(
            P::KeyInvalid,
            "the key must have 1 to 200 visible ASCII characters",
        ));
    }
    Ok(Some(text.to_owned()))
}
