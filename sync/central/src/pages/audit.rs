//! Who did what, newest first, paged by number; with the place of each row in the chain.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use clock::{Timestamp, instant};
use maud::{Markup, html};
use postgres_types::ToSql;
use serde_json::Value;
use tokio_postgres::Row;

use super::fail::Failed;
use super::forms::unread;
use super::layout::{Nav, Page, empty};
use super::query::{Query, Wrong};
use super::receipts::hex;
use super::visit::Visit;
use super::words;
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;

/// Rows on a page.
const SHOWN: usize = 100;

/// `GET /audit`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    visit.caller.at_least(Role::Admin)?;
    let query = Query::of(&uri);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let find = tx
        .prepare_cached(&format!(
            "SELECT audit_no, at, actor, action, subject, before, after, hash FROM fdms_audit_logs
             WHERE tenant_id = $1 AND audit_no < $2 AND at >= $3 AND at < $4
               AND ($5::text IS NULL OR strpos(actor, $5) > 0) AND ($6::text IS NULL OR strpos(action, $6) > 0)
               AND ($7::text IS NULL OR strpos(subject, $7) > 0)
             ORDER BY audit_no DESC LIMIT {}",
            SHOWN + 1
        ))
        .await?;
    let mut wrong = Vec::new();
    let from = query
        .day("from", &mut wrong)
        .map_or(Timestamp::UNIX_EPOCH, |date| instant(date.at(0, 0, 0, 0)));
    let next = |date: jiff::civil::Date| date.saturating_add(jiff::Span::new().days(1));
    let before = query
        .day("to", &mut wrong)
        .map_or(far(), |date| instant(next(date).at(0, 0, 0, 0)));
    let must = "as the page before has it: begin at the first page";
    let read = |text: &str| text.parse::<i64>().ok();
    let below = query.checked("below", must, read, &mut wrong);
    let below = below.unwrap_or(i64::MAX);
    let (actor, action, subject) = (
        query.text("actor"),
        query.text("action"),
        query.text("subject"),
    );
    let values: [&(dyn ToSql + Sync); 7] = [
        &visit.caller.tenant.0,
        &below,
        &from,
        &before,
        &actor,
        &action,
        &subject,
    ];
    let rows = if wrong.is_empty() {
        tx.query(&find, &values).await?
    } else {
        Vec::new()
    };
    let body = html! {
        div class="stack" {
            section class="card no-print" { div class="in" { (form(&visit, &query)) } }
            section class="card" { (table(&visit, &query, (&wrong, &rows))) }
        }
    };
    let mut shown = Page::new(Nav::Audit, "Audit");
    shown.under = Some(
        html! { "Who did what. Rows are only appended, each chained to the one before; check the chain with " span class="mono" { "fiscal-hq audit verify" } },
    );
    Ok(shown.show(&visit, &body))
}

/// A moment after all that happens: Postgres and jiff both know it.
pub(super) fn far() -> Timestamp {
    Timestamp::from_second(32_503_680_000).unwrap_or(Timestamp::MAX)
}

fn form(visit: &Visit, query: &Query) -> Markup {
    html! {
        form class="form across" method="get" action="/audit" role="search" {
            @if visit.caller.is_operator { input type="hidden" name="tenant" value=(visit.caller.tenant); }
            label { "Who" input name="actor" value=(query.shown("actor")) placeholder="user:tendai@"; }
            label { "What" input name="action" value=(query.shown("action")) placeholder="command."; }
            label { "To what" input name="subject" value=(query.shown("subject")); }
            label { "From" input type="date" name="from" value=(query.shown("from")); }
            label { "To" input type="date" name="to" value=(query.shown("to")); }
            div class="row" { button class="main" { "Search" } a class="button" href=(visit.href("/audit")) { "Clear" } }
        }
    }
}

fn table(visit: &Visit, query: &Query, (wrong, rows): (&[Wrong], &[Row])) -> Markup {
    let more = rows.len() > SHOWN;
    let shown = rows.get(..SHOWN.min(rows.len())).unwrap_or_default();
    html! {
        @if !wrong.is_empty() {
            (unread(wrong))
        } @else if shown.is_empty() {
            (empty("Nothing like that was done", "Clear a field, or widen the dates."))
        } @else {
            div class="scroll" {
                table class="fold" {
                    thead { tr { th { "No." } th { "When" } th { "Who" } th { "What" } th { "To what" } th { "Before and after" } } }
                    tbody { @for row in shown { tr {
                        td data-name="No." class="soft" title={ "hash " (hex(row.get(7))) } { (row.get::<_, i64>(0)) }
                        td data-name="When" { (words::exact(row.get(1))) }
                        td data-name="Who" { (row.get::<_, &str>(2)) }
                        td data-name="What" class="mono" { (row.get::<_, &str>(3)) }
                        td data-name="To what" class="wide" { (row.get::<_, &str>(4)) }
                        td data-name="Before and after" class="wide" { (change(row.get(5), row.get(6))) }
                    } } }
                }
            }
            div class="pager" {
                @if query.text("below").is_some() { a href=(visit.href(&query.with("/audit", "below", ""))) { "To the newest" } } @else { span {} }
                @if more && let Some(last) = shown.last() {
                    a href=(visit.href(&query.with("/audit", "below", &last.get::<_, i64>(0).to_string()))) rel="next" { "Older" }
                }
            }
        }
    }
}

fn change(before: Option<Value>, after: Option<Value>) -> Markup {
    html! {
        @if before.is_none() && after.is_none() { span class="quiet" { "–" } }
        @else {
            details class="fold" {
                summary { "Show" }
                @if let Some(before) = before { pre { "before " (pretty(&before)) } }
                @if let Some(after) = after { pre { "after " (pretty(&after)) } }
            }
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
