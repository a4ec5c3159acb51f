//! What was sent to FDMS and what came of it; what held a till, and where its sales went.

use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;
use sync_wire::TillRef;
use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome, Entry};

use super::{Rebuild, body, broken, day_of, detail};
use crate::ledger::core::Core;
use crate::ledger::holds::HoldKind;
use crate::ledger::hq::TakenBody;
use crate::ledger::red::RedReceipt;
use crate::ledger::stream::{Parked, StreamState};
use crate::ledger::{Environment, LedgerError, Seq, sql};
use fiscal::{FiscalDayNo, ReceiptGlobalNo};

/// What FDMS finally said to an item.
struct Taken<'a> {
    item: i64,
    operation_id: Option<&'a str>,
    color: Option<&'a str>,
    answer: &'a str,
    server_signature: Option<&'a str>,
}

/// The detail of `till.held`.
#[derive(Deserialize)]
struct Held {
    hold: String,
    reason: String,
}

impl Rebuild {
    /// An attempt. FDMS's final answer comes with it and lies in a table of its own.
    pub(super) fn attempt(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let mut attempt: Attempt = body(entry)?;
        let till = self.till(named)?;
        if attempt.outcome == AttemptOutcome::Refused {
            till.is_refused = true;
        }
        let is_item = attempt.item != AttemptKind::SubmitFile;
        let answer = match attempt.outcome {
            AttemptOutcome::Accepted if is_item => attempt.answer.take(),
            _ => None,
        };
        // It was written by the same type, so it reads the same.
        let detail = serde_json::to_string(&attempt).unwrap_or_default();
        core.put_event(entry, Some(till.id), Some(&detail))?;
        match answer {
            None => Ok(()),
            Some(answer) => {
                let taken = Taken {
                    item: attempt.item_seq,
                    operation_id: attempt.operation_id.as_deref(),
                    color: attempt.color.as_deref(),
                    answer: &answer,
                    server_signature: attempt.server_signature.as_deref(),
                };
                self.finish(core, named, entry, &taken)
            }
        }
    }

    /// Where no attempt was kept, an earlier version's event tells what FDMS said.
    pub(super) fn taken(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let Ok(taken) = body::<TakenBody>(entry) else {
            let id = self.till(named)?.id;
            return core.put_event(entry, Some(id), detail(entry).as_deref());
        };
        let kept = serde_json::json!({
            "seq": taken.seq,
            "operationID": taken.operation_id,
            "color": taken.color,
        });
        let id = self.till(named)?.id;
        core.put_event(entry, Some(id), Some(&kept.to_string()))?;
        let taken = Taken {
            item: taken.seq,
            operation_id: taken.operation_id.as_deref(),
            color: taken.color.as_deref(),
            answer: &taken.answer,
            server_signature: taken.server_signature.as_deref(),
        };
        self.finish(core, named, entry, &taken)
    }

    /// FDMS has taken an item: the stream has passed it. One that was sent again later is finished already.
    fn finish(
        &mut self,
        core: &Core,
        named: TillRef,
        entry: &Entry,
        taken: &Taken<'_>,
    ) -> Result<(), LedgerError> {
        let till = self.till(named)?;
        let is_new = core
            .conn
            .prepare_cached("INSERT OR IGNORE INTO submission VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                taken.item,
                till.id.0,
                entry.at,
                taken.operation_id,
                taken.color,
                taken.answer,
                taken.server_signature
            ])?;
        if is_new == 0 {
            return Ok(());
        }
        let number = |table: &str, column: &str, id: &str| {
            let text = format!("SELECT {column} FROM {table} WHERE {id} = ?1");
            core.conn
                .prepare_cached(&text)?
                .query_row([taken.item], |row| row.get::<_, i64>(0))
                .optional()
        };
        if let Some(no) = number("day", "fiscal_day_no", "day_id")? {
            till.stream.last_day_no = sql::number(no, FiscalDayNo::new, "day.fiscal_day_no")?;
        } else if let Some(no) = number("receipt", "global_no", "seq")? {
            till.stream.last_global_no =
                sql::number(no, ReceiptGlobalNo::new, "receipt.global_no")?;
        }
        // What FDMS had refused is over with it; a person's pause is not.
        let parked = till.stream.parked.take().filter(|_| !till.is_refused);
        till.is_refused = false;
        till.stream = StreamState {
            cursor: Seq(taken.item),
            last_day_no: till.stream.last_day_no,
            last_global_no: till.stream.last_global_no,
            parked,
            ..StreamState::new(till.id)
        };
        Ok(())
    }

    /// Everything else: kept as it is, and what follows from it.
    pub(super) fn other(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let told = detail(entry);
        let till = self.till(named)?;
        let id = till.id;
        core.put_event(entry, Some(id), told.as_deref())?;
        match entry.kind.as_str() {
            "stream.parked" => till.stream.parked = Some(parked(entry, told)?),
            "stream.resumed" => {
                till.stream.parked = None;
                till.is_refused = false;
            }
            "till.held" => {
                let held: Held = body(entry)?;
                HoldKind::parse(&held.hold)
                    .ok_or_else(|| broken(entry.seq, format!("{} is no hold", held.hold)))?;
                core.conn.execute(
                    "INSERT INTO till_state (till_id, hold, reason, since) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (till_id) DO UPDATE SET hold = ?2, reason = ?3, since = ?4",
                    params![id.0, held.hold, held.reason, entry.at],
                )?;
            }
            "till.released" => {
                core.conn.execute(
                    "UPDATE till_state SET hold = NULL, reason = NULL, since = NULL WHERE till_id = ?1",
                    [id.0],
                )?;
            }
            "till.switched" => self.switched(core, named, told.as_deref().unwrap_or_default())?,
            "receipt.red" => red(core, id, entry)?,
            "hq.command" => super::command(core, entry, told.as_deref())?,
            _ => {}
        }
        Ok(())
    }

    /// New sales go to another till, or to itself again: the text names it as the ledger does.
    fn switched(&mut self, core: &Core, named: TillRef, to: &str) -> Result<(), LedgerError> {
        let from = self.till(named)?.id;
        let to = to.split_once(' ').and_then(|(environment, device)| {
            Some(TillRef {
                environment: crate::ledger::hq::wire_environment(Environment::parse(environment)?),
                device_id: device.parse().ok()?,
            })
        });
        let to = to.and_then(|to| self.tills.get(&to)).map(|till| till.id.0);
        core.conn.execute(
            "INSERT INTO till_state (till_id, successor) VALUES (?1, ?2)
             ON CONFLICT (till_id) DO UPDATE SET successor = ?2",
            params![from.0, to],
        )?;
        Ok(())
    }
}

/// A parked stream stays so until a person lets it go on: the lines tell the reason alone.
fn parked(entry: &Entry, reason: Option<String>) -> Result<Parked, LedgerError> {
    let since =
        clock::Timestamp::from_millisecond(entry.at).map_err(|error| broken(entry.seq, error))?;
    Ok(Parked::paused(reason.unwrap_or_default(), since))
}

/// A receipt that FDMS marked Red is kept with its day.
fn red(core: &mut Core, till: crate::ledger::TillId, entry: &Entry) -> Result<(), LedgerError> {
    let red: RedReceipt = body(entry)?;
    let number = i64::from(red.receipt_global_no.get());
    match day_of(core, till, number)? {
        Some(day) => Ok(core.keep_red(day, red)?),
        None => Ok(()),
    }
}
