//! One fiscal day: its Z figures by tax and currency from the counters as they were signed, receipts per hour, what
//! was paid how.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use clock::{DateTime, instant};
use deadpool_postgres::Transaction;
use fiscal::json::Value;
use fiscal::taxpayer::Taxpayer;
use fiscal::{Cents, Percent};
use maud::{Markup, html};
use tokio_postgres::Row;

use super::chart::{Bar, bars};
use super::fail::Failed;
use super::layout::{Nav, Page, card, empty, live, sheet};
use super::receipt::taxpayer;
use super::till::day_at_fdms;
use super::visit::Visit;
use super::words;
use crate::db;
use crate::hq::SharedHq;
use crate::problem::{At, Problem};

type Place = (String, i32, i32);

/// A tax of one currency: net and tax; gross is their sum.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    tax: Cents,
    gross: Cents,
}

/// By (taxID, percent): percent as the authority writes it, none is exempt.
type Taxes = BTreeMap<(u32, Option<String>), Sum>;

/// The figures of one currency.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    taxes: Taxes,
    paid: BTreeMap<String, Cents>,
}

/// Reads `fiscalDayCounters` as they were signed; none where they are not what they must be.
fn figures(counters: &str) -> Option<BTreeMap<String, Figures>> {
    let root = Value::parse(counters.as_bytes()).ok()?;
    let Value::Array(rows) = root else {
        return None;
    };
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for row in &rows {
        let kind = word(row.get("fiscalCounterType")?)?;
        let currency = word(row.get("fiscalCounterCurrency")?)?;
        let value = Cents::parse(&word(row.get("fiscalCounterValue")?)?).ok()?;
        let figures = all.entry(currency).or_default();
        if kind == "BalanceByMoneyType" {
            *figures
                .paid
                .entry(word(row.get("fiscalCounterMoneyType")?)?)
                .or_default() += value;
            continue;
        }
        let id = word(row.get("fiscalCounterTaxID")?)?.parse().ok()?;
        let percent = row.get("fiscalCounterTaxPercent").and_then(word);
        let sum = figures.taxes.entry((id, percent)).or_default();
        if kind.ends_with("TaxByTax") {
            sum.tax += value;
        } else {
            sum.gross += value;
        }
    }
    Some(all)
}

fn word(value: &Value<'_>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Number(text) => Some((*text).to_owned()),
        _ => None,
    }
}

/// `GET /tills/{environment}/{device}/days/{number}`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    At(place): At<Place>,
) -> Result<Response, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let (environment, device, number) = &place;
    let find = tx
        .prepare_cached(
            "SELECT d.store_id, s.name, d.opened, d.closed, d.receipt_counter, d.confirmed_at, d.fdms_error, d.counters::text
             FROM fiscal_days d JOIN stores s ON s.tenant_id = d.tenant_id AND s.store_id = d.store_id
             WHERE d.tenant_id = $1 AND d.environment = $2 AND d.device_id = $3 AND d.fiscal_day_no = $4",
        )
        .await?;
    let row = tx
        .query_opt(
            &find,
            &[&visit.caller.tenant.0, environment, device, number],
        )
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("fiscal day"))?;
    let opened: DateTime = row.get(2);
    let known = taxpayer(
        &tx,
        visit.caller.tenant,
        environment,
        *device,
        instant(opened),
    )
    .await?;
    let name = |id: u32, percent: Option<&str>| tax_name(known.as_ref(), id, percent);
    let hours = hours(&tx, &visit, &place).await?;
    let sales = sales(&tx, &visit, &place).await?;
    let body = live(
        &visit,
        "day",
        &html! {
            (trouble(&row))
            div class="two" {
                (card("Receipts per hour", &hours))
                (card("Day", &facts(&visit, &row, &place)))
            }
            @match row.get::<_, Option<&str>>(7).map(figures) {
                Some(Some(all)) => (z_figures(&all, name)),
                Some(None) => div class="note bad" { "The counters of this day cannot be read." },
                None => section class="card" { (empty("No Z report yet", "The day is open. Its counters come with its close; the sums so far stand below.")) },
            }
            (sheet("Documents", None, &sales))
        },
    );
    Ok(framed(&visit, &row, &place, &body))
}

/// The day's page around its body.
fn framed(
    visit: &Visit,
    row: &Row,
    (environment, device, number): &Place,
    body: &Markup,
) -> Response {
    let (store, store_name): (uuid::Uuid, String) = (row.get(0), row.get(1));
    let crumbs = [
        ("Overview".to_owned(), "/".to_owned()),
        (store_name, format!("/stores/{store}")),
        (
            format!("till {device}"),
            format!("/tills/{environment}/{device}"),
        ),
    ];
    let title = format!("Fiscal day {number}");
    let mut shown = Page::new(Nav::Overview, &title);
    shown.crumbs = &crumbs;
    shown.under = Some(
        html! { (words::environment(environment)) " till " (device) " · opened " (words::civil(row.get(2))) },
    );
    let first = row.get::<_, DateTime>(2).date();
    let last = row
        .get::<_, Option<DateTime>>(3)
        .map_or(first, |closed| closed.date());
    let receipts = format!("/receipts?till={device}&from={first}&to={last}");
    shown.beside = Some(html! { a class="button" href=(visit.href(&receipts)) { "Its receipts" } });
    shown.show(visit, body)
}

/// The name of a tax as the authority writes it; of several with one number the one with this percent.
fn tax_name(known: Option<&Taxpayer>, id: u32, percent: Option<&str>) -> String {
    let taxes = known
        .map(|known| known.taxes.as_slice())
        .unwrap_or_default();
    let wanted = percent.and_then(|percent| Percent::parse(percent).ok());
    let mut same = taxes
        .iter()
        .filter(|tax| tax.id.get() == id && tax.percent == wanted);
    match (same.next_back(), percent) {
        (Some(tax), _) => tax.name.clone(),
        (None, Some(percent)) => format!("tax {id}, {percent}%"),
        (None, None) => format!("tax {id}, exempt"),
    }
}

fn trouble(row: &Row) -> Markup {
    html! {
        @if let Some(error) = row.get::<_, Option<&str>>(6) {
            div class="note bad" { p { b { "FDMS has not taken the close: " } (error) } }
        }
    }
}

fn facts(visit: &Visit, row: &Row, (environment, device, _): &Place) -> Markup {
    html! {
        dl class="facts" {
            dt { "Till" } dd { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } }
            dt { "Opened" } dd { (words::civil(row.get(2))) }
            dt { "Closed" } dd { @match row.get::<_, Option<DateTime>>(3) { Some(at) => (words::civil(at)), None => (words::tag(words::Tone::Ok, "open")) } }
            dt { "Receipts" } dd { (words::or_none(row.get::<_, Option<i32>>(4))) }
            dt { "At FDMS" } dd { (day_at_fdms(visit, row.get(3), row.get(5), row.get(6))) }
        }
    }
}

fn z_figures(
    all: &BTreeMap<String, Figures>,
    name: impl Fn(u32, Option<&str>) -> String,
) -> Markup {
    html! {
        @if all.is_empty() {
            section class="card" { (empty("Nothing was sold", "All counters of this day are zero.")) }
        }
        @for (currency, figures) in all {
            @let gross: Cents = figures.taxes.values().map(|sum| sum.gross).sum();
            @let tax: Cents = figures.taxes.values().map(|sum| sum.tax).sum();
            div class="two" {
                (sheet(&format!("Z figures, {currency}"), None, &html! {
                    table {
                        thead { tr { th { "Tax" } th class="num" { "Net" } th class="num" { "Tax" } th class="num" { "Gross" } } }
                        tbody { @for ((id, percent), sum) in &figures.taxes { tr {
                            td { (name(*id, percent.as_deref())) }
                            td class="num" { ((sum.gross - sum.tax).grouped()) }
                            td class="num" { (sum.tax.grouped()) }
                            td class="num" { (sum.gross.grouped()) }
                        } } }
                        tfoot { tr { td { "Total" } td class="num" { ((gross - tax).grouped()) } td class="num" { (tax.grouped()) } td class="num" { (gross.grouped()) } } }
                    }
                }))
                (sheet(&format!("Paid, {currency}"), None, &html! {
                    table {
                        thead { tr { th { "How" } th class="num" { "Amount" } } }
                        tbody { @for (how, amount) in &figures.paid { tr { td { (how) } td class="num" { (amount.grouped()) } } } }
                        tfoot { tr { td { "Total" } td class="num" { (figures.paid.values().copied().sum::<Cents>().grouped()) } } }
                    }
                }))
            }
        }
    }
}

async fn hours(
    tx: &Transaction<'_>,
    visit: &Visit,
    (environment, device, number): &Place,
) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT date_trunc('hour', receipt_date), count(*) FROM receipts
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND fiscal_day_no = $4
             GROUP BY 1 ORDER BY 1 LIMIT 48",
        )
        .await?;
    let rows = tx
        .query(
            &find,
            &[&visit.caller.tenant.0, environment, device, number],
        )
        .await?;
    let mut bar_list: Vec<Bar> = Vec::new();
    let mut next: Option<DateTime> = None;
    for row in &rows {
        let (hour, value): (DateTime, i64) = (row.get(0), row.get(1));
        // Hours without a receipt have their place too.
        while let Some(empty) = next.filter(|empty| *empty < hour && bar_list.len() < 48) {
            bar_list.push(bar(empty, 0));
            next = empty.checked_add(jiff::Span::new().hours(1)).ok();
        }
        bar_list.push(bar(hour, value));
        next = hour.checked_add(jiff::Span::new().hours(1)).ok();
    }
    Ok(html! {
        @if bar_list.is_empty() { (empty("No receipt yet", "Bars stand here once the till has sold.")) }
        @else { (bars("Receipts per hour", &bar_list)) }
    })
}

fn bar(hour: DateTime, value: i64) -> Bar {
    Bar {
        label: format!("{:02}", hour.hour()),
        value,
        words: format!(
            "{} from {:02}:00",
            words::count(value, "receipt", "receipts"),
            hour.hour()
        ),
    }
}

async fn sales(
    tx: &Transaction<'_>,
    visit: &Visit,
    (environment, device, number): &Place,
) -> Result<Markup, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT receipt_currency, receipt_type, count(*), sum(receipt_total)::bigint FROM receipts
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND fiscal_day_no = $4
             GROUP BY 1, 2 ORDER BY 1, 2 DESC",
        )
        .await?;
    let rows = tx
        .query(
            &find,
            &[&visit.caller.tenant.0, environment, device, number],
        )
        .await?;
    Ok(html! {
        @if rows.is_empty() { (empty("No document yet", "Invoices and notes of the day are summed here.")) }
        @else {
            table {
                thead { tr { th { "Documents" } th class="num" { "Count" } th class="num" { "Total" } } }
                tbody { @for row in &rows { tr {
                    td { (words::receipt_type(row.get(1))) }
                    td class="num" { (words::thousands(row.get(2))) }
                    td class="num" { (words::money(row.get(3), row.get(0))) }
                } } }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters are summed exactly by currency and tax; notes take away; nonsense is none.
    #[test]
    fn counters_are_read() {
        let text = r#"[{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxPercent":15.50,"fiscalCounterTaxID":517,"fiscalCounterValue":115.50},
          {"fiscalCounterType":"SaleTaxByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxPercent":15.50,"fiscalCounterTaxID":517,"fiscalCounterValue":15.50},
          {"fiscalCounterType":"CreditNoteByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxPercent":15.50,"fiscalCounterTaxID":517,"fiscalCounterValue":-11.55},
          {"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"ZWG","fiscalCounterTaxID":1,"fiscalCounterValue":0.10},
          {"fiscalCounterType":"BalanceByMoneyType","fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"Cash","fiscalCounterValue":103.95}]"#;
        let all = figures(text).unwrap();
        let usd = all.get("USD").unwrap();
        let sum = usd.taxes.get(&(517, Some("15.50".to_owned()))).unwrap();
        assert_eq!((sum.gross.get(), sum.tax.get()), (10_395, 1_550));
        assert_eq!(usd.paid.get("Cash").unwrap().get(), 10_395);
        assert_eq!(
            all.get("ZWG")
                .unwrap()
                .taxes
                .get(&(1, None))
                .unwrap()
                .gross
                .get(),
            10
        );
        assert_eq!(
            (figures("{}"), figures("[{}]"), figures("")),
            (None, None, None)
        );
        assert!(figures("[]").unwrap().is_empty());
    }
}
