//! What a person does about a queue to FDMS: look at its head with the evidence, let it try again, pause it.
//!
//! No receipt is ever set aside, only its sending; each of these is audited.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use fiscal::wire::Object;
use serde::Deserialize;

use super::access::{Caller, TillChoice};
use super::answer::write_till;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::json;
use super::status::Queue;
use super::{Shared, schema};
use crate::ledger::TillInfo;

/// Longest reason, characters.
const REASON_MAX: usize = 500;

/// Why something is paused or given up.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pause {
    reason: String,
}

impl Pause {
    /// The reason, for the audit.
    pub(super) fn reason(self) -> Result<String, Problem> {
        let reason = self.reason;
        if reason.trim().is_empty() || reason.chars().count() > REASON_MAX {
            let detail = format!("a reason of 1 to {REASON_MAX} characters is needed");
            return Err(Problem::new(P::BodyInvalid, detail).at("/reason"));
        }
        Ok(reason)
    }
}

/// Let a parked or paused queue try again, or one that waits try now; `all=true` every one.
#[utoipa::path(
    post,
    path = "/v1/queue/retry",
    tag = "state",
    operation_id = "retryQueue",
    params(schema::TillParams, schema::RetryParams),
    responses(
        (status = 200, description = "The queues as they are now.", body = schema::Queues),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::of(request.uri(), &["all"])?;
    let choice = TillChoice::of(&params)?;
    let tills: Vec<Arc<TillInfo>> = if params.flag("all")? {
        shared.tills(&caller, choice).await?
    } else {
        vec![shared.till(&caller, choice).await?]
    };
    for till in &tills {
        let (id, actor) = (till.id, Arc::clone(&caller.actor));
        shared
            .write(move |core| core.retry_stream(id, &actor))
            .await?;
    }
    shared.queues(tills).await
}

/// Pause a queue: nothing of it is sent until somebody lets it try again. Selling goes on.
#[utoipa::path(
    post,
    path = "/v1/queue/pause",
    tag = "state",
    operation_id = "pauseQueue",
    params(schema::TillParams),
    request_body = schema::Pause,
    responses(
        (status = 200, description = "The till's queue as it is now.", body = schema::Queues),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn pause(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (till, pause): (_, Pause) = shared.command(&caller, request).await?;
    let reason = pause.reason()?;
    let (id, actor) = (till.id, caller.actor);
    shared
        .write(move |core| core.pause_stream(id, &reason, &actor))
        .await?;
    shared.queues(vec![till]).await
}

/// The head of a queue with the evidence: what is sent to FDMS, and what it answered.
#[utoipa::path(
    get,
    path = "/v1/queue/head",
    tag = "state",
    operation_id = "queueHead",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The head.", body = schema::Evidence),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn head(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    let asked = Arc::clone(&till);
    let queue = shared
        .ask(move |reader| Queue::read(reader, &asked))
        .await?;
    let mut out = String::with_capacity(4096);
    let mut o = Object::open(&mut out);
    write_till(&mut o, &till);
    o.object("queue", |o| queue.write(o));
    if let Some(head) = &queue.head {
        o.text("request", &head.body);
    }
    let parked = queue.state.parked.as_ref();
    o.optional_text("answer", parked.and_then(|parked| parked.answer.as_deref()));
    o.close();
    Ok(json(StatusCode::OK, out))
}
