//! The six functions of the runbook: profile, health, credentials, devices, submissions; and the checklist.

use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
}
