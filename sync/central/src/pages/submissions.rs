//! Every attempt to send something to FDMS, newest first, paged by key.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use clock::{Timestamp, instant};
use maud::{Markup, html};
use postgres_types::ToSql;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{choice, unread};
use super::layout::{Nav, Page, empty};
use super::query::{Query, Wrong};
use super::queue::thing;
use super::receipts::value;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::db;
use crate::hq::SharedHq;

/// Attempts on a page.
const SHOWN: usize = 100;
/// So many days are searched where nothing is said.
const DAYS: i64 = 31;

const KINDS: [(&str, &str); 5] = [
    ("", "all"),
    ("submit_receipt", "Receipts"),
    ("open_day", "Openings"),
    ("close_day", "Closes"),
    ("submit_file", "Files"),
];
const OUTCOMES: [(&str, &str); 6] = [
    ("", "all"),
    ("accepted", "accepted"),
    ("refused", "refused"),
    ("later", "later"),
    ("unknown", "unknown"),
    ("paused", "paused"),
];

/// Where a page ended: moment, store, series, line.
type Key = (Timestamp, Uuid, i32, i64);

fn key(text: &str) -> Option<Key> {
    let mut parts = text.split('~');
    Some((
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    ))
}

/// `GET /submissions`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    let query = Query::of(&uri);
    let days = jiff::SignedDuration::from_hours(24 * DAYS);
    let mut wrong = Vec::new();
    let from = query
        .day("from", &mut wrong)
        .map(|date| instant(date.at(0, 0, 0, 0)));
    let from = from.unwrap_or_else(|| visit.now.saturating_sub(days).unwrap_or(Timestamp::MIN));
    let next_day = |date: jiff::civil::Date| date.saturating_add(jiff::Span::new().days(1));
    let before = query
        .day("to", &mut wrong)
        .map_or(super::audit::far(), |date| {
            instant(next_day(date).at(0, 0, 0, 0))
        });
    let must = "as the page before has it: begin at the first page";
    let after = query.checked("after", must, key, &mut wrong);
    let newest = (super::audit::far(), Uuid::max(), i32::MAX, i64::MAX);
    let (at, store, epoch, seq) = after.unwrap_or(newest);
    let till = query.number("till", &mut wrong);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let (kind, code) = (query.text("kind"), query.text("code"));
    let outcome = query
        .text("outcome")
        .filter(|word| OUTCOMES.iter().any(|(known, _)| known == word));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![
        &visit.caller.tenant.0,
        &from,
        &before,
        &at,
        &store,
        &epoch,
        &seq,
    ];
    let mut conditions = String::new();
    // An outcome stands in the text itself, so that the small index of what was not accepted is used.
    if let Some(outcome) = outcome {
        conditions.push_str(&format!(" AND l.outcome = '{outcome}'"));
    }
    let wanted: [(&str, Option<&(dyn ToSql + Sync)>); 3] = [
        (
            "l.environment IN ('prod', 'test') AND l.device_id =",
            value(&till),
        ),
        ("l.kind =", value(&kind)),
        ("l.fdms_code =", value(&code)),
    ];
    for (condition, wanted) in wanted {
        if let Some(wanted) = wanted {
            values.push(wanted);
            conditions.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    }
    let find = tx
        .prepare_cached(&format!(
            "SELECT l.at, l.store_id, l.epoch_no, l.seq, l.environment, l.device_id, l.kind, l.number, l.attempt, l.outcome,
               l.http_status, l.fdms_code, l.operation_id, l.color, l.error_message, l.duration_ms, s.name
             FROM fdms_submission_logs l JOIN stores s ON s.tenant_id = l.tenant_id AND s.store_id = l.store_id
             WHERE l.tenant_id = $1 AND l.at >= $2 AND l.at < $3 AND (l.at, l.store_id, l.epoch_no, l.seq) < ($4, $5, $6, $7){conditions}
             ORDER BY l.at DESC, l.store_id DESC, l.epoch_no DESC, l.seq DESC LIMIT {}",
            SHOWN + 1
        ))
        .await?;
    let rows = if wrong.is_empty() {
        tx.query(&find, &values).await?
    } else {
        Vec::new()
    };
    let body = html! {
        div class="stack" {
            section class="card no-print" { div class="in" { (form(&visit, &query, from)) } }
            section class="card" { (table(&visit, &query, (&wrong, &rows))) }
        }
    };
    let mut shown = Page::new(Nav::Submissions, "Submissions");
    shown.under = Some(html! { "Every attempt to send something to FDMS, the newest first" });
    Ok(shown.show(&visit, &body))
}

fn form(visit: &Visit, query: &Query, from: Timestamp) -> Markup {
    html! {
        form class="form across" method="get" action="/submissions" role="search" {
            @if visit.caller.is_operator { input type="hidden" name="tenant" value=(visit.caller.tenant); }
            label { "From" input type="date" name="from" value=(clock::local(from).date()); }
            label { "To" input type="date" name="to" value=(query.shown("to")); }
            label { "Till (device ID)" input name="till" value=(query.shown("till")); }
            (choice("kind", "What", &KINDS, query.shown("kind")))
            (choice("outcome", "How it ended", &OUTCOMES, query.shown("outcome")))
            label { "FDMS code" input name="code" value=(query.shown("code")); }
            div class="row" { button class="main" { "Search" } a class="button" href=(visit.href("/submissions")) { "Clear" } }
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
            (empty("No attempt like that", "Widen the dates or clear a field. Attempts stand here as soon as the store has sent them."))
        } @else {
            div class="scroll" {
                table class="fold" {
                    thead { tr { th { "When" } th { "What" } th { "Till" } th { "How it ended" } th class="num" { "HTTP" } th class="num" { "Took" } th { "Operation" } } }
                    tbody { @for row in shown { (log(visit, row)) } }
                }
            }
            div class="pager" {
                @if query.text("after").is_some() { a href=(visit.href(&query.with("/submissions", "after", ""))) { "To the newest" } } @else { span {} }
                @if more && let Some(last) = shown.last() {
                    @let key = format!("{}~{}~{}~{}", last.get::<_, Timestamp>(0), last.get::<_, Uuid>(1), last.get::<_, i32>(2), last.get::<_, i64>(3));
                    a href=(visit.href(&query.with("/submissions", "after", &key))) rel="next" { "Older" }
                }
            }
        }
    }
}

fn log(visit: &Visit, row: &Row) -> Markup {
    let (environment, device): (&str, i32) = (row.get(4), row.get(5));
    html! {
        tr {
            td data-name="When" { (words::exact(row.get(0))) }
            td data-name="What" class="nowrap" { span { (thing(visit, environment, device, row.get(6), row.get(7))) @if row.get::<_, i32>(8) > 1 { span class="second" { "try " (row.get::<_, i32>(8)) } } } }
            td data-name="Till" { span { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } " " (words::mark(environment)) span class="second" { (row.get::<_, &str>(16)) } } }
            td data-name="How it ended" class="wide" { span {
                (words::outcome(row.get(9)))
                @if let Some(color) = row.get::<_, Option<&str>>(13) { " " (tag(if color == "Red" { Tone::Bad } else { Tone::Warn }, color)) }
                @if let Some(error) = row.get::<_, Option<&str>>(14) { span class="second" { @if let Some(code) = row.get::<_, Option<&str>>(11) { (code) ": " } (error) } }
            } }
            td data-name="HTTP" class="num" { (words::or_none(row.get::<_, Option<i32>>(10))) }
            td data-name="Took" class="num" { (words::thousands(row.get::<_, i32>(15).into())) " ms" }
            td data-name="Operation" class="mono" { (words::or_none(row.get::<_, Option<&str>>(12))) }
        }
    }
}
