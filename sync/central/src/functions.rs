//! The six functions of the runbook: profile, health, credentials, devices, submissions; and the checklist.
//!
//! Their names, and the names of tables and columns in what they answer, are the runbook's. Nothing here sells or sends: stores
//! do, and are asked through [`crate::commands`]. What decides over selling is changed by [`gates`] alone, on the evidence that
//! [`checklist`] finds.

mod certificate;
pub mod checklist;
pub mod credential_actions;
pub mod credentials;
pub mod days_open;
pub mod device_actions;
pub mod devices;
pub mod export;
pub mod gates;
pub mod health;
pub mod input;
pub mod jobs;
pub mod profile;
mod reported;
pub mod retirement;
pub mod search;
pub mod settings;
pub mod stores;
pub mod submissions;
pub mod vat;
pub mod watch;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::hq::SharedHq;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(profile::get, profile::put))
        .routes(routes!(profile::review))
        .routes(routes!(gates::enable))
        .routes(routes!(gates::disable))
        .routes(routes!(gates::cut_over))
        .routes(routes!(gates::rollback))
        .routes(routes!(checklist::get))
        .routes(routes!(checklist::isolation::post))
        .routes(routes!(health::get))
        .routes(routes!(credentials::list, credentials::upload))
        .routes(routes!(credentials::policy, credentials::set_policy))
        .routes(routes!(credential_actions::activate))
        .routes(routes!(credential_actions::revoke))
        .routes(routes!(devices::list, devices::create))
        .routes(routes!(devices::get, device_actions::change))
        .routes(routes!(device_actions::ask))
        .routes(routes!(stores::list, stores::create))
        .routes(routes!(stores::code))
        .routes(routes!(stores::log))
        .routes(routes!(settings::get, settings::put))
        .routes(routes!(settings::put_all))
        .routes(routes!(retirement::retire))
        .routes(routes!(search::logs, submissions::submit))
        .routes(routes!(submissions::follow))
        .routes(routes!(search::receipts))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::act))
        .routes(routes!(export::receipts))
        .routes(routes!(export::days))
        .routes(routes!(vat::get))
}
