//! How the store is at this moment, as far as the ledger knows: what HQ is told with each exchange.

use rusqlite::{Connection, OptionalExtension as _, params};
use sync_wire::TillRef;
use sync_wire::state::{
    CertificateState, DayState, HeadState, HoldState, ParkedState, QueueState, StoreState,
    TillState,
};

use super::till_ref;
use crate::keys::Certificate;
use crate::ledger::chain::{self, IN_USE};
use crate::ledger::holds::{load_gate, load_hold, successor};
use crate::ledger::read::{Backlog, backlog};
use crate::ledger::stream::{Item, StreamState, load_stream, next_item};
use crate::ledger::{LedgerError, Reader, Seq, StorageError, TillInfo, configs};

impl Reader {
    /// The store as the ledger knows it. Time, version, faults, settings and each till's `line` are the caller's to fill in.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_store_state(&self) -> Result<StoreState, LedgerError> {
        self.with(|conn| {
            let infos = chain::till_infos(conn)?;
            let tills = infos.iter().map(|info| till_state(conn, info, &infos));
            Ok(StoreState {
                at: 0,
                last_seq: conn
                    .prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?
                    .query_row([], |row| row.get(0))?,
                version: String::new(),
                clock_skew_ms: None,
                fault: None,
                settings: None,
                revision: super::load(conn)?.map_or(0, |hq| hq.wanted.revision),
                tills: tills.collect::<Result<_, _>>()?,
            })
        })
    }
}

fn till_state(
    conn: &Connection,
    info: &TillInfo,
    all: &[TillInfo],
) -> Result<TillState, LedgerError> {
    let head = chain::load_head(conn, info.id)?;
    let stream = load_stream(conn, info.id)?;
    let item = next_item(conn, &stream)?;
    let hold = match load_hold(conn, info.id)? {
        None => load_gate(conn, info.id)?,
        hold => hold,
    };
    let certificate: Option<String> = conn
        .prepare_cached(&format!("SELECT c.pem {IN_USE}"))?
        .query_row([info.id.0], |row| row.get(0))
        .optional()?;
    let successor = successor(conn, info.id)?;
    let successor: Option<TillRef> =
        successor.and_then(|to| all.iter().find(|other| other.id == to).map(till_ref));
    Ok(TillState {
        till: till_ref(info),
        serial_no: info.serial_no.clone(),
        model_name: info.model_name.clone(),
        model_version: info.model_version.clone(),
        invoice_prefix: info.invoice_prefix.clone(),
        operating_mode: configs::operating_mode(conn, info.id)?
            .map(|mode| mode.as_str().to_owned()),
        registered: certificate.is_some(),
        hold: hold.map(|hold| HoldState {
            kind: hold.kind.as_str().to_owned(),
            reason: hold.reason,
        }),
        successor,
        day: head.day.map(|day| DayState {
            fiscal_day_no: day.no.get(),
            opened: day.opened.to_string(),
            receipt_counter: head.last_counter.get(),
        }),
        last_day_no: head.last_day_no.get(),
        last_global_no: head.last_global_no.get(),
        sent_day_no: stream.last_day_no.get(),
        sent_global_no: stream.last_global_no.get(),
        queue: queue(conn, &stream, item.as_ref(), backlog(conn, info.id)?)?,
        certificate: certificate.and_then(|pem| certificate_state(&pem)),
        line: String::new(),
    })
}

fn certificate_state(pem: &str) -> Option<CertificateState> {
    // One that cannot be read could not have been kept.
    let certificate = Certificate::from_pem(pem).ok()?;
    Some(CertificateState {
        thumbprint: certificate.thumbprint().to_owned(),
        not_before: certificate.not_before().as_millisecond(),
        not_after: certificate.not_after().as_millisecond(),
    })
}

fn queue(
    conn: &Connection,
    stream: &StreamState,
    item: Option<&Item>,
    backlog: Backlog,
) -> Result<QueueState, StorageError> {
    let parked = stream.parked.as_ref().map(|parked| ParkedState {
        reason: parked.reason.clone(),
        code: parked.code.clone(),
    });
    let head = item.map(|item| {
        let (kind, number) = item.kind.named();
        HeadState {
            item: kind,
            item_seq: item.seq.0,
            number,
            attempts: stream.attempts,
            next_attempt: stream.next_attempt.as_millisecond(),
            last_error: stream.last_error.clone(),
            parked,
        }
    });
    Ok(QueueState {
        waiting: backlog.total(),
        oldest_at: item.map(|item| made_at(conn, item.seq)).transpose()?,
        head,
    })
}

fn made_at(conn: &Connection, seq: Seq) -> Result<i64, StorageError> {
    Ok(conn
        .prepare_cached("SELECT at FROM event WHERE seq = ?1")?
        .query_row(params![seq.0], |row| row.get(0))?)
}
