//! The JSON lines of software without HTTP: torn anywhere they say the same, and no line becomes anything but one
//! request or one refusal.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use fiscald::api::line::{Line, ask, line, problem_line, read_line};
use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tokio::io::BufReader;

use crate::input::Input;

/// A byte for the longest line, one for how the stream is torn, then the stream.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = 16 + 4 * usize::from(input.byte());
    let piece = 1 + usize::from(input.byte());
    let stream = input.rest();
    let whole = lines(stream, limit, stream.len().max(1));
    assert_eq!(whole, lines(stream, limit, piece), "how it is torn matters");
    assert_eq!(whole, lines(stream, limit, 1), "how it is torn matters");
    assert_eq!(whole, cut(stream, limit));
    let mut token = None;
    for line in &whole {
        if let Line::Whole(line) = line {
            asked(line, &mut token);
        }
    }
}

fn lines(stream: &[u8], limit: usize, piece: usize) -> Vec<Line> {
    let mut reader = BufReader::with_capacity(piece, stream);
    let mut lines = Vec::new();
    loop {
        let line = read_line(&mut reader, limit)
            .now_or_never()
            .expect("bytes in memory are not waited for")
            .expect("bytes in memory do not break off");
        if line == Line::End {
            return lines;
        }
        lines.push(line);
    }
}

/// The lines of a stream, read without the product's help.
fn cut(stream: &[u8], limit: usize) -> Vec<Line> {
    let mut pieces: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    if pieces.last().is_some_and(|last| last.is_empty()) {
        pieces.pop();
    }
    let line = |piece: &[u8]| match piece.len() <= limit {
        true => Line::Whole(piece.to_vec()),
        false => Line::TooLong,
    };
    pieces.into_iter().map(line).collect()
}

fn asked(text: &[u8], token: &mut Option<HeaderValue>) {
    let before = token.clone();
    let asked = ask(text, token);
    let id = asked.id.map(RawValue::get);
    assert!(id.is_none_or(|id| id.len() <= 200 && !id.starts_with(['{', '['])));
    match &asked.request {
        Ok(request) => {
            let sent = members(text);
            assert!(sent.keys().all(|name| NAMES.contains(&name.as_str())));
            let method: String =
                serde_json::from_str(sent["method"].get()).expect("a method is a text");
            assert_eq!(method, request.method().as_str());
            assert!(request.uri().to_string().starts_with('/'));
            let headers = request.headers();
            assert_eq!(headers["content-type"], "application/json");
            assert!(!headers.contains_key("content-length"));
            // Whoever shows no token goes on under the one before, and under no other.
            assert_eq!(headers.get("authorization"), token.as_ref());
            let own = sent
                .get("headers")
                .map_or_else(BTreeMap::new, |headers| members(headers.get().as_bytes()));
            let is_shown = |name: &String| name.eq_ignore_ascii_case("authorization");
            assert!(own.keys().any(is_shown) || *token == before);
            answered(&line(asked.id, 200, Some(headers), "{}"), id, 200);
        }
        Err(problem) => {
            let status = problem.status().as_u16();
            assert!((400..500).contains(&status));
            assert_eq!(*token, before);
            answered(&problem_line(asked.id, problem), id, status);
        }
    }
}

const NAMES: [&str; 5] = ["id", "method", "path", "headers", "body"];

/// The members of an object, each as it was sent.
fn members(text: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_slice(text).expect("it is an object")
}

/// An answer is one line of JSON, and goes by the name of its request.
fn answered(answer: &str, id: Option<&str>, status: u16) {
    let text = answer.strip_suffix('\n').expect("a line has an end");
    assert!(!text.contains(['\n', '\r']), "{text:?}");
    let read = members(text.as_bytes());
    assert_eq!(read["id"].get(), id.unwrap_or("null"));
    assert_eq!(read["status"].get(), status.to_string());
}
