//! Server-sent events: what happens to a till, as it happens.
//!
//! A stream begins with the state as it is now, then tells every event of the ledger. Each carries its
//! number as its id, so that who comes again with `Last-Event-ID` misses nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use clock::Timestamp;
use fiscal::ReceiptGlobalNo;
use fiscal::wire::Object;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::access::{Caller, Scope, TillChoice};
use super::answer::{local, write_till};
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::{Shared, schema};
use crate::ledger::read::EventRow;
use crate::ledger::{LedgerError, Reader, Seq, TillInfo};

/// Events in one piece.
const BATCH: u32 = 200;
/// So often something is said though nothing happens: proxies and clients cut silent connections, and the
/// token is looked at again.
const STILL_HERE: Duration = Duration::from_secs(15);

/// An event with what it is about.
type Told = (EventRow, Option<ReceiptGlobalNo>);

/// A stream of events to one client.
struct Feed {
    shared: Arc<Shared>,
    caller: Caller,
    tills: Vec<Arc<TillInfo>>,
    /// The only till, if it is not all of them.
    only: Option<Arc<TillInfo>>,
    after: Seq,
    has_begun: bool,
    committed: watch::Receiver<Seq>,
    bell: Option<Arc<Notify>>,
    _place: Place,
}

/// Places for streams: so many in all, and so many for each caller.
#[derive(Debug)]
pub(super) struct Streams {
    all: Arc<Semaphore>,
    each: usize,
    /// By the caller's name in the audit; as many as the store has tokens and users.
    of_caller: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// A stream's place, free again when it is dropped: the caller's, and that among all.
#[derive(Debug)]
struct Place {
    _own: OwnedSemaphorePermit,
    _among_all: OwnedSemaphorePermit,
}

impl Streams {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            of_caller: Mutex::default(),
        }
    }

    /// A place for a stream to this caller.
    ///
    /// # Errors
    /// `busy` if he has his share already, or all places are taken.
    fn enter(&self, actor: &Arc<str>) -> Result<Place, Problem> {
        let own = {
            let mut of_caller = self
                .of_caller
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let own = of_caller
                .entry(Arc::clone(actor))
                .or_insert_with(|| Arc::new(Semaphore::new(self.each)));
            Arc::clone(own)
        };
        let own = own.try_acquire_owned().map_err(|_| {
            let detail = format!("this caller has {} streams of events open", self.each);
            Problem::new(P::Busy, detail)
        })?;
        let among_all = Arc::clone(&self.all)
            .try_acquire_owned()
            .map_err(|_| Problem::new(P::Busy, "too many streams of events are open"))?;
        Ok(Place {
            _own: own,
            _among_all: among_all,
        })
    }
}

/// What happens to a till, as server-sent events.
///
/// The first event, `state`, is what GET /v1/status says. After it come the ledger's events from then on,
/// or from `Last-Event-ID` (or `after`) on. Kinds may be added.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "state",
    operation_id = "events",
    params(
        ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event that was seen."),
        schema::TillParams,
        schema::EventParams,
    ),
    responses(
        (status = 200, description = "A stream that does not end by itself; each `data` is an Event.", body = schema::Event, content_type = "text/event-stream"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["after"])?;
    let choice = TillChoice::of(&params)?;
    let is_all =
        caller.scope == Scope::All && choice.device.is_none() && choice.environment.is_none();
    let only = if is_all {
        None
    } else {
        Some(shared.till(&caller, choice).await?)
    };
    let tills = match &only {
        Some(till) => vec![Arc::clone(till)],
        None => shared.tills(&caller, choice).await?,
    };
    let place = shared.streams.enter(&caller.actor)?;
    let committed = shared.ledger.committed();
    let now = *committed.borrow();
    let after = last_seen(&headers, &params)?.unwrap_or(now);
    let feed = Feed {
        bell: only.as_ref().map(|till| shared.ledger.changes(till.id)),
        shared,
        caller,
        tills,
        only,
        after,
        has_begun: false,
        committed,
        _place: place,
    };
    let pieces = futures_util::stream::unfold(feed, |mut feed| async move {
        let piece = feed.next().await?;
        Some((Ok::<_, Infallible>(piece), feed))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    Ok(response)
}

fn last_seen(headers: &HeaderMap, params: &Params) -> Result<Option<Seq>, Problem> {
    let header = headers.get("last-event-id").map(|value| value.to_str());
    let text = match (header, params.get("after")) {
        (Some(Ok(text)), _) => text,
        (Some(Err(_)), _) => "",
        (None, Some(text)) => text,
        (None, None) => return Ok(None),
    };
    match text.parse() {
        Ok(seq) if seq >= 0 => Ok(Some(Seq(seq))),
        _ => Err(Problem::parameter(
            "after",
            "Last-Event-ID or `after` is the number of an event",
        )),
    }
}

impl Feed {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<String> {
        if !self.has_begun {
            self.has_begun = true;
            return self.state().await;
        }
        loop {
            if self.shared.stop.is_cancelled() {
                return None;
            }
            if !self.shared.is_still_welcome(&self.caller).await {
                return None;
            }
            let bell = self.bell.clone();
            let mut rung = std::pin::pin!(bell.as_ref().map(|bell| bell.notified()));
            if let Some(rung) = rung.as_mut().as_pin_mut() {
                // Before the look: a ring between the look and the wait must not be missed.
                rung.enable();
            }
            let seen = *self.committed.borrow_and_update();
            let told = self.look().await?;
            if let Some((last, _)) = told.last() {
                let is_all = told.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
                self.after = if is_all { last.seq.max(seen) } else { last.seq };
                let text = self.write(&told);
                if text.is_empty() {
                    continue;
                }
                return Some(text);
            }
            self.after = self.after.max(seen);
            let change = async {
                match rung.as_mut().as_pin_mut() {
                    Some(rung) => rung.await,
                    // The ledger's writer is gone only when the daemon ends.
                    None => drop(self.committed.changed().await),
                }
            };
            let waited = tokio::select! {
                () = self.shared.stop.cancelled() => return None,
                waited = timeout(STILL_HERE, change) => waited,
            };
            if waited.is_err() {
                return Some(": still here\n\n".to_owned());
            }
        }
    }

    async fn state(&self) -> Option<String> {
        let state = self.shared.state_of(self.tills.clone()).await.ok()?;
        Some(format!(
            "id: {}\nevent: state\ndata: {state}\n\n",
            self.after
        ))
    }

    /// Events since the last that was told; `None` when the ledger cannot be asked: the client comes again.
    async fn look(&self) -> Option<Vec<Told>> {
        let (after, till) = (self.after, self.only.as_ref().map(|till| till.id));
        let told = self
            .shared
            .ask(move |reader| {
                let events = reader.events(after, till, BATCH)?.into_iter();
                let told = events.map(|event| {
                    let number = number_of(reader, &event)?;
                    Ok((event, number))
                });
                told.collect::<Result<Vec<_>, LedgerError>>()
            })
            .await;
        told.ok()
    }

    fn write(&self, told: &[Told]) -> String {
        let mut out = String::with_capacity(256 * told.len());
        for (event, number) in told.iter().filter(|(event, _)| is_for_a_pos(&event.kind)) {
            // Writing to a String cannot fail.
            let _ = write!(out, "id: {}\nevent: {}\ndata: ", event.seq, event.kind);
            let mut o = Object::open(&mut out);
            o.number("seq", event.seq);
            let at = Timestamp::from_millisecond(event.at).unwrap_or_default();
            o.text("at", &local(at));
            let till = self.tills.iter().find(|till| Some(till.id) == event.till);
            if let Some(till) = till {
                write_till(&mut o, till);
            }
            o.text("kind", &event.kind);
            if let Some(number) = number {
                o.number("receiptGlobalNo", number);
            }
            let detail = event.detail.as_deref();
            // A sale's key is its POS's own affair.
            write_detail(&mut o, detail.filter(|_| event.kind != "receipt.issued"));
            o.close();
            out.push_str("\n\n");
        }
        out
    }
}

/// What is told to head office alone is no till's affair: attempts, and what head office has asked for.
fn is_for_a_pos(kind: &str) -> bool {
    kind != "fdms.attempt" && !kind.starts_with("hq.")
}

/// The receipt that an event is about.
fn number_of(reader: &Reader, event: &EventRow) -> Result<Option<ReceiptGlobalNo>, LedgerError> {
    let seq = match event.kind.as_str() {
        "receipt.issued" => Some(event.seq),
        "fdms.receipt" => event.detail.as_deref().and_then(seq_of),
        _ => None,
    };
    seq.map_or(Ok(None), |seq| reader.receipt_no(seq))
}

fn seq_of(detail: &str) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Detail {
        seq: Seq,
    }
    serde_json::from_str::<Detail>(detail)
        .ok()
        .map(|detail| detail.seq)
}

/// Details are either a word or an object; on a stream they must stay on one line.
fn write_detail(o: &mut Object<'_>, detail: Option<&str>) {
    let Some(detail) = detail.filter(|detail| !detail.is_empty()) else {
        return;
    };
    let is_object = detail.starts_with('{')
        && !detail.contains(['\n', '\r'])
        && serde_json::from_str::<&serde_json::value::RawValue>(detail).is_ok();
    if is_object {
        o.name("detail").push_str(detail);
    } else {
        o.text("detail", detail);
    }
}
