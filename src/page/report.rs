//! The X report of an open day, the Z report of a closed one: as it is printed, as PDF, on paper.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::html;

use super::Page;
use super::acts::{Act, Wanted, encoded};
use super::ask::{Failed, TillName};
use super::layout::{Nav, Sheet, card, failed};
use super::receipt::pass_pdf;
use super::visit::Visit;
use crate::api::schema::{Day, Report};

/// Characters in a line: narrow enough for a phone.
pub(super) const COLUMNS: u32 = 40;

/// The page.
pub(super) async fn show(visit: Visit, Path((till, no)): Path<(String, String)>) -> Response {
    match sheet(&visit, &till, &no).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

/// The report as PDF.
pub(super) async fn pdf(
    State(page): State<Arc<Page>>,
    visit: Visit,
    Path((till, no)): Path<(String, String)>,
) -> Response {
    let Some(till) = TillName::parse(&till) else {
        return failed(&visit, &Failed::missing());
    };
    let path = format!("/v1/days/{}/pdf?{}", encoded(&no), till.query());
    pass_pdf(page.pass_on(&path).await, &visit)
}

async fn sheet(visit: &Visit, till: &str, no: &str) -> Result<Response, Failed> {
    let till = TillName::parse(till).ok_or_else(Failed::missing)?;
    let (no, query) = (encoded(no), till.query());
    let day: Day = visit.page.get(&format!("/v1/days/{no}?{query}")).await?;
    let is_open = day.state == "open";
    let kind = if is_open { "x" } else { "z" };
    let no = day.fiscal_day_no;
    let report: Report = visit
        .page
        .get(&format!("/v1/days/{no}/{kind}?{query}&columns={COLUMNS}"))
        .await?;
    let alarms = visit.page.alarms().await?;
    let place = format!("/operator/till/{}/day", till.text());
    let latest = visit.page.status().await?;
    let latest = super::ask::till_of(&latest, &till)?.day.as_ref();
    let is_latest = latest.is_none_or(|latest| latest.fiscal_day_no == no);
    let live = html! {
        div class="two" {
            section class="card" { pre class="paper" { (report.print.text) } }
            (card(&html! { (visit.with("till.day_title", &[("day", &no)])) }, &html! {
                div class="row column" {
                    (Wanted::new(visit, Act::PrintDay).till(&till).no(no).button(visit))
                    a id="pdf" class="button" href={ (place) "/" (no) "/pdf" } { (visit.t("report.pdf")) }
                    @if is_open { (Wanted::new(visit, Act::CloseDay).till(&till).button(visit)) }
                    @if no > 1 { a id="before" class="button" href={ (place) "/" (no - 1) } { (visit.t("report.before")) } }
                    @if !is_latest { a id="after" class="button" href={ (place) "/" (no + 1) } { (visit.t("report.after")) } }
                }
            }))
        }
    };
    let word = visit.t(if is_open { "report.x" } else { "report.z" });
    let title = format!("{word} · {} {}", visit.t("till.till"), till.device_id);
    let sheet = Sheet {
        nav: Nav::Tills,
        title: &title,
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}
