//! How the store is: tills, their queues to FDMS, the clock, the ledger; alive and ready.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use clock::Timestamp;
use fiscal::taxpayer::Taxpayer;
use fiscal::wire::{Object, rows};
use fiscal::{DateTime, ReceiptGlobalNo};
use tokio::time::timeout;

use super::access::{Caller, TillChoice};
use super::answer::{local, strings, write_parked, write_till};
use super::copies::Beyond;
use super::link::Link;
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::json;
use super::{Shared, head_office, schema};
use crate::keys::Certificate;
use crate::ledger::adoption::Adopted;
use crate::ledger::days::warning_at;
use crate::ledger::holds::Hold;
use crate::ledger::read::Backlog;
use crate::ledger::red::{RedReceipt, WAY_OUT};
use crate::ledger::stream::{Item, ItemKind, Step, StreamState};
use crate::ledger::{DayFacts, DayPolicy, LedgerError, Reader, Seq, TillId, TillInfo};

/// How long a living writer may take for a transaction with nothing in it.
const READY_WITHIN: Duration = Duration::from_secs(2);
const SECONDS_A_DAY: i64 = 24 * 3600;

/// Everything that is told of a till.
struct TillState {
    info: Arc<TillInfo>,
    taxpayer: Option<Arc<Taxpayer>>,
    certificate: Option<String>,
    day: Option<DayFacts>,
    last: (ReceiptGlobalNo, Option<DateTime>),
    queue: Queue,
    policy: DayPolicy,
    red: Vec<RedReceipt>,
    hold: Option<Hold>,
    adopted: Option<Adopted>,
    successor: Option<TillInfo>,
    link: Option<Link>,
}

/// A till's stream to FDMS.
pub(super) struct Queue {
    pub(super) state: StreamState,
    pub(super) head: Option<Item>,
    backlog: Backlog,
}

impl Queue {
    pub(super) fn read(reader: &Reader, till: &TillInfo) -> Result<Self, LedgerError> {
        let (state, head) = reader.stream(till.id)?;
        Ok(Self {
            state,
            head,
            backlog: reader.backlog(till.id)?,
        })
    }

    /// `sent`, `waiting`, `retrying` or `parked`.
    fn word(&self) -> &'static str {
        match (&self.head, &self.state.parked, self.state.attempts) {
            (_, Some(_), _) => "parked",
            (None, None, _) => "sent",
            (Some(_), None, 0) => "waiting",
            (Some(_), None, _) => "retrying",
        }
    }

    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.text("state", self.word());
        o.number("unsent", self.backlog.total());
        o.number("unsentReceipts", self.backlog.receipts);
        if let Some(head) = &self.head {
            o.object("head", |o| {
                match head.kind {
                    ItemKind::Open(no) => {
                        o.text("what", "openDay");
                        o.number("fiscalDayNo", no);
                    }
                    ItemKind::Receipt(no) => {
                        o.text("what", "receipt");
                        o.number("receiptGlobalNo", no);
                    }
                    ItemKind::Close(no) => {
                        o.text("what", "closeDay");
                        o.number("fiscalDayNo", no);
                    }
                }
                o.text("notBefore", &head.due.to_string());
                let step = match self.state.step {
                    Step::Send => "send",
                    Step::Ask => "ask",
                    Step::Poll => "poll",
                };
                o.text("step", step);
            });
        }
        o.number("attempts", self.state.attempts);
        if self.state.next_attempt > Timestamp::UNIX_EPOCH {
            o.text("nextAttempt", &local(self.state.next_attempt));
        }
        o.optional_text("lastError", self.state.last_error.as_deref());
        if let Some(parked) = &self.state.parked {
            o.object("parked", |o| write_parked(o, parked));
        }
    }
}

impl TillState {
    fn read(reader: &Reader, info: Arc<TillInfo>, policy: DayPolicy) -> Result<Self, LedgerError> {
        let id = info.id;
        let day = reader.day(id, None)?;
        let red = day.as_ref().map(|day| reader.red_receipts(day.day_id));
        Ok(Self {
            policy,
            red: red.transpose()?.unwrap_or_default(),
            taxpayer: reader.taxpayer(id)?,
            certificate: reader.certificate_pem(id)?,
            day,
            last: reader.last_receipt(id)?,
            queue: Queue::read(reader, &info)?,
            hold: reader.hold(id)?,
            adopted: reader.adoptions(id)?.pop(),
            successor: successor(reader, id)?,
            link: None,
            info,
        })
    }

    fn write(&self, o: &mut Object<'_>, now: Timestamp) {
        write_till(o, &self.info);
        o.text("deviceModelName", &self.info.model_name);
        o.text("deviceModelVersion", &self.info.model_version);
        o.text("invoicePrefix", &self.info.invoice_prefix);
        let is_ready = self.certificate.is_some() && self.taxpayer.is_some();
        o.number("ready", is_ready);
        if let Some(taxpayer) = &self.taxpayer {
            o.object("taxpayer", |o| write_taxpayer(o, taxpayer));
        }
        if let Some(day) = &self.day {
            o.object("day", |o| self.write_day(o, day, now));
        }
        if let (number, Some(date)) = self.last {
            o.object("lastReceipt", |o| {
                o.number("receiptGlobalNo", number);
                o.text("receiptDate", &date.to_string());
            });
        }
        let certificate = self.certificate.as_deref();
        if let Some(Ok(certificate)) = certificate.map(Certificate::from_pem) {
            o.object("certificate", |o| {
                let left = certificate.not_after().duration_since(now).as_secs();
                o.text("validTill", &local(certificate.not_after()));
                o.number("daysLeft", left.div_euclid(SECONDS_A_DAY));
                o.text("thumbprint", certificate.thumbprint());
                let alarm = crate::submit::alarm_of(certificate.not_after(), now);
                o.optional_text("alarm", alarm.as_deref());
            });
        }
        if let Some(hold) = &self.hold {
            o.object("hold", |o| {
                o.text("kind", hold.kind.as_str());
                o.text("reason", &hold.reason);
                o.text("since", &local(hold.since));
            });
        }
        if let Some(to) = &self.successor {
            o.object("newSalesGoTo", |o| {
                o.number("deviceID", to.device_id);
                o.text("environment", to.environment.as_str());
            });
        }
        if let Some(adopted) = &self.adopted {
            o.object("adopted", |o| {
                o.number("lastFiscalDayNo", adopted.to.last_day_no);
                o.number("lastReceiptGlobalNo", adopted.to.last_global_no);
            });
        }
        if let Some(link) = &self.link {
            o.object("link", |o| link.write(o));
        }
        o.object("fdms", |o| self.queue.write(o));
    }

    fn write_day(&self, o: &mut Object<'_>, day: &DayFacts, now: Timestamp) {
        let taxpayer = self.taxpayer.as_deref();
        super::days::write_day(o, day, taxpayer);
        let (None, Some(taxpayer)) = (&day.close, taxpayer) else {
            return;
        };
        let hours = taxpayer.day_max_hours;
        let closes_at = self.policy.closes_at(day.opened, hours);
        if !self.red.is_empty() {
            rows(o.name("redReceipts"), &self.red, |o, red| {
                o.number("receiptGlobalNo", red.receipt_global_no);
                strings(o.name("marks"), &red.marks);
            });
            o.text("notClosable", WAY_OUT);
        }
        o.optional_text("closesAt", closes_at.map(|at| at.to_string()).as_deref());
        let notification_hours = taxpayer.day_end_notification_hours;
        let warning = warning_at(day.opened, hours, notification_hours, clock::local(now));
        o.optional_text("warning", warning.as_deref());
    }
}

/// The till that new sales of this one go to.
fn successor(reader: &Reader, till: TillId) -> Result<Option<TillInfo>, LedgerError> {
    let switches = reader.switches()?;
    let Some((_, to)) = switches.into_iter().find(|(from, _)| *from == till) else {
        return Ok(None);
    };
    Ok(reader.tills()?.into_iter().find(|info| info.id == to))
}

fn write_taxpayer(o: &mut Object<'_>, taxpayer: &Taxpayer) {
    o.text("taxPayerName", &taxpayer.name);
    o.text("taxPayerTIN", &taxpayer.tin);
    o.optional_text("vatNumber", taxpayer.vat_number.as_deref());
    o.text("deviceBranchName", &taxpayer.branch_name);
    o.text("qrUrl", &taxpayer.qr_url);
    o.number("taxPayerDayMaxHrs", taxpayer.day_max_hours);
    rows(o.name("applicableTaxes"), &taxpayer.taxes, |o, tax| {
        o.number("taxID", tax.id);
        o.text("taxName", &tax.name);
        if let Some(percent) = tax.percent {
            o.number("taxPercent", percent);
        }
        if tax.valid_from > DateTime::MIN {
            o.text("validFrom", &tax.valid_from.to_string());
        }
        let till = tax.valid_till.map(|till| till.to_string());
        o.optional_text("validTill", till.as_deref());
    });
}

/// How the store is: its tills, their queues, the clock, the ledger.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "state",
    operation_id = "status",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The tills that the caller may use.", body = schema::Status),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let tills = shared.tills(&caller, TillChoice::of(&params)?).await?;
    Ok(json(StatusCode::OK, shared.state_of(tills).await?))
}

/// The queues to FDMS.
#[utoipa::path(
    get,
    path = "/v1/queue",
    tag = "state",
    operation_id = "queue",
    params(schema::TillParams),
    responses(
        (status = 200, description = "The queue of each till that the caller may use.", body = schema::Queues),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn queue(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let tills = shared.tills(&caller, TillChoice::of(&params)?).await?;
    shared.queues(tills).await
}

/// Alive: the daemon answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "state",
    operation_id = "healthz",
    security(()),
    responses((status = 200, description = "It answers.", body = schema::Health)),
)]
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

/// Ready: the ledger takes sales.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "state",
    operation_id = "readyz",
    security(()),
    responses(
        (status = 200, description = "The writer lives and the ledger takes writes.", body = schema::Health),
        (status = "default", description = "Why not.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    if shared.stop.is_cancelled() {
        return Err(Problem::new(P::Stopping, "the gateway is stopping"));
    }
    // A transaction with nothing in it goes through the writer's queue like a sale, and costs no fsync.
    match timeout(READY_WITHIN, shared.ledger.write(|_| Ok(()))).await {
        Ok(Ok(())) => Ok(json(StatusCode::OK, "{\"status\":\"ready\"}".to_owned())),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let detail = format!(
                "the writer did not answer within {} s",
                READY_WITHIN.as_secs()
            );
            Err(Problem::new(P::Timeout, detail))
        }
    }
}

impl Shared {
    /// What the live copy has not yet: how many events, and when the first of them was.
    pub(super) async fn beyond(
        &self,
        backup: &crate::backup::Standing,
    ) -> Result<Option<Beyond>, Problem> {
        let Some(copied) = backup.live.as_ref().and_then(|live| live.copied) else {
            return Ok(None);
        };
        let behind = self
            .ledger
            .committed()
            .borrow()
            .0
            .saturating_sub(copied)
            .max(0);
        let first = self
            .ask(move |reader| reader.events(Seq(copied), None, 1))
            .await?;
        Ok(Some(Beyond {
            events: behind,
            since: first
                .first()
                .and_then(|event| Timestamp::from_millisecond(event.at).ok()),
        }))
    }

    /// The document of `GET /v1/status`.
    pub(super) async fn state_of(&self, tills: Vec<Arc<TillInfo>>) -> Result<String, Problem> {
        let policies: Vec<DayPolicy> = tills
            .iter()
            .map(|till| self.ledger.settings().policy(till))
            .collect();
        let (mut states, hq) = self
            .ask(move |reader| {
                let tills = tills.into_iter().zip(policies);
                let states = tills.map(|(till, policy)| TillState::read(reader, till, policy));
                Ok((states.collect::<Result<Vec<_>, _>>()?, reader.hq()?))
            })
            .await?;
        for state in &mut states {
            state.link = Some(self.link(state.info.id));
        }
        let time = self.ledger.time();
        let (now, clock) = (time.now(), time.status());
        let mut out = String::with_capacity(4096);
        let mut o = Object::open(&mut out);
        o.text("version", env!("CARGO_PKG_VERSION"));
        o.object("time", |o| {
            o.text("trusted", &clock.trusted.to_string());
            o.text("wall", &clock.wall.to_string());
            o.number("skewSeconds", clock.skew_seconds);
            if let Some(flag) = clock.flag {
                // A word always serialises.
                let word = serde_json::to_string(&flag).unwrap_or_default();
                o.name("flag").push_str(&word);
            }
        });
        o.object("ledger", |o| {
            let fault = self.ledger.fault();
            o.number("writable", fault.is_none());
            o.optional_text("fault", fault.as_deref());
            o.number("waiting", self.ledger.waiting());
        });
        if let Some(hq) = hq {
            let standing = self.settings.hq.standing();
            o.object("headOffice", |o| head_office::write(o, &hq, &standing, now));
        }
        let backup = self.settings.backup.standing();
        if backup.folder.is_some() || backup.live.is_some() {
            let beyond = self.beyond(&backup).await?;
            o.object("backup", |o| super::copies::write(o, &backup, beyond, now));
        }
        rows(o.name("tills"), &states, |o, state| state.write(o, now));
        o.close();
        Ok(out)
    }

    pub(super) async fn queues(&self, tills: Vec<Arc<TillInfo>>) -> Result<Response, Problem> {
        let queues = self
            .ask(move |reader| {
                let queues = tills.into_iter().map(|till| {
                    let queue = Queue::read(reader, &till)?;
                    Ok((till, queue))
                });
                queues.collect::<Result<Vec<_>, LedgerError>>()
            })
            .await?;
        let mut out = String::new();
        let mut o = Object::open(&mut out);
        rows(o.name("tills"), &queues, |o, (till, queue)| {
            write_till(o, till);
            queue.write(o);
        });
        o.close();
        Ok(json(StatusCode::OK, out))
    }
}
