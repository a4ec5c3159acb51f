//! The tills at a glance: a light for each, with words; today's sales; what to do.

use axum::response::Response;
use maud::{Markup, html};

use super::acts::{Act, Wanted};
use super::ask::{Failed, TillName};
use super::layout::{Nav, Sheet, facts, failed};
use super::visit::Visit;
use super::words::{self, Light, money, test_tag};
use crate::api::schema::{Alarm, CurrencyFigures, Report, Status, TillState};

/// Alarms that are shown in full above the tills.
const SHOWN: usize = 3;

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let (status, alarms) = (visit.page.status().await?, visit.page.alarms().await?);
    let mut cards = Vec::new();
    for till in &status.tills {
        let figures = figures(visit, till).await?;
        cards.push(card(visit, till, &alarms, &figures));
    }
    let live = html! {
        (strip(visit, &status, &alarms))
        @if cards.is_empty() { p class="note warn" { (visit.t("till.none")) } }
        div class="tills" { @for card in &cards { (card) } }
    };
    let sheet = Sheet {
        nav: Nav::Tills,
        title: visit.t("nav.tills"),
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

/// The figures of a till's latest day; none before its first.
pub(super) async fn figures(
    visit: &Visit,
    till: &TillState,
) -> Result<Vec<CurrencyFigures>, Failed> {
    let Some(day) = till.day.as_ref().filter(|_| till.taxpayer.is_some()) else {
        return Ok(Vec::new());
    };
    let report = if day.state == "open" { "x" } else { "z" };
    let query = TillName::of(till).query();
    let path = format!("/v1/days/{}/{report}?{query}", day.fiscal_day_no);
    match visit.page.get::<Report>(&path).await {
        Ok(report) => Ok(report.currencies),
        // It was closed in between: the next look finds it.
        Err(error) if error.status.is_client_error() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The worst alarms, and how many more there are.
fn strip(visit: &Visit, status: &Status, alarms: &[Alarm]) -> Markup {
    let urgent: Vec<&Alarm> = alarms
        .iter()
        .filter(|alarm| alarm.severity != "note")
        .collect();
    let several = status.tills.len() > 1;
    html! {
        @if !urgent.is_empty() {
            section class="strip" aria-label=(visit.t("nav.alarms")) {
                @for alarm in urgent.iter().take(SHOWN) {
                    @let (what, action) = words::alarm(visit, alarm);
                    div class={ "note " (if alarm.severity == "stops" { "bad" } else { "warn" }) } {
                        p {
                            b {
                                @if let Some(device) = alarm.device_id.filter(|_| several) { (visit.t("till.till")) " " (device) ": " }
                                (what)
                            }
                            " " (action)
                        }
                    }
                }
                @if urgent.len() > SHOWN {
                    p { a id="more-alarms" href="/operator/alarms" { (visit.counted("alarm.more", "count", &(urgent.len() - SHOWN))) } }
                }
            }
        }
    }
}

fn card(visit: &Visit, till: &TillState, alarms: &[Alarm], figures: &[CurrencyFigures]) -> Markup {
    let name = TillName::of(till);
    let place = format!("/operator/till/{}", name.text());
    html! {
        section class="card till" {
            h2 {
                a id={ "till-" (name.text()) } href=(place) { (visit.t("till.till")) " " (name.device_id) }
                (test_tag(visit, &name))
            }
            (Light::of(till, alarms).show(visit))
            (sales(visit, till, figures))
            (facts(&[
                (visit.t("till.day"), html! { (day(visit, till)) }),
                (visit.t("till.authority"), html! { (words::queue(visit, &till.fdms)) }),
                (visit.t("till.internet"), words::link(visit, till.link.as_ref())),
            ]))
            div class="row" { (buttons(visit, till, &name)) }
        }
    }
}

/// What was sold in the latest day.
pub(super) fn sales(visit: &Visit, till: &TillState, figures: &[CurrencyFigures]) -> Markup {
    let Some(day) = &till.day else {
        return html! {};
    };
    html! {
        div class="sales" {
            p class="soft" { (visit.with("till.sales", &[("day", &day.fiscal_day_no)])) }
            @if figures.is_empty() { p class="figure" { "0.00" } }
            @for figure in figures {
                p class="figure" {
                    (money(&figure.documents.total)) " " small { (figure.currency) }
                    span class="soft" { (visit.counted("till.receipts", "count", &figure.documents.quantity)) }
                }
            }
        }
    }
}

/// How the fiscal day is.
pub(super) fn day(visit: &Visit, till: &TillState) -> String {
    let Some(day) = &till.day else {
        return visit.t("till.no_day").to_owned();
    };
    let no = &day.fiscal_day_no;
    match (day.state.as_str(), &day.closes_at, &day.fiscal_day_closed) {
        ("open", Some(at), _) => {
            let values = [
                ("day", no as _),
                ("since", &day.fiscal_day_opened as _),
                ("at", at as _),
            ];
            visit.with("till.day_closes", &values)
        }
        ("open", None, _) => visit.with(
            "till.day_open",
            &[("day", no), ("since", &day.fiscal_day_opened)],
        ),
        (_, _, closed) => {
            let at = closed.clone().unwrap_or_default();
            visit.with("till.day_closed", &[("day", no), ("at", &at)])
        }
    }
}

/// What can be done about a till's day.
pub(super) fn buttons(visit: &Visit, till: &TillState, name: &TillName) -> Markup {
    let place = format!("/operator/till/{}", name.text());
    let is_open = till.day.as_ref().is_some_and(|day| day.state == "open");
    let report = if is_open { "report.x" } else { "report.z" };
    html! {
        @if is_open { (Wanted::new(visit, Act::CloseDay).till(name).button(visit)) }
        @else { (Wanted::new(visit, Act::OpenDay).till(name).button(visit)) }
        @if let Some(day) = &till.day {
            a id={ "report-" (name.text()) } class="button" href={ (place) "/day/" (day.fiscal_day_no) } { (visit.t(report)) }
        }
        a id={ "receipts-" (name.text()) } class="button" href={ "/operator/receipts?till=" (name.text()) } { (visit.t("nav.receipts")) }
    }
}
