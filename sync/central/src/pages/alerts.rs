//! What is wrong, since when, and who is told.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::{Markup, html};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::layout::{Nav, Page, empty, sheet};
use super::query::Query;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::db;
use crate::hq::SharedHq;

/// Alerts on the page.
const SHOWN: i64 = 200;

/// `GET /alarms`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    let ended = Query::of(&uri).is_set("ended");
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let tenant = visit.caller.tenant.0;
    let find = tx
        .prepare_cached(
            "SELECT a.kind, a.subject, a.severity, a.store_id, s.name, a.environment, a.device_id, a.detail, a.since, a.ended_at
             FROM alerts a LEFT JOIN stores s ON s.tenant_id = a.tenant_id AND s.store_id = a.store_id
             WHERE a.tenant_id = $1 AND (a.ended_at IS NOT NULL) = $2
             ORDER BY a.severity = 'fault' DESC, coalesce(a.ended_at, a.since) DESC LIMIT $3",
        )
        .await?;
    let rows = tx.query(&find, &[&tenant, &ended, &SHOWN]).await?;
    let find = tx
        .prepare_cached(
            "SELECT c.kind, c.target, c.enabled, c.created_by, c.created_at,
               (SELECT max(d.delivered_at) FROM alert_deliveries d WHERE d.tenant_id = c.tenant_id AND d.channel_id = c.channel_id) AS last,
               (SELECT d.last_error FROM alert_deliveries d WHERE d.tenant_id = c.tenant_id AND d.channel_id = c.channel_id
                  AND d.delivered_at IS NULL AND d.last_error IS NOT NULL ORDER BY d.next_attempt_at DESC LIMIT 1) AS error
             FROM alert_channels c WHERE c.tenant_id = $1 ORDER BY c.kind, c.target",
        )
        .await?;
    let channels = tx.query(&find, &[&tenant]).await?;
    let body = html! {
        div class="stack" {
            div id="alerts" class="stack" data-live {
                section class="card" {
                    header {
                        h2 { @if ended { "Ended" } @else { "Open" } }
                        a class="small" href=(visit.href(if ended { "/alarms" } else { "/alarms?ended=1" })) { @if ended { "Show the open ones" } @else { "Show those that have ended" } }
                    }
                    @if rows.is_empty() {
                        @if ended { (empty("None has ended yet", "What was wrong and is well again stands here.")) }
                        @else { (empty("Nothing is wrong", "As far as head office can see.")) }
                    } @else { ul class="list" { @for row in &rows { (alert(&visit, row)) } } }
                }
                (sheet("Who is told", None, &channel_table(&visit, &channels)))
            }
        }
    };
    Ok(Page::new(Nav::Alerts, "Alerts").show(&visit, &body))
}

fn alert(visit: &Visit, row: &Row) -> Markup {
    let is_fault = row.get::<_, &str>(2) == "fault";
    let (environment, device): (Option<&str>, Option<i32>) = (row.get(5), row.get(6));
    html! {
        li {
            div class="row" {
                (tag(if is_fault { Tone::Bad } else { Tone::Warn }, &row.get::<_, &str>(0).replace('_', " ")))
                @if let Some((store, name)) = row.get::<_, Option<Uuid>>(3).zip(row.get::<_, Option<&str>>(4)) { a href=(visit.href(&format!("/stores/{store}"))) { (name) } }
                @if let Some((environment, device)) = environment.zip(device) { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { "till " (device) } (words::environment(environment)) }
                @if row.get::<_, Option<Uuid>>(3).is_none() && device.is_none() { span class="soft" { (row.get::<_, &str>(1)) } }
            }
            p { (row.get::<_, &str>(7)) }
            p class="small soft" { "since " (words::when(visit.now, row.get(8))) @if let Some(ended) = row.get::<_, Option<clock::Timestamp>>(9) { " · ended " (words::when(visit.now, ended)) } }
        }
    }
}

fn channel_table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("Nobody is told", "Alerts stand here alone until a channel is added: a webhook, or an email address.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Channel" } th { "Target" } th { "State" } th { "Last told" } th { "Added" } } }
                tbody { @for row in rows { tr {
                    td data-name="Channel" { (row.get::<_, &str>(0)) }
                    td data-name="Target" { (row.get::<_, &str>(1)) }
                    td data-name="State" { span {
                        @if row.get::<_, bool>(2) { (tag(Tone::Ok, "on")) } @else { (tag(Tone::Quiet, "off")) }
                        @if let Some(error) = row.get::<_, Option<&str>>(6) { span class="second" { (error) } }
                    } }
                    td data-name="Last told" { (words::when_or(visit.now, row.get(5), "never")) }
                    td data-name="Added" { span { (words::when(visit.now, row.get(4))) span class="second" { "by " (row.get::<_, &str>(3)) } } }
                } } }
            }
        }
    }
}
