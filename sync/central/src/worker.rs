//! What happens by itself: alerts, reminders, overdue days, stuck commands, partitions.

use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
}
