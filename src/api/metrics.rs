//! `GET /metrics`: how the gateway is, as Prometheus reads it. For this machine alone; no buyers, no receipts.

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use clock::Timestamp;
use meter::{head, labels, line};
use sync_wire::state::{StoreState, TillState};

use super::access::{Arrival, Door};
use super::copies::{Beyond, lag};
use super::problem::{Problem, ProblemCode as P};
use super::{Shared, schema};
use crate::backup::LiveStanding;
use crate::disk::{Space, space};
use crate::ledger::holds::HoldKind;
use crate::ledger::hq::HqState;
use crate::ledger::printing::PrintRow;
use crate::ledger::{LedgerError, Reader, TillInfo};
use crate::pos::Standing;
use crate::submit::{Connection, LinkState};

const SECONDS_A_DAY: i64 = 24 * 3600;

/// What is read of the ledger and its disk, in one go.
struct Read {
    tills: Vec<TillInfo>,
    state: StoreState,
    hq: Option<HqState>,
    prints: Vec<PrintRow>,
    /// The longest that a day of each till may be, seconds; none where its configuration is not known.
    longest: Vec<Option<i64>>,
    space: Option<Space>,
    ledger_bytes: u64,
}

/// How the gateway is, as Prometheus reads it. For programs on this machine, without a token.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "state",
    operation_id = "metrics",
    security(()),
    responses(
        (status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(arrival): Extension<Arrival>,
) -> Result<Response, Problem> {
    if matches!(arrival.door, Door::Lan(_)) {
        return Err(Problem::new(
            P::NotAllowed,
            "metrics are for programs on this machine: let Prometheus, or its agent, ask at the loopback address",
        ));
    }
    let place = shared.settings.data_dir.clone();
    let read = shared
        .ask(move |reader| {
            let dir = place.as_deref();
            let ledger = dir.map(|dir| dir.join("ledger.db"));
            let size = ledger.and_then(|path| std::fs::metadata(path).ok());
            Read::of(reader).map(|read| Read {
                space: dir.and_then(|dir| space(dir).ok()),
                ledger_bytes: size.map_or(0, |meta| meta.len()),
                ..read
            })
        })
        .await?;
    let copies = shared.settings.backup.standing();
    let beyond = shared.beyond(&copies).await?;
    let mut text = String::with_capacity(16 * 1024);
    shared.ledger.metrics().write(&mut text);
    shared.write_gauges(&mut text, &read);
    if let Some(live) = &copies.live {
        write_live(&mut text, live, beyond.as_ref(), shared.ledger.time().now());
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

impl Read {
    fn of(reader: &Reader) -> Result<Self, LedgerError> {
        // The tills first: what joins in between is told of the next time.
        let tills = reader.tills()?;
        let longest = tills.iter().map(|till| {
            let taxpayer = reader.taxpayer(till.id)?;
            Ok(taxpayer.map(|taxpayer| i64::from(taxpayer.day_max_hours) * 3600))
        });
        Ok(Self {
            longest: longest.collect::<Result<_, LedgerError>>()?,
            state: reader.hq_store_state()?,
            hq: reader.hq()?,
            prints: reader.open_prints(None)?,
            tills,
            space: None,
            ledger_bytes: 0,
        })
    }
}

impl Read {
    /// A metric of each till that has a value for it.
    fn each_till(
        &self,
        text: &mut String,
        name: &str,
        about: &str,
        value: impl Fn(usize, &TillInfo, &TillState) -> Option<i64>,
    ) {
        let tills = self.tills.iter().zip(&self.state.tills).enumerate();
        let values = tills.filter_map(|(place, (info, state))| {
            let value = value(place, info, state)?.to_string();
            let device = info.device_id.to_string();
            let environment = info.environment.as_str();
            let labels = labels(&[("till", &device), ("environment", environment)]);
            Some((labels, value))
        });
        each(text, name, about, values.collect());
    }

    fn write_queues(&self, text: &mut String, now: Timestamp) {
        self.each_till(
            text,
            "fiscald_queue_items",
            "Openings, receipts and closes that wait for FDMS.",
            |_, _, state| Some(state.queue.waiting.into()),
        );
        self.each_till(
            text,
            "fiscald_queue_age_seconds",
            "How long the oldest of them has waited; 0 if nothing waits.",
            |_, _, state| Some(state.queue.oldest_at.map_or(0, |at| age(now, at))),
        );
        self.each_till(
            text,
            "fiscald_queue_attempts",
            "How often the first of them was tried in vain.",
            |_, _, state| {
                let head = state.queue.head.as_ref();
                Some(head.map_or(0, |head| head.attempts.into()))
            },
        );
        self.each_till(
            text,
            "fiscald_queue_parked",
            "Whether the sending is parked until a person acts.",
            |_, _, state| {
                let head = state.queue.head.as_ref();
                Some(head.is_some_and(|head| head.parked.is_some()).into())
            },
        );
    }

    fn write_days(&self, text: &mut String, now: Timestamp) {
        self.each_till(
            text,
            "fiscald_day_open",
            "Whether a fiscal day is open.",
            |_, _, state| Some(state.day.is_some().into()),
        );
        self.each_till(
            text,
            "fiscald_day_number",
            "The last fiscal day that was opened.",
            |_, _, state| Some(state.last_day_no.into()),
        );
        self.each_till(
            text,
            "fiscald_day_left_seconds",
            "How long the open fiscal day may still be open; negative once it is overdue.",
            |place, _, state| {
                let opened: clock::DateTime = state.day.as_ref()?.opened.parse().ok()?;
                let longest = (*self.longest.get(place)?)?;
                Some(longest - now.duration_since(clock::instant(opened)).as_secs())
            },
        );
    }
}

/// A metric with a value for each of several things.
fn each(text: &mut String, name: &str, about: &str, values: Vec<(String, String)>) {
    head(text, name, "gauge", about);
    for (labels, value) in values {
        line(text, name, &labels, value);
    }
}

fn one(text: &mut String, name: &str, about: &str, value: impl Display) {
    head(text, name, "gauge", about);
    line(text, name, "", value);
}

impl Shared {
    fn write_gauges(&self, text: &mut String, read: &Read) {
        let version = labels(&[("version", env!("CARGO_PKG_VERSION"))]);
        let about = "The program's version.";
        each(text, "fiscald_info", about, vec![(version, "1".to_owned())]);
        let about = "Whether the ledger takes writes.";
        let writable = u8::from(self.ledger.fault().is_none());
        one(text, "fiscald_ledger_writable", about, writable);
        let about = "Sales that wait for the ledger's writer.";
        one(text, "fiscald_ledger_waiting", about, self.ledger.waiting());
        let status = self.ledger.time().status();
        let about = "How far this machine's clock is ahead of the time that receipts are dated by.";
        let skew = status.skew_seconds;
        one(text, "fiscald_clock_skew_seconds", about, skew);
        let about = "Whether nothing is wrong or unconfirmed with this machine's clock.";
        let trusted = u8::from(status.flag.is_none());
        one(text, "fiscald_clock_trusted", about, trusted);
        if let Some(space) = &read.space {
            let about = "Room on the ledger's disk.";
            one(text, "fiscald_disk_free_bytes", about, space.free);
            let about = "Size of the ledger's disk.";
            one(text, "fiscald_disk_size_bytes", about, space.total);
            let about = "Size of the ledger, without its log.";
            one(text, "fiscald_ledger_bytes", about, read.ledger_bytes);
        }
        self.write_backups(text);
        self.write_tills(text, read);
        self.write_devices(text, read);
        self.write_hq(text, read);
    }

    fn write_backups(&self, text: &mut String) {
        let standing = self.settings.backup.standing();
        let Some(kept_since) = standing.kept_since.filter(|_| standing.folder.is_some()) else {
            return;
        };
        let about = "Whether the last try to make a backup has failed.";
        let failed = u8::from(standing.trouble.is_some());
        one(text, "fiscald_backup_failed", about, failed);
        let about = "How long ago the latest backup was made; while there is none, how long the gateway has run.";
        let since = standing.last.unwrap_or(kept_since);
        let age = self.ledger.time().now().duration_since(since).as_secs();
        one(text, "fiscald_backup_age_seconds", about, age.max(0));
    }

    fn write_tills(&self, text: &mut String, read: &Read) {
        let now = self.ledger.time().now();
        read.each_till(
            text,
            "fiscald_receipt_number",
            "The last receiptGlobalNo that was issued.",
            |_, _, state| Some(state.last_global_no.into()),
        );
        read.each_till(
            text,
            "fiscald_till_held",
            "Whether something keeps the till from selling.",
            |_, _, state| Some(state.hold.is_some().into()),
        );
        read.each_till(
            text,
            "fiscald_fdms_online",
            "Whether FDMS was reached at the last try; of tills that are in use and have tried.",
            |_, info, state| {
                let hold = state.hold.as_ref();
                if hold.is_some_and(|hold| hold.kind == HoldKind::Retired.as_str()) {
                    return None;
                }
                self.submitter.look(info.id, online)?.map(i64::from)
            },
        );
        read.each_till(
            text,
            "fiscald_certificate_days",
            "Whole days until the till's certificate ends; negative once it has.",
            |_, _, state| {
                let end = state.certificate.as_ref()?.not_after;
                Some((-age(now, end)).div_euclid(SECONDS_A_DAY))
            },
        );
        read.write_queues(text, now);
        read.write_days(text, now);
    }

    fn write_devices(&self, text: &mut String, read: &Read) {
        let printers = &self.printers.plan().printers;
        let of = |name: &str| labels(&[("printer", name)]);
        let ready = printers.iter().map(|printer| {
            let condition = self.printers.condition(&printer.name);
            let ready = condition.is_some_and(|c| c.connected && c.fault.is_none());
            (of(&printer.name), u8::from(ready).to_string())
        });
        let about = "Whether the printer is connected and can print.";
        each(text, "fiscald_printer_ready", about, ready.collect());
        let open = |name: &str, doubt: bool| {
            let rows = read.prints.iter();
            let rows = rows.filter(|row| row.printer == name && (row.state == "unknown") == doubt);
            (of(name), rows.count().to_string())
        };
        let waiting = printers.iter().map(|p| open(&p.name, false));
        let about = "Papers that wait for the printer.";
        each(text, "fiscald_printer_waiting", about, waiting.collect());
        let doubt = printers.iter().map(|p| open(&p.name, true));
        let about = "Papers of which nobody knows whether they came out.";
        each(text, "fiscald_printer_in_doubt", about, doubt.collect());
        let ports = self.pos.setups().iter().map(|port| {
            let open = matches!(self.pos.standing(&port.name), Standing::Open);
            (labels(&[("port", &port.name)]), u8::from(open).to_string())
        });
        let about = "Whether old POS software can connect.";
        each(text, "fiscald_pos_port_open", about, ports.collect());
    }

    fn write_hq(&self, text: &mut String, read: &Read) {
        let about = "Whether the store belongs to a head office.";
        let joined = u8::from(read.hq.is_some());
        one(text, "fiscald_hq_joined", about, joined);
        let Some(hq) = &read.hq else {
            return;
        };
        let now = self.ledger.time().now();
        let seconds =
            |at: Option<Timestamp>| at.map_or(0, |at| now.duration_since(at).as_secs().max(0));
        let about = "Lines that wait for head office.";
        one(text, "fiscald_hq_waiting", about, hq.waiting);
        let about = "How long the oldest of them has waited; 0 if nothing waits.";
        one(text, "fiscald_hq_lag_seconds", about, seconds(hq.oldest));
        let heard = hq.last_contact.unwrap_or(hq.joined_at);
        let about = "How long ago head office was heard.";
        one(
            text,
            "fiscald_hq_silence_seconds",
            about,
            seconds(Some(heard)),
        );
    }
}

fn write_live(text: &mut String, live: &LiveStanding, beyond: Option<&Beyond>, now: Timestamp) {
    let about = "Whether the live copy follows the ledger.";
    let follows = live.copied.is_some() && live.trouble.is_none();
    one(text, "fiscald_live_copy_follows", about, u8::from(follows));
    if let Some(beyond) = beyond {
        let about = "Events that are not in the live copy yet.";
        one(text, "fiscald_live_copy_waiting", about, beyond.events);
    }
    if let Some(lag) = lag(live, beyond, now) {
        let about = "How long the oldest of them has waited, or the copy has not followed; 0 if nothing waits.";
        one(text, "fiscald_live_copy_lag_seconds", about, lag);
    }
}

/// Whether FDMS was reached at the last try; none before one was made.
fn online(link: &LinkState) -> Option<bool> {
    match link.connection {
        Connection::Online { .. } => Some(true),
        Connection::Offline { .. } => Some(false),
        Connection::Unknown => None,
    }
}

/// Seconds from a moment in milliseconds until now; negative if it is still to come.
fn age(now: Timestamp, at: i64) -> i64 {
    now.as_millisecond().saturating_sub(at).div_euclid(1000)
}
