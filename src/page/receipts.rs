//! Receipts: the newest first, and found again by number, by the shop's number, by day.

use axum::response::Response;
use maud::{Markup, html};

use super::acts::encoded;
use super::ask::{Failed, TillName};
use super::layout::{Nav, Sheet, failed};
use super::visit::Visit;
use super::words::{self, money};
use crate::api::schema::{Exact, Fdms, Receipt, Receipts, Row, TillState};

/// Receipts on a page.
const SHOWN: u32 = 25;
/// Kinds that can be searched for.
const KINDS: [&str; 3] = ["FiscalInvoice", "CreditNote", "DebitNote"];

/// A receipt in the list.
struct Line {
    no: u32,
    invoice_no: String,
    date: String,
    kind: String,
    currency: String,
    total: Exact,
    fdms: Fdms,
}

impl From<Row> for Line {
    fn from(row: Row) -> Self {
        Self {
            no: row.receipt_global_no,
            invoice_no: row.invoice_no,
            date: row.receipt_date,
            kind: row.receipt_type,
            currency: row.receipt_currency,
            total: row.receipt_total,
            fdms: row.fdms,
        }
    }
}

impl From<Receipt> for Line {
    fn from(receipt: Receipt) -> Self {
        Self {
            no: receipt.receipt_global_no,
            invoice_no: receipt.invoice_no,
            date: receipt.receipt_date,
            kind: receipt.receipt_type,
            currency: receipt.receipt_currency,
            total: receipt.receipt_total,
            fdms: receipt.fdms,
        }
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    lines: Vec<Line>,
    /// Where the next page begins.
    before: Option<u32>,
}

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let (status, alarms) = (visit.page.status().await?, visit.page.alarms().await?);
    let wanted = visit.param("till").and_then(TillName::parse);
    let till = wanted.or_else(|| status.tills.first().map(TillName::of));
    let found = match &till {
        Some(till) => find(visit, till).await?,
        None => Found::default(),
    };
    let live = match &till {
        Some(till) => list(visit, till, &found),
        None => html! { p class="note warn" { (visit.t("till.none")) } },
    };
    let sheet = Sheet {
        nav: Nav::Receipts,
        title: visit.t("nav.receipts"),
        alarms: alarms.len(),
        still: Some(search(visit, &status.tills, till.as_ref())),
        live,
    };
    Ok(sheet.show(visit))
}

/// Looks for what was typed: a number may be the till's own or the shop's.
async fn find(visit: &Visit, till: &TillName) -> Result<Found, Failed> {
    let query = till.query();
    if let Some(typed) = visit.param("q") {
        let mut found = Found::default();
        if typed.bytes().all(|b| b.is_ascii_digit()) {
            let path = format!("/v1/receipts/{typed}?{query}");
            // A number that no receipt can have is no receipt's.
            if let Ok(Some(receipt)) = visit.page.find::<Receipt>(&path).await {
                found.lines.push(receipt.into());
            }
        }
        let path = format!("/v1/receipts?{query}&invoiceNo={}", encoded(typed));
        let named: Named = visit.page.get(&path).await?;
        for receipt in named.receipts {
            if found
                .lines
                .iter()
                .all(|line| line.no != receipt.receipt_global_no)
            {
                found.lines.push(receipt.into());
            }
        }
        return Ok(found);
    }
    let mut path = format!("/v1/receipts?{query}&limit={SHOWN}");
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    };
    let is_number = |text: &&str| text.bytes().all(|b| b.is_ascii_digit());
    let date = visit.param("date");
    let date = date.filter(|text| text.parse::<jiff::civil::Date>().is_ok());
    add("from", date);
    add("till", date);
    add("fiscalDayNo", visit.param("day").filter(is_number));
    add(
        "receiptType",
        visit.param("kind").filter(|kind| KINDS.contains(kind)),
    );
    add("before", visit.param("before").filter(is_number));
    let found: Receipts = visit.page.get(&path).await?;
    Ok(Found {
        lines: found.receipts.into_iter().map(Line::from).collect(),
        before: found.next_before,
    })
}

/// The one receipt that a number of the shop names, whole.
#[derive(serde::Deserialize)]
struct Named {
    receipts: Vec<Receipt>,
}

fn search(visit: &Visit, tills: &[TillState], chosen: Option<&TillName>) -> Markup {
    let value = |name: &str| visit.param(name).unwrap_or_default().to_owned();
    html! {
        form class="search card" method="get" action="/operator/receipts" role="search" {
            @if tills.len() > 1 {
                div {
                    label for="till" { (visit.t("till.till")) }
                    select id="till" name="till" {
                        @for till in tills {
                            @let name = TillName::of(till);
                            option value=(name.text()) selected[Some(&name) == chosen] {
                                (name.device_id) @if name.environment == "test" { " " (visit.t("till.test")) }
                            }
                        }
                    }
                }
            }
            div class="wide" {
                label for="q" { (visit.t("receipts.number")) }
                input id="q" name="q" type="search" maxlength="50" value=(value("q"));
            }
            div {
                label for="date" { (visit.t("receipts.date")) }
                input id="date" name="date" type="date" value=(value("date"));
            }
            div {
                label for="day" { (visit.t("receipts.day")) }
                input id="day" name="day" inputmode="numeric" pattern="[0-9]*" maxlength="9" value=(value("day"));
            }
            div {
                label for="kind" { (visit.t("receipts.kind")) }
                select id="kind" name="kind" {
                    option value="" { (visit.t("receipts.all")) }
                    @for kind in KINDS {
                        option value=(kind) selected[visit.param("kind") == Some(kind)] { (words::kind(visit, kind)) }
                    }
                }
            }
            div class="row" {
                button id="search" class="main" { (visit.t("receipts.search")) }
                a id="all" class="button" href={ "/operator/receipts" @if let Some(till) = chosen { "?till=" (till.text()) } } { (visit.t("receipts.all")) }
            }
        }
    }
}

fn list(visit: &Visit, till: &TillName, found: &Found) -> Markup {
    html! {
        @if found.lines.is_empty() { p class="note" { (visit.t("receipts.none")) } }
        @else {
            ul class="list card" {
                @for line in &found.lines {
                    li {
                        a id={ "receipt-" (line.no) } href={ "/operator/till/" (till.text()) "/receipt/" (line.no) } {
                            span class="no" { (line.no) }
                            span class="name" { (line.invoice_no) }
                            span class="at soft" { (visit.when(&line.date)) }
                            span class="kind soft" { @if line.kind != "FiscalInvoice" { (words::kind(visit, &line.kind)) } }
                            span class="total" { (money(&line.total)) " " small { (line.currency) } }
                            span class="state" { (words::fdms(visit, &line.fdms)) }
                        }
                    }
                }
            }
        }
        @if let Some(before) = found.before {
            p class="row" {
                a id="older" class="button" href=(visit.href("before", Some(&before.to_string()))) { (visit.t("receipts.older")) }
            }
        }
    }
}
