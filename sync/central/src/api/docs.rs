//! The OpenAPI document and the page to read and try it: served from the program itself, needs no internet.
//!
//! The page is Swagger UI. Its style sheets need `unsafe-inline`, which is why it has a policy of its own.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::document;
use crate::hq::SharedHq;
use crate::problem::{At, Problem};

/// What the page may do: scripts, styles and requests of its own origin; pictures also inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The paths.
pub(super) fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(openapi))
        .routes(routes!(to_page))
        .routes(routes!(page))
        .routes(routes!(file))
}

/// The OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documentation",
    operation_id = "openapi",
    security(()),
    responses((status = 200, description = "The document.", body = Object, content_type = "application/json")),
)]
async fn openapi() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::OK, kind, document()).into_response()
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
async fn to_page() -> Response {
    let place = [(header::LOCATION, "/docs/")];
    (StatusCode::TEMPORARY_REDIRECT, place).into_response()
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
async fn page() -> Result<Response, Problem> {
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
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream")),
)]
async fn file(At(file): At<String>) -> Result<Response, Problem> {
    file_of(&file)
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
    let unknown = || Problem::not_found("file");
    let file = utoipa_swagger_ui::serve(name, config())
        .map_err(|error| Problem::defect(&error))?
        .ok_or_else(unknown)?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let kind = match file.content_type.as_str() {
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        other => HeaderValue::try_from(other).map_err(|_| unknown())?,
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "max-age=3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
