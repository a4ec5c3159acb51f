//! Users and tokens of a company.

use axum::extract::State;
use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{action, button, choice, field};
use super::layout::{Nav, Page, card, empty, sheet};
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::db;
use crate::hq::SharedHq;

const ROLES: [(&str, &str); 3] = [
    ("viewer", "Viewer: looks"),
    ("operator", "Operator: acts on stores and tills"),
    ("admin", "Admin: users, credentials, profile, cut-over"),
];

/// `GET /people`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    visit.caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let tenant = visit.caller.tenant.0;
    let find = tx
        .prepare_cached(
            "SELECT user_id, email, name, role, disabled_at, last_seen_at, totp_secret IS NOT NULL, password_hash IS NOT NULL
             FROM users WHERE tenant_id = $1 ORDER BY disabled_at IS NOT NULL, email",
        )
        .await?;
    let users = tx.query(&find, &[&tenant]).await?;
    let find = tx
        .prepare_cached(
            "SELECT token_id, name, role, created_by, created_at, expires_at, revoked_at FROM api_tokens
             WHERE tenant_id = $1 ORDER BY revoked_at IS NOT NULL, name",
        )
        .await?;
    let tokens = tx.query(&find, &[&tenant]).await?;
    let body = html! {
        div class="stack" {
            (sheet("Users", None, &user_table(&visit, &users)))
            (sheet("API tokens", None, &token_table(&visit, &tokens)))
            div class="two" {
                (card("Invite somebody", &html! {
                    form class="form" method="post" action=(visit.href("/people")) {
                        (visit.token())
                        label { "Email" input type="email" name="email" required autocomplete="off"; }
                        (field("name", "Name", "", true))
                        (choice("role", "Role", &ROLES, "viewer"))
                        div { button class="main" { "Invite" } }
                        p class="hint" { "You are shown a code once. Give it to the person, who chooses a password with it." }
                    }
                }))
                (card("New token", &html! {
                    form class="form" method="post" action=(visit.href("/people/tokens")) {
                        (visit.token())
                        (field("name", "Name, as the audit will say it", "", true))
                        (choice("role", "Role", &ROLES, "viewer"))
                        label { "Good until (empty: until it is revoked)" input type="date" name="expires"; }
                        div { button class="main" { "Make a token" } }
                    }
                }))
            }
        }
    };
    Ok(Page::new(Nav::People, "Users and tokens").show(&visit, &body))
}

fn user_table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("No user yet", "Invite the first one below.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Who" } th { "Role" } th { "Second factor" } th { "Last seen" } th { "" } } }
                tbody { @for row in rows { tr {
                    td data-name="Who" { span { (row.get::<_, &str>(2)) span class="second" { (row.get::<_, &str>(1)) } } }
                    td data-name="Role" { span { (row.get::<_, &str>(3)) " "
                        @if row.get::<_, Option<Timestamp>>(4).is_some() { (tag(Tone::Bad, "closed")) }
                        @else if !row.get::<_, bool>(7) { (tag(Tone::Quiet, "invited")) }
                    } }
                    td data-name="Second factor" { @if row.get::<_, bool>(6) { (tag(Tone::Ok, "on")) } @else { (tag(Tone::Warn, "off")) } }
                    td data-name="Last seen" { (words::when_or(visit.now, row.get(5), "never")) }
                    td data-name="" { (user_actions(visit, row)) }
                } } }
            }
        }
    }
}

fn user_actions(visit: &Visit, row: &Row) -> Markup {
    let user: Uuid = row.get(0);
    let path = |what: &str| format!("/people/{user}/{what}");
    let closed = row.get::<_, Option<Timestamp>>(4).is_some();
    html! {
        (action(visit, &path("role"), "Change", false, &html! {
            (choice("role", "Role", &ROLES, row.get(3)))
            div { button class="main" { "Change the role" } }
        }))
        " "
        @if closed { (button(visit, &path("open"), "Open again", &html! {})) }
        @else {
            (action(visit, &path("code"), "New password", false, &html! {
                p class="hint" { "Makes a code that is good once, for a new password." }
                div { button class="main" { "Make a code" } }
            }))
            " "
            @if row.get::<_, bool>(6) {
                (action(visit, &path("second_factor"), "Lost phone", true, &html! {
                    p class="hint" { "Takes the second factor away; the person sets up another one." }
                    div { button class="danger" { "Take it away" } }
                }))
                " "
            }
            (action(visit, &path("sessions"), "End sessions", false, &html! {
                div { button { "End all sessions now" } }
            }))
            " "
            (action(visit, &path("close"), "Close account", true, &html! {
                p class="hint" { "The person cannot sign in any more. What was done stays in the audit." }
                div { button class="danger" { "Close it" } }
            }))
        }
    }
}

fn token_table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { (empty("No token yet", "Machines that read or act over the API need one each.")) }
        @else {
            table class="fold" {
                thead { tr { th { "Name" } th { "Role" } th { "Made" } th { "Good until" } th { "" } } }
                tbody { @for row in rows { tr {
                    @let revoked: Option<Timestamp> = row.get(6);
                    td data-name="Name" { (row.get::<_, &str>(1)) @if revoked.is_some() { " " (tag(Tone::Quiet, "revoked")) } }
                    td data-name="Role" { (row.get::<_, &str>(2)) }
                    td data-name="Made" { span { (words::when(visit.now, row.get(4))) span class="second" { "by " (row.get::<_, &str>(3)) } } }
                    td data-name="Good until" { (words::when_or(visit.now, row.get(5), "revoked")) }
                    td data-name="" {
                        @if revoked.is_none() {
                            (action(visit, &format!("/people/tokens/{}/revoke", row.get::<_, Uuid>(0)), "Revoke", true, &html! {
                                div { button class="danger" { "Revoke it now" } }
                            }))
                        }
                    }
                } } }
            }
        }
    }
}
