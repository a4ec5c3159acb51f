//! The stream that tells an open page that something has happened: not what, so that it shows nothing to anybody; the
//! page then looks anew.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::TryStreamExt as _;

use super::Page;

const CHANGED: &[u8] = b"data: changed\n\n";
const STILL_HERE: &[u8] = b": still here\n\n";

/// The API's events, each as the same word.
pub(super) async fn events(State(page): State<Arc<Page>>) -> Response {
    let response = page.pass_on("/v1/events").await;
    if !response.status().is_success() {
        return response;
    }
    let pieces = response.into_body().into_data_stream().map_ok(|piece| {
        Bytes::from_static(match piece.starts_with(b":") {
            true => STILL_HERE,
            false => CHANGED,
        })
    });
    let mut told = Response::new(Body::from_stream(pieces));
    told.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    told
}
