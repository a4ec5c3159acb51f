//! Before a till sends or sells after a start: does FDMS have what this ledger has not?
//!
//! Behind is the rule (the queue is not empty), equal is fine. Ahead means that somebody else has used this
//! device, or that the ledger is an older copy: numbers would be used twice, which only the authority can put
//! right. Then the till sells and sends nothing until a person has decided (docs/FDMS.md section 4).

use fiscal::{FiscalDayNo, ReceiptGlobalNo};

use crate::fdms::wire::{DayStatus, Status};
use crate::ledger::adoption::Adoption;
use crate::ledger::core::Core;
use crate::ledger::holds::HoldKind;
use crate::ledger::stream::{Parked, Step, StreamState};
use crate::ledger::{LedgerError, TillId};

/// The code under which such a stream is parked.
pub(crate) const AHEAD: &str = "ahead";

/// How far a ledger has come: its last day and receipt, sent or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) day: FiscalDayNo,
    pub(super) receipt: ReceiptGlobalNo,
}

/// How far FDMS has come with a device; 0 where it has nothing, or does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Theirs {
    pub(super) day: u64,
    pub(super) receipt: u64,
}

impl From<&Status> for Theirs {
    /// `lastReceiptGlobalNo` is of the latest date, so it may be lower than the highest number, never higher.
    fn from(status: &Status) -> Self {
        Self {
            day: status.last_fiscal_day_no.unwrap_or(0),
            receipt: status.last_receipt_global_no.unwrap_or(0),
        }
    }
}

/// Why FDMS is ahead of a ledger; none if it is not.
pub(super) fn ahead(own: Own, Theirs { day, receipt }: Theirs) -> Option<String> {
    let is_ahead = day > u64::from(own.day.get()) || receipt > u64::from(own.receipt.get());
    is_ahead.then(|| {
        format!(
            "FDMS has this device at day {day} and receipt {receipt}, this ledger at day {} and receipt {}: somebody \
             else has used the device, or this ledger was put back from an older backup. Nothing is sold or sent, or \
             numbers would be used twice. If the original ledger is still there, put it back. Else close the day at \
             FDMS, if it is open, and let the till go on from FDMS's numbers: `fiscald till adopt`",
            own.day, own.receipt
        )
    })
}

/// Compares, and keeps what that came to: the till is held and its queue parked, or it is free.
pub(super) fn keep(
    core: &mut Core,
    till: TillId,
    state: &StreamState,
    theirs: Theirs,
) -> Result<(), LedgerError> {
    let (day, receipt) = core.last_numbers(till)?;
    let Some(reason) = ahead(Own { day, receipt }, theirs) else {
        core.release_till(till, HoldKind::Unchecked, "fdms")?;
        core.release_till(till, HoldKind::Ahead, "fdms")?;
        return Ok(());
    };
    core.hold_till(till, HoldKind::Ahead, &reason, "fdms")?;
    core.update_stream(&StreamState {
        step: Step::Ask,
        last_error: Some(reason.clone()),
        parked: Some(Parked {
            reason,
            code: AHEAD.to_owned(),
            answer: None,
            actions: vec!["adopt".to_owned(), "retry".to_owned()],
            probing: false,
            since: core.time().now(),
        }),
        ..state.clone()
    })
}

/// From where a till goes on when it takes FDMS's numbers over, between two days.
///
/// # Errors
/// A day is open at FDMS; a sentence that says what to do.
pub fn adoption_from(
    status: &Status,
    own: (FiscalDayNo, ReceiptGlobalNo),
    receipt: Option<ReceiptGlobalNo>,
) -> Result<Adoption, String> {
    let number = |value: Option<u64>| u32::try_from(value.unwrap_or(0)).ok();
    let day = number(status.last_fiscal_day_no).and_then(FiscalDayNo::new);
    let last = number(status.last_receipt_global_no).and_then(ReceiptGlobalNo::new);
    let (Some(day), Some(last)) = (day, last) else {
        return Err("FDMS names numbers that no till can have".to_owned());
    };
    if status.day != DayStatus::Closed {
        return Err(format!(
            "the day {day} is open at FDMS ({}), with receipts that are not in this ledger. Close it with the software \
             that opened it, or by hand in the authority's portal; or hand over what that software knows of it \
             (`--open-day`)",
            status.day.as_str()
        ));
    }
    Ok(Adoption {
        last_day_no: day.max(own.0),
        // FDMS names the receipt of the latest date: a person may know of a higher number.
        last_global_no: last
            .max(own.1)
            .max(receipt.unwrap_or(ReceiptGlobalNo::ZERO)),
        last_date: status.closed.as_ref().map(|closed| closed.at),
        day: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fdms::wire::Reply as _;

    fn status(json: &str) -> Status {
        Status::parse(json).unwrap()
    }

    fn own(day: u32, receipt: u32) -> Own {
        Own {
            day: FiscalDayNo::new(day).unwrap(),
            receipt: ReceiptGlobalNo::new(receipt).unwrap(),
        }
    }

    /// A ledger may know more than FDMS, never less.
    #[test]
    fn behind_equal_ahead() {
        let at = |day: u64, receipt: u64| Theirs { day, receipt };
        assert_eq!(ahead(own(3, 20), at(3, 20)), None);
        assert_eq!(ahead(own(4, 25), at(3, 20)), None);
        assert!(ahead(own(3, 20), at(3, 21)).unwrap().contains("21"));
        assert!(ahead(own(3, 20), at(4, 20)).is_some());
        assert!(ahead(own(0, 0), at(4, 20)).is_some());
        assert_eq!(
            ahead(
                own(0, 0),
                Theirs::from(&status(r#"{"fiscalDayStatus":"FiscalDayClosed"}"#))
            ),
            None
        );
    }

    /// Between two days FDMS's numbers are enough; the larger ones count.
    #[test]
    fn adopts_between_days_only() {
        let closed = status(
            r#"{"fiscalDayStatus":"FiscalDayClosed","lastFiscalDayNo":4,"lastReceiptGlobalNo":20,"fiscalDayClosed":"2026-05-28T20:00:00"}"#,
        );
        let zero = (FiscalDayNo::ZERO, ReceiptGlobalNo::ZERO);
        let to = adoption_from(&closed, zero, ReceiptGlobalNo::new(22)).unwrap();
        assert_eq!((to.last_day_no.get(), to.last_global_no.get()), (4, 22));
        assert_eq!(to.last_date.unwrap().to_string(), "2026-05-28T20:00:00");
        let open = status(
            r#"{"fiscalDayStatus":"FiscalDayOpened","lastFiscalDayNo":5,"lastReceiptGlobalNo":21}"#,
        );
        let why = adoption_from(&open, zero, None).unwrap_err();
        assert!(why.contains("day 5 is open"), "{why}");
    }
}
