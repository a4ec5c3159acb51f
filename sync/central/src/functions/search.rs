//! Searching what stores have sent: logs, receipts, days; in pages that begin where the one before ended.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use fiscal::Cents;
use jiff::civil::DateTime;
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{Params, id};
use crate::access::{Caller, Role};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::Problem;

/// Where a page begins: the key of the row before it.
#[derive(Debug)]
pub(super) struct Key(Vec<String>);

impl Key {
    /// Reads `after`; none: from the first row.
    pub(super) fn of(params: &Params, parts: usize) -> Result<Self, Problem> {
        let Some(text) = params.get("after") else {
            return Ok(Self(Vec::new()));
        };
        let key: Vec<String> = text.split(',').map(str::to_owned).collect();
        if key.len() == parts {
            return Ok(Self(key));
        }
        Err(Self::wrong())
    }

    fn wrong() -> Problem {
        Problem::field(
            "after",
            "after must be `next` of the page before, unchanged",
        )
    }

    pub(super) fn text(&self, part: usize) -> Option<&str> {
        self.0.get(part).map(String::as_str)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, part: usize) -> Result<Option<T>, Problem> {
        let text = self.text(part);
        text.map(|text| text.parse().map_err(|_| Self::wrong()))
            .transpose()
    }
}

/// A page's rows and one more, which tells whether there is another page.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(500).saturating_add(1)
}

/// `next`, if there are more rows than the page holds.
pub(super) fn next(rows: &[Row], limit: usize, key: impl Fn(&Row) -> String) -> Option<String> {
    rows.get(limit)?;
    rows.get(limit.checked_sub(1)?).map(key)
}

/// Cents as an exact decimal.
#[must_use]
pub fn money(cents: i64) -> String {
    Cents::from_i128(i128::from(cents))
        .map_or_else(|| format!("{cents}e-2"), |cents| cents.to_string())
}

/// A row of `fdms_submission_logs`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Log {
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// `test` or `prod`.
    pub environment: String,
    /// The till.
    pub device_id: i32,
    /// `open_day`, `submit_receipt`, `close_day`, `submit_file`.
    pub kind: String,
    /// `receiptGlobalNo`, `fiscalDayNo` or the file's sequence.
    pub number: i32,
    /// How often it had been tried, this time included.
    pub attempt: i32,
    /// `accepted`, `refused`, `later`, `unknown`; `paused`: HQ has paused it.
    pub outcome: String,
    /// HTTP status.
    pub http_status: Option<i32>,
    /// FDMS's code.
    pub fdms_code: Option<String>,
    /// `operationID`
    pub operation_id: Option<String>,
    /// The worst colour of the validation errors.
    pub color: Option<String>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// How long it took.
    pub duration_ms: i32,
    /// Whether FDMS's own signature fits.
    pub server_signature: Option<String>,
}

impl Log {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            at: row.get("at"),
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            kind: row.get("kind"),
            number: row.get("number"),
            attempt: row.get("attempt"),
            outcome: row.get("outcome"),
            http_status: row.get("http_status"),
            fdms_code: row.get("fdms_code"),
            operation_id: row.get("operation_id"),
            color: row.get("color"),
            error_message: row.get("error_message"),
            duration_ms: row.get("duration_ms"),
            server_signature: row.get("server_signature"),
        }
    }
}

/// A page of the log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Logs {
    /// The rows, newest first.
    pub rows: Vec<Log>,
    /// Where the next page begins: `after=`. None: this is the last.
    pub next: Option<String>,
}

/// Search the attempts to send something to FDMS.
#[utoipa::path(
    get,
    path = "/fiscal_submissions",
    tag = "fiscal_submissions",
    operation_id = "searchLogs",
    params(
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("device_id" = Option<i32>, Query, description = "Of this till alone."),
        ("store_id" = Option<String>, Query, description = "Of this store alone."),
        ("kind" = Option<String>, Query, description = "`open_day`, `submit_receipt`, `close_day`, `submit_file`."),
        ("number" = Option<i32>, Query, description = "`receiptGlobalNo`, `fiscalDayNo` or the file's sequence."),
        ("outcome" = Option<String>, Query, description = "`accepted`, `refused`, `later`, `unknown`, `paused`."),
        ("from" = Option<String>, Query, description = "From this moment on."),
        ("until" = Option<String>, Query, description = "Before this moment."),
        ("limit" = Option<i32>, Query, description = "Rows, at most 500; 50 if left out."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "The newest first.", body = Logs),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn logs(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Logs>, Problem> {
    caller.at_least(Role::Viewer)?;
    let known = [
        "environment",
        "device_id",
        "store_id",
        "kind",
        "number",
        "outcome",
        "from",
        "until",
        "limit",
        "after",
    ];
    let params = Params::of(&uri, &known)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(find_logs(&tx, caller.tenant, &params).await?))
}

/// A page of the log, for these parameters of [`logs`].
///
/// # Errors
/// A parameter is not as it must be, or Postgres is away.
pub async fn find_logs(
    tx: &Transaction<'_>,
    tenant: TenantId,
    params: &Params,
) -> Result<Logs, Problem> {
    let environment = params
        .environment()?
        .map(|environment| environment.as_str());
    let store = params
        .get("store_id")
        .map(|text| id(text, "store"))
        .transpose()?;
    let kinds = ["open_day", "submit_receipt", "close_day", "submit_file"];
    let outcomes = ["accepted", "refused", "later", "unknown", "paused"];
    let limit = params.limit()?;
    let key = Key::of(params, 4)?;
    let select = tx
        .prepare_cached(
            "SELECT * FROM fdms_submission_logs
             WHERE tenant_id = $1 AND ($2::text IS NULL OR environment = $2) AND ($3::integer IS NULL OR device_id = $3)
               AND ($4::uuid IS NULL OR store_id = $4) AND ($5::text IS NULL OR kind = $5)
               AND ($6::integer IS NULL OR number = $6) AND ($7::text IS NULL OR outcome = $7)
               AND ($8::timestamptz IS NULL OR at >= $8) AND ($9::timestamptz IS NULL OR at < $9)
               AND ($10::timestamptz IS NULL OR (at, store_id, epoch_no, seq) < ($10, $11, $12, $13))
             ORDER BY at DESC, store_id DESC, epoch_no DESC, seq DESC LIMIT $14",
        )
        .await?;
    let rows = tx
        .query(
            &select,
            &[
                &tenant.0,
                &environment,
                &params.number("device_id")?,
                &store,
                &params.word("kind", &kinds)?,
                &params.number("number")?,
                &params.word("outcome", &outcomes)?,
                &params.moment("from")?,
                &params.moment("until")?,
                &key.number::<Timestamp>(0)?,
                &key.number::<Uuid>(1)?,
                &key.number::<i32>(2)?,
                &key.number::<i64>(3)?,
                &one_more(limit),
            ],
        )
        .await?;
    let next = next(&rows, limit, |row| {
        let (at, store): (Timestamp, Uuid) = (row.get("at"), row.get("store_id"));
        let (epoch, seq): (i32, i64) = (row.get("epoch_no"), row.get("seq"));
        format!("{at},{store},{epoch},{seq}")
    });
    Ok(Logs {
        rows: rows.iter().take(limit).map(Log::of).collect(),
        next,
    })
}

/// A receipt in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Receipt {
    /// The store.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// `test` or `prod`.
    pub environment: String,
    /// The till.
    pub device_id: i32,
    /// `receiptGlobalNo`
    pub receipt_global_no: i32,
    /// `receiptCounter`
    pub receipt_counter: i32,
    /// Its fiscal day.
    pub fiscal_day_no: i32,
    /// `FiscalInvoice`, `CreditNote`, `DebitNote`.
    pub receipt_type: String,
    /// Its currency.
    pub receipt_currency: String,
    /// Its total, an exact decimal.
    pub receipt_total: String,
    /// Local time.
    #[schema(value_type = String)]
    pub receipt_date: DateTime,
    /// `invoiceNo`
    pub invoice_no: String,
    /// Hash, hex.
    pub hash: String,
    /// `accepted`: FDMS has it; else how its job stands.
    pub fdms: String,
}

impl Receipt {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            receipt_global_no: row.get("receipt_global_no"),
            receipt_counter: row.get("receipt_counter"),
            fiscal_day_no: row.get("fiscal_day_no"),
            receipt_type: row.get("receipt_type"),
            receipt_currency: row.get("receipt_currency"),
            receipt_total: money(row.get("receipt_total")),
            receipt_date: row.get("receipt_date"),
            invoice_no: row.get("invoice_no"),
            hash: row.get("hash_hex"),
            fdms: row.get("fdms"),
        }
    }
}

/// A page of receipts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Receipts {
    /// The rows, newest first.
    pub rows: Vec<Receipt>,
    /// Where the next page begins: `after=`. None: this is the last.
    pub next: Option<String>,
}

/// The parameters of [`receipts`].
pub(super) const RECEIPT_PARAMS: [&str; 13] = [
    "environment",
    "device_id",
    "store_id",
    "number",
    "day",
    "invoice_no",
    "type",
    "amount",
    "currency",
    "from",
    "until",
    "limit",
    "after",
];

/// Search receipts.
#[utoipa::path(
    get,
    path = "/fiscal_submissions/receipts",
    tag = "fiscal_submissions",
    operation_id = "searchReceipts",
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
        ("from" = Option<String>, Query, description = "From this local date on, `2026-05-28` or `2026-05-28T07:42:19`."),
        ("until" = Option<String>, Query, description = "Before this local date."),
        ("limit" = Option<i32>, Query, description = "Rows, at most 500; 50 if left out."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "The newest first.", body = Receipts),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn receipts(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Receipts>, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &RECEIPT_PARAMS)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(
        find_receipts(&tx, caller.tenant, &params, None).await?,
    ))
}

/// A page of receipts, for these parameters of [`receipts`]; `after` overrides theirs.
///
/// # Errors
/// A parameter is not as it must be, or Postgres is away.
pub async fn find_receipts(
    tx: &Transaction<'_>,
    tenant: TenantId,
    params: &Params,
    after: Option<(&str, usize)>,
) -> Result<Receipts, Problem> {
    let environment = params
        .environment()?
        .map(|environment| environment.as_str());
    let store = params
        .get("store_id")
        .map(|text| id(text, "store"))
        .transpose()?;
    let types = ["FiscalInvoice", "CreditNote", "DebitNote"];
    let (key, limit) = match after {
        Some(("", limit)) => (Key(Vec::new()), limit),
        Some((after, limit)) => (Key(after.split(',').map(str::to_owned).collect()), limit),
        None => (Key::of(params, 5)?, params.limit()?),
    };
    let select = tx
        .prepare_cached(
            "SELECT r.*, encode(r.hash, 'hex') AS hash_hex, CASE WHEN EXISTS (
                 SELECT 1 FROM fdms_submission_logs l WHERE l.tenant_id = r.tenant_id AND l.environment = r.environment
                   AND l.device_id = r.device_id AND l.kind = 'submit_receipt' AND l.number = r.receipt_global_no
                   AND l.store_id = r.store_id AND l.outcome = 'accepted')
               THEN 'accepted' ELSE coalesce(j.status, 'pending') END AS fdms
             FROM receipts r LEFT JOIN fdms_retry_jobs j ON j.tenant_id = r.tenant_id AND j.environment = r.environment
               AND j.device_id = r.device_id AND j.kind = 'submit_receipt' AND j.number = r.receipt_global_no
               AND j.store_id = r.store_id
             WHERE r.tenant_id = $1 AND ($2::text IS NULL OR r.environment = $2)
               AND ($3::integer IS NULL OR r.device_id = $3) AND ($4::uuid IS NULL OR r.store_id = $4)
               AND ($5::integer IS NULL OR r.receipt_global_no = $5) AND ($6::integer IS NULL OR r.fiscal_day_no = $6)
               AND ($7::text IS NULL OR r.invoice_no = $7) AND ($8::text IS NULL OR r.receipt_type = $8)
               AND ($9::timestamp IS NULL OR r.receipt_date >= $9) AND ($10::timestamp IS NULL OR r.receipt_date < $10)
               AND ($11::timestamp IS NULL OR (r.receipt_date, r.environment, r.device_id, r.receipt_global_no, r.hash)
                 < ($11, $12, $13, $14, decode($15, 'hex')))
               AND ($16::bigint IS NULL OR r.receipt_total = $16) AND ($17::text IS NULL OR r.receipt_currency = $17)
             ORDER BY r.receipt_date DESC, r.environment DESC, r.device_id DESC, r.receipt_global_no DESC, r.hash DESC
             LIMIT $18",
        )
        .await?;
    let rows = tx
        .query(
            &select,
            &[
                &tenant.0,
                &environment,
                &params.number("device_id")?,
                &store,
                &params.number("number")?,
                &params.number("day")?,
                &params.get("invoice_no"),
                &params.word("type", &types)?,
                &date(params, "from")?,
                &date(params, "until")?,
                &key.number::<DateTime>(0)?,
                &key.text(1),
                &key.number::<i32>(2)?,
                &key.number::<i32>(3)?,
                &key.text(4).filter(|hex| is_hex(hex)),
                &amount(params)?,
                &params.get("currency"),
                &one_more(limit),
            ],
        )
        .await?;
    let next = next(&rows, limit, |row| {
        let date: DateTime = row.get("receipt_date");
        let (environment, hash): (String, String) = (row.get("environment"), row.get("hash_hex"));
        let (device, number): (i32, i32) = (row.get("device_id"), row.get("receipt_global_no"));
        format!("{date},{environment},{device},{number},{hash}")
    });
    Ok(Receipts {
        rows: rows.iter().take(limit).map(Receipt::of).collect(),
        next,
    })
}

/// `amount`, in cents.
fn amount(params: &Params) -> Result<Option<i64>, Problem> {
    let cents = params.get("amount").map(Cents::parse).transpose();
    let cents = cents.map_err(|error| {
        let detail = format!("amount must be an exact amount like 12.30: {error}");
        Problem::field("amount", detail)
    })?;
    Ok(cents.map(Cents::get))
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A local date, or a date and time.
pub(super) fn date(params: &Params, name: &str) -> Result<Option<DateTime>, Problem> {
    let must = "a local date like 2026-05-28 or 2026-05-28T07:42:19";
    match params.get(name) {
        Some(text) if text.len() == 10 => {
            let day: Option<jiff::civil::Date> = params.read(name, must)?;
            Ok(day.map(|day| day.at(0, 0, 0, 0)))
        }
        _ => params.read(name, must),
    }
}
