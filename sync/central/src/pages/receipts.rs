//! Receipts: searched by number, invoice number, date, amount, kind, currency and till; the newest first, paged by
//! key, so that the thousandth page costs what the first does.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use clock::local;
use jiff::civil::{Date, DateTime};
use maud::{Markup, html};
use postgres_types::ToSql;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fail::Failed;
use super::forms::{label, unread};
use super::layout::{Nav, Page, empty};
use super::query::{Query, Wrong, wrong_at};
use super::visit::Visit;
use super::words;
use crate::db::{self, TenantId};
use crate::functions::search::money;
use crate::hq::SharedHq;

/// Receipts on a page.
const SHOWN: usize = 50;
/// So many days are searched where nothing is said.
const DAYS: i64 = 31;

/// What is searched for.
#[derive(Debug, Default)]
struct Search {
    number: Option<i32>,
    invoice: Option<String>,
    amount: Option<i64>,
    kind: Option<String>,
    currency: Option<String>,
    till: Option<i32>,
    store: Option<Uuid>,
    from: Option<DateTime>,
    to: Option<Date>,
    before: Option<DateTime>,
    after: Option<Key>,
    /// What was typed and cannot be read: then nothing is searched.
    wrong: Vec<Wrong>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    date: DateTime,
    environment: String,
    device: i32,
    number: i32,
    hash: Vec<u8>,
}

impl Key {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('~');
        let mut part = || parts.next();
        Some(Self {
            date: part()?.parse().ok()?,
            environment: part()?.to_owned(),
            device: part()?.parse().ok()?,
            number: part()?.parse().ok()?,
            hash: unhex(part()?)?,
        })
    }

    fn of(row: &Row) -> Self {
        Self {
            date: row.get(0),
            environment: row.get(1),
            device: row.get(2),
            number: row.get(3),
            hash: row.get(4),
        }
    }

    fn text(&self) -> String {
        let hash = hex(&self.hash);
        format!(
            "{}~{}~{}~{}~{hash}",
            self.date, self.environment, self.device, self.number
        )
    }
}

/// Bytes as hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex as bytes.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

impl Search {
    fn read(query: &Query, today: Date) -> Self {
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        let mut wrong = Vec::new();
        let number = query.number("number", &mut wrong);
        let invoice = query.text("invoice").map(str::to_owned);
        let (from, to) = (query.day("from", &mut wrong), query.day("to", &mut wrong));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            let must = "no earlier than the date from which is searched";
            wrong.push(Wrong { name: "to", must });
        }
        // A number is looked for in all of the past; all else in the last days, where nothing is said.
        let default = (number.is_none() && invoice.is_none() && from.is_none()).then(|| {
            let last = to.unwrap_or(today);
            last.saturating_sub(jiff::Span::new().days(DAYS))
        });
        let next = |date: Date| date.saturating_add(jiff::Span::new().days(1));
        let place = "`after` of the page before, unchanged: begin at the first page";
        let store = "a store of yours, by its UUID";
        Self {
            number,
            invoice,
            amount: query.amount("amount", &mut wrong),
            kind: query.text("type").map(str::to_owned),
            currency: query.text("currency").map(str::to_uppercase),
            till: query.number("till", &mut wrong),
            store: query.checked("store", store, |text| text.parse().ok(), &mut wrong),
            from: from.or(default).map(midnight),
            to,
            before: to.map(|date| midnight(next(date))),
            after: query.checked("after", place, Key::read, &mut wrong),
            wrong,
        }
    }

    /// Which days are searched, in words.
    fn days(&self) -> String {
        let from = self.from.map(|from| words::date_words(from.date()));
        let to = self.to.map(words::date_words);
        match (from, to) {
            (Some(from), Some(to)) => format!("from {from} to {to}"),
            (Some(from), None) => format!("from {from} on"),
            (None, Some(to)) => format!("until {to}"),
            (None, None) => "of all time".to_owned(),
        }
    }

    /// The same as CSV.
    fn csv(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                out.append_pair(name, &value);
            }
        };
        add("number", self.number.map(|number| number.to_string()));
        add("invoice_no", self.invoice.clone());
        add("type", self.kind.clone());
        add("amount", self.amount.map(money));
        add("currency", self.currency.clone());
        add("device_id", self.till.map(|till| till.to_string()));
        add("store_id", self.store.map(|store| store.to_string()));
        add("from", self.from.map(|from| from.to_string()));
        add("until", self.before.map(|before| before.to_string()));
        format!("/fiscal_submissions/receipts.csv?{}", out.finish())
    }

    /// The statement for what is searched, and its values after the tenant.
    fn statement(&self) -> (String, Vec<&(dyn ToSql + Sync)>) {
        let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
        let mut conditions = vec!["r.tenant_id = $1".to_owned()];
        let wanted: [(&str, Option<&(dyn ToSql + Sync)>); 9] = [
            ("r.receipt_global_no =", value(&self.number)),
            ("r.invoice_no =", value(&self.invoice)),
            ("r.receipt_total =", value(&self.amount)),
            ("r.receipt_type =", value(&self.kind)),
            ("r.receipt_currency =", value(&self.currency)),
            ("r.device_id =", value(&self.till)),
            ("r.store_id =", value(&self.store)),
            ("r.receipt_date >=", value(&self.from)),
            ("r.receipt_date <", value(&self.before)),
        ];
        for (condition, value) in wanted {
            if let Some(value) = value {
                conditions.push(format!("{condition} ${}", values.len() + 2));
                values.push(value);
            }
        }
        if let Some(key) = &self.after {
            let first = values.len() + 2;
            let places: Vec<String> = (first..first + 5)
                .map(|place| format!("${place}"))
                .collect();
            conditions.push(format!(
                "(r.receipt_date, r.environment, r.device_id, r.receipt_global_no, r.hash) < ({})",
                places.join(", ")
            ));
            values.extend([
                &key.date as &(dyn ToSql + Sync),
                &key.environment,
                &key.device,
                &key.number,
                &key.hash,
            ]);
        }
        // By number: the tills are few, and each has its numbers in its key. OFFSET 0 keeps the two apart, else the
        // planner walks all receipts by date until it has found enough.
        let from = if self.number.is_some() {
            "(SELECT * FROM fdms_devices d WHERE d.tenant_id = $1 OFFSET 0) d CROSS JOIN LATERAL (SELECT * FROM receipts r
               WHERE r.tenant_id = $1 AND r.environment = d.environment AND r.device_id = d.device_id AND r.receipt_global_no = $2 OFFSET 0) r"
        } else {
            "receipts r"
        };
        let text = format!(
            "SELECT r.receipt_date, r.environment, r.device_id, r.receipt_global_no, r.hash, r.invoice_no, r.receipt_type,
               r.receipt_currency, r.receipt_total, r.fiscal_day_no, s.name
             FROM {from} JOIN stores s ON s.tenant_id = r.tenant_id AND s.store_id = r.store_id
             WHERE {}
             ORDER BY r.receipt_date DESC, r.environment DESC, r.device_id DESC, r.receipt_global_no DESC, r.hash DESC
             LIMIT {}",
            conditions.join(" AND "),
            SHOWN + 1
        );
        (text, values)
    }
}

/// A value that is searched for, if it is.
pub(super) fn value<T: ToSql + Sync>(value: &Option<T>) -> Option<&(dyn ToSql + Sync)> {
    value.as_ref().map(|value| value as &(dyn ToSql + Sync))
}

/// `GET /receipts`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    let query = Query::of(&uri);
    let search = Search::read(&query, local(visit.now).date());
    let rows = if search.wrong.is_empty() {
        found(&hq, visit.caller.tenant, &search).await?
    } else {
        Vec::new()
    };
    let body = html! {
        div class="stack" {
            section class="card no-print" { div class="in" { (form(&visit, &query, &search)) } }
            section class="card" { (table(&visit, &query, &search, &rows)) }
        }
    };
    let mut shown = Page::new(Nav::Receipts, "Receipts");
    if search.wrong.is_empty() {
        shown.under = Some(html! { (search.days()) ", the newest first" });
        shown.beside =
            Some(html! { a class="button" href=(visit.href(&search.csv())) { "As CSV" } });
    }
    Ok(shown.show(&visit, &body))
}

/// A page of what is searched for, and one more.
async fn found(hq: &SharedHq, tenant: TenantId, search: &Search) -> Result<Vec<Row>, Failed> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let (text, values) = search.statement();
    let find = tx.prepare_cached(&text).await?;
    let all: Vec<&(dyn ToSql + Sync)> = std::iter::once(&tenant.0 as &(dyn ToSql + Sync))
        .chain(values)
        .collect();
    Ok(tx.query(&find, &all).await?)
}

fn form(visit: &Visit, query: &Query, search: &Search) -> Markup {
    let shown_from = search.from.map_or_else(
        || query.shown("from").to_owned(),
        |from| from.date().to_string(),
    );
    let field = |name: &str, kind: &str, value: &str| {
        let wrong = wrong_at(&search.wrong, name);
        html! {
            label { (label(name))
                input name=(name) type=(kind) value=(value) autocomplete="off" aria-invalid=[wrong.map(|_| "true")];
                @if let Some(must) = wrong { span class="wrong" { "must be " (must) } }
            }
        }
    };
    html! {
        form class="form across" method="get" action="/receipts" role="search" {
            @if visit.caller.is_operator { input type="hidden" name="tenant" value=(visit.caller.tenant); }
            (field("number", "text", query.shown("number")))
            (field("invoice", "text", query.shown("invoice")))
            (field("from", "date", &shown_from))
            (field("to", "date", query.shown("to")))
            (field("amount", "text", query.shown("amount")))
            label { "Kind"
                select name="type" {
                    @for (value, word) in [("", "all"), ("FiscalInvoice", "Invoice"), ("CreditNote", "Credit note"), ("DebitNote", "Debit note")] {
                        option value=(value) selected[query.shown("type") == value] { (word) }
                    }
                }
            }
            (field("currency", "text", query.shown("currency")))
            (field("till", "text", query.shown("till")))
            div class="row" { button class="main" { "Search" } a class="button" href=(visit.href("/receipts")) { "Clear" } }
        }
    }
}

fn table(visit: &Visit, query: &Query, search: &Search, rows: &[Row]) -> Markup {
    let more = rows.len() > SHOWN;
    let shown = rows.get(..SHOWN.min(rows.len())).unwrap_or_default();
    html! {
        @if !search.wrong.is_empty() {
            (unread(&search.wrong))
        } @else if shown.is_empty() {
            (empty("No receipt like that", "Widen the dates or clear a field. A receipt stands here as soon as its store has sent it."))
        } @else {
            div class="scroll" {
                table class="fold" {
                    thead { tr { th { "Receipt" } th { "Date" } th { "Kind" } th { "Invoice number" } th class="num" { "Total" } th { "Store and till" } th class="num" { "Day" } } }
                    tbody { @for row in shown { (receipt_row(visit, row)) } }
                }
            }
            div class="pager" {
                @if query.text("after").is_some() { a href=(visit.href(&query.with("/receipts", "after", ""))) { "To the first" } } @else { span {} }
                @if more && let Some(last) = shown.last() {
                    a href=(visit.href(&query.with("/receipts", "after", &Key::of(last).text()))) rel="next" { "Older" }
                }
            }
        }
    }
}

fn receipt_row(visit: &Visit, row: &Row) -> Markup {
    let (environment, device, number): (&str, i32, i32) = (row.get(1), row.get(2), row.get(3));
    let day: i32 = row.get(9);
    let path = format!("/receipts/{environment}/{device}/{number}");
    html! {
        tr {
            td data-name="Receipt" { a href=(visit.href(&path)) { (number) } @if environment == "test" { " " (words::environment(environment)) } }
            td data-name="Date" { (words::civil(row.get(0))) }
            td data-name="Kind" { (words::receipt_type(row.get(6))) }
            td data-name="Invoice number" class="mono" { (row.get::<_, &str>(5)) }
            td data-name="Total" class="num" { (words::money(row.get(8), row.get(7))) }
            td data-name="Store and till" { span { (row.get::<_, &str>(10)) " · " a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } } }
            td data-name="Day" class="num" { a href=(visit.href(&format!("/tills/{environment}/{device}/days/{day}"))) { (day) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place where a page ended is read back as it was, and nonsense is none.
    #[test]
    fn keys_read_back() {
        let key = Key {
            date: "2026-11-27T10:00:00".parse().unwrap(),
            environment: "test".to_owned(),
            device: 7,
            number: 9,
            hash: vec![0, 255],
        };
        assert_eq!(Key::read(&key.text()), Some(key));
        for nonsense in [
            "",
            "~~~~",
            "2026-11-27T10:00:00~test~7~9~é0",
            "2026-11-27T10:00:00~test~7~9~0",
        ] {
            assert_eq!(Key::read(nonsense), None);
        }
    }

    /// Every value has a place of its own; a number looks through all of the past.
    #[test]
    fn statements_number_their_values() {
        let today: Date = "2026-11-27".parse().unwrap();
        let query = Query::read(b"number=4&amount=1.50&after=2026-11-27T10:00:00~test~7~9~00");
        let search = Search::read(&query, today);
        let (text, values) = search.statement();
        assert_eq!(values.len(), 7);
        assert!(text.contains("r.receipt_global_no = $2") && text.contains("($4, $5, $6, $7, $8)"));
        assert_eq!(search.from, None);
        let search = Search::read(&Query::default(), today);
        assert_eq!(search.from, Some("2026-10-27T00:00:00".parse().unwrap()));
    }
}
