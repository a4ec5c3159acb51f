//! What is alarming: the rules, one for each kind of thing that can go wrong.

use clock::{Timestamp, local};
use drivers::job::HeldReason;
use fiscal::ReceiptGlobalNo;

use super::{
    Alarm, AlarmCode, Hold, HoldKind, Parked, PrinterFacts, Severity, StoreFacts, TillFacts,
    TimeFlag,
};
use crate::ledger::printing::held;
use crate::ledger::stream::ParkedKind;

/// Receipts that have waited so long are worth a look at the internet, seconds: half a day of selling.
const UNSENT_LONG: i64 = 4 * 3600;
/// Head office may be silent, and the live copy stand still, so long, seconds.
pub const SILENT_LONG: i64 = 15 * 60;
/// So old the last backup may be, seconds: one is made every day, and takes its time.
pub const BACKUP_OLD: i64 = 26 * 3600;
/// A gateway that was started has so long to make a backup that was missed, seconds.
const MADE_UP: i64 = 3600;
/// Below so many bytes the disk is nearly full: some weeks of a busy shop.
const DISK_LOW: u64 = 512 * MB;
/// Below so many bytes the next sale may find no room.
const DISK_FULL: u64 = 8 * MB;
const MB: u64 = 1024 * 1024;
const DAY: i64 = 24 * 3600;
/// Days before a certificate's end from which on it is told.
const CERTIFICATE_TOLD: i64 = 30;
/// Days before a certificate's end from which on somebody must look after it.
const CERTIFICATE_URGENT: i64 = 14;
/// Receipts that are named one by one.
const NAMED: usize = 3;

/// The alarms of a store, those that stop sales first, then in the order of the tills.
#[must_use]
pub fn alarms(facts: &StoreFacts) -> Vec<Alarm> {
    let mut found = Vec::new();
    of_store(facts, &mut found);
    for till in &facts.tills {
        let from = found.len();
        of_till(till, facts.now, &mut found);
        for alarm in found.iter_mut().skip(from) {
            alarm.till = Some(till.till);
        }
    }
    for printer in &facts.printers {
        of_printer(printer, &mut found);
    }
    found.sort_by_key(|alarm| alarm.severity);
    found
}

fn alarm(code: AlarmCode, severity: Severity) -> Alarm {
    Alarm {
        code,
        severity,
        till: None,
        since: None,
        values: Vec::new(),
        detail: None,
    }
}

impl Alarm {
    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    fn detail(mut self, detail: Option<impl ToString>) -> Self {
        self.detail = detail.map(|detail| detail.to_string());
        self
    }
}

fn of_store(facts: &StoreFacts, found: &mut Vec<Alarm>) {
    use AlarmCode as C;
    let is_long = |since: &Timestamp| facts.now.duration_since(*since).as_secs() >= SILENT_LONG;
    if let Some(fault) = &facts.ledger_fault {
        found.push(alarm(C::LedgerFault, Severity::Stops).detail(Some(fault)));
    }
    if let Some(free) = facts.disk_free {
        let low = match free {
            0..DISK_FULL => Some((C::DiskFull, Severity::Stops)),
            DISK_FULL..DISK_LOW => Some((C::DiskNearlyFull, Severity::Attend)),
            DISK_LOW.. => None,
        };
        found.extend(low.map(|(code, severity)| alarm(code, severity).with("free", free / MB)));
    }
    if let Some(flag) = facts.clock {
        let skew = format!(
            "machine's clock less trusted time: {} s ({flag:?})",
            facts.skew_seconds
        );
        let (code, severity) = match flag {
            TimeFlag::UnconfirmedAfterReboot => (C::ClockUnconfirmed, Severity::Note),
            TimeFlag::WallLeapt
            | TimeFlag::BehindLastReceipt
            | TimeFlag::LongAfterReboot
            | TimeFlag::FdmsDiffers => (C::ClockOff, Severity::Attend),
        };
        found.push(alarm(code, severity).detail(Some(skew)));
    }
    let silent = facts.head_office.as_ref();
    let still = facts.live_copy.as_ref();
    let lasting = [
        (
            C::HeadOfficeSilent,
            Severity::Note,
            silent.filter(|it| is_long(&it.1)),
        ),
        (
            C::CopyStill,
            Severity::Attend,
            still.filter(|it| is_long(&it.1)),
        ),
        (C::BackupFailed, Severity::Attend, facts.backup.as_ref()),
    ];
    for (code, severity, trouble) in lasting {
        let Some((why, since)) = trouble else {
            continue;
        };
        let told = alarm(code, severity).with("since", local(*since));
        found.push(told.since(*since).detail(Some(why)));
    }
    found.extend(of_old_backup(facts));
    if facts.put_aside > 0 {
        found.push(alarm(C::PapersPutAside, Severity::Attend).with("count", facts.put_aside));
    }
    for (port, why) in &facts.shut_ports {
        let shut = alarm(C::PortShut, Severity::Attend);
        found.push(shut.with("port", port).detail(Some(why)));
    }
    if let Some(address) = facts.lan_away {
        found.push(alarm(C::LanAway, Severity::Attend).with("address", address));
    }
}

/// No backup for long, though none has failed: none is begun, or the one that is made does not come to its end.
fn of_old_backup(facts: &StoreFacts) -> Option<Alarm> {
    let age = |at: Timestamp| facts.now.duration_since(at).as_secs();
    let kept_since = facts.backups_since?;
    let is_old = facts.last_backup.is_none_or(|at| age(at) > BACKUP_OLD);
    if !is_old || age(kept_since) < MADE_UP || facts.backup.is_some() {
        return None;
    }
    let since = facts.last_backup.unwrap_or(kept_since);
    let old = alarm(AlarmCode::BackupOld, Severity::Attend);
    Some(old.with("since", local(since)).since(since))
}

fn of_till(till: &TillFacts, now: Timestamp, found: &mut Vec<Alarm>) {
    use AlarmCode as C;
    // One that is retired for good is no trouble.
    if till
        .hold
        .as_ref()
        .is_some_and(|hold| hold.kind == HoldKind::Retired)
    {
        return;
    }
    if !till.is_ready {
        found.push(alarm(C::TillNotReady, Severity::Stops));
    }
    found.extend(till.hold.as_ref().and_then(of_hold));
    of_day(till, now, found);
    let marked = [
        (C::ReceiptRed, Severity::Attend, &till.red),
        (C::ReceiptGrey, Severity::Note, &till.grey),
        (C::SignatureInvalid, Severity::Attend, &till.unproven),
    ];
    for (code, severity, receipts) in marked {
        if !receipts.is_empty() {
            found.push(alarm(code, severity).with("receipts", named(receipts)));
        }
    }
    found.extend(till.parked.as_ref().map(of_parked));
    if let Some(oldest) = till.oldest_unsent
        && till.unsent_receipts > 0
        && local(now).duration_since(oldest).as_secs() >= UNSENT_LONG
    {
        let waiting = alarm(C::UnsentLong, Severity::Attend);
        found.push(
            waiting
                .with("receipts", till.unsent_receipts)
                .with("since", oldest)
                .since(clock::instant(oldest)),
        );
    }
    found.extend(
        till.certificate_ends
            .and_then(|end| of_certificate(end, now)),
    );
    if let Some(error) = &till.config_error {
        found.push(alarm(C::ConfigUnusable, Severity::Attend).detail(Some(error)));
    }
}

fn of_hold(hold: &Hold) -> Option<Alarm> {
    let code = match hold.kind {
        HoldKind::Unchecked => AlarmCode::TillUnchecked,
        HoldKind::Ahead => AlarmCode::TillAhead,
        HoldKind::Disabled => AlarmCode::TillDisabled,
        HoldKind::Blocked => AlarmCode::TillBlocked,
        HoldKind::Retired => return None,
    };
    let held = alarm(code, Severity::Stops).since(hold.since);
    Some(held.detail(Some(&hold.reason)))
}

fn of_day(till: &TillFacts, now: Timestamp, found: &mut Vec<Alarm>) {
    let Some(day) = till.day else { return };
    let now = local(now);
    let (code, severity) = if day.longest < now {
        let severity = match day.rolls_over {
            true => Severity::Attend,
            false => Severity::Stops,
        };
        (AlarmCode::DayOver, severity)
    } else if day.warned_from <= now {
        (AlarmCode::DayEnding, Severity::Attend)
    } else {
        return;
    };
    let late = alarm(code, severity).with("day", day.no);
    found.push(late.with("until", day.longest));
}

fn of_parked(parked: &Parked) -> Alarm {
    let code = match parked.kind() {
        ParkedKind::Paused => AlarmCode::Paused,
        ParkedKind::CloseFailed => AlarmCode::CloseFailed,
        ParkedKind::Refused => AlarmCode::Parked,
    };
    let detail = format!("{}: {}", parked.code, parked.reason);
    let still = alarm(code, Severity::Attend).since(parked.since);
    still.detail(Some(detail))
}

fn of_certificate(end: Timestamp, now: Timestamp) -> Option<Alarm> {
    let days = end.duration_since(now).as_secs().div_euclid(DAY);
    let (code, severity) = match days {
        i64::MIN..0 => (AlarmCode::CertificateEnded, Severity::Attend),
        0..CERTIFICATE_URGENT => (AlarmCode::CertificateEnding, Severity::Attend),
        CERTIFICATE_URGENT..CERTIFICATE_TOLD => (AlarmCode::CertificateEnding, Severity::Note),
        CERTIFICATE_TOLD.. => return None,
    };
    let alarm = alarm(code, severity).with("until", local(end).date());
    Some(match days {
        0.. => alarm.with("days", days),
        _ => alarm.since(end),
    })
}

fn of_printer(printer: &PrinterFacts, found: &mut Vec<Alarm>) {
    use AlarmCode as C;
    let condition = match (printer.connected, printer.fault) {
        (None, _) => None,
        (Some(false), _) | (_, Some(HeldReason::Unreachable)) => {
            Some((C::PrinterAway, Severity::Attend))
        }
        (_, Some(HeldReason::PaperOut)) => Some((C::PrinterPaperOut, Severity::Attend)),
        (_, Some(HeldReason::CoverOpen)) => Some((C::PrinterCoverOpen, Severity::Attend)),
        (_, Some(_)) => Some((C::PrinterFault, Severity::Attend)),
        (_, None) if printer.paper_low => Some((C::PrinterPaperLow, Severity::Note)),
        (_, None) => None,
    };
    if let Some((code, severity)) = condition {
        let fault = printer.fault.map(held);
        let detail = printer.link_error.as_deref().or(fault);
        let about = alarm(code, severity).with("printer", &printer.name);
        found.push(about.detail(detail));
    }
    if printer.in_doubt > 0 {
        let doubt = alarm(C::PapersInDoubt, Severity::Attend).with("printer", &printer.name);
        found.push(doubt.with("count", printer.in_doubt));
    }
}

/// The first few numbers, and how many more there are.
fn named(receipts: &[ReceiptGlobalNo]) -> String {
    let shown: Vec<String> = receipts
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = receipts.len().saturating_sub(NAMED);
    let mut text = shown.join(", ");
    if more > 0 {
        text.push_str(&format!(" (+ {more})"));
    }
    text
}
