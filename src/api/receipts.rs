//! Selling, and asking for receipts.
//!
//! `POST /v1/receipts` is the way of a sale: read, hand to the ledger, answer from what it gives back.
//! Waiting for FDMS (`?wait=`) begins after that, on the till's bell, and holds nothing meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use fiscal::draft::Draft;
use fiscal::wire::{Object, rows};
use fiscal::{Code, Currency, Finding, FiscalDayNo, ReceiptGlobalNo, ReceiptType};
use tokio::time::timeout;

use super::access::{Caller, TillChoice};
use super::answer::{self, Fdms};
use super::body::idempotency_key;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::{MAX_WAIT_MS, Shared, schema};
use crate::ledger::read::Filter;
use crate::ledger::{Issued, Sale, SaleDone, Seq, TillInfo};
use crate::metrics::Step;

/// Receipts in a list when nothing is said, and at most.
const LIST: (u32, u32) = (50, 500);

/// How a sale is to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct HowToAnswer {
    /// How long to wait for FDMS.
    wait: Option<Duration>,
    /// Characters in a line of the printed text.
    columns: usize,
}

impl HowToAnswer {
    pub(super) const PARAMS: [&'static str; 2] = ["wait", "columns"];

    pub(super) fn of(params: &Params) -> Result<Self, Problem> {
        let wait = params.number("wait", |ms| (ms <= MAX_WAIT_MS).then_some(ms))?;
        Ok(Self {
            wait: wait.map(|ms| Duration::from_millis(ms.into())),
            columns: params.columns()?,
        })
    }
}

/// Sell: issues a fiscal receipt.
///
/// The receipt is signed and kept before it is answered. FDMS hears of it later, or now if `wait` says so.
/// Repeating a request with its key gives the same receipt again.
#[utoipa::path(
    post,
    path = "/v1/receipts",
    tag = "receipts",
    operation_id = "sell",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names the sale for ever; without it invoiceNo does."),
        schema::SaleParams,
    ),
    request_body = schema::Sale,
    responses(
        (status = 201, description = "Issued now.", body = schema::Receipt),
        (status = 200, description = "It had been issued before, under the same key.", body = schema::Receipt),
        (status = 409, description = "The key stands for another sale, or no day is open.", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "The sale breaks rules; nothing was numbered.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem; see /usr/share/doc/fiscald/ERRORS.md.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn sell(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let started = shared.ledger.time().clock().boot();
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri, &HowToAnswer::PARAMS)?;
    let how = HowToAnswer::of(&params)?;
    let choice = TillChoice::of(&params)?;
    let key = idempotency_key(&parts.headers)?;
    let draft = shared.draft(&parts.headers, body).await?;
    shared.took(Step::Parse, started);
    let till = shared.till_of(&caller, choice, &draft).await?;
    let till = match choice.device {
        None => shared.switched(till, &draft, key.as_deref()).await?,
        Some(_) => till,
    };
    shared.issue(&caller, &till, draft, key, how, started).await
}

/// Preview: everything but issuing.
///
/// The receipt as it would be issued now, or what is wrong with it. Nothing is kept; numbers and date may
/// be others when it is issued.
#[utoipa::path(
    post,
    path = "/v1/receipts/preview",
    tag = "receipts",
    operation_id = "preview",
    params(schema::TillParams, schema::ColumnsParams),
    request_body = schema::Sale,
    responses(
        (status = 200, description = "What would be issued.", body = schema::Preview),
        (status = 422, description = "The sale breaks rules.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn preview(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri, &["columns"])?;
    let columns = params.columns()?;
    let choice = TillChoice::of(&params)?;
    let draft = shared.draft(&parts.headers, body).await?;
    let till = shared.till_of(&caller, choice, &draft).await?;
    let till = match choice.device {
        None => shared.switched(till, &draft, None).await?,
        Some(_) => till,
    };
    let sale = Sale::new(till.ids(), draft, None, caller.actor);
    let settings = shared.ledger.settings();
    let now = shared.ledger.time().local();
    let issued = shared
        .ask(move |reader| reader.preview(&sale, &settings, now))
        .await?;
    Ok(json(StatusCode::OK, answer::preview(&issued, columns)))
}

/// A receipt by its number.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}",
    tag = "receipts",
    operation_id = "receipt",
    params(schema::NumberPath, schema::TillParams, schema::ColumnsParams),
    responses(
        (status = 200, description = "The receipt, and where it stands with FDMS. `{receiptGlobalNo}.txt` gives it as text.", body = schema::Receipt),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn by_number(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    if let Some(number) = number.strip_suffix(".txt") {
        return shared.text_of(&caller, number, &uri).await;
    }
    let params = Params::of(&uri, &["columns"])?;
    let columns = params.columns()?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let (issued, fdms) = shared.found(&till, &number).await?;
    Ok(json(
        StatusCode::OK,
        answer::receipt(&issued, columns, &fdms, &shared.link(till.id)),
    ))
}

/// A receipt as text.
///
/// `copy=true` heads it COPY, as a second print must be.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}/text",
    tag = "receipts",
    operation_id = "receiptText",
    params(schema::NumberPath, schema::TillParams, schema::TextParams),
    responses(
        (status = 200, description = "The receipt as lines of text.", body = String, content_type = "text/plain"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn text(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    shared.text_of(&caller, &number, &uri).await
}

/// What of a receipt can still be credited.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}/creditable",
    tag = "receipts",
    operation_id = "creditable",
    params(schema::NumberPath, schema::TillParams),
    responses(
        (status = 200, description = "What is left, and the notes that took the rest.", body = schema::Creditable),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn creditable(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let number = receipt_number(&number)?;
    let id = till.id;
    let found = shared
        .ask(move |reader| {
            let Some(issued) = reader.by_number(id, number)? else {
                return Ok(None);
            };
            let facts = reader.creditable(issued.seq)?;
            Ok(Some((issued, facts)))
        })
        .await?;
    let (issued, facts) = found.ok_or_else(|| unknown(number))?;
    let mut out = String::new();
    let mut o = Object::open(&mut out);
    answer::write_till(&mut o, &issued.till);
    o.number("receiptGlobalNo", number);
    o.text("invoiceNo", &issued.receipt.invoice_no);
    o.text("receiptCurrency", issued.receipt.currency.as_str());
    o.number("receiptTotal", issued.receipt.total);
    o.number("remaining", facts.remaining);
    rows(o.name("notes"), &facts.notes, |o, (number, kind, total)| {
        o.number("receiptGlobalNo", number);
        o.text("receiptType", kind.as_str());
        o.number("receiptTotal", total);
    });
    o.close();
    Ok(json(StatusCode::OK, out))
}

/// Receipts of a till, newest first.
///
/// With `invoiceNo` or `key` the one receipt that it names, whole; an empty list if there is none. Else
/// a page of rows: `nextBefore` is the `before` of the next page.
#[utoipa::path(
    get,
    path = "/v1/receipts",
    tag = "receipts",
    operation_id = "receipts",
    params(schema::TillParams, schema::ListParams),
    responses(
        (status = 200, description = "The receipts.", body = schema::Receipts),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(
        &uri,
        &[
            "invoiceNo",
            "key",
            "before",
            "limit",
            "receiptType",
            "receiptCurrency",
            "fiscalDayNo",
            "from",
            "till",
            "columns",
        ],
    )?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    if params.get("invoiceNo").is_some() || params.get("key").is_some() {
        return shared.one_in_a_list(&till, &params).await;
    }
    let filter = filter(&params)?;
    let limit = filter.limit;
    let id = till.id;
    let mut found = shared
        .ask(move |reader| {
            let one_more = Filter {
                limit: filter.limit + 1,
                ..filter
            };
            reader.list(id, &one_more)
        })
        .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > wanted;
    found.truncate(wanted);
    let mut out = String::with_capacity(256 * found.len());
    let mut o = Object::open(&mut out);
    rows(o.name("receipts"), &found, |o, row| {
        answer::write_row(o, &till, row);
    });
    if let Some(last) = found.last().filter(|_| has_more) {
        o.number("nextBefore", last.global_no);
    }
    o.close();
    Ok(json(StatusCode::OK, out))
}

fn filter(params: &Params) -> Result<Filter, Problem> {
    let word = |name: &'static str, wanted: &str| {
        Problem::parameter(name, format!("{name} must be {wanted}"))
    };
    let receipt_type = params.get("receiptType").map(|text| {
        ReceiptType::parse(text)
            .ok_or_else(|| word("receiptType", "FiscalInvoice, CreditNote or DebitNote"))
    });
    let currency = params.get("receiptCurrency").map(|text| {
        Currency::parse(text).ok_or_else(|| word("receiptCurrency", "three letters, like USD"))
    });
    let limit = params.number("limit", |n| (1..=LIST.1).contains(&n).then_some(n))?;
    Ok(Filter {
        before: params.number("before", ReceiptGlobalNo::new)?,
        receipt_type: receipt_type.transpose()?,
        currency: currency.transpose()?,
        fiscal_day_no: params.number("fiscalDayNo", FiscalDayNo::new)?,
        from: params.moment("from", false)?,
        till: params.moment("till", true)?,
        limit: limit.unwrap_or(LIST.0),
    })
}

impl Shared {
    /// Reads a sale; everything that is wrong with its form is one problem.
    async fn draft(&self, headers: &HeaderMap, body: Body) -> Result<Draft, Problem> {
        let bytes = self.body(headers, body).await?;
        let (draft, findings) = Draft::read(&bytes);
        if findings.is_empty() {
            Ok(draft)
        } else {
            Err(Problem::findings(findings))
        }
    }

    /// The till of a sale: by the token, the address, or the sale itself.
    async fn till_of(
        &self,
        caller: &Caller,
        choice: TillChoice,
        draft: &Draft,
    ) -> Result<Arc<TillInfo>, Problem> {
        let is_named = choice.device.is_some();
        let choice = TillChoice {
            device: choice.device.or(draft.device_id),
            ..choice
        };
        match self.till(caller, choice).await {
            // A till that is named twice, and differently, is a fault in the sale.
            Ok(till) => match draft.device_id {
                Some(device) if device != till.device_id => {
                    let message = format!("is {device}, but the address says {}", till.device_id);
                    let finding = Finding::new(Code::DeviceMismatch, "/deviceID", message);
                    Err(Problem::findings(vec![finding]))
                }
                _ => Ok(till),
            },
            Err(problem) if is_named || !problem.status().is_client_error() => Err(problem),
            Err(problem) => Err(problem.at("/deviceID")),
        }
    }

    /// Has the ledger issue a sale, and answers it.
    pub(super) async fn issue(
        &self,
        caller: &Caller,
        till: &TillInfo,
        draft: Draft,
        key: Option<String>,
        how: HowToAnswer,
        started: Duration,
    ) -> Result<Response, Problem> {
        let sale = Sale::new(till.ids(), draft, key, Arc::clone(&caller.actor));
        let (status, issued) = match self.in_time(self.ledger.issue(sale)).await?? {
            SaleDone::Issued(issued) => (StatusCode::CREATED, issued),
            SaleDone::Repeated(seq) => {
                let found = self.ask(move |reader| reader.by_seq(seq)).await?;
                let lost = || Problem::new(P::LedgerFault, "a receipt is known but not found");
                (StatusCode::OK, Box::new(found.ok_or_else(lost)?))
            }
        };
        self.took(Step::Total, started);
        let wait = how.wait.unwrap_or_else(|| self.ledger.settings().wait());
        let fdms = if wait.is_zero() {
            Fdms::Queued
        } else {
            self.wait_for_fdms(till, issued.seq, wait).await
        };
        let body = answer::receipt(&issued, how.columns, &fdms, &self.link(till.id));
        let mut response = json(status, body);
        let location = format!(
            "/v1/receipts/{}?deviceID={}&environment={}",
            issued.receipt.global_no, till.device_id, till.environment
        );
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// A step of a sale is done that began at this moment of the boot clock.
    pub(super) fn took(&self, step: Step, started: Duration) {
        let took = self.ledger.time().clock().boot().saturating_sub(started);
        self.ledger.metrics().step(step, took, 1);
    }

    /// What FDMS says, if it says so in time. The receipt is issued whatever comes of it.
    async fn wait_for_fdms(&self, till: &TillInfo, seq: Seq, wait: Duration) -> Fdms {
        let bell = self.ledger.changes(till.id);
        let id = till.id;
        let mut last = Fdms::Queued;
        let waiting = async {
            loop {
                let mut rung = std::pin::pin!(bell.notified());
                rung.as_mut().enable();
                match self.ask(move |reader| Fdms::of(reader, id, seq)).await {
                    Ok(fdms) => last = fdms,
                    Err(problem) => {
                        tracing::debug!(code = problem.code(), "waiting for FDMS cut short");
                        return;
                    }
                }
                if !last.is_pending() {
                    return;
                }
                rung.await;
            }
        };
        // Patience of the one who asks is real time, whatever the clock of the shop says.
        let _ = timeout(wait, self.stop.run_until_cancelled(waiting)).await;
        last
    }

    async fn found(&self, till: &TillInfo, number: &str) -> Result<(Issued, Fdms), Problem> {
        let number = receipt_number(number)?;
        let id = till.id;
        let found = self
            .ask(move |reader| {
                let Some(issued) = reader.by_number(id, number)? else {
                    return Ok(None);
                };
                let fdms = Fdms::of(reader, id, issued.seq)?;
                Ok(Some((issued, fdms)))
            })
            .await?;
        found.ok_or_else(|| unknown(number))
    }

    async fn text_of(&self, caller: &Caller, number: &str, uri: &Uri) -> Result<Response, Problem> {
        let params = Params::of(uri, &["columns", "copy"])?;
        let (columns, is_copy) = (params.columns()?, params.flag("copy")?);
        let till = self.till(caller, TillChoice::of(&params)?).await?;
        let (issued, _) = self.found(&till, number).await?;
        Ok(plain(answer::text(&issued, columns, is_copy)))
    }

    /// The receipt that an `invoiceNo` or a key names, if this till has issued it.
    async fn one_in_a_list(&self, till: &TillInfo, params: &Params) -> Result<Response, Problem> {
        let columns = params.columns()?;
        let only = ["columns", "deviceID", "environment"];
        if params.count_beside(&only) > 1 {
            return Err(Problem::new(
                P::ParameterUnknown,
                "invoiceNo or key names one receipt: it goes with no other filter",
            ));
        }
        let invoice_no = params.get("invoiceNo").map(str::to_owned);
        let key = params.get("key").unwrap_or_default().to_owned();
        let link = self.link(till.id);
        let till = till.clone();
        let found = self
            .ask(move |reader| {
                let found = match invoice_no {
                    Some(invoice_no) => reader.by_invoice_no(&till, &invoice_no)?,
                    None => reader.by_key(till.id, &key)?,
                };
                let Some(issued) = found.filter(|issued| issued.till.id == till.id) else {
                    return Ok(None);
                };
                let fdms = Fdms::of(reader, till.id, issued.seq)?;
                Ok(Some((issued, fdms)))
            })
            .await?;
        let body = match found {
            None => "{\"receipts\":[]}".to_owned(),
            Some((issued, fdms)) => {
                let receipt = answer::receipt(&issued, columns, &fdms, &link);
                format!("{{\"receipts\":[{receipt}]}}")
            }
        };
        Ok(json(StatusCode::OK, body))
    }
}

/// A receipt's number out of the path.
pub(super) fn receipt_number(text: &str) -> Result<ReceiptGlobalNo, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_number)
        .and_then(ReceiptGlobalNo::new)
        .ok_or_else(|| {
            Problem::parameter(
                "receiptGlobalNo",
                "the receipt is named by its receiptGlobalNo, a whole number",
            )
        })
}

pub(super) fn unknown(number: ReceiptGlobalNo) -> Problem {
    Problem::new(
        P::ReceiptUnknown,
        format!("this till has issued no receipt {number}"),
    )
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// An answer in plain text.
pub(super) fn plain(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
