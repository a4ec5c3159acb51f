//! What a technician does to a till: configuration, certificate, adoption, confirmation, switch, retirement.
//!
//! Each of these is audited and answered with the till's state as it is then. What cannot be undone asks for
//! the device ID once more, in the body.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use fiscal::counters::DayTotals;
use fiscal::json::Value;
use fiscal::receipt::Hash;
use fiscal::wire::{Object, rows};
use fiscal::{DeviceId, FiscalDayNo, ReceiptCounter, ReceiptGlobalNo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::access::{Caller, Scope, TillChoice};
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::json;
use super::{Shared, schema};
use crate::fdms::wire::Status;
use crate::inspect::read_counters;
use crate::ledger::adoption::{AdoptedDay, Adoption};
use crate::ledger::{Environment, TillId, TillInfo};
use crate::submit::desk::DeskError;
use crate::submit::reconcile::adoption_from;

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        let detail = error.to_string();
        match error {
            DeskError::NoLine(_) | DeskError::Later(_) => Self::new(P::FdmsUnreachable, detail),
            DeskError::Refused(_) => Self::new(P::FdmsRefused, detail),
            DeskError::NotKept(_) => Self::new(P::LedgerFault, detail),
        }
    }
}

/// Repeats which till is meant, for what cannot be undone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Confirmed {
    confirm: u32,
}

/// From where the till goes on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Adopt {
    confirm: u32,
    last_fiscal_day_no: Option<u32>,
    last_receipt_global_no: Option<u32>,
    open_day: Option<OpenDay>,
}

/// A day that other software has opened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenDay {
    fiscal_day_no: u32,
    fiscal_day_opened: String,
    receipt_counter: u32,
    receipt_global_no: u32,
    receipt_date: Option<String>,
    previous_receipt_hash: Option<String>,
    fiscal_day_counters: Box<RawValue>,
}

/// The till that new sales go to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SwitchTo {
    #[serde(rename = "deviceID")]
    device_id: u32,
    environment: Option<Environment>,
}

/// Fetch a till's configuration from FDMS now.
#[utoipa::path(
    post,
    path = "/v1/tills/config",
    tag = "tills",
    operation_id = "fetchConfig",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The configurations of the till, newest first, each with what it changed.", body = schema::Configs),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn fetch_config(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::of(request.uri(), &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    shared
        .note(&caller, "config.ask", Some(till.id), "")
        .await?;
    shared.submitter.fetch_config(till.id).await?;
    shared.configs(&till).await
}

/// The configurations of a till, newest first, each with what it changed.
#[utoipa::path(
    get,
    path = "/v1/tills/config",
    tag = "tills",
    operation_id = "configs",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The configurations.", body = schema::Configs),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn configs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let till = shared.till(&caller, TillChoice::of(&params)?).await?;
    shared.configs(&till).await
}

/// Renew a till's certificate now.
#[utoipa::path(
    post,
    path = "/v1/tills/certificate",
    tag = "tills",
    operation_id = "renewCertificate",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The till, with its new certificate.", body = schema::Status),
        (status = "default", description = "Any problem; the certificate in use stays.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn renew_certificate(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::of(request.uri(), &[])?;
    let till = shared.technicians(&caller, &params).await?;
    shared
        .note(&caller, "certificate.ask", Some(till.id), "")
        .await?;
    shared.submitter.renew_certificate(till.id).await?;
    shared.state_answer(till).await
}

/// Let a till go on from FDMS's numbers, or from those of the software that used it before.
///
/// For a device that is taken over, and for one that FDMS has more of than this ledger. FDMS is asked first.
/// Receipts here that FDMS does not have are never sent after that; they stay, marked `passedOver`.
#[utoipa::path(
    post,
    path = "/v1/tills/adopt",
    tag = "tills",
    operation_id = "adoptTill",
    params(schema::TillParams),
    request_body = schema::Adopt,
    responses(
        (status = 200, description = "The till, as it goes on.", body = schema::Status),
        (status = "default", description = "Any problem; nothing was changed.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn adopt(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (till, wanted): (_, Adopt) = shared.command(&caller, request).await?;
    confirmed(wanted.confirm, &till)?;
    let id = till.id;
    let own = shared.write(move |core| core.last_numbers(id)).await?;
    let to = if shared.ask(move |reader| reader.is_offline(id)).await? {
        by_hand(wanted, own)?
    } else {
        let status = shared.submitter.fdms_status(till.id).await?;
        from_fdms(wanted, &status, own)?
    };
    let actor = Arc::clone(&caller.actor);
    shared
        .write(move |core| core.adopt(id, &to, &actor))
        .await?;
    shared.state_answer(till).await
}

/// FDMS tells where a device stands that reports message by message.
fn from_fdms(
    wanted: Adopt,
    status: &Status,
    own: (FiscalDayNo, ReceiptGlobalNo),
) -> Result<Adoption, Problem> {
    let last = wanted.last_receipt_global_no.and_then(ReceiptGlobalNo::new);
    let Some(day) = wanted.open_day else {
        return adoption_from(status, own, last).map_err(|why| Problem::new(P::NotNow, why));
    };
    let adoption = open_day(day)?;
    let no = adoption.last_day_no.next();
    if status.last_fiscal_day_no != Some(u64::from(no.get())) {
        let last = status.last_fiscal_day_no.unwrap_or(0);
        let detail = format!("the open day is {no}, but FDMS stands at day {last}");
        return Err(Problem::new(P::BodyInvalid, detail).at("/openDay/fiscalDayNo"));
    }
    Ok(adoption)
}

/// Of a device that reports by file FDMS tells neither day nor receipt: a person must.
fn by_hand(wanted: Adopt, own: (FiscalDayNo, ReceiptGlobalNo)) -> Result<Adoption, Problem> {
    if let Some(day) = wanted.open_day {
        return open_day(day);
    }
    let day = wanted.last_fiscal_day_no.and_then(FiscalDayNo::new);
    let receipt = wanted.last_receipt_global_no.and_then(ReceiptGlobalNo::new);
    let (Some(day), Some(receipt)) = (day, receipt) else {
        let detail = "FDMS does not tell where a device stands that reports by file: give the last fiscal day and the \
                      highest receiptGlobalNo, as the former software or the portal has them";
        return Err(Problem::new(P::BodyInvalid, detail).at("/lastFiscalDayNo"));
    };
    Ok(Adoption {
        last_day_no: day.max(own.0),
        last_global_no: receipt.max(own.1),
        last_date: None,
        day: None,
    })
}

fn open_day(day: OpenDay) -> Result<Adoption, Problem> {
    let wrong = |field: &str, why: String| {
        Problem::new(P::BodyInvalid, why).at(format!("/openDay/{field}"))
    };
    let date = |field: &str, text: &str| {
        text.parse::<fiscal::DateTime>().map_err(|_| {
            wrong(
                field,
                format!("\"{text}\" is no time like 2026-05-28T08:00:00"),
            )
        })
    };
    let number = |field: &str| wrong(field, "the number is out of its range".to_owned());
    let last_day_no = day.fiscal_day_no.checked_sub(1).and_then(FiscalDayNo::new);
    let last_hash = day.previous_receipt_hash.as_deref().map(|text| {
        Hash::parse(text).ok_or_else(|| {
            let why = "it is not the base64 of 32 bytes".to_owned();
            wrong("previousReceiptHash", why)
        })
    });
    let last_hash = last_hash.transpose()?;
    if (day.receipt_counter == 0) != last_hash.is_none() {
        let why = "the hash of the day's last receipt is needed, unless it has none".to_owned();
        return Err(wrong("previousReceiptHash", why));
    }
    let counters = Value::parse(day.fiscal_day_counters.get().as_bytes());
    let Ok(Value::Array(counters)) = counters else {
        let why = "an array of counters is needed, as CloseDay takes them".to_owned();
        return Err(wrong("fiscalDayCounters", why));
    };
    let (counters, findings) = read_counters(&counters);
    if !findings.is_empty() {
        return Err(Problem::findings(findings));
    }
    let date_of_last = day.receipt_date.as_deref();
    Ok(Adoption {
        last_day_no: last_day_no.ok_or_else(|| number("fiscalDayNo"))?,
        last_global_no: ReceiptGlobalNo::new(day.receipt_global_no)
            .ok_or_else(|| number("receiptGlobalNo"))?,
        last_date: date_of_last
            .map(|text| date("receiptDate", text))
            .transpose()?,
        day: Some(AdoptedDay {
            opened: date("fiscalDayOpened", &day.fiscal_day_opened)?,
            last_counter: ReceiptCounter::new(day.receipt_counter)
                .ok_or_else(|| number("receiptCounter"))?,
            last_hash,
            totals: DayTotals {
                counters,
                ..DayTotals::default()
            },
        }),
    })
}

/// Vouch that a till has sold nothing since this copy of its ledger was made.
#[utoipa::path(
    post,
    path = "/v1/tills/confirm",
    tag = "tills",
    operation_id = "confirmTill",
    params(schema::TillParams),
    request_body = schema::Confirm,
    responses(
        (status = 200, description = "The till, which sells again.", body = schema::Status),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn confirm(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (till, wanted): (_, Confirmed) = shared.command(&caller, request).await?;
    confirmed(wanted.confirm, &till)?;
    let (id, actor) = (till.id, caller.actor);
    shared
        .write(move |core| core.confirm_till(id, &actor))
        .await?;
    shared.state_answer(till).await
}

/// Retire a till for good; refused while anything is unsent.
#[utoipa::path(
    post,
    path = "/v1/tills/retire",
    tag = "tills",
    operation_id = "retireTill",
    params(schema::TillParams),
    request_body = schema::Confirm,
    responses(
        (status = 200, description = "The till, retired.", body = schema::Status),
        (status = 409, description = "A day is open, or something is unsent.", body = schema::Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retire(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (till, wanted): (_, Confirmed) = shared.command(&caller, request).await?;
    confirmed(wanted.confirm, &till)?;
    let (id, actor) = (till.id, caller.actor);
    shared
        .write(move |core| core.retire_till(id, "", &actor))
        .await?;
    shared.state_answer(till).await
}

/// Point new sales of a till at another till; at itself ends that.
///
/// A sale that names its till by `deviceID` goes there all the same, and so does one that repeats an earlier sale.
#[utoipa::path(
    post,
    path = "/v1/tills/switch",
    tag = "tills",
    operation_id = "switchTill",
    params(schema::TillParams),
    request_body = schema::SwitchTo,
    responses(
        (status = 200, description = "The till, whose new sales go elsewhere.", body = schema::Status),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn switch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (till, wanted): (_, SwitchTo) = shared.command(&caller, request).await?;
    let choice = TillChoice {
        device: DeviceId::new(wanted.device_id),
        environment: wanted.environment,
    };
    let to = shared.till(&caller, choice).await?;
    let (id, to, actor) = (till.id, to.id, caller.actor);
    shared
        .write(move |core| core.switch_till(id, Some(to), &actor))
        .await?;
    shared.state_answer(till).await
}

fn confirmed(confirm: u32, till: &TillInfo) -> Result<(), Problem> {
    if confirm == till.device_id.get() {
        return Ok(());
    }
    let detail = format!("`confirm` is {confirm}, but the till is {}", till.device_id);
    Err(Problem::new(P::BodyInvalid, detail).at("/confirm"))
}

/// Whether a caller may steer every till.
pub(super) fn technician(caller: &Caller) -> Result<(), Problem> {
    if caller.scope == Scope::All {
        return Ok(());
    }
    let detail = "this needs a token for every till, or the gateway's own user";
    Err(Problem::new(P::NotAllowed, detail))
}

impl Shared {
    /// The till that a technician means; a till's own token may not do what he does.
    pub(super) async fn technicians(
        &self,
        caller: &Caller,
        params: &Params,
    ) -> Result<Arc<TillInfo>, Problem> {
        technician(caller)?;
        self.till(caller, TillChoice::of(params)?).await
    }

    /// What a technician asks of a till, in the body.
    pub(super) async fn command<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        request: Request,
    ) -> Result<(Arc<TillInfo>, T), Problem> {
        let (parts, body) = request.into_parts();
        let params = Params::of(&parts.uri, &[])?;
        let till = self.technicians(caller, &params).await?;
        Ok((till, self.wanted(&parts.headers, body).await?))
    }

    /// What a body asks for.
    pub(super) async fn wanted<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<T, Problem> {
        let bytes = self.body(headers, body).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(P::BodyInvalid, error.to_string()))
    }

    /// Audits who has asked for something that is not itself a change of the ledger.
    pub(super) async fn note(
        &self,
        caller: &Caller,
        action: &'static str,
        till: Option<TillId>,
        detail: impl Into<String>,
    ) -> Result<(), Problem> {
        let (actor, detail) = (Arc::clone(&caller.actor), detail.into());
        self.write(move |core| core.note_asked(action, till, &detail, &actor))
            .await
    }

    pub(super) async fn state_answer(&self, till: Arc<TillInfo>) -> Result<Response, Problem> {
        Ok(json(StatusCode::OK, self.state_of(vec![till]).await?))
    }

    async fn configs(&self, till: &TillInfo) -> Result<Response, Problem> {
        let id = till.id;
        let configs = self.ask(move |reader| reader.configs(id)).await?;
        let mut out = String::with_capacity(4096);
        let mut o = Object::open(&mut out);
        super::answer::write_till(&mut o, till);
        rows(o.name("configs"), &configs, |o, config| {
            o.text("fetchedAt", &super::answer::local(config.fetched_at));
            rows(o.name("changes"), &config.changes, |o, change| {
                o.text("what", &change.what);
                o.optional_text("before", change.before.as_deref());
                o.optional_text("after", change.after.as_deref());
            });
        });
        o.close();
        Ok(json(StatusCode::OK, out))
    }
}
