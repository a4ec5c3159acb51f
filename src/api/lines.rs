//! JSON lines: HTTP's requests for POS software without HTTP.
//!
//! A line `{"id","method","path","headers","body"}` becomes the same request to the same router, and the
//! answer one line `{"id","status","headers","body"}`, in the order of the requests. The token of the
//! first line is that of the connection until another one is sent.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts as _;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::response::Response;
use base64::Engine as _;
use fiscal::wire::Object;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;

use super::Api;
use super::access::{Arrival, Caller, Door};
use super::problem::{PROBLEM_JSON, Problem, ProblemCode as P};
use super::stalled::patience;

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
enum Line {
    Whole(Vec<u8>),
    TooLong,
    TooSlow,
    End,
}

/// What is remembered from line to line.
struct Conversation {
    arrival: Arrival,
    /// The last token that was sent.
    token: Option<HeaderValue>,
    is_first: bool,
    /// Whether a request came from a caller who is known, by his token or his user.
    is_known: bool,
}

impl Conversation {
    fn new(door: Door) -> Self {
        Self {
            arrival: Arrival {
                door,
                is_line: true,
            },
            token: None,
            is_first: true,
            is_known: false,
        }
    }
}

impl Api {
    /// Answers lines until the other side has no more, or the daemon stops.
    ///
    /// A place at the door is not free: who has not asked for anything as a known caller within
    /// `Limits::head` is sent away, and so is who does not read his answers.
    pub(super) async fn lines<S>(&self, stream: S, door: Door)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let limits = self.shared.settings.limits;
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        let mut talk = Conversation::new(door);
        // From the beginning and not from the last line: asking in vain again and again gains no time.
        let mut unknown = pin!(patience(limits.head));
        loop {
            let line = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break,
                () = unknown.as_mut(), if !talk.is_known => break,
                () = patience(limits.idle), if talk.is_known => break,
                begun = reader.fill_buf() => match begun {
                    Ok([]) => Ok(Line::End),
                    Ok(_) => self.next_line(&mut reader).await,
                    Err(error) => Err(error),
                },
            };
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    tracing::debug!(%error, "a connection broke off");
                    break;
                }
            };
            let (answer, goes_on) = self.reply(line, &mut talk).await;
            // Gone before the answer: what was done is done, and found by its key.
            let written = timeout(limits.body_time, writer.write_all(answer.as_bytes())).await;
            if !goes_on || !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
        let _ = timeout(limits.body_time, writer.shutdown()).await;
    }

    /// The answer to what came in, empty if there is none, and whether the conversation goes on.
    async fn reply(&self, line: Line, talk: &mut Conversation) -> (String, bool) {
        match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => (String::new(), true),
            Line::Whole(line) => {
                // Whoever begins otherwise speaks something else; perhaps a web page.
                let goes_on = !talk.is_first || line.trim_ascii_start().starts_with(b"{");
                talk.is_first = false;
                (self.answer_line(&line, talk).await, goes_on)
            }
            Line::TooLong => {
                talk.is_first = false;
                let limit = self.shared.settings.limits.line;
                let detail = format!("at most {limit} bytes are read");
                (
                    problem_line(None, &Problem::new(P::LineTooLong, detail)),
                    true,
                )
            }
            Line::TooSlow => {
                let detail = "the line was begun and not ended in time";
                let problem = Problem::new(P::BodyIncomplete, detail);
                (problem_line(None, &problem), false)
            }
            Line::End => (String::new(), false),
        }
    }

    /// Reads a line that has begun: it must end in time.
    async fn next_line<R>(&self, reader: &mut R) -> io::Result<Line>
    where
        R: AsyncBufRead + Unpin,
    {
        let limits = self.shared.settings.limits;
        tokio::select! {
            biased;
            // Half a line is no request in flight.
            () = self.shared.stop.cancelled() => Ok(Line::End),
            line = timeout(limits.body_time, read_line(reader, limits.line)) => {
                line.unwrap_or(Ok(Line::TooSlow))
            }
        }
    }

    /// Whether the caller of a request is one whom the ledger or the configuration knows.
    async fn knows(&self, arrival: Arrival, request: Request<Body>) -> (bool, Request<Body>) {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(arrival);
        let caller = Caller::from_request_parts(&mut parts, &self.shared).await;
        (caller.is_ok(), Request::from_parts(parts, body))
    }

    async fn answer_line(&self, line: &[u8], talk: &mut Conversation) -> String {
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
            Err(error) => return problem_line(None, &Problem::new(P::LineMalformed, error)),
        };
        let id = match checked_id(line.id) {
            Ok(id) => id,
            Err(problem) => return problem_line(None, &problem),
        };
        let mut request = match request(&line, &mut talk.token) {
            Ok(request) => request,
            Err(problem) => return problem_line(id, &problem),
        };
        if request.uri().path() == "/v1/events" {
            let problem = Problem::new(P::NeedsHttp, "events are streamed over HTTP only");
            return problem_line(id, &problem);
        }
        if !talk.is_known {
            (talk.is_known, request) = self.knows(talk.arrival, request).await;
        }
        let response = self.answer(talk.arrival, request).await;
        response_line(id, response).await
    }
}

async fn read_line<R>(reader: &mut R, limit: usize) -> io::Result<Line>
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

fn problem_line(id: Option<&RawValue>, problem: &Problem) -> String {
    let status = problem.status().as_u16();
    line(id, status, None, &problem.to_json())
}

/// An answer as a line; `body` is JSON.
pub(super) fn line(
    id: Option<&RawValue>,
    status: u16,
    headers: Option<&HeaderMap>,
    body: &str,
) -> String {
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

/// Text becomes a JSON string, a picture a JSON string in base64.
async fn response_line(id: Option<&RawValue>, response: Response) -> String {
    let (parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let problem = Problem::new(P::Defect, error.to_string());
            return problem_line(id, &problem);
        }
    };
    let status = parts.status.as_u16();
    let mut headers = HeaderMap::new();
    for name in [header::LOCATION, header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let is_json = ["application/json", PROBLEM_JSON]
        .iter()
        .any(|json| essence.starts_with(json));
    if is_json {
        let text = String::from_utf8_lossy(&bytes);
        return line(id, status, Some(&headers), &text);
    }
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    let is_text = essence.starts_with("text/") || essence.contains("svg");
    let text = as_text(&bytes, is_text);
    let body = serde_json::to_string(&text).unwrap_or_default();
    line(id, status, Some(&headers), &body)
}

fn as_text(bytes: &Bytes, is_text: bool) -> String {
    if is_text {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
