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
    let body = html! {
        div class="side" {
            div class="stack" {
                (card("Company", &form(&visit, &profile)))
            }
            div class="stack" {
                (card("Standing", &standing(&visit, &profile)))
            }
        }
    };
    let mut shown = Page::new(Nav::Profile, "Fiscal profile");
    shown.under =
        Some(html! { "As the authority has it. Whether it sells is decided under Go-live." });
    Ok(shown.show(&visit, &body))
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

fn moment(name: &str, word: &str, at: Option<Timestamp>) -> Markup {
    let text = at.map(|at| {
        let date = local(at);
        format!("{}T{:02}:{:02}", date.date(), date.hour(), date.minute())
    });
    html! { label { (word) input type="datetime-local" name=(name) value=(text.unwrap_or_default()); } }
}

fn form(visit: &Visit, profile: &Profile) -> Markup {
    let number = |name: &str, word: &str, value: Option<i32>| {
        html! { label { (word) input name=(name) inputmode="numeric" value=(value.map(|v| v.to_string()).unwrap_or_default()); } }
    };
    let fields = html! {
        (field("legal_name", "Legal name", &profile.legal_name, true))
        (field("trade_name", "Trade name", &profile.trade_name, false))
        div class="form across" {
            (field("tin", "TIN, 10 digits", &profile.tin, true))
            (field("vat_number", "VAT number, 9 digits, or none", &profile.vat_number, false))
        }
        (field("address", "Address", &profile.address, true))
        h3 { "Release freeze of the POS" }
        div class="form across" {
            (moment("freeze_from", "From", profile.freeze_from))
            (moment("freeze_until", "Until", profile.freeze_until))
        }
        h3 { "Watching" }
        div class="form across" {
            (number("unsent_hours", "Alert when unsent for, hours", Some(profile.unsent_hours)))
            (number("silent_minutes", "Alert when silent for, minutes", Some(profile.silent_minutes)))
            (number("bytes_per_second", "At most so many bytes a second go up", profile.bytes_per_second))
        }
    };
    html! {
        form class="form" method="post" action=(visit.href("/profile")) {
            (visit.token())
            input type="hidden" name="version" value=(profile.version);
            @if visit.may(Role::Admin) { (fields) div { button class="main" { "Save" } } }
            @else { fieldset disabled { (fields) } p class="hint" { "An admin changes it." } }
        }
    }
}

fn local_moment(form: &Query, name: &str) -> Option<String> {
    let date: clock::DateTime = form.parsed(name)?;
    Some(instant(date).to_string())
}

/// `POST /profile`
pub(super) async fn save(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let form = &posted.form;
    let whole = |name: &str| form.parsed::<i32>(name);
    let body = json!({
        "legal_name": form.shown("legal_name"), "trade_name": form.shown("trade_name"), "tin": form.shown("tin"),
        "vat_number": form.shown("vat_number"), "address": form.shown("address"),
        "freeze_from": local_moment(form, "freeze_from"), "freeze_until": local_moment(form, "freeze_until"),
        "bytes_per_second": whole("bytes_per_second"), "unsent_hours": whole("unsent_hours").unwrap_or(24),
        "silent_minutes": whole("silent_minutes").unwrap_or(30), "version": version(form),
    });
    let saved = posted
        .visit
        .write(&hq, Method::PUT, "/fiscal_profile", &body)
        .await;
    posted.visit.back(
        "/profile",
        saved.map(|_| "The profile is saved.".to_owned()),
    )
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
