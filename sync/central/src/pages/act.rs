//! What people do to stores and tills. Each form becomes the JSON request of the same thing ([`super::ask`]).

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use maud::html;
use serde_json::{Value, json};

use super::forms::Posted;
use super::layout::{Nav, Page, card};
use super::visit::Visit;
use super::words;
use crate::hq::SharedHq;
use crate::problem::At;

/// A page of ours to go back to, as the form says, else the usual one.
fn back<'a>(posted: &'a Posted, usual: &'a str) -> &'a str {
    match posted.form.text("back") {
        Some(path) if super::sign_in::is_ours(path) => path,
        _ => usual,
    }
}

/// `POST /tills/{environment}/{device}/command`
pub(super) async fn command(
    State(hq): State<SharedHq>,
    At((environment, device)): At<(String, i32)>,
    posted: Posted,
) -> Response {
    let (visit, form) = (&posted.visit, &posted.form);
    let reason = json!({ "reason": form.shown("reason") });
    let kind = form.shown("kind");
    let (path, body) = match kind {
        "submit_test" => (
            "/fiscal_submissions".to_owned(),
            json!({ "environment": environment, "device_id": device }),
        ),
        "retry" | "dead_letter" => (
            format!("/fiscal_submissions/jobs/{environment}/{device}/{kind}"),
            reason,
        ),
        _ => (
            format!("/fiscal_devices/{environment}/{device}/{kind}"),
            reason,
        ),
    };
    let done = visit.write(&hq, Method::POST, &path, &body).await;
    let said = done.map(|_| match kind {
        "block" => format!("Till {device} is blocked."),
        "unblock" => {
            format!("Till {device} is unblocked. Its queue goes on unless something else holds it.")
        }
        "retire" => format!("Till {device} is asked to retire."),
        _ => format!(
            "{}: the store is asked. What comes of it stands under Commands.",
            words::command(kind)
        ),
    });
    visit.back(
        back(&posted, &format!("/tills/{environment}/{device}")),
        said,
    )
}

/// `POST /tills/{environment}/{device}/machine`
pub(super) async fn machine(
    State(hq): State<SharedHq>,
    At((environment, device)): At<(String, i32)>,
    posted: Posted,
) -> Response {
    let form = &posted.form;
    let path = format!("/fiscal_devices/{environment}/{device}");
    let body = json!({ "machine_name": form.shown("machine_name"), "mode": form.shown("mode") });
    let done = posted.visit.write(&hq, Method::PUT, &path, &body).await;
    posted.visit.back(
        &format!("/tills/{environment}/{device}"),
        done.map(|_| format!("Till {device} is written down so.")),
    )
}

/// `POST /stores/{store}/log`
pub(super) async fn log(
    State(hq): State<SharedHq>,
    At(store): At<uuid::Uuid>,
    posted: Posted,
) -> Response {
    let path = format!("/fiscal_devices/stores/{store}/log");
    let done = posted
        .visit
        .write(&hq, Method::POST, &path, &json!({}))
        .await;
    let said = done
        .map(|_| "The store is asked for its log; it stands here once it has answered.".to_owned());
    posted.visit.back(&format!("/stores/{store}"), said)
}

/// `POST /stores/{store}/retire`
pub(super) async fn retire_store(
    State(hq): State<SharedHq>,
    At(store): At<uuid::Uuid>,
    posted: Posted,
) -> Response {
    let form = &posted.form;
    let path = format!("/fiscal_devices/stores/{store}/retire");
    let body = json!({ "reason": form.shown("reason"), "lost": form.is_set("lost") });
    let done = posted.visit.write(&hq, Method::POST, &path, &body).await;
    let said = done.map(|made| {
        let count = |name: &str| words::or_none(made.get(name).and_then(Value::as_u64));
        format!(
            "The store is retired, with {} tills. Commands that have ended with it: {}; alerts: {}.",
            count("tills"),
            count("commands"),
            count("alerts")
        )
    });
    posted.visit.back(&format!("/stores/{store}"), said)
}

/// `POST /stores/{store}/code`: shown once, in the answer itself.
pub(super) async fn code(
    State(hq): State<SharedHq>,
    At(store): At<uuid::Uuid>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let path = format!("/fiscal_devices/stores/{store}/code");
    match visit.write(&hq, Method::POST, &path, &json!({})).await {
        Ok(made) => once(
            &posted,
            Nav::Stores,
            "Code to join with",
            &[("Type in the store", &hq.join_command(text(&made, "code")))],
            &[("Good until", &moment(visit, &made, "expires_at"))],
            &format!("/stores/{store}"),
        ),
        Err(why) => visit.back(&format!("/stores/{store}"), Err(why)),
    }
}

/// `POST /stores`
pub(super) async fn new_store(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let body = json!({ "name": posted.form.shown("name") });
    let made = posted
        .visit
        .write(&hq, Method::POST, "/fiscal_devices/stores", &body)
        .await;
    let said = made.map(|_| "The store is added. Make it a code to join with.".to_owned());
    posted.visit.back("/stores", said)
}

/// `POST /tills`
pub(super) async fn new_till(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let form = &posted.form;
    let Some(device) = form.parsed::<i32>("device_id") else {
        return posted.visit.back(
            "/stores",
            Err("The device ID is a whole number, as the authority gave it.".to_owned()),
        );
    };
    let mut body = json!({
        "environment": form.shown("environment"), "device_id": device, "serial_no": form.shown("serial_no"),
        "model_name": form.shown("model_name"), "model_version": form.shown("model_version"),
        "store_id": form.shown("store_id"), "machine_name": form.shown("machine_name"), "mode": form.shown("mode"),
    });
    if let (Some(prefix), Some(body)) = (form.text("invoice_prefix"), body.as_object_mut()) {
        body.insert("invoice_prefix".to_owned(), json!(prefix));
    }
    let made = posted
        .visit
        .write(&hq, Method::POST, "/fiscal_devices", &body)
        .await;
    posted.visit.back(
        "/stores",
        made.map(|_| format!("Till {device} is added; its store sees it when it joins or syncs.")),
    )
}

/// `POST /credentials`
pub(super) async fn upload(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let form = &posted.form;
    let Some((environment, device)) = form.shown("till").split_once('/') else {
        return posted.visit.back(
            "/credentials",
            Err("Choose the till that the certificate is for.".to_owned()),
        );
    };
    let device: i32 = device.parse().unwrap_or_default();
    let body = json!({
        "environment": environment, "device_id": device, "label": form.shown("label"),
        "certificate": form.raw("certificate"), "key": form.raw("key"), "pkcs12": form.raw("pkcs12"),
        "passphrase": form.raw("passphrase"),
    });
    let made = posted
        .visit
        .write(&hq, Method::POST, "/fiscal_credentials", &body)
        .await;
    let version = made
        .as_ref()
        .ok()
        .and_then(|made| made.get("version"))
        .and_then(Value::as_i64);
    let said = made.map(|_| {
        format!(
            "Version {} is checked and sealed. Activate it to bring it to its store.",
            words::or_none(version)
        )
    });
    posted.visit.back("/credentials", said)
}

/// `POST /credentials/{environment}/{device}/{version}/{action}`
pub(super) async fn credential(
    State(hq): State<SharedHq>,
    At((environment, device, version, action)): At<(String, i32, i32, String)>,
    posted: Posted,
) -> Response {
    let path = format!("/fiscal_credentials/{environment}/{device}/{version}/{action}");
    let body = match action.as_str() {
        "revoke" => json!({ "reason": posted.form.shown("reason") }),
        _ => json!({}),
    };
    let done = posted.visit.write(&hq, Method::POST, &path, &body).await;
    let word = if action == "revoke" {
        "taken out of use"
    } else {
        "put into use"
    };
    posted.visit.back(
        "/credentials",
        done.map(|_| format!("Version {version} of till {device} is {word}.")),
    )
}

/// `POST /people`
pub(super) async fn invite(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let form = &posted.form;
    let body = json!({ "email": form.shown("email"), "name": form.shown("name"), "role": form.shown("role") });
    match posted.visit.write(&hq, Method::POST, "/users", &body).await {
        Ok(made) => person_code(&posted, &hq, &made),
        Err(why) => posted.visit.back("/people", Err(why)),
    }
}

/// `POST /people/{user}/{action}`
pub(super) async fn person(
    State(hq): State<SharedHq>,
    At((user, action)): At<(uuid::Uuid, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let path = format!("/users/{user}");
    let (method, path, body, said) = match action.as_str() {
        "code" => {
            return match visit
                .write(&hq, Method::POST, &format!("{path}/code"), &json!({}))
                .await
            {
                Ok(made) => person_code(&posted, &hq, &made),
                Err(why) => visit.back("/people", Err(why)),
            };
        }
        "role" => (
            Method::PATCH,
            path,
            json!({ "role": posted.form.shown("role") }),
            "The role is changed.",
        ),
        "close" => (
            Method::PATCH,
            path,
            json!({ "disabled": true }),
            "The account is closed; its sessions have ended.",
        ),
        "open" => (
            Method::PATCH,
            path,
            json!({ "disabled": false }),
            "The account is open again.",
        ),
        "sessions" => (
            Method::POST,
            format!("{path}/end_sessions"),
            json!({}),
            "All sessions of the account have ended.",
        ),
        _ => (
            Method::DELETE,
            format!("{path}/second_factor"),
            Value::Null,
            "The second factor is taken away.",
        ),
    };
    let done = visit.write(&hq, method, &path, &body).await;
    visit.back("/people", done.map(|_| said.to_owned()))
}

fn person_code(posted: &Posted, hq: &SharedHq, made: &Value) -> Response {
    let code = text(made, "code");
    let link = format!("{}/choose-password", hq.public_url.trim_end_matches('/'));
    let till = moment(&posted.visit, made, "expires_at");
    let is_mailed = made.get("mailed").and_then(Value::as_bool);
    let mailed = match is_mailed {
        Some(true) => "a link is on its way to the person",
        _ => "none is sent here: give the code to the person yourself",
    };
    once(
        posted,
        Nav::People,
        "Code for a password",
        &[("Code", code), ("Page", &link)],
        &[("Good until", &till), ("Mail", mailed)],
        "/people",
    )
}

/// `POST /people/tokens`
pub(super) async fn new_token(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let form = &posted.form;
    let mut body = json!({ "name": form.shown("name"), "role": form.shown("role") });
    if let (Some(date), Some(body)) = (form.date("expires"), body.as_object_mut()) {
        body.insert(
            "expires_at".to_owned(),
            json!(clock::instant(date.at(23, 59, 59, 0)).to_string()),
        );
    }
    match posted
        .visit
        .write(&hq, Method::POST, "/tokens", &body)
        .await
    {
        Ok(made) => once(
            &posted,
            Nav::People,
            "API token",
            &[("Token", text(&made, "token"))],
            &[("Sent as", "Authorization: Bearer TOKEN")],
            "/people",
        ),
        Err(why) => posted.visit.back("/people", Err(why)),
    }
}

/// `POST /people/tokens/{token}/revoke`
pub(super) async fn revoke_token(
    State(hq): State<SharedHq>,
    At(token): At<uuid::Uuid>,
    posted: Posted,
) -> Response {
    let done = posted
        .visit
        .write(
            &hq,
            Method::DELETE,
            &format!("/tokens/{token}"),
            &Value::Null,
        )
        .await;
    posted
        .visit
        .back("/people", done.map(|_| "The token is revoked.".to_owned()))
}

fn text<'a>(made: &'a Value, name: &str) -> &'a str {
    made.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn moment(visit: &Visit, made: &Value, name: &str) -> String {
    let at: Option<clock::Timestamp> = text(made, name).parse().ok();
    at.map_or_else(
        || "–".to_owned(),
        |at| {
            format!(
                "{} ({})",
                words::local_words(clock::local(at)),
                words::relative(visit.now, at)
            )
        },
    )
}

/// A secret that is shown this once: in the answer itself, in no cookie, log or address.
pub(super) fn once(
    posted: &Posted,
    nav: Nav,
    title: &str,
    secrets: &[(&str, &str)],
    facts: &[(&str, &str)],
    back: &str,
) -> Response {
    let body = card(
        "Shown once",
        &html! {
            div class="note warn" { "Write it down or copy it now. It cannot be shown again." }
            dl class="facts" {
                @for (name, secret) in secrets { dt { (name) } dd class="mono once" { (secret) } }
                @for (name, fact) in facts { dt { (name) } dd { (fact) } }
            }
            p { a class="button" href=(posted.visit.href(back)) { "Done" } }
        },
    );
    Page::new(nav, title).show(&posted.visit, &body)
}
