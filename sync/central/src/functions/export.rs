//! CSV of receipts and days, a page at a time: no size is too large, and nothing is kept in memory.
//!
//! A cell that a spreadsheet would take for a formula is given an apostrophe in front.

use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use fiscal::text::cell_text;
use futures_util::stream;
use tokio_postgres::Row;

use super::input::Params;
use super::search::{self, RECEIPT_PARAMS};
use crate::access::{Caller, Role};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::Problem;

/// Rows that are read at once.
const PAGE: usize = 500;

/// Receipts as CSV.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/receipts.csv",
    tag = "fiscal_submissions",
    operation_id = "exportReceipts",
    params(
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("device_id" = Option<i32>, Query, description = "Of this till alone."),
        ("store_id" = Option<String>, Query, description = "Of this store alone."),
        ("number" = Option<i32>, Query, description = "`receiptGlobalNo`."),
        ("day" = Option<i32>, Query, description = "`fiscalDayNo`."),
        ("invoice_no" = Option<String>, Query, description = "`invoiceNo`, whole."),
        ("type" = Option<String>, Query, description = "`FiscalInvoice`, `CreditNote`, `DebitNote`."),
        ("amount" = Option<String>, Query, description = "Its total, to the cent: `12.30`."),
        ("currency" = Option<String>, Query, description = "`USD`, `ZWG`, …"),
        ("from" = Option<String>, Query, description = "From this local date on."),
        ("until" = Option<String>, Query, description = "Before this local date."),
    ),
    responses(
        (status = 200, description = "The newest first; UTF-8, comma, CRLF.", body = String, content_type = "text/csv"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn receipts(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &RECEIPT_PARAMS)?;
    let head = "environment,device_id,store_id,receipt_global_no,receipt_counter,fiscal_day_no,receipt_type,receipt_currency,\
                receipt_total,receipt_date,invoice_no,fdms\r\n";
    let state = Pages {
        hq,
        tenant: caller.tenant,
        params,
        head: Some(head),
        next: Some(String::new()),
    };
    let first = state.receipts().await?;
    Ok(csv("receipts.csv", first, |pages| pages.receipts_or_end()))
}

/// Fiscal days as CSV.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/days.csv",
    tag = "fiscal_submissions",
    operation_id = "exportDays",
    params(
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("device_id" = Option<i32>, Query, description = "Of this till alone."),
        ("from" = Option<String>, Query, description = "Opened from this local date on."),
        ("until" = Option<String>, Query, description = "Opened before this local date."),
    ),
    responses(
        (status = 200, description = "By till and number; a row for each counter of the day. UTF-8, comma, CRLF.", body = String, content_type = "text/csv"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn days(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &["environment", "device_id", "from", "until"])?;
    let head = "environment,device_id,store_id,fiscal_day_no,opened,closed,receipts,confirmed_at,counter,currency,tax_id,\
                tax_percent,money_type,value\r\n";
    let state = Pages {
        hq,
        tenant: caller.tenant,
        params,
        head: Some(head),
        next: Some(String::new()),
    };
    let first = state.days().await?;
    Ok(csv("days.csv", first, |pages| pages.days_or_end()))
}

/// What is still to be written.
struct Pages {
    hq: SharedHq,
    tenant: TenantId,
    params: Params,
    head: Option<&'static str>,
    /// The key of the last row; none: there is no other page.
    next: Option<String>,
}

type Written = (String, Pages);

impl Pages {
    async fn receipts(mut self) -> Result<Written, Problem> {
        let mut client = self.hq.db.client().await?;
        let tx = db::tenant(&mut client, self.tenant).await?;
        let after = self.next.take().unwrap_or_default();
        let page =
            search::find_receipts(&tx, self.tenant, &self.params, Some((&after, PAGE))).await?;
        let mut text = self.head.take().unwrap_or_default().to_owned();
        for row in &page.rows {
            let cells = [
                row.environment.clone(),
                row.device_id.to_string(),
                row.store_id.to_string(),
                row.receipt_global_no.to_string(),
                row.receipt_counter.to_string(),
                row.fiscal_day_no.to_string(),
                row.receipt_type.clone(),
                row.receipt_currency.clone(),
            ];
            cells.iter().for_each(|value| cell(&mut text, value));
            number(&mut text, &row.receipt_total);
            cell(&mut text, &row.receipt_date.to_string());
            cell(&mut text, &row.invoice_no);
            cell(&mut text, &row.fdms);
            end(&mut text);
        }
        self.next = page.next;
        Ok((text, self))
    }

    async fn receipts_or_end(self) -> Result<Option<Written>, Problem> {
        match self.next {
            Some(_) => self.receipts().await.map(Some),
            None => Ok(None),
        }
    }

    async fn days(mut self) -> Result<Written, Problem> {
        let mut client = self.hq.db.client().await?;
        let tx = db::tenant(&mut client, self.tenant).await?;
        let after = self.next.take().unwrap_or_default();
        let mut key = after.split(',');
        let environment = self
            .params
            .environment()?
            .map(|environment| environment.as_str());
        let select = tx
            .prepare_cached(
                "SELECT *, counters::text AS counters_text FROM fiscal_days
                 WHERE tenant_id = $1 AND ($2::text IS NULL OR environment = $2)
                   AND ($3::integer IS NULL OR device_id = $3) AND ($4::timestamp IS NULL OR opened >= $4)
                   AND ($5::timestamp IS NULL OR opened < $5)
                   AND ($6 = '' OR (environment, device_id, fiscal_day_no) > ($6, $7, $8))
                 ORDER BY environment, device_id, fiscal_day_no LIMIT $9",
            )
            .await?;
        let last = key.next().unwrap_or_default();
        let mut number = || key.next().and_then(|text| text.parse::<i32>().ok());
        let rows = tx
            .query(
                &select,
                &[
                    &self.tenant.0,
                    &environment,
                    &self.params.number("device_id")?,
                    &search::date(&self.params, "from")?,
                    &search::date(&self.params, "until")?,
                    &last,
                    &number(),
                    &number(),
                    &search::one_more(PAGE),
                ],
            )
            .await?;
        let mut text = self.head.take().unwrap_or_default().to_owned();
        rows.iter().take(PAGE).for_each(|row| day(&mut text, row));
        self.next = search::next(&rows, PAGE, |row| {
            let environment: String = row.get("environment");
            let (device, no): (i32, i32) = (row.get("device_id"), row.get("fiscal_day_no"));
            format!("{environment},{device},{no}")
        });
        Ok((text, self))
    }

    async fn days_or_end(self) -> Result<Option<Written>, Problem> {
        match self.next {
            Some(_) => self.days().await.map(Some),
            None => Ok(None),
        }
    }
}

/// A day: one row for each of its counters, or one without a counter.
fn day(text: &mut String, row: &Row) {
    let (environment, store): (String, uuid::Uuid) = (row.get("environment"), row.get("store_id"));
    let (device, no): (i32, i32) = (row.get("device_id"), row.get("fiscal_day_no"));
    let opened: jiff::civil::DateTime = row.get("opened");
    let closed: Option<jiff::civil::DateTime> = row.get("closed");
    let receipts: Option<i32> = row.get("receipt_counter");
    let confirmed: Option<clock::Timestamp> = row.get("confirmed_at");
    let shown = |value: Option<String>| value.unwrap_or_default();
    let head = [
        environment,
        device.to_string(),
        store.to_string(),
        no.to_string(),
        opened.to_string(),
        shown(closed.map(|closed| closed.to_string())),
        shown(receipts.map(|receipts| receipts.to_string())),
        shown(confirmed.map(|confirmed| confirmed.to_string())),
    ];
    let counters: Option<String> = row.get("counters_text");
    let counters = super::vat::counters(counters.as_deref());
    for counter in &counters {
        head.iter().for_each(|value| cell(text, value));
        cell(text, &counter.kind);
        cell(text, &counter.currency);
        cell(text, &counter.tax_id);
        number(text, &counter.percent);
        cell(text, &counter.money_type);
        number(text, &search::money(counter.cents));
        end(text);
    }
    if counters.is_empty() {
        head.iter().for_each(|value| cell(text, value));
        (0..6).for_each(|_| cell(text, ""));
        end(text);
    }
}

/// A cell of text, made harmless: what a spreadsheet would take for a formula begins with an apostrophe.
fn cell(text: &mut String, value: &str) {
    quoted(text, &cell_text(value));
}

/// A number of our own: its sign is no formula.
fn number(text: &mut String, value: &str) {
    quoted(text, value);
}

fn quoted(text: &mut String, value: &str) {
    if value.contains(['"', ',', '\n', '\r']) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\"{}\"", value.replace('"', "\"\""));
    } else {
        text.push_str(value);
    }
    text.push(',');
}

/// The end of a row, in place of its last comma.
fn end(text: &mut String) {
    text.pop();
    text.push_str("\r\n");
}

/// The first page is there before anything is answered, so that a problem is a problem; what goes wrong later breaks the answer off.
fn csv<F>(name: &'static str, first: Written, more: fn(Pages) -> F) -> Response
where
    F: Future<Output = Result<Option<Written>, Problem>> + Send + 'static,
{
    let state = (Some(first), more);
    let pages = stream::try_unfold(Some(state), |state| async move {
        let Some((page, more)) = state else {
            return Ok(None);
        };
        let Some((text, pages)) = page else {
            return Ok(None);
        };
        let next = more(pages)
            .await
            .map_err(|problem| std::io::Error::other(problem.detail))?;
        let next = next.map(|next| (Some(next), more));
        Ok::<_, std::io::Error>(Some((Bytes::from(text), next)))
    });
    let mut response = Response::new(Body::from_stream(pages));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8"),
    );
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No cell is a formula, none breaks its row.
    #[test]
    fn cells_are_harmless() {
        let mut text = String::new();
        for value in [
            "=1+1",
            "+1",
            "-1",
            "@a",
            "\u{ff1d}1",
            "a,b",
            "say \"x\"",
            "two\nlines",
            "plain",
        ] {
            cell(&mut text, value);
        }
        number(&mut text, "-1.00");
        end(&mut text);
        assert_eq!(
            text,
            "'=1+1,'+1,'-1,'@a,'\u{ff1d}1,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain,-1.00\r\n"
        );
    }
}
