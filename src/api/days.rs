//! Fiscal days: opening, closing, figures, X and Z reports.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use fiscal::counters::Documents;
use fiscal::day::last_moment;
use fiscal::paper::render_text;
use fiscal::report::{CurrencyFigures, figures};
use fiscal::taxpayer::Taxpayer;
use fiscal::wire::{Object, rows, write_counters};
use fiscal::{DateTime, FiscalDayNo};

use super::access::{Caller, TillChoice};
use super::answer::{Fdms, write_till};
use super::closing::{CloseFailed, Reconciled};
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::{json, plain};
use super::{Shared, schema};
use crate::ledger::days::warning_at;
use crate::ledger::{DayFacts, LedgerError, Reader, Seq, TillId, TillInfo};
use crate::paper::{report_blocks, warn};

const NO_CONFIG: &str = "the configuration of the till is missing";

/// A day and what is said about it.
struct Day {
    facts: DayFacts,
    taxpayer: Option<Arc<Taxpayer>>,
    opening: Fdms,
    close: Option<Fdms>,
    reconciled: Option<Reconciled>,
    close_failed: Option<CloseFailed>,
}

impl Day {
    fn read(
        reader: &Reader,
        till: TillId,
        no: Option<FiscalDayNo>,
    ) -> Result<Option<Self>, LedgerError> {
        let Some(facts) = reader.day(till, no)? else {
            return Ok(None);
        };
        let close = facts.close.as_ref();
        let close = close.map(|close| Fdms::of(reader, till, close.seq));
        let close = close.transpose()?;
        Ok(Some(Self {
            taxpayer: reader.taxpayer(till)?,
            opening: Fdms::of(reader, till, facts.day_id)?,
            reconciled: match &close {
                Some(Fdms::Accepted(row)) => Reconciled::of(&facts, row),
                _ => None,
            },
            close_failed: match &close {
                Some(Fdms::Parked(_)) => CloseFailed::of(reader, till, &facts)?,
                _ => None,
            },
            close,
            facts,
        }))
    }

    fn write(&self, o: &mut Object<'_>, till: &TillInfo) {
        let facts = &self.facts;
        write_till(o, till);
        write_day(o, facts, self.taxpayer.as_deref());
        write_counters(o.name("fiscalDayCounters"), &facts.totals.counters);
        if let Some(close) = &facts.close {
            o.text("hash", &close.signature.hash.to_string());
            o.text("signature", &close.signature.base64());
        }
        o.object("fdms", |o| {
            o.object("opening", |o| self.opening.write(o));
            if let Some(close) = &self.close {
                o.object("close", |o| close.write(o));
            }
        });
        if let Some(reconciled) = &self.reconciled {
            reconciled.write_by_hand(o);
        }
        if let Some(failed) = &self.close_failed {
            failed.write(o);
        }
    }

    /// What the cashier is told of an open day that nears its longest.
    fn warning(&self, now: DateTime) -> Option<String> {
        let taxpayer = self
            .taxpayer
            .as_ref()
            .filter(|_| self.facts.close.is_none())?;
        let (opened, hours) = (self.facts.opened, taxpayer.day_max_hours);
        warning_at(opened, hours, taxpayer.day_end_notification_hours, now)
    }

    fn answer(&self, status: StatusCode, till: &TillInfo) -> Response {
        let mut out = String::with_capacity(1024);
        let mut o = Object::open(&mut out);
        self.write(&mut o, till);
        o.close();
        json(status, out)
    }
}

/// Open a fiscal day.
///
/// Needed only where the configuration says that days are opened by hand; else the first sale opens one.
#[utoipa::path(
    post,
    path = "/v1/days/open",
    tag = "days",
    operation_id = "openDay",
    params(schema::TillParams),
    responses(
        (status = 201, description = "The day is open.", body = schema::Day),
        (status = 409, description = "A day is open already.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::of(request.uri(), &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let (id, actor) = (till.id, caller.actor);
    let facts = shared.write(move |core| core.open_day(id, &actor)).await?;
    shared.day_changed(StatusCode::CREATED, &till, facts).await
}

/// Close the fiscal day.
///
/// The counters are frozen and signed at once; FDMS is asked to close the day in its turn. With `fiscalDayNo` a
/// request may be repeated after a lost answer: it closes that day and no other, and is answered alike once it is closed.
#[utoipa::path(
    post,
    path = "/v1/days/close",
    tag = "days",
    operation_id = "closeDay",
    params(schema::CloseParams, schema::TillParams),
    responses(
        (status = 200, description = "The day is closed.", body = schema::Day),
        (status = 409, description = "No day is open, or another one.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn close(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::of(request.uri(), &["fiscalDayNo"])?;
    let no = params.number("fiscalDayNo", FiscalDayNo::new)?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let (id, actor) = (till.id, caller.actor);
    let Some(no) = no else {
        let facts = shared.write(move |core| core.close_day(id, &actor)).await?;
        return shared.day_changed(StatusCode::OK, &till, facts).await;
    };
    let day = shared.day(id, &no.to_string()).await?;
    if day.facts.close.is_some() {
        return Ok(day.answer(StatusCode::OK, &till));
    }
    let facts = shared
        .write(move |core| core.close_day_if(id, no, &actor))
        .await?;
    shared.day_changed(StatusCode::OK, &till, facts).await
}

/// A fiscal day: its state, counters and what FDMS said.
#[utoipa::path(
    get,
    path = "/v1/days/{fiscalDayNo}",
    tag = "days",
    operation_id = "day",
    params(schema::DayPath, schema::TillParams),
    responses(
        (status = 200, description = "The day.", body = schema::Day),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn by_number(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let day = shared.day(till.id, &no).await?;
    Ok(day.answer(StatusCode::OK, &till))
}

/// The X report: the figures of an open day so far.
#[utoipa::path(
    get,
    path = "/v1/days/{fiscalDayNo}/x",
    tag = "days",
    operation_id = "xReport",
    params(schema::DayPath, schema::TillParams, schema::ReportParams),
    responses(
        (status = 200, description = "The report; as text with format=text.", body = schema::Report),
        (status = 409, description = "The day is closed.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn x(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    shared.report(&caller, &no, &uri, false).await
}

/// The Z report: the figures of a closed day.
#[utoipa::path(
    get,
    path = "/v1/days/{fiscalDayNo}/z",
    tag = "days",
    operation_id = "zReport",
    params(schema::DayPath, schema::TillParams, schema::ReportParams),
    responses(
        (status = 200, description = "The report; as text with format=text.", body = schema::Report),
        (status = 409, description = "The day is still open.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn z(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    shared.report(&caller, &no, &uri, true).await
}

impl Shared {
    /// The day as it is right after it was opened or closed.
    async fn day_changed(
        &self,
        status: StatusCode,
        till: &TillInfo,
        facts: DayFacts,
    ) -> Result<Response, Problem> {
        let id = till.id;
        let taxpayer = self.ask(move |reader| reader.taxpayer(id)).await?;
        let day_id = facts.day_id;
        let opening = self.ask(move |reader| Fdms::of(reader, id, day_id)).await?;
        let day = Day {
            close: facts.close.as_ref().map(|_| Fdms::Queued),
            reconciled: None,
            close_failed: None,
            facts,
            taxpayer,
            opening,
        };
        Ok(day.answer(status, till))
    }

    /// What a day's report is made of, and what the cashier is warned of.
    pub(super) async fn day_on_paper(
        &self,
        till: TillId,
        no: &str,
    ) -> Result<(DayFacts, Arc<Taxpayer>, Option<String>), Problem> {
        let day = self.day(till, no).await?;
        let warning = day.warning(self.ledger.time().local());
        match day.taxpayer {
            Some(taxpayer) => Ok((day.facts, taxpayer, warning)),
            None => Err(Problem::new(P::TillNotReady, NO_CONFIG)),
        }
    }

    /// The event of a day's opening.
    pub(super) async fn day_id(&self, till: TillId, no: &str) -> Result<Seq, Problem> {
        Ok(self.day(till, no).await?.facts.day_id)
    }

    /// A day by its number, or the latest: `current`.
    async fn day(&self, till: TillId, no: &str) -> Result<Day, Problem> {
        let no = match no {
            "current" => None,
            text => {
                let is_number = text.bytes().all(|b| b.is_ascii_digit());
                let number = text.parse().ok().filter(|_| is_number);
                let number = number.and_then(FiscalDayNo::new).ok_or_else(|| {
                    let detail = "the day is named by its fiscalDayNo, or `current`";
                    Problem::parameter("fiscalDayNo", detail)
                })?;
                Some(number)
            }
        };
        let found = self.ask(move |reader| Day::read(reader, till, no)).await?;
        found.ok_or_else(|| {
            let detail = match no {
                Some(no) => format!("this till has had no fiscal day {no}"),
                None => "this till has not opened a fiscal day yet".to_owned(),
            };
            Problem::new(P::DayUnknown, detail)
        })
    }

    async fn report(
        &self,
        caller: &Caller,
        no: &str,
        uri: &Uri,
        is_z: bool,
    ) -> Result<Response, Problem> {
        let params = Params::of(uri, &["format", "columns"])?;
        let columns = params.columns()?;
        let is_text = match params.get("format") {
            None | Some("json") => false,
            Some("text") => true,
            Some(_) => {
                return Err(Problem::parameter("format", "format is `json` or `text`"));
            }
        };
        let till = self.till(caller, TillChoice::of(&params)?).await?;
        let day = self.day(till.id, no).await?;
        let facts = &day.facts;
        match (is_z, &facts.close) {
            (true, None) => {
                let detail = format!("the day {} is still open", facts.fiscal_day_no);
                return Err(Problem::new(P::DayOpen, detail));
            }
            (false, Some(_)) => {
                let detail = format!("the day {} is closed", facts.fiscal_day_no);
                return Err(Problem::new(P::DayClosed, detail));
            }
            _ => {}
        }
        let Some(taxpayer) = &day.taxpayer else {
            return Err(Problem::new(P::TillNotReady, NO_CONFIG));
        };
        let mut blocks = report_blocks(&till, taxpayer, facts);
        if let Some(warning) = day.warning(self.ledger.time().local()).filter(|_| !is_z) {
            warn(&mut blocks, warning);
        }
        let text = render_text(&blocks, columns);
        if is_text {
            return Ok(plain(text));
        }
        let mut out = String::with_capacity(4096);
        let mut o = Object::open(&mut out);
        o.text("report", if is_z { "Z" } else { "X" });
        day.write(&mut o, &till);
        let all = figures(taxpayer, facts.opened, &facts.totals);
        rows(o.name("currencies"), &all, write_figures);
        o.object("print", |o| {
            // Blocks hold only texts and words: they always serialise.
            let json = serde_json::to_string(&blocks).unwrap_or_default();
            o.name("blocks").push_str(&json);
            o.number("columns", columns);
            o.text("text", &text);
        });
        o.close();
        Ok(json(StatusCode::OK, out))
    }
}

fn write_figures(o: &mut Object<'_>, figures: &CurrencyFigures) {
    o.text("currency", figures.currency.as_str());
    rows(o.name("taxes"), &figures.taxes, |o, tax| {
        o.number("taxID", tax.tax_id);
        o.text("taxName", &tax.tax_name);
        if let Some(percent) = tax.tax_percent {
            o.number("taxPercent", percent);
        }
        o.number("net", tax.net);
        o.number("tax", tax.tax);
        o.number("gross", tax.gross);
    });
    o.number("net", figures.net);
    o.number("tax", figures.tax);
    o.number("gross", figures.gross);
    let mut documents = |name: &str, documents: Documents| {
        o.object(name, |o| {
            o.number("quantity", documents.quantity);
            o.number("total", documents.total);
        });
    };
    documents("invoices", figures.invoices);
    documents("creditNotes", figures.credit_notes);
    documents("debitNotes", figures.debit_notes);
    documents("documents", figures.documents);
}

/// The members that a day has wherever it is told of.
pub(super) fn write_day(o: &mut Object<'_>, day: &DayFacts, taxpayer: Option<&Taxpayer>) {
    o.number("fiscalDayNo", day.fiscal_day_no);
    let state = if day.close.is_some() {
        "closed"
    } else {
        "open"
    };
    o.text("state", state);
    o.text("fiscalDayOpened", &day.opened.to_string());
    if let Some(close) = &day.close {
        o.text("fiscalDayClosed", &close.closed.to_string());
    } else if let Some(taxpayer) = taxpayer {
        let end = last_moment(day.opened, taxpayer.day_max_hours);
        o.text("longestUntil", &end.to_string());
    }
    o.number("receiptCounter", day.receipt_counter);
}
