//! The settings of a store: what head office has set, what holds there, and the form that sets it.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{Posted, choice, field};
use super::layout::{Nav, Page, card, sheet};
use super::query::Query;
use super::visit::Visit;
use super::words::{Tone, tag};
use crate::access::Role;
use crate::db;
use crate::functions::settings::{self, Steered};
use crate::hq::SharedHq;
use crate::problem::At;

/// A setting, its words, and what may be chosen; nothing to choose from: it is typed.
struct Setting {
    name: &'static str,
    word: &'static str,
    options: &'static [(&'static str, &'static str)],
}

/// What is left to the store.
const OWN: (&str, &str) = ("", "as the store's own file says");
/// A day that closes at a time of day, which has a field of its own.
const AT: &str = "at";
const CLOSING: &str = "day_closing";
const CURRENCIES: &str = "currencies";
const WAIT: &str = "online_wait_ms";

const SETTINGS: [Setting; 7] = [
    Setting {
        name: "day_opening",
        word: "Fiscal days are opened by",
        options: &[
            OWN,
            ("first_sale", "the first sale"),
            ("by_hand", "a person"),
        ],
    },
    Setting {
        name: CLOSING,
        word: "Fiscal days are closed",
        options: &[
            OWN,
            ("by_hand", "by a person"),
            (AT, "at this time"),
            ("before_longest", "ten minutes before their longest"),
        ],
    },
    Setting {
        name: "rollover_offline",
        word: "A day that has lasted its longest",
        options: &[
            OWN,
            ("true", "is closed, and the next opened, by itself"),
            ("false", "waits for a person"),
        ],
    },
    Setting {
        name: "print",
        word: "Receipts are printed",
        options: &[
            OWN,
            ("always", "always, unless the sale says no"),
            ("on_request", "when the sale says so"),
            ("never", "by command alone"),
        ],
    },
    Setting {
        name: "answers",
        word: "Sales are answered",
        options: &[
            OWN,
            ("hybrid", "at once"),
            ("online", "with FDMS's word, where it comes in time"),
        ],
    },
    Setting {
        name: WAIT,
        word: "Such an answer waits for FDMS, milliseconds",
        options: &[],
    },
    Setting {
        name: CURRENCIES,
        word: "Currencies, like USD, ZWG",
        options: &[],
    },
];

/// The settings as texts, by their names.
fn texts(settings: &Value) -> Map<String, Value> {
    let all = settings.as_object().cloned().unwrap_or_default();
    let text = |value: Value| match value {
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            all.join(", ")
        }
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    all.into_iter()
        .map(|(name, value)| (name, Value::String(text(value))))
        .collect()
}

fn of<'a>(texts: &'a Map<String, Value>, name: &str) -> &'a str {
    texts.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Setting {
    /// A value in words.
    fn said(&self, value: &str) -> String {
        let known = self.options.iter().find(|(key, _)| *key == value);
        match known {
            Some((_, word)) => (*word).to_owned(),
            None if value.is_empty() => OWN.1.to_owned(),
            None if self.name == CLOSING => format!("at {value}"),
            None => value.to_owned(),
        }
    }
}

/// `GET /stores/{store}/settings`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    At(store): At<Uuid>,
) -> Result<Response, Failed> {
    show(&visit, &hq, store, None).await
}

/// `POST /stores/{store}/settings`
pub(super) async fn save(
    State(hq): State<SharedHq>,
    At(store): At<Uuid>,
    posted: Posted,
) -> Result<Response, Failed> {
    let Posted { visit, form } = &posted;
    // Another company's store is not there, whatever the form says.
    steered(visit, &hq, store).await?;
    let every = form.is_set("every_store");
    let path = match every {
        true => "/fiscal_devices/settings".to_owned(),
        false => format!("/fiscal_devices/stores/{store}/settings"),
    };
    let seen = form.text("seen").and_then(|seen| seen.parse::<i64>().ok());
    let is_asked = every && !form.is_set("sure") && visit.may(Role::Admin);
    let saved = match (written(form), seen) {
        (Err(why), _) => Err(why),
        (Ok(_), None) => Err("This page is not whole: load it again".to_owned()),
        // What makes no sense must not be asked about as if nothing were set.
        (Ok(body), Some(_)) if is_asked => match settings::checked(&body) {
            Ok(settings) => return ask_first(visit, &hq, store, &settings).await,
            Err(problem) => Err(format!("{}: nothing was set", problem.detail)),
        },
        (Ok(body), Some(seen)) => {
            let path = format!("{path}?seen={seen}");
            visit.write(&hq, Method::PUT, &path, &body).await
        }
    };
    match saved {
        Ok(done) => {
            let stores = done.get("stores").and_then(Value::as_u64);
            let said = match stores {
                Some(stores) => format!(
                    "The settings are set in all {stores} stores. Each puts them into effect with its next exchange."
                ),
                None => {
                    "The settings are set. The store puts them into effect with its next exchange."
                        .to_owned()
                }
            };
            Ok(visit.back(&format!("/stores/{store}/settings"), Ok(said)))
        }
        Err(why) => show(visit, &hq, store, Some((form, &why))).await,
    }
}

/// What is written of a form; what cannot be read is refused.
fn written(form: &Query) -> Result<Value, String> {
    let mut body = Map::new();
    for setting in &SETTINGS {
        if setting.name == CLOSING
            && form.text(setting.name) != Some(AT)
            && let Some(time) = form.text("day_closing_at")
        {
            return Err(format!(
                "Fiscal days are closed: choose \"at this time\", or empty the time {time}: nothing was set"
            ));
        }
        let Some(text) = form.text(setting.name) else {
            continue;
        };
        let value = match (setting.name, text) {
            (CLOSING, AT) => json!(form.text("day_closing_at").ok_or(
                "Fiscal days are closed: type the time of day, like 22:30: nothing was set"
            )?),
            (CURRENCIES, text) => {
                let names = text.split([',', ' ']).filter(|name| !name.is_empty());
                json!(names.map(str::to_uppercase).collect::<Vec<_>>())
            }
            (WAIT, text) => json!(text.parse::<u32>().map_err(|_| format!(
                "{}: this must be a whole number up to 60000, not {text:?}: nothing was set",
                setting.word
            ))?),
            (_, "true") => json!(true),
            (_, "false") => json!(false),
            (_, text) => json!(text),
        };
        body.insert(setting.name.to_owned(), value);
    }
    Ok(Value::Object(body))
}

/// What is to be set in every store is shown first, with what it replaces.
async fn ask_first(
    visit: &Visit,
    hq: &SharedHq,
    store: Uuid,
    settings: &Value,
) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let seen = settings::versions(&tx, &visit.caller).await?;
    let differing = settings::differing(&tx, &visit.caller, settings).await?;
    let set = texts(settings);
    let of_store = |settings: &Value| {
        let set = texts(settings);
        let said = SETTINGS
            .iter()
            .filter(|setting| !of(&set, setting.name).is_empty());
        let said = said
            .map(|setting| format!("{}: {}", setting.word, setting.said(of(&set, setting.name))));
        said.collect::<Vec<_>>().join("; ")
    };
    let to = format!("/stores/{store}/settings");
    let set_now = html! {
        table class="fold" {
            thead { tr { th { "Setting" } th { "In every store" } } }
            tbody { @for setting in &SETTINGS { tr {
                td data-name="Setting" { (setting.word) }
                td data-name="In every store" { (setting.said(of(&set, setting.name))) }
            } } }
        }
    };
    let goes = html! {
        table class="fold" {
            thead { tr { th { "Store" } th { "Set now" } } }
            tbody { @for (name, settings) in &differing { tr {
                td data-name="Store" { (name) }
                td data-name="Set now" { @let said = of_store(settings); @if said.is_empty() { "nothing: as its own file says" } @else { (said) } }
            } } }
        }
    };
    let question = html! {
        p { "In " (differing.len()) " of the stores something else is set now, and goes." }
        form class="form" method="post" action=(visit.href(&to)) {
            (visit.token())
            @for setting in &SETTINGS {
                @let value = of(&set, setting.name);
                @if setting.name == CLOSING && value.contains(':') {
                    input type="hidden" name=(CLOSING) value=(AT);
                    input type="hidden" name="day_closing_at" value=(value);
                } @else { input type="hidden" name=(setting.name) value=(value); }
            }
            input type="hidden" name="every_store" value="1";
            input type="hidden" name="sure" value="1";
            input type="hidden" name="seen" value=(seen);
            div { button class="main" { "Set in every store" } " " a class="button" href=(visit.href(&to)) { "No, go back" } }
        }
    };
    let shown = Page::new(Nav::Overview, "Settings of every store");
    let body = html! {
        (sheet("To be set", None, &set_now))
        @if !differing.is_empty() { (sheet("What goes", None, &goes)) }
        (card("Set this in every store of the company?", &question))
    };
    Ok(shown.show(visit, &body))
}

async fn steered(visit: &Visit, hq: &SharedHq, store: Uuid) -> Result<Steered, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    Ok(settings::read(&tx, &visit.caller, store).await?)
}

/// The page; after a refusal with what was typed, and why it was refused.
async fn show(
    visit: &Visit,
    hq: &SharedHq,
    store: Uuid,
    refused: Option<(&Query, &str)>,
) -> Result<Response, Failed> {
    let steered = steered(visit, hq, store).await?;
    let body = html! {
        @if let Some((_, why)) = refused { div class="note bad" role="alert" { (why) } }
        @if !steered.in_effect && !steered.is_retired {
            div class="note warn" { "The store has not heard of the last change yet: what holds there may be what was set before." }
        }
        div class="two" {
            (sheet("What holds", None, &table(&steered)))
            @if !steered.is_retired {
                (card("Set from here", &form(visit, store, &steered, refused.map(|(typed, _)| typed))))
            }
        }
    };
    let crumbs = [
        ("Overview".to_owned(), "/".to_owned()),
        (steered.name.clone(), format!("/stores/{store}")),
    ];
    let mut shown = Page::new(Nav::Overview, "Settings of the store");
    shown.crumbs = &crumbs;
    shown.under = Some(html! {
        "What is not set here stands in the store's own file. What that says of a single till stands above both."
    });
    Ok(shown.show(visit, &body))
}

/// What is set, and what holds in the store as it says itself.
pub(super) fn table(steered: &Steered) -> Markup {
    let (set, holds) = (texts(&json!(steered.set)), texts(&json!(steered.in_force)));
    html! {
        table class="fold" {
            thead { tr { th { "Setting" } th { "Set here" } th { "Holds in the store" } } }
            tbody { @for setting in &SETTINGS {
                @let (set, holds) = (of(&set, setting.name), of(&holds, setting.name));
                tr {
                    td data-name="Setting" { (setting.word) }
                    td data-name="Set here" { @if set.is_empty() { span class="quiet" { "–" } } @else { (setting.said(set)) } }
                    td data-name="Holds in the store" { div {
                        @if holds.is_empty() { span class="quiet" { "not told yet" } } @else { (setting.said(holds)) }
                        @if !set.is_empty() && set != holds { " " (tag(Tone::Warn, "on the way")) }
                    } }
                }
            } }
        }
    }
}

fn form(visit: &Visit, store: Uuid, steered: &Steered, typed: Option<&Query>) -> Markup {
    let set = texts(&json!(steered.set));
    let (closing, at) = match of(&set, CLOSING) {
        time if time.contains(':') => (AT, time),
        word => (word, ""),
    };
    let kept = |name: &str| match name {
        CLOSING => closing.to_owned(),
        name => of(&set, name).to_owned(),
    };
    // What was typed stays until it is saved.
    let value = |name: &str, kept: String| typed.map_or(kept, |typed| typed.raw(name).to_owned());
    let fields = html! {
        @for setting in &SETTINGS {
            @let value = value(setting.name, kept(setting.name));
            @if setting.options.is_empty() { (field(setting.name, setting.word, &value, false)) }
            @else { (choice(setting.name, setting.word, setting.options, &value)) }
            @if setting.name == CLOSING {
                label { "Time of day, where they close at one" input type="time" name="day_closing_at" value=(typed.map_or(at, |typed| typed.raw("day_closing_at"))); }
            }
        }
    };
    html! {
        form class="form" method="post" action=(visit.href(&format!("/stores/{store}/settings"))) {
            (visit.token())
            input type="hidden" name="seen" value=(steered.version);
            @if visit.may(Role::Admin) {
                (fields)
                label class="check" { input type="checkbox" name="every_store" value="1" checked[typed.is_some_and(|typed| typed.is_set("every_store"))]; "In every store of the company" }
                p class="hint" { "An empty field leaves the setting to the store's own file. Receipts and days that are there stay as they are; when an open day closes follows what holds then: a time that is past already today closes the open days at once." }
                div { button class="main" { "Set" } }
            } @else { fieldset disabled { (fields) } p class="hint" { "An admin changes it." } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A form says what is set and nothing else; what cannot be read is refused in words.
    #[test]
    fn forms_are_read() {
        let read = |text: &str| written(&Query::read(text.as_bytes()));
        assert_eq!(read("day_opening=&print=+").unwrap(), json!({}));
        let all = "day_opening=by_hand&day_closing=at&day_closing_at=22%3A30&rollover_offline=false&currencies=usd,+zwg&online_wait_ms=3000&print=never";
        assert_eq!(
            read(all).unwrap(),
            json!({
                "day_opening": "by_hand", "day_closing": "22:30", "rollover_offline": false,
                "currencies": ["USD", "ZWG"], "online_wait_ms": 3000, "print": "never",
            })
        );
        assert!(read("day_closing=at").unwrap_err().contains("22:30"));
        let dropped = read("day_closing=by_hand&day_closing_at=21%3A00").unwrap_err();
        assert!(dropped.contains("21:00"), "{dropped}");
        assert!(read("online_wait_ms=soon").unwrap_err().contains("60000"));
    }

    /// Each setting that there is stands on the page, and each value that there can be has words.
    #[test]
    fn every_setting_is_there() {
        let none = texts(&json!(settings::Settings::default()));
        let named: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(none.len(), named.len());
        assert!(none.keys().all(|name| named.contains(&name.as_str())));
        let closing = SETTINGS.iter().find(|s| s.name == CLOSING).unwrap();
        assert_eq!(closing.said("22:30"), "at 22:30");
        assert_eq!(closing.said("by_hand"), "by a person");
    }
}
