//! What is done around each request: a name for it, one line in the log, a count. The line holds the path as it
//! stands in the router, so never a code, a token, an email or a query.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::hq::SharedHq;
use crate::metrics::METRICS;

/// The header with the request's name, for whoever asks about it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's name: on its answer, in its line of the log and in all that it logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Answers a request, and takes note.
pub(super) async fn watch(
    State(hq): State<SharedHq>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or_else(String::new, |peer| peer.0.ip().to_string());
    let began = hq.clock.boot();
    let span = tracing::info_span!("request", %id);
    let mut response = next.run(request).instrument(span).await;
    let took = hq.clock.boot().saturating_sub(began);
    let status = response.status().as_u16();
    let known =
        if method.is_safe() || matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") {
            method.as_str()
        } else {
            "other"
        };
    METRICS.answered(known, &route, status, took);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%id, method = known, %route, status, ms, %peer, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
