//! One exchange, in one transaction: the batch if it begins where the store's past ends, and what goes down.

use std::collections::BTreeSet;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::entry::TillAdded;
use sync_wire::exchange::{Down, Up};
use sync_wire::state::{StoreState, TillState};

use super::batch::Batch;
use super::credentials;
use super::cursor::{self, Cursor};
use super::deeds::Deeds;
use super::devices::{self, Devices, Known};
use super::jobs::Jobs;
use super::line::{self, Line, Unreadable};
use super::trouble::{self, Trouble};
use super::{StoreCaller, answers, days, epochs, planted, rows, wanted};
use crate::db::{self, DbError};
use crate::hq::Hq;
use crate::problem::{Code, Problem};

/// Why an exchange was in vain.
#[derive(Debug)]
pub(super) enum Failure {
    /// A line cannot be read: the store stops here.
    Line(Unreadable),
    /// Anything else.
    Other(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Other(error.into())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<Unreadable> for Failure {
    fn from(line: Unreadable) -> Self {
        Self::Line(line)
    }
}

/// One exchange.
pub(super) async fn exchange(
    hq: &Hq,
    caller: StoreCaller,
    up: &Up,
    entries: &[&str],
) -> Result<Down, Problem> {
    match attempt(hq, caller, up, entries).await {
        Ok(down) => Ok(down),
        Err(Failure::Other(problem)) => Err(problem),
        Err(Failure::Line(line)) => Err(stopped(hq, caller, &line).await?),
    }
}

/// What has come, as it was read.
struct Come<'a> {
    up: &'a Up,
    lines: Vec<Line<'a>>,
    batch: Batch<'a>,
    devices: Devices,
}

async fn attempt(hq: &Hq, caller: StoreCaller, up: &Up, entries: &[&str]) -> Result<Down, Failure> {
    let now = hq.now();
    let lines = line::read(entries.iter().copied(), up.after)?;
    let batch = Batch::read(&lines, 0, &BTreeSet::new()).await?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let mut cursor = cursor::lock(&tx, caller).await?;
    let devices = Devices::of(&tx, caller).await?;
    // A person who has it may wait for anything below.
    if devices.may_change(&batch, &up.state) {
        wanted::lock(&tx, caller.tenant).await?;
    }
    let mut deeds = Deeds::of(cursor.actor.clone());
    cursor::look_ahead(&tx, caller, &mut cursor, &up.state, &mut deeds).await?;
    let up = &*cursor.in_own_numbers(up);
    let come = Come {
        up,
        lines,
        batch,
        devices,
    };
    let is_here = epochs::place(&tx, caller, &mut cursor, up, &mut deeds, now).await?;
    let taken = match is_here {
        true => take(&tx, caller, &mut cursor, come, &mut deeds, now).await?,
        false => {
            cursor::seen(&tx, caller, now).await?;
            0
        }
    };
    let down = Down {
        epoch: (cursor.epoch_no > 0).then_some(cursor.epoch),
        acked: cursor.acked,
        hash: cursor.hash,
        taken,
        commands: answers::hand_down(&tx, caller, &mut deeds, up.commands_seen, now).await?,
        wanted: wanted::of(&tx, caller.tenant, caller.store)
            .await?
            .after(cursor.ahead),
        now: now.as_millisecond(),
    };
    deeds.write(&tx, caller.tenant, now).await?;
    tx.commit().await?;
    Ok(down)
}

/// Takes a batch that begins where the cursor is.
async fn take(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    mut come: Come<'_>,
    deeds: &mut Deeds,
    now: Timestamp,
) -> Result<u32, Failure> {
    let lines = come.lines.as_slice();
    let shared = epochs::share(tx, caller, cursor, lines).await?;
    let mut new = lines.get(shared..).unwrap_or_default();
    if planted::is("end-dropped") && new.len() > 1 {
        new = new.get(..new.len() - 1).unwrap_or_default();
    }
    if new.len() < lines.len() {
        come.batch = Batch::read(new, shared, &BTreeSet::new()).await?;
    }
    let told = (&come.batch, come.up);
    learn(tx, caller, (&*cursor, deeds), told, &mut come.devices, now).await?;
    let foreign = come.devices.foreign(tx, caller, new, now).await?;
    if !foreign.is_empty() {
        come.batch = Batch::read(new, shared, &foreign).await?;
    }
    if let Some(last) = lines.last() {
        rows::write(tx, caller, cursor.epoch_no, &mut come.batch, now).await?;
        let before = cursor.acked;
        cursor.hash = line::chain(cursor.hash, lines);
        cursor.acked = last.seq;
        cursor::advance(tx, caller, before, cursor, now).await?;
    }
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let goes_on = !lines.is_empty() || come.up.state.last_seq == cursor.acked;
    effects(tx, caller, cursor, come, deeds, now).await?;
    if cursor.is_stopped && goes_on {
        let subject = caller.store.to_string();
        trouble::settle(tx, caller.tenant, now, trouble::SYNC_STOPPED, &subject).await?;
    }
    Ok(count)
}

/// The snapshot, if it is newer than the one that is kept.
fn news<'a>(cursor: &Cursor, up: &'a Up) -> Option<&'a StoreState> {
    Some(&up.state).filter(|state| cursor.is_newer(state))
}

/// Tills that are new: before a row is written of what they have done, which only their own store may tell.
async fn learn(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    (cursor, deeds): (&Cursor, &mut Deeds),
    (batch, up): (&Batch<'_>, &Up),
    devices: &mut Devices,
    now: Timestamp,
) -> Result<(), DbError> {
    let told = batch.added.iter();
    let told = told.map(|(till, told)| added(*till, told));
    let reported = news(cursor, up).into_iter();
    let reported = reported.flat_map(|state| &state.tills).map(seen);
    let known = told.chain(reported);
    devices.learn(tx, caller, deeds, known, now).await
}

/// What follows from a batch and a snapshot.
async fn effects(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &Cursor,
    come: Come<'_>,
    deeds: &mut Deeds,
    now: Timestamp,
) -> Result<(), Failure> {
    let (up, batch, mut devices) = (come.up, &come.batch, come.devices);
    let state = news(cursor, up);
    devices.advance(tx, caller, batch, state).await?;
    credentials::write(tx, caller, deeds, &devices, batch, now).await?;
    days::write(tx, caller, batch).await?;
    if !batch.queues.is_empty() || state.is_some() {
        let mut jobs = Jobs::open(tx, caller).await?;
        jobs.hear(&batch.queues);
        if let Some(state) = state {
            let own = state.tills.iter().filter(|till| devices.has(till.till));
            jobs.look(own, state.last_seq == cursor.acked);
        }
        jobs.write(tx, caller, now).await?;
    }
    answers::finish(tx, caller, deeds, batch, now).await?;
    if let Some(state) = state {
        devices::snapshot(tx, caller, state, now).await?;
        cursor::snapshot(tx, caller, up, now).await?;
    } else {
        cursor::seen(tx, caller, now).await?;
    }
    Ok(())
}

fn added(till: sync_wire::TillRef, added: &TillAdded) -> Known {
    Known {
        till,
        serial_no: added.serial_no.clone(),
        model_name: added.model_name.clone(),
        model_version: added.model_version.clone(),
        invoice_prefix: added.invoice_prefix.clone(),
    }
}

fn seen(till: &TillState) -> Known {
    Known {
        till: till.till,
        serial_no: till.serial_no.clone(),
        model_name: till.model_name.clone(),
        model_version: till.model_version.clone(),
        invoice_prefix: till.invoice_prefix.clone(),
    }
}

/// The first line of a batch cannot be read: as [`stopped`], the same problem comes back.
pub(super) async fn told(hq: &Hq, caller: StoreCaller, problem: Problem) -> Problem {
    if problem.code != Code::Invalid {
        return problem;
    }
    match tell(hq, caller, &problem.detail).await {
        Ok(()) => problem,
        Err(other) => other,
    }
}

/// A line cannot be read: nothing of the store is taken until somebody has acted, and everybody is told.
async fn stopped(hq: &Hq, caller: StoreCaller, line: &Unreadable) -> Result<Problem, Problem> {
    let detail = format!(
        "{line}. Nothing after it is taken from this store, and nothing of it is lost: it stays in the store's ledger. \
         Is the store's fiscald newer than head office? Then update head office; if not, report this"
    );
    tell(hq, caller, &detail).await?;
    Ok(Problem {
        pointer: Some(format!("/{}", line.line)),
        ..Problem::new(Code::Invalid, detail)
    })
}

async fn tell(hq: &Hq, caller: StoreCaller, detail: &str) -> Result<(), Problem> {
    let now = hq.now();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let trouble = Trouble {
        kind: trouble::SYNC_STOPPED,
        subject: &caller.store.to_string(),
        is_fault: true,
        store: caller.store,
        till: None,
        detail,
    };
    // The cursor first, as a batch that ends this alert has it.
    cursor::seen(&tx, caller, now).await?;
    trouble::raise(&tx, caller.tenant, now, &trouble).await?;
    tx.commit().await?;
    Ok(())
}
