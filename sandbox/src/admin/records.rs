//! The admin port's paths to what else a device has: files, security codes.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Sandbox;
use crate::sandbox::RunningSandbox;

pub(super) fn router() -> Router<RunningSandbox> {
    Router::new()
        .route("/devices/{id}/files", get(files))
        .route("/devices/{id}/mails", get(mails))
}

async fn files(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    axum::Json(sandbox.files(id)).into_response()
}

async fn mails(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    axum::Json(sandbox.mails(id)).into_response()
}
