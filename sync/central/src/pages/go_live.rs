//! The go-live checklist: each step proved by rows, or saying what exactly is missing; cut-over and rollback as
//! guarded buttons, confirmed by typing the company's name.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chart::meter;
use super::fail::Failed;
use super::forms::{Posted, action, button, field};
use super::layout::{Nav, Page, card, live};
use super::profile::{self, Profile};
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::access::Role;
use crate::hq::SharedHq;
use crate::problem::{At, Code, Problem};

/// What is read of `/fiscal_profile/checklist`.
#[derive(Debug, Deserialize)]
struct Checklist {
    steps: Vec<Step>,
    may_enable_test: bool,
    may_cut_over: bool,
    may_enable_prod: bool,
}

#[derive(Debug, Deserialize)]
struct Step {
    step: String,
    chapter: String,
    title: String,
    state: String,
    missing: Vec<String>,
    evidence: Value,
    proved_at: Option<Timestamp>,
}

/// `GET /go-live`
pub(super) async fn page(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    let list: Checklist = visit
        .read(&hq, "/fiscal_profile/checklist")
        .await
        .map_err(|why| Failed(Problem::new(Code::Conflict, why)))?;
    let profile = profile::read(&visit, &hq).await?;
    let proved = list
        .steps
        .iter()
        .filter(|step| step.state != "missing")
        .count();
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let body = html! {
        div class="side" {
            (live(&visit, "checklist", &html! {
                section class="card" { div class="in" {
                    p { b { (proved) " of " (list.steps.len()) " steps proved" } }
                    (meter(whole(proved), whole(list.steps.len())))
                } }
                @for steps in list.steps.chunk_by(|a, b| a.chapter == b.chapter) { (chapter(&visit, steps)) }
            }))
            div class="stack" {
                (card("Where it stands", &standing(&profile)))
                @if visit.may(Role::Admin) {
                    (card("Checks", &html! {
                        div class="row" {
                            (button(&visit, "/go-live/check/health", "Health of FDMS and stores", &html! {}))
                            (button(&visit, "/go-live/check/isolation", "Wall between companies", &html! {}))
                        }
                        p class="hint" { "Each leaves its evidence in the audit. A controlled test submission is ordered on the page of a test till." }
                    }))
                    (card("Decisions", &decisions(&visit, &profile, &list)))
                }
            }
        }
    };
    let mut shown = Page::new(Nav::GoLive, "Go-live");
    shown.under = Some(
        html! { "Nothing is ticked by hand: each step is proved by what is in the database." },
    );
    Ok(shown.show(&visit, &body))
}

fn chapter(visit: &Visit, steps: &[Step]) -> Markup {
    html! {
        section class="card" {
            header { h2 { (steps.first().map(|step| step.chapter.as_str()).unwrap_or_default()) } }
            ol class="steps" { @for step in steps { (one(visit, step)) } }
        }
    }
}

fn one(visit: &Visit, step: &Step) -> Markup {
    let (tone, word) = match step.state.as_str() {
        "proved" => (Tone::Ok, "proved"),
        "not_applicable" => (Tone::Quiet, "nothing to do"),
        _ => (Tone::Warn, "missing"),
    };
    html! {
        li class=(if step.state == "proved" { "done" } else { "" }) data-step=(step.step) {
            div { (step.title) }
            (tag(tone, word))
            div class="evidence" {
                @for missing in &step.missing { div { "Missing: " (missing) } }
                @if let Some(at) = step.proved_at { div { "First proved " (words::when(visit.now, at)) } }
                @if step.state == "proved" && !step.evidence.is_null() {
                    details class="fold" { summary { "Evidence" } pre { (serde_json::to_string_pretty(&step.evidence).unwrap_or_default()) } }
                }
            }
        }
    }
}

fn standing(profile: &Profile) -> Markup {
    let gate = |open: bool| {
        if open {
            tag(Tone::Ok, "open")
        } else {
            tag(Tone::Quiet, "closed")
        }
    };
    html! {
        dl class="facts" {
            dt { "New sales go to" } dd { (words::environment(&profile.environment)) }
            dt { "Enabled" } dd { @if profile.enabled { (tag(Tone::Ok, "yes")) } @else { (tag(Tone::Warn, "no")) } }
            dt { "Gate of test" } dd { (gate(profile.enabled_test)) }
            dt { "Gate of production" } dd { (gate(profile.enabled_prod)) }
            @if !profile.reason.is_empty() { dt { "Reason" } dd { (profile.reason) } }
        }
    }
}

/// A decision, confirmed by the company's name.
fn decision(
    visit: &Visit,
    profile: &Profile,
    (path, word): (&str, &str),
    danger: bool,
    fields: &Markup,
) -> Markup {
    action(
        visit,
        &format!("/go-live/{path}"),
        word,
        danger,
        &html! {
            input type="hidden" name="version" value=(profile.version);
            (fields)
            (field("confirm", &format!("Type the company's name to confirm: {}", visit.tenant_name), "", true))
            div { button class=(if danger { "danger" } else { "main" }) { (word) } }
        },
    )
}

fn decisions(visit: &Visit, profile: &Profile, list: &Checklist) -> Markup {
    let in_prod = profile.environment == "prod";
    let may_enable = if in_prod {
        list.may_enable_prod
    } else {
        list.may_enable_test
    };
    html! {
        div class="stack" {
            @if !profile.enabled {
                @if may_enable { (decision(visit, profile, ("enable", "Enable"), false, &html! { p class="hint" { "Tills of this environment sell and send." } })) }
                @else { p class="hint" { "Enabling waits for the steps that are missing." } }
            }
            @if !in_prod {
                @if list.may_cut_over {
                    (decision(visit, profile, ("cut_over", "Cut over to production"), false, &html! {
                        p class="hint" { "New sales go to the production till of each cashier machine. The test tills keep and drain their queues." }
                        label class="check" { input type="checkbox" name="enable" value="1"; "Enable production in the same moment" }
                    }))
                } @else { p class="hint" { "The cut-over waits for the steps that are missing." } }
            }
            @if in_prod || profile.enabled_prod {
                (decision(visit, profile, ("rollback", "Roll back"), true, &html! {
                    p class="hint" { "Production is closed, and its queues are paused with the reason until somebody lets them go on. New sales go back to the test till of each cashier machine; the gate of test is opened if it is closed. A machine without a test till that can sell stands still until it has one or production is enabled again. Nothing that waits is lost." }
                    (field("reason", "Reason, for the cashiers and the audit", "", true))
                }))
            }
            @if profile.enabled {
                (decision(visit, profile, ("disable", "Disable"), true, &html! {
                    p class="hint" { "Tills of this environment take no new sales and send nothing; what waits is kept." }
                    (field("reason", "Reason, for the cashiers and the audit", "", true))
                }))
            }
        }
    }
}

/// `POST /go-live/{action}`
pub(super) async fn decide(
    State(hq): State<SharedHq>,
    At(what): At<String>,
    posted: Posted,
) -> Response {
    let (visit, form) = (&posted.visit, &posted.form);
    if form.shown("confirm") != visit.tenant_name.trim() {
        let why = format!(
            "Nothing was done: to confirm, type the company's name as it is written here: {}",
            visit.tenant_name
        );
        return visit.back("/go-live", Err(why));
    }
    let version = profile::version(form);
    let reason = form.shown("reason");
    let (body, said) = match what.as_str() {
        "enable" => (
            json!({ "version": version }),
            "Enabled. The stores hear of it with their next exchange.",
        ),
        "disable" => (
            json!({ "version": version, "reason": reason }),
            "Disabled. The stores hear of it with their next exchange.",
        ),
        "cut_over" => (
            json!({ "version": version, "enable": form.is_set("enable") }),
            "Cut over to production. Watch the first submission.",
        ),
        "rollback" => (
            json!({ "version": version, "reason": reason }),
            "Rolled back: production is closed and paused, new sales go to the test tills, whose gate is open.",
        ),
        _ => return visit.back("/go-live", Err("there is no such decision".to_owned())),
    };
    let done = visit
        .write(&hq, Method::POST, &format!("/fiscal_profile/{what}"), &body)
        .await;
    let said = done.map(|made| format!("{said}{}", stopped(&made)));
    visit.back("/go-live", said)
}

/// The machines that a rollback leaves without a till to sell at, in a sentence; nothing where there is none.
fn stopped(made: &Value) -> String {
    let all = made.get("stopped").and_then(Value::as_array);
    let all: Vec<String> = all
        .into_iter()
        .flatten()
        .map(|one| {
            let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} ({})", text("machine_name"), text("reason"))
        })
        .collect();
    if all.is_empty() {
        return String::new();
    }
    format!(" These cashier machines stand still: {}.", all.join("; "))
}

/// `POST /go-live/check/{action}`: what the checklist wants to see tried.
pub(super) async fn check(
    State(hq): State<SharedHq>,
    At(what): At<String>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let said = if what == "isolation" {
        let tried = visit
            .write(
                &hq,
                Method::POST,
                "/fiscal_profile/checklist/isolation",
                &json!({}),
            )
            .await;
        tried.map(|_| {
            "The wall between companies was tried; what was found stands in the audit.".to_owned()
        })
    } else {
        let health = visit.read::<Value>(&hq, "/fdms_health").await;
        health.map(|health| {
            let overall = health
                .get("overall")
                .and_then(Value::as_str)
                .unwrap_or("unknown");
            let found = health
                .get("findings")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            format!(
                "Health: {overall}, {}.",
                words::count(
                    i64::try_from(found).unwrap_or_default(),
                    "finding",
                    "findings"
                )
            )
        })
    };
    visit.back("/go-live", said)
}
