//! The router: every path of the service, in one table that is also the OpenAPI document.

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;
use crate::{access, functions, pages, sync, worker};

/// All paths, and the document that describes them.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .merge(access::paths::routes())
        .merge(functions::routes())
        .merge(sync::routes())
        .merge(worker::routes())
        .merge(pages::routes())
}

/// The service, ready to be served.
pub fn router(hq: SharedHq) -> Router {
    let (router, _document) = routes().split_for_parts();
    router.with_state(hq)
}
