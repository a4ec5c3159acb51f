//! One till: its state, day, numbers, queue, certificate, and what can be asked of it.

use axum::extract::State;
use axum::response::Response;
use deadpool_postgres::Transaction;
use maud::{Markup, html};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{action, button, choice, field};
use super::layout::{Nav, Page, card, empty, live, sheet, tile};
use super::manage::MODES;
use super::store;
use super::visit::Visit;
use super::words::{self, Tone};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;
use crate::problem::{At, Problem};

/// Days on the page.
const DAYS: i64 = 31;

/// `GET /tills/{environment}/{device}`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    At((environment, device)): At<(String, i32)>,
) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let find = tx
        .prepare_cached(
            "SELECT d.store_id, s.name AS store, d.*, j.kind AS head_kind, j.number AS head_no, j.status AS head_status,
               j.attempts AS head_attempts, j.next_attempt_at AS head_next, j.reason AS head_reason, j.code AS head_code,
               (SELECT t FROM store_cursors c, jsonb_array_elements(c.state->'tills') t
                WHERE c.tenant_id = d.tenant_id AND c.store_id = d.store_id
                  AND t->'till'->>'environment' = d.environment AND (t->'till'->>'deviceID')::int = d.device_id LIMIT 1) AS state_now
             FROM fdms_devices d JOIN stores s ON s.tenant_id = d.tenant_id AND s.store_id = d.store_id
             LEFT JOIN LATERAL (
               SELECT * FROM fdms_retry_jobs j WHERE j.tenant_id = d.tenant_id AND j.environment = d.environment
                 AND j.device_id = d.device_id AND j.status <> 'done' ORDER BY j.item_seq, j.number LIMIT 1) j ON true
             WHERE d.tenant_id = $1 AND d.environment = $2 AND d.device_id = $3",
        )
        .await?;
    let row = tx
        .query_opt(&find, &[&visit.caller.tenant.0, &environment, &device])
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("till"))?;
    let store: Uuid = row.get("store_id");
    let days = days(&tx, &visit, &environment, device).await?;
    let commands = store::commands(&tx, &visit, store, Some((&environment, device))).await?;
    let body = html! {
        (live(&visit, "till", &html! {
            (trouble(&row))
            (tiles(&visit, &row, &environment, device))
            div class="two" {
                (card("Till", &facts(&visit, &row)))
                (card("Queue and certificate", &queue(&visit, &row)))
            }
        }))
        @if visit.may(Role::Operator) { (card("Actions", &actions(&visit, &row, &environment, device))) }
        (live(&visit, "doings", &html! {
            (sheet("Commands", None, &commands))
            (sheet("Fiscal days", None, &days))
        }))
    };
    let machine: &str = row.get("machine_name");
    let title = if machine.is_empty() {
        format!("Till {device}")
    } else {
        format!("{machine} · till {device}")
    };
    let crumbs = [
        ("Overview".to_owned(), "/".to_owned()),
        (row.get("store"), format!("/stores/{store}")),
    ];
    let mut shown = Page::new(Nav::Overview, &title);
    shown.crumbs = &crumbs;
    shown.under = Some(
        html! { (words::environment(&environment)) " " (store::till_state(row.get("state"), row.get("hold"), row.get("parked"), row.get("line"))) },
    );
    Ok(shown.show(&visit, &html! { div class="stack" { (body) } }))
}

fn trouble(row: &Row) -> Markup {
    html! {
        @if let Some(hold) = row.get::<_, Option<&str>>("hold") {
            div class="note warn" { p { b { "It does not sell: " } (row.get::<_, Option<&str>>("hold_reason").unwrap_or(hold)) } }
        }
        @if let Some(parked) = row.get::<_, Option<&str>>("parked") {
            div class="note bad" { p { b { "Nothing is sent (dead letter): " } (parked) } p { "It sells on; what waits is kept. Retry once the reason is gone." } }
        }
        @if let Some(error) = row.get::<_, Option<&str>>("last_error") { div class="note warn" { p { b { "Last error: " } (error) } } }
    }
}

fn tiles(visit: &Visit, row: &Row, environment: &str, device: i32) -> Markup {
    let day: Option<i32> = row.get("fiscal_day_no");
    let waiting: i64 = row.get::<_, i32>("waiting").into();
    let (last, sent): (i32, i32) = (
        row.get("last_receipt_global_no"),
        row.get("sent_receipt_global_no"),
    );
    let oldest: Option<clock::Timestamp> = row.get("oldest_waiting_at");
    let opened: Option<clock::DateTime> = row.get("fiscal_day_opened");
    let age = oldest.map(|at| format!("oldest {}", words::relative(visit.now, at)));
    let day_path = visit.href(&format!(
        "/tills/{environment}/{device}/days/{}",
        day.unwrap_or_default()
    ));
    html! {
        div class="tiles" {
            @match day {
                Some(day) => (tile(Tone::Ok, &day.to_string(), "open fiscal day", opened.map(|at| format!("since {}", words::local_words(at))).as_deref(), Some(&day_path))),
                None => (tile(Tone::Quiet, "closed", "fiscal day", Some(&format!("last: {}", row.get::<_, i32>("last_day_no"))), None)),
            }
            (tile(Tone::Quiet, &words::thousands(last.into()), "last receipt", Some(&format!("{} at FDMS", words::thousands(sent.into()))), Some(&visit.href(&format!("/receipts?till={device}")))))
            (tile(Tone::warn_if_any(waiting), &words::thousands(waiting), "waiting for FDMS", age.as_deref(), Some(&visit.href("/queue"))))
        }
    }
}

fn facts(visit: &Visit, row: &Row) -> Markup {
    html! {
        dl class="facts" {
            dt { "Serial number" } dd { (row.get::<_, &str>("serial_no")) }
            dt { "Model" } dd { (row.get::<_, &str>("model_name")) " " (row.get::<_, &str>("model_version")) }
            dt { "Cashier machine" } dd { (row.get::<_, &str>("machine_name")) }
            dt { "Invoice prefix" } dd class="mono" { (row.get::<_, &str>("invoice_prefix")) }
            dt { "Mode" } dd {
                (words::or_none(row.get::<_, Option<&str>>("operating_mode"))) " at FDMS, " (row.get::<_, &str>("mode")) " expected"
            }
            dt { "Line to FDMS" } dd { (words::or_none(row.get::<_, Option<&str>>("line"))) }
            dt { "Last seen" } dd { (words::when_or(visit.now, row.get("last_seen_at"), "never")) }
            dt { "Added" } dd { (words::when(visit.now, row.get("created_at"))) " by " (row.get::<_, &str>("created_by")) }
        }
    }
}

fn queue(visit: &Visit, row: &Row) -> Markup {
    let head = row
        .get::<_, Option<Value>>("state_now")
        .and_then(|state| state.pointer("/queue/head").cloned());
    let head_error = head
        .as_ref()
        .and_then(|head| head.get("lastError"))
        .and_then(Value::as_str);
    html! {
        dl class="facts" {
            dt { "Head of queue" } dd {
                @match row.get::<_, Option<&str>>("head_kind") {
                    None => span class="quiet" { "nothing waits" },
                    Some(kind) => {
                        (words::item(kind)) " " (row.get::<_, i32>("head_no")) " " (words::outcome(row.get("head_status")))
                        div class="small soft" { (words::count(row.get::<_, i32>("head_attempts").into(), "try", "tries")) ", next " (words::when_or(visit.now, row.get("head_next"), "when a person has acted")) }
                        @if let Some(reason) = row.get::<_, Option<&str>>("head_reason") { div class="small" { (words::or_none(row.get::<_, Option<&str>>("head_code"))) ": " (reason) } }
                        @else if let Some(error) = head_error { div class="small" { (error) } }
                    },
                }
            }
            dt { "Certificate" } dd class="mono" { (words::or_none(row.get::<_, Option<&str>>("certificate_thumbprint"))) }
            dt { "Valid from" } dd { (words::when_or(visit.now, row.get("certificate_from"), "–")) }
            dt { "Valid till" } dd { (words::when_or(visit.now, row.get("certificate_till"), "–")) }
        }
    }
}

fn actions(visit: &Visit, row: &Row, environment: &str, device: i32) -> Markup {
    let path = format!("/tills/{environment}/{device}/command");
    let order = |kind: &str, word: &str| {
        button(
            visit,
            &path,
            word,
            &html! { input type="hidden" name="kind" value=(kind); },
        )
    };
    let day_is_open = row.get::<_, Option<i32>>("fiscal_day_no").is_some();
    let state: &str = row.get("state");
    html! {
        div class="row" {
            @if day_is_open {
                (action(visit, &path, "Close day", false, &html! {
                    input type="hidden" name="kind" value="close_day";
                    p class="hint" { "Is the selling of this day over? The till signs its counters and sends them to the authority; the next sale opens a new fiscal day. A day that is closed is not opened again." }
                    button class="main" { "Close the day" }
                }))
            } @else { (order("open_day", "Open day")) }
            (order("refresh_config", "Config refresh"))
            (order("retry", "Retry"))
            @if environment == "test" { (order("submit_test", "Controlled test submission")) }
            (action(visit, &path, "Dead-letter", true, &html! {
                input type="hidden" name="kind" value="dead_letter";
                p class="hint" { "Sending is paused until somebody retries. The till sells on; nothing is removed." }
                (field("reason", "Reason", "", true))
                button class="danger" { "Pause sending" }
            }))
            @if visit.may(Role::Admin) {
                (action(visit, &path, "Renew certificate", false, &html! {
                    input type="hidden" name="kind" value="renew_certificate";
                    p class="hint" { "The till makes a new key and has it certified by the authority. It sells on meanwhile." }
                    button class="main" { "Renew now" }
                }))
                @if state != "retired" {
                    (action(visit, &format!("/tills/{environment}/{device}/machine"), "Cashier machine", false, &html! {
                        p class="hint" { "Which machine this till belongs to. For a till that its store has brought along this also confirms that it stands there: before that it is given no certificate from here." }
                        (field("machine_name", "Cashier machine", row.get("machine_name"), true))
                        (choice("mode", "Expected mode", &MODES, row.get("mode")))
                        button class="main" { "Save" }
                    }))
                    @if state == "blocked" {
                        (button(visit, &path, "Unblock", &html! { input type="hidden" name="kind" value="unblock"; }))
                    } @else {
                        (action(visit, &path, "Block", true, &html! {
                            input type="hidden" name="kind" value="block";
                            p class="hint" { "Until it is unblocked the till sells nothing and sends nothing; the POS is told why. What waits is kept." }
                            (field("reason", "Reason", "", true))
                            button class="danger" { "Block the till" }
                        }))
                    }
                    (action(visit, &path, "Retire", true, &html! {
                        input type="hidden" name="kind" value="retire";
                        p class="hint" { "For good. The store refuses while a day is open or something waits." }
                        (field("reason", "Reason", "", true))
                        button class="danger" { "Retire the till" }
                    }))
                }
            }
        }
        p class="hint" { "The store carries a command out with its next exchange, once, and answers here." }
    }
}

async fn days(
    tx: &Transaction<'_>,
    visit: &Visit,
    environment: &str,
    device: i32,
) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT fiscal_day_no, opened, closed, receipt_counter, confirmed_at, fdms_error FROM fiscal_days
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 ORDER BY fiscal_day_no DESC LIMIT $4",
        )
        .await?;
    let rows = tx
        .query(
            &find,
            &[&visit.caller.tenant.0, &environment, &device, &DAYS],
        )
        .await?;
    Ok(html! {
        @if rows.is_empty() {
            (empty("No fiscal day yet", "The first opens with the first sale, or by the action above."))
        } @else {
            table class="fold" {
                thead { tr { th { "Day" } th { "Opened" } th { "Closed" } th class="num" { "Receipts" } th { "At FDMS" } } }
                tbody { @for row in &rows { tr {
                    td data-name="Day" { a href=(visit.href(&format!("/tills/{environment}/{device}/days/{}", row.get::<_, i32>(0)))) { (row.get::<_, i32>(0)) } }
                    td data-name="Opened" { (words::civil(row.get(1))) }
                    td data-name="Closed" { @match row.get::<_, Option<clock::DateTime>>(2) { Some(at) => (words::civil(at)), None => (words::tag(Tone::Ok, "open")) } }
                    td data-name="Receipts" class="num" { (words::or_none(row.get::<_, Option<i32>>(3))) }
                    td data-name="At FDMS" { (day_at_fdms(visit, row.get(2), row.get(4), row.get(5))) }
                } } }
            }
        }
    })
}

/// How FDMS has taken the close of a day.
pub(super) fn day_at_fdms(
    visit: &Visit,
    closed: Option<clock::DateTime>,
    confirmed: Option<clock::Timestamp>,
    error: Option<&str>,
) -> Markup {
    html! {
        @if let Some(error) = error { (words::tag(Tone::Bad, error)) }
        @else if let Some(at) = confirmed { (words::when(visit.now, at)) }
        @else if closed.is_some() { (words::tag(Tone::Warn, "not confirmed yet")) }
        @else { span class="quiet" { "–" } }
    }
}
