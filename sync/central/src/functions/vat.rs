//! The monthly VAT return: by tax and currency, from the receipts, reconciled to the Z reports.
//!
//! The receipts are what FDMS was sent; the Z reports are the counters that the tills have signed. Each fiscal day that was opened or
//! closed in the month, or has a receipt in it, is compared whole, also where no receipt of it is here; wherever the two differ, the
//! difference has a name. A number that was given twice (a ledger was put back from a backup) is counted once: the receipt of the
//! newest series, as the Z reports are the newest series'. A day that goes past midnight at the month's end is compared in both
//! months, and each receipt is in the return of its own date: that is a note, nothing differs by it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use deadpool_postgres::Transaction;
use fiscal::Cents;
use fiscal::json::Value;
use futures_util::TryStreamExt as _;
use jiff::civil::{Date, DateTime};
use serde::Serialize;
use sync_wire::Environment;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;

use super::input::Params;
use super::search::money;
use crate::access::{Caller, Role};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Code, Problem};

/// A month's return.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VatReturn {
    /// `2026-11`
    pub month: String,
    /// `prod`, or `test` for practice.
    pub environment: String,
    /// By currency and tax.
    pub rows: Vec<VatRow>,
    /// Receipts in the month.
    pub receipts: u64,
    /// Fiscal days that were compared with their Z reports.
    pub days: usize,
    /// Whether some were compared, and every one of the month agrees with its receipts.
    pub reconciled: bool,
    /// Where receipts and Z reports do not agree, or cannot be compared.
    pub differences: Vec<Difference>,
    /// What to know of days that agree: `crosses_month`, a day whose receipts are of two months.
    pub notes: Vec<Difference>,
}

/// A tax in a currency. Amounts are exact decimals.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VatRow {
    /// The currency.
    pub currency: String,
    /// `taxID`
    pub tax_id: String,
    /// `taxPercent`; none: exempt.
    pub tax_percent: Option<String>,
    /// Sales of invoices, with tax.
    pub sales: String,
    /// Their tax.
    pub sales_tax: String,
    /// Credit notes, with tax: negative.
    pub credits: String,
    /// Their tax.
    pub credits_tax: String,
    /// Debit notes, with tax.
    pub debits: String,
    /// Their tax.
    pub debits_tax: String,
    /// All of them, with tax.
    pub total: String,
    /// The tax that is owed.
    pub total_tax: String,
}

/// A difference, or a note.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Difference {
    /// The till.
    pub device_id: i32,
    /// The fiscal day.
    pub fiscal_day_no: i32,
    /// `not_closed`, `counter`, `missing_receipts`, `number_conflict`, `unreadable`; of a note: `crosses_month`.
    pub kind: String,
    /// What it is, in a sentence.
    pub detail: String,
}

impl Difference {
    fn of((device_id, fiscal_day_no): (i32, i32), kind: &str, detail: String) -> Self {
        Self {
            device_id,
            fiscal_day_no,
            kind: kind.to_owned(),
            detail,
        }
    }
}

/// A counter of a fiscal day, as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) kind: String,
    pub(super) currency: String,
    pub(super) tax_id: String,
    pub(super) percent: String,
    pub(super) money_type: String,
    pub(super) cents: i64,
}

/// Counter type, currency, tax, percent (two decimals; empty: exempt).
type Kind = (String, String, String, String);
type Sums = BTreeMap<Kind, i64>;

/// A fiscal day as its receipts say.
#[derive(Debug, Default)]
struct Day {
    sums: Sums,
    counters: BTreeSet<i32>,
    outside: u64,
}

/// The monthly VAT return.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/vat_return",
    tag = "fiscal_submissions",
    operation_id = "vatReturn",
    params(
        ("month" = String, Query, description = "`2026-11`."),
        ("environment" = Option<String>, Query, description = "`prod` if left out."),
    ),
    responses(
        (status = 200, description = "The return.", body = VatReturn),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<VatReturn>, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &["month", "environment"])?;
    let environment = params.environment()?.unwrap_or(Environment::Prod);
    let month = params.get("month").unwrap_or_default();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(made(&tx, caller.tenant, environment, month).await?))
}

/// Makes the return of a month, `2026-11`.
///
/// # Errors
/// The month is none, a sum is larger than money can be, or Postgres is away.
pub async fn made(
    tx: &Transaction<'_>,
    tenant: TenantId,
    environment: Environment,
    month: &str,
) -> Result<VatReturn, Problem> {
    let wrong = || Problem::field("month", "month must be a month like 2026-11");
    let first: Date = format!("{month}-01").parse().map_err(|_| wrong())?;
    if month.len() != 7 {
        return Err(wrong());
    }
    let from = first.at(0, 0, 0, 0);
    let until = first
        .last_of_month()
        .tomorrow()
        .map_err(|_| wrong())?
        .at(0, 0, 0, 0);
    let mut book = Book {
        from,
        until,
        ..Book::default()
    };
    book.read(tx, tenant, environment).await?;
    book.compare(tx, tenant, environment).await?;
    book.differences.sort();
    book.notes.sort();
    Ok(VatReturn {
        month: month.to_owned(),
        environment: environment.to_string(),
        rows: rows(&book.month)?,
        receipts: book.receipts,
        days: book.compared,
        reconciled: book.compared > 0 && book.differences.is_empty(),
        differences: book.differences,
        notes: book.notes,
    })
}

/// A month while it is added up.
#[derive(Debug, Default)]
struct Book {
    from: DateTime,
    until: DateTime,
    month: Sums,
    receipts: u64,
    days: BTreeMap<(i32, i32), Day>,
    /// Days that have a Z report here.
    compared: usize,
    differences: Vec<Difference>,
    notes: Vec<Difference>,
}

fn too_large() -> Problem {
    Problem::new(
        Code::Conflict,
        "a sum is larger than money can be; look at the receipts of the month",
    )
}

fn add(sums: &mut Sums, kind: Kind, cents: i64) -> Result<(), Problem> {
    let sum = sums.entry(kind).or_default();
    *sum = sum.checked_add(cents).ok_or_else(too_large)?;
    Ok(())
}

impl Book {
    /// Reads the receipts of every day that has one in the month, or was opened or closed in it, one after the other.
    async fn read(
        &mut self,
        tx: &Transaction<'_>,
        tenant: TenantId,
        environment: Environment,
    ) -> Result<(), Problem> {
        let select = tx
            .prepare_cached(
                "WITH days AS (
                   SELECT DISTINCT device_id, fiscal_day_no FROM receipts
                   WHERE tenant_id = $1 AND environment = $2 AND receipt_date >= $3 AND receipt_date < $4
                   UNION SELECT device_id, fiscal_day_no FROM fiscal_days
                   WHERE tenant_id = $1 AND environment = $2
                     AND (opened >= $3 AND opened < $4 OR closed >= $3 AND closed < $4))
                 SELECT r.device_id, r.fiscal_day_no, r.receipt_global_no, r.receipt_counter, r.receipt_type,
                   r.receipt_currency, r.receipt_date, r.body, EXISTS (
                     SELECT 1 FROM receipts n WHERE n.tenant_id = r.tenant_id AND n.environment = r.environment
                       AND n.device_id = r.device_id AND n.receipt_global_no = r.receipt_global_no
                       AND (n.epoch_no, n.seq, n.hash) > (r.epoch_no, r.seq, r.hash)) AS is_passed
                 FROM days d JOIN receipts r ON r.tenant_id = $1 AND r.environment = $2 AND r.device_id = d.device_id
                   AND r.fiscal_day_no = d.fiscal_day_no
                 WHERE r.receipt_date >= $3::timestamp - interval '40 days'",
            )
            .await?;
        let environment = environment.as_str();
        let params: [&(dyn ToSql + Sync); 4] = [&tenant.0, &environment, &self.from, &self.until];
        let rows = tx.query_raw(&select, params).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await? {
            let key: (i32, i32) = (row.get(0), row.get(1));
            let (number, counter): (i32, i32) = (row.get(2), row.get(3));
            let (kind, currency): (String, String) = (row.get(4), row.get(5));
            let (date, body): (DateTime, String) = (row.get(6), row.get(7));
            let inside = self.from <= date && date < self.until;
            let day = self.days.entry(key).or_default();
            if row.get(8) {
                let detail = format!(
                    "receipt {number} is there again in a newer series, with other contents: that one is counted, this one is not"
                );
                self.differ(key, "number_conflict", detail);
                continue;
            }
            day.counters.insert(counter);
            day.outside += u64::from(!inside);
            self.receipts += u64::from(inside);
            let Some(taxes) = taxes(&body) else {
                self.differ(
                    key,
                    "unreadable",
                    format!("the taxes of receipt {number} cannot be read"),
                );
                continue;
            };
            let day = self.days.entry(key).or_default();
            for tax in taxes {
                let Some((sales, sales_tax)) = counter_types(&kind) else {
                    continue;
                };
                for (counter, cents) in [(sales, tax.sales), (sales_tax, tax.tax)] {
                    let kind: Kind = (
                        counter.to_owned(),
                        currency.clone(),
                        tax.id.clone(),
                        tax.percent.clone(),
                    );
                    add(&mut day.sums, kind.clone(), cents)?;
                    if inside {
                        add(&mut self.month, kind, cents)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn differ(&mut self, day: (i32, i32), kind: &str, detail: String) {
        self.differences.push(Difference::of(day, kind, detail));
    }

    /// Compares each day with the counters that its till has signed; one that has no receipt here too.
    async fn compare(
        &mut self,
        tx: &Transaction<'_>,
        tenant: TenantId,
        environment: Environment,
    ) -> Result<(), Problem> {
        let select = tx
            .prepare_cached(
                "SELECT device_id, fiscal_day_no, receipt_counter, counters::text FROM fiscal_days
                 WHERE tenant_id = $1 AND environment = $2 AND (device_id, fiscal_day_no) IN (
                   SELECT * FROM unnest($3::integer[], $4::integer[])
                   UNION SELECT device_id, fiscal_day_no FROM fiscal_days
                   WHERE tenant_id = $1 AND environment = $2
                     AND (opened >= $5 AND opened < $6 OR closed >= $5 AND closed < $6))",
            )
            .await?;
        let (devices, numbers): (Vec<i32>, Vec<i32>) = self.days.keys().copied().unzip();
        let rows = tx
            .query(
                &select,
                &[
                    &tenant.0,
                    &environment.as_str(),
                    &devices,
                    &numbers,
                    &self.from,
                    &self.until,
                ],
            )
            .await?;
        let mut z: BTreeMap<(i32, i32), (Option<i32>, Option<String>)> = BTreeMap::new();
        let mut days = std::mem::take(&mut self.days);
        for row in rows {
            let key = (row.get(0), row.get(1));
            days.entry(key).or_default();
            z.insert(key, (row.get(2), row.get(3)));
        }
        for (key, day) in &days {
            match z.get(key) {
                Some((receipts, Some(signed))) => self.compare_day(*key, day, *receipts, signed),
                _ => self.differ(
                    *key,
                    "not_closed",
                    "the day is not closed, or its Z report has not come yet: nothing to compare with".to_owned(),
                ),
            }
        }
        self.days = days;
        Ok(())
    }

    fn compare_day(&mut self, key: (i32, i32), day: &Day, receipts: Option<i32>, signed: &str) {
        self.compared += 1;
        if day.outside > 0 {
            let detail = format!(
                "{} of the day's {} receipts are of another month: they are compared with its Z report here, and counted in the other month's return",
                day.outside,
                day.counters.len()
            );
            self.notes
                .push(Difference::of(key, "crosses_month", detail));
        }
        let here = i32::try_from(day.counters.len()).unwrap_or(i32::MAX);
        if let Some(receipts) = receipts.filter(|receipts| *receipts != here) {
            let detail = format!("the Z report counts {receipts} receipts, {here} are here");
            self.differ(key, "missing_receipts", detail);
        }
        let mut signed_sums = Sums::new();
        for counter in counters(Some(signed)) {
            if counter.kind == "BalanceByMoneyType" {
                continue;
            }
            let kind = (
                counter.kind,
                counter.currency,
                counter.tax_id,
                counter.percent,
            );
            let sum = signed_sums.entry(kind).or_default();
            *sum = sum.saturating_add(counter.cents);
        }
        let kinds: BTreeSet<_> = day.sums.keys().chain(signed_sums.keys()).cloned().collect();
        for kind in kinds {
            let ours = day.sums.get(&kind).copied().unwrap_or_default();
            let theirs = signed_sums.get(&kind).copied().unwrap_or_default();
            if ours != theirs {
                let (counter, currency, tax, percent) = kind;
                let detail = format!(
                    "{counter} {currency} of tax {tax} ({}): the Z report says {}, the receipts add up to {}, the difference is {}",
                    if percent.is_empty() {
                        "exempt".to_owned()
                    } else {
                        format!("{percent} %")
                    },
                    money(theirs),
                    money(ours),
                    money(theirs.saturating_sub(ours))
                );
                self.differ(key, "counter", detail);
            }
        }
    }
}

/// Which counters a type of receipt moves.
fn counter_types(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "FiscalInvoice" => Some(("SaleByTax", "SaleTaxByTax")),
        "CreditNote" => Some(("CreditNoteByTax", "CreditNoteTaxByTax")),
        "DebitNote" => Some(("DebitNoteByTax", "DebitNoteTaxByTax")),
        _ => None,
    }
}

/// A tax row of a receipt.
struct Tax {
    id: String,
    percent: String,
    sales: i64,
    tax: i64,
}

/// The tax rows of what FDMS is sent.
fn taxes(body: &str) -> Option<Vec<Tax>> {
    let body = Value::parse(body.as_bytes()).ok()?;
    let receipt = body.get("receipt").unwrap_or(&body);
    let Value::Array(rows) = receipt.get("receiptTaxes")? else {
        return None;
    };
    rows.iter()
        .map(|row| {
            Some(Tax {
                id: plain(row.get("taxID")?)?,
                percent: percent(row.get("taxPercent"))?,
                sales: cents(row.get("salesAmountWithTax")?)?,
                tax: cents(row.get("taxAmount")?)?,
            })
        })
        .collect()
}

/// The counters of a day, from the text of its JSON; those that cannot be read are left out.
pub(super) fn counters(text: Option<&str>) -> Vec<Counter> {
    let Some(text) = text else {
        return Vec::new();
    };
    let Ok(Value::Array(rows)) = Value::parse(text.as_bytes()) else {
        return Vec::new();
    };
    let read = rows.iter().filter_map(|row| {
        let optional = |name: &str| row.get(name).and_then(plain).unwrap_or_default();
        Some(Counter {
            kind: plain(row.get("fiscalCounterType")?)?,
            currency: plain(row.get("fiscalCounterCurrency")?)?,
            tax_id: optional("fiscalCounterTaxID"),
            percent: percent(row.get("fiscalCounterTaxPercent"))?,
            money_type: optional("fiscalCounterMoneyType"),
            cents: cents(row.get("fiscalCounterValue")?)?,
        })
    });
    read.collect()
}

fn plain(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Number(text) => Some((*text).to_owned()),
        Value::String(text) => Some(text.clone().into_owned()),
        _ => None,
    }
}

fn cents(value: &Value<'_>) -> Option<i64> {
    Cents::parse(&plain(value)?).ok().map(Cents::get)
}

/// A percent with two decimals, as signed: `15` and `15.00` are the same. None: exempt.
fn percent(value: Option<&Value<'_>>) -> Option<String> {
    let Some(value) = value else {
        return Some(String::new());
    };
    Some(money(cents(value)?))
}

/// A row for each currency and tax.
fn rows(sums: &Sums) -> Result<Vec<VatRow>, Problem> {
    let taxes: BTreeSet<_> = sums
        .keys()
        .map(|(_, currency, tax, percent)| (currency, tax, percent))
        .collect();
    let row = |(currency, tax, percent): (&String, &String, &String)| {
        let of = |counter: &str| {
            let kind: Kind = (
                counter.to_owned(),
                currency.clone(),
                tax.clone(),
                percent.clone(),
            );
            sums.get(&kind).copied().unwrap_or_default()
        };
        let all = ["SaleByTax", "CreditNoteByTax", "DebitNoteByTax"].map(of);
        let all_tax = ["SaleTaxByTax", "CreditNoteTaxByTax", "DebitNoteTaxByTax"].map(of);
        let sum = |amounts: [i64; 3]| {
            let sum = amounts.into_iter().try_fold(0_i64, i64::checked_add);
            sum.map(money).ok_or_else(too_large)
        };
        let [sales, credits, debits] = all.map(money);
        let [sales_tax, credits_tax, debits_tax] = all_tax.map(money);
        Ok(VatRow {
            currency: currency.clone(),
            tax_id: tax.clone(),
            tax_percent: (!percent.is_empty()).then(|| percent.clone()),
            sales,
            sales_tax,
            credits,
            credits_tax,
            debits,
            debits_tax,
            total: sum(all)?,
            total_tax: sum(all_tax)?,
        })
    };
    taxes.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exempt and zero-rated are told apart, and a percent is the same however it is written.
    #[test]
    fn taxes_and_counters_meet() {
        let body = r#"{"receipt":{"receiptTaxes":[{"taxID":1,"taxPercent":15,"taxAmount":1.3,"salesAmountWithTax":10},
            {"taxID":3,"taxAmount":0,"salesAmountWithTax":-2.05}]}}"#;
        let taxes = taxes(body).unwrap();
        assert_eq!(taxes[0].percent, "15.00");
        assert_eq!((taxes[0].sales, taxes[0].tax), (1000, 130));
        assert_eq!((taxes[1].percent.as_str(), taxes[1].sales), ("", -205));
        let counters = counters(Some(
            r#"[{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":1,
            "fiscalCounterTaxPercent":15.00,"fiscalCounterValue":10.00}]"#,
        ));
        assert_eq!(
            (counters[0].percent.as_str(), counters[0].cents),
            ("15.00", 1000)
        );
        assert!(super::taxes("{}").is_none());
    }
}
