//! The fiscal profile: who the company is for the authority, how its stores are watched.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use clock::{Timestamp, instant, local};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fail::Failed;
use super::forms::{Posted, button, field};
use super::layout::{Nav, Page, card};
use super::query::Query;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::hq::SharedHq;
use crate::problem::{Code, Problem};

/// What is read of `/fiscal_profile`.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    legal_name: String,
    trade_name: String,
    tin: String,
    vat_number: String,
    address: String,
    pub(super) environment: String,
    pub(super) enabled: bool,
    pub(super) enabled_test: bool,
    pub(super) enabled_prod: bool,
    pub(super) reason: String,
    reviewed_by: Option<String>,
    reviewed_at: Option<Timestamp>,
    freeze_from: Option<Timestamp>,
    freeze_until: Option<Timestamp>,
    bytes_per_second: Option<i32>,
    unsent_hours: i32,
    silent_minutes: i32,
    pub(super) version: i64,
    updated_at: Option<Timestamp>,
}

/// Reads the profile of whoever looks.
pub(super) async fn read(visit: &Visit, hq: &SharedHq) -> Result<Profile, Failed> {
    let read = visit.read(hq, "/fiscal_profile").await;
    read.map_err(|why| Failed(Problem::new(Code::Conflict, why)))
}

/// `GET /profile`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    let profile = read(&visit, &hq).await?;
    Ok(show(&visit, &profile, None))
}

/// The page; after a refusal with what was typed, and why it was refused.
fn show(visit: &Visit, profile: &Profile, refused: Option<(&Query, &str)>) -> Response {
    let typed = refused.map(|(typed, _)| typed);
    let body = html! {
        @if let Some((_, why)) = refused {
            div class="note bad" role="alert" { (why) }
        }
        div class="side" {
            div class="stack" {
                (card("Company", &form(visit, profile, typed)))
            }
            div class="stack" {
                (card("Standing", &standing(visit, profile)))
            }
        }
    };
    let mut shown = Page::new(Nav::Profile, "Fiscal profile");
    shown.under =
        Some(html! { "As the authority has it. Whether it sells is decided under Go-live." });
    shown.show(visit, &body)
}

fn standing(visit: &Visit, profile: &Profile) -> Markup {
    html! {
        dl class="facts" {
            dt { "Environment" } dd { (words::environment(&profile.environment)) }
            dt { "Enabled" } dd { @if profile.enabled { (tag(Tone::Ok, "yes")) } @else { (tag(Tone::Warn, "no")) } @if !profile.reason.is_empty() { " " (profile.reason) } }
            dt { "Reviewed" } dd {
                @match &profile.reviewed_by { Some(by) => { (words::when_or(visit.now, profile.reviewed_at, "–")) " by " (by) }, None => (tag(Tone::Warn, "not yet")) }
            }
            dt { "Changed" } dd { (words::when_or(visit.now, profile.updated_at, "never")) }
            dt { "Version" } dd { (profile.version) }
        }
        @if visit.may(Role::Admin) {
            p { (button(visit, "/profile/review", "I have compared it with the client's papers", &html! { input type="hidden" name="version" value=(profile.version); })) }
            p class="hint" { "Save first what you have changed: the review is of what is kept." }
        }
    }
}

/// A moment as its field has it.
fn moment(at: Option<Timestamp>) -> String {
    at.map_or(String::new(), |at| {
        let date = local(at);
        format!("{}T{:02}:{:02}", date.date(), date.hour(), date.minute())
    })
}

fn form(visit: &Visit, profile: &Profile, typed: Option<&Query>) -> Markup {
    // What was typed stays until it is saved.
    let value = |name: &str, kept: &str| typed.map_or(kept, |typed| typed.raw(name)).to_owned();
    let line = |name: &str, kept: &str, required: bool| {
        field(name, label(name), &value(name, kept), required)
    };
    let when = |name: &str, kept: Option<Timestamp>| {
        html! { label { (label(name)) input type="datetime-local" name=(name) value=(value(name, &moment(kept))); } }
    };
    let number = |name: &str, kept: Option<i32>| {
        let kept = kept.map_or(String::new(), |kept| kept.to_string());
        html! { label { (label(name)) input name=(name) inputmode="numeric" value=(value(name, &kept)); } }
    };
    let seen = value("version", &profile.version.to_string());
    let fields = html! {
        (line("legal_name", &profile.legal_name, true))
        (line("trade_name", &profile.trade_name, false))
        div class="form across" {
            (line("tin", &profile.tin, true))
            (line("vat_number", &profile.vat_number, false))
        }
        (line("address", &profile.address, true))
        h3 { "Release freeze of the POS" }
        div class="form across" {
            (when("freeze_from", profile.freeze_from))
            (when("freeze_until", profile.freeze_until))
        }
        h3 { "Watching" }
        div class="form across" {
            (number("unsent_hours", Some(profile.unsent_hours)))
            (number("silent_minutes", Some(profile.silent_minutes)))
            (number("bytes_per_second", profile.bytes_per_second))
        }
    };
    html! {
        form class="form on-paper" method="post" action=(visit.href("/profile")) {
            (visit.token())
            input type="hidden" name="version" value=(seen);
            @if visit.may(Role::Admin) { (fields) div { button class="main" { "Save" } } }
            @else { fieldset disabled { (fields) } p class="hint" { "An admin changes it." } }
        }
    }
}

/// What a field is called on the page.
fn label(name: &str) -> &str {
    match name {
        "legal_name" => "Legal name",
        "trade_name" => "Trade name",
        "tin" => "TIN, 10 digits",
        "vat_number" => "VAT number, 9 digits, or none",
        "address" => "Address",
        "freeze_from" => "From",
        "freeze_until" => "Until",
        "unsent_hours" => "Alert when unsent for, hours",
        "silent_minutes" => "Alert when silent for, minutes",
        _ => "At most so many bytes a second go up",
    }
}

/// What is written of a form: what was left empty has its default, what cannot be read is refused.
fn written(form: &Query) -> Result<Value, String> {
    let mut wrong = Vec::new();
    let mut body = json!({
        "legal_name": form.shown("legal_name"), "trade_name": form.shown("trade_name"), "tin": form.shown("tin"),
        "vat_number": form.shown("vat_number"), "address": form.shown("address"), "version": version(form),
    });
    for name in ["unsent_hours", "silent_minutes", "bytes_per_second"] {
        if let Some(number) = form.number(name, &mut wrong) {
            body[name] = json!(number);
        }
    }
    for name in ["freeze_from", "freeze_until"] {
        let read = |text: &str| text.parse::<clock::DateTime>().ok();
        if let Some(date) = form.checked(name, "a date and a time", read, &mut wrong) {
            body[name] = json!(instant(date).to_string());
        }
    }
    match wrong.first() {
        Some(wrong) => {
            let typed = form.shown(wrong.name);
            Err(format!(
                "{}: this must be {}, not {typed:?}: nothing was saved",
                label(wrong.name),
                wrong.must
            ))
        }
        None => Ok(body),
    }
}

/// `POST /profile`
pub(super) async fn save(State(hq): State<SharedHq>, posted: Posted) -> Result<Response, Failed> {
    let Posted { visit, form } = &posted;
    let saved = match written(form) {
        Ok(body) => {
            visit
                .write(&hq, Method::PUT, "/fiscal_profile", &body)
                .await
        }
        Err(why) => Err(why),
    };
    match saved {
        Ok(_) => Ok(visit.back("/profile", Ok("The profile is saved.".to_owned()))),
        Err(why) => Ok(show(visit, &read(visit, &hq).await?, Some((form, &why)))),
    }
}

/// The version that the person has seen.
pub(super) fn version(form: &Query) -> Value {
    json!(form.parsed::<i64>("version").unwrap_or_default())
}

/// `POST /profile/review`
pub(super) async fn review(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body = json!({ "version": version(&posted.form) });
    let done = posted
        .visit
        .write(&hq, Method::POST, "/fiscal_profile/review", &body)
        .await;
    posted.visit.back(
        "/profile",
        done.map(|_| "The review is written down.".to_owned()),
    )
}
