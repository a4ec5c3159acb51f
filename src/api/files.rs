//! A day's files for upload by hand, and what came of that (docs/FDMS.md section 7).

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use fiscal::wire::{Object, rows};

use super::access::{Caller, TillChoice};
use super::answer::write_till;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::json;
use super::{Shared, schema};
use crate::fdms::wire::{FileList, Reply as _};
use crate::submit::settle_files;

/// A closed day as files, for upload by hand.
///
/// FDMS recognises receipts that it has already, so a day may be handed in as often as it is needed.
#[utoipa::path(
    get,
    path = "/v1/days/{fiscalDayNo}/files",
    tag = "days",
    operation_id = "dayFiles",
    params(schema::DayPath, schema::TillParams),
    responses(
        (status = 200, description = "The files in their order; `body` is the file.", body = schema::DayFiles),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(no): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let day_id = shared.day_id(till.id, &no).await?;
    let (id, device) = till.ids();
    let files = shared
        .ask(move |reader| reader.export_day(id, device, day_id))
        .await?;
    let mut out = String::with_capacity(64 * 1024);
    let mut o = Object::open(&mut out);
    write_till(&mut o, &till);
    rows(o.name("files"), &files, |o, file| {
        let (day, sequence) = (file.row.day_no, file.row.sequence);
        o.text(
            "name",
            &format!("{:010}-{day}-{sequence}.json", device.get()),
        );
        o.number("fiscalDayNo", day);
        o.number("fileSequence", sequence);
        o.text("body", &file.body);
    });
    o.close();
    Ok(json(StatusCode::OK, out))
}

/// What came of files that were uploaded by hand: FDMS's list of them, as it gives it.
#[utoipa::path(
    post,
    path = "/v1/days/files/result",
    tag = "days",
    operation_id = "fileResult",
    params(schema::TillParams),
    request_body = schema::Passed,
    responses(
        (status = 200, description = "The till's queue as it is then.", body = schema::Queues),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn result(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri, &[])?;
    let till = shared.technicians(&caller, &params).await?;
    let bytes = shared.body(&parts.headers, body).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let list =
        FileList::parse(&text).map_err(|error| Problem::new(P::BodyInvalid, error.to_string()))?;
    let (id, actor) = (till.id, caller.actor);
    let settled = shared
        .write(move |core| settle_files(core, id, &list, &text, &actor))
        .await?;
    if settled == 0 {
        let detail = "the list says nothing new about files of this till that wait";
        return Err(Problem::new(P::NotNow, detail));
    }
    shared.queues(vec![till]).await
}
