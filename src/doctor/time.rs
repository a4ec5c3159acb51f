//! This machine's clock, against what the ledger knows of the time.

use std::sync::Arc;

use clock::Timestamp;

use super::ledger::Store;
use super::{Area, Doctor, Finding};
use crate::time::{TOLERANCE, TimeFlag, TimeKeeper};

const SET_IT: &str = "Set the machine's clock (`timedatectl set-ntp true`, or by hand) and put in a new battery if it comes back after \
                      a power cut; then restart the gateway.";

/// Compares the clock with the ledger; the trusted time as the gateway would start with it.
pub(super) fn look(doctor: &Doctor, store: &Store, found: &mut Vec<Finding>) -> Arc<TimeKeeper> {
    let keeper = doctor.keeper(store);
    let status = keeper.status();
    let text = format!(
        "this machine says {}, trusted is {}",
        status.wall, status.trusted
    );
    found.push(match status.flag {
        Some(TimeFlag::BehindLastReceipt) => Finding::fault(
            Area::Clock,
            "clock_behind",
            format!("{text}: the clock stands before the last receipt"),
            SET_IT,
        ),
        Some(TimeFlag::LongAfterReboot) => Finding::fault(
            Area::Clock,
            "clock_ahead",
            format!("{text}: more than a week after the last receipt, and nobody has confirmed it"),
            format!("If the shop was closed for so long, connect it to FDMS: it confirms the time. Else: {SET_IT}"),
        ),
        Some(TimeFlag::WallLeapt) => Finding::fault(
            Area::Clock,
            "clock_leapt",
            format!("{text}: the clock was set while the machine ran"),
            SET_IT,
        ),
        Some(TimeFlag::UnconfirmedAfterReboot | TimeFlag::FdmsDiffers) | None => {
            Finding::ok(Area::Clock, text)
        }
    });
    keeper
}

/// Compares the clock with FDMS's, which judges the dates of receipts.
pub(super) fn against_fdms(keeper: &TimeKeeper, fdms: Timestamp, found: &mut Vec<Finding>) {
    let wall = keeper.clock().wall();
    let ahead = wall.duration_since(fdms);
    if ahead.abs() <= TOLERANCE {
        return;
    }
    let (code, word) = match ahead.is_positive() {
        true => ("clock_ahead_of_fdms", "ahead of"),
        false => ("clock_behind_fdms", "behind"),
    };
    if found.iter().any(|finding| finding.code == code) {
        return;
    }
    let seconds = ahead.as_secs().abs();
    found.push(Finding::fault(
        Area::Clock,
        code,
        format!("this machine's clock is {seconds} s {word} FDMS's"),
        SET_IT,
    ));
}
