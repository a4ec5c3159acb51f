//! What old POS software printed: listed, shown, and read again after a template was mended. For technicians: papers
//! show the sales of every till.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use clock::Timestamp;
use drivers::capture::grid::{Grid, Paper};
use fiscal::ReceiptGlobalNo;
use fiscal::wire::{Object, rows};

use super::access::Caller;
use super::answer::{local, strings};
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::queue::Pause;
use super::receipts::json;
use super::tills::technician;
use super::{Shared, schema};
use crate::config::Plays;
use crate::ledger::captured::CapturedRow;
use crate::ledger::{LedgerError, Reader, StorageError};
use crate::pos::Counter;

/// Papers in a list when nothing is said, and at most.
const LIST: (u32, u32) = (50, 500);
/// States that may be asked for.
const STATES: [&str; 6] = [
    "new",
    "passed",
    "sold",
    "repeated",
    "quarantined",
    "dropped",
];

/// A paper with the number of its receipt.
type Told = (CapturedRow, Option<ReceiptGlobalNo>);

/// What old POS software printed, newest first.
#[utoipa::path(
    get,
    path = "/v1/captures",
    tag = "printing",
    operation_id = "captures",
    params(schema::CapturesParams),
    responses(
        (status = 200, description = "The papers.", body = schema::Captures),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["state", "limit"])?;
    technician(&caller)?;
    let limit = params.number("limit", |n| (1..=LIST.1).contains(&n).then_some(n))?;
    let state = match params.get("state") {
        Some(state) if !STATES.contains(&state) => {
            let detail = format!("state is one of {}", STATES.join(", "));
            return Err(Problem::parameter("state", detail));
        }
        state => state.map(str::to_owned),
    };
    let limit = limit.unwrap_or(LIST.0);
    let found = shared
        .ask(move |reader| {
            let found = reader.last_captured(state.as_deref(), limit)?;
            found
                .into_iter()
                .map(|row| told(reader, row))
                .collect::<Result<Vec<Told>, _>>()
        })
        .await?;
    let mut out = String::with_capacity(4096);
    let mut o = Object::open(&mut out);
    rows(o.name("captures"), &found, |o, told| write(o, told, false));
    o.close();
    Ok(json(StatusCode::OK, out))
}

/// A captured paper, line by line.
#[utoipa::path(
    get,
    path = "/v1/captures/{capture}",
    tag = "printing",
    operation_id = "capture",
    params(schema::CapturePath),
    responses(
        (status = 200, description = "The paper.", body = schema::Capture),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    technician(&caller)?;
    shared.capture_answer(number(&id)?).await
}

/// The bytes of a captured paper, as the POS sent them.
#[utoipa::path(
    get,
    path = "/v1/captures/{capture}/raw",
    tag = "printing",
    operation_id = "captureRaw",
    params(schema::CapturePath),
    responses(
        (status = 200, description = "The bytes.", body = inline(schema::Bytes), content_type = "application/octet-stream"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn raw(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    technician(&caller)?;
    let (row, _) = shared.captured(number(&id)?).await?;
    let mut response = Response::new(Body::from(row.body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(response)
}

/// Read a paper again that could not be sold, by the templates as they are now, and sell it.
///
/// The templates of its port are read from their files again first, and stay.
#[utoipa::path(
    post,
    path = "/v1/captures/{capture}/replay",
    tag = "printing",
    operation_id = "replayCapture",
    params(schema::CapturePath),
    responses(
        (status = 200, description = "The paper as it stands now: sold, or with the reasons why not.", body = schema::Capture),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn replay(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    technician(&caller)?;
    let (row, _) = shared.captured(number(&id)?).await?;
    let Some(setup) = shared.pos.named(&row.port).cloned() else {
        let detail = format!(
            "the port \"{}\" is not in the configuration any more",
            row.port
        );
        return Err(Problem::new(P::Missing, detail));
    };
    if let Plays::Printer(templates) = &setup.plays {
        let templates = Arc::clone(templates);
        let read = tokio::task::spawn_blocking(move || templates.reload()).await;
        read.unwrap_or(Ok(())).map_err(|why| {
            Problem::new(P::NotNow, format!("the templates cannot be read: {why}"))
        })?;
    }
    shared
        .note(&caller, "capture.ask", None, row.id.to_string())
        .await?;
    let (ledger, printers, captured) = (shared.ledger.clone(), shared.printers.clone(), row.id);
    // Selling from a thread of its own blocks, as the port's does.
    let sold = tokio::task::spawn_blocking(move || {
        let tills = ledger.reader().tills()?;
        let till = tills
            .into_iter()
            .find(|till| (till.environment, till.device_id) == setup.till);
        let till = till.ok_or(crate::ledger::Refusal::NoSuchTill)?;
        Counter::new(&setup, till, &ledger, &printers).settle(captured, true)
    });
    let sold = shared.in_time(sold).await?;
    sold.unwrap_or(Err(StorageError::Stopping.into()))?;
    shared.capture_answer(captured).await
}

/// Say that a paper that was put aside will not be sold, and why. It stays in the list.
#[utoipa::path(
    post,
    path = "/v1/captures/{capture}/drop",
    tag = "printing",
    operation_id = "dropCapture",
    params(schema::CapturePath),
    request_body = schema::Pause,
    responses(
        (status = 200, description = "The paper.", body = schema::Capture),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn dropped(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Params::of(&parts.uri, &[])?;
    technician(&caller)?;
    let reason = shared
        .wanted::<Pause>(&parts.headers, body)
        .await?
        .reason()?;
    let (row, _) = shared.captured(number(&id)?).await?;
    let (captured, actor) = (row.id, caller.actor);
    shared
        .write(move |core| core.drop_captured(captured, &reason, &actor))
        .await?;
    shared.capture_answer(captured).await
}

fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| missing(text))
}

fn missing(text: &str) -> Problem {
    let shown: String = text.chars().take(20).collect();
    Problem::new(P::Missing, format!("there is no captured paper {shown}"))
}

fn told(reader: &Reader, row: CapturedRow) -> Result<Told, LedgerError> {
    let number = match row.receipt {
        Some(seq) => reader.receipt_no(seq)?,
        None => None,
    };
    Ok((row, number))
}

impl Shared {
    async fn captured(&self, id: i64) -> Result<Told, Problem> {
        let found = self
            .ask(move |reader| {
                reader
                    .captured(id)?
                    .map(|row| told(reader, row))
                    .transpose()
            })
            .await?;
        found.ok_or_else(|| missing(&id.to_string()))
    }

    async fn capture_answer(&self, id: i64) -> Result<Response, Problem> {
        let told = self.captured(id).await?;
        let mut out = String::with_capacity(4096);
        let mut o = Object::open(&mut out);
        write(&mut o, &told, true);
        o.close();
        Ok(json(StatusCode::OK, out))
    }
}

fn write(o: &mut Object<'_>, (row, receipt): &Told, whole: bool) {
    o.number("capture", row.id);
    o.text("port", &row.port);
    o.text(
        "at",
        &local(Timestamp::from_millisecond(row.at).unwrap_or_default()),
    );
    o.text("state", &row.state);
    o.optional_text("template", row.template.as_deref());
    if let Some(number) = receipt {
        o.number("receiptGlobalNo", number);
    }
    let reasons: Vec<String> = row
        .reasons
        .iter()
        .flat_map(|reasons| reasons.lines())
        .map(str::to_owned)
        .collect();
    strings(o.name("reasons"), &reasons);
    if whole {
        let grid = Grid::new(&row.body, &Paper::default());
        strings(
            o.name("paper"),
            &grid
                .rows()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        );
    }
}
