//! The stores' channel: batches up, acknowledgement and commands down.

use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
}
