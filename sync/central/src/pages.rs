//! What people see: pages made here, one stylesheet and one small script, nothing from elsewhere.
//!
//! Every page is whole without the script; with it, the parts marked `data-live` are put in anew every 15 seconds.
//! A page reads in one transaction of its tenant; forms call the same functions as the JSON paths and end in a
//! page that says how it went.

use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

mod act;
mod alerts;
mod ask;
mod assets;
mod audit;
mod chart;
mod credentials;
mod day;
mod fail;
mod forms;
mod go_live;
mod layout;
mod manage;
mod overview;
mod paper;
mod people;
mod profile;
mod query;
mod queue;
mod receipt;
mod receipts;
mod sign_in;
mod store;
mod submissions;
mod till;
mod vat;
mod visit;
mod words;

pub use overview::OVERVIEW;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .route("/assets/hq.css", get(assets::css))
        .route("/assets/hq.js", get(assets::script))
        .route("/assets/icon.svg", get(assets::icon))
        .merge(door())
        .merge(shops())
        .merge(company())
}

/// Coming in and going out.
fn door() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .route("/sign-in", get(sign_in::page).post(sign_in::begin))
        .route("/sign-in/second", post(sign_in::second_step))
        .route("/sign-out", post(sign_in::end))
        .route(
            "/choose-password",
            get(sign_in::choose).post(sign_in::take_up),
        )
}

/// Stores, tills, days, receipts.
fn shops() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .route("/", get(overview::page))
        .route("/companies", get(overview::tenants))
        .route("/stores", get(manage::page).post(act::new_store))
        .route("/stores/{store}", get(store::page))
        .route("/stores/{store}/log", post(act::log))
        .route("/stores/{store}/code", post(act::code))
        .route("/tills", post(act::new_till))
        .route("/tills/{environment}/{device}", get(till::page))
        .route("/tills/{environment}/{device}/command", post(act::command))
        .route(
            "/tills/{environment}/{device}/days/{number}",
            get(day::page),
        )
        .route("/receipts", get(receipts::page))
        .route(
            "/receipts/{environment}/{device}/{number}",
            get(receipt::page),
        )
        .route(
            "/receipts/{environment}/{device}/{number}/paper.pdf",
            get(receipt::pdf),
        )
        .route("/vat", get(vat::page))
}

/// What waits, credentials, people, decisions.
fn company() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .route("/queue", get(queue::page))
        .route("/submissions", get(submissions::page))
        .route("/credentials", get(credentials::page).post(act::upload))
        .route(
            "/credentials/{environment}/{device}/{version}/{action}",
            post(act::credential),
        )
        .route("/go-live", get(go_live::page))
        .route("/go-live/{action}", post(go_live::decide))
        .route("/alarms", get(alerts::page))
        .route("/profile", get(profile::page).post(profile::save))
        .route("/profile/review", post(profile::review))
        .route("/people", get(people::page).post(act::invite))
        .route("/people/{user}/{action}", post(act::person))
        .route("/people/tokens", post(act::new_token))
        .route("/people/tokens/{token}/revoke", post(act::revoke_token))
        .route("/audit", get(audit::page))
}
