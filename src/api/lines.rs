//! JSON lines: HTTP's requests for POS software without HTTP.
//!
//! A line `{"id","method","path","headers","body"}` becomes the same request to the same router, and the
//! answer one line `{"id","status","headers","body"}`, in the order of the requests. The token of the
//! first line is that of the connection until another one is sent.

use std::io;
use std::pin::pin;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts as _;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::Response;
use base64::Engine as _;
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;

use super::Api;
use super::access::{Arrival, Caller, Door};
use super::line::{Asked, Line, ask, line, problem_line, read_line};
use super::problem::{PROBLEM_JSON, Problem, ProblemCode as P};
use super::stalled::patience;

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
        let Asked { id, request } = ask(line, &mut talk.token);
        let mut request = match request {
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
