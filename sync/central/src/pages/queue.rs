//! What waits for FDMS: dead letters first, each with what can be done about it, then what is on its way.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::{Markup, html};
use tokio_postgres::Row;

use super::fail::Failed;
use super::forms::{action, button, field};
use super::layout::{Nav, Page, empty, sheet};
use super::query::Query;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;

/// Rows of each kind on a page.
const SHOWN: i64 = 200;

/// `GET /queue`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    let query = Query::of(&uri);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let find = tx
        .prepare_cached(
            "SELECT j.environment, j.device_id, j.kind, j.number, j.status, j.attempts, j.next_attempt_at, j.reason, j.code,
               j.updated_at, j.store_id, s.name, d.waiting, d.oldest_waiting_at
             FROM fdms_retry_jobs j
             JOIN stores s ON s.tenant_id = j.tenant_id AND s.store_id = j.store_id
             LEFT JOIN fdms_devices d ON d.tenant_id = j.tenant_id AND d.environment = j.environment AND d.device_id = j.device_id
             WHERE j.tenant_id = $1 AND j.status = $2 ORDER BY j.environment, j.device_id, j.item_seq LIMIT $3",
        )
        .await?;
    let tenant = visit.caller.tenant.0;
    let dead = tx.query(&find, &[&tenant, &"dead_letter", &SHOWN]).await?;
    let mut waiting = tx.query(&find, &[&tenant, &"in_flight", &SHOWN]).await?;
    waiting.extend(tx.query(&find, &[&tenant, &"pending", &SHOWN]).await?);
    let tills = unsent(&tx, &visit).await?;
    let done = match query.is_set("history") {
        true => Some(history(&tx, &visit, SHOWN).await?),
        false => None,
    };
    let body = html! {
        div class="stack" {
            div id="queue" class="stack" data-live {
                section class="card" {
                    header { h2 { "Dead letters" } }
                    @if dead.is_empty() {
                        (empty("No dead letter", "Nothing has been refused for good, and nothing is paused."))
                    } @else {
                        ul class="list" { @for row in &dead { (letter(&visit, row)) } }
                    }
                }
                (sheet("Unsent, by till", None, &tills))
                (sheet("On their way", None, &on_the_way(&visit, &waiting)))
            }
            @if let Some(done) = done { (sheet("Done lately", None, &done)) }
            @else { p { a href=(visit.href("/queue?history=1")) { "Show what was done lately" } } }
        }
    };
    let mut shown = Page::new(Nav::Queue, "Dead letters");
    shown.under = Some(
        html! { "Review daily. A till with a dead letter sells on; nothing behind the letter is sent until somebody acts." },
    );
    Ok(shown.show(&visit, &body))
}

fn letter(visit: &Visit, row: &Row) -> Markup {
    let (environment, device, kind, number): (&str, i32, &str, i32) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let path = format!("/tills/{environment}/{device}/command");
    let waiting: Option<i32> = row.get(12);
    html! {
        li {
            div class="row" {
                (tag(Tone::Bad, "dead letter"))
                b { (thing(visit, environment, device, kind, number)) }
                span class="soft" { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { "till " (device) } " · " a href=(visit.href(&format!("/stores/{}", row.get::<_, uuid::Uuid>(10)))) { (row.get::<_, &str>(11)) } }
                (words::mark(environment))
            }
            p { @if let Some(code) = row.get::<_, Option<&str>>(8) { span class="mono" { (code) } ": " } (row.get::<_, Option<&str>>(7).unwrap_or("no reason was given")) }
            p class="small soft" {
                (words::count(row.get::<_, i32>(5).into(), "try", "tries")) " · since " (words::when(visit.now, row.get(9)))
                @if let Some(waiting) = waiting { " · " (words::thousands(waiting.into())) " wait on this till" }
            }
            @if visit.may(Role::Operator) {
                div class="row no-print" {
                    (button(visit, &path, "Retry", &html! { input type="hidden" name="kind" value="retry"; input type="hidden" name="back" value="/queue"; }))
                    (action(visit, &path, "Change the reason", false, &html! {
                        input type="hidden" name="kind" value="dead_letter";
                        input type="hidden" name="back" value="/queue";
                        (field("reason", "Reason, for the page and the audit", row.get::<_, Option<&str>>(7).unwrap_or_default(), true))
                        button { "Keep it paused with this reason" }
                    }))
                }
            }
        }
    }
}

/// What a job is about; a link where it is a receipt or a day.
pub(super) fn thing(
    visit: &Visit,
    environment: &str,
    device: i32,
    kind: &str,
    number: i32,
) -> Markup {
    let path = match kind {
        "submit_receipt" => Some(format!("/receipts/{environment}/{device}/{number}")),
        "open_day" | "close_day" => Some(format!("/tills/{environment}/{device}/days/{number}")),
        _ => None,
    };
    html! {
        @match path {
            Some(path) => a href=(visit.href(&path)) { (words::item(kind)) " " (number) },
            None => { (words::item(kind)) " " (number) },
        }
    }
}

async fn unsent(tx: &deadpool_postgres::Transaction<'_>, visit: &Visit) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT d.environment, d.device_id, d.machine_name, s.store_id, s.name, d.waiting, d.oldest_waiting_at, d.line, d.parked
             FROM fdms_devices d JOIN stores s ON s.tenant_id = d.tenant_id AND s.store_id = d.store_id
             WHERE d.tenant_id = $1 AND d.waiting > 0 ORDER BY d.oldest_waiting_at, d.device_id LIMIT $2",
        )
        .await?;
    let rows = tx.query(&find, &[&visit.caller.tenant.0, &SHOWN]).await?;
    Ok(html! {
        @if rows.is_empty() { (empty("Everything is at FDMS", "As far as the stores have said so.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Till" } th { "Store" } th class="num" { "Waiting" } th { "Oldest" } th { "Line to FDMS" } } }
                tbody { @for row in &rows { tr {
                    @let environment: &str = row.get(0);
                    @let device: i32 = row.get(1);
                    td data-name="Till" { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } " " (words::mark(environment)) span class="second" { (row.get::<_, &str>(2)) } }
                    td data-name="Store" { a href=(visit.href(&format!("/stores/{}", row.get::<_, uuid::Uuid>(3)))) { (row.get::<_, &str>(4)) } }
                    td data-name="Waiting" class="num" { (words::thousands(row.get::<_, i32>(5).into())) }
                    td data-name="Oldest" { (words::when_or(visit.now, row.get(6), "–")) }
                    td data-name="Line to FDMS" { @if row.get::<_, Option<&str>>(8).is_some() { (tag(Tone::Bad, "dead letter")) } @else { (words::or_none(row.get::<_, Option<&str>>(7))) } }
                } } }
            }
        }
    })
}

fn on_the_way(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("Nothing is on its way", "What a store tries again stands here with the time of its next try.")) }
        @else {
            p class="hint in" {
                "What was tried and is not at FDMS yet. Pending: it is tried again. In flight: it was sent, and what became of it is not known; FDMS is asked. "
                "What waits behind it is counted above."
            }
            table class="fold" {
                thead { tr { th { "What" } th { "Till" } th { "State" } th class="num" { "Tries" } th { "Next try" } th { "Why not yet" } } }
                tbody { @for row in rows { tr {
                    @let environment: &str = row.get(0);
                    @let device: i32 = row.get(1);
                    td data-name="What" { (thing(visit, environment, device, row.get(2), row.get(3))) }
                    td data-name="Till" { span { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } " · " (row.get::<_, &str>(11)) } }
                    td data-name="State" { (words::outcome(row.get(4))) }
                    td data-name="Tries" class="num" { (row.get::<_, i32>(5)) }
                    td data-name="Next try" { (words::when_or(visit.now, row.get(6), "–")) }
                    td data-name="Why not yet" { (words::or_none(row.get::<_, Option<&str>>(7))) }
                } } }
            }
        }
    }
}

async fn history(
    tx: &deadpool_postgres::Transaction<'_>,
    visit: &Visit,
    limit: i64,
) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT environment, device_id, kind, number, attempts, updated_at FROM fdms_retry_jobs
             WHERE tenant_id = $1 AND status = 'done' AND attempts > 1 ORDER BY updated_at DESC LIMIT $2",
        )
        .await?;
    let rows = tx.query(&find, &[&visit.caller.tenant.0, &limit]).await?;
    Ok(html! {
        @if rows.is_empty() { (empty("Nothing yet", "What took more than one try stands here once it is done.")) }
        @else {
            table {
                thead { tr { th { "What" } th { "Till" } th class="num" { "Tries" } th { "Done" } } }
                tbody { @for row in &rows { tr {
                    td { (thing(visit, row.get(0), row.get(1), row.get(2), row.get(3))) }
                    td { (row.get::<_, i32>(1)) }
                    td class="num" { (row.get::<_, i32>(4)) }
                    td { (words::when(visit.now, row.get(5))) }
                } } }
            }
        }
    })
}
