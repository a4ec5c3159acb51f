//! Printers: how each is, papers whose fate nobody knows, what was printed last.

use axum::response::Response;
use maud::{Markup, html};

use super::acts::{Act, Wanted};
use super::ask::Failed;
use super::layout::{Nav, Sheet, card, facts, failed};
use super::visit::Visit;
use super::words;
use crate::api::schema::{PrintJob, PrintJobs, Printer, Printers};

/// Jobs of the past that are shown.
const SHOWN: u32 = 15;

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let page = &visit.page;
    let printers: Printers = page.get("/v1/printers").await?;
    let open: PrintJobs = page.get("/v1/prints?open=true").await?;
    let last: PrintJobs = page.get(&format!("/v1/prints?limit={SHOWN}")).await?;
    let alarms = page.alarms().await?;
    let live = html! {
        @if printers.printers.is_empty() { p class="note" { (visit.t("printer.none")) } }
        div class="tills" {
            @for printer in &printers.printers { (one(visit, printer, &open.prints, &alarms)) }
        }
        (card(&html! { (visit.t("job.last")) }, &html! {
            @if last.prints.is_empty() { p class="soft" { (visit.t("job.none")) } }
            ul class="jobs" { @for job in &last.prints { li { (line(visit, job)) } } }
        }))
    };
    let sheet = Sheet {
        nav: Nav::Printers,
        title: visit.t("nav.printers"),
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

fn one(
    visit: &Visit,
    printer: &Printer,
    open: &[PrintJob],
    alarms: &[crate::api::schema::Alarm],
) -> Markup {
    let own = |job: &&PrintJob| job.printer == printer.name;
    let advice = alarms.iter().filter(|alarm| {
        alarm.values.get("printer") == Some(&printer.name) && alarm.code != "papers_in_doubt"
    });
    html! {
        section class="card" {
            h2 { (printer.name) " " (words::printer(visit, printer)) }
            @for alarm in advice { p class="note warn" { (words::alarm(visit, alarm).1) } }
            (facts(&[
                (visit.t("printer.waiting"), html! { (printer.waiting) }),
                (visit.t("printer.in_doubt"), html! { (printer.in_doubt) }),
                (visit.t("printer.link"), html! { code { (printer.link) } }),
                (visit.t("queue.error"), html! { @if let Some(error) = &printer.link_error { span lang="en" { (error) } } }),
            ]))
            div class="row" {
                (Wanted::new(visit, Act::TestPage).printer(&printer.name).button(visit))
                (Wanted::new(visit, Act::Drawer).printer(&printer.name).button(visit))
            }
            @for job in open.iter().filter(own) { div class="item" { (line(visit, job)) (job_buttons(visit, job)) } }
        }
    }
}

/// A job in a line.
fn line(visit: &Visit, job: &PrintJob) -> Markup {
    html! {
        p class="job" {
            span { (words::job_kind(visit, &job.kind)) @if let Some(no) = job.receipt_global_no { " " (no) } }
            span class="soft" { (job.printer) }
            span class="soft" { (visit.when(&job.queued_at)) }
            span { (words::job_state(visit, &job.state)) @if job.heading.as_deref() == Some("copy") { " · " (visit.t("job.copy")) } }
        }
    }
}

fn job_buttons(visit: &Visit, job: &PrintJob) -> Markup {
    let Ok(no) = u32::try_from(job.job) else {
        return html! {};
    };
    html! {
        @if job.state == "unknown" {
            p { (visit.t("job.ask")) }
            div class="row" {
                (Wanted::new(visit, Act::CameOut).no(no).button(visit))
                (Wanted::new(visit, Act::NotOut).no(no).button(visit))
            }
        }
        @if job.state == "queued" || job.state == "held" {
            div class="row" { (Wanted::new(visit, Act::Cancel).no(no).button(visit)) }
        }
    }
}
