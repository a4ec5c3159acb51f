//! Forms: each carries the token of its session, is read whole and within limits, and ends in a page that says
//! how it went.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::fail::Failed;
use super::layout::empty;
use super::query::{Query, Wrong};
use super::visit::Visit;
use crate::access::FormCsrf;
use crate::hq::SharedHq;
use crate::problem::{FORM, Problem, collect, is_a};

/// Bytes of a form: a certificate with its key fits.
const LONGEST: usize = 64 * 1024;

/// A form that was posted by a person whose session it belongs to.
#[derive(Debug)]
pub(super) struct Posted {
    /// Who.
    pub(super) visit: Visit,
    /// What.
    pub(super) form: Query,
}

impl FromRequest<SharedHq> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, hq: &SharedHq) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let form = read(&parts.headers, body).await;
        let form = form.map_err(|problem| Failed(problem).into_response())?;
        if let Some(token) = form.text("csrf") {
            parts.extensions.insert(FormCsrf(token.to_owned()));
        }
        let visit = Visit::from_request_parts(&mut parts, hq).await?;
        Ok(Self { visit, form })
    }
}

/// What is no form is not taken for an empty one; no body at all is one.
async fn read(headers: &HeaderMap, body: Body) -> Result<Query, Problem> {
    if body.is_end_stream() && !headers.contains_key(CONTENT_TYPE) {
        return Ok(Query::form(&Bytes::new()));
    }
    is_a(headers, FORM)?;
    let body = collect(body, LONGEST).await?;
    Ok(Query::form(&body))
}

/// A button that asks for no more.
pub(super) fn button(visit: &Visit, path: &str, word: &str, fields: &Markup) -> Markup {
    html! {
        form method="post" action=(visit.href(path)) { (visit.token()) (fields) button { (word) } }
    }
}

/// A button that unfolds what it needs to know, or says what it will do.
pub(super) fn action(
    visit: &Visit,
    path: &str,
    word: &str,
    danger: bool,
    fields: &Markup,
) -> Markup {
    html! {
        details class={ "act" (if danger { " danger" } else { "" }) } {
            summary { (word) }
            form class="form" method="post" action=(visit.href(path)) { (visit.token()) (fields) }
        }
    }
}

/// A line of text.
pub(super) fn field(name: &str, word: &str, value: &str, required: bool) -> Markup {
    html! { label { (word) input name=(name) value=(value) required[required] autocomplete="off"; } }
}

/// A choice.
pub(super) fn choice(name: &str, word: &str, options: &[(&str, &str)], value: &str) -> Markup {
    html! {
        label { (word)
            select name=(name) { @for (key, text) in options { option value=(key) selected[*key == value] { (text) } } }
        }
    }
}

/// What a field of a search is called.
pub(super) fn label(name: &str) -> &str {
    match name {
        "number" => "Receipt number",
        "invoice" => "Invoice number",
        "currency" => "Currency",
        "from" => "From",
        "to" => "To",
        "amount" => "Amount",
        "till" => "Till (device ID)",
        "store" => "Store",
        _ => "The place in the list",
    }
}

/// In place of what a search has found: why nothing was searched.
pub(super) fn unread(wrong: &[Wrong]) -> Markup {
    html! {
        div class="note bad" role="alert" {
            @for wrong in wrong { p { b { (label(wrong.name)) } " must be " (wrong.must) "." } }
        }
        (empty("Nothing was searched", "Put right what is marked above, and search again."))
    }
}
