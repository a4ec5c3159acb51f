//! The monthly VAT return by tax and currency, reconciled to the Z reports.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use clock::local;
use fiscal::Cents;
use maud::{Markup, html};
use serde::Deserialize;

use super::fail::Failed;
use super::layout::{Nav, Page, empty, sheet, tile};
use super::query::Query;
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::hq::SharedHq;
use crate::problem::{Code, Problem};

/// What is read of `/fiscal_submissions/vat_return`.
#[derive(Debug, Deserialize)]
struct Return {
    rows: Vec<Tax>,
    receipts: i64,
    days: i64,
    reconciled: bool,
    differences: Vec<Difference>,
    notes: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
struct Tax {
    currency: String,
    tax_id: String,
    tax_percent: Option<String>,
    sales: Cents,
    sales_tax: Cents,
    credits: Cents,
    credits_tax: Cents,
    debits: Cents,
    debits_tax: Cents,
    total: Cents,
    total_tax: Cents,
}

/// What each column of amounts is.
const AMOUNTS: [&str; 9] = [
    "Sales",
    "Tax on sales",
    "Credit notes",
    "Tax on credit notes",
    "Debit notes",
    "Tax on debit notes",
    "Net",
    "Tax owed",
    "Total with tax",
];

impl Tax {
    /// In the order of [`AMOUNTS`].
    fn amounts(&self) -> [Cents; 9] {
        [
            self.sales,
            self.sales_tax,
            self.credits,
            self.credits_tax,
            self.debits,
            self.debits_tax,
            self.total - self.total_tax,
            self.total_tax,
            self.total,
        ]
    }
}

/// What is told and is not wrong: a day without a Z report yet, and one whose receipts are of two months.
const QUIET: [&str; 2] = ["not_closed", "crosses_month"];

/// A difference, or a note.
#[derive(Debug, Deserialize)]
struct Difference {
    device_id: i32,
    fiscal_day_no: i32,
    kind: String,
    detail: String,
}

/// `GET /vat`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    let query = Query::of(&uri);
    let this = local(visit.now).date();
    let month = query
        .text("month")
        .map_or_else(|| this.strftime("%Y-%m").to_string(), str::to_owned);
    let environment = match query.text("environment") {
        Some("test") => "test".to_owned(),
        Some("prod") => "prod".to_owned(),
        _ => super::profile::read(&visit, &hq).await?.environment,
    };
    let environment = environment.as_str();
    let asked: String = form_urlencoded::byte_serialize(month.as_bytes()).collect();
    let path = format!("/fiscal_submissions/vat_return?month={asked}&environment={environment}");
    let made: Return = visit
        .read(&hq, &path)
        .await
        .map_err(|why| Failed(Problem::new(Code::Invalid, why)))?;
    let body = html! {
        div class="stack" {
            div class="tiles" {
                (tile(Tone::Quiet, &words::thousands(made.receipts), "receipts in the month", None, None))
                (tile(Tone::Quiet, &words::thousands(made.days), "fiscal days compared", None, None))
                (verdict(&made))
            }
            (sheet("By currency and tax", None, &table(environment, &made.rows)))
            (sheet("Reconciliation", None, &differences(&visit, environment, &made)))
        }
    };
    let mut shown = Page::new(Nav::Vat, "VAT return");
    let named: Result<jiff::civil::Date, _> = format!("{month}-01").parse();
    let named = named.map_or_else(
        |_| month.clone(),
        |first| first.strftime("%B %Y").to_string(),
    );
    shown.under = Some(html! { (named) " · " (words::environment(environment)) });
    shown.beside = Some(form(&visit, &month, environment));
    Ok(shown.show(&visit, &body))
}

/// How the receipts stand to the Z reports. A day that is not closed yet is none that differs.
fn verdict(made: &Return) -> Markup {
    let open = made
        .differences
        .iter()
        .filter(|difference| difference.kind == "not_closed")
        .count();
    let count = |number: usize| words::thousands(i64::try_from(number).unwrap_or(i64::MAX));
    let wrong = made.differences.len() - open;
    let waiting = (open > 0).then(|| format!("{} without a Z report yet", count(open)));
    let crossing = made.notes.len();
    let crossing = (crossing > 0).then(|| format!("{} past the month's end", count(crossing)));
    let beside = [waiting, crossing].into_iter().flatten();
    let beside = beside.collect::<Vec<_>>().join(", ");
    let beside = (!beside.is_empty()).then_some(beside.as_str());
    html! {
        @if wrong > 0 { (tile(Tone::Bad, &count(wrong), "differences from the Z reports", beside, None)) }
        @else if made.days == 0 { (tile(Tone::Quiet, "–", "nothing to compare yet", beside, None)) }
        @else if made.reconciled { (tile(Tone::Ok, "agrees", "with the Z reports", beside, None)) }
        @else { (tile(Tone::Quiet, "agrees", "so far with the Z reports", beside, None)) }
    }
}

fn form(visit: &Visit, month: &str, environment: &str) -> Markup {
    let first: Option<jiff::civil::Date> = format!("{month}-01").parse().ok();
    let next = first.map(|first| {
        first
            .last_of_month()
            .saturating_add(jiff::Span::new().days(1))
    });
    let days = first.zip(next);
    let days = days.map_or(String::new(), |(first, next)| {
        format!("from={first}&until={next}&")
    });
    let span = format!("{days}environment={environment}");
    html! {
        form class="row" method="get" action="/vat" {
            @if visit.caller.is_operator { input type="hidden" name="tenant" value=(visit.caller.tenant); }
            input type="month" name="month" value=(month) aria-label="Month" required pattern="[0-9]{4}-[0-9]{2}";
            select name="environment" aria-label="Environment" {
                option value="prod" selected[environment == "prod"] { "Production" }
                option value="test" selected[environment == "test"] { "Test" }
            }
            button { "Show" }
        }
        a class="button" href=(visit.href(&format!("/fiscal_submissions/receipts.csv?{span}"))) { "Receipts as CSV" }
        a class="button" href=(visit.href(&format!("/fiscal_submissions/days.csv?{span}"))) { "Days as CSV" }
    }
}

fn table(environment: &str, rows: &[Tax]) -> Markup {
    let other = if environment == "test" {
        "production"
    } else {
        "the test environment"
    };
    let cells = |amounts: [Cents; 9]| {
        html! {
            @for (name, amount) in AMOUNTS.into_iter().zip(amounts) {
                // Where there is little room, notes of which there are none are left out.
                @let is_none = name.contains("notes") && amount == Cents::ZERO;
                td class={ "num nowrap" (if is_none { " none" } else { "" }) } data-name=(name) { (amount.grouped()) }
            }
        }
    };
    let sum = |rows: &[Tax]| -> [Cents; 9] {
        std::array::from_fn(|place| {
            let column = rows.iter().map(|row| row.amounts().into_iter().nth(place));
            column.flatten().sum()
        })
    };
    html! {
        @if rows.is_empty() { (empty("Nothing was sold in this month", &format!("Choose another month, or {other}."))) }
        @else {
            table class="fold" {
                thead { tr { th { "Tax" } @for name in AMOUNTS { th class="num" { (name) } } } }
                // One currency after the other, each with its total.
                tbody { @for rows in rows.chunk_by(|one, other| one.currency == other.currency) {
                    @for row in rows { tr {
                        td class="nowrap" data-name="Tax" { (row.currency) " " @match &row.tax_percent { Some(percent) => { (percent) " %" }, None => "exempt" } span class="second" { "tax " (row.tax_id) } }
                        (cells(row.amounts()))
                    } }
                    @if let Some(first) = rows.first() { tr class="sum" {
                        td class="nowrap" data-name="Tax" { "Total " (first.currency) }
                        (cells(sum(rows)))
                    } }
                } }
            }
        }
    }
}

fn differences(visit: &Visit, environment: &str, made: &Return) -> Markup {
    html! {
        @if made.differences.is_empty() {
            @if made.days == 0 { (empty("Nothing to compare", "No fiscal day was opened or closed in this month.")) }
            @else { (empty("Everything agrees", "The receipts of each day add up to the counters that its till has signed.")) }
        }
        @if !made.differences.is_empty() || !made.notes.is_empty() {
            table class="fold" {
                thead { tr { th { "Day" } th { "What" } th { "In words" } } }
                tbody { @for difference in made.differences.iter().chain(&made.notes) { tr {
                    td data-name="Day" { a href=(visit.href(&format!("/tills/{environment}/{}/days/{}", difference.device_id, difference.fiscal_day_no))) { "till " (difference.device_id) ", day " (difference.fiscal_day_no) } }
                    td data-name="What" { (tag(if QUIET.contains(&difference.kind.as_str()) { Tone::Quiet } else { Tone::Bad }, &difference.kind.replace('_', " "))) }
                    td data-name="In words" class="wide" { (difference.detail) }
                } } }
            }
        }
    }
}
