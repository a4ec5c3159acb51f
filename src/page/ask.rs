//! Asking the API, and what is wrong if it does not answer as hoped.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::Page;
use crate::api::schema::{self, Status, TillState};

/// Why something cannot be shown or done.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// What is wrong, in general; English, as the API says it.
    pub(super) title: String,
    /// What is wrong here.
    pub(super) detail: String,
    /// What to do.
    pub(super) action: String,
    /// The HTTP status.
    pub(super) status: StatusCode,
}

impl Failed {
    /// With words of our own.
    pub(super) fn words(detail: impl Into<String>) -> Self {
        Self {
            title: String::new(),
            detail: detail.into(),
            action: String::new(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// There is no such thing.
    pub(super) fn missing() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::words(String::new())
        }
    }
}

impl From<schema::Problem> for Failed {
    fn from(problem: schema::Problem) -> Self {
        Self {
            title: problem.title,
            detail: problem.detail,
            action: problem.action,
            status: StatusCode::from_u16(problem.status)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A till's name in addresses of the page: `test-101`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TillName {
    pub(super) environment: String,
    pub(super) device_id: u32,
}

impl TillName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (environment, device) = text.split_once('-')?;
        let environment = crate::ledger::Environment::parse(environment)?;
        Some(Self {
            environment: environment.to_string(),
            device_id: device.parse().ok()?,
        })
    }

    pub(super) fn of(till: &TillState) -> Self {
        Self {
            environment: till.environment.clone(),
            device_id: till.device_id,
        }
    }

    pub(super) fn text(&self) -> String {
        format!("{}-{}", self.environment, self.device_id)
    }

    /// The parameters by which the API knows it.
    pub(super) fn query(&self) -> String {
        format!(
            "deviceID={}&environment={}",
            self.device_id, self.environment
        )
    }
}

impl Page {
    /// Asks the API for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        let bytes = self.ask(Method::GET, path, None).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failed::words(format!("{path} answers what is not known: {error}")))
    }

    /// The same where there may be none.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failed> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(failed) if failed.status == StatusCode::NOT_FOUND => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// Has the API do something.
    pub(super) async fn post(&self, path: &str, body: Option<String>) -> Result<Bytes, Failed> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Result<Bytes, Failed> {
        let response = self.response(method, path, body).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await;
        let bytes = bytes
            .map_err(|error| Failed::words(error.to_string()))?
            .to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        let problem: Result<schema::Problem, _> = serde_json::from_slice(&bytes);
        Err(problem.map_or_else(|error| Failed::words(error.to_string()), Failed::from))
    }

    async fn response(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Response, Failed> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|_| Failed::missing())?;
        Ok(self.api.ask_as(&self.actor, request).await)
    }

    /// An answer of the API as it is: a document, a stream.
    pub(super) async fn pass_on(&self, path: &str) -> Response {
        match self.response(Method::GET, path, None).await {
            Ok(response) => response,
            Err(failed) => failed.status.into_response(),
        }
    }

    /// How the store is.
    pub(super) async fn status(&self) -> Result<Status, Failed> {
        self.get("/v1/status").await
    }

    /// The alarms.
    pub(super) async fn alarms(&self) -> Result<Vec<schema::Alarm>, Failed> {
        let alarms: schema::Alarms = self.get("/v1/alarms").await?;
        Ok(alarms.alarms)
    }
}

/// The till with this name.
pub(super) fn till_of<'a>(status: &'a Status, name: &TillName) -> Result<&'a TillState, Failed> {
    let mut tills = status.tills.iter();
    let found = tills.find(|till| TillName::of(till) == *name);
    found.ok_or_else(Failed::missing)
}
