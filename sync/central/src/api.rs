//! The router: every path of the service, in one table that is also the OpenAPI document.
//!
//! What is the same for every request, the limits, the headers, the audit of refusals, is done around the table
//! ([`Edge`]), so that no handler can forget it.

use std::sync::{Arc, OnceLock};

use axum::http::{Method, Uri};
use axum::{Router, middleware};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ObjectBuilder, OpenApi, PathItem, RefOr, Required, SchemaFormat, Type};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;
use crate::problem::{Code, Problem};
use crate::{access, functions, pages, serve, sync, worker};

mod address;
mod buckets;
mod docs;
mod edge;

pub use address::{Network, NetworkError};
pub use buckets::Rate;
pub use edge::Edge;

const ABOUT: &str = "\
Head office: the stores of a company, their tills, receipts, days and credentials. People sign in (`POST /session`, then the \
cookie, and `X-CSRF-Token` with every write), machines send a token (`Authorization: Bearer fhq_…`). Everything is about the \
company that the caller belongs to; whoever runs the service names another with `?tenant=`. Everything that is not what was \
asked for is a problem document with a `code` that stays.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "fiscal-hq", version = "1", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(Problem)),
    modifiers(&Security),
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = |about: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
            SecurityScheme::Http(scheme.description(Some(about)).build())
        };
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
            "__Host-fhq",
            "A session; writes also carry X-CSRF-Token.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", bearer("An API token, made by an admin: fhq_…"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        components.add_security_scheme("store", bearer("A store's secret, given when it joined."));
        components.add_security_scheme("metrics", bearer("HQ_METRICS_TOKEN."));
        components.add_security_scheme("worker", bearer("FDMS_WORKER_SECRET."));
        let none: [&str; 0] = [];
        document.security = Some(
            ["token", "session"]
                .map(|name| SecurityRequirement::new(name, none))
                .to_vec(),
        );
    }
}

/// All paths, and the document that describes them.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(access::paths::routes())
        .merge(functions::routes())
        .merge(sync::routes())
        .merge(worker::routes())
        .merge(pages::routes())
        .merge(serve::health::routes())
        .merge(docs::routes())
}

/// The service, ready to be served, with the limits of [`Edge::default`].
pub fn router(hq: SharedHq) -> Router {
    router_with(hq, Edge::default())
}

/// The service, ready to be served. The address of whoever connects is taken from the request's
/// `axum::extract::ConnectInfo<SocketAddr>`.
pub fn router_with(hq: SharedHq, edge: Edge) -> Router {
    let (router, _document) = routes().split_for_parts();
    let edge = Arc::new(edge::Running::new(edge, Arc::clone(&hq)));
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(hq)
        .layer(middleware::from_fn_with_state(edge, edge::around))
}

/// The OpenAPI document, as `/openapi.json` gives it.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (_, mut document) = routes().split_for_parts();
        // The servers are wherever the document was read from.
        document.servers = None;
        for item in document.paths.paths.values_mut() {
            name_tenants(item);
        }
        // Texts, numbers and maps with strings as keys always serialise.
        serde_json::to_string(&document).unwrap_or_default()
    })
}

/// Wherever a person or a token is asked for, the operator may name a tenant.
fn name_tenants(item: &mut PathItem) {
    let operations: [&mut Option<Operation>; 5] = [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ];
    for operation in operations.into_iter().flatten() {
        let has_own_security = operation.security.is_some();
        let parameters = operation.parameters.get_or_insert_default();
        let is_named = parameters
            .iter()
            .any(|known| matches!(known, RefOr::T(known) if known.name == "tenant"));
        if !has_own_security && !is_named {
            parameters.push(RefOr::T(tenant_parameter()));
        }
    }
}

fn tenant_parameter() -> Parameter {
    let uuid = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())));
    ParameterBuilder::new()
        .name("tenant")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("Whoever runs the service alone: another tenant."))
        .schema(Some(uuid))
        .build()
}

async fn unknown_path(uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(100).collect();
    Problem::new(Code::NotFound, format!("there is nothing at {shown}"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(100).collect();
    Problem::new(
        Code::Method,
        format!("{shown} does not know the method {method}"),
    )
}
