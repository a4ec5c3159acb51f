//! The clock rules, and faults on the line, as suites: each lets a store live through something and says all that went wrong.
//!
//! A suite is run as it is by `clock_rules` and `submit`, and with a planted defect by the unit tests of
//! `submit`, where it must find something. What every suite ends with ([`ended`]): the queue drains, the
//! day closes, FDMS holds the same receipts without a colour (RCPT030, RCPT031, RCPT014, RCPT041 among
//! them), nothing came before its date, and dates rise. Selling that stops is a panic at once.

use std::time::Duration;

use clock::{Clock as _, local};
use fdms_sandbox::{Call, Fault, FaultKind};
use fiscald::keys::KeyKind;
use fiscald::ledger::Issued;
use fiscald::time::TimeFlag;
use jiff::SignedDuration;

use super::store::House;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Closes all days, lets everything be sent, and collects what is wrong.
pub(crate) async fn ended(house: &House) -> Vec<String> {
    house.drain().await;
    for place in 0..house.count() {
        if house.day(place).is_some_and(|day| day.close.is_none()) {
            house.close_day(place).await;
        }
    }
    house.drain().await;
    let mut wrong = house.disagreements();
    for place in 0..house.count() {
        let (state, head) = house.stream(place);
        if head.is_some() || state.parked.is_some() {
            wrong.push(format!("not drained: {head:?} {state:?}"));
        }
        wrong.extend(house.open_days_at_fdms(place));
    }
    wrong
}

/// A receipt dated further from FDMS's time than trusted time may be off.
fn off(house: &House, issued: &Issued, allowed: SignedDuration) -> Option<String> {
    let there = local(house.fdms_clock.wall());
    let off = issued.receipt.date.duration_since(there);
    (off.abs() > allowed).then(|| format!("dated {} at {there}", issued.receipt.date))
}

/// Sixty sales in one second on one till: the dates run ahead, the sending waits for them.
pub(crate) async fn sixty_in_a_second(house: &House) -> Vec<String> {
    house.sell_many(0, 3).await;
    house.drain().await;
    let before = house.clock.wall();
    let sold = house.burst(0, 60).await;
    let mut wrong = Vec::new();
    if house.clock.wall() != before {
        wrong.push("it took time".to_owned());
    }
    let last = sold.iter().map(|issued| issued.receipt.date).max().unwrap();
    if last.duration_since(local(before)) < SignedDuration::from_secs(59) {
        wrong.push(format!("sixty dates fit between {before} and {last}"));
    }
    house.settle().await;
    let early = house.at_fdms(0).len();
    if early > 5 {
        wrong.push(format!("{early} were sent in the first second"));
    }
    wrong.extend(ended(house).await);
    wrong
}

/// The wall clock is set while the store runs: it is not followed, and FDMS is reached all the same.
pub(crate) async fn wall_set_by(house: &House, by: SignedDuration) -> Vec<String> {
    house.sell_many(0, 5).await;
    house.pass(10 * MINUTE).await;
    house.set_wall(by);
    let mut wrong = Vec::new();
    let allowed = SignedDuration::from_secs(60);
    for _ in 0..3 {
        for _ in 0..4 {
            let issued = house.sell(0).await;
            wrong.extend(off(house, &issued, allowed));
        }
        house.pass(5 * MINUTE).await;
    }
    let flag = house.ledger().time().status().flag;
    if flag != Some(TimeFlag::WallLeapt) {
        wrong.push(format!("nobody is told: {flag:?}"));
    }
    wrong.extend(ended(house).await);
    wrong
}

/// The daemon is restarted, the machine rebooted, the clock is wrong afterwards, FDMS is away or not.
pub(crate) async fn restarts_and_reboots(house: &mut House) -> Vec<String> {
    let mut wrong = Vec::new();
    house.sell_many(0, 4).await;
    house.pass(7 * MINUTE).await;
    // The daemon alone, with the clock set wrong meanwhile: the boot clock goes on.
    house.stop().await;
    house.advance(MINUTE);
    house.set_wall(SignedDuration::from_hours(-3));
    house.start();
    let issued = house.sell(0).await;
    wrong.extend(off(house, &issued, SignedDuration::from_secs(60)));
    house.set_wall(SignedDuration::from_hours(3));
    house.pass(3 * MINUTE).await;
    // The machine, in the middle of a burst: half of the dates have not come yet.
    house.burst(0, 30).await;
    house.pass(Duration::from_secs(10)).await;
    reboot(house, Duration::from_secs(2), SignedDuration::ZERO).await;
    house.sell_many(0, 3).await;
    house.pass(2 * MINUTE).await;
    // The machine with an empty battery: behind the last receipt, and FDMS away.
    house.sandbox.set_offline(true);
    house.sell_many(0, 3).await;
    reboot(house, 20 * MINUTE, SignedDuration::from_hours(-1)).await;
    house.sell_many(0, 5).await;
    house.pass(10 * MINUTE).await;
    house.sell_many(0, 5).await;
    house.sandbox.set_offline(false);
    house.pass(10 * MINUTE).await;
    let issued = house.sell(0).await;
    wrong.extend(off(house, &issued, SignedDuration::from_secs(60)));
    wrong.extend(ended(house).await);
    wrong
}

/// After a reboot the clock is a day ahead and nobody can say so: sales are dated a day ahead, and nothing
/// is sent until that day has come.
pub(crate) async fn rebooted_into_tomorrow(house: &mut House) -> Vec<String> {
    let mut wrong = Vec::new();
    house.sell_many(0, 4).await;
    house.drain().await;
    house.sandbox.set_offline(true);
    reboot(house, 5 * MINUTE, SignedDuration::from_hours(24)).await;
    let issued = house.sell(0).await;
    if off(house, &issued, SignedDuration::from_hours(23)).is_none() {
        wrong.push("a day ahead after a reboot was expected to be believed".to_owned());
    }
    house.sell_many(0, 5).await;
    house.pass(HOUR).await;
    let known = house.at_fdms(0).len();
    house.sandbox.set_offline(false);
    house.pass(HOUR).await;
    for _ in 0..5 {
        house.sell(0).await;
        house.pass(MINUTE).await;
    }
    if house.at_fdms(0).len() > known {
        wrong.push("tomorrow's receipts were sent today".to_owned());
    }
    let status = house.ledger().time().status();
    let off = status
        .trusted
        .duration_since(local(house.fdms_clock.wall()));
    if off.abs() > SignedDuration::from_secs(60) {
        wrong.push(format!("FDMS's time was not taken: {status:?}"));
    }
    house.pass(26 * HOUR).await;
    let issued = house.sell(0).await;
    wrong.extend(self::off(house, &issued, SignedDuration::from_secs(60)));
    wrong.extend(ended(house).await);
    wrong
}

/// The machine is off for `time`, then starts with its wall clock `wrong_by`.
/// The daemon and its machine stop, and start after a while, with the wall clock wrong by so much.
pub(crate) async fn reboot(house: &mut House, time: Duration, wrong_by: SignedDuration) {
    house.stop().await;
    house.advance(time);
    house.clock.reboot();
    house.set_wall(wrong_by);
    house.start();
}

/// FDMS is away for three days: days close and open locally, then everything is sent in order.
pub(crate) async fn three_days_without_fdms(house: &House) -> Vec<String> {
    house.sell_many(0, 3).await;
    house.drain().await;
    house.sandbox.set_offline(true);
    for _ in 0..36 {
        house.sell_many(0, 2).await;
        house.pass(2 * HOUR).await;
    }
    let mut wrong = Vec::new();
    let days = house.day(0).map_or(0, |day| day.fiscal_day_no.get());
    if days < 3 {
        wrong.push(format!("after three days it is still day {days}"));
    }
    if house.at_fdms(0).len() > 3 {
        wrong.push("FDMS was not away".to_owned());
    }
    house.sandbox.set_offline(false);
    wrong.extend(ended(house).await);
    wrong
}

/// The three messages of the stream.
const MESSAGES: [Call; 3] = [Call::OpenDay, Call::SubmitReceipt, Call::CloseDay];

/// What goes wrong with one message, and whether FDMS has heard it all the same.
fn line_faults() -> Vec<(FaultKind, bool)> {
    let status = |status, processed| FaultKind::Status {
        status,
        retry_after: None,
        processed,
    };
    vec![
        (FaultKind::LoseRequest, false),
        (FaultKind::LoseAnswer, true),
        (status(500, false), false),
        (status(500, true), true),
        (status(502, false), false),
        (status(502, true), true),
        (status(503, true), true),
        (status(429, false), false),
    ]
}

/// How many tills [`every_fault_on_every_message`] wants.
pub(crate) fn tills_for_faults() -> Vec<KeyKind> {
    vec![KeyKind::EcP256; MESSAGES.len() * line_faults().len()]
}

/// Each fault hits each message of a till of its own, all at the same time. A message that FDMS has heard
/// is not sent a second time, unless it is a receipt, which is sent again byte for byte.
pub(crate) async fn every_fault_on_every_message(house: &House) -> Vec<String> {
    let mut cases = Vec::new();
    for call in MESSAGES {
        for (fault, heard) in line_faults() {
            let device = house.till(cases.len()).number();
            cases.push((device, call, fault.clone(), heard));
            house.sandbox.add_fault(Fault {
                device: Some(device),
                ..Fault::next(call, fault)
            });
        }
    }
    for place in 0..cases.len() {
        house.sell_many(place, 3).await;
    }
    let mut wrong = ended(house).await;
    if !house.sandbox.faults().is_empty() {
        wrong.push(format!("never happened: {:?}", house.sandbox.faults()));
    }
    for (device, call, fault, heard) in cases {
        let sent = house.sandbox.request_count(device, call);
        let expected = match call {
            Call::SubmitReceipt => 4,
            _ if heard => 1,
            _ => 2,
        };
        if sent != expected {
            wrong.push(format!("{call} after {fault:?} was sent {sent} times"));
        }
    }
    wrong
}

/// FDMS refuses a receipt for good: sending stops there, selling goes on, nothing is passed over.
pub(crate) async fn a_refused_receipt(house: &House) -> Vec<String> {
    let fault = FaultKind::Status {
        status: 400,
        retry_after: None,
        processed: false,
    };
    house.sandbox.add_fault(Fault {
        device: Some(house.till(0).number()),
        skip: 1,
        ..Fault::next(Call::SubmitReceipt, fault)
    });
    house.sell_many(0, 4).await;
    house.drain().await;
    let mut wrong = Vec::new();
    match house.stream(0).0.parked {
        Some(parked) if parked.code == "HTTP 400" && parked.actions == ["retry"] => {}
        other => wrong.push(format!("not parked: {other:?}")),
    }
    house.sell_many(0, 2).await;
    house.pass(HOUR).await;
    if house.at_fdms(0).len() != 1 {
        wrong.push(format!("{} receipts at FDMS", house.at_fdms(0).len()));
    }
    house.retry(0).await;
    house.pass(Duration::from_secs(2)).await;
    wrong.extend(ended(house).await);
    wrong
}
