//! What is wrong, since when, and who is told.

use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use super::act::once;
use super::fail::Failed;
use super::forms::{Posted, action, button, choice, field};
use super::layout::{Nav, Page, card, empty, sheet};
use super::query::Query;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;
use crate::problem::At;

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
            "SELECT a.alert_id, a.kind, a.subject, a.severity, a.store_id, s.name, a.environment, a.device_id, a.detail, a.since, a.ended_at
             FROM alerts a LEFT JOIN stores s ON s.tenant_id = a.tenant_id AND s.store_id = a.store_id
             WHERE a.tenant_id = $1 AND (a.ended_at IS NOT NULL) = $2
             ORDER BY a.severity = 'fault' DESC, coalesce(a.ended_at, a.since) DESC LIMIT $3",
        )
        .await?;
    let rows = tx.query(&find, &[&tenant, &ended, &SHOWN]).await?;
    let find = tx
        .prepare_cached(
            "SELECT c.kind, c.target, c.enabled, c.created_by, c.created_at, c.channel_id,
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
            }
            (sheet("Who is told", None, &channel_table(&visit, &channels)))
            @if visit.may(Role::Admin) { (card("Tell somebody else", &new_channel(&visit))) }
        }
    };
    Ok(Page::new(Nav::Alerts, "Alerts").show(&visit, &body))
}

/// Kinds that do not end by themselves.
const BY_HAND: [&str; 3] = ["fork", "number_conflict", "till_elsewhere"];

fn alert(visit: &Visit, row: &Row) -> Markup {
    let (kind, detail): (&str, &str) = (row.get("kind"), row.get("detail"));
    let is_fault = row.get::<_, &str>("severity") == "fault";
    let till: Option<(&str, i32)> = row
        .get::<_, Option<&str>>("environment")
        .zip(row.get("device_id"));
    let store: Option<(Uuid, &str)> = row.get::<_, Option<Uuid>>("store_id").zip(row.get("name"));
    let ended: Option<clock::Timestamp> = row.get("ended_at");
    html! {
        li {
            div class="row" {
                (tag(if is_fault { Tone::Bad } else { Tone::Warn }, &kind.replace('_', " ")))
                @if let Some((store, name)) = store { a href=(visit.href(&format!("/stores/{store}"))) { (name) } }
                @if let Some((environment, device)) = till { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { "till " (device) } (words::mark(environment)) }
                @if store.is_none() && till.is_none() { span class="soft" { (row.get::<_, &str>("subject")) } }
            }
            p { (detail) }
            p class="small soft" { "since " (words::when(visit.now, row.get("since"))) @if let Some(ended) = ended { " · ended " (words::when(visit.now, ended)) } }
            @if ended.is_none() && BY_HAND.contains(&kind) && visit.may(Role::Operator) {
                (action(visit, &format!("/alarms/{}/end", row.get::<_, Uuid>("alert_id")), "It is dealt with", false, &html! {
                    (field("reason", "What was done about it", "", true))
                    div { button class="main" { "End it" } }
                }))
            }
        }
    }
}

fn channel_table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("Nobody is told", "Alerts stand here alone until a channel is added: a webhook, or an email address.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Channel" } th { "Target" } th { "State" } th { "Last told" } th { "Added" } @if visit.may(Role::Admin) { th { "" } } } }
                tbody { @for row in rows { (channel(visit, row)) } }
            }
        }
    }
}

fn channel(visit: &Visit, row: &Row) -> Markup {
    let is_on: bool = row.get("enabled");
    let path = |what: &str| {
        format!(
            "/alarms/channels/{}/{what}",
            row.get::<_, Uuid>("channel_id")
        )
    };
    html! {
        tr {
            td data-name="Channel" { (row.get::<_, &str>("kind")) }
            td data-name="Target" { (row.get::<_, &str>("target")) }
            td data-name="State" { span {
                @if is_on { (tag(Tone::Ok, "on")) } @else { (tag(Tone::Quiet, "off")) }
                @if let Some(error) = row.get::<_, Option<&str>>("error") { span class="second" { (error) } }
            } }
            td data-name="Last told" { (words::when_or(visit.now, row.get("last"), "never")) }
            td data-name="Added" { span { (words::when(visit.now, row.get("created_at"))) span class="second" { "by " (row.get::<_, &str>("created_by")) } } }
            @if visit.may(Role::Admin) { td data-name="" { div class="row" {
                (button(visit, &path("test"), "Try it", &html! {}))
                (button(visit, &path(if is_on { "off" } else { "on" }), if is_on { "Switch off" } else { "Switch on" }, &html! {}))
                (action(visit, &path("remove"), "Remove", true, &html! { div { button class="danger" { "Remove it" } } }))
            } } }
        }
    }
}

fn new_channel(visit: &Visit) -> Markup {
    html! {
        form class="form" method="post" action=(visit.href("/alarms/channels")) {
            (visit.token())
            (choice("kind", "Channel", &[("email", "Email"), ("webhook", "Webhook")], "email"))
            (field("target", "Email address, or https:// address", "", true))
            div { button class="main" { "Add" } }
            p class="hint" { "A webhook's messages are signed with a secret that is shown once." }
        }
    }
}

/// `POST /alarms/{alert_id}/end`
pub(super) async fn end(
    State(hq): State<SharedHq>,
    At(alert): At<Uuid>,
    posted: Posted,
) -> Response {
    let body = json!({ "reason": posted.form.shown("reason") });
    let done = posted
        .visit
        .write(&hq, Method::POST, &format!("/alerts/{alert}/end"), &body)
        .await;
    posted
        .visit
        .back("/alarms", done.map(|_| "The alert has ended.".to_owned()))
}

/// `POST /alarms/channels`
pub(super) async fn add(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body = json!({ "kind": posted.form.shown("kind"), "target": posted.form.shown("target") });
    match posted
        .visit
        .write(&hq, Method::POST, "/alert_channels", &body)
        .await
    {
        Ok(made) => match made.get("secret").and_then(Value::as_str) {
            Some(secret) => once(
                &posted,
                Nav::Alerts,
                "Secret of the webhook",
                &[("Secret", secret)],
                &[("Header", "Fiscal-Hq-Signature")],
                "/alarms",
            ),
            None => posted
                .visit
                .back("/alarms", Ok("The channel is added. Try it.".to_owned())),
        },
        Err(why) => posted.visit.back("/alarms", Err(why)),
    }
}

/// `POST /alarms/channels/{channel_id}/{action}`
pub(super) async fn change(
    State(hq): State<SharedHq>,
    At((channel, what)): At<(Uuid, String)>,
    posted: Posted,
) -> Response {
    let path = format!("/alert_channels/{channel}");
    let visit = &posted.visit;
    let said = match what.as_str() {
        "test" => {
            let tried = visit
                .write(&hq, Method::POST, &format!("{path}/test"), &json!({}))
                .await;
            tried.and_then(|tried| match tried.get("error").and_then(Value::as_str) {
                Some(error) => Err(format!("The test message has not arrived: {error}")),
                None => Ok("The test message has arrived.".to_owned()),
            })
        }
        "remove" => visit
            .write(&hq, Method::DELETE, &path, &Value::Null)
            .await
            .map(|_| "The channel is removed.".to_owned()),
        _ => {
            let body = json!({ "enabled": what == "on" });
            visit
                .write(&hq, Method::PUT, &path, &body)
                .await
                .map(|_| format!("The channel is {what} now."))
        }
    };
    visit.back("/alarms", said)
}
