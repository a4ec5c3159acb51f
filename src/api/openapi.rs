//! The routes, and the OpenAPI document made from the very same list: neither can have what the other lacks.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{Method, Uri};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Problem, ProblemCode as P};
use super::{
    Shared, alarms, captures, credit, days, events, files, metrics, optional, page, pictures,
    ports, printing, queue, receipts, status, tills,
};

const ABOUT: &str = "\
The gateway that makes fiscal receipts of a shop's sales. Sign in with a till's token (`Bearer`). Amounts are exact decimals. \
Everything that is not what was asked for is a problem document with a stable `code`. Within v1 paths, parameters and members \
are only added: clients ignore members that they do not know.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "fiscald", version = "1", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "receipts", description = "Selling, and asking for receipts."),
        (name = "days", description = "Fiscal days, X and Z reports."),
        (name = "printing", description = "Printers, print jobs, documents as PDF."),
        (name = "state", description = "How the store is, and what happens."),
        (name = "tills", description = "What a technician does to a till."),
        (name = "optional", description = "Optional parts of FDMS, passed on: users and stock."),
        (name = "documentation", description = "This document and its page."),
    ),
    modifiers(&Bearer),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A till's token, made by `fiscald token add`."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
        let none: [&str; 0] = [];
        document.security = Some(vec![SecurityRequirement::new("token", none)]);
    }
}

/// The router and its document.
pub(super) fn routes() -> (Router<Arc<Shared>>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(receipts::sell, receipts::list))
        .routes(routes!(receipts::preview))
        .routes(routes!(receipts::by_number))
        .routes(routes!(receipts::text))
        .routes(routes!(receipts::creditable))
        .routes(routes!(credit::credit))
        .routes(routes!(pictures::qr_svg))
        .routes(routes!(pictures::qr_png))
        .routes(routes!(days::open))
        .routes(routes!(days::close))
        .routes(routes!(days::by_number))
        .routes(routes!(days::x))
        .routes(routes!(days::z))
        .routes(routes!(files::export))
        .routes(routes!(files::result))
        .routes(routes!(printing::printers))
        .routes(routes!(printing::test))
        .routes(routes!(printing::drawer))
        .routes(routes!(printing::list))
        .routes(routes!(printing::job))
        .routes(routes!(printing::settle))
        .routes(routes!(printing::cancel))
        .routes(routes!(printing::receipt))
        .routes(routes!(printing::day))
        .routes(routes!(captures::list))
        .routes(routes!(captures::one))
        .routes(routes!(captures::raw))
        .routes(routes!(captures::replay))
        .routes(routes!(captures::dropped))
        .routes(routes!(ports::ports))
        .routes(routes!(printing::receipt_pdf))
        .routes(routes!(printing::day_pdf))
        .routes(routes!(status::status))
        .routes(routes!(alarms::list))
        .routes(routes!(status::queue))
        .routes(routes!(queue::head))
        .routes(routes!(queue::retry))
        .routes(routes!(queue::pause))
        .routes(routes!(tills::configs, tills::fetch_config))
        .routes(routes!(tills::renew_certificate))
        .routes(routes!(tills::adopt))
        .routes(routes!(tills::confirm))
        .routes(routes!(tills::retire))
        .routes(routes!(tills::switch))
        .routes(routes!(optional::user_list))
        .routes(routes!(optional::user_call))
        .routes(routes!(optional::stock))
        .routes(routes!(events::events))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(page::document))
        .routes(routes!(page::root))
        .routes(routes!(page::docs))
        .routes(routes!(page::page))
        .routes(routes!(page::file))
        .split_for_parts();
    // The servers are wherever the document was read from.
    document.servers = None;
    open_schemas(&mut document);
    let router = router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    (router, document)
}

/// Members may be added to answers (docs/API.md), so no schema tells a client to refuse what it does not know.
/// The types behind them do: the tests read answers with them.
fn open_schemas(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.additional_properties = None;
        }
    }
}

/// The document as JSON on one line.
pub(super) fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (_, document) = routes();
        // Texts, numbers and maps with strings as keys always serialise.
        serde_json::to_string(&document).unwrap_or_default()
    })
}

async fn unknown_path(uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(100).collect();
    Problem::new(P::PathUnknown, format!("there is nothing at {shown}"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(100).collect();
    Problem::new(
        P::MethodNotAllowed,
        format!("{shown} does not know the method {method}"),
    )
}
