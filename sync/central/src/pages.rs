//! What people see: server-rendered pages.

use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
}
