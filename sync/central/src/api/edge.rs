//! What is done around every request: where it comes from, how many are let through, what is read before the
//! handler, and what every answer carries.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use super::address::{Network, client};
use super::buckets::{Buckets, Rate};
use crate::access::denied::{self, Noted};
use crate::access::{ClientAddress, FormCsrf, Seen, bearer, pauses, secret};
use crate::db::TenantId;
use crate::hq::SharedHq;
use crate::pages;
use crate::problem::{Code, FORM, MAX_BODY, Problem, caught, collect, declares};

/// What is let through.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Proxies in front of the service whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests from one address, but those whose token or secret has proved good. A sign-in, token, secret or code
    /// that is refused counts as ten more.
    pub per_address: Rate,
    /// Requests with one token or one store's secret.
    pub per_token: Rate,
    /// Longest time for an answer.
    pub request: Duration,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            // An office behind one address, each page with a handful of files.
            per_address: Rate {
                burst: 1200,
                per_second: 60,
            },
            per_token: Rate {
                burst: 1200,
                per_second: 60,
            },
            request: Duration::from_secs(150),
        }
    }
}

/// Guesses of one caller that are written down, so that nobody floods the audit with them.
const GUESSES: Rate = Rate {
    burst: 200,
    per_second: 1,
};

/// What a refused sign-in or token costs its address.
const REFUSED: u32 = 10;

/// The policy of pages: no script, style or picture but our own, nothing inline, no frame around.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What every answer carries, unless its handler says otherwise.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: with that, browsers say of our own forms that they come from nowhere.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// The edge at work.
#[derive(Debug)]
pub(super) struct Running {
    hq: SharedHq,
    settings: Edge,
    addresses: Buckets<IpAddr>,
    tokens: Buckets<Vec<u8>>,
    guesses: Buckets<(TenantId, String)>,
    /// Guesses that were too many to be written down, since the last that was.
    left_out: Mutex<HashMap<(TenantId, String), u64>>,
}

impl Running {
    pub(super) fn new(settings: Edge, hq: SharedHq) -> Self {
        Self {
            hq,
            addresses: Buckets::new(settings.per_address),
            tokens: Buckets::new(settings.per_token),
            guesses: Buckets::new(GUESSES),
            left_out: Mutex::default(),
            settings,
        }
    }

    /// Counts a request.
    fn count(&self, from: IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
        let now = self.hq.clock.boot();
        // Whatever is shown may be made up: the address pays until it has proved good.
        let mut counted = self.addresses.take(pauses::network(from), 1, now);
        if let (Ok(()), Some(token)) = (&counted, bearer(headers)) {
            counted = self.tokens.take(secret::hash(token), 1, now);
        }
        counted.map_err(|seconds| {
            let detail = format!("too many requests: again in {seconds} s");
            Problem::busy(seconds, detail)
        })
    }

    /// When a request is answered: many stores may be behind one address, so what has shown a good secret is counted
    /// by that alone. What was refused costs the address more, however the answer looks.
    fn settle(&self, from: IpAddr, seen: &Seen, status: StatusCode) {
        let network = pauses::network(from);
        if seen.has_guessed() || status == StatusCode::UNAUTHORIZED {
            // Whether there is anything left to take does not matter: he was answered.
            let _ = self.addresses.take(network, REFUSED, self.hq.clock.boot());
        } else if seen.has_proved() {
            self.addresses.give(&network, 1);
        }
    }
}

impl Running {
    /// What of a request is written down.
    fn noted(&self, seen: &Seen) -> Option<Noted> {
        let caller = seen.caller()?;
        if seen.refused().is_some() {
            return Some(Noted::Denied);
        }
        if !seen.has_missed() {
            return None;
        }
        let key = (caller.home, caller.actor.clone());
        let now = self.hq.clock.boot();
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if self.guesses.take(key.clone(), 1, now).is_err() {
            *left_out.entry(key).or_default() += 1;
            return None;
        }
        let left_out = left_out.remove(&key).unwrap_or_default();
        Some(Noted::NotFound { left_out })
    }
}

/// Answers one request, whatever happens.
pub(super) async fn around(
    State(edge): State<Arc<Running>>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = client(
        request.extensions(),
        request.headers(),
        &edge.settings.trusted_proxies,
    );
    let wants_page = takes_pages(request.headers());
    let mut response = match edge.count(from, request.headers()) {
        Err(problem) => problem.into_response(),
        Ok(()) => {
            let seen = Seen::at(from);
            request.extensions_mut().insert(ClientAddress(from));
            request.extensions_mut().insert(seen.clone());
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let route = request.extensions().get::<MatchedPath>();
            let names_something = route.is_some_and(|route| route.as_str().contains('{'));
            let response = answer(&edge, request, next).await;
            if names_something && response.status() == StatusCode::NOT_FOUND {
                seen.miss();
            }
            if let Some(noted) = edge.noted(&seen) {
                denied::note(&edge.hq, &seen, noted, (&method, &uri)).await;
            }
            edge.settle(from, &seen, response.status());
            response
        }
    };
    if wants_page {
        response = as_page(response);
    }
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if edge.hq.secure_cookies {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Whether a browser asks for something to look at: it names HTML first.
fn takes_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// A problem document as a page that says the same, wherever it comes from; anything else as it is.
fn as_page(mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let mut page = pages::problem_page(problem);
    for name in [header::RETRY_AFTER, header::SET_COOKIE] {
        for value in response.headers().get_all(&name) {
            page.headers_mut().append(name.clone(), value.clone());
        }
    }
    page
}

async fn answer(edge: &Running, request: Request, next: Next) -> Response {
    let answered = async {
        match with_form_csrf(request).await {
            Ok(request) => caught(next.run(request)).await,
            Err(problem) => Err(problem),
        }
    };
    let limit = edge.settings.request;
    match timeout(limit, answered).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => {
            let detail = format!(
                "no answer within {} s; look whether it was done before you repeat it",
                limit.as_secs()
            );
            Problem::new(Code::Timeout, detail).into_response()
        }
    }
}

/// Reads the field `csrf` of a form, for the caller to be checked with before the handler reads the form.
async fn with_form_csrf(request: Request) -> Result<Request, Problem> {
    if request.method().is_safe() || !declares(request.headers(), FORM) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let bytes = collect(body, MAX_BODY).await?;
    let field = form_urlencoded::parse(&bytes).find(|(name, _)| name == "csrf");
    if let Some((_, value)) = field {
        parts.extensions.insert(FormCsrf(value.into_owned()));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field is found and the form is still whole for the handler; JSON is not looked into.
    #[tokio::test]
    async fn the_field_of_a_form_is_read_first() {
        let ask = |kind: &str, body: &'static str| {
            Request::post("/x")
                .header(header::CONTENT_TYPE, kind)
                .body(Body::from(body))
                .unwrap()
        };
        let read = with_form_csrf(ask(FORM, "a=1&csrf=x%2By")).await.unwrap();
        assert_eq!(read.extensions().get::<FormCsrf>().unwrap().0, "x+y");
        let bytes = collect(read.into_body(), 100).await.unwrap();
        assert_eq!(bytes.as_ref(), b"a=1&csrf=x%2By");
        let read = with_form_csrf(ask("application/json", "csrf=x"))
            .await
            .unwrap();
        assert!(read.extensions().get::<FormCsrf>().is_none());
    }
}
