//! Doing something: the question, with the PIN where it is needed, and the answer.
//!
//! The question is a page of its own, so that nothing is done by a slip, and it works with a keyboard alone. The form
//! says which browser it was made for; another page cannot know that. What is then done is a request to the API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use http_body_util::{BodyExt as _, Limited};
use maud::{Markup, html};

use super::Page;
use super::acts::Wanted;
use super::ask::Failed;
use super::layout::{failed, still, wrong};
use super::lock::{Browser, Shut};
use super::visit::Visit;
use crate::api::PAGE;
use crate::api::schema::Printers;

/// Bytes of a form.
const MAX_FORM: usize = 16 * 1024;

/// The question.
pub(super) async fn ask(visit: Visit, Path(act): Path<String>) -> Response {
    match Wanted::read(&act, visit.params()) {
        Ok(wanted) => question(&visit, &wanted, StatusCode::OK, &html! {}).await,
        Err(error) => failed(&visit, &error),
    }
}

/// The answer: it is done, or why not, with the question once more.
pub(super) async fn act(
    State(page): State<Arc<Page>>,
    mut visit: Visit,
    Path(act): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let form = match form(&visit, &parts.headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let wanted = match Wanted::read(&act, &form.0) {
        Ok(wanted) => wanted,
        Err(error) => return failed(&visit, &error),
    };
    if !visit.is_open() {
        match page.unlock(form.get("pin").trim().to_owned()).await {
            Ok(browser) => visit.give(browser),
            Err(shut) => {
                // That none is looked at now the question says by itself, in place of its fields.
                let note = match shut {
                    Shut::NotSet | Shut::Pause(_) => html! {},
                    Shut::Wrong | Shut::Fault(_) => shut_note(&visit, &shut),
                };
                return question(&visit, &wanted, StatusCode::FORBIDDEN, &note).await;
            }
        }
    }
    if let Some(browser) = visit.browser() {
        page.locks.go_on(browser, page.boot());
    }
    let done = match wanted.request(form.get("reason")) {
        Ok((path, body)) => page.post(&path, body).await.map(drop),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => {
            let joint = if wanted.back.contains('?') { '&' } else { '?' };
            let to = format!("{}{joint}said={}", wanted.back, wanted.act.as_str());
            let mut response = Redirect::to(&to).into_response();
            visit.set_cookies(&mut response);
            response
        }
        Err(error) => question(&visit, &wanted, error.status, &wrong(&visit, &error)).await,
    }
}

/// Locks this browser.
pub(super) async fn lock(
    State(page): State<Arc<Page>>,
    visit: Visit,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(response) = form(&visit, &parts.headers, body).await {
        return response;
    }
    if let Some(browser) = visit.browser() {
        page.locks.close(browser);
    }
    Redirect::to(PAGE).into_response()
}

/// A form's fields.
struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Reads a form that this page has given to this browser; anything else is refused.
async fn form(visit: &Visit, headers: &HeaderMap, body: Body) -> Result<Form, Response> {
    // Browsers that tell where a request comes from have the last word. That `Origin`, if there is one, is our own, the
    // API's gate has seen to.
    let site = headers.get("sec-fetch-site");
    let is_same = site.is_none_or(|site| site == HeaderValue::from_static("same-origin"));
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_form = kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"));
    let bytes = Limited::new(body, MAX_FORM).collect().await;
    let bytes = bytes.map(|body| body.to_bytes()).unwrap_or_default();
    let form = Form(form_urlencoded::parse(&bytes).into_owned().collect());
    let knows = |browser: Browser| visit.page.locks.knows(browser, form.get("token"));
    if is_same && is_form && visit.browser().is_some_and(knows) {
        return Ok(form);
    }
    let body = html! {
        div class="note bad" role="alert" { p { (visit.t("page.old_form")) } }
        p { a class="button" href=(PAGE) { (visit.t("page.back")) } }
    };
    Err(still(
        visit,
        StatusCode::FORBIDDEN,
        visit.t("page.failed"),
        &body,
    ))
}

async fn question(visit: &Visit, wanted: &Wanted, status: StatusCode, note: &Markup) -> Response {
    let act = wanted.act;
    let form = match fields(visit, wanted).await {
        Ok(fields) => html! {
            form method="post" action={ (PAGE) "/do/" (act.as_str()) } class="question" autocomplete="off" {
                (visit.token())
                (wanted.hidden())
                (fields)
                div class="row" {
                    button id="yes" class={ "main" (if act.is_grave() { " grave" } else { "" }) } {
                        (visit.t(&format!("do.{}", act.as_str())))
                    }
                    a id="no" class="button" href=(wanted.back) { (visit.t("page.no")) }
                }
            }
        },
        Err(words) => html! {
            (words)
            p { a id="no" class="button" href=(wanted.back) { (visit.t("page.back")) } }
        },
    };
    let body = html! { section class="card narrow" { p class="large" { (wanted.about(visit)) } (note) (form) } };
    let title = visit.t("do.title").to_owned();
    still(visit, status, &title, &body)
}

/// What must be filled in; or why nothing can be done now.
async fn fields(visit: &Visit, wanted: &Wanted) -> Result<Markup, Markup> {
    let printers = match wanted.act.picks_printer() {
        true => visit.page.get::<Printers>("/v1/printers").await,
        false => Ok(Printers {
            printers: Vec::new(),
        }),
    };
    let printers = printers.map_err(|error| wrong(visit, &error))?.printers;
    let needs_pin = !visit.is_open();
    if needs_pin {
        let has_pin = visit.page.has_pin().await;
        let has_pin = has_pin.map_err(|shut| shut_note(visit, &shut))?;
        if !has_pin {
            return Err(shut_note(visit, &Shut::NotSet));
        }
        if let Some(seconds) = visit.page.pause().await {
            return Err(shut_note(visit, &Shut::Pause(seconds)));
        }
    }
    Ok(html! {
        @if printers.len() > 1 {
            label for="printer" { (visit.t("do.printer")) }
            select id="printer" name="printer" {
                option value="" { (visit.t("do.own_printer")) }
                @for printer in &printers { option value=(printer.name) { (printer.name) } }
            }
        }
        @if wanted.act.asks_why() {
            label for="reason" { (visit.t("do.reason")) }
            input id="reason" name="reason" required maxlength="200" autofocus;
        }
        @if needs_pin {
            label for="pin" { (visit.t("do.pin")) }
            input id="pin" name="pin" type="password" inputmode="numeric" pattern="[0-9]*" required
                maxlength="12" autocomplete="off" autofocus[!wanted.act.asks_why()];
        }
    })
}

/// Why the lock stays shut, and what to do.
fn shut_note(visit: &Visit, shut: &Shut) -> Markup {
    let (tone, text) = match shut {
        Shut::NotSet => ("warn", visit.t("pin.not_set").to_owned()),
        Shut::Wrong => ("bad", visit.t("pin.wrong").to_owned()),
        Shut::Pause(seconds) => ("bad", visit.counted("pin.pause", "seconds", seconds)),
        Shut::Fault(why) => return wrong(visit, &Failed::words(why)),
    };
    html! {
        div class={ "note " (tone) } role="alert" {
            p { (text) }
            @if *shut == Shut::NotSet { p { code { "fiscald pin set" } } }
        }
    }
}
