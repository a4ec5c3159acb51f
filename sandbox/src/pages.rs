//! The pages of the admin port: devices, days, receipts, and why a signature is wrong.
//!
//! Made on the server, without scripts; they load themselves anew where things go on.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use serde::Deserialize;

use crate::sandbox::RunningSandbox;

mod device;
mod home;
mod layout;
mod pretty;
mod receipt;
mod rules;

/// How many receipts a page shows.
const RECEIPTS_ON_A_PAGE: usize = 50;

/// The pages' paths.
pub(crate) fn router() -> Router<RunningSandbox> {
    Router::new()
        .route("/", get(home))
        .route("/style.css", get(style))
        .route("/devices/{id}/page", get(device))
        .route("/devices/{id}/receipts/{receipt_id}/page", get(receipt))
}

fn html(page: Markup) -> Response {
    Html(page.into_string()).into_response()
}

fn not_found(what: &str) -> Response {
    (StatusCode::NOT_FOUND, html(layout::not_found(what))).into_response()
}

async fn style() -> impl IntoResponse {
    let css = include_str!("pages/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css)
}

async fn home(State(sandbox): State<RunningSandbox>) -> Response {
    html(home::page(&sandbox))
}

/// Which part of a list is shown; 1 is the newest.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default = "first")]
    page: usize,
}

fn first() -> usize {
    1
}

async fn device(
    State(sandbox): State<RunningSandbox>,
    Path(id): Path<u32>,
    Query(part): Query<Part>,
) -> Response {
    match device::page(&sandbox, id, part.page.max(1)) {
        Some(page) => html(page),
        None => not_found("There is no such device."),
    }
}

async fn receipt(
    State(sandbox): State<RunningSandbox>,
    Path((id, receipt_id)): Path<(u32, i64)>,
) -> Response {
    match sandbox.explained(id, receipt_id) {
        Some(explained) => html(receipt::page(&explained)),
        None => not_found("The device has no such receipt."),
    }
}
