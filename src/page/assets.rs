//! The stylesheet, the script and the mark: files of their own, so that no page needs any inline.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

const CSS: &str = include_str!("assets/operator.css");
const SCRIPT: &str = include_str!("assets/operator.js");
const ICON: &str = include_str!("assets/icon.svg");

/// What every page is answered with: nothing from elsewhere, nothing inline, no frames, nothing kept.
pub(super) const GUARDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With none at all a browser would not say that a form comes from this page.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The stylesheet.
pub(super) async fn css(headers: HeaderMap) -> Response {
    file(&headers, CSS, "text/css; charset=utf-8")
}

/// The script.
pub(super) async fn script(headers: HeaderMap) -> Response {
    file(&headers, SCRIPT, "text/javascript; charset=utf-8")
}

/// The mark in the browser's tab.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    file(&headers, ICON, "image/svg+xml")
}

fn file(headers: &HeaderMap, text: &'static str, kind: &'static str) -> Response {
    let digest = Sha256::digest(text.as_bytes());
    let tag: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH);
    let kept = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, kind)], text).into_response()
}
