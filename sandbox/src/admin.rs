//! The admin port: everything that [`RunningSandbox`] can do, over plain HTTP on loopback
//! (sandbox/README.md).

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultError, read_faults};
use crate::pages;
use crate::sandbox::RunningSandbox;
use crate::settings::Settings;
use crate::spec::{DeviceChange, DeviceSpec};
use crate::world::DeviceError;

mod records;

/// How many receipts are listed when nothing is said.
const USUAL_LIMIT: usize = 1000;

pub(crate) fn router(sandbox: RunningSandbox) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ca.pem", get(ca_pem))
        .route("/devices", get(devices).post(add_device))
        .route("/devices/{id}", patch(change_device).delete(delete_device))
        .route("/devices/{id}/receipts", get(receipts))
        .route("/devices/{id}/summary", get(summary))
        .route("/devices/{id}/days", get(days))
        .route("/devices/{id}/close-by-hand", post(close_by_hand))
        .route("/devices/{id}/lose-receipt/{no}", post(lose_receipt))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/offline", get(offline).put(set_offline))
        .route(
            "/settings",
            get(settings).put(set_settings).patch(change_settings),
        )
        .route("/requests", get(requests))
        .route("/fault-counts", get(fault_counts))
        .merge(records::router())
        .merge(pages::router())
        .with_state(sandbox)
}

type Sandbox = State<RunningSandbox>;

/// What went wrong, and with which status.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        (self.0, Json(Body { error: self.1 })).into_response()
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let status = match error {
            DeviceError::Exists(_) => StatusCode::CONFLICT,
            DeviceError::Unknown(_) => StatusCode::NOT_FOUND,
            DeviceError::Wrong(_) => StatusCode::BAD_REQUEST,
            DeviceError::NotKept(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// Reads a body with serde_json, whose numbers are exact; axum's own extractor wants a content type.
fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Failure> {
    serde_json::from_str(body).map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ca_pem(State(sandbox): Sandbox) -> String {
    sandbox.ca_pem()
}

async fn devices(State(sandbox): Sandbox) -> Json<Vec<DeviceSpec>> {
    Json(sandbox.devices())
}

async fn add_device(State(sandbox): Sandbox, body: String) -> Result<StatusCode, Failure> {
    sandbox.add_device(read(&body)?)?;
    Ok(StatusCode::CREATED)
}

async fn change_device(
    State(sandbox): Sandbox,
    Path(id): Path<u32>,
    body: String,
) -> Result<StatusCode, Failure> {
    let change: DeviceChange = read(&body)?;
    sandbox.change_device(id, change)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_device(
    State(sandbox): Sandbox,
    Path(id): Path<u32>,
) -> Result<StatusCode, Failure> {
    sandbox.delete_device(id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

async fn receipts(
    State(sandbox): Sandbox,
    Path(id): Path<u32>,
    Query(page): Query<Page>,
) -> Response {
    let limit = page.limit.unwrap_or(USUAL_LIMIT);
    Json(sandbox.receipts_from(id, page.from, limit)).into_response()
}

async fn summary(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    Json(sandbox.summary(id)).into_response()
}

async fn days(State(sandbox): Sandbox, Path(id): Path<u32>) -> Response {
    Json(sandbox.days(id)).into_response()
}

async fn close_by_hand(
    State(sandbox): Sandbox,
    Path(id): Path<u32>,
) -> Result<StatusCode, Failure> {
    if sandbox.close_by_hand(id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let why = format!("device {id} has no open fiscal day");
    Err(Failure(StatusCode::CONFLICT, why))
}

async fn lose_receipt(
    State(sandbox): Sandbox,
    Path((id, no)): Path<(u32, i32)>,
) -> Result<StatusCode, Failure> {
    if sandbox.lose_receipt(id, no) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let why = format!("device {id} has no receipt {no} in an open fiscal day");
    Err(Failure(StatusCode::CONFLICT, why))
}

async fn faults(State(sandbox): Sandbox) -> Json<Vec<Fault>> {
    Json(sandbox.faults())
}

/// One fault, a list of them, or several one behind the other.
async fn add_faults(State(sandbox): Sandbox, body: String) -> Result<StatusCode, Failure> {
    let wrong = |error: FaultError| Failure(StatusCode::BAD_REQUEST, error.to_string());
    sandbox.add_faults(read_faults(&body).map_err(wrong)?);
    Ok(StatusCode::CREATED)
}

async fn clear_faults(State(sandbox): Sandbox) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Serialize, Deserialize)]
struct Offline {
    offline: bool,
}

async fn offline(State(sandbox): Sandbox) -> Json<Offline> {
    Json(Offline {
        offline: sandbox.is_offline(),
    })
}

async fn set_offline(State(sandbox): Sandbox, body: String) -> Result<StatusCode, Failure> {
    let wanted: Offline = read(&body)?;
    sandbox.set_offline(wanted.offline);
    Ok(StatusCode::NO_CONTENT)
}

async fn settings(State(sandbox): Sandbox) -> Json<Settings> {
    Json(sandbox.settings())
}

/// All switches anew; those that are left out go back to their defaults.
async fn set_settings(State(sandbox): Sandbox, body: String) -> Result<StatusCode, Failure> {
    sandbox.set_settings(read(&body)?);
    Ok(StatusCode::NO_CONTENT)
}

/// Some switches; the others stay.
async fn change_settings(State(sandbox): Sandbox, body: String) -> Result<StatusCode, Failure> {
    let wrong = |error: serde_json::Error| Failure(StatusCode::BAD_REQUEST, error.to_string());
    let changes: serde_json::Map<String, serde_json::Value> = read(&body)?;
    let mut all = serde_json::to_value(sandbox.settings()).map_err(wrong)?;
    for (key, value) in changes {
        all[key] = value;
    }
    sandbox.set_settings(serde_json::from_value(all).map_err(wrong)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn fault_counts(State(sandbox): Sandbox) -> Response {
    Json(sandbox.fault_counts()).into_response()
}

async fn requests(State(sandbox): Sandbox) -> Response {
    Json(sandbox.requests()).into_response()
}
