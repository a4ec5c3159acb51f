//! What people see: pages made here, one stylesheet and one small script, nothing from elsewhere.
//!
//! Every page is whole without the script; with it, the parts marked `data-live` are put in anew every 15 seconds.
//! A page reads in one transaction of its tenant; forms call the same functions as the JSON paths and end in a
//! page that says how it went.

use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;
use table::{For, Pages as _};

mod account;
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
pub mod query;
mod queue;
mod receipt;
mod receipts;
mod settings;
mod sign_in;
mod store;
mod submissions;
mod table;
mod till;
mod vat;
mod visit;
mod words;

pub use fail::page as problem_page;
pub use overview::OVERVIEW;

/// The paths.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .page("/assets/hq.css", For::All, assets::css)
        .page("/assets/hq.js", For::All, assets::script)
        .page("/assets/icon.svg", For::All, assets::icon)
        .merge(door())
        .merge(shops())
        .merge(company())
}

/// Coming in and going out.
fn door() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .page("/sign-in", For::All, sign_in::page)
        .form("/sign-in", For::All, sign_in::begin)
        .form("/sign-in/second", For::All, sign_in::second_step)
        .form("/sign-out", For::People, sign_in::end)
        .page("/forgot-password", For::All, sign_in::forgot)
        .form("/forgot-password", For::All, sign_in::forgotten)
        .page("/choose-password", For::All, sign_in::choose)
        .form("/choose-password", For::All, sign_in::take_up)
}

/// Stores, tills, days, receipts.
fn shops() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .page("/", For::People, overview::page)
        .page("/companies", For::People, overview::tenants)
        .page("/stores", For::People, manage::page)
        .form("/stores", For::People, act::new_store)
        .page("/stores/{store}", For::People, store::page)
        .form("/stores/{store}/log", For::People, act::log)
        .page("/stores/{store}/settings", For::People, settings::page)
        .form("/stores/{store}/settings", For::People, settings::save)
        .form("/stores/{store}/code", For::People, act::code)
        .form("/stores/{store}/retire", For::People, act::retire_store)
        .form("/tills", For::People, act::new_till)
        .page("/tills/{environment}/{device}", For::People, till::page)
        .form(
            "/tills/{environment}/{device}/command",
            For::People,
            act::command,
        )
        .form(
            "/tills/{environment}/{device}/machine",
            For::People,
            act::machine,
        )
        .page(
            "/tills/{environment}/{device}/days/{number}",
            For::People,
            day::page,
        )
        .page("/receipts", For::People, receipts::page)
        .page(
            "/receipts/{environment}/{device}/{number}",
            For::People,
            receipt::page,
        )
        .page(
            "/receipts/{environment}/{device}/{number}/paper.pdf",
            For::People,
            receipt::pdf,
        )
        .page("/vat", For::People, vat::page)
}

/// What waits, credentials, people, decisions.
fn company() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .page("/queue", For::People, queue::page)
        .page("/submissions", For::People, submissions::page)
        .page("/credentials", For::People, credentials::page)
        .form("/credentials", For::People, act::upload)
        .form(
            "/credentials/{environment}/{device}/{version}/{action}",
            For::People,
            act::credential,
        )
        .page("/go-live", For::People, go_live::page)
        .form("/go-live/{action}", For::People, go_live::decide)
        .form("/go-live/check/{action}", For::People, go_live::check)
        .page("/alarms", For::People, alerts::page)
        .form("/alarms/{alert_id}/end", For::People, alerts::end)
        .form("/alarms/channels", For::People, alerts::add)
        .form(
            "/alarms/channels/{channel_id}/{action}",
            For::People,
            alerts::change,
        )
        .merge(account())
        .page("/profile", For::People, profile::page)
        .form("/profile", For::People, profile::save)
        .form("/profile/review", For::People, profile::review)
        .page("/people", For::People, people::page)
        .form("/people", For::People, act::invite)
        .form("/people/{user}/{action}", For::People, act::person)
        .form("/people/tokens", For::People, act::new_token)
        .form(
            "/people/tokens/{token}/revoke",
            For::People,
            act::revoke_token,
        )
        .page("/audit", For::People, audit::page)
}

/// One's own account.
fn account() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .page("/account", For::People, account::page)
        .form("/account/password", For::People, account::password)
        .form(
            "/account/second-factor",
            For::People,
            account::second_factor,
        )
        .form(
            "/account/second-factor/confirm",
            For::People,
            account::confirm,
        )
        .form(
            "/account/second-factor/remove",
            For::People,
            account::remove,
        )
}
