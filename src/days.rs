//! The keeper of the days: closes those whose time has come, and warns before one lasts too long.
//!
//! A day closes in the ledger, connection or not; FDMS hears of it in the till's queue (docs/ARCHITECTURE.md,
//! Streams to FDMS). What a restart interrupts is found again at the next turn: a day is open or closed, there is
//! nothing in between.

use std::time::Duration;

use fiscal::DateTime;
use fiscal::day::last_moment;
use tokio_util::sync::CancellationToken;

use crate::ledger::policy::warned_from;
use crate::ledger::{DayFacts, Ledger, LedgerError, Refusal, StorageError, TillInfo};

/// How often the days are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Who acts, as the audit names him.
const ACTOR: &str = "system";

/// A till's open day and its hours.
struct Open {
    till: TillInfo,
    day: DayFacts,
    max_hours: u32,
    notification_hours: u32,
}

/// Keeps the days of all tills until the stop signal, or until the ledger stops.
pub async fn keep(ledger: Ledger, stop: CancellationToken) {
    loop {
        match turn(&ledger).await {
            Ok(()) => {}
            Err(LedgerError::Storage(StorageError::Stopping)) => return,
            Err(error) => tracing::warn!(%error, "the fiscal days cannot be looked after"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = ledger.time().clock().sleep(LOOK_EVERY) => {}
        }
    }
}

async fn turn(ledger: &Ledger) -> Result<(), LedgerError> {
    let open = ledger.ask(|reader| {
        let mut open = Vec::new();
        for till in reader.tills()? {
            let Some(day) = reader.day(till.id, None)?.filter(|day| day.close.is_none()) else {
                continue;
            };
            if let Some(taxpayer) = reader.taxpayer(till.id)? {
                open.push(Open {
                    till,
                    day,
                    max_hours: taxpayer.day_max_hours,
                    notification_hours: taxpayer.day_end_notification_hours,
                });
            }
        }
        Ok(open)
    });
    let now = ledger.time().local();
    for one in open.await? {
        look_after(ledger, one, now).await?;
    }
    Ok(())
}

async fn look_after(ledger: &Ledger, open: Open, now: DateTime) -> Result<(), LedgerError> {
    let Open {
        till,
        day,
        max_hours,
        notification_hours,
    } = open;
    let policy = ledger.settings().policy(&till);
    let closes_at = policy.closes_at(day.opened, max_hours);
    let (id, no) = (till.id, day.fiscal_day_no);
    if closes_at.is_some_and(|at| at <= now) {
        let closed = ledger.write(move |core| core.close_day_if(id, no, ACTOR));
        return match closed.await {
            Ok(_) => {
                tracing::info!(till = %till.device_id, day = %no, "the fiscal day was closed at its time");
                Ok(())
            }
            // A person has been faster.
            Err(LedgerError::Refused(Refusal::DayNotOpen { .. })) => Ok(()),
            Err(error) => Err(error),
        };
    }
    if warned_from(day.opened, max_hours, notification_hours) <= now {
        let longest = last_moment(day.opened, max_hours);
        let warned = ledger.write(move |core| core.warn_of_day_end(id, no, longest));
        if warned.await? {
            tracing::warn!(till = %till.device_id, day = %no, until = %longest, "the fiscal day must be closed soon");
        }
    }
    Ok(())
}
