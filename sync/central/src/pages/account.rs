//! One's own account: the password and the second factor. The work is done by the paths under `/session`.

use axum::extract::State;
use axum::http::{Method, header};
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::act::once;
use super::ask::ask;
use super::fail::Failed;
use super::forms::{Posted, action};
use super::layout::{Nav, Page, card};
use super::visit::{Visit, see};
use super::words::{Tone, tag};
use crate::db;
use crate::hq::SharedHq;

/// `GET /account`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    let (user, email, _) = visit.caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.home).await?;
    let find = tx
        .prepare_cached(
            "SELECT totp_secret IS NOT NULL FROM users WHERE tenant_id = $1 AND user_id = $2",
        )
        .await?;
    let row = tx.query_opt(&find, &[&visit.caller.home.0, &user]).await?;
    let has_factor = row.is_some_and(|row| row.get(0));
    let body = html! {
        div class="two" {
            (card("Second factor", &factor(&visit, has_factor)))
            (card("Password", &html! {
                form class="form" method="post" action=(visit.href("/account/password")) {
                    (visit.token())
                    (secret("password", "Present password", "current-password"))
                    (secret("new_password", "New password, at least twelve characters", "new-password"))
                    div { button class="main" { "Change it" } }
                    p class="hint" { "All your sessions end; sign in with the new one." }
                }
            }))
        }
    };
    let mut shown = Page::new(Nav::Account, "Your account");
    shown.under = Some(html! { (email) });
    Ok(shown.show(&visit, &body))
}

fn secret(name: &str, word: &str, kind: &str) -> Markup {
    html! { label { (word) input type="password" name=(name) required autocomplete=(kind); } }
}

fn factor(visit: &Visit, has_factor: bool) -> Markup {
    let password = secret("password", "Your password", "current-password");
    html! {
        p { @if has_factor { (tag(Tone::Ok, "on")) } @else { (tag(Tone::Warn, "off")) } }
        p class="hint" { "Six digits from an app on your phone are asked for beside the password." }
        @if has_factor {
            (action(visit, "/account/second-factor/remove", "Take it away", true, &html! {
                (password)
                label { "Six digits that the app shows now, or a recovery code" input name="digits" required autocomplete="one-time-code"; }
                div { button class="danger" { "Take it away" } } }))
        } @else {
            (action(visit, "/account/second-factor", "Set it up", false, &html! { (password) div { button class="main" { "Go on" } } }))
        }
    }
}

/// `POST /account/second-factor`: the secret for the app, shown this once.
pub(super) async fn second_factor(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body = json!({ "password": posted.form.raw("password") });
    match posted
        .visit
        .write(&hq, Method::POST, "/session/second_factor", &body)
        .await
    {
        Ok(made) => enrol(&posted.visit, &made),
        Err(why) => posted.visit.back("/account", Err(why)),
    }
}

fn enrol(visit: &Visit, made: &Value) -> Response {
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let picture = text("qr_svg");
    // Our own picture of our own text; its declaration has no place inside a page.
    let picture = picture
        .find("<svg")
        .and_then(|at| picture.get(at..))
        .unwrap_or_default();
    let body = card(
        "Scan it with your app",
        &html! {
            div class="two" {
                div class="paper" { (PreEscaped(picture)) p class="center once" { (text("secret")) } }
                form class="form" method="post" action=(visit.href("/account/second-factor/confirm")) {
                    (visit.token())
                    label { "Six digits that the app shows now" input name="digits" required inputmode="numeric" autocomplete="one-time-code"; }
                    div { button class="main" { "Switch it on" } }
                }
            }
        },
    );
    Page::new(Nav::Account, "Second factor").show(visit, &body)
}

/// `POST /account/second-factor/confirm`: the codes for a lost phone, shown this once.
pub(super) async fn confirm(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body = json!({ "digits": posted.form.shown("digits") });
    match posted
        .visit
        .write(&hq, Method::POST, "/session/second_factor/confirm", &body)
        .await
    {
        Ok(made) => {
            let codes = made.get("recovery_codes").and_then(Value::as_array);
            let codes: Vec<&str> = codes
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let shown: Vec<(&str, &str)> =
                codes.iter().map(|code| ("Recovery code", *code)).collect();
            let facts = [(
                "What for",
                "Each is good once instead of the digits, when the phone is lost.",
            )];
            once(
                &posted,
                Nav::Account,
                "The second factor is on",
                &shown,
                &facts,
                "/account",
            )
        }
        Err(why) => posted.visit.back("/account", Err(why)),
    }
}

/// `POST /account/second-factor/remove`
pub(super) async fn remove(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body =
        json!({ "password": posted.form.raw("password"), "digits": posted.form.shown("digits") });
    let done = posted
        .visit
        .write(&hq, Method::POST, "/session/second_factor/remove", &body)
        .await;
    posted.visit.back(
        "/account",
        done.map(|_| "The second factor is taken away.".to_owned()),
    )
}

/// `POST /account/password`
pub(super) async fn password(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let visit = &posted.visit;
    let body = json!({ "password": posted.form.raw("password"), "new_password": posted.form.raw("new_password") });
    let write = Some((visit.caller.csrf(), &body));
    let asked = ask(
        &hq,
        &visit.headers,
        &visit.extensions,
        (Method::POST, "/session/password"),
        write,
    );
    match asked.await {
        Ok(answer) => {
            let mut response = see("/sign-in?chosen=1");
            for cookie in answer.headers.get_all(header::SET_COOKIE) {
                response
                    .headers_mut()
                    .append(header::SET_COOKIE, cookie.clone());
            }
            response
        }
        Err(why) => visit.back("/account", Err(why)),
    }
}
