//! How a request is read: strictly, within limits of size and time, with a problem that says where it is wrong.
//!
//! A body that has a field nobody knows is refused where its type says so (`deny_unknown_fields`):
//! a misspelt field must not be taken for one that was left out.

use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use super::{Code, Problem};

/// Bytes of a body. The largest that a person sends is a certificate with its key.
pub const MAX_BODY: usize = 256 * 1024;
/// For a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);

/// A body of JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The variable parts of the path. What cannot be read names nothing: it is not found.
#[derive(Debug)]
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        is_a(&parts.headers, "application/json")?;
        let bytes = collect(body, MAX_BODY).await?;
        json(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("thing"))?;
        Ok(Self(value))
    }
}

/// What forms call themselves.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Whether the body is declared as this media type.
#[must_use]
pub fn declares(headers: &HeaderMap, wanted: &str) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

/// Whether the body is what is wanted, and not packed: nothing is unpacked here.
///
/// # Errors
/// It is declared as another media type, or as encoded.
pub fn is_a(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let encoding = encoding.to_str().unwrap_or("unreadable");
        let detail = format!("the body is encoded ({encoding}); send it as it is");
        return Err(Problem::new(Code::MediaType, detail));
    }
    if declares(headers, wanted) {
        return Ok(());
    }
    let detail = format!("send the body as {wanted}, and say so in Content-Type");
    Err(Problem::new(Code::MediaType, detail))
}

/// Reads a body whole, within a limit of bytes and time.
///
/// # Errors
/// It is too large, too slow, or broke off.
pub async fn collect(body: HttpBody, limit: usize) -> Result<Bytes, Problem> {
    within(BODY_TIME, body, limit).await
}

async fn within(time: Duration, body: HttpBody, limit: usize) -> Result<Bytes, Problem> {
    timeout(time, gather(body, limit)).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} s", time.as_secs());
        Problem::new(Code::Timeout, detail)
    })?
}

async fn gather(mut body: HttpBody, limit: usize) -> Result<Bytes, Problem> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Problem::new(Code::Invalid, format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if all.len() + data.len() > limit {
            let detail = format!("at most {limit} bytes are read");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.into())
}

/// Reads JSON; what is wrong is named by its pointer.
///
/// # Errors
/// It is no JSON, or not what `T` is.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        Problem::field(pointer, error.into_inner().to_string())
    })?;
    reader
        .end()
        .map_err(|error| Problem::field("", format!("after the document: {error}")))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&part);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        name: String,
        #[serde(default)]
        count: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lines {
        lines: Vec<Line>,
    }

    /// What is wrong is named by its place; nothing may follow the document.
    #[test]
    fn json_says_where() {
        let read: Lines = json(br#"{"lines":[{"name":"a","count":2}]}"#).unwrap();
        assert_eq!((read.lines[0].name.as_str(), read.lines[0].count), ("a", 2));
        for (text, place) in [
            (
                r#"{"lines":[{"name":"a"},{"name":"b","count":"x"}]}"#,
                "/lines/1/count",
            ),
            (r#"{"lines":[{"name":"a","cuont":1}]}"#, "/lines/0/cuont"),
            (r#"{"lines":[{}]}"#, "/lines/0"),
            (r#"{"lines":[]} x"#, ""),
            ("", ""),
        ] {
            let problem = json::<Lines>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.pointer.as_deref(), Some(place), "{text}");
            assert_eq!(problem.code, Code::Invalid);
        }
    }

    /// A body that is too large is not read on.
    #[tokio::test]
    async fn bodies_have_a_limit() {
        let all = collect(HttpBody::from(vec![1; 10]), 10).await.unwrap();
        assert_eq!(all.len(), 10);
        let problem = collect(HttpBody::from(vec![1; 11]), 10).await.unwrap_err();
        assert_eq!(problem.code, Code::TooLarge);
    }

    /// One that begins and does not end keeps no place for ever.
    #[tokio::test]
    async fn bodies_have_a_time() {
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let stuck = begun.chain(futures_util::stream::pending());
        let problem = within(Duration::from_millis(1), HttpBody::from_stream(stuck), 10)
            .await
            .unwrap_err();
        assert_eq!(problem.code, Code::Timeout);
    }
}
