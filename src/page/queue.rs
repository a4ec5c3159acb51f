//! What waits for the authority, why it stands still, and what of old POS software could not be sold.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use super::acts::{Act, Wanted};
use super::ask::{Failed, TillName};
use super::layout::{Nav, Sheet, card, facts, failed, tag};
use super::visit::Visit;
use super::words::{self, till_title};
use crate::api::schema::{
    Capture, Captures, CloseFailed, Day, Evidence, Queue, QueueHead, TillState,
};

/// Papers that are listed.
const SHOWN: u32 = 50;

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let (status, alarms) = (visit.page.status().await?, visit.page.alarms().await?);
    let path = format!("/v1/captures?state=quarantined&limit={SHOWN}");
    let papers: Captures = visit.page.get(&path).await?;
    let mut cards = Vec::new();
    for till in &status.tills {
        cards.push(of_till(visit, till).await?);
    }
    let live = html! {
        @for card in &cards { (card) }
        (card(&html! { (visit.t("paper.title")) }, &put_aside(visit, &papers.captures)))
    };
    let sheet = Sheet {
        nav: Nav::Queue,
        title: visit.t("nav.queue"),
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

async fn of_till(visit: &Visit, till: &TillState) -> Result<Markup, Failed> {
    let (name, queue) = (TillName::of(till), &till.fdms);
    let evidence: Option<Evidence> = match queue.parked {
        Some(_) => {
            visit
                .page
                .find(&format!("/v1/queue/head?{}", name.query()))
                .await?
        }
        None => None,
    };
    let day: Option<Day> = match (&till.day, &queue.parked) {
        (Some(day), Some(_)) => {
            let path = format!("/v1/days/{}?{}", day.fiscal_day_no, name.query());
            visit.page.find(&path).await?
        }
        _ => None,
    };
    let close_failed = day.and_then(|day| day.close_failed);
    let body = html! {
        p class="row" { (state(visit, queue)) span class="large" { (words::queue(visit, queue)) } }
        @if let Some(parked) = &queue.parked {
            div class="note warn" {
                p { (visit.with("queue.since", &[("since", &parked.since)])) }
                p lang="en" { b { (parked.code) } ": " (parked.reason) }
                @if parked.probing { p { (visit.t("queue.probing")) } }
            }
        }
        @if let Some(failed) = &close_failed { (close(visit, failed)) }
        (facts(&[
            (visit.t("till.internet"), words::link(visit, till.link.as_ref())),
            (visit.t("queue.next"), html! { @if let Some(head) = &queue.head { (next(visit, head)) } }),
            (visit.t("queue.attempts"), html! { @if queue.attempts > 0 { (queue.attempts) } }),
            (visit.t("queue.again"), html! { @if let Some(at) = queue.next_attempt.as_ref().filter(|_| queue.attempts > 0) { (visit.when(at)) } }),
            (visit.t("queue.error"), html! { @if let Some(error) = &queue.last_error { span lang="en" { (error) } } }),
        ]))
        div class="row" {
            @if queue.parked.is_some() || queue.head.is_some() { (Wanted::new(visit, Act::Send).till(&name).button(visit)) }
            @if queue.parked.is_none() { (Wanted::new(visit, Act::Pause).till(&name).button(visit)) }
        }
        @if let Some(evidence) = &evidence { (proof(visit, &name, evidence)) }
    };
    Ok(card(&till_title(visit, &name), &body))
}

fn state(visit: &Visit, queue: &Queue) -> Markup {
    match queue.state.as_str() {
        "sent" => tag("ok", visit.t("queue.word_sent")),
        "parked" => tag("warn", visit.t("queue.word_parked")),
        "retrying" => tag("warn", visit.t("queue.word_retrying")),
        _ => tag("", visit.t("queue.word_waiting")),
    }
}

fn next(visit: &Visit, head: &QueueHead) -> String {
    let (day, no) = (
        head.fiscal_day_no.unwrap_or(0),
        head.receipt_global_no.unwrap_or(0),
    );
    match head.what.as_str() {
        "openDay" => visit.with("queue.opening", &[("day", &day)]),
        "closeDay" => visit.with("queue.close", &[("day", &day)]),
        _ => visit.with("queue.receipt", &[("no", &no)]),
    }
}

/// A close that the authority has not accepted: what it lacks, marks and reckons otherwise.
fn close(visit: &Visit, failed: &CloseFailed) -> Markup {
    html! {
        (facts(&[
            (visit.t("queue.unsent"), html! { @if failed.unsent_receipts > 0 { (failed.unsent_receipts) } }),
            (visit.t("queue.marked"), html! {
                @for marked in &failed.marked_receipts { (marked.receipt_global_no) " (" (marked.color) ") " }
            }),
            (visit.t("queue.counters"), html! {
                @if failed.counters.agrees { (visit.t("queue.agree")) } @else { (visit.t("queue.differ")) }
            }),
        ]))
    }
}

/// What was sent and what came back, for a technician.
fn proof(visit: &Visit, name: &TillName, evidence: &Evidence) -> Markup {
    html! {
        details {
            summary id={ "proof-" (name.text()) } { (visit.t("queue.proof")) }
            div lang="en" {
                @for text in [&evidence.request, &evidence.answer].into_iter().flatten() { pre { (text) } }
            }
        }
    }
}

fn put_aside(visit: &Visit, papers: &[Capture]) -> Markup {
    html! {
        @if papers.is_empty() { p class="soft" { (visit.t("paper.none")) } }
        @else { p { (visit.t("paper.about")) } }
        @for paper in papers {
            div class="item" {
                h3 {
                    a id={ "paper-" (paper.capture) } href={ "/operator/paper/" (paper.capture) } {
                        (visit.with("paper.one", &[("no", &paper.capture), ("at", &paper.at), ("port", &paper.port)]))
                    }
                }
                (reasons(paper))
                div class="row" { (paper_buttons(visit, paper)) }
            }
        }
    }
}

fn reasons(paper: &Capture) -> Markup {
    html! {
        @if !paper.reasons.is_empty() {
            ul class="plain" lang="en" { @for reason in &paper.reasons { li { (reason) } } }
        }
    }
}

fn paper_buttons(visit: &Visit, paper: &Capture) -> Markup {
    let Ok(no) = u32::try_from(paper.capture) else {
        return html! {};
    };
    html! {
        @if paper.state == "quarantined" {
            (Wanted::new(visit, Act::SellPaper).no(no).button(visit))
            (Wanted::new(visit, Act::DropPaper).no(no).button(visit))
        }
    }
}

/// A paper of old POS software, line by line.
pub(super) async fn paper(visit: Visit, Path(capture): Path<String>) -> Response {
    let Ok(capture) = capture.parse::<u32>() else {
        return failed(&visit, &Failed::missing());
    };
    let found = visit
        .page
        .get::<Capture>(&format!("/v1/captures/{capture}"))
        .await;
    let paper = match found {
        Ok(paper) => paper,
        Err(error) => return failed(&visit, &error),
    };
    let title = visit.with(
        "paper.one",
        &[
            ("no", &paper.capture),
            ("at", &paper.at),
            ("port", &paper.port),
        ],
    );
    let lines = paper.paper.clone().unwrap_or_default().join("\n");
    let sheet = Sheet {
        nav: Nav::Queue,
        title: &title,
        alarms: 0,
        still: None,
        live: html! {
            div class="two" {
                section class="card" { pre class="paper" { (lines) } }
                section class="card" {
                    p {
                        @if let Some(no) = paper.receipt_global_no { (visit.with("paper.sold", &[("no", &no)])) }
                        @else if paper.state == "dropped" { (visit.t("paper.dropped")) }
                    }
                    (reasons(&paper))
                    div class="row column" { (paper_buttons(&visit, &paper)) }
                }
            }
        },
    };
    sheet.show(&visit)
}
