//! The fiscal day as FDMS sees it: a small state machine (docs/FDMS.md section 4).

use jiff::Span;

use crate::DateTime;
use crate::ids::word_type;

word_type!(
    /// FDMS's status of the fiscal day (`fiscalDayStatus`).
    FiscalDayStatus {
        /// No day is open.
        FiscalDayClosed,
        /// A day is open and takes receipts.
        FiscalDayOpened,
        /// FDMS is judging the close.
        FiscalDayCloseInitiated,
        /// FDMS has refused the close; the day takes receipts and may be closed again.
        FiscalDayCloseFailed,
    }
);

/// What happens to a fiscal day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayEvent {
    /// OpenDay was accepted.
    Open,
    /// A receipt was submitted.
    Receipt,
    /// CloseDay was accepted for judging.
    Close,
    /// FDMS has closed the day.
    CloseSucceeded,
    /// FDMS has refused the close.
    CloseRejected,
    /// An officer or the supplier closed the day by hand.
    ClosedByHand,
}

/// Why FDMS refuses an event in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DayRefusal {
    /// The day is closed or being closed.
    #[error("RCPT01: the fiscal day is closed or being closed")]
    Rcpt01,
    /// Opening is not allowed while a day is open.
    #[error("FISC01: a fiscal day can be opened only when the last one is closed")]
    Fisc01,
    /// A close is in progress.
    #[error("FISC03: the fiscal day is being closed")]
    Fisc03,
    /// No day is open.
    #[error("FISC04: no fiscal day is open")]
    Fisc04,
    /// FDMS reports something that cannot happen in this state.
    #[error("the fiscal day cannot change in this way")]
    Impossible,
}

impl FiscalDayStatus {
    /// The state after an event.
    ///
    /// # Errors
    /// FDMS refuses the event in this state.
    pub const fn after(self, event: DayEvent) -> Result<Self, DayRefusal> {
        use DayEvent as E;
        use FiscalDayStatus as S;
        match (self, event) {
            (S::FiscalDayClosed, E::Open) => Ok(S::FiscalDayOpened),
            (_, E::Open) => Err(DayRefusal::Fisc01),
            (S::FiscalDayOpened | S::FiscalDayCloseFailed, E::Receipt) => Ok(self),
            (_, E::Receipt) => Err(DayRefusal::Rcpt01),
            (S::FiscalDayOpened | S::FiscalDayCloseFailed, E::Close) => {
                Ok(S::FiscalDayCloseInitiated)
            }
            (S::FiscalDayCloseInitiated, E::Close) => Err(DayRefusal::Fisc03),
            (S::FiscalDayClosed, E::Close) => Err(DayRefusal::Fisc04),
            (S::FiscalDayCloseInitiated, E::CloseSucceeded)
            | (S::FiscalDayOpened | S::FiscalDayCloseFailed, E::ClosedByHand) => {
                Ok(S::FiscalDayClosed)
            }
            (S::FiscalDayCloseInitiated, E::CloseRejected) => Ok(S::FiscalDayCloseFailed),
            (_, E::CloseSucceeded | E::CloseRejected | E::ClosedByHand) => {
                Err(DayRefusal::Impossible)
            }
        }
    }
}

/// The last second in which a day opened at `opened` may issue receipts.
#[must_use]
pub fn last_moment(opened: DateTime, max_hours: u32) -> DateTime {
    opened
        .checked_add(Span::new().hours(i64::from(max_hours.min(100_000))))
        .unwrap_or(DateTime::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of state and event, as the authority's picture has it.
    #[test]
    fn the_whole_machine() {
        use DayEvent as E;
        use DayRefusal as R;
        use FiscalDayStatus as S;
        let (closed, opened) = (S::FiscalDayClosed, S::FiscalDayOpened);
        let (closing, failed) = (S::FiscalDayCloseInitiated, S::FiscalDayCloseFailed);
        let table = [
            (closed, E::Open, Ok(opened)),
            (opened, E::Open, Err(R::Fisc01)),
            (closing, E::Open, Err(R::Fisc01)),
            (failed, E::Open, Err(R::Fisc01)),
            (closed, E::Receipt, Err(R::Rcpt01)),
            (opened, E::Receipt, Ok(opened)),
            (closing, E::Receipt, Err(R::Rcpt01)),
            (failed, E::Receipt, Ok(failed)),
            (closed, E::Close, Err(R::Fisc04)),
            (opened, E::Close, Ok(closing)),
            (closing, E::Close, Err(R::Fisc03)),
            (failed, E::Close, Ok(closing)),
            (closing, E::CloseSucceeded, Ok(closed)),
            (closing, E::CloseRejected, Ok(failed)),
            (opened, E::ClosedByHand, Ok(closed)),
            (failed, E::ClosedByHand, Ok(closed)),
            (closed, E::CloseSucceeded, Err(R::Impossible)),
            (opened, E::CloseRejected, Err(R::Impossible)),
        ];
        for (state, event, expected) in table {
            assert_eq!(state.after(event), expected, "{state} {event:?}");
        }
    }
}
