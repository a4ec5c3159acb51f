//! Every alarm is raised by its reason and cleared by the end of it; none comes with another.

use super::*;

fn at(text: &str) -> Timestamp {
    clock::instant(text.parse().unwrap())
}

fn till() -> TillFacts {
    TillFacts {
        till: (Environment::Test, DeviceId::new(101).unwrap()),
        is_ready: true,
        hold: None,
        day: Some(OpenDay {
            no: FiscalDayNo::new(7).unwrap(),
            warned_from: "2026-05-29T05:00:00".parse().unwrap(),
            longest: "2026-05-29T07:00:00".parse().unwrap(),
            rolls_over: true,
        }),
        red: Vec::new(),
        grey: Vec::new(),
        unproven: Vec::new(),
        parked: None,
        unsent_receipts: 3,
        oldest_unsent: Some("2026-05-28T11:30:00".parse().unwrap()),
        certificate_ends: Some(at("2027-05-28T07:00:00")),
        config_error: None,
    }
}

/// Nothing is wrong: a day is open, three receipts have waited for half an hour.
fn well() -> StoreFacts {
    StoreFacts {
        now: at("2026-05-28T12:00:00"),
        disk_free: Some(20 * 1024 * 1024 * 1024),
        tills: vec![till()],
        printers: vec![PrinterFacts {
            name: "front".to_owned(),
            connected: Some(true),
            ..PrinterFacts::default()
        }],
        ..StoreFacts::default()
    }
}

fn hold(kind: HoldKind) -> Hold {
    Hold {
        kind,
        reason: "a reason".to_owned(),
        since: at("2026-05-28T09:00:00"),
    }
}

fn parked(code: &str) -> Parked {
    serde_json::from_value(serde_json::json!({
        "reason": "FDMS says no", "code": code, "actions": ["retry"], "since": at("2026-05-28T09:00:00"),
    }))
    .unwrap()
}

fn receipts(numbers: &[u32]) -> Vec<ReceiptGlobalNo> {
    let numbers = numbers.iter();
    numbers.filter_map(|no| ReceiptGlobalNo::new(*no)).collect()
}

/// What raises each alarm.
type Reason = (AlarmCode, Severity, fn(&mut StoreFacts));

fn reasons_of_tills() -> Vec<Reason> {
    use AlarmCode as C;
    use Severity::{Attend, Note, Stops};
    vec![
        (C::TillUnchecked, Stops, |s| {
            s.tills[0].hold = Some(hold(HoldKind::Unchecked));
        }),
        (C::TillAhead, Stops, |s| {
            s.tills[0].hold = Some(hold(HoldKind::Ahead));
        }),
        (C::TillDisabled, Stops, |s| {
            s.tills[0].hold = Some(hold(HoldKind::Disabled));
        }),
        (C::TillBlocked, Stops, |s| {
            s.tills[0].hold = Some(hold(HoldKind::Blocked));
        }),
        (C::TillNotReady, Stops, |s| s.tills[0].is_ready = false),
        (C::DayOver, Attend, |s| {
            s.now = at("2026-05-29T07:00:01");
            s.tills[0].oldest_unsent = None;
        }),
        (C::DayEnding, Attend, |s| {
            s.now = at("2026-05-29T05:00:00");
            s.tills[0].unsent_receipts = 0;
        }),
        (C::Parked, Attend, |s| {
            s.tills[0].parked = Some(parked("RCPT025"));
        }),
        (C::Paused, Attend, |s| {
            s.tills[0].parked = Some(parked("paused"));
        }),
        (C::CloseFailed, Attend, |s| {
            s.tills[0].parked = Some(parked("CountersMismatch"));
        }),
        (C::ReceiptRed, Attend, |s| s.tills[0].red = receipts(&[12])),
        (C::ReceiptGrey, Note, |s| {
            s.tills[0].grey = receipts(&[12, 13, 14, 15, 16]);
        }),
        (C::SignatureInvalid, Attend, |s| {
            s.tills[0].unproven = receipts(&[12]);
        }),
        (C::UnsentLong, Attend, |s| {
            s.tills[0].oldest_unsent = Some("2026-05-28T08:00:00".parse().unwrap());
        }),
        (C::CertificateEnded, Attend, |s| {
            s.tills[0].certificate_ends = Some(at("2026-05-28T11:59:59"));
        }),
        (C::CertificateEnding, Note, |s| {
            s.tills[0].certificate_ends = Some(at("2026-06-20T12:00:00"));
        }),
        (C::CertificateEnding, Attend, |s| {
            s.tills[0].certificate_ends = Some(at("2026-06-01T12:00:00"));
        }),
        (C::ConfigUnusable, Attend, |s| {
            s.tills[0].config_error = Some("a tax without a number".to_owned());
        }),
    ]
}

fn reasons_of_the_store() -> Vec<Reason> {
    use AlarmCode as C;
    use Severity::{Attend, Note, Stops};
    vec![
        (C::LedgerFault, Stops, |s| {
            s.ledger_fault = Some("disk I/O error".to_owned());
        }),
        (C::DiskFull, Stops, |s| s.disk_free = Some(1024 * 1024)),
        (C::DiskNearlyFull, Attend, |s| {
            s.disk_free = Some(511 * 1024 * 1024);
        }),
        (C::ClockOff, Attend, |s| s.clock = Some(TimeFlag::WallLeapt)),
        (C::ClockUnconfirmed, Note, |s| {
            s.clock = Some(TimeFlag::UnconfirmedAfterReboot);
        }),
        (C::PrinterAway, Attend, |s| {
            s.printers[0].connected = Some(false);
            s.printers[0].link_error = Some("no route".to_owned());
        }),
        (C::PrinterPaperOut, Attend, |s| {
            s.printers[0].fault = Some(HeldReason::PaperOut);
        }),
        (C::PrinterCoverOpen, Attend, |s| {
            s.printers[0].fault = Some(HeldReason::CoverOpen);
        }),
        (C::PrinterFault, Attend, |s| {
            s.printers[0].fault = Some(HeldReason::Cutter);
        }),
        (C::PrinterPaperLow, Note, |s| s.printers[0].paper_low = true),
        (C::PapersInDoubt, Attend, |s| s.printers[0].in_doubt = 2),
        (C::PapersPutAside, Attend, |s| s.put_aside = 1),
        (C::PortShut, Attend, |s| {
            s.shut_ports = vec![("old-till".to_owned(), "in use".to_owned())];
        }),
        (C::LanAway, Attend, |s| {
            s.lan_away = Some("192.168.1.10".parse().unwrap());
        }),
        (C::CopyStill, Attend, |s| {
            s.live_copy = Some(("no stick".to_owned(), at("2026-05-28T11:45:00")));
        }),
        (C::BackupFailed, Attend, |s| {
            s.backup = Some(("no room".to_owned(), at("2026-05-28T11:59:00")));
        }),
        (C::BackupOld, Attend, |s| {
            s.backups_since = Some(at("2026-05-20T08:00:00"));
            s.last_backup = Some(at("2026-05-27T09:59:59"));
        }),
        (C::HeadOfficeSilent, Note, |s| {
            s.head_office = Some(("no route".to_owned(), at("2026-05-28T11:45:00")));
        }),
    ]
}

/// Each reason raises its alarm and no other, with all of its words; without the reason there is none.
#[test]
fn each_is_raised_and_cleared() {
    let reasons = [reasons_of_tills(), reasons_of_the_store()].concat();
    for code in AlarmCode::ALL {
        let is_tried = reasons.iter().any(|(tried, ..)| tried == code);
        assert!(is_tried, "nothing raises {code:?}");
    }
    for (code, severity, raise) in reasons {
        assert_eq!(alarms(&well()), [], "before {code:?}");
        let mut store = well();
        raise(&mut store);
        let raised = alarms(&store);
        let found: Vec<_> = raised.iter().map(|a| (a.code, a.severity)).collect();
        assert_eq!(found, [(code, severity)]);
        let of_till = reasons_of_tills().iter().any(|(own, ..)| *own == code);
        assert_eq!(raised[0].till.is_some(), of_till, "{code:?}");
        for words in [raised[0].what(), raised[0].action()] {
            assert!(!words.contains('{') && words.ends_with('.'), "{words}");
        }
    }
}

/// Where the next sale cannot open another day, a day that is over stops the till.
#[test]
fn a_day_that_cannot_roll_over_stops() {
    let mut store = well();
    store.now = at("2026-05-29T08:00:00");
    store.tills[0].unsent_receipts = 0;
    let severity = |store: &StoreFacts| alarms(store)[0].severity;
    assert_eq!(severity(&store), Severity::Attend);
    store.tills[0].day.as_mut().unwrap().rolls_over = false;
    assert_eq!(severity(&store), Severity::Stops);
}

/// A few receipts are named, the others counted; a retired till is no trouble; the worst comes first.
#[test]
fn many_at_once() {
    let mut store = well();
    store.tills[0].grey = receipts(&[12, 13, 14, 15, 16]);
    store.disk_free = Some(0);
    let found = alarms(&store);
    assert_eq!(found[0].code, AlarmCode::DiskFull);
    assert!(found[1].what().contains("12, 13, 14 (+ 2)"));
    assert!(found[0].concerns(store.tills[0].till), "no till can sell");
    store.disk_free = None;
    store.tills[0].hold = Some(hold(HoldKind::Retired));
    store.tills[0].is_ready = false;
    assert_eq!(alarms(&store), []);
}

/// One thing is told of as one thing, any other number as several.
#[test]
fn one_is_one() {
    let what = |change: fn(&mut StoreFacts)| {
        let mut store = well();
        change(&mut store);
        alarms(&store)[0].what()
    };
    for (one, more, expected) in [
        (
            what(|s| s.put_aside = 1),
            what(|s| s.put_aside = 11),
            ("1 paper of", "11 papers of"),
        ),
        (
            what(|s| s.printers[0].in_doubt = 1),
            what(|s| s.printers[0].in_doubt = 2),
            ("if 1 paper came", "if 2 papers came"),
        ),
        (
            what(|s| s.tills[0].certificate_ends = Some(at("2026-05-29T12:00:01"))),
            what(|s| s.tills[0].certificate_ends = Some(at("2026-05-28T12:00:01"))),
            ("in 1 day, on", "in 0 days, on"),
        ),
        // A receipt's number is no count.
        (
            what(|s| s.tills[0].red = receipts(&[1])),
            what(|s| s.tills[0].red = receipts(&[2])),
            ("receipt 1 red", "receipt 2 red"),
        ),
    ] {
        assert!(one.contains(expected.0), "{one}");
        assert!(more.contains(expected.1), "{more}");
    }
}

/// Short silences, of a receipt, of head office, of a certificate that has long to go, are no alarms.
#[test]
fn patience() {
    let mut store = well();
    store.tills[0].oldest_unsent = Some("2026-05-28T08:00:01".parse().unwrap());
    store.head_office = Some(("no route".to_owned(), at("2026-05-28T11:45:01")));
    store.live_copy = Some(("no stick".to_owned(), at("2026-05-28T11:45:01")));
    store.tills[0].certificate_ends = Some(at("2026-06-27T12:00:00"));
    store.printers[0].connected = None;
    assert_eq!(alarms(&store), []);
}

/// A backup of the night before is none too old, and one that was missed while the machine was off is made up for; none
/// for an hour is told of, unless it failed, which is told of anyway.
#[test]
fn patience_with_backups() {
    let mut store = well();
    store.backups_since = Some(at("2026-05-20T08:00:00"));
    store.last_backup = Some(at("2026-05-27T10:00:00"));
    assert_eq!(alarms(&store), []);
    for last in [None, Some(at("2026-05-22T02:30:00"))] {
        store.last_backup = last;
        store.backups_since = Some(at("2026-05-28T11:00:01"));
        assert_eq!(alarms(&store), [], "{last:?}");
        let started = at("2026-05-28T11:00:00");
        store.backups_since = Some(started);
        let found = alarms(&store);
        assert_eq!(found[0].code, AlarmCode::BackupOld);
        assert_eq!(found[0].since, last.or(Some(started)));
    }
    store.backup = Some(("no room".to_owned(), store.now));
    let codes: Vec<_> = alarms(&store).iter().map(|alarm| alarm.code).collect();
    assert_eq!(codes, [AlarmCode::BackupFailed]);
    store.backup = None;
    store.backups_since = None;
    assert_eq!(alarms(&store), [], "none are configured");
}

/// Codes are unique and stable words; sentences are sentences.
#[test]
fn the_table_is_in_order() {
    let mut seen = std::collections::BTreeSet::new();
    for code in AlarmCode::ALL {
        let word = code.as_str();
        assert!(seen.insert(word), "{word} twice");
        assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(
            code.what().ends_with('.') && code.action().ends_with('.'),
            "{word}"
        );
    }
}

/// The table of docs/OPERATOR.md says what the code says.
#[test]
fn the_document_is_in_step() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATOR.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<&str> = rows.collect();
    let wanted: Vec<String> = AlarmCode::ALL
        .iter()
        .map(|code| {
            let (what, action) = (code.what(), code.action());
            format!("| `{}` | {what} | {action} |", code.as_str())
        })
        .collect();
    assert_eq!(rows, wanted);
}
