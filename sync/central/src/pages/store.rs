//! One store: its tills, how far it is, its forks, what it was asked and what came of it.

use axum::extract::State;
use axum::response::Response;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use maud::{Markup, html};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{action, button, field};
use super::layout::{Nav, Page, card, empty, live, sheet};
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::functions::submissions::log_lines;
use crate::hq::SharedHq;
use crate::problem::{At, Problem};

/// Commands and events on the page.
const LATEST: i64 = 25;

/// `GET /stores/{store}`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    At(store): At<Uuid>,
) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let find = tx
        .prepare_cached(
            "SELECT s.name, s.joined_at, s.retired_at, c.epoch_no, c.acked, c.last_seen_at, c.last_entry_at, c.state_at,
               c.version, c.clock_skew_ms, c.revision, c.last_command, c.seen_command,
               c.state->>'fault', (c.state->>'lastSeq')::bigint, t.revision
             FROM stores s JOIN tenants t ON t.tenant_id = s.tenant_id
             LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             WHERE s.tenant_id = $1 AND s.store_id = $2",
        )
        .await?;
    let row = tx
        .query_opt(&find, &[&visit.caller.tenant.0, &store])
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("store"))?;
    let name: String = row.get(0);
    let tills = tills(&tx, &visit, store).await?;
    let commands = commands(&tx, &visit, store, None).await?;
    let epochs = epochs(&tx, &visit, store).await?;
    let events = events(&tx, &visit, store).await?;
    let log = log(&tx, &visit, store).await?;
    let body = html! {
        div class="stack" {
            (live(&visit, "store", &html! {
                (trouble(&row, &hq.join_command("CODE")))
                (sheet("Tills", None, &tills))
            }))
            div class="two" {
                (live(&visit, "lag", &card("How far it is", &facts(&visit, store, &row))))
                div class="stack" {
                    @if visit.may(Role::Operator) && row.get::<_, Option<Timestamp>>(2).is_none() { (card("Actions", &actions(&visit, store, &row))) }
                    (log)
                    (sheet("Series of the ledger", None, &epochs))
                }
            }
            (live(&visit, "doings", &html! {
                (sheet("Commands", None, &commands))
                (sheet("Latest events", None, &events))
            }))
        }
    };
    let crumbs = [("Overview".to_owned(), "/".to_owned())];
    let mut shown = Page::new(Nav::Overview, &name);
    shown.crumbs = &crumbs;
    shown.under =
        Some(html! { "Store · last seen " (words::when_or(visit.now, row.get(5), "never")) });
    Ok(shown.show(&visit, &body))
}

fn trouble(row: &Row, join: &str) -> Markup {
    let fault: Option<String> = row.get(13);
    html! {
        @if row.get::<_, Option<Timestamp>>(1).is_none() {
            div class="note warn" { p { "This store has not joined yet. Make it a code under Stores and tills, and run there: " span class="mono" { (join) } } }
        }
        @if let Some(at) = row.get::<_, Option<Timestamp>>(2) {
            div class="note" { "This store was retired on " (words::exact(at)) ": nothing is taken from it or asked of it any more. What it had sent until then stays." }
        }
        @if let Some(fault) = fault { div class="note bad" { p { "Its ledger takes no writes: " (fault) } } }
    }
}

fn facts(visit: &Visit, store: Uuid, row: &Row) -> Markup {
    let acked: Option<i64> = row.get(4);
    let last: Option<i64> = row.get(14);
    let behind = last
        .zip(acked)
        .map(|(last, acked)| last.saturating_sub(acked).max(0));
    let skew: Option<i64> = row.get(9);
    let (revision, wanted): (Option<i64>, i64) = (row.get(10), row.get(15));
    html! {
        dl class="facts" {
            dt { "Joined" } dd { (words::when_or(visit.now, row.get(1), "not yet")) }
            dt { "Last seen" } dd { (words::when_or(visit.now, row.get(5), "never")) }
            dt { "Last entry" } dd { (words::when_or(visit.now, row.get(6), "none")) }
            dt { "Lag" } dd {
                @match behind {
                    None => "unknown",
                    Some(0) => (tag(Tone::Ok, "up to date")),
                    Some(behind) => { (words::count(behind, "event", "events")) " not here yet" },
                }
            }
            dt { "Version" } dd { (words::or_none(row.get::<_, Option<String>>(8))) }
            dt { "Clock" } dd {
                @match skew {
                    None => "unknown",
                    Some(skew) if skew.abs() > 60_000 => (tag(Tone::Warn, &format!("{} {}", words::span(skew / 1000), if skew > 0 { "ahead" } else { "behind" }))),
                    Some(_) => "right within a minute",
                }
            }
            dt { "Settings" } dd {
                a href=(visit.href(&format!("/stores/{store}/settings"))) { "Settings of the store" } ": "
                @if revision == Some(wanted) { "as wanted (revision " (wanted) ")" }
                @else { (tag(Tone::Warn, "on the way")) " revision " (words::or_none(revision)) " of " (wanted) }
            }
            dt { "Commands" } dd { (words::or_none(row.get::<_, Option<i64>>(12))) " of " (words::or_none(row.get::<_, Option<i64>>(11))) " taken" }
        }
    }
}

fn actions(visit: &Visit, store: Uuid, row: &Row) -> Markup {
    let joined = row.get::<_, Option<Timestamp>>(1).is_some();
    html! {
        @if joined {
            div class="row" { (button(visit, &format!("/stores/{store}/log"), "Fetch its log", &html! {})) }
            p class="hint" { "The store sends the last lines of its log with its next exchange." }
        } @else {
            p class="hint" { "Nothing can be asked of a store that has not joined." }
        }
        @if visit.may(Role::Admin) {
            div class="row" {
                (action(visit, &format!("/stores/{store}/code"), "New code", false, &html! {
                    p class="hint" { "A code is good once, for an hour. Use it for a store that joins, or whose machine was lost: its ledger is built again from what is here." }
                    button class="main" { "Make a code" }
                }))
                (action(visit, &format!("/stores/{store}/retire"), "Retire the store", true, &html! {
                    p class="hint" { "For good. Its secret is good no more, its tills are retired, nothing is taken from it or asked of it any more; what it has sent stays. It is refused while a day is open there, something waits for the authority, or events of it are not here yet." }
                    (field("reason", "Reason", "", true))
                    label class="check" { input type="checkbox" name="lost" value="1"; "Its machine is lost or stolen, and the store is not set up again: what it has not sent is given up" }
                    button class="danger" { "Retire the store" }
                }))
                p class="hint" { "A lost machine alone is no reason to retire: with a new code the store goes on, on another one." }
            }
        }
    }
}

async fn tills(tx: &Transaction<'_>, visit: &Visit, store: Uuid) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT environment, device_id, machine_name, state, operating_mode, hold, fiscal_day_no, last_receipt_global_no,
               sent_receipt_global_no, waiting, oldest_waiting_at, parked, certificate_till, line
             FROM fdms_devices WHERE tenant_id = $1 AND store_id = $2
             ORDER BY state = 'retired', environment, device_id",
        )
        .await?;
    let rows = tx.query(&find, &[&visit.caller.tenant.0, &store]).await?;
    Ok(html! {
        @if rows.is_empty() {
            (empty("No till yet", "Add one under Stores and tills, or let the store join: it brings the tills that it has."))
        } @else {
            table class="fold" {
                thead { tr { th { "Till" } th { "State" } th { "Fiscal day" } th class="num" { "Last receipt" } th class="num" { "Unsent" } th { "Oldest" } th { "Certificate till" } } }
                tbody { @for row in &rows { (till_row(visit, row)) } }
            }
        }
    })
}

fn till_row(visit: &Visit, row: &Row) -> Markup {
    let (environment, device): (String, i32) = (row.get(0), row.get(1));
    let machine: String = row.get(2);
    let day: Option<i32> = row.get(6);
    html! {
        tr {
            td data-name="Till" {
                a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } " " (words::mark(&environment))
                @if !machine.is_empty() { span class="second" { (machine) } }
            }
            td data-name="State" { (till_state(row.get(3), row.get(5), row.get(11), row.get(13))) }
            td data-name="Fiscal day" { @match day { Some(day) => { (day) " open" }, None => span class="quiet" { "closed" } } }
            td data-name="Last receipt" class="num" { (words::thousands(row.get::<_, i32>(7).into())) span class="second" { (words::thousands(row.get::<_, i32>(8).into())) " at FDMS" } }
            td data-name="Unsent" class="num" { (words::thousands(row.get::<_, i32>(9).into())) }
            td data-name="Oldest" { (words::when_or(visit.now, row.get(10), "–")) }
            td data-name="Certificate till" { (words::when_or(visit.now, row.get(12), "none")) }
        }
    }
}

/// What a till's state is, in tags.
pub(super) fn till_state(
    state: &str,
    hold: Option<&str>,
    parked: Option<&str>,
    line: Option<&str>,
) -> Markup {
    html! {
        span class="tags" {
            (words::outcome(state))
            @if let Some(hold) = hold { (tag(Tone::Warn, &format!("held: {hold}"))) }
            @if parked.is_some() { (tag(Tone::Bad, "dead letter")) }
            @if line == Some("down") { (tag(Tone::Warn, "FDMS not reached")) }
        }
    }
}

/// The latest commands of a store, or of one of its tills.
pub(super) async fn commands(
    tx: &Transaction<'_>,
    visit: &Visit,
    store: Uuid,
    till: Option<(&str, i32)>,
) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT command_no, kind, environment, device_id, status, issued_by, issued_at, finished_at, detail, number
             FROM commands WHERE tenant_id = $1 AND store_id = $2
               AND ($3::text IS NULL OR (environment = $3 AND device_id = $4))
             ORDER BY command_no DESC LIMIT $5",
        )
        .await?;
    let (environment, device) = till.unzip();
    let rows = tx
        .query(
            &find,
            &[
                &visit.caller.tenant.0,
                &store,
                &environment,
                &device,
                &LATEST,
            ],
        )
        .await?;
    Ok(html! {
        @if rows.is_empty() {
            (empty("Nothing asked yet", "What is asked of the store stands here, and what came of it."))
        } @else {
            table class="fold" {
                thead { tr { th { "What" } th { "How it stands" } th { "Asked" } th { "Ended" } } }
                tbody { @for row in &rows { (command_row(visit, row, till.is_none())) } }
            }
        }
    })
}

fn command_row(visit: &Visit, row: &Row, with_till: bool) -> Markup {
    let status: &str = row.get(4);
    let (environment, device): (Option<&str>, Option<i32>) = (row.get(2), row.get(3));
    let detail: Option<&str> = row.get(8);
    html! {
        tr {
            td data-name="What" {
                (words::command(row.get(1))) " " span class="quiet small" { "no. " (row.get::<_, i64>(0)) }
                @if with_till && let Some((environment, device)) = environment.zip(device) {
                    span class="second" { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { "till " (device) } " " (environment) }
                }
            }
            td data-name="How it stands" {
                div { (words::outcome(status)) @if let Some(number) = row.get::<_, Option<i32>>(9) { " no. " (number) } }
                @if let Some(detail) = detail { span class="second" { (detail) } }
            }
            td data-name="Asked" { div { (words::when(visit.now, row.get(6))) span class="second" { "by " (row.get::<_, &str>(5)) } } }
            td data-name="Ended" { (words::when_or(visit.now, row.get(7), "not yet")) }
        }
    }
}

async fn epochs(tx: &Transaction<'_>, visit: &Visit, store: Uuid) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT epoch_no, parent_no, forked_at, reason, began_at FROM store_epochs
             WHERE tenant_id = $1 AND store_id = $2 ORDER BY epoch_no DESC",
        )
        .await?;
    let rows = tx.query(&find, &[&visit.caller.tenant.0, &store]).await?;
    Ok(html! {
        @if rows.is_empty() {
            (empty("No series yet", "The first begins when the store joins."))
        } @else {
            ul class="list small" {
                @for row in &rows {
                    li {
                        b { "Series " (row.get::<_, i32>(0)) }
                        @if let Some(parent) = row.get::<_, Option<i32>>(1) {
                            " " (tag(Tone::Warn, "fork"))
                            " off series " (parent) " after line " (words::or_none(row.get::<_, Option<i64>>(2)))
                        }
                        div class="soft" { (row.get::<_, &str>(3)) " · " (words::when(visit.now, row.get(4))) }
                    }
                }
            }
        }
    })
}

async fn events(tx: &Transaction<'_>, visit: &Visit, store: Uuid) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT seq, at, environment, device_id, kind FROM store_events
             WHERE tenant_id = $1 AND store_id = $2 ORDER BY epoch_no DESC, seq DESC LIMIT $3",
        )
        .await?;
    let rows = tx
        .query(&find, &[&visit.caller.tenant.0, &store, &LATEST])
        .await?;
    Ok(html! {
        @if rows.is_empty() {
            (empty("No event yet", "Days, certificates and settings stand here; sales are under Receipts."))
        } @else {
            table {
                thead { tr { th { "When" } th { "What" } th { "Till" } th class="num" { "Line" } } }
                tbody { @for row in &rows { tr {
                    td { (words::exact(row.get(1))) }
                    td class="mono" { (row.get::<_, &str>(4)) }
                    td { (words::or_none(row.get::<_, Option<i32>>(3))) }
                    td class="num soft" { (row.get::<_, i64>(0)) }
                } } }
            }
        }
    })
}

/// The log that the store sent last.
async fn log(tx: &Transaction<'_>, visit: &Visit, store: Uuid) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT result, finished_at FROM commands
             WHERE tenant_id = $1 AND store_id = $2 AND kind = 'upload_log' AND status = 'done'
             ORDER BY command_no DESC LIMIT 1",
        )
        .await?;
    let row = tx
        .query_opt(&find, &[&visit.caller.tenant.0, &store])
        .await?;
    let Some(row) = row else { return Ok(html! {}) };
    let lines = log_lines(row.get(0)).unwrap_or_default();
    Ok(card(
        "Its log",
        &html! {
            p class="small soft" { (words::count(i64::try_from(lines.len()).unwrap_or_default(), "line", "lines")) ", sent " (words::when_or(visit.now, row.get(1), "")) }
            details class="fold" { summary { "Show" } pre tabindex="0" { @for line in &lines { (line) "\n" } } }
        },
    ))
}
