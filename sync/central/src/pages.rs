//! What people see: pages made here, one stylesheet and one small script, nothing from elsewhere.
//!
//! Every page is whole without the script; with it, the parts marked `data-live` are put in anew every 15 seconds.
//! A page reads in one transaction of its tenant; forms call the same functions as the JSON paths and end in a
//! page that says how it went.

use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

mod assets;
mod chart;
mod day;
mod fail;
mod forms;
mod layout;
mod overview;
mod paper;
mod query;
mod receipt;
mod receipts;
mod store;
mod till;
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
        .route("/", get(overview::page))
        .route("/tenants", get(overview::tenants))
        .route("/stores/{store}", get(store::page))
        .route("/tills/{environment}/{device}", get(till::page))
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
}
