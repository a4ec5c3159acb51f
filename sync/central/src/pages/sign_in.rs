//! Signing in and out: email and password, then the digits of the second factor; choosing a password with a code.
//! The work is done by the paths under `/session`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::ask::{Answer, ask};
use super::forms::Posted;
use super::layout;
use super::query::Query;
use super::visit::see;
use crate::hq::SharedHq;

/// A path of this service to go to, and nothing else: no other host.
fn next_path(query: &Query) -> &str {
    let wanted = query.text("next").unwrap_or("/");
    if is_ours(wanted) { wanted } else { "/" }
}

/// Whether this is a path of this service. Browsers leave tabs and line ends out of an address, and take a backslash for
/// a slash: what has one may lead elsewhere.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|char: char| char == '\\' || char.is_control())
}

/// `GET /sign-in`
pub(super) async fn page(uri: Uri) -> Response {
    let query = Query::of(&uri);
    let said = query.is_set("out").then_some((true, "You are signed out."));
    let said = said.or_else(|| {
        query
            .is_set("chosen")
            .then_some((true, "The password is set. Sign in with it."))
    });
    first(next_path(&query), "", said)
}

/// One of the pages before a session; what was refused is so for programs too.
fn door(title: &str, said: Option<(bool, &str)>, body: &Markup) -> Response {
    let mut response = layout::bare(
        title,
        &html! {
            div class="door" {
                main class="card" {
                    (layout::mark())
                    h1 { (title) }
                    @if let Some((is_good, text)) = said {
                        div class={ "note " (if is_good { "ok" } else { "bad" }) } role="alert" { (text) }
                    }
                    (body)
                }
            }
        },
    );
    if said.is_some_and(|(is_good, _)| !is_good) {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

/// Posts JSON for somebody who has no session yet.
async fn of_nobody(
    (hq, headers, extensions): (&SharedHq, &HeaderMap, &Extensions),
    path: &str,
    body: &Value,
) -> Result<Answer, String> {
    ask(
        hq,
        headers,
        extensions,
        (Method::POST, path),
        Some(("", body)),
    )
    .await
}

fn first(next: &str, email: &str, said: Option<(bool, &str)>) -> Response {
    door(
        "Sign in",
        said,
        &html! {
            form class="form" method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label { "Email" input type="email" name="email" value=(email) required autofocus[email.is_empty()] autocomplete="username"; }
                label { "Password" input type="password" name="password" required autofocus[!email.is_empty()] autocomplete="current-password"; }
                button class="main" { "Sign in" }
                a class="small" href="/forgot-password" { "Forgotten your password?" }
            }
        },
    )
}

fn second(next: &str, ticket: &str, said: Option<(bool, &str)>) -> Response {
    door(
        "Second factor",
        said,
        &html! {
            form class="form" method="post" action="/sign-in/second" {
                input type="hidden" name="next" value=(next);
                input type="hidden" name="ticket" value=(ticket);
                label { "Six digits from your app, or a recovery code"
                    input name="digits" required autofocus autocomplete="one-time-code" inputmode="numeric"; }
                button class="main" { "Go on" }
                a class="small" href="/sign-in" { "Begin again" }
            }
        },
    )
}

/// `POST /sign-in`
pub(super) async fn begin(
    State(hq): State<SharedHq>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    let form = Query::form(&body);
    let (email, next) = (form.shown("email").to_owned(), next_path(&form).to_owned());
    let asked = json!({ "email": email, "password": form.raw("password") });
    let answer = of_nobody((&hq, &headers, &extensions), "/session", &asked).await;
    match answer {
        Ok(answer) if answer.status == StatusCode::ACCEPTED => {
            let ticket = answer.body.get("ticket").and_then(Value::as_str);
            second(&next, ticket.unwrap_or_default(), None)
        }
        Ok(answer) => with_cookies(see(&next), &answer),
        Err(why) => first(&next, &email, Some((false, &why))),
    }
}

/// `POST /sign-in/second`
pub(super) async fn second_step(
    State(hq): State<SharedHq>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    let form = Query::form(&body);
    let (ticket, next) = (form.shown("ticket").to_owned(), next_path(&form).to_owned());
    let asked = json!({ "ticket": ticket, "digits": form.shown("digits") });
    let answer = of_nobody((&hq, &headers, &extensions), "/session/second_step", &asked).await;
    match answer {
        Ok(answer) => with_cookies(see(&next), &answer),
        Err(why) => second(&next, &ticket, Some((false, &why))),
    }
}

fn with_cookies(mut response: Response, answer: &Answer) -> Response {
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    response
}

/// `POST /sign-out`
pub(super) async fn end(State(hq): State<SharedHq>, posted: Posted) -> Response {
    let csrf = posted.visit.caller.csrf();
    let answer = ask(
        &hq,
        &posted.visit.headers,
        &posted.visit.extensions,
        (Method::DELETE, "/session"),
        Some((csrf, &Value::Null)),
    )
    .await;
    match answer {
        Ok(answer) => with_cookies(see("/sign-in?out=1"), &answer),
        Err(why) => posted.visit.back("/", Err(why)),
    }
}

/// `GET /forgot-password`
pub(super) async fn forgot() -> Response {
    forgotten_form("", None)
}

fn forgotten_form(email: &str, said: Option<(bool, &str)>) -> Response {
    door(
        "Forgotten your password?",
        said,
        &html! {
            form class="form" method="post" action="/forgot-password" {
                p class="hint" { "A link to choose a new one is mailed to you. It is good once, for a day." }
                label { "Email" input type="email" name="email" value=(email) required autofocus autocomplete="username"; }
                button class="main" { "Send the link" }
                a class="small" href="/sign-in" { "To the sign-in" }
            }
        },
    )
}

/// `POST /forgot-password`
pub(super) async fn forgotten(
    State(hq): State<SharedHq>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    let form = Query::form(&body);
    let email = form.shown("email");
    let answer = of_nobody(
        (&hq, &headers, &extensions),
        "/session/forgot",
        &json!({ "email": email }),
    )
    .await;
    match answer {
        Ok(_) => forgotten_form(
            "",
            Some((
                true,
                "If this address has an account, a link is on its way to it.",
            )),
        ),
        Err(why) => forgotten_form(email, Some((false, &why))),
    }
}

/// `GET /choose-password`: the code comes behind `#` or is typed; it is in no log.
pub(super) async fn choose() -> Response {
    chosen(None)
}

fn chosen(said: Option<(bool, &str)>) -> Response {
    door(
        "Choose your password",
        said,
        &html! {
            form class="form" method="post" action="/choose-password" {
                label { "Code that you were given" input name="code" required autofocus autocomplete="off"; }
                label { "Password, at least twelve characters" input type="password" name="password" required minlength="12" autocomplete="new-password"; }
                button class="main" { "Set it" }
                a class="small" href="/sign-in" { "To the sign-in" }
            }
        },
    )
}

/// `POST /choose-password`
pub(super) async fn take_up(
    State(hq): State<SharedHq>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    let form = Query::form(&body);
    let asked = json!({ "code": form.shown("code"), "password": form.raw("password") });
    let answer = of_nobody((&hq, &headers, &extensions), "/session/take_up", &asked).await;
    match answer {
        Ok(_) => see("/sign-in?chosen=1"),
        Err(why) => chosen(Some((false, &why))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After signing in one comes to a page of ours, wherever the link came from.
    #[test]
    fn no_other_host_is_next() {
        let table = [
            (&b"next=/receipts%3Ftill%3D7"[..], "/receipts?till=7"),
            (b"next=//evil.example", "/"),
            (b"next=https://evil.example", "/"),
            (b"next=/%5Cevil.example", "/"),
            (b"", "/"),
        ];
        for (query, path) in table {
            assert_eq!(next_path(&Query::read(query)), path);
        }
    }

    /// Nobody is led to another host, also not through what browsers leave out.
    #[test]
    fn next_is_a_path_of_ours() {
        for (next, goes) in [
            ("%2Freceipts%3Fnumber%3D4", "/receipts?number=4"),
            ("%2F%09%2Fevil.example", "/"),
            ("%2F%0A%2Fevil.example", "/"),
            ("%2F%0D%2Fevil.example", "/"),
            ("%2F%00", "/"),
            ("%2F%C2%85%2Fevil.example", "/"),
            ("%2F%2Fevil.example", "/"),
            ("%2F%5Cevil.example", "/"),
            ("https%3A%2F%2Fevil.example", "/"),
            ("", "/"),
        ] {
            let query = Query::read(format!("next={next}").as_bytes());
            assert_eq!(next_path(&query), goes, "{next}");
        }
    }
}
