//! One till: its day, its certificate, who sells, what the authority has changed.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use super::acts::{Act, Wanted};
use super::ask::{Failed, TillName, till_of};
use super::layout::{Nav, Sheet, card, facts, failed};
use super::visit::Visit;
use super::words::{self, Light};
use super::{alarms, tills};
use crate::api::schema::{Configs, TillState};

/// Changes of the configuration that are shown.
const SHOWN: usize = 5;

/// The page.
pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Response {
    match sheet(&visit, &name).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit, name: &str) -> Result<Response, Failed> {
    let name = TillName::parse(name).ok_or_else(Failed::missing)?;
    let (status, all) = (visit.page.status().await?, visit.page.alarms().await?);
    let till = till_of(&status, &name)?;
    let figures = tills::figures(visit, till).await?;
    let configs: Configs = visit
        .page
        .get(&format!("/v1/tills/config?{}", name.query()))
        .await?;
    let own: Vec<_> = all
        .iter()
        .filter(|alarm| words::concerns(alarm, till))
        .collect();
    let live = html! {
        section class="card till" {
            (Light::of(till, &all).show(visit))
            (tills::sales(visit, till, &figures))
            (facts(&[
                (visit.t("till.day"), html! { (tills::day(visit, till)) }),
                (visit.t("till.authority"), html! { (words::queue(visit, &till.fdms)) }),
                (visit.t("till.internet"), words::link(visit, till.link.as_ref())),
                (visit.t("till.last_receipt"), last(visit, till)),
            ]))
            div class="row" { (tills::buttons(visit, till, &name)) }
        }
        (alarms::list(visit, &own, false))
        (card(&html! { (visit.t("till.certificate")) }, &certificate(visit, till, &name)))
        (card(&html! { (visit.t("till.settings")) }, &settings(visit, till, &name, &configs)))
    };
    let title = format!("{} {}", visit.t("till.till"), name.device_id);
    let sheet = Sheet {
        nav: Nav::Tills,
        title: &title,
        alarms: all.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

fn last(visit: &Visit, till: &TillState) -> Markup {
    html! {
        @if let Some(last) = &till.last_receipt {
            (visit.with("till.last", &[("no", &last.receipt_global_no), ("at", &last.receipt_date)]))
        }
    }
}

/// Until when the certificate is good, and its renewal.
pub(super) fn certificate(visit: &Visit, till: &TillState, name: &TillName) -> Markup {
    let Some(certificate) = &till.certificate else {
        return html! { p { (visit.t("till.no_certificate")) } };
    };
    let until = certificate.valid_till.split('T').next().unwrap_or_default();
    html! {
        (facts(&[
            (visit.t("till.valid_until"), html! { (visit.when(until)) }),
            (visit.t("till.days_left"), html! { (certificate.days_left) }),
            (visit.t("till.thumbprint"), html! { code { (certificate.thumbprint) } }),
        ]))
        div class="row" { (Wanted::new(visit, Act::Renew).till(name).button(visit)) }
    }
}

fn settings(visit: &Visit, till: &TillState, name: &TillName, configs: &Configs) -> Markup {
    let taxpayer = till.taxpayer.as_ref();
    let text = |value: Option<&str>| html! { (value.unwrap_or_default()) };
    html! {
        (facts(&[
            (visit.t("till.taxpayer"), text(taxpayer.map(|it| it.tax_payer_name.as_str()))),
            (visit.t("till.branch"), text(taxpayer.map(|it| it.device_branch_name.as_str()))),
            ("TIN", text(taxpayer.map(|it| it.tax_payer_tin.as_str()))),
            ("VAT", text(taxpayer.and_then(|it| it.vat_number.as_deref()))),
            (visit.t("till.serial"), html! { (till.device_serial_no) }),
            (visit.t("till.goes_to"), html! {
                @if let Some(to) = &till.new_sales_go_to { (visit.t("till.till")) " " (to.device_id) }
            }),
        ]))
        div class="row" { (Wanted::new(visit, Act::AskSettings).till(name).button(visit)) }
        @for config in configs.configs.iter().filter(|config| !config.changes.is_empty()).take(SHOWN) {
            h3 { (visit.with("till.changed", &[("at", &config.fetched_at)])) }
            ul class="plain" lang="en" {
                @for change in &config.changes {
                    li {
                        (change.what)
                        @if let Some(before) = &change.before { ": " del { (before) } }
                        @if let Some(after) = &change.after { " → " ins { (after) } }
                    }
                }
            }
        }
    }
}
