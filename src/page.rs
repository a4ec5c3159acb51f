//! The operator's page: the store in a browser on this machine, for a cashier and a technician.
//!
//! It is a client of the API like any other: every page shows what the API answers, every button is a request to the
//! API in the name of "operator's page", so nothing here can do what the API cannot, and all of it is audited. Pages
//! are made on this side, whole; a small script only fetches them anew when something has happened. Reading needs
//! nothing; what changes something needs the PIN ([`pin`]), a token of the form, and a browser that comes from this
//! very page (docs/OPERATOR.md).

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use crate::api::{Api, PAGE};
use crate::ledger::Ledger;

mod acting;
mod acts;
mod alarms;
mod ask;
mod assets;
mod layout;
mod live;
mod lock;
pub mod pin;
mod printers;
mod queue;
mod receipt;
mod receipts;
mod report;
mod store;
mod text;
mod till;
mod tills;
mod visit;
mod words;

use lock::Locks;
use text::Texts;

/// Who changes something here, as the audit names him.
pub const ACTOR: &str = "operator's page";

/// What all visits share.
#[derive(Debug)]
struct Page {
    api: Api,
    ledger: Ledger,
    locks: Locks,
    texts: Texts,
    actor: Arc<str>,
}

/// The page over an API, which it is put in front of with [`Api::with_page`].
///
/// # Errors
/// The system gives no random numbers, or a file of texts cannot be read.
pub fn router(api: &Api, ledger: &Ledger) -> anyhow::Result<Router> {
    let page = Page {
        api: api.clone(),
        ledger: ledger.clone(),
        locks: Locks::new()?,
        texts: Texts::load()?,
        actor: ACTOR.into(),
    };
    let at = |path: &str| format!("{PAGE}{path}");
    Ok(Router::new()
        .route("/", get(to_the_page))
        .route(PAGE, get(tills::show))
        .route(&at("/"), get(to_the_page))
        .route(&at("/till/{till}"), get(till::show))
        .route(&at("/till/{till}/day/{no}"), get(report::show))
        .route(&at("/till/{till}/day/{no}/pdf"), get(report::pdf))
        .route(&at("/till/{till}/receipt/{no}"), get(receipt::show))
        .route(&at("/till/{till}/receipt/{no}/pdf"), get(receipt::pdf))
        .route(&at("/receipts"), get(receipts::show))
        .route(&at("/queue"), get(queue::show))
        .route(&at("/paper/{capture}"), get(queue::paper))
        .route(&at("/printers"), get(printers::show))
        .route(&at("/alarms"), get(alarms::show))
        .route(&at("/store"), get(store::show))
        .route(&at("/do/{act}"), get(acting::ask).post(acting::act))
        .route(&at("/lock"), post(acting::lock))
        .route(&at("/events"), get(live::events))
        .route(&at("/operator.css"), get(assets::css))
        .route(&at("/operator.js"), get(assets::script))
        .route(&at("/icon.svg"), get(assets::icon))
        .fallback(layout::nothing_here)
        .with_state(Arc::new(page)))
}

async fn to_the_page() -> Response {
    Redirect::temporary(PAGE).into_response()
}
