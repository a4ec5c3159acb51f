//! Alarms, each with what to do.

use axum::response::Response;
use maud::{Markup, html};

use super::ask::Failed;
use super::layout::{Nav, Sheet, failed, tag};
use super::visit::Visit;
use super::words;
use crate::api::schema::Alarm;

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let alarms = visit.page.alarms().await?;
    let live = match alarms.is_empty() {
        true => html! { p class="note ok" { (visit.t("alarm.none")) } },
        false => list(visit, &alarms.iter().collect::<Vec<_>>(), true),
    };
    let sheet = Sheet {
        nav: Nav::Alarms,
        title: visit.t("nav.alarms"),
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

/// Alarms in full; with the name of the till where there may be several.
pub(super) fn list(visit: &Visit, alarms: &[&Alarm], names_till: bool) -> Markup {
    html! {
        @for alarm in alarms {
            @let (what, action) = words::alarm(visit, alarm);
            section class={ "card alarm " (alarm.severity) } {
                h2 {
                    @if let Some(device) = alarm.device_id.filter(|_| names_till) { (visit.t("till.till")) " " (device) ": " }
                    (what)
                }
                p class="row" {
                    (match alarm.severity.as_str() {
                        "stops" => tag("bad", visit.t("alarm.stops")),
                        "attend" => tag("warn", visit.t("alarm.attend")),
                        _ => tag("", visit.t("alarm.note")),
                    })
                    @if let Some(since) = &alarm.since { span class="soft" { (visit.with("alarm.since", &[("since", since)])) } }
                }
                p class="large" { (action) }
                @if let Some(detail) = &alarm.detail { p class="soft small" lang="en" { (detail) } }
            }
        }
    }
}
