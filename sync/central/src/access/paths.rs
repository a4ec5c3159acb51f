//! The paths of people, tokens and tenants, for machines; the pages call the same functions.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::hq::SharedHq;

mod people;
mod session;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(session::begin, session::current, session::end))
        .routes(routes!(session::second_step))
        .routes(routes!(session::forgot))
        .routes(routes!(session::take_up))
        .routes(routes!(session::end_all))
        .routes(routes!(session::change_password))
        .routes(routes!(session::second_factor))
        .routes(routes!(session::confirm_second_factor))
        .routes(routes!(session::remove_second_factor))
        .routes(routes!(people::users, people::invite))
        .routes(routes!(people::change_user))
        .routes(routes!(people::renew_code))
        .routes(routes!(people::end_sessions))
        .routes(routes!(people::remove_second_factor))
        .routes(routes!(people::tokens, people::create_token))
        .routes(routes!(people::revoke_token))
        .routes(routes!(people::tenants, people::create_tenant))
}
