//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use crate::failure::ClosingError;
use crate::finding::{Color, Finding};
use crate::model::{DayStatus, StoredDay};

use super::rules::broken_rule;

/// How often a page that shows what goes on loads itself anew, in seconds.
const RELOAD_SECONDS: u32 = 5;

/// A page with its head.
pub(super) fn page(title: &str, is_live: bool, way: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if is_live {
                    meta http-equiv="refresh" content=(RELOAD_SECONDS);
                }
                title { (title) " · FDMS sandbox" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
            }
            body {
                header {
                    nav { a href="/" { "FDMS sandbox" } (way) }
                    p.warning { "For tests only: nothing here is known to the authority" }
                }
                main { (body) }
            }
        }
    }
}

/// A step of the way to the page.
pub(super) fn step(href: &str, text: &str) -> Markup {
    html! { span.slash { "/" } a href=(href) { (text) } }
}

pub(super) fn not_found(what: &str) -> Markup {
    let body = html! { h1 { "Not found" } p { (what) } };
    page("Not found", false, &html! {}, &body)
}

/// A figure under its name.
pub(super) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div.fact { dt { (name) } dd { (value) } } }
}

/// A text as a fact.
pub(super) fn text_fact(name: &str, value: &str) -> Markup {
    fact(name, &html! { (value) })
}

fn class_of(color: Color) -> &'static str {
    match color {
        Color::Yellow => "chip yellow",
        Color::Grey => "chip grey",
        Color::Red => "chip red",
    }
}

/// The code of a broken rule in its colour.
pub(super) fn chip(finding: &Finding) -> Markup {
    let rule = broken_rule(finding.code);
    html! { span class=(class_of(finding.color)) title=(rule) { (finding.code) } }
}

/// How many of a colour there are; nothing where there are none.
pub(super) fn count(color: Color, count: usize) -> Markup {
    html! {
        @if count > 0 {
            span class=(class_of(color)) { (count) " " (format!("{color:?}")) }
        }
    }
}

/// The state of a day in a word.
pub(super) fn day_chip(day: &StoredDay) -> Markup {
    let (class, word) = match day.status {
        DayStatus::FiscalDayOpened => ("chip open", "open"),
        DayStatus::FiscalDayCloseInitiated => ("chip yellow", "closing"),
        DayStatus::FiscalDayCloseFailed => ("chip red", "close failed"),
        DayStatus::FiscalDayClosed => ("chip", "closed"),
    };
    html! {
        span class=(class) { (word) }
        @if let Some(error) = day.closing_error { " " span.small { (closing_error(error)) } }
    }
}

fn closing_error(error: ClosingError) -> &'static str {
    match error {
        ClosingError::BadCertificateSignature => "BadCertificateSignature: the signature is wrong",
        ClosingError::MissingReceipts => "MissingReceipts: some receipts are missing",
        ClosingError::ReceiptsWithValidationErrors => {
            "ReceiptsWithValidationErrors: some receipts are Red"
        }
        ClosingError::CountersMismatch => "CountersMismatch: the counters are not FDMS's own sums",
        ClosingError::InternalError => "InternalError: FDMS's own fault",
    }
}
