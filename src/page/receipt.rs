//! One receipt: as it was printed, where it stands with the authority, a copy of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use maud::{Markup, html};

use super::Page;
use super::acts::{Act, Wanted};
use super::ask::{Failed, TillName};
use super::assets::GUARDS;
use super::layout::{Nav, Sheet, card, facts, failed};
use super::report::COLUMNS;
use super::visit::Visit;
use super::words;
use crate::api::schema::Receipt;

/// The page.
pub(super) async fn show(visit: Visit, Path((till, no)): Path<(String, String)>) -> Response {
    match sheet(&visit, &till, &no).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

/// The receipt as PDF, headed COPY.
pub(super) async fn pdf(
    State(page): State<Arc<Page>>,
    visit: Visit,
    Path((till, no)): Path<(String, String)>,
) -> Response {
    let (Some(till), Ok(no)) = (TillName::parse(&till), no.parse::<u32>()) else {
        return failed(&visit, &Failed::missing());
    };
    let path = format!("/v1/receipts/{no}/pdf?{}&copy=true", till.query());
    pass_pdf(page.pass_on(&path).await, &visit)
}

/// A document of the API, to be looked at; a page where there is none.
pub(super) fn pass_pdf(mut response: Response, visit: &Visit) -> Response {
    let is_pdf = response.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/pdf"));
    if !is_pdf {
        return failed(visit, &Failed::missing());
    }
    for (name, value) in GUARDS {
        // The browser's own viewer needs styles of its own.
        if name != header::CONTENT_SECURITY_POLICY {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

async fn sheet(visit: &Visit, till: &str, no: &str) -> Result<Response, Failed> {
    let till = TillName::parse(till).ok_or_else(Failed::missing)?;
    let no: u32 = no.parse().map_err(|_| Failed::missing())?;
    let receipt: Receipt = visit
        .page
        .get(&format!(
            "/v1/receipts/{no}?{}&columns={COLUMNS}",
            till.query()
        ))
        .await?;
    let alarms = visit.page.alarms().await?;
    let place = format!("/operator/till/{}/receipt/{no}/pdf", till.text());
    let live = html! {
        div class="two" {
            section class="card" { pre class="paper" { (receipt.print.text) } }
            div class="stack" {
                (card(&html! { (visit.t("receipt.copy_title")) }, &html! {
                    div class="row column" {
                        (Wanted::new(visit, Act::PrintReceipt).till(&till).no(no).button(visit))
                        a id="pdf" class="button" href=(place) { (visit.t("report.pdf")) }
                    }
                }))
                (card(&html! { (visit.t("till.authority")) }, &authority(visit, &receipt)))
            }
        }
    };
    let title = format!(
        "{} {no} · {} {}",
        visit.t("receipt.receipt"),
        visit.t("till.till"),
        till.device_id
    );
    let sheet = Sheet {
        nav: Nav::Receipts,
        title: &title,
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

/// Where it stands with the authority, and what the authority has remarked.
fn authority(visit: &Visit, receipt: &Receipt) -> Markup {
    let fdms = &receipt.fdms;
    let when = |text: Option<&str>| html! { @if let Some(text) = text { (visit.when(text)) } };
    let reason = fdms.reason.as_deref().or(fdms.last_error.as_deref());
    html! {
        p { (words::fdms(visit, fdms)) }
        (facts(&[
            (visit.t("receipt.accepted_at"), when(fdms.accepted_at.as_deref())),
            (visit.t("receipt.code"), html! { code { (receipt.verification_code) } }),
            (visit.t("receipt.reason"), html! { @if let Some(reason) = reason { span lang="en" { (reason) } } }),
        ]))
        @for error in fdms.validation_errors.iter().flatten() {
            p class="soft small" lang="en" {
                (error.validation_error_code) " " (error.validation_error_color)
                @if let Some(text) = &error.validation_error_description { ": " (text) }
            }
        }
    }
}
