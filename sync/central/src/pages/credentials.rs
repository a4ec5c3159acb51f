//! Certificates and keys: versions per till and environment, kept apart and labelled.

use axum::extract::State;
use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use tokio_postgres::Row;

use super::fail::Failed;
use super::forms::{action, field};
use super::layout::{Nav, Page, card, empty};
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;

/// `GET /credentials`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let tenant = visit.caller.tenant.0;
    let find = tx
        .prepare_cached(
            "SELECT d.environment, d.device_id, d.machine_name, s.name, d.certificate_thumbprint, d.certificate_from, d.certificate_till,
               c.version, c.label, c.thumbprint, c.valid_from, c.valid_till, c.active, c.sealed_key IS NOT NULL, c.created_by,
               c.created_at, c.delivered_at, c.revoked_at, c.revoked_reason
             FROM fdms_devices d JOIN stores s ON s.tenant_id = d.tenant_id AND s.store_id = d.store_id
             LEFT JOIN fdms_tenant_credentials c ON c.tenant_id = d.tenant_id AND c.environment = d.environment AND c.device_id = d.device_id
             WHERE d.tenant_id = $1 AND d.state <> 'retired'
             ORDER BY d.environment, d.certificate_till NULLS LAST, d.device_id, c.version DESC",
        )
        .await?;
    let rows = tx.query(&find, &[&tenant]).await?;
    let policy = tx
        .prepare_cached("SELECT rotation_days FROM tenant_fiscal_profiles WHERE tenant_id = $1")
        .await?;
    let policy: Option<i32> = tx
        .query_opt(&policy, &[&tenant])
        .await?
        .map(|row| row.get(0));
    let body = html! {
        div class="stack" {
            @for (environment, word) in [("prod", "Production"), ("test", "Test")] {
                (tills(&visit, &rows, environment, word))
            }
            @if visit.may(Role::Admin) { (card("Upload", &upload(&visit, &rows))) }
        }
    };
    let mut shown = Page::new(Nav::Credentials, "Credentials");
    shown.under = Some(
        html! { "Replaced every " (words::or_none(policy)) " days. Keys made in a store never leave it; uploaded ones are sealed and never shown again." },
    );
    Ok(shown.show(&visit, &body))
}

fn tills(visit: &Visit, rows: &[Row], environment: &str, word: &str) -> Markup {
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|row| row.get::<_, &str>(0) == environment)
        .collect();
    html! {
        section class="card" {
            header { h2 { (word) } }
            @if rows.is_empty() { (empty("No till in this environment", "Tills are added under Stores and tills.")) }
            @else {
                div class="scroll" { table class="fold" {
                    thead { tr { th { "Till" } th { "In use" } th { "Valid till" } th { "Versions at head office" } } }
                    tbody {
                        @for (place, row) in rows.iter().enumerate() {
                            @let device: i32 = row.get(1);
                            @if place == 0 || rows.get(place - 1).is_none_or(|before| before.get::<_, i32>(1) != device) {
                                (till(visit, row, &rows.iter().copied().filter(|other| other.get::<_, i32>(1) == device).collect::<Vec<_>>()))
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn till(visit: &Visit, row: &Row, versions: &[&Row]) -> Markup {
    let (environment, device): (&str, i32) = (row.get(0), row.get(1));
    let valid_till: Option<Timestamp> = row.get(6);
    let left = valid_till.map(|till| till.duration_since(visit.now).as_hours() / 24);
    html! {
        tr {
            td data-name="Till" class="nowrap" { span { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } span class="second" { (row.get::<_, &str>(2)) " · " (row.get::<_, &str>(3)) } } }
            td data-name="In use" class="mono" { (words::or_none(row.get::<_, Option<&str>>(4))) }
            td data-name="Valid till" { span {
                (words::when_or(visit.now, valid_till, "no certificate"))
                @match left {
                    Some(left) if left < 0 => { " " (tag(Tone::Bad, "expired")) },
                    Some(left) if left < super::overview::EXPIRING_DAYS => { " " (tag(Tone::Warn, "ends soon")) },
                    _ => {},
                }
            } }
            td data-name="Versions" class="wide" { div {
                @if row.get::<_, Option<i32>>(7).is_none() { span class="quiet" { "none: the key was made in the store" } }
                @else { @for version in versions { (one(visit, version)) } }
            } }
        }
    }
}

fn one(visit: &Visit, row: &Row) -> Markup {
    let (environment, device, version): (&str, i32, i32) = (row.get(0), row.get(1), row.get(7));
    let path = format!("/credentials/{environment}/{device}/{version}");
    let (active, has_key): (bool, bool) = (row.get(12), row.get(13));
    let revoked: Option<Timestamp> = row.get(17);
    html! {
        div {
            b { "v" (version) } " " (row.get::<_, &str>(8)) " "
            @if revoked.is_some() { (tag(Tone::Bad, "revoked")) } @else if active { (tag(Tone::Ok, "active")) } @else { (tag(Tone::Quiet, "not in use")) }
            span class="second" {
                "valid till " (words::when(visit.now, row.get(11))) " · by " (row.get::<_, &str>(14))
                @if has_key { " · delivered " (words::when_or(visit.now, row.get(16), "not yet")) } @else { " · certificate only" }
            }
            @if let Some(reason) = row.get::<_, Option<&str>>(18) { span class="second" { "revoked: " (reason) } }
            @if visit.may(Role::Admin) && revoked.is_none() {
                div class="row no-print" {
                    @if !active && has_key {
                        (action(visit, &format!("{path}/activate"), "Activate", false, &html! {
                            p class="hint" { "It is sealed for its store and delivered with the next exchange; the till signs with it from then on." }
                            button class="main" { "Put into use" }
                        }))
                    }
                    (action(visit, &format!("{path}/revoke"), "Revoke", true, &html! {
                        (field("reason", "Reason", "", true))
                        button class="danger" { "Take out of use for good" }
                    }))
                }
            }
        }
    }
}

fn upload(visit: &Visit, rows: &[Row]) -> Markup {
    let mut last = None;
    let tills: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            let key = (row.get::<_, String>(0), row.get::<_, i32>(1));
            let is_new = last.as_ref() != Some(&key);
            last = Some(key);
            is_new
        })
        .collect();
    html! {
        p class="hint" { "For certificates with a key that the authority or an earlier system issued. They are checked: the two match, the certificate is the till's, and it has not ended." }
        form class="form" method="post" action=(visit.href("/credentials")) autocomplete="off" {
            (visit.token())
            label { "Till"
                select name="till" required {
                    option value="" { "Choose" }
                    @for row in tills {
                        option value={ (row.get::<_, &str>(0)) "/" (row.get::<_, i32>(1)) } { (row.get::<_, &str>(0)) " " (row.get::<_, i32>(1)) " · " (row.get::<_, &str>(2)) " · " (row.get::<_, &str>(3)) }
                    }
                }
            }
            (field("label", "Label, so that people tell versions apart", "", true))
            div class="two" {
                label { "Certificate, PEM" textarea id="certificate" name="certificate" spellcheck="false" placeholder="-----BEGIN CERTIFICATE-----" {} input type="file" data-into="certificate" accept=".pem,.crt,.cer" aria-label="Certificate from a file"; }
                label { "Private key, PEM" textarea id="key" name="key" spellcheck="false" placeholder="-----BEGIN PRIVATE KEY-----" {} input type="file" data-into="key" accept=".pem,.key" aria-label="Key from a file"; }
            }
            div class="two" {
                label { "Or both in a PKCS#12 file (.p12, .pfx), Base64" textarea id="pkcs12" name="pkcs12" spellcheck="false" {} input type="file" data-into="pkcs12" data-bytes accept=".p12,.pfx" aria-label="PKCS#12 file"; }
                label { "Its passphrase" input type="password" name="passphrase" autocomplete="off"; }
            }
            div { button class="main" { "Check, seal and keep" } }
        }
    }
}
