//! Stores and tills: made here, joined with a code that is good once.

use axum::extract::State;
use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{action, choice, field};
use super::layout::{Nav, Page, card, empty, sheet};
use super::store::till_state;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;

/// `GET /stores`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let tenant = visit.caller.tenant.0;
    let find = tx
        .prepare_cached(
            "SELECT s.store_id, s.name, s.created_at, s.joined_at, s.retired_at, c.version, c.last_seen_at,
               (SELECT max(e.expires_at) FROM enrolment_codes e WHERE e.tenant_id = s.tenant_id AND e.store_id = s.store_id
                  AND e.used_at IS NULL AND e.expires_at > $2) AS code_till
             FROM stores s LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             WHERE s.tenant_id = $1 ORDER BY s.retired_at IS NOT NULL, s.name",
        )
        .await?;
    let stores = tx.query(&find, &[&tenant, &visit.now]).await?;
    let find = tx
        .prepare_cached(
            "SELECT d.environment, d.device_id, d.serial_no, d.machine_name, d.mode, d.state, d.hold, d.parked, d.line, d.invoice_prefix,
               s.name, d.store_id
             FROM fdms_devices d JOIN stores s ON s.tenant_id = d.tenant_id AND s.store_id = d.store_id
             WHERE d.tenant_id = $1 ORDER BY d.state = 'retired', s.name, d.machine_name, d.environment, d.device_id",
        )
        .await?;
    let tills = tx.query(&find, &[&tenant]).await?;
    let admin = visit.may(Role::Admin);
    let body = html! {
        div class="stack" {
            (sheet("Stores", None, &store_table(&visit, &hq.join_command("CODE"), &stores)))
            (sheet("Tills", None, &till_table(&visit, &tills)))
            @if admin {
                div class="two" {
                    (card("Add a store", &html! {
                        form class="form" method="post" action=(visit.href("/stores")) {
                            (visit.token())
                            (field("name", "Name", "", true))
                            div { button class="main" { "Add" } }
                        }
                    }))
                    (card("Add a till", &new_till(&visit, &stores)))
                }
            }
        }
    };
    let mut shown = Page::new(Nav::Stores, "Stores and tills");
    shown.under = Some(
        html! { (words::count(count(&stores), "store", "stores")) ", " (words::count(count(&tills), "till", "tills")) },
    );
    shown.beside = Some(
        html! { a class="button" href=(visit.href("/fiscal_submissions/days.csv?environment=prod")) { "Days as CSV" } },
    );
    Ok(shown.show(&visit, &body))
}

fn count(rows: &[Row]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

fn store_table(visit: &Visit, join: &str, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("No store yet", &format!("Add the first one below; then make it a code, and run there: {join}"))) }
        @else {
            table class="fold" {
                thead { tr { th { "Store" } th { "Joined" } th { "Last seen" } th { "Version" } th { "Code" } } }
                tbody { @for row in rows { tr {
                    @let store: Uuid = row.get(0);
                    td data-name="Store" { a href=(visit.href(&format!("/stores/{store}"))) { (row.get::<_, &str>(1)) } @if row.get::<_, Option<Timestamp>>(4).is_some() { " " (tag(Tone::Quiet, "retired")) } }
                    td data-name="Joined" { (words::when_or(visit.now, row.get(3), "not yet")) }
                    td data-name="Last seen" { (words::when_or(visit.now, row.get(6), "never")) }
                    td data-name="Version" { (words::or_none(row.get::<_, Option<&str>>(5))) }
                    td data-name="Code" { div {
                        @if let Some(till) = row.get::<_, Option<Timestamp>>(7) { span class="second" { "one is good " (words::relative(visit.now, till).replace("in ", "for ")) } }
                        @if visit.may(Role::Admin) && row.get::<_, Option<Timestamp>>(4).is_none() {
                            (action(visit, &format!("/stores/{store}/code"), "New code", false, &html! {
                                p class="hint" { "Good once. For a store that joins, or whose machine was lost." }
                                button class="main" { "Make a code" }
                            }))
                        }
                    } }
                } } }
            }
        }
    }
}

fn till_table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("No till yet", "Add each one with the authority's device ID, or let its store join and bring it.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Till" } th { "Cashier machine" } th { "Store" } th { "State" } th { "Serial number" } th { "Invoice prefix" } th { "Expected mode" } } }
                tbody { @for row in rows { tr {
                    @let environment: &str = row.get(0);
                    @let device: i32 = row.get(1);
                    td data-name="Till" { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } " " (words::mark(environment)) }
                    td data-name="Cashier machine" { (row.get::<_, &str>(3)) }
                    td data-name="Store" { a href=(visit.href(&format!("/stores/{}", row.get::<_, Uuid>(11)))) { (row.get::<_, &str>(10)) } }
                    td data-name="State" { (till_state(row.get(5), row.get(6), row.get(7), row.get(8))) }
                    td data-name="Serial number" { (row.get::<_, &str>(2)) }
                    td data-name="Invoice prefix" class="mono" { (row.get::<_, &str>(9)) }
                    td data-name="Expected mode" { (row.get::<_, &str>(4)) }
                } } }
            }
        }
    }
}

/// How a till is expected to work.
pub(super) const MODES: [(&str, &str); 3] = [
    ("online", "Online"),
    ("offline", "Offline"),
    ("hybrid", "Hybrid"),
];

fn new_till(visit: &Visit, stores: &[Row]) -> Markup {
    html! {
        form class="form" method="post" action=(visit.href("/tills")) {
            (visit.token())
            div class="form across" {
                (choice("environment", "Environment", &[("test", "Test"), ("prod", "Production")], "test"))
                (field("device_id", "Device ID", "", true))
                (field("serial_no", "Serial number", "", true))
                (field("machine_name", "Cashier machine", "", true))
                (choice("mode", "Expected mode", &MODES, "hybrid"))
                label { "Store" select name="store_id" required { @for row in stores.iter().filter(|row| row.get::<_, Option<Timestamp>>(4).is_none()) { option value=(row.get::<_, Uuid>(0)) { (row.get::<_, &str>(1)) } } } }
                (field("model_name", "Model", "", false))
                (field("model_version", "Model version", "", false))
                (field("invoice_prefix", "Invoice prefix (one is proposed)", "", false))
            }
            div { button class="main" { "Add" } }
        }
    }
}
