//! One of the JSON lines of POS software without HTTP, read and written.

use std::collections::BTreeMap;
use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use fiscal::wire::Object;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::problem::{Problem, ProblemCode as P};

/// Longest `id` that is sent back.
const MAX_ID: usize = 200;
/// Headers of a line.
const MAX_HEADERS: usize = 16;

/// A request as a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineRequest<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end. It may be empty.
    Whole(Vec<u8>),
    /// One that was longer than the limit; it was read to its end and thrown away.
    TooLong,
    /// It was begun and not ended in time.
    TooSlow,
    /// There is no more.
    End,
}

/// What a line asks for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What the answer is told apart by: a number or a string, as it was sent.
    pub id: Option<&'a RawValue>,
    /// The same request as HTTP.
    pub request: Result<Request<Body>, Problem>,
}

/// Reads a line that is whole. A token that it carries is kept in `token`; without one of its own it gets what is
/// there.
pub fn ask<'a>(line: &'a [u8], token: &mut Option<HeaderValue>) -> Asked<'a> {
    let none = |problem| Asked {
        id: None,
        request: Err(problem),
    };
    let read: Result<LineRequest<'_>, _> = std::str::from_utf8(line)
        .map_err(|error| error.to_string())
        .and_then(|line| {
            // serde would take the members in their order from an array as well.
            if line.trim_start().starts_with('[') {
                return Err("an array, not an object".to_owned());
            }
            serde_json::from_str(line).map_err(|error| error.to_string())
        });
    let line = match read {
        Ok(line) => line,
        Err(error) => return none(Problem::new(P::LineMalformed, error)),
    };
    match checked_id(line.id) {
        Ok(id) => Asked {
            id,
            request: request(&line, token),
        },
        Err(problem) => none(problem),
    }
}

/// Reads the next line, of at most `limit` bytes without its end.
///
/// # Errors
/// The connection broke.
pub async fn read_line<R>(reader: &mut R, limit: usize) -> io::Result<Line>
where
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let mut is_too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            // A last line without its end is read too: `printf` sends such.
            let is_end = line.is_empty() && !is_too_long;
            return Ok(match (is_end, is_too_long) {
                (true, _) => Line::End,
                (_, true) => Line::TooLong,
                _ => Line::Whole(line),
            });
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len()));
        let part = part.unwrap_or_default();
        if line.len() + part.len() > limit {
            is_too_long = true;
            line = Vec::new();
        }
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(if is_too_long {
                Line::TooLong
            } else {
                Line::Whole(line)
            });
        }
    }
}

/// An id is a number or a short string; anything else would not be worth sending back.
fn checked_id(id: Option<&RawValue>) -> Result<Option<&RawValue>, Problem> {
    let is_fit = id.is_none_or(|id| {
        let text = id.get();
        text.len() <= MAX_ID && !text.starts_with(['{', '['])
    });
    if is_fit {
        return Ok(id);
    }
    Err(Problem::new(
        P::LineMalformed,
        format!("id must be a number or a string of at most {MAX_ID} bytes"),
    ))
}

fn request(
    line: &LineRequest<'_>,
    token: &mut Option<HeaderValue>,
) -> Result<Request<Body>, Problem> {
    let malformed = |detail: String| Problem::new(P::LineMalformed, detail);
    if line.headers.len() > MAX_HEADERS {
        return Err(malformed(format!("at most {MAX_HEADERS} headers are read")));
    }
    if !line.path.starts_with('/') {
        return Err(malformed("path must begin with /".to_owned()));
    }
    let body = line
        .body
        .map(|body| body.get())
        .filter(|body| *body != "null");
    let mut request = Request::builder()
        .method(line.method.as_str())
        .uri(line.path.as_str())
        .body(Body::from(body.unwrap_or_default().to_owned()))
        .map_err(|error| malformed(format!("method or path: {error}")))?;
    let headers = request.headers_mut();
    for (name, value) in &line.headers {
        let known = HeaderName::try_from(name.as_str());
        let (Ok(name), Ok(value)) = (known, HeaderValue::try_from(value.as_str())) else {
            return Err(malformed(format!("the header \"{name}\" cannot be read")));
        };
        headers.append(name, value);
    }
    // The body is a member of a JSON object: it is JSON whatever the headers say.
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    match headers.get(header::AUTHORIZATION) {
        Some(sent) => *token = Some(sent.clone()),
        None => {
            if let Some(token) = token {
                headers.insert(header::AUTHORIZATION, token.clone());
            }
        }
    }
    Ok(request)
}

/// A problem document as a line.
#[must_use]
pub fn problem_line(id: Option<&RawValue>, problem: &Problem) -> String {
    let status = problem.status().as_u16();
    line(id, status, None, &problem.to_json())
}

/// An answer as a line; `body` is JSON.
#[must_use]
pub fn line(id: Option<&RawValue>, status: u16, headers: Option<&HeaderMap>, body: &str) -> String {
    let mut out = String::with_capacity(body.len() + 128);
    let mut o = Object::open(&mut out);
    o.number("id", id.map_or("null", RawValue::get));
    o.number("status", status);
    if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
        o.object("headers", |o| {
            for (name, value) in headers {
                o.text(name.as_str(), value.to_str().unwrap_or_default());
            }
        });
    }
    o.name("body")
        .push_str(if body.is_empty() { "null" } else { body });
    o.close();
    out.push('\n');
    out
}
