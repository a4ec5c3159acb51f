//! The page to read and try the API: served from the program itself, needs no internet.
//!
//! It is Swagger UI over `/openapi.json`. Scripts come from this gateway alone; its style sheets need
//! `unsafe-inline`, which is why the page has a policy of its own.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use utoipa_swagger_ui::Config;

use super::problem::{Problem, ProblemCode as P};
use super::receipts::json;
use super::{openapi, schema};

/// What the page may do: scripts, styles and requests of its own origin; pictures also inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documentation",
    operation_id = "openapi",
    security(()),
    responses((status = 200, description = "The document.", body = Object, content_type = "application/json")),
)]
pub(super) async fn document() -> Response {
    json(StatusCode::OK, openapi::document().to_owned())
}

/// The page: to /docs/.
#[utoipa::path(
    get,
    path = "/",
    tag = "documentation",
    operation_id = "root",
    security(()),
    responses((status = 307, description = "It is at /docs/.")),
)]
pub(super) async fn root() -> Response {
    to_docs()
}

/// The page: to /docs/.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "documentation",
    operation_id = "docs",
    security(()),
    responses((status = 307, description = "It is at /docs/.")),
)]
pub(super) async fn docs() -> Response {
    to_docs()
}

/// The page to read and try the API.
#[utoipa::path(
    get,
    path = "/docs/",
    tag = "documentation",
    operation_id = "docsPage",
    security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) async fn page() -> Result<Response, Problem> {
    file_of("index.html")
}

/// A file of the page.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "documentation",
    operation_id = "docsFile",
    params(("file" = String, Path, description = "Name of the file.")),
    security(()),
    responses((status = 200, description = "The file.", body = inline(schema::Bytes), content_type = "application/octet-stream")),
)]
pub(super) async fn file(Path(file): Path<String>) -> Result<Response, Problem> {
    file_of(&file)
}

fn to_docs() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/docs/"));
    response
}

fn config() -> Arc<Config<'static>> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let config = Config::from("/openapi.json")
            // Else the page would show the document to a server on the internet.
            .validator_url("none")
            .try_it_out_enabled(true)
            .persist_authorization(false);
        Arc::new(config)
    });
    Arc::clone(config)
}

fn file_of(name: &str) -> Result<Response, Problem> {
    let unknown = || Problem::new(P::PathUnknown, "the page has no such file");
    // The shipped example's settings are replaced; any other name is not one of ours.
    let file = utoipa_swagger_ui::serve(name, config())
        .map_err(|error| Problem::new(P::Defect, error.to_string()))?
        .ok_or_else(unknown)?;
    let bytes = match file.bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    let content_type = match file.content_type.as_str() {
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        other => HeaderValue::try_from(other).map_err(|_| unknown())?,
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=3600"),
    );
    Ok(response)
}
