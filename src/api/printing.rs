//! Printers and what they print: by command, their state, their jobs, and papers whose fate is not known.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use clock::Timestamp;
use drivers::job::JobId;
use fiscal::paper::Block;
use fiscal::wire::{Object, rows};
use serde::Deserialize;

use super::access::{Caller, Scope, TillChoice};
use super::answer::local;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::{json, receipt_number, unknown};
use super::{Shared, schema};
use crate::config::PrinterSetup;
use crate::ledger::printing::{NewPrint, PrintRow, held};
use crate::ledger::{TillId, TillInfo};
use crate::paper;
use crate::print::words;

/// Jobs in a list when nothing is said, and at most.
const LIST: (u32, u32) = (50, 500);

/// The printers: what each tells of itself, and what waits for it.
#[utoipa::path(
    get,
    path = "/v1/printers",
    tag = "printing",
    operation_id = "printers",
    responses(
        (status = 200, description = "The printers of the configuration, in its order.", body = schema::Printers),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn printers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let open = shared.ask(|reader| reader.open_prints(None)).await?;
    let tills = shared.tills(&caller, TillChoice::default()).await?;
    let mine = |row: &&PrintRow| {
        row.till
            .is_none_or(|id| tills.iter().any(|till| till.id == id))
    };
    let mut out = String::with_capacity(1024);
    let mut o = Object::open(&mut out);
    rows(
        o.name("printers"),
        &shared.printers.plan().printers,
        |o, printer| {
            let open: Vec<&PrintRow> = open
                .iter()
                .filter(|row| row.printer == printer.name)
                .filter(mine)
                .collect();
            shared.write_printer(o, printer, &open);
        },
    );
    o.close();
    Ok(json(StatusCode::OK, out))
}

/// Print a test page.
#[utoipa::path(
    post,
    path = "/v1/printers/{printer}/test",
    tag = "printing",
    operation_id = "testPrinter",
    params(schema::PrinterPath),
    responses(
        (status = 202, description = "The job.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let printer = shared.own_printer(&caller, &name).await?;
    let time = shared.ledger.time().local().to_string();
    let blocks = words::test_page(printer, &time);
    let till = shared.own_till(&caller).await?;
    shared.queue_blocks(&caller, printer, till, &blocks).await
}

/// Open the cash drawer.
///
/// Where the configuration permits it (`drawer = true` of the printer); audited.
#[utoipa::path(
    post,
    path = "/v1/printers/{printer}/drawer",
    tag = "printing",
    operation_id = "openDrawer",
    params(schema::PrinterPath),
    responses(
        (status = 202, description = "The job.", body = schema::PrintJob),
        (status = 403, description = "The configuration does not permit it.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn drawer(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let printer = shared.own_printer(&caller, &name).await?;
    if !printer.drawer {
        let detail = format!(
            "the drawer at the printer \"{name}\" opens by command only with `drawer = true` in its [[printers]]"
        );
        return Err(Problem::new(P::NotPermitted, detail));
    }
    let till = shared.own_till(&caller).await?;
    let (name, actor) = (printer.name.clone(), caller.actor);
    let id = shared
        .write(move |core| core.queue_drawer(&name, till, None, &actor))
        .await?;
    shared.printers.ring(&printer.name);
    shared.job_answer(StatusCode::ACCEPTED, id).await
}

/// The last print jobs, newest first; `open=true` those that wait or whose fate is not known.
#[utoipa::path(
    get,
    path = "/v1/prints",
    tag = "printing",
    operation_id = "prints",
    params(schema::PrintsParams),
    responses(
        (status = 200, description = "The jobs.", body = schema::PrintJobs),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["printer", "limit", "open"])?;
    let printer = match params.get("printer") {
        None => None,
        Some(name) => Some(shared.printer_named(name)?.name.clone()),
    };
    let limit = params.number("limit", |n| (1..=LIST.1).contains(&n).then_some(n))?;
    let (limit, open) = (limit.unwrap_or(LIST.0), params.flag("open")?);
    let tills = match caller.scope {
        Scope::All => None,
        _ => {
            let own = shared.tills(&caller, TillChoice::default()).await?;
            Some(own.iter().map(|till| till.id).collect::<Vec<TillId>>())
        }
    };
    let found: Vec<PrintRow> = shared
        .ask(move |reader| match open {
            true => {
                let mut found = reader.open_prints(printer.as_deref())?;
                found.retain(|row| {
                    let of = |tills: &Vec<TillId>| row.till.is_some_and(|id| tills.contains(&id));
                    tills.as_ref().is_none_or(of)
                });
                Ok(found)
            }
            false => reader.last_prints(printer.as_deref(), tills.as_deref(), limit),
        })
        .await?;
    let mut out = String::with_capacity(4096);
    let mut o = Object::open(&mut out);
    rows(o.name("prints"), &found, write_job);
    o.close();
    Ok(json(StatusCode::OK, out))
}

/// A print job.
#[utoipa::path(
    get,
    path = "/v1/prints/{job}",
    tag = "printing",
    operation_id = "print",
    params(schema::JobPath),
    responses(
        (status = 200, description = "The job.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn job(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(job): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let job = shared.own_job(&caller, &job).await?;
    shared.job_answer(StatusCode::OK, job.id).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settle {
    came_out: bool,
}

/// Say what became of a paper whose fate is not known: it came out, or a copy is to be printed.
#[utoipa::path(
    post,
    path = "/v1/prints/{job}/settle",
    tag = "printing",
    operation_id = "settlePrint",
    params(schema::JobPath),
    request_body = schema::SettlePrint,
    responses(
        (status = 200, description = "The job, or the one of the copy.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn settle(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(job): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Params::of(&parts.uri, &[])?;
    let Settle { came_out } = shared.wanted(&parts.headers, body).await?;
    let row = shared.own_job(&caller, &job).await?;
    let (id, actor) = (row.id, caller.actor);
    let copy = shared
        .write(move |core| core.settle_print(id, came_out, &actor))
        .await?;
    shared.printers.ring(&row.printer);
    shared
        .job_answer(StatusCode::OK, copy.unwrap_or(row.id))
        .await
}

/// Take a job out of the queue that has not been sent.
#[utoipa::path(
    post,
    path = "/v1/prints/{job}/cancel",
    tag = "printing",
    operation_id = "cancelPrint",
    params(schema::JobPath),
    responses(
        (status = 200, description = "The job.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(job): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let row = shared.own_job(&caller, &job).await?;
    let (id, actor) = (row.id, caller.actor);
    shared
        .write(move |core| core.cancel_print(id, &actor))
        .await?;
    shared.job_answer(StatusCode::OK, id).await
}

/// Print a receipt: the original if there is none yet, else a copy.
#[utoipa::path(
    post,
    path = "/v1/receipts/{receiptGlobalNo}/print",
    tag = "printing",
    operation_id = "printReceipt",
    params(schema::NumberPath, schema::TillParams, schema::PrinterParams),
    responses(
        (status = 202, description = "The job.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn receipt(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["printer"])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let printer = shared.printer_for(&params, &till)?;
    let number = receipt_number(&number)?;
    let id = till.id;
    let found = shared
        .ask(move |reader| reader.by_number(id, number))
        .await?;
    let issued = found.ok_or_else(|| unknown(number))?;
    let job = NewPrint::receipt(&printer.name, till.id, issued.seq);
    shared.queue_job(&caller, job).await
}

/// Print a day's report: X while it is open, Z once it is closed.
#[utoipa::path(
    post,
    path = "/v1/days/{fiscalDayNo}/print",
    tag = "printing",
    operation_id = "printDay",
    params(schema::DayPath, schema::TillParams, schema::PrinterParams),
    responses(
        (status = 202, description = "The job.", body = schema::PrintJob),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn day(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["printer"])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let printer = shared.printer_for(&params, &till)?;
    let (facts, taxpayer, warning) = shared.day_on_paper(till.id, &no).await?;
    if let Some(close) = &facts.close {
        let job = NewPrint::z_report(&printer.name, till.id, close.seq);
        return shared.queue_job(&caller, job).await;
    }
    let mut blocks = paper::report_blocks(&till, &taxpayer, &facts);
    if let Some(warning) = warning {
        paper::warn(&mut blocks, warning);
    }
    shared
        .queue_blocks(&caller, printer, Some(till.id), &blocks)
        .await
}

/// A receipt as PDF: the authority's InvoiceA4; `copy=true` heads it COPY.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}/pdf",
    tag = "printing",
    operation_id = "receiptPdf",
    params(schema::NumberPath, schema::TillParams, schema::CopyParams),
    responses(
        (status = 200, description = "The document, PDF/A.", body = inline(schema::Bytes), content_type = "application/pdf"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn receipt_pdf(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["copy"])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let (number, copy, id) = (receipt_number(&number)?, params.flag("copy")?, till.id);
    let logo = shared.settings.logo.clone();
    let found = shared
        .ask(move |reader| {
            let issued = reader.by_number(id, number)?;
            Ok(issued.map(|issued| {
                paper::receipt_pdf(&issued, copy, logo.as_deref().map(Vec::as_slice))
            }))
        })
        .await?;
    pdf(found.ok_or_else(|| unknown(number))?)
}

/// A day's report as PDF: X while it is open, Z once it is closed.
#[utoipa::path(
    get,
    path = "/v1/days/{fiscalDayNo}/pdf",
    tag = "printing",
    operation_id = "dayPdf",
    params(schema::DayPath, schema::TillParams),
    responses(
        (status = 200, description = "The document, PDF/A.", body = inline(schema::Bytes), content_type = "application/pdf"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn day_pdf(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let (facts, taxpayer, _) = shared.day_on_paper(till.id, &no).await?;
    let made = shared
        .ask(move |_| Ok(paper::report_pdf(&till, &taxpayer, &facts)))
        .await?;
    pdf(made)
}

fn pdf(made: Result<Vec<u8>, a4::A4Error>) -> Result<Response, Problem> {
    let bytes = made.map_err(|error| Problem::new(P::Defect, format!("no document: {error}")))?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/pdf"),
    );
    Ok(response)
}

impl Shared {
    fn printer_named(&self, name: &str) -> Result<&PrinterSetup, Problem> {
        self.printers.plan().named(name).ok_or_else(|| {
            let shown: String = name.chars().take(50).collect();
            let known: Vec<&str> = self
                .printers
                .plan()
                .printers
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            let detail = match known.is_empty() {
                true => format!(
                    "there is no printer \"{shown}\"; the configuration has no [[printers]]"
                ),
                false => format!(
                    "there is no printer \"{shown}\"; there are {}",
                    known.join(", ")
                ),
            };
            Problem::new(P::Missing, detail)
        })
    }

    /// The till whose own token asks; none for callers who may steer every till.
    async fn own_till(&self, caller: &Caller) -> Result<Option<TillId>, Problem> {
        if caller.scope == Scope::All {
            return Ok(None);
        }
        let tills = self.tills(caller, TillChoice::default()).await?;
        Ok(tills.first().map(|till| till.id))
    }

    /// A printer that the caller may use: a till's own token steers only those that print its papers.
    async fn own_printer(&self, caller: &Caller, name: &str) -> Result<&PrinterSetup, Problem> {
        let printer = self.printer_named(name)?;
        let tills = self.tills(caller, TillChoice::default()).await?;
        if caller.scope == Scope::All || tills.iter().any(|till| printer.serves(till.device_id)) {
            return Ok(printer);
        }
        let detail = format!("the printer \"{name}\" prints no papers of this till");
        Err(Problem::new(P::NotAllowed, detail))
    }

    /// The printer that a request names, or the till's own.
    fn printer_for(&self, params: &Params, till: &TillInfo) -> Result<&PrinterSetup, Problem> {
        if let Some(name) = params.get("printer") {
            let printer = self.printer_named(name)?;
            if !printer.serves(till.device_id) {
                let device = till.device_id;
                let detail =
                    format!("the printer \"{name}\" prints no papers of the till {device}");
                return Err(Problem::new(P::NotAllowed, detail));
            }
            return Ok(printer);
        }
        let own = self
            .printers
            .plan()
            .printer((till.environment, till.device_id));
        own.ok_or_else(|| {
            let detail = format!(
                "no printer is configured for the till {}; add [[printers]] to the configuration",
                till.device_id
            );
            Problem::new(P::Missing, detail)
        })
    }

    async fn queue_blocks(
        &self,
        caller: &Caller,
        printer: &PrinterSetup,
        till: Option<TillId>,
        blocks: &[Block],
    ) -> Result<Response, Problem> {
        self.queue_job(caller, NewPrint::blocks(&printer.name, till, blocks))
            .await
    }

    async fn queue_job(&self, caller: &Caller, job: NewPrint) -> Result<Response, Problem> {
        let actor = Arc::clone(&caller.actor);
        let queued = self.printers.queue(&self.ledger, vec![job], actor);
        let ids = self.in_time(queued).await??;
        let id = ids.first().copied().unwrap_or(JobId(0));
        self.job_answer(StatusCode::ACCEPTED, id).await
    }

    async fn job_answer(&self, status: StatusCode, id: JobId) -> Result<Response, Problem> {
        let row = self.ask(move |reader| reader.print_job(id)).await?;
        let row = row.ok_or_else(|| no_job(&id.0.to_string()))?;
        let mut out = String::with_capacity(512);
        let mut o = Object::open(&mut out);
        write_job(&mut o, &row);
        o.close();
        Ok(json(status, out))
    }

    /// A job that the caller may see.
    async fn own_job(&self, caller: &Caller, text: &str) -> Result<PrintRow, Problem> {
        let id = text.parse().map(JobId).map_err(|_| no_job(text))?;
        let row = self.ask(move |reader| reader.print_job(id)).await?;
        let tills = self.tills(caller, TillChoice::default()).await?;
        let may = |row: &PrintRow| {
            caller.scope == Scope::All || tills.iter().any(|till| row.till == Some(till.id))
        };
        row.filter(may).ok_or_else(|| no_job(text))
    }

    fn write_printer(&self, o: &mut Object<'_>, printer: &PrinterSetup, open: &[&PrintRow]) {
        o.text("name", &printer.name);
        o.text("link", &printer.link.to_string());
        o.number("columns", printer.profile.columns);
        let condition = self.printers.condition(&printer.name);
        o.text("state", words::state(condition.as_ref()));
        if let Some(condition) = &condition {
            o.number("connected", condition.connected);
            o.number("paperLow", condition.paper_low);
            o.optional_text("fault", condition.fault.map(held));
            o.optional_text("linkError", condition.link_error.as_deref());
            if let Some(high) = condition.drawer_high {
                o.number("drawerHigh", high);
            }
        }
        let doubt = open.iter().filter(|row| row.state == "unknown").count();
        o.number("waiting", open.len() - doubt);
        o.number("inDoubt", doubt);
        o.optional_text(
            "action",
            words::action(condition.as_ref(), doubt).as_deref(),
        );
    }
}

fn no_job(text: &str) -> Problem {
    let shown: String = text.chars().take(20).collect();
    Problem::new(P::Missing, format!("there is no print job {shown}"))
}

fn write_job(o: &mut Object<'_>, row: &PrintRow) {
    o.number("job", row.id.0);
    o.text("printer", &row.printer);
    o.text("kind", &row.kind);
    if let Some(number) = row.receipt {
        o.number("receiptGlobalNo", number);
    }
    o.optional_text("heading", row.heading.as_deref());
    o.text("state", &row.state);
    o.optional_text("detail", row.detail.as_deref());
    let at = |ms| local(Timestamp::from_millisecond(ms).unwrap_or_default());
    o.text("queuedAt", &at(row.created_at));
    o.text("changedAt", &at(row.changed_at));
}
