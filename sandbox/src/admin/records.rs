//! The admin port's paths to what else a device has: files, security codes, stock; and
//! what was sent against the schema.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use super::{Failure, Sandbox, read};
use crate::sandbox::RunningSandbox;

pub(super) fn router() -> Router<RunningSandbox> {
    Router::new()
        .route("/devices/{id}/files", get(files))
        .route("/devices/{id}/mails", get(mails))
        .route("/devices/{id}/stock", put(set_stock))
        .route("/schema-violations", get(schema_violations))
}

async fn files(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    axum::Json(sandbox.files(id)).into_response()
}

async fn mails(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    axum::Json(sandbox.mails(id)).into_response()
}

/// All that is in stock at the device's branch, anew.
async fn set_stock(
    State(sandbox): Sandbox,
    Path(id): Path<u32>,
    body: String,
) -> Result<StatusCode, Failure> {
    let goods: Vec<crate::spec::Good> = read(&body)?;
    sandbox.set_stock(id, &goods)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn schema_violations(State(sandbox): Sandbox) -> axum::Json<Vec<String>> {
    axum::Json(sandbox.schema_violations())
}
